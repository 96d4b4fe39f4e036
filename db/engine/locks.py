"""Tables that somebody has locked: which they are, and that those who wait for them do not take every connection.

A statement waits for a lock until `lock_timeout`, with a connection in hand. After the first one that waited in vain it
is known which tables are locked, and statements that name one of them have a share of the pool, until one succeeds.

Those that come in the moment before that is known could take all connections at once. So where somebody waits for a
connection, and those who have them do not get on, the database is asked at once what they wait for, and all but a share
of those that wait for a locked table are ended. Where connections are left, nobody looks.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.connector import connector_of

log = logging.getLogger("gateway.locks")

KNOWN_SECONDS = 2.0
"""How long a table is known to be locked after somebody waited for it in vain."""
LOOK_SECONDS = 2.0
"""For the database to say what is locked."""
STUCK_SECONDS = 0.05
"""How long a statement runs, while others wait for a connection, until it may be one that waits for a lock."""
LOOK_AGAIN_SECONDS = 0.25
"""Until it is asked again what statements wait for, after it was no table's lock."""

_READING = ("AccessExclusiveLock",)
_WRITING = ("AccessExclusiveLock", "ExclusiveLock", "ShareRowExclusiveLock", "ShareLock")
"""Modes that keep others from reading and from changing, whether somebody has them or waits for them ahead."""

_LOCKED = """
    WITH RECURSIVE locked AS (
        SELECT relation AS oid FROM pg_locks
        WHERE locktype = 'relation' AND mode = ANY ($1::text[])
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        UNION
        SELECT r.ev_class FROM locked
        JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = locked.oid
            AND d.classid = 'pg_rewrite'::regclass
        JOIN pg_rewrite AS r ON r.oid = d.objid
    )
    SELECT c.relname::text FROM locked JOIN pg_class AS c ON c.oid = locked.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1
"""

_WAITING = """
    SELECT a.query FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
    WHERE l.locktype = 'relation' AND NOT l.granted AND a.query > ''
        AND a.datname = current_database() AND a.usename = session_user
"""
"""What waits for a table, as far as the server keeps its text (``track_activity_query_size``): behind a pooler nobody
knows by which process a statement runs."""


class LockReport(NamedTuple):
    """What the database says of locks: which tables and views are locked, and what waits for one, by its text."""

    locked: Sequence[str] = ()
    waiting: Sequence[str] = ()


