"""Lists answer what the data dictionary and the contract say: generated queries compared with an oracle that shares no
code with the gateway, over rows with many nulls and ties, by both executors and in sessions of another time zone."""

from __future__ import annotations

import json
import math
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from graphql import ObjectTypeDefinitionNode, parse, print_ast
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.support.client import Client, same, serving
from tests.support.databases import Clone, Database, connect
from tests.support.oracle import TO_MANY, TYPES, Column, Maker, Table, bucket, shown, summed, tables, upper

pytestmark = pytest.mark.slow

SDL = Path(__file__).parents[2] / "schema" / "schema.graphql"
SEED = 20261128
QUERIES, PAGES, NESTED, GROUPS = 220, 60, 50, 60


@dataclass
class World:
    """The same rows behind the gateway and before the oracle."""

    client: Client
    sql: asyncpg.Connection
    tables: dict[str, Table]

    async def rows(self, table: Table, where: str, order: str) -> list[asyncpg.Record]:
        return await self.sql.fetch(f"SELECT t.* FROM {table.name} t WHERE {where} ORDER BY {order}")


@pytest.fixture(scope="module")
async def holey_database(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    """The demo data, of whose values every fourth is null, and many times are the same hour."""
    async with clone(demo_template) as copy:
        sql = await connect(copy.admin_url)
        await sql.execute("SET session_replication_role = replica")
        await sql.execute("DELETE FROM ml_bentoml_serving_metrics WHERE abs(hashtext(id::text)) % 6 > 0")
        columns = await sql.fetch(
            "SELECT table_name, column_name, udt_name, is_nullable FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name = ANY ($1)",
            [one[0] for one in TYPES.values()],
        )
        for table, column, type_, nullable in columns:
            changes = ["NULL"] if nullable == "YES" else []
            if type_ == "timestamptz":
                changes.insert(0, f"date_trunc('day', {column}) + interval '20 hours'")
            if type_ == "jsonb" and nullable == "YES":
                changes.append("'null'")
            for place, change in enumerate(changes):
                try:
                    await sql.execute(
                        f"UPDATE {table} SET {column} = {change} "
                        f"WHERE abs(hashtext({table}.*::text || '{column}')) % 4 = {place}"
                    )
                except asyncpg.IntegrityConstraintViolationError:  # a check wants a value there
                    continue
        await sql.close()
        yield copy


@contextmanager
def sessions_in(zone: str | None) -> Iterator[None]:
    """Connections that are opened meanwhile have a time zone that nobody has asked for."""

    def set_zone(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET TIME ZONE '{zone}'")
        cursor.close()
        connection.commit()

    if zone is None:
        yield
        return
    event.listen(Engine, "connect", set_zone)
    try:
        yield
    finally:
        event.remove(Engine, "connect", set_zone)


@cache
def fields() -> dict[str, dict[str, str]]:
    """The fields of the oracle's types with their types, by the committed SDL."""
    found: dict[str, dict[str, str]] = {}
    for node in parse(SDL.read_text(), no_location=True).definitions:
        if isinstance(node, ObjectTypeDefinitionNode) and node.name.value in TYPES:
            found[node.name.value] = {one.name.value: print_ast(one.type) for one in node.fields or ()}
    return found


@pytest.fixture(
    scope="module",
    params=[(True, None), (True, "Asia/Kolkata"), (False, "America/St_Johns")],
    ids=["compiled", "compiled-kolkata", "loaders-newfoundland"],
)
async def world(request: pytest.FixtureRequest, holey_database: Database) -> AsyncIterator[World]:
    compiler, zone = request.param
    sql = await connect(holey_database.admin_url)
    try:
        with sessions_in(zone):
            async with serving(holey_database.gateway_url, compiler=compiler) as client:
                yield World(client, sql, await tables(sql, fields()))
    finally:
        await sql.close()


def node_of(table: Table, row: asyncpg.Record, columns: list[Column]) -> dict[str, Any]:
    """A row as the graph must answer it."""
    node = {"id": f"{table.type}:{row[table.key]}"}
    for one in columns:
        value = row[one.name]
        if one.kind == "JSON":
            node[one.field] = None if value is None else json.loads(value)
        else:
            node[one.field] = [shown(one, item) for item in value] if isinstance(value, list) else shown(one, value)
    return node


def selection(columns: list[Column]) -> str:
    return " ".join(["id", *(one.field for one in columns)])


async def test_filters_orders_and_values(world: World) -> None:
    rng, maker = random.Random(SEED), Maker(world.tables, SEED)
    for number in range(QUERIES):
        table = world.tables[rng.choice(sorted(world.tables))]
        where, (order, by) = maker.where(table.type, "t"), maker.order(table.type)
        columns = rng.sample(table.columns, min(4, len(table.columns)))
        first = rng.choice([0, 1, 3, 50, 1000])
        query = f"""query($w: {table.type}Where, $o: [{table.type}Order!]) {{
            found: {table.root}(first: {first}, where: $w, orderBy: $o) {{
                nodes {{ {selection(columns)} }} totalCount pageInfo {{ hasNextPage hasPreviousPage }} }} }}"""
        expected = await world.rows(table, where.sql, by)
        found = (await world.client.data(query, w=where.asked, o=order))["found"]
        said = (number, query, json.dumps([where.asked, order]), where.sql, by)
        assert found["totalCount"] == len(expected), said
        assert same(found["nodes"], [node_of(table, row, columns) for row in expected[:first]]), said
        assert found["pageInfo"] == {"hasNextPage": len(expected) > first, "hasPreviousPage": False}, said


async def test_pages_between_cursors(world: World) -> None:
    rng, maker = random.Random(SEED + 1), Maker(world.tables, SEED + 1)
    for number in range(PAGES):
        table = world.tables[rng.choice(sorted(world.tables))]
        order, by = maker.order(table.type)
        where = maker.where(table.type, "t", depth=0)
        ids = [f"{table.type}:{row[table.key]}" for row in await world.rows(table, where.sql, by)]
        query = f"""query($w: {table.type}Where, $o: [{table.type}Order!], $first: Int, $after: String, $last: Int,
            $before: String) {{ found: {table.root}(where: $w, orderBy: $o, first: $first, after: $after, last: $last,
            before: $before) {{ edges {{ cursor node {{ id }} }} pageInfo {{ hasNextPage hasPreviousPage }} }} }}"""
        every = (await world.client.data(query, w=where.asked, o=order, first=1000))["found"]["edges"]
        assert [edge["node"]["id"] for edge in every] == ids[:1000]
        for _ in range(4):
            if len(every) < 2:
                break
            low, high = sorted(rng.sample(range(len(every)), 2))
            size = rng.randint(0, 6)
            asked: dict[str, Any] = rng.choice(
                [
                    {"first": size, "after": every[low]["cursor"]},
                    {"last": size, "before": every[high]["cursor"]},
                    {"first": size, "after": every[low]["cursor"], "before": every[high]["cursor"]},
                    {"last": size, "after": every[low]["cursor"], "before": every[high]["cursor"]},
                ]
            )
            start = low + 1 if "after" in asked else 0
            stop = high if "before" in asked else len(ids)
            chosen = ids[start:stop][:size] if "first" in asked else ids[start:stop][max(0, stop - start - size) :]
            page = (await world.client.data(query, w=where.asked, o=order, **asked))["found"]
            said = (number, table.type, json.dumps([where.asked, order]), asked.keys(), low, high, size)
            assert [edge["node"]["id"] for edge in page["edges"]] == chosen, said
            if chosen:
                info = {"hasPreviousPage": ids[0] != chosen[0], "hasNextPage": ids[-1] != chosen[-1]}
                assert page["pageInfo"] == info, said


def _uuid(node_id: str) -> UUID:
    return UUID(node_id.partition(":")[2])


async def test_lists_below_rows(world: World) -> None:
    rng, maker = random.Random(SEED + 2), Maker(world.tables, SEED + 2)
    for number in range(NESTED):
        table = world.tables[rng.choice(sorted(TO_MANY))]
        name, (target, column) = rng.choice(sorted(TO_MANY[table.type].items()))
        below = world.tables[target]
        where, (order, by) = maker.where(target, "t", depth=1), maker.order(target)
        columns, first = rng.sample(below.columns, 3), rng.choice([1, 2, 5])
        query = f"""query($w: {target}Where, $o: [{target}Order!]) {{ found: {table.root}(first: 40) {{ nodes {{ id
            last: {name}(last: {first}, where: $w, orderBy: $o) {{ edges {{ cursor node {{ id }} }}
            pageInfo {{ hasPreviousPage }} }}
            below: {name}(first: {first}, where: $w, orderBy: $o) {{ nodes {{ {selection(columns)} }} totalCount
            aggregate {{ count }} pageInfo {{ hasNextPage }} }} }} }} }}"""
        expected: dict[Any, list[asyncpg.Record]] = defaultdict(list)
        for row in await world.rows(below, where.sql, by):
            expected[row[column]].append(row)
        newest = f"(t.{table.time} IS NULL), t.{table.time} DESC, t.{table.key} DESC"
        parents = (await world.rows(table, "true", newest))[:40]
        found = (await world.client.data(query, w=where.asked, o=order))["found"]["nodes"]
        assert [node["id"] for node in found] == [f"{table.type}:{row[table.key]}" for row in parents]
        for node, parent in zip(found, parents, strict=True):
            theirs = expected[parent[table.key]]
            said = (number, query, json.dumps([where.asked, order]), node["id"])
            assert same(node["below"]["nodes"], [node_of(below, row, columns) for row in theirs[:first]]), said
            assert node["below"]["totalCount"] == len(theirs), said
            assert node["below"]["aggregate"] == [{"count": len(theirs)}], said
            assert node["below"]["pageInfo"]["hasNextPage"] == (len(theirs) > first), said
            at_end = [f"{target}:{row[below.key]}" for row in theirs[-first:]]
            assert [edge["node"]["id"] for edge in node["last"]["edges"]] == at_end, said
            assert node["last"]["pageInfo"]["hasPreviousPage"] == (len(theirs) > first), said
        # and those before the last page of one parent, by the cursor of a list below a row
        busy = max(found, key=lambda node: len(expected[_uuid(node["id"])]))
        theirs = expected[_uuid(busy["id"])]
        if len(theirs) > first:
            before = f"""query($id: ID!, $w: {target}Where, $o: [{target}Order!], $c: String) {{ found: node(id: $id) {{
                ... on {table.type} {{ below: {name}(last: 3, before: $c, where: $w, orderBy: $o) {{
                nodes {{ id }} pageInfo {{ hasNextPage hasPreviousPage }} }} }} }} }}"""
            cursor = busy["last"]["edges"][0]["cursor"]
            page = (await world.client.data(before, id=busy["id"], w=where.asked, o=order, c=cursor))["found"]["below"]
            rest = theirs[:-first]
            assert [node["id"] for node in page["nodes"]] == [f"{target}:{row[below.key]}" for row in rest[-3:]], said
            assert page["pageInfo"] == {"hasNextPage": True, "hasPreviousPage": len(rest) > 3}, said


async def test_groups_buckets_and_sums(world: World) -> None:
    rng, maker = random.Random(SEED + 3), Maker(world.tables, SEED + 3)
    compared = 0
    for number in range(GROUPS):
        table = world.tables[rng.choice(sorted(world.tables))]
        where = maker.where(table.type, "t", depth=1)
        times = [one for one in table.ordered if one.kind == "DateTime"]
        others = [one for one in table.ordered if one.kind not in {"DateTime", "UUID", "Float"}]
        keys: list[tuple[Column, str | None]] = [
            (one, rng.choice(["MINUTE", "HOUR", "DAY", "WEEK", "MONTH", None])) for one in rng.sample(times, 1)
        ]
        keys = rng.choice([[], keys, keys, [*keys, *((one, None) for one in rng.sample(others, 1))]])
        measured = [one for one in table.ordered if one.kind in {"Int", "Float", "BigInt"} and one not in others]
        measured = rng.sample(measured, min(2, len(measured)))
        group_by = [{"field": upper(one.field)} | ({"bucket": size} if size else {}) for one, size in keys]
        group = f"group {{ {' '.join(one.field for one, _ in keys)} }}" if keys else ""
        sums = " ".join(f"{one.field} {{ count min max avg sum stddev p50 p95 p99 }}" for one in measured)
        query = f"""query($w: {table.type}Where, $g: [{table.type}GroupBy!]) {{ found: {table.root}(where: $w) {{
            aggregate(groupBy: $g) {{ count {group} {sums} }} }} }}"""
        groups: dict[tuple[Any, ...], list[asyncpg.Record]] = defaultdict(list)
        for row in await world.rows(table, where.sql, f"t.{table.key}"):
            key = tuple(shown(one, bucket(row[one.name], size) if size else row[one.name]) for one, size in keys)
            groups[key].append(row)
        if not keys:
            groups.setdefault((), [])
        if len(groups) > 1000:
            continue
        found = (await world.client.data(query, w=where.asked, g=group_by))["found"]["aggregate"]
        said = (number, query, json.dumps([where.asked, group_by]))
        answered = {tuple((one.get("group") or {}).get(column.field) for column, _ in keys): one for one in found}
        assert answered.keys() == groups.keys(), said
        assert len(found) == len(groups), said
        for key, rows in groups.items():
            assert answered[key]["count"] == len(rows), said
            for one in measured:
                expected = summed([row[one.name] for row in rows])
                for name, value in answered[key][one.field].items():
                    compared += 1
                    assert near(value, expected[name]), (*said, key, one.field, name, value, expected[name])
    assert compared > 1000


def near(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
