"""What is given up: requests beyond those at work, past their deadline, or without anybody who waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg
import orjson
import pytest

from gateway.operations.limiter import RequestLimiter
from tests.support.changing import model_in, state
from tests.support.client import serving
from tests.support.databases import Clone, Database, connect, execute
from tests.support.executors import EXECUTORS
from tests.support.proxy import proxied
from tests.support.sockets import listening

pytestmark = pytest.mark.slow

SLOW = "{ activeAlertsSummaries { nodes { id } } }"
MIXED = "{ activeAlertsSummaries { nodes { id } } toolExecutionPlan(tools: []) { __typename } }"
QUICK = "{ experiments(first: 1) { nodes { id } } }"


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Waits for something to come true; how long that takes says nothing."""
    for _ in range(1500):
        if await condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what} did not happen")


def post(query: str, **variables: Any) -> bytes:
    """A request as it is on the wire."""
    body = orjson.dumps({"query": query, "variables": variables})
    head = "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    head += f"content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.fixture(scope="module")
async def slow(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    """One table of it takes a minute."""
    async with clone(demo_template) as copy:
        await execute(
            copy.owner_url,
            "ALTER TABLE ml_monitoring_alerts RENAME TO ml_monitoring_alerts_real",
            "CREATE VIEW ml_monitoring_alerts AS SELECT r.* FROM ml_monitoring_alerts_real r, pg_sleep(60)",
            "GRANT SELECT ON ml_monitoring_alerts TO e2i_gateway",
        )
        yield copy


@pytest.fixture(scope="module")
async def sql(slow: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(slow.admin_url)
    yield connection
    await connection.close()


async def at_work(sql: asyncpg.Connection, what: str = "%") -> int:
    """Statements of the gateway that Postgres is working on."""
    found: int = await sql.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'e2i-gateway' AND state = 'active' "
        "AND datname = current_database() AND query LIKE $1",
        what,
    )
    return found


async def becomes(sql: asyncpg.Connection, count: int, what: str = "%") -> None:
    """Waits until so many statements are at work."""

    async def it_is() -> bool:
        return await at_work(sql, what) == count

    await until(it_is, f"{count} statements at work")


async def waits(limiter: RequestLimiter, count: int) -> None:
    """Waits until so many requests are in the queue."""

    async def it_is() -> bool:
        return limiter.waiting == count

    await until(it_is, f"{count} requests in the queue")


@pytest.mark.parametrize("compiler", EXECUTORS)
@pytest.mark.parametrize("query", [SLOW, MIXED], ids=["one", "mixed"])
async def test_a_client_that_hangs_up_ends_its_statement(
    slow: Database, sql: asyncpg.Connection, query: str, *, compiler: bool
) -> None:
    async with listening(slow.gateway_url, compiler=compiler) as site:
        writer = await site.send(post(query))
        await becomes(sql, 1, "%monitoring_alerts%")
        writer.close()
        await becomes(sql, 0)
        answer = await site.http.post("/graphql", json={"query": QUICK})
        assert answer.json()["data"]["experiments"]["nodes"]


async def test_so_does_one_that_has_sent_other_requests_behind_it(slow: Database, sql: asyncpg.Connection) -> None:
    async with listening(slow.gateway_url, request_timeout=60) as site:
        writer = await site.send(post(SLOW) + post(QUICK) * 2)
        await becomes(sql, 1, "%monitoring_alerts%")
        writer.close()
        await becomes(sql, 0)


async def test_a_client_that_waits_gets_its_answer(slow: Database, sql: asyncpg.Connection) -> None:
    """To look whether somebody is there takes nothing away, and half a minute of nothing is no reason to leave."""
    await execute(slow.owner_url, view(0.4))
    async with listening(slow.gateway_url) as site:
        reader, writer = await site.connect()
        for _ in range(2):  # the connection is good for the next request too
            writer.write(post(SLOW))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            assert head.startswith(b"HTTP/1.1 200")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")
            )
            assert b'"nodes"' in await reader.readexactly(length)
        writer.close()
    await execute(slow.owner_url, view(60))


def view(seconds: float) -> str:
    return (
        "CREATE OR REPLACE VIEW ml_monitoring_alerts AS "
        f"SELECT r.* FROM ml_monitoring_alerts_real r, pg_sleep({seconds})"
    )


async def test_the_deadline_ends_the_statement(slow: Database, sql: asyncpg.Connection) -> None:
    async with serving(slow.gateway_url, request_timeout=0.3) as client:
        response = await client.post(SLOW)
        assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (504, "REQUEST_TIMEOUT")
        await becomes(sql, 0)


async def test_a_body_that_does_not_come_is_not_waited_for(slow: Database) -> None:
    async with listening(slow.gateway_url, request_timeout=0.3) as site:
        found = await site.answer(post(QUICK)[:-5])
        assert found.startswith(b"HTTP/1.1 408")
        assert b"REQUEST_TIMEOUT" in found


