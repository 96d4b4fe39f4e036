"""What a change would touch, beside what a dry run of the change says; and differences from recorded changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

import schema.schema  # noqa: F401 - registers all effects
from db.base.effects import effects
from schema.lineage.edges import edges
from tests.support.changing import change, deployed, model_in, rivals, uuid_of
from tests.support.client import Client
from tests.support.databases import Database, connect

Serve = Callable[[Database], AbstractAsyncContextManager[Client]]

IMPACT = """
    query($of: ID!, $if: LineageTransition!, $maxNodes: Int) { impact(of: $of, if: $if, maxNodes: $maxNodes) {
      node { id: nodeId state } lifecycle from to allowed blockedBy { code node { id } } changes { id: nodeId state }
      nodes { id: nodeId depth } edges { from to kind } unknown complete reason asOf } }"""


@pytest.fixture(scope="module")
async def client(module_database: Database, serve: Serve) -> AsyncIterator[Client]:
    async with serve(module_database) as client:
        yield client


@pytest.fixture(scope="module")
async def sql(module_database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(module_database.admin_url)
    yield connection
    await connection.close()


async def service_of(sql: asyncpg.Connection, deployment: str, status: str) -> str:
    key = await sql.fetchval(
        "INSERT INTO ml_bentoml_services (deployment_id, service_name, bento_tag, status) "
        "VALUES ($1, 's', gen_random_uuid()::text, $2::text::deployment_status_enum) RETURNING id",
        uuid_of(deployment),
        status,
    )
    return f"BentoService:{key}"


async def impact(client: Client, of: str, to: str, **more: Any) -> dict[str, Any]:
    data = await client.data(IMPACT, **{"of": of, "if": {"to": to, **more}})
    found: dict[str, Any] = data["impact"]
    return found


def planned(preview: dict[str, Any]) -> set[str]:
    """The rows that a dry run would change."""
    return {one["nodeId"] for one in preview["wouldChange"]}


def ids(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["id"] for node in nodes}


def test_every_effect_leads_along_edges() -> None:
    ways = [way for effect in effects().values() for way in effect.ways]
    assert {name.removesuffix("*") for way in ways for name in way} <= edges().by_name.keys()


async def test_a_rollback_touches_what_a_dry_run_says(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "production")
    old = await deployed(sql, model, status="draining")
    live = await deployed(sql, model, status="active", previous_deployment_id=uuid_of(old))
    services = [await service_of(sql, old, "draining"), await service_of(sql, live, "active")]
    preview = await change(client, "rollbackDeployment", id=live, reason="r", dryRun=True)
    found = await impact(client, live, "ROLLED_BACK")
    assert found["node"] == {"id": live, "state": "ACTIVE"}
    assert (found["lifecycle"], found["from"], found["to"], found["allowed"]) == (
        "status", "ACTIVE", "ROLLED_BACK", True,
    )  # fmt: skip
    assert planned(preview) == {live, old, *services}
    assert ids(found["changes"]) | {live} == planned(preview)
    assert ids(found["nodes"]) == {live, old, *services}
    assert {"from": live, "to": services[1], "kind": "SERVED_BY"} in found["edges"]
    assert found["complete"]


async def test_a_roll_out_touches_its_predecessor(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "production")
    old = await deployed(sql, model, status="active")
    new = await deployed(sql, model, status="deploying", previous_deployment_id=uuid_of(old))
    service = await service_of(sql, old, "active")
    preview = await change(client, "moveDeployment", id=new, to="ACTIVE", dryRun=True)
    found = await impact(client, new, "ACTIVE")
    assert planned(preview) == {new, old, service} == ids(found["changes"]) | {new}


async def test_a_new_champion_touches_its_rivals(client: Client, sql: asyncpg.Connection) -> None:
    first, second, third = await rivals(sql, "production", "shadow", "staging")
    preview = await change(client, "setChampion", id=second, dryRun=True)
    found = await impact(client, second, "CHAMPION", lifecycle="champion")
    assert planned(preview) == {first, second}
    assert ids(found["changes"]) == {first, third}, "those that it looks at: one of them is the champion"
    assert found["blockedBy"] == []


async def test_what_is_in_the_way_is_said(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "shadow", auc=0.1)
    deployment = await deployed(sql, model)
    preview = await change(client, "promoteModel", id=model, to="PRODUCTION", dryRun=True)
    found = await impact(client, model, "PRODUCTION")
    assert {one["code"] for one in preview["blockers"]} == {one["code"] for one in found["blockedBy"]}
    assert "AUC_BELOW_MINIMUM" in {one["code"] for one in found["blockedBy"]}
    assert ids(found["nodes"]) == {model, deployment}, "what is served by the model depends on it"


async def test_a_move_that_there_is_not(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    found = await impact(client, model, "PRODUCTION")
    assert not found["allowed"]
    assert found["changes"] == []


BAD = [
    ("Nothing:1", {"to": "ACTIVE"}, "of", "names no type"),
    ("Deployment:00000000-0000-0000-0000-000000000000", {"to": "ACTIVE"}, "of", "does not exist"),
    ("Feature:00000000-0000-0000-0000-000000000000", {"to": "ACTIVE"}, "of", "has no lifecycle"),
    ("Model:00000000-0000-0000-0000-000000000000", {"to": "HAPPY"}, "if.to", "its states are DEVELOPMENT"),
    ("Model:00000000-0000-0000-0000-000000000000", {"to": "X", "lifecycle": "y"}, "if.lifecycle", "stage, champion"),
]


@pytest.mark.parametrize(("of", "move", "argument", "why"), BAD, ids=[one[2] + one[0][:5] for one in BAD])
async def test_bad_arguments(client: Client, of: str, move: dict[str, str], argument: str, why: str) -> None:
    error = await client.error(IMPACT, **{"of": of, "if": move})
    assert error["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["argument"] == argument
    assert why in error["message"]


async def test_recorded_changes_are_differences(client: Client, sql: asyncpg.Connection) -> None:
    model, unrelated = await model_in(sql, "development"), await model_in(sql, "development")
    for one in model, unrelated:
        await change(client, "promoteModel", id=one, to="STAGING", reason="ready")
    now = datetime.now(UTC)
    data = await client.data(
        """query($from: [ID!]!, $between: [DateTime!]!) { lineageDiff(from: $from, between: $between) {
             changed { node { id: nodeId state } lifecycle from to actor } unknown } }""",
        **{
            "from": [model],
            "between": [(now - timedelta(hours=1)).isoformat(), (now + timedelta(hours=1)).isoformat()],
        },
    )
    assert data["lineageDiff"]["changed"] == [
        {
            "node": {"id": model, "state": "STAGING"},
            "lifecycle": "stage",
            "from": "DEVELOPMENT",
            "to": "STAGING",
            "actor": "anonymous",
        }
    ]
    assert any("by other writers" in one for one in data["lineageDiff"]["unknown"])
