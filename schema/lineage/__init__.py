"""The lineage: edges from the models' relations, a breadth-first walk over them, its results, and GraphQL fields.

Uses the catalogue, SQL and lists of relations; of changes only guards and effects of transitions, for `impact`.
"""
