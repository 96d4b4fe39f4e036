"""Observability: log, metrics, traces, health.

The rooms that are observed call hooks and import nothing of it but the request's id for the log.
"""
