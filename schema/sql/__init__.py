"""Fragments of SQL and their parameters: filters, orders, cursors, aggregates, lists.

May use `schema.catalogue` and `schema.scopes`; both executors build on it, so that they mean the same.
"""
