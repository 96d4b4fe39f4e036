"""Connections through a pooler in transaction mode, which lends a server connection for one transaction at a time.

What such a connection keeps between two transactions is somebody else's: settings of a session that were made there
would leak to a stranger, and a stranger's would hold here. So nothing is kept. Each statement runs in a transaction,
each transaction begins with the settings that hold to its end, and no statement has a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg

from db.session import setting

ROLLBACK_SECONDS = 2.0
"""How long the end of a transaction is waited for, before its connection is given up."""


class PooledConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg says no types
    """What is asked outside a transaction gets one of its own, and every transaction begins with the settings."""

    settings = ""
    _server_caps: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # the driver would turn JIT off for the session, to ask for types; it is off here already
        self._server_caps = self._server_caps._replace(jit=False)

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        if query.startswith("ROLLBACK"):
            return await self._roll_back(query)
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

    async def _execute(self, query: str, *args: Any, **options: Any) -> Any:
        """What ``fetch``, ``fetchrow`` and ``fetchval`` come to."""
        if self.is_in_transaction():
            return await super()._execute(query, *args, **options)
        transaction = self.transaction()
        await transaction.start()
        try:
            done = await super()._execute(query, *args, **options)
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
