"""Turns at the connections of an engine's pool, and connections without a detour.

SQLAlchemy opens connections within a greenlet and waits for them there, which costs as much as a small statement. A
connection that waits for work needs neither. So whoever reads waits for its turn before, first come, first served,
and then finds one that is idle or still to be opened.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.util.concurrency import greenlet_spawn


class Turns:
    """As many turns as an engine has connections: ``async with turns:`` is one.

    Raises:
        sqlalchemy.exc.TimeoutError: None came within ``patience`` seconds.
    """

    def __init__(self, engine: AsyncEngine, size: int, patience: float) -> None:
        self.waiting = 0
        """How many wait for a turn."""
        self._free = asyncio.Semaphore(size)
        self._patience = patience
        self._broken: WeakSet[ConnectionPoolEntry] = WeakSet()
        """Entries of the pool that have lost their connection and will open another one when they are used."""
        self._entries: WeakSet[ConnectionPoolEntry] = WeakSet()
        self._oldest = float("inf")
        """When the first of their connections was opened: SQLAlchemy replaces those from before a disconnection."""
        event.listen(engine.sync_engine, "invalidate", lambda _connection, entry, _error: self._broken.add(entry))
        event.listen(engine.sync_engine, "connect", self._connected)

    def _connected(self, _connection: object, entry: ConnectionPoolEntry) -> None:
        self._broken.discard(entry)
        self._entries.add(entry)
        self._oldest = min(one.starttime for one in self._entries)  # type: ignore[attr-defined]  # every entry has it

    async def take(self) -> None:
        """Waits for a turn."""
        if not self._free.locked():
            await self._free.acquire()
            return
        self.waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        except TimeoutError:
            raise PoolTimeoutError(f"every connection was busy for {self._patience:g} seconds") from None
        finally:
            self.waiting -= 1

    def give(self) -> None:
        """Ends it."""
        self._free.release()

    async def __aenter__(self) -> None:
        await self.take()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give()

    async def connection(self, engine: AsyncEngine) -> PoolProxiedConnection:
        """A connection of the pool, for who has a turn."""
        pool = engine.sync_engine.pool
        outdated: bool = pool._invalidate_time > self._oldest  # noqa: SLF001
        if outdated or self._broken or not pool.checkedin():  # type: ignore[attr-defined]  # every pool of queues has it
            return await engine.raw_connection()
        connection = engine.sync_engine.raw_connection()
        if not connection.driver_connection.is_closed():  # type: ignore[union-attr]  # asyncpg's
            return connection
        await greenlet_spawn(connection.invalidate)
        return await engine.raw_connection()


_TURNS: WeakKeyDictionary[Engine, Turns] = WeakKeyDictionary()


def give_turns(engine: AsyncEngine, size: int, patience: float) -> None:
    """Prepares an engine that has ``size`` connections at most."""
    _TURNS[engine.sync_engine] = Turns(engine, size, patience)


def turns_of(engine: AsyncEngine) -> Turns:
    """The turns at an engine's connections."""
    return _TURNS[engine.sync_engine]
