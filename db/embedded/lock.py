"""Locks in the data folder of the embedded Postgres, and its errors.

The kernel releases a lock when its holder dies in any way, so locks are never stale.
"""

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

LOCK_NAME = "e2i-embedded.lock"
"""The file that is locked while a gateway starts or stops; it also marks the folder as the gateway's."""

LOCK_TIMEOUT = 180.0
"""Seconds to wait for it; another gateway may be creating the cluster or waiting for crash recovery."""


class EmbeddedPostgresError(Exception):
    """The embedded Postgres cannot be started or stopped; the message says what is wrong, where, and what to do."""


def open_private(path: Path, flags: int) -> int:
    """Opens or creates a private file in the data folder, without following links."""
    handle = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if os.geteuid() == 0:
        # A file created by root must be accessible to the owner of the data folder.
        owner, found = path.parent.stat(), os.fstat(handle)
        if owner.st_uid != 0 and found.st_uid == 0 and found.st_nlink == 1:
            os.fchown(handle, owner.st_uid, owner.st_gid)
    return handle


def try_lock(path: Path) -> int | None:
    """Opens and locks a file, for as long as the returned descriptor, or a child's copy of it, is open."""
    handle = open_private(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock under which gateways start and stop."""
    deadline = time.monotonic() + LOCK_TIMEOUT
    while (handle := try_lock(folder / LOCK_NAME)) is None:
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(
                f"another gateway has held {folder / LOCK_NAME} for {LOCK_TIMEOUT:.0f} s; is it stuck at its start?"
            )
        time.sleep(0.05)
    try:
        yield
    finally:
        os.close(handle)


def sign_on(folder: Path) -> tuple[int, Path]:
    """Registers this gateway as a user of the server; returns its locked file."""
    users = folder / "users"
    if not users.exists():
        users.mkdir(mode=0o700)
        if os.geteuid() == 0:
            owner = folder.stat()
            os.chown(users, owner.st_uid, owner.st_gid, follow_symlinks=False)
    path = users / f"{os.getpid()}-{secrets.token_hex(4)}"
    handle = try_lock(path)
    if handle is None:
        raise EmbeddedPostgresError(f"{path} is locked already")
    return handle, path


def other_users(own: Path) -> bool:
    """Whether another running gateway uses the server; removes entries of those that died."""
    others = False
    for path in own.parent.glob("*"):
        handle = try_lock(path)
        if handle is None:
            others = True
        else:
            path.unlink()
            os.close(handle)
    return others


@contextmanager
def clear_errors(folder: Path) -> Iterator[None]:
    """Converts system errors to EmbeddedPostgresError with a remedy."""
    try:
        yield
    except psutil.Error as error:
        raise EmbeddedPostgresError(f"embedded Postgres in {folder}: {error}; is this the right user?") from error
    except OSError as error:
        advice = {
            errno.EACCES: "run the gateway as the user who owns it, or give it a data folder of its own",
            errno.EPERM: "run the gateway as the user who owns it, or give it a data folder of its own",
            errno.EROFS: "give it a data folder that can be written",
            errno.ENOSPC: "free some space on that disk",
            errno.EDQUOT: "free some space of the quota on that disk",
        }.get(error.errno or 0, "check the folder")
        raise EmbeddedPostgresError(
            f"embedded Postgres in {folder}: {error.strerror or error} ({error.filename or folder}); {advice}"
        ) from error
