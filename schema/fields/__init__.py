"""Root fields that are not derived from models, each with a resolver and a price; `registry` lists them.

Uses the catalogue, SQL and the execution of the graph; the fields of the lineage are in `schema.lineage.fields`.
"""
