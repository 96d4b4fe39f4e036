"""On the platform's own database, with its constraints and triggers: what they do is left to them, and done once."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

import platform_own
from changing import change
from client import Client, serving
from conftest import Database, connect
from db import setup
from db.attach import inspect


@pytest.fixture
async def client(own_platform: Database) -> AsyncIterator[Client]:
    async with serving(own_platform.gateway_url) as client:
        yield client


@pytest.fixture
async def sql(own_platform: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(own_platform.admin_url)
    yield connection
    await connection.close()


async def test_the_database_is_the_platforms(sql: asyncpg.Connection) -> None:
    """Every trigger and every unique constraint of the facts is there, and none of ours."""
    triggers = await sql.fetch("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgname <> 'touch_updated_at'")
    ours = {"append_only", "tell_of_event"}
    assert {row["tgname"] for row in triggers} - ours == set(platform_own.TRIGGERS)
    found = {
        row["conname"]
        for row in await sql.fetch(
            "SELECT conname FROM pg_constraint WHERE contype = 'u' "
            "AND connamespace IN ('public'::regnamespace, 'ml'::regnamespace)"
        )
    }
    assert found == {line["constraint"] for line in platform_own.facts() if line["kind"] == "unique"}


async def test_attach_says_what_is_left_to_which_trigger(own_platform: Database, sql: asyncpg.Connection) -> None:
    """Known by what they do, under any name; a trigger that is switched off does nothing."""

    async def of(kind: str) -> dict[str, str]:
        async with setup.connect(own_platform.admin_url) as connection:
            return {note.object: note.message for note in (await inspect(connection)).notes if note.kind == kind}

    own = await of("own trigger")
    assert set(own) == {table for table, *_ in platform_own.TRIGGERS.values()}
    assert "trg_log_step_performance: it measures the tool of a step that ends" in own["composition_steps"]
    assert await of("missing trigger") == {}
    await sql.execute("ALTER FUNCTION trg_log_step_performance RENAME TO whatever")
    await sql.execute("ALTER TABLE ml_drift_history DISABLE TRIGGER trg_drift_alert")
    assert "whatever" in (await of("own trigger"))["composition_steps"]
    assert set(await of("missing trigger")) == {"ml_drift_history"}


async def step(sql: asyncpg.Connection) -> tuple[str, uuid.UUID]:
    """A step that is executed, as an id, and its tool."""
    tool = await sql.fetchval(
        "INSERT INTO tool_registry (name, description, category, source_agent, version) "
        "VALUES ($1, 'd', 'CAUSAL', 'causal_impact', '1.0.0') RETURNING tool_id",
        uuid.uuid4().hex,
    )
    episode = await sql.fetchval(
        "INSERT INTO composer_episodes (composition_id, query_text, total_latency_ms) VALUES ($1, 'q', 0) "
        "RETURNING episode_id",
        uuid.uuid4().hex,
    )
    key = await sql.fetchval(
        "INSERT INTO composition_steps (episode_id, step_number, step_name, tool_id, tool_name, status, started_at) "
        "VALUES ($1, 1, 's', $2, 't', 'EXECUTING', now() - interval '2 seconds') RETURNING step_id",
        episode, tool,
    )  # fmt: skip
    return f"CompositionStep:{key}", tool


@pytest.mark.parametrize(
    ("to", "more", "rate"),
    [
        ("COMPLETED", {}, 1.0),
        ("COMPLETED", {"latencyMs": 100.0}, 1.0),
        ("FAILED", {"errorMessage": "no"}, 0.0),
        ("TIMEOUT", {}, 0.0),
    ],
)
async def test_a_tools_run_is_counted_once(
    client: Client, sql: asyncpg.Connection, to: str, more: dict[str, Any], rate: float
) -> None:
    """By the platform's trigger where it does so, by the gateway where it does not (TIMEOUT); the figures follow."""
    id_, tool = await step(sql)
    result = await change(client, "moveStep", id=id_, to=to, **more)
    assert result["__typename"] == "TransitionApplied"
    (row,) = await sql.fetch("SELECT * FROM tool_performance WHERE tool_id = $1", tool)
    assert row["latency_ms"] >= more.get("latencyMs", 2000)
    assert row["success"] is (to == "COMPLETED")
    assert f"ToolPerformance:{row['performance_id']}" in [node["id"] for node in result["alsoChanged"]]
    figures = await sql.fetchrow("SELECT avg_latency_ms, success_rate FROM tool_registry WHERE tool_id = $1", tool)
    assert tuple(figures) == (row["latency_ms"], rate)
