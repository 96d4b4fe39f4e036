"""Group 1, MLOps core: experiments, models, training runs, features, data quality, SHAP, deployments, traces."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    TEXT,
    VARCHAR,
    Boolean,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP, ExcludeConstraint
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lineage import LineageKind, comes_from, leads_to
from db.base.markers import Group, entity, facts
from db.base.vocabulary import (
    EMPTY_LIST,
    EMPTY_OBJECT,
    NEW_UUID,
    NOW,
    PATIENT,
    Entity,
    Labels,
    belongs_to,
    column,
    linked_by,
    pg_enum,
)
from db.models.shared import AgentName, AgentTier, Brand, DataSplit, Region


class ModelStage(Labels, pg_name="model_stage_enum"):
    """Lifecycle stage of a model version."""

    DEVELOPMENT = "development", "Being built and evaluated; serves nobody."
    STAGING = "staging", "Candidate under review before it sees traffic."
    SHADOW = "shadow", "Receives copies of production requests; its answers are recorded, not used."
    PRODUCTION = "production", "Serves production requests."
    ARCHIVED = "archived", "Kept for the record; can no longer be promoted."
    DEPRECATED = "deprecated", "Left production; to be archived."


class DataQualityStatus(Labels, pg_name="dq_status_enum"):
    """Outcome of a Great Expectations validation."""

    PASSED = "passed", "Every expectation held."
    FAILED = "failed", "At least one critical expectation failed."
    WARNING = "warning", "Only non-critical expectations failed."
    SKIPPED = "skipped", "The suite was not run."


class DeploymentStatus(Labels, pg_name="deployment_status_enum"):
    """Lifecycle status of a deployment or of a service."""

    PENDING = "pending", "Requested; nothing has started yet."
    DEPLOYING = "deploying", "Being rolled out."
    ACTIVE = "active", "Serving requests."
    DRAINING = "draining", "Finishing requests in flight; takes no new ones."
    ROLLED_BACK = "rolled_back", "Taken out in favour of an earlier deployment."
    FAILED = "failed", "The roll-out or the service failed."


class Experiment(Entity):
    """An ML experiment: its scope, its success criteria and its MLflow reference.

    Everything that is trained, deployed, tested or simulated for one prediction target hangs below it.
    """

    __group__ = Group.MLOPS_CORE
    __aliases__ = ("ml experiment",)
    __tablename__ = "ml_experiments"
    __record__ = entity(key=("mlflow_experiment_id",), actor="created_by")
    __table_args__ = (CheckConstraint("minimum_auc BETWEEN 0.5 AND 1.0", name="valid_auc"),)
    __order__ = "created_at"
    __search__ = ("experiment_name", "mlflow_experiment_id")

    id: Mapped[UUID] = column(Uuid(), "Experiment identifier.", primary_key=True, server_default=NEW_UUID)
    experiment_name: Mapped[str] = column(VARCHAR(255), "Human-readable name.", holds=Holds.IDENTIFIER)
    mlflow_experiment_id: Mapped[str | None] = column(
        VARCHAR(100), "MLflow experiment reference.", unique=True, holds=Holds.IDENTIFIER
    )
    description: Mapped[str | None] = column(TEXT(), "What the experiment is for, in prose.", holds=Holds.PROSE)
    prediction_target: Mapped[str] = column(
        VARCHAR(100), "What the experiment predicts.", holds=Holds.LABEL, aliases=("target", "label", "outcome")
    )
    target_population: Mapped[str | None] = column(
        TEXT(), "Population that the prediction is made for.", holds=Holds.PROSE
    )
    observation_window_days: Mapped[int | None] = column(Integer(), "Data lookback window, in days.", unit=Unit.DAYS)
    prediction_horizon_days: Mapped[int | None] = column(
        Integer(), "Forward prediction period, in days.", unit=Unit.DAYS
    )
    minimum_auc: Mapped[Decimal | None] = column(
        Numeric(4, 3),
        "Success threshold: the least ROC AUC that a model must reach (0.5-1.0).",
        unit=Unit.FRACTION,
        aliases=("required auc", "threshold"),
    )
    minimum_precision_at_k: Mapped[Decimal | None] = column(
        Numeric(4, 3), "Success threshold: the least precision among the top k predictions (0-1).", unit=Unit.FRACTION
    )
    maximum_fpr: Mapped[Decimal | None] = column(
        Numeric(4, 3),
        "Success threshold: the highest false positive rate that a model may have (0-1).",
        unit=Unit.FRACTION,
    )
    brand: Mapped[Brand | None] = column(pg_enum(Brand), "Brand in scope: Remibrutinib, Fabhalta, or Kisqali.")
    region: Mapped[Region | None] = column(pg_enum(Region), "Region in scope; null for all regions.")
    created_by: Mapped[str | None] = column(
        VARCHAR(100), "User or agent that created the experiment.", holds=Holds.IDENTIFIER
    )
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was created.", server_default=NOW)
    updated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it was last changed; set by a trigger.", server_default=NOW
    )
    data_split: Mapped[DataSplit | None] = column(
        pg_enum(DataSplit),
        "Which data split the row belongs to (train/validation/test tracking).",
        server_default=DataSplit.UNASSIGNED.value,
    )


class Model(Entity):
    """A registered model version with its performance metrics and lifecycle stage.

    A trigger keeps at most one champion per experiment.
    """

    __group__ = Group.MLOPS_CORE
    __aliases__ = ("model version", "registered model", "model registry")
    __tablename__ = "ml_model_registry"
    __record__ = entity(key=("model_name", "model_version"))
    __label__ = ("model_name", "model_version")
    __table_args__ = (
        UniqueConstraint("model_name", "model_version"),
        # the trigger clears the others; this holds at commit, whatever a transaction could not see of another
        ExcludeConstraint(
            ("experiment_id", "="),
            where=text("is_champion"),
            using="btree",
            deferrable=True,
            initially="DEFERRED",
            name="single_champion",
        ),
    )
    __order__ = "registered_at"
    __filtered__ = ("stage",)
    __search__ = ("model_name", "model_version", "mlflow_run_id", "mlflow_model_uri")

    id: Mapped[UUID] = column(Uuid(), "Model identifier.", primary_key=True, server_default=NEW_UUID)
    experiment_id: Mapped[UUID | None] = column(Uuid(), "Parent experiment.", ForeignKey("ml_experiments.id"))
    model_name: Mapped[str] = column(VARCHAR(255), "Model name.", holds=Holds.IDENTIFIER)
    model_version: Mapped[str] = column(VARCHAR(50), "Semantic version string.", holds=Holds.IDENTIFIER)
    mlflow_run_id: Mapped[str | None] = column(
        VARCHAR(100), "MLflow run that produced the model.", holds=Holds.IDENTIFIER
    )
    mlflow_model_uri: Mapped[str | None] = column(TEXT(), "MLflow model URI of the artifact.", holds=Holds.IDENTIFIER)
    algorithm: Mapped[str] = column(
        VARCHAR(100), "Algorithm name (e.g., CausalForestDML).", holds=Holds.LABEL, aliases=("model type", "method")
    )
    hyperparameters: Mapped[Any | None] = column(
        JSONB(),
        "Full hyperparameter set.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
        aliases=("params", "parameters", "config"),
    )
    feature_count: Mapped[int | None] = column(Integer(), "Number of input features.", unit=Unit.COUNT)
    training_samples: Mapped[int | None] = column(
        Integer(), "Number of training samples.", unit=Unit.COUNT, aliases=("training rows", "training set size")
    )
    auc: Mapped[Decimal | None] = column(
        Numeric(5, 4), "ROC AUC score (0-1).", unit=Unit.FRACTION, aliases=("roc auc", "auroc", "accuracy")
    )
    pr_auc: Mapped[Decimal | None] = column(
        Numeric(5, 4),
        "Area under the precision-recall curve (0-1).",
        unit=Unit.FRACTION,
        aliases=("average precision",),
    )
    brier_score: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Brier score (0-1, lower is better).", unit=Unit.FRACTION
    )
    calibration_slope: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Calibration slope (1 is perfectly calibrated).", unit=Unit.DIMENSIONLESS
    )
    fairness_metrics: Mapped[Any | None] = column(
        JSONB(), "Fairness assessment results.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )
    stage: Mapped[ModelStage | None] = column(
        pg_enum(ModelStage),
        "Current lifecycle stage.",
        server_default=ModelStage.DEVELOPMENT.value,
        aliases=("status", "environment", "lifecycle"),
    )
    is_champion: Mapped[bool | None] = column(
        Boolean(),
        "Whether this is the active champion model of its experiment.",
        server_default="false",
        aliases=("champion", "best model", "active model"),
    )
    trained_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When training finished.", aliases=("created", "fitted at")
    )
    registered_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True),
        "When the version was registered.",
        server_default=NOW,
        aliases=("created", "created at"),
    )
    promoted_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it last changed to production.")
    data_split: Mapped[DataSplit | None] = column(
        pg_enum(DataSplit), "Which data split the metrics were taken on.", server_default=DataSplit.UNASSIGNED.value
    )

    experiment = belongs_to(
        "Experiment",
        "experiment_id",
        "The experiment that produced the model.",
        inverse="models",
        inverse_doc="Models that the experiment produced.",
        lineage=comes_from(LineageKind.PRODUCES),
    )
    champion_of = linked_by(
        "Experiment",
        "{that}.id = {this}.experiment_id AND {this}.is_champion",
        "The experiment whose champion the model is; null if it is none's.",
        this_columns=("experiment_id", "is_champion"),
        that_columns=("id",),
        many=False,
        inverse="champion",
        inverse_doc="The experiment's champion model; null where it has none.",
        inverse_many=False,
        lineage="the champion is one of the experiment's models",
    )
    mlflow_training_run = belongs_to(
        "TrainingRun",
        {"mlflow_run_id": "mlflow_run_id"},
        "The training run that MLflow says produced the model.",
        inverse="mlflow_models",
        inverse_doc="Models that MLflow says the run produced.",
        lineage=comes_from(LineageKind.LINKED_TO),
    )


class TrainingRun(Entity):
    """One training run: hyperparameters, metrics per split and Optuna integration."""

    __group__ = Group.MLOPS_CORE
    __aliases__ = ("run", "training", "training job", "fit")
    __tablename__ = "ml_training_runs"
    __record__ = entity(key=("mlflow_run_id",), born=("RUNNING", "COMPLETED", "FINISHED", "FAILED"))
    __label__ = ("run_name", "algorithm")
    __table_args__ = (
        Index(
            "ix_ml_training_runs_feature_names",
            "feature_names",
            postgresql_using="gin",
            postgresql_ops={"feature_names": "jsonb_path_ops"},
        ),
    )
    __order__ = "started_at"
    __filtered__ = ("status",)
    __search__ = ("run_name", "mlflow_run_id", "optuna_study_name")

    id: Mapped[UUID] = column(Uuid(), "Run identifier.", primary_key=True, server_default=NEW_UUID)
    experiment_id: Mapped[UUID | None] = column(Uuid(), "Parent experiment.", ForeignKey("ml_experiments.id"))
    model_registry_id: Mapped[UUID | None] = column(
        Uuid(), "Resulting model (if registered).", ForeignKey("ml_model_registry.id")
    )
    run_name: Mapped[str | None] = column(VARCHAR(255), "Human-readable name of the run.", holds=Holds.IDENTIFIER)
    mlflow_run_id: Mapped[str | None] = column(
        VARCHAR(100), "MLflow run reference.", unique=True, holds=Holds.IDENTIFIER
    )
    algorithm: Mapped[str] = column(VARCHAR(100), "Algorithm used.", holds=Holds.LABEL)
    hyperparameters: Mapped[Any | None] = column(
        JSONB(),
        "Hyperparameters of this run.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
        aliases=("params", "parameters", "config"),
    )
    training_samples: Mapped[int] = column(Integer(), "Number of training samples.", unit=Unit.COUNT)
    validation_samples: Mapped[int | None] = column(Integer(), "Number of validation samples.", unit=Unit.COUNT)
    test_samples: Mapped[int | None] = column(Integer(), "Number of test samples.", unit=Unit.COUNT)
    feature_names: Mapped[Any | None] = column(
        JSONB(), "Names of the input features.", server_default=EMPTY_LIST, holds=Holds.DATA
    )
    train_metrics: Mapped[Any | None] = column(
        JSONB(), "Training split metrics.", server_default=EMPTY_OBJECT, holds=Holds.DATA, aliases=("training score",)
    )
    validation_metrics: Mapped[Any | None] = column(
        JSONB(), "Validation split metrics.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )
    test_metrics: Mapped[Any | None] = column(
        JSONB(), "Test split metrics.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )
    status: Mapped[str | None] = column(
        VARCHAR(50),
        "State of the run: running, completed or failed.",
        server_default="running",
        holds=Holds.STATE,
    )
    error_message: Mapped[str | None] = column(
        TEXT(), "Why the run failed, if it did.", holds=Holds.PROSE, aliases=("failure", "failure reason")
    )
    started_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it started.", server_default=NOW)
    completed_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it ended.")
    duration_seconds: Mapped[int | None] = column(
        Integer(), "Wall-clock training time, in seconds.", unit=Unit.SECONDS, aliases=("runtime",)
    )
    compute_type: Mapped[str | None] = column(VARCHAR(50), "Kind of machine the run used.", holds=Holds.LABEL)
    gpu_used: Mapped[bool | None] = column(Boolean(), "Whether a GPU was used.", server_default="false")
    data_split: Mapped[DataSplit | None] = column(
        pg_enum(DataSplit), "Which data split the run was trained on.", server_default=DataSplit.TRAIN.value
    )
    optuna_study_name: Mapped[str | None] = column(
        VARCHAR(255), "Linked HPO study (if any), by its name.", holds=Holds.IDENTIFIER
    )
    optuna_trial_number: Mapped[int | None] = column(
        Integer(), "Index of the run's trial in the HPO study.", unit=Unit.ORDINAL
    )
    is_best_trial: Mapped[bool | None] = column(
        Boolean(), "Whether this is the best trial in the HPO study.", server_default="false"
    )

    experiment = belongs_to(
        "Experiment",
        "experiment_id",
        "The experiment that contains the run.",
        inverse="training_runs",
        inverse_doc="Training runs that the experiment contains.",
        lineage=comes_from(LineageKind.CONTAINS),
    )
    model = belongs_to(
        "Model",
        "model_registry_id",
        "The model that the run is linked to.",
        inverse="training_runs",
        inverse_doc="Training runs linked to the model.",
        lineage=leads_to(LineageKind.LINKED_TO),
    )
    hpo_study = belongs_to(
        "HpoStudy",
        {"optuna_study_name": "study_name"},
        "The Optuna study that the run was a trial of, by its name.",
        inverse="training_runs",
        inverse_doc="Training runs that were trials of the study.",
        lineage=comes_from(LineageKind.OPTIMIZED_BY),
    )
    hpo_trial = linked_by(
        "HpoTrial",
        "{that}.trial_number = {this}.optuna_trial_number AND {that}.study_id = "
        "(SELECT s.id FROM ml_hpo_studies s WHERE s.study_name = {this}.optuna_study_name)",
        "The Optuna trial that the run carried out, by study name and trial number.",
        this_columns=("optuna_study_name", "optuna_trial_number"),
        that_columns=("study_id", "trial_number"),
        many=False,
        inverse="training_runs",
        inverse_doc="Training runs that carried out the trial.",
        inverse_sql="{this}.optuna_trial_number = {that}.trial_number AND {this}.optuna_study_name = "
        "(SELECT s.study_name FROM ml_hpo_studies s WHERE s.id = {that}.study_id)",
        lineage=comes_from(LineageKind.CARRIED_OUT_AS),
    )
    features = linked_by(
        "Feature",
        "{that}.feature_name <> '' AND {that}.feature_name = ANY (ARRAY(SELECT e #>> '{}' FROM jsonb_array_elements("
        "CASE jsonb_typeof({this}.feature_names) WHEN 'array' THEN {this}.feature_names END) e "
        "WHERE jsonb_typeof(e) = 'string'))",
        "Features that the run was trained on, by name, in every version of theirs.",
        this_columns=("feature_names",),
        that_columns=("feature_name",),
        inverse="training_runs",
        inverse_doc="Training runs that used a feature of this name.",
        inverse_sql="{that}.feature_name <> '' AND {this}.feature_names @> jsonb_build_array({that}.feature_name)",
        lineage=comes_from(LineageKind.CONSUMES),
    )


class Feature(Entity):
    """A feature's metadata: how it is computed, what it looks like and how much it matters.

    Statistics are computed on the train split only, to prevent data leakage.
    """

    __group__ = Group.MLOPS_CORE
    __aliases__ = ("variable", "predictor", "feature store")
    __tablename__ = "ml_feature_store"
    __record__ = entity(key=("feature_name", "feature_version"), retired={"is_active": "false"})
    __label__ = ("feature_name", "feature_version")
    __table_args__ = (UniqueConstraint("feature_name", "feature_version"),)
    __order__ = "created_at"
    __search__ = ("feature_name", "feature_version", "feature_group")

    id: Mapped[UUID] = column(Uuid(), "Feature identifier.", primary_key=True, server_default=NEW_UUID)
    feature_name: Mapped[str] = column(VARCHAR(255), "Feature name.", holds=Holds.IDENTIFIER)
    feature_version: Mapped[str | None] = column(
        VARCHAR(50),
        "Version of the feature's definition; unique together with the name.",
        server_default="1.0",
        holds=Holds.IDENTIFIER,
    )
    feature_group: Mapped[str | None] = column(VARCHAR(100), "Logical grouping.", holds=Holds.LABEL)
    description: Mapped[str | None] = column(TEXT(), "What the feature means, in prose.", holds=Holds.PROSE)
    data_type: Mapped[str] = column(
        VARCHAR(50), "Data type (numeric, categorical, etc.).", holds=Holds.LABEL, aliases=("dtype",)
    )
    entity_type: Mapped[str | None] = column(
        VARCHAR(50), "Entity that it describes: patient, hcp, or treatment.", values=("patient", "hcp", "treatment")
    )
    computation_sql: Mapped[str | None] = column(
        TEXT(), "SQL computation logic.", holds=Holds.PROSE, aliases=("definition", "formula")
    )
    computation_python: Mapped[str | None] = column(
        TEXT(), "Python computation logic, where SQL is not enough.", holds=Holds.PROSE
    )
    source_tables: Mapped[Any | None] = column(
        JSONB(), "Names of the tables that the feature is computed from.", server_default=EMPTY_LIST, holds=Holds.DATA
    )
    train_statistics: Mapped[Any | None] = column(
        JSONB(),
        "Mean, std, min, max, null_rate and histogram of the feature, on the train split only.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
    )
    global_importance: Mapped[Decimal | None] = column(
        Numeric(6, 5), "SHAP global importance score: mean absolute SHAP value.", unit=Unit.ROW_SCALE
    )
    importance_rank: Mapped[int | None] = column(
        Integer(), "Rank by importance; 1 is the most important.", unit=Unit.ORDINAL
    )
    is_active: Mapped[bool | None] = column(Boolean(), "Whether the feature is in use.", server_default="true")
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was created.", server_default=NOW)
    updated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it was last changed; set by a trigger.", server_default=NOW
    )
    data_split: Mapped[DataSplit | None] = column(
        pg_enum(DataSplit),
        "Which data split the statistics were computed on; train, to prevent leakage.",
        server_default=DataSplit.TRAIN.value,
    )


class DataQualityReport(Entity):
    """A Great Expectations validation of one table and split.

    It scores six quality dimensions (completeness, validity, uniqueness, consistency, timeliness, accuracy) and looks
    for leakage between train and test.
    """

    __group__ = Group.MLOPS_CORE
    __aliases__ = ("data quality", "dq report", "validation report", "expectation suite")
    __tablename__ = "ml_data_quality_reports"
    __record__ = entity(actor="run_by", updates=())
    __order__ = "run_at"
    __search__ = ("report_name", "expectation_suite_name", "table_name")

    id: Mapped[UUID] = column(Uuid(), "Report identifier.", primary_key=True, server_default=NEW_UUID)
    report_name: Mapped[str] = column(VARCHAR(255), "Human-readable name of the report.", holds=Holds.IDENTIFIER)
    expectation_suite_name: Mapped[str | None] = column(
        VARCHAR(255), "Great Expectations suite name.", holds=Holds.IDENTIFIER
    )
    table_name: Mapped[str | None] = column(
        VARCHAR(100), "Validated table.", holds=Holds.IDENTIFIER, aliases=("dataset",)
    )
    brand: Mapped[Brand | None] = column(pg_enum(Brand), "Brand whose rows were validated; null for all brands.")
    region: Mapped[Region | None] = column(pg_enum(Region), "Region whose rows were validated; null for all regions.")
    overall_status: Mapped[DataQualityStatus] = column(
        pg_enum(DataQualityStatus),
        "Outcome of the validation: passed, failed, warning or skipped.",
        aliases=("result", "outcome"),
    )
    expectations_evaluated: Mapped[int] = column(Integer(), "Number of expectations evaluated.", unit=Unit.COUNT)
    expectations_passed: Mapped[int] = column(Integer(), "Number of expectations that held.", unit=Unit.COUNT)
    expectations_failed: Mapped[int] = column(Integer(), "Number of expectations that did not hold.", unit=Unit.COUNT)
    success_rate: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Fraction of expectations passed (0-1).", unit=Unit.FRACTION
    )
    failed_expectations: Mapped[Any | None] = column(
        JSONB(),
        "The expectations that failed: their type, column, arguments and observed value.",
        server_default=EMPTY_LIST,
        holds=Holds.PROSE,
    )
    completeness_score: Mapped[Decimal | None] = column(
        Numeric(5, 4),
        "Quality dimension: completeness, values that should be there are there (0-1).",
        unit=Unit.FRACTION,
    )
    validity_score: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Quality dimension: validity, values obey their format and range (0-1).", unit=Unit.FRACTION
    )
    uniqueness_score: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Quality dimension: uniqueness, nothing is recorded twice (0-1).", unit=Unit.FRACTION
    )
    consistency_score: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Quality dimension: consistency, values do not contradict each other (0-1).", unit=Unit.FRACTION
    )
    timeliness_score: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Quality dimension: timeliness, the data is recent enough (0-1).", unit=Unit.FRACTION
    )
    accuracy_score: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Quality dimension: accuracy, values agree with reality (0-1).", unit=Unit.FRACTION
    )
    leakage_detected: Mapped[bool | None] = column(
        Boolean(),
        "Whether train/test leakage was found.",
        server_default="false",
        aliases=("data leak", "train test leakage"),
    )
    leakage_details: Mapped[Any | None] = column(
        JSONB(), "What leaked and where.", server_default=EMPTY_OBJECT, holds=Holds.PROSE
    )
    run_by: Mapped[str | None] = column(VARCHAR(100), "User or agent that ran the validation.", holds=Holds.IDENTIFIER)
    run_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the validation ran.", server_default=NOW, aliases=("created",)
    )
    duration_seconds: Mapped[int | None] = column(
        Integer(), "How long the validation took, in seconds.", unit=Unit.SECONDS
    )
    data_split: Mapped[DataSplit] = column(pg_enum(DataSplit), "Which split was validated.")
    training_run_id: Mapped[UUID | None] = column(
        Uuid(), "Linked training run, the one that the data was checked for.", ForeignKey("ml_training_runs.id")
    )

    training_run = belongs_to(
        "TrainingRun",
        "training_run_id",
        "The training run that the data was checked for.",
        inverse="data_quality_reports",
        inverse_doc="Data quality reports on the data of the run.",
        lineage=leads_to(LineageKind.VALIDATES),
    )
    latest = belongs_to(
        "LatestDataQuality",
        {"table_name": "table_name", "data_split": "data_split"},
        "The most recent result for the same table and split.",
        inverse="reports",
        inverse_doc="All data quality reports of the table and split, newest first.",
        lineage="a view of the reports themselves",
    )


class ShapAnalysis(Entity):
    """SHAP values that explain a model: globally, for a segment, or for one patient or HCP.

    Natural language explanations are generated by the Hybrid LLM node.
    """

    __group__ = Group.MLOPS_CORE
    __aliases__ = ("explanation", "shap", "feature importance", "interpretation")
    __tablename__ = "ml_shap_analyses"
    __record__ = entity(updates=())
    __label__ = ("analysis_type", "segment_name")
    __order__ = "computed_at"
    __search__ = ("explanation_id", "segment_name")

    id: Mapped[UUID] = column(Uuid(), "Analysis identifier.", primary_key=True, server_default=NEW_UUID)
    model_registry_id: Mapped[UUID] = column(Uuid(), "Model analyzed.", ForeignKey("ml_model_registry.id"))
    analysis_type: Mapped[str] = column(
        VARCHAR(50), "Scope of the explanation: global, local, or segment.", values=("global", "local", "segment")
    )
    segment_name: Mapped[str | None] = column(
        VARCHAR(100), "Segment, for segment analysis (e.g., midwest).", holds=Holds.IDENTIFIER
    )
    segment_filter: Mapped[Any | None] = column(JSONB(), "Criteria that select the segment's rows.", holds=Holds.DATA)
    global_importance: Mapped[Any | None] = column(
        JSONB(),
        "Feature name to mean absolute SHAP value.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
        aliases=("feature importance", "shap values"),
    )
    top_interactions: Mapped[Any | None] = column(
        JSONB(),
        "Top feature interactions: pairs of features with the strength.",
        server_default=EMPTY_LIST,
        holds=Holds.DATA,
    )
    entity_type: Mapped[str | None] = column(
        VARCHAR(50), "Kind of entity that a local analysis explains: patient or hcp.", values=("patient", "hcp")
    )
    entity_id: Mapped[str | None] = column(
        VARCHAR(100), "Patient or HCP that a local analysis explains.", scope=PATIENT, holds=Holds.IDENTIFIER
    )
    local_shap_values: Mapped[Any | None] = column(
        JSONB(),
        "Per-entity SHAP values, by feature name.",
        server_default=EMPTY_OBJECT,
        scope=PATIENT,
        holds=Holds.DATA,
    )
    prediction_value: Mapped[Decimal | None] = column(
        Numeric(6, 5), "The prediction that a local analysis explains.", scope=PATIENT, unit=Unit.ROW_SCALE
    )
    base_value: Mapped[Decimal | None] = column(
        Numeric(6, 5),
        "The model's expected output; base value plus SHAP values give the prediction.",
        unit=Unit.ROW_SCALE,
    )
    natural_language_explanation: Mapped[str | None] = column(
        TEXT(),
        "LLM-generated explanation.",
        scope=PATIENT,
        holds=Holds.PROSE,
        aliases=("narrative", "plain language", "summary"),
    )
    key_drivers: Mapped[list[str] | None] = column(
        ARRAY(TEXT()),
        "Top 5 driving features.",
        scope=PATIENT,
        holds=Holds.IDENTIFIER,
        aliases=("top features", "most important features"),
    )
    actionable_features: Mapped[list[str] | None] = column(
        ARRAY(TEXT()), "Features among the drivers that can be influenced.", scope=PATIENT, holds=Holds.IDENTIFIER
    )
    sample_size: Mapped[int | None] = column(
        Integer(), "Number of rows that the values were computed on.", unit=Unit.COUNT
    )
    computation_method: Mapped[str | None] = column(
        VARCHAR(50), "SHAP explainer: TreeExplainer or KernelExplainer.", values=("TreeExplainer", "KernelExplainer")
    )
    computed_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the values were computed.", server_default=NOW
    )
    computation_duration_seconds: Mapped[int | None] = column(
        Integer(), "How long it took, in seconds.", unit=Unit.SECONDS
    )
    data_split: Mapped[DataSplit | None] = column(
        pg_enum(DataSplit), "Which data split was explained.", server_default=DataSplit.TEST.value
    )
    explanation_id: Mapped[str | None] = column(
        VARCHAR(50), "Identifier of a real-time explanation, as its caller received it.", holds=Holds.IDENTIFIER
    )
    patient_id: Mapped[str | None] = column(
        VARCHAR(50), "Patient that a real-time explanation is about.", scope=PATIENT, holds=Holds.IDENTIFIER
    )
    hcp_id: Mapped[str | None] = column(
        VARCHAR(50), "HCP that a real-time explanation is about or was made for.", scope=PATIENT, holds=Holds.IDENTIFIER
    )
    request_timestamp: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When a real-time explanation was requested."
    )
    response_time_ms: Mapped[float | None] = column(
        Double(), "How long a real-time explanation took to answer, in milliseconds.", unit=Unit.MILLISECONDS
    )
    prediction_class: Mapped[str | None] = column(
        VARCHAR(100), "Class that the model predicted.", scope=PATIENT, holds=Holds.LABEL
    )
    prediction_probability: Mapped[float | None] = column(
        Double(), "Probability of the predicted class (0-1).", scope=PATIENT, unit=Unit.FRACTION
    )
    top_k_requested: Mapped[int | None] = column(
        Integer(), "Number of top features that the caller asked for.", server_default="5", unit=Unit.COUNT
    )
    format_requested: Mapped[str | None] = column(
        VARCHAR(50),
        "Format of the explanation that the caller asked for, such as top_k.",
        server_default="top_k",
        holds=Holds.LABEL,
    )
    narrative_generated: Mapped[bool | None] = column(
        Boolean(), "Whether a natural language explanation was generated.", server_default="false"
    )
    api_version: Mapped[str | None] = column(
        VARCHAR(20), "Version of the explanation API that answered.", server_default="4.1.0", holds=Holds.IDENTIFIER
    )

    model = belongs_to(
        "Model",
        "model_registry_id",
        "The model that the analysis explains.",
        inverse="shap_analyses",
        inverse_doc="SHAP analyses that the model is explained by.",
        lineage=comes_from(LineageKind.EXPLAINED_BY),
    )


class Deployment(Entity):
    """One deployment of a model: its environment, its shadow mode test, its SLA figures and its rollback chain."""

    __group__ = Group.MLOPS_CORE
    __aliases__ = ("release", "rollout")
    __tablename__ = "ml_deployments"
    __record__ = entity(
        door="startDeployment",
        why="a deployment is linked to the one that it replaces",
        updates=(
            "endpoint_name", "endpoint_url", "deployment_config", "shadow_metrics", "production_metrics",
            "latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "error_rate",
        ),
    )  # fmt: skip
    __order__ = "created_at"
    __filtered__ = ("status",)
    __search__ = ("deployment_name", "endpoint_name", "endpoint_url")

    id: Mapped[UUID] = column(Uuid(), "Deployment identifier.", primary_key=True, server_default=NEW_UUID)
    model_registry_id: Mapped[UUID] = column(Uuid(), "Deployed model.", ForeignKey("ml_model_registry.id"))
    deployment_name: Mapped[str] = column(VARCHAR(255), "Deployment label.", holds=Holds.IDENTIFIER)
    environment: Mapped[str] = column(
        VARCHAR(50),
        "Target environment: development, staging, or production.",
        values=("development", "staging", "production"),
        aliases=("env", "stage"),
    )
    endpoint_name: Mapped[str | None] = column(
        VARCHAR(255), "Name of the endpoint that answers requests.", holds=Holds.IDENTIFIER
    )
    endpoint_url: Mapped[str | None] = column(
        TEXT(), "URL of the endpoint that answers requests.", holds=Holds.IDENTIFIER, aliases=("url", "address")
    )
    status: Mapped[DeploymentStatus | None] = column(
        pg_enum(DeploymentStatus),
        "Current deployment status.",
        server_default=DeploymentStatus.PENDING.value,
        aliases=("state",),
    )
    deployed_by: Mapped[str | None] = column(
        VARCHAR(100), "User or agent that deployed it.", holds=Holds.IDENTIFIER, aliases=("owner",)
    )
    deployment_config: Mapped[Any | None] = column(
        JSONB(),
        "How it is deployed: replicas, resources, traffic and the like.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
    )
    shadow_metrics: Mapped[Any | None] = column(
        JSONB(), "Metrics from shadow mode.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )
    production_metrics: Mapped[Any | None] = column(
        JSONB(), "Metrics after promotion.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )
    previous_deployment_id: Mapped[UUID | None] = column(
        Uuid(), "Rollback chain reference: the deployment that this one replaced.", ForeignKey("ml_deployments.id")
    )
    rollback_reason: Mapped[str | None] = column(
        TEXT(), "Why it was rolled back, if it was.", holds=Holds.PROSE, aliases=("why rolled back",)
    )
    rolled_back_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was rolled back.")
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was requested.", server_default=NOW)
    deployed_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it became active.")
    deactivated_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it stopped serving.")
    latency_p50_ms: Mapped[int | None] = column(
        Integer(),
        "50th percentile latency, in milliseconds.",
        unit=Unit.MILLISECONDS,
        aliases=("p50", "median latency"),
    )
    latency_p95_ms: Mapped[int | None] = column(
        Integer(), "95th percentile latency, in milliseconds.", unit=Unit.MILLISECONDS, aliases=("p95",)
    )
    latency_p99_ms: Mapped[int | None] = column(
        Integer(), "99th percentile latency, in milliseconds.", unit=Unit.MILLISECONDS, aliases=("p99", "tail latency")
    )
    error_rate: Mapped[Decimal | None] = column(
        Numeric(5, 4),
        "Serving error rate, a fraction of requests (0-1).",
        unit=Unit.FRACTION,
        aliases=("failure rate", "share of failed requests"),
    )

    model = belongs_to(
        "Model",
        "model_registry_id",
        "The model that is deployed.",
        inverse="deployments",
        latest="latest_deployment",
        inverse_doc="Deployments of the model.",
        lineage=comes_from(LineageKind.DEPLOYED_AS),
    )
    previous_deployment = belongs_to(
        "Deployment",
        "previous_deployment_id",
        "The deployment that this one replaced, the next link of the rollback chain.",
        inverse="next_deployments",
        inverse_doc="Deployments that replaced this one.",
        lineage=comes_from(LineageKind.ROLLS_BACK_TO),
    )
    # UNION, not UNION ALL: a cycle ends where it closes
    rollback_chain = linked_by(
        "Deployment",
        "{that}.id = ANY (ARRAY(WITH RECURSIVE chain (id) AS (SELECT {this}.previous_deployment_id UNION "
        "SELECT d.previous_deployment_id FROM chain AS c JOIN ml_deployments AS d ON d.id = c.id) "
        "SELECT id FROM chain WHERE id IS NOT NULL))",
        "Every deployment that this one could be rolled back to, through all previous ones; safe against cycles.",
        this_columns=("previous_deployment_id",),
        that_columns=("id",),
        inverse="succeeding_deployments",
        inverse_doc="Every deployment in whose rollback chain this one is; safe against cycles.",
        inverse_sql="{this}.id = ANY (ARRAY(WITH RECURSIVE chain (id) AS (SELECT d.id FROM ml_deployments AS d "
        "WHERE d.previous_deployment_id = {that}.id UNION SELECT d.id FROM chain AS c "
        "JOIN ml_deployments AS d ON d.previous_deployment_id = c.id) SELECT id FROM chain))",
        lineage="the chain of previous deployments, link by link an edge",
    )


class ObservabilitySpan(Entity):
    """One Opik span of a distributed trace: an agent's operation, its LLM token usage and its fallback chain."""

    __group__ = Group.MLOPS_CORE
    __aliases__ = ("span", "trace", "agent call")
    __tablename__ = "ml_observability_spans"
    __record__ = facts(key=("trace_id", "span_id"))
    __label__ = ("agent_name", "operation_type")
    __table_args__ = (UniqueConstraint("trace_id", "span_id"),)
    __order__ = "started_at"
    __filtered__ = ("span_id", "status")
    __references__ = ("trace_id", "span_id")

    id: Mapped[UUID] = column(Uuid(), "Span record identifier.", primary_key=True, server_default=NEW_UUID)
    trace_id: Mapped[str] = column(VARCHAR(100), "Distributed trace ID, Opik's own.", holds=Holds.IDENTIFIER)
    span_id: Mapped[str] = column(VARCHAR(100), "Span ID within trace, Opik's own.", holds=Holds.IDENTIFIER)
    parent_span_id: Mapped[str | None] = column(
        VARCHAR(100),
        "Parent span (for nesting), by its span ID within the same trace; null for a root span.",
        holds=Holds.IDENTIFIER,
        aliases=("parent id",),
    )
    agent_name: Mapped[AgentName] = column(pg_enum(AgentName), "Which agent executed.", holds=Holds.LABEL)
    agent_tier: Mapped[AgentTier] = column(pg_enum(AgentTier), "Agent tier (0-5).")
    operation_type: Mapped[str | None] = column(
        VARCHAR(100),
        "Kind of operation: inference, training, shap_computation, etc.",
        holds=Holds.LABEL,
        aliases=("operation", "action"),
    )
    started_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When the operation started.")
    ended_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When the operation ended; null if running.")
    duration_ms: Mapped[int | None] = column(
        Integer(), "Execution duration, in milliseconds.", unit=Unit.MILLISECONDS, aliases=("latency", "elapsed")
    )
    model_name: Mapped[str | None] = column(
        VARCHAR(100), "LLM that the operation called, if any.", holds=Holds.IDENTIFIER, aliases=("llm",)
    )
    input_tokens: Mapped[int | None] = column(Integer(), "LLM tokens sent.", unit=Unit.TOKENS)
    output_tokens: Mapped[int | None] = column(Integer(), "LLM tokens received.", unit=Unit.TOKENS)
    total_tokens: Mapped[int | None] = column(
        Integer(), "LLM tokens consumed.", unit=Unit.TOKENS, aliases=("token usage",)
    )
    status: Mapped[str | None] = column(
        VARCHAR(50),
        "Outcome of the operation: success, error or timeout.",
        server_default="success",
        values=("success", "error", "timeout"),
    )
    error_type: Mapped[str | None] = column(VARCHAR(100), "Kind of error, if it failed.", holds=Holds.LABEL)
    error_message: Mapped[str | None] = column(TEXT(), "What went wrong, if it failed.", holds=Holds.PROSE)
    fallback_used: Mapped[bool | None] = column(Boolean(), "Whether fallback model was used.", server_default="false")
    fallback_chain: Mapped[Any | None] = column(
        JSONB(), "Sequence of models attempted.", server_default=EMPTY_LIST, holds=Holds.DATA
    )
    attributes: Mapped[Any | None] = column(
        JSONB(),
        "Custom attributes that the agent attached to the span.",
        server_default=EMPTY_OBJECT,
        holds=Holds.PROSE,
    )
    experiment_id: Mapped[UUID | None] = column(
        Uuid(), "Experiment that the operation was for.", ForeignKey("ml_experiments.id")
    )
    training_run_id: Mapped[UUID | None] = column(
        Uuid(), "Training run that the operation was part of.", ForeignKey("ml_training_runs.id")
    )
    deployment_id: Mapped[UUID | None] = column(
        Uuid(), "Deployment that carried out the operation.", ForeignKey("ml_deployments.id")
    )
    user_id: Mapped[str | None] = column(VARCHAR(100), "User on whose behalf the agent worked.", holds=Holds.IDENTIFIER)
    session_id: Mapped[str | None] = column(
        VARCHAR(100), "User session that the operation belongs to.", holds=Holds.IDENTIFIER
    )

    experiment = belongs_to(
        "Experiment",
        "experiment_id",
        "The experiment that the operation was for.",
        inverse="spans",
        inverse_doc="Spans of operations for the experiment.",
        lineage=comes_from(LineageKind.TRACED_BY),
    )
    training_run = belongs_to(
        "TrainingRun",
        "training_run_id",
        "The training run that the operation was part of.",
        inverse="spans",
        inverse_doc="Spans of the run's operations.",
        lineage=comes_from(LineageKind.TRACED_BY),
    )
    deployment = belongs_to(
        "Deployment",
        "deployment_id",
        "The deployment that carried out the operation.",
        inverse="spans",
        inverse_doc="Spans of operations that the deployment carried out.",
        lineage=comes_from(LineageKind.TRACED_BY),
    )
    model = linked_by(
        "Model",
        "{that}.id = coalesce("
        "(SELECT d.model_registry_id FROM ml_deployments d WHERE d.id = {this}.deployment_id), "
        "(SELECT r.model_registry_id FROM ml_training_runs r WHERE r.id = {this}.training_run_id))",
        "The model that the span belongs to: its deployment's, else its training run's.",
        this_columns=("deployment_id", "training_run_id"),
        that_columns=("id",),
        many=False,
        inverse="spans",
        inverse_doc="Spans that the model is traced by: its deployments' and, if they name none, its training runs'.",
        inverse_sql="({this}.deployment_id = ANY (ARRAY("
        "SELECT d.id FROM ml_deployments d WHERE d.model_registry_id = {that}.id)) "
        "OR {this}.deployment_id IS NULL AND {this}.training_run_id = ANY (ARRAY("
        "SELECT r.id FROM ml_training_runs r WHERE r.model_registry_id = {that}.id))) "
        # Always true here. It makes the rows look few to the planner, which otherwise walks all spans in the order of
        # time to find the few of a model: 190 ms per model in a million spans, where the two indexes take 1 ms.
        "AND coalesce({this}.deployment_id, {this}.training_run_id) = CASE WHEN {this}.deployment_id IS NULL "
        "THEN {this}.training_run_id ELSE {this}.deployment_id END",
        lineage=comes_from(LineageKind.TRACED_BY),
    )
    parent = belongs_to(
        "ObservabilitySpan",
        {"trace_id": "trace_id", "parent_span_id": "span_id"},
        "The span that this one is nested in.",
        inverse="children",
        inverse_doc="Spans nested directly in this one.",
        lineage=comes_from(LineageKind.CONTAINS),
    )
    agent_latency = belongs_to(
        "AgentLatencySummary",
        {"agent_name": "agent_name", "agent_tier": "agent_tier"},
        "Latency and errors of the agent over the last 24 hours; null if it started no span in that time.",
        inverse="spans",
        inverse_doc="The agent's spans, newest first; also those before the last 24 hours.",
        lineage="a view that sums spans up",
    )
