"""The database is killed, restarted, fails over, is full, slow, frozen or read-only, while many ask.

Nothing may hang or be wrong; what cannot be answered is refused with a code that says "try again", and all is well
again by itself.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db.embedded.server import ADMIN_ROLE, GATEWAY_ROLE
from tests.drills.fixtures import CHANGES, DATABASE, gateway
from tests.drills.load import SECONDS, Load
from tests.drills.postgres import Postgres
from tests.support.changing import model_in
from tests.support.client import serving
from tests.support.databases import connect, execute
from tests.support.process import Gateway
from tests.support.proxy import proxied

pytestmark = pytest.mark.slow

Truth = Mapping[str, Any]


@pytest.fixture(scope="module")
async def steady(primary: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """One gateway that goes through one fault after the other, and is never started again."""
    async with gateway(tmp_path_factory.mktemp("steady"), DATABASE_URL=primary.url(DATABASE)) as one:
        yield one


@pytest.mark.parametrize("how", ["killed", "restarted"])
async def test_the_server_goes_and_comes(primary: Postgres, steady: Gateway, truth: Truth, how: str) -> None:
    load = Load(f"database {how}", steady.base, truth)
    async with load.running(steady.process.pid) as figures:
        await asyncio.sleep(SECONDS)
        if how == "killed":
            await asyncio.to_thread(primary.kill)
        else:
            await asyncio.to_thread(primary.stop, with_signal=signal.SIGINT)
        await asyncio.sleep(SECONDS)
        await asyncio.to_thread(primary.start)
        load.healed()
        await load.well_again()
    figures.hold()
    figures.record()
    assert set(figures.refused) == {"DATABASE_UNAVAILABLE"}


async def test_strangers_take_all_connections(primary: Postgres, steady: Gateway, truth: Truth) -> None:
    admin = await connect(primary.url(DATABASE, ADMIN_ROLE))
    strangers: list[asyncpg.Connection] = []
    load = Load("out of connections", steady.base, truth)
    async with load.running(steady.process.pid) as figures:
        await asyncio.sleep(SECONDS)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'e2i-gateway'"
            )
            with suppress(asyncpg.TooManyConnectionsError):
                while True:
                    strangers.append(await connect(primary.url("postgres", GATEWAY_ROLE)))
        await asyncio.gather(*(stranger.close() for stranger in strangers))
        load.healed()
        await load.well_again()
    await admin.close()
    figures.hold()
    figures.record()
    assert set(figures.refused) == {"DATABASE_UNAVAILABLE"}


@pytest.mark.parametrize(("how", "prepared"), [("slow", "true"), ("frozen", "true"), ("frozen", "false")])
async def test_the_network_is_slow_or_swallows_everything(
    primary: Postgres, truth: Truth, tmp_path: Path, how: str, prepared: str
) -> None:
    """Statements and what cancels them get no answer; the connections that hang are given up."""
    async with (
        proxied(primary.url(DATABASE)) as (proxy, url),
        gateway(tmp_path, DATABASE_URL=url, GATEWAY_REQUEST_TIMEOUT="1", GATEWAY_PREPARED_STATEMENTS=prepared) as one,
    ):
        name = f"network {how}" if prepared == "true" else f"network {how}, without prepared statements"
        load = Load(name, one.base, truth)
        async with load.running(one.process.pid) as figures:
            await asyncio.sleep(SECONDS)
            if how == "slow":
                proxy.delay = 0.3
            else:
                proxy.freeze()
            await asyncio.sleep(2 + SECONDS)
            proxy.delay = 0.0
            proxy.thaw()
            load.healed()  # connections that were frozen stay so for ever
            await load.well_again()
    figures.hold()
    figures.record()
    assert set(figures.refused) <= {"REQUEST_TIMEOUT", "DATABASE_UNAVAILABLE", "OVERLOADED"}
    assert figures.longest < 10


async def test_a_database_is_made_read_only_for_a_while(primary: Postgres) -> None:
    """As Supabase does when the disk is full. Connections that were made meanwhile are not kept."""
    sql = await connect(primary.url(CHANGES, ADMIN_ROLE))
    promote = "mutation($i: PromoteModelInput!) { promoteModel(input: $i) { __typename } }"
    model = await model_in(sql, "development")
    try:
        await sql.execute(f"ALTER DATABASE {CHANGES} SET default_transaction_read_only = on")
        async with serving(primary.url(CHANGES)) as client:
            for _ in range(3):
                error = await client.error(promote, i={"id": model, "to": "STAGING"})
                assert error["code"] == "CHANGES_UNAVAILABLE"
                assert "accepts no changes at the moment" in error["message"]
            assert await client.data("{ models(first: 1) { totalCount } }")
            await sql.execute(f"ALTER DATABASE {CHANGES} RESET default_transaction_read_only")
            for _ in range(3):
                result = await client.data(promote, i={"id": model, "to": "STAGING", "dryRun": True})
                assert result == {"promoteModel": {"__typename": "TransitionPreview"}}
    finally:
        await sql.execute(f"ALTER DATABASE {CHANGES} RESET default_transaction_read_only")
        await sql.close()


async def test_a_standby_takes_over(primary: Postgres, truth: Truth, tmp_path: Path) -> None:
    """With both servers in the URL, reads and changes go on where the new primary is."""
    with await asyncio.to_thread(primary.standby) as first, await asyncio.to_thread(first_standby, first) as second:
        hosts = f"host=127.0.0.1:{first.port}&host=127.0.0.1:{second.port}&target_session_attrs=primary"
        async with gateway(tmp_path, DATABASE_URL=f"postgresql://{GATEWAY_ROLE}@/{DATABASE}?{hosts}") as one:
            load = Load("failover to a standby", one.base, truth)
            async with load.running(one.process.pid) as figures:
                await asyncio.sleep(SECONDS)
                await asyncio.to_thread(first.kill)
                load.healed()
                await asyncio.to_thread(second.promote)
                await load.well_again()
            await can_change(one, second)
    figures.hold()
    figures.record()
    assert set(figures.refused) == {"DATABASE_UNAVAILABLE"}


def first_standby(server: Postgres) -> Postgres:
    server.promote()
    return server.standby()


async def can_change(one: Gateway, server: Postgres) -> None:
    await execute(server.url(DATABASE, ADMIN_ROLE), "ANALYZE")
    query = "{ models(first: 1, where: { stage: { eq: DEVELOPMENT } }) { nodes { id } } }"
    (model,) = (await asyncio.to_thread(one.ask, query))["models"]["nodes"]
    change = (
        f'mutation {{ promoteModel(input: {{ id: "{model["id"]}", to: STAGING, dryRun: true }}) {{ __typename }} }}'
    )
    assert (await asyncio.to_thread(one.ask, change))["promoteModel"]["__typename"] == "TransitionPreview"
