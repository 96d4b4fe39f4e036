"""The shared part of a request's loaders: the columns of a selection, and statements that return records."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from db.attach.facts import Facts
from db.base.lifecycles import lifecycle_of
from db.engine.engine import NO_SETTINGS, Reader
from db.engine.errors import DataError, InvalidValueError
from schema.catalogue.catalogue import LIFECYCLE, STATE, Catalogue, ObjectField, OrderTerm, RelationField, Type
from schema.catalogue.records import Key, Missing, Record, RowShape, key_name, object_name
from schema.catalogue.selection import Selection
from schema.catalogue.value_sizes import Room
from schema.errors import bad_argument, missing_object
from schema.execution.time_slices import BatchLevel, Loader, turns
from schema.sql import builder as sql
from schema.sql import cursors
from schema.sql.arguments import bound, given
from schema.sql.filters import json_paths
from schema.sql.indexes import Indexes
from schema.sql.lists import Lists, Slice


class BatchReader:
    """Reads rows of the connected database for the loaders of one request."""

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
        self._once: dict[str, asyncio.Future[Any]] = {}
        self.cut: Counter[tuple[str, ...]] = Counter()
        """How many lists of the answer were cut at a size that nobody has asked for, by their paths."""
        self.grouped: frozenset[tuple[str, ...]] = frozenset()
        """The paths of aggregates that are known to have too many groups: a statement has failed by them."""

    def over(self, reader: Reader, *, compiles: bool | None = None) -> Self:
        """The same, over another way to read."""
        compiles = self.compiles if compiles is None else compiles
        made = type(self)(self.catalogue, reader, self.missing, self.facts, self.room, compiles=compiles)
        made.cut = self.cut
        return made

    async def once(self, statement: str) -> Any:
        """The value that a statement reads: one for all places of the operation that ask for it."""
        if statement not in self._once:
            self._once[statement] = asyncio.ensure_future(self._value_of(statement))
        return await self._once[statement]

    async def _value_of(self, statement: str) -> Any:
        return (await self.reader.fetch(statement, ()))[0][0]

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
        selected = {child.name for child in selection.fields.values()}
        leaves = list(made.leaves.values())
        # without any the source would give a row for each of its rows, and one is wanted
        chosen = [leaf for leaf in leaves if leaf.name in selected] or leaves[:1]
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

    async def records(self, shape: RowShape, rows: Sequence[Sequence[Any]]) -> list[Record]:
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

    def local_key(self, parent: Record, relation: RelationField) -> Key:
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
