"""Experiments, models, training runs, deployments and services, for the stories and the fleet."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from db.demo.vocabulary import ALGORITHMS, FEATURES, REGIONS, Topic
from db.demo.world import Case, DeploymentCase, Document, ModelCase, World, seconds, slug
from db.models.g01_mlops_core import Experiment, Model, TrainingRun
from db.models.g01_mlops_serving import Deployment
from db.models.g11_bentoml_tracking import BentoService

SPACE: dict[str, Document] = {
    "XGBClassifier": {"n_estimators": [200, 900], "max_depth": [3, 9], "learning_rate": [0.01, 0.2]},
    "LGBMClassifier": {"num_leaves": [15, 127], "n_estimators": [200, 900], "learning_rate": [0.01, 0.2]},
    "CausalForestDML": {"n_estimators": [400, 2000], "min_samples_leaf": [5, 50], "max_samples": [0.3, 0.5]},
    "LinearDML": {"cv": [3, 6], "alpha": [0.001, 1.0]},
    "RandomForestClassifier": {"n_estimators": [200, 1000], "max_depth": [4, 16]},
}
METRICS: Document = {"duration_hours": 0, "requests": 0, "error_rate": 0.0, "latency_p99_ms": 0}
HEALTH = {"active": "healthy", "failed": "unhealthy", "deploying": "unknown", "pending": "unknown"}


def sampled(world: World, algorithm: str) -> Document:
    """Random hyperparameters from the search space of an algorithm."""
    return {
        name: world.rng.randint(low, high) if isinstance(low, int) else world.between(low, high)
        for name, (low, high) in SPACE[algorithm].items()
    }


def experiment(world: World, topic: Topic, created: datetime, *, name: str = "", **more: Any) -> Case:
    """An experiment; returns its case, to which models are added."""
    own = [feature.name for feature in FEATURES if feature.entity == topic.entity]
    features = sorted(world.rng.sample(own, min(12, len(own))))
    name = name or topic.name
    values: Document = {
        "experiment_name": name,
        "mlflow_experiment_id": str(world.rng.randrange(10**17, 10**18)),
        "description": f"Predicts {topic.target} for {topic.population.lower()}.",
        "prediction_target": topic.target,
        "target_population": topic.population,
        "observation_window_days": world.pick((180, 270, 365)),
        "prediction_horizon_days": world.pick((30, 60, 90, 180)),
        "minimum_auc": world.pick((0.7, 0.72, 0.75, 0.78)),
        "minimum_precision_at_k": world.pick((0.4, 0.5, 0.6)),
        "maximum_fpr": world.pick((0.1, 0.15, 0.2)),
        "brand": topic.brand,
        "region": world.pick((None, None, *REGIONS)),
        "created_by": "scope_definer",
        "created_at": created,
        "updated_at": world.after(created, 10, 4000),
        "data_split": world.pick(("unassigned", "train")),
    }
    row = world.rows.add(Experiment, **(values | more))
    case = Case(row["id"], topic, name, features, created)
    world.cases.append(case)
    return case


def model(world: World, case: Case, version: str, stage: str, registered: datetime, **more: Any) -> ModelCase:
    """A model version with its training run. ``auc`` and ``algorithm`` may be given."""
    algorithm = more.pop("algorithm", None) or world.pick(ALGORITHMS)
    auc = more.pop("auc", None) or world.between(0.74, 0.88)
    trained = registered - timedelta(minutes=world.rng.randint(5, 90))
    run = world.hex(32)
    values: Document = {
        "id": world.rows.uuid(),
        "experiment_id": case.id,
        "model_name": f"{case.slug}-model",
        "model_version": version,
        "mlflow_run_id": run,
        "mlflow_model_uri": f"runs:/{run}/model",
        "algorithm": algorithm,
        "hyperparameters": sampled(world, algorithm),
        "feature_count": len(case.features),
        "training_samples": world.rng.randint(8_000, 60_000),
        "auc": auc,
        "pr_auc": round(auc - world.between(0.12, 0.2), 4),
        "brier_score": world.between(0.08, 0.19),
        "calibration_slope": world.between(0.88, 1.08),
        "fairness_metrics": {"demographic_parity_difference": world.between(0.01, 0.07), "groups": ["region", "age"]},
        "stage": stage,
        "is_champion": stage == "production",
        "trained_at": trained,
        "registered_at": registered,
        "promoted_at": None,
        "data_split": "test",
    }
    values |= more
    made = ModelCase(values["id"], case, values["model_name"], version, stage, algorithm, auc, registered)
    case.models.append(made)
    world.rows.add(Model, **values)
    training_run(
        world, case, made, started=trained - timedelta(seconds=world.rng.randint(300, 5400)), ended=trained,
        mlflow_run_id=run, hyperparameters=values["hyperparameters"], training_samples=values["training_samples"],
    )  # fmt: skip
    return made


def training_run(
    world: World, case: Case, made: ModelCase | None, *, started: datetime, ended: datetime | None, **more: Any
) -> UUID:
    """A training run; ``made`` is the model that it produced, if any."""
    algorithm = made.algorithm if made else world.pick(ALGORITHMS)
    auc = made.auc if made else world.between(0.68, 0.8)
    samples = more.get("training_samples") or world.rng.randint(8_000, 60_000)
    gpu = world.chance(0.2)
    values: Document = {
        "experiment_id": case.id,
        "model_registry_id": made.id if made else None,
        "run_name": f"{case.slug}-{world.hex(4)}",
        "mlflow_run_id": world.hex(32),
        "algorithm": algorithm,
        "hyperparameters": sampled(world, algorithm),
        "training_samples": samples,
        "validation_samples": samples // 5,
        "test_samples": samples // 5,
        "feature_names": case.features,
        "train_metrics": _scores(world, auc + 0.03),
        "validation_metrics": _scores(world, auc + 0.005),
        "test_metrics": _scores(world, auc),
        "status": "completed" if ended else "running",
        "error_message": None,
        "started_at": started,
        "completed_at": ended,
        "duration_seconds": seconds(started, ended) if ended else None,
        "compute_type": "gpu-a10" if gpu else "cpu-16",
        "gpu_used": gpu,
        "data_split": "train",
        "optuna_study_name": None,
        "optuna_trial_number": None,
        "is_best_trial": False,
    }
    identity: UUID = world.rows.add(TrainingRun, **(values | more))["id"]
    if made:
        made.runs.append(identity)
    return identity


def _scores(world: World, auc: float) -> Document:
    return {"roc_auc": round(auc, 4), "pr_auc": round(auc - 0.16, 4), "log_loss": world.between(0.3, 0.5)}


def deploy(
    world: World,
    made: ModelCase,
    environment: str,
    status: str,
    started: datetime,
    ended: datetime | None = None,
    *,
    previous: DeploymentCase | None = None,
    **more: Any,
) -> DeploymentCase:
    """A deployment of a model with its service. ``started``: when it became active, else its creation."""
    served = status not in {"pending", "deploying", "failed"}
    p50 = world.rng.randint(18, 60)
    p95 = round(p50 * world.between(1.8, 2.6))
    name = f"{slug(made.name)}-{made.version}-{environment}"
    values: Document = {
        "id": world.rows.uuid(),
        "model_registry_id": made.id,
        "deployment_name": name,
        "environment": environment,
        "endpoint_name": f"{made.name}-{environment}",
        "endpoint_url": f"https://{environment}.models.example.com/{made.name}",
        "status": status,
        "deployed_by": "model_deployer",
        "deployment_config": {"replicas": 3 if environment == "production" else 1, "strategy": "blue_green"},
        "shadow_metrics": {},
        "production_metrics": {},
        "previous_deployment_id": previous.id if previous else None,
        "rollback_reason": None,
        "rolled_back_at": None,
        "created_at": started - timedelta(minutes=12 if served else 0),
        "deployed_at": started if served else None,
        "deactivated_at": ended,
        "latency_p50_ms": p50 if served else None,
        "latency_p95_ms": p95 if served else None,
        "latency_p99_ms": round(p95 * world.between(1.3, 1.7)) if served else None,
        "error_rate": world.between(0.0004, 0.006) if served else None,
    }
    values |= more
    world.rows.add(Deployment, **values)
    made_here = DeploymentCase(values["id"], made, name, environment, status, started, ended, world.rows.uuid())
    made.deployments.append(made_here)
    _service(world, made_here)
    return made_here


def _service(world: World, deployment: DeploymentCase) -> None:
    made, status = deployment.model, deployment.status
    health = HEALTH.get(status, "unknown")
    if health == "healthy" and world.chance(0.08):
        health = "degraded"
    running = deployment.ended is None and status not in {"pending", "deploying", "failed"}
    name = f"{made.name}-service"
    replicas = 3 if deployment.environment == "production" else 1
    world.rows.add(
        BentoService,
        id=deployment.service,
        service_name=name,
        bento_tag=f"{name}:{made.version}-{deployment.environment}",
        bento_version=made.version,
        model_registry_id=made.id,
        deployment_id=deployment.id,
        container_image=f"registry.example.com/bento/{name}",
        container_tag=made.version,
        replicas=replicas,
        resources={"cpu": world.pick((1, 2, 4)), "memory": world.pick(("2Gi", "4Gi"))},
        environment=deployment.environment,
        health_status=health,
        last_health_check=world.ago(minutes=world.rng.randint(1, 9)) if running else deployment.ended,
        health_check_failures=0 if health == "healthy" else world.rng.randint(1, 12),
        serving_endpoint=f"https://{deployment.environment}.models.example.com/{made.name}/predict",
        internal_endpoint=f"http://{name}.{deployment.environment}.svc:3000",
        status=status,
        created_at=deployment.started - timedelta(minutes=10),
        started_at=deployment.started if status not in {"pending", "deploying", "failed"} else None,
        stopped_at=deployment.ended,
        created_by="model_deployer",
        labels={"brand": made.case.topic.brand, "team": "e2i"},
    )


def shadow(world: World, hours: int) -> Document:
    """The metrics of a shadow test of ``hours`` hours."""
    return METRICS | {
        "duration_hours": hours,
        "requests": hours * world.rng.randint(900, 2_400),
        "error_rate": world.between(0.0005, 0.004),
        "latency_p99_ms": world.rng.randint(95, 180),
        "agreement_with_production": world.between(0.93, 0.985),
    }


def serving(world: World, requests: int) -> Document:
    """The metrics of a deployment in production with ``requests`` requests."""
    return METRICS | {
        "duration_hours": world.rng.randint(200, 900),
        "requests": requests,
        "error_rate": world.between(0.0005, 0.004),
        "latency_p99_ms": world.rng.randint(95, 180),
    }
