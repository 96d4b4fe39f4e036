"""Two lanes of a pool: statements that are heavy, or have run for long, leave connections to light ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.copying import copying
from db.engine.engine import create_engine
from db.engine.errors import OverloadedError
from db.engine.pool import ConnectionLimiter, limiter_of
from db.engine.readers import ShortReader, snapshot
from db.engine.turns import BorrowedConnection
from db.engine.url import database_url
from tests.support.client import serving
from tests.support.databases import Clone, Database, connect
from tests.support.sockets import until

pytestmark = pytest.mark.slow

HELD = "SELECT 1 AS one FROM (SELECT pg_advisory_xact_lock_shared(7)) l"
"""Runs for as long as somebody has the lock."""


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """Four connections, one of which may be had by what is heavy."""
    made = create_engine(database_url(database.gateway_url), read_only=True, pool_size=4)
    yield made
    await made.dispose()


@pytest.fixture
async def holder(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database.admin_url)
    await connection.execute("SELECT pg_advisory_lock(7)")
    yield connection
    await connection.close()


def heavy(engine: AsyncEngine) -> ShortReader:
    reader = ShortReader(engine)
    reader.heavy = True
    return reader


def taken(limiter: ConnectionLimiter) -> tuple[int, int]:
    return limiter.heavy_taken, limiter.heavy_waiting


@pytest.mark.parametrize("how", ["fetch_one", "fetch", "snapshot"])
async def test_heavy_statements_leave_connections_to_light_ones(
    engine: AsyncEngine, holder: asyncpg.Connection, how: str
) -> None:
    async def run() -> Any:
        if how != "snapshot":
            return await getattr(heavy(engine), how)(HELD, ())
        async with heavy(engine).snapshot() as held:
            return await held.fetch(HELD, ())

    limiter = limiter_of(engine)
    running = [asyncio.create_task(run()) for _ in range(6)]
    await until(lambda: taken(limiter) == (1, 5))
    light = [ShortReader(engine).fetch_one("SELECT pg_backend_pid()", ()) for _ in range(12)]
    assert len(set(await asyncio.gather(*light))) <= 3
    async with snapshot(engine) as held:
        assert await held.fetch("SELECT 2", ()) == [(2,)]
    assert taken(limiter) == (1, 5)
    await holder.execute("SELECT pg_advisory_unlock(7)")
    assert len(await asyncio.gather(*running)) == 6
    assert (taken(limiter), limiter.waiting) == ((0, 0), 0)


@pytest.mark.parametrize("how", ["fetch_one", "fetch"])
async def test_what_has_run_for_long_is_heavy_until_it_does_not(
    engine: AsyncEngine, holder: asyncpg.Connection, how: str
) -> None:
    def run(sql: str = HELD) -> Awaitable[Any]:
        return getattr(ShortReader(engine), how)(sql, ())  # type: ignore[no-any-return]

    limiter = limiter_of(engine)
    running = [asyncio.ensure_future(run()) for _ in range(3)]
    await until(lambda: taken(limiter) == (3, 0))
    again = [asyncio.ensure_future(run()) for _ in range(3)]
    await until(lambda: taken(limiter) == (3, 3))
    assert (await run("SELECT 2"))[0] in {2, (2,)}, "the fourth connection is for what is light"
    await holder.execute("SELECT pg_advisory_unlock(7)")
    await asyncio.gather(*running, *again)
    await holder.execute("SELECT pg_advisory_lock(7)")
    running = [asyncio.ensure_future(run()) for _ in range(4)]
    await asyncio.sleep(0)
    assert limiter.waiting == 0, "the last ones were quick"
    await holder.execute("SELECT pg_advisory_unlock(7)")
    await asyncio.gather(*running)


async def test_what_others_run_quickly_meanwhile_is_not_heavy_when_it_is_repeated(
    engine: AsyncEngine, holder: asyncpg.Connection
) -> None:
    """One run of many was held up, by a busy machine or a lock: the next ones do not wait behind what is heavy."""
    sql = "SELECT CASE WHEN $1::text = 'held' THEN pg_advisory_lock_shared(7) END"
    reader, limiter = ShortReader(engine), limiter_of(engine)
    held = asyncio.ensure_future(reader.fetch(sql, ("held",)))
    while taken(limiter) != (1, 0):
        await reader.fetch(sql, ("free",))
    async with asyncio.timeout(5):
        for _ in range(3):
            await reader.fetch(sql, ("free",))
    await holder.execute("SELECT pg_advisory_unlock(7)")
    await held


async def test_turns_are_given_in_order_of_arrival(engine: AsyncEngine) -> None:
    limiter = limiter_of(engine)
    held = [await limiter.borrow(engine) for _ in range(4)]
    order: list[str] = []

    async def wait(name: str, *, heavy: bool) -> BorrowedConnection:
        found = await limiter.borrow(engine, heavy=heavy)
        order.append(name)
        return found

    asked = [("heavy", True), ("light", False), ("heavy too", True), ("light too", False)]
    waiting = [asyncio.create_task(wait(name, heavy=heavy)) for name, heavy in asked]
    await until(lambda: limiter.waiting == 4)
    for one in held[:3]:
        limiter.give_back(one)
    await until(lambda: len(order) == 3)
    assert order == ["heavy", "light", "light too"], "one heavy one has its turn"
    limiter.give_back(held[3])
    assert limiter.waiting == 1
    limiter.give_back(await waiting[0])
    assert await waiting[2]
    for place in (1, 2, 3):
        limiter.give_back(await waiting[place])


async def test_a_table_that_is_read_slowly_takes_no_place_of_heavy_ones(
    engine: AsyncEngine, holder: asyncpg.Connection
) -> None:
    """It has a limit of its own, and others run for long meanwhile."""
    limiter = limiter_of(engine)
    async with copying(engine, None, 60) as table:
        running = asyncio.ensure_future(ShortReader(engine).fetch_one(HELD, ()))
        await until(lambda: taken(limiter) == (1, 0))
        assert await table.value("SELECT 2", ()) == 2
        await holder.execute("SELECT pg_advisory_unlock(7)")
        await running
    assert (taken(limiter), limiter.waiting) == ((0, 0), 0)


async def test_who_waits_in_the_lane_may_leave_it(engine: AsyncEngine) -> None:
    limiter = limiter_of(engine)
    first = await limiter.borrow(engine, heavy=True)
    leaving, staying = (asyncio.create_task(limiter.borrow(engine, heavy=True)) for _ in range(2))
    await until(lambda: limiter.heavy_waiting == 2)
    limiter.give_back(first)  # to the one that leaves at this very moment
    leaving.cancel()
    limiter.give_back(await staying)
    assert taken(limiter) == (0, 0)


async def test_the_lane_is_not_waited_for_without_end(database: Database) -> None:
    engine = create_engine(database_url(database.gateway_url), read_only=True, pool_size=4, connect_timeout=0.1)
    limiter = limiter_of(engine)
    first = await limiter.borrow(engine, heavy=True)
    with pytest.raises(OverloadedError, match=r"every connection for heavy statements was busy for 0\.6 s"):
        await heavy(engine).fetch_one("SELECT 1", ())
    assert await ShortReader(engine).fetch_one("SELECT 1", ()) == (1,)
    limiter.give_back(first)
    assert await heavy(engine).fetch_one("SELECT 1", ()) == (1,)
    await engine.dispose()


async def test_operations_are_heavy_by_their_price(template: Database, clone: Clone) -> None:
    """Over HTTP: one is read, one waits for a connection, one has no place; light ones are answered beside them."""
    limits = {"pool_size": 2, "heavy_cost": 500, "max_concurrent": 4}
    async with clone(template) as own, serving(own.gateway_url, **limits) as client:
        sql = await connect(own.admin_url)
        limiter, query = limiter_of(client.app.state.reads.primary), "{ trainingRuns(first: 1000) { nodes { id } } }"
        async with sql.transaction():
            await sql.execute("LOCK TABLE ml_training_runs IN ACCESS EXCLUSIVE MODE")
            running = [asyncio.create_task(client.data(query)) for _ in range(2)]
            await until(lambda: taken(limiter) == (1, 1))
            refused = await client.post(query)
            assert refused.status_code == 503
            assert refused.json()["errors"][0]["extensions"]["code"] == "OVERLOADED"
            for _ in range(5):
                assert await client.data("{ experiments(first: 1) { nodes { id } } }")
        assert await asyncio.gather(*running)
        await sql.close()
