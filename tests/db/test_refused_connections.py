"""A server that answers, and opens no further connection: on a full disk, for example."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.engine import create_engine
from db.engine.errors import DatabaseUnavailableError, NoNewConnectionError, translated
from db.engine.pool import limiter_of
from db.engine.readers import ShortReader, snapshot
from db.engine.transaction import Transactions
from db.engine.turns import BorrowedConnection
from db.engine.url import database_url
from gateway.observability.gauges import in_use
from tests.support.client import serving
from tests.support.databases import Database, execute
from tests.support.proxy import Proxy, proxied, refuse

pytestmark = pytest.mark.slow

NO_INIT_FILE = ("XX000", "could not write init file: No space left on device")
ROWS = "{ a: models(first: 1) { nodes { id } } b: experiments(first: 1) { totalCount nodes { id } } }"
COUNT = "{ models(first: 0) { totalCount } }"
CHANGE = (
    'mutation { promoteModel(input: {id: "Model:a6b1e2c4-0000-4000-8000-000000000001", to: STAGING}) { __typename } }'
)


@pytest.mark.parametrize(
    "state",
    [
        "XX000",
        "XX001",
        "58P01",
        "58030",
        "F0000",
        "22023",
        "25P03",
        "28P01",
        "3D000",
        "40001",
        "42501",
        "42704",
        "53100",
        "53200",
        "53300",
        "55000",
        "57014",
        "57P03",
        "P0001",
        "0A000",
    ],
)
async def test_whatever_a_server_answers_to_a_new_connection(state: str) -> None:
    server = await asyncio.start_server(partial(refuse, state=state, words="odd"), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with serving(f"postgresql://u:p@127.0.0.1:{port}/d") as client:
            for query in (ROWS, CHANGE, COUNT):
                response = await client.post(query)
                assert response.status_code == 503
                assert {error["extensions"]["code"] for error in response.json()["errors"]} == {"DATABASE_UNAVAILABLE"}
            assert (await client.http.get("/readyz")).status_code == 503
    finally:
        server.close()


@asynccontextmanager
async def refusing(database: Database, size: int = 3) -> AsyncIterator[tuple[Proxy, AsyncEngine]]:
    """An engine with one open connection, whose server opens no others as long as the proxy has a refusal."""
    async with proxied(database.gateway_url) as (proxy, url):
        engine = create_engine(database_url(url), read_only=False, pool_size=size, connect_timeout=3.0)
        await ShortReader(engine).fetch_one("SELECT 1", ())
        proxy.refusal = NO_INIT_FILE
        yield proxy, engine
        await engine.dispose()


async def borrowed(engine: AsyncEngine) -> BorrowedConnection:
    with translated():
        return await limiter_of(engine).borrow(engine)


async def in_a_snapshot(engine: AsyncEngine) -> int:
    async with snapshot(engine) as held:
        ((found,),) = await held.fetch("SELECT 1", ())
    return int(found)


async def in_a_transaction(engine: AsyncEngine) -> int:
    async with Transactions(engine, 10, 5.0).open() as one:
        ((found,),) = await one.run("SELECT 1")
    return int(found)


async def read(engine: AsyncEngine, how: int) -> int:
    reader = ShortReader(engine)
    match how % 5:
        case 0:
            (found,) = await reader.fetch_one("SELECT 1", ())
        case 1:
            ((found,),) = await reader.fetch("SELECT 1", ())
        case 2:
            ((found,),) = await reader.fetch("SELECT 1", (), {"work_mem": "1MB"})
        case 3:
            found = await in_a_snapshot(engine)
        case _:
            found = await in_a_transaction(engine)
    return int(found)


async def test_callers_wait_for_connections_that_are_open(database: Database) -> None:
    async with refusing(database) as (proxy, engine):
        assert await asyncio.gather(*(read(engine, how) for how in range(50))) == [1] * 50
        assert 0 < proxy.refused <= 3
        await asyncio.sleep(0.1)
        assert (limiter_of(engine).waiting, limiter_of(engine).taken, in_use(engine)) == (0, 0, 0)
        proxy.refusal = None
        limiter_of(engine)._refused_until = 0.0
        held = [await borrowed(engine) for _ in range(3)]
        for one in held:
            limiter_of(engine).give_back(one)


@pytest.mark.parametrize("how", range(5))
async def test_no_caller_waits_for_a_connection_that_has_ended(database: Database, how: int) -> None:
    """Where the last open one is closed instead of given back, callers are told at once."""
    async with refusing(database) as (_, engine):
        held = await borrowed(engine)
        waiting = [asyncio.create_task(read(engine, how)) for _ in range(4)]
        await asyncio.sleep(0.2)
        assert not any(one.done() for one in waiting)
        held.driver.terminate()
        limiter_of(engine).give_back(held)
        async with asyncio.timeout(1):
            failed = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(one) for one in failed] == [NoNewConnectionError] * 4
        assert limiter_of(engine).taken == 0


async def test_why_no_connection_was_opened_is_told_after_the_wait(database: Database) -> None:
    async with refusing(database) as (proxy, engine):
        proxy.refusal = ("53100", "could not extend file")
        limiter = limiter_of(engine)
        limiter._timeout = 0.2
        held = await borrowed(engine)
        with pytest.raises(match="could not extend file"):
            await borrowed(engine)
        limiter.give_back(held)
        limiter.give_back(await borrowed(engine))


@pytest.mark.parametrize("state", ["57P03", "28P01"])
async def test_a_server_that_ends_and_a_refused_login_are_told_at_once(database: Database, state: str) -> None:
    async with refusing(database) as (proxy, engine):
        proxy.refusal = (state, "odd")
        held = await borrowed(engine)
        async with asyncio.timeout(1):
            with pytest.raises(DatabaseUnavailableError, match="odd"):
                await borrowed(engine)
        limiter_of(engine).give_back(held)


async def test_a_caller_that_leaves_while_it_waits_takes_no_turn(database: Database) -> None:
    async with refusing(database) as (_, engine):
        limiter = limiter_of(engine)
        held = await borrowed(engine)
        leaving, staying = asyncio.create_task(borrowed(engine)), asyncio.create_task(borrowed(engine))
        await asyncio.sleep(0.2)
        leaving.cancel()
        limiter.give_back(held)
        limiter.give_back(await staying)
        assert (limiter.taken, limiter.waiting, limiter._free) == (0, 0, 3)


async def test_another_host_is_tried(database: Database) -> None:
    server = await asyncio.start_server(partial(refuse, state="XX000", words="odd"), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = database_url(database.gateway_url)
    theirs = [str(url.query.get("host") or url.host), str(url.query.get("port") or url.port or 5432)]
    both = url.set(host=None, port=None, query={"host": ["127.0.0.1", theirs[0]], "port": [str(port), theirs[1]]})
    engine = create_engine(both, read_only=True)
    try:
        assert await ShortReader(engine).fetch_one("SELECT 1", ()) == (1,)
    finally:
        await engine.dispose()
        server.close()


async def test_reads_under_load_are_answered_by_the_connections_that_are_open(database: Database) -> None:
    async with proxied(database.gateway_url) as (proxy, url), serving(url) as client:
        await client.data(ROWS)
        proxy.refusal = NO_INIT_FILE
        responses = await asyncio.gather(*(client.post(ROWS) for _ in range(24)))
        assert [response.status_code for response in responses] == [200] * 24
        assert not any("errors" in response.json() for response in responses)
        await execute(database.admin_url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                      "WHERE datname = current_database() AND pid <> pg_backend_pid()")  # fmt: skip
        await asyncio.sleep(0.2)
        error = (await client.post(ROWS)).json()["errors"][0]
        assert error["extensions"]["code"] == "DATABASE_UNAVAILABLE"
        assert "opens no further connections" in error["message"]
