"""Changes that are more than a move, and what moves bring with them: each effect by itself."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from db.models.g11_bentoml_lifecycles import HealthStatus
from tests.support.changing import add, change, deployed, events_of, model_in, previewed, uuid_of
from tests.support.client import Client
from tests.support.databases import Database, connected, waiting_backends
from tests.support.platform_shaped import IS_PLATFORM

pytestmark = pytest.mark.slow

NAN = float("nan")


async def status(sql: asyncpg.Connection, node: str) -> str:
    table = {"Deployment": "ml_deployments", "BentoService": "ml_bentoml_services"}[node.split(":", maxsplit=1)[0]]
    found: str = await sql.fetchval(f"SELECT status::text FROM {table} WHERE id = $1", uuid_of(node))
    return found


async def service_of(sql: asyncpg.Connection, deployment: str, status_: str, health: str = "healthy") -> str:
    key = await sql.fetchval(
        "INSERT INTO ml_bentoml_services (service_name, bento_tag, deployment_id, status, health_status) "
        "VALUES ('s', 's:1', $1, $2::text::deployment_status_enum, $3) RETURNING id",
        uuid_of(deployment),
        status_,
        health,
    )
    return f"BentoService:{key}"


# -- deployments and services ----------------------------------------------------------------------------------------


async def chain(sql: asyncpg.Connection, *statuses: str, **last: Any) -> list[str]:
    """Deployments of one model, each linked to the one before; the oldest first."""
    model = await model_in(sql, "production")
    found: list[str] = []
    for place, one in enumerate(statuses):
        more = last if place == len(statuses) - 1 else {}
        previous = {"previous_deployment_id": uuid_of(found[-1])} if found else {}
        found.append(await deployed(sql, model, status=one, **previous, **more))
    return found


async def test_a_rollback_puts_the_newest_healthy_one_back(client: Client, sql: asyncpg.Connection) -> None:
    oldest, good, broken, live = await chain(sql, "draining", "draining", "rolled_back", "active")
    of_good, of_live = await service_of(sql, good, "draining"), await service_of(sql, live, "active")
    result = await previewed(client, "rollbackDeployment", id=live, reason="errors")
    assert result["__typename"] == "TransitionApplied"
    assert result["node"]["id"] == live
    assert [await status(sql, one) for one in (oldest, good, broken, live)] == [
        "draining", "active", "rolled_back", "rolled_back",
    ]  # fmt: skip
    assert [await status(sql, one) for one in (of_good, of_live)] == ["active", "rolled_back"]
    assert {node["id"] for node in result["alsoChanged"]} == {good, of_good, of_live}
    row = await sql.fetchrow("SELECT * FROM ml_deployments WHERE id = $1", uuid_of(live))
    assert row["rollback_reason"] == "errors"
    assert row["rolled_back_at"] is not None
    assert await events_of(sql, good) == [
        ("status", "DRAINING", "ACTIVE", "rollbackDeployment", "anonymous", "errors", False)
    ]


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (("active",), "CHAIN_IS_EMPTY"),
        (("failed", "rolled_back", "active"), "NO_HEALTHY_PREDECESSOR"),
        (("pending", "active"), "NO_HEALTHY_PREDECESSOR"),
    ],
)
async def test_a_rollback_to_nowhere_is_refused(
    client: Client, sql: asyncpg.Connection, statuses: tuple[str, ...], code: str
) -> None:
    found = await chain(sql, *statuses)
    result = await change(client, "rollbackDeployment", id=found[-1], reason="errors")
    assert [b["code"] for b in result["blockers"]] == [code]
    assert [await status(sql, one) for one in found] == list(statuses)
    assert await events_of(sql, found[-1]) == []


async def test_a_cycle_is_refused(client: Client, sql: asyncpg.Connection) -> None:
    first, second, live = await chain(sql, "draining", "draining", "active")
    await sql.execute(
        "UPDATE ml_deployments SET previous_deployment_id = $1 WHERE id = $2", uuid_of(second), uuid_of(first)
    )
    result = await change(client, "rollbackDeployment", id=live, reason="errors")
    assert [b["code"] for b in result["blockers"]] == ["CHAIN_IS_A_CYCLE"]
    assert await status(sql, live) == "active"


async def test_a_chain_that_leads_back_is_not_closed(client: Client, sql: asyncpg.Connection) -> None:
    """What is replaced is behind the new one already, at any distance: the new one's link stays as it is."""
    first, second, live = await chain(sql, "deploying", "draining", "active")
    result = await change(client, "moveDeployment", id=first, to="ACTIVE")
    assert [node["id"] for node in result["alsoChanged"]] == [live]
    assert [await previous(sql, one) for one in (first, second, live)] == [None, first, second]


async def test_what_is_not_healthy_is_passed_over(client: Client, sql: asyncpg.Connection) -> None:
    good, noisy, sick, elsewhere, live = await chain(sql, "draining", "draining", "draining", "draining", "active")
    await sql.execute("UPDATE ml_deployments SET error_rate = 0.011 WHERE id = $1", uuid_of(noisy))
    await sql.execute("UPDATE ml_deployments SET environment = 'staging' WHERE id = $1", uuid_of(elsewhere))
    await service_of(sql, sick, "draining", "unhealthy")
    result = await change(client, "rollbackDeployment", id=live, reason="errors")
    assert [node["id"] for node in result["alsoChanged"]] == [good]


async def test_a_pending_one_cannot_be_rolled_back(client: Client, sql: asyncpg.Connection) -> None:
    _, pending = await chain(sql, "draining", "pending")
    assert (await change(client, "rollbackDeployment", id=pending, reason="r"))["allowed"] == ["DEPLOYING", "FAILED"]


async def test_a_deployment_starts_behind_the_active_one_and_takes_its_place(
    client: Client, sql: asyncpg.Connection
) -> None:
    (live,) = await chain(sql, "active")
    service = await service_of(sql, live, "active")
    model = f"Model:{await sql.fetchval('SELECT model_registry_id FROM ml_deployments WHERE id = $1', uuid_of(live))}"
    result = await previewed(client, "startDeployment", modelId=model, environment="production", reason="new")
    started = result["node"]["id"]
    row = await sql.fetchrow("SELECT * FROM ml_deployments WHERE id = $1", uuid_of(started))
    assert (row["status"], row["previous_deployment_id"], row["deployed_by"]) == ("pending", uuid_of(live), "anonymous")
    assert (result["event"]["fromState"], result["event"]["toState"]) == (None, "PENDING")
    assert await status(sql, live) == "active"
    for to in ("DEPLOYING", "ACTIVE"):
        result = await previewed(client, "moveDeployment", id=started, to=to)
    assert {node["id"] for node in result["alsoChanged"]} == {live, service}
    assert [await status(sql, one) for one in (live, service, started)] == ["draining", "draining", "active"]
    back = await previewed(client, "rollbackDeployment", id=started, reason="no good")
    assert {node["id"] for node in back["alsoChanged"]} == {live, service}
    assert [await status(sql, one) for one in (live, service, started)] == ["active", "active", "rolled_back"]


async def started(client: Client, model: str, to: str = "DEPLOYING", environment: str = "production") -> str:
    """A deployment of a model that was started and moved on, as an id."""
    result = await change(client, "startDeployment", modelId=model, environment=environment)
    id_: str = result["node"]["id"]
    for one in ("DEPLOYING", "ACTIVE")[: 1 + (to == "ACTIVE")]:
        assert (await change(client, "moveDeployment", id=id_, to=one))["__typename"] == "TransitionApplied"
    return id_


