"""The vocabulary of the models: columns, enums, relations, lifecycles, lineage, computed objects, effects.

``vocabulary`` has all that a model is written in; its parts are modules of their own.

May use `db.adapters` alone.
"""
