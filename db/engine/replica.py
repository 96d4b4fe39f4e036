"""Reads on a hot standby, as long as it is near enough, and never behind what the same caller has changed.

Where the primary's log is, and how far the replica has replayed it, is asked of both from time to time; no request
waits for that. Positions in the log are bytes, as Postgres counts them. A change leaves its position in the slot of its
caller, and reads of that caller go to the primary until the replica is known to have replayed it.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import asyncpg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.engine import NO_SETTINGS, Identity, Reader, ShortReader
from db.engine.errors import SERIALIZATION_FAILURE, DatabaseError, DatabaseUnavailableError, sqlstate

log = logging.getLogger("gateway.replica")

LOOK_EVERY = 0.5
"""Seconds between two looks at the replica."""
LOOK_SOON = 0.05
"""Seconds until the next look while somebody's changes are waited for."""
TIMEOUT = 2.0
"""Seconds for a database to say where it is."""

SLOTS = 4096
UNKNOWN = 2**63 - 1
"""The position of a change whose own could not be asked: behind everything, until the next look."""

# a promoted replica writes a log of its own
_REPLAYED = """
    SELECT pg_is_in_recovery(),
        (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END
            - '0/0')::bigint
"""
_WRITTEN = "SELECT (CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint"


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
        raise ValueError("expected a position as a mutation's answer tells it, such as 0/16B3748")
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

    def replayed(self, position: int) -> bool:
        """What the replica has replayed; says whether somebody still waits for more."""
        self._waited_for = {slot for slot in self._waited_for if self._own[slot] > position}
        return bool(self._waited_for)


class Reads:
    """Chooses where the statements of a request go. Without a replica, all go to the primary."""

    def __init__(
        self, primary: AsyncEngine, replica: AsyncEngine | None = None, changes: Changes | None = None
    ) -> None:
        self.primary = primary
        self.replica = replica
        self.usable = False
        """Whether the replica answers and is near enough, by the last look."""
        self.sent: Counter[str] = Counter()
        """Requests by where they went, and why: ``replica``, ``primary: ...``."""
        self.lag: float | None = None
        """Seconds that the replica is behind, as far as is known."""
        self._changes = changes or Changes()
        self._replayed = 0
        self._written: deque[tuple[float, int]] = deque(maxlen=10_000)
        self._why: str | None = "is not known yet"
        self._looking: tuple[AsyncEngine, ...] = ()
        self._follower: asyncio.Task[None] | None = None

    def reader(
        self, parallel: int, caller: str, after: int | None = None, identity: Identity | None = None
    ) -> ShortReader:
        """A reader for one request of a caller, which sees the caller's own changes and what was there ``after``."""
        if self.replica is None:
            return ShortReader(self.primary, parallel, identity)
        if not self.usable:
            why = "primary: no replica"
        elif self._changes.last(Changes.slot(caller)) > self._replayed:
            why = "primary: own changes"
        elif after is not None and after > self._replayed:
            why = "primary: position"
        else:
            self.sent["replica"] += 1
            return ReplicaReader(self, parallel, identity)
        self.sent[why] += 1
        return ShortReader(self.primary, parallel, identity)

    def changed(self, caller: str, position: int | None) -> None:
        """A caller's mutation has ended; None where its position is not known."""
        if self.replica is not None:
            self._changes.made(Changes.slot(caller), position)

    def failed(self, why: str) -> None:
        """The replica cannot be used, until a look finds it well."""
        self.usable = False
        if self._why != why:
            log.warning("reads go to the primary: the replica %s", why)
        self._why = why

    def lost(self) -> None:
        """A statement found the replica gone; one that began before a look knew it says nothing new."""
        if self.usable:
            self.failed("was lost")

    def start(self, primary: AsyncEngine, replica: AsyncEngine, max_lag: float) -> None:
        """Looks at both from now on, over these; the replica may be ``max_lag`` seconds behind."""
        self._looking = (primary, replica)
        self._follower = asyncio.create_task(self._follow(primary, replica, max_lag))

    async def close(self) -> None:
        """Ends the looking, and the connections to the replica."""
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.wait([self._follower])
        for engine in (*self._looking, self.replica):
            if engine is not None:
                await engine.dispose()

    async def _follow(self, primary: AsyncEngine, replica: AsyncEngine, max_lag: float) -> None:
        while True:
            try:
                waited_for = await self._look(primary, replica, max_lag)
            except Exception:
                log.exception("the replica could not be looked at")
                self.failed("is not known")
                waited_for = False
            await asyncio.sleep(LOOK_SOON if waited_for else LOOK_EVERY)

    async def _look(self, primary: AsyncEngine, replica: AsyncEngine, max_lag: float) -> bool:
        started = time.monotonic()
        unknown = self._changes.take_unknown()
        (written,) = await _ask(primary, _WRITTEN) or (None,)
        found = await _ask(replica, _REPLAYED)
        # a promoted one takes the changes, and nothing can be newer
        promoted = found is not None and not found[0] and written is None
        self._changes.known(unknown, found[1] if found and promoted else written)
        if found is None:
            self.failed("cannot be reached")
            return False
        is_standby, replayed = found
        if not is_standby and not promoted:
            self.failed("is no standby of the primary")
            return False
        if promoted:
            self._written.clear()
        elif written is not None:
            self._written.append((started, written))
        self.lag = self._behind(replayed, time.monotonic())
        if replayed < self._replayed:
            log.warning("the replica is another one, or was set back")
        self._replayed = replayed
        if self.lag is None or self.lag > max_lag:
            self.failed("is too far behind")
            return True
        if self._why is not None:
            log.info("reads go to the replica", extra={"lag_seconds": round(self.lag, 3)})
        self.usable, self._why = True, None
        return self._changes.replayed(replayed)

    def _behind(self, replayed: int, now: float) -> float | None:
        """Seconds since the replica had all that the primary had; None if it never did while we looked.

        A primary that is away writes nothing that we could know of.
        """
        if not self._written or replayed >= self._written[-1][1]:
            while len(self._written) > 1:
                self._written.popleft()
            return 0.0
        while len(self._written) > 1 and self._written[1][1] <= replayed:
            self._written.popleft()
        moment, position = self._written[0]
        return now - moment if position <= replayed else None


