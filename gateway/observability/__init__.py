"""What is seen of the gateway from outside: log, metrics, traces, health.

The rooms that are observed call hooks and import nothing of it but the request's id for the log.
"""
