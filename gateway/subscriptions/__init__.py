"""The change feed: recorded changes, for subscribers with cursors.

Knows no transport and imports no other room.
"""
