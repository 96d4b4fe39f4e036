"""The live log behind subscriptions, read without gaps or duplicates in any order of commits.

Positions are assigned when an entry is written, and entries become visible when their transactions commit, in another
order. So a reader keeps not a position but a snapshot of Postgres: which transactions it has seen. New entries are
those of transactions that are not visible in it. Writers do not wait for each other, and long transactions do not delay
other entries.

A promoted standby may lack the last transactions, and reuses their ids. So a snapshot belongs to a history, that of a
cluster and a timeline, and is converted to the next one before it is used there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import asyncpg
import orjson

import db.models  # noqa: F401 - maps all tables
from db.base.markers import LiveTopic
from db.base.vocabulary import entities, table_of
from db.engine import poolers
from db.engine.connector import Connector
from db.engine.session import session_settings

CHANNEL = "e2i_gateway_live"
ALERT = next(entity for entity in entities().values() if entity.__topic__ is LiveTopic.ALERTS)
"""The model of the alerts that are sent live."""
EVENT = next(entity for entity in entities().values() if entity.__topic__ is LiveTopic.LIFECYCLE)
"""The model of the changes that are sent live."""
ALERTS_TABLE = table_of(ALERT).fullname
STATEMENT_SECONDS = 25.0
PAGE = 500
"""Entries that a reader behind reads at once."""

_SNAPSHOT = re.compile(r"[0-9]{1,19}:[0-9]{1,19}:(?:[0-9]{1,19}(?:,[0-9]{1,19})*)?")
_HISTORY = re.compile(r"(?:[0-9]{1,20}/[0-9]{1,10})?")


EntryFacts = Mapping[str, Any]
"""The content of an entry, by name: texts, numbers of rows, or None."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change: its subject, and the values for filters."""

    position: int
    topic: str
    facts: EntryFacts
    seconds: int
    """The time of writing, in Unix seconds."""


class LogPosition(NamedTuple):
    """A reader's position: everything visible in ``seen``, and of what is visible in ``ahead`` beyond that, all up to
    ``position``.

    ``seen`` and ``ahead`` are snapshots in the form of ``pg_current_snapshot()``, of the ``history`` of
    ``gateway.history()``; it is empty if the server does not provide it. All unread entries were written after
    ``seconds``, in Unix time.
    """

    seconds: int
    history: str
    seen: str
    ahead: str | None = None
    position: int = 0

    @property
    def well_formed(self) -> bool:
        """Whether it can be passed to Postgres."""
        snapshots = all(_SNAPSHOT.fullmatch(one) for one in (self.seen, self.ahead) if one is not None)
        return snapshots and _HISTORY.fullmatch(self.history) is not None

    @property
    def origin(self) -> tuple[str, int]:
        """The identifier of its cluster, and its timeline."""
        cluster, _, timeline = self.history.partition("/")
        return cluster, int(timeline or 0)


@dataclass(frozen=True, slots=True)
class LogEntries:
    """The new entries after a position, up to another one.

    ``entries`` is None if there were more than requested. Everything read is before ``written`` in the primary's log,
    in bytes; None on a standby.
    """

    place: LogPosition
    written: int | None
    entries: Sequence[Entry] | None


_MOMENT = """
    SELECT floor(extract(epoch FROM now()))::bigint AS seconds, coalesce(gateway.history(), '') AS history,
        pg_current_snapshot()::text AS seen,
        (CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_insert_lsn() END - '0/0')::bigint AS written
"""
_NEW = f"""
    SELECT s.*, l.position, l.topic, l.facts::text, floor(extract(epoch FROM l.recorded_at))::bigint
    FROM ({_MOMENT}) AS s
    LEFT JOIN gateway.live_log AS l
        ON l.xact >= pg_snapshot_xmin($1::text::pg_snapshot)::text::bigint
        AND NOT pg_visible_in_snapshot(l.xact::text::xid8, $1::text::pg_snapshot)
    ORDER BY l.position
    LIMIT $2
"""
_BETWEEN = """
    SELECT s.history, l.position, l.topic, l.facts::text, floor(extract(epoch FROM l.recorded_at))::bigint
    FROM (SELECT coalesce(gateway.history(), '') AS history) AS s
    LEFT JOIN gateway.live_log AS l
        ON l.topic = $1
        AND l.xact >= pg_snapshot_xmin($2::text::pg_snapshot)::text::bigint
        AND NOT pg_visible_in_snapshot(l.xact::text::xid8, $2::text::pg_snapshot)
        AND pg_visible_in_snapshot(l.xact::text::xid8, $3::text::pg_snapshot)
        AND l.position > $4
    ORDER BY l.position
    LIMIT $5
"""
_HIDES_ALERTS = f"SELECT row_security_active('{ALERTS_TABLE}')"
_IS_PAST = """
    SELECT pg_snapshot_xmax($1::text::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot())
        OR coalesce(gateway.history(), '') <> $2
"""
_FIRST_OF_OTHERS = """
    SELECT least(
        pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
        (SELECT min(xact) FROM gateway.live_log WHERE timeline > $1)
    )
"""
_STILL_THERE = "SELECT position, facts::text FROM gateway.live_log WHERE position = ANY ($1::bigint[])"


