"""A table that somebody has locked: it costs its own fields, is named, and leaves the other connections alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from db.engine.locks import KNOWN_SECONDS, LockWaits, lock_waits_of
from db.engine.readers import ShortReader
from tests.support.changing import change, model_in, uuid_of
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect, waiting_backends
from tests.support.executors import EXECUTORS

pytestmark = pytest.mark.slow

RUNS = "{ trainingRuns(first: 1) { nodes { id } } }"
OTHER = "{ experiments(first: 1) { nodes { id } } }"


@pytest.fixture(scope="module")
async def copy(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    async with clone(demo_template) as one:
        yield one


@pytest.fixture
async def holder(copy: Database) -> AsyncIterator[asyncpg.Connection]:
    """Somebody in a transaction that is open until the end of the test."""
    connection = await connect(copy.admin_url)
    async with connection.transaction():
        yield connection
    await connection.close()


@pytest.fixture(params=EXECUTORS)
async def client(request: pytest.FixtureRequest, copy: Database) -> AsyncIterator[Client]:
    """A gateway with four connections, one of which may wait for what is locked."""
    async with serving(copy.gateway_url, pool_size=4, lock_timeout=0.3, compiler=request.param) as one:
        yield one


async def test_the_locked_table_is_named(client: Client, holder: asyncpg.Connection) -> None:
    await holder.execute("LOCK TABLE ml_training_runs IN ACCESS EXCLUSIVE MODE")
    error = await client.error(RUNS)
    assert (error["code"], "the table ml_training_runs" in error["message"]) == ("LOCKED", True)
    assert await client.data(OTHER)


async def test_others_are_answered_while_many_wait(client: Client, holder: asyncpg.Connection) -> None:
    """A dozen clients never stop asking for the locked table; who asks for another one gets a connection in turn."""
    await holder.execute("LOCK TABLE ml_training_runs IN ACCESS EXCLUSIVE MODE")
    await client.error(RUNS)
    waits = lock_waits_of(client.app.state.reads.primary)
    most = 0
    done = asyncio.Event()

    async def insist() -> None:
        nonlocal most
        while not done.is_set():
            assert (await client.error(RUNS))["code"] == "LOCKED"
            most = max(most, waits._waiting)
            await asyncio.sleep(0.05)

    insisting = [asyncio.create_task(insist()) for _ in range(12)]
    for _ in range(8):
        assert await client.data(OTHER)
        backends = await holder.fetchval(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'ml_training_runs'::regclass"
        )
        most = max(most, backends)
    done.set()
    await asyncio.gather(*insisting)
    assert most == waits.share == 1


async def test_who_waits_for_a_connection_does_not_wait_for_the_lock_too(
    client: Client, holder: asyncpg.Connection
) -> None:
    """What is locked is known before the first one that waited in vain gives its connection to the next."""
    await holder.execute("LOCK TABLE ml_training_runs IN ACCESS EXCLUSIVE MODE")
    waits = lock_waits_of(client.app.state.reads.primary)
    errors = await asyncio.gather(*(client.error(RUNS) for _ in range(20)))
    assert {error["code"] for error in errors} == {"LOCKED"}
    assert all("ml_training_runs" in error["message"] for error in errors)
    assert waits.in_vain <= client.app.state.reads.primary.pool.size() + waits.share


WALK = '{ lineage(from: ["%s"], maxDepth: 1) { nodes { nodeId } } }'


@pytest.mark.parametrize("compiler", EXECUTORS)
@pytest.mark.parametrize("walks", [False, True], ids=["rows", "snapshots"])
async def test_a_burst_for_a_locked_table_leaves_connections_for_others(
    copy: Database, holder: asyncpg.Connection, *, compiler: bool, walks: bool
) -> None:
    """Nobody knows yet that it is locked, and those who wait for it would have every connection for a minute."""
    model = await model_in(holder, "development")
    query, half = (WALK % model, 15) if walks else (RUNS, 100)
    limits = {"pool_size": 4, "heavy_connections": 4, "lock_timeout": 60}
    async with serving(copy.gateway_url, compiler=compiler, **limits) as client:
        await holder.execute("COMMIT; BEGIN; LOCK TABLE ml_training_runs IN ACCESS EXCLUSIVE MODE")
        assert await client.data(OTHER)
        burst = [asyncio.create_task(client.ask(query)) for _ in range(half)]
        await asyncio.sleep(0)
        other = asyncio.create_task(client.data(OTHER))
        burst += [asyncio.create_task(client.ask(query)) for _ in range(half)]
        async with asyncio.timeout(30):
            assert await other
        assert any(not one.done() for one in burst), "a share of them may wait"
        await holder.execute("ROLLBACK; BEGIN")
        answers = await asyncio.gather(*burst)
        errors = [answer["errors"][0] for answer in answers if "errors" in answer]
        codes = {error["extensions"]["code"]: error["message"] for error in errors}
        assert {"LOCKED"} <= codes.keys() <= {"LOCKED", "OVERLOADED"}  # so many at once may be too many for a machine
        assert "ml_training_runs" in codes["LOCKED"]
        assert len(errors) < len(answers)
        assert await client.data(query), "and its connections are good"


async def test_a_look_that_found_a_locked_table_is_followed_by_another(
    copy: Database, holder: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who wait for a second locked table come to connections behind those of the first."""
    monkeypatch.setattr("db.engine.locks.LOOK_AGAIN_SECONDS", 3600)
    studies = RUNS.replace("trainingRuns", "hpoStudies")
    async with serving(copy.gateway_url, pool_size=4, lock_timeout=60) as client:
        assert await client.data(OTHER)
        await holder.execute("COMMIT; BEGIN; LOCK TABLE ml_training_runs, ml_hpo_studies IN ACCESS EXCLUSIVE MODE")
        burst = [asyncio.create_task(client.ask(RUNS)) for _ in range(4)]
        while await waiting_backends(holder) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        burst += [asyncio.create_task(client.ask(studies)) for _ in range(10)]
        await asyncio.sleep(0)
        other = asyncio.create_task(client.data(OTHER))
        async with asyncio.timeout(30):
            assert await other
        await holder.execute("ROLLBACK; BEGIN")
        await asyncio.gather(*burst)


