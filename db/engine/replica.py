"""Reads on hot standbys with little lag, never older than the caller's last change.

Where the primary's log is, and how far each replica has replayed it, is asked of them from time to time; no request
waits for that. Positions in the log are bytes, as Postgres counts them. A change leaves its position in the slot of its
caller, and reads of that caller go where it is known to have been replayed, else to the primary.

What is known is known of one server: where an address leads to several, only the one that was looked at is read. A
replica that says nothing for `TIMEOUT` seconds is left, and what is under way there is asked of the primary.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import time
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any
from weakref import WeakSet
from zlib import crc32

import asyncpg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.connector import AnotherServerError
from db.engine.engine import NO_SETTINGS, Identity, Reader, ShortReader
from db.engine.errors import SERIALIZATION_FAILURE, DatabaseError, DatabaseUnavailableError, sqlstate
from db.engine.pool import limiter_of

log = logging.getLogger("gateway.replica")

LOOK_EVERY = 0.5
"""Seconds between two looks at a server."""
LOOK_SOON = 0.05
"""Seconds until the next look while somebody's changes are waited for."""
TIMEOUT = 0.5
"""Seconds for a replica to say where it is: one that falls silent costs a read no more than this and `LOOK_EVERY`."""
TIMEOUT_PRIMARY = 2.0
"""Seconds for the primary to say the same, where nobody else can be asked."""
TURNS, TURNS_WITHIN = 2, 30.0
"""How often an address may lead to a server that began earlier, within so many seconds: a failover does so once."""

SLOTS = 4096
UNKNOWN = 2**63 - 1
"""The position of a change whose own could not be asked: behind everything, until the next look."""

# a promoted replica writes a log of its own
_REPLAYED = """
    SELECT pg_is_in_recovery(),
        (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END
            - '0/0')::bigint,
        pg_postmaster_start_time()
"""
_WRITTEN = "SELECT (CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint"
_CLUSTER = "SELECT system_identifier FROM pg_control_system()"
_SERVER = "SELECT pg_postmaster_start_time()"
"""What tells the servers behind one address apart: no two of them began in the same microsecond."""


def position_text(position: int) -> str:
    """A position as Postgres writes it, ``0/16B3748``."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def position_of(text: str) -> int:
    """The position that a text says.

    Raises:
        ValueError: It says none.
    """
    high, slash, low = text.partition("/")
    if not slash or not 0 < len(high) <= 8 or not 0 < len(low) <= 8 or not f"{high}{low}".isalnum():
        raise ValueError("expected a position from a mutation's `extensions.position`, such as 0/16B3748")
    return (int(high, 16) << 32) + int(low, 16)


class Changes:
    """The positions of the last changes by caller, in a table that the workers of one gateway share.

    Each worker writes a row of its own and reads all. Callers that share a slot wait for each other's changes, which
    sends a few more reads to the primary and is never wrong.
    """

    def __init__(self, folder: Path | None = None, index: int = 0, workers: int = 1) -> None:
        size = workers * SLOTS * 8
        if folder is None:
            table = mmap.mmap(-1, size)
        else:
            with (folder / "changes").open("a+b") as file:
                file.truncate(size)
                table = mmap.mmap(file.fileno(), size)
        self._rows = [memoryview(table).cast("q")[n * SLOTS : (n + 1) * SLOTS] for n in range(workers)]
        self._own = self._rows[index]
        self._waited_for: set[int] = set()
        self._unknown: set[int] = set(range(SLOTS))  # whoever had this row before, what was changed is not known
        for slot in self._unknown:
            self._own[slot] = UNKNOWN

    @staticmethod
    def slot(caller: str) -> int:
        """Where the changes of a caller are."""
        return crc32(caller.encode()) % SLOTS

    def last(self, slot: int) -> int:
        """The position of the last change of a slot's callers."""
        return max(row[slot] for row in self._rows)

    def made(self, slot: int, position: int | None) -> None:
        """Something was changed there; None where the position is not known, or nobody knows whether it was."""
        if position is None or self._own[slot] == UNKNOWN:
            self._unknown.add(slot)
            self._own[slot] = UNKNOWN
        elif self._own[slot] < position:
            self._own[slot] = position
        self._waited_for.add(slot)

    def take_unknown(self) -> set[int]:
        """The slots whose positions are not known; those that come meanwhile are not among them."""
        taken, self._unknown = self._unknown, set()
        return taken

    def known(self, slots: set[int], position: int | None) -> None:
        """The primary has said, after these were taken, where it is; None: it has not."""
        if position is None:
            self._unknown |= slots
            return
        for slot in slots - self._unknown:
            self._own[slot] = position

    def replayed(self, position: int) -> None:
        """What all replicas that are read have replayed."""
        self._waited_for = {slot for slot in self._waited_for if self._own[slot] > position}

    @property
    def are_waited_for(self) -> bool:
        """Whether replicas are known to lack changes of this worker."""
        return bool(self._waited_for)


