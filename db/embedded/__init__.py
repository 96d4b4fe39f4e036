"""The embedded Postgres: its data folder, its lock and its process; temporary folders of processes.

May use `db.engine`.
"""
