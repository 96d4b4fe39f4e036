"""The shared part of a request's loaders: the columns of a selection, and statements that return records."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from typing import Any, Self

from db.attach.facts import Facts
from db.base.lifecycles import lifecycle_of, lifecycles_of
from db.engine.errors import InvalidValueError
from db.engine.readers import NO_SETTINGS, Reader
from schema.catalogue.catalogue import LIFECYCLE, STATE, Catalogue, ObjectField, OrderTerm, RelationField, Type
from schema.catalogue.records import Key, Missing, Record, RowShape, key_name, object_name
from schema.catalogue.selection import Selection
from schema.catalogue.value_sizes import Room
from schema.errors import missing_object
from schema.execution.time_slices import BatchLevel, Loader, turns
from schema.execution.unreadable import unreadable
from schema.sql import builder as sql
from schema.sql.arguments import bound, given
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
        """``compiles``: whether rows below fields with Python resolvers are read by compiled statements."""
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
        """The number of lists that were cut at the default size, by path."""
        self.grouped: frozenset[tuple[str, ...]] = frozenset()
        """The paths of aggregates with too many groups: a statement has failed for that reason."""

    def over(self, reader: Reader, *, compiles: bool | None = None) -> Self:
        """A copy with another reader."""
        compiles = self.compiles if compiles is None else compiles
        made = type(self)(self.catalogue, reader, self.missing, self.facts, self.room, compiles=compiles)
        made.cut = self.cut
        return made

    def counting(self) -> Self:
        """The same loaders with a count of their own of the lists that were cut, for one of several results."""
        made = copy(self)
        made.cut = Counter()
        return made

    async def once(self, statement: str) -> Any:
        """The value of a statement, which runs once for all places of the operation that use it."""
        if statement not in self._once:
            self._once[statement] = asyncio.ensure_future(self._value_of(statement))
        return await self._once[statement]

    async def _value_of(self, statement: str) -> Any:
        return (await self.reader.fetch(statement, ()))[0][0]

    def shape(
        self, type_: Type, selections: Iterable[Selection], bind: sql.Binds, order: Sequence[OrderTerm] = ()
    ) -> RowShape:
        """The columns that selections on rows of a type need: leaves, keys of relations, values of the order."""
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
        if what := self.missing.first(shape.type, made.columns) or self.missing.among(made.reads):
            shape.refused[name] = what
            return
        values = bound(given(self.catalogue, made.arguments, selection.arguments), bind)
        selected = {child.name for child in selection.fields.values()}
        lacking = {one: what for one, read in made.leaf_reads.items() if (what := self.missing.among(read))}
        leaves = [leaf for leaf in made.leaves.values() if leaf.name not in lacking]
        # without an aggregate the source would yield one row for each of its rows
        chosen = [leaf for leaf in leaves if leaf.name in selected] or leaves[:1]
        shape.add(name, made.over("t", chosen, values))
        shape.objects.append((name, made, lacking))

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
        others = lifecycles_of(shape.type.name)[1:] if name == LIFECYCLE else ()
        for column in (one.column for one in others if self.missing.first(shape.type, (one.column,)) is None):
            shape.add(key_name(column), f"t.{column}::text")

    async def records(self, shape: RowShape, rows: Sequence[Sequence[Any]]) -> list[Record]:
        """The rows as records, made in slices of time.

        Raises:
            GatewayError: ``ANSWER_LIMIT``: they exceed the size of a response.
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
        """The loader for a place of the operation; one per type, where rows of several types can occur."""
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
        """Runs a statement; a value that the database cannot parse is an error of the slice or the filter."""
        where = slice_.where if slice_ else where
        try:
            return await self.reader.fetch(statement, bind.values, settings)
        except InvalidValueError as error:
            raise await unreadable(error, self.reader, where, slice_.positions if slice_ else ()) from error