class Primary:
    """What is known of the primary: where its log was at which moments, by looks from time to time."""

    def __init__(self) -> None:
        self.position: int | None = None
        """Where its log is, by the last look; None where it did not say."""
        self.cluster: int | None = None
        """Its cluster's identifier, if it tells."""
        self.looked = asyncio.Event()
        """Set once it was looked at."""
        self.past: deque[tuple[float, int]] = deque(maxlen=10_000)
        """When it was asked, on the monotonic clock, and where its log was."""

    def seconds_since(self, replayed: int, now: float) -> float | None:
        """Seconds since somebody who has replayed so much had all; None if that was never so while we looked.

        A primary that is away writes nothing that we could know of: nobody falls behind meanwhile.
        """
        if not self.past or replayed >= self.past[-1][1]:
            return 0.0
        after = bisect_right(self.past, replayed, key=itemgetter(1))
        until = now if self.position is not None else self.past[-1][0]
        return until - self.past[after - 1][0] if after else None


class Standby:
    """One replica: its connections, how far it is, and whether reads may go there."""

    def __init__(self, name: str) -> None:
        self.name = name
        """Its address, as in its URL."""
        self.engine: AsyncEngine
        """The connections of its readers."""
        self.usable = False
        """Whether it answers and is near enough, by the last look."""
        self.lag: float | None = None
        """Seconds that it is behind, as far as is known."""
        self.replayed = 0
        """The position that it has replayed."""
        self.reads = 0
        """Requests that were sent there."""
        self.why: str | None = "is not known yet"
        """Why reads do not go there."""
        self._server: datetime | None = None
        self._turns: deque[float] = deque(maxlen=TURNS)
        self._open: WeakSet[asyncpg.Connection] = WeakSet()
        self._reading: set[asyncio.Timeout] = set()

    async def admit(self, connection: asyncpg.Connection) -> None:
        """Looks whether a new connection leads to the server that is known.

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
        """A look met this server; says whether the address leads to one at a time."""
        if self._server is not None and server != self._server:
            self._turned(server)
            self._cut()
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
        """A block that ends when the replica falls silent.

        Raises:
            DatabaseUnavailableError: It did.
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
        """A look found it well."""
        if replayed < self.replayed:
            log.warning("the replica %s is another one, or was set back", self.name)
        if self.why is not None:
            log.info("reads go to the replica %s", self.name, extra={"lag_seconds": round(lag, 3)})
        self.lag, self.replayed, self.usable, self.why = lag, replayed, True, None

    def failed(self, why: str) -> None:
        """It cannot be used, until a look finds it well."""
        self.usable = False
        if self.why != why:
            log.warning("no reads go to the replica %s: it %s", self.name, why)
        self.why = why

    def silent(self) -> None:
        """It does not answer: what is under way there is given up, and its connections with it."""
        self.failed("cannot be reached")
        self._cut()
        for timeout in self._reading:
            timeout.reschedule(0)
        self._reading.clear()

    def _cut(self) -> None:
        """Closes its connections, used or not, without a word to a server that may never answer."""
        for connection in list(self._open):
            connection.terminate()
        self._open.clear()

    def lost(self) -> None:
        """A statement found it gone; one that began before a look knew it says nothing new."""
        if self.usable:
            self.failed("was lost")


