"""Locked tables: detecting them, and limiting the connections of statements that wait for them.

A statement waits for a lock until `lock_timeout`, and occupies a connection. After a first timeout the locked tables
are read from the database, and statements that name one of them are limited to a share of the pool, until one succeeds.

Statements that arrive before that could occupy all connections at once. So if requests wait for a connection and the
running statements make no progress, the database is asked what they wait for, and all but a share of those that wait
for a locked table are cancelled. While connections are free, nothing is checked.

The same applies to changes that wait for one row, directly or behind another waiter, while one transaction holds it
throughout. A row that many transactions change in turn is not affected: its holder differs at every check.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.connector import connector_of

log = logging.getLogger("gateway.locks")

KNOWN_SECONDS = 2.0
"""Seconds for which a table is assumed locked after a lock timeout."""
LOOK_SECONDS = 2.0
"""Seconds for the database to report locks."""
STUCK_SECONDS = 0.05
"""Seconds that a statement runs, while others wait for a connection, before it may be waiting for a lock."""
LOOK_AGAIN_SECONDS = 0.25
"""Seconds between checks after one that found no locked table."""

ROW_SECONDS = 2.0
"""Seconds for which one transaction holds rows that others wait for, before all but a share of these are cancelled."""

_READING = ("AccessExclusiveLock",)
_WRITING = ("AccessExclusiveLock", "ExclusiveLock", "ShareRowExclusiveLock", "ShareLock")
"""Lock modes that block reads or changes, whether granted or waiting ahead."""

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
"""The statements that wait for a table, as far as the server keeps their text (``track_activity_query_size``): behind a
pooler the processes are unknown."""


_BLOCKED = """
    SELECT DISTINCT l.pid, pg_blocking_pids(l.pid) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
    WHERE NOT l.granted AND l.locktype IN ('transactionid', 'tuple', 'advisory')
        AND a.datname = current_database() AND a.usename = session_user
"""
_HOLDERS = """
    SELECT pid, virtualtransaction FROM pg_locks WHERE locktype = 'virtualxid' AND granted AND pid = ANY ($1::int[])
