"""What is written with a change: durations, reasons and measurements, and nothing where nothing is known."""

from __future__ import annotations

import uuid

import asyncpg
import pytest

from tests.support.changing import change, deployed, model_in, uuid_of
from tests.support.client import Client


@pytest.mark.migrated("the platform's trigger refuses the step, see test_own_platform.py")
async def test_a_step_that_never_started_measures_nothing(client: Client, sql: asyncpg.Connection) -> None:
    tool = await sql.fetchval(
        "INSERT INTO tool_registry (name, description, category, source_agent, avg_latency_ms) "
        "VALUES ($1, 'd', 'CAUSAL', 'x', 7) RETURNING tool_id",
        uuid.uuid4().hex,
    )
    episode = await sql.fetchval(
        "INSERT INTO composer_episodes (composition_id, query_text, total_latency_ms) VALUES ($1, 'q', 0) "
        "RETURNING episode_id",
        uuid.uuid4().hex,
    )
    key = await sql.fetchval(
        "INSERT INTO composition_steps (episode_id, step_number, step_name, tool_id, tool_name) "
        "VALUES ($1, 1, 's', $2, 't') RETURNING step_id",
        episode, tool,
    )  # fmt: skip
    result = await change(client, "moveStep", id=str(key), to="FAILED", errorMessage="no")
    assert result["alsoChanged"] == []
    assert await sql.fetchval("SELECT latency_ms FROM composition_steps WHERE step_id = $1", key) is None
    assert await sql.fetchval("SELECT count(*) FROM tool_performance WHERE tool_id = $1", tool) == 0
    assert await sql.fetchval("SELECT avg_latency_ms FROM tool_registry WHERE tool_id = $1", tool) == 7


ENDING = {
    "moveRetraining": ("ml_retraining_history", "triggered_at", "status", "training", "FAILED", {}),
    "failMonitoringRun": ("ml_monitoring_runs", "started_at", "status", "running", None, {"errorMessage": "e"}),
    "moveMaterializationJob": (
        "ml_feast_materialization_jobs", "started_at", "status", "running", "FAILED", {"errorMessage": "e"}
    ),
    "moveTrial": ("ml_hpo_trials", "datetime_start", "state", "RUNNING", "FAIL", {}),
    "moveOptimizationRun": ("prompt_optimization_runs", "started_at", "status", "running", "FAILED",
                            {"errorMessage": "e"}),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDING)
async def test_a_duration_without_a_start_is_null(client: Client, sql: asyncpg.Connection, name: str) -> None:
    """Also where the clock ran back and the start lies ahead; a duration is as long as its column can hold."""
    table, start, column, state_, to, more = ENDING[name]
    key = "run_id" if table == "prompt_optimization_runs" else "id"
    row = await sql.fetchval(f"SELECT {key} FROM {table} ORDER BY {key} LIMIT 1")
    await sql.execute(f"ALTER TABLE {table} ALTER {start} DROP NOT NULL")
    for began, expected in (
        ("NULL", None), ("now() + interval '1 hour'", None), ("'infinity'", None), ("'-infinity'", None),
        ("now() - interval '90 seconds'", 90), ("'0001-01-01'", 9_999_999),
    ):  # fmt: skip
        await sql.execute(
            f"UPDATE {table} SET {start} = {began}, {column} = '{state_}', duration_seconds = NULL WHERE {key} = $1",
            row,
        )
        given = {"to": to} if to else {}
        result = await change(client, name, id=str(row), **given, **more)
        assert result["__typename"] == "TransitionApplied", result
        found = await sql.fetchval(f"SELECT duration_seconds FROM {table} WHERE {key} = $1", row)
        assert (found is None) if expected is None else found >= expected


