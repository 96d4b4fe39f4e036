"""Turns at the connections of an engine's pool, and connections without a detour.

SQLAlchemy opens connections within a greenlet and waits for them there, which costs as much as a small statement. A
connection that waits for work needs neither. So whoever reads waits for its turn before, first come, first served, and
then finds one that is idle or still to be opened; where many wait, one hands its connection on to the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.util.concurrency import greenlet_spawn


class Lent:
    """A connection that is out of the pool, with the driver's own."""

    __slots__ = ("connection", "driver")

    def __init__(self, connection: PoolProxiedConnection) -> None:
        self.connection = connection
        self.driver: Any = connection.driver_connection


class _Waiter(asyncio.Future[Lent | None]):
    """Somebody's turn to come, with a connection if it ``connects``; until ``end`` by the loop's clock."""

    def __init__(self, end: float, *, connects: bool) -> None:
        super().__init__()
        self.end = end
        self.connects = connects


class Turns:
    """As many turns as an engine has connections: ``async with turns:`` is one.

    Raises:
        sqlalchemy.exc.TimeoutError: None came within ``patience`` seconds.
    """

    def __init__(self, engine: AsyncEngine, size: int, patience: float) -> None:
        self._free = size
        self._patience = patience
        self._waiters: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        """One for all who wait: a timer for each would cost more than the turn."""
        self._broken: WeakSet[ConnectionPoolEntry] = WeakSet()
        """Entries of the pool that have lost their connection and will open another one when they are used."""
        self._entries: WeakSet[ConnectionPoolEntry] = WeakSet()
        self._oldest = float("inf")
        """When the first of their connections was opened: SQLAlchemy replaces those from before a disconnection."""
        event.listen(engine.sync_engine, "close", lambda _connection, entry: self._broken.add(entry))
        event.listen(engine.sync_engine, "connect", self._connected)

    def _connected(self, _connection: object, entry: ConnectionPoolEntry) -> None:
        self._broken.discard(entry)
        self._entries.add(entry)
        self._oldest = min(one.starttime for one in self._entries)  # type: ignore[attr-defined]  # every entry has it

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        return sum(not waiter.done() for waiter in self._waiters)

    async def take(self) -> None:
        """Waits for a turn."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(connects=False)

    def give(self) -> None:
        """Ends a turn."""
        self._pass_on(self._next())

    async def __aenter__(self) -> None:
        await self.take()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give()

    async def borrow(self, engine: AsyncEngine) -> Lent:
        """Waits for a turn, and has a connection of the pool for it."""
        if self._free:
            self._free -= 1
        elif lent := await self._wait(connects=True):
            return lent
        try:
            return Lent(await self._connection(engine))
        except BaseException:
            self.give()
            raise

    def give_back(self, engine: AsyncEngine, lent: Lent) -> None:
        """Ends a turn whose connection can be used again: by the next one, or by whoever finds it in the pool."""
        waiter = self._next()
        if waiter and waiter.connects and not (lent.driver.is_closed() or self._is_outdated(engine)):
            waiter.set_result(lent)
            return
        try:
            lent.connection.close()
        finally:
            self._pass_on(waiter)

    def _next(self) -> _Waiter | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    def _pass_on(self, waiter: _Waiter | None) -> None:
        if waiter is None:
            self._free += 1
        else:
            waiter.set_result(None)

    async def _wait(self, *, connects: bool) -> Lent | None:
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop.time() + self._patience, connects=connects)
        self._waiters.append(waiter)
        if self._timer is None:
            self._timer = loop.call_at(waiter.end, self._lose_patience)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:  # both came at once
                if lent := waiter.result():
                    lent.connection.close()
                self.give()
            raise

    def _lose_patience(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiters and (self._waiters[0].done() or self._waiters[0].end <= loop.time()):
            if not (waiter := self._waiters.popleft()).done():
                waiter.set_exception(PoolTimeoutError(f"every connection was busy for {self._patience:g} seconds"))
        self._timer = loop.call_at(self._waiters[0].end, self._lose_patience) if self._waiters else None

    def _is_outdated(self, engine: AsyncEngine) -> bool:
        """Whether the pool has connections from before a disconnection."""
        before: bool = engine.sync_engine.pool._invalidate_time > self._oldest  # noqa: SLF001
        return before

    async def _connection(self, engine: AsyncEngine) -> PoolProxiedConnection:
        idle: int = engine.sync_engine.pool.checkedin()  # type: ignore[attr-defined]  # every pool of queues has it
        if not idle or self._broken or self._is_outdated(engine):
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
