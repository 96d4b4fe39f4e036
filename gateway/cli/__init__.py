"""The command ``e2i-gateway``: a module for each group of commands, with its parsers.

May use every room.
"""

from gateway.cli.command_line import main

__all__ = ["main"]