@pytest.mark.parametrize(
    ("name", "to", "table", "key", "column", "state_"),
    [
        ("moveDeployment", "ROLLED_BACK", "ml_deployments", "id", "rollback_reason", "status = 'active'"),
        ("stopPromptAbTest", None, "prompt_ab_tests", "test_id", "decision_reason", "status = 'running'"),
        ("deactivateTwinModel", None, "digital_twin_models", "model_id", "deactivation_reason", "is_active = true"),
    ],
)
async def test_no_reason_erases_none(
    client: Client, sql: asyncpg.Connection, name: str, to: str | None, table: str, key: str, column: str,
    state_: str,
) -> None:  # fmt: skip
    row = await sql.fetchval(f"SELECT {key} FROM {table} ORDER BY {key} LIMIT 1")
    for reason, kept in ((None, "stored"), ("said", "said")):
        await sql.execute(f"UPDATE {table} SET {state_}, {column} = 'stored' WHERE {key} = $1", row)
        given = {"to": to} if to else {}
        result = await change(client, name, id=str(row), **given, reason=reason)
        assert result["__typename"] == "TransitionApplied", result
        assert await sql.fetchval(f"SELECT {column} FROM {table} WHERE {key} = $1", row) == kept


@pytest.mark.parametrize(
    ("ate", "lower", "upper"),
    [("NaN", "NaN", "NaN"), ("0.1", "0", "NaN"), ("NaN", "0", "NaN"), ("0.1", "NaN", "1"), (None, "0", "1")],
)
async def test_a_simulation_without_numbers_is_not_complete(
    client: Client, sql: asyncpg.Connection, ate: str | None, lower: str, upper: str
) -> None:
    """What is no number compares as greater than all numbers in Postgres, and lies in no interval."""
    key = await sql.fetchval(
        "SELECT simulation_id FROM twin_simulations WHERE recommendation IS NOT NULL ORDER BY simulation_id LIMIT 1"
    )
    await sql.execute(
        "UPDATE twin_simulations SET simulation_status = 'running', simulated_ate = $2::text::float8, "
        "simulated_ci_lower = $3::text::float8, simulated_ci_upper = $4::text::float8 WHERE simulation_id = $1",
        key, ate, lower, upper,
    )  # fmt: skip
    data = await client.data(
        "query($id: ID!) { twinSimulation(id: $id) { lifecycle { allowedTransitions { to blockedBy { code } } } } }",
        id=str(key),
    )
    moves = {one["to"]: one["blockedBy"] for one in data["twinSimulation"]["lifecycle"]["allowedTransitions"]}
    assert [one["code"] for one in moves["COMPLETED"]] == ["RESULT_INCOMPLETE"]


async def test_a_result_advises_something(client: Client, sql: asyncpg.Connection) -> None:
    """Whoever reports it says what, and a simulation without advice is not complete."""
    key = await sql.fetchval("SELECT simulation_id FROM twin_simulations ORDER BY simulation_id LIMIT 1")
    await sql.execute(
        "UPDATE twin_simulations SET simulation_status = 'running', simulated_ate = 1, simulated_ci_lower = 0, "
        "simulated_ci_upper = 2, recommendation = NULL WHERE simulation_id = $1",
        key,
    )
    blocked = "twinSimulation(id: $id) { lifecycle { allowedTransitions { to blockedBy { code message } } } }"
    data = await client.data(f"query($id: ID!) {{ {blocked} }}", id=str(key))
    moves = {one["to"]: one["blockedBy"] for one in data["twinSimulation"]["lifecycle"]["allowedTransitions"]}
    ((code, message),) = [(one["code"], one["message"]) for one in moves["COMPLETED"]]
    assert code == "RESULT_INCOMPLETE"
    assert "lacks a recommendation" in message
    given = {"id": str(key), "simulatedAte": 1, "simulatedCiLower": 0, "simulatedCiUpper": 2}
    complete = "mutation($i: CompleteSimulationInput!) { completeSimulation(input: $i) { __typename } }"
    for more in ({}, {"recommendation": None}):
        error = await client.error(complete, i=given | more)
        assert (error["code"], error["extensions"].get("argument")) == ("BAD_USER_INPUT", "$i.recommendation"), error
    result = await change(client, "completeSimulation", **given, recommendation="REFINE")
    assert result["__typename"] == "TransitionApplied", result


