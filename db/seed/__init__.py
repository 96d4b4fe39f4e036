"""Rows that every database has: the default tools, as JSON.

May use `db.models`.
"""
