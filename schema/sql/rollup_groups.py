"""Groups of rows as SQL, from a rollup: of the sums of unmarked units within a window, and of the rows of the rest.

`schema.sql.rollups` describes the statement.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from db.base import sketches
from db.base.quoting import literal, literals
from db.base.rollups import FIRST, LAST, Rollup, TimeUnit
from db.base.sums import sketch_columns, sums_table
from db.base.vocabulary import OWN_SCHEMA
from schema.catalogue.catalogue import Type
from schema.sql.builder import conditions


@dataclass(frozen=True)
class TimeWindow:
    """SQL of the closed interval of times whose rows are aggregated; rows without a time are in an unbounded one."""

    since: str
    until: str
    bounded: bool


def _windows(table: str, units: Sequence[TimeUnit], needed: Collection[str], window: TimeWindow) -> str:
    """The common table expressions of the window and its units, the shorter first: ``whole`` has, for the unit at each
    place, the range of the units that lie wholly in the window as ``first0`` and ``last0``, and so on."""
    unit = units[0]
    is_kept = (
        f"EXISTS (SELECT FROM {OWN_SCHEMA}.rollups WHERE name = {literal(table)} AND state = 'ready' "
        f"AND measures @> ARRAY[{literals(sorted(needed))}]::text[]) "
        f"AND {OWN_SCHEMA}.is_rolled_up({literal(table)}::regclass)"
    )
    begin = unit.next_start(f"greatest(since, '{FIRST}')")
    end = unit.start(f"least(until + interval '1 us', '{LAST}')")
    whole = "SELECT first0, last0 FROM bounds WHERE first0 < last0"
    for place, longer in enumerate(units[1:], start=1):
        first, last = f"first{place - 1}", f"last{place - 1}"
        begun = f"least({longer.next_start(first)}, {last})"
        whole = (
            f"SELECT *, {begun} AS first{place}, greatest({longer.start(last)}, {begun}) AS last{place} "
            f"FROM ({whole}) AS w"
        )
    return f"""asked AS (
            SELECT {window.since} AS since, {window.until} AS until
        ), bounds AS (
            SELECT since, until, CASE WHEN kept AND since <= until THEN {begin} ELSE 'infinity' END AS first0,
                CASE WHEN kept AND since <= until THEN {end} ELSE '-infinity' END AS last0
            FROM (SELECT *, {is_kept} AS kept FROM asked) AS a
        ), whole AS MATERIALIZED (
            {whole}
        ), marked AS MATERIALIZED (
            SELECT DISTINCT m.at FROM {OWN_SCHEMA}.rollup_marks AS m, whole AS w
            WHERE m.name = {literal(table)} AND m.at >= w.first0 AND m.at < w.last0
        ), raw AS (
            SELECT since, until FROM bounds WHERE first0 >= last0
            UNION ALL SELECT since, first0 - interval '1 us' FROM bounds WHERE first0 < last0 AND since < first0
            UNION ALL SELECT last0, until FROM bounds WHERE first0 < last0 AND last0 <= until
            UNION ALL SELECT at, at + interval '{unit.interval}' - interval '1 us' FROM marked
        )"""


def _stretches(place: int, longer: TimeUnit) -> str:
    """The intervals in which the sums of the unit at a place are read: beside those of the next longer one, and in its
    marked ones."""
    of_mark = longer.start("m.at")
    return f"""
            SELECT w.first{place} AS since, w.first{place + 1} AS until FROM whole AS w
            WHERE w.first{place} < w.first{place + 1}
            UNION ALL SELECT w.last{place + 1}, w.last{place} FROM whole AS w WHERE w.last{place + 1} < w.last{place}
            UNION ALL SELECT DISTINCT {of_mark}, {of_mark} + interval '{longer.interval}'
            FROM marked AS m, whole AS w WHERE m.at >= w.first{place + 1} AND m.at < w.last{place + 1}"""


@dataclass(frozen=True)
class PartialAggregate:
    """A partial aggregate: the column ``stored`` of the sums, how partial ones are combined, and its SQL over rows
    ``t``."""

    stored: str
    combine: str
    of_rows: str

    def combined(self, place: int) -> str:
        """SQL of the aggregate of a group, from the parts at a place."""
        return f"{_COMBINED[self.combine]}(u.p{place})"


_COMBINED = {"count": "sum", "sum": "sum", "min": "min", "max": "max"}


@dataclass(frozen=True)
class Rank:
    """A percentile, ``share`` from 0 to 1, of a sketched column, with the SQL of its value over rows ``t``."""

    column: str
    of_rows: str
    share: float

    def value(self, place: int, least: str, greatest: str) -> str:
        """SQL of the percentile of a group, at a place among the ranks: it lies between the extremes."""
        return f"greatest(min({least})::float8, least(max({greatest})::float8, max(u.q{place})))"


@dataclass(frozen=True)
class Source:
    """Common table expressions, and the FROM item over them with a group's parts."""

    queries: str
    rows: str


