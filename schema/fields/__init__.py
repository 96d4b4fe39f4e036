"""Root fields that no model can say, each with a resolver and a price of its own; `registry` lists all of them.

Uses the catalogue, SQL and the execution of the graph; the fields of the lineage are in `schema.lineage.fields`.
"""
