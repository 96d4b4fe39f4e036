"""The limit on an answer's bytes: refused before any SQL where it is sure, and while the answer is built where not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.operations.service import OperationService
from schema.catalogue.value_sizes import Room
from tests.support.client import Client, serving
from tests.support.databases import Database, connect
from tests.support.executors import EXECUTORS
from tests.support.plans import Statement

pytestmark = pytest.mark.slow

LIMIT = 5_000


@pytest.fixture(scope="module", params=EXECUTORS)
async def small(demo_database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A gateway whose answers have 5 kB, and that believes all tables to be empty: nothing is refused before."""
    async with serving(demo_database.gateway_url, max_answer_bytes=LIMIT, compiler=request.param) as client:
        endpoint: OperationService = client.app.state.graphql
        endpoint.planner.learn_facts(replace(endpoint.access.facts, rows={}))
        yield client


LARGE = {
    "a list": "{ models(first: 1000) { nodes { id modelName description: modelName stage auc registeredAt } } }",
    "a list of lists": """{ experiments(first: 10) { nodes { models(first: 30) { nodes { id modelName stage auc
      deployments(first: 10) { nodes { id status } } } } } } }""",
    "edges": "{ servingMetrics(first: 400) { edges { cursor node { id } } } }",
    "many roots": "{" + " ".join(f"a{n}: models(first: 15) {{ nodes {{ id modelName }} }}" for n in range(20)) + "}",
    "many lists of a row": "{ bentoServices(first: 5) { nodes {"
    + " ".join(f"a{n}: metrics(first: 20) {{ nodes {{ id recordedAt }} }}" for n in range(20))
    + "} } }",
    "aliases": "{ models(first: 15) { nodes {" + " ".join(f"{'long_' * 15}{n}: modelName" for n in range(30)) + "} } }",
}


@pytest.mark.parametrize("query", LARGE.values(), ids=LARGE.keys())
async def test_an_answer_that_is_too_large_is_refused(small: Client, query: str) -> None:
    answer = await small.ask(query)
    assert answer["data"] is None
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["ANSWER_LIMIT"]
    assert answer["errors"][0]["extensions"]["limit"] == LIMIT
    assert "5,000" in answer["errors"][0]["message"]
    assert "first" in answer["errors"][0]["message"]


@pytest.mark.parametrize("query", LARGE.values(), ids=LARGE.keys())
async def test_it_is_not_built_again_to_be_refused(small: Client, recorded: list[Statement], query: str) -> None:
    found = await small.ask(query)
    assert [error["extensions"]["code"] for error in found["errors"]] == ["ANSWER_LIMIT"]
    if small.compiles:
        assert len(recorded) <= 1


async def test_rows_by_their_ids_count_together(small: Client, demo: Client) -> None:
    ids = [one["id"] for one in (await demo.data("{ models(first: 100) { nodes { id } } }"))["models"]["nodes"]]
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Model { modelName stage x: modelName y: modelName } } }"
    many = (ids * 10)[:100]
    assert (await small.error(query, ids=many))["code"] == "ANSWER_LIMIT"
    assert len((await small.data(query, ids=ids[:5]))["nodes"]) == 5


@pytest.mark.parametrize("most", [1, 99, 100, 101])
@pytest.mark.parametrize("size", [0, 1, 2, 50, 100, 101, 1000])
def test_the_fewest_rows_that_are_too_large(most: int, size: int) -> None:
    """One fewer still has room, as far as their keys say: a list that was cut there would look whole."""
    found = Room(most).rows(size)
    assert (found - 1) * max(size, 1) <= most < found * max(size, 1)


