"""Where servers of the tests keep their data."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 4 * 1024**3
"""Bytes that have to be free in memory before anything is kept there: a run needs less than one gigabyte."""
FORGOTTEN = 12 * 3600
"""Seconds after which a folder in memory is what a run that was killed has left."""


@contextmanager
def data_folder(prefix: str) -> Iterator[Path]:
    """A folder for the block: in memory if there is room, on disk else.

    A clone of a template is some two thousand files; in memory it is there ten times as fast.
    """
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM
    for left in MEMORY.glob(f"{prefix}*"):
        if time.time() - left.stat().st_mtime > FORGOTTEN:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=MEMORY if roomy else None, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)
