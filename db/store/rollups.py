"""Maintenance of rollups: created and dropped by the owner of the tables, refreshed by one gateway process at a time.

`db.base.rollups` describes them. A refresh step is one transaction with one snapshot: it aggregates marked units and
deletes their marks; marks of transactions that the snapshot does not see remain. A longer unit is aggregated with the
last of its marks: as long as there is one, its shorter units are read.

A unit one of whose sums is out of the range of its type, or that has a key stored as a text that is no value of the
key's type, keeps a mark with the error: its rows are read. It is tried again when it, or another unit of the same
longest unit, is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import Table, TextClause, text
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base import sketches
from db.base.quoting import identifier
from db.base.rollups import DAY, FIRST, LAST, Rollup, TimeUnit
from db.base.sums import PARTS, TRIGGER, measures, rollups, sketch_columns, stored_measures, sums_table
from db.base.system_catalog import DOMAINS
from db.base.vocabulary import OWN_SCHEMA, Entity
from db.engine.errors import diagnostics, is_no_value
from db.store.marking_triggers import MarkingTriggers

_DIALECT = PGDialect()  # type: ignore[no-untyped-call] # SQLAlchemy leaves its constructor untyped
SETTLED = "1 minute"
"""Delay after the end of a unit before it is aggregated; until then its rows are read."""
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtext('e2i gateway rollups'))")
_TABLE_STATE = text(f"""
    SELECT s.stores IS NOT NULL AND NOT c.relispartition AS plain,
        EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = ANY (s.stores::regclass[])) AS subscribed,
        ARRAY(
            SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
        ) AS names,
        EXISTS (
            SELECT FROM pg_attribute LEFT JOIN {DOMAINS} AS d ON d.oid = atttypid
            WHERE attrelid = c.oid AND attname = :time AND coalesce(d.base, atttypid) = 'timestamptz'::regtype
        ) AS timed,
        EXISTS (
            SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
            WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = :time
        ) AS indexed,
        row_security_active(c.oid) AS hidden
    FROM pg_class AS c CROSS JOIN LATERAL gateway.stores_of(c.oid) AS s (stores) WHERE c.oid = to_regclass(:name)
