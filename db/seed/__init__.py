"""Seed rows of every database: the default tools, as JSON.

May use `db.models`.
"""
