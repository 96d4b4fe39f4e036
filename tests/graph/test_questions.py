"""The questions that are asked all day, as fields: each against Python's own answer from the same rows."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.graph.test_aggregates import percentile, rows
from tests.support.client import Client
from tests.support.databases import DEMO_NOW, Clone, Database, execute

UNTIL = DEMO_NOW.isoformat()
SEVERITIES = ("NONE", "LOW", "MEDIUM", "HIGH", "CRITICAL")


def ago(**duration: float) -> str:
    """A moment before the demo data's end, as the graph writes it."""
    return (DEMO_NOW - timedelta(**duration)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def test_agent_latency(demo: Client) -> None:
    spans = await rows(demo, "agentName durationMs startedAt status fallbackUsed totalTokens", "observabilitySpans")
    for hours in (24, 72):
        data = await demo.data(
            "query($h: Int!, $u: DateTime!) { agentLatency(windowHours: $h, until: $u) { nodes { agentName totalSpans "
            "avgDurationMs p50Ms p95Ms p99Ms errorRate fallbackRate totalTokensUsed } } }",
            h=hours,
            u=UNTIL,
        )
        by_agent = defaultdict(list)
        for span in spans:
            if ago(hours=hours) <= span["startedAt"] < ago():
                by_agent[span["agentName"]].append(span)
        found = {one["agentName"]: one for one in data["agentLatency"]["nodes"]}
        assert set(found) == set(by_agent)
        assert found
        for agent, its in by_agent.items():
            one, durations = found[agent], [span["durationMs"] for span in its if span["durationMs"] is not None]
            assert one["totalSpans"] == len(its)
            assert one["avgDurationMs"] == pytest.approx(statistics.fmean(durations))
            for name, share in (("p50Ms", 0.5), ("p95Ms", 0.95), ("p99Ms", 0.99)):
                assert one[name] == pytest.approx(percentile(durations, share))
            assert one["errorRate"] == pytest.approx(sum(span["status"] == "error" for span in its) / len(its))
            assert one["fallbackRate"] == pytest.approx(sum(bool(span["fallbackUsed"]) for span in its) / len(its))


async def test_drift_trend(demo: Client) -> None:
    records = await rows(demo, "modelId driftType createdAt driftDetected driftScore severity", "driftRecords")
    query = "query($d: Int!, $u: DateTime!) { driftTrend(days: $d, until: $u, first: 1000) { totalCount nodes { "
    query += "modelId driftType checkDate checkCount driftCount maxDriftScore maxSeverity } } }"
    for days in (7, 60):
        data = await demo.data(query, d=days, u=UNTIL)
        expected = defaultdict(list)
        for record in records:
            if record["modelId"] and ago(days=days) <= record["createdAt"] < ago():
                expected[record["modelId"], record["driftType"], record["createdAt"][:10]].append(record)
        found = {(one["modelId"], one["driftType"], one["checkDate"]): one for one in data["driftTrend"]["nodes"]}
        assert set(found) == set(expected)
        for key, its in expected.items():
            assert found[key]["checkCount"] == len(its)
            assert found[key]["driftCount"] == sum(bool(one["driftDetected"]) for one in its)
            worst = max(SEVERITIES.index(one["severity"]) for one in its)
            assert found[key]["maxSeverity"] == SEVERITIES[worst], "by severity, not by its letters"
    per_model = await demo.ask(
        "query($u: DateTime!) { models(first: 20) { nodes { rowId driftTrend(days: 60, until: $u, first: 1000) "
        "{ nodes { modelId } } } } }",
        u=UNTIL,
    )
    assert per_model["extensions"]["cost"]["statements"] == demo.statements(2)
    counts = Counter(model for model, _, _ in expected)
    for model in per_model["data"]["models"]["nodes"]:
        assert len(model["driftTrend"]["nodes"]) == counts[model["rowId"]]


async def test_two_models_side_by_side(demo: Client) -> None:
    data = await demo.data("{ models(first: 100, where: { performanceMetrics: { some: {} } }) { nodes { id rowId } } }")
    first, second, *_ = data["models"]["nodes"]
    metrics = await rows(
        demo, "id rowId modelId metricName dataSplit segment metricValue measuredAt", "performanceMetrics"
    )
    newest: dict[tuple[str, Any, Any, Any], dict[str, Any]] = {}
    for one in sorted(metrics, key=lambda one: (one["measuredAt"], one["rowId"])):
        newest[one["modelId"], one["metricName"], one["dataSplit"], one["segment"]] = one
    query = "query($id: ID!, $to: ID!) { model(id: $id) { compare(to: $to, first: 1000) { nodes { metricName dataSplit "
    query += "segment value otherValue difference relativeDifference otherIsBetter otherModel { id } } } } }"
    for to in (second["id"], second["rowId"]):
        data = await demo.data(query, id=first["id"], to=to)
        found = {
            (one["metricName"], one["dataSplit"], one["segment"]): one for one in data["model"]["compare"]["nodes"]
        }
        wanted = {key[1:] for key in newest if key[0] in {first["rowId"], second["rowId"]}}
        assert set(found) == wanted
        assert [one["metricName"] for one in data["model"]["compare"]["nodes"]] == sorted(key[0] for key in found)
        for key, one in found.items():
            own, other = newest.get((first["rowId"], *key)), newest.get((second["rowId"], *key))
            assert one["value"] == (own and own["metricValue"])
            assert one["otherValue"] == (other and other["metricValue"])
            assert one["otherModel"] == {"id": second["id"]}
            if own and other:
                difference = other["metricValue"] - own["metricValue"]
                assert one["difference"] == pytest.approx(difference)
                lower = key[0] in {"log_loss", "rmse", "mae", "brier_score"}
                assert one["otherIsBetter"] == (difference < 0 if lower else difference > 0)
            else:
                assert one["difference"] is one["otherIsBetter"] is None


async def test_health_of_experiments(demo: Client) -> None:
    data = await demo.data(
        """{ experiments(first: 100) { nodes {
             health { assignments variants enrollments active withdrawn excluded completed lostToFollowup attritionRate
               srmDetected srmSeverity interimAnalyses latestDecision effectEstimate fidelityGrade status reasons }
             assignments(first: 100) { nodes { variant enrollments { nodes { enrollmentStatus } } } }
             latestSrmCheck { isSrmDetected severity resolvedAt } interimAnalyses { totalCount }
             latestInterimAnalysis { decision } latestResult { effectEstimate }
             fidelityComparisons(first: 1) { nodes { fidelityGrade } } } } }"""
    )
    statuses = set()
    for one in data["experiments"]["nodes"]:
        health, assignments = one["health"], one["assignments"]["nodes"]
        enrolled = Counter(n["enrollmentStatus"] for a in assignments for n in a["enrollments"]["nodes"])
        assert health["assignments"] == len(assignments)
        assert health["variants"] == len({assignment["variant"] for assignment in assignments})
        assert health["enrollments"] == enrolled.total()
        for name in ("active", "withdrawn", "excluded", "completed"):
            assert health[name] == enrolled[name.upper()]
        check = one["latestSrmCheck"]
        assert health["srmSeverity"] == (check and check["severity"])
        assert health["srmDetected"] == (check and check["isSrmDetected"])
        assert health["interimAnalyses"] == one["interimAnalyses"]["totalCount"]
        assert health["latestDecision"] == (one["latestInterimAnalysis"] and one["latestInterimAnalysis"]["decision"])
        assert health["effectEstimate"] == (one["latestResult"] and one["latestResult"]["effectEstimate"])
        grades = [comparison["fidelityGrade"] for comparison in one["fidelityComparisons"]["nodes"]]
        assert health["fidelityGrade"] == (grades[0] if grades else None)
        open_severe = check and check["isSrmDetected"] and not check["resolvedAt"] and check["severity"] == "SEVERE"
        if open_severe or health["latestDecision"] == "STOP_SAFETY":
            expected = "CRITICAL"
        elif health["latestDecision"] in {"STOP_EFFICACY", "STOP_FUTILITY"}:
            expected = "STOPPED"
        elif health["reasons"]:
            expected = "WARNING"
        else:
            expected = "HEALTHY" if assignments else "NOT_STARTED"
        assert health["status"] == expected
        assert (health["reasons"] == []) == (expected in {"HEALTHY", "NOT_STARTED"})
        statuses.add(expected)
    assert {"HEALTHY", "NOT_STARTED"} < statuses


async def test_the_verdict_on_an_experiment(database: Database, serve: Any) -> None:
    """Each reason for a verdict, made to happen one after the other."""
    await execute(
        database.admin_url,
        "INSERT INTO ml_experiments (id, experiment_name, prediction_target) VALUES (gen_random_uuid(), 'e', 'p')",
    )
    experiment = "(SELECT id FROM ml_experiments)"
    steps = [
        ("NOT_STARTED", 0, "SELECT 1"),
        (
            "HEALTHY",
            0,
            (
                "INSERT INTO ab_experiment_assignments (experiment_id, unit_id, unit_type, variant,"
                f" randomization_method) SELECT {experiment}, n::text, 'hcp', 'control', 'simple'"
                " FROM generate_series(1, 5) n"
            ),
        ),
        (
            "WARNING",
            1,
            (
                "INSERT INTO ab_experiment_enrollments (assignment_id, enrollment_status, withdrawal_timestamp)"
                " SELECT id, CASE unit_id WHEN '1' THEN 'withdrawn' ELSE 'active' END::enrollment_status,"
                " CASE unit_id WHEN '1' THEN now() END"
                " FROM ab_experiment_assignments"
            ),
        ),
        (
            "CRITICAL",
            2,
            (
                "INSERT INTO ab_srm_checks (experiment_id, expected_ratio, actual_counts, is_srm_detected, severity)"
                f" VALUES ({experiment}, '{{}}', '{{}}', true, 'severe')"
            ),
        ),
        ("WARNING", 1, "UPDATE ab_srm_checks SET resolved_at = now()"),
        (
            "STOPPED",
            2,
            (
                "INSERT INTO ab_interim_analyses (experiment_id, analysis_number, information_fraction, alpha_spent,"
                " cumulative_alpha_spent, adjusted_alpha, sample_size_at_analysis, decision)"
                f" VALUES ({experiment}, 1, 0.5, 0.01, 0.01, 0.01, 5, 'stop_futility')"
            ),
        ),
        ("CRITICAL", 2, "UPDATE ab_interim_analyses SET decision = 'stop_safety'"),
    ]
    async with serve(database) as client:
        for status, reasons, statement in steps:
            await execute(database.admin_url, statement)
            data = await client.data("{ experimentHealthReports { nodes { status reasons } } }")
            (health,) = data["experimentHealthReports"]["nodes"]
            assert (health["status"], len(health["reasons"])) == (status, reasons), health


async def test_results_by_segment(demo_template: Database, clone: Clone, serve: Any) -> None:
    """Both forms of the document, and what is neither."""
    forms = {
        '{"midwest": {"effect": 0.1, "p_value": 0.04, "n": 12}, "west": 0.2}': [
            ("", "midwest", 0.1, 0.04, 12.0),
            ("", "west", 0.2, None, None),
        ],
        '{"specialty": {"oncology": {"effect_estimate": 0.3}, "other": 0.1}, "decile": {"10": {"ate": 1}}}': [
            ("decile", "10", 1.0, None, None),
            ("specialty", "oncology", 0.3, None, None),
            ("specialty", "other", 0.1, None, None),
        ],
        '{"empty": {}, "text": "x", "odd": {"effect": "big"}}': [
            ("", "empty", None, None, None),
            ("", "odd", None, None, None),
            ("", "text", None, None, None),
        ],
        "[1, 2]": [],
        "null": [],
    }
    async with clone(demo_template) as database, serve(database) as client:
        for stored, expected in forms.items():
            await execute(database.admin_url, f"UPDATE ab_experiment_results SET segment_results = '{stored}'")
            data = await client.data(
                "{ experimentResults(first: 1) { nodes { segments(orderBy: [{field: DIMENSION}, {field: SEGMENT}]) "
                "{ nodes { dimension segment effect pValue sampleSize result { id } } } id } } }"
            )
            (result,) = data["experimentResults"]["nodes"]
            got = [
                (one["dimension"], one["segment"], one["effect"], one["pValue"], one["sampleSize"])
                for one in result["segments"]["nodes"]
            ]
            assert got == expected
            assert all(one["result"]["id"] == result["id"] for one in result["segments"]["nodes"])


async def test_the_funnel_of_a_cohort(demo: Client) -> None:
    data = await demo.data(
        """{ cohortExecutions(first: 50) { nodes { inputRowCount
             funnel(first: 100) { nodes { criterionOrder enteredCount removedCount remainingCount removedRate
               remainingRate logEntry { criterionName } criterionName } }
             eligibilityLog(first: 100) { nodes { criterionOrder removedCount remainingCount } } } } }"""
    )
    assert any(one["funnel"]["nodes"] for one in data["cohortExecutions"]["nodes"])
    for execution in data["cohortExecutions"]["nodes"]:
        steps = execution["funnel"]["nodes"]
        log = sorted(execution["eligibilityLog"]["nodes"], key=lambda entry: entry["criterionOrder"])
        assert [(s["criterionOrder"], s["removedCount"], s["remainingCount"]) for s in steps] == [
            (e["criterionOrder"], e["removedCount"], e["remainingCount"]) for e in log
        ]
        for step in steps:
            assert step["enteredCount"] == step["removedCount"] + step["remainingCount"]
            assert step["removedRate"] == pytest.approx(step["removedCount"] / step["enteredCount"])
            assert step["remainingRate"] == pytest.approx(step["remainingCount"] / execution["inputRowCount"])
            assert step["logEntry"]["criterionName"] == step["criterionName"]


async def test_a_prompt_descends_from_its_parents_and_cycles_end(
    demo_template: Database, clone: Clone, serve: Any
) -> None:
    async with clone(demo_template) as database, serve(database) as client:
        prompts = await rows(client, "promptId parentPromptId", "promptConfigurations")
        parent = {one["promptId"]: one["parentPromptId"] for one in prompts}

        def chain(prompt: str) -> set[str]:
            seen: set[str] = set()
            step = parent[prompt]
            while step and step not in seen:
                seen.add(step)
                step = parent[step]
            return seen

        query = "{ promptConfigurations(first: 100) { nodes { promptId ancestors(first: 100) { nodes { promptId } } "
        query += "descendants(first: 100) { nodes { promptId } } } } }"

        async def check() -> None:
            data = await client.data(query)
            for one in data["promptConfigurations"]["nodes"]:
                assert {p["promptId"] for p in one["ancestors"]["nodes"]} == chain(one["promptId"])
                below = {p["promptId"] for p in one["descendants"]["nodes"]}
                assert below == {other for other in parent if one["promptId"] in chain(other)}

        await check()
        assert any(len(chain(prompt)) > 1 for prompt in parent)
        youngest = next(prompt for prompt in parent if len(chain(prompt)) > 1)
        oldest = next(prompt for prompt in chain(youngest) if parent[prompt] is None)
        await execute(
            database.admin_url,
            f"UPDATE prompt_configurations SET parent_prompt_id = '{youngest}' WHERE prompt_id = '{oldest}'",
        )
        parent[oldest] = youngest
        await check()


async def test_from_an_optimization_to_what_its_instruction_came_to(demo: Client) -> None:
    data = await demo.data(
        """{ promptOptimizationRuns(first: 100) { nodes {
             instructions(first: 100) { nodes { instructionId isActive } }
             activeInstructions { nodes { instructionId activeOfRun { runId } latestAbTest {
               treatmentScoreAvg baselineScoreAvg winner isSignificant
               outcome { winner treatmentWon scoreLift relativeLift isSignificant rolledOut } } } } runId } } }"""
    )
    judged = 0
    for run in data["promptOptimizationRuns"]["nodes"]:
        active = {one["instructionId"] for one in run["activeInstructions"]["nodes"]}
        assert active == {one["instructionId"] for one in run["instructions"]["nodes"] if one["isActive"]}
        for instruction in run["activeInstructions"]["nodes"]:
            assert instruction["activeOfRun"]["runId"] == run["runId"]
            if test := instruction["latestAbTest"]:
                judged += 1
                lift = test["treatmentScoreAvg"] - test["baselineScoreAvg"]
                assert test["outcome"]["scoreLift"] == pytest.approx(lift)
                assert test["outcome"]["relativeLift"] == pytest.approx(lift / test["baselineScoreAvg"])
                assert test["outcome"]["winner"] == test["winner"]
                assert test["outcome"]["treatmentWon"] == (test["winner"] and test["winner"] in {"GEPA", "GEPA_V2"})
    assert judged


@pytest.mark.parametrize(
    ("row", "asked"),
    [
        ("experiment: experiments(where: {mlflowExperimentId: {isNull: false}})", ["mlflowExperimentId"]),
        ("model: models", ["modelName", "modelVersion"]),
        ("hpoStudy: hpoStudies", ["studyName"]),
        ("tool: tools", ["name"]),
        ("featureView: featureViews", ["name", "project"]),
        ("cohortDefinition: cohortDefinitions", ["brand", "indication", "version"]),
        ("observabilitySpan: observabilitySpans", ["traceId", "spanId"]),
    ],
)
async def test_one_row_by_what_is_unique(demo: Client, row: str, asked: list[str]) -> None:
    root = row.partition(":")[0]
    data = await demo.data(f"{{ {row} {{ nodes {{ id {' '.join(asked)} }} }} }}")
    for node in data[root]["nodes"][:5]:
        declared = ", ".join(f"${name}: String" for name in asked)
        given = ", ".join(f"{name}: ${name}" for name in asked)
        answer = await demo.ask(
            f"query({declared}) {{ {root}({given}) {{ id }} }}", **{name: node[name] for name in asked}
        )
        assert answer["data"] == {root: {"id": node["id"]}}
        assert answer["extensions"]["cost"]["statements"] == 1


async def test_the_latest_quality_of_a_table_and_split(demo: Client) -> None:
    data = await demo.data("{ latestDataQualities(first: 1) { nodes { id tableName dataSplit successRate } } }")
    (latest,) = data["latestDataQualities"]["nodes"]
    found = await demo.data(
        "query($t: String!, $s: DataSplit!) { latestDataQuality(table: $t, split: $s) { id successRate } }",
        t=latest["tableName"],
        s=latest["dataSplit"],
    )
    assert found["latestDataQuality"] == {"id": latest["id"], "successRate": latest["successRate"]}
    reports = await demo.data(
        """query($t: String!, $s: DataSplit!) { dataQualityReports(first: 1,
             where: { tableName: { eq: $t }, dataSplit: { eq: $s } }, orderBy: [{ field: RUN_AT, direction: DESC }])
             { nodes { successRate } } }""",
        t=latest["tableName"],
        s=latest["dataSplit"],
    )
    assert reports["dataQualityReports"]["nodes"] == [{"successRate": latest["successRate"]}]


@pytest.mark.parametrize(
    ("query", "argument", "says"),
    [
        ("{ model { id } }", "id", "pass `id`, or `modelName` and `modelVersion`"),
        ('{ model(modelName: "x") { id } }', "modelName", "`modelName` was given"),
        ('{ model(id: "x", modelName: "y", modelVersion: "1") { id } }', "id", "to name one row"),
        ('{ latestDataQuality(table: "x") { id } }', "table", "`table` and `split`"),
        ("{ agentLatency(windowHours: 0) { totalCount } }", "windowHours", "1 to 8784"),
        ("{ driftTrend(days: 9999) { totalCount } }", "days", "1 to 3660"),
        ('{ models(first: 1) { nodes { compare(to: "Tool:x") { totalCount } } } }', "to", "an id of Model is expected"),
        ('{ models(first: 1) { nodes { compare(to: "x") { totalCount } } } }', "to", "is not a UUID"),
    ],
)
async def test_bad_input(demo: Client, query: str, argument: str, says: str) -> None:
    error = await demo.error(query)
    assert (error["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", argument)
    assert says in error["message"]


async def test_a_null_argument_means_its_default(demo: Client) -> None:
    query = "query($h: Int, $u: DateTime) { agentLatency(windowHours: $h, until: $u) { totalCount } }"
    assert await demo.data(query, h=None, u=UNTIL) == await demo.data(query, h=24, u=UNTIL)
    assert datetime.fromisoformat(UNTIL) == DEMO_NOW


async def test_a_view_serves_the_features_that_it_names(demo_template: Database, clone: Clone, serve: Any) -> None:
    """As objects or as plain names; a feature without a name is nobody's, also where a view lists an empty one."""
    async with clone(demo_template) as database:
        await execute(
            database.admin_url,
            "INSERT INTO ml_feature_store (feature_name, data_type) VALUES ('', 'f'), ('named', 'f'), ('plain', 'f')",
            """INSERT INTO ml_feast_feature_views (name, features) VALUES ('served', '["", {"name": ""}, "plain",
               {"name": "named"}]')""",
        )
        async with serve(database) as client:
            data = await client.data("""{
                featureViews(where: { name: { eq: "served" } }) { nodes { servedFeatures { nodes { featureName } } } }
                features(where: { featureName: { in: ["", "named", "plain"] } }) { nodes { featureName
                  featureViews { nodes { name } } } } }""")
    (view,) = data["featureViews"]["nodes"]
    assert sorted(one["featureName"] for one in view["servedFeatures"]["nodes"]) == ["named", "plain"]
    found = {
        one["featureName"]: [view["name"] for view in one["featureViews"]["nodes"]] for one in data["features"]["nodes"]
    }
    assert found == {"": [], "named": ["served"], "plain": ["served"]}
