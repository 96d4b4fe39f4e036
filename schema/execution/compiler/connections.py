"""The compiler's connections: the rows of a page as one query, and the connection's fields over them.

    WITH p1 (id, name, o0) AS (SELECT ... ORDER BY ... LIMIT 11),               -- the page, and one row more
         q1 AS (SELECT *, row_number() OVER () AS at_ FROM p1 LIMIT 10)         -- the page's rows and their places
    SELECT row_to_json(c$) AS j, ... FROM (SELECT) one
    LEFT JOIN LATERAL (SELECT json_agg(o$) AS j, ... FROM q1 r2 ...) l3 ON true          -- nodes, or edges
    CROSS JOIN LATERAL (SELECT l3.j AS "nodes", (SELECT count(*) > 10 FROM p1) ...) c$   -- the connection

Postgres inlines a CTE that is referenced once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

from db.base.quoting import literal
from schema.catalogue.catalogue import Type, fill
from schema.catalogue.records import columns_read
from schema.catalogue.selection import Selection, is_unsized, node_selections
from schema.execution.compiler.statements import InlineBinds, NotCompilableError, Object, Query
from schema.sql import aggregates, cursors, rollups
from schema.sql import builder as sql
from schema.sql.arguments import bound
from schema.sql.indexes import Indexes
from schema.sql.lists import Lists, RowsToCount, Slice

CURSOR = 120
"""Bytes of a cursor in a response."""


class RowCompiler(Protocol):
    """What a page uses of the compiler: names, binds, and the fields of rows."""

    most: int
    indexes: Indexes
    bind: InlineBinds
    lists: Lists
    tells: bool
    rolled_up: bool | Mapping[str, float] | None

    @property
    def silent(self) -> str: ...
    def told(self, made: Object, *own: str) -> str: ...
    def cut(self, connection: Selection, condition: str) -> str: ...
    def object(self, type_: Type, selection: Selection, row: str) -> Object: ...
    def need(self, type_: Type, columns: Iterable[str]) -> None: ...
    def filters(self, type_: Type, where: Any, *, of_all: bool, summed: bool = False) -> list[str]: ...
    def counted(self, type_: Type, where: Any, equal: Collection[str], *, of_all: bool) -> RowsToCount: ...
    def pinned(self, value: Any, function: Callable[[Any], Any], what: str) -> Any: ...
    def alias(self, letter: str) -> str: ...
    def tell_rollup(self, found: rollups.RollupReading) -> None: ...


class ConnectionPage:
    """The page of one connection; the part that all kinds of lists share."""

    _limit: int
    _wants_rows: bool
    """Whether any field reads the page's rows."""
    _ends: bool
    """Whether any field reads where the page ends: ``p`` then has one row more than ``q``, the page."""
    _backward = False
    """Whether the page is read backward."""
    _shown = ""
    """The conditions that rows of ``p`` must meet to be on the page."""
    _read = "0"
    """SQL of the number of rows that are read for the connection beside those in it."""

    def __init__(self, compiler: RowCompiler, type_: Type, selection: Selection) -> None:
        self._compiler = compiler
        self._bind = compiler.bind
        self._type = type_
        self._selection = selection
        self._p, self._q = compiler.alias("p"), compiler.alias("q")
        self._asked = [child.name for child in selection.fields.values()]
        self._unsaid = compiler.lists.unsaid_totals(selection)
        self._totals: dict[int | None, str] = {}
        """The aliases of its counts, by their limit."""

    def query(self) -> Query:
        """The connection as JSON, and the number of its rows."""
        made = Object()
        for key, child in self._selection.fields.items():
            made.add(key, self._field(child, made))
        told = self._compiler.told(made, *self._cut())
        return Query.of(
            f"{self._queries}SELECT {made.json('c$')} AS j, {self._read}{made.below} AS n{told} "
            f"FROM (SELECT) one{''.join(made.beside)} CROSS JOIN LATERAL ({made.select}) c$",
            made.size,
        )

    def _cut(self) -> list[str]:
        """The report of a list that was cut at the default size."""
        return [self._compiler.cut(self._selection, self._has_more)] if is_unsized(self._selection) else []

    @property
    def _has_more(self) -> str:
        """SQL of whether rows follow the page in reading direction, where ``p`` has one row more."""
        return f"(SELECT count(*) > {self._limit} FROM {self._p}{self._shown})"

    def _check(self, values: Sequence[Any]) -> None:
        """Makes each request validate values that no query may use."""
        for value in values:
            self._bind(value, "text")

    def _field(self, child: Selection, made: Object) -> str:
        match child.name:
            case "__typename":
                return f"'{self._selection.type_name}'"
            case "nodes":
                return made.query(self._nodes(child), self._compiler.alias("l"))
            case "edges":
                return made.query(self._edges(child), self._compiler.alias("l"))
            case "pageInfo":
                return self._info(child)
            case "totalCount" | "totalCountIsExact":
                return self._counted(child, made)
            case _:
                return self._own_field(child, made)

    def _counted(self, child: Selection, made: Object) -> str:
        """The field of a count; all that count as far read it once."""
        up_to = self._compiler.lists.count_up_to(child)
        if up_to not in self._totals:
            self._totals[up_to] = self._compiler.alias("t")
            total = self._beside(self._total(up_to), up_to)
            made.beside.append(f" CROSS JOIN LATERAL ({total}) {self._totals[up_to]}")
        number = f"{self._totals[up_to]}.count"
        if child.name == "totalCountIsExact":
            return f"({number} >= 0)"
        if child not in self._unsaid:
            return sql.counted(number)
        told = self._compiler.cut(child, f"{number} < 0")
        counted = f"SELECT {sql.counted(number)} AS j, 0 AS n, {told} AS m"
        return made.query(Query.of(counted, 0), self._compiler.alias("l"))

    # -- what each kind of list defines
    # ------------------------------------------------------------------------------------

    def _page(self, columns: Sequence[str]) -> tuple[str, Sequence[str]]:
        """The query of the rows with these columns of the table, and the names of its further columns."""
        raise NotImplementedError

    def _total(self, up_to: int | None) -> str:
        """Counts the rows of the whole list, as `sql.count` does."""
        raise NotImplementedError

    def _beside(self, total: str, up_to: int | None) -> str:  # noqa: ARG002 - for kinds whose pages tell of the list
        """The query of a count, with what the page tells of the number."""
        return total

    def _other_side(self) -> str:
        """SQL of whether there are rows on the cursor's other side."""
        raise NotImplementedError

    def _beyond(self) -> str | None:
        """SQL of whether there are rows at or after the cursor that ends the page; None without such a cursor."""
        return None

    def _cursor(self, row: str) -> str:
        """SQL of the cursor of a row of the page."""
        raise NotImplementedError

    def _own_field(self, child: Selection, made: Object) -> str:  # noqa: ARG002 - for kinds whose fields are queries
        """A field that only this kind of connection has."""
        raise NotCompilableError(f"{self._selection.type_name}.{child.name} is resolved in Python")

    def _edge_leaf(self, child: Selection, row: str) -> str:  # noqa: ARG002 - for kinds whose edges have leaves
        """A field of its edges beside ``node`` and ``cursor``."""
        raise NotCompilableError(f"{child.name} of an edge is resolved in Python")

    # -- the rows --------------------------------------------------------------------------------------------------

    @cached_property
    def _queries(self) -> str:
        if not self._wants_rows:
            return ""
        columns = columns_read(self._type, node_selections(self._selection))
        rows, beside = self._page(columns)
        queries = f"WITH {self._p} ({', '.join([*columns, *beside])}) AS ({rows})"
        if self._ends:
            first = f"SELECT *, row_number() OVER () AS at_ FROM {self._p}{self._shown} LIMIT {self._limit}"
            queries += f", {self._q} AS ({first})"
        return f"{queries} "

    @property
    def _source(self) -> str:
        """The page's rows in the order of the response."""
        if self._backward:
            return f"(SELECT * FROM {self._q} ORDER BY at_ DESC)"
        return self._q if self._ends else self._p

    def _nodes(self, selection: Selection) -> Query:
        row = self._compiler.alias("r")
        return self._list(self._compiler.object(self._type, selection, row), row)

    def _edges(self, selection: Selection) -> Query:
        row = self._compiler.alias("r")
        made = Object()
        for key, child in selection.fields.items():
            match child.name:
                case "__typename":
                    made.add(key, f"'{selection.type_name}'")
                case "cursor":
                    made.add(key, self._cursor(row), len(key) + CURSOR)
                case "node":
                    node, alias = self._compiler.object(self._type, child, row), f"{self._compiler.alias('n')}$"
                    made.beside += [*node.beside, f" CROSS JOIN LATERAL ({node.select}) {alias}"]
                    made.counts += node.counts
                    made.cuts += node.cuts
                    made.counted += node.counted
                    made.size += node.size
                    made.add(key, node.json(alias))
                case _:
                    made.add(key, self._edge_leaf(child, row))
        return self._list(made, row)

    def _list(self, made: Object, row: str) -> Query:
        most, tells = self._compiler.most, self._compiler.tells
        return made.list(f"{self._source} {row}", self._limit, most, tells=tells)

    def _info(self, selection: Selection) -> str:
        """The connection's `pageInfo` as JSON."""
        more = self._has_more
        if beyond := self._beyond():
            more = f"({more} OR {beyond})"
        first = f"(SELECT {self._cursor(self._q)} FROM {self._q} WHERE at_ = 1)"
        last = f"(SELECT {self._cursor(self._q)} FROM {self._q} ORDER BY at_ DESC LIMIT 1)"
        made = Object()
        for key, child in selection.fields.items():
            match child.name:
                case "__typename":
                    made.add(key, f"'{selection.type_name}'")
                case "hasNextPage":
                    made.add(key, self._other_side() if self._backward else more)
                case "hasPreviousPage":
                    made.add(key, more if self._backward else self._other_side())
                case "startCursor":
                    made.add(key, last if self._backward else first)
                case "endCursor":
                    made.add(key, first if self._backward else last)
                case _:
                    raise NotCompilableError(f"{selection.type_name}.{child.name} is resolved in Python")
        return f"(SELECT {made.json('i$')} FROM ({made.select}) i$)"


