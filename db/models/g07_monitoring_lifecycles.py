"""Group 7, lifecycles: alerts, retrainings and monitoring runs."""

from __future__ import annotations

from sqlalchemy import TEXT, VARCHAR, Boolean, Integer, Numeric
from sqlalchemy.dialects.postgresql import JSONB

from db.base.effects import Effect, Writes
from db.base.guards import Guard
from db.base.lifecycles import ACTOR, NOTHING, NOW, Change, Given, Lifecycle, Step, duration_since
from db.base.vocabulary import Labels
from db.models.g07_monitoring_alerts import AlertStatus


class ResolutionAction(Labels):
    """What resolved an alert."""

    RETRAINED = "retrained", "The model was retrained."
    ROLLED_BACK = "rolled_back", "An earlier deployment was put back."
    DISMISSED = "dismissed", "No action was needed."
    FIXED_DATA = "fixed_data", "The data were corrected."


class RetrainingStatus(Labels):
    """Status of a retraining."""

    PENDING = "pending", "Requested; has not started yet."
    APPROVED = "approved", "Approved; has not started yet."
    TRAINING = "training", "The new version is being trained."
    VALIDATING = "validating", "The new version is being compared with the old one."
    COMPLETED = "completed", "Ended with a new version; the platform counts its cooldown from it."
    DEPLOYED = "deployed", "The new version is deployed."
    FAILED = "failed", "Ended with an error."
    REJECTED = "rejected", "The new version was not good enough."
    CANCELLED = "cancelled", "Cancelled before it ended."
    ROLLED_BACK = "rolled_back", "The new version was rolled back."


class RunStatus(Labels):
    """Status of a monitoring run."""

    RUNNING = "running", "Checking."
    COMPLETED = "completed", "Every check was made."
    FAILED = "failed", "Ended with an error."


_CLOSED = {"resolved_at": NOW, "resolved_by": ACTOR}
_NOTES = {"resolution_notes": Given(TEXT(), "Note on how it was resolved or why it was dismissed.")}

ALERT = Lifecycle(
    "status",
    "MonitoringAlert",
    "status",
    AlertStatus,
    AlertStatus.ACTIVE,
    {
        AlertStatus.ACTIVE: (
            AlertStatus.ACKNOWLEDGED, AlertStatus.INVESTIGATING, AlertStatus.RESOLVED, AlertStatus.DISMISSED,
        ),
        AlertStatus.ACKNOWLEDGED: (AlertStatus.INVESTIGATING, AlertStatus.RESOLVED, AlertStatus.DISMISSED),
        AlertStatus.INVESTIGATING: (AlertStatus.RESOLVED, AlertStatus.DISMISSED),
        AlertStatus.RESOLVED: (AlertStatus.ACTIVE,),
        AlertStatus.DISMISSED: (AlertStatus.ACTIVE,),
    },
    entering={
        AlertStatus.ACKNOWLEDGED: Step(stamps={"acknowledged_at": NOW, "acknowledged_by": ACTOR}),
        AlertStatus.RESOLVED: Step(stamps=_CLOSED),
        AlertStatus.DISMISSED: Step(stamps=_CLOSED | {"resolution_action": "'dismissed'"}),
        AlertStatus.ACTIVE: Step(
            stamps=dict.fromkeys(
                ("acknowledged_at", "acknowledged_by", "resolved_at", "resolved_by", "resolution_action"), NOTHING
            )
        ),
    },
    changes=(
        Change(
            "acknowledgeAlert",
            "Acknowledges an alert.",
            (AlertStatus.ACKNOWLEDGED,),
            {"acknowledgement_notes": Given(TEXT(), "Note left when acknowledging.")},
        ),
        Change("investigateAlert", "Starts the investigation of an alert.", (AlertStatus.INVESTIGATING,)),
        Change(
            "resolveAlert",
            "Resolves an alert.",
            (AlertStatus.RESOLVED,),
            {"resolution_action": Given(ResolutionAction, "What resolved it.", required=True)} | _NOTES,
        ),
        Change("dismissAlert", "Closes an alert that needs no action.", (AlertStatus.DISMISSED,), _NOTES),
        Change("reopenAlert", "Reopens a closed alert.", (AlertStatus.ACTIVE,), reason_due=True),
    ),
)  # fmt: skip

