"""The lineage: edges from the models' relations, a walk over them by levels, the answers made of it, and its fields.

Uses the catalogue, SQL and the lists of relations; of changes only the guards and effects of moves, for `impact`.
"""
