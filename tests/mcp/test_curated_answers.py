"""Curated answers over the demo data: what they say and the ids they give, checked by SQL."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from gateway.mcp.tools.answer import curated
from tests.support.agents import Agent, tokens
from tests.support.client import Client
from tests.support.databases import Database, connect

ACTIVE = "('active', 'acknowledged')"


@pytest.fixture(scope="module")
async def sql(demo_database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(demo_database.admin_url)
    yield connection
    await connection.close()


def keys(envelope: dict[str, Any], type_name: str) -> list[str]:
    """The keys of all rows of a type in an answer."""
    return re.findall(rf'"{type_name}:([^"]+)"', json.dumps(envelope["data"]))


async def answered(demo: Client, question: str, **args: Any) -> dict[str, Any]:
    envelope = await Agent(demo).call("answer", question=question, args=args)
    size = len(json.dumps(envelope, separators=(",", ":"), ensure_ascii=False).encode())
    assert size <= (2_000 if question == "brief" else 4_000)
    assert set(curated()[question].notes) <= set(envelope["warnings"])
    return envelope


async def test_models_at_risk(demo: Client, sql: asyncpg.Connection) -> None:
    envelope = await answered(demo, "models_at_risk")
    wanted = await sql.fetch(
        "SELECT model_id::text, health_status FROM ml_model_health_dashboard "
        "WHERE model_stage = 'production' AND health_status IN ('critical', 'warning')"
    )
    page = envelope["data"]["modelHealths"]
    assert page["totalCount"] == len(wanted) > 0
    status = {row["model_id"]: row["health_status"] for row in wanted}
    rows = [(one["model"]["id"].removeprefix("Model:"), one["healthStatus"]) for one in page["nodes"]]
    assert all(status[id_] == health for id_, health in rows)
    order = [health for _, health in rows]
    assert order == sorted(order)
    alerts = keys(envelope, "MonitoringAlert")
    states = f"SELECT count(*) FROM ml_monitoring_alerts WHERE id::text = ANY($1) AND status::text IN {ACTIVE}"
    assert await sql.fetchval(states, alerts) == len(alerts) > 0


async def test_rollback_candidates(demo: Client, sql: asyncpg.Connection) -> None:
    envelope = await answered(demo, "rollback_candidates")
    where = "environment = 'production' AND status = 'active' AND previous_deployment_id IS NOT NULL"
    wanted = await sql.fetch(f"SELECT id::text, previous_deployment_id::text FROM ml_deployments WHERE {where}")
    before = {row["id"]: row["previous_deployment_id"] for row in wanted}
    page = envelope["data"]["deployments"]
    assert page["totalCount"] == len(before)
    for one in page["nodes"]:
        assert one["previousDeployment"]["id"] == f"Deployment:{before[one['id'].removeprefix('Deployment:')]}"
    assert envelope["units"]["Deployment.errorRate"] == "of 1"


async def test_explain_gate(demo: Client, sql: asyncpg.Connection) -> None:
    estimate = await sql.fetchval("SELECT estimate_id::text FROM causal_validations ORDER BY validation_id LIMIT 1")
    envelope = await answered(demo, "explain_gate", estimate=estimate)
    assert envelope["data"]["estimate"]["gate"] in {"PROCEED", "REVIEW", "BLOCK"}
    found = keys(envelope, "CausalValidation")
    counted = "SELECT count(*) FROM causal_validations WHERE validation_id::text = ANY($1) AND estimate_id::text = $2"
    assert await sql.fetchval(counted, found, estimate) == len(found) > 0


async def test_tool_chain(demo: Client, sql: asyncpg.Connection) -> None:
    pair = await sql.fetchrow(
        "SELECT p.name AS first, c.name AS second FROM tool_dependencies AS d "
        "JOIN tool_registry AS p ON p.tool_id = d.producer_tool_id JOIN tool_registry AS c "
        "ON c.tool_id = d.consumer_tool_id WHERE p.composable AND c.composable ORDER BY 1, 2 LIMIT 1"
    )
    envelope = await answered(demo, "tool_chain", tools=[pair["second"], pair["first"]])
    layers = envelope["data"]["toolExecutionPlan"]["layers"]
    assert [[step["tool"]["name"] for step in layer["steps"]] for layer in layers] == [
        [pair["first"]],
        [pair["second"]],
    ]


async def test_compare_models(demo: Client, sql: asyncpg.Connection) -> None:
    one, other = await sql.fetch(
        "SELECT model_id::text AS id FROM ml_performance_metrics GROUP BY model_id ORDER BY 1 LIMIT 2"
    )
    envelope = await answered(demo, "compare_models", model=f"Model:{one['id']}", other=f"Model:{other['id']}")
    page = envelope["data"]["model"]["compare"]
    assert page["totalCount"] > 0
    for row in page["nodes"]:
        value = "SELECT count(*) FROM ml_performance_metrics WHERE model_id::text = $1 AND metric_name = $2"
        assert row["value"] is None or await sql.fetchval(value, one["id"], row["metricName"]) > 0


async def test_twin_trust(demo: Client, sql: asyncpg.Connection) -> None:
    envelope = await answered(demo, "twin_trust")
    page = envelope["data"]["twinModels"]
    assert page["totalCount"] == await sql.fetchval("SELECT count(*) FROM digital_twin_models WHERE is_active")
    found = keys(envelope, "TwinFidelity")
    counted = "SELECT count(*) FROM twin_fidelity_tracking WHERE tracking_id::text = ANY($1)"
    assert await sql.fetchval(counted, found) == len(found) > 0
    assert envelope["units"]["TwinFidelity.predictionError"] == "of 1"


async def test_trace_service(demo: Client, sql: asyncpg.Connection) -> None:
    row = await sql.fetchrow(
        "SELECT s.id::text, s.model_registry_id::text AS model, m.experiment_id::text AS experiment, "
        "(SELECT id::text FROM ml_bentoml_serving_metrics AS v WHERE v.service_id = s.id "
        "ORDER BY recorded_at DESC NULLS LAST LIMIT 1) AS metric FROM ml_bentoml_services AS s "
        "JOIN ml_model_registry AS m ON m.id = s.model_registry_id WHERE EXISTS "
        "(SELECT FROM ml_bentoml_serving_metrics AS v WHERE v.service_id = s.id) ORDER BY s.id LIMIT 1"
    )
    envelope = await answered(demo, "trace_service", service=f"BentoService:{row['id']}")
    assert keys(envelope, "Model") == [row["model"]]
    assert keys(envelope, "Experiment") == [row["experiment"]]
    assert keys(envelope, "ServingMetric") == [row["metric"]]
    assert envelope["units"]["ServingMetric.errorRate"] == "%"


async def test_brief(demo: Client, sql: asyncpg.Connection) -> None:
    envelope = await answered(demo, "brief", brand="KISQALI")
    page = envelope["data"]["experiments"]
    assert page["totalCount"] == await sql.fetchval(
        "SELECT count(*) FROM ml_experiments WHERE brand::text ILIKE 'kisqali'"
    )
    champions = keys(envelope, "Model")
    counted = "SELECT count(*) FROM ml_model_registry WHERE id::text = ANY($1) AND is_champion"
    assert await sql.fetchval(counted, champions) == len(champions) > 0


async def test_drifted_features(demo: Client, sql: asyncpg.Connection) -> None:
    envelope = await answered(demo, "drifted_features")
    page = envelope["data"]["driftStatuses"]
    assert page["totalCount"] == await sql.fetchval("SELECT count(*) FROM ml_drift_status_latest WHERE drift_detected")
    assert page["nodes"]
    assert envelope["complete"] is (page["totalCount"] == len(page["nodes"]))


async def test_active_prompt(demo: Client, sql: asyncpg.Connection) -> None:
    row = await sql.fetchrow(
        "SELECT agent_name::text AS agent, array_agg(instruction_id::text) AS ids FROM optimized_instructions "
        "WHERE is_active GROUP BY 1 ORDER BY 1 LIMIT 1"
    )
    envelope = await answered(demo, "active_prompt", agent=row["agent"])
    assert sorted(keys(envelope, "OptimizedInstruction")) == sorted(row["ids"])


def test_every_question_has_a_test() -> None:
    assert {f"test_{name}" for name in curated()} <= set(globals())


@pytest.mark.parametrize(
    ("question", "args", "said"),
    [
        ("models_at_risk", {"limit": 3}, "no 'limit'"),
        ("explain_gate", {}, "args.estimate is missing"),
        ("explain_gate", {"estimate": "nonsense"}, "nonsense"),
        ("brief", {"brand": "kisqali"}, "KISQALI"),
        ("tool_chain", {"tools": ["nothing"]}, "nothing"),
        ("models_at_risks", {}, "models_at_risk"),
    ],
)
async def test_wrong_arguments_say_what_is_taken(demo: Client, question: str, args: Any, said: str) -> None:
    assert said in json.dumps(await Agent(demo).fails("answer", question=question, args=args))


async def test_a_row_that_is_not_there_is_said(demo: Client) -> None:
    nobody = "BentoService:00000000-0000-4000-8000-000000000000"
    envelope = await Agent(demo).call("answer", question="trace_service", args={"service": nobody})
    assert envelope["data"] == {"bentoService": None}
    assert "no such row" in envelope["warnings"][0]


async def test_the_median_answer_is_short(demo: Client) -> None:
    """Those that need no id; with ids they are shorter."""
    sizes = []
    for question in ("models_at_risk", "rollback_candidates", "twin_trust", "drifted_features"):
        envelope = await Agent(demo).call("answer", question=question)
        sizes.append(tokens(json.dumps(envelope, separators=(",", ":"), ensure_ascii=False)))
    assert max(sizes) <= 1_000
