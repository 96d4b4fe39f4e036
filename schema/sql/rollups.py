"""Aggregates computed from rollups: from the sums of unmarked units within the window, and the rows of the rest.

    WITH asked AS (since and until of the window),
         whole AS (the ranges of units within it, of each length; empty if the sums are not exact),
         marked AS (the units of it that have been written since),
         raw AS (the intervals whose rows are read: the edges of the window, and marked units)
    SELECT ... FROM (sums of the longest units UNION ALL those of shorter ones beside them and in those with marks
        UNION ALL rows) u GROUP BY ...

Percentiles follow from the sketches of the same units, and from buckets of the rows; the statement is then

    WITH ..., parts AS (those of above, with their sketches),
         histogram AS (the number of rows of each group, column and bucket),
         ranked AS (the same, with running totals)
    SELECT ... FROM (parts UNION ALL the percentiles of each group) u GROUP BY ...

It is one statement and therefore one snapshot: a mark is visible if and only if the rows that it marks are. The
statement itself checks the state of the rollup, so that with one that was dropped or broken meanwhile, or with
row-level security, the result is computed from rows: slower, and still exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db.base import sketches
from db.base.rollups import GroupsSelect, Rollup, TimeUnit
from db.base.sums import PARTS, measures, sketch_columns
from schema.catalogue.catalogue import Type
from schema.catalogue.column_types import ColumnKind
from schema.catalogue.selection import Selection
from schema.sql import aggregates
from schema.sql.aggregates import EXTREMES, NUMBER, PERCENTILES, Summary, value_kind
from schema.sql.builder import Binds
from schema.sql.operators import Bind
from schema.sql.rollup_groups import PartialAggregate, Rank, RollupGroups, TimeWindow

_SECONDS = {"hour": 3600, "day": 86400, "week": 86400, "month": 86400}
"""Seconds of the longest unit that each bucket is a multiple of."""
_PARTS: Mapping[str, tuple[str, ...]] = {
    "count": ("count",),
    "sum": ("sum",),
    "avg": ("sum", "count"),
    "min": ("min",),
    "max": ("max",),
    **dict.fromkeys(PERCENTILES, ("min", "max")),
}
"""The stored aggregates from which each function is computed, percentiles beside the sketch."""
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
    measures: frozenset[str]
    """All that is read of what is stored: lengths of units, and measures."""

    @property
    def is_approximate(self) -> bool:
        """Whether percentiles are read off sketches."""
        return any(sketch_columns(name)[0] in self.measures for name in self.rollup.sketched)

    @property
    def told(self) -> bool | Mapping[str, float]:
        """What an answer says of it: that sums were read, and the relative error of percentiles off sketches."""
        return {"relativeError": sketches.RELATIVE_ERROR} if self.is_approximate else True


def reading(
    type_: Type,
    where: Mapping[str, Any] | None,
    selection: Selection,
    stored: Collection[str],
    equal: Collection[str] | None = None,
) -> RollupReading | None:
    """How the aggregate of a list is computed from what is ``stored`` of the rollup of its type; None if it must be
    computed from rows.

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
    units = _units(rollup, stored, longest)
    read = _measures(type_, rollup, selection)
    if not units or None in filters or read is None or not read <= set(stored):
        return None
    times = [one for one in filters if isinstance(one, tuple)]
    keys = [one for one in filters if isinstance(one, Mapping)]
    return RollupReading(rollup, units, tuple(times), tuple(keys), _needed(units, read))


def _units(rollup: Rollup, stored: Collection[str], longest: float) -> tuple[TimeUnit, ...]:
    """The units of which sums are stored, of at most ``longest`` seconds; none without the shortest."""
    units = tuple(unit for unit in rollup.units if unit.interval in stored and unit.seconds <= longest)
    return units if units[:1] == rollup.units[:1] else ()


def _needed(units: Sequence[TimeUnit], measures_: Collection[str]) -> frozenset[str]:
    return frozenset({*(unit.interval for unit in units), *measures_})


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


def _measures(type_: Type, rollup: Rollup, selection: Selection) -> set[str] | None:
    """The stored measures from which an aggregate can be computed; None if there are none for some of its functions.

    Percentiles are computed from sketches unless the aggregate is asked to be exact.
    """
    summed, found = measures(type_.table, rollup), set[str]()
    sketched = () if selection.arguments.get("exact") else rollup.sketched
    for child in selection.fields.values():
        leaf = type_.columns.get(child.name)
        if child.name in {"count", "group", "__typename"} or leaf is None:
            continue
        functions = {one.name for one in child.fields.values()} - {"__typename"}
        column, ranked = _column(type_, leaf.name), bool(functions & PERCENTILES.keys())
        if not functions:
            continue
        if column is None or column not in summed or not functions <= _PARTS.keys():
            return None
        if ranked and column not in sketched:
            return None
        found |= {column, sketch_columns(column)[0]} if ranked else {column}
    return found


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
    typed = Bind(bind, "timestamptz")
    since, until = ["'-infinity'::timestamptz"], ["'infinity'::timestamptz"]
    for operator, value in found.times:
        (since if operator.startswith("g") else until).append(f"{_BOUNDS[operator].format(v=typed(value))}")
    window = TimeWindow(f"greatest({', '.join(since)})", f"least({', '.join(until)})", bool(found.times))
    parts = _SummaryParts(summary)
    groups = RollupGroups(summary.type, found.rollup, [key for _, key in summary.keys], parts.stored, parts.ranks)
    source = groups.source(found.units, found.measures, window, rows, on)
    named = ", ".join(f"{expression} AS a{place}" for place, expression in enumerate(parts.select(write)))
    selected = f"WITH {source.queries} SELECT {named} FROM {source.rows} AS u"
    if not summary.keys:
        return selected
    by = ", ".join(f"u.g{place}" for place in range(len(summary.keys)))
    return f"{selected} GROUP BY {by} ORDER BY {by} LIMIT {bind(aggregates.MAX_GROUPS + 1, 'bigint')}"


