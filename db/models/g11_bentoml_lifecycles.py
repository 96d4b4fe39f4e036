"""Group 11, lifecycles: the status of a service, and its health."""

from __future__ import annotations

from sqlalchemy import Integer

from db.base.effects import Effect, Moves
from db.base.guards import Guard
from db.base.lifecycles import NOTHING, NOW, Change, Given, Lifecycle, Step
from db.base.vocabulary import Labels
from db.models.g01_mlops_lifecycles import ROLLOUT, deployment_queue
from db.models.g01_mlops_serving import DeploymentStatus


class HealthStatus(Labels):
    """Health of a service."""

    HEALTHY = "healthy", "Responds in time, without errors."
    DEGRADED = "degraded", "Responds, with more than 1 % errors or a p99 latency above 250 ms."
    UNHEALTHY = "unhealthy", "More than 5 % of the requests fail."
    UNKNOWN = "unknown", "No recent metrics, or metrics without values."
    STARTING = "starting", "Starting; does not respond yet."
    STOPPED = "stopped", "Stopped; does not respond."
    UNAVAILABLE = "unavailable", "Does not respond, although it should."


_MODEL = (
    "coalesce((SELECT d.model_registry_id FROM ml_deployments AS d WHERE d.id = {row}.deployment_id), "
    "{row}.model_registry_id)"
)

SERVICE = Lifecycle(
    "status",
    "BentoService",
    "status",
    DeploymentStatus,
    DeploymentStatus.PENDING,
    ROLLOUT,
    entering={
        DeploymentStatus.ACTIVE: Step(
            guards=(
                Guard(
                    "DEPLOYMENT_INACTIVE",
                    "A service of an inactive deployment cannot be active.",
                    """
                    SELECT 'its deployment is ' || coalesce(d.status::text, 'pending') || '; activate that first',
                        'Deployment:' || d.id
                    FROM ml_deployments AS d
                    WHERE d.id = {row}.deployment_id AND (d.status = 'active') IS NOT TRUE
                    """,
                    reads=("Deployment",),
                ),
            ),
            stamps={"started_at": NOW, "stopped_at": NOTHING},
        ),
        DeploymentStatus.FAILED: Step(stamps={"stopped_at": NOW}),
        DeploymentStatus.ROLLED_BACK: Step(stamps={"stopped_at": NOW}),
    },
    changes=(Change("moveService", "Moves a service to a status of its lifecycle."),),
    # the same lock as that of the service's deployment
    queue=deployment_queue(_MODEL),
    queue_reads=("Deployment", "Model"),
    ended=(DeploymentStatus.ROLLED_BACK,),
)

_EVERY = tuple(HealthStatus)

HEALTH = Lifecycle(
    "health",
    "BentoService",
    "health_status",
    HealthStatus,
    HealthStatus.UNKNOWN,
    dict.fromkeys(_EVERY, _EVERY),
    entering={
        state: Step(
            stamps={
                "last_health_check": NOW,
                "health_check_failures": "0"
                if state is HealthStatus.HEALTHY
                else "health_check_failures"
                if state in {HealthStatus.UNKNOWN, HealthStatus.STARTING, HealthStatus.STOPPED}
                else "coalesce(health_check_failures, 0) + 1",
            }
        )
        for state in HealthStatus
    },
)

REPORT_HEALTH = {
    "health_status": Given(
        HealthStatus, "The observed health; computed from the recent metrics by default.", stored=False
    ),
    "window_minutes": Given(Integer(), "Maximum age of the metrics, in minutes; 60 by default.", stored=False),
}
"""Inputs of a health report."""

REPORTING_HEALTH = Effect(
    "reportHealth", moves=(Moves("BentoService.health", _EVERY, judged=True),), reads=("ServingMetric",), guards=()
)
