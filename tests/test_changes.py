"""Changes through HTTP: applied, previewed, refused with a reason, asked for twice, and recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from client import Client, serving
from conftest import Clone, Database, connect

RESULT = """
    __typename
    ... on TransitionApplied {
      replayed
      node { id __typename ... on Model { stage isChampion rowVersion lifecycle { state } experiment { champion { id } } } }
      nodes { id }
      event { id mutation fromState toState actor reason forced node { id } }
      events { nodeId lifecycle fromState toState }
      alsoChanged { id ... on Model { isChampion } }
    }
    ... on TransitionPreview {
      wouldForce
      wouldChange { id ... on Model { stage isChampion lifecycle { state } } }
      blockers { code message overridable node { id __typename } }
    }
    ... on Problem { code message path }
    ... on IllegalTransition { from to allowed node { id } }
    ... on TransitionBlocked { blockers { code message overridable node { id __typename } } }
    ... on StaleVersion { expected current { id ... on Model { rowVersion stage } } }
    ... on NotFound { id }
    ... on InvalidInput { field }
"""


@pytest.fixture(scope="module")
async def own(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    async with clone(demo_template) as copy:
        yield copy


@pytest.fixture(scope="module")
async def client(own: Database) -> AsyncIterator[Client]:
    async with serving(own.gateway_url) as client:
        yield client


@pytest.fixture
async def sql(own: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(own.owner_url)
    yield connection
    await connection.close()


async def change(client: Client, mutation: str, **input_: Any) -> dict[str, Any]:
    """The result of a mutation that must not fail outside its union."""
    type_ = mutation[0].upper() + mutation[1:]
    data = await client.data(
        f"mutation($input: {type_}Input!) {{ change: {mutation}(input: $input) {{ {RESULT} }} }}", input=input_
    )
    result: dict[str, Any] = data["change"]
    return result


async def model_in(sql: asyncpg.Connection, stage: str, **columns: Any) -> str:
    """A model of its own in an experiment of its own, as an id."""
    experiment = await sql.fetchval(
        "INSERT INTO ml_experiments (experiment_name, prediction_target, minimum_auc) VALUES ('t', 't', 0.7) RETURNING id"
    )
    values = {"model_name": "m", "algorithm": "a", "auc": 0.8} | columns
    names = ", ".join(values)
    places = ", ".join(f"${n + 3}" for n in range(len(values)))
    key = await sql.fetchval(
        f"INSERT INTO ml_model_registry (experiment_id, stage, model_version, {names}) "
        f"VALUES ($1, $2, gen_random_uuid()::text, {places}) RETURNING id",
        experiment,
        stage,
        *values.values(),
    )
    return f"Model:{key}"


async def events_of(sql: asyncpg.Connection, node: str) -> list[tuple[Any, ...]]:
    rows = await sql.fetch(
        "SELECT lifecycle, from_state, to_state, mutation, actor, reason, forced FROM gateway.lifecycle_events "
        "WHERE node_id = $1 ORDER BY occurred_at",
        node,
    )
    return [tuple(row) for row in rows]


async def test_a_move_is_applied_recorded_and_read_in_its_transaction(
    client: Client, sql: asyncpg.Connection
) -> None:
    model = await model_in(sql, "development")
    result = await change(client, "promoteModel", id=model, to="STAGING", reason="looks good")
    assert result["__typename"] == "TransitionApplied"
    assert result["node"]["stage"] == result["node"]["lifecycle"]["state"] == "STAGING"
    assert result["event"] | {"id": ""} == {
        "id": "", "mutation": "promoteModel", "fromState": "DEVELOPMENT", "toState": "STAGING", "actor": "anonymous",
        "reason": "looks good", "forced": False, "node": {"id": model},
    }  # fmt: skip
    assert await events_of(sql, model) == [
        ("stage", "DEVELOPMENT", "STAGING", "promoteModel", "anonymous", "looks good", False)
    ]
    found = await client.data(f'{{ model(id: "{model}") {{ stage rowVersion }} }}')
    assert found["model"] == {"stage": "STAGING", "rowVersion": result["node"]["rowVersion"]}


async def test_a_bare_key_will_do(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    assert (await change(client, "promoteModel", id=model.removeprefix("Model:"), to="STAGING"))["node"]["id"] == model


async def test_a_forbidden_move_says_what_is_allowed(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    result = await change(client, "promoteModel", id=model, to="PRODUCTION")
    assert result == {
        "__typename": "IllegalTransition", "code": "ILLEGAL_TRANSITION", "path": ["input"], "from": "DEVELOPMENT",
        "to": "PRODUCTION", "allowed": ["STAGING", "ARCHIVED"], "node": {"id": model},
        "message": f"{model} is DEVELOPMENT and cannot become PRODUCTION; it may become STAGING, ARCHIVED.",
    }  # fmt: skip
    forced = await change(client, "promoteModel", id=model, to="PRODUCTION", force=True, reason="please")
    assert forced["__typename"] == "IllegalTransition"
    assert await events_of(sql, model) == []
