"""The state of the primary and of each replica, as the last checks found it."""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from operator import itemgetter
from weakref import WeakSet

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.connector import AnotherServerError
from db.engine.errors import DatabaseUnavailableError

log = logging.getLogger("gateway.replica")

TURNS, TURNS_WITHIN = 2, 30.0
"""How often an address may lead to a server that started earlier, within this many seconds: a failover does so once."""
_SERVER = "SELECT pg_postmaster_start_time()"
"""Distinguishes the servers behind one address: their start times differ."""


class Primary:
    """The primary's log positions over time, by periodic checks."""

    def __init__(self) -> None:
        self.position: int | None = None
        """The position at the last check; None if it was not reported."""
        self.cluster: int | None = None
        """The identifier of its cluster, if available."""
        self.timeline: int | None = None
        """Its timeline at the last check that it answered, if available."""
        self.server: datetime | None = None
        """When it was started, by the last check that it answered."""
        self.looked = asyncio.Event()
        """Set after the first check."""
        self.past: deque[tuple[float, int]] = deque(maxlen=10_000)
        """The times of checks, on the monotonic clock, with the positions."""

    def seconds_since(self, replayed: int, now: float) -> float | None:
        """Seconds since the position ``replayed`` was the primary's current one; None if it never was at a check.

        While the primary is unavailable no new position is known, and the lag does not grow.
        """
        if not self.past or replayed >= self.past[-1][1]:
            return 0.0
        after = bisect_right(self.past, replayed, key=itemgetter(1))
        until = now if self.position is not None else self.past[-1][0]
        return until - self.past[after - 1][0] if after else None


class Standby:
    """A replica: its connections, its position, and whether reads may use it."""

    def __init__(self, name: str) -> None:
        self.name = name
        """Its address in the URL."""
        self.engine: AsyncEngine
        """The connections of its readers."""
        self.usable = False
        """Whether it answered the last check with a sufficiently low lag."""
        self.lag: float | None = None
        """Its lag in seconds, as far as known."""
        self.replayed = 0
        """The position that it has replayed."""
        self.follows: object = None
        """What was known about the primary when it was compared with it last."""
        self.reads = 0
        """The number of requests sent to it."""
        self.why: str | None = "is not known yet"
        """Why reads do not use it."""
        self._server: datetime | None = None
        self._turns: deque[float] = deque(maxlen=TURNS)
        self._open: WeakSet[asyncpg.Connection] = WeakSet()
        self._reading: set[asyncio.Timeout] = set()

    async def admit(self, connection: asyncpg.Connection) -> None:
        """Checks that a new connection leads to the known server.

        Raises:
            AnotherServerError: It does not; the connection is closed.
        """
        server = await connection.fetchval(_SERVER)
        if self._server is not None and server != self._server:
            connection.terminate()
            self._turned(server)
            raise AnotherServerError(f"{self.name} leads to another server than it did at the last look")
        self._open.add(connection)

    def is_seen(self, server: datetime) -> bool:
        """Notes the server met by a check; returns whether the address leads to a single server at a time."""
        if self._server is not None and server != self._server:
            self._turned(server)
            self._cut()
            self.follows = None
        self._server = server
        return len(self._turns) < TURNS or time.monotonic() - self._turns[0] > TURNS_WITHIN

    def _turned(self, server: datetime) -> None:
        """The address led elsewhere. A server that began later may be the same one, restarted, as often as that may be:
        of several, some began earlier."""
        if self._server is not None and server < self._server:
            self._turns.append(time.monotonic())

    @contextmanager
    def _known(self, timeout: asyncio.Timeout) -> Iterator[None]:
        self._reading.add(timeout)
        try:
            yield
        finally:
            self._reading.discard(timeout)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """A context that is cancelled when the replica stops answering.

        Raises:
            DatabaseUnavailableError: It stopped answering.
        """
        try:
            async with asyncio.timeout(None) as timeout:
                with self._known(timeout):
                    yield
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise DatabaseUnavailableError("the replica does not answer") from error

    def found(self, lag: float, replayed: int) -> None:
        """Notes a successful check."""
        if replayed < self.replayed:
            log.warning("the replica %s is another one, or was set back", self.name)
        if self.why is not None:
            log.info("reads go to the replica %s", self.name, extra={"lag_seconds": round(lag, 3)})
        self.lag, self.replayed, self.usable, self.why = lag, replayed, True, None

    def failed(self, why: str) -> None:
        """Excludes it until the next successful check."""
        self.usable = False
        if self.why != why:
            log.warning("no reads go to the replica %s: it %s", self.name, why)
        self.why = why

    def silent(self) -> None:
        """Excludes it because it does not answer: its running reads are cancelled, and its connections closed."""
        self.failed("cannot be reached")
        self._cut()
        for timeout in self._reading:
            timeout.reschedule(0)
        self._reading.clear()

    def _cut(self) -> None:
        """Aborts its connections without waiting for the server."""
        for connection in list(self._open):
            connection.terminate()
        self._open.clear()

    def lost(self) -> None:
        """Handles a lost connection of a statement; ignores one that began before the last check."""
        if self.usable:
            self.failed("was lost")
