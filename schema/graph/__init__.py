"""Strawberry's types, inputs and root fields, made from the catalogue.

May use `schema.execution` and what that may use.
"""
