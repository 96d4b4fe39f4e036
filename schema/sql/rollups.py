"""Aggregates computed from rollups: from the sums of unmarked units within the window, and the rows of the rest.

    WITH asked AS (since and until of the window),
         whole AS (the range of units within it; empty if the sums are not exact),
         marked AS (the units of it that have been written since),
         raw AS (the intervals whose rows are read: the edges of the window, and marked units)
    SELECT ... FROM (sums of long units UNION ALL sums of short ones UNION ALL rows) u GROUP BY ...

It is one statement and therefore one snapshot: a mark is visible if and only if the rows that it marks are. The
statement itself checks the state of the rollup, so that with one that was dropped or broken meanwhile, or with
row-level security, the result is computed from rows: slower, and still exact.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db.base.quoting import literal, literals
from db.base.rollups import FIRST, LAST, Rollup, TimeUnit
from db.base.sums import measures, sums_table
from db.base.vocabulary import OWN_SCHEMA
from schema.catalogue.catalogue import Type
from schema.catalogue.column_types import ColumnKind
from schema.catalogue.selection import Selection
from schema.sql import aggregates
from schema.sql.aggregates import EXTREMES, NUMBER, Summary, value_kind
from schema.sql.builder import Binds, conditions
from schema.sql.operators import Bind

_SECONDS = {"hour": 3600, "day": 86400, "week": 86400, "month": 86400}
"""Seconds of the longest unit that each bucket is a multiple of."""
_PARTS: Mapping[str, tuple[str, ...]] = {
    "count": ("count",),
    "sum": ("sum",),
    "avg": ("sum", "count"),
    "min": ("min",),
    "max": ("max",),
}
"""The stored aggregates from which each function is computed."""
_BOUNDS = {"gte": "{v}", "gt": "{v} + interval '1 us'", "lte": "{v}", "lt": "{v} - interval '1 us'"}
"""SQL of the inclusive bound of each comparison; times have a resolution of 1 us."""


@dataclass(frozen=True)
class RollupReading:
    """How an aggregate is computed from the rollup of its type."""

    rollup: Rollup
    units: tuple[TimeUnit, ...]
    """The units whose sums are read, the shorter first."""
    times: tuple[tuple[str, Any], ...]
    """Comparisons of the time column: operator and value."""
    keys: tuple[Mapping[str, Any], ...]
    """Filters of the key columns."""


def reading(
    type_: Type, where: Mapping[str, Any] | None, selection: Selection, equal: Collection[str] | None = None
) -> RollupReading | None:
    """How the aggregate of a list is computed from the rollup of its type; None if it must be computed from rows.

    The list is that of all rows, or that of a parent, whose rows are equal in the columns ``equal``. The rollup serves
    it if the filter consists of comparisons of keys and of the time, groups are keys or time buckets that are multiples
    of a unit, and the functions can be computed from the stored aggregates.
    """
    rollup = type_.rollup
    if rollup is None or (equal is not None and not (equal and set(equal) <= set(rollup.keys))):
        return None
    filters = list(_filters(type_, rollup, where or {}))
    longest = rollup.units[-1].seconds
    for one in selection.arguments.get("groupBy") or ():
        column, bucket = _column(type_, one["field"].value), one.get("bucket")
        if column == rollup.time and bucket is not None:
            longest = _SECONDS.get(bucket.value, 0)
        elif column not in rollup.keys or bucket is not None:
            return None
    units = tuple(unit for unit in rollup.units if unit.seconds <= longest)
    if not units or None in filters or not _sums(type_, rollup, selection):
        return None
    times = [one for one in filters if isinstance(one, tuple)]
    keys = [one for one in filters if isinstance(one, Mapping)]
    return RollupReading(rollup, units, tuple(times), tuple(keys))


def _filters(
    type_: Type, rollup: Rollup, where: Mapping[str, Any]
) -> Iterator[tuple[str, Any] | Mapping[str, Any] | None]:
    """The parts of a filter: (operator, value) for the time, a filter for a key, None for anything else."""
    for name, value in where.items():
        if name == "and" and value is not None:
            for one in value:
                yield from _filters(type_, rollup, one or {})
        elif value is not None and _column(type_, name) in rollup.keys:
            yield {name: value}
        elif value is not None and _column(type_, name) == rollup.time:
            for operator, operand in value.items():
                yield (operator, operand) if operator in _BOUNDS and operand is not None else None
        else:
            yield None


def _column(type_: Type, name: str) -> str | None:
    """The column of a leaf field; None if the field is computed from columns."""
    leaf = type_.columns.get(name)
    return leaf.columns[0] if leaf and leaf.value == f"{{row}}.{leaf.columns[0]}" else None


def _sums(type_: Type, rollup: Rollup, selection: Selection) -> bool:
    """Whether an aggregate selects only counts and functions that the stored aggregates provide."""
    summed = measures(type_.table, rollup)
    for child in selection.fields.values():
        leaf = type_.columns.get(child.name)
        if child.name in {"count", "group", "__typename"} or leaf is None:
            continue
        functions = {one.name for one in child.fields.values()} - {"__typename"}
        if functions and not (functions <= _PARTS.keys() and _column(type_, leaf.name) in summed):
            return False
    return True


def statement(
    found: RollupReading,
    summary: Summary,
    rows: str,
    on: Sequence[str],
    bind: Binds,
    write: Callable[[ColumnKind, str], str] = ColumnKind.sql,
) -> str:
    """The statement of the groups of one list, with the columns of `Summary.statement`.

    ``rows`` is the source of the rows; ``on`` are conditions on keys, which hold for sums and rows alike.
    """
    rollup, unit = found.rollup, found.rollup.unit
    parts = _Parts(summary)
    whole = _windows(found, summary, bind)
    marked = "NOT EXISTS (SELECT FROM marked AS m WHERE m.at = t.at)"
    sources = []
    if len(found.units) > 1:
        longer = found.units[-1]
        days = f"t.unit = '{longer.interval}' AND t.at >= w.first_long AND t.at < w.last_long"
        clean = f"NOT EXISTS (SELECT FROM marked AS m WHERE {longer.start('m.at')} = t.at)"
        sources.append(parts.of_sums(rollup, "whole AS w", [days, clean], on))
        short = "short AS w"
        whole += f""", short AS (
            SELECT w.first AS since, w.first_long AS until FROM whole AS w WHERE w.first < w.first_long
            UNION ALL SELECT w.last_long, w.last FROM whole AS w WHERE w.last_long < w.last
            UNION ALL SELECT DISTINCT {longer.start("m.at")}, {longer.start("m.at")} + interval '{longer.interval}'
            FROM marked AS m, whole AS w WHERE m.at >= w.first_long AND m.at < w.last_long
        )"""
    else:
        short = "(SELECT first AS since, last AS until FROM whole) AS w"
    hours = f"t.unit = '{unit.interval}' AND t.at >= w.since AND t.at < w.until"
    sources.append(parts.of_sums(rollup, short, [hours, marked], on))
    time = f"t.{rollup.time}"
    stretch = conditions([f"{time} >= w.since AND {time} <= w.until", *on])
    sources.append(parts.of_rows(f"raw AS w CROSS JOIN LATERAL (SELECT * FROM {rows} t{stretch} OFFSET 0) AS t"))
    if not found.times:
        sources.append(parts.of_rows(f"{rows} t{conditions([f'{time} IS NULL', *on])}"))
    named = ", ".join(f"{expression} AS a{place}" for place, expression in enumerate(parts.select(write)))
    source = f"WITH {whole} SELECT {named} FROM ({' UNION ALL '.join(sources)}) AS u"
    if not summary.keys:
        return source
    by = ", ".join(f"u.g{place}" for place in range(len(summary.keys)))
    return f"{source} GROUP BY {by} ORDER BY {by} LIMIT {bind(aggregates.MAX_GROUPS + 1, 'bigint')}"


def _windows(found: RollupReading, summary: Summary, bind: Binds) -> str:
    """The common table expressions of the window and its units."""
    table, unit, longer = summary.type.sql_name, found.rollup.unit, found.units[-1]
    typed = Bind(bind, "timestamptz")
    since, until = ["'-infinity'::timestamptz"], ["'infinity'::timestamptz"]
    for operator, value in found.times:
        (since if operator.startswith("g") else until).append(f"{_BOUNDS[operator].format(v=typed(value))}")
    needed = sorted({leaf.columns[0] for leaf, _ in summary.measures})
    is_kept = (
        f"EXISTS (SELECT FROM {OWN_SCHEMA}.rollups WHERE name = {literal(table)} AND state = 'ready' "
        f"AND measures @> ARRAY[{literals(needed)}]::text[]) AND {OWN_SCHEMA}.is_rolled_up({literal(table)}::regclass)"
    )
    begin = unit.next_start(f"greatest(since, '{FIRST}')")
    end = unit.start(f"least(until + interval '1 us', '{LAST}')")
    return f"""asked AS (
            SELECT greatest({", ".join(since)}) AS since, least({", ".join(until)}) AS until
        ), bounds AS (
            SELECT since, until, CASE WHEN kept AND since <= until THEN {begin} ELSE 'infinity' END AS first,
                CASE WHEN kept AND since <= until THEN {end} ELSE '-infinity' END AS last
            FROM (SELECT *, {is_kept} AS kept FROM asked) AS a
        ), whole AS MATERIALIZED (
            SELECT first, last, greatest(least({longer.next_start("first")}, last), first) AS first_long,
                greatest({longer.start("last")}, least({longer.next_start("first")}, last)) AS last_long
            FROM bounds WHERE first < last
        ), marked AS MATERIALIZED (
            SELECT DISTINCT m.at FROM {OWN_SCHEMA}.rollup_marks AS m, whole AS w
            WHERE m.name = {literal(table)} AND m.at >= w.first AND m.at < w.last
        ), raw AS (
            SELECT since, until FROM bounds WHERE first >= last
            UNION ALL SELECT since, first - interval '1 us' FROM bounds WHERE first < last AND since < first
            UNION ALL SELECT last, until FROM bounds WHERE first < last AND last <= until
            UNION ALL SELECT at, at + interval '{unit.interval}' - interval '1 us' FROM marked
        )"""


class _Parts:
    """The columns of partial aggregates: groups ``g0``, ``g1``, ..., row count ``n``, measures ``p0``, ``p1``, ..."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._leaves = {leaf.columns[0]: leaf for leaf, _ in summary.measures}
        self._needed = list(
            dict.fromkeys((leaf.columns[0], part) for leaf, function in summary.measures for part in _PARTS[function])
        )

    def of_sums(self, rollup: Rollup, window: str, where: Sequence[str], on: Sequence[str]) -> str:
        """Partial aggregates of the stored sums in a window ``w``; sums have the key and time columns of the rows."""
        type_ = self._summary.type
        keys = [
            f"s.{key}::{kind.pg_type} AS {key}" if (kind := type_.column_kind(key)).labels else f"s.{key}"
            for key in rollup.keys
        ]
        sums = [f"s.{column}_{part}" for column, part in self._needed]
        columns = ", ".join(["s.unit", "s.at", f"s.at AS {rollup.time}", *keys, "s.row_count", *sums])
        named = f"(SELECT {columns} FROM {OWN_SCHEMA}.{sums_table(type_.table.name)} AS s)"
        values = [f"t.{column}_{part}" for column, part in self._needed]
        # OFFSET 0 keeps the planner from flattening the lateral query, so that it uses the index whatever its estimate
        found = f"(SELECT * FROM {named} AS t{conditions([*where, *on])} OFFSET 0) AS t"
        return f"SELECT {self._columns('t.row_count', values)} FROM {window} CROSS JOIN LATERAL {found}"

    def of_rows(self, source: str) -> str:
        """Partial aggregates of rows; ``source`` is a FROM clause with the alias ``t``."""
        values = [f"{part}({self._leaves[column].value_over('t')})" for column, part in self._needed]
        keys = ", ".join(str(place + 1) for place in range(len(self._summary.keys)))
        by = f" GROUP BY {keys}" if keys else ""
        return f"SELECT {self._columns('count(*)', values)} FROM {source}{by}"

    def _columns(self, rows: str, values: Sequence[str]) -> str:
        groups = [f"{expression} AS g{place}" for place, (_, expression) in enumerate(self._summary.keys)]
        parts = [f"{value} AS p{place}" for place, value in enumerate(values)]
        return ", ".join([*groups, f"{rows} AS n", *parts])

    def select(self, write: Callable[[ColumnKind, str], str]) -> list[str]:
        """The output columns of a group, those of `Summary.statement`."""
        values = [write(leaf.kind, f"u.g{place}") for place, (leaf, _) in enumerate(self._summary.keys)]
        values.append("coalesce(sum(u.n), 0)::bigint")
        for leaf, function in self._summary.measures:
            part = {name: f"u.p{self._needed.index((leaf.columns[0], name))}" for name in _PARTS[function]}
            if function == "count":
                values.append(f"coalesce(sum({part['count']}), 0)::bigint")
            elif function in EXTREMES:
                values.append(write(value_kind(leaf, function), f"{function}({part[function]})"))
            elif function == "sum":
                values.append(write(NUMBER, f"(sum({part['sum']}))"))
            else:
                values.append(write(NUMBER, f"(sum({part['sum']}) / nullif(sum({part['count']}), 0))"))
        return values
