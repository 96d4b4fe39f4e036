"""Detecting new and changed alerts of any writer: a part of the table at a time, written to the live log.

No column or index that identifies changed rows can be assumed, but every row has an ``xmin``: a row written by a
transaction older than all that were running at the last look is unchanged. So a look reads the most recently written
alerts, if an index on ``updated_at`` gives them, and the next part of the table, which finds the others, such as rows
whose writer set no time. Without the index it reads the whole table, a part at a time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import asyncpg

from db.store.changelog import ALERTS_TABLE, CHANNEL

PAGES = 1_000
"""Pages of the table that are read at once, of 8 kB each with some 20 alerts."""
LEAST_PAGES = 64
"""Pages that are read at once if reading is slow."""
PART_SECONDS = 0.004
"""Seconds for a part, beside the most recent rows: the connection serves other statements, too."""
FIRST_PAGES = 16
"""Pages whose alerts are recorded at once, at first."""
FIRST_SECONDS = 0.05
"""Seconds for a part whose alerts are recorded: each is written."""
NEWEST = 2_000
"""The most recent alerts that are read by the time of their last change."""
_KEPT_SECONDS = 60.0
"""Seconds between two records of the looks' progress."""
_LIMITS = {"lock_timeout": "200ms", "statement_timeout": "2s"}
"""The statement timeout of a look: the connection serves other statements, too."""

MARK = "00000000-0000-0000-0000-000000000000"
"""The id of no alert: its entry records that there was a first look, and the progress of looks."""
_CLUSTER = "hashtextextended(split_part(gateway.history(), '/', 1), 1)"
_LAST = "(4294967295,0)"

# The lock is a statement of its own: the next one sees what the previous look wrote.
_BEGIN = f"""
    SELECT pg_try_advisory_xact_lock(hashtext('e2i gateway alerts')),
        {", ".join(f"set_config('{name}', '{value}', true)" for name, value in _LIMITS.items())}
"""
# The record is valid for this cluster only: transaction ids differ elsewhere.
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
# $1 is the oldest transaction that was running at an earlier look, null for a look at every row. A transaction id older
# than half of the id space has no age.
_REACH = """(
    SELECT CASE
        WHEN $1::bigint IS NULL OR pg_snapshot_xmax(pg_current_snapshot())::text::bigint - $1 > 2000000000
        THEN 2147483647
        ELSE age(($1 & 4294967295)::text::xid)
    END
)"""
# An alert is new or changed if its row differs from the last look: by its xmin, which is cheap to compare, and if that
# differs by its content: restoring a dump changes every xmin. Recorded rows are looked up one by one, since the planner
# cannot estimate how few are new. $2: whether new rows are sent, or only recorded.
_LOOK = f"""
    WITH rewritten AS (
        SELECT a.id::uuid AS id, a.xmin::text::bigint AS version, hashtextextended(a::text, 0) AS content,
            s.content AS before, to_jsonb(a) AS whole
        FROM {ALERTS_TABLE} AS a
        LEFT JOIN LATERAL (
            SELECT version, content FROM gateway.alerts_seen WHERE alert_id = a.id::uuid LIMIT 1
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
"""Rows between two locations of the table."""


def newest(nulls: str) -> str:
    """The most recently changed rows, in the order of an index with nulls first or last."""
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


def paced(pages: int, seconds: float, wanted: float, least: int) -> int:
    """The number of pages to read next, given the duration of the last ones: it approaches what takes the ``wanted``
    seconds."""
    enough = int(pages * wanted / max(seconds, wanted / 8))
    return min(max(enough, pages // 2, least), 2 * pages, PAGES)


@dataclass
class _Round:
    """One pass over the table."""

    horizon: int
    """The oldest transaction that was running when it began."""
    pages: int
    file: int | None
    """The file of the table: in another one rows have other locations."""
    known: bool
    """Whether new rows are sent: all earlier ones are recorded."""
    since: int | None
    """The stored horizon of the last pass."""
    nulls: str | None
    """Where the index on the time of the last change has nulls; None without an index."""
    at: int = 0


class AlertsLook:
    """Looks for alerts on one connection, step by step; every step is a transaction of its own.

    One gateway looks at a time; the others receive its notification.
    """

    def __init__(self) -> None:
        self.unfinished = False
        """Whether the next step should follow at once."""
        self.remembering = True
        """Whether not all alerts are recorded yet: until then none is sent."""
        self._share = 1
        """The number of pages at once, as a multiple of the usual one."""
        self._pages = PAGES
        """Pages that are read at once beside the most recent rows."""
        self._first_pages = FIRST_PAGES
        """Pages that are recorded at once by the first look."""
        self._round: _Round | None = None
        self._since: int | None = None
        """The horizon of the last pass: earlier transactions' rows were seen; None before the first."""
        self._newest_since: int | None = None
        self._begun = False
        self._kept_at = float("-inf")
        self._hurry = False
        """Whether more rows changed recently than are read by time."""

    def failed(self) -> None:
        """Handles a failed step, which had no effect: the next one does less."""
        self.unfinished = False
        self._share = min(self._share * 4, 64)

    async def step(self, connection: asyncpg.Connection) -> None:
        """Reads the most recently written alerts, and the next part of the table.

        Raises:
            asyncpg.PostgresError: The table is missing, not readable or locked, or a part of it takes too long.
        """
        seen = keeps = moved = None
        async with connection.transaction(isolation="read_committed"):
            if not await connection.fetchval(_BEGIN):
                self.unfinished = self.remembering
                return
            one = self._round or await self._new_round(connection)
            beside = one.known and one.nulls is not None
            usual = min(self._pages, PAGES) if beside else PAGES if one.known else self._first_pages
            pages = max(usual // self._share, 1)
            until = one.at + pages
            is_last = until >= one.pages
            if one.known and one.nulls and one.pages > pages:
                seen = await connection.fetchrow(newest(one.nulls), self._newest_since, one.known)
            where = f"({one.at},0)", _LAST if is_last else f"({until},0)"
            began = time.monotonic()
            await connection.fetchrow(PART, self._since, one.known, *where)
            took = time.monotonic() - began
            if is_last:
                moved = await connection.fetchval(_FILE) != one.file  # rows may have been missed
                keeps = not one.known or time.monotonic() - self._kept_at >= _KEPT_SECONDS
                if keeps and not moved:
                    await connection.execute(_KEEP, one.horizon)
            elif not one.known:
                self._first_pages = paced(pages, took, FIRST_SECONDS, 1)
            elif beside:
                self._pages = paced(pages, took, PART_SECONDS, LEAST_PAGES)
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
