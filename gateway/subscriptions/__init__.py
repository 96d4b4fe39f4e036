"""The change feed: recorded changes, for subscribers that resume by cursors.

Knows no transport and imports no other room.
"""
