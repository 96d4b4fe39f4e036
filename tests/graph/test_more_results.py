"""Results other than connections that were cut at a default size are told as lists are, by both executors."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.graph.test_more import more
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect
from tests.support.executors import EXECUTORS
from tests.support.sockets import listening, peer

BETWEEN = 26
"""Ways from the first tool to the last: more than paths, neighbours and suggestions by default."""
MODEL = "INSERT INTO ml_model_registry (experiment_id, model_name, model_version, algorithm, stage)"


@pytest.fixture(scope="module")
async def own(template: Database, clone: Clone) -> AsyncIterator[Database]:
    async with clone(template) as database:
        sql = await connect(database.admin_url)
        await sql.execute(
            "INSERT INTO tool_registry (name, description, category, source_agent, composable) "
            f"SELECT 't' || n, 'd', 'CAUSAL', 'x', true FROM generate_series(0, {BETWEEN + 1}) AS n"
        )
        await sql.execute(
            "INSERT INTO tool_dependencies (producer_tool_id, consumer_tool_id, output_field) "
            "SELECT p.tool_id, c.tool_id, 'x' FROM tool_registry p, tool_registry c "
            "WHERE (p.name = 't0') <> (c.name = $1) AND p.name <> $1 AND c.name <> 't0'",
            f"t{BETWEEN + 1}",
        )
        await sql.execute(  # beyond the default depth
            "INSERT INTO tool_registry (name, description, category, source_agent) "
            "SELECT name, 'd', 'CAUSAL', 'x' FROM unnest('{u1,u2}'::text[]) AS name"
        )
        await sql.execute(
            "INSERT INTO tool_dependencies (producer_tool_id, consumer_tool_id, output_field) "
            "SELECT p.tool_id, c.tool_id, 'x' FROM tool_registry p, tool_registry c "
            "WHERE p.name = $1 AND c.name = 'u1' OR p.name = 'u1' AND c.name = 'u2'",
            f"t{BETWEEN + 1}",
        )
        await sql.execute(
            "INSERT INTO ml_experiments (experiment_name, prediction_target) VALUES ('e', 't');"
            f"{MODEL} SELECT id, 'm', n::text, 'a', 'development' FROM ml_experiments, generate_series(1, 11) AS n"
        )
        await sql.close()
        yield database


@pytest.fixture(scope="module", params=EXECUTORS)
async def client(own: Database, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    async with serving(own.gateway_url, compiler=request.param) as client:
        yield client


async def ids(client: Client) -> tuple[str, str]:
    found = await client.data(f'{{ a: tool(name: "t0") {{ id }} b: tool(name: "t{BETWEEN + 1}") {{ id }} }}')
    return found["a"]["id"], found["b"]["id"]


def document(field: str, a: str, b: str) -> tuple[str, dict[str, str]]:
    """A query with the variables that it uses."""
    types = {"$a": "ID!", "$b": "ID!", "$n": "Int"}
    declared = ", ".join(f"{name}: {type_}" for name, type_ in types.items() if name in field)
    given = {name: value for name, value in (("a", a), ("b", b)) if f"${name}" in field}
    return f"query{f'({declared})' if declared else ''} {{ {field} }}", given


SEARCH = 'search(text: "t", types: [Tool]%s)'
PATHS = "paths(from: $a, to: $b%s)"
LINEAGE = "lineage(from: [$a]%s)"
COUNTS = "lineageCounts(from: [$a]%s)"
DIFF = 'lineageDiff(from: [$a], between: ["2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"]%s)'
PLAN = f'toolExecutionPlan(tools: ["t{BETWEEN + 1}"])'
SIZES = ", maxDepth: 1, perNodeLimit: 2, maxNodes: 5"


@pytest.mark.parametrize(
    "query",
    [
        SEARCH % "" + " { hits { text } }",
        SEARCH % ", first: null" + " { hits { text } omissions { type } }",
        SEARCH % ", first: $n" + " { hits { text } }",
        PATHS % "" + " { paths { length } }",
        PATHS % ", maxLength: 4" + " { paths { length } missing }",
        LINEAGE % "" + " { nodes { nodeId } }",
        LINEAGE % ", maxDepth: 1, maxNodes: 100" + " { edges { from } }",
        COUNTS % ", maxNodes: 100, perNodeLimit: 100" + " { total }",
        DIFF % "" + " { added { nodes { nodeId } } }",
    ],
)
async def test_what_is_cut_at_a_default_is_told(client: Client, query: str) -> None:
    a, b = await ids(client)
    asked, variables = document(f"found: {query}", a, b)
    assert await more(client, asked, **variables) == [{"path": ["found"], "lists": 1}]


@pytest.mark.parametrize(
    "query",
    [
        SEARCH % ", first: 20" + " { hits { text } }",
        SEARCH % "" + " { hits { text } complete }",
        SEARCH % "" + " { complete }",
        SEARCH % "" + " { omissions { type } }",
        PATHS % ", first: 10" + " { paths { length } }",
        PATHS % "" + " { paths { length } complete }",
        PATHS % "" + " { paths { length } reason }",
        PATHS % ", first: 100" + " { paths { length } }",
        LINEAGE % SIZES + " { nodes { nodeId } edges { from } }",
        LINEAGE % "" + " { nodes { nodeId } frontier { cursor } }",
        LINEAGE % "" + " { nodes { nodeId } complete }",
        LINEAGE % "" + " { nodes { nodeId } reason }",
        LINEAGE % "" + " { asOf }",
        COUNTS % SIZES + " { total }",
        COUNTS % ", maxDepth: 1" + " { total complete }",
        DIFF % SIZES + " { added { nodes { nodeId } } }",
        DIFF % "" + " { added { nodes { nodeId } } complete }",
    ],
)
async def test_who_names_the_sizes_or_asks_what_was_cut_is_told_nothing(client: Client, query: str) -> None:
    a, b = await ids(client)
    asked, variables = document(query, a, b)
    assert await more(client, asked, **variables) is None


async def test_suggested_producers_are_told_if_their_number_is_not_asked(client: Client) -> None:
    query = f"{{ {PLAN} {{ layers {{ steps {{ suggestedProducers {{ outputField }} %s }} }} }} }}"
    path = ["toolExecutionPlan", "layers", "steps", "suggestedProducers"]
    assert await more(client, query % "") == [{"path": path, "lists": 1}]
    assert await more(client, query % "suggestedProducerCount") is None


async def test_each_message_of_a_subscription_tells_its_own(own: Database) -> None:
    models = "subscription { alerts { cursor alert { model { experiment { models { nodes { id } } } } } } }"
    sql = await connect(own.admin_url)
    async with listening(own.gateway_url) as gateway, peer(gateway) as one:
        stream = await one.followed(models)
        for with_model in (True, False, True):
            await sql.execute(
                "INSERT INTO ml_monitoring_alerts (alert_type, title, message, severity, status, model_id) SELECT "
                "'error', 't', 'm', 'high', 'active', CASE WHEN $1 THEN (SELECT id FROM ml_model_registry LIMIT 1) END",
                with_model,
            )
        told = []
        while len(told) < 3:
            payload = await one.payload(stream.id)
            if (alert := payload["data"]["alerts"]["alert"]) is not None:
                told.append((alert["model"] is not None, payload.get("extensions")))
    await sql.close()
    path = ["alerts", "alert", "model", "experiment", "models"]
    cut = {"more": [{"path": path, "lists": 1}]}
    assert told == [(True, cut), (False, None), (True, cut)]
