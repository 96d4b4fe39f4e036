"""Stories of models: a champion, a drift and the new version, a rollback, an optimized study.

- ``Remibrutinib CSU adoption``: version 2.0.0 was promoted from development through staging and a shadow test to
  production; its service is healthy.
- ``Kisqali NRx propensity``: the payer mix drifted after a formulary change, the alert led to a retraining, and version
  1.4.0 replaced 1.3.0.
- ``Fabhalta PNH switch``: four deployments in a chain; the third was rolled back, the fourth deploys the model of the
  second again.
- ``Fabhalta C3G patient finding``: the best trial of the study ``fabhalta-c3g-xgb`` became the training run of 1.0.0.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from db.demo.history import record
from db.demo.hpo import finished_study, trial_run
from db.demo.mlops import deploy, experiment, model, serving, shadow, training_run
from db.demo.monitoring import drift, monitoring_run
from db.demo.vocabulary import FABHALTA, KISQALI, REMIBRUTINIB, Topic
from db.demo.world import Case, ModelCase, World, seconds
from db.models.g07_model_monitoring import PerformanceMetric
from db.models.g07_monitoring_alerts import Retraining

CHAMPION = Topic("Remibrutinib CSU adoption", REMIBRUTINIB, "first_rx_90d", "Allergists and dermatologists", "hcp")
DRIFT = Topic("Kisqali NRx propensity", KISQALI, "nrx_30d", "Medical oncologists", "hcp")
ROLLBACK = Topic("Fabhalta PNH switch", FABHALTA, "switch_from_c5_90d", "PNH patients on C5 inhibitors", "patient")
STUDY = Topic("Fabhalta C3G patient finding", FABHALTA, "undiagnosed_c3g", "Patients with proteinuria", "patient")
DRIFTED = "payer_mix_commercial_share"


def champion(world: World) -> None:
    """A champion promoted from development through staging and shadow to production, with a healthy service."""
    case = experiment(world, CHAMPION, world.ago(days=150), region=None, minimum_auc=0.78, data_split="train")
    model(world, case, "1.0.0", "archived", world.ago(days=130), auc=0.781, promoted_at=world.ago(days=125))
    before = model(world, case, "1.1.0", "deprecated", world.ago(days=90), auc=0.803, promoted_at=world.ago(days=80))
    served = deploy(world, before, "production", "draining", world.ago(days=80), world.ago(days=17))
    best = model(
        world, case, "2.0.0", "production", world.ago(days=40), auc=0.8642, algorithm="XGBClassifier",
        promoted_at=world.ago(days=17),
    )  # fmt: skip
    tried = deploy(world, best, "development", "draining", world.ago(days=39), world.ago(days=34))
    staged = deploy(world, best, "staging", "draining", world.ago(days=34), world.ago(days=26), previous=tried)
    measured = shadow(world, 168) | {"error_rate": 0.0012, "latency_p99_ms": 118}
    deploy(
        world, best, "staging", "draining", world.ago(days=26), world.ago(days=19), previous=staged,
        deployment_name=f"{best.name}-2.0.0-shadow", shadow_metrics=measured,
    )  # fmt: skip
    live = deploy(
        world, best, "production", "active", world.ago(days=17), previous=served, shadow_metrics=measured,
        production_metrics=serving(world, 1_204_511), latency_p50_ms=31, latency_p95_ms=74, latency_p99_ms=121,
        error_rate=0.0011,
    )  # fmt: skip
    world.rows.row(live.service).update(health_status="healthy", health_check_failures=0)
    record(
        world, ("Model", best.id), "stage", "promoteModel", "s.iyer",
        (
            (world.ago(days=34), "DEVELOPMENT", "STAGING", "AUC of 0.8642 on the test split."),
            (world.ago(days=26), "STAGING", "SHADOW", "Reviewed; to be compared with 1.1.0 on live requests."),
            (world.ago(days=17), "SHADOW", "PRODUCTION", "168 hours in shadow: 0.12 % errors, p99 of 118 ms."),
        ),
    )  # fmt: skip
    appointed = world.ago(days=17, minutes=-1)
    taken_over = ((appointed, "CONTENDER", "CHAMPION", "In production, and better than 1.1.0."),)
    record(world, ("Model", best.id), "champion", "setChampion", "s.iyer", taken_over)
    challenger = model(world, case, "2.1.0", "development", world.ago(days=4), auc=0.8671)
    deploy(world, challenger, "development", "pending", world.ago(hours=2))


def drift_and_retraining(world: World) -> None:
    """A drift that raised alerts, the retraining that they triggered, and the version that replaced the old one."""
    case = experiment(world, DRIFT, world.ago(days=200), region=None, minimum_auc=0.75)
    case.features[:] = sorted({*case.features, DRIFTED})
    old = model(
        world, case, "1.3.0", "deprecated", world.ago(days=70), auc=0.842, algorithm="LGBMClassifier",
        promoted_at=world.ago(days=64),
    )  # fmt: skip
    old_deployment = deploy(world, old, "production", "draining", world.ago(days=64), world.ago(days=5))
    _performance(world, old, (0.842, 0.838, 0.836, 0.829, 0.781, 0.762), world.ago(days=42), step_days=7)

    found = world.ago(days=8)
    checks = [
        drift(world, old, old_deployment, "data", found, score=0.52, feature=DRIFTED),
        drift(world, old, old_deployment, "data", found, score=0.27, feature="formulary_tier"),
        drift(world, old, old_deployment, "data", found, score=0.12, feature="hcp_decile"),
        drift(world, old, old_deployment, "model", found, score=0.36),
        drift(world, old, old_deployment, "concept", found, score=0.05),
    ]
    run = monitoring_run(world, "full", found, [old], checks)

    new = model(
        world, case, "1.4.0", "production", world.ago(days=6), auc=0.8493, algorithm="LGBMClassifier",
        promoted_at=world.ago(days=5),
    )  # fmt: skip
    new_deployment = deploy(
        world, new, "production", "active", world.ago(days=5), previous=old_deployment,
        shadow_metrics=shadow(world, 18), production_metrics=serving(world, 310_882),
    )  # fmt: skip
    started, ended = world.ago(days=7), world.ago(days=5)
    alert = world.alerts[checks[0]["id"]]
    retraining = world.rows.add(
        Retraining,
        trigger_type="drift",
        alert_id=alert,
        monitoring_run_id=run["id"],
        model_id=old.id,
        old_model_version="1.3.0",
        new_model_version="1.4.0",
        trigger_reason=f"Critical data drift in {DRIFTED} after the change of formularies; ROC AUC fell to 0.762.",
        drift_severity="critical",
        performance_delta=-0.08,
        training_run_id=new.runs[0],
        status="deployed",
        old_metric_value=0.762,
        new_metric_value=0.8493,
        improvement=0.0873,
        auto_deployed=True,
        deployed_at=ended,
        deployment_id=new_deployment.id,
        triggered_at=started,
        completed_at=ended,
        duration_seconds=seconds(started, ended),
        notes="Trained on the 90 days after the change only.",
        created_by="drift_monitor",
    )
    _resolve(world, [check["id"] for check in checks[:2]] + [checks[3]["id"]], found, ended, retraining["id"])
    _performance(world, new, (0.848, 0.851), world.ago(days=4), step_days=2)
    after = [
        drift(world, new, new_deployment, kind, world.ago(hours=6), score=0.03, feature=feature)
        for kind, feature in (("data", DRIFTED), ("model", None), ("concept", None))
    ]
    monitoring_run(world, "full", world.ago(hours=6), [new], after)


def _resolve(world: World, drifts: list[object], found: datetime, ended: datetime, retraining: object) -> None:
    for alert in world.rows.raised:
        if alert["drift_history_id"] in drifts:
            alert |= {
                "status": "resolved",
                "acknowledged_at": found + timedelta(minutes=25),
                "acknowledged_by": "s.iyer",
                "acknowledgement_notes": "Same week as the formulary change of two large payers.",
                "resolved_at": ended + timedelta(hours=2),
                "resolved_by": "s.iyer",
                "resolution_notes": "Version 1.4.0 is in production; no drift since.",
                "resolution_action": "retrained",
                "triggered_retraining": True,
                "retraining_job_id": retraining,
                "auto_action_taken": True,
                "auto_action_details": {"action": "retraining", "result": "deployed", "version": "1.4.0"},
                "updated_at": ended + timedelta(hours=2),
            }
            record(
                world, ("MonitoringAlert", alert["id"]), "status", "acknowledgeAlert", "s.iyer",
                ((found + timedelta(minutes=25), "ACTIVE", "ACKNOWLEDGED", "Same week as the formulary change."),),
            )  # fmt: skip
            record(
                world, ("MonitoringAlert", alert["id"]), "status", "resolveAlert", "s.iyer",
                ((ended + timedelta(hours=2), "ACKNOWLEDGED", "RESOLVED", "Version 1.4.0 is in production."),),
            )  # fmt: skip


def _performance(world: World, made: ModelCase, values: tuple[float, ...], start: datetime, *, step_days: int) -> None:
    """ROC AUC in production at equal intervals; degraded if it is more than 0.05 below its baseline."""
    for place, value in enumerate(values):
        delta = value - made.auc
        measured = start + timedelta(days=place * step_days)
        world.rows.add(
            PerformanceMetric,
            model_id=made.id,
            experiment_id=made.case.id,
            deployment_id=made.deployments[0].id,
            metric_name="roc_auc",
            metric_value=value,
            data_split="production",
            segment=None,
            sample_size=world.rng.randint(3_000, 6_000),
            positive_rate=0.118,
            ci_lower=value - 0.011,
            ci_upper=value + 0.011,
            ci_level=0.95,
            baseline_value=made.auc,
            delta=delta,
            delta_pct=100 * delta / made.auc,
            is_degraded=delta < -0.05,
            measured_at=measured,
            measurement_window_start=measured - timedelta(days=step_days),
            measurement_window_end=measured,
            source="bentoml",
        )


def rollback(world: World) -> None:
    """Four deployments, each replacing the one before; the third was rolled back, to the model of the second."""
    case = experiment(world, ROLLBACK, world.ago(days=240), region=None)
    first = model(world, case, "1.0.0", "archived", world.ago(days=160), auc=0.768, promoted_at=world.ago(days=150))
    good = model(world, case, "1.1.0", "production", world.ago(days=60), auc=0.802, promoted_at=world.ago(days=50))
    bad = model(world, case, "1.2.0", "deprecated", world.ago(days=15), auc=0.811, promoted_at=world.ago(days=10))
    one = deploy(world, first, "production", "draining", world.ago(days=150), world.ago(days=50))
    two = deploy(world, good, "production", "draining", world.ago(days=50), world.ago(days=10), previous=one)
    undone = world.ago(days=10) + timedelta(hours=7)
    three = deploy(
        world, bad, "production", "rolled_back", world.ago(days=10), undone, previous=two, rolled_back_at=undone,
        rollback_reason="Error rate of 4.1% in the first hours: LDH in a new unit was out of the model's range.",
        error_rate=0.0412, latency_p99_ms=612,
    )  # fmt: skip
    record(
        world, ("Deployment", three.id), "status", "moveDeployment", "model_deployer",
        ((undone, "ACTIVE", "ROLLED_BACK", "Error rate of 4.1% in the first hours."),),
    )  # fmt: skip
    deploy(
        world, good, "production", "active", undone, previous=three, deployment_name=f"{good.name}-1.1.0-rollback",
        production_metrics=serving(world, 188_034),
    )  # fmt: skip


def optimized_study(world: World) -> None:
    """A study of 40 trials; the best one became the training run of a model, and two others were trained as well."""
    case = experiment(world, STUDY, world.ago(days=230), region=None)
    study = finished_study(world, case, "fabhalta-c3g-xgb", "XGBClassifier", 40, world.ago(days=30))
    made = model(
        world, case, "1.0.0", "staging", world.ago(days=28), algorithm="XGBClassifier", auc=float(study.best_value),
        hyperparameters=study.best_params,
    )  # fmt: skip
    trial_run(world, made.runs[0], study, study.best, best=True)
    for number in study.others(2):
        start = world.ago(days=29)
        run = training_run(world, case, None, started=start, ended=start + timedelta(minutes=22))
        trial_run(world, run, study, number, best=False)
    tried = deploy(world, made, "staging", "failed", world.ago(days=27))
    deploy(world, made, "staging", "deploying", world.ago(hours=1), previous=tried)


def add_stories(world: World) -> list[Case]:
    """Adds all stories of models; returns their experiments."""
    for story in (champion, drift_and_retraining, rollback, optimized_study):
        story(world)
    return world.cases[-4:]
