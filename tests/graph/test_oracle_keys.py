"""Relations by equal columns, both ways, and the newest row of each, beside rows of tables and the data dictionary."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from schema.catalogue.catalogue import Type
from schema.catalogue.from_models import catalogue
from tests.graph.test_oracle_relations import RELATED, Row, World
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect

FEW, BELOW = 12, 20
"""Rows with and without related ones of which each relation is asked, and related rows that are compared by id."""

KEYS = """
    Model.experiment               experiment_id             id              Experiment.models
    TrainingRun.experiment         experiment_id             id              Experiment.trainingRuns
    ObservabilitySpan.experiment   experiment_id             id              Experiment.spans
    TwinSimulation.experiment      experiment_design_id      id              Experiment.simulations
    TwinFidelity.actualExperiment  actual_experiment_id      id              Experiment.twinFidelity
    RoiCalculation.experiment      experiment_id             id              Experiment.roiCalculations
    HpoStudy.experiment            experiment_id             id              Experiment.hpoStudies
    DriftRecord.experiment         experiment_id             id              Experiment.driftHistory
    PerformanceMetric.experiment   experiment_id             id              Experiment.performanceMetrics
    MonitoringAlert.experiment     experiment_id             id              Experiment.alerts
    Assignment.experiment          experiment_id             id              Experiment.assignments
    InterimAnalysis.experiment     experiment_id             id              Experiment.interimAnalyses
    ExperimentResult.experiment    experiment_id             id              Experiment.results
    SrmCheck.experiment            experiment_id             id              Experiment.srmChecks
    FidelityComparison.experiment  experiment_id             id              Experiment.fidelityComparisons
    Model.mlflowTrainingRun        mlflow_run_id             mlflow_run_id   TrainingRun.mlflowModels
    TrainingRun.model              model_registry_id         id              Model.trainingRuns
    ShapAnalysis.model             model_registry_id         id              Model.shapAnalyses
    Deployment.model               model_registry_id         id              Model.deployments
    DriftRecord.model              model_id                  id              Model.driftHistory
    PerformanceMetric.model        model_id                  id              Model.performanceMetrics
    MonitoringAlert.model          model_id                  id              Model.alerts
    Retraining.model               model_id                  id              Model.retrainings
    BentoService.model             model_registry_id         id              Model.services
    TrainingRun.hpoStudy           optuna_study_name         study_name      HpoStudy.trainingRuns
    DataQualityReport.trainingRun  training_run_id           id              TrainingRun.dataQualityReports
    ObservabilitySpan.trainingRun  training_run_id           id              TrainingRun.spans
    TwinModel.trainingRun          mlflow_run_id             mlflow_run_id   TrainingRun.twinModels
    Retraining.trainingRun         training_run_id           id              TrainingRun.retrainings
    PromptOptimizationRun.trainingRun  mlflow_run_id         mlflow_run_id   TrainingRun.promptOptimizations
    DriftRecord.features           feature_name              feature_name    Feature.driftHistory
    FeatureRanking.features        feature_name              feature_name    Feature.rankings
    Deployment.previousDeployment  previous_deployment_id    id              Deployment.nextDeployments
    ObservabilitySpan.deployment   deployment_id             id              Deployment.spans
    DriftRecord.deployment         deployment_id             id              Deployment.driftHistory
    PerformanceMetric.deployment   deployment_id             id              Deployment.performanceMetrics
    MonitoringAlert.deployment     deployment_id             id              Deployment.alerts
    Retraining.deployment          deployment_id             id              Deployment.retrainings
    BentoService.deployment        deployment_id             id              Deployment.services
    ObservabilitySpan.parent       trace_id,parent_span_id   trace_id,span_id  ObservabilitySpan.children
    ExpertReview.supersedes        supersedes_review_id      review_id       ExpertReview.supersededBy
    TwinSimulation.twinModel       model_id                  model_id        TwinModel.simulations
    TwinFidelity.simulation        simulation_id             simulation_id   TwinSimulation.fidelity
    FidelityComparison.simulation  twin_simulation_id        simulation_id   TwinSimulation.fidelityComparisons
    ToolDependency.consumerTool    consumer_tool_id          tool_id         Tool.consumes
    ToolDependency.producerTool    producer_tool_id          tool_id         Tool.feeds
    CompositionStep.tool           tool_id                   tool_id         Tool.steps
    ToolPerformance.tool           tool_id                   tool_id         Tool.performance
    OptimizedToolDescription.tool  tool_name                 name            Tool.optimizedDescriptions
    ComposerEpisode.classification classification_id         classification_id  ClassificationLog.episodes
    CompositionStep.episode        episode_id                episode_id      ComposerEpisode.steps
    ToolPerformance.episode        composition_id            composition_id  ComposerEpisode.toolPerformance
    ToolPerformance.step           step_id                   step_id         CompositionStep.performance
    RoiCalculation.supersededByCalculation  superseded_by    calculation_id  RoiCalculation.supersedesCalculations
    RoiValueDriverDetail.calculation  calculation_id         calculation_id  RoiCalculation.valueDrivers
    RoiCostDetail.calculation      calculation_id            calculation_id  RoiCalculation.costs
    HpoStudy.bestTrial             id,best_trial_number      study_id,trial_number  HpoTrial.bestOfStudy
    HpoTrial.study                 study_id                  id              HpoStudy.trials
    MonitoringAlert.driftRecord    drift_history_id          id              DriftRecord.alerts
    MonitoringAlert.retrainingJob  retraining_job_id         id              Retraining.requestingAlerts
    Retraining.alert               alert_id                  id              MonitoringAlert.retrainings
    Retraining.monitoringRun       monitoring_run_id         id              MonitoringRun.retrainings
    Enrollment.assignment          assignment_id             id              Assignment.enrollments
    FidelityComparison.result      results_id                id              ExperimentResult.fidelityComparisons
    ImprovementAction.retrievalConfiguration  retrieval_config_id  config_id  RetrievalConfiguration.improvementActions
    PromptConfiguration.parentPrompt  parent_prompt_id       prompt_id       PromptConfiguration.childPrompts
    ImprovementAction.promptConfiguration  prompt_config_id  prompt_id       PromptConfiguration.improvementActions
    OptimizedInstruction.run       run_id                    run_id          PromptOptimizationRun.instructions
    OptimizedToolDescription.run   run_id                    run_id          PromptOptimizationRun.toolDescriptions
    PromptAbTest.baselineInstruction   baseline_instruction_id   instruction_id  OptimizedInstruction.baselineInTests
    PromptAbTest.treatmentInstruction  treatment_instruction_id  instruction_id  OptimizedInstruction.treatmentInTests
    PromptAbTestObservation.test   test_id                   test_id         PromptAbTest.observations
    ServingMetric.service          service_id                id              BentoService.metrics
    MaterializationJob.featureView feature_view_id           id              FeatureView.materializationJobs
    FeatureFreshness.featureView   feature_view_id           id              FeatureView.freshness
    DiscoveryAlgorithmRun.dag      dag_id                    id              DiscoveredDag.algorithmRuns
    DiscoveredEdge.dag             dag_id                    id              DiscoveredDag.edges
    DriverRanking.dag              dag_id                    id              DiscoveredDag.driverRankings
    FeatureRanking.driverRanking   ranking_id                id              DriverRanking.featureRankings
    CohortExecution.cohort         cohort_id                 cohort_id       CohortDefinition.executions
    CohortEligibilityLog.cohort    cohort_id                 cohort_id       CohortDefinition.eligibilityLog
    PatientCohortAssignment.cohort cohort_id                 cohort_id       CohortDefinition.patientAssignments
    CohortEligibilityLog.execution execution_id              execution_id    CohortExecution.eligibilityLog
    PatientCohortAssignment.execution  execution_id          execution_id    CohortExecution.patientAssignments
