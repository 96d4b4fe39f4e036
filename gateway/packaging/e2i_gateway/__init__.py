"""The gateway as it is installed: one package, whose rooms are found by its own processes alone.

The rooms (``gateway``, ``schema``, ``db``) have names that others have, too. So they are no packages of the whole:
they stand in ``rooms`` of this one, the command puts that at the front of its own path, and whoever imports the client
as a library gets it without them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

ROOMS = ("gateway", "schema", "db")

_HERE = Path(__file__).resolve().parent


def rooms() -> Path:
    """Where the rooms are: below this package, or beside it where they are worked on."""
    installed = _HERE / "rooms"
    return installed if installed.is_dir() else _HERE.parents[2]


def main() -> int:
    """Runs the command, in a process that is the gateway's own; returns its exit status."""
    sys.path.insert(0, str(rooms()))
    from gateway.cli import main as run  # noqa: PLC0415 - found from here on

    return run()


@contextmanager
def borrowed() -> Iterator[None]:
    """Within, the rooms can be imported; afterwards nobody else finds them by their names, nor misses a module."""
    place, others = str(rooms()), _away()
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)
        _away()
        sys.modules.update(others)


def _away() -> dict[str, ModuleType]:
    """Takes the modules away that have names of rooms; what was there."""
    names = [name for name in sys.modules if name.partition(".")[0] in ROOMS]
    return {name: sys.modules.pop(name) for name in names}
