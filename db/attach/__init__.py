"""A database that the gateway did not make: comparing it with the models, attaching, checking, detaching, watching
its shape.

May use every other room of this floor but `db.demo`.
"""
