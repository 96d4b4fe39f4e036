"""The vocabulary of the models: columns, enums, relations, lifecycles, lineage, computed objects, effects.

May use `db.adapters` alone.
"""