async def previous(sql: asyncpg.Connection, deployment: str) -> str | None:
    key = await sql.fetchval("SELECT previous_deployment_id FROM ml_deployments WHERE id = $1", uuid_of(deployment))
    return key and f"Deployment:{key}"


async def test_what_a_deployment_replaces_is_decided_when_it_becomes_active(
    client: Client, sql: asyncpg.Connection
) -> None:
    model = await model_in(sql, "production")
    live = await deployed(sql, model, status="active")
    elsewhere = await deployed(sql, model, status="active", environment="staging")
    first, second = await started(client, model), await started(client, model)
    assert [await previous(sql, one) for one in (first, second)] == [live, live]
    await change(client, "moveDeployment", id=first, to="ACTIVE")
    result = await change(client, "moveDeployment", id=second, to="ACTIVE")
    assert [node["id"] for node in result["alsoChanged"]] == [first]
    assert [await status(sql, one) for one in (live, first, second, elsewhere)] == [
        "draining", "draining", "active", "active",
    ]  # fmt: skip
    assert await previous(sql, second) == first
    # one that is put back by hand takes the other's place, and no chain becomes a cycle
    await change(client, "moveDeployment", id=first, to="ACTIVE")
    assert [await status(sql, one) for one in (first, second)] == ["active", "draining"]
    assert await previous(sql, first) == live
    # what does not serve leaves who serves where it is
    result = await change(client, "rollbackDeployment", id=second, reason="never again")
    assert result["alsoChanged"] == []
    assert [await status(sql, one) for one in (live, first, second)] == ["draining", "active", "rolled_back"]
    await change(client, "rollbackDeployment", id=first, reason="nor this")
    assert [await status(sql, one) for one in (live, first, second)] == ["active", "rolled_back", "rolled_back"]


async def test_the_newest_of_several_that_are_replaced_is_rolled_back_to(
    client: Client, sql: asyncpg.Connection
) -> None:
    """Whichever was written last."""
    for written in ((0, 1), (1, 0)):
        model = await model_in(sql, "production")
        both = [await deployed(sql, model, status="active") for _ in range(2)]
        for place in written:
            at = datetime(2026, 1, 1 + place, tzinfo=UTC)
            await sql.execute("UPDATE ml_deployments SET deployed_at = $2 WHERE id = $1", uuid_of(both[place]), at)
        new = await deployed(sql, model, status="deploying")
        result = await change(client, "moveDeployment", id=new, to="ACTIVE")
        assert [node["id"] for node in result["alsoChanged"]] == both[::-1]
        assert await previous(sql, new) == both[1]


@pytest.mark.parametrize("experiment", [True, False])
async def test_of_deployments_that_become_active_at_once_one_stays_so(
    client: Client, sql: asyncpg.Connection, *, experiment: bool
) -> None:
    """Also of models without an experiment, which stand for one another by their name."""
    for _ in range(5):
        models = [await model_in(sql, "production", model_name=f"at once {uuid.uuid4()}")]
        for _ in range(2):
            key = await sql.fetchval(
                "INSERT INTO ml_model_registry (experiment_id, model_name, model_version, algorithm, stage) "
                "SELECT experiment_id, model_name, gen_random_uuid()::text, 'a', 'production' "
                "FROM ml_model_registry WHERE id = $1 RETURNING id",
                uuid_of(models[0]),
            )
            models.append(f"Model:{key}")
        if not experiment:
            await sql.execute(
                "UPDATE ml_model_registry SET experiment_id = NULL WHERE id = ANY ($1)", [uuid_of(m) for m in models]
            )
        deployments = [await started(client, model) for model in models]
        results = await asyncio.gather(*(change(client, "moveDeployment", id=d, to="ACTIVE") for d in deployments))
        assert {one["__typename"] for one in results} == {"TransitionApplied"}
        assert sorted([await status(sql, one) for one in deployments]) == ["active", "draining", "draining"]


async def test_another_environment_has_another_active_one(client: Client, sql: asyncpg.Connection) -> None:
    (live,) = await chain(sql, "active")
    model = f"Model:{await sql.fetchval('SELECT model_registry_id FROM ml_deployments WHERE id = $1', uuid_of(live))}"
    result = await change(client, "startDeployment", modelId=model, environment="staging")
    started = uuid_of(result["node"]["id"])
    assert await sql.fetchval("SELECT previous_deployment_id FROM ml_deployments WHERE id = $1", started) is None


async def test_a_retired_model_is_not_deployed(client: Client, sql: asyncpg.Connection) -> None:
    result = await change(client, "startDeployment", modelId=await model_in(sql, "archived"), environment="staging")
    assert [b["code"] for b in result["blockers"]] == ["MODEL_RETIRED"]


@pytest.mark.parametrize("to", ["draining", "failed", "rolled_back"])
async def test_services_serve_no_longer_than_their_deployment(client: Client, sql: asyncpg.Connection, to: str) -> None:
    (live,) = await chain(sql, "active")
    services = [await service_of(sql, live, one) for one in ("active", "pending", "failed")]
    result = await change(client, "moveDeployment", id=live, to=to.upper())
    assert [node["id"] for node in result["alsoChanged"]] == services[:1]
    assert [await status(sql, one) for one in services] == [to, "pending", "failed"]


@pytest.mark.parametrize("of_deployment", ["pending", "deploying", "draining", "failed", "rolled_back"])
async def test_a_service_of_an_inactive_deployment_stays_inactive(
    client: Client, sql: asyncpg.Connection, of_deployment: str
) -> None:
    (deployment,) = await chain(sql, of_deployment)
    service = await service_of(sql, deployment, "deploying")
    result = await change(client, "moveService", id=service, to="ACTIVE")
    (blocker,) = result["blockers"]
    assert (blocker["code"], blocker["node"]["id"]) == ("DEPLOYMENT_INACTIVE", deployment)
    await sql.execute("UPDATE ml_deployments SET status = 'active' WHERE id = $1", uuid_of(deployment))
    assert (await change(client, "moveService", id=service, to="ACTIVE"))["__typename"] == "TransitionApplied"


async def test_a_service_and_its_deployment_move_at_once(client: Client, sql: asyncpg.Connection) -> None:
    """Whichever comes first: no service is left active behind a deployment that is not."""
    for _ in range(15):
        (live,) = await chain(sql, "active")
        services = [await service_of(sql, live, "deploying") for _ in range(3)]
        await asyncio.gather(
            *(change(client, "moveService", id=service, to="ACTIVE") for service in services),
            change(client, "moveDeployment", id=live, to="DRAINING"),
        )
        assert await status(sql, live) == "draining"
        assert "active" not in {await status(sql, service) for service in services}


@pytest.mark.parametrize("origin", list(HealthStatus))
@pytest.mark.parametrize("to", list(HealthStatus))
async def test_every_report_of_health(
    client: Client, sql: asyncpg.Connection, origin: HealthStatus, to: HealthStatus
) -> None:
    (live,) = await chain(sql, "active")
    service = await service_of(sql, live, "active", origin.value)
    await sql.execute("UPDATE ml_bentoml_services SET health_check_failures = 2 WHERE id = $1", uuid_of(service))
    result = await change(client, "reportHealth", id=service, healthStatus=to.name)
    assert (result["event"]["fromState"], result["event"]["toState"]) == (origin.name, to.name)
    row = await sql.fetchrow("SELECT * FROM ml_bentoml_services WHERE id = $1", uuid_of(service))
    failures = {"healthy": 0, "unknown": 2, "starting": 2, "stopped": 2}.get(to.value, 3)
    assert (row["health_status"], row["health_check_failures"]) == (to.value, failures)
    assert row["last_health_check"] is not None


