"""Links that no foreign key says: each column that names a row of another table is an edge, or has a reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from uuid import UUID

import pytest

from db.base.metadata import check_relation
from db.base.vocabulary import EdgeSpec, belongs_to, entities, is_own, relations, table_of
from tests.house.test_spec import DOCUMENT
from tests.lineage.test_lineage_answers import recording_held
from tests.support.client import Client
from tests.support.databases import Clone, Database, connect, execute
from tests.support.plans import plan

Serve = Callable[[Database], AbstractAsyncContextManager[Client]]

NAMES = re.compile(
    r"(_id|_ids|_hash|_name|_names|_uri|_tag|_version|_node|_steps|_indices|_idx|_variable|_agent|features|feature_columns)$"
    r"|^(superseded_by|trial_number|session|agent)"
)
"""How a column is called that may name something else."""

OUTSIDE = "names what is outside the 60 tables"
ITSELF = "names the row itself, or what it is a version of"
ELSEWHERE = "says again what another column, which is an edge, says"
VARIABLE = "names a variable of the analysis, which need not be a feature of the store"

NO_EDGE = {
    "agent_activity_id": OUTSIDE,
    "agent_name": OUTSIDE,
    "source_agent": OUTSIDE,
    "agent_tier": OUTSIDE,
    "agent_type": OUTSIDE,
    "cognitive_cycle_id": OUTSIDE,
    "entity_id": OUTSIDE,
    "explanation_id": OUTSIDE,
    "gap_id": OUTSIDE,
    "hcp_id": OUTSIDE,
    "job_id": OUTSIDE,
    "mlflow_experiment_id": OUTSIDE,
    "patient_id": OUTSIDE,
    "patient_journey_id": OUTSIDE,
    "request_id": OUTSIDE,
    "reviewer_id": OUTSIDE,
    "reviewer_name": OUTSIDE,
    "session_id": OUTSIDE,
    "unit_id": OUTSIDE,
    "user_id": OUTSIDE,
    "ObservabilitySpan.model_name": "names a language model, which is outside",
    "FeatureView.source_name": OUTSIDE,
    "HpoStudy.algorithm_name": "names a kind of algorithm, of which there are no rows",
    "HpoStudy.sampler_name": "names a kind of sampler, of which there are no rows",
    "HpoStudy.pruner_name": "names a kind of pruner, of which there are no rows",
    "mlflow_model_uri": ELSEWHERE,
    "old_model_version": ELSEWHERE,
    "feature_view_name": ELSEWHERE,
    "CompositionStep.tool_name": ELSEWHERE,
    "ToolPerformance.tool_name": ELSEWHERE,
    "DiscoveredDag.feature_names": VARIABLE,
    "DiscoveredDag.n_features": VARIABLE,
    "DriverRanking.n_features": VARIABLE,
    "causal_only_features": "its feature rankings, which are edges, name them one by one",
    "predictive_only_features": "its feature rankings, which are edges, name them one by one",
    "concordant_features": "its feature rankings, which are edges, name them one by one",
    "source_node": VARIABLE,
    "target_node": VARIABLE,
    "treatment_variable": VARIABLE,
    "outcome_variable": VARIABLE,
    "target_variable": VARIABLE,
    "ShapAnalysis.actionable_features": "columns of the model, which its training runs, which are edges, name",
    "TwinModel.feature_columns": "its training run, which is an edge, names the features",
    "PromptOptimizationRun.best_candidate_idx": "the best one is one of the run's instructions, which are edges",
    "assignment_hash": "checks the row itself",
    "config_hash": ITSELF,
    "description_hash": ITSELF,
    "instruction_hash": ITSELF,
    "query_hash": ITSELF,
    "trainset_hash": "a digest of data, of which there are no rows",
    "valset_hash": "a digest of data, of which there are no rows",
    "block_id": ITSELF,
    "bento_tag": ITSELF,
    "bento_version": ITSELF,
    "container_tag": ITSELF,
    "api_version": ITSELF,
    "config_version": ITSELF,
    "consent_version": ITSELF,
    "feature_version": ITSELF,
    "methodology_version": ITSELF,
    "prompt_version": ITSELF,
    "TwinModel.model_version": ITSELF,
    "TwinModel.model_name": ITSELF,
    "cohort_name": ITSELF,
    "comparison_name": ITSELF,
    "config_name": ITSELF,
    "criterion_name": ITSELF,
    "deployment_name": ITSELF,
    "endpoint_name": ITSELF,
    "expectation_suite_name": ITSELF,
    "experiment_name": ITSELF,
    "initiative_name": ITSELF,
    "metric_name": ITSELF,
    "predictor_name": ITSELF,
    "prompt_name": ITSELF,
    "report_name": ITSELF,
    "run_name": ITSELF,
    "segment_name": ITSELF,
    "service_name": ITSELF,
    "step_name": ITSELF,
    "test_name": ITSELF,
}
"""Columns (of one type, or of all) that name something, are no edge, and are in no relation that says why."""


def edge_columns() -> set[tuple[str, str]]:
    """The columns that edges read, at either end."""
    found = set()
    for name, entity in entities().items():
        for relation in relations(entity).values():
            if isinstance(relation.lineage, EdgeSpec):
                found |= {(name, column) for column in (*relation.on, *relation.this_columns)}
                found |= {(relation.target, column) for column in (*relation.on.values(), *relation.that_columns)}
    return found


def explained_columns() -> set[tuple[str, str]]:
    """The columns of relations that say why they are no edge."""
    return {
        (name, column)
        for name, entity in entities().items()
        for relation in relations(entity).values()
        if isinstance(relation.lineage, str) and relation.lineage
        for column in relation.on
    }


def naming_columns() -> set[tuple[str, str]]:
    """The columns of all tables that may name a row of another table; keys of their own aside."""
    found = set()
    for name, entity in entities().items():
        if not entity.__is_view__ and not is_own(table_of(entity)):
            table = table_of(entity)
            for column in table.columns:
                if NAMES.search(column.name) and not (column.primary_key and len(table.primary_key) == 1):
                    found.add((name, column.name))
    return found


def test_every_column_that_names_a_row_is_an_edge_or_has_a_reason() -> None:
    open_ = naming_columns() - edge_columns() - explained_columns()
    unexplained = {f"{type_}.{column}" for type_, column in open_ if not {column, f"{type_}.{column}"} & NO_EDGE.keys()}
    assert unexplained == set()


def test_every_reason_is_needed() -> None:
    open_ = naming_columns() - edge_columns() - explained_columns()
    needed = {column for _, column in open_} | {f"{type_}.{column}" for type_, column in open_}
    assert NO_EDGE.keys() - needed == set()


@pytest.mark.parametrize(
    ("target", "on", "said"),
    [
        (
            "CohortDefinition",
            "cohort_id",
            "made reads CohortDefinition by 'id', .* its key is cohort_id",
        ),
        ("CohortDefinition", {"cohort": "cohort_id"}, "CohortExecution.made reads CohortExecution by 'cohort'"),
        ("Cohort", "cohort_id", "CohortExecution.made leads to 'Cohort', which is no model"),
    ],
)
def test_a_relation_that_leads_nowhere_is_refused(target: str, on: str | dict[str, str], said: str) -> None:
    relation = belongs_to(target, on, "", inverse="others", inverse_doc="")
    with pytest.raises(ValueError, match=said):
        check_relation(entities()["CohortExecution"], "made", relation)


def test_every_soft_link_of_the_document_is_an_edge() -> None:
    """What the document itself says to lead from table to table without a foreign key."""
    columns = edge_columns()
    for type_, column in SOFT:
        assert f"`{column}`" in DOCUMENT
        assert (type_, column) in columns


SOFT = [
    ("Model", "mlflow_run_id"),
    ("TrainingRun", "mlflow_run_id"),
    ("TwinModel", "mlflow_run_id"),
    ("PromptOptimizationRun", "mlflow_run_id"),
    ("TrainingRun", "optuna_study_name"),
    ("HpoStudy", "study_name"),
    ("HpoTrial", "trial_number"),
    ("CausalValidation", "estimate_id"),
    ("CausalValidation", "estimate_source"),
    ("ExpertReview", "dag_version_hash"),
    ("ExpertReview", "supersedes_review_id"),
    ("Tool", "name"),
    ("OptimizedToolDescription", "tool_name"),
    ("CompositionStep", "depends_on_steps"),
    ("OptimizedInstruction", "parent_indices"),
    ("ObservabilitySpan", "parent_span_id"),
    ("DriftRecord", "feature_name"),
    ("FeatureRanking", "feature_name"),
    ("MonitoringAlert", "affected_features"),
    ("Retraining", "new_model_version"),
    ("CohortComparison", "cohort_ids"),
]


@pytest.mark.parametrize(
    ("where", "kind", "upstream", "downstream"),
    [
        ("twinModels(first: 1, where: {trainingRun: {}})", "LINKED_TO", "TrainingRun", "TwinModel"),
        ("promptOptimizationRuns(first: 1, where: {trainingRun: {}})", "LINKED_TO", "TrainingRun", None),
        (
            "roiCalculations(first: 1, where: {causalValidations: {some: {}}})",
            "VALIDATES",
            "CausalValidation",
            "RoiCalculation",
        ),
        ("roiCalculations(first: 1, where: {estimate: {}})", "VALUED_BY", "Estimate", "RoiCalculation"),
        ("experiments(first: 1, where: {estimate: {}})", "PRODUCES", "Experiment", "Estimate"),
        ("estimates(first: 1)", "VALIDATED_BY", "Estimate", "CausalValidation"),
        ("enrollments(first: 1, where: {results: {some: {}}})", "ANALYZED_BY", "Enrollment", "ExperimentResult"),
        ("experimentResults(first: 1, where: {enrollments: {some: {}}})", "ANALYZED_BY", "Enrollment", None),
        ("driftRecords(first: 1, where: {features: {some: {}}})", "MONITORED_BY", "Feature", "DriftRecord"),
        ("monitoringAlerts(first: 1, where: {features: {some: {}}})", "ALERTS_ON", "Feature", "MonitoringAlert"),
        ("featureRankings(first: 1, where: {features: {some: {}}})", "RANKED_IN", "Feature", "FeatureRanking"),
    ],
)
async def test_soft_links_are_walked_both_ways(
    where: str, kind: str, upstream: str, downstream: str | None, demo: Client
) -> None:
    """In the demo data each of them leads somewhere, and back."""
    data = await demo.data(f"{{ {where} {{ nodes {{ id }} }} }}")
    ((start,),) = ([node["id"] for node in found["nodes"]] for found in data.values())
    query = """query($from: [ID!]!, $kind: LineageKind!) {
        lineage(from: $from, maxDepth: 1, through: [$kind]) { edges { from to kind } } }"""
    edges = (await demo.data(query, **{"from": [start], "kind": kind}))["lineage"]["edges"]
    ends = {(one["from"].split(":")[0], one["to"].split(":")[0]): one for one in edges}
    edge = ends[upstream, downstream or start.split(":")[0]]
    other = edge["from"] if edge["to"] == start else edge["to"]
    back = await demo.data(
        query.replace("maxDepth", "perNodeLimit: 1000, maxNodes: 5000, maxDepth"), **{"from": [other], "kind": kind}
    )
    assert edge in back["lineage"]["edges"]


async def test_estimates_lead_on_by_their_source(template: Database, clone: Clone, serve: Serve) -> None:
    """The same id is an experiment's estimate or a causal path's; only `estimate_source` tells them apart."""
    experiment, roi, own, path = (UUID(int=place) for place in range(1, 5))
    async with clone(template) as database:
        await execute(
            database.admin_url,
            f"INSERT INTO ml_experiments (id, experiment_name, prediction_target) VALUES ('{experiment}', 'e', 'x')",
            "INSERT INTO roi_calculations (calculation_id, initiative_name, causal_path_id, incremental_value, "
            "attributed_value, implementation_cost, base_roi, risk_adjusted_roi, ci_lower, ci_median, ci_upper, "
            "probability_positive, attribution_level, attribution_rate, total_risk_adjustment) "
            f"VALUES ('{roi}', 'r', '{experiment}', 1, 1, 1, 1, 1, 1, 1, 1, 1, 'full', 1, 0)",
            *(
                "INSERT INTO causal_validations (validation_id, estimate_id, estimate_source, test_type, status, "
                f"original_effect) VALUES ('{key}', '{experiment}', '{source}', 'bootstrap', 'passed', 1)"
                for key, source in ((own, "ml_experiments"), (path, "causal_paths"))
            ),
        )
        async with serve(database) as client:
            data = await client.data(
                """query($from: [ID!]!) {
                     lineage(from: $from, maxDepth: 1, types: ["CausalValidation", "Experiment", "RoiCalculation"]) {
                       edges { from to kind } } }""",
                **{"from": [f"CausalValidation:{own}", f"CausalValidation:{path}"]},
            )
    assert sorted(data["lineage"]["edges"], key=lambda edge: str(edge["kind"])) == [
        {"from": f"Experiment:{experiment}", "to": f"CausalValidation:{own}", "kind": "VALIDATED_BY"},
        {"from": f"CausalValidation:{path}", "to": f"RoiCalculation:{roi}", "kind": "VALIDATES"},
    ]


ESTIMATE_ROWS = """
    INSERT INTO ml_experiments (id, experiment_name, prediction_target) VALUES ('{experiment}', 'e', 'x');
    INSERT INTO causal_validations (validation_id, estimate_id, estimate_source, test_type, status, original_effect,
        treatment_variable, outcome_variable, confidence_score, created_at)
    VALUES ('{test}', '{experiment}', 'ml_experiments', 'placebo_treatment', 'failed', 1, 'visits', 'nrx', 0.9,
        '2026-02-02');
    INSERT INTO causal_validations (estimate_id, estimate_source, test_type, status)
    SELECT gen_random_uuid(), 'ml_experiments', 'bootstrap', 'passed' FROM generate_series(1, 20000);
    ANALYZE
