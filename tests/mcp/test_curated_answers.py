"""Curated answers over the demo data: what they say and the ids they give, checked by SQL."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from graphql import FieldNode, OperationDefinitionNode, SelectionSetNode, parse, print_ast

from db.models.g01_mlops_lifecycles import rollback_chain
from gateway.mcp.questions import Curated, QuestionOperation, curated
from tests.support.agents import Agent, tokens
from tests.support.client import Client
from tests.support.databases import DEMO_NOW, Database, connect

ACTIVE = "('active', 'acknowledged', 'investigating')"


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
    assert size <= 4_000
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
    for one in page["nodes"]:  # the reason of the verdict is among what is shown
        assert one["model"]["alerts"]["totalCount"] == one["activeAlerts"]
        shown = [alert["severity"] for alert in one["model"]["alerts"]["nodes"]]
        assert ("CRITICAL" in shown) is (one["criticalAlerts"] > 0)
    unwatched = envelope["data"]["unwatched"]
    assert unwatched["totalCount"] == await sql.fetchval(
        "SELECT count(*) FROM ml_model_health_dashboard WHERE model_stage = 'production' AND health_status = 'unknown'"
    )
    alerts = keys(envelope, "MonitoringAlert")
    states = f"SELECT count(*) FROM ml_monitoring_alerts WHERE id::text = ANY($1) AND status::text IN {ACTIVE}"
    assert await sql.fetchval(states, alerts) == len(alerts) > 0


async def test_rollback_candidates(demo: Client, sql: asyncpg.Connection) -> None:
    """Where each goes back to is what `rollbackDeployment` itself would take."""
    envelope = await answered(demo, "rollback_candidates")
    where = "environment = 'production' AND status = 'active' AND previous_deployment_id IS NOT NULL"
    wanted = {}
    for row in await sql.fetch(f"SELECT id::text FROM ml_deployments WHERE {where}"):
        chain = await sql.fetch(rollback_chain("$1::text::uuid"), row["id"])
        wanted[row["id"]] = next((id_ for id_, _, healthy in chain if healthy), None)
    page, refused = envelope["data"]["deployments"], envelope["data"]["refused"]
    assert page["totalCount"] == sum(target is not None for target in wanted.values()) > 0
    assert refused["totalCount"] == sum(target is None for target in wanted.values()) > 0
    for one in page["nodes"]:
        assert one["rollsBackTo"]["id"] == f"Deployment:{wanted[one['id'].removeprefix('Deployment:')]}"
    assert all(wanted[one["id"].removeprefix("Deployment:")] is None for one in refused["nodes"])
    assert envelope["complete"] is True
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
    assert await sql.fetchval(counted, champions) == len(set(champions)) > 0
    of_brand = "JOIN ml_experiments AS e ON e.id = {} WHERE e.brand::text ILIKE 'kisqali'"
    for name, table, column in (
        ("results", "ab_experiment_results", "t.experiment_id"),
        ("twins", "twin_simulations", "t.experiment_design_id"),
    ):
        count = f"SELECT count(*) FROM {table} AS t {of_brand.format(column)}"
        assert envelope["data"][name]["totalCount"] == await sql.fetchval(count), name
    risky = await sql.fetch(
        "SELECT 'Model:' || h.model_id::text AS id, health_status FROM ml_model_health_dashboard AS h "
        "JOIN ml_model_registry AS m ON m.id = h.model_id JOIN ml_experiments AS e ON e.id = m.experiment_id "
        "WHERE m.is_champion AND health_status IN ('critical', 'warning') AND e.brand::text ILIKE 'kisqali'"
    )
    at_risk = envelope["data"]["atRisk"]  # which comes first, so that no budget hides it
    assert at_risk["totalCount"] == len(risky) > 0
    assert {one["model"]["id"]: one["healthStatus"] for one in at_risk["nodes"]} == {
        row["id"]: row["health_status"] for row in risky
    }
    assert envelope["complete"] is True
    drifts = {one["champion"]["id"]: one["champion"]["health"]["maxDriftSeverity"] for one in page["nodes"]}
    worst = (
        "SELECT upper(max_drift_severity::text) FROM ml_model_health_dashboard WHERE 'Model:' || model_id::text = $1"
    )
    assert {id_: await sql.fetchval(worst, id_) for id_ in drifts} == drifts


async def test_drifted_features(demo: Client, sql: asyncpg.Connection) -> None:
    envelope = await answered(demo, "drifted_features")
    rows = await sql.fetch(
        "SELECT l.feature_name, m.stage::text FROM ml_drift_status_latest AS l "
        "JOIN ml_model_registry AS m ON m.id = l.model_id WHERE l.drift_detected"
    )
    page, others, whole = (envelope["data"][name] for name in ("driftStatuses", "notInProduction", "withoutFeature"))
    serving = [row["feature_name"] for row in rows if row["feature_name"] and row["stage"] == "production"]
    assert sorted(one["featureName"] for one in page["nodes"]) == sorted(serving)
    named = sum(row["feature_name"] is not None for row in rows)
    assert (page["totalCount"], others["totalCount"]) == (len(serving), named - len(serving))
    assert whole["totalCount"] == len(rows) - named > 0
    assert all(one["model"]["stage"] != "PRODUCTION" for one in others["nodes"])
    assert envelope["complete"] is (whole["totalCount"] <= 2)


async def test_active_prompt(demo: Client, sql: asyncpg.Connection) -> None:
    row = await sql.fetchrow(
        "SELECT agent_name::text AS agent, array_agg(instruction_id::text) AS ids FROM optimized_instructions "
        "WHERE is_active GROUP BY 1 ORDER BY 1 LIMIT 1"
    )
    envelope = await answered(demo, "active_prompt", agent=row["agent"])
    assert sorted(keys(envelope, "OptimizedInstruction")) == sorted(row["ids"])


async def test_stale_features(demo: Client, sql: asyncpg.Connection) -> None:
    envelope = await answered(demo, "stale_features")
    rows = await sql.fetch(
        "SELECT v.name, v.features, f.freshness_status FROM ml_feast_feature_views AS v LEFT JOIN LATERAL "
        "(SELECT freshness_status FROM ml_feast_feature_freshness WHERE feature_view_id = v.id "
        "ORDER BY recorded_at DESC LIMIT 1) AS f ON true WHERE v.deleted_at IS NULL"
    )
    page = envelope["data"]["featureViews"]
    wanted = {row["name"]: row for row in rows if row["freshness_status"] in {"stale", "critical"}}
    assert page["totalCount"] == len(page["nodes"]) == len(wanted) > 0
    for one in page["nodes"]:
        assert one["latestFreshness"]["freshnessStatus"] == wanted[one["name"]]["freshness_status"]
        assert one["features"] == json.loads(wanted[one["name"]]["features"])
        assert one["latestFreshness"]["stalenessSeconds"] > one["latestFreshness"]["stalenessThresholdSeconds"]
    assert envelope["data"]["neverMeasured"]["totalCount"] == sum(row["freshness_status"] is None for row in rows)


@pytest.mark.parametrize("hours", [24, 720])
async def test_slowest_agents(demo: Client, sql: asyncpg.Connection, hours: int) -> None:
    args = {"until": DEMO_NOW.isoformat(), **({"windowHours": hours} if hours != 24 else {})}
    envelope = await answered(demo, "slowest_agents", **args)
    rows = await sql.fetch(
        "SELECT agent_name::text AS agent, avg(duration_ms)::float8 AS mean, count(*) AS spans "
        "FROM ml_observability_spans WHERE started_at >= $1::timestamptz - make_interval(hours => $2) "
        "AND started_at < $1 GROUP BY 1 ORDER BY 2 DESC",
        DEMO_NOW,
        hours,
    )
    page = envelope["data"]["agentLatency"]
    assert page["totalCount"] == len(rows) > 5 == len(page["nodes"])
    for one, row in zip(page["nodes"], rows, strict=False):
        assert (one["agentName"], one["totalSpans"]) == (row["agent"], row["spans"])
        assert one["avgDurationMs"] == pytest.approx(row["mean"])
    assert any("24 hours unless windowHours" in one for one in envelope["warnings"])
    assert envelope["units"]["AgentLatency.avgDurationMs"] == "ms"


async def test_arm_sizes(demo: Client, sql: asyncpg.Connection) -> None:
    envelope = await answered(demo, "arm_sizes")
    rows = await sql.fetch("SELECT id::text FROM ab_srm_checks WHERE is_srm_detected ORDER BY checked_at DESC, id DESC")
    page = envelope["data"]["srmChecks"]
    assert [one["id"] for one in page["nodes"]] == [f"SrmCheck:{row['id']}" for row in rows]
    assert page["totalCount"] == len(rows) > 0
    newest = (
        "SELECT DISTINCT ON (experiment_id) 'SrmCheck:' || id::text AS id, is_srm_detected FROM ab_srm_checks "
        "WHERE experiment_id::text = $1 ORDER BY experiment_id, checked_at DESC, id DESC"
    )
    for one in page["nodes"]:
        latest = await sql.fetchrow(newest, one["experiment"]["id"].removeprefix("Experiment:"))
        assert one["experiment"]["latestSrmCheck"] == {"id": latest["id"], "isSrmDetected": latest["is_srm_detected"]}


async def test_cohort_funnel(demo: Client, sql: asyncpg.Connection) -> None:
    """Of every cohort, by its name."""
    cohorts = await sql.fetch("SELECT DISTINCT cohort_id FROM ml_cohort_executions WHERE status = 'success'")
    for row in cohorts:
        envelope = await answered(demo, "cohort_funnel", cohort=row["cohort_id"].replace("-", " "))
        data = envelope["data"]
        newest = await sql.fetchval(
            "SELECT execution_id FROM ml_cohort_executions WHERE cohort_id = $1 AND status = 'success' "
            "ORDER BY execution_timestamp DESC, execution_id DESC LIMIT 1",
            row["cohort_id"],
        )
        assert data["cohortDefinition"]["id"] == f"CohortDefinition:{row['cohort_id']}"
        assert data["cohortExecution"]["id"] == f"CohortExecution:{newest}"
        steps = await sql.fetch(
            "SELECT removed_count FROM ml_cohort_eligibility_log WHERE execution_id = $1 ORDER BY criterion_order",
            newest,
        )
        shown = data["cohortExecution"]["funnel"]["nodes"]
        assert [one["removedCount"] for one in shown] == [step["removed_count"] for step in steps]
        assert any("newest that succeeded" in one for one in envelope["warnings"])
    assert cohorts


async def test_best_trial(demo: Client, sql: asyncpg.Connection) -> None:
    envelope = await answered(demo, "best_trial", study="C3G")
    trial = await sql.fetchrow(
        "SELECT t.id::text, t.value FROM ml_hpo_trials AS t JOIN ml_hpo_studies AS s ON s.id = t.study_id "
        "WHERE s.study_name = 'fabhalta-c3g-xgb' AND t.trial_number = s.best_trial_number"
    )
    best = envelope["data"]["hpoStudy"]["bestTrial"]
    assert best["id"] == f"HpoTrial:{trial['id']}"
    assert best["value"] == pytest.approx(float(trial["value"]))


async def test_roi_in_force(demo: Client, sql: asyncpg.Connection) -> None:
    in_force = "FROM roi_calculations WHERE is_active AND superseded_by IS NULL"
    envelope = await answered(demo, "roi_in_force")
    page = envelope["data"]["roiCalculations"]
    assert page["totalCount"] == await sql.fetchval(f"SELECT count(*) {in_force}") > 0
    assert envelope["units"]["RoiCalculation.attributedValue"] == "USD"
    one = await answered(demo, "roi_in_force", initiative="rep visit targeting")
    wanted = await sql.fetch(
        f"SELECT calculation_id::text, risk_adjusted_roi {in_force} AND initiative_name = 'Kisqali rep visit targeting'"
    )
    [row], [node] = wanted, one["data"]["roiCalculations"]["nodes"]
    assert node["id"] == f"RoiCalculation:{row['calculation_id']}"
    assert node["riskAdjustedRoi"] == pytest.approx(float(row["risk_adjusted_roi"]))
    of_brand = await answered(demo, "roi_in_force", brand="Kisqali")
    assert of_brand["data"]["roiCalculations"]["totalCount"] == await sql.fetchval(
        f"SELECT count(*) {in_force} AND brand::text ILIKE 'kisqali'"
    )


async def test_failed_retrainings(demo: Client, sql: asyncpg.Connection) -> None:
    envelope = await answered(demo, "failed_retrainings")
    counts = {
        row["status"]: row["count"]
        for row in await sql.fetch("SELECT status::text, count(*) FROM ml_retraining_history GROUP BY 1")
    }
    shown = envelope["data"]["byStatus"]["aggregate"]
    assert {one["group"]["status"]: one["count"] for one in shown} == counts
    page = envelope["data"]["retrainings"]
    assert page["totalCount"] == sum(counts.get(one, 0) for one in ("failed", "rejected", "rolled_back"))
    assert counts


def test_every_question_has_a_test() -> None:
    assert {f"test_{name}" for name in curated()} <= set(globals())


@pytest.mark.parametrize(
    ("question", "args", "said"),
    [
        ("models_at_risk", {"limit": 3}, "no 'limit'"),
        ("trace_service", {}, "args.service is missing"),
        ("explain_gate", {"estimate": "nonsense"}, "no Estimate has such a name"),
        ("explain_gate", {"estimate": "nrx"}, "rows: Estimate:"),
        ("brief", {"brand": "Zolgensma"}, "KISQALI"),
        ("active_prompt", {"agent": "nobody of this name"}, "causal_impact"),
        ("trace_service", {"service": "kisqali"}, "ACTIVE"),
        ("trace_service", {"service": "BentoService of nothing"}, "no BentoService has such a name"),
        ("tool_chain", {"tools": ["nothing"]}, "nothing"),
        ("tool_chain", {"tools": ["psm matcher"] * 200}, "200 tools are too many"),
        ("tool_chain", {"tools": [["a"], 5]}, "not a text"),
        ("brief", {"brand": 5}, "Brand"),
        ("trace_service", {"service": "Model:00000000-0000-4000-8000-000000000000"}, "BentoService"),
        ("models_at_risks", {}, "models_at_risk"),
        ("cohort_funnel", {}, "args.cohort is missing"),
        ("best_trial", {"study": "nothing of this name"}, "no HpoStudy has such a name"),
        ("roi_in_force", {"initiative": "moon base"}, "Kisqali rep visit targeting"),
        ("slowest_agents", {"windowHours": 0}, "windowHours"),
        ("slowest_agents", {"windowHours": "a day"}, "windowHours"),
    ],
)
async def test_wrong_arguments_say_what_is_taken(demo: Client, question: str, args: Any, said: str) -> None:
    assert said in json.dumps(await Agent(demo).fails("answer", question=question, args=args))


@pytest.mark.parametrize(
    ("question", "args", "exact"),
    [
        ("tool_chain", {"tools": ["Causal effect estimator", "counterfactual-simulator"]},
         {"tools": ["causal_effect_estimator", "counterfactual_simulator"]}),
        ("brief", {"brand": "Kisqali"}, {"brand": "KISQALI"}),
        ("active_prompt", {"agent": "Causal Impact"}, {"agent": "causal_impact"}),
    ],
)  # fmt: skip
async def test_words_are_taken_in_any_spelling(
    demo: Client, question: str, args: dict[str, Any], exact: dict[str, Any]
) -> None:
    agent = Agent(demo)
    found = await agent.call("answer", question=question.replace("_", " ").title(), args=args)
    assert found["data"] == (await agent.call("answer", question=question, args=exact))["data"]


async def test_a_name_is_the_row_in_use_and_says_so(demo: Client, sql: asyncpg.Connection) -> None:
    envelope = await Agent(demo).call("answer", question="trace_service", args={"service": "nrx propensity"})
    rows = await sql.fetch(
        "SELECT id::text, status::text FROM ml_bentoml_services "
        "WHERE service_name = 'kisqali-nrx-propensity-model-service'"
    )
    [used] = [row["id"] for row in rows if row["status"] == "active"]
    assert envelope["data"]["bentoService"]["id"] == f"BentoService:{used}"
    assert all(row["id"] in envelope["warnings"][0] for row in rows)


async def test_a_name_of_several_rows_lists_them(demo: Client) -> None:
    failure = await Agent(demo).fails("answer", question="trace_service", args={"service": "kisqali"})
    assert len(re.findall(r"BentoService:[\w-]{36} \([A-Z_]+ \d{4}-\d\d-\d\d\)", json.dumps(failure))) == 3


async def test_a_model_alone_is_compared_with_what_it_replaced(demo: Client) -> None:
    agent = Agent(demo)
    alone = await agent.call("answer", question="compare_models", args={"model": "NRx propensity"})
    data = alone["data"]
    assert (data["model"]["stage"], data["other"]["stage"]) == ("PRODUCTION", "DEPRECATED")
    assert data["model"]["modelName"] == data["other"]["modelName"]
    assert any(data["other"]["id"] in one and "before it" in one for one in alone["warnings"])
    row = data["model"]["compare"]["nodes"][0]
    assert row["otherMinusThis"] == pytest.approx(row["otherValue"] - row["value"])


async def test_without_an_estimate_the_gate_tells_what_it_blocks(demo: Client, sql: asyncpg.Connection) -> None:
    envelope = await Agent(demo).call("answer", question="explain_gate")
    found = envelope["data"]["estimates"]["nodes"]
    assert all(one["treatmentVariable"] and one["outcomeVariable"] for one in found)
    assert {one["gate"] for one in found} == {"BLOCK"}
    assert "No estimate was named" in envelope["warnings"][0]
    listed = (await demo.data("{ estimates(where: { gate: { eq: BLOCK } }) { nodes { id } } }"))["estimates"]["nodes"]
    assert [one["id"] for one in listed] == [one["id"] for one in found]


async def test_an_estimate_is_named_by_its_variables(demo: Client) -> None:
    """No search finds it: it is no row of a table."""
    agent = Agent(demo)
    blocked = (await agent.call("answer", question="explain_gate"))["data"]["estimates"]["nodes"][0]
    name = f"{blocked['treatmentVariable'].replace('_', ' ').upper()} {blocked['outcomeVariable']}"
    named = await agent.call("answer", question="explain_gate", args={"estimate": name})
    assert named["data"]["estimate"]["id"] == blocked["id"]


async def test_answers_are_read_on(demo: Client) -> None:
    """The list of the question and those within rows, by the same call."""
    agent = Agent(demo)
    ids, after = [], {}
    for _ in range(8):
        envelope = await agent.call("answer", question="rollback_candidates", first=2, maxBytes=3000, **after)
        ids += [one["id"] for one in envelope["data"]["deployments"]["nodes"]]
        [more] = [one for one in envelope["more"] if one["path"] == "deployments"] or [None]
        if more is None:
            break
        after = {"after": more["after"]}
    assert len(ids) == len(set(ids)) == envelope["data"]["deployments"]["totalCount"]

    envelope = await agent.call("answer", question="models_at_risk")
    [more] = [one for one in envelope["more"] if one["path"].endswith("alerts")]
    row = envelope["data"]["modelHealths"]["nodes"][int(re.search(r"\d+", more["path"])[0])]  # type: ignore[index]
    follows = await agent.call("answer", question="models_at_risk", after=more["after"])
    assert follows["data"]["node"]["id"] == row["model"]["id"]
    rest = follows["data"]["node"]["alerts"]["nodes"]
    both = [one["id"] for one in (*row["model"]["alerts"]["nodes"], *rest)]
    assert len(both) == len(set(both)) == row["activeAlerts"] == more["of"]


async def test_an_answer_without_a_list_takes_no_cursor(demo: Client) -> None:
    said = await Agent(demo).fails(
        "answer", question="tool_chain", args={"tools": ["causal_effect_estimator"]}, after="x"
    )
    assert "no list" in json.dumps(said)


def rows_of(selected: SelectionSetNode) -> SelectionSetNode | None:
    """What is selected of the rows of a list; None of what is no list."""
    fields = (one for one in selected.selections if isinstance(one, FieldNode))
    return next((one.selection_set for one in fields if one.name.value == "nodes"), None)


def names_of(selected: SelectionSetNode) -> set[str]:
    return {one.name.value for one in selected.selections if isinstance(one, FieldNode)}


OPERATIONS = [(question, one) for question in curated().values() for one in question.operations]


@pytest.mark.parametrize(("question", "asked"), OPERATIONS, ids=lambda one: one.name)
def test_every_list_can_be_read_on(question: Curated, asked: QuestionOperation) -> None:
    """Whatever is cut is counted, and stands where `rest_of` finds it: in the operation, or in a row with an id."""
    (operation,) = parse(asked.document).definitions
    assert isinstance(operation, OperationDefinitionNode)
    assert "id" not in asked.variables
    assert len(re.findall(r"after: \$after", asked.document)) == asked.pages

    def look(selected: SelectionSetNode, row: SelectionSetNode | None) -> None:
        for field in selected.selections:
            assert isinstance(field, FieldNode), "no fragments"
            below = field.selection_set
            if below is None:
                continue
            nodes = rows_of(below)
            if nodes is None:
                look(below, below)
                continue
            arguments = {one.name.value: print_ast(one.value) for one in field.arguments}
            key = (field.alias or field.name).value
            if key in question.single:
                assert arguments["first"] == "1"
                assert "nodes" not in print_ast(nodes)
                continue
            assert "first" in arguments, key
            assert "totalCount" in names_of(below), key
            assert row is None or arguments.get("after") or "id" in names_of(row), key
            look(nodes, nodes)

    look(operation.selection_set, None)


NEEDED = {
    "active_prompt": {"agent": "causal_impact"},
    "best_trial": {"study": "C3G"},
    "brief": {"brand": "KISQALI"},
    "cohort_funnel": {"cohort": "csu-refractory"},
    "compare_models": {"model": "NRx propensity"},
    "slowest_agents": {"until": DEMO_NOW.isoformat()},
    "tool_chain": {"tools": ["causal_effect_estimator", "counterfactual_simulator"]},
    "trace_service": {"service": "nrx propensity"},
}
"""Arguments of the questions that need some."""


def pages(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All lists of an answer with their paths."""
    if isinstance(value, dict):
        if isinstance(value.get("nodes"), list) and "totalCount" in value:
            yield path, value
        for key, one in value.items():
            yield from pages(one, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from pages(one, f"{path}[{place}]")


async def whole(agent: Agent, question: str, args: dict[str, Any], page: dict[str, Any], after: str) -> list[Any]:
    """The rows of a list with those that are read on from a cursor, as many calls as that takes."""
    rows = list(page["nodes"])
    for _ in range(60):
        envelope = await agent.call("answer", question=question, args=args, after=after, first=2, maxBytes=2_500)
        path, found = next(pages(envelope["data"]))
        rows += found["nodes"]
        [more] = [one for one in envelope["more"] if one["path"] == path] or [None]
        if more is None:
            return rows
        assert envelope["complete"] is False
        after = more["after"]
    raise AssertionError(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(curated()))
async def test_no_answer_is_cut_unsaid(demo: Client, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With lists of one row each: every list that has more says so, and is read on to its whole, nothing twice."""
    question = curated()[name]
    short = [replace(one, document=re.sub(r"first: \d+", "first: 1", one.document)) for one in question.operations]
    monkeypatch.setitem(curated(), name, replace(question, operations=tuple(short)))
    agent, args = Agent(demo), NEEDED.get(name, {})
    ways = [(args, {} if name in {"best_trial", "tool_chain", "trace_service"} else {"first": 1})]
    if name == "explain_gate":
        blocked = (await agent.call("answer", question=name))["data"]["estimates"]["nodes"][0]["id"]
        ways.append(({"estimate": blocked}, {}))
    for given, limits in ways:
        envelope = await agent.call("answer", question=name, args=given, **limits)
        told = {one["path"]: one for one in envelope["more"]}
        cut = {path: page for path, page in pages(envelope["data"]) if len(page["nodes"]) < page["totalCount"]}
        assert cut.keys() == told.keys()
        assert envelope["complete"] is not bool(cut)
        for path, page in cut.items():
            assert (told[path]["shown"], told[path]["of"]) == (len(page["nodes"]), page["totalCount"])
            rows = await whole(agent, name, given, page, told[path]["after"])
            keys = [json.dumps(row.get("id") or row, sort_keys=True) for row in rows]
            assert len(keys) == len(set(keys)) == page["totalCount"], path


async def test_a_brand_has_all_its_results_or_says_so(demo: Client, sql: asyncpg.Connection) -> None:
    agent = Agent(demo)
    envelope = await agent.call("answer", question="brief", args={"brand": "Kisqali"})
    for name, table, column in (
        ("results", "ab_experiment_results", "experiment_id"),
        ("twins", "twin_simulations", "experiment_design_id"),
    ):
        page = envelope["data"][name]
        rows = list(page["nodes"])
        for more in (one for one in envelope["more"] if one["path"] == name):
            rest = await agent.call("answer", question="brief", args={"brand": "Kisqali"}, after=more["after"])
            rows += rest["data"][name]["nodes"]
            assert rest["complete"] is True
        wanted = await sql.fetchval(
            f"SELECT count(*) FROM {table} AS t JOIN ml_experiments AS e ON e.id = t.{column} "
            "WHERE e.brand::text ILIKE 'kisqali'"
        )
        assert len({row["id"] for row in rows}) == len(rows) == page["totalCount"] == wanted


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ("unwatched~~", "after"),
        ("unwatched~~nonsense", "cursor"),
        ("nothing~~x", "no list of this question"),
        ("modelHealths.nodes~~x", "no list of this question"),
        ("modelHealths.model~~x", "no list of this question"),
        ("modelHealths.model.alerts~~x", "no list of this question"),
        ("modelHealths.model.alerts~Experiment:1~x", "no list of this question"),
        ("modelHealths.model.alerts~Model:x~x", "Model"),
        ("~~", "no list of this question"),
        ("unwatched~Model:x~x", "no list of this question"),
        ("nonsense", "cursor"),
    ],
)
async def test_a_wrong_cursor_says_what_to_pass(demo: Client, after: str, said: str) -> None:
    assert said in json.dumps(await Agent(demo).fails("answer", question="models_at_risk", after=after))


async def test_a_row_that_is_not_there_is_said(demo: Client) -> None:
    nobody = "BentoService:00000000-0000-4000-8000-000000000000"
    envelope = await Agent(demo).call("answer", question="trace_service", args={"service": nobody})
    assert envelope["data"] == {"bentoService": None}
    assert "no such row" in envelope["warnings"][0]
    args = {"cohort": "csu-refractory", "execution": "CohortExecution:nothing"}
    envelope = await Agent(demo).call("answer", question="cohort_funnel", args=args)
    assert envelope["data"]["cohortDefinition"]
    assert envelope["warnings"][0].startswith("cohortExecution: there is no such row")


async def test_long_answers_are_short(demo: Client) -> None:
    """Those that need no id; with ids they are shorter."""
    sizes = []
    for question in ("models_at_risk", "rollback_candidates", "twin_trust", "drifted_features"):
        envelope = await Agent(demo).call("answer", question=question)
        sizes.append(tokens(json.dumps(envelope, separators=(",", ":"), ensure_ascii=False)))
    assert max(sizes) <= 1_600
