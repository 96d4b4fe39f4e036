"""The change feed: what has happened in the database, and how a subscriber follows it behind a cursor.

Knows no transport and imports no other room.
"""