"""
"""A relation, its columns, the columns of the related type, and the relation that leads back."""

NEWEST = """
    Experiment.latestInterimAnalysis      InterimAnalysis     experiment_id             performed_at
    Experiment.latestResult               ExperimentResult    experiment_id             computed_at
    Experiment.latestSrmCheck             SrmCheck            experiment_id             checked_at
    Model.latestDeployment                Deployment          model_registry_id         created_at
    Model.latestDrift                     DriftRecord         model_id                  created_at
    Model.latestPerformanceMetric         PerformanceMetric   model_id                  measured_at
    MonitoringAlert.latestRetraining      Retraining          alert_id                  triggered_at
    OptimizedInstruction.latestAbTest     PromptAbTest        treatment_instruction_id  created_at
    BentoService.latestMetric             ServingMetric       service_id                recorded_at
    FeatureView.latestMaterializationJob  MaterializationJob  feature_view_id           created_at
    FeatureView.latestFreshness           FeatureFreshness    feature_view_id           recorded_at
    CohortDefinition.latestExecution      CohortExecution     cohort_id                 execution_timestamp
"""
"""A relation to the newest row, that row's type, its column with the key, and the time by which it is the newest."""

CHAMPIONS = {"Experiment.champion", "Model.championOf"}


def _lines(text: str) -> list[tuple[str, str, str, str]]:
    rows = (line.split() for line in text.splitlines() if line.strip())
    return [(one, two, three, four) for one, two, three, four in rows]


