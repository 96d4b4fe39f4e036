"""What became of a commit whose answer was lost, on servers that crash, wait, are promoted or wake up."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import pytest

from db.embedded.server import ADMIN_ROLE, GATEWAY_ROLE
from db.engine.connector import connector_of
from tests.drills.fixtures import CHANGES, Pair
from tests.drills.load import RETRYABLE
from tests.drills.postgres import Postgres
from tests.support.changing import change, events_of, model_in, state, uuid_of
from tests.support.client import Client, serving
from tests.support.databases import connect
from tests.support.proxy import Proxy, proxied

pytestmark = pytest.mark.slow

QUERY = (
    "mutation($i: PromoteModelInput!) { promoteModel(input: $i) { __typename ... on TransitionApplied { replayed } } }"
)
TOGETHER = """mutation($key: String!, $input: CreateExperimentInput!) @transaction(idempotencyKey: $key) {
    a: createExperiment(input: $input) { ...Made } b: createExperiment(input: $input) { ...Made }
    c: createExperiment(input: $input) { ...Made } } fragment Made on RecordResult { __typename }"""
KILLS = int(os.environ.get("DRILL_KILLS", "3"))
MINE = "application_name = 'e2i-gateway' AND datname = current_database()"


@pytest.fixture(autouse=True)
def timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.engine.commits.OUTCOME_SECONDS", 30.0)


@asynccontextmanager
async def through(server: Postgres) -> AsyncIterator[tuple[Proxy, Client, asyncpg.Connection]]:
    """A gateway with a proxy between it and a server, and the superuser there."""
    sql = await connect(server.url(CHANGES, ADMIN_ROLE))
    async with proxied(server.url(CHANGES)) as (proxy, url), serving(url) as client:
        yield proxy, client, sql
        await sql.close()


def code(answer: dict[str, Any]) -> str:
    (error,) = answer["errors"]
    extensions: dict[str, str] = error["extensions"]
    return extensions["code"]


async def until_there(sql: asyncpg.Connection, condition: str) -> None:
    """Waits until a connection of the gateway's fulfils a condition."""
    async with asyncio.timeout(30):
        while not await sql.fetchval(f"SELECT count(*) FROM pg_stat_activity WHERE {MINE} AND {condition}"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_number_that_a_crash_gave_to_another_transaction_tells_nothing(primary: Postgres) -> None:
    """The commit never arrives, the server is killed, and somebody else commits under the number of the change."""
    primary.stop()
    primary.start(wal_writer_delay="10s")  # what nobody waits for is not on disk when it is killed
    async with through(primary) as (proxy, client, sql):
        model = await model_in(sql, "development")
        asked = {"id": model, "to": "STAGING", "idempotencyKey": "crash"}
        proxy.hold, proxy.lose = asyncio.Event(), "before the commit"
        asking = asyncio.create_task(client.ask(QUERY, i=asked))
        await proxy.held.wait()
        number = int(await sql.fetchval(f"SELECT backend_xid::text FROM pg_stat_activity WHERE {MINE} "
                                        "AND backend_xid IS NOT NULL"))  # fmt: skip
        proxy.away = True
        await asyncio.to_thread(primary.kill)
        await asyncio.to_thread(primary.start, wal_writer_delay="200ms")
        after = await connect(primary.url(CHANGES, ADMIN_ROLE))
        first = int(await after.fetchval("SELECT pg_current_xact_id()::text"))
        assert first <= number, "the number was kept"
        while int(await after.fetchval("SELECT pg_current_xact_id()::text")) < number:
            pass
        assert await after.fetchval("SELECT pg_xact_status($1::text::xid8)", str(number)) == "committed"
        proxy.hold.set()
        proxy.hold, proxy.away = None, False
        answer = await asking
        assert code(answer) == "DATABASE_UNAVAILABLE", answer
        assert await state(after, model) == ("development", False)
        again = (await client.data(QUERY, i=asked))["promoteModel"]
        assert again == {"__typename": "TransitionApplied", "replayed": False}
        await after.close()


async def test_a_commit_that_is_on_the_way_is_not_made_after_it_was_said_not_to_be(primary: Postgres) -> None:
    """The server has not noticed that the client is gone: it is told to end the transaction, which lets its rows go."""
    async with through(primary) as (proxy, client, sql):
        model = await model_in(sql, "development")
        proxy.lose = "on the way"
        answer = await client.ask(QUERY, i={"id": model, "to": "STAGING"})
        assert code(answer) == "DATABASE_UNAVAILABLE"
        proxy.late.set()
        assert (await change(client, "promoteModel", id=model, to="STAGING"))["__typename"] == "TransitionApplied"
        assert await state(sql, model) == ("staging", False)
        assert len(await events_of(sql, model)) == 1


async def test_a_commit_that_waits_for_a_standby_is_not_known(
    primary: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on the disk of the primary alone, and a failover would lose it; who lets it go does not make it safe."""
    monkeypatch.setattr("db.engine.commits.OUTCOME_SECONDS", 3.0)
    async with through(primary) as (_, client, sql):
        await sql.execute("SET synchronous_commit = local")
        model = await model_in(sql, "development")
        await sql.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await sql.execute("SELECT pg_reload_conf()")
        try:
            asking = asyncio.create_task(client.ask(QUERY, i={"id": model, "to": "STAGING", "idempotencyKey": "wait"}))
            await until_there(sql, "wait_event = 'SyncRep'")
            await sql.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {MINE} "
                              "AND wait_event = 'SyncRep'")  # fmt: skip
            assert code(await asking) == "OUTCOME_UNKNOWN"
            assert await state(sql, model) == ("staging", False), "a snapshot shows it all the same"
        finally:
            await sql.execute("ALTER SYSTEM RESET synchronous_standby_names")
            await sql.execute("SELECT pg_reload_conf()")
        again = (await client.data(QUERY, i={"id": model, "to": "STAGING", "idempotencyKey": "wait"}))["promoteModel"]
        assert again["replayed"]


async def ends_at_commit(client: Client, sql: asyncpg.Connection, model: str, meanwhile: Any) -> dict[str, Any]:
    """The answer to a change that is committed, told to nobody, and what happens before anybody can ask for it."""
    await sql.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    await sql.execute("SELECT pg_reload_conf()")
    asking = asyncio.create_task(client.ask(QUERY, i={"id": model, "to": "STAGING"}))
    await until_there(sql, "wait_event = 'SyncRep'")
    await meanwhile()
    await sql.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {MINE}")
    answer = await asking
    await sql.execute("ALTER SYSTEM RESET synchronous_standby_names")
    await sql.execute("SELECT pg_reload_conf()")
    return answer


async def test_what_only_the_old_primary_has_was_not_made(pair: Pair) -> None:
    """A standby takes over without the change, and the old primary lives on beside it, first in the list of hosts."""
    sql = await connect(pair.first.url(CHANGES, ADMIN_ROLE))
    await sql.execute("SET synchronous_commit = local")
    model = await model_in(sql, "development")
    await pair.replayed(sql)
    await pair.cut()
    async with serving(pair.url) as client:
        promoted: list[asyncpg.Connection] = []

        async def promote() -> None:
            promoted.append(await pair.promote())

        answer = await ends_at_commit(client, sql, model, promote)
        assert code(answer) == "DATABASE_UNAVAILABLE", answer
        (new,) = promoted
        assert await state(sql, model) == ("staging", False), "the old primary has it"
        assert await state(new, model) == ("development", False), "the database does not"
        asked = f'{{ model(id: "{model}") {{ stage }} }}'
        assert (await client.data(asked))["model"]["stage"] == "DEVELOPMENT"
        assert (await change(client, "promoteModel", id=model, to="STAGING"))["__typename"] == "TransitionApplied"
        assert await state(new, model) == ("staging", False)
        await new.close()
    await sql.close()


async def test_an_old_primary_that_wakes_up_is_not_the_database(pair: Pair) -> None:
    """The gateway has seen the new one; the old one is first in the list, and then the only one."""
    sql = await connect(pair.first.url(CHANGES, ADMIN_ROLE))
    model = await model_in(sql, "development")
    await pair.replayed(sql)
    await sql.close()
    await asyncio.to_thread(pair.first.kill)
    new = await pair.promote()
    await new.execute("UPDATE ml_model_registry SET stage = 'shadow' WHERE id = $1", uuid_of(model))
    asked = f'{{ model(id: "{model}") {{ stage }} }}'
    async with serving(pair.url) as client:
        assert (await client.data(asked))["model"]["stage"] == "SHADOW"
        await asyncio.to_thread(pair.first.start)
        await new.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {MINE}")
        await asyncio.sleep(0.2)
        for _ in range(5):
            answer = await client.ask(asked)
            assert answer["data"]["model"] in ({"stage": "SHADOW"}, None)
        assert answer["data"]["model"] == {"stage": "SHADOW"}
        await new.close()
        await asyncio.to_thread(pair.second.kill)
        for query in (asked, f'mutation {{ promoteModel(input: {{id: "{model}", to: STAGING}}) {{ __typename }} }}'):
            for _ in range(3):
                assert code(await client.ask(query)) == "DATABASE_UNAVAILABLE"
        old = await connect(pair.first.url(CHANGES, ADMIN_ROLE))
        assert await state(old, model) == ("development", False)
        await old.close()


async def test_of_two_promotions_the_last_one_counts(pair: Pair) -> None:
    """The successor of the successor is the database, also when both former primaries wake up, first in the list."""
    sql = await connect(pair.first.url(CHANGES, ADMIN_ROLE))
    with await asyncio.to_thread(pair.second.standby) as third:
        servers = [pair.first, pair.second, third]
        hosts = "&".join(f"host=127.0.0.1:{server.port}" for server in servers)
        url = f"postgresql://{GATEWAY_ROLE}@/{CHANGES}?{hosts}&target_session_attrs=primary"
        next_ = Pair(pair.second, third)
        model = await model_in(sql, "development")
        await pair.replayed(sql)
        async with serving(url, pool_size=2) as client:
            timelines = connector_of(client.app.state.reads.primary).timelines
            for failovers, (now, to) in enumerate(((pair, "STAGING"), (next_, "SHADOW")), start=1):
                await now.replayed(sql)
                await sql.close()
                await asyncio.to_thread(now.first.kill)
                sql = await now.promote()
                async with asyncio.timeout(30):
                    while "errors" in (answer := await client.ask(QUERY, i={"id": model, "to": to})):
                        assert code(answer) == "DATABASE_UNAVAILABLE", answer
                assert answer["data"]["promoteModel"]["__typename"] == "TransitionApplied", answer
                assert timelines.failovers == failovers
            for server in servers[:2]:
                await asyncio.to_thread(server.start)
            await sql.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {MINE}")
            asked = f'{{ model(id: "{model}") {{ stage }} }}'
            async with asyncio.timeout(30):
                while "errors" in (answer := await client.ask(asked)):
                    assert code(answer) == "DATABASE_UNAVAILABLE", answer
            for _ in range(5):
                assert (await client.data(asked))["model"]["stage"] == "SHADOW"
            assert [len(await events_of(sql, model)), timelines.failovers] == [2, 2]
        await sql.close()


async def test_connections_to_an_old_primary_end_when_the_new_one_is_seen(pair: Pair) -> None:
    """Both are alive; the gateway came to the old one while there was no other."""
    sql = await connect(pair.first.url(CHANGES, ADMIN_ROLE))
    model = await model_in(sql, "development")
    await pair.replayed(sql)
    asked = f'{{ model(id: "{model}") {{ stage }} }}'
    async with serving(pair.url, pool_size=2) as client:
        assert (await client.data(asked))["model"]["stage"] == "DEVELOPMENT"
        new = await pair.promote()
        await new.execute("UPDATE ml_model_registry SET stage = 'shadow' WHERE id = $1", uuid_of(model))
        timelines = connector_of(client.app.state.reads.primary)
        await timelines.look({"user": "e2i_gateway", "database": CHANGES})
        for _ in range(4):
            assert (await client.data(asked))["model"]["stage"] == "SHADOW"
        await new.close()
    await sql.close()


async def test_a_transaction_is_whole_and_made_once_whenever_its_backend_is_killed(primary: Postgres) -> None:
    """SIGKILL to a backend, with which Postgres ends all others and recovers; two gateways are asked in turn."""
    dice, over, keys = random.Random(29), asyncio.Event(), list[str]()

    async def kill() -> None:
        for _ in range(KILLS):
            await asyncio.sleep(dice.uniform(0.02, 0.3))
            async with asyncio.timeout(30):
                while not await killed():  # noqa: ASYNC110 - nobody tells when one is busy
                    await asyncio.sleep(0.01)
        over.set()

    async def killed() -> bool:
        with suppress(OSError, asyncpg.PostgresError):
            sql = await connect(primary.url(CHANGES, ADMIN_ROLE))
            try:
                busy = f"SELECT pid FROM pg_stat_activity WHERE {MINE} AND backend_xid IS NOT NULL ORDER BY random()"
                if pid := await sql.fetchval(busy):
                    os.kill(pid, signal.SIGKILL)
                    return True
            finally:
                await sql.close()
        return False

    async def make(gateways: list[Client]) -> None:
        while not over.is_set():
            key = uuid.uuid4().hex
            keys.append(key)
            given = {"experimentName": key, "predictionTarget": "x"}
            async with asyncio.timeout(60):
                for place in range(10_000):
                    answer = await gateways[place % len(gateways)].ask(TOGETHER, key=key, input=given)
                    codes = {error["extensions"]["code"] for error in answer.get("errors", [])}
                    if not codes:
                        break
                    assert codes <= RETRYABLE, answer
                    await asyncio.sleep(0.02)
            assert [one["__typename"] for one in answer["data"].values()] == ["Recorded"] * 3, answer

    async with serving(primary.url(CHANGES)) as one, serving(primary.url(CHANGES)) as other:
        killing = asyncio.create_task(kill())
        await asyncio.gather(*(make([one, other]) for _ in range(4)))
        await killing
    sql = await connect(primary.url(CHANGES, ADMIN_ROLE))
    try:
        rows = await sql.fetch(
            "SELECT e.experiment_name AS name, count(DISTINCT e.id) AS made, count(v.node_id) AS told "
            "FROM ml_experiments AS e LEFT JOIN gateway.lifecycle_events AS v ON v.node_id = 'Experiment:' || e.id "
            "WHERE e.experiment_name = ANY ($1) GROUP BY 1",
            keys,
        )
        assert {row["name"]: (row["made"], row["told"]) for row in rows} == dict.fromkeys(keys, (3, 3))
    finally:
        await sql.close()
