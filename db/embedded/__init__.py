"""The embedded Postgres: its data folder, its lock and its process.

May use `db.engine`.
"""
