"""Group 7, model monitoring: drift, and performance over time."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import (
    VARCHAR,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lineage import LineageKind, comes_from
from db.base.markers import Group, Retention, facts
from db.base.vocabulary import (
    NEW_UUID,
    NOW,
    Entity,
    Labels,
    Relation,
    belongs_to,
    column,
    linked_by,
    pg_enum,
)


class DriftType(Labels, pg_name="drift_type_enum"):
    """What has drifted."""

    DATA = "data", "The distribution of an input feature changed."
    MODEL = "model", "The distribution of the model's predictions changed."
    CONCEPT = "concept", "The relation between the features and the target changed."


class DriftSeverity(Labels, pg_name="drift_severity_enum"):
    """How severe a drift or an alert is; medium and above raise an alert."""

    NONE = "none", "No drift."
    LOW = "low", "Minor drift within the acceptable range; raises no alert."
    MEDIUM = "medium", "Moderate drift, to be watched; raises an alert."
    HIGH = "high", "Significant drift, action recommended; raises an alert."
    CRITICAL = "critical", "Severe drift, immediate action required; raises an alert."


class StatisticalTest(Labels, pg_name="statistical_test_enum"):
    """Statistical test by which drift was judged."""

    PSI = "psi", "Population stability index."
    KS = "ks", "Two-sample Kolmogorov-Smirnov test."
    CHI_SQUARE = "chi_square", "Chi-square test of categorical frequencies."
    WASSERSTEIN = "wasserstein", "Wasserstein (earth mover's) distance."
    JS_DIVERGENCE = "js_divergence", "Jensen-Shannon divergence."
    IMPORTANCE_CORRELATION = "importance_correlation", "Correlation of feature importances."


class DriftRecord(Entity):
    """One drift test of a model: a current period against its baseline, by one statistical test.

    Data, model and concept drift are recorded over time. A trigger raises an alert for drift of medium or higher
    severity.
    """

    __group__ = Group.MODEL_MONITORING
    __aliases__ = ("drift", "drift test", "drift check", "drift history")
    __tablename__ = "ml_drift_history"
    __record__ = facts(retention=Retention("created_at"))
    __label__ = ("drift_type", "feature_name", "severity")
    __table_args__ = (
        CheckConstraint("baseline_end <= current_start", name="valid_period"),
        # for the views of this group, which select the latest test per type of drift
        Index(
            "ix_ml_drift_history_model_id_drift_type_created_at",
            "model_id",
            "drift_type",
            text("created_at DESC NULLS LAST"),
            text("id DESC"),
        ),
        Index(
            "ix_ml_drift_history_created_at_model_id_drift_type",
            text("created_at DESC NULLS LAST"),
            text("model_id DESC"),
            text("drift_type DESC"),
        ),
        Index(
            "ix_ml_drift_history_model_id_detected",
            "model_id",
            "drift_type",
            "created_at",
            postgresql_include=["severity"],
            postgresql_where=text("drift_detected"),
        ),
        Index(
            "ix_ml_drift_history_created_at_detected",
            text("created_at DESC NULLS LAST"),
            text("model_id DESC"),
            text("drift_type DESC"),
            postgresql_where=text("drift_detected"),
        ),
    )
    __order__ = "created_at"
    __filtered__ = ("severity",)

    id: Mapped[UUID] = column(Uuid(), "Drift record identifier.", primary_key=True, server_default=NEW_UUID)
    model_id: Mapped[UUID | None] = column(Uuid(), "Model monitored.", ForeignKey("ml_model_registry.id"))
    experiment_id: Mapped[UUID | None] = column(
        Uuid(), "Experiment of the monitored model.", ForeignKey("ml_experiments.id")
    )
    deployment_id: Mapped[UUID | None] = column(
        Uuid(), "Deployment whose traffic was tested.", ForeignKey("ml_deployments.id")
    )
    drift_type: Mapped[DriftType] = column(pg_enum(DriftType), "Kind of drift tested for: data, model, or concept.")
    feature_name: Mapped[str | None] = column(
        VARCHAR(255), "Affected feature (null for model and concept drift).", holds=Holds.IDENTIFIER
    )
    test_type: Mapped[StatisticalTest] = column(
        pg_enum(StatisticalTest), "Statistical test used.", aliases=("method", "algorithm")
    )
    test_statistic: Mapped[Decimal | None] = column(
        Numeric(12, 6),
        "Test statistic value, on the scale of the test.",
        unit=Unit.ROW_SCALE,
        aliases=("statistic", "psi", "population stability index", "ks statistic"),
    )
    p_value: Mapped[Decimal | None] = column(
        Numeric(12, 10),
        "Statistical significance: p-value of the test (0-1); null for tests without one.",
        unit=Unit.FRACTION,
    )
    threshold: Mapped[Decimal | None] = column(
        Numeric(8, 4), "Threshold that the test was judged against.", server_default="0.05", unit=Unit.ROW_SCALE
    )
    drift_detected: Mapped[bool] = column(
        Boolean(), "Whether drift threshold was exceeded.", server_default="false", aliases=("drifted", "is drifted")
    )
    severity: Mapped[DriftSeverity] = column(
        pg_enum(DriftSeverity),
        "Drift severity classification: none, low, medium, high or critical.",
        server_default=DriftSeverity.NONE.value,
        aliases=("level",),
    )
    baseline_start: Mapped[datetime] = column(TIMESTAMP(timezone=True), "Start of the baseline period.")
    baseline_end: Mapped[datetime] = column(
        TIMESTAMP(timezone=True), "End of the baseline period; not after the start of the current period."
    )
    current_start: Mapped[datetime] = column(TIMESTAMP(timezone=True), "Start of the current period.")
    current_end: Mapped[datetime] = column(TIMESTAMP(timezone=True), "End of the current period.")
    baseline_mean: Mapped[Decimal | None] = column(
        Numeric(15, 6), "Mean of the tested variable in the baseline.", unit=Unit.ROW_SCALE
    )
    baseline_std: Mapped[Decimal | None] = column(
        Numeric(15, 6), "Standard deviation of the tested variable in the baseline.", unit=Unit.ROW_SCALE
    )
    baseline_min: Mapped[Decimal | None] = column(
        Numeric(15, 6), "Least value of the tested variable in the baseline.", unit=Unit.ROW_SCALE
    )
    baseline_max: Mapped[Decimal | None] = column(
        Numeric(15, 6), "Greatest value of the tested variable in the baseline.", unit=Unit.ROW_SCALE
    )
    baseline_count: Mapped[int | None] = column(Integer(), "Number of samples in the baseline.", unit=Unit.COUNT)
    current_mean: Mapped[Decimal | None] = column(
        Numeric(15, 6), "Mean of the tested variable in the current period.", unit=Unit.ROW_SCALE
    )
    current_std: Mapped[Decimal | None] = column(
        Numeric(15, 6), "Standard deviation of the tested variable in the current period.", unit=Unit.ROW_SCALE
    )
    current_min: Mapped[Decimal | None] = column(
        Numeric(15, 6), "Least value of the tested variable in the current period.", unit=Unit.ROW_SCALE
    )
    current_max: Mapped[Decimal | None] = column(
        Numeric(15, 6), "Greatest value of the tested variable in the current period.", unit=Unit.ROW_SCALE
    )
    current_count: Mapped[int | None] = column(Integer(), "Number of samples in the current period.", unit=Unit.COUNT)
    drift_score: Mapped[Decimal | None] = column(
        Numeric(8, 4),
        "Normalized drift score (0-1, from no drift to the greatest).",
        unit=Unit.FRACTION,
        aliases=("magnitude", "psi", "population stability index"),
    )
    contribution_to_overall: Mapped[Decimal | None] = column(
        Numeric(8, 4), "Contribution of the feature to the model's overall drift (percent).", unit=Unit.PERCENT
    )
    detected_by: Mapped[str | None] = column(
        VARCHAR(100), "Agent or job that ran the test.", server_default="drift_monitor_agent", holds=Holds.IDENTIFIER
    )
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True),
        "When the test was recorded.",
        server_default=NOW,
        aliases=("detected at", "measured at"),
    )

    model = belongs_to(
        "Model",
        "model_id",
        "The model that was monitored.",
        inverse="drift_history",
        latest="latest_drift",
        inverse_doc="Drift tests that the model was monitored by, newest first.",
        lineage=comes_from(LineageKind.MONITORED_BY),
    )
    experiment = belongs_to(
        "Experiment",
        "experiment_id",
        "The experiment of the monitored model.",
        inverse="drift_history",
        inverse_doc="Drift tests of the experiment's models, newest first.",
        lineage=comes_from(LineageKind.MONITORED_BY),
    )
    deployment = belongs_to(
        "Deployment",
        "deployment_id",
        "The deployment whose traffic was tested.",
        inverse="drift_history",
        inverse_doc="Drift tests of the deployment's traffic, newest first.",
        lineage=comes_from(LineageKind.MONITORED_BY),
    )
    serving_metrics = linked_by(
        "ServingMetric",
        "{that}.service_id = ANY (ARRAY(SELECT s.id FROM ml_bentoml_services AS s "
        "WHERE s.deployment_id = {this}.deployment_id)) "
        "AND {that}.recorded_at BETWEEN {this}.current_start AND {this}.current_end "
        # Always true; it lowers the planner's estimate of rows. Otherwise the planner reads the metrics of all services
        # in the period, in the order of time, for a page: 55,000 rows a day and drift test in 20 million metrics, and
        # the more the fewer of them match; the index of a service and the time has the matching rows alone.
        "AND coalesce({that}.service_id, {that}.id) = CASE WHEN {that}.service_id IS NULL THEN {that}.id "
        "ELSE {that}.service_id END",
        "Serving metrics of the deployment's services in the period of the drift test.",
        this_columns=("deployment_id", "current_start", "current_end"),
        that_columns=("service_id", "recorded_at"),
        inverse="drift_history",
        inverse_doc="Drift tests of the deployment whose current period contains the measurement.",
        inverse_sql="{this}.deployment_id = (SELECT s.deployment_id FROM ml_bentoml_services AS s "
        "WHERE s.id = {that}.service_id) "
        "AND {this}.current_start <= {that}.recorded_at AND {this}.current_end >= {that}.recorded_at "
        # as above: an index of a deployment and the time, rather than the tests of all deployments in the order of time
        "AND coalesce({this}.deployment_id, {this}.id) = CASE WHEN {this}.deployment_id IS NULL THEN {this}.id "
        "ELSE {this}.deployment_id END",
        lineage=comes_from(LineageKind.FEEDS),
    )
    features = Relation(
        "Feature",
        "The affected feature, by name, in every version of it.",
        on={"feature_name": "feature_name"},
        many=True,
        inverse="drift_history",
        inverse_doc="Drift tests of features of this name.",
        lineage=comes_from(LineageKind.MONITORED_BY),
    )


class PerformanceMetric(Entity):
    """One measurement of a model's performance, compared with a baseline to detect degradation."""

    __group__ = Group.MODEL_MONITORING
    __aliases__ = ("metric", "performance", "measurement")
    __tablename__ = "ml_performance_metrics"
    __record__ = facts(retention=Retention("measured_at"))
    __table_args__ = (
        Index(
            "ix_ml_performance_metrics_model_id_degraded",
            "model_id",
            "measured_at",
            postgresql_where=text("is_degraded AND segment IS NULL"),
        ),
    )
    __label__ = ("metric_name", "data_split")
    __order__ = "measured_at"

    id: Mapped[UUID] = column(Uuid(), "Metric record identifier.", primary_key=True, server_default=NEW_UUID)
    model_id: Mapped[UUID | None] = column(Uuid(), "Model measured.", ForeignKey("ml_model_registry.id"))
    experiment_id: Mapped[UUID | None] = column(
        Uuid(), "Experiment of the measured model.", ForeignKey("ml_experiments.id")
    )
    deployment_id: Mapped[UUID | None] = column(
        Uuid(), "Deployment whose predictions were measured.", ForeignKey("ml_deployments.id")
    )
    metric_name: Mapped[str] = column(
        VARCHAR(100), "Metric measured: roc_auc, precision, rmse, etc.", holds=Holds.LABEL, aliases=("metric",)
    )
    metric_value: Mapped[Decimal] = column(
        Numeric(12, 6), "Measured value, on the scale of the metric.", unit=Unit.ROW_SCALE, aliases=("score",)
    )
    data_split: Mapped[str | None] = column(
        VARCHAR(50),
        "Data that it was measured on: train, val, test, or production.",
        server_default="production",
        values=("train", "val", "test", "production"),
    )
    segment: Mapped[str | None] = column(
        VARCHAR(255),
        "Optional segmentation (brand, region); null for the whole population.",
        holds=Holds.LABEL,
        aliases=("subgroup",),
    )
    sample_size: Mapped[int | None] = column(Integer(), "Number of samples measured.", unit=Unit.COUNT)
    positive_rate: Mapped[Decimal | None] = column(
        Numeric(8, 6), "Share of positive labels among the samples (0-1), for classification.", unit=Unit.FRACTION
    )
    ci_lower: Mapped[Decimal | None] = column(
        Numeric(12, 6), "Lower bound of the measured value's confidence interval.", unit=Unit.ROW_SCALE
    )
    ci_upper: Mapped[Decimal | None] = column(
        Numeric(12, 6), "Upper bound of the measured value's confidence interval.", unit=Unit.ROW_SCALE
    )
    ci_level: Mapped[Decimal | None] = column(
        Numeric(4, 3), "Level of the confidence interval (0-1).", server_default="0.95", unit=Unit.FRACTION
    )
    baseline_value: Mapped[Decimal | None] = column(
        Numeric(12, 6), "Comparison baseline: what the metric was before, on the same scale.", unit=Unit.ROW_SCALE
    )
    delta: Mapped[Decimal | None] = column(Numeric(12, 6), "Measured value minus baseline.", unit=Unit.ROW_SCALE)
    delta_pct: Mapped[Decimal | None] = column(
        Numeric(8, 4),
        "Difference to the baseline (percent of the baseline).",
        unit=Unit.PERCENT,
        aliases=("relative change",),
    )
    is_degraded: Mapped[bool | None] = column(
        Boolean(), "Whether performance is below threshold.", server_default="false", aliases=("degradation", "worse")
    )
    measured_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When it was measured.", server_default=NOW)
    measurement_window_start: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "Start of the period that the measured samples come from."
    )
    measurement_window_end: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "End of the period that the measured samples come from."
    )
    source: Mapped[str | None] = column(
        VARCHAR(100),
        "Where the measurement comes from: mlflow, bentoml or manual.",
        server_default="mlflow",
        values=("mlflow", "bentoml", "manual"),
    )
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the measurement was recorded.", server_default=NOW
    )

    model = belongs_to(
        "Model",
        "model_id",
        "The model that was measured.",
        inverse="performance_metrics",
        latest="latest_performance_metric",
        inverse_doc="Performance metrics that the model was measured by, newest first.",
        lineage=comes_from(LineageKind.MEASURED_BY),
    )
    experiment = belongs_to(
        "Experiment",
        "experiment_id",
        "The experiment of the measured model.",
        inverse="performance_metrics",
        inverse_doc="Performance metrics of the experiment's models, newest first.",
        lineage=comes_from(LineageKind.MEASURED_BY),
    )
    deployment = belongs_to(
        "Deployment",
        "deployment_id",
        "The deployment whose predictions were measured.",
        inverse="performance_metrics",
        inverse_doc="Performance metrics of the deployment's predictions, newest first.",
        lineage=comes_from(LineageKind.MEASURED_BY),
    )