async def connect(connector: Connector, *, prepared_statements: bool = True) -> asyncpg.Connection:
    """A separate connection for listening, outside of pools.

    Without ``prepared_statements`` there may be a pooler, which accepts no settings at connecting.

    Raises:
        OSError, asyncpg.PostgresError: The database cannot be reached.
    """
    name = {"application_name": f"{connector.target.application} live"}
    settings = {**connector.target.settings, **session_settings(STATEMENT_SECONDS, schemas=connector.target.schemas)}
    if prepared_statements:
        how: dict[str, Any] = {"statement_cache_size": 20, "server_settings": name | settings}
    else:
        how = {"statement_cache_size": 0, "server_settings": name}
        how["connection_class"] = poolers.connection_class(settings, read_only=False)
    return await connector(command_timeout=STATEMENT_SECONDS + 5.0, **how)


async def now(connection: asyncpg.Connection) -> LogEntries:
    """The current position."""
    row = await connection.fetchrow(_MOMENT)
    return LogEntries(LogPosition(*row[:3]), row[3], ())


async def read_new(connection: asyncpg.Connection, since: str, most: int) -> LogEntries:
    """All entries not visible in a snapshot, in order, and the position that includes them.

    They are valid only if that position is of the snapshot's history.
    """
    rows = await connection.fetch(_NEW, since, most + 1)
    entries = [_entry(row[4:]) for row in rows if row[4] is not None]
    return LogEntries(LogPosition(*rows[0][:3]), rows[0][3], entries if len(entries) <= most else None)


async def read_between(
    connection: asyncpg.Connection, topic: str, history: str, seen: str, until: str, behind: int
) -> Sequence[Entry] | None:
    """The next entries, at most ``PAGE``, of those visible in ``until`` and not in ``seen``, after a position.

    None if the database has another history.
    """
    rows = await connection.fetch(_BETWEEN, topic, seen, until, behind, PAGE)
    return [_entry(row[1:]) for row in rows if row[1] is not None] if rows[0][0] == history else None


async def is_past(connection: asyncpg.Connection, place: LogPosition) -> bool:
    """Whether a position may belong to this database's past; unknown for another history.

    Raises:
        asyncpg.DataError: Its snapshots are malformed.
    """
    snapshots = [one for one in (place.seen, place.ahead) if one is not None]
    return all([await connection.fetchval(_IS_PAST, one, place.history) for one in snapshots])


async def carried_over(connection: asyncpg.Connection, place: LogPosition, history: str) -> LogPosition:
    """The position in a later history: it includes what it included and still exists, and nothing newer.

    Ids of lost transactions are reused. Entries record their timeline, so the first of a later one ends the old
    snapshot, unless an older transaction is still running.
    """
    first: int = await connection.fetchval(_FIRST_OF_OTHERS, place.origin[1])
    ahead = None if place.ahead is None else _cut(place.ahead, first)
    return place._replace(history=history, seen=_cut(place.seen, first), ahead=ahead)


def _cut(snapshot: str, end: int) -> str:
    """A snapshot that is equal up to a transaction, and excludes all from it on."""
    least, most, running = snapshot.split(":")
    end = min(int(most), end)
    still = [one for one in running.split(",") if one and int(one) < end]
    return f"{min(int(least), end)}:{end}:{','.join(still)}"


async def lost(connection: asyncpg.Connection, entries: Sequence[Entry]) -> Sequence[Entry]:
    """The entries that are missing in the log, or differ there."""
    rows = await connection.fetch(_STILL_THERE, [entry.position for entry in entries])
    there = {position: orjson.loads(facts) for position, facts in rows}
    return [entry for entry in entries if there.get(entry.position) != entry.facts]


async def hides_alerts(connection: asyncpg.Connection) -> bool:
    """Whether row policies may hide alerts from the role that looks for them."""
    return bool(await connection.fetchval(_HIDES_ALERTS))


def _entry(row: Sequence[Any]) -> Entry:
    position, topic, facts, seconds = row
    return Entry(position, topic, orjson.loads(facts), seconds)
