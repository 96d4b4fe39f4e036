"""Tables of rollups: the columns that are aggregated, and the table that stores their sums."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import TEXT, BigInteger, Column, Double, Enum, Float, Index, Integer, Numeric, Table
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.types import TypeEngine

from db.base.entity import OWN_SCHEMA, Entity, entities, table_of
from db.base.rollups import Rollup

PARTS = ("count", "sum", "min", "max")
"""The aggregates stored for each measure, besides the number of rows."""
TRIGGER = "e2i_rollup"
"""Prefix of the triggers' names."""


def rollups() -> Iterator[tuple[Table, Rollup]]:
    """The tables that have a rollup, with its declaration."""
    for entity in entities().values():
        if entity.__rollup__ is not None:
            yield table_of(entity), entity.__rollup__


def sums_table(table: str) -> str:
    """The name, without the schema, of the table that stores the sums of a table."""
    return f"rollup_{table}"


def measures(table: Table, rollup: Rollup) -> Mapping[str, TypeEngine[Any]]:
    """The aggregated columns, by name, with the types of their sums."""
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


def sketch_columns(column: str) -> tuple[str, str]:
    """The names of the columns with the sketch of a column: its buckets, ascending, and the rows in each."""
    return f"{column}_buckets", f"{column}_bucket_rows"


def stored_measures(table: Table, rollup: Rollup, there: Collection[str]) -> Sequence[str]:
    """The names of all that can be stored if the table has the columns ``there``: lengths of units, columns with sums,
    buckets of sketches, numbers of rows."""
    return [
        *(unit.interval for unit in rollup.units),
        *(name for name in measures(table, rollup) if name in there),
        *(sketch_columns(name)[0] for name in rollup.sketched if name in there),
        *(one.name for one in rollup.counted if set(one.columns) <= set(there)),
    ]


def make_sums_table(entity: type[Entity], rollup: Rollup) -> Table:
    """The table of an entity's sums: one row per unit and combination of keys that has rows."""
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
    for name in rollup.sketched:
        buckets, rows = sketch_columns(name)
        columns.append(Column(buckets, ARRAY(Integer()), comment=f"Buckets of the values of {name}, ascending."))
        columns.append(Column(rows, ARRAY(BigInteger()), comment=f"Number of values of {name} in each bucket."))
    for one in rollup.counted:
        condition = one.condition.replace("{row}.", "")
        columns.append(Column(one.name, BigInteger(), comment=f"Number of rows with {condition}."))
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
