"""Changes on a database that the platform made: its rows change and nothing else of it, and refusals are in words."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from db.attach.attach import attach
from tests.support.changing import change, deployed, events_of, model_in, rivals, state, uuid_of
from tests.support.client import Client, serving
from tests.support.databases import UNKNOWN_LABEL, Clone, Database, connect, execute
from tests.support.sockets import listening, peer

pytestmark = pytest.mark.slow

PLAIN = "{ experiments(first: 1) { nodes { id models(first: 1) { nodes { id lifecycle { state } } } } } }"
QUERY = "mutation($i: PromoteModelInput!) { promoteModel(input: $i) { __typename } }"


@pytest.fixture
async def bare(platform_template: Database, clone: Clone) -> AsyncIterator[Database]:
    """The platform's database, which nobody has attached to."""
    async with clone(platform_template) as copy:
        yield copy


@pytest.fixture
async def attached(bare: Database) -> Database:
    await attach(bare.admin_url)
    return bare


@pytest.fixture
async def client(attached: Database) -> AsyncIterator[Client]:
    async with serving(attached.gateway_url) as client:
        yield client


@pytest.fixture
async def sql(bare: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(bare.admin_url)
    yield connection
    await connection.close()


async def test_a_change_of_every_kind(client: Client, sql: asyncpg.Connection) -> None:
    """Moves, champions and new rows, although the platform's table lacks a column of the dictionary."""
    model = await model_in(sql, "development")
    for to in ("STAGING", "SHADOW"):
        assert (await change(client, "promoteModel", id=model, to=to))["node"]["stage"] == to
    preview = await change(client, "promoteModel", id=model, to="PRODUCTION", dryRun=True)
    assert [b["code"] for b in preview["blockers"]] == ["NO_SHADOW_EVIDENCE"]
    await change(client, "promoteModel", id=model, to="PRODUCTION", force=True, reason="attached")
    await change(client, "setChampion", id=model, idempotencyKey="c")
    assert (await change(client, "setChampion", id=model, idempotencyKey="c"))["replayed"] is True
    live = await deployed(sql, model, status="active")
    started = (await change(client, "startDeployment", modelId=model, environment="production"))["node"]["id"]
    for to in ("DEPLOYING", "ACTIVE"):
        await change(client, "moveDeployment", id=started, to=to)
    back = await change(client, "rollbackDeployment", id=started, reason="no good")
    assert [node["id"] for node in back["alsoChanged"]] == [live]
    assert len(await events_of(sql, model)) == 4
    found = await client.data(
        "query($id: ID!) { model(id: $id) { lifecycle { state history { totalCount nodes { toState forced } } } } }",
        id=model,
    )
    assert found["model"]["lifecycle"]["history"]["totalCount"] == 4


async def test_a_champion_beside_a_trigger_of_the_platforms_own(
    attached: Database, client: Client, sql: asyncpg.Connection
) -> None:
    """The platform may clear the others by itself, before each row; the gateway has done so already."""
    await sql.execute("""
        ALTER TABLE ml_model_registry DISABLE TRIGGER USER;
        CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE ml_model_registry SET is_champion = false
            WHERE experiment_id = NEW.experiment_id AND id <> NEW.id AND is_champion;
            RETURN NEW;
        END $$;
        CREATE TRIGGER theirs BEFORE UPDATE ON ml_model_registry
        FOR EACH ROW WHEN (NEW.is_champion AND NOT OLD.is_champion) EXECUTE FUNCTION theirs();
    """)
    old, new = await rivals(sql, "production", "production")
    assert (await change(client, "setChampion", id=new))["__typename"] == "TransitionApplied"
    assert (await state(sql, old))[1] is False
    assert (await state(sql, new))[1] is True


async def alert_on(sql: asyncpg.Connection, model: str) -> str:
    key = await sql.fetchval(
        "INSERT INTO ml_monitoring_alerts (alert_type, title, severity, message, model_id) "
        "VALUES ('drift', 't', 'high', 'm', $1) RETURNING id",
        uuid_of(model),
    )
    return f"MonitoringAlert:{key}"


async def test_a_column_that_wants_a_value_we_do_not_know(client: Client, sql: asyncpg.Connection) -> None:
    await sql.execute("ALTER TABLE ml_retraining_history ADD COLUMN tenant text")
    await sql.execute("UPDATE ml_retraining_history SET tenant = 'x'")
    await sql.execute("ALTER TABLE ml_retraining_history ALTER COLUMN tenant SET NOT NULL")
    alert = await alert_on(sql, await model_in(sql, "production"))
    before = await sql.fetchval("SELECT count(*) FROM ml_retraining_history")
    result = await change(client, "triggerRetraining", id=alert, idempotencyKey="k")
    assert result["__typename"] == "TransitionBlocked"
    (blocker,) = result["blockers"]
    assert blocker["code"] == "VALUE_MISSING"
    assert "requires a value in tenant of Retraining" in blocker["message"]
    assert await sql.fetchval("SELECT count(*) FROM ml_retraining_history") == before
    assert await events_of(sql, alert) == []
    assert await sql.fetchval("SELECT count(*) FROM gateway.idempotency_keys") == 0
    marked = "SELECT triggered_retraining FROM ml_monitoring_alerts WHERE id = $1"
    assert not await sql.fetchval(marked, uuid_of(alert))
    await sql.execute("ALTER TABLE ml_retraining_history ALTER COLUMN tenant SET DEFAULT 'y'")
    assert (await change(client, "triggerRetraining", id=alert, idempotencyKey="k"))[
        "__typename"
    ] == "TransitionApplied"


async def test_a_trigger_that_does_not_allow_it(client: Client, sql: asyncpg.Connection) -> None:
    await sql.execute("""
        CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'models are frozen until Monday'; END $$;
        CREATE CONSTRAINT TRIGGER theirs AFTER UPDATE ON ml_model_registry DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION theirs();
    """)
    model = await model_in(sql, "development")
    for dry in (True, False):
        result = await change(client, "promoteModel", id=model, to="STAGING", dryRun=dry)
        (blocker,) = result["blockers"]
        assert "models are frozen until Monday" in blocker["message"]
    assert await state(sql, model) == ("development", False)
    assert await events_of(sql, model) == []


async def test_a_label_that_nobody_knows_moves_nowhere(client: Client, sql: asyncpg.Connection) -> None:
    alert = await alert_on(sql, await model_in(sql, "production"))
    await sql.execute(f"UPDATE ml_monitoring_alerts SET status = '{UNKNOWN_LABEL[1]}' WHERE id = $1", uuid_of(alert))
    result = await change(client, "acknowledgeAlert", id=alert)
    assert (result["__typename"], result["from"], result["allowed"]) == ("IllegalTransition", UNKNOWN_LABEL[1], [])
    found = await client.data(
        "query($id: ID!) { monitoringAlert(id: $id) { lifecycle { state allowedTransitions { to } } } }", id=alert
    )
    assert found["monitoringAlert"]["lifecycle"] == {"state": UNKNOWN_LABEL[1], "allowedTransitions": []}


async def test_a_state_whose_column_is_missing(attached: Database, sql: asyncpg.Connection) -> None:
    await sql.execute("ALTER TABLE ml_retraining_history DROP COLUMN status")
    async with serving(attached.gateway_url) as client:
        answer = await client.ask("{ retrainings(first: 1) { nodes { id lifecycle { state } } } }")
        assert answer["data"]["retrainings"]["nodes"][0]["lifecycle"] is None
        assert answer["errors"][0]["extensions"]["code"] == "MISSING_IN_DATABASE"
        id_ = answer["data"]["retrainings"]["nodes"][0]["id"]
        error = await client.error(
            "mutation($i: MoveRetrainingInput!) { moveRetraining(input: $i) { __typename } }",
            i={"id": id_, "to": "TRAINING"},
        )
        assert error["code"] == "MISSING_IN_DATABASE"
        assert "ml_retraining_history.status" in error["message"]


BROKEN = {
    "nobody has attached": [],
    "the tables are gone": ["CREATE SCHEMA gateway", "GRANT USAGE ON SCHEMA gateway TO e2i_gateway"],
}


@pytest.mark.parametrize("statements", BROKEN.values(), ids=BROKEN)
async def test_without_the_gateways_tables_reads_go_on(
    bare: Database, sql: asyncpg.Connection, statements: list[str]
) -> None:
    await execute(bare.admin_url, *statements)
    model = await model_in(sql, "development")
    async with serving(bare.gateway_url) as client:
        for key in ({}, {"idempotencyKey": "k"}):
            error = await client.error(QUERY, i={"id": model, "to": "STAGING"} | key)
            assert error["code"] == "CHANGES_UNAVAILABLE"
            assert "`e2i-gateway db attach`" in error["message"]
        assert await client.data(PLAIN)
        assert await state(sql, model) == ("development", False)


@pytest.mark.parametrize(
    ("right", "named"),
    [
        ("INSERT ON gateway.lifecycle_events", "LifecycleEvent"),
        ("UPDATE ON ml_model_registry", "may not write Model."),
        ("INSERT ON gateway.idempotency_keys", "the gateway's own tables"),
    ],
)
async def test_without_the_right_to_write_reads_go_on(
    attached: Database, client: Client, sql: asyncpg.Connection, right: str, named: str
) -> None:
    await sql.execute(f"REVOKE {right} FROM e2i_gateway")
    model = await model_in(sql, "development")
    error = await client.error(QUERY, i={"id": model, "to": "STAGING", "idempotencyKey": "k"})
    assert error["code"] == "CHANGES_UNAVAILABLE"
    assert named in error["message"]
    assert "permission denied" not in error["message"]
    assert await client.data(PLAIN)
    assert await state(sql, model) == ("development", False)
    await sql.execute(f"GRANT {right} TO e2i_gateway")
    assert (await change(client, "promoteModel", id=model, to="STAGING"))["__typename"] == "TransitionApplied"


async def test_a_replica_changes_nothing(attached: Database, sql: asyncpg.Connection) -> None:
    """A server that only reads says so in the same words."""
    model = await model_in(sql, "development")
    await sql.execute(f"ALTER DATABASE {attached.name} SET default_transaction_read_only = on")
    async with serving(attached.gateway_url) as client:
        error = await client.error(QUERY, i={"id": model, "to": "STAGING"})
        assert error["code"] == "CHANGES_UNAVAILABLE"
        assert "read-only transaction" in error["message"]
        assert await client.data(PLAIN)


async def test_what_is_followed_on_a_database_of_the_platforms(attached: Database, sql: asyncpg.Connection) -> None:
    """Its alerts tell nobody: the gateway looks, at once after a change of its own, else from time to time."""
    query = "subscription($after: String) { alerts(after: $after) { cursor change alert { title status } } }"
    title = "INSERT INTO ml_monitoring_alerts (alert_type, title, message, severity) VALUES ('error', $1, 'm', 'high')"
    assert not await sql.fetchval("SELECT count(*) FROM pg_trigger WHERE tgname = 'tell_of_alerts'")
    async with listening(attached.gateway_url, live_poll=0.2) as gateway, peer(gateway) as one:
        stream = await one.followed(query)
        await sql.execute(title, "the platform's")
        told = await stream.next()
        assert (told["change"], told["alert"]) == ("RAISED", {"title": "the platform's", "status": "ACTIVE"})
    async with listening(attached.gateway_url, live_poll=600) as gateway, peer(gateway) as one:
        stream = await one.followed(query, after=stream.cursor)
        key = await sql.fetchval("SELECT id FROM ml_monitoring_alerts WHERE title = $1", "the platform's")
        await change(gateway.client, "acknowledgeAlert", id=str(key))
        told = await stream.next()
        assert (told["change"], told["alert"]["status"]) == ("CHANGED", "ACKNOWLEDGED")


async def test_nothing_is_followed_without_the_own_tables(bare: Database) -> None:
    async with listening(bare.gateway_url) as gateway, peer(gateway) as one:
        for field in ("lifecycleEvents", "alerts"):
            id_ = await one.subscribe(f"subscription {{ {field} {{ cursor }} }}")
            message = await one.hear()
            assert (message["id"], message["type"]) == (id_, "error")
            assert message["payload"][0]["extensions"]["code"] == "SUBSCRIPTIONS_UNAVAILABLE"
        id_ = await one.subscribe("{ models(first: 1) { nodes { id } } }")
        assert (await one.payload(id_))["data"]["models"]["nodes"]


async def test_alerts_need_rights_of_their_own(attached: Database, sql: asyncpg.Connection) -> None:
    await sql.execute("REVOKE INSERT ON gateway.alerts_seen FROM e2i_gateway")
    async with listening(attached.gateway_url) as gateway, peer(gateway) as one:
        await one.subscribe("subscription { alerts { cursor } }")
        assert (await one.hear())["payload"][0]["extensions"]["code"] == "SUBSCRIPTIONS_UNAVAILABLE"
        assert await one.followed("subscription { lifecycleEvents { cursor event { id } } }")
