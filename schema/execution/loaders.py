"""Executor 1, the reference: one generic batch per kind of question, one statement per relation field and level.

A loader belongs to one place of the query (response path, list indices aside), so all parents that meet there are
answered by one statement, whatever their number. Rows come as tuples of wire values and become plain dicts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from db.attach.facts import Facts
from db.base.lifecycles import lifecycle_of
from db.engine.engine import NO_SETTINGS, Reader
from db.engine.errors import NEVER_TWICE, DatabaseError, DataError, InvalidValueError
from schema.catalogue.catalogue import LIFECYCLE, STATE, Catalogue, ObjectField, OrderTerm, RelationField, Root, Type
from schema.catalogue.records import CUT, TOTALS_OF, WRITTEN, Key, Missing, Record, RowShape, key_name, object_name
from schema.catalogue.selection import Selection, is_unsized, node_selections
from schema.catalogue.value_sizes import Room, Sizes
from schema.errors import GatewayError, bad_argument, missing_object
from schema.execution.compiler.compiler import Compiler
from schema.execution.compiler.statements import NotCompilableError
from schema.execution.time_slices import BatchLevel, Loader, turns
from schema.sql import aggregates, cursors
from schema.sql import builder as sql
from schema.sql.arguments import Given, bound, given, parse_id, type_of
from schema.sql.filters import json_paths
from schema.sql.indexes import Indexes
from schema.sql.lists import NESTED_PAGE, ROOT_PAGE, TOTALS, Lists, Slice

log = logging.getLogger("gateway.compiler")


@dataclass(frozen=True)
class Scope:
    """The rows of a connection, whatever page of them is read: of a parent or all, filtered."""

    type: Type
    below: tuple[str, RelationField] | None
    where: Mapping[str, Any] | None
    given: Given


class Loaders:
    """The loaders of one request."""

    def __init__(
        self,
        catalogue: Catalogue,
        reader: Reader,
        missing: Missing,
        facts: Facts,
        room: Room,
        *,
        compiles: bool = False,
    ) -> None:
        """``compiles``: whether rows below fields of Python's own are read by compiled statements."""
        self.catalogue = catalogue
        self.compiles = compiles
        self.reader = reader
        self.missing = missing
        self.indexes = Indexes(facts)
        self.lists = Lists(catalogue, missing, self.indexes)
        self.facts = facts
        self.room = room
        self.level = BatchLevel()
        self._loaders: dict[tuple[int, str], Loader[Key, Any]] = {}
        self._compiled_failed = False
        self._once: dict[str, asyncio.Future[Any]] = {}
        self.cut: Counter[tuple[str, ...]] = Counter()
        """How many lists of the answer were cut at a size that nobody has asked for, by their paths."""
        self.grouped: frozenset[tuple[str, ...]] = frozenset()
        """The paths of aggregates that are known to have too many groups: a statement has failed by them."""

    def over(self, reader: Reader, *, compiles: bool | None = None) -> Loaders:
        """The same, over another way to read."""
        compiles = self.compiles if compiles is None else compiles
        made = Loaders(self.catalogue, reader, self.missing, self.facts, self.room, compiles=compiles)
        made.cut = self.cut
        return made

    async def once(self, statement: str) -> Any:
        """The value that a statement reads: one for all places of the operation that ask for it."""
        if statement not in self._once:
            self._once[statement] = asyncio.ensure_future(self._value_of(statement))
        return await self._once[statement]

    async def _value_of(self, statement: str) -> Any:
        return (await self.reader.fetch(statement, ()))[0][0]

    # -- what a selection needs of a row ---------------------------------------------------------------------------

    def shape(
        self, type_: Type, selections: Iterable[Selection], bind: sql.Binds, order: Sequence[OrderTerm] = ()
    ) -> RowShape:
        """The columns that these selections on rows of a type need: leaves, keys of relations, the order's values."""
        self.lists.refuse_missing(type_)
        shape = RowShape(type_)
        for selection in selections:
            for key, child in selection.on(type_.name).items():
                shape.add_key(key, object_name(child) if child.name in type_.objects else child.name)
                if leaf := type_.columns.get(child.name):
                    if what := self.missing.first(type_, leaf.columns):
                        shape.refused[leaf.name] = what
                    else:
                        shape.add_leaf(leaf)
                elif relation := type_.relations.get(child.name):
                    self._add_keys(shape, relation)
                elif made := type_.objects.get(child.name):
                    self._add_object(shape, made, child, bind)
                elif columns := type_.extras.get(child.name):
                    self._add_extra(shape, child.name, columns)
        for term in order:
            shape.add(key_name(term.name), f"{term.over('t')}::text")
        return shape

    def _add_object(self, shape: RowShape, made: ObjectField, selection: Selection, bind: sql.Binds) -> None:
        name = object_name(selection)
        if what := self.missing.first(shape.type, made.columns):
            shape.refused[name] = what
            return
        values = bound(given(self.catalogue, made.arguments, selection.arguments), bind)
        asked = {child.name for child in selection.fields.values()}
        leaves = list(made.leaves.values())
        # without any the source would give a row for each of its rows, and one is wanted
        chosen = [leaf for leaf in leaves if leaf.name in asked] or leaves[:1]
        shape.add(name, made.over("t", chosen, values))
        shape.objects.append((name, made))

    def _add_keys(self, shape: RowShape, relation: RelationField) -> None:
        columns = relation.join.local_columns
        if self.missing.first(shape.type, columns) is None:
            for column in columns:
                shape.add(key_name(column), f"t.{column}::text")

    def _add_extra(self, shape: RowShape, name: str, columns: Sequence[str]) -> None:
        if what := self.missing.first(shape.type, columns):
            shape.refused[name] = what
            return
        for column in columns:
            shape.add(key_name(column), f"t.{column}::text")
        if LIFECYCLE in shape.type.extras and (lifecycle := lifecycle_of(shape.type.name)):
            state = lifecycle.read("t", lambda read: self.missing.first(shape.type, read))
            shape.add(key_name(STATE), state)

    # -- connections -----------------------------------------------------------------------------------------------

    def conditions(
        self, type_: Type, below: tuple[str, RelationField] | None, where: Mapping[str, Any] | None, bind: sql.Binds
    ) -> list[str]:
        """What rows must fulfil: to belong to the parent, and the filter."""
        on = [below[1].join.on("k", "t")] if below else []
        return [*on, *self.lists.filters(type_, where, bind)]

    async def root_connection(self, type_: Type, selection: Selection) -> Record:
        """A page of a whole table."""
        return (await self._connections(type_, selection, ROOT_PAGE, None, [()]))[0]

    def related_connection(self, parent: Record, relation: RelationField, selection: Selection) -> Any:
        """A page of a parent's rows, with all parents that meet at this place of the query."""
        key = self._local_key(parent, relation)

        async def load(keys: list[Key]) -> Sequence[Any]:
            target = self.catalogue[relation.target]
            return await self._connections(target, selection, NESTED_PAGE, (parent["__typename"], relation), keys)

        return self.loader(selection, load).load(key)

    async def _connections(
        self,
        type_: Type,
        selection: Selection,
        default: int,
        below: tuple[str, RelationField] | None,
        keys: Sequence[Key],
    ) -> list[Record]:
        """A connection for every parent key; the keys are ``[()]`` at a root."""
        slice_ = self.lists.slice(type_, selection.arguments, default, equal=below[1].join.equal if below else ())
        children = selection.fields.values()  # one field may be there several times, by aliases
        fields = {child.name for child in children}
        wants_rows = bool(fields & {"nodes", "edges", "pageInfo"})
        self.lists.refuse_missing(type_, below)
        ahead, behind = ("hasNextPage", "hasPreviousPage")[:: -1 if slice_.backward else 1]
        asked = {child.name for info in children if info.name == "pageInfo" for child in info.fields.values()}
        pages, totals, others, beyond = await asyncio.gather(
            self._pages(type_, selection, slice_, below, keys) if wants_rows else _nothing(keys),
            self._totals(type_, slice_, below, keys, self.counted(selection)),
            self._sides(type_, slice_, below, keys, slice_.before_start) if behind in asked else _nothing(keys),
            self._sides(type_, slice_, below, keys, slice_.behind_end) if ahead in asked else _nothing(keys),
        )
        scope = Scope(type_, below, slice_.where, slice_.given)
        return [
            self._connection(type_, slice_, page or [], total, other=bool(other), beyond=bool(further))
            | {"scope": scope, "key": key, CUT: self.cut_of(selection, total, more=len(page or ()) > slice_.limit)}
            for key, page, total, other, further in zip(keys, pages, totals, others, beyond, strict=True)
        ]

    def aggregate(self, connection: Record, selection: Selection) -> Any:
        """What the rows of a connection come to, with all connections that meet at this place of the query."""
        scope: Scope = connection["scope"]

        async def load(keys: list[Key]) -> Sequence[Any]:
            if scope.below is None and selection.path in self.grouped:
                return [aggregates.too_many() for _ in keys]
            asked = aggregates.summary(scope.type, selection)
            used = {column for leaf, _ in (*asked.keys, *asked.measures) for column in leaf.columns}
            if what := self.missing.first(scope.type, sorted(used)):
                raise missing_object(what)
            bind = sql.Binds()
            source = self._parents(scope.below, keys, bind)
            rows = scope.type.source(bound(scope.given, bind))
            statement = asked.statement(rows, self.conditions(scope.type, scope.below, scope.where, bind), bind)
            found: list[list[Record]] = [[] for _ in keys]
            if source is None:
                found[0] = [asked.record(row) for row in await self.fetch(statement, bind, where=scope.where)]
            else:
                statement = sql.per_parent(statement, source)
                for place, *row in await self.fetch(statement, bind, where=scope.where):
                    found[place - 1].append(asked.record(row))
            return [aggregates.groups(records) for records in found]

        return self.loader(selection, load).load(connection["key"])

    async def _pages(
        self,
        type_: Type,
        selection: Selection,
        slice_: Slice,
        below: tuple[str, RelationField] | None,
        keys: Sequence[Key],
    ) -> list[list[Record]]:
        bind = sql.Binds()
        # the row beyond an empty page is counted alone: no value of it can fail
        shape = self.shape(type_, node_selections(selection) if slice_.limit else [], bind, slice_.order)
        source = self._parents(below, keys, bind)
        rows = type_.source(bound(slice_.given, bind))
        where = self.conditions(type_, below, slice_.where, bind)
        statement = sql.page(rows, shape.select, slice_.page, bind, where=[*where, *slice_.before_end(bind)])
        pages: list[list[Record]] = [[] for _ in keys]
        if source is None:
            pages[0] = await self._records(shape, await self.fetch(statement, bind, slice_))
        else:
            statement = sql.per_parent(statement, source)
            if len(keys) * slice_.limit > (most := self.room.rows(shape.keys)):  # more have no room in any case
                statement += f" LIMIT {most}"
            answer = await self.fetch(statement, bind, slice_)
            records = await self._records(shape, [row[1:] for row in answer])
            for row, record in zip(answer, records, strict=True):
                pages[row[0] - 1].append(record)
        return pages

    async def _records(self, shape: RowShape, rows: Sequence[Sequence[Any]]) -> list[Record]:
        """The rows as records, a few at a time.

        Raises:
            GatewayError: ``ANSWER_LIMIT``: they have no room in the answer.
        """
        records: list[Record] = []

        def make(_place: int, row: Sequence[Any]) -> None:
            self.room.take(shape.bytes(row))
            records.append(shape.record(row))

        await turns().each(rows, make)
        return records

    def counted(self, connection: Selection) -> list[int | None]:
        """How far the rows of a connection are counted: once for all of its fields that ask the same."""
        asked = (child for child in connection.fields.values() if child.name in TOTALS)
        return list(dict.fromkeys(self.lists.count_up_to(child) for child in asked))

    def cut_of(
        self, connection: Selection, totals: Mapping[int | None, int], *, more: bool
    ) -> Counter[tuple[str, ...]]:
        """The paths of a connection and of its counts, where they were cut at a size that nobody has asked for."""
        cut = Counter([connection.path] if more and is_unsized(connection) else [])
        for total in self.lists.unsaid_totals(connection):
            up_to = self.lists.count_up_to(total)
            if up_to is not None and totals[up_to] > up_to:
                cut[total.path] += 1
        return cut

    async def _totals(
        self,
        type_: Type,
        slice_: Slice,
        below: tuple[str, RelationField] | None,
        keys: Sequence[Key],
        counted: Sequence[int | None],
    ) -> list[dict[int | None, int]]:
        """For every parent how many rows its list has, by how far they are counted."""

        async def count(up_to: int | None) -> list[Any]:
            bind = sql.Binds()
            rows = type_.source(bound(slice_.given, bind))
            statement = sql.count(rows, where=self.conditions(type_, below, slice_.where, bind), up_to=up_to)
            return await self._facts(below, keys, statement, bind, slice_)

        found = await asyncio.gather(*(count(up_to) for up_to in counted))
        return [{up_to: found[at][place] for at, up_to in enumerate(counted)} for place in range(len(keys))]

    async def _sides(
        self,
        type_: Type,
        slice_: Slice,
        below: tuple[str, RelationField] | None,
        keys: Sequence[Key],
        side: Callable[[str, sql.Binds, Sequence[str]], str | None],
    ) -> list[Any]:
        """Whether rows lie on one side of the page, beyond a cursor; without a cursor there nobody needs to ask."""
        bind = sql.Binds()
        where = self.conditions(type_, below, slice_.where, bind)
        statement = side(type_.source(bound(slice_.given, bind)), bind, where)
        return await (self._facts(below, keys, statement, bind, slice_) if statement else _nothing(keys))

    async def _facts(
        self,
        below: tuple[str, RelationField] | None,
        keys: Sequence[Key],
        statement: str,
        bind: sql.Binds,
        slice_: Slice | None = None,
    ) -> list[Any]:
        """One value for every parent."""
        source = self._parents(below, keys, bind)
        if source is None:
            return [(await self.fetch(statement, bind, slice_))[0][0]]
        found = {row[0]: row[1] for row in await self.fetch(sql.per_parent(statement, source), bind, slice_)}
        return [found[index + 1] for index in range(len(keys))]

    def _parents(self, below: tuple[str, RelationField] | None, keys: Sequence[Key], bind: sql.Binds) -> str | None:
        if below is None:
            return None
        parent, relation = below
        return sql.parents(self.catalogue[parent], relation.join.local_columns, keys, bind)

    def _connection(
        self, type_: Type, slice_: Slice, rows: list[Record], totals: Any, *, other: bool, beyond: bool
    ) -> Record:
        """``other``: whether rows lie before where the page begins; ``beyond``: behind the cursor that ends it."""
        more = len(rows) > slice_.limit or beyond
        rows = rows[: slice_.limit]
        if slice_.backward:
            rows.reverse()
        names = [key_name(term.name) for term in slice_.order]
        start = cursors.start(type_, slice_.order)
        edges = [{"node": row, "cursor": cursors.encode(start, [row[name] for name in names])} for row in rows]
        return {
            "nodes": rows,
            "edges": edges,
            TOTALS_OF: totals,
            "page_info": {
                "has_next_page": other if slice_.backward else more,
                "has_previous_page": more if slice_.backward else other,
                "start_cursor": edges[0]["cursor"] if edges else None,
                "end_cursor": edges[-1]["cursor"] if edges else None,
            },
        }

    # -- single rows -----------------------------------------------------------------------------------------------

    def related_row(self, parent: Record, relation: RelationField, selection: Selection) -> Any:
        """The one row that a relation leads to, or None."""
        key = self._local_key(parent, relation)
        if relation.join.equality and None in key:
            return None

        async def load(keys: list[Key]) -> Sequence[Any]:
            target = self.catalogue[relation.target]
            below = (parent["__typename"], relation)
            self.lists.refuse_missing(target, below)
            bind = sql.Binds()
            shape = self.shape(target, [selection], bind)
            source = sql.parents(self.catalogue[below[0]], relation.join.local_columns, keys, bind)
            one = sql.Page(self.lists.order(target, relation.join.equal), 1)
            values = bound(given(self.catalogue, target.arguments, selection.arguments), bind)
            if relation.join.remote_columns == target.key:
                values["keys"] = f"ARRAY[k.{relation.join.local_columns[0]}::text]"
            statement = sql.page(target.source(values), shape.select, one, bind, where=[relation.join.on("k", "t")])
            answer = await self.fetch(sql.per_parent(statement, source), bind)
            records = await self._records(shape, [row[1:] for row in answer])
            found = {row[0]: record for row, record in zip(answer, records, strict=True)}
            return [found.get(index + 1) for index in range(len(keys))]

        return self.loader(selection, load).load(key)

    async def by_ids(self, type_: Type, selections: Sequence[Selection], keys: Sequence[Key]) -> list[Record | None]:
        """The rows with these keys, in that order, None where there is none."""
        bind = sql.Binds()
        shape = self.shape(type_, selections, bind)
        statement = sql.by_keys(type_, shape.select, keys, bind)
        if shown := self.missing.conditions(type_, "t"):
            statement += sql.conditions(shown)
        answer = await self.fetch(statement, bind)
        records = await self._records(shape, [row[1:] for row in answer])
        found = {row[0]: record for row, record in zip(answer, records, strict=True)}
        return [found.get(index + 1) for index in range(len(keys))]

    async def root_row(self, type_: Type, root: Root, selection: Selection) -> Record | None:
        """The row with the id that is asked for, global or bare, or with what else is unique; or the only one."""
        asked = {name: value for name, value in selection.arguments.items() if value is not None}
        if "id" in asked and len(asked) == 1:
            key = parse_id(self.catalogue, "id", type_, asked["id"])
            return (await self.by_ids(type_, [selection], [key]))[0]
        bind = sql.Binds()
        shape = self.shape(type_, [selection], bind)
        conditions = self.lists.lookup(type_, root, asked, bind) if type_.is_node else []
        rows = type_.source(bound(given(self.catalogue, type_.arguments, selection.arguments), bind))
        statement = sql.page(rows, shape.select, sql.Page(self.lists.order(type_), 1), bind, where=conditions)
        found = await self.fetch(statement, bind)
        return (await self._records(shape, found))[0] if found else None

    def row(self, type_: Type, selection: Selection, key: Key) -> Any:
        """The row with a key or None, with all that meet at this place of the query; for fields of Python's own."""

        async def load(keys: list[Key]) -> Sequence[Any]:
            return await self.rows(type_, selection, keys)

        return self.loader(selection, load, type_.name).load(key)

    async def rows(self, type_: Type, selection: Selection, keys: Sequence[Key]) -> Sequence[Record | None]:
        """The rows with these keys; with all that is selected below them in one compiled statement, where that can be.

        What can't be said so, and what makes that statement fail, is left to the loaders.
        """
        nested = any(child.name in type_.relations for child in selection.on(type_.name).values())
        if self.compiles and nested and not self._compiled_failed:
            try:
                return await self._compiled(type_, selection, keys)
            except NEVER_TWICE:
                raise
            except (NotCompilableError, GatewayError):
                if self.room.is_full:
                    raise
            except DatabaseError as error:
                self._compiled_failed = True
                log.info("rows of %s are answered by the loaders: %s", type_.name, error)
        return await self.by_ids(type_, [selection], keys)

    async def _compiled(self, type_: Type, selection: Selection, keys: Sequence[Key]) -> Sequence[Record | None]:
        variables = selection.operation.variables.coerced
        statement = Compiler(
            self.catalogue, self.missing, variables, self.indexes, Sizes(self.facts, self.room.most)
        ).rows(type_, selection, keys)
        found: list[Record | None] = [None] * len(keys)
        for place, json, *told, rows in await self.reader.fetch(statement.sql, statement.values(variables)):
            self.room.take(len(json))
            cut = statement.cut(told[0]) if told else None
            found[place - 1] = {"__typename": type_.name, WRITTEN: orjson.Fragment(json), CUT: cut}
            self.reader.rows += rows - 1  # it has counted the row itself
        return found

    def node(self, selection: Selection, id_: str) -> Any:
        """A row of any type by its global id, with all that meet at this place of the query."""

        async def load(keys: list[Key]) -> Sequence[Any]:
            return await self.nodes("id", [str(key[0]) for key in keys], selection)

        return self.loader(selection, load).load((id_,))

    async def nodes(
        self, argument: str, values: Sequence[str], selection: Selection
    ) -> list[Record | Exception | None]:
        """Rows of any type by their global ids: one statement per type, all types at once.

        An id that cannot be used is an error in its own place; the others are answered.
        """
        rows: list[Record | Exception | None] = [None] * len(values)
        wanted: dict[str, dict[Key, list[int]]] = {}
        for place, value in enumerate(values):
            try:
                type_ = type_of(self.catalogue, argument, value)
                key: Key = parse_id(self.catalogue, argument, type_, value)
                wanted.setdefault(type_.name, {}).setdefault(key, []).append(place)
            except GatewayError as error:
                rows[place] = error
        groups = [(self.catalogue[name], list(keys)) for name, keys in wanted.items()]
        answers = await asyncio.gather(*(self._rows_or_error(type_, selection, keys) for type_, keys in groups))
        for (type_, keys), records in zip(groups, answers, strict=True):
            for key, record in zip(keys, records, strict=True):
                for place in wanted[type_.name][key]:
                    rows[place] = record
        return rows

    async def _rows_or_error(
        self, type_: Type, selection: Selection, keys: Sequence[Key]
    ) -> Sequence[Record | Exception | None]:
        try:
            return await self.rows(type_, selection, keys)
        except (GatewayError, DatabaseError) as error:
            return [error] * len(keys)

    # -- common ----------------------------------------------------------------------------------------------------

    def _local_key(self, parent: Record, relation: RelationField) -> Key:
        columns = relation.join.local_columns
        if what := self.missing.first(self.catalogue[parent["__typename"]], columns):
            raise missing_object(what)
        return tuple(parent[key_name(column)] for column in columns)

    def loader(self, selection: Selection, load: Callable[[list[Key]], Any], type_name: str = "") -> Loader[Key, Any]:
        """The loader of a place of the query; of each type there, where rows of several types can meet."""
        place = id(selection), type_name
        loader = self._loaders.get(place)
        if loader is None:
            loader = self._loaders[place] = Loader(load, self.level)
        return loader

    async def fetch(
        self,
        statement: str,
        bind: sql.Binds,
        slice_: Slice | None = None,
        where: Mapping[str, Any] | None = None,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> Sequence[Sequence[Any]]:
        """Runs a statement; a value that the database cannot read is an error of the slice's or the filter's."""
        where = slice_.where if slice_ else where
        try:
            return await self.reader.fetch(statement, bind.values, settings)
        except InvalidValueError as error:
            await self._refuse_paths(where)
            if slice_ and slice_.positions:
                arguments = " or ".join(slice_.positions)
                raise cursors.invalid(arguments, "holds values that its columns cannot have") from error
            if where:
                raise bad_argument("where", f"the database cannot read a value of it: {error}") from error
            raise DataError(str(error)) from error  # ids and other arguments were checked: it is what is stored

    async def _refuse_paths(self, where: Mapping[str, Any] | None) -> None:
        """Looks for the SQL/JSON path of a filter that is none.

        Raises:
            GatewayError: ``BAD_USER_INPUT``, with what the database says of it.
        """
        for argument, path in json_paths(where):
            try:
                await self.reader.fetch("SELECT length($1::text::jsonpath::text)", [path])
            except InvalidValueError as error:
                raise bad_argument(argument, f"is not an SQL/JSON path: {error}") from error


async def _nothing(keys: Sequence[Key]) -> list[Any]:
    return [None] * len(keys)