@pytest.fixture(scope="module")
async def client(demo_template: Database, clone: Clone) -> AsyncIterator[tuple[Client, World]]:
    """The demo data, in which some texts of either end are empty, and some times are lacking or the same."""
    async with clone(demo_template) as copy:
        sql = await connect(copy.admin_url)
        try:
            await sql.execute(EMPTY)
            world = {type_.name: await sql.fetch(f"SELECT * FROM {type_.sql_name}") for type_ in _tables()}
        finally:
            await sql.close()
        async with serving(copy.gateway_url, count_up_to=0) as one:
            yield one, world


EMPTY = """
    UPDATE ml_model_registry SET mlflow_run_id = '' WHERE id IN (SELECT id FROM ml_model_registry ORDER BY id LIMIT 2);
    UPDATE digital_twin_models SET mlflow_run_id = ''
    WHERE model_id IN (SELECT model_id FROM digital_twin_models ORDER BY model_id LIMIT 1);
    UPDATE ml_training_runs SET mlflow_run_id = '', optuna_study_name = ''
    WHERE id IN (SELECT id FROM ml_training_runs ORDER BY id LIMIT 1);
    UPDATE ml_shap_analyses SET computed_at = NULL
    WHERE id IN (SELECT id FROM ml_shap_analyses ORDER BY computed_at DESC LIMIT 1);
    UPDATE ml_drift_history SET created_at = NULL
    WHERE id IN (SELECT id FROM ml_drift_history ORDER BY created_at DESC LIMIT 3);
    UPDATE ml_performance_metrics AS m SET measured_at = o.newest
    FROM (SELECT model_id, max(measured_at) AS newest FROM ml_performance_metrics GROUP BY model_id) AS o
    WHERE o.model_id = m.model_id AND m.measured_at > o.newest - interval '3 days'
"""


def _tables() -> list[Type]:
    return [type_ for type_ in catalogue() if not type_.is_view]


def _id(type_: str, row: Row) -> str:
    return ":".join([type_, *(str(row[column]) for column in catalogue()[type_].key)])


def _value(row: Row, columns: str) -> tuple[Any, ...] | None:
    """What is equal at both ends; an empty text or a null is equal to nothing."""
    values = tuple(row[column] for column in columns.split(","))
    return None if any(value is None or value == "" for value in values) else values


def _found(here: Iterable[Row], columns: str, there: Iterable[Row], others: str) -> list[tuple[Row, list[Row]]]:
    """Each row with those that it leads to."""
    by_value = defaultdict(list)
    for row in there:
        by_value[_value(row, others)].append(row)
    by_value.pop(None, None)
    return [(row, by_value.get(_value(row, columns), [])) for row in here]


def _few(found: Sequence[tuple[Row, list[Row]]]) -> list[tuple[Row, list[Row]]]:
    """Some rows that lead to fewer rows than are asked, to more, and to none."""
    some = sorted((one for one in found if one[1]), key=lambda one: len(one[1]))
    none = [one for one in found if not one[1]]
    return [*some[:FEW], *some[FEW:][-FEW:], *none[:FEW]]


