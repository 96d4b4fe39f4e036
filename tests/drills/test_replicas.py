"""Several hot standbys: reads are shared among those near enough, whatever happens to one of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from db.embedded.server import ADMIN_ROLE
from db.engine.connector import Connector
from db.engine.errors import DatabaseUnavailableError
from db.engine.pool import limiter_of
from db.engine.replica import Reads
from db.engine.url import database_url, target_of
from gateway.database import engine_for, open_reads
from gateway.settings import Settings
from tests.drills.fixtures import CHANGES, Pair
from tests.drills.postgres import Postgres
from tests.drills.test_replica import PROMOTE, STAGE, reads_of, sent, until
from tests.support.changing import model_in, uuid_of
from tests.support.client import Client, serving
from tests.support.databases import connect, execute
from tests.support.proxy import Proxy, proxied

pytestmark = pytest.mark.slow

SILENT = 3.0
"""Seconds after which a server counts as silent, where a busy machine must not look like one."""
MODELS = "{ models(first: 1) { nodes { id } } }"


@pytest.fixture(scope="module")
async def second(primary: Postgres) -> AsyncIterator[Postgres]:
    """Another standby of the primary."""
    with await asyncio.to_thread(primary.standby) as server:
        yield server


@pytest.fixture
async def sql(primary: Postgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(primary.url(CHANGES, ADMIN_ROLE))
    yield connection
    await connection.close()


def both(one: str, other: str) -> str:
    return f"{one} {other}"


async def usable(client: Client) -> None:
    await until(lambda: all(standby.usable for standby in reads_of(client).standbys))


def by_name(reads: Reads) -> list[int]:
    return [standby.reads for standby in reads.standbys]


async def test_those_that_have_a_change_are_read_after_it(
    primary: Postgres, standby: Postgres, second: Postgres, sql: asyncpg.Connection, there: asyncpg.Connection
) -> None:
    """Both have their share; one that replays nothing is not read by who has changed something, and the other is."""
    async with serving(primary.url(CHANGES), replica_url=both(standby.url(CHANGES), second.url(CHANGES))) as client:
        await usable(client)
        reads = reads_of(client)
        await asyncio.gather(*(client.data(MODELS) for _ in range(20)))
        assert min(by_name(reads)) >= 5, by_name(reads)
        model = await model_in(sql, "development")
        await until(lambda: reads.standbys[1].replayed >= (reads._known.position or 0))
        await there.execute("SELECT pg_wal_replay_pause()")
        answer = await client.ask(PROMOTE, i={"id": model, "to": "STAGING"})
        assert answer["data"]["promoteModel"]["__typename"] == "TransitionApplied"
        before = by_name(reads)
        await until(lambda: reads.reader(1, "anonymous").engine is reads.standbys[1].engine)
        for _ in range(5):
            assert await sent(client, STAGE, id=model) == ("replica", {"model": {"stage": "STAGING"}})
        assert by_name(reads)[0] == before[0]


async def test_one_that_falls_silent_costs_no_error(
    primary: Postgres, standby: Postgres, second: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its network is gone with statements under way: they are answered all the same, and it has a share when it is
    back."""
    monkeypatch.setattr("db.engine.replica.TIMEOUT", SILENT)
    async with (
        proxied(second.url(CHANGES)) as (proxy, address),
        serving(primary.url(CHANGES), replica_url=both(standby.url(CHANGES), address)) as client,
    ):
        await usable(client)
        silent = reads_of(client).standbys[1]
        async with _reading(client):
            await until(lambda: silent.reads > 10)
            await until(lambda: limiter_of(silent.engine).taken)
            proxy.freeze()
            await until(lambda: silent.why == "cannot be reached")  # at first, perhaps, a read of it was lost
            proxy.thaw()
            await until(lambda: silent.usable)
            share = silent.reads
            await until(lambda: silent.reads > share + 10)
        assert reads_of(client).sent["primary: replica failed"] >= 1, "what was under way there"


@asynccontextmanager
async def _reading(client: Client) -> AsyncIterator[None]:
    """Eight who read and read meanwhile; whatever is not an answer fails the block."""
    reading = asyncio.create_task(_read_on(client))
    try:
        yield
    finally:
        reading.cancel()
        (ended,) = await asyncio.gather(reading, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError), ended


async def _read_on(client: Client) -> None:
    """Until an answer is none."""

    async def one() -> None:
        while True:
            answer = await client.ask(MODELS)
            assert "errors" not in answer, answer

    await asyncio.gather(*(one() for _ in range(8)))


class Balancer(Proxy):
    """One address that leads to several servers in turn."""

    def __init__(self, *servers: Postgres) -> None:
        super().__init__(servers[0].url(CHANGES))
        self._proxies = [Proxy(server.url(CHANGES)) for server in servers]
        self.met: Counter[int] = Counter()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        turn = self.met.total() % len(self._proxies)
        self.met[turn] += 1
        return await self._proxies[turn].connect()


