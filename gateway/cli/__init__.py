"""The command ``e2i-gateway``: a module for each group of commands, with its parsers.

May use every room.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status.

    What is imported stays, and is not walked for garbage: neither while it is imported, which took a fifth of the time,
    nor later.
    """
    gc.disable()
    try:
        from gateway.cli import command_line  # noqa: PLC0415 - not before collections are put off
    finally:
        gc.freeze()
        gc.enable()
    return command_line.main(arguments)
