"""Rollups: sums of a table's rows by units of time and keys, which are kept in the schema `gateway`.

A trigger on the table marks the units of the rows that a statement adds, changes or removes, in the same transaction. A
reader takes the sums of units without a mark, and the rows of the others, in one snapshot: what it answers is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import TEXT, BigInteger, Column, Double, Enum, Float, Index, Integer, Numeric, Table
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.types import TypeEngine

from db.base.entity import OWN_SCHEMA, Entity, entities, table_of

FIRST, LAST = "1970-01-01 00:00:00+00", "2200-01-01 00:00:00+00"
"""Rows before and behind these times, and those without one, are in no unit: they are read by themselves."""
PARTS = ("count", "sum", "min", "max")
"""What is kept of a measure, beside the number of rows."""
TRIGGER = "e2i_rollup"
"""What the names of the triggers begin with."""


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


def rollups() -> Iterator[tuple[Table, Rollup]]:
    """The tables that are rolled up."""
    for entity in entities().values():
        if entity.__rollup__ is not None:
            yield table_of(entity), entity.__rollup__


def sums_table(table: str) -> str:
    """The table that holds the sums of a table, without its schema."""
    return f"rollup_{table}"


def measures(table: Table, rollup: Rollup) -> Mapping[str, TypeEngine[Any]]:
    """The columns that are summed up, with the types of their sums."""
    found: dict[str, TypeEngine[Any]] = {}
    for column in table.columns:
        if column.name in rollup.keys or not isinstance(column.type, Integer | Numeric | Float):
            continue
        if isinstance(column.type, Float):
            found[column.name] = Double()
        elif isinstance(column.type, Integer) and not isinstance(column.type, BigInteger):
            found[column.name] = BigInteger()
        else:
            found[column.name] = Numeric()
    return found


def make_sums_table(entity: type[Entity], rollup: Rollup) -> Table:
    """The table of the sums of an entity's rows: one row for each unit and keys that have any."""
    table = table_of(entity)
    columns: list[Column[Any]] = [
        Column("unit", TEXT(), nullable=False, comment="Length of the unit, such as 1 hour."),
        Column("at", TIMESTAMP(timezone=True), nullable=False, comment="Start of the unit."),
    ]
    for name in rollup.keys:
        type_ = table.c[name].type
        kept = TEXT() if isinstance(type_, Enum) else type_
        columns.append(Column(name, kept, comment=f"{name} of the rows."))
    columns.append(Column("row_count", BigInteger(), nullable=False, comment="Number of rows."))
    for name, sum_ in measures(table, rollup).items():
        types = {"count": BigInteger(), "sum": sum_, "min": table.c[name].type, "max": table.c[name].type}
        words = {"count": "Number of values of", "sum": "Sum of", "min": "Least", "max": "Greatest"}
        columns += [Column(f"{name}_{part}", types[part], comment=f"{words[part]} {name}.") for part in PARTS]
    own = sums_table(table.name)
    return Table(
        own,
        entity.metadata,
        *columns,
        Index(f"ix_{own}_unit_at", "unit", "at"),
        Index(f"ix_{own}_keys", *rollup.keys, "unit", "at"),
        schema=OWN_SCHEMA,
        comment=f"Sums of the rows of {table.fullname} by units of time; those of marked units are behind.",
    )
