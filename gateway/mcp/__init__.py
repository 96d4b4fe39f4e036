"""Agents: the graph as tools of the Model Context Protocol, over HTTP at ``/mcp`` and over stdio.

``server`` implements the protocol by its SDK, ``endpoint`` its HTTP transport, ``toolbox`` what all tools share,
``tools/`` the tools. A client of ``operations``, like ``http``: every tool runs ordinary operations as the caller of
its request.
"""