async def test_who_holds_the_lock_up_is_not_ended(copy: Database, holder: asyncpg.Connection) -> None:
    """A long read is what a migration waits for; it waits for nothing itself, however many others wait behind it."""
    async with serving(copy.gateway_url, pool_size=2, lock_timeout=60) as client:
        reader = ShortReader(client.app.state.reads.primary)
        reading = asyncio.create_task(reader.fetch("SELECT count(*) FROM ml_training_runs, pg_sleep(2)", ()))
        async with asyncio.timeout(10):
            while not await holder.fetchval(_READ):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        migration = await connect(copy.admin_url)
        locking = asyncio.create_task(migration.execute("BEGIN; LOCK TABLE ml_training_runs; COMMIT"))
        burst = [asyncio.create_task(client.ask(RUNS)) for _ in range(20)]
        assert len(await reading) == 1
        await locking
        answers = await asyncio.gather(*burst)
        assert any("errors" not in answer for answer in answers)
        await migration.close()


_READ = "SELECT EXISTS (SELECT FROM pg_locks WHERE granted AND relation = 'ml_training_runs'::regclass)"


async def test_a_burst_of_changes_of_a_locked_table(copy: Database, holder: asyncpg.Connection) -> None:
    """Changes of others have a turn, though those of the locked table have a lock timeout of five minutes."""
    model = await model_in(holder, "development")
    alert = await holder.fetchval("SELECT id::text FROM ml_monitoring_alerts WHERE status = 'active' LIMIT 1")
    stuck = f'mutation {{ promoteModel(input: {{id: "{model}", to: STAGING}}) {{ __typename }} }}'
    free = f'mutation {{ acknowledgeAlert(input: {{id: "MonitoringAlert:{alert}"}}) {{ __typename }} }}'
    async with serving(copy.gateway_url, pool_size=4, lock_timeout=60) as client:
        await holder.execute("COMMIT; BEGIN; LOCK TABLE ml_model_registry IN ACCESS EXCLUSIVE MODE")
        burst = [asyncio.create_task(client.ask(stuck)) for _ in range(40)]
        while await waiting_backends(holder) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        other = asyncio.create_task(client.data(free))
        async with asyncio.timeout(20):
            assert (await other)["acknowledgeAlert"]["__typename"] == "TransitionApplied"
        assert any(not one.done() for one in burst), "a share of them may wait"
        await holder.execute("ROLLBACK; BEGIN")
        answers = await asyncio.gather(*burst)
        codes = [answer["errors"][0]["extensions"]["code"] for answer in answers if "errors" in answer]
        assert set(codes) == {"LOCKED"}
        assert len(codes) < len(answers)