def groups_reading(type_: Type, select: GroupsSelect, stored: Collection[str]) -> RollupReading | None:
    """How a `GroupsSelect` is computed from what is ``stored`` of the rollup of ``type_``; None if it cannot be."""
    rollup = type_.rollup
    assert rollup is not None  # noqa: S101 - it is declared over one
    columns = _stored_columns(type_, rollup)
    read = {columns.get(name, name) for name in select.sums} | {sketch_columns(name)[0] for name, _ in select.ranks}
    units = _units(rollup, stored, math.inf)
    if not units or not read <= set(stored):
        return None
    return RollupReading(rollup, units, (), (), _needed(units, read))


def _stored_columns(type_: Type, rollup: Rollup) -> Mapping[str, str]:
    """The columns of the stored aggregates, by the names of these."""
    return {f"{name}_{part}": name for name in measures(type_.table, rollup) for part in PARTS}


def groups_select(type_: Type, select: GroupsSelect, found: RollupReading) -> str:
    """The SELECT of a `GroupsSelect` over the rollup of ``type_``; the placeholders of its window are left."""
    rollup = found.rollup
    columns = _stored_columns(type_, rollup)
    counted = {one.name: one.over("t") for one in rollup.counted}
    limits = [(name, part) for name in dict(select.ranks) for part in ("min", "max")]
    parts = [
        *(
            PartialAggregate(name, name.rpartition("_")[2], f"{name.rpartition('_')[2]}(t.{columns[name]})")
            if name in columns
            else PartialAggregate(name, "sum", counted[name])
            for name in select.sums
        ),
        *(PartialAggregate(f"{name}_{part}", part, f"{part}(t.{name})") for name, part in limits),
    ]
    ranks = [Rank(name, f"t.{name}", share) for name, share in select.ranks]
    window = TimeWindow(select.since, f"{select.until} - interval '1 us'", bounded=True)
    keys = [type_.leaf(key).value_over("t") for key in rollup.keys]
    groups = RollupGroups(type_, rollup, keys, parts, ranks)
    source = groups.source(found.units, found.measures, window, type_.sql_name, ())
    values = [
        *(f"u.g{place} AS {key}" for place, key in enumerate(rollup.keys)),
        "sum(u.n)::bigint AS row_count",
        *(f"{part.combined(place)} AS {part.stored}" for place, part in enumerate(parts[: len(select.sums)])),
    ]
    for place, rank in enumerate(ranks):
        least = next(i for i, part in enumerate(parts) if part.stored == f"{rank.column}_min")
        values.append(
            f"{rank.value(place, f'u.p{least}', f'u.p{least + 1}')} AS {rank.column}_p{round(rank.share * 100)}"
        )
    by = ", ".join(f"u.g{place}" for place in range(len(rollup.keys)))
    rows = f"(WITH {source.queries} SELECT {', '.join(values)} FROM {source.rows} AS u GROUP BY {by})"
    return select.select.replace("{groups}", rows)


class _SummaryParts:
    """The parts that an aggregate is computed from, and its values."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        leaves = {leaf.columns[0]: leaf for leaf, _ in summary.measures}
        self._needed = list(
            dict.fromkeys((leaf.columns[0], part) for leaf, function in summary.measures for part in _PARTS[function])
        )
        self.stored = [
            PartialAggregate(f"{column}_{part}", part, f"{part}({leaves[column].value_over('t')})")
            for column, part in self._needed
        ]
        self.ranks = [
            Rank(leaf.columns[0], leaf.value_over("t"), PERCENTILES[function])
            for leaf, function in summary.measures
            if function in PERCENTILES
        ]

    def select(self, write: Callable[[ColumnKind, str], str]) -> list[str]:
        """The output columns of a group, those of `Summary.statement`."""
        values = [write(leaf.kind, f"u.g{place}") for place, (leaf, _) in enumerate(self._summary.keys)]
        values.append("coalesce(sum(u.n), 0)::bigint")
        ranked = 0
        for leaf, function in self._summary.measures:
            part = {name: f"u.p{self._needed.index((leaf.columns[0], name))}" for name in _PARTS[function]}
            if function == "count":
                values.append(f"coalesce(sum({part['count']}), 0)::bigint")
            elif function in EXTREMES:
                values.append(write(value_kind(leaf, function), f"{function}({part[function]})"))
            elif function == "sum":
                values.append(write(NUMBER, f"(sum({part['sum']}))"))
            elif function in PERCENTILES:
                values.append(write(NUMBER, f"({self.ranks[ranked].value(ranked, part['min'], part['max'])})"))
                ranked += 1
            else:
                values.append(write(NUMBER, f"(sum({part['sum']}) / nullif(sum({part['count']}), 0))"))
        return values
