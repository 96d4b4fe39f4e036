"""Statements of a walk: the start rows, and the neighbours of a level or their counts, each one UNION ALL over the
edges.

Every branch reads the neighbours of all nodes of one type along one edge: keys as arrays, a page per node by LATERAL,
in the order of the relation's index.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from schema.catalogue import ids
from schema.catalogue.catalogue import Catalogue, OrderTerm, Type
from schema.catalogue.column_types import ColumnKind
from schema.errors import missing_object
from schema.lineage.edges import End, NodeDisplay, face
from schema.sql import builder as sql
from schema.sql.lists import Lists

Position = tuple[str | None, ...]
"""The position of a neighbour among those of its node and edge: the texts of its order's values."""
Key = tuple[str, ...]
_WORD = re.compile(r"[a-z_][a-z0-9_]*")
_COLUMN = re.compile(r"\{row\}\.([a-z_][a-z0-9_]*)")


@dataclass(frozen=True)
class Window:
    """The interval that times of reached nodes must be in, if they have a time: ``since`` inclusive, ``until``
    exclusive.

    With ``only_in_use``, ended rows are not reached. The ``starts``, keys by type, are always included.
    """

    since: datetime | None = None
    until: datetime | None = None
    starts: Mapping[str, Sequence[Key]] = field(default_factory=dict)
    only_in_use: bool = False

    def predicates(
        self, type_: Type, order: Sequence[OrderTerm], bind: sql.Binds, ended: str | None = None
    ) -> list[list[str]]:
        """Disjoint alternatives of conditions, each with an index range; one without conditions for all rows.

        ``ended`` is SQL over ``{row}`` of whether a row has ended.
        """
        ways = self._moments(type_, order, bind)
        if not self.only_in_use or ended is None:
            return ways
        in_use = f"NOT {ended.replace('{row}', 't')}"
        if starts := self.starts.get(type_.name):
            in_use = f"({in_use} OR {_one_of(type_, starts, bind)})"
        return [[*way, in_use] for way in ways]

    def _moments(self, type_: Type, order: Sequence[OrderTerm], bind: sql.Binds) -> list[list[str]]:
        if self.since is None and self.until is None:
            return [[]]
        timed = [term for term in order if term.name == type_.ordered_by]
        if not timed or type_.column_kind(timed[0].name).graphql not in {"DateTime", "Date"}:
            return [[]]
        time = timed[0].over("t")
        kind = timed[0].pg_type
        within = []
        if self.since is not None:
            within.append(f"{time} >= {bind(self.since.isoformat(), f'text::timestamptz::{kind}')}")
        if self.until is not None:
            within.append(f"{time} < {bind(self.until.isoformat(), f'text::timestamptz::{kind}')}")
        ways = [within, [f"{time} IS NULL"]]
        if starts := self.starts.get(type_.name):
            ways.append([_one_of(type_, starts, bind), f"NOT ({' AND '.join(within)})"])
        return ways


def _one_of(type_: Type, keys: Sequence[Key], bind: sql.Binds) -> str:
    """SQL of whether the row ``t`` has one of these keys."""
    arrays = ", ".join(bind([key[place] for key in keys], "text[]") for place in range(len(type_.key)))
    names = ", ".join(f"c{place}" for place in range(len(type_.key)))
    casts = ", ".join(f"c{place}::{type_.column_kind(column).pg_type}" for place, column in enumerate(type_.key))
    columns = ", ".join(f"t.{column}" for column in type_.key)
    return f"({columns}) IN (SELECT {casts} FROM unnest({arrays}) AS s({names}))"


class _Binds(sql.Binds):
    """Binds in which a value can be a column of the statement itself."""

    def __call__(self, value: Any, pg_type: str) -> str:
        return f"{value.name}::{pg_type}" if isinstance(value, _Column) else super().__call__(value, pg_type)


@dataclass(frozen=True)
class _Column:
    name: str


@dataclass(frozen=True, slots=True)
class Spot:
    """A node whose neighbours along an edge are read, from the start or after a position."""

    id: str
    key: Key
    position: Position | None = None


