"""What no tool does: show patients without the scope, run SQL, open a URL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.support.agents import LEGACY, MODERN, Agent
from tests.support.callers import JWT, token
from tests.support.client import Client, serving
from tests.support.databases import Database, connect

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
async def guarded(demo_database: Database) -> AsyncIterator[Client]:
    async with serving(demo_database.gateway_url, mcp="change", **JWT) as served:
        yield served


@pytest.fixture
async def sql(demo_database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(demo_database.admin_url)
    yield connection
    await connection.close()


def agent(client: Client, *roles: str, era: str = MODERN) -> Agent:
    return Agent(client, era, authorization=f"Bearer {token(*roles)}")


UNITS = "{ assignments(first: 5) { nodes { id unitId variant } } }"
JOURNEYS = "{ patientCohortAssignments(first: 5) { nodes { patientJourneyId } } }"


@pytest.mark.parametrize("era", [MODERN, LEGACY])
async def test_what_is_known_of_patients_is_read_with_its_scope_alone(guarded: Client, era: str) -> None:
    may, may_not = agent(guarded, "viewer", "patient", era=era), agent(guarded, "operator", era=era)
    shown = (await may.call("query", query=UNITS))["data"]["assignments"]["nodes"]
    assert all(row["unitId"] for row in shown)
    envelope = await may_not.call("query", query=UNITS)
    rows = envelope["data"]["assignments"]["nodes"]
    assert [row["variant"] for row in rows] == [row["variant"] for row in shown]
    assert {row["unitId"] for row in rows} == {None}
    assert envelope["complete"] is False
    assert any("patient" in one for one in envelope["warnings"])
    assert (await may_not.fails("query", query=JOURNEYS))["error"] == "FORBIDDEN_FIELD"
    where = f'{{ assignments(where: {{unitId: {{eq: "{shown[0]["unitId"]}"}}}}) {{ totalCount }} }}'
    assert (await may_not.fails("query", query=where))["error"] == "FORBIDDEN_FIELD"


async def test_no_tool_finds_a_patient_without_the_scope(guarded: Client, sql: asyncpg.Connection) -> None:
    units = [row[0] for row in await sql.fetch("SELECT unit_id FROM ab_experiment_assignments")]
    journeys = [row[0] for row in await sql.fetch("SELECT patient_journey_id FROM ml_patient_cohort_assignments")]
    experiment = await sql.fetchval("SELECT experiment_id FROM ab_experiment_assignments LIMIT 1")
    cohort = await sql.fetchval("SELECT cohort_id FROM ml_patient_cohort_assignments LIMIT 1")

    async def told(caller: Agent) -> str:
        ids, types = [f"Experiment:{experiment}"], ["Assignment", "Enrollment"]
        walk = await caller.call("lineage", ids=ids, types=types, maxDepth=2, maxBytes=40_000)
        funnel = await caller.call("answer", question="cohort_funnel", args={"cohort": cohort})
        found = [await caller.call("find", text=text) for text in (units[0], journeys[0])]
        return json.dumps([walk, funnel, *(one["data"] for one in found)])

    with_scope = await told(agent(guarded, "viewer", "patient"))
    assert any(one in with_scope for one in units)
    without = await told(agent(guarded, "operator"))
    assert not [one for one in [*units, *journeys] if one in without]


def arguments(url: str) -> list[tuple[str, dict[str, Any]]]:
    """A URL in every text that a tool takes."""
    return [
        ("answer", {"question": "active_prompt", "args": {"agent": url}}),
        ("find_fields", {"text": url}),
        ("describe_type", {"names": [url]}),
        ("query", {"query": url}),
        ("query", {"query": "query($n: String) { models(where: {modelName: {eq: $n}}) { totalCount } }",
                   "variables": {"n": url}}),
        ("find", {"text": url}),
        ("similar", {"kind": "episodes", "text": url}),
        ("similar", {"kind": "episodes", "id": url}),
        ("lineage", {"ids": [url]}),
        ("preview_change", {"steps": [{"mutation": "promoteModel", "id": url, "input": {"to": url}}], "reason": url}),
        ("apply_change", {"previewId": url}),
    ]  # fmt: skip


async def test_no_url_is_opened(guarded: Client) -> None:
    opened = []

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
        caller = agent(guarded, "admin")
        listed = {tool["name"] for tool in (await caller.result("tools/list"))["tools"]}
        assert {name for name, _ in arguments(url)} == listed
        for name, given in arguments(url):
            await caller.result("tools/call", {"name": name, "arguments": given})
        await caller.send("resources/read", {"uri": url})
        assert not opened
        _, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        writer.close()
        await asyncio.sleep(0.05)
        assert opened


async def test_sql_is_a_text_like_others(guarded: Client, sql: asyncpg.Connection) -> None:
    """In every text that a tool takes: it is answered or refused, and nothing runs it."""
    before = await sql.fetchval("SELECT count(*) FROM ml_model_registry")
    for text in ("'; DELETE FROM ml_model_registry; --", "SELECT 1/0", "x') OR pg_sleep(9) IS NULL --"):
        for name, given in arguments(text):
            result = await agent(guarded, "admin").result("tools/call", {"name": name, "arguments": given})
            assert "division by zero" not in json.dumps(result)
            assert "INTERNAL" not in json.dumps(result["structuredContent"].get("error", ""))
    assert await sql.fetchval("SELECT count(*) FROM ml_model_registry") == before


async def test_no_argument_overrides_a_guard_or_names_sql_or_an_address(guarded: Client) -> None:
    for tool in (await agent(guarded, "admin").result("tools/list"))["tools"]:
        names = {name.lower() for name in tool["inputSchema"]["properties"]}
        assert not names & {"force", "sql", "url", "uri", "host", "headers", "token", "dryrun", "expectedversion"}
        failure = await agent(guarded, "admin").fails(tool["name"], force=True)
        assert failure["error"] == "BAD_ARGUMENT"