class LockWaits:
    """What is known to be locked for an engine's statements, of which ``share`` at once may wait for it."""

    def __init__(self, size: int, *, writes: bool) -> None:
        self.share = max(1, size // 4)
        self.known: dict[str, float] = {}
        """Tables and views that are locked, and until when that is believed; mostly empty."""
        self.suspected: dict[str, float] = {}
        """Statements that have waited in vain, and until when they are not run freely: which of their tables is locked
        is asked only then, and until it is known those that wait for a connection would all wait for the lock too."""
        self.in_vain = 0
        """How many statements have waited in vain."""
        self._modes = _WRITING if writes else _READING
        self._waiting = 0
        self.running: dict[asyncio.Task[Any] | None, str] = {}
        """What runs now, by the task that waits for it."""
        self._ended: dict[asyncio.Task[Any], Sequence[str]] = {}
        """Those that were ended because of a locked table, until they have heard of it."""
        self._look: asyncio.Task[LockReport] | None = None
        self._watch: asyncio.Task[None] | None = None

    def named(self, sql: str) -> list[str]:
        """The locked tables and views that a statement names."""
        now = time.monotonic()
        for name in [name for name, until in self.known.items() if until <= now and not self._waiting]:
            del self.known[name]
        return [name for name in self.known if re.search(rf"\b{re.escape(name)}\b", sql)]

    def suspect(self, sql: str) -> None:
        """A statement has waited in vain."""
        self.in_vain += 1
        self.suspected[sql] = time.monotonic() + KNOWN_SECONDS

    def _is_suspected(self, sql: str) -> bool:
        if self.suspected:
            now = time.monotonic()
            for one in [one for one, until in self.suspected.items() if until <= now]:
                del self.suspected[one]
        return sql in self.suspected

    @contextmanager
    def turn(self, sql: str) -> Iterator[Sequence[str] | None]:
        """Runs a statement among those that may wait; what it names that is locked, if there are too many already.

        Nothing is locked any more where it succeeds. What is not known yet is named by nothing.
        """
        names = self.named(sql)
        if not names and not self._is_suspected(sql):
            yield None
            return
        if self._waiting >= self.share:
            yield names
            return
        self._waiting += 1
        try:
            yield None
            self.suspected.pop(sql, None)
            for name in names:
                self.known.pop(name, None)
        finally:
            self._waiting -= 1

    async def learn(self, engine: AsyncEngine, sql: str) -> Sequence[str]:
        """What a statement names that is locked, after it waited in vain; nothing where that cannot be told."""
        return self._learned(sql, (await self._looked(engine)).locked)

    def _learned(self, sql: str, locked: Sequence[str]) -> Sequence[str]:
        until = time.monotonic() + KNOWN_SECONDS
        names = [name for name in locked if re.search(rf"\b{re.escape(name)}\b", sql)]
        self.known |= dict.fromkeys(names, until)
        return names

    async def _looked(self, engine: AsyncEngine) -> LockReport:
        if self._look is None or self._look.done():  # the many who fail at once ask once
            self._look = asyncio.create_task(self._ask(engine))
        return await asyncio.shield(self._look)

    async def _ask(self, engine: AsyncEngine) -> LockReport:
        """On a connection of its own: those of the pool may all be waiting."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                connection = await connector_of(engine)(statement_cache_size=0)
                try:
                    locked = await connection.fetch(_LOCKED, list(self._modes))
                    waiting = await connection.fetch(_WAITING) if locked else ()
                finally:
                    connection.terminate()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return LockReport()
        return LockReport([row[0] for row in locked], [row[0] for row in waiting])

    # -- while somebody waits for a connection ---------------------------------------------------------------------

    def watch(self, engine: AsyncEngine, waiting: Callable[[], int]) -> None:
        """Sees to it that locked tables do not keep all connections, as long as somebody is ``waiting`` for one."""
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._watching(engine, waiting))

    async def _watching(self, engine: AsyncEngine, waiting: Callable[[], int]) -> None:
        while waiting():
            before = dict(self.running)
            await asyncio.sleep(STUCK_SECONDS)
            stuck = [(task, sql) for task, sql in before.items() if task and self.running.get(task) is sql]
            if len(stuck) > self.share and waiting() and not self._end(stuck, await self._looked(engine)):
                await asyncio.sleep(LOOK_AGAIN_SECONDS)

    def _end(self, stuck: Sequence[tuple[asyncio.Task[Any], str]], found: LockReport) -> bool:
        """Ends all but a share of those that wait for a locked table; whether there were any."""
        left, concerned = list(found.waiting), []
        for task, sql in stuck:
            text = next((one for one in left if sql.startswith(one)), None)
            if text is None or self.running.get(task) is not sql:
                continue
            if names := self._learned(sql, found.locked):
                left.remove(text)
                concerned.append((task, names))
        for task, names in concerned[self.share :]:
            self._ended[task] = names
            task.cancel()
        if ended := concerned[self.share :]:
            tables = sorted({name for _, names in ended for name in names})
            log.warning("%d statements were ended that waited for %s", len(ended), ", ".join(tables))
        return bool(concerned)

    def why_ended(self) -> Sequence[str] | None:
        """The locked tables because of which the task at hand was cancelled, None where it was for something else."""
        task = asyncio.current_task()
        names = self._ended.pop(task, None) if task else None
        if task is None or names is None or task.uncancel():  # somebody else has cancelled it too
            return None
        return names


LOCK_WAITS = "gateway_lock_waits"
"""The engine's own option that holds its waits."""


def lock_waits_of(engine: AsyncEngine) -> LockWaits:
    """What is known to be locked for an engine's statements."""
    waits: LockWaits = engine.sync_engine.get_execution_options()[LOCK_WAITS]
    return waits
