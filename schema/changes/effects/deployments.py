"""Deployments and services: effects of a rollout, rollback along the chain, health reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db.base.lifecycles import Given
from db.base.vocabulary import Labels
from db.models.g01_mlops_lifecycles import (
    DEPLOYMENT,
    DRAIN_REPLACED,
    ROLLING_BACK,
    SAME_MODELS,
    SERVICES_FOLLOW,
    START_DEPLOYMENT,
    STARTING_DEPLOYMENT,
    replaced_by,
    rollback_chain,
)
from db.models.g01_mlops_serving import DeploymentStatus
from db.models.g11_bentoml_lifecycles import HEALTH, REPORT_HEALTH, REPORTING_HEALTH, SERVICE, HealthStatus
from schema.changes.engine import Transition, Work
from schema.changes.mutations import mutation
from schema.changes.registry import check, effect
from schema.changes.rows import Row, Subject

ENVIRONMENTS = ("development", "staging", "production")
DEGRADED_PERCENT, UNHEALTHY_PERCENT = "1", "5"
"""Bounds of the error rate in serving metrics, in percent (0-100)."""
DEGRADED_P99_MS = "250"


_GIVEN = "$1::text::uuid"
_NEWEST = "t.deployed_at DESC NULLS LAST, t.id DESC"

# Whether the rollback chain of the first deployment contains the second.
_LEADS_BACK = """
    WITH RECURSIVE chain (id) AS (
        SELECT $1::text::uuid
        UNION
        SELECT d.previous_deployment_id::uuid FROM chain AS c JOIN ml_deployments AS d ON d.id::uuid = c.id
        WHERE d.previous_deployment_id IS NOT NULL
    )
    SELECT EXISTS (SELECT FROM chain WHERE id = $2::text::uuid)
"""


@effect(DRAIN_REPLACED)
async def drain_replaced(work: Work, transition: Transition) -> None:
    """What is active in its environment finishes its requests and takes no new ones: what it replaces is decided now.

    The rollback chain of a new deployment leads to the one that it replaces.
    """
    replaced = await _make_room(work, transition.row)
    if replaced and transition.origin is DeploymentStatus.DEPLOYING:
        newest = replaced[0]["id"]
        ((closes,),) = await work.fetch(_LEADS_BACK, newest, transition.row["id"])
        if not closes and transition.row["previous_deployment_id"] != newest:
            await work.write(transition.row, {"previous_deployment_id": newest})


async def _make_room(work: Work, deployment: Row) -> list[Row]:
    """Drains the active deployments that one replaces; returns them, newest first."""
    replaced = await work.find("Deployment", replaced_by(_GIVEN), deployment["id"], order=_NEWEST)
    for row in replaced:
        await _follow(work, row, DeploymentStatus.DRAINING)
    return replaced


@effect(SERVICES_FOLLOW)
async def services_follow(work: Work, transition: Transition) -> None:
    """A service serves no longer than its deployment, and again when that does."""
    await _services(work, transition.row, transition.to)


async def _services(work: Work, deployment: Row, to: Labels) -> None:
    came_from = "'draining'" if to is DeploymentStatus.ACTIVE else "'active', 'draining'"
    states = f"t.status::text IN ({came_from}) AND t.status::text <> $2::text"
    serving = f"t.deployment_id::uuid = $1::text::uuid AND {states}"
    for row in await work.find("BentoService", serving, deployment["id"], to.value):
        await work.shift(SERVICE, row, to)


async def _follow(work: Work, deployment: Row, to: DeploymentStatus) -> None:
    """Moves a deployment because of another one's change, with its services."""
    await work.shift(DEPLOYMENT, deployment, to)
    await _services(work, deployment, to)


@check
def known_environment(given: Mapping[str, Any]) -> tuple[str, str] | None:
    if given["environment"] not in ENVIRONMENTS:
        return "environment", f"{given['environment'][:40]!r} is not one of {', '.join(ENVIRONMENTS)}"
    return None


_ACTIVE = f"""
    SELECT t.id::text
    FROM ml_deployments AS t
    JOIN ml_model_registry AS o ON o.id = t.model_registry_id
    JOIN ml_model_registry AS m ON m.id::uuid = $2::text::uuid
    WHERE t.status = 'active' AND t.environment = $1::text
        AND {SAME_MODELS.replace("{m}", "m")} = {SAME_MODELS.replace("{m}", "o")}
    ORDER BY {_NEWEST}
    LIMIT 1
"""


