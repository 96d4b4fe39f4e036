"""Pages of tables and of relations: their rows, counts, adjacent rows and aggregates, each one statement for all
parents."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db.engine.errors import DatabaseError, is_out_of_range
from schema.catalogue.catalogue import RelationField, Type
from schema.catalogue.records import CUT, TOTALS_OF, Key, Record, key_name
from schema.catalogue.selection import Selection, is_unsized, node_selections
from schema.errors import GatewayError
from schema.execution.batch_reader import BatchReader
from schema.sql import aggregates, cursors
from schema.sql import builder as sql
from schema.sql.lists import NESTED_PAGE, ROOT_PAGE, TOTALS, Slice

Below = tuple[str, RelationField] | None
"""The type and the relation that lead to the rows of a connection; None for a whole table."""


@dataclass(frozen=True)
class Scope:
    """The rows of a connection, whatever the page: of a parent or all, filtered."""

    type: Type
    below: Below
    slice: Slice


class ConnectionLoaders(BatchReader):
    """The loaders of connections."""

    def conditions(self, type_: Type, below: Below, where: Mapping[str, Any] | None, bind: sql.Binds) -> list[str]:
        """The conditions on rows: to belong to the parent, and the filter."""
        on = [below[1].join.on("k", "t")] if below else []
        return [*on, *self.lists.filters(type_, where, bind, of_all=not on)]

    async def root_connection(self, type_: Type, selection: Selection) -> Record:
        """A page of a whole table."""
        return (await self._connections(type_, selection, ROOT_PAGE, None, [()]))[0]

    def related_connection(self, parent: Record, relation: RelationField, selection: Selection) -> Any:
        """A page of a parent's rows, loaded with those of all parents at this place of the operation."""
        key = self.local_key(parent, relation)

        async def load(keys: list[Key]) -> Sequence[Any]:
            target = self.catalogue[relation.target]
            return await self._connections(target, selection, NESTED_PAGE, (parent["__typename"], relation), keys)

        return self.loader(selection, load).load(key)

    async def _connections(
        self,
        type_: Type,
        selection: Selection,
        default: int,
        below: Below,
        keys: Sequence[Key],
    ) -> list[Record]:
        """A connection per parent key; the keys are ``[()]`` at a root."""
        self.lists.refuse_missing(type_, below)
        slice_ = self.lists.slice(type_, selection.arguments, default, below=below[1] if below else None)
        children = selection.fields.values()  # aliases can select one field several times
        fields = {child.name for child in children}
        wants_rows = bool(fields & {"nodes", "edges", "pageInfo"})
        ahead, behind = ("hasNextPage", "hasPreviousPage")[:: -1 if slice_.backward else 1]
        page_info = {child.name for info in children if info.name == "pageInfo" for child in info.fields.values()}
        pages, totals, others, beyond = await asyncio.gather(
            self._pages(type_, selection, slice_, below, keys) if wants_rows else _nothing(keys),
            self._totals(type_, slice_, below, keys, self.counted(selection)),
            self._sides(type_, slice_, below, keys, slice_.before_start) if behind in page_info else _nothing(keys),
            self._sides(type_, slice_, below, keys, slice_.behind_end) if ahead in page_info else _nothing(keys),
        )
        scope = Scope(type_, below, slice_)
        if wants_rows:
            for page, total in zip(pages, totals, strict=True):
                self._add_page(total, min(len(page), slice_.limit), slice_)
        return [
            self._connection(type_, slice_, page or [], total, other=bool(other), beyond=bool(further))
            | {"scope": scope, "key": key, CUT: self.cut_of(selection, total, more=len(page or ()) > slice_.limit)}
            for key, page, total, other, further in zip(keys, pages, totals, others, beyond, strict=True)
        ]

    def aggregate(self, connection: Record, selection: Selection) -> Any:
        """The aggregate of a connection, loaded with those of all connections at this place of the operation."""
        scope: Scope = connection["scope"]

        async def load(keys: list[Key]) -> Sequence[Any]:
            if scope.below is None and selection.path in self.grouped:
                return [aggregates.too_many() for _ in keys]
            summary = aggregates.summary(scope.type, selection).readable(self.missing)
            try:
                found = await self._groups(summary, scope, keys)
            except (GatewayError, DatabaseError) as error:
                widened = summary.widened() if is_out_of_range(error) else None
                if widened is None:
                    raise
                found = await self._groups(widened, scope, keys)
            return [aggregates.groups(records) for records in found]

        return self.loader(selection, load).load(connection["key"])

    async def _groups(self, summary: aggregates.Summary, scope: Scope, keys: Sequence[Key]) -> list[list[Record]]:
        """The groups of an aggregate, per parent."""
        bind = sql.Binds()
        source = self._parents(scope.below, keys, bind)
        rows, where = self.lists.rows(scope.type, scope.slice, bind), scope.slice.where
        statement = summary.statement(rows, self.conditions(scope.type, scope.below, where, bind), bind)
        groups: list[list[Record]] = [[] for _ in keys]
        if source is None:
            groups[0] = [summary.record(row) for row in await self.fetch(statement, bind, where=where)]
            return groups
        for place, *row in await self.fetch(sql.per_parent(statement, source), bind, where=where):
            groups[place - 1].append(summary.record(row))
        return groups

    async def _pages(
        self,
        type_: Type,
        selection: Selection,
        slice_: Slice,
        below: Below,
        keys: Sequence[Key],
    ) -> list[list[Record]]:
        bind = sql.Binds()
        # the row after an empty page is only counted: none of its values can fail
        shape = self.shape(type_, node_selections(selection) if slice_.limit else [], bind, slice_.order)
        source = self._parents(below, keys, bind)
        rows = self.lists.rows(type_, slice_, bind, paged=True)
        where = self.conditions(type_, below, slice_.where, bind)
        statement = sql.page(rows, shape.select, slice_.page, bind, where=[*where, *slice_.before_end(bind)])
        pages: list[list[Record]] = [[] for _ in keys]
        if source is None:
            pages[0] = await self.records(shape, await self.fetch(statement, bind, slice_))
        else:
            statement = sql.per_parent(statement, source)
            if len(keys) * slice_.limit > (most := self.room.rows(shape.keys)):  # more exceed the limit in any case
                statement += f" LIMIT {most}"
            answer = await self.fetch(statement, bind, slice_)
            records = await self.records(shape, [row[1:] for row in answer])
            for row, record in zip(answer, records, strict=True):
                pages[row[0] - 1].append(record)
        return pages

    def counted(self, connection: Selection) -> list[int | None]:
        """The limits up to which a connection's rows are counted, shared by its fields with equal limits."""
        totals = (child for child in connection.fields.values() if child.name in TOTALS)
        return list(dict.fromkeys(self.lists.count_up_to(child) for child in totals))

    def cut_of(
        self, connection: Selection, totals: Mapping[int | None, int], *, more: bool
    ) -> Counter[tuple[str, ...]]:
        """The paths of a connection and of its counts that were cut at the default size."""
        cut = Counter([connection.path] if more and is_unsized(connection) else [])
        for total in self.lists.unsaid_totals(connection):
            up_to = self.lists.count_up_to(total)
            if totals[up_to] < 0:
                cut[total.path] += 1
        return cut

    async def _totals(
        self,
        type_: Type,
        slice_: Slice,
        below: Below,
        keys: Sequence[Key],
        counted: Sequence[int | None],
    ) -> list[dict[int | None, int]]:
        """For every parent the number of rows in its list, by limit of counting, as `sql.count` tells it."""
        join = below[1].join if below else None

        async def count(up_to: int | None) -> list[Any]:
            bind = sql.Binds()
            rows = self.lists.rows(type_, slice_, bind)
            on, equal = ([join.on("k", "t")], join.equal) if join else ([], ())
            some = self.lists.counted(type_, slice_.where, bind, equal, of_all=not on)
            where = [*on, *some.where]
            statement = sql.count(rows, where=where, up_to=up_to, unserved=some.unserved, found=some.found)
            return await self._facts(below, keys, statement, bind, slice_)

        counts = await asyncio.gather(*(count(up_to) for up_to in counted))
        return [{up_to: counts[at][place] for at, up_to in enumerate(counted)} for place in range(len(keys))]

    @staticmethod
    def _add_page(totals: dict[int | None, int], rows: int, slice_: Slice) -> None:
        """Adds what the ``rows`` of a page tell of the numbers in its list."""
        for up_to, number in totals.items():
            totals[up_to] = sql.known_beside(number, rows, slice_.limit, whole=not slice_.positions)

    async def _sides(
        self,
        type_: Type,
        slice_: Slice,
        below: Below,
        keys: Sequence[Key],
        side: Callable[[str, sql.Binds, Sequence[str]], str | None],
    ) -> list[Any]:
        """Whether there are rows on one side of the page, beyond a cursor; without a cursor no statement is run."""
        bind = sql.Binds()
        where = self.conditions(type_, below, slice_.where, bind)
        statement = side(self.lists.rows(type_, slice_, bind, paged=True), bind, where)
        return await (self._facts(below, keys, statement, bind, slice_) if statement else _nothing(keys))

    async def _facts(
        self,
        below: Below,
        keys: Sequence[Key],
        statement: str,
        bind: sql.Binds,
        slice_: Slice | None = None,
    ) -> list[Any]:
        """One value per parent."""
        source = self._parents(below, keys, bind)
        if source is None:
            return [(await self.fetch(statement, bind, slice_))[0][0]]
        by_place = {row[0]: row[1] for row in await self.fetch(sql.per_parent(statement, source), bind, slice_)}
        return [by_place[index + 1] for index in range(len(keys))]

    def _parents(self, below: Below, keys: Sequence[Key], bind: sql.Binds) -> str | None:
        if below is None:
            return None
        parent, relation = below
        return sql.parents(self.catalogue[parent], relation.join.local_columns, keys, bind)

    def _connection(
        self, type_: Type, slice_: Slice, rows: list[Record], totals: Any, *, other: bool, beyond: bool
    ) -> Record:
        """``other``: whether there are rows before the page; ``beyond``: after the cursor that ends it."""
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


async def _nothing(keys: Sequence[Key]) -> list[Any]:
    return [None] * len(keys)
