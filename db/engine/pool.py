"""A connection pool over an engine's pool: first come, first served, without SQLAlchemy's wrappers.

SQLAlchemy opens and awaits connections within a greenlet, and wraps each checkout, which costs as much as a small
statement. Idle connections need neither. Readers queue for a turn before they take a connection; under load a
connection passes directly from one reader to the next, and a returned one is reused before it is back in the pool.

There are two lanes. Statements that are heavy by their cost have a share of the turns, so that others remain for light
ones. A statement that has run for long counts as heavy, also when it is repeated. Within and between the lanes, turns
are given in order of arrival.

Where the server refuses further connections, as on a full disk, callers wait for those that are open.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from sqlalchemy import QueuePool, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.engine.errors import NoNewConnectionError, translate_opening
from db.engine.turns import CLOSE_SECONDS, BorrowedConnection, ConnectionWaiter, Opening, PoolTurn

WARM = 0.05
"""Seconds for which returned connections are kept outside their pool: a checkin and a checkout cost as much as a small
statement."""
LOOK_SECONDS, LONG = 0.1, 2
"""Seconds between two checks of running statements, and the number of checks after which one has run for long."""
HEAVY_FACTOR = 6
"""The multiple of the timeout for heavy statements: they wait for each other."""
REFUSED_SECONDS = 1.0
"""Seconds after a refused connection for which no other one is opened while some are open: callers wait for those."""
MAX_LONG = 1_000
"""Statements that have run for long, of which the newest are kept."""


class ConnectionLimiter:
    """Gives as many turns as an engine has connections, at most ``heavy`` of them to heavy statements.

    Raises:
        sqlalchemy.exc.TimeoutError: No connection was free within ``timeout`` seconds, for heavy statements
            `HEAVY_FACTOR` times that.
    """

    def __init__(self, size: int, timeout: float, heavy: int | None = None) -> None:
        """``heavy``: by default a fourth."""
        self._free = size
        self._heavy_free = max(1, size // 4) if heavy is None else heavy
        """Negative if more have turned out to be heavy than may start as such."""
        self._taken: dict[PoolTurn, None] = {}
        self._look_timer: asyncio.TimerHandle | None = None
        self._long: dict[str, None] = {}
        """Statements that have run for long, the last ones at the end; one that runs quickly is removed."""
        self._quick: set[str] = set()
        """Statements that have run quickly since the last check: a run of one that lasts was held up, and counts as
        heavy, but the next ones do not."""
        self._timeout = timeout
        self._generation = 0
        """The number of times that the database was lost or the pool disposed of, with all earlier connections."""
        self._warm: list[BorrowedConnection] = []
        """Recently returned connections; `take` returns one of them to the pool first."""
        self._cooling: asyncio.TimerHandle | None = None
        self._waiters: deque[ConnectionWaiter] = deque()
        self._heavy_waiters: deque[ConnectionWaiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        """One timer for all waiters: one for each would cost more than the turn."""
        self._refused_until = 0.0
        """Until when a refusal of the server's holds, by the loop's clock; 0 without one."""
        self.used_up: Callable[[], None] = _nothing
        """Called whenever a caller has to wait because all connections are busy."""

    @property
    def waiting(self) -> int:
        """The number of waiters."""
        return sum(not waiter.done() for waiter in self._waiters) + self.heavy_waiting

    @property
    def taken(self) -> int:
        """The number of turns taken."""
        return len(self._taken)

    @property
    def heavy_waiting(self) -> int:
        """The number of heavy waiters."""
        return sum(not waiter.done() for waiter in self._heavy_waiters)

    @property
    def heavy_taken(self) -> int:
        """The number of turns taken by heavy statements."""
        return sum(turn.heavy for turn in self._taken)

    @property
    def is_used_up(self) -> bool:
        """Whether a caller waits because all connections are busy."""
        return not self._free and self.waiting > 0

    @asynccontextmanager
    async def connection(
        self, engine: AsyncEngine, sql: str = "", *, heavy: bool = False
    ) -> AsyncIterator[AsyncConnection]:
        """A turn with a connection of SQLAlchemy's, for one statement or for several; both end with the block.

        Raises:
            DatabaseError: No connection can be opened.
        """
        if self._long and sql in self._long:
            heavy = True
        if self._has_turn(engine, heavy=heavy):
            if self._warm:
                self._return(self._warm.pop())
        else:
            await self._wait(connects=False, heavy=heavy)
        opening = Opening(engine, self._deadline(heavy=heavy), heavy=heavy, connects=False)
        async with AsyncExitStack() as held:
            while True:
                try:
                    connection = await held.enter_async_context(engine.connect())
                    break
                except BaseException as error:  # noqa: BLE001 - raised there, or the next attempt's
                    await self._after(opening, error)
            turn = self._begin(PoolTurn(), sql, heavy=heavy)
            try:
                yield connection
            finally:
                try:
                    await held.aclose()
                finally:
                    self.give(turn)

    def give(self, turn: PoolTurn) -> None:
        """Ends a turn whose connection is back in the pool."""
        self._end(turn)
        self._pass_on(self._next())

    async def borrow(self, engine: AsyncEngine, sql: str = "", *, heavy: bool = False) -> BorrowedConnection:
        """Waits for a turn, and checks out a connection.

        Raises:
            DatabaseError: No connection can be opened.
        """
        if self._long and sql in self._long:
            heavy = True
        borrowed: BorrowedConnection | None = None
        if self._has_turn(engine, heavy=heavy):
            if self._warm:
                borrowed = self._warm.pop()
                if not self._is_usable(borrowed):
                    self._return(borrowed)
                    borrowed = None
        else:
            borrowed = await self._wait(connects=True, heavy=heavy)
        if borrowed is None:
            borrowed = await self._checked_out(engine, heavy=heavy)
        self._begin(borrowed, sql, heavy=heavy)
        return borrowed

    async def _checked_out(self, engine: AsyncEngine, *, heavy: bool) -> BorrowedConnection:
        """A connection of the pool's for a turn that is taken, or one that another caller has given back."""
        opening = Opening(engine, self._deadline(heavy=heavy), heavy=heavy, connects=True)
        while True:
            try:
                generation = self._generation
                return BorrowedConnection(await engine.raw_connection(), generation)
            except BaseException as error:  # noqa: BLE001 - raised there, or the next attempt's
                if borrowed := await self._after(opening, error):
                    return borrowed

    def _has_turn(self, engine: AsyncEngine, *, heavy: bool) -> bool:
        """Takes a turn, if one is free and a connection for it is open or may be opened."""
        if not self._free or (heavy and self._heavy_free <= 0) or (self._refused_until and self._is_refused(engine)):
            return False
        self._free -= 1
        self._heavy_free -= heavy
        return True

    def _is_refused(self, engine: AsyncEngine) -> bool:
        """Whether the server has just refused a connection, and others are open, all of them busy."""
        if asyncio.get_running_loop().time() > self._refused_until:
            self._refused_until = 0.0
        return bool(self._refused_until and self._taken and not self._warm and not _idle(engine))

    def _deadline(self, *, heavy: bool) -> float:
        return asyncio.get_running_loop().time() + self._timeout * (HEAVY_FACTOR if heavy else 1)

    async def _after(self, opening: Opening, error: BaseException) -> BorrowedConnection | None:
        """Handles a failure to open a connection for a turn. Where the server refuses further ones, waits for one that
        is open: returns it, or None if the caller has a turn to try again.

        Raises:
            DatabaseError: No connection is open, or none was given back in time; the turn is passed on.
        """
        now, meaning = asyncio.get_running_loop().time(), translate_opening(error)
        waits = isinstance(meaning, NoNewConnectionError) and now < opening.end
        if waits and (self._warm or (opening.is_first and _idle(opening.engine))):  # given back meanwhile
            opening.is_first = False
            self.cool()
            return None
        self._heavy_free += opening.heavy
        if not waits or not self._taken:
            self._pass_on(self._next())
            if meaning is error:
                raise error
            raise meaning from error
        self._free += 1  # nobody else can use it now
        self._refused_until = now + REFUSED_SECONDS
        opening.is_first = False
        try:
            return await self._wait(connects=opening.connects, heavy=opening.heavy)
        except PoolTimeoutError:
            raise meaning from error

    @staticmethod
    def set_apart(turn: PoolTurn) -> None:
        """Marks a turn as not heavy, however long it lasts: another limit counts it."""
        turn.looks = -sys.maxsize

    def _begin(self, turn: PoolTurn, sql: str, *, heavy: bool) -> PoolTurn:
        turn.sql, turn.heavy, turn.looks = sql, heavy, 0
        self._taken[turn] = None
        if self._look_timer is None:
            self._look_timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)
        return turn

    def _end(self, turn: PoolTurn) -> None:
        del self._taken[turn]
        if not turn.looks:
            self._quick.add(turn.sql)
        if turn.heavy:
            self._heavy_free += 1
            if not turn.looks:
                self._long.pop(turn.sql, None)

    def _look(self) -> None:
        """Checks which statements have run for long: they count as heavy, now and when they are repeated."""
        self._look_timer = None
        for turn in self._taken:
            turn.looks += 1
            if turn.looks < LONG:
                continue
            if not turn.heavy:
                turn.heavy = True
                self._heavy_free -= 1
            if turn.sql and turn.looks == LONG and turn.sql not in self._quick:
                self._long.pop(turn.sql, None)
                self._long[turn.sql] = None
        self._quick.clear()
        while len(self._long) > MAX_LONG:
            del self._long[next(iter(self._long))]
        if self._taken:
            self._look_timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def give_back(self, borrowed: BorrowedConnection) -> None:
        """Ends a turn whose connection can be reused: by the next waiter, or from the pool."""
        self._end(borrowed)
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
        """Whether it is open, and newer than the last loss of the database or disposal of the pool."""
        return borrowed.generation == self._generation and not borrowed.driver.is_closed()

    def hear(self, failed: ExceptionContext) -> None:
        """Handles an error of SQLAlchemy's: if the database is lost, all connections are outdated."""
        if failed.is_disconnect and failed.invalidate_pool_on_disconnect and failed.connection is not None:
            self._generation += 1

    @property
    def warm(self) -> int:
        """The number of idle connections outside the pool."""
        return len(self._warm)

    def cool(self) -> None:
        """Returns the kept connections to the pool."""
        if self._cooling is not None:
            self._cooling.cancel()
            self._cooling = None
        for borrowed in self._warm:  # the last one is on top there, too
            self._return(borrowed)
        self._warm.clear()

    def _return(self, borrowed: BorrowedConnection) -> None:
        """Returns it to its pool; closes it, if that pool was disposed of."""
        if borrowed.generation != self._generation:
            borrowed.driver.terminate()
        borrowed.give_back()

    def close(self, _engine: object) -> None:
        """Closes the idle connections outside the disposed pool, and those that are returned later."""
        self._generation += 1
        warm, self._warm = self._warm, []  # a timer during the closing would return the others to that pool
        try:
            while warm:
                warm.pop().close()
        finally:
            for left in warm:  # after a cancellation
                left.driver.terminate()

    def _next(self) -> ConnectionWaiter | None:
        """Removes the longest waiter that may have a turn now from its lane, and takes the turn for it."""
        if not self._waiters and not self._heavy_waiters:
            return None
        light, heavy = _first(self._waiters), _first(self._heavy_waiters) if self._heavy_free > 0 else None
        if heavy is not None and (light is None or heavy.since <= light.since):
            self._heavy_free -= 1
            return self._heavy_waiters.popleft()
        return self._waiters.popleft() if light is not None else None

    def _pass_on(self, waiter: ConnectionWaiter | None) -> None:
        if waiter is None:
            self._free += 1
        else:
            waiter.set_result(None)

    async def _wait(self, *, connects: bool, heavy: bool) -> BorrowedConnection | None:
        loop = asyncio.get_running_loop()
        now, timeout = loop.time(), self._timeout * (HEAVY_FACTOR if heavy else 1)
        waiter = ConnectionWaiter(now, now + timeout, connects=connects)
        (self._heavy_waiters if heavy else self._waiters).append(waiter)
        if not self._free:
            self.used_up()
        if self._timer is None or waiter.end < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(waiter.end, self._time_out)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:  # both at once
                if borrowed := waiter.result():
                    self._return(borrowed)
                self._heavy_free += heavy
                self._pass_on(self._next())
            raise

    def _time_out(self) -> None:
        loop = asyncio.get_running_loop()
        ends = []
        for waiters, which in ((self._waiters, ""), (self._heavy_waiters, " for heavy statements")):
            while (waiter := _first(waiters)) and waiter.end <= loop.time():
                waiters.popleft()
                seconds = waiter.end - waiter.since
                waiter.set_exception(PoolTimeoutError(f"every connection{which} was busy for {seconds:.3g} seconds"))
            if waiter:
                ends.append(waiter.end)
        self._timer = loop.call_at(min(ends), self._time_out) if ends else None


