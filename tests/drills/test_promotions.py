"""Standbys promoted side by side or twice, and servers that are set back: no change is lost without a word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from db.embedded.server import ADMIN_ROLE, GATEWAY_ROLE
from db.engine.connector import connector_of
from db.engine.timelines import Timelines
from tests.drills.fixtures import CHANGES, Pair
from tests.drills.postgres import Postgres
from tests.drills.test_replica import reads_of, until
from tests.support.changing import change, model_in, state, uuid_of
from tests.support.client import Client, serving
from tests.support.databases import connect, connected
from tests.support.proxy import Proxy, proxied

pytestmark = pytest.mark.slow

STAGE = "query($id: ID!) { model(id: $id) { stage } }"
PROMOTE = "mutation($id: ID!, $to: ModelStage!) { promoteModel(input: {id: $id, to: $to}) { __typename } }"
DIVERGED = "DATABASE_DIVERGED"


class Address(Proxy):
    """One address that leads to one of several servers, as a name or a balancer does."""

    def __init__(self, server: Postgres) -> None:
        super().__init__(server.url(CHANGES))
        self.lead(server)

    def lead(self, server: Postgres) -> None:
        """From now on to this one."""
        self._host, self._port = str(server.folder), server.port


def timelines_of(client: Client) -> Timelines:
    timelines: Timelines = connector_of(client.app.state.reads.primary).timelines
    return timelines


async def codes(client: Client, query: str, **variables: Any) -> list[str]:
    """The codes of an answer's errors."""
    return [error["extensions"]["code"] for error in (await client.ask(query, **variables)).get("errors", [])]


async def applied(client: Client, model: str, to: str) -> None:
    """Makes a change, as soon as there is a database for it."""
    async with asyncio.timeout(30):
        while (answer := await codes(client, PROMOTE, id=model, to=to)) != []:
            assert answer == ["DATABASE_UNAVAILABLE"], answer
            await asyncio.sleep(0.05)


async def refuses(client: Client, model: str) -> None:
    """Neither reads nor changes are answered, and everybody is told why."""
    async with asyncio.timeout(30):
        while (first := await codes(client, STAGE, id=model)) != [DIVERGED]:
            assert first == ["DATABASE_UNAVAILABLE"], first
            await asyncio.sleep(0.05)
    for _ in range(3):
        assert await codes(client, PROMOTE, id=model, to="SHADOW") == [DIVERGED]
        assert await codes(client, STAGE, id=model) == [DIVERGED]
    for path in ("/readyz", "/readyz?changes"):
        answer = await client.http.get(path)
        assert answer.status_code == 503
        assert "lacks changes" in answer.json()["database"]


@asynccontextmanager
async def side_by_side(pair: Pair) -> AsyncIterator[tuple[Postgres, Postgres, str, asyncpg.Connection]]:
    """Two standbys of one primary, neither promoted, a model that both have, and the superuser on the primary."""
    with await asyncio.to_thread(pair.first.standby) as other:
        sql = await connect(pair.first.url(CHANGES, ADMIN_ROLE))
        model = await model_in(sql, "development")
        for standby in (pair.second, other):
            await Pair(pair.first, standby).replayed(sql)
        yield pair.second, other, model, sql
        await sql.close()


async def timeline_of(server: Postgres) -> int:
    sql = await connect(server.url(CHANGES, ADMIN_ROLE))
    try:
        return int(await sql.fetchval("SELECT gateway.timeline()"))
    finally:
        await sql.close()