@pytest.mark.parametrize(
    ("metrics", "health"),
    [
        ([], "unknown"),
        ([(1000, 0.9, 200.0)], "healthy"),
        ([(1000, 1.0, 250.0)], "healthy"),
        ([(1000, 1.1, 200.0)], "degraded"),
        ([(1000, 0.2, 251.0)], "degraded"),
        ([(1000, 5.1, 90.0)], "unhealthy"),
        ([(9000, 0.0, 90.0), (1000, 40.0, 90.0)], "degraded"),  # 4 % of all requests
        ([(1000, None, None)], "unknown"),
        ([(None, 0.1, 90.0)], "unknown"),
        ([(None, 90.0, 90.0)], "unknown"),
        ([(1000, NAN, 90.0)], "unknown"),
        ([(1000, 0.1, NAN)], "unknown"),
        ([(1000, 0.1, None)], "unknown"),
        ([(1000, None, 90.0)], "unknown"),
        ([(1000, -1.0, 90.0)], "unknown"),
        ([(0, 0.0, 0.0)], "unknown"),
        ([(0, NAN, NAN), (1000, 0.1, 90.0)], "healthy"),
        ([(1000, 0.1, 90.0), (None, None, None)], "unknown"),
        ([(1000, NAN, NAN), (1000, 5.1, 90.0)], "unhealthy"),
        ([(1000, 5.0, 90.0)], "degraded"),
        ([(1000, 5.0001, 90.0)], "unhealthy"),
        ([(1000, 1.0001, 90.0)], "degraded"),
        ([(1000, 0.1, 250.0)], "healthy"),
        ([(1000, 0.1, 250.0001)], "degraded"),
        ([(3, 1.0, 1.0), (7, 1.0, 1.0), (11, 1.0, 1.0)], "healthy"),  # exactly 1 %, however it is added up
    ],
)
async def test_health_from_metrics_whose_errors_are_percentages(
    client: Client, sql: asyncpg.Connection, metrics: list[tuple[Any, ...]], health: str
) -> None:
    (live,) = await chain(sql, "active")
    service = await service_of(sql, live, "active")
    for age, (requests, errors, p99) in [("5 minutes", one) for one in metrics] + [("2 hours", (10**6, 100.0, 9e9))]:
        await sql.execute(
            "INSERT INTO ml_bentoml_serving_metrics (service_id, recorded_at, requests_total, "
            "error_rate, p99_latency_ms) "
            "VALUES ($1, now() - $2::text::interval, $3, $4, $5)",
            uuid_of(service),
            age,
            requests,
            errors,
            p99,
        )
    await change(client, "reportHealth", id=service)
    found = await sql.fetchval("SELECT health_status FROM ml_bentoml_services WHERE id = $1", uuid_of(service))
    assert found == health


# -- monitoring ------------------------------------------------------------------------------------------------------


async def alert_on(sql: asyncpg.Connection, **columns: Any) -> str:
    model = await model_in(sql, "production")
    values = {
        "alert_type": "drift",
        "title": "t",
        "severity": "high",
        "message": "it drifts",
        "model_id": uuid_of(model),
    }
    values |= columns
    casts = {"severity": "::text::drift_severity_enum", "status": "::text::alert_status_enum"}
    places = ", ".join(f"${n + 1}{casts.get(name, '')}" for n, name in enumerate(values))
    key = await sql.fetchval(
        f"INSERT INTO ml_monitoring_alerts ({', '.join(values)}) VALUES ({places}) RETURNING id", *values.values()
    )
    return f"MonitoringAlert:{key}"


async def test_an_alert_says_who_and_when_and_forgets_it_when_opened_again(
    client: Client, sql: asyncpg.Connection
) -> None:
    alert = await alert_on(sql)

    async def row() -> Any:
        return await sql.fetchrow("SELECT * FROM ml_monitoring_alerts WHERE id = $1", uuid_of(alert))

    await change(client, "acknowledgeAlert", id=alert, acknowledgementNotes="seen")
    found = await row()
    assert (found["acknowledged_by"], found["acknowledgement_notes"]) == ("anonymous", "seen")
    assert found["acknowledged_at"] is not None
    await change(client, "resolveAlert", id=alert, resolutionAction="FIXED_DATA", resolutionNotes="unit corrected")
    found = await row()
    assert (found["resolved_by"], found["resolution_action"], found["resolution_notes"]) == (
        "anonymous", "fixed_data", "unit corrected",
    )  # fmt: skip
    assert found["resolved_at"] is not None
    assert (await change(client, "reopenAlert", id=alert))["field"] == "reason"
    await change(client, "reopenAlert", id=alert, reason="it is back")
    found = await row()
    names = ("acknowledged_by", "acknowledged_at", "resolved_by", "resolved_at", "resolution_action")
    assert [found[name] for name in names] == [None] * 5
    await change(client, "dismissAlert", id=alert)
    assert (await row())["resolution_action"] == "dismissed"


async def test_an_alert_triggers_one_retraining(client: Client, sql: asyncpg.Connection) -> None:
    alert = await alert_on(sql)
    result = await previewed(client, "triggerRetraining", id=alert, reason="drift")
    (retraining,) = [node["id"] for node in result["alsoChanged"]]
    row = await sql.fetchrow("SELECT * FROM ml_retraining_history WHERE id = $1", uuid_of(retraining))
    assert (row["status"], row["trigger_type"], row["alert_id"]) == ("pending", "drift", uuid_of(alert))
    assert (row["trigger_reason"], row["drift_severity"]) == ("drift", "high")
    assert row["old_model_version"] is not None
    marked = await sql.fetchrow("SELECT * FROM ml_monitoring_alerts WHERE id = $1", uuid_of(alert))
    assert (marked["triggered_retraining"], marked["retraining_job_id"]) == (True, uuid_of(retraining))
    again = await change(client, "triggerRetraining", id=alert)
    (blocker,) = again["blockers"]
    assert (blocker["code"], blocker["node"]["id"]) == ("ALREADY_TRIGGERED", retraining)


async def test_only_one_of_many_who_trigger_at_once_does(client: Client, sql: asyncpg.Connection) -> None:
    alert = await alert_on(sql)
    results = await asyncio.gather(*(change(client, "triggerRetraining", id=alert) for _ in range(8)))
    assert [r["__typename"] for r in results].count("TransitionApplied") == 1
    count = "SELECT count(*) FROM ml_retraining_history WHERE alert_id = $1"
    assert await sql.fetchval(count, uuid_of(alert)) == 1


async def test_a_closed_alert_and_one_without_a_model_trigger_nothing(client: Client, sql: asyncpg.Connection) -> None:
    alert = await alert_on(sql, status="resolved", model_id=None)
    result = await change(client, "triggerRetraining", id=alert)
    assert {b["code"] for b in result["blockers"]} == {"NO_MODEL", "ALERT_CLOSED"}


