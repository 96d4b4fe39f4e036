"""Loaders of single rows: by id, by a unique key, by a relation, and by global ids of any types."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import orjson

from db.engine.errors import NEVER_TWICE, DatabaseError
from schema.catalogue.catalogue import RelationField, Root, Type
from schema.catalogue.records import CUT, WRITTEN, Key, Record
from schema.catalogue.selection import Selection
from schema.catalogue.value_sizes import Sizes
from schema.errors import GatewayError, missing_object
from schema.execution.batch_reader import BatchReader
from schema.execution.compiler.compiler import Compiler
from schema.execution.compiler.statements import NotCompilableError
from schema.sql import builder as sql
from schema.sql.arguments import bound, given, parse_id, type_of

log = logging.getLogger("gateway.compiler")


class RowLoaders(BatchReader):
    """The loaders of single rows."""

    _compiled_failed = False

    def related_row(self, parent: Record, relation: RelationField, selection: Selection) -> Any:
        """The row of a single relation, or None."""
        key = self.local_key(parent, relation)
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
            statement = sql.page(target.source(values), shape.select, one, bind, where=[relation.join.on("k", "t")])
            answer = await self.fetch(sql.per_parent(statement, source), bind)
            records = await self.records(shape, [row[1:] for row in answer])
            by_place = {row[0]: record for row, record in zip(answer, records, strict=True)}
            return [by_place.get(index + 1) for index in range(len(keys))]

        return self.loader(selection, load).load(key)

    async def by_ids(
        self, type_: Type, selections: Sequence[Selection], keys: Sequence[Key], columns: Sequence[str] = ()
    ) -> list[Record | None]:
        """The rows with these keys, in that order, None for missing ones; keys are values of ``columns`` if given."""
        bind = sql.Binds()
        shape = self.shape(type_, selections, bind)
        shown = self.missing.conditions(type_, "t")
        if columns:
            if what := self.missing.first(type_, columns):
                raise missing_object(what)
            statement = sql.by_columns(type_, columns, shape.select, keys, self.lists.order(type_), bind, shown)
        else:
            statement = f"{sql.by_keys(type_, shape.select, keys, bind)}{sql.conditions(shown) if shown else ''}"
        answer = await self.fetch(statement, bind)
        records = await self.records(shape, [row[1:] for row in answer])
        by_place = {row[0]: record for row, record in zip(answer, records, strict=True)}
        return [by_place.get(index + 1) for index in range(len(keys))]

    async def root_row(self, type_: Type, root: Root, selection: Selection) -> Record | None:
        """The row with the given id, global or bare, or unique key; or the only row."""
        arguments = {name: value for name, value in selection.arguments.items() if value is not None}
        if "id" in arguments and len(arguments) == 1:
            key = parse_id(self.catalogue, "id", type_, arguments["id"])
            return (await self.by_ids(type_, [selection], [key]))[0]
        bind = sql.Binds()
        shape = self.shape(type_, [selection], bind)
        conditions = self.lists.lookup(type_, root, arguments, bind) if type_.is_node else []
        source = type_.source(bound(given(self.catalogue, type_.arguments, selection.arguments), bind))
        statement = sql.page(source, shape.select, sql.Page(self.lists.order(type_), 1), bind, where=conditions)
        rows = await self.fetch(statement, bind)
        return (await self.records(shape, rows))[0] if rows else None

    def row(self, type_: Type, selection: Selection, key: Key) -> Any:
        """The row with a key or None, loaded with those at this place of the operation; for fields with Python
        resolvers."""

        async def load(keys: list[Key]) -> Sequence[Any]:
            return await self.rows(type_, selection, keys)

        return self.loader(selection, load, type_.name).load(key)

    async def rows(
        self, type_: Type, selection: Selection, keys: Sequence[Key], columns: Sequence[str] = ()
    ) -> Sequence[Record | None]:
        """The rows with these keys; with everything selected below them in one compiled statement, if possible.

        Keys are values of ``columns`` if given.

        Selections that cannot be compiled, or whose statement fails, are left to the loaders.
        """
        nested = any(child.name in type_.relations for child in selection.on(type_.name).values())
        if self.compiles and nested and not self._compiled_failed:
            try:
                return await self._compiled(type_, selection, keys, columns)
            except NEVER_TWICE:
                raise
            except (NotCompilableError, GatewayError):
                if self.room.is_full:
                    raise
            except DatabaseError as error:
                self._compiled_failed = True
                log.info("rows of %s are answered by the loaders: %s", type_.name, error)
        return await self.by_ids(type_, [selection], keys, columns)

    async def _compiled(
        self, type_: Type, selection: Selection, keys: Sequence[Key], columns: Sequence[str]
    ) -> Sequence[Record | None]:
        variables = selection.operation.variables.coerced
        statement = Compiler(
            self.catalogue, self.missing, variables, self.indexes, Sizes(self.facts, self.room.most)
        ).rows(type_, selection, keys, columns)
        records: list[Record | None] = [None] * len(keys)
        for place, json, *told, rows in await self.reader.fetch(statement.sql, statement.values(variables)):
            self.room.take(len(json))
            cut = statement.cut(told[0]) if told else None
            records[place - 1] = {"__typename": type_.name, WRITTEN: orjson.Fragment(json), CUT: cut}
            self.reader.rows += rows - 1  # the reader has counted the row itself
        return records

    def node(self, selection: Selection, id_: str) -> Any:
        """A row of any type by its global id, loaded with those at this place of the operation."""

        async def load(keys: list[Key]) -> Sequence[Any]:
            return await self.nodes("id", [str(key[0]) for key in keys], selection)

        return self.loader(selection, load).load((id_,))

    async def nodes(
        self, argument: str, values: Sequence[str], selection: Selection
    ) -> list[Record | Exception | None]:
        """Rows of any type by their global ids: one statement per type, all types at once.

        An invalid id is an error in its own place; the others are answered.
        """
        keys: list[tuple[str, tuple[str, ...], Key] | Exception] = []
        for value in values:
            try:
                type_ = type_of(self.catalogue, argument, value)
                keys.append((type_.name, (), parse_id(self.catalogue, argument, type_, value)))
            except GatewayError as error:
                keys.append(error)
        return await self.by_any(keys, selection)

    async def by_any(
        self, keys: Sequence[tuple[str, tuple[str, ...], Key] | Exception], selection: Selection
    ) -> list[Record | Exception | None]:
        """Rows by keys of any types, each with its columns, none for the type's own key: a statement per type and
        columns.

        Errors stay in their places.
        """
        rows: list[Record | Exception | None] = [one if isinstance(one, Exception) else None for one in keys]
        wanted: dict[tuple[str, tuple[str, ...]], dict[Key, list[int]]] = {}
        for place, one in enumerate(keys):
            if not isinstance(one, Exception):
                name, columns, key = one
                wanted.setdefault((name, columns), {}).setdefault(key, []).append(place)
        answers = await asyncio.gather(
            *(
                self._rows_or_error(self.catalogue[name], selection, list(of), columns)
                for (name, columns), of in wanted.items()
            )
        )
        for of, records in zip(wanted.values(), answers, strict=True):
            for places, record in zip(of.values(), records, strict=True):
                for place in places:
                    rows[place] = record
        return rows

    async def _rows_or_error(
        self, type_: Type, selection: Selection, keys: Sequence[Key], columns: Sequence[str] = ()
    ) -> Sequence[Record | Exception | None]:
        try:
            return await self.rows(type_, selection, keys, columns)
        except (GatewayError, DatabaseError) as error:
            return [error] * len(keys)