class ListPage(ConnectionPage):
    """A page of a table's rows in an order, of all rows or of those that match ``on``."""

    _stops_early = False
    """Whether a count may stop though it has found few rows."""

    def __init__(
        self,
        compiler: RowCompiler,
        type_: Type,
        selection: Selection,
        slice_: Slice,
        on: Sequence[str] = (),
        equal: Collection[str] = (),
    ) -> None:
        """``equal``: the columns in which all rows that fulfil ``on`` have one value."""
        super().__init__(compiler, type_, selection)
        self._on, self._equal = on, equal if on else None
        self._slice = slice_
        self._limit = slice_.limit
        self._backward = slice_.backward
        self._ends = slice_.backward or "pageInfo" in self._asked or is_unsized(selection)
        self._wants_rows = any(name in {"nodes", "edges", "pageInfo"} for name in self._asked)
        if groups := self._groups():
            self._rows = self._paged = groups
        else:
            self._rows = compiler.lists.rows(type_, slice_, self._bind, compiler.pinned)
            self._paged = compiler.lists.rows(type_, slice_, self._bind, compiler.pinned, paged=True)
        self._where = [*on, *compiler.filters(type_, slice_.where, of_all=not on)]
        if not self._wants_rows:
            self._check([value for position in slice_.positions.values() for value in position])

    def _page(self, columns: Sequence[str]) -> tuple[str, Sequence[str]]:
        order = self._slice.order if self._wants_cursors() else ()
        values = [*(f"t.{column}" for column in columns), *(f"{term.over('t')}::text" for term in order)]
        select = [f"{value} AS f{place}" for place, value in enumerate(values)]
        page = self._slice.page if self._ends else replace(self._slice.page, limit=self._slice.limit)
        where = [*self._where, *self._slice.before_end(self._bind)]
        rows = sql.page(self._paged, select, page, self._bind, where=where)
        return rows, [f"o{place}" for place in range(len(order))]

    def _wants_cursors(self) -> bool:
        fields = [child for child in self._selection.fields.values() if child.name in {"edges", "pageInfo"}]
        below = {one.name for child in fields for one in child.fields.values()}
        return bool(below & {"cursor", "startCursor", "endCursor"})

    def _total(self, up_to: int | None) -> str:
        some = self._compiler.counted(self._type, self._slice.where, self._equal or (), of_all=not self._on)
        where = [*self._on, *some.where]
        self._stops_early = bool(some.unserved)
        return sql.count(self._rows, where=where, up_to=up_to, unserved=some.unserved, found=some.found)

    def _beside(self, total: str, up_to: int | None) -> str:
        if up_to is None or not self._wants_rows or (up_to >= self._limit and not self._stops_early):
            return total  # a page has no more rows than were counted
        page, whole = self._q if self._ends else self._p, not self._slice.positions
        number = sql.counted_beside("c.count", page, self._limit, whole=whole)
        return f"SELECT {number} AS count FROM ({total}) c"

    def _other_side(self) -> str:
        found = self._slice.before_start(self._paged, self._bind, self._where)
        return f"({found})" if found else "false"

    def _beyond(self) -> str | None:
        found = self._slice.behind_end(self._paged, self._bind, self._where)
        return f"({found})" if found else None

    def _cursor(self, row: str) -> str:
        order = self._slice.order
        start = literal(cursors.start(self._type, order))
        return cursors.sql(start, [f"{row}.o{place}" for place in range(len(order))])

    def _own_field(self, child: Selection, made: Object) -> str:
        if child.name == "aggregate":
            return made.query(self._aggregate(child), self._compiler.alias("l"))
        return super()._own_field(child, made)

    def _aggregate(self, selection: Selection) -> Query:
        """The aggregates over all rows of the list, by groups; fails if there are too many groups."""
        asked = aggregates.summary(self._type, selection)
        for leaf, _ in (*asked.keys, *asked.measures):
            self._compiler.need(self._type, leaf.columns)
        groups = {leaf.name: f"s.a{place}" for place, (leaf, _) in enumerate(asked.keys)}
        measures = {
            (leaf.name, function): f"s.a{place}"
            for place, (leaf, function) in enumerate(asked.measures, len(asked.keys) + 1)
        }
        made = Object()
        for key, child in selection.fields.items():
            if child.name == "__typename":
                made.add(key, f"'{selection.type_name}'")
            elif child.name == "count":
                made.add(key, f"s.a{len(asked.keys)}")
            else:
                names = {
                    one.name: groups.get(one.name, "NULL::text")
                    if child.name == "group"
                    else measures.get((child.name, one.name), "")
                    for one in child.fields.values()
                }
                part = plain(child, names)
                made.add(key, f"(SELECT {part.json('g$')} FROM ({part.select}) g$)")
        statement = self._rolled_up(selection, asked) or asked.statement(
            self._rows, self._where, self._bind, lambda kind, value: kind.json(value)
        )
        refused = f"({literal(aggregates.refusal(selection.path))} || count(*))::integer > {aggregates.MAX_GROUPS}"
        return Query.of(
            f"SELECT CASE WHEN count(*) > {aggregates.MAX_GROUPS} AND {refused} THEN NULL "
            f"ELSE {made.listed} END AS j, count(*)::int AS n{self._compiler.silent} "
            f"FROM ({statement}) s CROSS JOIN LATERAL ({made.select}) o$",
            made.size * (aggregates.MAX_GROUPS if asked.keys else 1),
        )

    def _groups(self) -> str | None:
        """The FROM item of the rows of a type that are the groups of another's rollup; None where they cannot be."""
        select, compiler = self._type.rolled_up, self._compiler
        if select is None or compiler.rolled_up is None or self._selection.arguments.get("exact"):
            return None
        source = compiler.lists.catalogue[select.of]
        found = rollups.groups_reading(source, select, compiler.indexes.rollups.get(source.sql_name, ()))
        if found is None:
            return None
        compiler.tell_rollup(found)
        text = self._type.typed(rollups.groups_select(source, select, found))
        return f"({fill(text, bound(self._slice.given, self._bind))})"

    def _rolled_up(self, selection: Selection, asked: aggregates.Summary) -> str | None:
        """The groups of an aggregate as they are read off a rollup; None where they cannot be."""
        type_, compiler = self._type, self._compiler
        if compiler.rolled_up is None or type_.sql_name not in compiler.indexes.rollups:
            return None
        stored = compiler.indexes.rollups[type_.sql_name]
        found = rollups.reading(type_, self._slice.where, selection, stored, self._equal)
        if found is None:
            return None
        compiler.need(type_, [found.rollup.time, *found.rollup.keys])
        on = [*self._on, *compiler.filters(type_, {"and": list(found.keys)}, of_all=False, summed=True)]
        compiler.tell_rollup(found)
        return rollups.statement(found, asked, self._rows, on, self._bind, lambda kind, value: kind.json(value))


def plain(selection: Selection, names: dict[str, str]) -> Object:
    """An object whose fields are all given as SQL, by name."""
    made = Object()
    for key, child in selection.fields.items():
        made.add(key, f"'{selection.type_name}'" if child.name == "__typename" else names[child.name])
    return made
