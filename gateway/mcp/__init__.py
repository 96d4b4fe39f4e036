"""Agents: the graph as tools of the Model Context Protocol, over HTTP at ``/mcp`` and over stdio.

``server`` speaks the protocol by its SDK, ``endpoint`` is its HTTP, ``toolbox`` what all tools share, ``tools/`` are
the tools. A client of ``operations``, like ``http``: every tool runs ordinary operations for the caller of its request.
"""
