"""Finding rows by words and by vectors, as SQL.

May use `schema.sql` and what that may use.
"""
