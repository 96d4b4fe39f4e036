"""The drill: many clients change the same few rows at once while backends are killed; nothing may be wrong after it.

Every client gives each change a key of its own and asks with it until it gets a typed answer, as a client in the field
would. What holds afterwards is asked of the database by SQL.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from tests.support.client import Client
from tests.support.databases import Database, connect

EXPERIMENTS = 3
MODELS = 4
ALERTS = 8
RESULT = "__typename ... on TransitionApplied { replayed node { id } events { changeId } } ... on Problem { code }"
MUTATIONS = [
    "setChampion", "swapChampion", "startDeployment", "moveDeployment", "rollbackDeployment", "moveService",
    "resolveAlert", "reopenAlert",
]  # fmt: skip


@dataclass
class Scene:
    """The rows that are fought over."""

    models: list[list[str]] = field(default_factory=list)
    deployments: list[list[str]] = field(default_factory=list)
    services: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)


@dataclass
class Score:
    """What the clients were answered."""

    answers: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    replays: int = 0
    acknowledged: dict[str, str] = field(default_factory=dict)
    """By key: the change that was acknowledged."""
    taken: list[float] = field(default_factory=list)
    kills: int = 0


async def prepare(sql: asyncpg.Connection) -> Scene:
    """Experiments with a champion each and its rivals, chains of deployments, and alerts."""
    scene = Scene()
    for _ in range(EXPERIMENTS):
        experiment = await sql.fetchval(
            "INSERT INTO ml_experiments (experiment_name, prediction_target) VALUES ('drill', 'x') RETURNING id"
        )
        models, deployments, previous = [], [], None
        for place in range(MODELS):
            model = await sql.fetchval(
                "INSERT INTO ml_model_registry (experiment_id, model_name, model_version, algorithm, stage, "
                "is_champion) VALUES ($1, $2, '1', 'a', 'production', $3) RETURNING id",
                experiment,
                f"drill-{uuid.uuid4()}",
                place == 0,
            )
            previous = await sql.fetchval(
                "INSERT INTO ml_deployments (model_registry_id, deployment_name, environment, status, "
                "previous_deployment_id) VALUES ($1, 'd', 'production', $2::text::deployment_status_enum, $3) "
                "RETURNING id",
                model,
                "active" if place == MODELS - 1 else "draining",
                previous,
            )
            service = await sql.fetchval(
                "INSERT INTO ml_bentoml_services (service_name, bento_tag, deployment_id, status) "
                "VALUES ('drill', 'drill:1', $1, 'deploying') RETURNING id",
                previous,
            )
            scene.services.append(f"BentoService:{service}")
            models.append(f"Model:{model}")
            deployments.append(f"Deployment:{previous}")
        scene.models.append(models)
        scene.deployments.append(deployments)
    for _ in range(ALERTS):
        alert = await sql.fetchval(
            "INSERT INTO ml_monitoring_alerts (alert_type, title, severity, message) "
            "VALUES ('error', 't', 'high', 'm') RETURNING id"
        )
        scene.alerts.append(f"MonitoringAlert:{alert}")
    return scene


def choose(scene: Scene, chance: random.Random) -> tuple[str, dict[str, Any]]:  # noqa: PLR0911 - a change a line
    """A change that somebody may want; many of them will be refused, and rightly."""
    models = chance.choice(scene.models)
    # the newest ones, since what was rolled back stays so
    deployments = chance.choice(scene.deployments)[-MODELS:]
    match chance.randrange(10):
        case 0 | 1:
            return "setChampion", {"id": chance.choice(models)}
        case 2:
            new, old = chance.sample(models, 2)
            return "swapChampion", {"id": new, "currentId": old}
        case 3:
            return "rollbackDeployment", {"id": chance.choice(deployments), "reason": "drill"}
        case 4:
            return "startDeployment", {"modelId": chance.choice(models), "environment": "production"}
        case 5 | 6:
            to = chance.choice(["DEPLOYING", "ACTIVE", "DRAINING"])
            return "moveDeployment", {"id": chance.choice(deployments), "to": to}
        case 7:
            to = chance.choice(["ACTIVE", "DRAINING"])
            return "moveService", {"id": chance.choice(scene.services), "to": to}
        case 8:
            return "resolveAlert", {"id": chance.choice(scene.alerts), "resolutionAction": "FIXED_DATA"}
        case _:
            return "reopenAlert", {"id": chance.choice(scene.alerts), "reason": "drill"}


async def fight(client: Client, scene: Scene, score: Score, until: float, seed: int) -> None:
    """One client: change after change until the time is over, each asked for until it is answered."""
    chance = random.Random(seed)
    while time.monotonic() < until:
        mutation, input_ = choose(scene, chance)
        key = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        made = await settle(client, score, mutation, input_ | {"idempotencyKey": key})
        if made and mutation == "startDeployment":
            place = next(n for n, models in enumerate(scene.models) if input_["modelId"] in models)
            scene.deployments[place].append(made)
        if chance.random() < 0.1:  # an answer that was lost on the way: the client asks again
            await settle(client, score, mutation, input_ | {"idempotencyKey": key})


async def settle(client: Client, score: Score, mutation: str, input_: dict[str, Any]) -> str | None:
    """Asks for a change with its key until the answer is a typed one; returns its row, where it was made."""
    query = f"mutation($i: {mutation[0].upper()}{mutation[1:]}Input!) {{ {mutation}(input: $i) {{ {RESULT} }} }}"
    started = time.perf_counter()
    while True:
        answer = await client.ask(query, i=input_)
        result = (answer.get("data") or {}).get(mutation)
        if result is not None and "errors" not in answer:
            break
        score.errors[answer["errors"][0]["extensions"]["code"]] += 1
        score.retries += 1
        await asyncio.sleep(0.01)
    score.taken.append(time.perf_counter() - started)
    score.answers[f"{mutation}: {result['__typename']}"] += 1
    if result["__typename"] != "TransitionApplied":
        return None
    score.replays += result["replayed"]
    (change,) = {event["changeId"] for event in result["events"]}
    before = score.acknowledged.setdefault(input_["idempotencyKey"], change)
    assert before == change, "one key, one change"
    made: str = result["node"]["id"]
    return made


async def kill(killer: asyncpg.Connection, score: Score, until: float, every: float) -> None:
    """Ends some of the gateway's backends, again and again."""
    while time.monotonic() < until:
        await asyncio.sleep(every)
        score.kills += await killer.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'e2i-gateway' "
            "AND datname = current_database() AND random() < 0.1"
        )


