"""Connections through a pooler in transaction mode, which assigns a server connection for one transaction at a time.

What such a connection keeps between two transactions is somebody else's: settings of a session that were made there
would leak to a stranger, and a stranger's would hold here. So nothing is kept. Each statement runs in a transaction,
each transaction begins with the settings that hold to its end, and no statement has a name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import asyncpg

from db.adapters.asyncpg import leave_jit
from db.engine.session import setting

ROLLBACK_SECONDS = 2.0
"""How long the end of a transaction is waited for, before its connection is given up."""


class PooledConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg says no types
    """What is asked outside a transaction gets one of its own, and every transaction begins with the settings."""

    settings = ""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        leave_jit(self)

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        if query.startswith("ROLLBACK"):
            return await self._roll_back(query)
        if args:  # which the driver runs as it does what is fetched
            status: str = await self._alone(partial(super().execute, query, *args, **options))
            return status
        if query.startswith("BEGIN"):  # what every transaction of the driver begins with
            query = f"{query.rstrip(';')}; {self.settings}"
        done: str = await super().execute(query, *args, **options)
        return done

    async def _roll_back(self, query: str) -> str:
        """Every read ends so, also one that was given up; a server that does not answer then is not waited for."""
        try:
            done: str = await super().execute(query, timeout=ROLLBACK_SECONDS)
        except TimeoutError:
            self.terminate()
            raise
        return done

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        return await self._alone(partial(super().fetch, query, *args, **options))

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        return await self._alone(partial(super().fetchrow, query, *args, **options))

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        return await self._alone(partial(super().fetchval, query, *args, **options))

    async def _alone(self, read: Callable[[], Awaitable[Any]]) -> Any:
        """Reads, in a transaction of its own where there is none."""
        if self.is_in_transaction():
            return await read()
        transaction = self.transaction()
        await transaction.start()
        try:
            done = await read()
        except Exception:  # not when it is given up: the server may never answer, and the connection is not kept
            await transaction.rollback()
            raise
        await transaction.commit()
        return done


def connection_class(settings: Mapping[str, str], *, read_only: bool) -> type[PooledConnection]:
    """A connection whose transactions all begin with ``settings``; those of a reading one can write nothing.

    The settings go with BEGIN in one message, so they cost no round trip of their own.
    """
    made = ["SET TRANSACTION READ ONLY"] if read_only else []
    made.append(f"SELECT {setting(settings)}")
    return type("PooledConnection", (PooledConnection,), {"settings": "; ".join(made)})
