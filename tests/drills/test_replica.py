"""A hot standby by streaming replication: reads go there, and never behind what their caller has changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db.embedded.server import ADMIN_ROLE
from db.engine import transaction
from db.engine.log_positions import Changes
from db.engine.replica import Reads
from db.engine.servers import Primary, Standby
from tests.drills.fixtures import CHANGES, DATABASE, gateway
from tests.drills.load import SECONDS, Figures, Load, Socket, memory
from tests.drills.postgres import Postgres
from tests.support.changing import model_in
from tests.support.client import Client, serving
from tests.support.databases import connect
from tests.support.process import TIMEOUT, Gateway

pytestmark = pytest.mark.slow

STAGE = "query($id: ID!) { model(id: $id) { stage } }"
PROMOTE = (
    "mutation($i: PromoteModelInput!) { promoteModel(input: $i) { __typename ... on TransitionApplied { replayed } } }"
)


@pytest.fixture
async def sql(primary: Postgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(primary.url(CHANGES, ADMIN_ROLE))
    yield connection
    await connection.close()


@pytest.fixture
async def client(primary: Postgres, standby: Postgres) -> AsyncIterator[Client]:
    async with serving(primary.url(CHANGES), replica_url=standby.url(CHANGES)) as one:
        await until(lambda: reads_of(one).usable)
        yield one


def reads_of(client: Client) -> Reads:
    reads: Reads = client.app.state.reads
    return reads


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110 - what another task brings about, or another process
            await asyncio.sleep(0.01)


async def sent(client: Client, query: str, **variables: Any) -> tuple[str, dict[str, Any]]:
    """Where a read went, and its data."""
    before = reads_of(client).sent.copy()
    data = await client.data(query, **variables)
    ((where, _),) = (reads_of(client).sent - before).items()
    return where, data


async def test_reads_go_to_the_standby(client: Client, there: asyncpg.Connection) -> None:
    await client.data("{ models(first: 1) { nodes { id } } }")
    asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'e2i-gateway' AND query LIKE '%ml_model%'"
    assert await there.fetchval(asked) == 1
    assert set(reads_of(client).sent) == {"replica"}


async def test_a_caller_reads_what_it_has_changed(
    client: Client, sql: asyncpg.Connection, there: asyncpg.Connection
) -> None:
    model = await model_in(sql, "development")
    await there.execute("SELECT pg_wal_replay_pause()")
    answer = await client.ask(PROMOTE, i={"id": model, "to": "STAGING"})
    assert answer["data"]["promoteModel"]["__typename"] == "TransitionApplied"
    assert await there.fetchval("SELECT pg_last_wal_replay_lsn() < $1::text::pg_lsn", answer["extensions"]["position"])
    assert await sent(client, STAGE, id=model) == ("primary: own changes", {"model": {"stage": "STAGING"}})
    await there.execute("SELECT pg_wal_replay_resume()")
    reads = reads_of(client)
    await until(lambda: reads.reader(1, "anonymous")._engine is reads.standbys[0].engine)
    assert await sent(client, STAGE, id=model) == ("replica", {"model": {"stage": "STAGING"}})


async def test_a_position_is_read_after_elsewhere(
    client: Client, primary: Postgres, standby: Postgres, sql: asyncpg.Connection, there: asyncpg.Connection
) -> None:
    """Another gateway knows nothing of the change, but is told where it is."""
    model = await model_in(sql, "development")
    async with serving(primary.url(CHANGES), replica_url=standby.url(CHANGES)) as other:
        await until(lambda: reads_of(other).usable)
        where, _ = await sent(other, "{ __typename models(first: 1) { totalCount } }")
        assert where == "replica"
        await there.execute("SELECT pg_wal_replay_pause()")
        position = (await client.ask(PROMOTE, i={"id": model, "to": "STAGING"}))["extensions"]["position"]
        asked = {"query": STAGE, "variables": {"id": model}, "extensions": {"position": position}}
        assert (await other.http.post("/graphql", json=asked)).json()["data"] == {"model": {"stage": "STAGING"}}
        assert reads_of(other).sent["primary: position"] == 1
        wrong = await other.http.post("/graphql", json=asked | {"extensions": {"position": "soon"}})
        assert wrong.status_code == 400
        assert "0/16B3748" in wrong.json()["errors"][0]["message"]


async def test_what_was_changed_before_the_position_was_known_is_read(
    client: Client, sql: asyncpg.Connection, there: asyncpg.Connection
) -> None:
    """A change that was refused or given up may have been made: the next look at the primary tells how far to wait."""
    await there.execute("SELECT pg_wal_replay_pause()")
    answer = await client.ask(PROMOTE, i={"id": "Model:8f14e45f-ceea-467f-ab5f-000000000000", "to": "STAGING"})
    assert answer["data"]["promoteModel"]["__typename"] == "NotFound"
    assert "position" not in answer["extensions"]
    assert (await sent(client, "{ models(first: 1) { totalCount } }"))[0] == "primary: own changes"
    await there.execute("SELECT pg_wal_replay_resume()")
    reads = reads_of(client)
    await until(lambda: reads.reader(1, "anonymous")._engine is reads.standbys[0].engine)


async def test_a_standby_that_is_too_far_behind_is_left(
    primary: Postgres, standby: Postgres, sql: asyncpg.Connection, there: asyncpg.Connection, caplog: Any
) -> None:
    async with serving(primary.url(CHANGES), replica_url=standby.url(CHANGES), replica_lag=0.3) as client:
        reads = reads_of(client)
        await until(lambda: reads.usable)
        await there.execute("SELECT pg_wal_replay_pause()")
        model = await model_in(sql, "staging")
        await until(lambda: not reads.usable)
        assert await sent(client, STAGE, id=model) == ("primary: no replica", {"model": {"stage": "STAGING"}})
        await there.execute("SELECT pg_wal_replay_resume()")
        await until(lambda: reads.usable)
        assert await sent(client, STAGE, id=model) == ("replica", {"model": {"stage": "STAGING"}})
        assert caplog.text.count(": it is too far behind") == 1


async def test_rows_that_were_vacuumed_away_are_read_on_the_primary(
    primary: Postgres, standby: Postgres, sql: asyncpg.Connection
) -> None:
    """A statement that is cancelled on the standby, since it holds up the replay, is answered by the primary."""
    admin = await connect(standby.url(CHANGES, ADMIN_ROLE))
    await admin.execute("ALTER SYSTEM SET max_standby_streaming_delay = '50ms'")
    await admin.execute("SELECT pg_reload_conf()")
    await model_in(sql, "development")
    await sql.execute(
        "CREATE VIEW slow AS SELECT pg_sleep(1.5)::text || count(*)::text AS told FROM ml_model_registry;"
        "GRANT SELECT ON slow TO e2i_gateway"
    )
    try:
        async with serving(primary.url(CHANGES), replica_url=standby.url(CHANGES)) as client:
            reads = reads_of(client)
            await until(lambda: reads.usable)
            reader = reads.reader(4, "somebody")
            asking = asyncio.create_task(
                reader.fetch("SELECT told FROM slow, (SELECT id FROM ml_model_registry) AS m", ())
            )
            await asyncio.sleep(0.3)
            await sql.execute("UPDATE ml_model_registry SET algorithm = 'b'")
            await sql.execute("VACUUM ml_model_registry")
            await sql.execute("ALTER TABLE ml_model_registry ADD CONSTRAINT held CHECK (true)")
            assert await asking
            assert reads.sent["primary: replica failed"] == 1
    finally:
        await sql.execute("DROP VIEW slow; ALTER TABLE ml_model_registry DROP CONSTRAINT held")
        await admin.execute("ALTER SYSTEM RESET max_standby_streaming_delay")
        await admin.execute("SELECT pg_reload_conf()")
        await admin.close()


async def test_who_finds_it_gone_after_it_is_known_says_nothing_new(
    client: Client, standby: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """A statement may begin before and fail after the look that found the standby gone."""
    reader = reads_of(client).reader(1, "somebody")
    await asyncio.to_thread(standby.stop)
    try:
        await until(lambda: ": it cannot be reached" in caplog.text)
        assert tuple(await reader.fetch_one("SELECT pg_is_in_recovery()", ())) == (False,), "the primary is asked"
        assert "was lost" not in caplog.text
    finally:
        await asyncio.to_thread(standby.start)


@pytest.fixture
async def reading(primary: Postgres, standby: Postgres, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway in a process of its own, once it reads from the standby."""
    urls = {"DATABASE_URL": primary.url(DATABASE), "GATEWAY_REPLICA_URL": standby.url(DATABASE)}
    async with gateway(tmp_path, **urls) as one:
        async with asyncio.timeout(30):
            while not await asks(standby):
                await asyncio.to_thread(one.ask, "{ models(first: 1) { totalCount } }")
        yield one