async def _ask(engine: AsyncEngine, sql: str) -> Sequence[Any] | None:
    """The one row of a statement, None where the database cannot say it."""
    try:
        async with asyncio.timeout(TIMEOUT):
            return await ShortReader(engine).fetch_one(sql, ())
    except (DatabaseError, SQLAlchemyError, OSError) as error:
        log.debug("no position: %s", error)
        return None


class ReplicaReader(ShortReader):
    """Reads from the replica. What the replica cannot answer is asked of the primary, once."""

    def __init__(self, reads: Reads, parallel: int, identity: Identity | None = None) -> None:
        assert reads.replica is not None  # noqa: S101 - nobody is sent where nothing is
        super().__init__(reads.replica, parallel, identity)
        self._reads = reads

    async def fetch(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Sequence[Any]]:
        engine = self._engine
        try:
            return await super().fetch(sql, values, settings)
        except (DatabaseError, SQLAlchemyError) as error:
            self._turn(engine, error)
        return await super().fetch(sql, values, settings)

    async def fetch_one(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Any]:
        engine = self._engine
        try:
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
                reader = await held.enter_async_context(super().snapshot())
            except DatabaseError as error:
                self._turn(engine, error)
                reader = await held.enter_async_context(super().snapshot())
            try:
                yield reader
            except DatabaseUnavailableError:
                if self._engine is self._reads.replica:
                    self._reads.lost()
                raise

    def _turn(self, tried: AsyncEngine, error: Exception) -> None:
        """To the primary, if that is what helps; else the error is the answer."""
        if tried is self._reads.primary:
            raise error
        if isinstance(error, DatabaseUnavailableError):
            self._reads.lost()
        elif sqlstate(error) != SERIALIZATION_FAILURE:
            raise error
        self._reads.sent["primary: replica failed"] += 1
        self._use(self._reads.primary)
