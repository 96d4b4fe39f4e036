"""Transports, authentication, limits and the execution of operations. ``schema`` defines the graph, ``db`` the
database.

``app`` assembles the rooms; all of them may use ``settings``, ``context`` and ``database``.
"""
