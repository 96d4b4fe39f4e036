"""Demo rows in memory, and how they get into the database by COPY."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
from pgvector.sqlalchemy import Vector
from sqlalchemy import Column, Numeric, Uuid
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from db.base.vocabulary import Entity, table_of
from db.migrations.setup import SetupError
from db.models.g07_model_monitoring import DriftRecord
from db.models.g07_monitoring_alerts import MonitoringAlert

Row = dict[str, Any]
Progress = Callable[[str, int, int], None]

FLUSH_ROWS = 20_000
"""Rows that one COPY sends before progress is told."""
STATEMENT_ROWS = 50
"""Rows with vectors that one statement adds."""


class DemoError(SetupError):
    """The demo data cannot be loaded; the message says why and nothing was changed."""


@dataclass(frozen=True)
class TableShape:
    """What a row of a table must say, and how its values are written."""

    columns: frozenset[str]
    key: str | None  # a UUID key, made up where a row does not give it
    order: str | None
    clocks: tuple[str, ...]  # times that the database would fill with the time of loading
    changed: str | None  # the time of the last change
    moments: tuple[str, ...]
    converters: Mapping[str, Callable[[Any], Any]]
    has_vector: bool


@cache
def shape(entity: type[Entity]) -> TableShape:
    """Derives from the model what a row of its table must say."""
    columns = list(table_of(entity).columns)
    keys = [column.name for column in columns if column.primary_key and isinstance(column.type, Uuid)]
    names = {column.name for column in columns}
    return TableShape(
        columns=frozenset(names),
        key=keys[0] if keys else None,
        order=entity.__order__,
        clocks=tuple(column.name for column in columns if _is_clock(column)),
        changed=next((name for name in ("updated_at", "updated_date") if name in names), None),
        moments=tuple(column.name for column in columns if isinstance(column.type, TIMESTAMP)),
        converters={column.name: convert for column in columns if (convert := _converter(column)) is not None},
        has_vector=any(isinstance(column.type, Vector) for column in columns),
    )


def _is_clock(column: Column[Any]) -> bool:
    default = str(getattr(column.server_default, "arg", ""))
    return default in {"now()", "CURRENT_DATE"}


def _converter(column: Column[Any]) -> Callable[[Any], Any] | None:
    kind = column.type
    if isinstance(kind, JSONB):
        return json.dumps
    if isinstance(kind, Numeric) and kind.asdecimal:
        step = Decimal(1).scaleb(-(kind.scale or 0))
        return lambda value: Decimal(str(value)).quantize(step)
    if isinstance(kind, TIMESTAMP) and not kind.timezone:
        return lambda value: value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(kind, Vector):
        return lambda value: "[" + ",".join(map(str, value)) + "]"
    return None


def written(entity: type[Entity], row: Row, columns: Sequence[str]) -> tuple[Any, ...]:
    """The row's values as the driver wants them, in the order of the columns."""
    convert = shape(entity).converters
    return tuple(
        convert[name](row[name]) if name in convert and row[name] is not None else row[name] for name in columns
    )


