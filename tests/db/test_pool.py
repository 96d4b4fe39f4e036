"""Connections that an engine lends: whatever becomes of them, the next one to ask has one that works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.engine import create_engine
from db.engine.errors import DatabaseUnavailableError, translated
from db.engine.pool import limiter_of
from db.engine.readers import ShortReader, _reading
from db.engine.turns import BorrowedConnection
from db.engine.url import database_url
from gateway.observability.gauges import in_use
from tests.support.databases import Database, execute
from tests.support.proxy import proxied

pytestmark = pytest.mark.slow


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    made = create_engine(database_url(database.gateway_url), read_only=True, pool_size=3)
    yield made
    await made.dispose()


async def borrow(engine: AsyncEngine) -> BorrowedConnection:
    with translated():
        return await limiter_of(engine).borrow(engine)


async def test_one_that_could_not_be_replaced_is_opened_later(engine: AsyncEngine, database: Database) -> None:
    """One that is too old when the database lets nobody in is gone, which no later reader stumbles over."""
    limiter, reader = limiter_of(engine), ShortReader(engine)
    oldest, older, young = [await borrow(engine) for _ in range(3)]
    limiter.give_back(older)
    limiter.give_back(young)
    with pytest.raises(DatabaseUnavailableError):
        await reader.fetch("SELECT pg_terminate_backend(pg_backend_pid())", ())
    assert await reader.fetch("SELECT 1", ()) == [(1,)]  # by a new one; the others are from before
    name = database.name
    await execute(database.admin_url, f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')
    young = await borrow(engine)
    with pytest.raises(DatabaseUnavailableError):
        await borrow(engine)
    await execute(database.admin_url, f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
    limiter.give_back(young)
    limiter.give_back(oldest)
    held = [await borrow(engine) for _ in range(3)]
    assert [await one.driver.fetchval("SELECT 1") for one in held] == [1, 1, 1]
    for one in held:
        limiter.give_back(one)


async def test_they_are_those_of_the_pool(engine: AsyncEngine) -> None:
    """Whoever asks SQLAlchemy for a connection, before or after, has one of the same."""
    reader = ShortReader(engine)
    (first,) = await reader.fetch("SELECT pg_backend_pid()", ())
    assert await reader.fetch_one("SELECT pg_backend_pid()", ()) == first
    one, other = await borrow(engine), await borrow(engine)
    assert await one.driver.fetchrow("SELECT pg_backend_pid()") == first
    second = await other.driver.fetchrow("SELECT pg_backend_pid()")
    limiter_of(engine).give_back(one)
    limiter_of(engine).give_back(other)
    assert await reader.fetch("SELECT pg_backend_pid()", ()) == [second]
    assert in_use(engine) == 0
    assert engine.pool.checkedin() + limiter_of(engine).warm == 2  # type: ignore[attr-defined]  # every pool of queues has it


async def test_none_outlives_its_pool(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that waits while others are being closed, nor one that somebody still has."""
    monkeypatch.setattr("db.engine.pool.WARM", 0.0)
    held = [await borrow(engine) for _ in range(3)]
    for one in held[:2]:
        limiter_of(engine).give_back(one)
    await engine.dispose()
    assert [one.driver.is_closed() for one in held] == [True, True, False]
    limiter_of(engine).give_back(held[2])
    limiter_of(engine).cool()
    assert held[2].driver.is_closed()
    assert await ShortReader(engine).fetch("SELECT 1", ()) == [(1,)]


async def test_the_pool_has_them_soon(engine: AsyncEngine) -> None:
    """Whoever asks the pool without a turn waits a moment, and none is left open at the end."""
    held = [await borrow(engine) for _ in range(3)]
    for one in held:
        limiter_of(engine).give_back(one)
    assert (limiter_of(engine).warm, in_use(engine)) == (3, 0)
    async with asyncio.timeout(2), engine.connect() as connection:
        assert (await connection.exec_driver_sql("SELECT 1")).scalar() == 1
    assert limiter_of(engine).warm == 0
    limiter_of(engine).give_back(await borrow(engine))
    await engine.dispose()
    assert all(one.driver.is_closed() for one in held)


async def test_the_database_lets_nobody_in(engine: AsyncEngine, database: Database) -> None:
    """Why no connection can be opened has the meaning that it has wherever else the database says it."""
    await execute(database.admin_url, f'ALTER DATABASE "{database.name}" CONNECTION LIMIT 0')
    reader = ShortReader(engine)
    with pytest.raises(DatabaseUnavailableError, match="too many connections"):
        await reader.fetch_one("SELECT 1", ())
    with pytest.raises(DatabaseUnavailableError, match="too many connections"):
        await reader.fetch("SELECT 1", (), {"work_mem": "1MB"})
    await execute(database.admin_url, f'ALTER DATABASE "{database.name}" CONNECTION LIMIT -1')
    assert await reader.fetch_one("SELECT 1", ()) == (1,)


async def test_connections_that_are_lost_as_soon_as_they_are_opened(engine: AsyncEngine) -> None:
    event.listen(engine.sync_engine, "connect", lambda connection, _entry: connection.driver_connection.terminate())
    reader = ShortReader(engine)
    for read in (reader.fetch_one, reader.fetch):
        with pytest.raises(DatabaseUnavailableError, match="closed"):
            await read("SELECT 1", ())


@pytest.mark.parametrize("how", ["fetch_one", "fetch"])
async def test_a_connection_whose_end_is_announced(database: Database, how: str) -> None:
    """The server has said that it ends it, and has not closed it yet: nothing is sent on it, and nobody has it next."""
    async with proxied(database.gateway_url) as (proxy, url):
        engine = create_engine(database_url(url), read_only=True, pool_size=1)
        reader = ShortReader(engine)
        read = getattr(reader, how)
        await read("SELECT 1", ())
        proxy.parting = asyncio.Event()
        await execute(
            database.admin_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'e2i-gateway' AND datname = current_database()",
        )
        await proxy.parted.wait()
        await asyncio.sleep(0.05)  # what was announced is read in the same loop
        with pytest.raises(DatabaseUnavailableError):
            await read("SELECT 1", ())
        proxy.parting.set()
        assert await reader.fetch_one("SELECT 1", ()) == (1,)
        await engine.dispose()


async def test_a_read_that_is_given_up_while_it_is_undone_ends(database: Database) -> None:
    """It has failed, and its rollback gets no answer: whoever gives it up is not told of the failure instead."""
    undoing = asyncio.Event()
    async with proxied(database.gateway_url) as (proxy, url):
        engine = create_engine(database_url(url), read_only=True, pool_size=1)
        reader = ShortReader(engine)

        async def fail() -> None:
            proxy.freeze()
            undoing.set()
            raise ValueError

        task = asyncio.create_task(reader._straight("SELECT", lambda driver: _reading(driver, "BEGIN READ ONLY", fail)))
        await undoing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        proxy.thaw()
        assert await reader.fetch_one("SELECT 1", ()) == (1,)
        await engine.dispose()