@pytest.mark.parametrize("how", ["hosts", "one address"])
async def test_of_two_standbys_promoted_side_by_side_one_is_followed(
    pair: Pair, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Both have the next timeline. The one that changes were made on goes; the other one lacks them, and is not used,
    also by a gateway that has made none. A gateway that is started anew takes it."""
    async with (
        side_by_side(pair) as (one, other, model, sql),
        proxied(pair.first.url(CHANGES), address := Address(pair.first)) as (_, through),
    ):
        ports = "&".join(f"host=127.0.0.1:{server.port}" for server in (pair.first, one, other))
        named = f"postgresql://{GATEWAY_ROLE}@/{CHANGES}?{ports}&target_session_attrs=primary"
        url = named if how == "hosts" else through
        async with serving(url, pool_size=2) as client, serving(url, pool_size=2) as reader:
            for each in (client, reader):
                assert (await each.data(STAGE, id=model))["model"]["stage"] == "DEVELOPMENT"
            await sql.close()
            await asyncio.to_thread(pair.first.kill)
            await asyncio.to_thread(one.promote)
            address.lead(one)
            await applied(client, model, "STAGING")
            async with asyncio.timeout(30):
                while await codes(reader, STAGE, id=model):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await asyncio.to_thread(other.promote)
            assert await timeline_of(one) == await timeline_of(other)
            await asyncio.to_thread(one.kill)
            address.lead(other)
            for each in (client, reader):
                await refuses(each, model)
                assert timelines_of(each).refused["other branch"] > 0
            assert "restart the gateway to continue without them" in caplog.text
            there = await connect(other.url(CHANGES, ADMIN_ROLE))
            assert await state(there, model) == ("development", False), "what was acknowledged is missing there"
            async with serving(url) as anew:
                assert (await anew.data(STAGE, id=model))["model"]["stage"] == "DEVELOPMENT"
                assert (await change(anew, "promoteModel", id=model, to="STAGING"))["__typename"] == "TransitionApplied"
            await there.close()
            await asyncio.to_thread(one.start)
            address.lead(one)
            for each in (client, reader):
                async with asyncio.timeout(30):
                    while await codes(each, STAGE, id=model):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                assert (await each.data(STAGE, id=model))["model"]["stage"] == "STAGING"
            await applied(client, model, "SHADOW")


async def test_a_second_promotion_without_the_changes_of_the_first_is_told(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """The second standby is promoted twice: its timeline is newer, and is followed, as after any failover."""
    async with side_by_side(pair) as (one, other, model, sql):
        await sql.close()
        await asyncio.to_thread(pair.first.kill)
        await asyncio.to_thread(one.promote)
        await asyncio.to_thread(other.promote)
        with await asyncio.to_thread(other.standby) as last:
            await asyncio.to_thread(last.promote)
            ports = "&".join(f"host=127.0.0.1:{server.port}" for server in (one, last))
            url = f"postgresql://{GATEWAY_ROLE}@/{CHANGES}?{ports}&target_session_attrs=primary"
            await asyncio.to_thread(last.stop)
            async with serving(url, pool_size=2) as client:
                await applied(client, model, "STAGING")
                await asyncio.to_thread(last.start)
                await asyncio.to_thread(one.kill)
                async with asyncio.timeout(30):
                    while await codes(client, STAGE, id=model):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                assert (await client.data(STAGE, id=model))["model"]["stage"] == "DEVELOPMENT"
                assert timelines_of(client).lossy_failovers == 1
                assert "has begun without the changes" in caplog.text


async def test_a_failover_that_loses_nothing_is_not_told_as_one_that_does(pair: Pair) -> None:
    sql = await connect(pair.first.url(CHANGES, ADMIN_ROLE))
    model = await model_in(sql, "development")
    async with serving(pair.url, pool_size=2) as client:
        await applied(client, model, "STAGING")
        await pair.replayed(sql)
        await sql.close()
        await asyncio.to_thread(pair.first.kill)
        new = await pair.promote()
        await applied(client, model, "SHADOW")
        timelines = timelines_of(client)
        assert (timelines.failovers, timelines.lossy_failovers, timelines.refused.total()) == (1, 0, 0)
        await new.close()


async def test_a_server_that_is_set_back_to_a_snapshot_is_not_used(pair: Pair) -> None:
    """It has the timeline and the mark that were followed, and lacks a change. A gateway started anew takes it."""
    server = pair.second
    sql = await connect(pair.first.url(CHANGES, ADMIN_ROLE))
    model = await model_in(sql, "development")
    await pair.replayed(sql)
    await sql.close()
    await asyncio.to_thread(server.promote)
    async with serving(server.url(CHANGES), pool_size=2) as client:
        await applied(client, model, "STAGING")
        await asyncio.to_thread(server.stop)
        taken = await asyncio.to_thread(server.snapshot)
        await asyncio.to_thread(server.start)
        for to in ("SHADOW", "STAGING", "SHADOW"):
            await applied(client, model, to)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        await applied(client, model, "STAGING")
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.set_back, taken)
        await asyncio.to_thread(server.start)
        await refuses(client, model)
        assert timelines_of(client).refused["set back"] > 0
    async with serving(server.url(CHANGES)) as client:
        assert (await client.data(STAGE, id=model))["model"]["stage"] == "STAGING"
        assert (await change(client, "promoteModel", id=model, to="SHADOW"))["__typename"] == "TransitionApplied"


async def test_a_standby_of_the_other_one_is_not_read(pair: Pair) -> None:
    """Two standbys are promoted side by side; a third one follows the one that is not followed."""
    async with side_by_side(pair) as (one, other, model, sql):
        with await asyncio.to_thread(other.standby) as third:
            await Pair(other, third).replayed(sql)
            await sql.close()
            await asyncio.to_thread(pair.first.kill)
            await asyncio.to_thread(one.promote)
            await asyncio.to_thread(other.promote)
            async with serving(one.url(CHANGES), replica_url=third.url(CHANGES)) as client:
                (alone,) = reads_of(client).standbys
                await applied(client, model, "STAGING")
                await until(lambda: alone.why != "is not known yet")
                there = await connect(other.url(CHANGES, ADMIN_ROLE))
                await there.execute("SELECT gateway.mark_timeline()")
                await there.execute("UPDATE ml_model_registry SET stage = 'archived' WHERE id = $1", uuid_of(model))
                await Pair(other, third).replayed(there)
                await there.close()
                await until(lambda: alone.why == "follows another server than the primary")
                assert (await client.data(STAGE, id=model))["model"]["stage"] == "STAGING"


async def test_a_promoted_standby_for_reads_ends_the_use_of_the_former_primary(pair: Pair) -> None:
    """Changes on the former primary would be lost. The new one is read, and is not the primary of the URL."""
    sql = await connect(pair.first.url(CHANGES, ADMIN_ROLE))
    model = await model_in(sql, "development")
    await pair.replayed(sql)
    await sql.close()
    async with serving(pair.first.url(CHANGES), replica_url=pair.second.url(CHANGES), pool_size=2) as client:
        (alone,) = reads_of(client).standbys
        await until(lambda: alone.usable)
        new = await pair.promote()
        await new.close()
        await asyncio.to_thread(pair.second.stop)
        await asyncio.to_thread(pair.second.start)
        await until(lambda: timelines_of(client).failovers)
        await until(lambda: alone.usable)
        assert (await client.data(STAGE, id=model))["model"]["stage"] == "DEVELOPMENT"
        assert await codes(client, PROMOTE, id=model, to="STAGING") == ["DATABASE_UNAVAILABLE"]
        assert (await client.http.get("/readyz?changes")).status_code == 503


async def test_a_clone_of_the_primary_is_not_read_while_it_is_away(pair: Pair) -> None:
    """It accepts changes, as a promoted standby does, but on the primary's own timeline. Its log is long enough for a
    change that it lacks, since others have written to it."""
    server = pair.second
    sql = await connect(pair.first.url(CHANGES, ADMIN_ROLE))
    model = await model_in(sql, "development")
    await pair.replayed(sql)
    await sql.close()
    await asyncio.to_thread(server.promote)
    async with connected(server.url(CHANGES, ADMIN_ROLE)) as there:
        await there.execute("SELECT gateway.mark_timeline()")  # the clone has the mark, too
    await asyncio.to_thread(server.stop)
    with await asyncio.to_thread(server.clone) as clone:
        async with connected(clone.url(CHANGES, ADMIN_ROLE)) as there:
            await there.execute("SELECT pg_switch_wal()")  # 16 MB
            await there.execute("UPDATE ml_model_registry SET stage = 'archived' WHERE id = $1", uuid_of(model))
        await asyncio.to_thread(server.start)
        async with serving(server.url(CHANGES), replica_url=clone.url(CHANGES), pool_size=2) as client:
            (alone,) = reads_of(client).standbys
            await applied(client, model, "STAGING")
            await until(lambda: alone.why == "is no standby of the primary")
            await asyncio.to_thread(server.kill)
            await until(lambda: reads_of(client)._known.position is None)
            alone.why = None
            await until(lambda: alone.why == "is no standby of the primary")
            assert await codes(client, STAGE, id=model) == ["DATABASE_UNAVAILABLE"]
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(30):
                while await codes(client, STAGE, id=model):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert (await client.data(STAGE, id=model))["model"]["stage"] == "STAGING"
