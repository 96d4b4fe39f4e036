"""Observability: log, metrics, traces, health.

Observed rooms call hooks, and import nothing of it but the request id of log lines.
"""
