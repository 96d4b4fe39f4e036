"""The execution of selections: plans, loaders (the reference), the executor, time slices.

May use `schema.sql`, `schema.search` and what those may use. The compiler is in `compiler`.
"""
