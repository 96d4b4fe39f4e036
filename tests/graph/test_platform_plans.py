"""Postgres's own plans over the platform's indexes: a page that one of them serves is read from it, and little else.

These have nulls first, which the default orders have last. With the planner's own settings, over rows of which one in a
hundred has no time, and rows whose times are alike.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from db.attach import facts
from db.engine.engine import create_engine
from db.engine.url import database_url
from schema.catalogue.catalogue import RelationField, Type
from schema.catalogue.from_models import catalogue
from schema.catalogue.records import Missing
from schema.sql import list_statements
from schema.sql.indexes import Indexes
from schema.sql.lists import Lists
from tests.graph.test_filter_plans import cost
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect
from tests.support.many_rows import PARENTS, fill, tables
from tests.support.plans import Statement, plan
from tests.support.platform_indexes import replace_indexes

pytestmark = pytest.mark.slow

ROWS = 20_000
WITHOUT_TIME = ROWS // 97 + 1
PAGE = 50
UNSERVED = "Enrollment"
"""A type whose default order no index of the platform's serves."""
READ = 4 * (PAGE + 1)
"""Rows that may be read for a page of 50, beside those without a time, which are few."""


@dataclass(frozen=True)
class Served:
    """The gateway over many rows behind the platform's indexes, and what these serve."""

    client: Client
    loading: Client
    """The same without compiled statements."""
    connection: asyncpg.Connection
    types: list[Type]
    relations: list[tuple[Type, RelationField]]


async def _served(copy: Database) -> tuple[list[Type], list[tuple[Type, RelationField]]]:
    """The types whose default order an index serves, and the lists of a parent's rows that one serves."""
    engine = create_engine(database_url(copy.gateway_url), read_only=True)
    indexes = Indexes(await facts.read(engine))
    await engine.dispose()
    lists = Lists(catalogue(), Missing(), indexes)
    types = [type_ for type_ in tables() if type_.ordered_by and indexes.serves(type_, type_.order)]
    below = []
    for parent, relation in list_statements.relations(lists):
        target, equal = catalogue()[relation.target], relation.join.equal
        found = indexes.serves(target, target.order, equal)
        if relation.many and target.ordered_by and not parent.is_view and found and found.equal == len(equal):
            below.append((parent, relation))
    return types, below


@pytest.fixture(scope="module")
async def served(template: Database, clone: Clone) -> AsyncIterator[Served]:
    async with clone(template) as copy:
        connection = await connect(copy.admin_url)
        try:
            await replace_indexes(connection)
            types, relations = await _served(copy)
            targets = [catalogue()[relation.target] for _, relation in relations]
            filled = [*types, *targets, catalogue()[UNSERVED]]
            await fill(connection, ROWS, {type_.name: type_ for type_ in filled}.values())
            await fill(connection, PARENTS, [parent for parent, _ in relations if parent not in types])
            url = copy.gateway_url
            async with serving(url) as client, serving(url, compiler=False) as loading:
                yield Served(client, loading, connection, types, relations)
        finally:
            await connection.close()


async def test_the_platforms_indexes_serve_these_pages(served: Served) -> None:
    names = {type_.name for type_ in served.types}
    assert {"ServingMetric", "DriftRecord", "MonitoringAlert", "ToolPerformance", "InterimAnalysis"} <= names
    assert len(names) > 20
    assert ("BentoService", "metrics") in {(parent.name, relation.name) for parent, relation in served.relations}


async def test_pages_are_read_from_an_index_and_no_more_is_sorted(served: Served, recorded: list[Statement]) -> None:
    """From either end, and behind a row in the middle, one among the first and one without a time."""
    for type_ in served.types:
        cursors = []
        for page in ("first: 500", "last: 20"):
            found = await served.client.data(f"{{ {type_.plural}({page}) {{ pageInfo {{ endCursor startCursor }} }} }}")
            cursors.append(json.dumps(found[type_.plural]["pageInfo"]["endCursor"]))
            cursors.append(json.dumps(found[type_.plural]["pageInfo"]["startCursor"]))
        pages = [f"first: {PAGE}", f"last: {PAGE}"]
        pages += [
            f"{take}: {PAGE}, {side}: {one}"
            for take, side in (("first", "after"), ("last", "before"))
            for one in cursors
        ]
        for page in pages:
            recorded.clear()
            await served.client.data(f"{{ {type_.plural}({page}) {{ nodes {{ id }} }} }}")
            (statement,) = recorded
            taken = await cost(served.connection, statement)
            assert taken.scanned == frozenset(), statement[0]
            assert taken.sorted <= WITHOUT_TIME + PAGE + 1, statement[0]
            assert taken.read <= WITHOUT_TIME + READ, statement[0]