async def test_a_retraining_ends_with_its_version_and_metrics(client: Client, sql: asyncpg.Connection) -> None:
    alert = await alert_on(sql)
    result = await change(client, "triggerRetraining", id=alert)
    retraining = result["alsoChanged"][0]["id"]
    for to in ("TRAINING", "VALIDATING"):
        await change(client, "moveRetraining", id=retraining, to=to)
    ask: dict[str, Any] = {"id": retraining, "newModelVersion": "9.9.9", "newMetricValue": 0.82}
    refused = await change(client, "completeRetraining", **ask)
    assert {b["code"] for b in refused["blockers"]} == {"NEW_VERSION_UNKNOWN", "METRICS_MISSING"}
    assert "no model of that name has the version 9.9.9" in refused["message"]
    await sql.execute(
        "INSERT INTO ml_model_registry (model_name, model_version, algorithm) SELECT m.model_name, '9.9.9', 'a' "
        "FROM ml_model_registry m JOIN ml_monitoring_alerts a ON a.model_id = m.id WHERE a.id = $1",
        uuid_of(alert),
    )
    await change(client, "completeRetraining", **ask, oldMetricValue=0.75, autoDeployed=True)
    row = await sql.fetchrow("SELECT * FROM ml_retraining_history WHERE id = $1", uuid_of(retraining))
    assert (row["status"], row["new_model_version"], row["auto_deployed"]) == ("deployed", "9.9.9", True)
    assert [float(row[name]) for name in ("old_metric_value", "new_metric_value", "improvement")] == [0.75, 0.82, 0.07]
    assert row["completed_at"] is not None
    assert row["duration_seconds"] is not None
    data = await client.data(f'{{ retraining(id: "{retraining}") {{ newModel {{ modelVersion }} }} }}')
    assert data["retraining"]["newModel"] == {"modelVersion": "9.9.9"}


# -- twins -----------------------------------------------------------------------------------------------------------


async def test_a_real_outcome_is_graded_by_the_trigger(client: Client, sql: asyncpg.Connection) -> None:
    model = await sql.fetchval("SELECT model_id FROM digital_twin_models LIMIT 1")
    key = await sql.fetchval(
        "INSERT INTO twin_simulations (model_id, intervention_type, target_population, twin_count, "
        "brand, simulation_status) "
        "VALUES ($1, 'email_campaign', 'hcp', 10, 'Kisqali', 'running') RETURNING simulation_id",
        model,
    )
    simulation = f"TwinSimulation:{key}"
    early = await change(client, "recordActualEffect", id=simulation, actualAte=0.1)
    assert [b["code"] for b in early["blockers"]] == ["NOT_COMPLETED"]
    await change(
        client, "completeSimulation", id=simulation, simulatedAte=0.112, simulatedCiLower=0.05, simulatedCiUpper=0.2,
        recommendation="DEPLOY",
    )  # fmt: skip
    result = await previewed(client, "recordActualEffect", id=simulation, actualAte=0.1, actualSampleSize=500)
    row = await sql.fetchrow("SELECT * FROM twin_fidelity_tracking WHERE simulation_id = $1", key)
    assert (row["fidelity_grade"], row["ci_coverage"], row["validated_by"]) == ("good", True, "anonymous")
    assert row["prediction_error"] == pytest.approx(0.12)
    assert result["event"]["toState"] == "GOOD"
    assert {node["id"] for node in result["alsoChanged"]} == {
        f"TwinFidelity:{row['tracking_id']}",
        f"TwinModel:{model}",
    }
    await change(client, "recordActualEffect", id=simulation, actualAte=0.2)
    assert await sql.fetchval("SELECT count(*) FROM twin_fidelity_tracking WHERE simulation_id = $1", key) == 2
    await sql.execute("INSERT INTO twin_fidelity_tracking (simulation_id, simulated_ate) VALUES ($1, 0.11)", key)
    await previewed(client, "recordActualEffect", id=simulation, actualAte=0.3)
    assert await sql.fetchval("SELECT count(*) FROM twin_fidelity_tracking WHERE simulation_id = $1", key) == 3


async def test_one_retrieval_configuration_is_in_use(client: Client, sql: asyncpg.Connection) -> None:
    keys = [
        await sql.fetchval(
            "INSERT INTO retrieval_configurations (config_name) VALUES ($1) RETURNING config_id", f"c{n}"
        )
        for n in range(3)
    ]
    await asyncio.gather(
        *(change(client, "activateRetrievalConfiguration", id=f"RetrievalConfiguration:{key}") for key in keys)
    )
    rows = await sql.fetch(
        "SELECT config_id, activated_at, deactivated_at FROM retrieval_configurations WHERE is_active"
    )
    assert len(rows) == 1
    assert rows[0]["deactivated_at"] is None
    last = next(key for key in keys if key != rows[0]["config_id"])
    result = await change(client, "activateRetrievalConfiguration", id=f"RetrievalConfiguration:{last}")
    assert [node["id"] for node in result["alsoChanged"]] == [f"RetrievalConfiguration:{rows[0]['config_id']}"]


# -- prompts ---------------------------------------------------------------------------------------------------------


async def test_one_version_of_a_prompt_is_in_use(client: Client, sql: asyncpg.Connection) -> None:
    """Of each prompt of each agent; of those that ask at once one wins, and each is recorded."""
    name = uuid.uuid4().hex

    async def version(n: int, agent: str | None = "drift_monitor", **columns: Any) -> str:
        key = await add(
            sql, "prompt_configurations", prompt_name=name, prompt_version=n, agent_name=agent, is_active=False,
            **columns,
        )  # fmt: skip
        return f"PromptConfiguration:{key}"

    async def used() -> set[str]:
        rows = await sql.fetch("SELECT prompt_id FROM prompt_configurations WHERE prompt_name = $1 AND is_active", name)
        return {f"PromptConfiguration:{row[0]}" for row in rows}

    ones = [await version(n) for n in range(3)]
    others = await version(7, agent=None)
    assert (await change(client, "activatePromptConfiguration", id=others))["event"]["toState"] == "ACTIVE"
    results = await asyncio.gather(*(change(client, "activatePromptConfiguration", id=one) for one in ones))
    assert {one["__typename"] for one in results} == {"TransitionApplied"}
    found = await used()
    assert len(found) == 2
    assert others in found
    (last,) = found - {others}
    next_ = next(one for one in ones if one != last)
    result = await change(client, "activatePromptConfiguration", id=next_)
    assert [node["id"] for node in result["alsoChanged"]] == [last]
    row = await sql.fetchrow(
        "SELECT activated_at, deactivated_at FROM prompt_configurations WHERE prompt_id = $1", uuid_of(last)
    )
    assert row["activated_at"] < row["deactivated_at"]
    assert (await change(client, "deactivatePromptConfiguration", id=others))["event"]["toState"] == "INACTIVE"
    assert await used() == {next_}


async def description(sql: asyncpg.Connection, agent: str, *, active: bool | None = False) -> str:
    key = await add(
        sql, "optimized_tool_descriptions", agent_name=agent, tool_name="t", is_active=active,
        description_hash=uuid.uuid4().hex,
    )  # fmt: skip
    return f"OptimizedToolDescription:{key}"


@pytest.mark.migrated("an agent's tool has one row that is not in use there, which test_own_platform.py is about")
async def test_one_description_of_a_tool_is_in_use(client: Client, sql: asyncpg.Connection) -> None:
    agent = uuid.uuid4().hex
    ones = [await description(sql, agent) for _ in range(4)]
    results = await asyncio.gather(*(change(client, "activateOptimizedToolDescription", id=one) for one in ones))
    assert {one["__typename"] for one in results} == {"TransitionApplied"}
    used = "SELECT tool_description_id FROM optimized_tool_descriptions WHERE agent_name = $1 AND is_active"
    (row,) = await sql.fetch(used, agent)
    on = f"OptimizedToolDescription:{row[0]}"
    assert (await change(client, "deactivateOptimizedToolDescription", id=on))["event"]["toState"] == "INACTIVE"
    assert await sql.fetch(used, agent) == []


