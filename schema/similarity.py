"""Similarity search: the rows whose vectors are nearest to a given one, by pgvector's HNSW index.

The index answers approximately, and its scan can end before a page is full; `complete` says whether it did. Without
an index that scans on (pgvector before 0.8), or where `exact` is asked for, every vector is compared.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import strawberry

from schema import cursors, sql
from schema.arguments import parse_id
from schema.catalogue import OrderTerm, Root, Type, camel
from schema.errors import bad_argument
from schema.kinds import Kind
from schema.loaders import MAX_PAGE, ROOT_PAGE, Loaders, node_selections
from schema.records import Record, key_name
from schema.selection import Selection

EF_SEARCH = (100, 1000)
"""Least and greatest size of the index's list of candidates: twice the page within these bounds."""

COMPARISON_COST = "0.1"
"""Of two vectors, in the planner's units; 40 times that of two numbers."""

_DISTANCE = Kind("double", "{c}", "double precision", "Float")


@dataclass(frozen=True)
class Asked:
    """The arguments of a similarity search, checked. ``vector`` is the text of one, or None for that of ``like``."""

    limit: int
    vector: str | None
    like: str | None
    least: float | None
    exact: bool
    flags: tuple[str, ...]
    after: str | None
    where: Mapping[str, Any] | None


