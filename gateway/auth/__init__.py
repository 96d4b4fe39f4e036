"""Who asks, and what he may: credentials, JWTs and the keys that signed them, roles, permissions.

May use the settings and ``gateway.context``, and imports no other room.
"""
