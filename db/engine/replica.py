"""Reads on hot standbys with little lag, never older than the caller's last change.

The primary's log position, and the position that each replica has replayed, are read periodically; requests do not wait
for that. Positions are in bytes. A change stores its position in its caller's slot, and that caller's reads go to
replicas known to have replayed it, else to the primary.

Positions belong to one server: if an address leads to several, only the one that was checked is used. A replica that
does not answer for `TIMEOUT` seconds is abandoned, and its running reads are repeated on the primary. If the primary
does not answer, or fails, its running reads are repeated on a replica that has replayed what they must see.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

import asyncpg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.connector import connector_of
from db.engine.errors import SERIALIZATION_FAILURE, DatabaseError, DatabaseUnavailableError, sqlstate
from db.engine.log_positions import Changes
from db.engine.pool import dispose, limiter_of
from db.engine.readers import NO_SETTINGS, Identity, Reader, ShortReader
from db.engine.servers import Primary, Standby
from db.engine.timelines import Marks

log = logging.getLogger("gateway.replica")

LOOK_EVERY = 0.5
"""Seconds between two checks of a server."""
LOOK_SOON = 0.05
"""Seconds until the next check while replicas lack changes."""
TIMEOUT = 0.5
"""Seconds for a replica to report its position: a silent one delays a read by at most this and `LOOK_EVERY`."""
TIMEOUT_PRIMARY = 2.0
"""Seconds for the primary to report its position, which no other server can."""


# a promoted replica writes its own log
_REPLAYED = """
    SELECT pg_is_in_recovery(),
        (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END
            - '0/0')::bigint,
        pg_postmaster_start_time()