_ENDED = {"completed_at": NOW, "duration_seconds": duration_since("triggered_at")}

RETRAINING = Lifecycle(
    "status",
    "Retraining",
    "status",
    RetrainingStatus,
    RetrainingStatus.PENDING,
    {
        RetrainingStatus.PENDING: (
            RetrainingStatus.APPROVED, RetrainingStatus.TRAINING, RetrainingStatus.CANCELLED, RetrainingStatus.FAILED,
        ),
        RetrainingStatus.APPROVED: (
            RetrainingStatus.TRAINING, RetrainingStatus.CANCELLED, RetrainingStatus.FAILED,
        ),
        RetrainingStatus.TRAINING: (
            RetrainingStatus.VALIDATING, RetrainingStatus.COMPLETED, RetrainingStatus.CANCELLED,
            RetrainingStatus.FAILED,
        ),
        RetrainingStatus.VALIDATING: (
            RetrainingStatus.DEPLOYED, RetrainingStatus.COMPLETED, RetrainingStatus.REJECTED, RetrainingStatus.FAILED,
        ),
        RetrainingStatus.COMPLETED: (RetrainingStatus.DEPLOYED, RetrainingStatus.ROLLED_BACK),
        # COMPLETED is the state that the platform's cooldown selects
        RetrainingStatus.DEPLOYED: (RetrainingStatus.COMPLETED, RetrainingStatus.ROLLED_BACK),
    },
    entering={
        RetrainingStatus.DEPLOYED: Step(
            guards=(
                Guard(
                    "NEW_VERSION_UNKNOWN",
                    "The new version must be registered under the retrained model's name.",
                    """
                    SELECT CASE WHEN {row}.new_model_version IS NULL THEN 'no new version is linked'
                        ELSE 'no model of that name has the version ' || {row}.new_model_version END,
                        'Model:' || {row}.model_id
                    WHERE NOT EXISTS (
                        SELECT FROM ml_model_registry AS old
                        JOIN ml_model_registry AS new ON new.model_name = old.model_name AND new.id <> old.id
                        WHERE old.id = {row}.model_id AND new.model_version = {row}.new_model_version
                    )
                    """,
                    reads=("Model",),
                ),
                Guard(
                    "METRICS_MISSING",
                    "The metric before and after the retraining must be known.",
                    """
                    SELECT 'the metric ' || concat_ws(' and ',
                            CASE WHEN nullif({row}.old_metric_value, 'NaN') IS NULL THEN 'before' END,
                            CASE WHEN nullif({row}.new_metric_value, 'NaN') IS NULL THEN 'after' END
                        ) || ' the retraining is missing', NULL
                    WHERE nullif({row}.old_metric_value, 'NaN') IS NULL
                        OR nullif({row}.new_metric_value, 'NaN') IS NULL
                    """,
                ),
            ),
            stamps=_ENDED | {
                "deployed_at": NOW,
                "improvement": "CASE WHEN abs(new_metric_value - old_metric_value) < 10000 "
                "THEN new_metric_value - old_metric_value END",
            },
        ),
        # the timestamps may have been set on the transition to DEPLOYED
        RetrainingStatus.COMPLETED: Step(stamps={
            column: f"coalesce({column}, {stamp})" for column, stamp in _ENDED.items()
        }),
        RetrainingStatus.REJECTED: Step(stamps=_ENDED),
        RetrainingStatus.CANCELLED: Step(stamps=_ENDED),
        RetrainingStatus.FAILED: Step(stamps=_ENDED),
    },
    changes=(
        Change(
            "moveRetraining",
            "Moves a retraining to a status of its lifecycle, other than deployed.",
            (
                RetrainingStatus.APPROVED, RetrainingStatus.TRAINING, RetrainingStatus.VALIDATING,
                RetrainingStatus.COMPLETED, RetrainingStatus.REJECTED, RetrainingStatus.CANCELLED,
                RetrainingStatus.FAILED, RetrainingStatus.ROLLED_BACK,
            ),
            {
                "training_run_id": Given("TrainingRun", "Training run of the retraining."),
                "new_model_version": Given(VARCHAR(100), "New version, of the same model name."),
                "notes": Given(TEXT(), "Remarks on the retraining."),
            },
            many=False,
        ),
        Change(
            "completeRetraining",
            "Completes a retraining whose new version is deployed: links the version and the metric before and after.",
            (RetrainingStatus.DEPLOYED,),
            {
                "new_model_version": Given(VARCHAR(100), "New version, of the same model name.", required=True),
                "new_metric_value": Given(Numeric(12, 6), "Metric after retraining, on its own scale.", required=True),
                "old_metric_value": Given(
                    Numeric(12, 6), "Metric before retraining, on its own scale; needed unless it is known already."
                ),
                "deployment_id": Given("Deployment", "Deployment of the new version."),
                "auto_deployed": Given(Boolean(), "Whether the new version was auto-promoted to production."),
                "notes": Given(TEXT(), "Remarks on the retraining."),
            },
            many=False,
        ),
    ),
)  # fmt: skip