""")


_MARKS = MarkingTriggers("mark_rollup", TRIGGER)


async def make(connection: AsyncConnection) -> list[str]:
    """Creates the rollup of every table that can have one, in the transaction of the connection; existing ones remain.
    Returns a sentence per table.

    Raises:
        sqlalchemy.exc.DBAPIError: The role does not own a table, or a lock on it is not available within 5 s.
    """
    sentences = []
    await connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    for table, rollup in rollups():
        sentences.append(await _make(connection, table, rollup))
    return sentences


async def _make(connection: AsyncConnection, table: Table, rollup: Rollup) -> str:
    name = table.fullname
    there = (await connection.execute(_TABLE_STATE, {"name": name, "time": rollup.time})).mappings().one_or_none()
    if there is None:
        return f"{name}: no sums are kept: there is no such table"
    if why := next(_refusals(dict(there), rollup), None):
        return f"{name}: no sums are kept: {why}"
    summed = stored_measures(table, rollup, there["names"])
    is_current = text(
        f"SELECT EXISTS (SELECT FROM {OWN_SCHEMA}.rollups WHERE name = :name AND measures = :measures "
        f"AND state <> 'broken') AND {OWN_SCHEMA}.is_rolled_up(:name)"
    )
    by = f"by {' and '.join(unit.interval for unit in rollup.units)}, per {' and '.join(rollup.keys)}"
    if await connection.scalar(is_current, {"name": name, "measures": summed}):
        return f"{name}: sums are kept {by}"
    await _drop(connection, table)
    await _mark_writes(connection, table, rollup)
    await connection.execute(
        text(
            f"INSERT INTO {OWN_SCHEMA}.rollups (name, measures, state, stores) "
            f"VALUES (:name, :measures, 'building', {OWN_SCHEMA}.stores_of(to_regclass(CAST(:name AS text))))"
        ),
        {"name": name, "measures": summed},
    )
    await connection.execute(text(_mark_days(name, rollup)), {"name": name})
    await connection.execute(text(f"ANALYZE {OWN_SCHEMA}.rollup_marks"))  # else each step would read them all
    return f"{name}: sums are kept {by} from now on, and of what is there once gateways have summed it up"


def _mark_days(name: str, rollup: Rollup) -> str:
    """The statement that marks all units of each day (UTC) that has rows of a table. It goes from one such day to the
    next along the index of times, so that a time of many years ago costs the units of its day."""
    time, unit, day = identifier(rollup.time), rollup.unit.interval, DAY.interval
    first = (
        f"SELECT {DAY.start(time)} AS at FROM {name} WHERE {time} >= {{since}} AND {time} < '{LAST}' "
        f"ORDER BY {time} LIMIT 1"
    )
    earliest, later = (first.format(since=since) for since in (f"'{FIRST}'", f"d.at + interval '{day}'"))
    return (
        f"WITH RECURSIVE days (at) AS (({earliest}) "
        f"UNION ALL SELECT ({later}) FROM days AS d WHERE d.at IS NOT NULL) "
        f"INSERT INTO {OWN_SCHEMA}.rollup_marks (name, at) SELECT :name, "
        f"generate_series(at, at + interval '{day}' - interval '{unit}', '{unit}') FROM days WHERE at IS NOT NULL"
    )


def _refusals(there: Mapping[str, Any], rollup: Rollup) -> Iterator[str]:
    """The reasons why a table cannot have the rollup."""
    for column in (rollup.time, *rollup.keys):
        if column not in there["names"]:
            yield f"it has no column {column}"
    if not there["plain"]:
        yield "it is no table of its own: a partition, one that others inherit from, or one with foreign partitions"
    if there["subscribed"]:
        yield "a subscription writes it, past its triggers"
    if not there["timed"]:
        yield f"{rollup.time} is no timestamptz"
    if not there["indexed"]:
        yield f"no index of all rows begins with {rollup.time}; make one, concurrently"
    if there["hidden"]:
        yield "row level security hides rows of it"


async def drop(connection: AsyncConnection) -> list[str]:
    """Drops triggers, sums and marks, in the transaction of the connection. Returns the tables that had a rollup."""
    await connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    if not await connection.scalar(text(f"SELECT to_regclass('{OWN_SCHEMA}.rollups') IS NOT NULL")):
        return []
    kept = set(await connection.scalars(text(f"SELECT name FROM {OWN_SCHEMA}.rollups")))
    for table, _ in rollups():
        await _drop(connection, table)
    return sorted(kept)


async def _drop(connection: AsyncConnection, table: Table) -> None:
    await _MARKS.drop(connection, table.fullname)
    await connection.execute(text(f"TRUNCATE {_sums(table)}"))
    for own in ("rollups", "rollup_marks"):
        await connection.execute(text(f"DELETE FROM {OWN_SCHEMA}.{own} WHERE name = :name"), {"name": table.fullname})


async def adopt(connection: AsyncConnection, table: Table, partitions: Sequence[str]) -> None:
    """Adds the triggers to new partitions, SQL of their names, of a table that has a rollup, in the transaction that
    makes them."""
    rollup = next((one for known, one in rollups() if known is table), None)
    if rollup is None or not await _has_rollups(connection):
        return
    if await connection.scalar(_FOLLOW, {"name": table.fullname, "added": list(partitions), "gone": []}):
        for partition in partitions:
            await _mark_writes(connection, table, rollup, partition)


async def forget(connection: AsyncConnection, table: Table, gone: str, since: datetime, until: datetime) -> None:
    """Marks the units of a range of times, half-open, whose partition ``gone`` is dropped, in the same transaction."""
    rollup = next((one for known, one in rollups() if known is table), None)
    if rollup is None or not await _has_rollups(connection):
        return
    if await connection.scalar(_FOLLOW, {"name": table.fullname, "added": [], "gone": [gone]}):
        await connection.execute(
            text(
                f"INSERT INTO {OWN_SCHEMA}.rollup_marks (name, at) SELECT DISTINCT :name, at FROM {_sums(table)} "
                f"WHERE unit = '{rollup.unit.interval}' AND at >= :since - interval '{rollup.unit.interval}' "
                "AND at < :until"
            ),
            {"name": table.fullname, "since": since, "until": until},
        )


async def _has_rollups(connection: AsyncConnection) -> bool:
    return bool(await connection.scalar(text(f"SELECT to_regclass('{OWN_SCHEMA}.rollups') IS NOT NULL")))


# where other partitions than these have come or gone unnoticed, the rollup is inexact, and stays so
_FOLLOW = text(f"""
    UPDATE {OWN_SCHEMA}.rollups SET stores = {OWN_SCHEMA}.stores_of(to_regclass(name))
    WHERE name = :name AND {OWN_SCHEMA}.stores_of(to_regclass(name)) = ARRAY(
        SELECT unnest(stores || CAST(:added AS text[])) EXCEPT SELECT unnest(CAST(:gone AS text[])) ORDER BY 1
    )
    RETURNING true
