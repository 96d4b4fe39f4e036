"""The live log: what subscriptions are told, read so that nothing is lost or doubled whatever order commits come in.

Positions are given when an entry is written, and seen when its transaction commits, which is another order. So a reader
does not remember a position but a snapshot of Postgres: which transactions it has seen. What is new are the entries of
transactions that the snapshot does not see. Nobody has to wait for anybody, and a long transaction holds nothing up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import URL

CHANNEL = "e2i_gateway_live"
ALERTS_TABLE = "public.ml_monitoring_alerts"
PAGE = 500
"""Entries that are read at once by whoever catches up."""

_SNAPSHOT = re.compile(r"[0-9]{1,19}:[0-9]{1,19}:(?:[0-9]{1,19}(?:,[0-9]{1,19})*)?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One change: what it is about, and what can be filtered by."""

    position: int
    topic: str
    facts: Mapping[str, str | None]
    seconds: int
    """When it was written, since the epoch."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a reader has been told: all that ``seen`` sees, and of what ``ahead`` sees beyond it all up to ``position``.

    ``seen`` and ``ahead`` are snapshots as ``pg_current_snapshot()`` writes them. Nothing that was not told was written
    before ``seconds``, since the epoch.
    """

    seconds: int
    seen: str
    ahead: str | None = None
    position: int = 0

    @property
    def well_formed(self) -> bool:
        """Whether Postgres may be asked about it."""
        return all(_SNAPSHOT.fullmatch(one) for one in (self.seen, self.ahead) if one is not None)


@dataclass(frozen=True, slots=True)
class Reading:
    """What is new since a snapshot, up to another one, at a time of the database's.

    ``entries`` is None where they were more than was asked for; then they are only known of.
    """

    seconds: int
    snapshot: str
    entries: Sequence[Entry] | None


_NEW = """
    SELECT extract(epoch FROM now())::bigint, s.now::text,
        l.position, l.topic, l.facts::text, extract(epoch FROM l.recorded_at)::bigint
    FROM (SELECT pg_current_snapshot() AS now) AS s
    LEFT JOIN gateway.live_log AS l
        ON l.xact >= pg_snapshot_xmin($1::text::pg_snapshot)::text::bigint
        AND NOT pg_visible_in_snapshot(l.xact::text::xid8, $1::text::pg_snapshot)
    ORDER BY l.position
    LIMIT $2
"""
_BETWEEN = """
    SELECT l.position, l.topic, l.facts::text, extract(epoch FROM l.recorded_at)::bigint
    FROM gateway.live_log AS l
    WHERE l.topic = $1
        AND l.xact >= pg_snapshot_xmin($2::text::pg_snapshot)::text::bigint
        AND NOT pg_visible_in_snapshot(l.xact::text::xid8, $2::text::pg_snapshot)
        AND pg_visible_in_snapshot(l.xact::text::xid8, $3::text::pg_snapshot)
        AND l.position > $4
    ORDER BY l.position
    LIMIT $5
"""
_HIDES_ALERTS = f"SELECT row_security_active('{ALERTS_TABLE}')"
_NOW = "SELECT extract(epoch FROM now())::bigint, pg_current_snapshot()::text"
_IS_PAST = "SELECT pg_snapshot_xmax($1::text::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot())"