@dataclass(frozen=True)
class Branch:
    """One branch of a statement: spots of one type, read along one edge, or counted along several to one type.

    The positions of its spots, if any, have nulls at the same indices.
    """

    ends: tuple[End, ...]
    spots: Sequence[Spot]

    @property
    def end(self) -> End:
        return self.ends[0]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A neighbour as a statement returns it."""

    id: str
    label: str | None
    state: str | None
    position: Position


class Statements:
    """The statements of one walk, for a database that may lack part of the models."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._catalogue = lists.catalogue
        self._missing = lists.missing
        self._faces: dict[str, NodeDisplay] = {}

    def face(self, type_: Type) -> NodeDisplay:
        """How nodes of a type are shown."""
        if type_.name not in self._faces:
            self._faces[type_.name] = face(type_, self._missing)
        return self._faces[type_.name]

    def lacking(self, end: End) -> str | None:
        """The first object that an edge reads and the database lacks."""
        here, there = self._catalogue[end.type], self._catalogue[end.target]
        return (
            self._missing_of(there)
            or self._missing.first(there, (*end.join.remote_columns, *there.key))
            or self._missing.first(here, end.join.local_columns)
        )

    def _missing_of(self, type_: Type) -> str | None:
        """The first missing object that the rows of a type require: its table, or what its SELECT reads."""
        if what := self._missing.table(type_):
            return what
        words = set(_WORD.findall(type_.select or ""))
        return next(
            (
                f"{table}.{column}"
                for table, column in sorted(self._missing.columns)
                if table in (*type_.reads, *type_.behind) and column in words
            ),
            None,
        )

    # -- nodes by their keys ---------------------------------------------------------------------------------------

    def nodes(self, keys: Mapping[str, Sequence[Key]]) -> tuple[str, list[Any]]:
        """Rows (type, place of the key, id, label, state), and a row without a type whose id is the time.

        Raises:
            GatewayError: ``MISSING_IN_DATABASE`` or ``FORBIDDEN_FIELD``: rows of one of the types cannot be read.
        """
        bind = sql.Binds()
        now = ColumnKind("time", _NOW, "timestamptz", "DateTime").sql("statement_timestamp()")
        branches = [f"SELECT NULL::text, 0::bigint, {now}, NULL::text, NULL::text"]
        for name, of_type in keys.items():
            type_ = self._catalogue[name]
            if what := self._missing_of(type_) or self._missing.first(type_, type_.key):
                raise missing_object(what)
            bound = [bind([key[place] for key in of_type], "text[]") for place in range(len(type_.key))]
            shown = ", ".join(expression.replace("{row}", "t") for expression in self._shown(type_))
            branches.append(f"SELECT '{name}', q.ord, {shown} FROM {_by_keys(type_, bound, 't')}")
        return " UNION ALL ".join(branches), bind.values

    def _shown(self, type_: Type) -> list[str]:
        """SQL over ``{row}`` of a node's id, label and state."""
        shown = self.face(type_)
        return [type_.columns["id"].value, shown.label, shown.state]

    # -- neighbours ------------------------------------------------------------------------------------------------

    def neighbours(self, branches: Sequence[Branch], limit: int, window: Window) -> tuple[str, list[Any]]:
        """Rows (branch, place of the spot in it, id, label, state, position), up to ``limit`` and one more per spot."""
        bind = _Binds()
        arrays: dict[Any, str] = {}
        selects: list[str] = []
        for number, branch in enumerate(branches):
            target = self._catalogue[branch.end.target]
            ended = self.face(target).ended
            order = self._lists.order(target, branch.end.join.equal)
            position_ = ", ".join(f"{term.over('{row}')}::text" for term in order)
            # the page has the columns alone: what is sorted, and not kept, is neither labelled nor written as text
            columns, shown = _of_columns([*self._shown(target), f"ARRAY[{position_}]"], "r")
            source, position = self._source(branch, bind, arrays)
            nearby = self._lists.looks_nearby(target, order, branch.end.join)
            asked = sql.Page(order, limit + 1, position, nearby)
            ways = [[branch.end.join.on("k", "t"), *way] for way in window.predicates(target, order, bind, ended)]
            page = _merged(target.source({}), columns, asked, bind, ways)
            select = ", ".join([f"{number} AS branch", "q.ord", *shown])
            selects.append(f"SELECT {select} FROM {source} CROSS JOIN LATERAL ({page}) r")
        return " UNION ALL ".join(selects), bind.values

    def counts(self, branches: Sequence[Branch], cap: int, window: Window) -> tuple[str, list[Any]]:
        """Rows (branch, place of the spot in it, count): distinct neighbours, counted up to ``cap``."""
        bind = _Binds()
        arrays: dict[Any, str] = {}
        selects: list[str] = []
        for number, branch in enumerate(branches):
            target = self._catalogue[branch.end.target]
            ended = self.face(target).ended
            order = self._lists.order(target)
            source, position = self._source(branch, bind, arrays)
            key = ", ".join(f"t.{column}" for column in target.key)
            behind = [[]] if position is None else [[one] for one in sql.after(order, position, "t", bind)]
            found = [
                f"(SELECT {key} FROM {target.source({})} t"
                f"{sql.conditions([end.join.on('k', 't'), *within, *place])} LIMIT {cap})"
                for end in branch.ends
                for within in window.predicates(target, order, bind, ended)
                for place in behind
            ]
            union = " UNION " if len(branch.ends) > 1 else " UNION ALL "
            count = f"SELECT count(*) FROM (SELECT FROM ({union.join(found)}) AS f LIMIT {cap}) AS c"
            selects.append(f"SELECT {number} AS branch, q.ord, r.* FROM {source} CROSS JOIN LATERAL ({count}) r")
        return " UNION ALL ".join(selects), bind.values

    def _source(self, branch: Branch, bind: sql.Binds, arrays: dict[Any, str]) -> tuple[str, tuple[Any, ...] | None]:
        """The nodes of a branch as ``k``, their places as ``q.ord``, and their positions as columns of ``q``."""
        type_ = self._catalogue[branch.end.type]

        def array(values: tuple[str | None, ...]) -> str:
            if values not in arrays:  # the same nodes are read along many edges
                arrays[values] = bind(list(values), "text[]")
            return arrays[values]

        spots = branch.spots
        bound = [array(tuple(spot.key[place] for spot in spots)) for place in range(len(type_.key))]
        names: list[str] = []
        position: list[_Column | None] | None = None
        if spots[0].position is not None:
            position = []
            for place, value in enumerate(spots[0].position):
                position.append(None if value is None else _Column(f"q.p{place}"))
                if value is not None:
                    names.append(f"p{place}")
                    bound.append(array(tuple(spot.position[place] for spot in spots if spot.position)))
        return _by_keys(type_, bound, "k", names), None if position is None else tuple(position)


