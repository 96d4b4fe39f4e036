"""Turns at the connections of an engine's pool, and connections without a detour.

SQLAlchemy opens connections within a greenlet and waits for them there, and wraps each that it hands out, which costs
as much as a small statement. A connection that waits for work needs none of it. So whoever reads waits for its turn
before, first come, first served, and then takes an entry of the pool as it is, idle or still to be opened; where many
wait, one hands its connection on to the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util.concurrency import greenlet_spawn

WARM = 0.05
"""Seconds for which connections that were given back are kept out of their pool: to put one into it, and to find it
again, costs as much as to hand it on."""


class Lent:
    """An entry that is out of its pool, with the driver's own connection."""

    __slots__ = ("_entry", "_pool", "driver")

    def __init__(self, pool: Any, entry: Any) -> None:
        self._pool = pool
        self._entry = entry
        self.driver: Any = entry.driver_connection

    @property
    def usable(self) -> bool:
        """Whether it is open, and not from before a disconnection."""
        outdated: bool = self._pool._invalidate_time > self._entry.starttime  # noqa: SLF001
        return not (outdated or self.driver.is_closed())

    def give_back(self) -> None:
        """Puts it into its pool, whatever has become of it: whoever takes it next looks."""
        self._pool._do_return_conn(self._entry)  # noqa: SLF001

    def close(self) -> None:
        """Closes it, in a greenlet, and leaves its pool alone."""
        self._entry.close()

    async def drop(self) -> None:
        """Cancels what the server does on it, and closes it; the pool will open another one."""
        try:
            await greenlet_spawn(self._entry.invalidate)
        finally:
            self.give_back()


async def _lend(pool: Any) -> Lent:
    """Any connection of a pool that has one left; one that is idle costs nothing."""
    if pool.checkedin():
        entry = pool._do_get()  # noqa: SLF001
        lent: Lent | None = entry.info.get(Lent)
        if lent and lent.usable:
            return lent
        pool._do_return_conn(entry)  # noqa: SLF001
    return await greenlet_spawn(_open, pool)


def _open(pool: Any) -> Lent:
    """An entry whose connection is opened, anew if it is not usable."""
    entry = pool._do_get()  # noqa: SLF001
    try:
        entry.get_connection()
        if entry.driver_connection.is_closed():  # by the server, while nobody looked
            entry.invalidate()
            entry.get_connection()
    except BaseException:
        pool._do_return_conn(entry)  # noqa: SLF001
        raise
    lent = entry.info[Lent] = Lent(pool, entry)  # which goes with its connection
    return lent


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

    def __init__(self, size: int, patience: float) -> None:
        self._free = size
        self._patience = patience
        self._warm: list[Lent] = []
        """Connections that were given back a moment ago. Whoever takes a turn to ask the pool finds them there."""
        self._cooling: asyncio.TimerHandle | None = None
        self._waiters: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        """One for all who wait: a timer for each would cost more than the turn."""

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        return sum(not waiter.done() for waiter in self._waiters)

    async def take(self) -> None:
        """Waits for a turn, with which the pool has a connection."""
        if self._free:
            self._free -= 1
            self.cool()
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
            if self._warm:
                if (warm := self._warm.pop()).usable:
                    return warm
                warm.give_back()
        elif lent := await self._wait(connects=True):
            return lent
        try:
            return await _lend(engine.sync_engine.pool)
        except BaseException:
            self.give()
            raise

    def give_back(self, lent: Lent) -> None:
        """Ends a turn whose connection can be used again: by the next one, or by whoever finds it in the pool."""
        waiter = self._next()
        if waiter is None:
            self._free += 1
            self._warm.append(lent)
            if self._cooling is None:
                self._cooling = asyncio.get_running_loop().call_later(WARM, self.cool)
        elif waiter.connects and lent.usable:
            waiter.set_result(lent)
        else:
            lent.give_back()
            waiter.set_result(None)

    @property
    def warm(self) -> int:
        """How many connections are out of the pool, and nobody's."""
        return len(self._warm)

    def cool(self) -> None:
        """Puts into the pool what was given back."""
        if self._cooling is not None:
            self._cooling.cancel()
            self._cooling = None
        for lent in self._warm:  # the last one is on top there too
            lent.give_back()
        self._warm.clear()

    def close(self, _engine: object) -> None:
        """Closes what is not in the pool that was closed before."""
        while self._warm:
            self._warm.pop().close()

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
                    lent.give_back()
                self.give()
            raise

    def _lose_patience(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiters and (self._waiters[0].done() or self._waiters[0].end <= loop.time()):
            if not (waiter := self._waiters.popleft()).done():
                waiter.set_exception(PoolTimeoutError(f"every connection was busy for {self._patience:g} seconds"))
        self._timer = loop.call_at(self._waiters[0].end, self._lose_patience) if self._waiters else None


def give_turns(engine: AsyncEngine, size: int, patience: float) -> None:
    """Prepares an engine that has ``size`` connections at most."""
    turns = Turns(size, patience)
    engine.sync_engine.turns = turns  # type: ignore[attr-defined]  # kept for as long as the engine
    event.listen(engine.sync_engine, "engine_disposed", turns.close)


def turns_of(engine: AsyncEngine) -> Turns:
    """The turns at an engine's connections."""
    turns: Turns = engine.sync_engine.turns  # type: ignore[attr-defined]
    return turns