""")


async def _mark_writes(connection: AsyncConnection, table: Table, rollup: Rollup, *stores: str) -> None:
    """Creates the triggers on a table and its partitions, or on ``stores`` alone; waits for concurrent writers, so that
    every later write is marked. What a statement writes by its parent's name, the parent's triggers alone see."""
    all_stores = text(f"SELECT unnest({OWN_SCHEMA}.stores_of(to_regclass(:name)))")
    for store in stores or await connection.scalars(all_stores, {"name": table.fullname}):
        given = (table.fullname, rollup.time, rollup.unit.interval, sums_table(table.name))
        await _MARKS.create(connection, store, given)


def _sums(table: Table) -> str:
    return f"{OWN_SCHEMA}.{identifier(sums_table(table.name))}"


# -- upkeep ------------------------------------------------------------------------------------------------------------

_STATE = text(f"SELECT measures, state, {OWN_SCHEMA}.is_rolled_up(name) FROM {OWN_SCHEMA}.rollups WHERE name = :name")
_SET_STATE = text(f"UPDATE {OWN_SCHEMA}.rollups SET state = :state WHERE name = :name")
_MARKED_UNITS = f"""
    SELECT DISTINCT at FROM {OWN_SCHEMA}.rollup_marks
    WHERE name = :name AND error IS NULL AND at < now() - interval '{SETTLED}' - CAST(:unit AS interval)
    ORDER BY at DESC LIMIT :most
"""
_BEGIN_STEP = text(f"UPDATE {OWN_SCHEMA}.rollups SET state = state WHERE name = :name")
"""Fails if another step has ended since this one's snapshot."""
_DELETE_MARKS = text(f"DELETE FROM {OWN_SCHEMA}.rollup_marks WHERE name = :name AND at = ANY (:units)")
_KEEP_MARKS = text(f"""
    INSERT INTO {OWN_SCHEMA}.rollup_marks (name, at, error)
    SELECT :name, * FROM unnest(CAST(:units AS timestamptz[]), CAST(:errors AS text[]))
""")
_TRY_AGAIN = f"""
    WITH gone AS (
        DELETE FROM {OWN_SCHEMA}.rollup_marks AS m WHERE m.name = :name AND m.error IS NOT NULL
            AND m.at > CAST(:first AS timestamptz) - interval '{{longest}}'
            AND m.at < CAST(:last AS timestamptz) + interval '{{longest}}'
            AND {{of_mark}} IN (SELECT {{of_unit}} FROM unnest(CAST(:units AS timestamptz[])) AS u (at))
        RETURNING m.at
    )
    INSERT INTO {OWN_SCHEMA}.rollup_marks (name, at) SELECT DISTINCT :name, at FROM gone
"""
# a scalar subquery is run for each unit, along the index, whatever is known of the table
_UNMARKED = f"""
    SELECT w.at FROM (SELECT DISTINCT {{start}} AS at FROM {{units}}) AS w WHERE (
        SELECT m.at FROM {OWN_SCHEMA}.rollup_marks AS m
        WHERE m.name = :name AND m.at >= w.at AND m.at < w.at + interval '{{interval}}'
            AND m.at <> ALL (CAST(:taken AS timestamptz[]))
        ORDER BY m.at LIMIT 1
    ) IS NULL
"""
MANY_MARKS = 100
"""Number of marks of one unit above which they are merged into one."""
_MERGE_MARKS = text(f"""
    WITH many AS (
        SELECT at FROM {OWN_SCHEMA}.rollup_marks WHERE name = :name GROUP BY at HAVING count(*) > {MANY_MARKS}
    ), gone AS (
        DELETE FROM {OWN_SCHEMA}.rollup_marks AS m USING many WHERE m.name = :name AND m.at = many.at
    )
    INSERT INTO {OWN_SCHEMA}.rollup_marks (name, at) SELECT :name, at FROM many
""")


@dataclass(frozen=True)
class RollupStep:
    """The result of a step: the number of marked units tried, the new state if it changed, and the units that
    cannot be aggregated, with the error."""

    taken: int
    state: str | None = None
    failed: Mapping[datetime, str] = field(default_factory=dict)


