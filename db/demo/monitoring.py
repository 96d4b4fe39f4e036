"""Drift tests, monitoring runs, alerts, performance over time and retrainings.

Alerts on drift are created by the database's trigger; this module only sets their later states.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from db.demo.rows import Row
from db.demo.vocabulary import FEATURES_BY_NAME, PEOPLE, FeatureSpec
from db.demo.world import Case, DeploymentCase, Document, ModelCase, World, seconds, spread
from db.models.g07_model_monitoring import DriftRecord, PerformanceMetric
from db.models.g07_monitoring_alerts import MonitoringAlert, MonitoringRun, Retraining

SEVERITIES = (("none", 0.1), ("low", 0.2), ("medium", 0.3), ("high", 0.45), ("critical", math.inf))
"""Severities of drift scores, with their upper bounds."""
RAISING = ("medium", "high", "critical")


@dataclass(frozen=True)
class Test:
    """A statistical test: its name, the type of drift that it detects, and whether it has a p-value."""

    name: str
    drift_type: str
    has_p_value: bool


TESTS = (
    Test("psi", "data", has_p_value=False),
    Test("ks", "data", has_p_value=True),
    Test("chi_square", "data", has_p_value=True),
    Test("wasserstein", "data", has_p_value=False),
    Test("js_divergence", "model", has_p_value=False),
    Test("importance_correlation", "concept", has_p_value=False),
)


def severity(score: float) -> str:
    return next(label for label, bound in SEVERITIES if score < bound)


def drift(
    world: World,
    made: ModelCase,
    deployment: DeploymentCase,
    drift_type: str,
    moment: datetime,
    *,
    score: float,
    feature: str | None = None,
) -> Row:
    """One drift test; for a severity of medium or above the database's trigger creates an alert."""
    test = world.pick([test for test in TESTS if test.drift_type == drift_type])
    if feature and FEATURES_BY_NAME[feature].kind == "categorical":
        test = TESTS[2]
    label = severity(score)
    row = world.rows.add(
        DriftRecord,
        model_id=made.id,
        experiment_id=made.case.id,
        deployment_id=deployment.id,
        drift_type=drift_type,
        feature_name=feature,
        test_type=test.name,
        test_statistic=round(score * (40 if test.name == "chi_square" else 1), 6),
        p_value=round(math.exp(-score * 30), 10) if test.has_p_value else None,
        threshold=0.05 if test.has_p_value else 0.1,
        drift_detected=label != "none",
        severity=label,
        baseline_start=moment - timedelta(days=97),
        baseline_end=moment - timedelta(days=7),
        current_start=moment - timedelta(days=7),
        current_end=moment,
        drift_score=score,
        contribution_to_overall=round(min(100.0, score * 100), 4),
        detected_by="drift_monitor_agent",
        created_at=moment,
        **_moments(world, feature, score),
    )
    if label in RAISING:
        _alert_of(world, row, moment)
    return row


def _moments(world: World, feature: str | None, score: float) -> Document:
    spec = FEATURES_BY_NAME.get(feature or "")
    spec = spec or FeatureSpec("prediction", "model", "", "numeric", 0.21, 0.14, "The model's own score.")
    mean, deviation = spec.mean, spec.deviation
    moved = spec.within(mean + deviation * score * world.pick((-1, 1)))
    found: Document = {}
    for period, middle, count in (("baseline", mean, 24_000), ("current", moved, 1_900)):
        found[f"{period}_mean"] = round(middle, 6)
        found[f"{period}_std"] = round(deviation * world.between(0.95, 1.1), 6)
        found[f"{period}_min"] = spec.within(middle - 3 * deviation)
        found[f"{period}_max"] = round(middle + 3 * deviation, 6)
        found[f"{period}_count"] = world.rng.randint(count, count * 2)
    return found


def _alert_of(world: World, record: Row, moment: datetime) -> None:
    """The later state of the alert of a drift record: an old one is closed, a recent one may be open."""
    alert = world.rows.uuid()
    world.alerts[record["id"]] = alert
    values: Document = {
        "id": alert,
        "drift_history_id": record["id"],
        "created_at": moment,
        "notified_channels": ["slack", "pagerduty"] if record["severity"] == "critical" else ["slack"],
        "notification_sent_at": moment + timedelta(seconds=40),
        "auto_action_taken": False,
        "triggered_retraining": False,
        "updated_at": moment + timedelta(seconds=40),
    }
    world.rows.raised.append(values | lifecycle(world, moment))


RECENT = (("active", 5), ("acknowledged", 2), ("investigating", 2), ("dismissed", 1))
PAST = (("resolved", 40), ("dismissed", 9), ("investigating", 1))


