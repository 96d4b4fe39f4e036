"""Adapters for private interfaces of libraries, one module per library, as in ``db.adapters``.

May use no other room.
"""
