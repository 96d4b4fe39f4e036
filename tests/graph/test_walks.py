"""Walks through whole tables under random orders, both ways, while another connection changes the rows.

What was there during the whole walk and kept its order values is met exactly once, in the order that one plain ORDER BY
over joins gives afterwards; so is what was inserted ahead of the walk. Nothing is met twice unless it was moved.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

import asyncpg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from schema.catalogue.catalogue import ColumnField, RelationField, Type
from schema.catalogue.from_models import catalogue
from schema.graph.inputs import reached, upper_snake
from schema.sql.orders import sortable
from tests.support import platform_indexes
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect

pytestmark = pytest.mark.slow

CATALOGUE = catalogue()
WALKED = [
    "Model", "DriftRecord", "TwinSimulation", "HpoTrial", "BentoService", "CohortEligibilityLog",
    "CohortDefinition",  # its key is a text
    "PatientCohortAssignment",  # three of them
]  # fmt: skip
ROWS = 45
PARENTS = 5
"""Rows of a table that is only referred to; two more of their keys are referred to and lead nowhere."""
INSERTS = 30
Term = dict[str, Any]


def one_row(type_: Type) -> list[RelationField]:
    """The relations that an order goes through, of tables: rows of the walked table itself come and go."""
    return [
        relation
        for relation in reached(CATALOGUE, type_)
        if not relation.many and relation.join.equality and not CATALOGUE[relation.target].is_view
    ]


def filled() -> list[Type]:
    """The walked tables and what their orders reach."""
    names = list(WALKED)
    for depth in (names, list(names)):
        for name in list(depth):
            names += [r.target for r in one_row(CATALOGUE[name]) if r.target not in names]
    return [CATALOGUE[name] for name in names]


# -- rows with many ties and nulls -------------------------------------------------------------------------------------


KEYS = {
    "uuid": "md5(({n})::text)::uuid",
    "integer": "{n}",
    "bigint": "{n}",
    "text": "(ARRAY['a', 'B', 'é', ':', '%'])[1 + ({n}) % 5] || ({n})",
}
VALUES = {
    "uuid": "md5({v}::text)::uuid",
    "text": "(ARRAY['a', 'B', '', 'é'])[1 + {v} % 4]",
    "integer": "{v} % 3",
    "bigint": "{v} % 3",
    "numeric": "({v} % 3) / 2.0",
    "double": "({v} % 3) / 2.0",
    "boolean": "{v} % 2 = 0",
    "time": "timestamptz '2026-01-01' + ({v} % 3) * interval '1 microsecond'",
    "date": "date '2026-01-01' + {v} % 3",
    "json": "'{{}}'",
}
"""Of each kind of column, three values or so; ``{v}`` is a number that has little to do with other columns'."""


@dataclass
class Table:
    """How the rows of a table are made: SQL of each column from a number ``n``, different for each row."""

    type: Type
    columns: dict[str, str] = field(default_factory=dict)

    def insert(self, numbers: str) -> str:
        """Inserts a row for each number of a relation ``n``, and returns their ids."""
        names, values = ", ".join(self.columns), ", ".join(self.columns.values())
        id_ = self.type.columns["id"].value_over("t")
        return f"INSERT INTO {self.type.sql_name} AS t ({names}) SELECT {values} FROM {numbers} n RETURNING {id_}"


_COLUMNS = """
    SELECT attname AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS required, typtype = 'e' AS enum
    FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
    WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
"""


async def table(connection: asyncpg.Connection, type_: Type) -> Table:
    made = Table(type_)
    refers = {column for relation in one_row(type_) for column in relation.join.local_columns}
    for salt, row in enumerate(await connection.fetch(_COLUMNS, type_.sql_name)):
        name = row["name"]
        if name not in type_.table.columns:
            continue  # the platform has more than the models know
        kind = type_.column_kind(name)
        pick = f"abs(hashint8(n + {salt * 1_000_003}) % 60)"
        number = f"({pick} / 3)"
        if name in type_.key:
            value = KEYS[kind.name].format(n="n" if name == type_.key[-1] else "n % 3")
        elif name in refers and kind.name in KEYS:
            value = KEYS[kind.name].format(n=f"{number} % {PARENTS + 2}")
        elif row["enum"]:
            labels = f"enum_range(NULL::{row['type']})"
            value = f"({labels})[1 + {number} % least(3, array_length({labels}, 1))]"
        elif kind.name in VALUES:
            value = VALUES[kind.name].format(v=number)
        else:
            value = "NULL" if kind.graphql == "Vector" else "'{}'"
        if not row["required"]:
            value = f"CASE WHEN {pick} % 3 > 0 THEN ({value})::{row['type']} END"
        made.columns[name] = f"({value})::{row['type']}"
    return made


