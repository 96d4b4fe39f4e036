"""Transports, callers, limits and execution; what an answer means is ``schema``'s, how it is fetched ``db``'s.

``app`` puts the rooms together; ``settings``, ``context`` and ``database`` are what all of them may use.
"""