async def test_no_more_rows_are_read_below_parents_than_are_too_large(
    demo_database: Database, recorded: list[Statement]
) -> None:
    """By the loaders; a compiled statement measures the rows itself."""
    async with serving(demo_database.gateway_url, max_answer_bytes=LIMIT, compiler=False) as small:
        endpoint: OperationService = small.app.state.graphql
        endpoint.planner.learn_facts(replace(endpoint.access.facts, rows={}))
        error = await small.error("{ bentoServices(first: 50) { nodes { metrics(first: 990) { nodes { id } } } } }")
    assert error["code"] == "ANSWER_LIMIT"
    (statement,) = [one for one in recorded if "ml_bentoml_serving_metrics" in one.text]
    connection = await connect(demo_database.gateway_url)
    rows = await connection.fetch(statement.text, *statement.values)
    total = await connection.fetchval("SELECT count(*) FROM ml_bentoml_serving_metrics")
    await connection.close()
    assert 0 < len(rows) <= LIMIT // len('"id":') + 1 < total


SMALL = {
    "a list": "{ models(first: 1000) { nodes { id } } }",
    "a list of short values": "{ models(first: 1000) { nodes { __typename } } }",
    "lists": "{ experiments(first: 100) { nodes { models(first: 1000) { totalCount nodes { auc } } } } }",
    "edges": "{ a: models(first: 9) { edges { cursor node { id } } } b: models(last: 9) { nodes { id } } }",
}


@pytest.mark.parametrize("query", SMALL.values(), ids=SMALL.keys())
async def test_what_has_room_is_answered_as_ever(
    small: Client, demo: Client, recorded: list[Statement], query: str
) -> None:
    """Where many rows could be too many, they are counted on the way, and are the same in the same order."""
    found = await small.ask(query)
    if small.compiles:
        assert len(recorded) == 1
        assert "size" in recorded[0].text
    assert "errors" not in found
    expected = await demo.ask(query)
    assert found["data"] == expected["data"]
    assert found["extensions"]["cost"]["rows"] == expected["extensions"]["cost"]["rows"] or not small.compiles


async def test_what_is_surely_too_large_runs_no_statement(demo_database: Database, recorded: list[Statement]) -> None:
    async with serving(demo_database.gateway_url, max_answer_bytes=LIMIT) as client:
        recorded.clear()
        error = await client.error("{ servingMetrics(first: 1000) { nodes { id recordedAt serviceId errorTypes } } }")
        assert error["code"] == "ANSWER_LIMIT"
        assert error["extensions"]["value"] > 2 * LIMIT
        assert recorded == []


@pytest.fixture(scope="module")
async def million(demo_database: Database) -> AsyncIterator[Client]:
    async with serving(demo_database.gateway_url) as client:
        endpoint: OperationService = client.app.state.graphql
        facts = endpoint.access.facts
        endpoint.planner.learn_facts(replace(facts, rows={**facts.rows, "ml_bentoml_serving_metrics": 1_000_000}))
        yield client


METRIC = """id recordedAt serviceId requestsTotal requestsPerSecond errorRate p99LatencyMs memoryMb memoryPercent
  errorTypes rowVersion rowId {alias}: id""".replace("{alias}", "x" * 64)


@pytest.mark.parametrize(
    "query",
    [
        f"{{ bentoServices(first: 1000) {{ nodes {{ metrics(first: 990) {{ nodes {{ {METRIC} }} }} }} }} }}",
        "{"
        + " ".join(f"r{n}: servingMetrics(first: 1000) {{ nodes {{ ...M }} }}" for n in range(20))
        + "} fragment M on ServingMetric {"
        + " ".join(f"{'long_' * 12}{n}: id" for n in range(150))
        + "}",
    ],
    ids=["a million rows", "rows of many long keys"],
)
async def test_queries_that_took_gigabytes(million: Client, query: str) -> None:
    error = await million.error(query)
    assert error["code"] in {"ANSWER_LIMIT", "COST_LIMIT"}
    assert "lower `first`" in error["message"].lower()


async def test_long_rows_cost_more(demo: Client) -> None:
    async def cost(fields: str) -> int:
        requested: Any = (await demo.cost(f"{{ models(first: 10) {{ nodes {{ {fields} }} }} }}"))["requested"]
        return int(requested)

    wide = " ".join(f"{'long_' * 12}{n}: modelName" for n in range(50))
    assert await cost("id modelName stage auc") == await cost("id")
    assert await cost(wide) > 3 * await cost("id")
