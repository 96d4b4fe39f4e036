"""Similarity search in the graph: arguments and connections of its roots, and its loaders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import strawberry

from db.base.entity import camel
from schema.catalogue.catalogue import Catalogue, Root
from schema.catalogue.records import CUT, TOTALS_OF, Record, key_name
from schema.catalogue.selection import Selection, node_selections
from schema.errors import bad_argument, missing_object
from schema.execution.loaders import Loaders
from schema.search.texts import MAX_TEXT, TEXT
from schema.search.vector import Search, Similarity
from schema.sql import builder as sql
from schema.sql import cursors
from schema.sql.lists import MAX_PAGE, ROOT_PAGE, TOTALS

_VALUES = [key_name(name) for name in ("score", "distance", "key")]
"""The key of a record for the values of a page's statement beside the row's own fields."""


class SimilaritySearch(Similarity):
    """A similarity search of a type: its root's arguments, and its execution by the loaders."""

    def __init__(self, catalogue: Catalogue, root: Root) -> None:
        super().__init__(catalogue, root)
        self._root = root

    async def resolve(self, loaders: Loaders, selection: Selection) -> Record:
        """The connection of a page, nearest first.

        Raises:
            GatewayError: ``BAD_USER_INPUT`` or ``INVALID_CURSOR``, naming the argument.
        """
        loaders.lists.refuse_missing(self.type)
        if what := loaders.lists.missing.first(self.type, [self.nearest.vector]):
            raise missing_object(what)
        search = self.search(selection.arguments, loaders.indexes)
        fields = {child.name for child in selection.fields.values()}
        page = await self._page(loaders, selection, search) if fields - {*TOTALS, "__typename"} else []
        scanned = len(page)
        if not scanned and search.like is not None:
            await self._refuse_unlike(loaders, search)
        score, *position = _VALUES
        least = -math.inf if search.least is None else search.least
        rows = [row for row in page if row[score] is not None and row[score] >= least]
        more = len(rows) > search.limit
        rows = rows[: search.limit]
        start = str(self.cursor_start(search))
        edges = [
            {"node": row, "score": row[score], "cursor": cursors.encode(start, [row[name] for name in position])}
            for row in rows
        ]
        totals = {up_to: await self._total(loaders, search, up_to) for up_to in loaders.counted(selection)}
        return {
            CUT: loaders.cut_of(selection, totals, more=more),
            "nodes": rows,
            "edges": edges,
            "page_info": {
                "has_next_page": more,
                "has_previous_page": search.position is not None,
                "start_cursor": edges[0]["cursor"] if edges else None,
                "end_cursor": edges[-1]["cursor"] if edges else None,
            },
            "complete": search.exact
            or "complete" not in fields
            or (search.fills if scanned > search.limit else scanned == await self._number(loaders, self.left, search)),
            TOTALS_OF: totals,
        }

    async def _page(self, loaders: Loaders, selection: Selection, search: Search) -> list[Record]:
        bind = sql.Binds()
        shape = loaders.shape(self.type, node_selections(selection), bind)
        statement = self.page(search, shape.select, loaders.lists, bind)
        shape.names += _VALUES
        return [
            shape.record(row)
            for row in await loaders.fetch(statement, bind, where=search.where, settings=search.settings)
        ]

    async def _number(self, loaders: Loaders, count: Any, search: Search) -> int:
        bind = sql.Binds()
        return int((await loaders.fetch(count(search, loaders.lists, bind), bind, where=search.where))[0][0])

    async def _total(self, loaders: Loaders, search: Search, up_to: int | None) -> int:
        return await self._number(loaders, partial(self.total, up_to=up_to), search)

    async def _refuse_unlike(self, loaders: Loaders, search: Search) -> None:
        """Raises if the given row does not exist or has no vector."""
        bind = sql.Binds()
        ((rows, vectors),) = await loaders.fetch(self.liked(search, bind), bind)
        if not rows:
            raise bad_argument(self.like, f"there is no {self.type.name} {search.like}")
        if not vectors:
            raise bad_argument(
                self.like,
                f"{self.type.name} {search.like} has no {self.column.name}, or one of zeros only, which has no "
                "direction; pass an `embedding`",
            )

    def arguments(self, where: Any) -> dict[str, Any]:
        """The annotations of the root's arguments."""

        def argument(name: str, type_: Any, doc: str) -> Any:
            return Annotated[type_ | None, strawberry.argument(name=name, description=doc)]

        taken = {
            "embedding": argument(
                "embedding", list[float], f"The vector to search by: exactly {self.length} numbers, not all zero."
            ),
            self.like: argument(self.like, strawberry.ID, "In place of `embedding`: search by this row's own vector."),
            TEXT: argument(
                TEXT,
                str,
                f"In place of `embedding`: search by the meaning of a text of at most {MAX_TEXT:,} characters. Needs "
                "an embedding service (`GATEWAY_EMBEDDINGS_URL`).",
            ),
            "first": argument("first", int, f"Number of rows: 0 to {MAX_PAGE}, {ROOT_PAGE} by default."),
            "after": argument("after", str, "Rows after this cursor of the same search."),
            "minSimilarity": argument("minSimilarity", float, "Minimum cosine similarity (-1 to 1); any by default."),
            "where": argument("where", where, "Only rows that match; all rows by default."),
            "exact": argument(
                "exact", bool, "Compare every vector instead of using the index: slower, always complete."
            ),
        }
        flags = {camel(name): argument(camel(name), bool, doc) for name, (_, doc) in self.nearest.filters.items()}
        return taken | flags

    def connection(self, node: Any, page_info: Any, totals: Mapping[str, Any]) -> Any:
        """The root's connection type; ``totals`` are its count fields."""
        name = self._root.name[0].upper() + self._root.name[1:]
        edge: Any = type(f"{name}Edge", (), {"__annotations__": {"score": float | None, "cursor": str, "node": node}})
        edge.score = strawberry.field(description="Cosine similarity to the query vector (-1 to 1; 1 is identical).")
        edge.cursor = strawberry.field(description="Position of the row in this search; pass it as `after`.")
        edge.node = strawberry.field(description="The row.")
        edge = strawberry.type(edge, description=f"A row of {self.type.name} with its similarity.")
        fields = {
            "nodes": (list[node], "The rows of this page, nearest first."),
            "edges": (list[edge], "The rows of this page with their similarity and their cursors."),
            "page_info": (page_info, "Position of this page in the list."),
            "complete": (
                bool,
                (
                    "Whether the page certainly has the nearest rows: every vector was compared, or all matching rows "
                    "are on the page. False on a full page means that an approximate index was used and may have "
                    "missed nearer rows (`db check` measures its recall). False on a page that is not full means that "
                    "the index ended its search early. Repeat with `exact`. Runs one SQL statement if the page is not "
                    "full."
                ),
            ),
        }
        cls: Any = type(f"{name}Connection", (), {"__annotations__": {field: one[0] for field, one in fields.items()}})
        for field, (_, doc) in fields.items():
            setattr(cls, field, strawberry.field(description=doc))
        for field, made in totals.items():
            setattr(cls, field, made)
        return strawberry.type(cls, description=f"A page of {self.type.name} rows by similarity, nearest first.")
