"""Lists that were cut at a size that nobody has asked for are told, by both executors, over HTTP and WebSocket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.support.changing import RESULT
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect
from tests.support.executors import EXECUTORS
from tests.support.sockets import listening, peer

EXPERIMENTS, MODELS = 12, (11, 10, 9, 14)
"""Rows at the root, and below the first of them: the default pages are of 50 and 10."""


@pytest.fixture(scope="module")
async def own(template: Database, clone: Clone) -> AsyncIterator[Database]:
    async with clone(template) as database:
        sql = await connect(database.admin_url)
        for place in range(EXPERIMENTS):
            key = await sql.fetchval(
                "INSERT INTO ml_experiments (experiment_name, prediction_target) VALUES ($1, 't') RETURNING id",
                f"e{place}",
            )
            for number in range(MODELS[place] if place < len(MODELS) else 0):
                await sql.execute(
                    "INSERT INTO ml_model_registry (experiment_id, model_name, model_version, algorithm, stage) "
                    "VALUES ($1, $2, $3, 'a', 'development')",
                    key, f"m{place}", str(number),
                )  # fmt: skip
        await sql.execute("INSERT INTO tool_registry (name, description, category, source_agent) "
                          "SELECT 't' || n, 'd', 'CAUSAL', 'x' FROM generate_series(1, 51) AS n")  # fmt: skip
        await sql.close()
        yield database


@pytest.fixture(scope="module", params=EXECUTORS)
async def client(own: Database, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    async with serving(own.gateway_url, compiler=request.param) as client:
        yield client


async def more(client: Client, query: str, **variables: Any) -> Any:
    answer = await client.ask(query, **variables)
    assert "errors" not in answer, answer
    return answer["extensions"].get("more")


MODELS_CUT = [{"path": ["experiments", "nodes", "models"], "lists": 2}]


async def test_lists_are_told_by_field_and_not_by_row(client: Client) -> None:
    assert await more(client, "{ experiments(first: 20) { nodes { models { nodes { id } } } } }") == MODELS_CUT
    assert await more(client, "{ experiments { nodes { id } } }") is None, "all twelve are there"
    assert await more(client, "{ tools { nodes { name } } }") == [{"path": ["tools"], "lists": 1}]


async def test_a_full_page_without_more_rows_is_not_cut(client: Client) -> None:
    query = '{ experiments(where: {experimentName: {eq: "%s"}}) { nodes { models { nodes { id } } } } }'
    assert await more(client, query % "e1") is None, "ten of ten"
    assert await more(client, query % "e0") == [MODELS_CUT[0] | {"lists": 1}], "ten of eleven"


@pytest.mark.parametrize(
    "page",
    ["(first: 10) { nodes { id } }", "(last: 10) { nodes { id } }", "{ nodes { id } pageInfo { hasNextPage } }",
     "{ totalCount }", "{ aggregate { count } }", "{ __typename }"],
)  # fmt: skip
async def test_who_names_a_size_or_asks_where_the_page_ends_is_told_nothing(client: Client, page: str) -> None:
    assert await more(client, f"{{ experiments(first: 20) {{ nodes {{ models{page} }} }} }}") is None


async def test_null_and_a_variable_that_is_not_sent_are_no_size(client: Client) -> None:
    query = "query($n: Int) { experiments(first: 20) { nodes { models(first: $n) { nodes { id } } } } }"
    assert await more(client, query) == await more(client, query, n=None) == MODELS_CUT
    assert await more(client, query, n=10) is None


async def test_paths_are_of_aliases_through_edges_fragments_and_rows(client: Client) -> None:
    query = """query($id: ID!, $ids: [ID!]!) {
      a: experiments(first: 20) { edges { node { b: models { edges { node { id } } } ...F } } }
      one: node(id: $id) { ...F }
      some: nodes(ids: $ids) { __typename ...F ... on Tool { name } }
      few: experiments(first: 20) { nodes { models(first: 1) { nodes { experiment { models { nodes { id } } } } } } }
    } fragment F on Experiment { models { nodes { stage deployments { nodes { id } } } } }"""
    found = (await client.data("{ experiments(first: 20) { nodes { id experimentName } } }"))["experiments"]["nodes"]
    ids = {row["experimentName"]: row["id"] for row in found}
    tool = (await client.data("{ tools(first: 1) { nodes { id } } }"))["tools"]["nodes"][0]["id"]
    assert await more(client, query, id=ids["e0"], ids=[ids["e3"], tool, ids["e2"], ids["e0"]]) == [
        {"path": ["a", "edges", "node", "b"], "lists": 2},
        {"path": ["a", "edges", "node", "models"], "lists": 2},
        {"path": ["few", "nodes", "models", "nodes", "experiment", "models"], "lists": 2},
        {"path": ["one", "models"], "lists": 1},
        {"path": ["some", "models"], "lists": 2},
    ]


async def test_below_what_python_answers_and_changes(client: Client, own: Database) -> None:
    row = "... on Experiment { models { nodes { id } } }"
    query = f'{{ search(text: "e0", types: [Experiment], first: 1) {{ hits {{ node {{ {row} }} }} }} }}'
    assert await more(client, query) == [{"path": ["search", "hits", "node", "models"], "lists": 1}]
    sql: asyncpg.Connection = await connect(own.admin_url)
    key = await sql.fetchval("SELECT id FROM ml_model_registry WHERE model_name = 'm0' AND stage <> 'archived' LIMIT 1")
    await sql.close()
    nested = "... on TransitionApplied { nodes { ... on Model { experiment { models { nodes { id } } } } } }"
    change = f'mutation {{ change: promoteModel(input: {{id: "{key}", to: ARCHIVED}}) {{ {RESULT} {nested} }} }}'
    assert await more(client, change) == [{"path": ["change", "nodes", "experiment", "models"], "lists": 1}]


async def test_over_a_socket(own: Database) -> None:
    query = "{ experiments(first: 20) { nodes { models { nodes { id } } } } }"
    async with listening(own.gateway_url) as gateway, peer(gateway) as one:
        assert (await one.payload(await one.subscribe(query)))["extensions"]["more"] == MODELS_CUT


async def test_a_list_of_one_row_that_is_met_often_is_counted_as_often_as_it_is_answered(client: Client) -> None:
    query = "{ models(first: 100) { nodes { experiment { models { nodes { id } } } } } }"
    assert await more(client, query) == [{"path": ["models", "nodes", "experiment", "models"], "lists": 11 + 14}]