_RUN_ENDED = {"completed_at": NOW, "duration_seconds": duration_since("started_at")}

MONITORING_RUN = Lifecycle(
    "status",
    "MonitoringRun",
    "status",
    RunStatus,
    RunStatus.RUNNING,
    {RunStatus.RUNNING: (RunStatus.COMPLETED, RunStatus.FAILED)},
    entering={RunStatus.COMPLETED: Step(stamps=_RUN_ENDED), RunStatus.FAILED: Step(stamps=_RUN_ENDED)},
    changes=(
        Change(
            "completeMonitoringRun",
            "Completes a monitoring run.",
            (RunStatus.COMPLETED,),
            {
                "overall_health_score": Given(Numeric(5, 2), "Health score (0-100, higher is better)."),
                "total_checks": Given(Integer(), "Checks that were made."),
                "drift_detected_count": Given(Integer(), "Checks that found drift."),
                "alerts_generated": Given(Integer(), "Alerts that were raised."),
                "critical_count": Given(Integer(), "Findings of critical severity."),
                "high_count": Given(Integer(), "Findings of high severity."),
                "medium_count": Given(Integer(), "Findings of medium severity."),
                "low_count": Given(Integer(), "Findings of low severity."),
                "requires_attention": Given(Boolean(), "Whether the findings require attention."),
                "summary": Given(JSONB(), "Summary of the findings."),
            },
            checks=("health_score_in_range", "counts_not_negative"),
            many=False,
        ),
        Change(
            "failMonitoringRun",
            "Ends a monitoring run with an error.",
            (RunStatus.FAILED,),
            {"error_message": Given(TEXT(), "Why the run failed.", required=True)},
        ),
    ),
)

TRIGGER_RETRAINING = {
    "trigger_reason": Given(TEXT(), "Why the model is retrained; the text of the alert by default."),
}
"""Inputs of a retraining that an alert triggers."""

TRIGGERING_RETRAINING = Effect(
    "triggerRetraining",
    writes=(
        Writes("MonitoringAlert", columns=("triggered_retraining", "retraining_job_id")),
        Writes(
            "Retraining",
            added=(
                "trigger_type", "alert_id", "model_id", "old_model_version", "trigger_reason", "drift_severity",
                "status", "created_by",
            ),
        ),
    ),
    locks=("Model",),
    guards=(
        Guard(
            "NO_MODEL",
            "The alert must name a model.",
            "SELECT 'the alert names no model', 'MonitoringAlert:' || {row}.id WHERE {row}.model_id IS NULL",
        ),
        Guard(
            "ALERT_CLOSED",
            "The alert must be open.",
            """
            SELECT 'the alert is ' || {row}.status::text || '; open it again first', 'MonitoringAlert:' || {row}.id
            WHERE {row}.status::text IN ('resolved', 'dismissed')
            """,
        ),
        Guard(
            "ALREADY_TRIGGERED",
            "The alert must not have triggered a retraining before.",
            """
            SELECT 'the alert has triggered a retraining already',
                'Retraining:' || coalesce(before.id, {row}.retraining_job_id)
            FROM (SELECT) AS one LEFT JOIN LATERAL (
                SELECT r.id FROM ml_retraining_history AS r WHERE r.alert_id = {row}.id
                ORDER BY r.triggered_at DESC LIMIT 1
            ) AS before ON true
            WHERE {row}.triggered_retraining OR before.id IS NOT NULL
            """,
            reads=("Retraining",),
        ),
    ),
)  # fmt: skip
