"""The gateway's own data: tokens, trusted documents, the live log, the grants of its role.

May use `db.engine` and `db.models`.
"""