async def test_the_loaders_read_from_an_index_too(served: Served, recorded: list[Statement]) -> None:
    for type_ in served.types:
        for take in ("first", "last"):
            recorded.clear()
            await served.loading.data(f"{{ {type_.plural}({take}: {PAGE}) {{ nodes {{ id }} }} }}")
            (statement,) = recorded
            taken = await cost(served.connection, statement)
            assert taken.scanned == frozenset(), statement.text
            assert taken.sorted <= WITHOUT_TIME + PAGE + 1, statement.text
    query = "{ bentoServices(first: 5) { nodes { metrics(first: 5) { nodes { id } } } } }"
    recorded.clear()
    await served.loading.data(query)
    taken = await cost(served.connection, recorded[-1])
    assert "ml_bentoml_serving_metrics" not in taken.scanned, recorded[-1].text


async def test_rows_without_a_time_are_not_looked_for_unless_they_are_needed(
    served: Served, recorded: list[Statement]
) -> None:
    await served.client.data("{ servingMetrics(first: 50) { nodes { id } } }")
    (statement,) = recorded
    nodes = await plan(served.connection, statement, options="ANALYZE, TIMING OFF, ")
    never = [node for node in nodes if node.get("Relation Name") and node["Actual Loops"] == 0]
    assert [node["Index Cond"] for node in never] == ["(recorded_at IS NULL)"]
    assert any(node["Node Type"] == "Append" and not node["Parallel Aware"] for node in nodes)


async def test_rows_without_a_time_fill_a_last_page_where_no_index_serves(
    served: Served, recorded: list[Statement]
) -> None:
    """Nothing is sorted but them; pages are in one order all the same, across the border, from both ends."""
    table = catalogue()[UNSERVED].sql_name
    rows = await served.connection.fetch(f"SELECT id::text FROM {table} ORDER BY enrolled_at DESC NULLS LAST, id DESC")
    ids = [f"{UNSERVED}:{row[0]}" for row in rows]
    await served.client.data(f"{{ enrollments(last: {PAGE}) {{ nodes {{ id }} }} }}")
    (statement,) = recorded
    taken = await cost(served.connection, statement)
    assert taken.sorted <= WITHOUT_TIME, statement.text
    for take, side, expected in (("last", "before", ids[::-1]), ("first", "after", ids)):
        met: list[str] = []
        at = ""
        while len(met) < WITHOUT_TIME + 3 * PAGE:
            answer = "nodes { id } pageInfo { startCursor endCursor }"
            found = await served.client.data(f"{{ enrollments({take}: {2 * PAGE}{at}) {{ {answer} }} }}")
            page = found["enrollments"]
            met += [node["id"] for node in page["nodes"]][:: -1 if take == "last" else 1]
            cursor = page["pageInfo"]["startCursor" if take == "last" else "endCursor"]
            at = f", {side}: {json.dumps(cursor)}"
        assert met == expected[: len(met)]


async def test_rows_of_a_parent_are_found_by_an_index(served: Served, recorded: list[Statement]) -> None:
    for parent, relation in served.relations:
        recorded.clear()
        query = f"{{ {parent.plural}(first: 5) {{ nodes {{ {relation.name}(first: 5) {{ nodes {{ id }} }} }} }} }}"
        found = (await served.client.data(query))[parent.plural]["nodes"]
        assert any(node[relation.name]["nodes"] for node in found), query
        taken = await cost(served.connection, recorded[-1])
        target = catalogue()[relation.target].table.name
        assert target not in taken.scanned, recorded[-1][0]
        assert taken.read <= 5 * ROWS // PARENTS + READ, recorded[-1][0]


async def test_a_filter_and_an_order_of_the_callers_follow_an_index_too(
    served: Served, recorded: list[Statement]
) -> None:
    service = await served.connection.fetchval("SELECT service_id::text FROM ml_bentoml_serving_metrics LIMIT 1")
    for asked in (
        f'where: {{ serviceId: {{ eq: "{service}" }} }}',
        f'where: {{ serviceId: {{ eq: "{service}" }} }}, orderBy: [{{ field: RECORDED_AT }}]',
        "orderBy: [{ field: RECORDED_AT, direction: DESC, nulls: FIRST }]",
        "orderBy: [{ field: RECORDED_AT, direction: DESC }]",
        "orderBy: [{ field: RECORDED_AT, nulls: LAST }]",
    ):
        recorded.clear()
        await served.client.data(f"{{ servingMetrics(first: {PAGE}, {asked}) {{ nodes {{ id }} }} }}")
        (statement,) = recorded
        taken = await cost(served.connection, statement)
        assert taken.scanned == frozenset(), statement[0]
        # by the index of the time, rows of the other services lie between those of one
        assert taken.read <= WITHOUT_TIME + PAGE * PARENTS + READ, statement[0]


async def test_the_newest_drift_of_a_model_is_found_where_an_index_has_it(
    served: Served, recorded: list[Statement]
) -> None:
    """A view of the newest row of each kind reads no more than that row, though the index has its nulls first."""
    query = "{ models(first: 5) { nodes { driftStatus { nodes { driftType lastChecked } } } } }"
    found = (await served.client.data(query))["models"]["nodes"]
    assert all(node["driftStatus"]["nodes"] for node in found)
    taken = await cost(served.connection, recorded[-1])
    assert catalogue()["DriftRecord"].table.name not in taken.scanned, recorded[-1][0]
    assert taken.read <= READ, recorded[-1][0]
