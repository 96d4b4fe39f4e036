"""What drills share: a server that may be broken, with the demo data in it, and what is true of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db.demo import load
from db.embedded.server import ADMIN_ROLE, GATEWAY_ROLE, OWNER_ROLE
from db.migrations import setup
from tests.drills.load import QUERIES
from tests.drills.postgres import Postgres
from tests.support.client import serving
from tests.support.databases import DEMO_NOW, connect, execute
from tests.support.process import Gateway

DATABASE = "drill"
"""The demo data, which nobody changes."""
CHANGES = "changes"
"""A database without rows, for what changes some."""


@pytest.fixture(scope="session")
async def primary() -> AsyncIterator[Postgres]:
    """A primary with the demo data, to which at most 40 may connect. A drill leaves it running and well."""
    with Postgres.make(max_connections="40") as server:
        await execute(
            server.url("postgres", ADMIN_ROLE),
            *(f"CREATE ROLE {role} LOGIN" for role in (OWNER_ROLE, GATEWAY_ROLE)),
            f"CREATE DATABASE {CHANGES} OWNER {OWNER_ROLE}",
        )
        await execute(server.url(CHANGES, ADMIN_ROLE), "CREATE EXTENSION vector")
        await setup.migrate(server.url(CHANGES, OWNER_ROLE))
        await execute(
            server.url("postgres", ADMIN_ROLE), f"CREATE DATABASE {DATABASE} OWNER {OWNER_ROLE} TEMPLATE {CHANGES}"
        )
        owner = server.url(DATABASE, OWNER_ROLE)
        async with setup.connect(owner) as connection, connection.begin():
            await load(connection, size="small", seed=1, now=DEMO_NOW)
        await execute(owner, "ANALYZE")
        yield server


@pytest.fixture(scope="module")
async def standby(primary: Postgres) -> AsyncIterator[Postgres]:
    """A hot standby of it, for the drills of a file."""
    with await asyncio.to_thread(primary.standby) as server:
        yield server


@pytest.fixture
async def there(standby: Postgres) -> AsyncIterator[asyncpg.Connection]:
    """The superuser on the standby, which replays at the end of the test whatever happened."""
    connection = await connect(standby.url(CHANGES, ADMIN_ROLE))
    yield connection
    await connection.execute("SELECT pg_wal_replay_resume()")
    await connection.close()


@pytest.fixture(scope="session")
async def truth(primary: Postgres) -> Mapping[str, Any]:
    """The data of each query, as the loaders told them before anything broke."""
    async with serving(primary.url(DATABASE), compiler=False) as client:
        return {query: await client.data(query) for query in QUERIES}


@asynccontextmanager
async def gateway(folder: Path, **settings: str) -> AsyncIterator[Gateway]:
    """The gateway in a process of its own, ready; whatever it does then, it is gone after the block."""
    one = Gateway(folder, **settings)
    try:
        await asyncio.to_thread(one.ready)
        yield one
        if one.process.poll() is None:
            assert await asyncio.to_thread(one.end) in (0, -15)
    finally:
        one.close()


class Pair:
    """A primary and its asynchronous standby, and the URL by which a gateway finds whichever is the primary."""

    def __init__(self, first: Postgres, second: Postgres) -> None:
        self.first = first
        self.second = second
        hosts = f"host=127.0.0.1:{first.port}&host=127.0.0.1:{second.port}&target_session_attrs=primary"
        self.url = f"postgresql://{GATEWAY_ROLE}@/{CHANGES}?{hosts}"

    async def replayed(self, sql: asyncpg.Connection) -> None:
        """Waits until the standby has all that was committed."""
        written = await sql.fetchval("SELECT pg_current_wal_insert_lsn()::text")
        there = await connect(self.second.url(CHANGES, ADMIN_ROLE))
        async with asyncio.timeout(30):
            while not await there.fetchval("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", written):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await there.close()

    async def cut(self) -> None:
        """From now on the standby hears nothing of its primary."""
        there = await connect(self.second.url(CHANGES, ADMIN_ROLE))
        await there.execute("ALTER SYSTEM SET primary_conninfo = ''")
        await there.execute("SELECT pg_reload_conf()")
        async with asyncio.timeout(30):
            while await there.fetchval("SELECT count(*) FROM pg_stat_wal_receiver"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await there.close()

    async def promote(self) -> asyncpg.Connection:
        await asyncio.to_thread(self.second.promote)
        return await connect(self.second.url(CHANGES, ADMIN_ROLE))


@contextmanager
def copied(primary: Postgres) -> Iterator[Pair]:
    with primary.standby() as first:
        first.promote()
        with first.standby() as second:
            yield Pair(first, second)


@pytest.fixture
async def pair(primary: Postgres) -> AsyncIterator[Pair]:
    held = copied(primary)
    made = await asyncio.to_thread(held.__enter__)
    try:
        yield made
    finally:
        await asyncio.to_thread(held.__exit__, None, None, None)
