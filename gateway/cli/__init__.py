"""The command ``e2i-gateway``: its arguments and what each command does.

May use every room.
"""

from gateway.cli.command_line import main

__all__ = ["main"]
