"""GraphQL over HTTP: requests read out of a URL or a body, answers sent, origins and hosts that may ask.

A client of ``operations``, like ``websocket``; it may use ``auth`` and ``observability`` besides, and knows
no other transport.
"""