async def step(connection: AsyncConnection, table: Table, rollup: Rollup, most: int) -> RollupStep | None:
    """Aggregates at most ``most`` marked units of a table, the newest first, in a ``REPEATABLE READ`` transaction that
    the caller commits. None if the table has no rollup, or another process refreshes it.

    Raises:
        sqlalchemy.exc.DBAPIError: The units cannot be aggregated, or another process has changed them; roll back.
    """
    name = {"name": table.fullname}
    if not await connection.scalar(_TRY_LOCK):
        return None
    found = (await connection.execute(_STATE, name)).one_or_none()
    if found is None or found.state == "broken":
        return None
    stored, state, is_exact = found
    if not is_exact:
        await connection.execute(_SET_STATE, {**name, "state": "broken"})
        return RollupStep(0, "broken")
    asked = {**name, "unit": rollup.unit.interval, "most": most}
    units = list(await connection.scalars(text(_MARKED_UNITS.replace(":unit", f"'{rollup.unit.interval}'")), asked))
    failed: dict[datetime, str] = {}
    if units:
        await connection.execute(_BEGIN_STEP, name)
        sums = _Sums(table, rollup, stored, units)
        failed = await _sum_up_possible(connection, sums, units)
        await connection.execute(_DELETE_MARKS, {**name, "units": units})
        longest = sums.units[-1]
        parts = {"of_mark": longest.start("m.at"), "of_unit": longest.start("u.at"), "longest": longest.interval}
        window = {"first": min(units), "last": max(units)}
        done = {**name, **window, "units": [unit for unit in units if unit not in failed]}
        await connection.execute(text(_TRY_AGAIN.format(**parts)), done)
    if failed:
        kept = {"units": list(failed), "errors": list(failed.values())}
        await connection.execute(_KEEP_MARKS, {**name, **kept})
    if len(units) < most:
        await connection.execute(_MERGE_MARKS, name)
        if state == "building":
            await connection.execute(_SET_STATE, {**name, "state": "ready"})
            return RollupStep(len(units), "ready", failed)
    return RollupStep(len(units), failed=failed)


async def _sum_up_possible(connection: AsyncConnection, sums: _Sums, units: Sequence[datetime]) -> dict[datetime, str]:
    """Sums up the units whose keys and sums are values of their types. Returns the others, with the error."""
    try:
        async with connection.begin_nested():
            await _sum_up(connection, sums, units)
    except DBAPIError as error:
        if not is_no_value(error):
            raise
        if len(units) == 1:
            return {units[0]: diagnostics(error).words}
        half = len(units) // 2
        parts = [await _sum_up_possible(connection, sums, one) for one in (units[:half], units[half:])]
        return parts[0] | parts[1]
    return {}


async def _sum_up(connection: AsyncConnection, sums: _Sums, units: Sequence[datetime]) -> None:
    for statement in sums.statements(units):
        await connection.execute(statement)


