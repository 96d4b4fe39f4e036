"""Connections through a pooler in transaction mode, which assigns a server connection for one transaction at a time.

The session of such a connection is shared: settings made in it would affect other clients, and theirs would apply here.
So no state is kept. Each statement runs in a transaction, each transaction begins with the settings until its end, and
no statement is named.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from db.adapters.asyncpg import TerminableConnection, leave_jit
from db.engine.session import setting

ROLLBACK_SECONDS = 2.0
"""Seconds to wait for the end of a transaction, before its connection is closed."""


class PooledConnection(TerminableConnection):
    """Statements outside a transaction get one of their own, and every transaction begins with the settings."""

    settings = ""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        leave_jit(self)

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        if query.startswith("ROLLBACK"):
            return await self._roll_back(query)
        if args:  # the driver executes these like fetches
            status: str = await self._alone(partial(super().execute, query, *args, **options))
            return status
        if query.startswith("BEGIN"):  # the beginning of all transactions
            begin, _, rest = query.partition(";")
            query = f"{begin}; {self.settings}; {rest}" if rest else f"{begin}; {self.settings}"
        done: str = await super().execute(query, *args, **options)
        return done

    async def _roll_back(self, query: str) -> str:
        """Every read ends with it, cancelled ones included; a server that does not answer is not awaited."""
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
        """Reads, in a transaction of its own if there is none."""
        if self.is_in_transaction():
            return await read()
        transaction = self.transaction()
        await transaction.start()
        try:
            done = await read()
        except Exception:  # not when cancelled: the server may not answer, and the connection is closed
            await transaction.rollback()
            raise
        await transaction.commit()
        return done


def connection_class(settings: Mapping[str, str], *, read_only: bool) -> type[PooledConnection]:
    """A connection class whose transactions begin with ``settings``; if ``read_only``, they cannot write.

    The settings are sent with BEGIN in one message, without a round trip of their own.
    """
    made = ["SET TRANSACTION READ ONLY"] if read_only else []
    made.append(f"SELECT {setting(settings)}")
    return type("PooledConnection", (PooledConnection,), {"settings": "; ".join(made)})