async def test_the_standby_is_killed_and_comes_back(
    primary: Postgres, standby: Postgres, reading: Gateway, truth: Mapping[str, Any]
) -> None:
    """What was under way there is asked of the primary: nobody notices."""
    load = Load("hot standby for reads killed", reading.base, truth)
    async with load.running(reading.process.pid) as figures:
        await asyncio.sleep(SECONDS)
        await asyncio.to_thread(standby.kill)
        await asyncio.sleep(SECONDS)
        assert await asks(primary) > 0
        await asyncio.to_thread(standby.start)
        load.healed()
        async with asyncio.timeout(30):
            while not await asks(standby):  # noqa: ASYNC110 - another process's doing
                await asyncio.sleep(0.05)
        await load.well_again()
    told = [line["message"] for line in reading.log if "no reads go to the replica" in line["message"]]
    assert len(told) <= 3, "it is said once, and why"
    figures.hold()
    figures.record()
    assert not figures.refused


async def test_the_primary_is_killed_and_reads_go_on(
    primary: Postgres, reading: Gateway, truth: Mapping[str, Any]
) -> None:
    load = Load("primary killed, a hot standby for reads", reading.base, truth)
    async with load.running(reading.process.pid) as figures:
        await asyncio.sleep(SECONDS)
        await asyncio.to_thread(primary.kill)
        await asyncio.sleep(2 * SECONDS)
        await asyncio.to_thread(primary.start)
        load.healed()
        await load.well_again()
    figures.hold()
    figures.record()
    assert not figures.refused


