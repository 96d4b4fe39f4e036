"""The types, inputs and root fields that Strawberry is told, made from the catalogue.

May use `schema.execution` and what that may use.
"""
