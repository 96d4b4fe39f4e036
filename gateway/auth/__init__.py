"""Authentication and authorization: credentials, JWTs and their keys, permissions.

May use the settings and ``gateway.context``, and imports no other room.
"""
