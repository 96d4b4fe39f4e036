"""Rollups: aggregates of a table's rows by time units and keys, stored in the schema `gateway`.

A trigger on the table marks the units of the rows that a statement inserts, updates or deletes, in the same
transaction. A query reads, in one snapshot, the sums of unmarked units and the rows of marked ones; its result is
exact.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST, LAST = "1970-01-01 00:00:00+00", "2200-01-01 00:00:00+00"
"""The range of times, half-open, that units cover; rows outside it or without a time are read as rows."""


@dataclass(frozen=True)
class TimeUnit:
    """A time unit that divides a day, or is a multiple of one; units are aligned to midnight UTC, weeks to Thursdays.

    ``interval`` is a Postgres interval in hours or minutes, since the length of a day depends on the time zone.
    """

    interval: str
    seconds: int

    def start(self, time: str) -> str:
        """SQL of the start of the unit that contains a time."""
        return f"date_bin('{self.interval}', {time}, '{FIRST}'::timestamptz)"

    def next_start(self, time: str) -> str:
        """SQL of the first start of a unit at or after a time."""
        return self.start(f"{time} + interval '{self.interval}' - interval '1 us'")


FIVE_MINUTES, HOUR = TimeUnit("5 minutes", 300), TimeUnit("1 hour", 3600)
SIX_HOURS, DAY = TimeUnit("6 hours", 21_600), TimeUnit("24 hours", 86_400)
WEEK = TimeUnit("168 hours", 604_800)


@dataclass(frozen=True)
class CountedRows:
    """The number of rows that fulfil a condition, SQL over {row} that reads ``columns``, as the measure ``name``."""

    name: str
    condition: str
    columns: tuple[str, ...]

    def over(self, row: str) -> str:
        """SQL of the number, over a row alias."""
        return f"count(*) FILTER (WHERE {self.condition.replace('{row}', row)})"


@dataclass(frozen=True)
class Rollup:
    """A rollup of all numeric columns of a table by a ``time`` column and ``keys``.

    ``units`` are time units, the shorter first, each a multiple of the one before. The columns of ``sketched`` have
    sketches for percentiles.
    """

    time: str
    keys: tuple[str, ...]
    units: tuple[TimeUnit, ...]
    sketched: tuple[str, ...] = ()
    counted: tuple[CountedRows, ...] = ()

    @property
    def unit(self) -> TimeUnit:
        """The shortest unit."""
        return self.units[0]


@dataclass(frozen=True)
class GroupsSelect:
    """A SELECT over the groups of a rollup's keys within a window: what a `Derived` reads in place of its rows.

    ``of`` names the entity with the rollup. ``since`` and ``until`` are SQL of the half-open window. ``select`` is over
    ``{groups}``, which has the keys, ``row_count``, the stored aggregates ``sums`` by their names (``auc_sum``), and
    the percentiles ``ranks`` of sketched columns: ``("auc", 0.5)`` as ``auc_p50``.
    """

    of: str
    since: str
    until: str
    sums: tuple[str, ...]
    ranks: tuple[tuple[str, float], ...]
    select: str
