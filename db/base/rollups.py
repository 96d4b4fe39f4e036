"""Rollups: sums of a table's rows by units of time and keys, which are kept in the schema `gateway`.

A trigger on the table marks the units of the rows that a statement adds, changes or removes, in the same transaction. A
reader takes the sums of units without a mark, and the rows of the others, in one snapshot: what it answers is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST, LAST = "1970-01-01 00:00:00+00", "2200-01-01 00:00:00+00"
"""Rows before and behind these times, and those without one, are in no unit: they are read by themselves."""


@dataclass(frozen=True)
class TimeUnit:
    """A length of time that divides a day, as Postgres writes it: in hours, not in days, which change with time zones.

    Units begin at midnight UTC.
    """

    interval: str
    seconds: int

    def start(self, time: str) -> str:
        """The start of the unit that a time is in, as SQL."""
        return f"date_bin('{self.interval}', {time}, '{FIRST}'::timestamptz)"

    def next_start(self, time: str) -> str:
        """The first start of a unit at a time or behind it, as SQL."""
        return self.start(f"{time} + interval '{self.interval}' - interval '1 us'")


FIVE_MINUTES, HOUR, DAY = TimeUnit("5 minutes", 300), TimeUnit("1 hour", 3600), TimeUnit("24 hours", 86400)


@dataclass(frozen=True)
class Rollup:
    """Sums of all numbers of a table by one or two ``units`` of a ``time``, the shorter first, and by ``keys``."""

    time: str
    keys: tuple[str, ...]
    units: tuple[TimeUnit, ...]

    @property
    def unit(self) -> TimeUnit:
        """The shortest."""
        return self.units[0]
