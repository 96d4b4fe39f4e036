"""What the gateway keeps of its own: tokens, trusted documents, the change log, the grants of its role.

May use `db.engine` and `db.models`.
"""