def _first(waiters: deque[ConnectionWaiter]) -> ConnectionWaiter | None:
    """The longest waiter that still waits, which stays in its lane."""
    while waiters and waiters[0].done():
        waiters.popleft()
    return waiters[0] if waiters else None


def _idle(engine: AsyncEngine) -> int:
    """The number of connections that wait in the pool; some may be closed."""
    return engine.pool.checkedin() if isinstance(engine.pool, QueuePool) else 0


def _nothing() -> None:
    pass


LIMITER = "gateway_limiter"
"""The engine's execution option for its connection limiter."""


def follow(engine: AsyncEngine) -> None:
    """Notifies an engine's connection limiter of lost connections and of its disposal."""
    limiter = limiter_of(engine)
    event.listen(engine.sync_engine, "handle_error", limiter.hear)
    event.listen(engine.sync_engine, "engine_disposed", limiter.close)


def limiter_of(engine: AsyncEngine) -> ConnectionLimiter:
    """The limiter of an engine's connections."""
    limiter: ConnectionLimiter = engine.sync_engine.get_execution_options()[LIMITER]
    return limiter


async def dispose(*engines: AsyncEngine) -> None:
    """Closes the connections of engines; a server that does not answer is not waited for longer than CLOSE_SECONDS."""
    await asyncio.gather(*(_dispose(engine) for engine in engines))


async def _dispose(engine: AsyncEngine) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await engine.dispose()
