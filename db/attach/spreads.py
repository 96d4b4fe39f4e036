"""Distributions of the times of columns, from Postgres's statistics."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base.system_catalog import relation_name


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

    def _before(self, time: float) -> float:
        """The share, 0 to 1, of the histogram's rows before a time."""
        place = bisect_right(self.bounds, time)
        if place == 0:
            return 0.0
        if place == len(self.bounds):
            return 1.0
        start, end = self.bounds[place - 1], self.bounds[place]
        return (place - 1 + (time - start) / (end - start)) / (len(self.bounds) - 1)


_SPREADS = text(f"""
    SELECT {relation_name()}, a.attname::text,
        1 - s.null_frac::float8,
        ARRAY(SELECT extract(epoch FROM one)::float8 FROM unnest(s.most_common_vals::text::timestamptz[]) AS one),
        s.most_common_freqs::float8[],
        ARRAY(
            SELECT extract(epoch FROM one)::float8 FROM unnest(s.histogram_bounds::text::timestamptz[]) AS one
            WHERE isfinite(one) ORDER BY one
        )
    FROM pg_stats AS s
    JOIN pg_namespace AS n ON n.nspname = s.schemaname
    JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = s.tablename
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = s.attname
    WHERE n.nspname = ANY (:schemas) AND c.relname = ANY (:names) AND s.histogram_bounds IS NOT NULL
        AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
    ORDER BY s.inherited
""")


async def spreads(connection: AsyncConnection, known: Mapping[str, Any]) -> dict[str, dict[str, Spread]]:
    """The distributions of analyzed time columns, by table and column; ``known`` are the schemas and table names."""
    found: dict[str, dict[str, Spread]] = {}
    for table, column, valued, times, shares, bounds in await connection.execute(_SPREADS, known):
        if len(bounds) > 1:
            frequent = tuple(zip(times, shares or (), strict=True))
            spread = Spread(tuple(bounds), max(0.0, valued - sum(shares or ())), frequent)
            found.setdefault(table, {})[column] = spread
    return found