_LOOSEN = """
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint
    WHERE conrelid = ANY ($1::text[]::regclass[]) AND contype IN ('c', 'u')
    UNION ALL
    SELECT format('DROP INDEX %s', indexrelid::regclass) FROM pg_index
    WHERE indrelid = ANY ($1::text[]::regclass[]) AND indisunique AND NOT indisprimary
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""
"""Rows for walks are no story: only keys are unique, and any value may stand beside any other."""


@dataclass(repr=False)
class World:
    """The gateway over some tables, and another connection that changes their rows."""

    client: Client
    connection: asyncpg.Connection
    tables: dict[str, Table]
    seen: Counter[str] = field(default_factory=Counter)

    def __repr__(self) -> str:
        return "world"  # a failing example says what was drawn

    async def reset(self) -> None:
        """Every table as it was at first."""
        for each in self.tables.values():
            rows = ROWS if each.type.name in WALKED else PARENTS
            await self.connection.execute(f"DELETE FROM {each.type.sql_name}")
            await self.connection.execute(each.insert(f"generate_series(0, {rows - 1})"))


@pytest.fixture(scope="module", params=["our indexes", "the platform's"])
async def world(request: pytest.FixtureRequest, template: Database, clone: Clone) -> AsyncIterator[World]:
    """With the platform's indexes, rows with and without a value of an order's first term are read apart."""
    async with clone(template) as copy:
        connection = await connect(copy.admin_url)
        try:
            if request.param == "the platform's":
                await platform_indexes.replace_indexes(connection)
            names = [type_.sql_name for type_ in filled()]
            for row in await connection.fetch(_LOOSEN, names):
                await connection.execute(row[0])
            await connection.execute("SET session_replication_role = replica")  # no triggers and no references
            tables = {type_.name: await table(connection, type_) for type_ in filled()}
            async with serving(copy.gateway_url) as client:
                yield World(client, connection, tables)
        finally:
            await connection.close()


# -- orders ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Order:
    """One term: relations to go through, the leaf that they lead to, and which way."""

    path: tuple[RelationField, ...]
    leaf: ColumnField
    descending: bool
    nulls_first: bool

    @property
    def term(self) -> Term:
        asked: Term = {"field": upper_snake(self.leaf.name)}
        if self.descending:
            asked["direction"] = "DESC"
        if self.nulls_first:
            asked["nulls"] = "FIRST"
        for relation in reversed(self.path):
            asked = {relation.name: asked}
        return asked

    @property
    def words(self) -> str:
        nulls = "FIRST" if self.nulls_first else "LAST"
        return f"{'DESC' if self.descending else 'ASC'} NULLS {nulls}"


def paths(type_: Type) -> list[tuple[RelationField, ...]]:
    """No relation, one, or two in a row; never back to the walked table, whose rows come and go."""
    found: list[tuple[RelationField, ...]] = [()]
    for first in one_row(type_):
        if first.target != type_.name:
            found.append((first,))
            found += [(first, second) for second in one_row(CATALOGUE[first.target]) if second.target != type_.name]
    return found


Drawn = tuple[int, str, bool, bool]
"""A place among the paths of a type, a leaf's name, descending, nulls first."""


def orders(type_: Type) -> st.SearchStrategy[list[Drawn]]:
    through = paths(type_)

    def leaves(place: int) -> list[str]:
        return [leaf.name for leaf in end(type_, through[place]).columns.values() if sortable(leaf)]

    # own columns as often as all relations together
    place = st.sampled_from([*range(len(through)), *[0] * len(through)])
    term = place.flatmap(lambda p: st.tuples(st.just(p), st.sampled_from(leaves(p)), st.booleans(), st.booleans()))
    return st.lists(term, min_size=1, max_size=3, unique_by=lambda one: one[:2])


def end(type_: Type, path: tuple[RelationField, ...]) -> Type:
    return CATALOGUE[path[-1].target] if path else type_


def terms(type_: Type, drawn: Sequence[Drawn]) -> tuple[Order, ...]:
    """The terms that were drawn, as plain data so that a failing example can be read."""
    found = []
    for place, name, descending, nulls_first in drawn:
        path = paths(type_)[place]
        found.append(Order(path, end(type_, path).columns[name], descending, nulls_first))
    return tuple(found)


