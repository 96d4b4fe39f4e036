"""The lineage: edges from the models' relations, a walk over them by levels, and the answers that are made of it."""