# An alert is new or changed if it is another row than at the last look: by its xmin, which costs nothing to compare,
# and where that differs by its content: restoring a dump gives every row another one. The first look only remembers.
_OBSERVE = f"""
    WITH first AS (SELECT NOT EXISTS (SELECT FROM gateway.alerts_seen) AS look),
    rewritten AS (
        SELECT a.id, a.xmin::text::bigint AS version, hashtextextended(a::text, 0) AS content,
            s.content AS before, to_jsonb(a) AS whole
        FROM {ALERTS_TABLE} AS a
        LEFT JOIN gateway.alerts_seen AS s ON s.alert_id = a.id
        WHERE s.version IS DISTINCT FROM a.xmin::text::bigint
    ),
    remembered AS (
        INSERT INTO gateway.alerts_seen AS s (alert_id, version, content)
        SELECT id, version, content FROM rewritten
        UNION ALL SELECT '00000000-0000-0000-0000-000000000000', 0, 0 FROM first WHERE look
        ON CONFLICT (alert_id) DO UPDATE SET version = excluded.version, content = excluded.content
    ),
    logged AS (
        INSERT INTO gateway.live_log (topic, facts)
        SELECT 'alerts', jsonb_build_object(
            'alert', id, 'change', CASE WHEN before IS NULL THEN 'RAISED' ELSE 'CHANGED' END,
            'severity', whole -> 'severity', 'status', whole -> 'status', 'model', whole -> 'model_id'
        )
        FROM rewritten, first
        WHERE NOT look AND content IS DISTINCT FROM before
        ORDER BY whole ->> 'updated_at', id
        RETURNING 1
    )
    SELECT pg_notify('{CHANNEL}', 'log') FROM (SELECT FROM logged LIMIT 1) AS any_at_all
"""
_PRUNE = """
    DELETE FROM gateway.live_log
    WHERE recorded_at < now() - make_interval(secs => $1)
        OR xact >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint  -- of another server, whose dump this is
"""
_ONE_LOOKS = "SELECT pg_try_advisory_xact_lock(hashtext('e2i gateway alerts'))"


_SETTINGS = {"TimeZone": "UTC", "search_path": "public, extensions", "statement_timeout": "25000", "jit": "off"}


async def connect(url: URL, *, prepared_statements: bool = True) -> asyncpg.Connection:
    """A connection of its own for listening, which no pool may hand to others.

    Without ``prepared_statements`` there may be a pooler on the way, which takes no settings when it connects.

    Raises:
        OSError, asyncpg.PostgresError, TimeoutError: The database cannot be reached.
    """
    _, options = PGDialect_asyncpg().create_connect_args(url)  # type: ignore[no-untyped-call]
    return await asyncpg.connect(
        **options,
        timeout=5.0,
        command_timeout=30.0,
        statement_cache_size=20 if prepared_statements else 0,
        server_settings={"application_name": "e2i-gateway live"} | (_SETTINGS if prepared_statements else {}),
    )


async def now(connection: asyncpg.Connection) -> Reading:
    """The snapshot of this moment."""
    row = await connection.fetchrow(_NOW)
    return Reading(row[0], row[1], ())


async def read_new(connection: asyncpg.Connection, since: str, most: int) -> Reading:
    """All entries that a snapshot does not see, in order, and the snapshot that sees them."""
    rows = await connection.fetch(_NEW, since, most + 1)
    entries = [_entry(row[2:]) for row in rows if row[2] is not None]
    return Reading(rows[0][0], rows[0][1], entries if len(entries) <= most else None)


async def read_between(
    connection: asyncpg.Connection, topic: str, seen: str, until: str, behind: int
) -> Sequence[Entry]:
    """The next ``PAGE`` entries at most, of those that ``until`` sees and ``seen`` does not, behind a position."""
    rows = await connection.fetch(_BETWEEN, topic, seen, until, behind, PAGE)
    return [_entry(row) for row in rows]


async def is_past(connection: asyncpg.Connection, snapshot: str) -> bool:
    """Whether a snapshot may be one of this database's past.

    Raises:
        asyncpg.DataError: It is none at all.
    """
    return bool(await connection.fetchval(_IS_PAST, snapshot))


async def hides_alerts(connection: asyncpg.Connection) -> bool:
    """Whether policies of the database may hide alerts from the role that looks for them."""
    return bool(await connection.fetchval(_HIDES_ALERTS))


async def observe_alerts(connection: asyncpg.Connection) -> None:
    """Looks for alerts that are new or have changed since the last look, whoever wrote them, and logs them.

    One gateway looks at a time; the others are told by its notification.
    """
    async with connection.transaction(isolation="read_committed"):
        if await connection.fetchval(_ONE_LOOKS):  # a statement of its own: the next one sees what the last look wrote
            await connection.execute(_OBSERVE)


async def prune(connection: asyncpg.Connection, hours: float) -> None:
    """Removes entries that nobody can resume at any more."""
    await connection.execute(_PRUNE, hours * 3600)


def _entry(row: Sequence[Any]) -> Entry:
    position, topic, facts, seconds = row
    return Entry(position, topic, orjson.loads(facts), seconds)