def in_order(type_: Type, order: Sequence[Order]) -> str:
    """The ids of all rows and the first term's value, by one plain ORDER BY over joins."""
    joins, by_terms = [], []
    for place, one in enumerate(order):
        alias = "t"
        for depth, relation in enumerate(one.path):
            target, inner = CATALOGUE[relation.target], f"j{place}_{depth}"
            newest = [f"x.{target.ordered_by} DESC NULLS LAST"] if target.ordered_by else []
            by = ", ".join([*newest, *(f"x.{column} DESC" for column in target.key)])
            joins.append(
                f"LEFT JOIN LATERAL (SELECT x.* FROM {target.sql_name} x WHERE {relation.join.on(alias, 'x')} "
                f"ORDER BY {by} LIMIT 1) {inner} ON true"
            )
            alias = inner
        by_terms.append(f"{one.leaf.value_over(alias)} {one.words}")
        if place == 0:
            first = f"({one.leaf.value_over(alias)})::text"
    down = " DESC" if order[-1].descending else ""
    keys = [f"{type_.leaf(column).value_over('t')}{down}" for column in type_.key]
    return (
        f"SELECT {type_.columns['id'].value_over('t')} AS id, {first} AS first FROM {type_.sql_name} t "
        f"{' '.join(joins)} ORDER BY {', '.join([*by_terms, *keys])}"
    )


# -- a walk ------------------------------------------------------------------------------------------------------------


@dataclass
class Walk:
    """A walk, and what happened to the rows meanwhile."""

    world: World
    type: Type
    order: tuple[Order, ...]
    backward: bool
    rng: Random
    pages: list[list[str]] = field(default_factory=list)
    inserted: list[tuple[str, str | None]] = field(default_factory=list)
    """Ids with the last row that was met before."""
    gone: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    number: int = 10_000

    @property
    def met(self) -> list[str]:
        """The ids in the order of the walk."""
        return [id_ for page in self.pages for id_ in page]

    async def run(self, size: int, *, quiet: bool = False) -> None:
        ends = ("last", "before", "hasPreviousPage", "startCursor")
        take, position, more, cursor = ends if self.backward else ("first", "after", "hasNextPage", "endCursor")
        name = self.type.name
        query = (
            f"query($n: Int, $c: String, $o: [{name}Order!]) {{ {self.type.plural}({take}: $n, {position}: $c, "
            f"orderBy: $o) {{ nodes {{ id }} pageInfo {{ {more} {cursor} }} }} }}"
        )
        at, asked = None, [one.term for one in self.order]
        while True:
            request = self.world.client.data(query, n=size, c=at, o=asked)
            during = not quiet and self.rng.random() < 0.4
            if during:
                data, _ = await asyncio.gather(request, self.change(seen_for_sure=False))
            else:
                if not quiet:
                    await self.change(seen_for_sure=True)
                data = await request
            page = data[self.type.plural]
            ids = [node["id"] for node in page["nodes"]]
            assert len(ids) <= size
            self.pages.append(ids[::-1] if self.backward else ids)
            if not page["pageInfo"][more]:
                return
            assert ids, "an empty page promises another one"
            at = page["pageInfo"][cursor]

    async def change(self, *, seen_for_sure: bool) -> None:
        """Something that other programs do to the table meanwhile."""
        connection, rows = self.world.connection, self.type.sql_name
        id_ = self.type.columns["id"].value_over("t")
        last = self.met[-1] if self.pages and self.pages[-1] else None
        if len(self.inserted) < INSERTS and self.rng.random() < 0.7:
            numbers = [self.number + self.rng.randrange(1000) + 1000 * i for i in range(self.rng.randint(1, 3))]
            self.number += 3000
            found = await connection.fetch(self.table.insert("unnest($1::int[])"), numbers)
            if seen_for_sure and (self.pages == [] or last):
                self.inserted += [(row[0], last) for row in found]
            else:
                self.world.seen["inserted during a page"] += len(found)
        ids = [row[0] for row in await connection.fetch(f"SELECT {id_} FROM {rows} t ORDER BY 1")]
        if self.rng.random() < 0.2:  # often the row that the cursor stands on
            victim = last if last in ids and self.rng.random() < 0.5 else self.rng.choice(ids)
            await connection.execute(f"DELETE FROM {rows} t WHERE {id_} = $1", victim)
            self.gone.add(victim)
        if self.rng.random() < 0.5:
            await self._update(self.rng.choice(ids), self._free_columns())
        own = [one.leaf.columns[0] for one in self.order if not one.path and len(one.leaf.columns) == 1]
        movable = sorted(set(own) - set(self.type.key) & self.table.columns.keys())
        if movable and self.rng.random() < 0.2:
            victim = self.rng.choice(ids)
            self.moved.add(victim)
            await self._update(victim, [self.rng.choice(movable)])

    async def _update(self, id_: str, columns: list[str]) -> None:
        if columns:
            column = self.rng.choice(columns)
            value = self.table.columns[column].replace("n +", f"{self.rng.randrange(10_000)} +")
            where = f"{self.type.columns['id'].value_over('t')} = $1"
            await self.world.connection.execute(
                f"UPDATE {self.type.sql_name} t SET {column} = {value} WHERE {where}", id_
            )

    @property
    def table(self) -> Table:
        return self.world.tables[self.type.name]

    def _free_columns(self) -> list[str]:
        """The columns that the order does not read."""
        read = {*self.type.key}
        for one in self.order:
            read.update(one.path[0].join.local_columns if one.path else one.leaf.columns)
        return [column for column in self.table.columns if column not in read]

    async def check(self, there: set[str]) -> list[str]:
        """What must hold of the walk; returns the rows that it had to meet, in the order of a forward walk."""
        rows = await self.world.connection.fetch(in_order(self.type, self.order))
        expected = [row["id"] for row in rows if row["id"] not in self.moved]
        if self.backward:
            expected.reverse()
        rank = {id_: place for place, id_ in enumerate(expected)}
        kept = [id_ for id_ in self.met if id_ not in self.moved]
        assert len(set(kept)) == len(kept), "a row was met twice"
        still = [id_ for id_ in kept if id_ in rank]
        assert still == sorted(still, key=rank.__getitem__), "rows were met out of order"
        assert set(kept) - rank.keys() <= self.gone
        must = {id_ for id_ in there if id_ in rank}
        for id_, last in self.inserted:
            if id_ in rank and (last is None or (last in rank and rank[last] < rank[id_])):
                must.add(id_)
                self.world.seen["inserted ahead"] += 1
        assert must <= set(kept), "a row was left out"
        self._count_ends({row["id"]: row["first"] for row in rows})
        met = [id_ for id_ in kept if id_ in there and id_ in rank]
        return met[::-1] if self.backward else met

    def _count_ends(self, first: dict[str, Any]) -> None:
        """Where pages ended: among equal values of the first term, and among nulls."""
        self.world.seen["pages"] += len(self.pages)
        for one, other in pairwise(page for page in self.pages if page):
            if one[-1] in first and other[0] in first and first[one[-1]] == first[other[0]]:
                self.world.seen["ends among nulls" if first[one[-1]] is None else "ends among ties"] += 1
        self.world.seen["deleted"] += len(self.gone)
        self.world.seen["moved"] += len(self.moved)