async def instruction(sql: asyncpg.Connection, agent: str, run: uuid.UUID | None = None, **columns: Any) -> str:
    if run is None:
        run = await sql.fetchval(
            "INSERT INTO prompt_optimization_runs (run_name, agent_name, agent_tier, agent_type, "
            "trainset_size, status) "
            "VALUES ('r', $1, 2, 'standard', 10, 'completed') RETURNING run_id",
            agent,
        )
    values = {
        "agent_name": agent,
        "predictor_name": "p",
        "version": "v",
        "instruction_text": "t",
        "instruction_hash": "h",
    }
    values |= {"run_id": run} | columns
    places = ", ".join(f"${n + 1}" for n in range(len(values)))
    key = await sql.fetchval(
        f"INSERT INTO optimized_instructions ({', '.join(values)}) VALUES ({places}) RETURNING instruction_id",
        *values.values(),
    )
    return f"OptimizedInstruction:{key}"


async def active(sql: asyncpg.Connection, agent: str) -> list[str]:
    rows = await sql.fetch(
        "SELECT instruction_id FROM optimized_instructions WHERE agent_name = $1 AND is_active", agent
    )
    return [f"OptimizedInstruction:{row[0]}" for row in rows]


@pytest.mark.migrated("an agent's predictor has one row that is not in use there, which test_own_platform.py is about")
async def test_one_instruction_of_an_agent_and_predictor_is_in_use(client: Client, sql: asyncpg.Connection) -> None:
    ones = [await instruction(sql, "a1") for _ in range(4)]
    other = await instruction(sql, "a1", predictor_name="q", is_active=True)
    results = await asyncio.gather(*(change(client, "activateOptimizedInstruction", id=one) for one in ones))
    assert {r["__typename"] for r in results} == {"TransitionApplied"}
    found = await active(sql, "a1")
    assert len(found) == 2
    assert other in found


@pytest.mark.migrated("more rows of a predictor are out of use than may be there, see test_own_platform.py")
async def test_the_winner_of_a_test_is_rolled_out(client: Client, sql: asyncpg.Connection) -> None:
    baseline, treatment = await instruction(sql, "a2", is_active=True), await instruction(sql, "a2")
    key = await sql.fetchval(
        "INSERT INTO prompt_ab_tests (test_name, agent_name, baseline_instruction_id, treatment_instruction_id) "
        "VALUES ('t', 'a2', $1, $2) RETURNING test_id",
        uuid_of(baseline),
        uuid_of(treatment),
    )
    test = f"PromptAbTest:{key}"
    early = await change(client, "rollOutPromptAbTest", id=test)
    assert early["blockers"][0]["code"] == "NOT_CONCLUDED"
    assert early["message"] == "the test is draft and has no winner"
    await change(client, "startPromptAbTest", id=test)
    concluded = await change(
        client, "concludePromptAbTest", id=test, winner="GEPA", reason="better by far", pValue=0.01
    )
    assert concluded["__typename"] == "TransitionApplied"
    result = await previewed(client, "rollOutPromptAbTest", id=test)
    assert {node["id"] for node in result["alsoChanged"]} == {baseline, treatment}
    assert await active(sql, "a2") == [treatment]
    row = await sql.fetchrow("SELECT * FROM prompt_ab_tests WHERE test_id = $1", key)
    assert (row["status"], row["winner"], row["rolled_out"]) == ("completed", "gepa", True)
    assert row["decision_reason"] == "better by far"
    assert (await change(client, "rollOutPromptAbTest", id=test))["__typename"] == "IllegalTransition"


async def test_a_winner_without_an_instruction_cannot_be_rolled_out(client: Client, sql: asyncpg.Connection) -> None:
    key = await sql.fetchval(
        "INSERT INTO prompt_ab_tests (test_name, agent_name, status, winner) VALUES ('t', 'a3', "
        "'completed', 'baseline') "
        "RETURNING test_id"
    )
    result = await change(client, "rollOutPromptAbTest", id=f"PromptAbTest:{key}")
    assert [b["code"] for b in result["blockers"]] == ["NO_INSTRUCTION"]


@pytest.mark.migrated("more rows of a predictor are out of use than may be there, see test_own_platform.py")
async def test_a_run_that_is_rolled_back_gives_way_to_what_was_before(client: Client, sql: asyncpg.Connection) -> None:
    before = await instruction(sql, "a4", is_active=True)
    after = await instruction(sql, "a4")
    await change(client, "activateOptimizedInstruction", id=after)
    assert await active(sql, "a4") == [after]
    run = await sql.fetchval("SELECT run_id FROM optimized_instructions WHERE instruction_id = $1", uuid_of(after))
    result = await previewed(client, "moveOptimizationRun", id=f"PromptOptimizationRun:{run}", to="ROLLED_BACK")
    assert {node["id"] for node in result["alsoChanged"]} == {before, after}
    assert await active(sql, "a4") == [before]


async def run_of(sql: asyncpg.Connection, instruction_: str) -> str:
    key = await sql.fetchval("SELECT run_id FROM optimized_instructions WHERE instruction_id = $1",
                             uuid_of(instruction_))  # fmt: skip
    return f"PromptOptimizationRun:{key}"


@pytest.mark.migrated("more rows of a predictor are out of use than may be there, see test_own_platform.py")
async def test_runs_that_are_rolled_back_in_turn_bring_none_of_them_back(
    client: Client, sql: asyncpg.Connection
) -> None:
    first = await instruction(sql, "a5", is_active=True)
    later = [await instruction(sql, "a5") for _ in range(3)]
    for one in later:
        await change(client, "activateOptimizedInstruction", id=one)
    expected = [first, *later]
    for one in reversed(later):
        assert await active(sql, "a5") == [expected.pop()]
        await change(client, "moveOptimizationRun", id=await run_of(sql, one), to="ROLLED_BACK")
    assert await active(sql, "a5") == [first]
    result = await change(client, "moveOptimizationRun", id=await run_of(sql, first), to="ROLLED_BACK")
    assert [node["id"] for node in result["alsoChanged"]] == [first]
    assert await active(sql, "a5") == []


# -- reviews ---------------------------------------------------------------------------------------------------------

REVIEW = {"reviewType": "DAG_APPROVAL", "reviewerId": "s.iyer"}


async def test_a_review_names_the_tests_that_it_is_about(client: Client, sql: asyncpg.Connection) -> None:
    keys = [str(await add(sql, "causal_validations")) for _ in range(2)]
    ids = [keys[0], f"CausalValidation:{keys[1]}"]
    made = await change(client, "requestReview", **REVIEW, relatedValidationIds=ids)
    review = uuid_of(made["node"]["id"])
    stored = await sql.fetchval("SELECT related_validation_ids FROM expert_reviews WHERE review_id = $1", review)
    assert [str(key) for key in stored] == keys
    missing = await change(client, "requestReview", **REVIEW, relatedValidationIds=[keys[0], str(uuid.uuid4())])
    assert (missing["__typename"], missing["path"]) == ("InvalidInput", ["input", "relatedValidationIds", "1"])
    other = await change(client, "requestReview", **REVIEW, relatedValidationIds=["Model:x"])
    assert (other["field"], "an id of CausalValidation" in other["message"]) == ("relatedValidationIds[0]", True)


async def test_an_execution_that_ended_in_part_is_completed(client: Client, sql: asyncpg.Connection) -> None:
    """With what came of the whole; one that ended well stays so."""
    key = f"cohort-{uuid.uuid4().hex}"
    await add(sql, "ml_cohort_executions", execution_id=key, status="partial", eligible_row_count=10)
    wrong = await change(client, "completeCohortExecution", id=key, excludedRowCount=-1)
    assert wrong["field"] == "excludedRowCount"
    done = await change(client, "completeCohortExecution", id=key, eligibleRowCount=90, excludedRowCount=10)
    assert (done["event"]["fromState"], done["event"]["toState"]) == ("PARTIAL", "SUCCESS")
    row = await sql.fetchrow("SELECT * FROM ml_cohort_executions WHERE execution_id = $1", key)
    assert (row["status"], row["eligible_row_count"], row["excluded_row_count"]) == ("success", 90, 10)
    again = await change(client, "failCohortExecution", id=key, errorMessage="too late")
    assert (again["__typename"], again["allowed"]) == ("IllegalTransition", [])


