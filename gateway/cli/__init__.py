"""The command ``e2i-gateway``: a module for each group of commands, with its parsers.

May use every room.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status.

    Collection of garbage is off while modules are imported (a fifth of the import's time), and what they made is exempt
    from it later.
    """
    gc.disable()
    try:
        from gateway.cli import command_line  # noqa: PLC0415 - imported after collection is off
    finally:
        gc.freeze()
        gc.enable()
    return command_line.main(arguments)
