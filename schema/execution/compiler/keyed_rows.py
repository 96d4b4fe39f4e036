"""The compiler's rows by their keys: by ids, by keys of other subgraphs, and by keys that the loaders have.

Several rows are read in the order of their keys:

    SELECT json_agg(f.j ORDER BY k.ord) AS j, ...
    FROM generate_series(1, 3) AS k(ord)                                        -- the places of the keys
    LEFT JOIN (SELECT ... FROM unnest(places, keys) AS k(ord, c0) CROSS JOIN LATERAL (...) t
               UNION ALL ...) f ON f.ord = k.ord                                -- one query for each type and key
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Protocol

from schema.catalogue import ids
from schema.catalogue.catalogue import Catalogue, Type
from schema.catalogue.selection import Selection
from schema.execution.compiler.connections import RowCompiler
from schema.execution.compiler.statements import EMPTY, PART, Query, counted
from schema.sql import builder as sql
from schema.sql.arguments import parse_id, type_of
from schema.sql.entities import EntityKey
from schema.sql.lists import MAX_IDS, few_ids
from schema.sql.parameters import applied


class KeyedCompiler(RowCompiler, Protocol):
    """What rows by keys use of the compiler beyond what a page does."""

    @property
    def catalogue(self) -> Catalogue: ...
    def one(
        self, type_: Type, selection: Selection, row: Callable[[Sequence[str]], str], *, ordered: bool = False
    ) -> Query: ...
    def refuse_hidden(self, type_: Type) -> None: ...


class KeyedRows:
    """Compiles the roots whose rows are named by keys."""

    def __init__(self, compiler: KeyedCompiler) -> None:
        self._compiler = compiler
        self._catalogue = compiler.catalogue
        self._bind = compiler.bind
        self._lists = compiler.lists

    def node(self, selection: Selection) -> Query:
        """The row with an id of any type."""
        value = selection.arguments["id"]
        name = self._compiler.pinned(value, lambda id_: type_of(self._catalogue, "id", id_).name, "type")
        type_ = self._catalogue[name]
        self._lists.refuse_missing(type_)
        self._compiler.refuse_hidden(type_)
        return self._compiler.one(type_, selection, self.row(type_, value))

    def row(self, type_: Type, id_: Any) -> Callable[[Sequence[str]], str]:
        """The row of a type with an id, as a query from select items."""
        parts = applied(partial(parse_id, self._catalogue, "id", type_), id_)
        key = [self._bind(applied(itemgetter(place), parts), "text") for place in range(len(type_.key))]
        where = [sql.same_key(type_, column, value) for column, value in zip(type_.key, key, strict=True)]
        rows = type_.source({})
        return lambda select: f"SELECT {', '.join(select)} FROM {rows} t{sql.conditions(where)} LIMIT 1"

    def nodes(self, selection: Selection, values: Any) -> Query:
        """Rows by ids of any types: a query per type, each row in its place."""
        self._compiler.pinned(values, len, "count")  # the cost depends on it
        names = self._compiler.pinned(
            values, lambda ids_: tuple(sorted({ids.type_of(id_) or "" for id_ in ids_})), "types"
        )
        return self._in_places([self._nodes_of(selection, values, name) for name in names], values)

    def entities(self, selection: Selection, keys: Any) -> Query:
        """Rows by keys of other subgraphs: a query per type and key, each row in its place."""
        self._compiler.pinned(keys, len, "count")

        def kinds(found: list[EntityKey]) -> tuple[tuple[str, tuple[str, ...]], ...]:
            return tuple(sorted({(one.type_name, one.columns) for one in found}))

        def ids_of(found: list[EntityKey]) -> list[str]:
            """The ids, empty in place of other keys."""
            return [one.values[0] if not one.columns else "" for one in found]

        queries = []
        for name, columns in self._compiler.pinned(keys, kinds, "keys"):
            if columns:
                queries.append(self._entities_of(selection, keys, name, columns))
            else:
                queries.append(self._nodes_of(selection, applied(ids_of, keys), name))
        return self._in_places(queries, keys)

    def _entities_of(self, selection: Selection, keys: Any, name: str, columns: tuple[str, ...]) -> Query:
        type_ = self._catalogue[name]
        self._compiler.need(type_, columns)

        def own(found: list[EntityKey]) -> list[tuple[int, tuple[str, ...]]]:
            """The places and values of the keys of this kind."""
            return [
                (place, one.values)
                for place, one in enumerate(found, 1)
                if one.type_name == name and one.columns == columns
            ]

        return self._placed(type_, selection, applied(own, keys), columns)

    def _nodes_of(self, selection: Selection, values: Any, name: str) -> Query:
        type_ = type_of(self._catalogue, "ids", f"{name}:")

        def own(ids_: list[str]) -> list[tuple[int, tuple[str, ...]]]:
            """The places and keys of this type's ids."""
            mine = [(place, id_) for place, id_ in enumerate(ids_, 1) if ids.type_of(id_) == name]
            return [(place, parse_id(self._catalogue, "ids", type_, id_)) for place, id_ in mine]

        return self._placed(type_, selection, applied(own, values))

    def _in_places(self, queries: Sequence[Query], values: Any) -> Query:
        """The results of queries that each cover some of the values, in the order of the values."""
        compiler = self._compiler
        if not queries:
            return Query.of(f"SELECT {EMPTY} AS j, 0 AS n{compiler.silent}", 0)
        length = self._bind(applied(lambda ids_: len(few_ids(ids_)), values), "int")
        told = ", string_agg(f.m, '') AS m" if compiler.tells else ""
        rows, size = " UNION ALL ".join(queries), MAX_IDS * max(query.size for query in queries)
        if size > compiler.most // PART:
            rows, size = counted(rows, compiler.most), min(size, compiler.most)
        return Query.of(
            f"SELECT coalesce(json_agg(f.j ORDER BY k.ord), {EMPTY}) AS j, coalesce(sum(f.n), 0)::int AS n{told} "
            f"FROM generate_series(1, {length}) AS k(ord) LEFT JOIN ({rows}) f ON f.ord = k.ord",
            size,
        )

    def _placed(self, type_: Type, selection: Selection, keys: Any, columns: Sequence[str] = ()) -> Query:
        """The rows with these keys, with their places."""
        places = self._bind(applied(lambda found: [place for place, _ in found], keys), "bigint[]")
        parts = applied(lambda found: list(zip(*(key for _, key in found), strict=True)), keys)
        arrays = [
            self._bind(applied(list, applied(itemgetter(place), parts)), "text[]")
            for place in range(len(columns or type_.key))
        ]
        return self.rows(type_, selection, places, arrays, columns)

    def rows(
        self, type_: Type, selection: Selection, places: str, arrays: Sequence[str], columns: Sequence[str] = ()
    ) -> Query:
        """The rows with the keys whose parts are in these arrays, each with its place.

        Keys are values of ``columns`` if given: the first row of each, if a database has several.
        """
        self._lists.refuse_missing(type_)
        self._compiler.refuse_hidden(type_)
        key = columns or type_.key
        names = ", ".join(f"c{i}" for i in range(len(key)))
        on = [sql.same_key(type_, column, f"k.c{i}") for i, column in enumerate(key)]
        rows = type_.source({})

        def row(select: Sequence[str]) -> str:
            if columns:
                found = sql.first(rows, select, self._lists.order(type_), where=on)
            else:
                found = f"SELECT {', '.join(select)} FROM {rows} t{sql.conditions(on)} LIMIT 1"
            source = f"unnest({places}, {', '.join(arrays)}) AS k(ord, {names})"
            return f"SELECT k.ord, t.* FROM {source} CROSS JOIN LATERAL ({found}) t"

        return self._compiler.one(type_, selection, row, ordered=True)