_DEVELOPED = """
    SELECT DISTINCT ON (experiment_id) id::text FROM ml_model_registry WHERE stage = 'development' LIMIT 2
"""
"""Models of two experiments: those of one are changed in turn."""


async def test_a_burst_of_changes_of_a_locked_row(copy: Database, holder: asyncpg.Connection) -> None:
    """Somebody holds one row; changes of it have a lock timeout of five minutes, and those of others go on."""
    one, other = await holder.fetch(_DEVELOPED)
    await holder.execute("COMMIT; BEGIN")
    await holder.execute("SELECT FROM ml_model_registry WHERE id = $1::text::uuid FOR UPDATE", one["id"])
    stuck, free = (
        f'mutation {{ promoteModel(input: {{id: "Model:{row["id"]}", to: STAGING}}) {{ __typename }} }}'
        for row in (one, other)
    )
    async with serving(copy.gateway_url, pool_size=4, lock_timeout=60, turn_timeout=60) as client:
        burst = [asyncio.create_task(client.ask(stuck)) for _ in range(50)]
        while await waiting_backends(holder) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        async with asyncio.timeout(40):  # of 60, and of five minutes for each of them
            assert (await client.data(free))["promoteModel"]["__typename"] == "TransitionApplied"
        assert any(not one.done() for one in burst), "a share of them may wait"
        await holder.execute("ROLLBACK; BEGIN")
        answers = await asyncio.gather(*burst)
        codes = [answer["errors"][0]["extensions"]["code"] for answer in answers if "errors" in answer]
        assert set(codes) == {"LOCKED"}
        applied = [answer["data"]["promoteModel"]["__typename"] for answer in answers if "errors" not in answer]
        assert applied.count("TransitionApplied") == 1


_SLOWLY = """
    CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_sleep(0.4); RETURN NEW; END
    $$;
    CREATE TRIGGER slowly BEFORE UPDATE ON ml_model_registry FOR EACH ROW EXECUTE FUNCTION slowly()
"""


async def test_changes_of_a_row_in_turn_are_not_ended(copy: Database, holder: asyncpg.Connection) -> None:
    """Many wait for one row for longer than one may hold it, and nobody holds it for so long."""
    model = await model_in(holder, "development")
    await holder.execute("COMMIT")
    await holder.execute(_SLOWLY)
    preview = f'mutation {{ promoteModel(input: {{id: "{model}", to: STAGING, dryRun: true}}) {{ __typename }} }}'
    try:
        async with serving(copy.gateway_url, pool_size=8, lock_timeout=60, turn_timeout=60) as client:
            answers = await asyncio.gather(*(client.ask(preview) for _ in range(14)))
    finally:
        await holder.execute("DROP FUNCTION slowly CASCADE")
        await holder.execute("BEGIN")
    assert [answer["data"]["promoteModel"]["__typename"] for answer in answers] == ["TransitionPreview"] * 14


async def test_it_is_read_again_as_soon_as_it_can_be(client: Client, copy: Database) -> None:
    connection = await connect(copy.admin_url)
    async with connection.transaction():
        await connection.execute("LOCK TABLE ml_training_runs IN ACCESS EXCLUSIVE MODE")
        assert (await client.error(RUNS))["code"] == "LOCKED"
    await connection.close()
    assert await client.data(RUNS)
    assert not lock_waits_of(client.app.state.reads.primary).known


