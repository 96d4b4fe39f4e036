"""The catalogue: fields with their SQL, column types, scalars, ids, selections, records.

May use `db` and `schema.errors`; every other room of this floor may use it.
"""
