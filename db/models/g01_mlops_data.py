"""Group 1, MLOps core: features, the quality of data, and explanations."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    TEXT,
    VARCHAR,
    Boolean,
    Double,
    ForeignKey,
    Integer,
    Numeric,
    UniqueConstraint,
    Uuid,
)
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
    PATIENT,
    Entity,
    Labels,
    belongs_to,
    column,
    pg_enum,
)
from db.models.shared import Brand, DataSplit, Region


class DataQualityStatus(Labels, pg_name="dq_status_enum"):
    """Outcome of a Great Expectations validation."""

    PASSED = "passed", "Every expectation held."
    FAILED = "failed", "At least one critical expectation failed."
    WARNING = "warning", "Only non-critical expectations failed."
    SKIPPED = "skipped", "The suite was not run."


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
