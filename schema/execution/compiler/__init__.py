"""The compiler: one SQL statement for a whole selection, whose JSON Postgres builds.

May use everything that `schema.execution` may.
"""