async def test_who_waits_ahead_for_a_table_locks_it_too(
    client: Client, holder: asyncpg.Connection, copy: Database
) -> None:
    """A migration that waits for a long report: nobody passes it."""
    await holder.execute("SELECT count(*) FROM ml_training_runs")
    migration = await connect(copy.admin_url)
    locking = asyncio.create_task(migration.execute("TRUNCATE ml_training_runs CASCADE"))
    async with asyncio.timeout(10):
        while not await waiting_backends(holder):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    error = await client.error(RUNS)
    assert (error["code"], "ml_training_runs" in error["message"]) == ("LOCKED", True)
    migration.terminate()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await locking


async def test_a_change_of_a_locked_table(copy: Database, holder: asyncpg.Connection) -> None:
    model = await model_in(holder, "development")
    await holder.execute("COMMIT; BEGIN; LOCK TABLE ml_model_registry IN SHARE MODE")
    async with serving(copy.gateway_url, lock_timeout=0.1) as client:
        query = f'mutation {{ promoteModel(input: {{id: "{model}", to: STAGING}}) {{ __typename }} }}'
        error = await client.error(query)
        assert (error["code"], "ml_model_registry" in error["message"]) == ("LOCKED", True)
        await holder.execute("ROLLBACK; BEGIN")
        await holder.execute("SELECT FROM ml_model_registry WHERE id = $1 FOR UPDATE", uuid_of(model))
        assert (await client.error(query))["code"] == "LOCKED"
        await holder.execute("ROLLBACK; BEGIN")
        assert (await change(client, "promoteModel", id=model, to="STAGING"))["__typename"] == "TransitionApplied"


STUCK = "... on IllegalTransition { node { ... on Model { deployments(first: 1) { nodes { id } } } } }"


@pytest.mark.parametrize("dry", ["true", "false"])
async def test_what_changes_nothing_locks_nothing_while_its_answer_is_read(
    copy: Database, holder: asyncpg.Connection, *, dry: str
) -> None:
    """A dry run, or a refusal, whose selection waits for a table: an operator's change of its row does not."""
    model = await model_in(holder, "development")
    await holder.execute("COMMIT; BEGIN; LOCK TABLE ml_deployments IN ACCESS EXCLUSIVE MODE")
    operator = await connect(copy.admin_url)
    async with serving(copy.gateway_url, lock_timeout=2.0) as client:
        preview = f'promoteModel(input: {{id: "{model}", to: STAGING, dryRun: true}}) {{ __typename }}'
        stuck = f'promoteModel(input: {{id: "{model}", to: PRODUCTION, dryRun: {dry}}}) {{ __typename {STUCK} }}'
        asking = asyncio.create_task(client.ask(f"mutation {{ preview: {preview} stuck: {stuck} }}"))
        async with asyncio.timeout(10):
            while not await operator.fetchval(_WAITING):
                assert not asking.done(), asking.result()
                await asyncio.sleep(0.01)
        await operator.fetch("SELECT FROM ml_model_registry WHERE id = $1 FOR UPDATE NOWAIT", uuid_of(model))
        assert await operator.fetchval(_WAITING), "the answer was there before"
        await holder.execute("ROLLBACK; BEGIN")
        found = {name: result["__typename"] for name, result in (await asking)["data"].items()}
        assert found == {"preview": "TransitionPreview", "stuck": "IllegalTransition"}
    await operator.close()


DEPLOYED = "... on Model { stage deployments(first: 1) { nodes { id } } }"
SLOW = f"... on TransitionApplied {{ event {{ toState }} node {{ {DEPLOYED} }} }}"


async def waited(operator: asyncpg.Connection, asking: asyncio.Task[Any]) -> None:
    """Until the answer waits for the table."""
    async with asyncio.timeout(20):
        while not await operator.fetchval(_WAITING):
            assert not asking.done(), asking.result()
            await asyncio.sleep(0.01)