class SimilaritySearch:
    """One similarity search of a type: what its root takes, answers and runs."""

    def __init__(self, type_: Type, root: Root) -> None:
        assert root.nearest is not None  # noqa: S101 - the root of a similarity search
        self.type = type_
        self.nearest = root.nearest
        self.root = root
        self.column = type_.leaf(self.nearest.vector)
        self.length = int(type_.table.c[self.nearest.vector].type.dim)  # type: ignore[attr-defined]  # a Vector
        self.like = camel(self.nearest.like)

    async def resolve(self, loaders: Loaders, selection: Selection) -> Record:
        """The connection of a page, nearest first.

        Raises:
            GatewayError: ``BAD_USER_INPUT`` or ``INVALID_CURSOR``, naming the argument.
        """
        asked = self._asked(loaders, selection.arguments)
        loaders.refuse_missing(self.type, None)
        fields = {child.name for child in selection.fields.values()}
        page = await self._page(loaders, selection, asked) if fields - {"totalCount", "__typename"} else []
        scanned = len(page)
        if not scanned and asked.like is not None:
            await self._refuse_unlike(loaders, asked.like)
        least = -math.inf if asked.least is None else asked.least
        rows = [row for row in page if row[key_name("score")] is not None and row[key_name("score")] >= least]
        more = len(rows) > asked.limit
        rows = rows[: asked.limit]
        order = self._order(asked, "")
        names = [key_name(term.name) for term in order]
        edges = [
            {
                "node": row,
                "score": row[key_name("score")],
                "cursor": cursors.encode(self.type, order, [row[name] for name in names]),
            }
            for row in rows
        ]
        return {
            "nodes": rows,
            "edges": edges,
            "page_info": {
                "has_next_page": more,
                "has_previous_page": asked.after is not None,
                "start_cursor": edges[0]["cursor"] if edges else None,
                "end_cursor": edges[-1]["cursor"] if edges else None,
            },
            "complete": scanned > asked.limit
            or "complete" not in fields
            or scanned == await self._left(loaders, asked),
            "total_count": await self._count(loaders, asked) if "totalCount" in fields else None,
        }

    # -- statements ------------------------------------------------------------------------------------------------

    async def _page(self, loaders: Loaders, selection: Selection, asked: Asked) -> list[Record]:
        """One row more than the page has, before the least similarity cuts it."""
        bind = sql.Binds()
        target = self._target(asked, bind)
        order = self._order(asked, target)
        shape = loaders.shape(self.type, node_selections(selection), bind, order)
        shape.add(key_name("score"), f"nullif(1 - {order[0].over('t')}, 'NaN')")
        where = self._conditions(loaders, asked, bind)
        if asked.like is not None:
            where.append(f"{target} IS NOT NULL")
        if (position := self._position(asked)) is not None:
            where += sql.after(order, position, "t", bind)  # one branch: no value is null, and all ascend
        # An index can give the order by distance alone, so the rows that tie with the last are sorted out outside. The
        # limit is written out: a plan for any limit would rather sort the table.
        first = (
            f"SELECT {', '.join(shape.select)}, {order[0].over('t')} AS distance, t.{self.type.key[0]} AS key "
            f"FROM {self.type.sql_name} t{sql.conditions(where)} "
            f"ORDER BY {order[0].over('t')} FETCH FIRST {asked.limit + 1} ROWS WITH TIES"
        )
        names = ", ".join(f"n.f{place}" for place in range(len(shape.select)))
        statement = f"SELECT {names} FROM ({first}) n ORDER BY n.distance, n.key LIMIT {asked.limit + 1}"
        settings = {} if asked.exact else self._settings(asked)
        return [shape.record(row) for row in await loaders.reader.fetch(statement, bind.values, settings)]

    def _settings(self, asked: Asked) -> dict[str, str]:
        """How the index searches, and what a comparison costs: vectors are long and stored apart, which the planner
        does not reckon with, and so it would rather compare all rows that match a filter."""
        return {
            "hnsw.ef_search": str(min(max(2 * asked.limit, EF_SEARCH[0]), EF_SEARCH[1])),
            "hnsw.iterative_scan": "strict_order",
            "cpu_operator_cost": COMPARISON_COST,
        }

    async def _left(self, loaders: Loaders, asked: Asked) -> int:
        """How many rows there are behind the cursor, whatever the index finds of them."""
        bind = sql.Binds()
        order = self._order(asked, self._target(asked, bind))
        position = self._position(asked)
        where = [*self._conditions(loaders, asked, bind), f"{order[0].over('t')} <> 'NaN'"]
        if position is not None:
            behind = sql.after(order, position, "t", bind)
            where.append(" OR ".join(f"({branch})" for branch in behind))
        return int((await loaders.fetch(sql.count(self.type.sql_name, where=where), bind))[0][0])

    async def _count(self, loaders: Loaders, asked: Asked) -> int:
        bind = sql.Binds()
        score = f"1 - {self._order(asked, self._target(asked, bind))[0].over('t')}"
        where = [*self._conditions(loaders, asked, bind), f"{score} <> 'NaN'"]
        if asked.least is not None:
            where.append(f"{score} >= {bind(repr(asked.least), 'text::double precision')}")
        return int((await loaders.fetch(sql.count(self.type.sql_name, where=where), bind))[0][0])

    async def _refuse_unlike(self, loaders: Loaders, like: str) -> None:
        """Raises if there is no such row, or none with a vector: nothing is similar to it."""
        bind = sql.Binds()
        row = f"FROM {self.type.sql_name} WHERE {self.type.key[0]} = {bind(like, 'text::uuid')}"
        found = await loaders.fetch(f"SELECT {self.nearest.vector} IS NOT NULL {row}", bind)
        if not found:
            raise bad_argument(self.like, f"there is no {self.type.name} {like}")
        if not found[0][0]:
            raise bad_argument(self.like, f"{self.type.name} {like} has no {self.column.name}; pass an `embedding`")

    def _conditions(self, loaders: Loaders, asked: Asked, bind: sql.Binds) -> list[str]:
        where = [f"t.{self.nearest.vector} IS NOT NULL"]
        where += [self.nearest.filters[flag][0].replace("{row}", "t") for flag in asked.flags]
        if asked.like is not None:
            where.append(f"t.{self.type.key[0]} <> {bind(asked.like, 'text::uuid')}")
        return [*where, *loaders.conditions(self.type, None, asked.where, bind)]

    def _target(self, asked: Asked, bind: sql.Binds) -> str:
        if asked.vector is not None:
            return bind(asked.vector, f"text::{self.column.kind.pg_type}")
        key = bind(asked.like, "text::uuid")
        return f"(SELECT s.{self.nearest.vector} FROM {self.type.sql_name} s WHERE s.{self.type.key[0]} = {key})"

    def _order(self, asked: Asked, target: str) -> tuple[OrderTerm, ...]:
        """Nearest first, then by key. The name of the first term ties a cursor to what is searched for."""
        what = hashlib.sha256((asked.vector or asked.like or "").encode()).hexdigest()[:12]
        value = f"({{row}}.{self.nearest.vector} <=> {target})"
        if asked.exact:
            value = f"({value} + 0)"  # which no index orders by
        nearest = OrderTerm(
            f"distance:{what}", value, _DISTANCE.pg_type, (self.nearest.vector,), descending=False, nullable=False
        )
        return (nearest, *self.type.key_order((), descending=False))

    def _position(self, asked: Asked) -> tuple[str | None, ...] | None:
        return None if asked.after is None else cursors.decode("after", asked.after, self.type, self._order(asked, ""))

    # -- arguments -------------------------------------------------------------------------------------------------

    def _asked(self, loaders: Loaders, arguments: Mapping[str, Any]) -> Asked:
        embedding, like = arguments.get("embedding"), arguments.get(self.like)
        if (embedding is None) == (like is None):
            given = "both were given" if embedding is not None else "neither was given"
            raise bad_argument("embedding", f"pass `embedding` or `{self.like}`: {given}")
        first = arguments.get("first")
        limit = ROOT_PAGE if first is None else first
        if not 0 <= limit <= MAX_PAGE:
            raise bad_argument("first", f"{limit} is out of range; pass 0 to {MAX_PAGE} and page on with a cursor")
        least = arguments.get("minSimilarity")
        if least is not None and not -1 <= least <= 1:
            raise bad_argument("minSimilarity", f"{least:g} is out of range; cosine similarity is -1 to 1")
        return Asked(
            limit,
            None if embedding is None else self._vector(embedding),
            None if like is None else parse_id(loaders.catalogue, self.like, like, self.type)[0],
            least,
            bool(arguments.get("exact")) or not loaders.facts.scans_on,
            tuple(flag for flag in self.nearest.filters if arguments.get(camel(flag))),
            arguments.get("after"),
            arguments.get("where"),
        )

    def _vector(self, embedding: list[Any]) -> str:
        if len(embedding) != self.length:
            raise bad_argument("embedding", f"has {len(embedding)} numbers; {self.column.name} has {self.length}")
        for place, value in enumerate(embedding):
            if value is None or not abs(value) < 3.4e38:
                raise bad_argument(f"embedding[{place}]", f"{value} is not a 32-bit floating point number")
        if not any(abs(value) > 1e-30 for value in embedding):
            raise bad_argument("embedding", "is all zeros, which point nowhere: nothing is similar to it")
        return f"[{','.join(repr(float(value)) for value in embedding)}]"

    def arguments(self, where: Any) -> dict[str, Any]:
        """The annotations of the root's arguments."""

        def argument(name: str, type_: Any, doc: str) -> Any:
            return Annotated[type_ | None, strawberry.argument(name=name, description=doc)]

        taken = {
            "embedding": argument(
                "embedding", list[float], f"The vector to search by: exactly {self.length} numbers, not all zero."
            ),
            self.like: argument(self.like, strawberry.ID, "In place of `embedding`: search by this row's own vector."),
            "first": argument("first", int, f"How many rows: 0 to {MAX_PAGE}, {ROOT_PAGE} unless said."),
            "after": argument("after", str, "Read on behind this cursor of the same search."),
            "minSimilarity": argument("minSimilarity", float, "Least cosine similarity (-1 to 1); any unless said."),
            "where": argument("where", where, "Which rows; all of them unless said."),
            "exact": argument(
                "exact", bool, "Compare every vector in place of asking the index: slower, never cut short."
            ),
        }
        flags = {camel(name): argument(camel(name), bool, doc) for name, (_, doc) in self.nearest.filters.items()}
        return taken | flags

    def connection(self, node: Any, page_info: Any) -> Any:
        """The type that the root answers with."""
        name = self.root.name[0].upper() + self.root.name[1:]
        edge: Any = type(f"{name}Edge", (), {"__annotations__": {"score": float | None, "cursor": str, "node": node}})
        edge.score = strawberry.field(description="Cosine similarity to what is searched for (-1 to 1, 1 is the same).")
        edge.cursor = strawberry.field(description="Where the row stands in this search; pass it as `after`.")
        edge.node = strawberry.field(description="The row.")
        edge = strawberry.type(edge, description=f"A {self.type.name} with its similarity.")
        fields = {
            "nodes": (list[node], "The rows of this page, nearest first."),
            "edges": (list[edge], "The rows of this page with their similarity and their cursors."),
            "page_info": (page_info, "Where this page lies in the list."),
            "total_count": (int, "How many rows the whole list has, by comparing every vector."),
            "complete": (
                bool,
                (
                    "Whether the page has all that it should. False: the index ended its search before the page was "
                    "full, while more rows match; ask again with `exact`. Costs a statement when a page is not full."
                ),
            ),
        }
        cls: Any = type(f"{name}Connection", (), {"__annotations__": {field: one[0] for field, one in fields.items()}})
        for field, (_, doc) in fields.items():
            setattr(cls, field, strawberry.field(description=doc))
        return strawberry.type(cls, description=f"A page of {self.type.name} rows by similarity, nearest first.")
