"""Tables that somebody has locked: which they are, and that those who wait for them do not take every connection.

A statement waits for a lock until `lock_timeout`, with a connection in hand. After the first one that waited in vain it
is known which tables are locked, and statements that name one of them have a share of the pool, until one succeeds.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from db.connector import connector_of

KNOWN_SECONDS = 2.0
"""How long a table is known to be locked after somebody waited for it in vain."""
LOOK_SECONDS = 2.0
"""For the database to say what is locked."""

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
        self._look: asyncio.Task[Sequence[str]] | None = None

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
        if self._look is None or self._look.done():  # the many who fail at once ask once
            self._look = asyncio.create_task(self._ask(engine))
        found = await asyncio.shield(self._look)
        until = time.monotonic() + KNOWN_SECONDS
        names = [name for name in found if re.search(rf"\b{re.escape(name)}\b", sql)]
        self.known |= dict.fromkeys(names, until)
        return names

    async def _ask(self, engine: AsyncEngine) -> Sequence[str]:
        """On a connection of its own: those of the pool may all be waiting."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                connection = await connector_of(engine)(statement_cache_size=0)
                try:
                    rows = await connection.fetch(_LOCKED, list(self._modes))
                finally:
                    connection.terminate()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return ()
        return [row[0] for row in rows]


LOCK_WAITS = "gateway_lock_waits"
"""The engine's own option that holds its waits."""


def lock_waits_of(engine: AsyncEngine) -> LockWaits:
    """What is known to be locked for an engine's statements."""
    waits: LockWaits = engine.get_execution_options()[LOCK_WAITS]
    return waits