"""
_WRITTEN = """
    SELECT (CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint,
        pg_postmaster_start_time()
"""
_TIMELINE = "SELECT gateway.timeline()"
_CLUSTER = "SELECT system_identifier FROM pg_control_system()"


class Reads:
    """Chooses the server for the statements of a request. Without a replica it is the primary."""

    def __init__(self, primary: AsyncEngine, standbys: Sequence[Standby] = (), changes: Changes | None = None) -> None:
        self.primary = primary
        self.standbys = tuple(standbys)
        self.sent: Counter[str] = Counter()
        """Requests by server, with the reason: ``replica``, ``primary: ...``."""
        self._changes = changes or Changes()
        self._known = Primary()
        self._at_primary: dict[asyncio.Timeout, int] = {}
        """Running reads of the primary, with the position that each must see."""
        self._looking: list[AsyncEngine] = []
        self._followers: list[asyncio.Task[None]] = []

    @property
    def usable(self) -> bool:
        """Whether a replica can be used."""
        return any(standby.usable for standby in self.standbys)

    def reader(
        self, parallel: int, caller: str, after: int | None = None, identity: Identity | None = None
    ) -> ShortReader:
        """A reader for one request, which sees the caller's own changes and the state at ``after``."""
        if not self.standbys:
            return ShortReader(self.primary, parallel, identity)
        changed = self._changes.last(Changes.slot(caller))
        wanted = max(changed, after or 0)
        standby = self.able(wanted)
        if standby is not None:
            standby.reads += 1
            self.sent["replica"] += 1
            return ReplicaReader(self, standby, parallel, identity)
        near = [standby for standby in self.standbys if standby.usable]
        if not near:
            why = "primary: no replica"
        elif all(changed > standby.replayed for standby in near):
            why = "primary: own changes"
        else:
            why = "primary: position"
        self.sent[why] += 1
        return PrimaryReader(self, wanted, parallel, identity)

    def able(self, wanted: int) -> Standby | None:
        """The least busy usable replica that has replayed ``wanted``."""
        able = [standby for standby in self.standbys if standby.usable and standby.replayed >= wanted]
        return min(able, key=_use) if len(able) > 1 else able[0] if able else None

    @asynccontextmanager
    async def at_primary(self, wanted: int) -> AsyncIterator[None]:
        """A context that is cancelled when the primary stops answering and a replica has replayed ``wanted``.

        Raises:
            DatabaseUnavailableError: It stopped answering.
        """
        try:
            async with asyncio.timeout(None) as timeout:
                self._at_primary[timeout] = wanted
                try:
                    yield
                finally:
                    self._at_primary.pop(timeout, None)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise DatabaseUnavailableError("the primary does not answer") from error

    def _release(self) -> None:
        """Cancels the reads of a primary that does not answer, if a replica can answer them."""
        for timeout, wanted in list(self._at_primary.items()):
            if self.able(wanted) is not None:
                del self._at_primary[timeout]
                timeout.reschedule(0)

    def changed(self, caller: str, position: int | None) -> None:
        """Records the end of a caller's mutation; None if its position is unknown."""
        if self.standbys:
            self._changes.made(Changes.slot(caller), position)

    def start(self, primary: AsyncEngine, standbys: Sequence[AsyncEngine], max_lag: float) -> None:
        """Starts checking all servers over these connections; a replica's lag may be ``max_lag`` seconds."""
        self._looking = [primary, *standbys]
        self._followers = [
            asyncio.create_task(self._follow(partial(self._look_at_primary, primary))),
            *(
                asyncio.create_task(self._follow(partial(self._look_at, standby, engine, max_lag), standby))
                for standby, engine in zip(self.standbys, standbys, strict=True)
            ),
        ]

    async def close(self) -> None:
        """Stops checking, and closes the connections to the replicas."""
        for follower in self._followers:
            follower.cancel()
        if self._followers:
            await asyncio.wait(self._followers)
        await dispose(*self._looking, *(standby.engine for standby in self.standbys))

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
        quiet = asyncio.get_running_loop().call_later(TIMEOUT, self._release)
        try:
            known.position, server = await _ask(primary, _WRITTEN, TIMEOUT_PRIMARY) or (None, None)
        finally:
            quiet.cancel()
            self._changes.known(unknown, known.position)
            known.looked.set()
        if known.position is None:
            return
        known.timeline, known.server = connector_of(primary).timelines.newest, server
        if known.past and known.past[-1][1] > known.position:  # another history: a restore or a failover
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
            # a promoted replica accepts changes, and is up to date
            if found and not found[0] and self._known.position is None and await self._leads(engine, found[2]):
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
        elif (why := await self._strays(standby, engine, replayed)) is not None:
            standby.failed(why)
        else:
            lag = 0.0 if position is not None else self._known.seconds_since(replayed, time.monotonic())
            if lag is None or lag > max_lag:
                standby.lag = lag
                standby.failed("is too far behind")
            else:
                standby.found(lag, replayed)
                self._changes.replayed(min(one.replayed for one in self.standbys if one.usable))

    async def _leads(self, engine: AsyncEngine, server: datetime) -> bool:
        """Whether a server that accepts changes, begun at a time, is the primary or was promoted since its last answer.

        A clone of its disk is on its timeline, too, and lacks changes.
        """
        known = self._known
        if known.server in {None, server} or known.timeline is None:
            return True
        (timeline,) = await _ask(engine, _TIMELINE, TIMEOUT_PRIMARY) or (None,)
        return timeline is None or timeline > known.timeline

    async def _strays(self, standby: Standby, engine: AsyncEngine, replayed: int) -> str | None:
        """Why a standby is none of the primary's: compared before it is used again, and whenever more is known about
        the primary."""
        cluster, newest = self._known.cluster, connector_of(engine).timelines.marked
        primary = cluster, newest and (newest[0], newest[1].mark)
        if standby.usable and standby.follows == primary:
            return None
        standby.follows = primary
        if cluster is not None and (await _cluster(engine) or cluster) != cluster:  # which a service may not tell
            return "is of another cluster than the primary"
        if newest is None:
            return None
        history, followed = newest
        told = await _ask(engine, f"SELECT gateway.marks('{history}/0', false)", TIMEOUT_PRIMARY)
        marks = Marks.of(told[0]) if told else None
        if marks is None or followed.marks is None or marks.table != followed.marks.table:
            return None
        missing = followed.position > 0 and replayed > followed.position
        if marks.ids.get(followed.timeline, None if missing else followed.mark) != followed.mark:
            return "follows another server than the primary"
        return None


def _use(standby: Standby) -> tuple[int, int]:
    """The load of a replica: running reads, then reads sent so far."""
    return limiter_of(standby.engine).taken, standby.reads


async def _ask(engine: AsyncEngine, sql: str, seconds: float) -> Sequence[Any] | None:
    """The single row of a statement, None if the database cannot answer."""
    try:
        async with asyncio.timeout(seconds):
            return await ShortReader(engine).fetch_one(sql, ())
    except (DatabaseError, SQLAlchemyError, OSError) as error:
        log.debug("no position: %s", error)
        return None


async def _cluster(engine: AsyncEngine) -> int | None:
    """The identifier of a server's cluster, None if the service does not expose it."""
    found = await _ask(engine, _CLUSTER, TIMEOUT_PRIMARY)
    return found[0] if found else None


class PrimaryReader(ShortReader):
    """Reads from the primary. If it fails, the read is repeated, once, on a replica that has replayed ``wanted``."""

    def __init__(self, reads: Reads, wanted: int, parallel: int, identity: Identity | None = None) -> None:
        super().__init__(reads.primary, parallel, identity)
        self._reads = reads
        self._wanted = wanted

    async def fetch(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Sequence[Any]]:
        if self._engine is self._reads.primary:
            try:
                async with self._reads.at_primary(self._wanted):
                    return await super().fetch(sql, values, settings)
            except DatabaseUnavailableError as error:
                self._turn(error)
        return await super().fetch(sql, values, settings)

    async def fetch_one(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Any]:
        if self._engine is self._reads.primary:
            try:
                async with self._reads.at_primary(self._wanted):
                    return await super().fetch_one(sql, values, settings)
            except DatabaseUnavailableError as error:
                self._turn(error)
        return await super().fetch_one(sql, values, settings)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        """A snapshot of one server; once begun on the primary it is not continued elsewhere."""
        async with AsyncExitStack() as held:
            try:
                async with self._reads.at_primary(self._wanted):
                    reader = await held.enter_async_context(super().snapshot())
            except DatabaseUnavailableError as error:
                self._turn(error)
                reader = await held.enter_async_context(super().snapshot())
            yield reader

    def _turn(self, error: DatabaseUnavailableError) -> None:
        """Switches to a replica; raises the error if none can answer. Another read of the request may have switched."""
        if self._engine is not self._reads.primary:
            return
        standby = self._reads.able(self._wanted)
        if standby is None:
            raise error
        standby.reads += 1
        self._reads.sent["replica: primary failed"] += 1
        self._use(standby.engine)


class ReplicaReader(ShortReader):
    """Reads from a replica. What it cannot answer is repeated on the primary, once."""

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
        """One snapshot, of one server: a snapshot on the replica is not continued on the primary."""
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
        """Switches to the primary, if that helps; otherwise raises the error."""
        if tried is self._reads.primary:
            raise error
        if isinstance(error, DatabaseUnavailableError):
            self._standby.lost()
        elif sqlstate(error) != SERIALIZATION_FAILURE:
            raise error
        self._reads.sent["primary: replica failed"] += 1
        self._use(self._reads.primary)
