"""Demo rows in memory, and their transfer into the database by COPY."""

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
"""The number of rows of one COPY, after which progress is reported."""
STATEMENT_ROWS = 50
"""The number of rows with vectors of one INSERT."""


class DemoError(SetupError):
    """The demo data cannot be loaded; the message says why and nothing was changed."""


@dataclass(frozen=True)
class TableShape:
    """The columns of a table that have defaults in memory, and the conversions of values for the driver."""

    columns: frozenset[str]
    key: str | None  # a UUID key, generated if a row does not give it
    order: str | None
    clocks: tuple[str, ...]  # columns whose default is the current time
    changed: str | None  # the time of the last change
    moments: tuple[str, ...]
    converters: Mapping[str, Callable[[Any], Any]]
    has_vector: bool


@cache
def shape(entity: type[Entity]) -> TableShape:
    """The shape of an entity's table, from its model."""
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
    """The values of a row in the order of ``columns``, converted for the driver."""
    convert = shape(entity).converters
    return tuple(
        convert[name](row[name]) if name in convert and row[name] is not None else row[name] for name in columns
    )


class RowBuffer:
    """Rows in memory, by table, until they are written in the order of foreign keys."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._rows: dict[type[Entity], list[Row]] = {}
        self._by_id: dict[UUID, Row] = {}
        self.raised: list[Row] = []
        """The values, with `drift_history_id`, of the alerts that the database's trigger creates for drift records."""

    def uuid(self) -> UUID:
        return UUID(int=self._rng.getrandbits(128), version=4)

    def add(self, entity: type[Entity], **values: Any) -> Row:
        """Adds a row and returns it; it may be changed until it is written.

        A missing id is generated. Missing times whose default is the current time are taken from the row: the time that
        orders the table, and for the time of the last change the latest time of the row.

        Raises:
            TypeError: The table has no such column.
        """
        table_shape = shape(entity)
        unknown = values.keys() - table_shape.columns
        if unknown:
            raise TypeError(f"{entity.__name__} has no column {', '.join(sorted(unknown))}")
        if table_shape.key and table_shape.key not in values:
            values[table_shape.key] = self.uuid()
        self._rows.setdefault(entity, []).append(values)
        if table_shape.key:
            self._by_id[values[table_shape.key]] = values
        return values

    def row(self, identity: UUID) -> Row:
        """The row with this id.

        Raises:
            KeyError: There is none, or it has been written already.
        """
        return self._by_id[identity]

    def take(self) -> dict[type[Entity], list[Row]]:
        """Returns the completed rows, and empties the buffer."""
        taken, self._rows, self._by_id = self._rows, {}, {}
        for entity, rows in taken.items():
            table_shape = shape(entity)
            for row in rows:
                _set_clocks(table_shape, row)
        return taken

    def take_raised(self) -> list[Row]:
        taken, self.raised = self.raised, []
        return taken


def _set_clocks(table_shape: TableShape, row: Row) -> None:
    missing = [name for name in table_shape.clocks if row.get(name) is None]
    if not missing:
        return
    moments = [row[name] for name in table_shape.moments if row.get(name) is not None]
    for name in missing:
        if name == table_shape.changed:
            row[name] = max(moments)
        else:
            row[name] = row[table_shape.order] if table_shape.order and row.get(table_shape.order) else min(moments)


class Writer:
    """Writes rows on an asyncpg connection within its transaction, counts them by table, and reports progress."""

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
        """Writes the rows of a buffer, parents first, and updates the alerts that the database's trigger creates.

        Raises:
            DemoError: The trigger of alerts is missing.
        """
        taken = rows.take()
        raised = rows.take_raised()
        for entity in sorted(taken, key=self._place):
            await self._write(entity, taken[entity])
            if entity is DriftRecord:
                await self._follow_up(raised)

    async def copy(self, entity: type[Entity], columns: Sequence[str], records: Iterable[tuple[Any, ...]]) -> None:
        """Streams tuples into a table by COPY, in batches of `FLUSH_ROWS`."""
        stream = iter(records)
        table = table_of(entity)
        for first in stream:
            batch = _Batch(first, stream, FLUSH_ROWS)
            await self._connection.copy_records_to_table(
                table.name, schema_name=table.schema or "public", columns=list(columns), records=batch
            )
            self._count(table.fullname, batch.size)

    def finish(self) -> None:
        """Reports completion with the actual number of rows."""
        if self._progress:
            total = self.counts.total()
            self._progress("", total, total)

    async def _write(self, entity: type[Entity], rows: list[Row]) -> None:
        table = table_of(entity)
        # one COPY per set of columns, since rows may leave columns to their defaults
        for columns, group in _by_columns(rows):
            names = [name for name in columns if (table.fullname, name) not in self._generated]
            records = (written(entity, row, names) for row in group)
            if shape(entity).has_vector:
                await self._insert(entity, names, list(records))
            else:
                await self.copy(entity, names, records)

    async def _insert(self, entity: type[Entity], columns: Sequence[str], records: list[tuple[Any, ...]]) -> None:
        """Inserts rows with vectors as text parameters, since the driver has no binary format of vectors for COPY.

        The driver's ``executemany`` is not used: if it is cancelled while it sends, it waits for a response in vain.
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
        """Sets the ids, times and states of the alerts that the trigger has created."""
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
    """An iterator over the next records of a stream, at most ``limit``; ``size`` is the number read."""

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
