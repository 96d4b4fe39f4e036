"""Attached databases: comparing them with the models, attaching, checking, detaching, detecting changes of their
schema.

May use every other room of `db` but `db.demo`.
"""
