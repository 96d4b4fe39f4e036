"""Group 1, views: champions, latest data quality, agent latency."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import (
    VARCHAR,
    BigInteger,
    Boolean,
    Double,
    Numeric,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.computed import ReadWindow
from db.base.markers import Group
from db.base.vocabulary import View, belongs_to, column, pg_enum
from db.models.g01_mlops_core import ModelStage
from db.models.g01_mlops_data import DataQualityStatus
from db.models.shared import AgentName, AgentTier, Brand, DataSplit, Region


class ChampionModel(View):
    """The active champion model of an experiment, with its metrics.

    Archived and deprecated models are left out even where they kept the champion flag.
    """

    __group__ = Group.MLOPS_CORE
    __aliases__ = ("champion", "best model")
    __tablename__ = "v_champion_models"
    __reads__ = ("Experiment", "Model")
    __order__ = "trained_at"

    experiment_name: Mapped[str | None] = column(VARCHAR(255), "Name of the experiment.", holds=Holds.IDENTIFIER)
    prediction_target: Mapped[str | None] = column(VARCHAR(100), "What the experiment predicts.", holds=Holds.LABEL)
    brand: Mapped[Brand | None] = column(pg_enum(Brand), "Brand of the experiment: Remibrutinib, Fabhalta, or Kisqali.")
    region: Mapped[Region | None] = column(pg_enum(Region), "Region of the experiment; null for all regions.")
    model_name: Mapped[str] = column(
        VARCHAR(255), "Name of the champion model.", primary_key=True, holds=Holds.IDENTIFIER
    )
    model_version: Mapped[str] = column(
        VARCHAR(50), "Semantic version string; unique together with the name.", primary_key=True, holds=Holds.IDENTIFIER
    )
    algorithm: Mapped[str | None] = column(VARCHAR(100), "Algorithm name (e.g., CausalForestDML).", holds=Holds.LABEL)
    auc: Mapped[Decimal | None] = column(Numeric(5, 4), "ROC AUC score (0-1).", unit=Unit.FRACTION)
    pr_auc: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Area under the precision-recall curve (0-1).", unit=Unit.FRACTION
    )
    stage: Mapped[ModelStage | None] = column(pg_enum(ModelStage), "Lifecycle stage of the model.")
    trained_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When training finished.")

    model = belongs_to(
        "Model",
        {"model_name": "model_name", "model_version": "model_version"},
        "The champion model itself.",
        inverse="champion_entry",
        inverse_doc="The model's row among the active champions; null if it is not one.",
        inverse_many=False,
    )


class LatestDataQuality(View):
    """The most recent data quality report of a table and split. Reports that name no table are left out."""

    __group__ = Group.MLOPS_CORE
    __aliases__ = ("current data quality",)
    __tablename__ = "v_latest_data_quality"
    __reads__ = ("DataQualityReport",)
    __order__ = "run_at"
    __lookups__ = ({"table": "table_name", "split": "data_split"},)

    table_name: Mapped[str] = column(VARCHAR(100), "Validated table.", primary_key=True, holds=Holds.IDENTIFIER)
    data_split: Mapped[DataSplit] = column(pg_enum(DataSplit), "Which split was validated.", primary_key=True)
    overall_status: Mapped[DataQualityStatus | None] = column(
        pg_enum(DataQualityStatus), "Outcome of the latest validation: passed, failed, warning or skipped."
    )
    success_rate: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Fraction of expectations passed (0-1).", unit=Unit.FRACTION
    )
    completeness_score: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Quality dimension: completeness (0-1).", unit=Unit.FRACTION
    )
    validity_score: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Quality dimension: validity (0-1).", unit=Unit.FRACTION
    )
    leakage_detected: Mapped[bool | None] = column(Boolean(), "Whether train/test leakage was found.")
    run_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When the latest validation ran.")


class AgentLatencySummary(View):
    """Latency percentiles, error rate and token usage of one agent, over its spans of the last 24 hours."""

    __group__ = Group.MLOPS_CORE
    __aliases__ = ("agent", "agent performance")
    __tablename__ = "v_agent_latency_summary"
    __reads__ = ("ObservabilitySpan",)
    __window__ = ReadWindow("ObservabilitySpan", "started_at", None, 86_400)

    agent_name: Mapped[AgentName] = column(
        pg_enum(AgentName), "Agent that executed the spans.", primary_key=True, holds=Holds.LABEL
    )
    agent_tier: Mapped[AgentTier] = column(pg_enum(AgentTier), "Agent tier (0-5).", primary_key=True)
    total_spans: Mapped[int | None] = column(
        BigInteger(), "Number of spans started in the last 24 hours.", unit=Unit.COUNT
    )
    avg_duration_ms: Mapped[Decimal | None] = column(
        Numeric(), "Mean execution duration, in milliseconds.", unit=Unit.MILLISECONDS
    )
    p50_ms: Mapped[float | None] = column(
        Double(), "50th percentile of the duration, in milliseconds.", unit=Unit.MILLISECONDS
    )
    p95_ms: Mapped[float | None] = column(
        Double(), "95th percentile of the duration, in milliseconds.", unit=Unit.MILLISECONDS
    )
    p99_ms: Mapped[float | None] = column(
        Double(), "99th percentile of the duration, in milliseconds.", unit=Unit.MILLISECONDS
    )
    error_rate: Mapped[Decimal | None] = column(
        Numeric(), "Fraction of spans with the status error (0-1).", unit=Unit.FRACTION
    )
    fallback_rate: Mapped[Decimal | None] = column(
        Numeric(), "Fraction of spans that used a fallback model (0-1).", unit=Unit.FRACTION
    )
    total_tokens_used: Mapped[int | None] = column(
        BigInteger(), "LLM tokens consumed; null where no span counted them.", unit=Unit.TOKENS
    )