async def test_a_metric_that_is_no_number_ends_no_retraining(client: Client, sql: asyncpg.Connection) -> None:
    key = await sql.fetchval("SELECT id FROM ml_retraining_history ORDER BY id LIMIT 1")
    await sql.execute(
        "UPDATE ml_retraining_history SET status = 'validating', old_metric_value = 'NaN' WHERE id = $1", key
    )
    given = {"newModelVersion": "none", "newMetricValue": 0.9}
    result = await change(client, "completeRetraining", id=str(key), **given)
    assert "METRICS_MISSING" in [one["code"] for one in result["blockers"]]


@pytest.mark.parametrize(("status", "blocks"), [("NULL", True), ("'active'", True), ("'resolved'", False)])
async def test_an_alert_without_a_state_is_open(
    client: Client, sql: asyncpg.Connection, status: str, *, blocks: bool
) -> None:
    model = await model_in(sql, "shadow")
    await sql.execute("ALTER TABLE ml_monitoring_alerts ALTER status DROP NOT NULL")
    await sql.execute(
        "INSERT INTO ml_monitoring_alerts (alert_type, title, severity, message, model_id, status) "
        f"VALUES ('drift', 't', 'critical', 'm', $1, {status})",
        uuid_of(model),
    )
    result = await change(client, "promoteModel", id=model, to="PRODUCTION", dryRun=True)
    assert ("CRITICAL_ALERT_OPEN" in [one["code"] for one in result["blockers"]]) == blocks


SHADOWED = (24, 1000, 1.0, 150.0)
"""Hours, requests, percentage of errors and p99 in ms that are just enough."""


@pytest.mark.parametrize(
    ("measured", "environment", "short"),
    [
        (SHADOWED, "staging", None),
        (SHADOWED, "production", None),
        (SHADOWED, "development", "no deployment of the model has been in shadow mode"),
        ((23, 1000, 1.0, 150.0), "staging", "duration_hours 23 (must be at least 24)"),
        ((24, 999, 1.0, 150.0), "staging", "requests 999 (must be at least 1000)"),
        ((24, 1000, 1.01, 150.0), "staging", "error_rate 0.0101 (must be at most 0.01)"),
        ((24, 1000, 1.0, 150.5), "staging", "latency_p99_ms 150.5 (must be at most 150)"),
        ((24, None, 1.0, 150.0), "staging", "requests missing"),
        ((24, 1000, float("nan"), 150.0), "staging", "error_rate missing"),
        ((24, 1000, 1.0, float("nan")), "staging", "latency_p99_ms missing"),
    ],
)
async def test_shadow_evidence_comes_from_serving_metrics(
    client: Client, sql: asyncpg.Connection, measured: tuple[float | None, ...], environment: str, short: str | None
) -> None:
    hours, requests, errors, p99 = measured
    model = await model_in(sql, "shadow")
    deployment = await deployed(sql, model, status="active", environment=environment)
    service = await sql.fetchval(
        "INSERT INTO ml_bentoml_services (service_name, bento_tag, deployment_id) VALUES ('s', 's:1', $1) RETURNING id",
        uuid_of(deployment),
    )
    for hour in (0, hours):
        await sql.execute(
            "INSERT INTO ml_bentoml_serving_metrics (service_id, recorded_at, requests_total, error_rate, "
            "p99_latency_ms) SELECT $1, date_trunc('hour', now()) - make_interval(hours => $2), $3, $4, $5",
            service, hour, requests and (requests + hour // 24) // 2, errors, p99,
        )  # fmt: skip
    if "missing" in (short or ""):  # one measurement says it, which is not enough
        await sql.execute(
            "INSERT INTO ml_bentoml_serving_metrics (service_id, recorded_at, requests_total, error_rate, "
            "p99_latency_ms) VALUES ($1, now(), 5000, 0.1, 9)",
            service,
        )
    result = await change(client, "promoteModel", id=model, to="PRODUCTION", dryRun=True)
    said = [one["message"] for one in result["blockers"] if one["code"] == "NO_SHADOW_EVIDENCE"]
    assert (short is None) == (said == [])
    if short:
        assert short in said[0]
