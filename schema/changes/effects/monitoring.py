"""Monitoring: retrainings of alerts, results of investigations, checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db.models.g07_monitoring_lifecycles import RETRAINING, TRIGGER_RETRAINING, TRIGGERING_RETRAINING, RetrainingStatus
from db.models.g08_ab_lifecycles import RECORD_ROOT_CAUSE, RECORDING_ROOT_CAUSE
from schema.changes.engine import Work
from schema.changes.mutations import mutation
from schema.changes.registry import check
from schema.changes.rows import Sql


@check
def counts_not_negative(given: Mapping[str, Any]) -> tuple[str, str] | None:
    for name, value in given.items():
        if name.endswith(("_count", "_checks", "_generated")) and value < 0:
            return name, f"{value} is negative"
    return None


@check
def health_score_in_range(given: Mapping[str, Any]) -> tuple[str, str] | None:
    if not 0 <= given.get("overall_health_score", 0) <= 100:
        return "overall_health_score", f"{given['overall_health_score']} is out of range; pass 0 to 100"
    return None


@check
def sample_size_positive(given: Mapping[str, Any]) -> tuple[str, str] | None:
    if given.get("target_sample_size", 1) < 1:
        return "target_sample_size", f"{given['target_sample_size']} is no sample size; pass 1 or more"
    return None


@mutation(
    TRIGGERING_RETRAINING,
    "Requests one retraining of an alert's model: creates it and marks the alert.",
    subject="MonitoringAlert",
    given=TRIGGER_RETRAINING,
)
async def trigger_retraining(work: Work) -> None:
    """Adds a pending retraining; the alert is the subject, the retraining what changed with it."""
    alert = await work.subject("MonitoringAlert")
    await work.guard(TRIGGERING_RETRAINING, alert)
    rows = await work.find("Model", "t.id::uuid = $1::text::uuid", alert["model_id"])
    kind = alert["alert_type"] if alert["alert_type"] in {"drift", "performance"} else "manual"
    retraining = await work.insert(
        "Retraining",
        {
            "trigger_type": kind,
            "alert_id": alert["id"],
            "model_id": alert["model_id"],
            "old_model_version": rows[0]["model_version"],
            "trigger_reason": work.given.get("trigger_reason") or work.request.reason or alert["message"],
            "drift_severity": alert["severity"] if kind == "drift" else None,
            "status": RetrainingStatus.PENDING.value,
            "created_by": work.request.actor[:100],
        },
    )
    await work.write(alert, {"triggered_retraining": Sql("true"), "retraining_job_id": retraining["id"]})
    await work.record(alert.id, "retraining", None, "TRIGGERED")
    await work.record(retraining.id, RETRAINING.name, None, RetrainingStatus.PENDING.name)


@mutation(
    RECORDING_ROOT_CAUSE,
    "Records the root cause of a sample ratio mismatch, and the action taken.",
    subject="SrmCheck",
    given=RECORD_ROOT_CAUSE,
)
async def record_srm_root_cause(work: Work) -> None:
    """Writes the finding; a later one replaces it, and both are recorded."""
    check_ = await work.subject("SrmCheck")
    await work.guard(RECORDING_ROOT_CAUSE, check_)
    resolved = {"resolved_at": Sql("now()"), "resolved_by": work.request.actor[:100]}
    await work.write(check_, {**work.given, **(resolved if work.given.get("resolution_action") else {})})
    await work.record(check_.id, "root cause", check_["root_cause"], work.given["root_cause"])