def _by_keys(type_: Type, bound: Sequence[str], row: str, more: Sequence[str] = ()) -> str:
    """The rows of a type with these keys, with each key's place as ``q.ord``; ``more`` is bound beside the keys.

    For a SELECT these are the rows that it lists, not one per requested key.
    """
    names = [*(f"c{place}" for place in range(len(type_.key))), *more]
    keys = f"unnest({', '.join(bound)}) WITH ORDINALITY AS q({', '.join(names)}, ord)"
    on = " AND ".join(sql.same_key(type_, column, f"q.c{place}", row) for place, column in enumerate(type_.key))
    if not type_.is_derived:
        return f"{keys} JOIN {type_.source({})} {row} ON {on}"
    # as in sql.by_keys: a condition is pushed into a SELECT with groups, a join is not
    return f"{keys} CROSS JOIN LATERAL (SELECT {row}.* FROM {type_.source({})} {row} WHERE {on} OFFSET 0) {row}"


def _of_columns(expressions: Sequence[str], page: str) -> tuple[list[str], list[str]]:
    """The columns of the row ``t`` that expressions over ``{row}`` read, as f0, f1 and so on; the expressions over
    those columns of ``page``.
    """
    names: dict[str, str] = {}
    shown = [
        _COLUMN.sub(lambda found: f"{page}.{names.setdefault(found[1], f'f{len(names)}')}", expression)
        for expression in expressions
    ]
    return [f"t.{column} AS {name}" for column, name in names.items()], shown


def _merged(rows: str, select: Sequence[str], page: sql.Page, bind: sql.Binds, ways: Sequence[Sequence[str]]) -> str:
    """One page of the rows of disjoint alternatives: each reads its own page, and the first rows of all remain."""
    if len(ways) == 1:
        return sql.page(rows, select, page, bind, where=ways[0])
    first = len(select)
    ordering = [f"{term.over('t')} AS f{first + place}" for place, term in enumerate(page.order)]
    union = " UNION ALL ".join(f"({sql.page(rows, [*select, *ordering], page, bind, where=way)})" for way in ways)
    by = [replace(term, value=f"{{row}}.f{first + place}") for place, term in enumerate(page.order)]
    names = ", ".join(f"w.f{place}" for place in range(first))
    limit = bind(page.limit, "bigint")
    return f"SELECT {names} FROM ({union}) w ORDER BY {sql.order_by(by, 'w')} LIMIT {limit}"


_NOW = "to_char({c} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


def nulls(position: Position | None) -> tuple[bool, ...] | None:
    """The indices of a position's nulls; positions with equal ones can share a branch."""
    return None if position is None else tuple(value is None for value in position)


def key_of(catalogue: Catalogue, id_: str) -> tuple[Type, Key]:
    """The type and key of a global id from the database or from an earlier response."""
    type_ = catalogue[id_.split(":", 1)[0]]
    return type_, ids.decode(id_, type_.name, type_.key_kinds)