def lifecycle(world: World, raised: datetime, status: str | None = None) -> Document:
    """Status, times and notes of an alert; the status follows from its age unless it is given."""
    if status is None:
        recent = world.now - raised < timedelta(days=3)
        status = spread(RECENT if recent else PAST, world.rng)
    values: Document = {
        "status": status, "acknowledged_at": None, "acknowledged_by": None, "acknowledgement_notes": None,
        "resolved_at": None, "resolved_by": None, "resolution_notes": None, "resolution_action": None,
    }  # fmt: skip
    if status == "active":
        return values
    person = world.pick(PEOPLE)
    seen = world.after(raised, 4, 180)
    values |= {"acknowledged_at": seen, "acknowledged_by": person, "acknowledgement_notes": "Looking into it."}
    values["updated_at"] = seen
    if status in {"resolved", "dismissed"}:
        closed = world.after(seen, 30, 2_000)
        action = "dismissed" if status == "dismissed" else world.pick(("retrained", "fixed_data", "rolled_back"))
        notes = "Seasonal, within the usual range." if status == "dismissed" else "Back within the threshold."
        values |= {
            "resolved_at": closed, "resolved_by": person, "resolution_notes": notes, "resolution_action": action,
            "updated_at": closed,
        }  # fmt: skip
    return values


def monitoring_run(
    world: World, run_type: str, moment: datetime, models: list[ModelCase], checks: list[Row], **more: Any
) -> Row:
    """A monitoring run with these checks that ended at ``moment``; its counts are those of the checks."""
    counts = {label: sum(check["severity"] == label for check in checks) for label, _ in SEVERITIES}
    lasted = world.rng.randint(20, 240)
    penalty = 40 * counts["critical"] + 18 * counts["high"] + 7 * counts["medium"] + 2 * counts["low"]
    values: Document = {
        "run_type": run_type,
        "trigger_type": "scheduled",
        "model_ids": [made.id for made in models],
        "deployment_ids": sorted({check["deployment_id"] for check in checks}, key=str),
        "started_at": moment - timedelta(seconds=lasted),
        "completed_at": moment,
        "duration_seconds": lasted,
        "total_checks": len(checks),
        "drift_detected_count": sum(check["drift_detected"] for check in checks),
        "alerts_generated": sum(check["severity"] in RAISING for check in checks),
        "critical_count": counts["critical"],
        "high_count": counts["high"],
        "medium_count": counts["medium"],
        "low_count": counts["low"],
        "overall_health_score": max(0, 100 - penalty),
        "requires_attention": counts["critical"] + counts["high"] > 0,
        "status": "completed",
        "error_message": None,
        "summary": {"severities": counts},
        "created_by": "celery_beat",
    }
    return world.rows.add(MonitoringRun, **(values | more))


def watch(world: World, case: Case) -> None:
    """Monitoring of an experiment of the fleet: its champion is checked at equal intervals until an hour ago.

    Every fourth experiment has occasional drift.
    """
    made = case.champion
    if made is None or not made.deployments:
        return
    deployment = made.deployments[-1]
    runs = world.size.monitoring_runs
    days = max(1, min(14, (world.now - made.registered).days))
    for number in range(runs):
        moment = world.ago(days=days * number / runs, hours=1)
        checks = [
            drift(world, made, deployment, "data", moment, score=_score(world, calm=case.calm), feature=feature)
            for feature in world.rng.sample(case.features, 5)
        ]
        checks += [
            drift(world, made, deployment, kind, moment, score=_score(world, calm=case.calm))
            for kind in ("model", "concept")
        ]
        run = monitoring_run(
            world, "full", moment, [made], checks, trigger_type=world.pick(("scheduled", "scheduled", "event"))
        )
        _measure(world, made, deployment, moment)
        raised = [check for check in checks if check["severity"] in {"high", "critical"}]
        if raised and world.chance(0.25):
            _retrain(world, made, raised[0], run, moment)
    if world.chance(0.5):
        _other_alert(world, made, deployment, world.pick(OTHER_ALERTS))
    if world.chance(0.3):
        _failed_run(world, made, "performance", running=False)


def _score(world: World, *, calm: bool) -> float:
    return round(min(0.95, world.rng.betavariate(1.0, 30.0) if calm else world.rng.betavariate(1.2, 9.0)), 4)


