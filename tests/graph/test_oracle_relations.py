"""Relations that are more than equal columns, both ways, beside pairs found in plain Python from the tables' rows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import asyncpg
import pytest

from schema.catalogue.catalogue import Type
from schema.catalogue.from_models import catalogue
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect

pytestmark = pytest.mark.slow

ROWS, BELOW = 250, 40
"""Rows whose relations are asked for, and rows of each relation; all of a relation are counted."""

Row = Mapping[str, Any]
World = Mapping[str, Sequence[Row]]
"""The rows of each type."""


def _one(world: World, name: str, column: str, value: Any) -> Row | None:
    return next((row for row in world[name] if row[column] == value), None)


def _chain(world: World, name: str, key: str, parent: str, row: Row) -> Iterator[Any]:
    """The keys that lead back from a row, each once."""
    met = set()
    at = row[parent]
    while at is not None and at not in met:
        met.add(at)
        yield at
        before = _one(world, name, key, at)
        at = before[parent] if before else None


def _names(text: str | None) -> list[Any]:
    found = json.loads(text or "[]")
    return found if isinstance(found, list) else []


def _model_of(world: World, span: Row) -> Any:
    deployment = _one(world, "Deployment", "id", span["deployment_id"]) if span["deployment_id"] else None
    run = _one(world, "TrainingRun", "id", span["training_run_id"]) if span["training_run_id"] else None
    return deployment["model_registry_id"] if deployment else run and run["model_registry_id"]


def _in_study(world: World, run: Row, trial: Row) -> bool:
    study = _one(world, "HpoStudy", "id", trial["study_id"])
    return bool(study and study["study_name"] == run["optuna_study_name"])


def _same_deployment(world: World, record: Row, metric: Row) -> bool:
    service = _one(world, "BentoService", "id", metric["service_id"])
    return bool(service and service["deployment_id"] == record["deployment_id"] is not None)


def _place(review: Row) -> tuple[Any, Any]:
    return review["created_at"], review["review_id"]


def _is_previous(world: World, review: Row, one: Row) -> bool:
    """Whether a review is the last of the same graph before another one."""
    same = [each for each in world["ExpertReview"] if each["dag_version_hash"] == (review["dag_version_hash"] or "-")]
    before = [each for each in same if _place(each) < _place(review)]
    return bool(before) and _place(one) == max(map(_place, before))


RELATED: dict[tuple[str, str], Callable[[Row, Row, World], Any]] = {
    ("PromptOptimizationRun.bestInstructions", "OptimizedInstruction.bestOfRun"): lambda run, one, _: (
        one["run_id"] == run["run_id"] and one["candidate_idx"] == run["best_candidate_idx"]
    ),
    ("PromptOptimizationRun.activeInstructions", "OptimizedInstruction.activeOfRun"): lambda run, one, _: (
        one["run_id"] == run["run_id"] and one["is_active"]
    ),
    ("OptimizedInstruction.parents", "OptimizedInstruction.children"): lambda child, one, _: (
        one["run_id"] == child["run_id"] and one["candidate_idx"] in (child["parent_indices"] or [])
    ),
    ("CausalValidation.experiment", "Experiment.causalValidations"): lambda test, one, _: (
        test["estimate_source"] == "ml_experiments" and one["id"] == test["estimate_id"]
    ),
    ("RoiCalculation.causalValidations", "CausalValidation.roiCalculations"): lambda roi, test, _: (
        test["estimate_source"] == "causal_paths" and test["estimate_id"] == roi["causal_path_id"]
    ),
    ("ExpertReview.relatedValidations", "CausalValidation.relatedReviews"): lambda review, test, _: (
        test["validation_id"] in (review["related_validation_ids"] or [])
    ),
    ("ExpertReview.previousOfDag", "ExpertReview.nextOfDag"): lambda review, one, world: _is_previous(
        world, review, one
    ),
    ("TwinModel.fidelityHistory", "TwinFidelity.twinModel"): lambda model, one, world: (
        (of := _one(world, "TwinSimulation", "simulation_id", one["simulation_id"]))
        and of["model_id"] == model["model_id"]
    ),
    ("TwinSimulation.recommendedAssignments", "Assignment.recommendingSimulations"): lambda one, assigned, _: (
        one["recommendation"] == "deploy" and assigned["experiment_id"] == one["experiment_design_id"]
    ),
    ("CompositionStep.dependsOn", "CompositionStep.requiredBy"): lambda step, one, _: (
        one["episode_id"] == step["episode_id"] and one["step_number"] in (step["depends_on_steps"] or [])
    ),
    ("TrainingRun.hpoTrial", "HpoTrial.trainingRuns"): lambda run, trial, world: (
        trial["trial_number"] == run["optuna_trial_number"] and _in_study(world, run, trial)
    ),
    ("TrainingRun.features", "Feature.trainingRuns"): lambda run, feature, _: (
        feature["feature_name"] in _names(run["feature_names"])
    ),
    ("FeatureView.servedFeatures", "Feature.featureViews"): lambda view, feature, _: (
        feature["feature_name"]
        in [one.get("name") if isinstance(one, dict) else one for one in _names(view["features"])]
    ),
    ("MonitoringAlert.features", "Feature.alerts"): lambda alert, feature, _: (
        feature["feature_name"] in (alert["affected_features"] or [])
    ),
    ("MonitoringRun.models", "Model.monitoringRuns"): lambda run, model, _: model["id"] in (run["model_ids"] or []),
    ("MonitoringRun.deployments", "Deployment.monitoringRuns"): lambda run, one, _: (
        one["id"] in (run["deployment_ids"] or [])
    ),
    ("ObservabilitySpan.model", "Model.spans"): lambda span, model, world: _model_of(world, span) == model["id"],
    ("Deployment.rollbackChain", "Deployment.succeedingDeployments"): lambda later, one, world: (
        one["id"] in _chain(world, "Deployment", "id", "previous_deployment_id", later)
    ),
    ("PromptConfiguration.ancestors", "PromptConfiguration.descendants"): lambda child, one, world: (
        one["prompt_id"] in _chain(world, "PromptConfiguration", "prompt_id", "parent_prompt_id", child)
    ),
    ("Retraining.newModel", "Model.producedByRetrainings"): lambda one, model, world: (
        (old := _one(world, "Model", "id", one["model_id"]))
        and (model["model_name"], model["model_version"]) == (old["model_name"], one["new_model_version"])
    ),
    ("Enrollment.results", "ExperimentResult.enrollments"): lambda one, result, world: (
        (assigned := _one(world, "Assignment", "id", one["assignment_id"]))
        and result["experiment_id"] == assigned["experiment_id"]
        and result["computed_at"] >= one["enrolled_at"]
    ),
    ("DriftRecord.servingMetrics", "ServingMetric.driftHistory"): lambda record, metric, world: (
        record["current_start"] <= metric["recorded_at"] <= record["current_end"]
        and _same_deployment(world, record, metric)
    ),
    ("ImprovementAction.evaluations", "Evaluation.improvementActions"): lambda action, one, _: (
        one["learning_signal_id"] == action["learning_signal_id"] is not None
    ),
    ("ExperimentKnowledge.experiment", "Experiment.knowledge"): lambda one, experiment, _: (
        experiment["id"] == one["source_id"] and "experiment" in (one["source_type"] or "").lower()
    ),
    ("CohortComparison.cohorts", "CohortDefinition.comparisons"): lambda one, cohort, _: (
        cohort["cohort_id"] in _names(one["cohort_ids"])
    ),
}
"""A relation with the one that leads back -> whether two rows are related, given all rows of all types."""


@pytest.fixture(scope="module")
async def client(demo_template: Database, clone: Clone) -> AsyncIterator[tuple[Client, World]]:
    """The demo data with all rows: the largest table has its newest alone, and some texts are empty."""
    async with clone(demo_template) as copy:
        sql = await connect(copy.admin_url)
        try:
            await sql.execute(FEWER)
            world = {type_.name: await _rows(sql, type_) for type_ in _types()}
        finally:
            await sql.close()
        async with serving(copy.gateway_url, count_up_to=0) as one:
            yield one, world


FEWER = """
    UPDATE expert_reviews AS r SET dag_version_hash = CASE WHEN n <= 2 THEN '' ELSE 'one' || n % 2 END
    FROM (SELECT review_id, row_number() OVER (ORDER BY created_at, review_id) AS n FROM expert_reviews) AS o
    WHERE o.review_id = r.review_id AND n <= 10;
    DELETE FROM ml_bentoml_serving_metrics WHERE id NOT IN (
        SELECT id FROM ml_bentoml_serving_metrics ORDER BY recorded_at DESC NULLS LAST LIMIT 500
    );
    UPDATE ml_drift_history AS d SET current_start = m.recorded_at, current_end = m.recorded_at + interval '1 hour'
    FROM ml_bentoml_serving_metrics AS m JOIN ml_bentoml_services AS s ON s.id = m.service_id
    WHERE s.deployment_id = d.deployment_id AND d.current_start IS DISTINCT FROM d.created_at
