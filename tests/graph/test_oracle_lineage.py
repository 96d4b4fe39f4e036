"""Lineages of the demo data against a recursive query over edges that are written from the data dictionary alone: which
columns refer to which. Nothing of the gateway's is asked for what an edge is; both directions, every depth."""

# ruff: noqa: E501 - a link of two tables is one line

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect

pytestmark = pytest.mark.slow

EDGES: dict[str, list[str]] = {
    "LINKED_TO": [
        "TrainingRun ml_training_runs.id mlflow_run_id > Model ml_model_registry.id mlflow_run_id",
        "TrainingRun ml_training_runs.id model_registry_id > Model ml_model_registry.id id",
        "TrainingRun ml_training_runs.id mlflow_run_id > TwinModel digital_twin_models.model_id mlflow_run_id",
        "TrainingRun ml_training_runs.id mlflow_run_id > PromptOptimizationRun prompt_optimization_runs.run_id mlflow_run_id",
    ],
    "OPTIMIZED_BY": [
        "HpoStudy ml_hpo_studies.id study_name > TrainingRun ml_training_runs.id optuna_study_name",
        "Experiment ml_experiments.id id > HpoStudy ml_hpo_studies.id experiment_id",
    ],
    "EXPLAINED_BY": [
        "Model ml_model_registry.id id > ShapAnalysis ml_shap_analyses.id model_registry_id",
    ],
    "DEPLOYED_AS": [
        "Model ml_model_registry.id id > Deployment ml_deployments.id model_registry_id",
        "Retraining ml_retraining_history.id deployment_id > Deployment ml_deployments.id id",
    ],
    "ROLLS_BACK_TO": [
        "Deployment ml_deployments.id id > Deployment ml_deployments.id previous_deployment_id",
    ],
    "SUPERSEDES": [
        "ExpertReview expert_reviews.review_id review_id > ExpertReview expert_reviews.review_id supersedes_review_id",
        "RoiCalculation roi_calculations.calculation_id superseded_by > RoiCalculation roi_calculations.calculation_id calculation_id",
    ],
    "GENERATES": [
        "TwinModel digital_twin_models.model_id model_id > TwinSimulation twin_simulations.simulation_id model_id",
    ],
    "PREDICTED_VS_ACTUAL": [
        "TwinSimulation twin_simulations.simulation_id simulation_id > TwinFidelity twin_fidelity_tracking.tracking_id simulation_id",
    ],
    "ACTUAL_RESULTS": [
        "Experiment ml_experiments.id id > TwinFidelity twin_fidelity_tracking.tracking_id actual_experiment_id",
        "Experiment ml_experiments.id id > FidelityComparison ab_fidelity_comparisons.id experiment_id",
        "ExperimentResult ab_experiment_results.id id > FidelityComparison ab_fidelity_comparisons.id results_id",
    ],
    "ROUTED_TO": [
        "ClassificationLog classification_logs.classification_id classification_id > ComposerEpisode composer_episodes.episode_id classification_id",
    ],
    "EXECUTED_AS": [
        "Tool tool_registry.tool_id tool_id > CompositionStep composition_steps.step_id tool_id",
        "CohortDefinition ml_cohort_definitions.cohort_id cohort_id > CohortExecution ml_cohort_executions.execution_id cohort_id",
    ],
    "MEASURED_BY": [
        "Tool tool_registry.tool_id tool_id > ToolPerformance tool_performance.performance_id tool_id",
        "CompositionStep composition_steps.step_id step_id > ToolPerformance tool_performance.performance_id step_id",
        "ComposerEpisode composer_episodes.episode_id composition_id > ToolPerformance tool_performance.performance_id composition_id",
        "Model ml_model_registry.id id > PerformanceMetric ml_performance_metrics.id model_id",
        "Experiment ml_experiments.id id > PerformanceMetric ml_performance_metrics.id experiment_id",
        "Deployment ml_deployments.id id > PerformanceMetric ml_performance_metrics.id deployment_id",
    ],
    "RAISES": [
        "DriftRecord ml_drift_history.id id > MonitoringAlert ml_monitoring_alerts.id drift_history_id",
    ],
    "RETRAINED_AS": [
        "Model ml_model_registry.id id > Retraining ml_retraining_history.id model_id",
    ],
    "ENROLLED_AS": [
        "Assignment ab_experiment_assignments.id id > Enrollment ab_experiment_enrollments.id assignment_id",
    ],
    "ALSO_COMPARED_IN": [
        "TwinSimulation twin_simulations.simulation_id simulation_id > FidelityComparison ab_fidelity_comparisons.id twin_simulation_id",
    ],
    "APPLIES": [
        "ImprovementAction improvement_actions.action_id retrieval_config_id > RetrievalConfiguration retrieval_configurations.config_id config_id",
        "ImprovementAction improvement_actions.action_id prompt_config_id > PromptConfiguration prompt_configurations.prompt_id prompt_id",
    ],
    "DESCRIBED_BY": [
        "Tool tool_registry.tool_id name > OptimizedToolDescription optimized_tool_descriptions.tool_description_id tool_name",
    ],
    "SERVED_BY": [
        "Model ml_model_registry.id id > BentoService ml_bentoml_services.id model_registry_id",
        "Deployment ml_deployments.id id > BentoService ml_bentoml_services.id deployment_id",
    ],
    "EMITS": [
        "BentoService ml_bentoml_services.id id > ServingMetric ml_bentoml_serving_metrics.id service_id",
    ],
    "MATERIALIZED_BY": [
        "FeatureView ml_feast_feature_views.id id > MaterializationJob ml_feast_materialization_jobs.id feature_view_id",
    ],
    "RANKED_IN": [
        "DiscoveredDag ml.discovered_dags.id id > DriverRanking ml.driver_rankings.id dag_id",
        "Feature ml_feature_store.id feature_name > FeatureRanking ml.feature_rankings.id feature_name",
    ],
}
"""Kind of edge -> upstream type, its table and key, its column > the same downstream; rows are linked by equal values."""

