"""Where servers of the tests keep their data."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from db.embedded.temporary import temporary_folder

MEMORY = Path("/dev/shm")
ROOM = 4 * 1024**3
"""Bytes that have to be free in memory before anything is kept there: a run needs less than one gigabyte."""


@contextmanager
def data_folder(prefix: str) -> Iterator[Path]:
    """A folder for the block: in memory if there is room, on disk else. What killed runs have left there goes.

    A clone of a template is some two thousand files; in memory it is there ten times as fast.
    """
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM
    with temporary_folder(prefix, MEMORY if roomy else None) as folder:
        yield folder
