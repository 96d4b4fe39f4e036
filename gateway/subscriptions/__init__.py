"""The change feed: recorded changes, which subscribers follow from a cursor.

Knows no transport and imports no other room.
"""