WALK = """
    WITH RECURSIVE step AS (
        SELECT upstream AS node, downstream AS other FROM edge WHERE kind = ANY ($2) AND $4
        UNION
        SELECT downstream, upstream FROM edge WHERE kind = ANY ($2) AND $5
    ), reached (node, depth) AS (
        SELECT start, 0 FROM unnest($1::text[]) AS start
        UNION
        SELECT step.other, reached.depth + 1 FROM reached JOIN step USING (node) WHERE reached.depth < $3
    )
    SELECT node, min(depth) AS depth, bool_or(EXISTS (
        SELECT FROM step AS s WHERE s.node = reached.node AND s.other NOT IN (SELECT node FROM reached)
    )) AS beyond
    FROM reached GROUP BY node
"""
"""From nodes by kinds to a depth, downstream and upstream; `beyond` says that a neighbour was not reached."""

LINEAGE = """
    query($from: [ID!]!, $through: [LineageKind!], $maxDepth: Int, $direction: LineageDirection) {
      lineage(from: $from, through: $through, maxDepth: $maxDepth, direction: $direction, perNodeLimit: 1000,
          maxNodes: 2000) { nodes { nodeId depth } edges { from to kind } complete missing } }"""

QUESTIONS, MOST = 90, 1500


@pytest.fixture(scope="module")
async def sql(demo_template: Database, clone: Clone) -> AsyncIterator[tuple[Database, asyncpg.Connection]]:
    async with clone(demo_template) as copy:
        connection = await connect(copy.admin_url)
        await connection.execute("CREATE TEMP TABLE edge (kind text, upstream text, downstream text)")
        # hours and hubs would make every answer the longest that there may be
        await connection.execute("DELETE FROM ml_bentoml_serving_metrics WHERE abs(hashtext(id::text)) % 8 > 0")
        for kind, links in EDGES.items():
            for link in links:
                (up, up_key, up_column), (down, down_key, down_column) = (side.split() for side in link.split(" > "))
                up_table, _, up_key = up_key.rpartition(".")
                down_table, _, down_key = down_key.rpartition(".")
                await connection.execute(
                    f"INSERT INTO edge SELECT '{kind}', '{up}:' || u.{up_key}, '{down}:' || d.{down_key} "
                    f"FROM {up_table} AS u JOIN {down_table} AS d ON d.{down_column} = u.{up_column} "
                    f"AND u.{up_column}::text <> ''"
                )
        await connection.execute("CREATE INDEX ON edge (upstream); CREATE INDEX ON edge (downstream); ANALYZE edge")
        yield copy, connection
        await connection.close()


@pytest.fixture(scope="module")
async def client(sql: tuple[Database, asyncpg.Connection]) -> AsyncIterator[Client]:
    async with serving(sql[0].gateway_url) as client:
        yield client


async def test_walks_are_those_of_the_dictionary(client: Client, sql: tuple[Database, asyncpg.Connection]) -> None:
    rng, (_, connection) = random.Random(20), sql
    ends = "SELECT upstream FROM edge UNION SELECT downstream FROM edge"
    nodes = [row[0] for row in await connection.fetch(f"{ends} ORDER BY 1")]
    types = sorted({node.split(":")[0] for node in nodes})
    compared, deepest = 0, 0
    for _ in range(QUESTIONS):
        type_ = rng.choice(types)
        starts = rng.sample([node for node in nodes if node.startswith(f"{type_}:")], 1)
        starts += rng.sample(nodes, rng.choice([0, 0, 2]))
        kinds = rng.sample(sorted(EDGES), rng.choice([2, 8, len(EDGES), len(EDGES)]))
        direction, depth = rng.choice(["UPSTREAM", "DOWNSTREAM", "BOTH"]), rng.choice([0, 1, 2, 3, 5, 6])
        values = (starts, kinds, depth, direction != "UPSTREAM", direction != "DOWNSTREAM")
        expected: dict[str, int] = {}
        beyond = False
        for row in await connection.fetch(WALK, *values):
            expected[row["node"]] = row["depth"]
            beyond = beyond or row["beyond"]
        if len(expected) > MOST:
            continue
        asked: dict[str, Any] = {"from": starts, "through": kinds, "maxDepth": depth, "direction": direction}
        found = (await client.data(LINEAGE, **asked))["lineage"]
        assert {node["nodeId"]: node["depth"] for node in found["nodes"]} == expected, asked
        edges = await connection.fetch(
            "SELECT DISTINCT upstream, downstream, kind FROM edge WHERE kind = ANY ($1) AND upstream = ANY ($2) "
            "AND downstream = ANY ($2)", kinds, list(expected),
        )  # fmt: skip
        assert {(one["from"], one["to"], one["kind"]) for one in found["edges"]} == {tuple(row) for row in edges}, asked
        assert len(found["edges"]) == len(edges), asked
        assert (found["complete"], found["missing"]) == (not beyond, []), asked
        compared, deepest = compared + 1, max(deepest, *expected.values())
    assert compared > QUESTIONS / 2  # the others are long
    assert deepest >= 4