@pytest.mark.parametrize("checklist", [None, {}, [True], {"a": True, "b": False}, {"a": "yes"}])
async def test_an_approval_needs_a_complete_checklist(client: Client, sql: asyncpg.Connection, checklist: Any) -> None:
    review = (await change(client, "requestReview", **REVIEW))["node"]["id"]
    given = {} if checklist is None else {"checklistJson": checklist}
    result = await change(client, "approveReview", id=review, **given)
    assert [b["code"] for b in result["blockers"]] == ["CHECKLIST_INCOMPLETE"]
    assert await sql.fetchval("SELECT checklist_json FROM expert_reviews WHERE review_id = $1", uuid_of(review)) is None
    approved = await change(client, "approveReview", id=review, checklistJson={"a": True})
    assert approved["__typename"] == "TransitionApplied"
    row = await sql.fetchrow("SELECT * FROM expert_reviews WHERE review_id = $1", uuid_of(review))
    assert (row["approval_status"], json.loads(row["checklist_json"]), row["valid_until"]) == (
        "approved",
        {"a": True},
        None,
    )
    assert row["approved_at"] is not None


async def test_a_new_approval_supersedes_the_old_one(client: Client, sql: asyncpg.Connection) -> None:
    hash_ = uuid.uuid4().hex
    old = (await change(client, "requestReview", **REVIEW, dagVersionHash=hash_))["node"]["id"]
    await change(client, "approveReview", id=old, checklistJson={"a": True}, validUntil="2999-01-01")
    assert await sql.fetchval("SELECT is_dag_approved($1)", hash_)
    new = (await change(client, "requestReview", **REVIEW, dagVersionHash=hash_, supersedesReviewId=old))["node"]["id"]
    result = await change(client, "approveReview", id=new, checklistJson={"a": True})
    assert [node["id"] for node in result["alsoChanged"]] == [old]
    assert (
        await sql.fetchval("SELECT approval_status FROM expert_reviews WHERE review_id = $1", uuid_of(old)) == "expired"
    )
    assert await sql.fetchval("SELECT is_dag_approved($1)", hash_)
    missing = await change(client, "requestReview", **REVIEW, supersedesReviewId=str(uuid.uuid4()))
    assert (missing["__typename"], missing["path"]) == ("NotFound", ["input", "supersedesReviewId"])


async def approved_dag(client: Client, hash_: str, **given: Any) -> str:
    """A DAG's approved review, as an id."""
    review: str = (await change(client, "requestReview", **REVIEW, dagVersionHash=hash_, **given))["node"]["id"]
    await change(client, "approveReview", id=review, checklistJson={"a": True})
    return review


async def decision(client: Client, hash_: str, brand: str | None = None) -> str:
    data = await client.data(
        "query($h: String!, $b: String) { dagApproval(hash: $h, brand: $b) { state } }", h=hash_, b=brand
    )
    state_: str = data["dagApproval"]["state"]
    return state_


@pytest.mark.parametrize("end", [None, "rejectReview"])
async def test_who_may_only_request_takes_no_decision_away(
    client: Client, sql: asyncpg.Connection, end: str | None
) -> None:
    """A review that is asked for, or rejected, leaves what it names as it is: an approval, and a rejection."""
    hash_ = uuid.uuid4().hex
    approved = await approved_dag(client, hash_)
    rejected = (await change(client, "requestReview", **REVIEW, dagVersionHash=hash_))["node"]["id"]
    await change(client, "rejectReview", id=rejected, reason="wrong")
    assert await decision(client, hash_) == "REJECTED"
    for named in (rejected, approved):
        new = (await change(client, "requestReview", **REVIEW, dagVersionHash=hash_, supersedesReviewId=named))["node"]
        assert await decision(client, hash_) == "REJECTED"
        if end:
            await change(client, end, id=new["id"], reason="no")
        assert await decision(client, hash_) == "REJECTED"
        # the platform's own function knows no rejections
        assert IS_PLATFORM or not await sql.fetchval("SELECT is_dag_approved($1)", hash_)
    held = uuid.uuid4().hex
    kept = await approved_dag(client, held)
    await change(client, "requestReview", **REVIEW, dagVersionHash=held, supersedesReviewId=kept)
    assert await decision(client, held) == "APPROVED"
    assert await sql.fetchval("SELECT is_dag_approved($1)", held)


@pytest.mark.parametrize("subject", [{}, {"brand": "Kisqali"}, {"dagVersionHash": "another"}])
async def test_a_review_of_something_else_supersedes_nothing(
    client: Client, sql: asyncpg.Connection, subject: dict[str, str]
) -> None:
    """Neither asked for through the graph, which says so, nor written by others and then approved."""
    hash_ = uuid.uuid4().hex
    old = await approved_dag(client, hash_)
    about = subject if "brand" not in subject else {**subject, "dagVersionHash": hash_}
    refused = await change(client, "requestReview", **REVIEW, **about, supersedesReviewId=old)
    assert (refused["__typename"], refused["field"]) == ("InvalidInput", "supersedesReviewId")
    assert hash_ in refused["message"]
    key = await sql.fetchval(
        "INSERT INTO expert_reviews (review_type, reviewer_id, dag_version_hash, brand, supersedes_review_id) "
        "VALUES ('dag_approval', 'x', $1, $2, $3) RETURNING review_id",
        about.get("dagVersionHash"), about.get("brand"), uuid_of(old),
    )  # fmt: skip
    result = await change(client, "approveReview", id=f"ExpertReview:{key}", checklistJson={"a": True})
    assert result["alsoChanged"] == []
    assert await decision(client, hash_, "Fabhalta") == "APPROVED"
    assert IS_PLATFORM or await sql.fetchval("SELECT is_dag_approved($1, 'Fabhalta')", hash_)  # of any brand by ours


async def test_an_approval_that_is_over_supersedes_nothing(client: Client, sql: asyncpg.Connection) -> None:
    hash_ = uuid.uuid4().hex
    old, new = await approved_dag(client, hash_, brand="Kisqali"), await approved_dag(client, hash_)
    for begin, end in ((None, date(2020, 1, 1)), (date(2999, 1, 1), None)):
        await sql.execute(
            "UPDATE expert_reviews SET supersedes_review_id = $1, created_at = now() - interval '1 year', "
            "valid_from = $3, valid_until = $4 WHERE review_id = $2",
            uuid_of(old), uuid_of(new), begin, end,
        )  # fmt: skip
        assert await decision(client, hash_) == "APPROVED"
        assert await sql.fetchval("SELECT is_dag_approved($1)", hash_)


async def test_a_stored_day_that_is_past_is_in_the_way(client: Client, sql: asyncpg.Connection) -> None:
    review = (await change(client, "requestReview", **REVIEW))["node"]["id"]
    await sql.execute("UPDATE expert_reviews SET valid_until = '2020-01-01' WHERE review_id = $1", uuid_of(review))
    result = await change(client, "approveReview", id=review, checklistJson={"a": True})
    assert [b["code"] for b in result["blockers"]] == ["VALIDITY_ENDED"]
    today = datetime.now(UTC).date().isoformat()
    result = await change(client, "approveReview", id=review, checklistJson={"a": True}, validUntil=today)
    assert result["__typename"] == "TransitionApplied"