async def _asked(client: Client, place: str, rows: Sequence[Row]) -> list[Any]:
    """What a relation answers for rows, in their order."""
    type_, name = place.split(".")
    below = f"(first: {BELOW}) {{ totalCount nodes {{ id }} }}" if catalogue()[type_].relations[name].many else "{ id }"
    data = await client.data(
        f"query($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on {type_} {{ of: {name}{below} }} }} }}",
        ids=[_id(type_, row) for row in rows],
    )
    return [node["of"] for node in data["nodes"]]


@pytest.mark.slow
@pytest.mark.parametrize("line", _lines(KEYS), ids=lambda line: line[0])
async def test_related_rows_have_the_same_key(client: tuple[Client, World], line: tuple[str, str, str, str]) -> None:
    asked, world = client
    there, columns, others, back = line
    for place, own, target, theirs in ((there, columns, back, others), (back, others, there, columns)):
        type_, of = place.split(".")[0], target.split(".")[0]
        found = _few(_found(world[type_], own, world[of], theirs))
        assert found[0][1], "there is something to find"
        for (row, related), got in zip(found, await _asked(asked, place, [one for one, _ in found]), strict=True):
            ids = {_id(of, one) for one in related}
            if catalogue()[type_].relations[place.split(".")[1]].many:
                assert got["totalCount"] == len(ids), (place, _id(type_, row))
                assert {one["id"] for one in got["nodes"]} <= ids
                assert len(got["nodes"]) == min(len(ids), BELOW)
            else:
                assert (got and got["id"]) in (ids or {None}), (place, _id(type_, row))


@pytest.mark.parametrize("line", _lines(NEWEST), ids=lambda line: line[0])
async def test_the_newest_row_of_each(client: tuple[Client, World], line: tuple[str, str, str, str]) -> None:
    """Newest first, without a time last, then by the greater key."""
    asked, world = client
    place, of, column, time = line
    type_ = place.split(".")[0]
    (key,), (own,) = catalogue()[of].key, catalogue()[type_].key
    found = _few(_found(world[type_], own, world[of], column))
    assert found[0][1], "there is something to find"
    for (row, related), got in zip(found, await _asked(asked, place, [one for one, _ in found]), strict=True):
        with_time = [one for one in related if one[time] is not None] or related
        newest = max(with_time, key=lambda one: (one[time] is not None and one[time], one[key]), default=None)
        assert (got and got["id"]) == (newest and _id(of, newest)), (place, _id(type_, row))


async def test_the_champion_is_the_experiments_model_that_says_so(client: tuple[Client, World]) -> None:
    asked, world = client
    champions = {model["experiment_id"]: model for model in world["Model"] if model["is_champion"]}
    experiments, models = world["Experiment"][:60], world["Model"][:60]
    for experiment, got in zip(experiments, await _asked(asked, "Experiment.champion", experiments), strict=True):
        one = champions.get(experiment["id"])
        assert (got and got["id"]) == (one and _id("Model", one))
    for model, got in zip(models, await _asked(asked, "Model.championOf", models), strict=True):
        assert (got and got["id"]) == (f"Experiment:{model['experiment_id']}" if model["is_champion"] else None)


def test_every_relation_of_tables_has_an_oracle() -> None:
    keys = {place for there, _, _, back in _lines(KEYS) for place in (there, back)}
    known = keys | {one[0] for one in _lines(NEWEST)} | {place for pair in RELATED for place in pair} | CHAMPIONS
    relations = {
        f"{type_.name}.{name}"
        for type_ in _tables()
        for name, one in type_.relations.items()
        if not catalogue()[one.target].is_view
    }
    assert relations == known


def test_every_reference_of_the_data_dictionary_is_a_relation() -> None:
    tables = {type_.sql_name: type_.name for type_ in _tables()}
    dictionary: Mapping[str, Any] = json.loads(Path("tests/spec/catalog.json").read_text(encoding="utf-8"))
    said = {
        (tables[table["name"]], column["name"], *_referenced(tables, column["references"]))
        for group in dictionary["groups"]
        for table in group["tables"]
        for column in table["columns"]
        if column["references"] and column["references"].rpartition(".")[0] in tables
    }
    held = {(there.split(".")[0], columns, back.split(".")[0], others) for there, columns, others, back in _lines(KEYS)}
    assert len(said) > 40
    assert said <= held


def _referenced(tables: Mapping[str, str], place: str) -> tuple[str, str]:
    table, _, column = place.rpartition(".")
    return tables[table], column