async def test_an_address_of_several_servers_never_answers_what_is_older(
    primary: Postgres, standby: Postgres, second: Postgres, sql: asyncpg.Connection, there: asyncpg.Connection
) -> None:
    """One of them replays nothing, and the other one is looked at, or the other way round."""
    balancer = Balancer(standby, second)
    model = await model_in(sql, "development")
    async with proxied(standby.url(CHANGES), balancer) as (_, address):
        for _ in range(2):
            await there.execute("SELECT pg_wal_replay_resume()")
            async with serving(primary.url(CHANGES), replica_url=address, replica_lag=3600) as client:
                await until(lambda: reads_of(client).usable)
                await there.execute("SELECT pg_wal_replay_pause()")
                for to in ("STAGING", "SHADOW", "STAGING", "SHADOW"):
                    stage = await client.ask(PROMOTE, i={"id": model, "to": to})
                    after = {"position": stage["extensions"].get("position", "0/0")}
                    wanted = await sql.fetchval(
                        "SELECT upper(stage::text) FROM ml_model_registry WHERE id = $1", model.partition(":")[2]
                    )
                    asked = {"query": STAGE, "variables": {"id": model}, "extensions": after}
                    answers = await asyncio.gather(*(client.http.post("/graphql", json=asked) for _ in range(30)))
                    assert {answer.json()["data"]["model"]["stage"] for answer in answers} == {wanted}
    assert set(balancer.met) == {0, 1}, "both were met"


async def test_what_hangs_at_a_silent_primary_is_asked_of_a_standby(
    primary: Postgres, standby: Postgres, sql: asyncpg.Connection, there: asyncpg.Connection
) -> None:
    """A caller's read of its own change, as soon as the standby has that."""
    model = await model_in(sql, "development")
    async with (
        proxied(primary.url(CHANGES)) as (proxy, url),
        serving(url, replica_url=standby.url(CHANGES), statement_timeout=600, request_timeout=600) as client,
    ):
        await usable(client)
        await there.execute("SELECT pg_wal_replay_pause()")
        await client.ask(PROMOTE, i={"id": model, "to": "STAGING"})
        assert await sent(client, STAGE, id=model) == ("primary: own changes", {"model": {"stage": "STAGING"}})
        proxy.freeze()
        asking = [asyncio.create_task(client.data(STAGE, id=model)) for _ in range(3)]
        await until(lambda: reads_of(client).sent["primary: own changes"] == 4)
        await there.execute("SELECT pg_wal_replay_resume()")
        async with asyncio.timeout(30):
            assert await asyncio.gather(*asking) == [{"model": {"stage": "STAGING"}}] * 3
        assert reads_of(client).sent["replica: primary failed"] == 3


async def test_one_of_another_cluster_is_not_read(primary: Postgres, sql: asyncpg.Connection) -> None:
    """Nor one that was met before the primary's cluster was known, and whose log is longer than the primary's."""
    identifier = "EXECUTE ON FUNCTION pg_control_system()"
    with await asyncio.to_thread(Postgres.make) as other:
        maintenance = await connect(other.url("postgres", ADMIN_ROLE))
        await maintenance.execute("CREATE ROLE e2i_gateway LOGIN")
        await maintenance.execute(f"CREATE DATABASE {CHANGES}")
        ahead = await sql.fetchval("SELECT (pg_current_wal_flush_lsn() + 268435456)::text")
        while await maintenance.fetchval("SELECT pg_switch_wal() < $1::text::pg_lsn", ahead):
            await maintenance.execute("SELECT txid_current()")
        await maintenance.close()
        with await asyncio.to_thread(other.standby) as stranger:
            await sql.execute(f"REVOKE {identifier} FROM PUBLIC")
            try:
                async with serving(primary.url(CHANGES), replica_url=stranger.url(CHANGES)) as client:
                    alone = reads_of(client).standbys[0]
                    await until(lambda: alone.usable)
                    await sql.execute(f"GRANT {identifier} TO PUBLIC")
                    await until(lambda: alone.why == "is of another cluster than the primary")
                    assert (await sent(client, MODELS))[0] == "primary: no replica"
            finally:
                await sql.execute(f"GRANT {identifier} TO PUBLIC")
            async with serving(primary.url(CHANGES), replica_url=stranger.url(CHANGES)) as client:
                alone = reads_of(client).standbys[0]
                await until(lambda: alone.why == "is of another cluster than the primary")
                assert (await sent(client, MODELS))[0] == "primary: no replica"
                assert alone.reads == 0


async def test_a_copy_that_accepts_changes_is_not_read(primary: Postgres, sql: asyncpg.Connection) -> None:
    """It was cloned from the primary's disk, has its timeline and its mark, and changes of its own."""
    model = await model_in(sql, "development")
    with await asyncio.to_thread(primary.standby) as copy:
        await Pair(primary, copy).replayed(sql)
        await asyncio.to_thread(copy.detach)
        there = await connect(copy.url(CHANGES, ADMIN_ROLE))
        assert await there.fetchval("SELECT gateway.history()") == await sql.fetchval("SELECT gateway.history()")
        await there.execute("UPDATE ml_model_registry SET stage = 'archived' WHERE id = $1", uuid_of(model))
        async with serving(primary.url(CHANGES), replica_url=copy.url(CHANGES)) as client:
            await until(lambda: reads_of(client).standbys[0].why == "is no standby of the primary")
            assert await sent(client, STAGE, id=model) == ("primary: no replica", {"model": {"stage": "DEVELOPMENT"}})
            assert (await client.http.get("/readyz")).json()["replicas"] == "0 of 1 are read"
            assert (await client.http.get("/readyz?changes")).status_code == 200
        await there.close()