class RowBuffer:
    """Rows in memory, by table, until they are written in the order of the foreign keys."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._rows: dict[type[Entity], list[Row]] = {}
        self._by_id: dict[UUID, Row] = {}
        self.raised: list[Row] = []
        """What becomes of the alerts that the database raises for drift, by drift_history_id."""

    def uuid(self) -> UUID:
        return UUID(int=self._rng.getrandbits(128), version=4)

    def add(self, entity: type[Entity], **values: Any) -> Row:
        """Adds a row and returns it; later changes of it count until it is written.

        An id that is missing is made up. A missing time that the database would set to the time of loading becomes the
        row's own: the time that its table is ordered by, and for the last change the last time in the row.
        """
        told = shape(entity)
        unknown = values.keys() - told.columns
        if unknown:
            raise TypeError(f"{entity.__name__} has no column {', '.join(sorted(unknown))}")
        if told.key and told.key not in values:
            values[told.key] = self.uuid()
        self._rows.setdefault(entity, []).append(values)
        if told.key:
            self._by_id[values[told.key]] = values
        return values

    def row(self, identity: UUID) -> Row:
        """The row of this id, unless it has been written already."""
        return self._by_id[identity]

    def take(self) -> dict[type[Entity], list[Row]]:
        """Hands over the rows, complete, and forgets them."""
        taken, self._rows, self._by_id = self._rows, {}, {}
        for entity, rows in taken.items():
            told = shape(entity)
            for row in rows:
                _set_clocks(told, row)
        return taken

    def take_raised(self) -> list[Row]:
        taken, self.raised = self.raised, []
        return taken


def _set_clocks(told: TableShape, row: Row) -> None:
    missing = [name for name in told.clocks if row.get(name) is None]
    if not missing:
        return
    moments = [row[name] for name in told.moments if row.get(name) is not None]
    for name in missing:
        if name == told.changed:
            row[name] = max(moments)
        else:
            row[name] = row[told.order] if told.order and row.get(told.order) else min(moments)


class Writer:
    """Writes rows in one transaction of an asyncpg connection, counts them and tells the progress."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        generated: set[tuple[str, str]],
        vector_type: str,
        progress: Progress | None,
        expected: int,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._connection = connection
        self._generated = generated
        self._vector_type = vector_type
        self._progress = progress
        self._expected = expected
        tables = {table: place for place, table in enumerate(Entity.metadata.sorted_tables)}
        self._place: Callable[[type[Entity]], int] = lambda entity: tables[table_of(entity)]

    async def flush(self, rows: RowBuffer) -> None:
        """Writes what has been added, parents first; alerts that the database raises get their story."""
        taken = rows.take()
        raised = rows.take_raised()
        for entity in sorted(taken, key=self._place):
            await self._write(entity, taken[entity])
            if entity is DriftRecord:
                await self._follow_up(raised)

    async def copy(self, entity: type[Entity], columns: Sequence[str], records: Iterable[tuple[Any, ...]]) -> None:
        """Streams finished tuples into a table by COPY, in batches."""
        stream = iter(records)
        table = table_of(entity)
        for first in stream:
            batch = _Batch(first, stream, FLUSH_ROWS)
            await self._connection.copy_records_to_table(
                table.name, schema_name=table.schema or "public", columns=list(columns), records=batch
            )
            self._count(table.fullname, batch.size)

    def finish(self) -> None:
        """Tells that everything is written, whatever was expected."""
        if self._progress:
            total = self.counts.total()
            self._progress("", total, total)

    async def _write(self, entity: type[Entity], rows: list[Row]) -> None:
        table = table_of(entity)
        # Rows may leave columns to the defaults of the database, so each set of columns is a COPY of its own.
        for columns, group in _by_columns(rows):
            names = [name for name in columns if (table.fullname, name) not in self._generated]
            records = (written(entity, row, names) for row in group)
            if shape(entity).has_vector:
                await self._insert(entity, names, list(records))
            else:
                await self.copy(entity, names, records)

    async def _insert(self, entity: type[Entity], columns: Sequence[str], records: list[tuple[Any, ...]]) -> None:
        """COPY is binary, and a vector has no binary form that the driver knows; as a parameter it is text.

        Not the driver's ``executemany``: cancelled while it sends, it waits for an answer that nobody has asked for.
        """
        table = table_of(entity)
        kinds = {column.name: column.type for column in table.columns}
        casts = [f"::text::{self._vector_type}" if isinstance(kinds[name], Vector) else "" for name in columns]
        for start in range(0, len(records), STATEMENT_ROWS):
            part = records[start : start + STATEMENT_ROWS]
            places = iter(range(1, len(part) * len(columns) + 1))
            rows = ", ".join(f"({', '.join(f'${next(places)}{cast}' for cast in casts)})" for _ in part)
            await self._connection.execute(
                f"INSERT INTO {table.schema or 'public'}.{table.name} ({', '.join(columns)}) VALUES {rows}",
                *(value for record in part for value in record),
            )
        self._count(table.fullname, len(records))

    async def _follow_up(self, raised: list[Row]) -> None:
        """Gives the alerts that the trigger has just raised the ids, times and lifecycle of the story."""
        for columns, group in _by_columns(raised):
            names = [name for name in columns if name != "drift_history_id"]
            document = json.dumps(group, default=str)
            done = await self._connection.execute(
                f"UPDATE public.ml_monitoring_alerts AS alert SET {', '.join(f'{n} = told.{n}' for n in names)} "
                "FROM jsonb_populate_recordset(NULL::public.ml_monitoring_alerts, $1::text::jsonb) AS told "
                "WHERE alert.drift_history_id = told.drift_history_id AND alert.alert_type = 'drift'",
                document,
            )
            changed = int(done.split()[-1])
            if changed != len(group):
                raise DemoError(
                    f"{len(group)} recorded drifts should have raised an alert each, {changed} did: the trigger on "
                    "ml_drift_history is missing; run the migrations first"
                )
            self._count(table_of(MonitoringAlert).fullname, changed)

    def _count(self, table: str, more: int) -> None:
        self.counts[table] += more
        if self._progress:
            self._progress(table, min(self.counts.total(), self._expected), self._expected)


class _Batch:
    """The next records of a stream, up to a limit, counted while they are read."""

    def __init__(self, first: tuple[Any, ...], rest: Iterator[tuple[Any, ...]], limit: int) -> None:
        self.size = 0
        self._first = first
        self._rest = rest
        self._limit = limit

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        self.size = 1
        yield self._first
        while self.size < self._limit and (record := next(self._rest, None)) is not None:
            self.size += 1
            yield record


def _by_columns(rows: Iterable[Row]) -> list[tuple[tuple[str, ...], list[Row]]]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(sorted(row)), []).append(row)
    return list(groups.items())
