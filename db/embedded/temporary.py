"""Temporary folders that a killed process does not leave for good: the next one removes them.

Each is locked by the processes that use it, and the kernel releases a lock when its holder dies in any way. Folders are
locked themselves, without a file in them, so that there is none that is used and not locked.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def temporary_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A new private folder in ``parent``, or in the system's folder of temporary files; removed at the end.

    Others of this prefix and user are removed first if no process holds them any more.
    """
    parent = parent or Path(tempfile.gettempdir())
    _remove_left(prefix, parent)
    folder, handle = _make(prefix, parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def hold(folder: Path) -> int:
    """Locks a folder for this process too, as long as the returned descriptor is open; waits for one that removes it.

    Raises:
        FileNotFoundError: The folder has been removed.
    """
    handle = _open(folder)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        folder.lstat()  # raises where it was removed meanwhile; names are random, and none comes twice
    except BaseException:
        os.close(handle)
        raise
    return handle


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _make(prefix: str, parent: Path) -> tuple[Path, int]:
    """A new folder and its lock; another one where a process that started at the same time has removed it unlocked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with suppress(FileNotFoundError):
            return folder, hold(folder)


def _remove_left(prefix: str, parent: Path) -> None:
    """Removes the folders of killed processes; what cannot be removed stays."""
    for folder in parent.glob(f"{prefix}*"):
        with suppress(OSError):
            handle = _open(folder)
            try:
                if os.fstat(handle).st_uid == os.geteuid():
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)