async def drill(client: Client, database: Database, *, clients: int, seconds: float, kill_every: float) -> Score:
    """Lets the clients loose for some seconds."""
    sql = await connect(database.admin_url)
    try:
        scene, score = await prepare(sql), Score()
        until = time.monotonic() + seconds
        await asyncio.gather(
            kill(sql, score, until, kill_every), *(fight(client, scene, score, until, seed) for seed in range(clients))
        )
        await hold(sql, score)
        return score
    finally:
        await sql.close()


WRONG = {
    "an experiment without exactly one champion": """
        SELECT m.experiment_id FROM ml_model_registry AS m JOIN ml_experiments AS e ON e.id = m.experiment_id
        WHERE e.experiment_name = 'drill' GROUP BY 1 HAVING count(*) FILTER (WHERE m.is_champion) <> 1
    """,
    "a history with a gap: an event that does not begin where the one before ended": """
        SELECT node_id, lifecycle, from_state, before FROM (
            SELECT node_id, lifecycle, from_state, lag(to_state) OVER (
                PARTITION BY node_id, lifecycle ORDER BY occurred_at
            ) AS before
            FROM gateway.lifecycle_events
            WHERE change_id = ANY ($1::uuid[])
        ) AS told
        WHERE before IS NOT NULL AND before <> from_state
    """,
    "a row that is not in the state of its last event": """
        SELECT last.node_id, last.lifecycle, last.to_state FROM (
            SELECT DISTINCT ON (node_id, lifecycle) node_id, lifecycle, to_state FROM gateway.lifecycle_events
            WHERE change_id = ANY ($1::uuid[]) ORDER BY node_id, lifecycle, occurred_at DESC
        ) AS last
        LEFT JOIN ml_model_registry AS m ON last.node_id = 'Model:' || m.id
        LEFT JOIN ml_deployments AS d ON last.node_id = 'Deployment:' || d.id
        LEFT JOIN ml_monitoring_alerts AS a ON last.node_id = 'MonitoringAlert:' || a.id
        LEFT JOIN ml_bentoml_services AS s ON last.node_id = 'BentoService:' || s.id
        WHERE last.to_state IS DISTINCT FROM CASE last.lifecycle
            WHEN 'champion' THEN CASE WHEN m.is_champion THEN 'CHAMPION' ELSE 'CONTENDER' END
            ELSE upper(coalesce(d.status::text, a.status::text, s.status::text)) END
    """,
    "an active service of a deployment that is not": """
        SELECT s.id FROM ml_bentoml_services AS s JOIN ml_deployments AS d ON d.id = s.deployment_id
        WHERE s.service_name = 'drill' AND s.status = 'active' AND d.status <> 'active'
    """,
    "a change with two events of one row in one lifecycle": """
        SELECT change_id, node_id FROM gateway.lifecycle_events WHERE change_id = ANY ($1::uuid[])
        GROUP BY change_id, node_id, lifecycle HAVING count(*) > 1
    """,
    "an alert that is resolved by nobody": """
        SELECT id FROM ml_monitoring_alerts WHERE title = 't' AND alert_type = 'error' AND message = 'm'
        AND (status = 'resolved') <> (resolved_by IS NOT NULL)
    """,
}
"""What must find no row; ``$1`` are the changes that were acknowledged."""


async def hold(sql: asyncpg.Connection, score: Score) -> None:
    """Asks the database what must hold after all that."""
    changes = list(score.acknowledged.values())
    assert len(set(changes)) == len(changes), "two keys were answered with the same change"
    for what, query in WRONG.items():
        rows = await sql.fetch(query, *([changes] if "$1" in query else []))
        assert rows == [], f"{what}: {[dict(row) for row in rows[:3]]}"
    recorded = await sql.fetch(
        "SELECT DISTINCT change_id::text FROM gateway.lifecycle_events WHERE mutation = ANY ($1)", MUTATIONS
    )
    assert {row[0] for row in recorded} == set(changes), "the record has what was acknowledged, and nothing else"
    keys = await sql.fetch("SELECT key, result FROM gateway.idempotency_keys")
    assert {row["key"] for row in keys} == set(score.acknowledged), "a key for each acknowledged change"
    assert all(row["result"] for row in keys)


def report(score: Score, seconds: float) -> str:
    """The figures, for people."""
    taken = sorted(score.taken)
    median, late = taken[len(taken) // 2], taken[len(taken) * 99 // 100]
    settled, applied = sum(score.answers.values()), len(score.acknowledged)
    return f"""{settled} changes settled in {seconds:g} s ({settled / seconds:.0f}/s), {applied} applied
{score.replays} asked for twice and replayed; {score.kills} backends killed; {score.retries} retries
time to a typed answer: median {median:.3f} s, p99 {late:.3f} s, longest {taken[-1]:.3f} s
errors on the way: {dict(score.errors)}
answers: {dict(sorted(score.answers.items()))}"""
