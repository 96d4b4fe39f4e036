"""Group 1, MLOps core: experiments, models, training runs."""

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
    ForeignKey,
    Index,
    Integer,
    Numeric,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, ExcludeConstraint
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
    linked_by,
    pg_enum,
)
from db.models.shared import Brand, DataSplit, Region


class ModelStage(Labels, pg_name="model_stage_enum"):
    """Lifecycle stage of a model version."""

    DEVELOPMENT = "development", "Being built and evaluated; not served."
    STAGING = "staging", "Candidate under review before it sees traffic."
    SHADOW = "shadow", "Receives copies of production requests; its predictions are recorded, not used."
    PRODUCTION = "production", "Serves production requests."
    ARCHIVED = "archived", "Archived; can no longer be promoted."
    DEPRECATED = "deprecated", "Out of service; to be archived."


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
        # the trigger clears other champions; this constraint also holds against concurrent transactions, at commit
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
        VARCHAR(100),
        "Algorithm name (e.g., CausalForestDML).",
        holds=Holds.LABEL,
        aliases=("model type", "method", "framework"),
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
        "The experiment whose champion the model is; null if it is not a champion.",
        this_columns=("experiment_id", "is_champion"),
        that_columns=("id",),
        many=False,
        inverse="champion",
        inverse_doc="The experiment's champion model; null where it has none.",
        inverse_many=False,
        lineage="the champion is one of the experiment's models",
        inverse_aliases=("best model", "winner", "winning model", "model in production"),
    )
    mlflow_training_run = belongs_to(
        "TrainingRun",
        {"mlflow_run_id": "mlflow_run_id"},
        "The training run that produced the model, according to MLflow.",
        inverse="mlflow_models",
        inverse_doc="Models that the run produced, according to MLflow.",
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
        JSONB(),
        "Training split metrics.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
        aliases=("training score", "train loss", "loss", "accuracy", "metrics"),
    )
    validation_metrics: Mapped[Any | None] = column(
        JSONB(),
        "Validation split metrics.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
        aliases=("validation score", "validation loss", "val loss", "loss", "accuracy", "metrics"),
    )
    test_metrics: Mapped[Any | None] = column(
        JSONB(),
        "Test split metrics.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
        aliases=("test score", "test loss", "loss", "accuracy", "auc", "metrics"),
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
        elements="feature_names",
        lineage=comes_from(LineageKind.CONSUMES),
    )
