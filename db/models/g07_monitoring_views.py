"""Group 7, views: drift status and trend, open alerts, health of production models."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import (
    TEXT,
    VARCHAR,
    BigInteger,
    Boolean,
    Date,
    Numeric,
    Uuid,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.markers import Group
from db.base.vocabulary import InOrder, Kept, Over, Rare, View, belongs_to, column, pg_enum
from db.models.g01_mlops_core import ModelStage
from db.models.g07_model_monitoring import DriftSeverity, DriftType, StatisticalTest

OPEN = "(a.status IN ('active', 'acknowledged', 'investigating') OR a.status IS NULL)"
ALERTED = f"SELECT a.model_id FROM ml_monitoring_alerts AS a WHERE {OPEN}"
DRIFTED = "SELECT d.model_id FROM ml_drift_history AS d WHERE d.drift_detected"
DEGRADED = "SELECT p.model_id FROM ml_performance_metrics AS p WHERE p.is_degraded AND p.segment IS NULL"
"""SELECTs of the models with an open alert, with any test that detected drift, with any degraded measurement."""
OF_THE_PAIR = "n.model_id = d.model_id AND n.drift_type = d.drift_type"
CRITICAL_ALERTS = f"{ALERTED} AND a.severity = 'critical'"
CRITICAL_DRIFT = f"{DRIFTED} AND d.severity = 'critical'"
NEWEST_TEST = f"""
    (SELECT max(n.created_at) FROM ml_drift_history AS n WHERE {OF_THE_PAIR}) IS NOT DISTINCT FROM d.created_at
