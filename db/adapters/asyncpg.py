"""asyncpg: what has no public interface."""

from __future__ import annotations

import asyncpg


def leave_jit(connection: asyncpg.Connection) -> None:
    """Keeps a connection from turning JIT off for its session, and on again, whenever it asks what a new type is.

    Behind a pooler in transaction mode that session is somebody else's as well. The driver decides it by what it takes
    the server for, and no argument says otherwise; the gateway's transactions have JIT off already.
    """
    connection._server_caps = connection._server_caps._replace(jit=False)  # noqa: SLF001 - the adapter's purpose