class Reads:
    """Chooses where the statements of a request go. Without a replica, all go to the primary."""

    def __init__(self, primary: AsyncEngine, standbys: Sequence[Standby] = (), changes: Changes | None = None) -> None:
        self.primary = primary
        self.standbys = tuple(standbys)
        self.sent: Counter[str] = Counter()
        """Requests by where they went, and why: ``replica``, ``primary: ...``."""
        self._changes = changes or Changes()
        self._known = Primary()
        self._looking: list[AsyncEngine] = []
        self._followers: list[asyncio.Task[None]] = []

    @property
    def usable(self) -> bool:
        """Whether reads may go to a replica."""
        return any(standby.usable for standby in self.standbys)

    def reader(
        self, parallel: int, caller: str, after: int | None = None, identity: Identity | None = None
    ) -> ShortReader:
        """A reader for one request of a caller, which sees the caller's own changes and what was there ``after``."""
        if not self.standbys:
            return ShortReader(self.primary, parallel, identity)
        changed = self._changes.last(Changes.slot(caller))
        wanted = max(changed, after or 0)
        near = [standby for standby in self.standbys if standby.usable]
        able = [standby for standby in near if standby.replayed >= wanted]
        if able:
            standby = min(able, key=_use) if len(able) > 1 else able[0]
            standby.reads += 1
            self.sent["replica"] += 1
            return ReplicaReader(self, standby, parallel, identity)
        if not near:
            why = "primary: no replica"
        elif all(changed > standby.replayed for standby in near):
            why = "primary: own changes"
        else:
            why = "primary: position"
        self.sent[why] += 1
        return ShortReader(self.primary, parallel, identity)

    def changed(self, caller: str, position: int | None) -> None:
        """A caller's mutation has ended; None where its position is not known."""
        if self.standbys:
            self._changes.made(Changes.slot(caller), position)

    def start(self, primary: AsyncEngine, standbys: Sequence[AsyncEngine], max_lag: float) -> None:
        """Looks at all from now on, over these; a replica may be ``max_lag`` seconds behind."""
        self._looking = [primary, *standbys]
        self._followers = [
            asyncio.create_task(self._follow(partial(self._look_at_primary, primary))),
            *(
                asyncio.create_task(self._follow(partial(self._look_at, standby, engine, max_lag), standby))
                for standby, engine in zip(self.standbys, standbys, strict=True)
            ),
        ]

    async def close(self) -> None:
        """Ends the looking, and the connections to the replicas."""
        for follower in self._followers:
            follower.cancel()
        if self._followers:
            await asyncio.wait(self._followers)
        for engine in (*self._looking, *(standby.engine for standby in self.standbys)):
            await engine.dispose()

    async def _follow(self, look: Callable[[], Awaitable[None]], standby: Standby | None = None) -> None:
        while True:
            try:
                await look()
            except Exception:
                log.exception("%s could not be looked at", f"the replica {standby.name}" if standby else "the primary")
                if standby is not None:
                    standby.failed("is not known")
            await asyncio.sleep(LOOK_SOON if self._changes.are_waited_for else LOOK_EVERY)

    async def _look_at_primary(self, primary: AsyncEngine) -> None:
        known, started = self._known, time.monotonic()
        unknown = self._changes.take_unknown()
        try:
            (known.position,) = await _ask(primary, _WRITTEN, TIMEOUT_PRIMARY) or (None,)
        finally:
            self._changes.known(unknown, known.position)
            known.looked.set()
        if known.position is None:
            return
        if known.past and known.past[-1][1] > known.position:  # it was set back, or another one has taken over
            known.past.clear()
        known.past.append((started, known.position))
        if known.cluster is None:
            known.cluster = await _cluster(primary)

    async def _look_at(self, standby: Standby, engine: AsyncEngine, max_lag: float) -> None:
        await self._known.looked.wait()
        unknown = self._changes.take_unknown() if self._known.position is None else set()
        position = None
        try:
            found = await _ask(engine, _REPLAYED, TIMEOUT)
            # a promoted one takes the changes, and nothing can be newer
            if found is not None and not found[0] and self._known.position is None:
                position = found[1]
        finally:
            self._changes.known(unknown, position)
        if found is None:
            standby.silent()
            return
        is_standby, replayed, server = found
        if not standby.is_seen(server):
            standby.failed("is an address of several servers; name each of them in GATEWAY_REPLICA_URL")
        elif not is_standby and position is None:
            standby.failed("is no standby of the primary")
        elif self._known.cluster is not None and await self._is_of_another_cluster(standby, engine):
            standby.failed("is of another cluster than the primary")
        else:
            lag = 0.0 if position is not None else self._known.seconds_since(replayed, time.monotonic())
            if lag is None or lag > max_lag:
                standby.lag = lag
                standby.failed("is too far behind")
            else:
                standby.found(lag, replayed)
                self._changes.replayed(min(one.replayed for one in self.standbys if one.usable))

    async def _is_of_another_cluster(self, standby: Standby, engine: AsyncEngine) -> bool:
        """Asked whenever it is to be used again."""
        if standby.usable:
            return False
        cluster = await _cluster(engine)
        return cluster is not None and cluster != self._known.cluster