def _measure(world: World, made: ModelCase, deployment: DeploymentCase, moment: datetime) -> None:
    region = world.pick(("northeast", "south", "midwest", "west"))
    for name, baseline, segment in (
        ("roc_auc", made.auc, None),
        ("precision", round(made.auc - 0.21, 4), None),
        ("recall", round(made.auc - 0.27, 4), None),
        ("roc_auc", round(made.auc - 0.01, 4), f"region={region}"),
    ):
        delta = round(world.rng.gauss(-0.006, 0.012), 6)
        value = round(baseline + delta, 6)
        world.rows.add(
            PerformanceMetric,
            model_id=made.id,
            experiment_id=made.case.id,
            deployment_id=deployment.id,
            metric_name=name,
            metric_value=value,
            data_split="production",
            segment=segment,
            sample_size=world.rng.randint(900, 6_000),
            positive_rate=world.between(0.06, 0.2),
            ci_lower=value - 0.012,
            ci_upper=value + 0.012,
            ci_level=0.95,
            baseline_value=baseline,
            delta=delta,
            delta_pct=100 * delta / baseline,
            is_degraded=delta < -0.02,
            measured_at=moment,
            measurement_window_start=moment - timedelta(days=1),
            measurement_window_end=moment,
            source=world.pick(("bentoml", "bentoml", "mlflow", "manual")),
        )


def _retrain(world: World, made: ModelCase, check: Row, run: Row, moment: datetime) -> None:
    """A retraining without a deployment: it is running, failed, or its result was not better."""
    status = "training" if world.now - moment < timedelta(days=1) else world.pick(("rejected", "failed", "rejected"))
    started = world.after(moment, 20, 60)
    ended = world.after(started, 30, 200) if status != "training" else None
    worse = round(made.auc - 0.004, 6)
    world.rows.add(
        Retraining,
        trigger_type="drift",
        alert_id=world.alerts[check["id"]],
        monitoring_run_id=run["id"],
        model_id=made.id,
        old_model_version=made.version,
        new_model_version=None,
        trigger_reason=f"{check['severity'].title()} {check['drift_type']} drift.",
        drift_severity=check["severity"],
        performance_delta=-0.012,
        training_run_id=None,
        status=status,
        old_metric_value=made.auc,
        new_metric_value=worse if status == "rejected" else None,
        improvement=-0.004 if status == "rejected" else None,
        triggered_at=started,
        completed_at=ended,
        duration_seconds=seconds(started, ended) if ended else None,
        notes="Not better than the version in production." if status == "rejected" else None,
        created_by="drift_monitor",
    )


OTHER_ALERTS = (
    ("performance", "high", "Precision fell below its threshold", "Compare the segments; retrain if all are hit."),
    ("staleness", "low", "Features are older than their time to live", "Check the materialization jobs."),
    ("error", "critical", "The service answers with errors", "Roll back to the previous deployment."),
)


def every_kind(world: World, case: Case) -> None:
    """Alerts on other subjects than drift in every status, one of them not sent, and runs of every kind and status."""
    made = case.champion or case.models[-1]
    for number, (status, _) in enumerate(RECENT):
        alert = OTHER_ALERTS[number % len(OTHER_ALERTS)]
        _other_alert(world, made, made.deployments[-1], alert, sent=number != 1, status=status)
    for number, run_type in enumerate(("data_drift", "model_drift", "concept_drift", "performance")):
        _failed_run(world, made, run_type, running=number == 0)


def _other_alert(
    world: World,
    made: ModelCase,
    deployment: DeploymentCase,
    alert: tuple[str, str, str, str],
    *,
    sent: bool = True,
    status: str | None = None,
) -> None:
    kind, label, title, action = alert
    raised = world.ago(hours=world.rng.randint(2, 400))
    values: Document = {
        "alert_type": kind,
        "title": f"{title}: {made.name} {made.version}",
        "severity": label,
        "model_id": made.id,
        "experiment_id": made.case.id,
        "deployment_id": deployment.id,
        "drift_history_id": None,
        "message": f"{title}. Deployment {deployment.name}.",
        "affected_features": world.rng.sample(made.case.features, 2) if kind == "staleness" else None,
        "recommended_action": action,
        "recommended_priority": {"critical": "immediate"}.get(label, label),
        "notified_channels": ["email", "slack"],
        "notification_sent_at": raised + timedelta(seconds=30) if sent else None,
        "notification_error": None if sent else "SMTP 421: service not available",
        "created_at": raised,
    }
    world.rows.add(MonitoringAlert, **(values | lifecycle(world, raised, status)))


def _failed_run(world: World, made: ModelCase, run_type: str, *, running: bool) -> None:
    moment = world.ago(minutes=3) if running else world.ago(days=world.rng.randint(1, 10))
    monitoring_run(
        world, run_type, moment, [made], [], trigger_type="manual", created_by=world.pick(PEOPLE),
        status="running" if running else "failed", completed_at=None if running else moment,
        duration_seconds=None if running else 12, overall_health_score=None,
        error_message=None if running else "Baseline window has fewer than 500 rows.",
    )  # fmt: skip