@mutation(
    STARTING_DEPLOYMENT,
    "Requests a deployment of a model. It is linked to the active deployment of its environment. When it becomes "
    "active, it replaces the deployment that is active then.",
    given={"model_id": Given("Model", "The model to deploy.", required=True)} | START_DEPLOYMENT,
    checks=("known_environment",),
)
async def start_deployment(work: Work) -> None:
    """Adds a pending deployment behind the newest active one of the model's experiment (or name)."""
    given = work.given
    subject = Subject(given["model_id"], (given["model_id"],), "modelId")
    (model,) = await work.lock(work.catalogue["Model"], [subject])
    await work.guard(STARTING_DEPLOYMENT, model)
    active = await work.fetch(_ACTIVE, given["environment"], model["id"])
    name = f"{model['model_name']}-{model['model_version']}-{given['environment']}"
    row = await work.insert(
        "Deployment",
        {
            "model_registry_id": model["id"],
            "deployment_name": given.get("deployment_name", name[:255]),
            "environment": given["environment"],
            "endpoint_name": given.get("endpoint_name"),
            **{name: given[name] for name in ("endpoint_url", "deployment_config") if name in given},
            "status": DeploymentStatus.PENDING.value,
            "deployed_by": work.request.actor[:100],
            "previous_deployment_id": active[0][0] if active else None,
        },
    )
    work.subjects.append(row.id)
    await work.record(row.id, DEPLOYMENT.name, None, DeploymentStatus.PENDING.name)


@mutation(
    ROLLING_BACK,
    "Rolls a deployment back: the newest healthy deployment on its rollback chain becomes active in the same "
    "transaction.",
    subject="Deployment",
    reason_due=True,
)
async def rollback_deployment(work: Work) -> None:
    """Takes a deployment out and puts the newest one back that can serve.

    One that was not active leaves the active one of its environment where it is. Healthy is a deployment of the same
    environment that drains (or still serves), with an error rate of at most 1 % as far as one is known, and no service
    that is unhealthy or unavailable.
    """
    await work.queue(DEPLOYMENT, [subject.key for subject in work.asked])
    row = await work.subject("Deployment")
    await work.move(DEPLOYMENT, [row], DeploymentStatus.ROLLED_BACK, also=ROLLING_BACK)
    was_active = row["status"] == DeploymentStatus.ACTIVE.value
    if not was_active and await work.find("Deployment", replaced_by(_GIVEN), row["id"]):
        return
    target = await _healthy_predecessor(work, row)
    await _make_room(work, target)
    if target["status"] != DeploymentStatus.ACTIVE.value:
        await _follow(work, target, DeploymentStatus.ACTIVE)


async def _healthy_predecessor(work: Work, row: Row) -> Row:
    """Locks and returns the nearest healthy deployment on the chain; a guard requires one."""
    chain = await work.fetch(rollback_chain(_GIVEN), row["id"])
    healthy = next(id_ for id_, _, is_healthy in chain if is_healthy)
    return (await work.find("Deployment", f"t.id::uuid = {_GIVEN}", healthy))[0]


# -- health ----------------------------------------------------------------------------------------------------------


@check
def window_in_range(given: Mapping[str, Any]) -> tuple[str, str] | None:
    if not 1 <= given.get("window_minutes", 60) <= 60 * 24 * 30:
        return "window_minutes", f"{given['window_minutes']} is out of range; pass 1 to {60 * 24 * 30} minutes"
    return None


@mutation(
    REPORTING_HEALTH,
    "Sets the health of a service: as observed, or computed from its recent metrics. More than 5 % errors is "
    "unhealthy; more than 1 % errors or a p99 latency above 250 ms is degraded; no metrics, or metrics without values, "
    "is unknown.",
    subject="BentoService",
    given=REPORT_HEALTH,
    checks=("window_in_range",),
)
async def report_health(work: Work) -> None:
    """Writes the health, given or measured."""
    service = await work.subject("BentoService")
    said = work.given.get("health_status")
    health = HealthStatus[said.name] if said else await _measured(work, service)
    await work.move(HEALTH, [service], health)


# The service's recent measurements: those without requests are ignored. Missing values and NaN make the health unknown,
# never good. The error rate is a percentage (0-100), weighted by requests, in exact decimals.
_HEALTH = f"""
    SELECT CASE
        WHEN sum(m.errors * m.requests) > {UNHEALTHY_PERCENT} * sum(m.requests) FILTER (WHERE m.errors IS NOT NULL)
        THEN 'unhealthy'
        WHEN sum(m.errors * m.requests) > {DEGRADED_PERCENT} * sum(m.requests) FILTER (WHERE m.errors IS NOT NULL)
            OR bool_or(m.p99 > {DEGRADED_P99_MS})
        THEN 'degraded'
        WHEN bool_and(m.requests IS NOT NULL AND m.errors IS NOT NULL AND m.p99 IS NOT NULL) THEN 'healthy'
        ELSE 'unknown'
    END
    FROM (
        SELECT
            CASE WHEN x.requests_total > 0 THEN x.requests_total END AS requests,
            CASE WHEN x.error_rate >= 0 THEN nullif(x.error_rate, 'NaN')::text::numeric END AS errors,
            CASE WHEN x.p99_latency_ms >= 0 THEN nullif(x.p99_latency_ms, 'NaN') END AS p99
        FROM ml_bentoml_serving_metrics AS x
        WHERE x.service_id::uuid = $1::text::uuid AND x.recorded_at > now() - make_interval(mins => $2::text::integer)
            AND x.requests_total IS DISTINCT FROM 0
    ) AS m
"""


async def _measured(work: Work, service: Row) -> HealthStatus:
    """The health by the metrics of the window."""
    window = str(work.given.get("window_minutes", 60))
    ((found,),) = await work.fetch(_HEALTH, service["id"], window)
    return next(state for state in HealthStatus if state.value == found)