async def test_who_changes_something_reads_it_whichever_worker_answers(
    primary: Postgres, standby: Postgres, sql: asyncpg.Connection, there: asyncpg.Connection, tmp_path: Path
) -> None:
    """The standby is a third of a second behind all the time, and each request may meet the other worker."""
    await there.execute("ALTER SYSTEM SET recovery_min_apply_delay = '300ms'")
    await there.execute("SELECT pg_reload_conf()")
    urls = {"DATABASE_URL": primary.url(CHANGES), "GATEWAY_REPLICA_URL": standby.url(CHANGES)}
    figures = Figures("read after one's own change, two workers, a standby 300 ms behind")
    try:
        async with gateway(tmp_path, GATEWAY_WORKERS="2", **urls) as one:
            until = time.monotonic() + 3 * SECONDS
            before = memory(one.process.pid)
            alerts = [await sql.fetchval(ALERT) for _ in range(4)]
            await asyncio.gather(*(toggle(one.base, f"MonitoringAlert:{each}", until, figures) for each in alerts))
            figures.memory = (before, memory(one.process.pid))
    finally:
        await there.execute("ALTER SYSTEM RESET recovery_min_apply_delay")
        await there.execute("SELECT pg_reload_conf()")
    figures.hold()
    figures.record()


ALERT = (
    "INSERT INTO ml_monitoring_alerts (alert_type, title, severity, message) VALUES ('error', 't', 'high', 'm') "
    "RETURNING id"
)