class _Sums:
    """The SQL of a table's sums: of those of the shortest units from rows, of the others from shorter ones. ``taken``
    are the marked units of the step."""

    def __init__(self, table: Table, rollup: Rollup, stored: Sequence[str], taken: Sequence[datetime]) -> None:
        self._taken = taken
        self._rows = table.fullname
        self._time = f"t.{identifier(rollup.time)}"
        self._table = _sums(table)
        self.units = [unit for unit in rollup.units if unit.interval in stored]
        """Those of which sums are stored: a rollup of an earlier version may have fewer."""
        self._keys = [identifier(key) for key in rollup.keys]
        columns = [name for name in measures(table, rollup) if name in stored]
        self._sketched = [name for name in rollup.sketched if sketch_columns(name)[0] in stored]
        counted = [one for one in rollup.counted if one.name in stored]
        self._columns = [
            *(identifier(f"{name}_{part}") for name in columns for part in PARTS),
            *(identifier(one.name) for one in counted),
        ]
        self._sketch_columns = [identifier(own) for name in self._sketched for own in sketch_columns(name)]
        kinds = Entity.metadata.tables[f"{OWN_SCHEMA}.{sums_table(table.name)}"].c
        read = (f"t.{identifier(key)}::{kinds[key].type.compile(_DIALECT)}" for key in rollup.keys)
        needed = dict.fromkeys([*columns, *self._sketched, *(name for one in counted for name in one.columns)])
        self._read = [
            *(f"{value} AS {key}" for value, key in zip(read, self._keys, strict=True)),
            *(f"t.{identifier(name)}" for name in needed if name not in rollup.keys),
        ]
        self._of_rows = [
            "count(*)",
            *(f"{part}(t.{identifier(name)})" for name in columns for part in PARTS),
            *(one.over("t") for one in counted),
        ]
        combining = [*(_combining(part) for _ in columns for part in PARTS), *("sum" for _ in counted)]
        self._of_sums = [
            "sum(t.row_count)",
            *(f"{combine}(t.{column})" for combine, column in zip(combining, self._columns, strict=True)),
        ]

    def statements(self, units: Sequence[datetime]) -> Iterator[TextClause]:
        """The statements that sum up some of the shortest units, and the longer units that contain them and no mark
        but those of the step."""
        unit, at = self.units[0], "unnest(CAST(:units AS timestamptz[]))"
        rows = (
            f"SELECT {', '.join(self._read)} FROM {self._rows} AS t "
            f"WHERE {self._time} >= u.at AND {self._time} < u.at + interval '{unit.interval}'"
        )
        made = [
            self._delete(unit, f"SELECT {at}"),
            self._insert(unit, f"{at} AS u (at)", rows, self._of_rows, self._buckets_of_rows),
        ]
        columns = ", ".join([*self._keys, "row_count", *self._columns, *self._sketch_columns])
        for shorter, longer in pairwise(self.units):
            sums = (
                f"SELECT {columns} FROM {self._table} AS s "
                f"WHERE s.unit = '{shorter.interval}' AND s.at >= u.at AND s.at < u.at + interval '{longer.interval}'"
            )
            whole = _UNMARKED.format(start=longer.start("u.at"), units=f"{at} AS u (at)", interval=longer.interval)
            made.append(self._delete(longer, whole))
            made.append(self._insert(longer, f"({whole}) AS u", sums, self._of_sums, self._buckets_of_sums))
        values = {"units": units, "taken": self._taken, "name": self._rows}
        for sql in made:
            statement = text(sql)
            yield statement.bindparams(**{name: values[name] for name in statement.compile().params})

    def _delete(self, unit: TimeUnit, starts: str) -> str:
        """The statement that deletes the sums of units, a SELECT of their starts: an array, which an index serves."""
        return f"DELETE FROM {self._table} WHERE unit = '{unit.interval}' AND at = ANY (ARRAY({starts}))"

    def _buckets_of_rows(self, name: str) -> tuple[str, str]:
        """SQL of the bucket and the number of rows of a row ``t``, and of whether a sketched column has a value."""
        value = f"t.{identifier(name)}"
        return f"{sketches.bucket(f'{value}::float8')} AS bucket, 1 AS in_bucket", f"{value} IS NOT NULL"

    def _buckets_of_sums(self, name: str) -> tuple[str, str]:
        """SQL of the buckets and the numbers of rows of a sum ``t``, a row each, and of whether it has any."""
        buckets, rows = (f"t.{identifier(own)}" for own in sketch_columns(name))
        return f"unnest({buckets}) AS bucket, unnest({rows}) AS in_bucket", f"{buckets} IS NOT NULL"

    def _insert(
        self,
        unit: TimeUnit,
        units: str,
        source: str,
        aggregates: Sequence[str],
        buckets: Callable[[str], tuple[str, str]],
    ) -> str:
        """The statement that stores the sums of ``units``, a FROM item ``u``: ``aggregates`` and ``buckets`` over the
        rows ``t`` of ``source``, a SELECT of what lies within one. Each unit is aggregated by itself, so that no more
        than the groups of one are in memory, however many there are."""
        by = ", ".join(self._keys)
        stored = ["row_count", *self._columns, *self._sketch_columns]
        untyped = [f"NULL::{type_}[]" for _ in self._sketched for type_ in ("integer", "bigint")]
        named = [f"{value} AS {name}" for value, name in zip([*aggregates, *untyped], stored, strict=True)]
        parts = [f"SELECT {by}, {', '.join(named)} FROM ({source}) AS t GROUP BY {by}"]
        for place, name in enumerate(self._sketched):
            bucket, has_any = buckets(name)
            empty = ["NULL"] * (len(stored) - 2 * (len(self._sketched) - place))
            after = ["NULL"] * 2 * (len(self._sketched) - place - 1)
            sketch = ["array_agg(bucket ORDER BY bucket)", "array_agg(in_bucket ORDER BY bucket)"]
            counted = (
                f"SELECT {by}, bucket, sum(in_bucket)::bigint AS in_bucket "
                f"FROM (SELECT {by}, {bucket} FROM ({source}) AS t WHERE {has_any}) AS b GROUP BY {by}, bucket"
            )
            parts.append(f"SELECT {by}, {', '.join([*empty, *sketch, *after])} FROM ({counted}) AS b GROUP BY {by}")
        combined = ", ".join(f"max({name}) AS {name}" for name in stored)  # each has a value in one part
        return (
            f"INSERT INTO {self._table} (unit, at, {by}, {', '.join(stored)}) "
            f"SELECT '{unit.interval}', u.at, p.* FROM {units} CROSS JOIN LATERAL "
            f"(SELECT {by}, {combined} FROM ({' UNION ALL '.join(parts)}) AS p GROUP BY {by}) AS p"
        )


def _combining(part: str) -> str:
    """The aggregate function that combines partial sums."""
    return part if part in {"min", "max"} else "sum"