"""
STILL_DRIFTED = f"EXISTS ({DRIFTED} AND d.model_id = c.model_id AND {NEWEST_TEST})"
STILL_CRITICAL = f"EXISTS ({CRITICAL_DRIFT} AND d.model_id = c.model_id AND {NEWEST_TEST})"
STILL_DEGRADED = f"""EXISTS ({DEGRADED} AND p.model_id = c.model_id AND p.measured_at IS NOT DISTINCT FROM (
    SELECT max(n.measured_at) FROM ml_performance_metrics AS n
    WHERE n.model_id = c.model_id AND n.segment IS NULL
))"""
BY_DRIFT, BY_ALERT, BY_MEASUREMENT = (
    "ix_ml_drift_history_model_id_detected",
    "ix_ml_monitoring_alerts_model_id_open",
    "ix_ml_performance_metrics_model_id_degraded",
)


class DriftStatus(View):
    """Latest drift status of a model for one type of drift: its newest drift record."""

    __group__ = Group.MODEL_MONITORING
    __aliases__ = ("current drift",)
    __tablename__ = "ml_drift_status_latest"
    __reads__ = ("DriftRecord", "Model")
    __order__ = "last_checked"
    __over__ = Over("ml_model_registry", {"model_id": "id"})
    __rare__ = (
        Rare("severity", ("none", "low", "medium", "high"), CRITICAL_DRIFT, STILL_CRITICAL, (BY_DRIFT,)),
        Rare("drift_detected", (False,), DRIFTED, STILL_DRIFTED, (BY_DRIFT,)),
    )
    # The newest record of its model and type of drift. The conditions are evaluated per record, the cheapest first:
    # otherwise Postgres joins all records, since it underestimates the rows that each condition leaves.
    __walk__ = InOrder(
        "ml_drift_history",
        {"last_checked": "created_at", "model_id": "model_id", "drift_type": "drift_type", "severity": "severity"},
        f"""
            SELECT d.model_id, d.drift_type, d.feature_name, d.drift_detected, d.severity, d.test_type,
                d.test_statistic, d.p_value, d.drift_score, d.created_at AS last_checked
            FROM ml_drift_history AS d
            WHERE CASE
                WHEN (SELECT max(n.created_at) FROM ml_drift_history AS n WHERE {OF_THE_PAIR})
                    IS DISTINCT FROM d.created_at THEN false
                WHEN EXISTS (
                    SELECT FROM ml_drift_history AS n
                    WHERE {OF_THE_PAIR} AND n.created_at = d.created_at AND (n.severity, n.id) > (d.severity, d.id)
                ) THEN false
                WHEN d.created_at IS NULL AND EXISTS (
                    SELECT FROM ml_drift_history AS n
                    WHERE {OF_THE_PAIR} AND n.created_at IS NULL AND (n.severity, n.id) > (d.severity, d.id)
                ) THEN false
                ELSE (SELECT true FROM ml_model_registry AS m WHERE m.id = d.model_id)
            END
        """,
    )
    __kept__ = Kept(
        {"ml_model_registry": "id", "ml_drift_history": "model_id"},
        (
            "last_checked DESC NULLS LAST, model_id DESC, drift_type DESC",
            "severity, last_checked DESC NULLS LAST, model_id DESC, drift_type DESC",
            "drift_detected, last_checked DESC NULLS LAST, model_id DESC, drift_type DESC",
        ),
    )

    model_id: Mapped[UUID] = column(Uuid(), "Model monitored.", primary_key=True)
    drift_type: Mapped[DriftType] = column(
        pg_enum(DriftType), "Kind of drift tested for: data, model, or concept.", primary_key=True
    )
    feature_name: Mapped[str | None] = column(
        VARCHAR(255), "Feature of the newest test (null for model and concept).", holds=Holds.IDENTIFIER
    )
    drift_detected: Mapped[bool | None] = column(Boolean(), "Whether drift threshold was exceeded in the newest test.")
    severity: Mapped[DriftSeverity | None] = column(
        pg_enum(DriftSeverity), "Severity in the newest test: none, low, medium, high or critical."
    )
    test_type: Mapped[StatisticalTest | None] = column(pg_enum(StatisticalTest), "Statistical test used.")
    test_statistic: Mapped[Decimal | None] = column(
        Numeric(12, 6), "Test statistic value, on the scale of the test.", unit=Unit.ROW_SCALE
    )
    p_value: Mapped[Decimal | None] = column(Numeric(12, 10), "P-value of the newest test (0-1).", unit=Unit.FRACTION)
    drift_score: Mapped[Decimal | None] = column(
        Numeric(8, 4), "Normalized drift score of the newest test (0-1).", unit=Unit.FRACTION
    )
    last_checked: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When the newest test was recorded.")

    model = belongs_to(
        "Model",
        "model_id",
        "The model that was monitored.",
        inverse="drift_status",
        inverse_doc="Latest drift status of the model, one row per type of drift.",
    )


class DriftTrend7d(View):
    """Drift of a model on one day of the last seven, for one type of drift."""

    __group__ = Group.MODEL_MONITORING
    __aliases__ = ("weekly drift",)
    __tablename__ = "ml_drift_trend_7d"
    __reads__ = ("DriftRecord",)
    __order__ = "check_date"
    __plural__ = "driftTrends7d"

    model_id: Mapped[UUID] = column(Uuid(), "Model monitored.", primary_key=True)
    drift_type: Mapped[DriftType] = column(
        pg_enum(DriftType), "Kind of drift tested for: data, model, or concept.", primary_key=True
    )
    check_date: Mapped[date] = column(Date(), "Day that the tests were recorded on, in UTC.", primary_key=True)
    check_count: Mapped[int | None] = column(BigInteger(), "Number of drift tests on the day.", unit=Unit.COUNT)
    drift_count: Mapped[int | None] = column(
        BigInteger(), "Number of tests on the day that detected drift.", unit=Unit.COUNT
    )
    avg_drift_score: Mapped[Decimal | None] = column(
        Numeric(), "Average normalized drift score of the day (0-1).", unit=Unit.FRACTION
    )
    max_severity: Mapped[str | None] = column(
        TEXT(),
        "Greatest severity of the day: none, low, medium, high or critical.",
        values=("none", "low", "medium", "high", "critical"),
    )

    model = belongs_to(
        "Model",
        "model_id",
        "The model that was monitored.",
        inverse="drift_trend_7d",
        inverse_doc="Drift of the model over the last seven days, one row per day and type of drift.",
    )


class ActiveAlertsSummary(View):
    """Open alerts on a model (active, acknowledged or investigating), counted by severity."""

    __group__ = Group.MODEL_MONITORING
    __aliases__ = ("open alerts", "alert count")
    __tablename__ = "ml_active_alerts_summary"
    __reads__ = ("MonitoringAlert",)
    __order__ = "newest_alert"

    model_id: Mapped[UUID] = column(Uuid(), "Affected model.", primary_key=True)
    total_active: Mapped[int | None] = column(BigInteger(), "Number of open alerts.", unit=Unit.COUNT)
    critical_count: Mapped[int | None] = column(
        BigInteger(), "Number of open alerts of critical severity.", unit=Unit.COUNT
    )
    high_count: Mapped[int | None] = column(BigInteger(), "Number of open alerts of high severity.", unit=Unit.COUNT)
    medium_count: Mapped[int | None] = column(
        BigInteger(), "Number of open alerts of medium severity.", unit=Unit.COUNT
    )
    oldest_alert: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When the oldest open alert was raised.")
    newest_alert: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When the newest open alert was raised.")

    model = belongs_to(
        "Model",
        "model_id",
        "The affected model.",
        inverse="active_alerts_summary",
        inverse_doc="Open alerts on the model, counted by severity; null if there are none.",
        inverse_many=False,
    )


class ModelHealth(View):
    """Health of a production model: its drift, its open alerts and its latest performance, combined in one verdict."""

    __group__ = Group.MODEL_MONITORING
    __aliases__ = ("health", "health dashboard", "model health dashboard")
    __tablename__ = "ml_model_health_dashboard"
    __reads__ = ("DriftRecord", "Model", "MonitoringAlert", "PerformanceMetric")
    __over__ = Over("ml_model_registry", {"model_id": "id", "model_name": "model_name", "model_stage": "stage"})
    __rare__ = (
        Rare("critical_alerts", (0,), CRITICAL_ALERTS),
        Rare("active_alerts", (0,), ALERTED),
        Rare(
            "health_status",
            ("warning", "unknown", "healthy"),
            f"{CRITICAL_ALERTS} UNION ALL {CRITICAL_DRIFT}",
            f"EXISTS ({CRITICAL_ALERTS} AND a.model_id = c.model_id) OR {STILL_CRITICAL}",
            (BY_ALERT, BY_DRIFT),
        ),
        Rare("max_drift_severity", ("none", "low", "medium", "high"), CRITICAL_DRIFT, STILL_CRITICAL, (BY_DRIFT,)),
        Rare("max_drift_severity", ("none",), DRIFTED, STILL_DRIFTED, (BY_DRIFT,)),
        Rare("has_active_drift", (False,), DRIFTED, STILL_DRIFTED, (BY_DRIFT,)),
        Rare("performance_degraded", (False,), DEGRADED, STILL_DEGRADED, (BY_MEASUREMENT,)),
        Rare(
            "health_status",
            ("unknown", "healthy"),
            f"{ALERTED} UNION ALL {DRIFTED} UNION ALL {DEGRADED}",
            f"EXISTS ({ALERTED} AND a.model_id = c.model_id) OR {STILL_DRIFTED} OR {STILL_DEGRADED}",
            (BY_ALERT, BY_DRIFT, BY_MEASUREMENT),
        ),
    )
    __kept__ = Kept(
        {
            "ml_model_registry": "id",
            "ml_drift_history": "model_id",
            "ml_monitoring_alerts": "model_id",
            "ml_performance_metrics": "model_id",
        },
        ("health_status, model_id", "model_name, model_id"),
        {
            "drift_check_count": "(SELECT count(*) FROM ml_drift_history AS d WHERE d.model_id = k.model_id "
            "AND d.created_at >= now() - interval '168 hours')"
        },
    )

    model_id: Mapped[UUID] = column(Uuid(), "Model that the row is about.", primary_key=True)
    model_name: Mapped[str | None] = column(VARCHAR(), "Model name.", holds=Holds.IDENTIFIER)
    model_stage: Mapped[ModelStage | None] = column(pg_enum(ModelStage), "Current lifecycle stage of the model.")
    has_active_drift: Mapped[bool | None] = column(
        Boolean(), "Whether the latest test of some type of drift detected drift."
    )
    max_drift_severity: Mapped[DriftSeverity | None] = column(
        pg_enum(DriftSeverity),
        "Greatest severity among the latest tests per type of drift that detected drift; none where no test did, null "
        "where there was none.",
    )
    drift_check_count: Mapped[int | None] = column(
        BigInteger(), "Number of drift tests in the last 7 times 24 hours.", unit=Unit.COUNT
    )
    active_alerts: Mapped[int | None] = column(
        BigInteger(),
        "Number of open alerts on the model: active, acknowledged or investigating.",
        unit=Unit.COUNT,
        aliases=("open alerts",),
    )
    critical_alerts: Mapped[int | None] = column(
        BigInteger(), "Number of open alerts of critical severity.", unit=Unit.COUNT
    )
    latest_metric_value: Mapped[Decimal | None] = column(
        Numeric(),
        "Value of the latest performance metric over all segments, on the scale of the metric.",
        unit=Unit.ROW_SCALE,
    )
    primary_metric: Mapped[str | None] = column(
        VARCHAR(),
        "Name of that metric; of several measured at once roc_auc, else the first by name.",
        holds=Holds.LABEL,
    )
    performance_degraded: Mapped[bool | None] = column(
        Boolean(),
        "Whether that metric's measurement is stored as degraded (`isDegraded`); null for a model that was never "
        "measured, or whose latest value is no number. Performance alerts are counted by `activeAlerts`, not here.",
    )
    health_status: Mapped[str | None] = column(
        TEXT(),
        "Verdict, the first that applies: critical (an open critical alert, or the latest test of some type of drift "
        "is critical), warning (the latest test of some type found drift, an alert is open, or performance is "
        "degraded), unknown (never tested for drift and never measured by a number), healthy (otherwise).",
        values=("critical", "warning", "unknown", "healthy"),
        aliases=("health", "status"),
    )

    model = belongs_to(
        "Model",
        "model_id",
        "The model that the row is about.",
        inverse="health",
        inverse_doc="Health of the model: drift, alerts and latest performance; null for a model that is not "
        "monitored.",
        inverse_many=False,
    )