async def test_the_sweep_ends_what_is_overdue_and_nothing_else(client: Client, sql: asyncpg.Connection) -> None:
    await change(client, "expireOverdueReviews")
    today = datetime.now(UTC).date()
    keys: dict[date | None, Any] = {}
    for until in (today - timedelta(days=1), today, today + timedelta(days=1), None):
        keys[until] = await sql.fetchval(
            "INSERT INTO expert_reviews (review_type, reviewer_id, approval_status, valid_until) "
            "VALUES ('ad_hoc_validation', 'x', 'approved', $1) RETURNING review_id",
            until,
        )
    overdue = f"ExpertReview:{keys[today - timedelta(days=1)]}"
    preview = await change(client, "expireOverdueReviews", dryRun=True)
    assert [one["nodeId"] for one in preview["wouldChange"]] == [overdue]
    result = await change(client, "expireOverdueReviews")
    assert [node["id"] for node in result["nodes"]] == [overdue]
    nothing = await change(client, "expireOverdueReviews")
    assert [b["code"] for b in nothing["blockers"]] == ["NOTHING_OVERDUE"]


async def test_the_sweep_leaves_an_approval_that_is_prolonged_while_it_waits(
    client: Client, sql: asyncpg.Connection, own: Database
) -> None:
    """To the end of today at least: rows are judged as they are once they are locked."""
    await change(client, "expireOverdueReviews")
    today = datetime.now(UTC).date()
    key, other = [
        await sql.fetchval(
            "INSERT INTO expert_reviews (review_type, reviewer_id, approval_status, valid_until) "
            "VALUES ('ad_hoc_validation', 'x', 'approved', $1) RETURNING review_id",
            today - timedelta(days=1),
        )
        for _ in range(2)
    ]
    async with connected(own.owner_url) as watching:
        async with sql.transaction():
            await sql.execute("UPDATE expert_reviews SET valid_until = $2 WHERE review_id = $1", key, today)
            sweep = asyncio.create_task(change(client, "expireOverdueReviews"))
            async with asyncio.timeout(30):
                while not await waiting_backends(watching):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        result = await sweep
    assert [node["id"] for node in result["nodes"]] == [f"ExpertReview:{other}"]
    assert await sql.fetchval("SELECT approval_status FROM expert_reviews WHERE review_id = $1", key) == "approved"


# -- compositions and studies ----------------------------------------------------------------------------------------


@pytest.mark.migrated("the platform's trigger measures, see test_own_platform.py")
async def test_the_end_of_a_step_is_a_measurement_of_its_tool(client: Client, sql: asyncpg.Connection) -> None:
    tool = await sql.fetchval(
        "INSERT INTO tool_registry (name, description, category, source_agent) VALUES ($1, 'd', 'CAUSAL', 'x') "
        "RETURNING tool_id",
        uuid.uuid4().hex,
    )
    episode = await sql.fetchval(
        "INSERT INTO composer_episodes (composition_id, query_text, total_latency_ms) VALUES ('c', "
        "'q', 0) RETURNING episode_id"
    )
    for number, (to, more) in enumerate(
        [("COMPLETED", {"latencyMs": 100.0}), ("FAILED", {"latencyMs": 300.0, "errorMessage": "no"}), ("TIMEOUT", {})]
    ):
        key = await sql.fetchval(
            "INSERT INTO composition_steps (episode_id, step_number, step_name, tool_id, tool_name) "
            "VALUES ($1, $2, 's', $3, 't') RETURNING step_id",
            episode,
            number,
            tool,
        )
        step = f"CompositionStep:{key}"
        assert (await change(client, "moveStep", id=step, to="EXECUTING"))["__typename"] == "TransitionApplied"
        asked = previewed if more else change  # without a latency it is the time between two runs
        result = await asked(client, "moveStep", id=step, to=to, **more)
        assert f"Tool:{tool}" in {node["id"] for node in result["alsoChanged"]}
    rows = await sql.fetch("SELECT * FROM tool_performance WHERE tool_id = $1 ORDER BY executed_at", tool)
    assert [(row["success"], row["error_type"], row["composition_id"]) for row in rows] == [
        (True, None, "c"), (False, "failed", "c"), (False, "timeout", "c"),
    ]  # fmt: skip
    assert [row["latency_ms"] for row in rows[:2]] == [100.0, 300.0]
    figures = await sql.fetchrow("SELECT avg_latency_ms, success_rate FROM tool_registry WHERE tool_id = $1", tool)
    assert figures["success_rate"] == pytest.approx(1 / 3)
    assert figures["avg_latency_ms"] == pytest.approx(sum(row["latency_ms"] for row in rows) / 3)


@pytest.mark.parametrize(("direction", "best"), [("maximize", 1), ("minimize", 0), (None, 1)])
async def test_the_best_trial_follows(
    client: Client, sql: asyncpg.Connection, direction: str | None, best: int
) -> None:
    study = await sql.fetchval(
        "INSERT INTO ml_hpo_studies (study_name, algorithm_name, problem_type, metric, direction) "
        "VALUES ($1, 'a', 'regression', 'm', $2) RETURNING id",
        uuid.uuid4().hex,
        direction,
    )
    for number, (to, value) in enumerate(
        [("COMPLETE", 0.2), ("COMPLETE", 0.9), ("COMPLETE", 0.9), ("PRUNED", 5.0), ("FAIL", None)]
    ):
        key = await sql.fetchval(
            "INSERT INTO ml_hpo_trials (study_id, trial_number, state, params) VALUES ($1, $2, "
            "'RUNNING', $3) RETURNING id",
            study,
            number,
            json.dumps({"n": number}),
        )
        given = {} if value is None else {"value": value}
        result = await previewed(client, "moveTrial", id=f"HpoTrial:{key}", to=to, **given)
        assert [node["id"] for node in result["alsoChanged"]] == [f"HpoStudy:{study}"]
    row = await sql.fetchrow("SELECT * FROM ml_hpo_studies WHERE id = $1", study)
    assert [row[name] for name in ("n_trials", "n_completed", "n_pruned", "n_failed")] == [5, 3, 1, 1]
    assert row["best_trial_number"] == best
    assert (float(row["best_value"]), json.loads(row["best_params"])) == ([0.2, 0.9][best], {"n": best})


@pytest.mark.migrated("a trigger of ours keeps criteria as they are, and the platform has none")
async def test_a_locked_cohort_keeps_its_criteria(client: Client, sql: asyncpg.Connection) -> None:
    key = uuid.uuid4().hex
    await sql.execute(
        "INSERT INTO ml_cohort_definitions (cohort_id, brand, indication, cohort_name, version, inclusion_criteria, "
        "exclusion_criteria, status) VALUES ($1, 'b', $1, 'n', '1', '[]', '[]', 'active')",
        key,
    )
    await change(client, "moveCohortDefinition", id=f"CohortDefinition:{key}", to="LOCKED")
    for assignment in ("inclusion_criteria = '[1]'", "lookback_days = 1", "version = '2'", "status = 'active'"):
        with pytest.raises(asyncpg.RaiseError, match="is locked"):
            await sql.execute(f"UPDATE ml_cohort_definitions SET {assignment} WHERE cohort_id = $1", key)
    await sql.execute("UPDATE ml_cohort_definitions SET eligible_population = 7 WHERE cohort_id = $1", key)
    archived = await change(client, "moveCohortDefinition", id=f"CohortDefinition:{key}", to="ARCHIVED")
    assert archived["__typename"] == "TransitionApplied"


# -- trials and feedback ---------------------------------------------------------------------------------------------


