"""One SQL statement for a whole selection, whose JSON Postgres writes.

May use everything that `schema.execution` may.
"""
