"""The installed gateway: one package, whose rooms only its own processes import.

The names of the rooms (``gateway``, ``schema``, ``db``) are common. So they are not installed at the top level: they
are in the folder ``rooms`` of this package, which the command prepends to its path; programs that import the client do
not see them.
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
    """The folder of the rooms: in this package, or beside it in an editable install."""
    installed = _HERE / "rooms"
    return installed if installed.is_dir() else _HERE.parents[2]


def main() -> int:
    """Runs the command, in a process of its own; returns its exit status."""
    sys.path.insert(0, str(rooms()))
    from gateway.cli import main as run  # noqa: PLC0415 - importable from here on

    return run()


@contextmanager
def borrowed() -> Iterator[None]:
    """A context in which the rooms can be imported; afterwards the modules of these names are as they were."""
    place, others = str(rooms()), _away()
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)
        _away()
        sys.modules.update(others)


def _away() -> dict[str, ModuleType]:
    """Removes the modules with names of rooms; returns them."""
    names = [name for name in sys.modules if name.partition(".")[0] in ROOMS]
    return {name: sys.modules.pop(name) for name in names}
