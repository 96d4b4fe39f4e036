"""Agents have the limits of everyone: costs, the caller's budget, the deadline; and their lines in the log."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.agents import LEGACY, MODERN, Agent
from tests.support.client import serving
from tests.support.databases import Clone, Database, execute

pytestmark = pytest.mark.slow

TEN = "{ tools(first: 9) { nodes { name } } }"
"""Costs ten points."""


@pytest.mark.parametrize("era", [MODERN, LEGACY])
async def test_what_costs_too_much_is_refused_with_advice(demo_database: Database, era: str) -> None:
    async with serving(demo_database.gateway_url, max_cost=50) as client:
        query = "{ experiments(first: 50) { nodes { models(first: 50) { nodes { id } } } } }"
        failure = await Agent(client, era).fails("query", query=query)
        assert failure["error"] == "COST_LIMIT"
        assert (await Agent(client, era).call("query", query=TEN))["complete"] is False


async def test_agents_take_from_the_budget_of_their_caller(demo_database: Database) -> None:
    async with serving(demo_database.gateway_url, budget_per_minute=100, compiler=True) as client:
        before = (await client.cost(TEN))["budget"]["remaining"]
        await Agent(client).call("query", query=TEN)
        after = (await client.cost(TEN))["budget"]["remaining"]
        assert before - after >= 15, "two requests, whatever was refilled between them"
        for _ in range(20):
            result = await Agent(client).result("tools/call", {"name": "query", "arguments": {"query": TEN}})
            if result.get("isError"):
                break
        assert (await Agent(client).fails("query", query=TEN))["error"] == "BUDGET_EXCEEDED"


async def test_a_call_ends_at_the_deadline(demo_template: Database, clone: Clone) -> None:
    async with clone(demo_template) as slow:
        await execute(
            slow.owner_url,
            "ALTER TABLE ml_monitoring_alerts RENAME TO ml_monitoring_alerts_real",
            "CREATE VIEW ml_monitoring_alerts AS SELECT r.* FROM ml_monitoring_alerts_real r, pg_sleep(60)",
            "GRANT SELECT ON ml_monitoring_alerts TO e2i_gateway",
        )
        async with serving(slow.gateway_url, request_timeout=0.5) as client:
            failure = await Agent(client).fails("query", query="{ monitoringAlerts(first: 1) { nodes { id } } }")
            assert failure["error"] == "REQUEST_TIMEOUT"
            assert (await Agent(client).call("query", query=TEN))["data"]["tools"]["nodes"]


async def test_a_call_has_its_line_in_the_log(demo_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[tuple[str, int, dict[str, Any]]] = []
    monkeypatch.setattr(
        "gateway.observability.request_log.request_line",
        lambda _log, transport, status, _id, record: lines.append((transport, status, dict(record))),
    )
    async with serving(demo_database.gateway_url) as client:
        await Agent(client).call("query", query=TEN)
    [(transport, status, record)] = lines
    assert (transport, status, record["tool"]) == ("MCP", 200, "query")
    assert record["rows"] > 0
    assert record["cost"] > 0
