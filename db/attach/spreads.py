"""Distributions of the times of columns, from Postgres's statistics, and the rows that these do not have yet."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base.system_catalog import ANALYZED, IN_SCHEMAS, STORED, relation_name


@dataclass(frozen=True)
class Spread:
    """The distribution of a column's times, in seconds since 1970, as in ``pg_stats``.

    ``frequent`` are the most common values with their shares of the rows. ``bounds`` are the ascending bounds of an
    equi-depth histogram of ``divided``, the share of rows with other values. The remaining rows are null.
    """

    bounds: tuple[float, ...]
    divided: float = 1.0
    frequent: tuple[tuple[float, float], ...] = ()

    def share(self, first: float | None, last: float | None) -> float:
        """The share of rows, 0 to 1, in a closed interval; None is unbounded."""
        low = 0.0 if first is None else self._before(first)
        high = 1.0 if last is None else self._before(last)
        alike = sum(
            share
            for time, share in self.frequent
            if (first is None or time >= first) and (last is None or time <= last)
        )
        return min(1.0, alike + self.divided * max(0.0, high - low))

    def is_beyond(self, last: float | None) -> bool:
        """Whether an interval that ends at ``last`` extends past the latest time in the statistics."""
        return last is None or last > self.bounds[-1]

    @property
    def pace(self) -> float:
        """The share of all rows that a second has, in the last part of the histogram: of the newest rows."""
        lasted = self.bounds[-1] - self.bounds[-2]
        return self.divided / (len(self.bounds) - 1) / max(lasted, 1e-6)

    def _before(self, time: float) -> float:
        """The share, 0 to 1, of the histogram's rows before a time."""
        place = bisect_right(self.bounds, time)
        if place == 0:
            return 0.0
        if place == len(self.bounds):
            return 1.0
        start, end = self.bounds[place - 1], self.bounds[place]
        return (place - 1 + (time - start) / (end - start)) / (len(self.bounds) - 1)


@dataclass(frozen=True)
class Spreads:
    """The distribution of a column's times over the parts of a table, one unless it is partitioned; each has a weight,
    its share of the rows.

    ``unseen`` are the rows that were written since the statistics were made. ``anywhere`` are those of them that the
    pace of the newest rows does not explain, so that their times may be old.
    """

    parts: tuple[tuple[float, Spread], ...]
    unseen: int = 0
    anywhere: int = 0

    def rows(self, all_rows: int, first: float | None, last: float | None) -> int:
        """The approximate number, of ``all_rows``, in a closed interval; None is unbounded.

        An interval past the latest time in the statistics also contains all rows written since.
        """
        share = sum(weight * spread.share(first, last) for weight, spread in self.parts)
        is_beyond = all(spread.is_beyond(last) for _, spread in self.parts)
        return min(all_rows, round(all_rows * share) + 1 + (self.unseen if is_beyond else self.anywhere))


class _Written(NamedTuple):
    """The rows of a part, those that were written since it was analyzed, and how many seconds that is ago."""

    rows: float
    unseen: int
    seconds: float


@dataclass
class _Stores:
    """The parts of a table as they are read: rows by part, distributions by column and part."""

    written: dict[int, _Written] = field(default_factory=dict)
    spreads: dict[str, dict[int, Spread]] = field(default_factory=dict)

    def column(self, name: str) -> Spreads:
        found = self.spreads[name]
        total = sum(self.written[part].rows for part in found) or 1.0
        unseen = anywhere = 0
        for part, (rows, written, seconds) in self.written.items():
            unseen += written
            newest = 0.0 if part not in found else rows * found[part].pace * seconds
            # the pace may double; what is unknown may be of any time
            anywhere += max(0, written - round(2 * newest)) if part in found else 0
        return Spreads(tuple((self.written[part].rows / total, one) for part, one in found.items()), unseen, anywhere)


_WRITTEN = text(f"""
    SELECT {relation_name()}, p.oid::bigint, greatest(p.reltuples, 1)::float8,
        CASE WHEN v.at > z.at THEN pg_stat_get_mod_since_analyze(p.oid)
            ELSE least(pg_stat_get_mod_since_analyze(p.oid), pg_stat_get_ins_since_vacuum(p.oid)) END::bigint,
        coalesce(extract(epoch FROM now() - z.at), 0)::float8
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    {STORED}
    CROSS JOIN LATERAL (
        SELECT greatest(pg_stat_get_last_analyze_time(p.oid), pg_stat_get_last_autoanalyze_time(p.oid))
    ) AS z (at)
    CROSS JOIN LATERAL (
        SELECT greatest(pg_stat_get_last_vacuum_time(p.oid), pg_stat_get_last_autovacuum_time(p.oid))
    ) AS v (at)
    WHERE {IN_SCHEMAS} AND c.relname = ANY (:names) AND p.relkind = 'r'
""")  # inserted rows are counted since the last VACUUM, changed ones since the last ANALYZE
_SPREADS = text(f"""
    SELECT {relation_name()}, p.oid::bigint, s.attname::text,
        1 - s.null_frac::float8,
        ARRAY(SELECT extract(epoch FROM one)::float8 FROM unnest(s.most_common_vals::text::timestamptz[]) AS one),
        s.most_common_freqs::float8[],
        ARRAY(
            SELECT extract(epoch FROM one)::float8 FROM unnest(s.histogram_bounds::text::timestamptz[]) AS one
            WHERE isfinite(one) ORDER BY one
        )
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    {ANALYZED}
    JOIN pg_attribute AS a ON a.attrelid = p.oid AND a.attname = s.attname
    WHERE {IN_SCHEMAS} AND c.relname = ANY (:names) AND s.histogram_bounds IS NOT NULL
        AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
""")


async def spreads(connection: AsyncConnection, known: Mapping[str, Any]) -> dict[str, dict[str, Spreads]]:
    """The distributions of analyzed time columns, by table and column; ``known`` are the schemas and table names."""
    found: dict[str, _Stores] = {}
    for table, part, *written in await connection.execute(_WRITTEN, known):
        found.setdefault(table, _Stores()).written[part] = _Written(*written)
    for table, part, column, valued, times, shares, bounds in await connection.execute(_SPREADS, known):
        if len(bounds) > 1 and table in found:
            found[table].written.setdefault(part, _Written(1.0, 0, 0.0))  # statistics of a whole that has partitions
            frequent = tuple(zip(times, shares or (), strict=True))
            spread = Spread(tuple(bounds), max(0.0, valued - sum(shares or ())), frequent)
            found[table].spreads.setdefault(column, {})[part] = spread
    return {table: {column: parts.column(column) for column in parts.spreads} for table, parts in found.items()}
