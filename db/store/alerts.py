"""Detecting new and changed alerts of any writer: a part of the table at a time, written to the live log.

No column and no index can be counted on that tell which rows have changed, but every row has an ``xmin``: one that an
older transaction wrote than were under way at the last look is as it was then. So a look reads the alerts that were
written last, where an index gives them by ``updated_at``, and the next part of the table, which finds what that does
not, such as rows whose writer set no time. Without the index it reads the whole table, a part at a time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import asyncpg

from db.store.changelog import ALERTS_TABLE, CHANNEL

PAGES = 1_000
"""Pages of the table that are read at once, of 8 kB each and some 20 alerts."""
LEAST_PAGES = 64
"""Pages that are read at once where reading is slow."""
PART_SECONDS = 0.004
"""How long a part may take beside what was written last: others are told by the same connection."""
FIRST_PAGES = 200
"""Pages whose alerts are remembered at once."""
NEWEST = 2_000
"""Alerts that are looked at by the time of their last change."""
_KEPT_SECONDS = 60.0
"""Seconds between two times that it is noted how far looks have come."""
_LIMITS = {"lock_timeout": "200ms", "statement_timeout": "2s"}
"""What a look may take: others are told by the same connection."""

MARK = "00000000-0000-0000-0000-000000000000"
"""The alert that is none: its entry says that there was a first look, and how far the looks are."""
_CLUSTER = "hashtextextended(split_part(gateway.history(), '/', 1), 1)"
_LAST = "(4294967295,0)"

# The lock is a statement of its own: the next one sees what the look before wrote.
_BEGIN = f"""
    SELECT pg_try_advisory_xact_lock(hashtext('e2i gateway alerts')),
        {", ".join(f"set_config('{name}', '{value}', true)" for name, value in _LIMITS.items())}
"""
# What the mark says is of this cluster alone: elsewhere numbers of transactions are those of others.
_ROUND = f"""
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon,
        coalesce(
            (SELECT max(pg_relation_size(relid)) FROM pg_partition_tree('{ALERTS_TABLE}')),
            pg_relation_size('{ALERTS_TABLE}')
        ) / current_setting('block_size')::bigint AS pages,
        pg_relation_filenode('{ALERTS_TABLE}')::bigint AS file,
        mark.alert_id IS NOT NULL AS known,
        CASE WHEN mark.content = {_CLUSTER}
            AND mark.version BETWEEN 1 AND pg_snapshot_xmax(pg_current_snapshot())::text::bigint
            THEN mark.version END AS since,
        (
            SELECT CASE WHEN (i.indoption[0] & 1 = 1) = (i.indoption[0] & 2 = 2) THEN 'FIRST' ELSE 'LAST' END
            FROM pg_index AS i
            JOIN pg_class AS c ON c.oid = i.indexrelid
            JOIN pg_am AS m ON m.oid = c.relam AND m.amname = 'btree'
            JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
            WHERE i.indrelid = '{ALERTS_TABLE}'::regclass AND i.indisvalid AND i.indpred IS NULL
                AND a.attname = 'updated_at'
            LIMIT 1
        ) AS nulls
    FROM (SELECT) AS one
    LEFT JOIN gateway.alerts_seen AS mark ON mark.alert_id = '{MARK}'
"""
# $1 is the oldest transaction that was not over at an earlier look, null for a look at every row. What is older than
# half of all numbers has no age.
_REACH = """(
    SELECT CASE
        WHEN $1::bigint IS NULL OR pg_snapshot_xmax(pg_current_snapshot())::text::bigint - $1 > 2000000000
        THEN 2147483647
        ELSE age(($1 & 4294967295)::text::xid)
    END
)"""
# An alert is new or changed if it is another row than at the last look: by its xmin, which costs nothing to compare,
# and where that differs by its content: restoring a dump gives every row another one. What was seen is looked up row by
# row, since no planner can know how few rows are new. $2: whether what is new is told, or remembered alone.
_LOOK = f"""
    WITH rewritten AS (
        SELECT a.id, a.xmin::text::bigint AS version, hashtextextended(a::text, 0) AS content,
            s.content AS before, to_jsonb(a) AS whole
        FROM {ALERTS_TABLE} AS a
        LEFT JOIN LATERAL (
            SELECT version, content FROM gateway.alerts_seen WHERE alert_id = a.id LIMIT 1
        ) AS s ON true
        WHERE {{those}} AND age(a.xmin) <= {_REACH} AND s.version IS DISTINCT FROM a.xmin::text::bigint
    ),
    remembered AS (
        INSERT INTO gateway.alerts_seen AS s (alert_id, version, content)
        SELECT id, version, content FROM rewritten
        ON CONFLICT (alert_id) DO UPDATE SET version = excluded.version, content = excluded.content
    ),
    logged AS (
        INSERT INTO gateway.live_log (topic, timeline, facts)
        SELECT 'alerts', gateway.timeline(), jsonb_build_object(
            'alert', id, 'change', CASE WHEN before IS NULL THEN 'RAISED' ELSE 'CHANGED' END,
            'severity', whole -> 'severity', 'status', whole -> 'status', 'model', whole -> 'model_id'
        )
        FROM rewritten
        WHERE $2::boolean AND content IS DISTINCT FROM before
        ORDER BY whole ->> 'updated_at', id
        RETURNING 1
    )
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon,
        (SELECT count(*) FROM rewritten) AS found,
        (SELECT pg_notify('{CHANNEL}', 'log') FROM (SELECT FROM logged LIMIT 1) AS any_at_all)
