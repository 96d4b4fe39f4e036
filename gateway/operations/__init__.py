"""One operation from its document to its answer: limits, price, budget, deadline, plan, execution.

Knows no transport: HTTP and WebSocket are its clients. It may use ``auth`` and ``schema``, and imports no other room.
"""
