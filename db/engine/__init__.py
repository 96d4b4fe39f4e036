"""Connections to Postgres: addresses, the pool, sessions, locks, replicas, timelines, transactions, errors.

May use `db.base` and `db.models`.
"""
