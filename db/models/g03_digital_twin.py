"""Group 3, digital twin: twin models, the interventions simulated on them, and how true the simulations proved."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import TEXT, VARCHAR, Boolean, Double, ForeignKey, Integer, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lineage import LineageKind, comes_from, leads_to
from db.base.markers import Group, entity
from db.base.vocabulary import (
    EMPTY_LIST,
    EMPTY_OBJECT,
    NEW_UUID,
    NOW,
    Entity,
    Labels,
    belongs_to,
    column,
    computed,
    linked_by,
    pg_enum,
)
from db.models.grades import GRADES, grade_of
from db.models.shared import BRANDS


class TwinType(Labels, pg_name="twin_type"):
    """What a digital twin stands for."""

    HCP = "hcp", "A healthcare professional."
    PATIENT = "patient", "A patient's journey."
    TERRITORY = "territory", "A sales territory."


class SimulationStatus(Labels, pg_name="simulation_status"):
    """Lifecycle status of a simulation."""

    PENDING = "pending", "Requested; has not started yet."
    RUNNING = "running", "Being simulated."
    COMPLETED = "completed", "Finished with results."
    FAILED = "failed", "Ended with an error."


class SimulationRecommendation(Labels, pg_name="simulation_recommendation"):
    """What a simulation advises about the real experiment."""

    DEPLOY = "deploy", "Run the real A/B test."
    SKIP = "skip", "Do not run the experiment: no effect worth it is expected."
    REFINE = "refine", "Change the intervention and simulate again."


class FidelityGrade(Labels, pg_name="fidelity_grade"):
    """How close a prediction came to the real outcome, by the size of its relative error."""

    EXCELLENT = "excellent", "Less than 10% error."
    GOOD = "good", "10-20% error."
    FAIR = "fair", "20-35% error."
    POOR = "poor", "More than 35% error."
    UNVALIDATED = "unvalidated", "Not compared with a real outcome yet."


class TwinModel(Entity):
    """A trained ML model that generates digital twins: synthetic HCP, patient, or territory populations.

    Its fidelity is tracked against the outcomes of real experiments.
    """

    __group__ = Group.DIGITAL_TWIN
    __aliases__ = ("twin", "digital twin")
    __tablename__ = "digital_twin_models"
    __record__ = entity(server=("fidelity_score", "fidelity_sample_count", "last_fidelity_update"), actor="created_by")
    __label__ = ("model_name", "model_version")
    __order__ = "created_at"
    __search__ = ("model_name", "model_version", "mlflow_run_id", "mlflow_model_uri")

    model_id: Mapped[UUID] = column(Uuid(), "Model identifier.", primary_key=True, server_default=NEW_UUID)
    model_name: Mapped[str] = column(VARCHAR(200), "Human-readable name.", holds=Holds.IDENTIFIER)
    model_description: Mapped[str | None] = column(TEXT(), "What the model is for, in prose.", holds=Holds.PROSE)
    twin_type: Mapped[TwinType] = column(pg_enum(TwinType), "What its twins stand for: hcp, patient, or territory.")
    model_version: Mapped[str] = column(VARCHAR(50), "Version of the model.", holds=Holds.IDENTIFIER)
    mlflow_run_id: Mapped[str | None] = column(
        VARCHAR(100), "MLflow run that produced the model.", holds=Holds.IDENTIFIER
    )
    mlflow_model_uri: Mapped[str | None] = column(
        VARCHAR(500), "MLflow model URI of the artifact.", holds=Holds.IDENTIFIER
    )
    training_config: Mapped[Any] = column(
        JSONB(),
        "Algorithm, n_estimators, max_depth, cv_folds and the like.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
    )
    feature_columns: Mapped[list[str]] = column(ARRAY(TEXT()), "Columns that the model reads.", holds=Holds.IDENTIFIER)
    target_columns: Mapped[list[str]] = column(
        ARRAY(TEXT()), "Columns that the model predicts.", holds=Holds.IDENTIFIER
    )
    performance_metrics: Mapped[Any] = column(
        JSONB(), "r2_score, rmse, mae and cv_scores of the model.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )
    fidelity_score: Mapped[float | None] = column(
        Double(),
        "0-1 fidelity against real outcomes; set by a trigger from the last validations.",
        unit=Unit.FRACTION,
        aliases=("accuracy",),
    )
    fidelity_sample_count: Mapped[int | None] = column(
        Integer(),
        "Number of validations that the fidelity score was computed from.",
        server_default="0",
        unit=Unit.COUNT,
    )
    last_fidelity_update: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the fidelity score was last computed."
    )
    is_active: Mapped[bool | None] = column(
        Boolean(), "Whether the model is currently deployed.", server_default="true", aliases=("active",)
    )
    activation_date: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was activated.")
    deactivation_date: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was deactivated.")
    deactivation_reason: Mapped[str | None] = column(TEXT(), "Why it was deactivated, if it was.", holds=Holds.PROSE)
    brand: Mapped[str] = column(
        VARCHAR(100),
        "Brand that the twins are about: Remibrutinib, Fabhalta, Kisqali, or All.",
        values=(*BRANDS, "All"),
    )
    geographic_scope: Mapped[str | None] = column(
        VARCHAR(100), "Area that the twins stand for, such as national.", server_default="national", holds=Holds.LABEL
    )
    created_by: Mapped[str | None] = column(
        VARCHAR(100), "User or agent that created the model.", holds=Holds.IDENTIFIER
    )
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was created.", server_default=NOW)
    updated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it was last changed; set by a trigger.", server_default=NOW
    )

    training_run = belongs_to(
        "TrainingRun",
        {"mlflow_run_id": "mlflow_run_id"},
        "The training run that produced the model, according to MLflow.",
        inverse="twin_models",
        inverse_doc="Twin models that the run produced, according to MLflow.",
        lineage=comes_from(LineageKind.LINKED_TO),
    )


class TwinSimulation(Entity):
    """A simulated intervention on a population of twins: its predicted effect and what it advises.

    It screens an A/B test before the test is run, and recommends the sample size.
    """

    __group__ = Group.DIGITAL_TWIN
    __aliases__ = ("simulation", "scenario", "what if")
    __tablename__ = "twin_simulations"
    __record__ = entity(born=("PENDING", "COMPLETED", "FAILED"), actor="requested_by")
    __label__ = ("intervention_type",)
    __order__ = "created_at"

    simulation_id: Mapped[UUID] = column(Uuid(), "Simulation identifier.", primary_key=True, server_default=NEW_UUID)
    model_id: Mapped[UUID] = column(Uuid(), "Twin model used.", ForeignKey("digital_twin_models.model_id"))
    experiment_design_id: Mapped[UUID | None] = column(
        Uuid(), "Experiment that the simulation screens, once it is linked to one (ml_experiments; no foreign key)."
    )
    intervention_type: Mapped[str] = column(
        VARCHAR(100), "Kind of intervention: email_campaign, call_frequency_increase, etc.", holds=Holds.LABEL
    )
    intervention_config: Mapped[Any] = column(
        JSONB(),
        "Channel, frequency, duration and target segment of the intervention.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
    )
    target_population: Mapped[TwinType] = column(
        pg_enum(TwinType), "Population that the intervention is aimed at: hcp, patient, or territory."
    )
    population_filters: Mapped[Any | None] = column(
        JSONB(),
        "Criteria that select the twins, such as specialty, decile, region and adoption stage.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
    )
    twin_count: Mapped[int] = column(Integer(), "Number of twins simulated.", unit=Unit.COUNT)
    simulated_ate: Mapped[float | None] = column(
        Double(),
        "Average Treatment Effect of the intervention, in units of the outcome.",
        unit=Unit.ROW_SCALE,
        aliases=("average treatment effect", "effect", "predicted effect", "uplift"),
    )
    simulated_ci_lower: Mapped[float | None] = column(
        Double(), "95% CI lower bound of the effect.", unit=Unit.ROW_SCALE
    )
    simulated_ci_upper: Mapped[float | None] = column(
        Double(), "95% CI upper bound of the effect.", unit=Unit.ROW_SCALE
    )
    simulated_std_error: Mapped[float | None] = column(Double(), "Standard error of the effect.", unit=Unit.ROW_SCALE)
    effect_heterogeneity: Mapped[Any | None] = column(
        JSONB(),
        "The effect by subgroup, such as specialty or decile, with group sizes.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
    )
    simulation_status: Mapped[SimulationStatus] = column(
        pg_enum(SimulationStatus),
        "State of the simulation: pending, running, completed or failed.",
        server_default=SimulationStatus.PENDING.value,
    )
    recommendation: Mapped[SimulationRecommendation | None] = column(
        pg_enum(SimulationRecommendation),
        "What the simulation advises: deploy, skip, or refine.",
        aliases=("advice", "decision"),
    )
    recommendation_rationale: Mapped[str | None] = column(TEXT(), "Why it advises so.", holds=Holds.PROSE)
    recommended_sample_size: Mapped[int | None] = column(
        Integer(), "Suggested real experiment sample size, in participants.", unit=Unit.COUNT, aliases=("n",)
    )
    recommended_duration_weeks: Mapped[int | None] = column(
        Integer(), "Suggested duration of the real experiment, in weeks.", unit=Unit.WEEKS
    )
    simulation_confidence: Mapped[float | None] = column(
        Double(),
        "Confidence in the prediction (0-1), given the fidelity of the twin model.",
        unit=Unit.FRACTION,
        aliases=("certainty",),
    )
    fidelity_warning: Mapped[bool | None] = column(
        Boolean(), "Whether the twin model's fidelity makes the prediction doubtful.", server_default="false"
    )
    fidelity_warning_reason: Mapped[str | None] = column(
        TEXT(), "Why the prediction is doubtful, if it is.", holds=Holds.PROSE
    )
    execution_time_ms: Mapped[int | None] = column(
        Integer(), "How long the simulation took, in milliseconds.", unit=Unit.MILLISECONDS
    )
    memory_usage_mb: Mapped[int | None] = column(
        Integer(), "Memory that the simulation used, in megabytes.", unit=Unit.MEGABYTES
    )
    brand: Mapped[str] = column(
        VARCHAR(100), "Brand that the intervention is for: Remibrutinib, Fabhalta, or Kisqali.", values=BRANDS
    )
    error_message: Mapped[str | None] = column(TEXT(), "Why the simulation failed, if it did.", holds=Holds.PROSE)
    requested_by: Mapped[str | None] = column(
        VARCHAR(100), "User or agent that requested the simulation.", holds=Holds.IDENTIFIER
    )
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was requested.", server_default=NOW)
    started_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it started.")
    completed_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it ended.")

    twin_model = belongs_to(
        "TwinModel",
        {"model_id": "model_id"},
        "The twin model that generated the simulated population.",
        inverse="simulations",
        inverse_doc="Simulations that the twin model generated.",
        lineage=comes_from(LineageKind.GENERATES),
    )
    experiment = belongs_to(
        "Experiment",
        "experiment_design_id",
        "The experiment that the simulation screens.",
        inverse="simulations",
        inverse_doc="Digital twin simulations that screen the experiment.",
        lineage=leads_to(LineageKind.RECOMMENDS),
    )
    recommended_assignments = linked_by(
        "Assignment",
        "{that}.experiment_id = {this}.experiment_design_id AND {this}.recommendation = 'deploy'",
        "Assignments of the experiment that the simulation recommended to deploy.",
        this_columns=("experiment_design_id", "recommendation"),
        that_columns=("experiment_id",),
        inverse="recommending_simulations",
        inverse_doc="Digital twin simulations that recommended the experiment of the assignment.",
        lineage=leads_to(LineageKind.RECOMMENDS),
    )


class TwinFidelity(Entity):
    """A simulation's prediction beside the outcome of the real experiment.

    A trigger computes the errors, the coverage and the grade when actual results are recorded.
    """

    __group__ = Group.DIGITAL_TWIN
    __aliases__ = ("fidelity", "twin accuracy", "twin validation")
    __tablename__ = "twin_fidelity_tracking"
    __record__ = entity(
        server=(
            "actual_ate", "actual_ci_lower", "actual_ci_upper", "actual_sample_size", "prediction_error",
            "absolute_error", "ci_coverage", "fidelity_grade", "validated_by", "validated_at",
        ),
        updates=("actual_experiment_id", "validation_notes", "confounding_factors"),
    )  # fmt: skip
    __label__ = ("fidelity_grade",)
    __order__ = "created_at"

    tracking_id: Mapped[UUID] = column(Uuid(), "Tracking record identifier.", primary_key=True, server_default=NEW_UUID)
    simulation_id: Mapped[UUID] = column(
        Uuid(), "Simulation being validated.", ForeignKey("twin_simulations.simulation_id", ondelete="CASCADE")
    )
    actual_experiment_id: Mapped[UUID | None] = column(
        Uuid(), "Experiment that gave the real effect (ml_experiments; no foreign key)."
    )
    simulated_ate: Mapped[float] = column(
        Double(),
        "Twin-predicted effect, in units of the outcome.",
        unit=Unit.ROW_SCALE,
        aliases=("predicted effect", "average treatment effect"),
    )
    simulated_ci_lower: Mapped[float | None] = column(
        Double(), "95% CI lower bound of the predicted effect.", unit=Unit.ROW_SCALE
    )
    simulated_ci_upper: Mapped[float | None] = column(
        Double(), "95% CI upper bound of the predicted effect.", unit=Unit.ROW_SCALE
    )
    actual_ate: Mapped[float | None] = column(
        Double(),
        "Real experiment effect, in units of the outcome; null until it is known.",
        unit=Unit.ROW_SCALE,
        aliases=("real effect", "observed effect", "average treatment effect"),
    )
    actual_ci_lower: Mapped[float | None] = column(
        Double(), "95% CI lower bound of the real effect.", unit=Unit.ROW_SCALE
    )
    actual_ci_upper: Mapped[float | None] = column(
        Double(), "95% CI upper bound of the real effect.", unit=Unit.ROW_SCALE
    )
    actual_sample_size: Mapped[int | None] = column(
        Integer(), "Number of participants of the real experiment.", unit=Unit.COUNT
    )
    prediction_error: Mapped[float | None] = column(
        Double(),
        "(simulated - actual) / actual, a fraction: 0.1 is 10% too high; set by a trigger, null if actual is zero.",
        unit=Unit.FRACTION,
    )
    absolute_error: Mapped[float | None] = column(
        Double(), "|simulated - actual|, in units of the outcome; set by a trigger.", unit=Unit.ROW_SCALE
    )
    ci_coverage: Mapped[bool | None] = column(
        Boolean(), "Did actual fall within simulated CI? Set by a trigger; null where a bound is missing."
    )
    fidelity_grade: Mapped[FidelityGrade] = column(
        pg_enum(FidelityGrade),
        "Auto-computed from prediction error: excellent (<10% error), good (10-20%), fair (20-35%), poor (>35%), "
        "or unvalidated.",
        server_default=FidelityGrade.UNVALIDATED.value,
        aliases=("accuracy",),
    )
    validation_notes: Mapped[str | None] = column(TEXT(), "Remarks of whoever validated it.", holds=Holds.PROSE)
    confounding_factors: Mapped[Any | None] = column(
        JSONB(),
        "What else may have moved the real outcome, such as a competitor's launch.",
        server_default=EMPTY_LIST,
        holds=Holds.PROSE,
    )
    validated_by: Mapped[str | None] = column(
        VARCHAR(100), "User or agent that recorded the real outcome.", holds=Holds.IDENTIFIER
    )
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When tracking of the prediction began.", server_default=NOW
    )
    validated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the real outcome was recorded; set by a trigger unless given."
    )

    effect_grade = computed(
        grade_of("{row}.simulated_ate", "{row}.actual_ate"),
        TEXT(),
        "Grade of the predicted effect against the actual one, by one rule on every database, independent of the "
        "stored grade: excellent (an error below 10 % of the actual effect), good (below 20 %), fair (up to 35 %) or "
        "poor; null if either effect is missing.",
        columns=("simulated_ate", "actual_ate"),
        values=GRADES,
        aliases=("exact grade",),
    )

    simulation = belongs_to(
        "TwinSimulation",
        {"simulation_id": "simulation_id"},
        "The simulation that is validated.",
        inverse="fidelity",
        inverse_doc="How the simulation's prediction compares with real outcomes.",
        lineage=comes_from(LineageKind.PREDICTED_VS_ACTUAL),
    )
    actual_experiment = belongs_to(
        "Experiment",
        "actual_experiment_id",
        "The experiment that gave the real effect.",
        inverse="twin_fidelity",
        inverse_doc="Twin predictions validated by the experiment's outcome.",
        lineage=comes_from(LineageKind.ACTUAL_RESULTS),
        aliases=("real experiment", "validated by"),
    )
    twin_model = linked_by(
        "TwinModel",
        "{that}.model_id = (SELECT s.model_id FROM twin_simulations AS s WHERE s.simulation_id = {this}.simulation_id)",
        "The twin model whose prediction is validated.",
        this_columns=("simulation_id",),
        that_columns=("model_id",),
        many=False,
        inverse="fidelity_history",
        inverse_doc="Every validation of the model's simulations, newest first.",
        inverse_sql="{this}.simulation_id IN "
        "(SELECT s.simulation_id FROM twin_simulations AS s WHERE s.model_id = {that}.model_id)",
        lineage=leads_to(LineageKind.FIDELITY_GRADE, closes_loop=True),
    )