async def test_a_withdrawal_keeps_its_reason(client: Client, sql: asyncpg.Connection) -> None:
    key = await sql.fetchval(
        "UPDATE ab_experiment_enrollments SET enrollment_status = 'active' WHERE id = "
        "(SELECT id FROM ab_experiment_enrollments LIMIT 1) RETURNING id"
    )
    await previewed(client, "withdrawEnrollment", id=str(key), reason="moved away", withdrawalInitiatedBy="SUBJECT")
    row = await sql.fetchrow("SELECT * FROM ab_experiment_enrollments WHERE id = $1", key)
    assert (row["withdrawal_reason"], row["withdrawal_initiated_by"]) == ("moved away", "subject")
    assert row["withdrawal_timestamp"] is not None


async def test_the_cause_of_a_mismatch(client: Client, sql: asyncpg.Connection) -> None:
    rows = await sql.fetch("SELECT DISTINCT ON (is_srm_detected) id, is_srm_detected FROM ab_srm_checks")
    by_finding = {row["is_srm_detected"]: str(row["id"]) for row in rows}
    refused = await change(client, "recordSrmRootCause", id=by_finding[False], rootCause="bot_traffic")
    assert [b["code"] for b in refused["blockers"]] == ["NO_MISMATCH"]
    key = uuid.UUID(by_finding[True])
    await sql.execute("UPDATE ab_srm_checks SET root_cause = NULL, resolved_at = NULL WHERE id = $1", key)
    first = await previewed(client, "recordSrmRootCause", id=str(key), rootCause="unknown")
    assert (first["event"]["fromState"], first["event"]["toState"]) == (None, "unknown")
    assert await sql.fetchval("SELECT resolved_at FROM ab_srm_checks WHERE id = $1", key) is None
    second = await change(
        client, "recordSrmRootCause", id=str(key), rootCause="bot_traffic", resolutionAction="filtered"
    )
    assert (second["event"]["fromState"], second["event"]["toState"]) == ("unknown", "bot_traffic")
    row = await sql.fetchrow("SELECT * FROM ab_srm_checks WHERE id = $1", key)
    assert (row["root_cause"], row["resolution_action"], row["resolved_by"]) == ("bot_traffic", "filtered", "anonymous")


async def test_feedback_is_given_once(client: Client, sql: asyncpg.Connection) -> None:
    classification = await sql.fetchval(
        "UPDATE classification_logs SET was_correct = NULL WHERE classification_id = "
        "(SELECT classification_id FROM classification_logs LIMIT 1) RETURNING classification_id"
    )
    ask: dict[str, Any] = {"id": str(classification), "correctPattern": "TOOL_COMPOSER"}
    wrong = await change(client, "recordClassificationFeedback", **ask, to="CORRECT")
    assert wrong["field"] == "correctPattern"
    await previewed(client, "recordClassificationFeedback", **ask, to="INCORRECT", feedbackNotes="two parts")
    row = await sql.fetchrow("SELECT * FROM classification_logs WHERE classification_id = $1", classification)
    assert (row["was_correct"], row["correct_pattern"], row["feedback_notes"]) == (False, "TOOL_COMPOSER", "two parts")
    again = await change(client, "recordClassificationFeedback", id=str(classification), to="CORRECT")
    assert (again["__typename"], again["allowed"]) == ("IllegalTransition", [])


async def test_a_stop_is_final(client: Client, sql: asyncpg.Connection) -> None:
    key = await sql.fetchval(
        "UPDATE ab_interim_analyses SET decision = 'continue' WHERE id = (SELECT id FROM "
        "ab_interim_analyses LIMIT 1) RETURNING id"
    )
    await change(client, "recordInterimDecision", id=str(key), to="CONTINUE", reason="as planned")
    await previewed(
        client, "recordInterimDecision", id=str(key), to="MODIFY_SAMPLE", reason="wider", targetSampleSize=900
    )
    await change(client, "recordInterimDecision", id=str(key), to="STOP_SAFETY", reason="adverse events")
    row = await sql.fetchrow("SELECT * FROM ab_interim_analyses WHERE id = $1", key)
    assert (row["decision"], row["decision_rationale"], row["approved_by"], row["target_sample_size"]) == (
        "stop_safety", "adverse events", "anonymous", 900,
    )  # fmt: skip
    refused = await change(client, "recordInterimDecision", id=str(key), to="CONTINUE", reason="please")
    assert refused["allowed"] == []


async def test_a_deviation_is_added_to_a_list_alone(client: Client, sql: asyncpg.Connection) -> None:
    enrollment = str(await sql.fetchval("SELECT id FROM ab_experiment_enrollments ORDER BY id LIMIT 1"))
    await sql.execute("UPDATE ab_experiment_enrollments SET protocol_deviations = '{}' WHERE id::text = $1", enrollment)
    result = await change(client, "recordProtocolDeviation", id=enrollment, deviation={"visit": 1})
    assert [b["code"] for b in result["blockers"]] == ["NOT_A_LIST"]


async def test_counters_count_every_report(client: Client, sql: asyncpg.Connection) -> None:
    """Several at once are all there: the row is locked before it is read."""
    enrollment = str(await sql.fetchval("SELECT id FROM ab_experiment_enrollments ORDER BY id LIMIT 1"))
    await sql.execute("UPDATE ab_experiment_enrollments SET protocol_deviations = NULL WHERE id::text = $1", enrollment)
    deviations = [{"visit": number} for number in range(4)]
    answers = await asyncio.gather(
        *(change(client, "recordProtocolDeviation", id=enrollment, deviation=one) for one in deviations)
    )
    assert {answer["event"]["toState"] for answer in answers} == {"1", "2", "3", "4"}
    stored = await sql.fetchval(
        "SELECT protocol_deviations FROM ab_experiment_enrollments WHERE id::text = $1", enrollment
    )
    assert sorted(one["visit"] for one in json.loads(stored)) == [0, 1, 2, 3]
    lesson = str(await sql.fetchval("SELECT knowledge_id FROM experiment_knowledge_store ORDER BY 1 LIMIT 1"))
    counted = "SELECT times_applied, success_rate FROM experiment_knowledge_store WHERE knowledge_id::text = $1"
    for known, after in (("1", 0.75), ("NULL", 0), ("'NaN'", 0)):
        await sql.execute(
            f"UPDATE experiment_knowledge_store SET times_applied = 3, success_rate = {known} "
            "WHERE knowledge_id::text = $1",
            lesson,
        )
        answer = await change(client, "recordKnowledgeApplication", id=lesson, succeeded=False)
        assert (answer["event"]["fromState"], answer["event"]["toState"]) == ("3", "4")
        assert tuple(await sql.fetchrow(counted, lesson)) == (4, after)


async def test_a_study_that_ends_knows_its_trials(client: Client, sql: asyncpg.Connection) -> None:
    """Its counts and best trial are those of its trials; without any it keeps what was said of it."""
    study = str(await add(sql, "ml_hpo_studies", direction="maximize", status="running", n_trials=7))
    answer = await change(client, "completeHpoStudy", id=study)
    assert answer["__typename"] == "TransitionApplied"
    counts = (
        "SELECT n_trials, n_completed, best_trial_number, completed_at IS NULL FROM ml_hpo_studies WHERE id::text = $1"
    )
    assert tuple(await sql.fetchrow(counts, study)) == (7, 0, None, False)
    for number, value in enumerate(("0.5", "0.75", "0.25")):
        await add(sql, "ml_hpo_trials", study_id=study, trial_number=number, state="COMPLETE", value=value)
    await sql.execute("UPDATE ml_hpo_studies SET status = 'running' WHERE id::text = $1", study)
    assert (await change(client, "completeHpoStudy", id=study))["__typename"] == "TransitionApplied"
    assert tuple(await sql.fetchrow(counts, study)) == (3, 3, 1, False)
