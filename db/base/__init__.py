"""The declarations of models: columns, enums, relations, lifecycles, lineage, computed objects, effects.

``vocabulary`` exports all that models use; its parts are separate modules.

May use `db.adapters` alone.
"""
