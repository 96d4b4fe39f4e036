"""GraphQL over WebSocket: the protocol ``graphql-transport-ws``, the operations on a socket, uvicorn's transport.

A client of ``operations`` and ``subscriptions``, like ``http``; it may use ``auth`` and ``observability`` besides.
"""
