"""Group 7, questions about models: drift by day over a period of any length, and two models side by side."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from sqlalchemy import TEXT, VARCHAR, BigInteger, Boolean, Date, Integer, Numeric, Uuid
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.computed import ReadWindow
from db.base.markers import Group
from db.base.quoting import literals
from db.base.vocabulary import Argument, Derived, Relation, belongs_to, column, pg_enum
from db.models.g07_model_monitoring import DriftSeverity, DriftType

DAYS_OF_TEN_YEARS = 3660

HIGHER_IS_BETTER = (
    "accuracy", "auc", "average_precision", "balanced_accuracy", "f1", "f1_score", "pr_auc", "precision", "r2",
    "r2_score", "recall", "roc_auc", "sensitivity", "specificity",
)  # fmt: skip
LOWER_IS_BETTER = (
    "brier", "brier_score", "calibration_error", "ece", "fpr", "log_loss", "mae", "mape", "mse", "rmse",
)  # fmt: skip


class DriftTrendDay(Derived):
    """Drift of a model on one day (UTC) of the last days, for one type of drift. Days without a test have no row."""

    __group__ = Group.MODEL_MONITORING
    __aliases__ = ("drift trend", "drift over time")
    __select__ = """
        SELECT
            d.model_id,
            d.drift_type,
            (d.created_at AT TIME ZONE 'UTC')::date AS check_date,
            count(*) AS check_count,
            count(*) FILTER (WHERE d.drift_detected) AS drift_count,
            avg(d.drift_score) AS avg_drift_score,
            max(d.drift_score) AS max_drift_score,
            max(d.severity) AS max_severity
        FROM ml_drift_history AS d
        WHERE d.created_at >= coalesce({until}, now()) - make_interval(days => {days})
            AND d.created_at < coalesce({until}, 'infinity')
            AND d.model_id IS NOT NULL
        GROUP BY d.model_id, d.drift_type, check_date
    """
    __reads__ = ("DriftRecord",)
    __window__ = ReadWindow("DriftRecord", "created_at", "days", 86_400)
    __plural__ = "driftTrend"
    __order__ = "check_date"
    __arguments__: ClassVar = {
        "days": Argument(Integer(), "Length of the period, in days.", default=7, least=1, most=DAYS_OF_TEN_YEARS),
        "until": Argument(TIMESTAMP(timezone=True), "End of the period, exclusive; now by default."),
    }

    model_id: Mapped[UUID] = column(Uuid(), "Model monitored.", primary_key=True)
    drift_type: Mapped[DriftType] = column(
        pg_enum(DriftType), "Kind of drift tested for: data, model, or concept.", primary_key=True
    )
    check_date: Mapped[date] = column(Date(), "Day that the tests were recorded on, in UTC.", primary_key=True)
    check_count: Mapped[int] = column(BigInteger(), "Number of drift tests on the day.", unit=Unit.COUNT)
    drift_count: Mapped[int] = column(BigInteger(), "Number of tests on the day that detected drift.", unit=Unit.COUNT)
    avg_drift_score: Mapped[Decimal | None] = column(
        Numeric(), "Average normalized drift score of the day (0-1).", unit=Unit.FRACTION
    )
    max_drift_score: Mapped[Decimal | None] = column(
        Numeric(8, 4), "Greatest drift score of the day (0-1).", unit=Unit.FRACTION
    )
    max_severity: Mapped[DriftSeverity | None] = column(
        pg_enum(DriftSeverity), "Greatest severity of the day, by severity: none, low, medium, high, critical."
    )

    model = belongs_to(
        "Model",
        "model_id",
        "The model that was monitored.",
        inverse="drift_trend",
        inverse_doc="Drift of the model by day and type of drift over the last days, newest first.",
    )


class MetricComparison(Derived):
    """One performance metric of two models side by side: the newest value of each, on one split and segment.

    Metrics of only one of them are included, with null for the other.
    """

    __group__ = Group.MODEL_MONITORING
    __aliases__ = ("model comparison",)
    __select__ = f"""
        SELECT
            m.id AS model_id,
            {{to}} AS other_model_id,
            p.*,
            p.other_value - p.value AS difference,
            (p.other_value - p.value) / nullif(abs(p.value), 0) AS relative_difference,
            CASE
                WHEN p.metric_name IN ({literals(HIGHER_IS_BETTER)}) THEN p.other_value > p.value
                WHEN p.metric_name IN ({literals(LOWER_IS_BETTER)}) THEN p.other_value < p.value
            END AS other_is_better
        FROM ml_model_registry AS m
        CROSS JOIN LATERAL (
            SELECT
                n.metric_name, n.data_split, n.segment,
                max(n.metric_value) FILTER (WHERE n.model_id = m.id) AS value,
                max(n.measured_at) FILTER (WHERE n.model_id = m.id) AS measured_at,
                max(n.metric_value) FILTER (WHERE n.model_id = {{to}}) AS other_value,
                max(n.measured_at) FILTER (WHERE n.model_id = {{to}}) AS other_measured_at
            FROM (
                SELECT DISTINCT ON (x.model_id, x.metric_name, x.data_split, x.segment)
                    x.model_id, x.metric_name, x.data_split, x.segment, x.metric_value, x.measured_at
                FROM ml_performance_metrics AS x
                WHERE x.model_id IN (m.id, {{to}})
                ORDER BY x.model_id, x.metric_name, x.data_split, x.segment, x.measured_at DESC NULLS LAST, x.id DESC
            ) AS n
            GROUP BY n.metric_name, n.data_split, n.segment
        ) AS p
    """
    __reads__ = ("Model", "PerformanceMetric")
    __order__ = "metric_name"
    __ascending__ = True
    __arguments__: ClassVar = {
        "to": Argument(Uuid(), "The model to compare with: its global id, or the bare key.", required=True, of="Model")
    }

    model_id: Mapped[UUID] = column(Uuid(), "The model that is compared.", primary_key=True)
    other_model_id: Mapped[UUID] = column(Uuid(), "The model that it is compared with.")
    metric_name: Mapped[str] = column(
        VARCHAR(100), "Name of the metric: roc_auc, precision, rmse, etc.", primary_key=True, holds=Holds.LABEL
    )
    data_split: Mapped[str | None] = column(
        VARCHAR(50),
        "Data that it was measured on: train, val, test, or production.",
        primary_key=True,
        values=("train", "val", "test", "production"),
    )
    segment: Mapped[str | None] = column(
        TEXT(), "Segment that it was measured on; null for the whole population.", primary_key=True, holds=Holds.LABEL
    )
    value: Mapped[Decimal | None] = column(
        Numeric(12, 6), "Newest value of the model, on the scale of the metric.", unit=Unit.ROW_SCALE
    )
    measured_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When that was measured.")
    other_value: Mapped[Decimal | None] = column(
        Numeric(12, 6), "Newest value of the other model.", unit=Unit.ROW_SCALE
    )
    other_measured_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When that was measured.")
    difference: Mapped[Decimal | None] = column(
        Numeric(), "The other model's value minus the model's.", unit=Unit.ROW_SCALE
    )
    relative_difference: Mapped[Decimal | None] = column(
        Numeric(), "That difference as a fraction of the model's value (0.1 is 10 %).", unit=Unit.FRACTION
    )
    other_is_better: Mapped[bool | None] = column(
        Boolean(),
        "Whether the other model is better by this metric; null if one of them lacks it, or if it is unknown whether "
        "higher is better.",
    )

    model = belongs_to(
        "Model",
        "model_id",
        "The model that is compared.",
        inverse="compare",
        inverse_doc="The model's performance metrics compared with those of another model.",
    )
    other_model = Relation("Model", "The model that it is compared with.", on={"other_model_id": "id"})
