"""The catalogue: fields with their SQL, column types, scalars, ids, selections, records.

May use `db` and `schema.errors`; all other rooms of `schema` may use it.
"""
