"""PgBouncer in transaction mode in front: every statement may run on another connection of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db.embedded.server import ADMIN_ROLE, GATEWAY_ROLE
from db.engine.engine import create_engine
from db.engine.errors import DataError, StatementTimeoutError
from db.engine.readers import Identity, ShortReader, snapshot
from db.engine.url import database_url
from tests.drills.fixtures import CHANGES, DATABASE, gateway
from tests.drills.load import SECONDS, Load
from tests.drills.pgbouncer import PROGRAM, pgbouncer
from tests.drills.postgres import Postgres
from tests.live.test_live import record
from tests.support.changing import change, events_of, model_in, state
from tests.support.client import serving
from tests.support.databases import connect, execute
from tests.support.sockets import listening, peer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed"),
]

SESSION = ["search_path", "statement_timeout", "default_transaction_read_only", "jit", "TimeZone", "DateStyle"]


async def session_state(url: str) -> list[tuple[Any, ...]]:
    """Settings of each connection of the server's that a stranger gets, and the statements prepared there."""
    asked = ", ".join(f"current_setting('{name}')" for name in SESSION)
    found = set()
    for _ in range(8):  # it takes the connections in turn
        stranger = await asyncpg.connect(url, statement_cache_size=0)
        try:
            async with stranger.transaction():
                row = await stranger.fetchrow(
                    f"SELECT {asked}, current_user, (SELECT count(*) FROM pg_prepared_statements)"
                )
            found.add(tuple(row))
        finally:
            await stranger.close()
    return sorted(found)


@pytest.fixture
async def sql(primary: Postgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(primary.url(CHANGES, ADMIN_ROLE))
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
def pooled(primary: Postgres) -> Iterator[str]:
    """The database's URL through a PgBouncer with three connections for everybody."""
    with pgbouncer(primary.url(DATABASE), primary.account, server_connections=3) as url:
        yield url


def plain(url: str) -> str:
    return database_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


async def test_answers_are_right_and_nothing_is_left_on_a_connection(
    pooled: str, truth: Mapping[str, Any], tmp_path: Path
) -> None:
    before = await session_state(plain(pooled))
    async with gateway(tmp_path, DATABASE_URL=pooled, GATEWAY_PREPARED_STATEMENTS="false") as one:
        load = Load("PgBouncer in transaction mode", one.base, truth)
        async with load.running(one.process.pid) as figures:
            await asyncio.sleep(2 * SECONDS)
        assert await session_state(plain(pooled)) == before
    figures.hold()
    assert not figures.refused
    figures.record()


async def test_settings_hold_in_every_transaction(pooled: str) -> None:
    reading = create_engine(
        database_url(pooled), read_only=True, prepared_statements=False, pool_size=6, statement_timeout=0.4
    )
    shown = "SELECT " + ", ".join(f"current_setting('{name}')" for name in SESSION if name != SESSION[2])
    expected = ("public, extensions", "400ms", "off", "UTC", "ISO, YMD")
    try:
        for way in (ShortReader(reading).fetch, lambda sql, values: _row(ShortReader(reading), sql)):
            rows = await asyncio.gather(*(way(shown, ()) for _ in range(12)))
            assert {tuple(row) for found in rows for row in found} == {expected}
        async with snapshot(reading) as held:
            assert tuple((await held.fetch(shown, ()))[0]) == expected
        with pytest.raises(StatementTimeoutError):
            await ShortReader(reading).fetch("SELECT pg_sleep(20)::text", ())
        with pytest.raises(Exception, match="read-only transaction"):
            await ShortReader(reading).fetch("CREATE TABLE never ()", ())
    finally:
        await reading.dispose()


async def test_whom_a_statement_is_for_stays_with_it(pooled: str, primary: Postgres) -> None:
    """Callers of row level security take turns on three connections, some statements fail, and nobody is another."""
    roles = ("drill_one", "drill_two")
    made = [f"CREATE ROLE {role}; GRANT {role} TO {GATEWAY_ROLE}" for role in roles]
    await execute(primary.url(DATABASE, ADMIN_ROLE), *made)
    reading = create_engine(database_url(pooled), read_only=True, prepared_statements=False, pool_size=6)
    who = "SELECT current_user::text, current_setting('request.jwt.claims', true), current_setting('statement_timeout')"

    async def ask(number: int) -> None:
        role = roles[number % 2]
        claims = f'{{"sub": "{number}"}}'
        reader = ShortReader(reading, identity=Identity(role, claims))
        expected = (role, claims, "30s")
        assert tuple(await reader.fetch_one(who, ())) == expected
        with pytest.raises(DataError):
            await reader.fetch("SELECT 1 / 0", ())
        assert [tuple(row) for row in await reader.fetch(who, ())] == [expected]
        async with reader.snapshot() as held:
            assert tuple((await held.fetch(who, ()))[0]) == expected
        row = await ShortReader(reading).fetch_one(who, ())
        assert (row[0], row[1] or None) == (GATEWAY_ROLE, None)

    try:
        await asyncio.gather(*(ask(number) for number in range(24)))
    finally:
        await reading.dispose()
    assert {row[-2] for row in await session_state(plain(pooled))} == {GATEWAY_ROLE}


async def _row(reader: ShortReader, sql: str) -> list[Any]:
    return [await reader.fetch_one(sql, ())]


async def test_changes_are_made_once(pooled: str, sql: asyncpg.Connection) -> None:
    async with serving(pooled.replace(f"/{DATABASE}?", f"/{CHANGES}?"), prepared_statements=False) as client:
        model = await model_in(sql, "development")
        asked = {"id": model, "to": "STAGING", "idempotencyKey": f"bouncer-{model}"}
        results = await asyncio.gather(*(change(client, "promoteModel", **asked) for _ in range(8)))
        assert sorted(result["replayed"] for result in results) == [False] + [True] * 7
        assert await state(sql, model) == ("staging", False)
        assert len(await events_of(sql, model)) == 1
        dry = await change(client, "promoteModel", id=model, to="SHADOW", dryRun=True)
        assert dry["__typename"] == "TransitionPreview"
        assert await state(sql, model) == ("staging", False)


async def test_prepared_statements_are_refused_in_words(pooled: str, caplog: pytest.LogCaptureFixture) -> None:
    """Such a pooler takes no settings of a session; the log says which setting of the gateway's helps."""
    async with serving(pooled) as client:
        assert (await client.post("{ experiments { totalCount } }")).status_code == 503
    assert "set GATEWAY_PREPARED_STATEMENTS=false" in caplog.text


async def test_changes_are_followed_through_it_or_past_it(primary: Postgres, sql: asyncpg.Connection) -> None:
    """Through it nobody can listen, so the log is looked at; past it changes are told of at once."""
    query = "subscription { lifecycleEvents { cursor event { reason } } }"
    with pgbouncer(primary.url(CHANGES), primary.account, server_connections=3) as url:
        before = await session_state(plain(url))
        for settings in ({"live_poll": 0.1}, {"live_poll": 600, "listen_url": primary.url(CHANGES)}):
            async with listening(url, prepared_statements=False, **settings) as one, peer(one) as other:
                stream = await other.followed(query)
                for reason in ("first", "second"):
                    await record(sql, reason)
                    assert (await stream.next())["event"] == {"reason": reason}
        assert await session_state(plain(url)) == before
