"""Similarity search for both executors: its arguments and its SQL.

The rows with the nearest vectors are found by pgvector's HNSW or IVFFlat index. Both are approximate, and their scans
can end before a page is full. Without an index with iterative scans (pgvector before 0.8), or with `exact`, every
vector is compared. The parameters of index scans are settings for the statement alone.

Only the direction of a vector matters. pgvector computes with 32-bit floats, which lose very short and very long
vectors, so vectors are normalized first; zero vectors have no direction and are in no list.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from db.attach.vector_indexes import VectorIndex
from db.base.entity import camel
from schema.catalogue.catalogue import Catalogue, OrderTerm, Root, Type
from schema.errors import bad_argument
from schema.search.texts import EMBEDDING, TEXT, vector_of
from schema.sql import builder as sql
from schema.sql import cursors
from schema.sql.arguments import parse_id
from schema.sql.indexes import Indexes
from schema.sql.lists import MAX_PAGE, ROOT_PAGE, Lists
from schema.sql.parameters import Parameter, applied


@dataclass(frozen=True)
class Search:
    """The validated arguments of a similarity search; values of variables may be parameters.

    ``vector`` is the text of a vector, or None for that of the row with key ``like``; ``what`` identifies the search in
    cursors.
    """

    limit: int
    vector: str | Parameter | None
    like: str | Parameter | None
    what: str | Parameter
    least: float | Parameter | None
    flags: tuple[str, ...]
    position: Any
    """The texts of the distance and the key at the cursor, None without one."""
    where: Mapping[str, Any] | None
    index: VectorIndex | None
    """The index that is used; None if every vector is compared."""
    normalizes: bool
    """Whether the database normalizes vectors."""

    @property
    def exact(self) -> bool:
        """Whether every vector is compared."""
        return self.index is None

    @property
    def fills(self) -> bool:
        """Whether a full page certainly has the nearest rows, because every vector was compared. Index scans may miss
        rows: HNSW off its path in the graph, IVFFlat in lists that are not probed."""
        return self.index is None or self.index.reads_all

    @property
    def settings(self) -> dict[str, str]:
        """The settings for its page."""
        return {} if self.index is None else self.index.settings(self.limit)


def together(these: Mapping[str, str], those: Mapping[str, str]) -> dict[str, str]:
    """The combined settings of two searches in one statement: the larger numbers."""
    both = {**these, **those}
    return {name: max(these.get(name, ""), value, key=_size) for name, value in both.items()}


def _size(value: str) -> tuple[float, str]:
    return (float(value), "") if value.replace(".", "").isdigit() else (-1.0, value)


class Similarity:
    """A root that lists the rows of a type by similarity: its arguments, and the SQL of its rows ``t``."""

    def __init__(self, catalogue: Catalogue, root: Root) -> None:
        assert root.nearest is not None  # noqa: S101 - the root of a similarity search
        self.type: Type = catalogue[root.target]
        self.nearest = root.nearest
        self.column = self.type.leaf(self.nearest.vector)
        self.root = root.name
        self.length = int(self.type.table.c[self.nearest.vector].type.dim)  # type: ignore[attr-defined]  # a Vector
        self.like = camel(self.nearest.like)
        self._catalogue = catalogue

    # -- arguments -------------------------------------------------------------------------------------------------

    def search(self, arguments: Mapping[str, Any], indexes: Indexes) -> Search:
        """Validates the arguments.

        Raises:
            GatewayError: ``BAD_USER_INPUT`` or ``INVALID_CURSOR``, naming the argument.
        """
        names = (EMBEDDING, self.like, TEXT)
        embedding, like, text = (arguments.get(name) for name in names)
        given = [name for name in names if arguments.get(name) is not None]
        if len(given) != 1:
            ways = f"`embedding`, `{self.like}` or `{TEXT}`"
            raise bad_argument("embedding", f"pass one of {ways}: {' and '.join(given) or 'none'} given")
        first, least, after = arguments.get("first"), arguments.get("minSimilarity"), arguments.get("after")
        limit = ROOT_PAGE if first is None else first
        if not 0 <= limit <= MAX_PAGE:
            raise bad_argument("first", f"{limit} is out of range; pass 0 to {MAX_PAGE} and page on with a cursor")
        vector = None if embedding is None else applied(self._vector, embedding)
        key = None if like is None else applied(self._key, like)
        if text is not None:
            vector, what = applied(self._vector_of_text, text), applied(lambda one: _digest(f"text {one}"), text)
        else:
            what = applied(_digest, key if vector is None else vector)
        return Search(
            limit,
            vector,
            key,
            what,
            None if least is None else applied(_least, least),
            tuple(flag for flag in self.nearest.filters if arguments.get(camel(flag))),
            None if after is None else applied(self._position, [after, what]),
            arguments.get("where"),
            None if arguments.get("exact") else indexes.nearest(self.type, self.nearest.vector),
            indexes.normalizes,
        )

    def _vector(self, embedding: Sequence[Any]) -> str:
        if len(embedding) != self.length:
            raise bad_argument("embedding", f"has {len(embedding)} numbers; {self.column.name} has {self.length}")
        for place, value in enumerate(embedding):
            if value is None or not abs(value) < 3.4e38:
                raise bad_argument(f"embedding[{place}]", f"{value} is not a 32-bit floating point number")
        longest = max(map(abs, embedding))
        if not longest:
            raise bad_argument("embedding", "has only zeros, so it has no direction: no row is similar to it")
        near = [value / longest for value in embedding]  # the squares must not overflow
        length = math.sqrt(math.fsum(value * value for value in near))
        return f"[{','.join(repr(value / length) for value in near)}]"

    def _vector_of_text(self, text: str) -> str:
        return self._vector(vector_of(self.root, text))

    def _key(self, id_: str) -> str:
        return parse_id(self._catalogue, self.like, self.type, id_)[0]

    def _position(self, asked: Sequence[str]) -> tuple[str | None, ...]:
        cursor, what = asked
        return cursors.decode("after", cursor, self.type, self._named(what))

    def cursor_start(self, search: Search) -> str | Parameter:
        """The common beginning of all cursors of a search."""
        start: str | Parameter = applied(lambda what: cursors.start(self.type, self._named(what)), search.what)
        return start

    def _named(self, what: str) -> tuple[OrderTerm, ...]:
        """The names of the order, the first of which binds a cursor to its search."""
        return self.order("", f"distance:{what}")

    # -- SQL -------------------------------------------------------------------------------------------------------

    def target(self, search: Search, bind: sql.Binds) -> str:
        """The vector that is compared with."""
        if search.vector is not None:
            return bind(search.vector, f"text::{self.column.kind.pg_type}")
        vector = self._normal(search, "s")
        return f"(SELECT {vector} {self._liked(search, bind)} AND {self._points('s')})"

    def _normal(self, search: Search, row: str) -> str:
        """A row's vector, normalized."""
        value = f"{row}.{self.nearest.vector}"
        return f"l2_normalize({value})" if search.normalizes else value

    def _points(self, row: str) -> str:
        """Whether a row's vector is not zero; its length is a 64-bit float."""
        return f"vector_norm({row}.{self.nearest.vector}) > 0"

    def _liked(self, search: Search, bind: sql.Binds) -> str:
        return f"FROM {self.type.sql_name} s WHERE s.{self.type.key[0]}::uuid = {bind(search.like, 'text::uuid')}"

    def liked(self, search: Search, bind: sql.Binds) -> str:
        """The number of rows with the key to search by, and of those with a vector: one each, if the search is
        valid."""
        vectors = f"count(*) FILTER (WHERE {self._points('s')}) AS vectors"
        return f"SELECT count(*) AS rows, {vectors} {self._liked(search, bind)}"

    def sample(self) -> str:
        """Some rows with the texts that their vectors may have been made of, and the vectors as texts. Binds: the
        number of rows ($1), and the longest text in characters ($2)."""
        texts = [text.replace("{row}", "t") for text in self.nearest.texts]
        usable = [f"length({text}) BETWEEN 1 AND $2" for text in texts]
        where = [f"t.{self.nearest.vector} IS NOT NULL", self._points("t"), *usable]
        items = ", ".join([*texts, f"t.{self.nearest.vector}::text"])
        return f"SELECT {items} FROM {self.type.sql_name} t{sql.conditions(where)} LIMIT $1"

    def order(self, value: str, name: str = "distance") -> tuple[OrderTerm, ...]:
        """By distance ascending, then by key."""
        nearest = OrderTerm(name, value, "double precision", (self.nearest.vector,), descending=False, nullable=False)
        return (nearest, *self.type.key_order((), descending=False))

    def distance(self, search: Search, target: str) -> str:
        """The distance from the row to the target, in a form that no index orders by."""
        return f"(({self._normal(search, 't')} <=> {target}) + 0)"

    def conditions(self, search: Search, lists: Lists, bind: sql.Binds) -> list[str]:
        """The conditions of rows to be in the list, apart from their similarity."""
        return [*self._given(search, bind), *lists.filters(self.type, search.where, bind)]

    def _given(self, search: Search, bind: sql.Binds) -> list[str]:
        """Those of the search itself."""
        where = [f"t.{self.nearest.vector} IS NOT NULL", self._points("t")]
        where += [self.nearest.filters[flag][0].replace("{row}", "t") for flag in search.flags]
        if search.like is not None:
            where.append(f"t.{self.type.key[0]}::uuid <> {bind(search.like, 'text::uuid')}")
        return where

    def page(self, search: Search, select: Sequence[str], lists: Lists, bind: sql.Binds) -> str:
        """One row more than the page, before the least similarity is applied: items named ``f0`` and so on, the score
        (cosine similarity, null if undefined), and the texts of the distance and the key."""
        target = self.target(search, bind)
        distance = self.distance(search, target)
        where = self.conditions(search, lists, bind)
        if search.like is not None:
            where.append(f"{target} IS NOT NULL")
        where += self._behind(search, distance, bind)
        # An index can order by distance alone, so rows tied with the last are sorted outside. The limit is a literal: a
        # generic plan for any limit would sort the table.
        most = search.limit + 1
        by = distance if search.exact else f"(t.{self.nearest.vector} <=> {target})"  # the index's operator
        items = ", ".join([*select, f"{distance} AS distance", f"t.{self.type.key[0]} AS key"])
        near = (
            f"SELECT {items} FROM {self.type.sql_name} t{sql.conditions(where)} "
            f"ORDER BY {by} FETCH FIRST {most} ROWS WITH TIES"
        )
        names = [f"n.f{place}" for place in range(len(select))]
        values = ", ".join([*names, "nullif(1 - n.distance, 'NaN')", "n.distance::text", "n.key::text"])
        return f"SELECT {values} FROM ({near}) n ORDER BY n.distance, n.key LIMIT {most}"

    def _behind(self, search: Search, distance: str, bind: sql.Binds) -> list[str]:
        """The condition for rows after the cursor; a single row comparison, since no value is null and all ascend."""
        if search.position is None:
            return []
        parts = [applied(partial(_part, place), search.position) for place in range(2)]
        return sql.after(self.order(distance), parts, "t", bind)

    def left(self, search: Search, lists: Lists, bind: sql.Binds) -> str:
        """Counts the rows after the cursor, without the index."""
        where = self.conditions(search, lists, bind)
        if search.position is not None:
            where += self._behind(search, self.distance(search, self.target(search, bind)), bind)
        return sql.count(self.type.sql_name, where=where)

    def total(self, search: Search, lists: Lists, bind: sql.Binds, up_to: int | None = None) -> str:
        """Counts the rows of the whole list, by comparing vectors, as `sql.count` does."""
        some = lists.counted(self.type, search.where, bind)
        where, unserved = [*self._given(search, bind), *some.where], some.unserved
        if search.least is not None:
            score = f"1 - {self.distance(search, self.target(search, bind))}"
            unserved.append(f"{score} >= {self.least(search, bind)}")
        return sql.count(self.type.sql_name, where=where, up_to=up_to, unserved=unserved, found=some.found)

    def least(self, search: Search, bind: sql.Binds) -> str:
        """The least requested similarity."""
        return bind(applied(repr, search.least), "text::double precision")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _least(value: float) -> float:
    if not -1 <= value <= 1:
        raise bad_argument("minSimilarity", f"{value!r} is out of range; cosine similarity is -1 to 1")
    return value


def _part(place: int, position: Sequence[str | None]) -> str | None:
    return position[place]
