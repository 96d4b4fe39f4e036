"""GraphQL over HTTP: parsing requests, sending responses, checking origins and hosts.

A client of ``operations``, like ``websocket``; it may use ``auth`` and ``observability`` besides, and knows
no other transport.
"""