def _use(standby: Standby) -> tuple[int, int]:
    """How busy a replica is: what is under way there, then what was sent there."""
    return limiter_of(standby.engine).taken, standby.reads


async def _ask(engine: AsyncEngine, sql: str, seconds: float) -> Sequence[Any] | None:
    """The one row of a statement, None where the database cannot say it."""
    try:
        async with asyncio.timeout(seconds):
            return await ShortReader(engine).fetch_one(sql, ())
    except (DatabaseError, SQLAlchemyError, OSError) as error:
        log.debug("no position: %s", error)
        return None


async def _cluster(engine: AsyncEngine) -> int | None:
    """The identifier of a server's cluster, None where a service does not tell."""
    found = await _ask(engine, _CLUSTER, TIMEOUT_PRIMARY)
    return found[0] if found else None


class ReplicaReader(ShortReader):
    """Reads from a replica. What the replica cannot answer is asked of the primary, once."""

    def __init__(self, reads: Reads, standby: Standby, parallel: int, identity: Identity | None = None) -> None:
        super().__init__(standby.engine, parallel, identity)
        self._reads = reads
        self._standby = standby

    async def fetch(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Sequence[Any]]:
        engine = self._engine
        if engine is not self._reads.primary:
            try:
                async with self._standby.held():
                    return await super().fetch(sql, values, settings)
            except (DatabaseError, SQLAlchemyError) as error:
                self._turn(engine, error)
        return await super().fetch(sql, values, settings)

    async def fetch_one(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Any]:
        engine = self._engine
        if engine is not self._reads.primary:
            try:
                async with self._standby.held():
                    return await super().fetch_one(sql, values, settings)
            except (DatabaseError, asyncpg.PostgresError) as error:
                self._turn(engine, error)
        return await super().fetch_one(sql, values, settings)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        """One moment, of one of both: what has begun on the replica is not read on elsewhere."""
        engine = self._engine
        async with AsyncExitStack() as held:
            try:
                async with self._standby.held():
                    reader = await held.enter_async_context(super().snapshot())
            except DatabaseError as error:
                self._turn(engine, error)
                reader = await held.enter_async_context(super().snapshot())
            if self._engine is self._reads.primary:
                yield reader
                return
            try:
                async with self._standby.held():
                    yield reader
            except DatabaseUnavailableError:
                self._standby.lost()
                raise

    def _turn(self, tried: AsyncEngine, error: Exception) -> None:
        """To the primary, if that is what helps; else the error is the answer."""
        if tried is self._reads.primary:
            raise error
        if isinstance(error, DatabaseUnavailableError):
            self._standby.lost()
        elif sqlstate(error) != SERIALIZATION_FAILURE:
            raise error
        self._reads.sent["primary: replica failed"] += 1
        self._use(self._reads.primary)
