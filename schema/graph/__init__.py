"""Strawberry types, inputs and root fields, built from the catalogue.

May use `schema.execution` and what that may use.
"""
