"""Root fields that are not derived from models, each with a resolver and a cost; `registry` lists them.

Uses the catalogue, SQL and execution; the fields of the lineage are in `schema.lineage.fields`.
"""
