"""Group 7, model monitoring: alerts, runs and what they lead to."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    TEXT,
    VARCHAR,
    Boolean,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lineage import LineageKind, comes_from, leads_to
from db.base.markers import Group, LiveTopic, Retention, entity
from db.base.vocabulary import (
    EMPTY_OBJECT,
    NEW_UUID,
    NOW,
    SERVES,
    Entity,
    Labels,
    belongs_to,
    column,
    linked_by,
    pg_enum,
)
from db.models.g07_model_monitoring import DriftSeverity, DriftType


class AlertStatus(Labels, pg_name="alert_status_enum"):
    """Lifecycle status of a monitoring alert."""

    ACTIVE = "active", "Raised; not acknowledged yet."
    ACKNOWLEDGED = "acknowledged", "Acknowledged by a person who handles it."
    INVESTIGATING = "investigating", "Its cause is under investigation."
    RESOLVED = "resolved", "Its cause has been removed."
    DISMISSED = "dismissed", "Closed without action."


class MonitoringAlert(Entity):
    """An alert on a model, from creation through resolution.

    It carries the people notified, the recommended remediation, automatic actions and the retraining it triggered.
    """

    __group__ = Group.MODEL_MONITORING
    __aliases__ = ("alert", "incident", "warning", "notification")
    __tablename__ = "ml_monitoring_alerts"
    __record__ = entity(
        key=("drift_history_id",),
        retention=Retention("created_at", states=("RESOLVED", "DISMISSED")),
        server=("triggered_retraining", "retraining_job_id", "acknowledgement_notes", "resolution_notes"),
        updates=(
            "affected_features", "recommended_action", "recommended_priority", "notified_channels",
            "notification_sent_at", "notification_error", "auto_action_taken", "auto_action_details",
        ),
    )  # fmt: skip
    __topic__ = LiveTopic.ALERTS
    __table_args__ = (
        # the trigger creates one alert per drift record; this index also holds for alerts from other clients
        Index(
            "uq_ml_monitoring_alerts_drift_history_id",
            "drift_history_id",
            unique=True,
            postgresql_where=text("alert_type = 'drift'"),
        ),
        Index("ix_ml_monitoring_alerts_affected_features", "affected_features", postgresql_using="gin"),
        Index(
            "ix_ml_monitoring_alerts_updated_at",
            "updated_at",
            info={SERVES: "the live feed looks for alerts that have changed"},
        ),
        Index(
            "ix_ml_monitoring_alerts_model_id_open",
            "model_id",
            "severity",
            postgresql_where=text("status IN ('active', 'acknowledged', 'investigating') OR status IS NULL"),
        ),
    )
    __order__ = "created_at"
    __filtered__ = ("status", ("status", "severity"))
    __search__ = ("title",)

    id: Mapped[UUID] = column(Uuid(), "Alert identifier.", primary_key=True, server_default=NEW_UUID)
    alert_type: Mapped[str] = column(
        VARCHAR(100),
        "What the alert is about: drift, performance, staleness or error.",
        values=("drift", "performance", "staleness", "error"),
    )
    title: Mapped[str] = column(VARCHAR(500), "Headline of the alert.", holds=Holds.PROSE, aliases=("headline", "name"))
    severity: Mapped[DriftSeverity] = column(
        pg_enum(DriftSeverity), "Alert severity: none, low, medium, high or critical.", aliases=("level", "priority")
    )
    status: Mapped[AlertStatus] = column(
        pg_enum(AlertStatus),
        "Lifecycle status: active, acknowledged, investigating, resolved or dismissed.",
        server_default=AlertStatus.ACTIVE.value,
    )
    model_id: Mapped[UUID | None] = column(Uuid(), "Affected model.", ForeignKey("ml_model_registry.id"))
    experiment_id: Mapped[UUID | None] = column(
        Uuid(), "Experiment of the affected model.", ForeignKey("ml_experiments.id")
    )
    deployment_id: Mapped[UUID | None] = column(Uuid(), "Affected deployment.", ForeignKey("ml_deployments.id"))
    drift_history_id: Mapped[UUID | None] = column(
        Uuid(), "Drift record that raised the alert, for alerts on drift.", ForeignKey("ml_drift_history.id")
    )
    message: Mapped[str] = column(
        TEXT(), "What happened, in prose.", holds=Holds.PROSE, aliases=("text", "description", "body")
    )
    affected_features: Mapped[list[str] | None] = column(ARRAY(TEXT()), "Features involved.", holds=Holds.IDENTIFIER)
    drift_type: Mapped[DriftType | None] = column(
        pg_enum(DriftType), "Kind of drift, for alerts on drift: data, model, or concept."
    )
    composite_drift_score: Mapped[Decimal | None] = column(
        Numeric(8, 4), "Drift score that the alert was raised for (0-1).", unit=Unit.FRACTION
    )
    recommended_action: Mapped[str | None] = column(
        TEXT(), "Suggested remediation.", holds=Holds.PROSE, aliases=("suggestion", "remediation")
    )
    recommended_priority: Mapped[str | None] = column(
        VARCHAR(50),
        "Priority of the suggested remediation: immediate, high, medium or low.",
        values=("immediate", "high", "medium", "low"),
        aliases=("urgency",),
    )
    auto_action_taken: Mapped[bool | None] = column(
        Boolean(), "Whether an automatic action (such as retraining) was taken.", server_default="false"
    )
    auto_action_details: Mapped[Any | None] = column(
        JSONB(), "What the automatic action was and what came of it.", holds=Holds.PROSE
    )
    notified_channels: Mapped[list[str] | None] = column(
        ARRAY(TEXT()), "Notification channels that were told (slack, email, pagerduty, ...).", holds=Holds.LABEL
    )
    notification_sent_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When the notification was sent.")
    notification_error: Mapped[str | None] = column(
        TEXT(), "Why the notification could not be sent, if so.", holds=Holds.PROSE
    )
    acknowledged_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was acknowledged.")
    acknowledged_by: Mapped[str | None] = column(
        VARCHAR(255), "Who acknowledged it.", holds=Holds.IDENTIFIER, aliases=("assignee", "owner")
    )
    acknowledgement_notes: Mapped[str | None] = column(TEXT(), "Note left when acknowledging.", holds=Holds.PROSE)
    resolved_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was resolved or dismissed.")
    resolved_by: Mapped[str | None] = column(VARCHAR(255), "Who resolved or dismissed it.", holds=Holds.IDENTIFIER)
    resolution_notes: Mapped[str | None] = column(TEXT(), "Note left when resolving or dismissing.", holds=Holds.PROSE)
    resolution_action: Mapped[str | None] = column(
        VARCHAR(100),
        "What resolved it: retrained, rolled_back, dismissed or fixed_data.",
        values=("retrained", "rolled_back", "dismissed", "fixed_data"),
    )
    triggered_retraining: Mapped[bool | None] = column(
        Boolean(), "Whether auto-retraining was triggered.", server_default="false"
    )
    retraining_job_id: Mapped[UUID | None] = column(
        Uuid(), "Retraining that the alert triggered, by its record identifier."
    )
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it was raised.", server_default=NOW, aliases=("raised at", "triggered at")
    )
    updated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it was last changed; set by a trigger.", server_default=NOW
    )

    model = belongs_to(
        "Model",
        "model_id",
        "The affected model.",
        inverse="alerts",
        inverse_doc="Monitoring alerts on the model, newest first.",
        lineage=comes_from(LineageKind.ALERTS_ON),
    )
    experiment = belongs_to(
        "Experiment",
        "experiment_id",
        "The experiment of the affected model.",
        inverse="alerts",
        inverse_doc="Monitoring alerts on the experiment's models, newest first.",
        lineage=comes_from(LineageKind.ALERTS_ON),
    )
    deployment = belongs_to(
        "Deployment",
        "deployment_id",
        "The affected deployment.",
        inverse="alerts",
        inverse_doc="Monitoring alerts on the deployment, newest first.",
        lineage=comes_from(LineageKind.ALERTS_ON),
    )
    features = linked_by(
        "Feature",
        "{that}.feature_name <> '' AND {that}.feature_name = ANY ({this}.affected_features)",
        "The features involved, by name, in every version of them.",
        this_columns=("affected_features",),
        that_columns=("feature_name",),
        inverse="alerts",
        inverse_doc="Alerts that a feature of this name is involved in.",
        inverse_sql="{that}.feature_name <> '' AND {this}.affected_features @> ARRAY[{that}.feature_name::text]",
        elements="affected_features",
        lineage=comes_from(LineageKind.ALERTS_ON),
    )
    drift_record = belongs_to(
        "DriftRecord",
        "drift_history_id",
        "The drift record that raised the alert.",
        inverse="alerts",
        inverse_doc="Alerts that the drift record raised.",
        lineage=comes_from(LineageKind.RAISES),
        aliases=("cause", "caused by", "source", "root cause"),
    )
    retraining_job = belongs_to(
        "Retraining",
        "retraining_job_id",
        "The retraining that the alert names as the one it triggered.",
        inverse="requesting_alerts",
        inverse_doc="Alerts that name this retraining as the one they triggered.",
        lineage=leads_to(LineageKind.TRIGGERS),
        aliases=("triggered job",),
        inverse_aliases=("causes", "triggering alerts", "requested by"),
    )


class MonitoringRun(Entity):
    """One execution of a monitoring job over some models or deployments: what it checked and what it found."""

    __group__ = Group.MODEL_MONITORING
    __aliases__ = ("monitoring job", "monitoring check")
    __tablename__ = "ml_monitoring_runs"
    __record__ = entity(
        born=("RUNNING", "COMPLETED", "FAILED"),
        actor="created_by",
        retention=Retention("started_at", states=("COMPLETED", "FAILED")),
    )
    __label__ = ("run_type",)
    __table_args__ = (
        Index("ix_ml_monitoring_runs_model_ids_gin", "model_ids", postgresql_using="gin"),
        Index("ix_ml_monitoring_runs_deployment_ids_gin", "deployment_ids", postgresql_using="gin"),
    )
    __order__ = "started_at"

    id: Mapped[UUID] = column(Uuid(), "Run identifier.", primary_key=True, server_default=NEW_UUID)
    run_type: Mapped[str] = column(
        VARCHAR(100),
        "What was checked: data_drift, model_drift, concept_drift, performance or full.",
        values=("data_drift", "model_drift", "concept_drift", "performance", "full"),
    )
    trigger_type: Mapped[str] = column(
        VARCHAR(50),
        "What started the run: scheduled, manual, or event.",
        server_default="scheduled",
        values=("scheduled", "manual", "event"),
    )
    model_ids: Mapped[list[UUID] | None] = column(ARRAY(Uuid()), "Models checked in the run.")
    deployment_ids: Mapped[list[UUID] | None] = column(ARRAY(Uuid()), "Deployments checked in the run.")
    started_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When it started.", server_default=NOW)
    completed_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it ended.")
    duration_seconds: Mapped[Decimal | None] = column(
        Numeric(10, 2), "Wall-clock time of the run, in seconds.", unit=Unit.SECONDS
    )
    total_checks: Mapped[int | None] = column(Integer(), "Number of checks made.", server_default="0", unit=Unit.COUNT)
    drift_detected_count: Mapped[int | None] = column(
        Integer(), "Number of checks that detected drift.", server_default="0", unit=Unit.COUNT
    )
    alerts_generated: Mapped[int | None] = column(
        Integer(), "Number of alerts produced.", server_default="0", unit=Unit.COUNT
    )
    critical_count: Mapped[int | None] = column(
        Integer(), "Critical severity findings.", server_default="0", unit=Unit.COUNT
    )
    high_count: Mapped[int | None] = column(Integer(), "High severity findings.", server_default="0", unit=Unit.COUNT)
    medium_count: Mapped[int | None] = column(
        Integer(), "Medium severity findings.", server_default="0", unit=Unit.COUNT
    )
    low_count: Mapped[int | None] = column(Integer(), "Low severity findings.", server_default="0", unit=Unit.COUNT)
    overall_health_score: Mapped[Decimal | None] = column(
        Numeric(5, 2), "Health score (0-100, higher is better).", unit=Unit.POINTS_OF_100, aliases=("health",)
    )
    requires_attention: Mapped[bool | None] = column(
        Boolean(), "Whether a person should look at the findings.", server_default="false"
    )
    status: Mapped[str | None] = column(
        VARCHAR(50), "State of the run: running, completed or failed.", server_default="running", holds=Holds.STATE
    )
    error_message: Mapped[str | None] = column(TEXT(), "Why the run failed, if it did.", holds=Holds.PROSE)
    summary: Mapped[Any | None] = column(
        JSONB(), "Findings of the run in detail.", server_default=EMPTY_OBJECT, holds=Holds.PROSE
    )
    created_by: Mapped[str | None] = column(
        VARCHAR(100),
        "User, agent or scheduler that started the run.",
        server_default="celery_beat",
        holds=Holds.IDENTIFIER,
    )
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the run was recorded.", server_default=NOW
    )

    models = linked_by(
        "Model",
        "{that}.id = ANY({this}.model_ids)",
        "The models that the run checked.",
        this_columns=("model_ids",),
        that_columns=("id",),
        inverse="monitoring_runs",
        inverse_doc="Monitoring runs that checked the model, newest first.",
        inverse_sql="{this}.model_ids @> ARRAY[{that}.id]",
        elements="model_ids",
        lineage=comes_from(LineageKind.MONITORED_BY),
    )
    deployments = linked_by(
        "Deployment",
        "{that}.id = ANY({this}.deployment_ids)",
        "The deployments that the run checked.",
        this_columns=("deployment_ids",),
        that_columns=("id",),
        inverse="monitoring_runs",
        inverse_doc="Monitoring runs that checked the deployment, newest first.",
        inverse_sql="{this}.deployment_ids @> ARRAY[{that}.id]",
        elements="deployment_ids",
        lineage=comes_from(LineageKind.MONITORED_BY),
    )


class Retraining(Entity):
    """One retraining of a model: what triggered it, the versions before and after, and whether it paid off."""

    __group__ = Group.MODEL_MONITORING
    __aliases__ = ("retraining job", "retraining history")
    __tablename__ = "ml_retraining_history"
    __record__ = entity(
        actor="created_by", server=("alert_id", "new_metric_value", "auto_deployed", "deployment_id"), updates=()
    )
    __label__ = ("trigger_type", "new_model_version")
    __order__ = "triggered_at"

    id: Mapped[UUID] = column(Uuid(), "Retraining record identifier.", primary_key=True, server_default=NEW_UUID)
    trigger_type: Mapped[str] = column(
        VARCHAR(100),
        "What triggered the retraining: drift, performance, scheduled or manual.",
        values=("drift", "performance", "scheduled", "manual"),
        aliases=("cause",),
    )
    alert_id: Mapped[UUID | None] = column(Uuid(), "Triggering alert.", ForeignKey("ml_monitoring_alerts.id"))
    monitoring_run_id: Mapped[UUID | None] = column(
        Uuid(), "Monitoring run that led to the retraining.", ForeignKey("ml_monitoring_runs.id")
    )
    model_id: Mapped[UUID | None] = column(
        Uuid(), "Model retrained, in its previous version.", ForeignKey("ml_model_registry.id")
    )
    old_model_version: Mapped[str | None] = column(VARCHAR(100), "Previous version.", holds=Holds.IDENTIFIER)
    new_model_version: Mapped[str | None] = column(
        VARCHAR(100), "New version, of the same model name.", holds=Holds.IDENTIFIER
    )
    trigger_reason: Mapped[str] = column(
        TEXT(), "Why the model was retrained, in prose.", holds=Holds.PROSE, aliases=("cause",)
    )
    drift_severity: Mapped[DriftSeverity | None] = column(
        pg_enum(DriftSeverity),
        "Severity of the drift that triggered the retraining: none, low, medium, high or critical.",
    )
    performance_delta: Mapped[Decimal | None] = column(
        Numeric(8, 4),
        "Change of performance that triggered the retraining, on the scale of the metric.",
        unit=Unit.ROW_SCALE,
    )
    training_run_id: Mapped[UUID | None] = column(
        Uuid(), "Training run that carried out the retraining.", ForeignKey("ml_training_runs.id")
    )
    status: Mapped[str | None] = column(
        VARCHAR(50),
        "State of the retraining: pending, training, validating, deployed, failed or rejected.",
        server_default="pending",
        holds=Holds.STATE,
    )
    old_metric_value: Mapped[Decimal | None] = column(
        Numeric(12, 6), "Metric before retraining, on its own scale.", unit=Unit.ROW_SCALE, aliases=("metric before",)
    )
    new_metric_value: Mapped[Decimal | None] = column(
        Numeric(12, 6), "Metric after retraining, on its own scale.", unit=Unit.ROW_SCALE, aliases=("metric after",)
    )
    improvement: Mapped[Decimal | None] = column(
        Numeric(8, 4),
        "Improvement of the metric from before to after the retraining.",
        unit=Unit.ROW_SCALE,
        aliases=("gain",),
    )
    auto_deployed: Mapped[bool | None] = column(
        Boolean(), "Whether the new version was auto-promoted to production.", server_default="false"
    )
    deployed_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When the new version was deployed.")
    deployment_id: Mapped[UUID | None] = column(
        Uuid(), "Deployment of the new version.", ForeignKey("ml_deployments.id")
    )
    triggered_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When it was triggered.", server_default=NOW)
    completed_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it ended.")
    duration_seconds: Mapped[Decimal | None] = column(
        Numeric(10, 2), "Wall-clock time of the retraining, in seconds.", unit=Unit.SECONDS
    )
    notes: Mapped[str | None] = column(TEXT(), "Remarks on the retraining.", holds=Holds.PROSE)
    created_by: Mapped[str | None] = column(
        VARCHAR(100), "User or agent that asked for the retraining.", holds=Holds.IDENTIFIER
    )
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the retraining was recorded.", server_default=NOW
    )

    alert = belongs_to(
        "MonitoringAlert",
        "alert_id",
        "The alert that triggered the retraining.",
        inverse="retrainings",
        latest="latest_retraining",
        inverse_doc="Retrainings that the alert triggered.",
        lineage=comes_from(LineageKind.TRIGGERS),
        aliases=("cause", "caused by", "triggering alert"),
    )
    monitoring_run = belongs_to(
        "MonitoringRun",
        "monitoring_run_id",
        "The monitoring run that led to the retraining.",
        inverse="retrainings",
        inverse_doc="Retrainings that the run led to.",
        lineage=comes_from(LineageKind.TRIGGERS),
    )
    model = belongs_to(
        "Model",
        "model_id",
        "The model that was retrained, in its previous version.",
        inverse="retrainings",
        inverse_doc="Retrainings of the model, newest first.",
        lineage=comes_from(LineageKind.RETRAINED_AS),
        aliases=("old model", "previous model"),
    )
    new_model = linked_by(
        "Model",
        "{that}.model_version = {this}.new_model_version AND {that}.model_name = "
        "(SELECT old.model_name FROM ml_model_registry old WHERE old.id = {this}.model_id)",
        "The model version that the retraining produced: the new version of the retrained model's name.",
        this_columns=("model_id", "new_model_version"),
        that_columns=("id", "model_name", "model_version"),
        many=False,
        inverse="produced_by_retrainings",
        inverse_doc="Retrainings that produced this model version.",
        # an array, of which the planner expects few values: it looks for the rows of each, rather than for those of a
        # version among all, in the order of time
        inverse_sql="{this}.new_model_version = {that}.model_version AND {this}.model_id = ANY (ARRAY("
        "SELECT old.id FROM ml_model_registry old WHERE old.model_name = {that}.model_name))",
        lineage=leads_to(LineageKind.PRODUCES, closes_loop=True),
        aliases=("retrained model", "resulting model", "candidate"),
        inverse_aliases=("retrained from", "created by retraining"),
    )
    training_run = belongs_to(
        "TrainingRun",
        "training_run_id",
        "The training run that carried out the retraining.",
        inverse="retrainings",
        inverse_doc="Retrainings that the run carried out.",
        lineage=leads_to(LineageKind.CARRIED_OUT_AS),
    )
    deployment = belongs_to(
        "Deployment",
        "deployment_id",
        "The deployment of the new version.",
        inverse="retrainings",
        inverse_doc="Retrainings whose new version the deployment put in place.",
        lineage=leads_to(LineageKind.DEPLOYED_AS),
    )
