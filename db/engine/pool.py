"""Borrowing connections from an engine's pool: in order of arrival, and without SQLAlchemy's wrapping.

SQLAlchemy opens connections within a greenlet and waits for them there, and wraps each that it hands out, which costs
as much as a small statement. An idle connection needs none of it. So readers queue for a turn before they take one,
first come, first served; under load a connection passes directly from one reader to the next, and one that was given
back a moment ago is borrowed again before it is back in the pool.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

import asyncpg
from sqlalchemy import PoolProxiedConnection, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

WARM = 0.05
"""Seconds for which connections that were given back are kept out of their pool: to put one into it, and to find it
again, costs as much as a small statement."""
CLOSE_SECONDS = 2.0
"""For a server to be told that a connection ends, before it is cut off."""


class BorrowedConnection:
    """A connection checked out of its pool, with the driver's own."""

    __slots__ = ("_pooled", "driver", "generation")

    def __init__(self, pooled: PoolProxiedConnection, generation: int) -> None:
        self._pooled = pooled
        self.driver: Any = pooled.driver_connection
        self.generation = generation
        """How often the engine had lost the database or its pool when it was taken from the pool."""

    def give_back(self) -> None:
        """Returns it to its pool in whatever state: the next borrower checks it."""
        self._pooled.close()

    def close(self) -> None:
        """Closes it, in a greenlet; its pool opens another one in its place."""
        self._pooled.invalidate()

    async def drop(self) -> None:
        """Cancels what the server does on it, and closes it; the pool will open another one."""
        try:
            await self.driver.close(timeout=CLOSE_SECONDS)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            pass  # the driver has cut it off
        finally:
            self._pooled.invalidate()


class _ConnectionWaiter(asyncio.Future[BorrowedConnection | None]):
    """A pending turn, with a connection if it ``connects``; until ``end`` by the loop's clock."""

    def __init__(self, end: float, *, connects: bool) -> None:
        super().__init__()
        self.end = end
        self.connects = connects


class ConnectionLimiter:
    """Gives as many turns at once as an engine has connections: ``async with limiter:`` is one.

    Raises:
        sqlalchemy.exc.TimeoutError: No connection came free within ``timeout`` seconds.
    """

    def __init__(self, size: int, timeout: float) -> None:
        self._free = size
        self._timeout = timeout
        self._generation = 0
        """How often the database was lost or the pool disposed of, with all connections from before."""
        self._warm: list[BorrowedConnection] = []
        """Connections that were given back a moment ago; `take` returns one of them to the pool first."""
        self._cooling: asyncio.TimerHandle | None = None
        self._waiters: deque[_ConnectionWaiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        """One for all who wait: a timer for each would cost more than the turn."""
        self.used_up: Callable[[], None] = _nothing
        """Called whenever a caller has to wait."""

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        return sum(not waiter.done() for waiter in self._waiters)

    async def take(self) -> None:
        """Waits for a turn, with which the pool has a connection."""
        if self._free:
            self._free -= 1
            if self._warm:
                self._return(self._warm.pop())
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

    async def borrow(self, engine: AsyncEngine) -> BorrowedConnection:
        """Waits for a turn, and has a connection of the pool for it."""
        if self._free:
            self._free -= 1
            if self._warm:
                warm = self._warm.pop()
                if warm.generation == self._generation and not warm.driver.is_closed():  # is usable
                    return warm
                self._return(warm)
        elif borrowed := await self._wait(connects=True):
            return borrowed
        try:
            generation = self._generation
            return BorrowedConnection(await engine.raw_connection(), generation)
        except BaseException:
            self.give()
            raise

    def give_back(self, borrowed: BorrowedConnection) -> None:
        """Ends a turn whose connection can be used again: by the next one, or by whoever finds it in the pool."""
        waiter = self._next()
        if waiter is None:
            self._free += 1
            self._warm.append(borrowed)
            if self._cooling is None:
                self._cooling = asyncio.get_running_loop().call_later(WARM, self.cool)
        elif waiter.connects and self._is_usable(borrowed):
            waiter.set_result(borrowed)
        else:
            self._return(borrowed)
            waiter.set_result(None)

    def _is_usable(self, borrowed: BorrowedConnection) -> bool:
        """Whether it is open, and not from before the database or the pool was lost."""
        return borrowed.generation == self._generation and not borrowed.driver.is_closed()

    def hear(self, failed: ExceptionContext) -> None:
        """An error of SQLAlchemy's: where it tells that the database is lost, all connections are from before."""
        if failed.is_disconnect and failed.invalidate_pool_on_disconnect and failed.connection is not None:
            self._generation += 1

    @property
    def warm(self) -> int:
        """How many idle connections are out of the pool."""
        return len(self._warm)

    def cool(self) -> None:
        """Puts into the pool what was given back."""
        if self._cooling is not None:
            self._cooling.cancel()
            self._cooling = None
        for borrowed in self._warm:  # the last one is on top there too
            self._return(borrowed)
        self._warm.clear()

    def _return(self, borrowed: BorrowedConnection) -> None:
        """Puts it into its pool; closed, if that pool may be one that nobody asks again."""
        if borrowed.generation != self._generation:
            borrowed.driver.terminate()
        borrowed.give_back()

    def close(self, _engine: object) -> None:
        """Closes the idle connections that are out of the disposed pool, and those that come back later."""
        self._generation += 1
        warm, self._warm = self._warm, []  # while one is being closed, a timer would put the others into that pool
        try:
            while warm:
                warm.pop().close()
        finally:
            for left in warm:  # by somebody who was cancelled
                left.driver.terminate()

    def _next(self) -> _ConnectionWaiter | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    def _pass_on(self, waiter: _ConnectionWaiter | None) -> None:
        if waiter is None:
            self._free += 1
        else:
            waiter.set_result(None)

    async def _wait(self, *, connects: bool) -> BorrowedConnection | None:
        loop = asyncio.get_running_loop()
        waiter = _ConnectionWaiter(loop.time() + self._timeout, connects=connects)
        self._waiters.append(waiter)
        self.used_up()
        if self._timer is None:
            self._timer = loop.call_at(waiter.end, self._time_out)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:  # both came at once
                if borrowed := waiter.result():
                    self._return(borrowed)
                self.give()
            raise

    def _time_out(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiters and (self._waiters[0].done() or self._waiters[0].end <= loop.time()):
            if not (waiter := self._waiters.popleft()).done():
                waiter.set_exception(PoolTimeoutError(f"every connection was busy for {self._timeout:g} seconds"))
        self._timer = loop.call_at(self._waiters[0].end, self._time_out) if self._waiters else None


def _nothing() -> None:
    pass


LIMITER = "gateway_limiter"
"""The engine's own option that holds its connection limiter."""


def follow(engine: AsyncEngine) -> None:
    """Tells an engine's connection limiter of lost connections and of its disposal."""
    limiter = limiter_of(engine)
    event.listen(engine.sync_engine, "handle_error", limiter.hear)
    event.listen(engine.sync_engine, "engine_disposed", limiter.close)


def limiter_of(engine: AsyncEngine) -> ConnectionLimiter:
    """The limiter of an engine's connections."""
    limiter: ConnectionLimiter = engine.sync_engine.get_execution_options()[LIMITER]
    return limiter