"""
"""The transactions of processes: a process with a new one has acquired the rows anew."""


class LockReport(NamedTuple):
    """The locks of a database: locked tables and views, the texts of statements that wait for one, and the processes
    that wait for rows, with the transaction that holds them."""

    locked: Sequence[str] = ()
    waiting: Sequence[str] = ()
    blocked: Mapping[int, str] = {}


class Running(NamedTuple):
    """A running statement of a change: its server process, its text and its values.

    Behind a pooler the process is unknown, and no statement is cancelled because of a row.
    """

    process: int
    sql: str
    values: Sequence[Any]

    @property
    def key(self) -> Hashable:
        """The key of the statement; computed after a lock timeout, since values may be many."""
        return self.sql, repr(self.values)


class LockWaits:
    """What is known to be locked for an engine's statements, of which ``share`` may wait for it at once."""

    def __init__(self, size: int, *, writes: bool) -> None:
        self.share = max(1, size // 4)
        self.known: dict[str, float] = {}
        """Locked tables and views, with the end of that assumption; mostly empty."""
        self.suspected: dict[Hashable, float] = {}
        """Statements that had a lock timeout, with the end of their limit: their locked tables are known only later,
        and until then those waiting for a connection would wait for the lock, too. Reads are keyed by text, changes by
        their values, too: a row may be locked."""
        self.in_vain = 0
        """The number of lock timeouts."""
        self._modes = _WRITING if writes else _READING
        self._waiting = 0
        self.running: dict[asyncio.Task[Any] | None, str] = {}
        """Running statements, by the task that waits for each."""
        self.changes: dict[asyncio.Task[Any] | None, Running] = {}
        """Those of them that may wait for rows."""
        self._holders: dict[str, float] = {}
        """Transactions that hold rows which others wait for, with the time since when."""
        self._ended: dict[asyncio.Task[Any], Sequence[str]] = {}
        """Tasks that were cancelled because of a locked table and have not handled it yet."""
        self._look: asyncio.Task[LockReport] | None = None
        self._watch: asyncio.Task[None] | None = None

    def named(self, sql: str) -> list[str]:
        """The locked tables and views that a statement names."""
        now = time.monotonic()
        for name in [name for name, until in self.known.items() if until <= now and not self._waiting]:
            del self.known[name]
        return [name for name in self.known if re.search(rf"\b{re.escape(name)}\b", sql)]

    def suspect(self, key: Hashable) -> None:
        """Notes a lock timeout."""
        self.in_vain += 1
        self.suspected[key] = time.monotonic() + KNOWN_SECONDS

    def _is_suspected(self, key: Hashable) -> bool:
        if self.suspected:
            now = time.monotonic()
            for one in [one for one, until in self.suspected.items() if until <= now]:
                del self.suspected[one]
        return key in self.suspected

    @contextmanager
    def turn(self, sql: str, key: Hashable) -> Iterator[Sequence[str] | None]:
        """Executes a statement that may wait; yields the locked objects that it names, if the limit is reached.

        Its success clears the assumption. Objects not known yet are not named.
        """
        names = self.named(sql)
        if not names and not self._is_suspected(key):
            yield None
            return
        if self._waiting >= self.share:
            yield names
            return
        self._waiting += 1
        try:
            yield None
            self.suspected.pop(key, None)
            for name in names:
                self.known.pop(name, None)
        finally:
            self._waiting -= 1

    async def learn(self, engine: AsyncEngine, sql: str) -> Sequence[str]:
        """The locked objects of a statement after a lock timeout; empty if they cannot be determined."""
        return self._learned(sql, (await self._looked(engine)).locked)

    def _learned(self, sql: str, locked: Sequence[str]) -> Sequence[str]:
        until = time.monotonic() + KNOWN_SECONDS
        names = [name for name in locked if re.search(rf"\b{re.escape(name)}\b", sql)]
        self.known |= dict.fromkeys(names, until)
        return names

    async def _looked(self, engine: AsyncEngine) -> LockReport:
        if self._look is None or self._look.done():  # concurrent failures share one query
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
                    blocked = _roots(await connection.fetch(_BLOCKED) if self.changes else ())
                    held = await connection.fetch(_HOLDERS, sorted(set(blocked.values()))) if blocked else ()
                finally:
                    connection.terminate()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return LockReport()
        names = {row[0]: row[1] for row in held}
        by_process = {process: names[by] for process, by in blocked.items() if by in names}
        return LockReport([row[0] for row in locked], [row[0] for row in waiting], by_process)

    # -- while requests wait for a connection -----------------------------------------------------------------------

    def watch(self, engine: AsyncEngine, waiting: Callable[[], int]) -> None:
        """Keeps locked tables from occupying all connections, as long as requests are ``waiting`` for one."""
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
        """Cancels all but a share of the statements that wait for a locked table, or for one transaction's rows;
        returns whether there were any."""
        ended = self._end_of_rows(stuck, found.blocked)
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
        if many := concerned[self.share :]:
            tables = sorted({name for _, names in many for name in names})
            log.warning("%d statements were ended that waited for %s", len(many), ", ".join(tables))
        return ended or bool(concerned)

    def _end_of_rows(self, stuck: Sequence[tuple[asyncio.Task[Any], str]], blocked: Mapping[int, str]) -> bool:
        """Cancels all but a share of the changes that wait for one transaction's rows; returns whether there were too
        many."""
        now = time.monotonic()
        self._holders = {holder: self._holders.get(holder, now) for holder in blocked.values()}
        waiting: dict[str, list[asyncio.Task[Any]]] = {}
        for task, sql in stuck:
            change = self.changes.get(task)
            holder = blocked.get(change.process) if change and self.running.get(task) is sql else None
            if holder is not None and now - self._holders[holder] >= ROW_SECONDS:
                waiting.setdefault(holder, []).append(task)
        many = [task for tasks in waiting.values() for task in tasks[self.share :]]
        for task in many:
            self.suspect(self.changes[task].key)
            self._ended[task] = ()
            task.cancel()
        if many:
            log.warning("%d changes were ended that waited for rows which another transaction holds", len(many))
        return bool(many)

    def why_ended(self) -> Sequence[str] | None:
        """The locked tables because of which the current task was cancelled, None for another reason."""
        task = asyncio.current_task()
        names = self._ended.pop(task, None) if task else None
        if task is None or names is None or task.uncancel():  # cancelled for another reason, too
            return None
        return names


def _roots(waiting: Sequence[tuple[int, Sequence[int]]]) -> dict[int, int]:
    """For each waiting process the one at the end of its chain of blockers, which waits for nothing."""
    by = dict(waiting)
    found: dict[int, int] = {}
    for process, others in by.items():
        seen, pending = {process}, deque(others)
        while pending and process not in found:
            one = pending.popleft()
            if one not in by:
                found[process] = one
            elif one not in seen:
                seen.add(one)
                pending.extend(by[one])
    return found


LOCK_WAITS = "gateway_lock_waits"
"""The engine's execution option for its lock waits."""


def lock_waits_of(engine: AsyncEngine) -> LockWaits:
    """The lock waits of an engine."""
    waits: LockWaits = engine.sync_engine.get_execution_options()[LOCK_WAITS]
    return waits
