"""Fragments of SQL and their parameters: filters, orders, cursors, aggregates, lists.

May use `schema.catalogue` and `schema.scopes`; both executors are built on it, and so return the same.
"""
