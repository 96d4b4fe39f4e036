"""Where windows, dates and thresholds end: one step to either side of each: a microsecond, a day, a last digit.

The gateway's ``now()`` stands still here: a function of that name lies before the catalogue's on its search path.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from db.engine import session
from tests.support.changing import add, change, deployed, model_in, uuid_of
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect
from tests.support.executors import EXECUTORS

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
TODAY = NOW.date()
STEP, HOUR, DAY = timedelta(microseconds=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="module")
async def still(template: Database, clone: Clone) -> AsyncIterator[Database]:
    async with clone(template) as copy:
        connection = await connect(copy.admin_url)
        await connection.execute(
            f"CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT timestamptz '{NOW}' $$"
        )
        await connection.close()
        yield copy


@pytest.fixture(scope="module")
async def sql(still: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(still.admin_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="module", params=EXECUTORS)
async def client(request: pytest.FixtureRequest, still: Database) -> AsyncIterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(session.VALUES, "search_path", "public, pg_catalog, extensions")
        async with serving(still.gateway_url, compiler=request.param) as client:
            yield client


def around(*moments: datetime) -> list[datetime]:
    """Each moment, and what lies a step before and behind it."""
    return [moment + step for moment in moments for step in (-STEP, timedelta(0), STEP)]


# -- windows of questions and views ------------------------------------------------------------------------------------

WINDOWS: list[tuple[int, datetime | None]] = [(24, None), (1, None), (24, NOW), (1, NOW - HOUR), (25, NOW + STEP)]
"""Hours, and the end that is not in the window; without one it has none."""


async def test_spans_of_the_last_hours(client: Client, sql: asyncpg.Connection) -> None:
    await sql.execute("DELETE FROM ml_observability_spans")
    moments = around(NOW - 25 * HOUR, NOW - 24 * HOUR, NOW - 2 * HOUR, NOW - HOUR, NOW)
    for place, moment in enumerate(moments):
        await add(
            sql, "ml_observability_spans", agent_name="causal_impact", agent_tier="causal_analytics",
            started_at=moment, total_tokens=2**place, duration_ms=1,
        )  # fmt: skip
    query = """query($hours: Int, $until: DateTime) {
        agentLatency(windowHours: $hours, until: $until) { nodes { totalTokensUsed totalSpans } } }"""
    for hours, until in WINDOWS:
        inside = [
            2**place
            for place, moment in enumerate(moments)
            if (until or NOW) - hours * HOUR <= moment and (until is None or moment < until)
        ]
        asked = {"hours": hours, "until": until.isoformat() if until else None}
        (found,) = (await client.data(query, **asked))["agentLatency"]["nodes"]
        assert (found["totalTokensUsed"], found["totalSpans"]) == (sum(inside), len(inside)), (hours, until)
    data = await client.data("{ agentLatency { nodes { totalSpans } } agentLatencySummaries { nodes { totalSpans } } }")
    last_day = [{"totalSpans": sum(moment >= NOW - 24 * HOUR for moment in moments)}]
    assert data == {"agentLatency": {"nodes": last_day}, "agentLatencySummaries": {"nodes": last_day}}


async def test_drift_of_the_last_days(client: Client, sql: asyncpg.Connection) -> None:
    await sql.execute("DELETE FROM ml_drift_history")
    midnight = datetime(2026, 6, 14, tzinfo=UTC)
    moments = around(NOW - 7 * DAY, NOW - DAY, midnight, NOW)
    found_in: dict[str, datetime] = {}
    for moment in moments:
        model = await add(sql, "ml_model_registry", stage="production")
        await add(sql, "ml_drift_history", model_id=model, drift_type="data", created_at=moment)
        found_in[str(model)] = moment
    query = """query($days: Int, $until: DateTime) {
        driftTrend(days: $days, until: $until, first: 100) { nodes { modelId checkDate } } }"""
    for days, until in [(7, None), (1, None), (7, NOW), (6, NOW - DAY), (2, midnight), (1, NOW + STEP)]:
        inside = {
            (model, str(moment.date()))
            for model, moment in found_in.items()
            if (until or NOW) - days * DAY <= moment and (until is None or moment < until)
        }
        asked = {"days": days, "until": until.isoformat() if until else None}
        nodes = (await client.data(query, **asked))["driftTrend"]["nodes"]
        assert {(node["modelId"], node["checkDate"]) for node in nodes} == inside, (days, until)
    views = await client.data(
        "query($ids: [UUID!]) { driftTrend { nodes { modelId checkDate } } "
        "driftTrends7d { nodes { modelId checkDate } } "
        "modelHealths(where: {modelId: {in: $ids}}) { nodes { modelId driftCheckCount } } }",
        ids=list(found_in),
    )
    week = {(model, str(moment.date())) for model, moment in found_in.items() if moment >= NOW - 7 * DAY}
    for name in ("driftTrend", "driftTrends7d"):
        assert {(node["modelId"], node["checkDate"]) for node in views[name]["nodes"]} == week
    counted = {node["modelId"] for node in views["modelHealths"]["nodes"] if node["driftCheckCount"] == 1}
    assert counted == {model for model, _ in week}
    assert len(views["modelHealths"]["nodes"]) == len(found_in)


async def test_views_of_the_database_end_where_the_gateways_do(sql: asyncpg.Connection) -> None:
    """In one transaction, of which ``now()`` is the beginning."""
    transaction = sql.transaction()
    await transaction.start()
    try:
        await sql.execute("DELETE FROM ml_observability_spans; DELETE FROM ml_drift_history")
        now = await sql.fetchval("SELECT pg_catalog.now()")
        for place, moment in enumerate(around(now - 24 * HOUR)):
            await add(
                sql, "ml_observability_spans", agent_name="causal_impact", agent_tier="causal_analytics",
                started_at=moment, total_tokens=2**place,
            )  # fmt: skip
        assert await sql.fetchval("SELECT total_tokens_used FROM v_agent_latency_summary") == 2 + 4
        model = await add(sql, "ml_model_registry", stage="production")
        for moment in around(now - 168 * HOUR):
            await add(sql, "ml_drift_history", model_id=model, drift_type="data", created_at=moment)
        assert await sql.fetchval("SELECT sum(check_count) FROM ml_drift_trend_7d") == 2
        assert (
            await sql.fetchval("SELECT drift_check_count FROM ml_model_health_dashboard WHERE model_id = $1", model)
            == 2
        )
    finally:
        await transaction.rollback()


async def test_metrics_between_two_times(client: Client, sql: asyncpg.Connection) -> None:
    service = await add(sql, "ml_bentoml_services")
    since, until = NOW - DAY, NOW
    moments = around(since, until)
    for place, moment in enumerate(moments):
        await add(
            sql, "ml_bentoml_serving_metrics", service_id=service, recorded_at=moment, requests_total=2**place,
            avg_latency_ms=place + 1, error_rate=place if place % 2 else None, p99_latency_ms=place, cpu_percent=place,
        )  # fmt: skip
    query = """query($id: ID!, $since: DateTime, $until: DateTime) { bentoService(id: $id) { metricsSummary(
        since: $since, until: $until) { measurements requestsTotal firstAt lastAt avgLatencyMs errorRate
        maxP99LatencyMs avgCpuPercent } } }"""
    for low, high in [
        (since, until),
        (None, until),
        (since, None),
        (None, None),
        (until, until),
        (since, since + STEP),
    ]:
        inside = [
            place
            for place, moment in enumerate(moments)
            if (low is None or moment >= low) and (high is None or moment < high)
        ]
        asked = {"since": low and low.isoformat(), "until": high and high.isoformat()}
        found = (await client.data(query, id=f"BentoService:{service}", **asked))["bentoService"]["metricsSummary"]
        requests = sum(2**place for place in inside)
        assert (found["measurements"], found["requestsTotal"]) == (len(inside), requests or None), (low, high)
        odd = [place for place in inside if place % 2]
        expected = {
            "avgLatencyMs": sum(2**place * (place + 1) for place in inside) / requests if inside else None,
            "errorRate": sum(2**place * place for place in odd) / sum(2**place for place in odd) if odd else None,
            "maxP99LatencyMs": max(inside, default=None),
            "avgCpuPercent": sum(inside) / len(inside) if inside else None,
        }
        for name, value in expected.items():
            assert found[name] == (None if value is None else pytest.approx(value, rel=1e-12)), (name, low, high)
        ends = [moments[place].strftime("%Y-%m-%dT%H:%M:%S.%fZ") for place in (*inside[:1], *inside[-1:])]
        assert [found["firstAt"], found["lastAt"]] == (ends or [None, None])


async def test_measurements_of_the_period_that_drift_was_looked_for_in(client: Client, sql: asyncpg.Connection) -> None:
    deployment = await add(sql, "ml_deployments")
    service = await add(sql, "ml_bentoml_services", deployment_id=deployment)
    start, end = NOW - DAY, NOW
    drift = await add(
        sql, "ml_drift_history", deployment_id=deployment, current_start=start, current_end=end,
        baseline_start=start - DAY, baseline_end=start,
    )  # fmt: skip
    inside = set()
    for moment in around(start, end):
        metric = await add(sql, "ml_bentoml_serving_metrics", service_id=service, recorded_at=moment)
        if start <= moment <= end:
            inside.add(f"ServingMetric:{metric}")
    data = await client.data(
        "query($drift: ID!, $service: ID!) { driftRecord(id: $drift) { servingMetrics { nodes { id } } }"
        " bentoService(id: $service) { metrics { nodes { id driftHistory { nodes { id } } } } } }",
        drift=f"DriftRecord:{drift}", service=f"BentoService:{service}",
    )  # fmt: skip
    assert {node["id"] for node in data["driftRecord"]["servingMetrics"]["nodes"]} == inside
    assert {node["id"] for node in data["bentoService"]["metrics"]["nodes"] if node["driftHistory"]["nodes"]} == inside


async def test_results_from_the_enrolment_on(client: Client, sql: asyncpg.Connection) -> None:
    experiment = await add(sql, "ml_experiments")
    assignment = await add(sql, "ab_experiment_assignments", experiment_id=experiment)
    enrollment = await add(sql, "ab_experiment_enrollments", assignment_id=assignment, enrolled_at=NOW)
    later = set()
    for moment in around(NOW):
        result = await add(sql, "ab_experiment_results", experiment_id=experiment, computed_at=moment)
        later |= {f"ExperimentResult:{result}"} if moment >= NOW else set()
    data = await client.data(
        "query($id: ID!, $e: UUID!) { enrollment(id: $id) { results { nodes { id } } } experimentResults("
        "where: {experimentId: {eq: $e}}) { nodes { id enrollments { nodes { id } } } } }",
        id=f"Enrollment:{enrollment}", e=str(experiment),
    )  # fmt: skip
    assert {node["id"] for node in data["enrollment"]["results"]["nodes"]} == later
    assert {node["id"] for node in data["experimentResults"]["nodes"] if node["enrollments"]["nodes"]} == later


# -- days --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [-1, 0, 1])
async def test_the_last_day_of_an_approval_is_one_of_its_days(
    client: Client, sql: asyncpg.Connection, days: int
) -> None:
    last, dag = TODAY + days * DAY, f"last {days} {client.compiles}"
    review = await add(
        sql, "expert_reviews", dag_version_hash=dag, approval_status="approved", valid_until=last, brand="Kisqali",
        review_type="dag_approval", valid_from=TODAY - 10 * DAY,
    )  # fmt: skip
    data = await client.data(
        "query($id: ID!, $dag: String!) { expertReview(id: $id) { lifecycle { state } }"
        " dagApproval(hash: $dag) { approved daysLeft } }",
        id=f"ExpertReview:{review}", dag=dag,
    )  # fmt: skip
    assert data["expertReview"]["lifecycle"]["state"] == ("APPROVED" if days >= 0 else "EXPIRED")
    assert data["dagApproval"]["approved"] == (days >= 0)
    assert data["dagApproval"]["daysLeft"] == (days if days >= 0 else None)
    pending = await add(
        sql, "expert_reviews", approval_status="pending", valid_until=last, checklist_json={"a": True},
        review_type="dag_approval", dag_version_hash=f"{dag} pending",
    )  # fmt: skip
    result = await change(client, "approveReview", id=f"ExpertReview:{pending}", dryRun=True)
    assert [one["code"] for one in result.get("blockers") or []] == ([] if days >= 0 else ["VALIDITY_ENDED"])


@pytest.mark.parametrize("days", [-1, 0, 1])
async def test_the_first_day_of_an_approval_is_one_of_its_days(
    client: Client, sql: asyncpg.Connection, days: int
) -> None:
    dag = f"first {days} {client.compiles}"
    await add(
        sql, "expert_reviews", dag_version_hash=dag, approval_status="approved", valid_from=TODAY + days * DAY,
        review_type="dag_approval",
    )  # fmt: skip
    data = await client.data("query($dag: String!) { dagApproval(hash: $dag) { approved } }", dag=dag)
    assert data["dagApproval"]["approved"] == (days <= 0)


@pytest.mark.parametrize(("first", "last", "lifts"), [(0, 0, True), (1, 1, False), (-1, -1, False), (0, None, True)])
async def test_an_approval_supersedes_on_its_days_alone(
    client: Client, sql: asyncpg.Connection, first: int, last: int | None, *, lifts: bool
) -> None:
    """A rejection that a newer approval names, and which is written after it: the approval counts while it is valid."""
    dag = f"newer {first} {last} {client.compiles}"
    rejection = await add(
        sql, "expert_reviews", dag_version_hash=dag, approval_status="rejected", review_type="dag_approval",
        created_at=NOW,
    )  # fmt: skip
    await add(
        sql, "expert_reviews", dag_version_hash=dag, approval_status="approved", review_type="dag_approval",
        valid_from=TODAY + first * DAY, valid_until=None if last is None else TODAY + last * DAY,
        supersedes_review_id=rejection, created_at=NOW - DAY,
    )  # fmt: skip
    data = await client.data("query($dag: String!) { dagApproval(hash: $dag) { approved } }", dag=dag)
    assert data["dagApproval"]["approved"] == lifts


# -- thresholds --------------------------------------------------------------------------------------------------------

PRIORITIES = [
    ("1", "1", "HIGH"), ("0.9999", "1", "CRITICAL"),
    ("1", "2", "MEDIUM"), ("0.9999", "2", "HIGH"),
    ("1", "3", "LOW"), ("0.9999", "3", "MEDIUM"),
    ("1", "4", "NONE"), ("0.9999", "4", "LOW"),
    (None, "4", None), ("1", None, None),
]  # fmt: skip
"""The aggregates by RAGAS and by rubric, of which 0.4, 0.55, 0.7 and 0.85 are made exactly."""


async def test_priorities_of_evaluations(client: Client, sql: asyncpg.Connection) -> None:
    expected = {}
    for ragas, rubric, priority in PRIORITIES:
        key = await add(sql, "evaluation_results", ragas_aggregate=ragas, rubric_aggregate=rubric)
        expected[str(key)] = priority
    data = await client.data(
        "query($ids: [UUID!]) { evaluations(where: {evaluationId: {in: $ids}}) { nodes { evaluationId"
        " improvementPriority } } }", ids=list(expected),
    )  # fmt: skip
    found = {node["evaluationId"]: node["improvementPriority"] for node in data["evaluations"]["nodes"]}
    assert found == expected


async def test_service_levels_of_executions(client: Client, sql: asyncpg.Connection) -> None:
    cases = [(100, 120, True), (100, 121, False), (100, 119, True), (0, 0, True), (0, 1, False), (5, 6, True)]
    for patients, taken, met in cases:
        key = await add(
            sql, "ml_cohort_executions", input_row_count=patients, execution_time_ms=taken, status="success"
        )
        data = await client.data(
            "query($id: ID!) { cohortExecution(id: $id) { sla { met targetMs } } }", id=f"CohortExecution:{key}"
        )
        assert data["cohortExecution"]["sla"] == {"met": met, "targetMs": patients * 1.2}


async def test_a_fifth_of_the_enrolled_is_too_many_to_lose(client: Client, sql: asyncpg.Connection) -> None:
    for lost, of, status in [
        (0, 0, "NOT_STARTED"),
        (1, 6, "HEALTHY"),
        (1, 5, "WARNING"),
        (2, 11, "HEALTHY"),
        (2, 10, "WARNING"),
    ]:
        experiment = await add(sql, "ml_experiments")
        for place in range(of):
            assignment = await add(
                sql, "ab_experiment_assignments", experiment_id=experiment, unit_id=str(place), variant="control"
            )
            ended = {0: "withdrawn", 1: "lost_to_followup"}.get(place) if place < lost else None
            await add(
                sql, "ab_experiment_enrollments", assignment_id=assignment, enrollment_status=ended or "active",
                withdrawal_timestamp=NOW,
            )  # fmt: skip
        data = await client.data(
            "query($id: ID!) { experiment(id: $id) { health { status attritionRate } } }", id=f"Experiment:{experiment}"
        )
        assert data["experiment"]["health"] == {"status": status, "attritionRate": lost / of if of else None}


# -- guards and what changes measure -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "requests", "more", "enough"),
    [
        (NOW - 24 * HOUR, NOW, 1000, {}, True),
        (NOW - 24 * HOUR + STEP, NOW, 1000, {}, False),
        (NOW - 30 * DAY + STEP, NOW - 29 * DAY + STEP, 1000, {}, True),
        (NOW - 30 * DAY, NOW - 29 * DAY, 1000, {}, False),
        (NOW - 24 * HOUR, NOW, 999, {}, False),
        (NOW - 24 * HOUR, NOW, 1000, {"error_rate": 1.0, "p99_latency_ms": 150.0}, True),
        (NOW - 24 * HOUR, NOW, 1000, {"error_rate": math.nextafter(1.0, 2)}, False),
        (NOW - 24 * HOUR, NOW, 1000, {"p99_latency_ms": math.nextafter(150.0, 200)}, False),
        (NOW - 24 * HOUR, NOW, 1000, {"error_rate": 0.0, "p99_latency_ms": 0.0}, True),
    ],
)  # fmt: skip
async def test_a_shadow_test_is_just_enough(
    client: Client, sql: asyncpg.Connection, first: datetime, last: datetime, requests: int, more: dict[str, Any],
    *, enough: bool,
) -> None:  # fmt: skip
    model = await model_in(sql, "shadow")
    service = await add(
        sql, "ml_bentoml_services", deployment_id=uuid_of(await deployed(sql, model, environment="staging"))
    )
    for moment, part in ((first, 1), (last, requests - 1)):
        await add(
            sql, "ml_bentoml_serving_metrics", service_id=service, recorded_at=moment, requests_total=part,
            **{"error_rate": 0.5, "p99_latency_ms": 100.0} | more,
        )  # fmt: skip
    result = await change(client, "promoteModel", id=model, to="PRODUCTION", dryRun=True)
    assert [one["code"] for one in result["blockers"]] == ([] if enough else ["NO_SHADOW_EVIDENCE"])


@pytest.mark.parametrize(("auc", "reached"), [("0.7", True), ("0.6999", False), ("0.7001", True), (None, False)])
async def test_the_minimum_is_reached_by_itself(
    client: Client, sql: asyncpg.Connection, auc: str | None, *, reached: bool
) -> None:
    model = await model_in(sql, "shadow", auc=auc and float(auc))
    result = await change(client, "promoteModel", id=model, to="PRODUCTION", dryRun=True)
    assert ("AUC_BELOW_MINIMUM" not in [one["code"] for one in result["blockers"]]) == reached


@pytest.mark.parametrize("minutes", [None, 1, 60 * 24 * 30])
async def test_health_is_measured_within_the_window(
    client: Client, sql: asyncpg.Connection, minutes: int | None
) -> None:
    start = NOW - timedelta(minutes=minutes or 60)
    for moment in around(start):
        service = await add(sql, "ml_bentoml_services", health_status="healthy")
        await add(
            sql, "ml_bentoml_serving_metrics", service_id=service, recorded_at=moment, requests_total=10,
            error_rate=100.0, p99_latency_ms=1.0,
        )  # fmt: skip
        window = {} if minutes is None else {"windowMinutes": minutes}
        await change(client, "reportHealth", id=f"BentoService:{service}", **window)
        found = await sql.fetchval("SELECT health_status FROM ml_bentoml_services WHERE id = $1", service)
        assert found == ("unhealthy" if moment > start else "unknown")


@pytest.mark.parametrize(("minutes", "said"), [(0, True), (1, False), (60 * 24 * 30, False), (60 * 24 * 30 + 1, True)])
async def test_the_window_has_bounds(client: Client, sql: asyncpg.Connection, minutes: int, *, said: bool) -> None:
    service = await add(sql, "ml_bentoml_services")
    result = await change(client, "reportHealth", id=f"BentoService:{service}", windowMinutes=minutes, dryRun=True)
    assert (result["__typename"] == "InvalidInput") == said


RESULT = {"simulatedAte": 0.1, "simulatedCiLower": 0.1, "simulatedCiUpper": 0.1, "recommendation": "DEPLOY"}
HIGHER, LOWER = math.nextafter(0.1, 1), math.nextafter(0.1, 0)


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({}, None),
        ({"simulatedCiLower": HIGHER, "simulatedCiUpper": 1.0}, "simulatedCiLower"),
        ({"simulatedCiUpper": LOWER, "simulatedCiLower": 0.0}, "simulatedCiUpper"),
        ({"simulationConfidence": 0.0}, None),
        ({"simulationConfidence": 1.0}, None),
        ({"simulationConfidence": math.nextafter(1.0, 2)}, "simulationConfidence"),
        ({"simulationConfidence": -5e-324}, "simulationConfidence"),
        ({"recommendedSampleSize": 1}, None),
        ({"recommendedSampleSize": 0}, "recommendedSampleSize"),
    ],
)
async def test_a_result_lies_within_its_interval_ends_included(
    client: Client, sql: asyncpg.Connection, more: dict[str, Any], wrong: str | None
) -> None:
    key = await add(sql, "twin_simulations", simulation_status="running")
    result = await change(client, "completeSimulation", id=f"TwinSimulation:{key}", **RESULT | more, dryRun=True)
    assert result.get("field") == wrong
    assert result["__typename"] == ("InvalidInput" if wrong else "TransitionPreview")
    assert not result.get("blockers")


async def test_an_outcome_is_recorded_with_all_that_is_known_of_it(client: Client, sql: asyncpg.Connection) -> None:
    experiment = await add(sql, "ml_experiments")
    key = await add(
        sql, "twin_simulations", simulation_status="completed", simulated_ate=0.1, simulated_ci_lower=0.05,
        simulated_ci_upper=0.2,
    )  # fmt: skip
    effect = {"actualAte": 0.2, "actualCiLower": 0.2, "actualCiUpper": 0.2, "actualSampleSize": 1}
    outcome = {**effect, "actualExperimentId": f"Experiment:{experiment}", "validationNotes": "as it was"}
    for ask, wrong in [({"actualSampleSize": 0}, "actualSampleSize"), ({"actualCiLower": 0.21}, "actualCiLower")]:
        refused = await change(client, "recordActualEffect", id=f"TwinSimulation:{key}", **outcome | ask)
        assert refused["field"] == wrong
    await change(client, "recordActualEffect", id=f"TwinSimulation:{key}", **outcome)
    data = await client.data(
        "query($id: UUID!) { twinFidelities(where: {simulationId: {eq: $id}}) { nodes { actualAte actualCiLower"
        " actualCiUpper actualSampleSize actualExperimentId validationNotes ciCoverage } } }", id=str(key),
    )  # fmt: skip
    (found,) = data["twinFidelities"]["nodes"]
    assert found == {**outcome, "actualExperimentId": str(experiment), "ciCoverage": True}  # the interval is closed


# -- what needs two things ---------------------------------------------------------------------------------------------


async def test_a_retraining_makes_the_version_of_its_own_model(client: Client, sql: asyncpg.Connection) -> None:
    name = f"retrained {client.compiles}"
    models = {
        key: await add(sql, "ml_model_registry", model_name=key[0], model_version=key[1])
        for key in [(name, "1"), (name, "2"), (f"not {name}", "2"), (f"not {name}", "1")]
    }
    found = []
    for version in ("2", "3"):
        retraining = await add(
            sql, "ml_retraining_history", model_id=models[name, "1"], new_model_version=version, alert_id=None
        )
        query = f'{{ retraining(id: "Retraining:{retraining}") {{ newModel {{ id }} }} }}'
        found.append((await client.data(query))["retraining"]["newModel"])
    assert found == [{"id": f"Model:{models[name, '2']}"}, None]


@pytest.mark.migrated("it allows one instruction out of use")
async def test_an_instruction_out_of_use_is_so_beside_another(client: Client, sql: asyncpg.Connection) -> None:
    """Nothing here forbids that two are inactive, so that no null has to stand for it."""
    where = {"agent_name": "causal_impact", "predictor_name": f"beside {client.compiles}"}
    await add(sql, "optimized_instructions", **where, is_active=False)
    key = await add(sql, "optimized_instructions", **where, is_active=True)
    await change(client, "deactivateOptimizedInstruction", id=f"OptimizedInstruction:{key}", reason="done")
    is_active = await sql.fetchval("SELECT is_active FROM optimized_instructions WHERE instruction_id = $1", key)
    assert is_active is False
