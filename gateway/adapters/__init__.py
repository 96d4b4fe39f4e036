"""What the gateway takes from libraries beyond their public interfaces, one module a library, as ``db.adapters`` says.

May use no other room.
"""