class RollupGroups:
    """Groups of rows, from sums and rows: keys ``g0``, ``g1``, ..., row count ``n``, parts ``p0``, ``p1``, ..., and,
    once in each group, percentiles ``q0``, ``q1``, ...."""

    def __init__(
        self, type_: Type, rollup: Rollup, keys: Sequence[str], parts: Sequence[PartialAggregate], ranks: Sequence[Rank]
    ) -> None:
        """``keys`` are SQL over rows ``t``."""
        self._type = type_
        self._rollup = rollup
        self._keys = [f"{key} AS g{place}" for place, key in enumerate(keys)]
        self._names = [f"g{place}" for place in range(len(keys))]
        self._parts = parts
        self._ranks = ranks
        self._sketched = {rank.column: rank.of_rows for rank in ranks}

    def source(
        self, units: Sequence[TimeUnit], needed: Collection[str], window: TimeWindow, rows: str, on: Sequence[str]
    ) -> Source:
        """The groups of the rows of a FROM item ``rows`` that fulfil ``on`` within a window."""
        queries = _windows(self._type.sql_name, units, needed, window)
        sources = []
        for place, unit in reversed(list(enumerate(units))):
            stretches = f"SELECT first{place} AS since, last{place} AS until FROM whole"
            if place + 1 < len(units):
                stretches = _stretches(place, units[place + 1])
            stored = f"t.unit = '{unit.interval}' AND t.at >= w.since AND t.at < w.until"
            clean = f"NOT EXISTS (SELECT FROM marked AS m WHERE {unit.start('m.at') if place else 'm.at'} = t.at)"
            sources.append(self._of_sums(f"({stretches}) AS w", [stored, clean, *on]))
        time = f"t.{self._rollup.time}"
        stretch = conditions([f"{time} >= w.since AND {time} <= w.until", *on])
        raw = [f"raw AS w CROSS JOIN LATERAL (SELECT * FROM {rows} t{stretch} OFFSET 0) AS t"]
        if not window.bounded:
            raw.append(f"{rows} t{conditions([f'{time} IS NULL', *on])}")
        sources += [self._of_rows(one) for one in raw]
        united = " UNION ALL ".join(sources)
        if not self._ranks:
            return Source(queries, f"({united})")
        own = ", ".join([*self._names, "n", *(f"p{place}" for place in range(len(self._parts)))])
        empty = ", ".join(f"NULL::float8 AS q{place}" for place in range(len(self._ranks)))
        ranks = f"SELECT {own}, {empty} FROM parts UNION ALL {self._percentiles}"
        return Source(f"{queries}, parts AS MATERIALIZED ({united}), {self._histogram(raw)}", f"({ranks})")

    def _of_sums(self, window: str, where: Sequence[str]) -> str:
        """Partial aggregates of the stored sums in a window ``w``; sums have the key and time columns of the rows."""
        type_, rollup = self._type, self._rollup
        keys = [
            f"s.{key}::{kind.pg_type} AS {key}" if (kind := type_.column_kind(key)).labels else f"s.{key}"
            for key in rollup.keys
        ]
        sketched = [own for column in self._sketched for own in sketch_columns(column)]
        stored = dict.fromkeys([*(part.stored for part in self._parts), *sketched])
        columns = ", ".join(
            ["s.unit", "s.at", f"s.at AS {rollup.time}", *keys, "s.row_count", *(f"s.{name}" for name in stored)]
        )
        named = f"(SELECT {columns} FROM {OWN_SCHEMA}.{sums_table(type_.table.name)} AS s)"
        # OFFSET 0 keeps the planner from flattening the lateral query, so that it uses the index whatever its estimate
        found = f"(SELECT * FROM {named} AS t{conditions(where)} OFFSET 0) AS t"
        values = [f"t.{part.stored}" for part in self._parts]
        return (
            f"SELECT {self._columns('t.row_count', values, [f't.{name}' for name in sketched])} "
            f"FROM {window} CROSS JOIN LATERAL {found}"
        )

    def _of_rows(self, source: str) -> str:
        """Partial aggregates of rows; ``source`` is a FROM clause with the alias ``t``."""
        keys = ", ".join(str(place + 1) for place in range(len(self._keys)))
        by = f" GROUP BY {keys}" if keys else ""
        no_sketches = [f"NULL::{type_}[]" for _ in self._sketched for type_ in ("integer", "bigint")]
        return (
            f"SELECT {self._columns('count(*)', [part.of_rows for part in self._parts], no_sketches)} FROM {source}{by}"
        )

    def _columns(self, rows: str, values: Sequence[str], arrays: Sequence[str]) -> str:
        parts = [f"{value} AS p{place}" for place, value in enumerate(values)]
        sketched = [f"{array} AS s{place}" for place, array in enumerate(arrays)]
        return ", ".join([*self._keys, f"{rows} AS n", *parts, *sketched])

    # -- percentiles -----------------------------------------------------------------------------------------------

    def _histogram(self, raw: Sequence[str]) -> str:
        """The common table expressions of the numbers of rows by group, column ``c`` and bucket ``b``."""
        keys, counted = "".join(f"{name}, " for name in self._names), []
        for place, value in enumerate(self._sketched.values()):
            counted.append(
                f"SELECT {keys}{place} AS c, unnest(s{2 * place}) AS b, unnest(s{2 * place + 1}) AS n "
                f"FROM parts WHERE s{2 * place} IS NOT NULL"
            )
            own = "".join(f"{key}, " for key in self._keys)
            for source in raw:
                values = f"(SELECT {own}{value}::float8 AS v FROM {source}) AS r WHERE v IS NOT NULL"
                counted.append(f"SELECT {keys}{place}, {sketches.bucket('v')}, 1 FROM {values}")
        united = " UNION ALL ".join(counted)
        return (
            f"histogram AS (SELECT {keys}c, b, sum(n)::bigint AS n FROM ({united}) AS h GROUP BY {keys}c, b), "
            f"ranked AS (SELECT {keys}c, b, sum(n) OVER (PARTITION BY {keys}c ORDER BY b)::float8 AS upto, "
            f"sum(n) OVER (PARTITION BY {keys}c)::float8 AS total FROM histogram)"
        )

    @cached_property
    def _percentiles(self) -> str:
        """The percentiles of each group, interpolated between the values at the two nearest ranks, as Postgres's
        ``percentile_cont`` does it."""
        keys, columns = "".join(f"{name}, " for name in self._names), list(self._sketched)
        found, values = [], []
        for place, rank in enumerate(self._ranks):
            of, at = f"c = {columns.index(rank.column)}", f"{rank.share}::float8 * (total - 1)"
            found += [
                f"min(b) FILTER (WHERE {of} AND upto > floor({at})) AS low{place}",
                f"min(b) FILTER (WHERE {of} AND upto > ceil({at})) AS high{place}",
                f"max({at} - floor({at})) FILTER (WHERE {of}) AS between{place}",
            ]
            low, high = sketches.value(f"low{place}"), sketches.value(f"high{place}")
            values.append(
                f"CASE WHEN low{place} = high{place} THEN {low} ELSE {low} + between{place} * ({high} - {low}) END"
            )
        by = f" GROUP BY {', '.join(self._names)}" if self._names else ""
        empty = ", ".join(["0", *("NULL" for _ in self._parts)])
        return f"SELECT {keys}{empty}, {', '.join(values)} FROM (SELECT {keys}{', '.join(found)} FROM ranked{by}) AS f"