async def test_headers_without_end_are_not_kept(slow: Database) -> None:
    async with listening(slow.gateway_url) as site:
        reader, writer = await site.connect()
        writer.write(b"GET /graphql HTTP/1.1\r\nhost: localhost\r\nx-long: ")
        with suppress(ConnectionError):
            for _ in range(100):
                writer.write(b"x" * 65536)
                await writer.drain()
        with suppress(ConnectionError):
            assert (await reader.read()).startswith(b"HTTP/1.1 431")
        writer.close()
        assert (await site.http.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "begun", [b"", b"POST /graphql HTTP/1.1\r\nhost: localhost\r\n"], ids=["nothing", "half a head"]
)
async def test_connections_that_do_not_ask_are_closed(slow: Database, begun: bytes) -> None:
    async with listening(slow.gateway_url, client_timeout=0.1) as site:
        reader, writer = await site.connect()
        writer.write(begun)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


async def test_who_hangs_up_in_the_middle_of_a_change_undoes_it(template: Database, clone: Clone) -> None:
    async with clone(template) as own, listening(own.gateway_url) as site:
        connection = await connect(own.admin_url)
        model = await model_in(connection, "development")
        blocking = connection.transaction()
        await blocking.start()
        await connection.execute("LOCK TABLE ml_model_registry IN EXCLUSIVE MODE")
        writer = await site.send(promotion(model))
        watcher = await connect(own.admin_url)
        await becomes(watcher, 1)
        writer.close()
        await becomes(watcher, 0)
        await blocking.rollback()
        assert await state(connection, model) == ("development", False)
        await connection.close()
        await watcher.close()


async def test_who_hangs_up_during_the_commit_does_not_tear_it_apart(template: Database, clone: Clone) -> None:
    async with clone(template) as own, proxied(own.gateway_url) as (proxy, url), listening(url) as site:
        connection = await connect(own.admin_url)
        model = await model_in(connection, "development")
        proxy.hold = asyncio.Event()
        writer = await site.send(promotion(model, idempotencyKey="k"))
        async with asyncio.timeout(20):
            await proxy.held.wait()
        writer.close()
        await asyncio.sleep(0.3)  # long enough for a client that is gone to be noticed
        proxy.hold.set()

        async def is_made() -> bool:
            return await state(connection, model) == ("staging", False)

        await until(is_made, "the change")
        assert await connection.fetchval("SELECT count(*) FROM gateway.lifecycle_events") == 1
        await connection.close()


def promotion(model: str, **more: Any) -> bytes:
    query = "mutation($i: PromoteModelInput!) { promoteModel(input: $i) { __typename } }"
    return post(query, i={"id": model, "to": "STAGING"} | more)


# -- how many at once --------------------------------------------------------------------------------------------------


async def test_beyond_those_at_work_and_in_the_queue_is_503(slow: Database, sql: asyncpg.Connection) -> None:
    limits = {"max_concurrent": 2, "max_queued": 1, "queue_timeout": 20.0, "request_timeout": 25.0}
    async with listening(slow.gateway_url, **limits) as site:
        writers = [await site.send(post(SLOW)) for _ in range(2)]
        await becomes(sql, 2)
        waiting = asyncio.create_task(site.http.post("/graphql", json={"query": QUICK}))
        limiter = site.app.state.graphql.limiter
        await waits(limiter, 1)
        refused = await site.http.post("/graphql", json={"query": QUICK})
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        (error,) = refused.json()["errors"]
        assert error["extensions"] == {"code": "OVERLOADED", "limit": 2, "waiting": 1}
        assert (await site.http.get("/healthz")).status_code == 200
        assert (await site.http.get("/readyz")).status_code == 200
        for writer in writers:  # who leaves makes room for who waits
            writer.close()
        assert (await waiting).json()["data"]["experiments"]["nodes"]
        await becomes(sql, 0)
        assert (limiter.taken, limiter.waiting) == (0, 0)


async def test_the_queue_is_short_of_time(slow: Database, sql: asyncpg.Connection) -> None:
    async with listening(slow.gateway_url, max_concurrent=1, max_queued=5, queue_timeout=0.2) as site:
        writer = await site.send(post(SLOW))
        await becomes(sql, 1)
        answers = await asyncio.gather(*(site.http.post("/graphql", json={"query": QUICK}) for _ in range(3)))
        assert [answer.status_code for answer in answers] == [503] * 3
        writer.close()
        await becomes(sql, 0)
        for _ in range(3):
            assert (await site.http.post("/graphql", json={"query": QUICK})).status_code == 200


async def test_who_hangs_up_in_the_queue_leaves_it(slow: Database, sql: asyncpg.Connection) -> None:
    async with listening(slow.gateway_url, max_concurrent=1, max_queued=5, queue_timeout=20.0) as site:
        first = await site.send(post(SLOW))
        await becomes(sql, 1)
        second = await site.send(post(QUICK))
        limiter = site.app.state.graphql.limiter
        await waits(limiter, 1)
        second.close()
        await waits(limiter, 0)
        first.close()
        await becomes(sql, 0)
        assert (await site.http.post("/graphql", json={"query": QUICK})).status_code == 200
        assert limiter.taken == 0