async def toggle(base: str, alert: str, until: float, figures: Figures) -> None:
    """Resolves and reopens an alert over and over, and reads after each change how it is."""
    resolve = f'resolveAlert(input: {{ id: "{alert}", resolutionAction: FIXED_DATA }})'
    reopen = f'reopenAlert(input: {{ id: "{alert}", reason: "drill" }})'
    while time.monotonic() < until:
        for change, expected in ((resolve, "RESOLVED"), (reopen, "ACTIVE")):
            made = await once(base, f"mutation {{ made: {change} {{ __typename }} }}")
            assert made["data"]["made"]["__typename"] == "TransitionApplied", made
            read = await once(base, f'{{ monitoringAlert(id: "{alert}") {{ status }} }}')
            figures.sent += 2
            if (read["data"]["monitoringAlert"] or {}).get("status") == expected:
                figures.right += 2
            else:
                figures.wrong.append(f"{read} is not {expected}")


async def once(base: str, query: str) -> Any:
    """An answer over a connection of its own, which any worker may take."""
    client = Socket(base)
    answer = await client.post({"query": query})
    client.close()
    return answer.json


async def asks(server: Postgres) -> int:
    """How many of a server's connections have answered a gateway's requests within the last 200 milliseconds."""
    connection = await connect(server.url(DATABASE, ADMIN_ROLE))
    try:
        found: int = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'e2i-gateway' "
            "AND query NOT LIKE '%pg_is_in_recovery%' AND query_start > now() - interval '200 milliseconds'"
        )
        return found
    finally:
        await connection.close()


def test_workers_tell_each_other_of_changes(tmp_path: Path) -> None:
    one, other = Changes(tmp_path, 0, 2), Changes(tmp_path, 1, 2)
    slot, elsewhere = Changes.slot("ada"), Changes.slot("grace")
    assert slot != elsewhere
    for changes in (one, other):
        changes.known(changes.take_unknown(), 100)
    one.made(slot, 200)
    assert [other.last(slot), other.last(elsewhere)] == [200, 100]
    other.made(slot, 150)
    assert one.last(slot) == 200, "the last one counts"
    taken = one.take_unknown()
    one.made(slot, None)  # after the primary was asked
    one.known(taken, 300)
    assert other.last(slot) > 300, "it may be behind what the primary said"
    one.known(one.take_unknown(), 400)
    assert other.last(slot) == 400


async def test_a_connection_that_is_lost_after_its_commit(
    client: Client, sql: asyncpg.Connection, there: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change was made, and is said to have been; only its position is not known."""
    model = await model_in(sql, "development")
    monkeypatch.setattr(transaction, "_POSITION", "SELECT pg_terminate_backend(pg_backend_pid())::int")
    answer = await client.ask(PROMOTE, i={"id": model, "to": "STAGING"})
    assert answer["data"]["promoteModel"] == {"__typename": "TransitionApplied", "replayed": False}
    assert "position" not in answer["extensions"]
    assert (await sent(client, STAGE, id=model))[1] == {"model": {"stage": "STAGING"}}


def test_nobody_falls_behind_a_primary_that_is_away() -> None:
    """What it has written meanwhile, nobody has: what is known of it is as old as the last look."""
    known = Primary()
    known.past.extend([(0.0, 10), (1.0, 50), (2.0, 100)])
    known.position = 100
    assert [known.seconds_since(replayed, 30.0) for replayed in (5, 60, 100)] == [None, 29.0, 0.0]
    known.position = None
    assert [known.seconds_since(replayed, 30.0) for replayed in (5, 60, 100)] == [None, 1.0, 0.0]


def test_a_server_that_is_restarted_often_is_one() -> None:
    """Each start is later than the one before; of several servers behind an address some began earlier."""
    begun = [datetime(2026, 11, 29, 12, minute, tzinfo=UTC) for minute in range(4)]
    one = Standby("db2")
    assert all(one.is_seen(start) for start in begun)
    several = Standby("standbys")
    assert [several.is_seen(begun[turn % 2]) for turn in range(4)] == [True, True, True, True]
    assert not several.is_seen(begun[0])