async def test_a_slow_answer_keeps_nobody_from_the_rows_of_its_change(
    copy: Database, holder: asyncpg.Connection
) -> None:
    """It is committed, an operator changes the row, and the rest of the answer is read when that is possible."""
    model = await model_in(holder, "development")
    operator = await connect(copy.admin_url)
    async with serving(copy.gateway_url, lock_timeout=60, change_read_timeout=0.3) as client:
        await holder.execute("COMMIT; BEGIN; LOCK TABLE ml_deployments IN ACCESS EXCLUSIVE MODE")
        query = f'mutation {{ promoteModel(input: {{id: "{model}", to: STAGING}}) {{ __typename {SLOW} }} }}'
        asking = asyncio.create_task(client.ask(query))
        await waited(operator, asking)
        async with operator.transaction():
            await operator.execute("SET LOCAL lock_timeout = '20s'")
            seen = "SELECT stage::text FROM ml_model_registry WHERE id = $1 FOR UPDATE"
            assert await operator.fetchval(seen, uuid_of(model)) == "staging"
        assert not asking.done(), "the answer was there before"
        await holder.execute("ROLLBACK; BEGIN")
        answer = await asking
        assert answer["data"]["promoteModel"] == {
            "__typename": "TransitionApplied",
            "event": {"toState": "STAGING"},
            "node": {"stage": "STAGING", "deployments": {"nodes": []}},
        }
    await operator.close()


async def test_changes_have_their_turns_while_answers_are_slow(copy: Database, holder: asyncpg.Connection) -> None:
    """Of changes and of refusals alike; there are as many transactions at once as the pool has connections."""
    models = [await model_in(holder, "development") for _ in range(4)]
    alert = await holder.fetchval("SELECT id::text FROM ml_monitoring_alerts WHERE status = 'active' LIMIT 1")
    refused = f'mutation {{ promoteModel(input: {{id: "%s", to: PRODUCTION}}) {{ __typename {STUCK} }} }}'
    made = f'mutation {{ promoteModel(input: {{id: "%s", to: STAGING}}) {{ __typename {SLOW} }} }}'
    free = f'mutation {{ acknowledgeAlert(input: {{id: "MonitoringAlert:{alert}"}}) {{ __typename }} }}'
    async with serving(copy.gateway_url, pool_size=2, lock_timeout=60, change_read_timeout=0.2) as client:
        await holder.execute("COMMIT; BEGIN; LOCK TABLE ml_deployments IN ACCESS EXCLUSIVE MODE")
        asked = [made % models[0], made % models[1], refused % models[2], refused % models[3]]
        asking = [asyncio.create_task(client.ask(query)) for query in asked]
        await waited(holder, asking[0])
        async with asyncio.timeout(30):
            assert (await client.data(free))["acknowledgeAlert"]["__typename"] == "TransitionApplied"
        await holder.execute("ROLLBACK; BEGIN")
        await asyncio.gather(*asking)


async def test_a_change_without_an_answer_says_that_it_was_made(copy: Database, holder: asyncpg.Connection) -> None:
    """What was committed before its answer failed as a whole is never taken for undone, and never made again."""
    model = await model_in(holder, "development")
    await holder.execute("COMMIT; BEGIN; LOCK TABLE ml_deployments IN ACCESS EXCLUSIVE MODE")
    async with serving(copy.gateway_url, lock_timeout=0.5, change_read_timeout=0.1) as client:
        query = f'mutation {{ promoteModel(input: {{id: "{model}", to: STAGING}}) {{ __typename {SLOW} }} }}'
        answer = await client.ask(query)
        assert answer["data"] == {"promoteModel": None}
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"LOCKED", "ANSWER_UNREAD"}
        events = "SELECT count(*) FROM gateway.lifecycle_events WHERE node_id = $1"
        assert await holder.fetchval(events, model) == 1
        stage = "SELECT stage::text FROM ml_model_registry WHERE id = $1"
        assert await holder.fetchval(stage, uuid_of(model)) == "staging"


_WAITING = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'ml_deployments'::regclass)"


def test_statements_are_limited_for_a_while_after_a_lock_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("db.engine.locks.time.monotonic", lambda: now)
    waits = LockWaits(4, writes=False)
    assert waits.share == 1
    waits.suspect("key")

    def both_run() -> bool:
        with waits.turn("SELECT 1", "key") as one, waits.turn("SELECT 1", "key") as other:
            assert one is None
            return other is None

    assert not both_run()
    waits.suspect("key")
    now += KNOWN_SECONDS
    assert both_run()