async def ids_of(world: World, type_: Type, order: Sequence[Order]) -> list[str]:
    return [row["id"] for row in await world.connection.fetch(in_order(type_, order))]


CASES = st.sampled_from(WALKED).flatmap(lambda name: st.tuples(st.just(name), orders(CATALOGUE[name])))
REPEATABLE = settings(deadline=None, database=None, derandomize=True, phases=[Phase.generate])
"""The same walks in every run; a failure is not made smaller, which takes minutes."""


@settings(REPEATABLE, max_examples=40)
@given(case=CASES, sizes=st.tuples(st.integers(1, 15), st.integers(1, 15)), chance=st.integers(0, 2**32))
async def test_a_walk_meets_what_stays_once_and_in_order(
    world: World, case: tuple[str, list[Drawn]], sizes: tuple[int, int], chance: int
) -> None:
    type_ = CATALOGUE[case[0]]
    order = terms(type_, case[1])
    rng = Random(chance)
    await world.reset()
    met: list[list[str]] = []
    for backward, size in zip((False, True), sizes, strict=True):
        there = set(await ids_of(world, type_, order))
        walk = Walk(world, type_, order, backward, rng, number=20_000 + 200_000 * backward)
        await walk.run(size)
        met.append(await walk.check(there))
        if backward:
            both = set(met[0]) & set(met[1]) - walk.moved
            assert [id_ for id_ in met[0] if id_ in both] == [id_ for id_ in met[1] if id_ in both]


@settings(REPEATABLE, max_examples=40)
@given(case=CASES, size=st.integers(1, 15))
async def test_backward_is_forward_reversed(world: World, case: tuple[str, list[Drawn]], size: int) -> None:
    """Of a table at rest the pages are exactly the order's, cut into pieces from either end."""
    type_ = CATALOGUE[case[0]]
    order = terms(type_, case[1])
    await world.reset()
    expected = await ids_of(world, type_, order)
    for backward in (False, True):
        walk = Walk(world, type_, order, backward, Random(0))
        await walk.run(size, quiet=True)
        ahead = expected[::-1] if backward else expected
        assert walk.pages == [ahead[start : start + size] for start in range(0, len(ahead), size)]
        await walk.check(set(expected))


async def test_the_walks_met_what_makes_them_hard(world: World) -> None:
    """Pages that end among ties and among nulls, and rows that come, go and move meanwhile."""
    hard = ("ends among ties", "ends among nulls", "inserted ahead", "inserted during a page", "deleted", "moved")
    if not world.seen:
        pytest.skip("no walk was made in this run")
    assert {name for name in hard if world.seen[name] < 30} == set(), world.seen