async def test_a_gateway_that_can_only_read_is_ready_for_reads(primary: Postgres, standby: Postgres) -> None:
    """A balancer keeps it; whoever balances changes asks with `?changes`."""

    async def ready(client: Client, path: str) -> tuple[int, str]:
        answer = await client.http.get(path)
        return answer.status_code, answer.json()["status"]

    async with serving(primary.url(CHANGES), replica_url=standby.url(CHANGES)) as client:
        await usable(client)
        assert [await ready(client, path) for path in ("/readyz", "/readyz?changes")] == [(200, "ok")] * 2
        await asyncio.to_thread(primary.stop)
        try:
            assert await ready(client, "/readyz") == (200, "reads only")
            assert await ready(client, "/readyz?changes") == (503, "unavailable")
            assert await ready(client, "/readyz?changes=false") == (200, "reads only")
            assert (await client.http.get("/readyz")).json()["replicas"] == "1 of 1 are read"
        finally:
            await asyncio.to_thread(primary.start)
    async with serving(standby.url(CHANGES)) as client:
        assert await ready(client, "/readyz") == (200, "reads only")
        assert await ready(client, "/readyz?changes") == (503, "unavailable")


@asynccontextmanager
async def silent_host() -> AsyncIterator[tuple[int, asyncio.Event]]:
    """The port of a host that accepts connections and says nothing, and whether somebody has come."""
    accepted = asyncio.Event()
    silent: list[asyncio.StreamWriter] = []

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.append(writer)
        accepted.set()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], accepted
    finally:
        for writer in silent:
            writer.close()
        server.close()


def primary_of(*ports: int) -> str:
    """The URL of whichever of these is the primary; a silent one is waited for in vain."""
    hosts = "&".join(f"host=127.0.0.1:{port}" for port in ports)
    return f"postgresql://e2i_gateway@/{CHANGES}?{hosts}&target_session_attrs=primary&connect_timeout=600"


async def test_a_silent_host_holds_up_the_next_one_but_shortly(primary: Postgres) -> None:
    """The second of two hosts is connected to while the first one has not answered."""
    async with silent_host() as (silent, accepted):
        async with serving(primary_of(silent, primary.port)) as client:
            assert await client.data("{ models(first: 1) { totalCount } }")
        assert accepted.is_set()


async def test_what_hangs_at_a_silent_primary_ends_when_another_one_is_promoted(pair: Pair) -> None:
    """Without replicas too: the primary is looked at wherever another host may take over."""
    async with proxied(pair.first.url(CHANGES)) as (proxy, through):
        folder = database_url(through).query["host"]
        hosts = f"host={folder}&port=5432&host=127.0.0.1&port={pair.second.port}&target_session_attrs=primary"
        settings, url = Settings(), database_url(f"postgresql://e2i_gateway@/{CHANGES}?{hosts}")
        primary = engine_for(settings, url, 1)
        reads = open_reads(settings, url, primary)
        try:
            await reads.reader(1, "anonymous").fetch("SELECT 1", ())
            proxy.freeze()
            hanging = asyncio.create_task(reads.reader(1, "anonymous").fetch("SELECT 1", ()))
            new = await pair.promote()
            async with asyncio.timeout(30):
                with pytest.raises(DatabaseUnavailableError):
                    await hanging
            assert await reads.reader(1, "anonymous").fetch("SELECT pg_is_in_recovery()", ()) == [(False,)]
            await new.close()
        finally:
            await reads.close()
            await primary.dispose()


@pytest.mark.parametrize("place", [0, 1])
async def test_a_standby_is_asked_again_while_another_host_is_silent(pair: Pair, place: int) -> None:
    """The primary fell silent; who began to connect before the standby was promoted need not begin again."""
    async with silent_host() as (silent, accepted):
        ports = [pair.second.port]
        ports.insert(place, silent)
        await execute(
            pair.second.url(CHANGES, ADMIN_ROLE), "ALTER SYSTEM SET log_connections = on", "SELECT pg_reload_conf()"
        )
        connecting = asyncio.create_task(Connector(target_of(database_url(primary_of(*ports))))())
        await accepted.wait()
        await until(lambda: pair.second.log.count("connection authorized: user=e2i_gateway") == 2)  # looked at, asked
        new = await pair.promote()
        async with asyncio.timeout(30):
            connection = await connecting
        assert not await connection.fetchval("SELECT pg_is_in_recovery()")
        connection.terminate()
        await new.close()