"""


def _types() -> list[Type]:
    known = {place.split(".")[0] for places in RELATED for place in places}
    return [catalogue()[name] for name in sorted({*known, "HpoStudy", "BentoService"})]


async def _rows(sql: asyncpg.Connection, type_: Type) -> Sequence[Row]:
    return list(await sql.fetch(f"SELECT * FROM {type_.sql_name}"))


def _id(type_: Type, row: Row) -> str:
    (key,) = type_.key
    return f"{type_.name}:{row[key]}"


@pytest.mark.parametrize("places", RELATED, ids=[places[0] for places in RELATED])
async def test_related_rows_are_those_of_the_condition(client: tuple[Client, World], places: tuple[str, str]) -> None:
    asked, world = client
    related = RELATED[places]
    (first, there), (last, back) = (place.split(".") for place in places)
    pairs = [
        (_id(catalogue()[first], this), _id(catalogue()[last], that))
        for this in world[first]
        for that in world[last]
        if related(this, that, world)
    ]
    assert pairs, "there is something to find"
    for name, relation, found in (
        (first, there, pairs),
        (last, back, [(that, this) for this, that in pairs]),
    ):
        type_ = catalogue()[name]
        many = type_.relations[relation].many
        below = f"(first: {BELOW}) {{ totalCount nodes {{ id }} }}" if many else "{ id }"
        asked_ids = list(dict.fromkeys([*[one for one, _ in found], *[_id(type_, row) for row in world[name]]]))[:ROWS]
        for start in range(0, len(asked_ids), 50):
            nodes = await asked.data(
                f"query($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on {name} {{ id of: {relation}{below} }} }} }}",
                ids=asked_ids[start : start + 50],
            )
            for node in nodes["nodes"]:
                expected = {other for one, other in found if one == node["id"]}
                if many:
                    got = {one["id"] for one in node["of"]["nodes"]}
                    assert node["of"]["totalCount"] == len(expected), (relation, node["id"])
                    assert got == expected if len(expected) <= BELOW else got < expected, (relation, node["id"])
                else:
                    assert (node["of"] and node["of"]["id"]) in (expected or {None}), (relation, node["id"])