"""

LINEAGE = """query($from: [ID!]!, $depth: Int) { lineage(from: $from, maxDepth: $depth) {
    complete reason missing
    nodes { id: nodeId label state degree { upstream downstream } node { ... on Estimate { gate } } }
    edges { from to kind } } }"""


async def test_an_estimate_is_a_node_of_its_own(template: Database, clone: Clone, serve: Serve) -> None:
    """No table has it; it is there once it was tested, is read by its key alone, and its state is its gate."""
    keys = {name: str(UUID(int=place)) for place, name in enumerate(("experiment", "test"), start=1)}
    experiment, estimate = f"Experiment:{keys['experiment']}", f"Estimate:{keys['experiment']}"
    test, untested = f"CausalValidation:{keys['test']}", f"Estimate:{UUID(int=9)}"
    async with clone(template) as database:
        await execute(database.admin_url, *ESTIMATE_ROWS.format(**keys).split(";"))
        with recording_held() as statements:
            async with serve(database) as client:
                of = (await client.data(LINEAGE, **{"from": [estimate, untested]}, depth=1))["lineage"]
                back = (await client.data(LINEAGE, **{"from": [test]}, depth=1))["lineage"]
                diff = await client.data(
                    "query($from: [ID!]!, $between: [DateTime!]!) { lineageDiff(from: $from, between: $between) { "
                    "added { nodes { id: nodeId } } changed { node { id: nodeId } } unknown } }",
                    **{"from": [estimate], "between": ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"]},
                )
        connection = await connect(database.admin_url)
        try:
            for statement in statements:
                for node in await plan(connection, statement, options="ANALYZE, "):
                    if node.get("Relation Name") == "causal_validations":
                        read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
                        assert read * node["Actual Loops"] < 100, node
        finally:
            await connection.close()
    assert of["missing"] == [untested]
    (found,) = (node for node in of["nodes"] if node["id"] == estimate)
    degree = {"upstream": 1, "downstream": 1}
    assert found == {
        "id": estimate,
        "label": "visits nrx",
        "state": "BLOCK",
        "degree": degree,
        "node": {"gate": "BLOCK"},
    }
    chain = [
        {"from": experiment, "to": estimate, "kind": "PRODUCES"},
        {"from": estimate, "to": test, "kind": "VALIDATED_BY"},
    ]
    assert all(edge in of["edges"] for edge in chain)
    assert chain[1] in back["edges"]
    assert {"id": test} in diff["lineageDiff"]["added"]["nodes"]
    assert {"node": {"id": estimate}} in diff["lineageDiff"]["changed"]
    assert "1 Estimate rows have no time: when they came to be is unknown." in diff["lineageDiff"]["unknown"]


async def test_estimates_without_a_column_that_they_are_made_of(
    demo_template: Database, clone: Clone, serve: Serve
) -> None:
    """The gate cannot be told, so estimates are no nodes, and the answer says for want of what."""
    async with clone(demo_template) as database:
        await execute(database.admin_url, "ALTER TABLE causal_validations DROP COLUMN confidence_score CASCADE")
        async with serve(database) as client:
            data = await client.data(
                "{ causalValidations(first: 1) { nodes { id estimateId } } }",
            )
            (test,) = data["causalValidations"]["nodes"]
            lineage = (await client.data(LINEAGE, **{"from": [test["id"]]}, depth=2))["lineage"]
            assert lineage["reason"].endswith("the connected database lacks causal_validations.confidence_score.")
            assert test["id"] in {node["id"] for node in lineage["nodes"]}
            error = await client.error(LINEAGE, **{"from": [f"Estimate:{test['estimateId']}"]}, depth=1)
            assert error["code"] == "MISSING_IN_DATABASE"