"""
PART = _LOOK.format(those="a.ctid >= $3::text::tid AND a.ctid < $4::text::tid")
"""Of the rows between two places of the table."""


def newest(nulls: str) -> str:
    """Of the rows that were changed last, in the order of an index that has rows without a time first or last."""
    those = f"""a.ctid = ANY (ARRAY(
        SELECT ctid FROM (
            SELECT ctid, xmin FROM {ALERTS_TABLE} WHERE updated_at IS NOT NULL
            ORDER BY updated_at DESC NULLS {nulls} LIMIT {NEWEST}
        ) AS newest
        WHERE age(newest.xmin) <= {_REACH}
    ))"""
    return _LOOK.format(those=those)


_FILE = f"SELECT pg_relation_filenode('{ALERTS_TABLE}')::bigint"
_KEEP = f"""
    INSERT INTO gateway.alerts_seen AS s (alert_id, version, content) VALUES ('{MARK}', $1, coalesce({_CLUSTER}, 0))
    ON CONFLICT (alert_id) DO UPDATE SET version = excluded.version, content = excluded.content
"""


def paced(pages: int, seconds: float) -> int:
    """How many pages to read next, where so many have taken so many seconds: as many as `PART_SECONDS` are enough for,
    by and by."""
    enough = int(pages * PART_SECONDS / max(seconds, PART_SECONDS / 8))
    return min(max(enough, pages // 2, LEAST_PAGES), 2 * pages, PAGES)


@dataclass
class _Round:
    """One way through the table."""

    horizon: int
    """What was under way when it began is not older than this transaction."""
    pages: int
    file: int | None
    """The file of the table: rows are in other places of another one."""
    known: bool
    """Whether what is new is told: all was remembered before."""
    since: int | None
    """The horizon of the last way through the table, as it is noted."""
    nulls: str | None
    """Where the index of the time of the last change has rows without one; None if there is no index."""
    at: int = 0


class AlertsLook:
    """Looks for alerts on one connection, step by step; every step is a transaction of its own.

    One gateway looks at a time; the others are told by its notification.
    """

    def __init__(self) -> None:
        self.unfinished = False
        """Whether the next step should follow at once."""
        self.remembering = True
        """Whether alerts are not yet all remembered: until then none is told of."""
        self._share = 1
        """Of how many pages at once: those that are usual, by this number."""
        self._pages = PAGES
        """Pages that are read at once beside what was written last."""
        self._round: _Round | None = None
        self._since: int | None = None
        """What earlier transactions wrote was seen by the last way through the table; None before the first."""
        self._newest_since: int | None = None
        self._begun = False
        self._kept_at = float("-inf")
        self._hurry = False
        """Whether more were written last than are looked at by their time."""

    def failed(self) -> None:
        """A step has failed, and nothing came of it: the next one does less."""
        self.unfinished = False
        self._share = min(self._share * 4, 64)

    async def step(self, connection: asyncpg.Connection) -> None:
        """Looks at the alerts that were written last, and at the next part of the table.

        Raises:
            asyncpg.PostgresError: The table is missing, closed or locked, or a part of it takes too long.
        """
        seen = keeps = moved = None
        async with connection.transaction(isolation="read_committed"):
            if not await connection.fetchval(_BEGIN):
                self.unfinished = self.remembering
                return
            one = self._round or await self._new_round(connection)
            beside = one.known and one.nulls is not None
            usual = min(self._pages, PAGES) if beside else PAGES if one.known else FIRST_PAGES
            pages = max(usual // self._share, 1)
            until = one.at + pages
            is_last = until >= one.pages
            if one.known and one.nulls and one.pages > pages:
                seen = await connection.fetchrow(newest(one.nulls), self._newest_since, one.known)
            where = f"({one.at},0)", _LAST if is_last else f"({until},0)"
            began = time.monotonic()
            await connection.fetchrow(PART, self._since, one.known, *where)
            if beside and not is_last:
                self._pages = paced(pages, time.monotonic() - began)
            if is_last:
                moved = await connection.fetchval(_FILE) != one.file  # rows may have been passed by
                keeps = not one.known or time.monotonic() - self._kept_at >= _KEPT_SECONDS
                if keeps and not moved:
                    await connection.execute(_KEEP, one.horizon)
        if seen is not None:
            self._newest_since = seen["horizon"]
            self._hurry |= seen["found"] >= NEWEST
        self._round, one.at = one, until
        self.remembering = not one.known and (not is_last or bool(moved))
        self.unfinished = self.remembering or bool(moved) or (not is_last and (not one.nulls or self._hurry))
        if is_last:
            self._round = None
        if is_last and not moved:
            self._since, self._hurry, self._share = one.horizon, False, 1
            self._newest_since = self._newest_since if one.known else one.horizon
            self._kept_at = time.monotonic() if keeps else self._kept_at

    async def _new_round(self, connection: asyncpg.Connection) -> _Round:
        one = _Round(*await connection.fetchrow(_ROUND))
        if not self._begun:
            self._begun = True
            self._since = self._newest_since = one.since if one.known else None
        return one
