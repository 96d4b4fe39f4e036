"""Subscriptions beside a hot standby, and over a failover: what is told is there, and what is lost is said to be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from db.embedded.server import ADMIN_ROLE, GATEWAY_ROLE
from db.store import changelog
from gateway.subscriptions.stream import following
from schema.subscriptions import decode, encode
from tests.drills.fixtures import CHANGES, Pair
from tests.drills.postgres import Postgres
from tests.live.test_live import ALERTS, EVENTS, alert, reasons, record, titles
from tests.support.changing import change, model_in
from tests.support.databases import connect
from tests.support.sockets import Listening, Peer, listening, peer, until

pytestmark = pytest.mark.slow

NESTED = "subscription { lifecycleEvents { cursor event { toState node { ... on MonitoringAlert { status } } } } }"


# -- beside a standby --------------------------------------------------------------------------------------------------


@pytest.fixture
async def sql(primary: Postgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(primary.url(CHANGES, ADMIN_ROLE))
    yield connection
    await connection.close()


@pytest.fixture
async def gateway(primary: Postgres, standby: Postgres) -> AsyncIterator[Listening]:
    async with listening(primary.url(CHANGES), replica_url=standby.url(CHANGES)) as one:
        await until(lambda: one.app.state.reads.usable)
        yield one


async def test_what_is_told_is_as_new_as_the_change(
    gateway: Listening, sql: asyncpg.Connection, there: asyncpg.Connection
) -> None:
    """The standby replays nothing meanwhile; each change is told of once, with the rows as they are after it."""
    key = await alert(sql, "raised")
    async with peer(gateway) as one, peer(gateway) as other:
        streams = [await each.followed(NESTED) for each in (one, other)]
        await there.execute("SELECT pg_wal_replay_pause()")
        for _ in range(3):
            resolved = await change(gateway.client, "resolveAlert", id=str(key), resolutionAction="FIXED_DATA")
            reopened = await change(gateway.client, "reopenAlert", id=str(key), reason="again")
            assert {resolved["__typename"], reopened["__typename"]} == {"TransitionApplied"}
        for stream in streams:
            told = [(await stream.next())["event"] for _ in range(6)]
            assert [one["toState"] for one in told] == ["RESOLVED", "ACTIVE"] * 3
            assert told[-1]["node"] == {"status": "ACTIVE"}
        await change(gateway.client, "resolveAlert", id=str(key), resolutionAction="FIXED_DATA")
        for stream in streams:
            assert (await stream.next())["event"] == {"toState": "RESOLVED", "node": {"status": "RESOLVED"}}
        stream = await one.followed(ALERTS)
        await sql.execute("UPDATE ml_monitoring_alerts SET title = 'changed' WHERE id = $1", key)
        assert await titles(stream, 1) == [("CHANGED", "changed")]


async def test_who_is_told_reads_nothing_older(
    gateway: Listening, sql: asyncpg.Connection, there: asyncpg.Connection
) -> None:
    """Somebody else's change: a query after its message goes where the change is, until the standby has it too."""
    model = await model_in(sql, "development")
    reads = gateway.app.state.reads
    asked = f'{{ model(id: "{model}") {{ modelVersion stage }} }}'
    async with peer(gateway) as one:
        stream = await one.followed(EVENTS)
        await until(lambda: reads.reader(1, "anonymous")._engine is reads.standbys[0].engine)
        await there.execute("SELECT pg_wal_replay_pause()")
        async with sql.transaction():
            await sql.execute("UPDATE ml_model_registry SET stage = 'staging' WHERE id = $1", model.partition(":")[2])
            await record(sql, "moved", node_id=model)
        assert await reasons(stream, 1) == ["moved"]
        assert (await gateway.client.data(asked))["model"]["stage"] == "STAGING"
        await there.execute("SELECT pg_wal_replay_resume()")
        await until(lambda: reads.reader(1, "anonymous")._engine is reads.standbys[0].engine)
        assert (await gateway.client.data(asked))["model"]["stage"] == "STAGING"


# -- over a failover ---------------------------------------------------------------------------------------------------


async def refused(one: Peer, id_: str) -> dict[str, Any]:
    """The extensions of the error that ends an operation."""
    message = await one.hear()
    assert (message["id"], message["type"]) == (id_, "error"), message
    (error,) = message["payload"]
    extensions: dict[str, Any] = error["extensions"]
    assert extensions["code"] == "HISTORY_CHANGED"
    on = "with extensions.cursor as `after`" if extensions["cursor"] else "without `after`"
    assert on in error["message"]
    return extensions


async def spend(sql: asyncpg.Connection, transactions: int) -> None:
    """Uses up so many numbers of transactions."""
    for _ in range(transactions):
        await sql.execute("SELECT pg_current_xact_id()")


async def test_whoever_was_told_of_what_a_failover_lost_hears_of_it(pair: Pair) -> None:
    """Those who were not told of it are told of everything that comes; numbers of transactions come twice meanwhile."""
    sql = await connect(pair.first.url(CHANGES, ADMIN_ROLE))
    deployments = {"types": ["Deployment"]}
    async with (
        listening(pair.url, live_poll=0.2) as gateway,
        peer(gateway) as one,
        peer(gateway) as other,
        peer(gateway) as third,
    ):
        told, spared = await one.followed(EVENTS), await other.followed(EVENTS, **deployments)
        await record(sql, "kept")
        await record(sql, "kept", node_type="Deployment")
        assert await reasons(told, 2) == ["kept", "kept"]
        assert await reasons(spared, 1) == ["kept"]
        kept = told.cursor
        await pair.replayed(sql)
        await pair.cut()
        await spend(sql, 40)
        await record(sql, "lost")
        assert await reasons(told, 1) == ["lost"]
        lost = told.cursor
        await asyncio.to_thread(pair.first.kill)
        new = await pair.promote()
        async with new.transaction():
            await record(new, "first of the new ones")
            await record(new, "its deployment", node_type="Deployment")
        await spend(new, 100)  # more than were lost: nothing is ahead of the database any more
        extensions = await refused(one, told.id)
        assert await reasons(spared, 1) == ["its deployment"]
        again = await one.followed(EVENTS, after=extensions["cursor"])
        assert await reasons(again, 2) == ["first of the new ones", "its deployment"]
        await record(new, "later", node_type="Deployment")
        assert await reasons(again, 1) == ["later"]
        assert await reasons(spared, 1) == ["later"]
        for cursor in (kept, lost, replaced(lost)):
            extensions = await refused(third, await third.subscribe(EVENTS, after=cursor))
            assert extensions["argument"] == "after"
            stream = await third.followed(EVENTS, after=extensions["cursor"])
            assert await reasons(stream, 3) == ["first of the new ones", "its deployment", "later"]
            await third.say(type="complete", id=stream.id)
        await new.close()


def replaced(cursor: str | None) -> str:
    """The cursor of a place in the middle of what was told at once."""
    place = decode(str(cursor))
    return encode(place._replace(ahead=place.seen, position=2**62))


async def test_a_switchover_that_loses_nothing_is_not_heard_of(pair: Pair) -> None:
    sql = await connect(pair.first.url(CHANGES, ADMIN_ROLE))
    async with listening(pair.url, live_poll=0.2) as gateway, peer(gateway) as one, peer(gateway) as other:
        stream = await one.followed(EVENTS)
        quiet = await other.followed(EVENTS)
        for n in range(3):
            await record(sql, str(n))
        assert await reasons(stream, 3) == ["0", "1", "2"]
        await sql.close()
        await asyncio.to_thread(pair.first.stop)  # which waits for the standby to have it all
        new = await pair.promote()
        for n in range(3, 6):
            await record(new, str(n))
        assert await reasons(stream, 3) == ["3", "4", "5"]
        assert await reasons(quiet, 6) == list("012345")
        await new.close()


async def test_a_failover_while_the_first_message_is_sent(pair: Pair) -> None:
    """Whoever has only just begun loses nothing either: numbers that it has seen are those of other changes now."""
    sql = await connect(pair.first.url(CHANGES, ADMIN_ROLE))
    await pair.replayed(sql)
    await pair.cut()
    await spend(sql, 40)
    async with (
        listening(pair.url, live_poll=0.2) as gateway,
        following(gateway.feed, "lifecycle", None, lambda _facts: True, 1.0) as followed,
    ):
        ((nothing, _),) = await anext(followed)
        assert nothing is None
        await asyncio.to_thread(pair.first.kill)
        new = await pair.promote()
        await record(new, "first of the new ones", node_type="Deployment")
        await spend(new, 100)
        await record(new, "later")
        await until(lambda: gateway.feed.turns)
        ((entry, _),) = (await anext(followed))[:1]
        assert entry is not None
        assert entry.facts["type"] == "Deployment"
        await new.close()


async def test_what_was_told_out_of_the_log_may_be_lost(pair: Pair) -> None:
    """The gateway has not kept it, and nothing that came later tells of it: it is said that it may be lost."""
    sql = await connect(pair.first.url(CHANGES, ADMIN_ROLE))
    async with listening(pair.url, live_poll=0.2) as gateway:
        async with peer(gateway) as one:
            cursor = (await one.followed(EVENTS)).cursor
        await until(lambda: not gateway.feed.subscribers)
    await record(sql, "in the log")
    async with listening(pair.url, live_poll=0.2) as gateway, peer(gateway) as one, peer(gateway) as other:
        stream, quiet = await one.followed(EVENTS, after=cursor), await other.followed(EVENTS)
        assert await reasons(stream, 1) == ["in the log"]
        await sql.close()
        await asyncio.to_thread(pair.first.stop)
        new = await pair.promote()
        await record(new, "new")
        extensions = await refused(one, stream.id)
        assert await reasons(await one.followed(EVENTS, after=extensions["cursor"]), 1) == ["new"]
        assert await reasons(quiet, 1) == ["new"]
        await new.close()


async def test_a_database_that_is_set_back(pair: Pair) -> None:
    """A server with an older history is not followed; a gateway that is started anew takes it, and says what it is."""
    sql = await connect(pair.first.url(CHANGES, ADMIN_ROLE))
    await asyncio.to_thread(pair.second.promote)
    new = await connect(pair.second.url(CHANGES, ADMIN_ROLE))
    hosts = f"host=127.0.0.1:{pair.second.port}&host=127.0.0.1:{pair.first.port}"
    url = f"postgresql://{GATEWAY_ROLE}@/{CHANGES}?{hosts}"
    async with listening(url, live_poll=0.2) as gateway, peer(gateway) as one:
        stream = await one.followed(EVENTS)
        await record(new, "there")
        assert await reasons(stream, 1) == ["there"]
        await asyncio.to_thread(pair.second.kill)
        await record(sql, "of the past")
        await one.subscribe(EVENTS)
        message = await one.hear()
        assert message["payload"][0]["extensions"]["code"] == "DATABASE_UNAVAILABLE"
    async with listening(url, live_poll=0.2) as gateway, peer(gateway) as one:
        assert (await refused(one, await one.subscribe(EVENTS, after=stream.cursor)))["cursor"] is None
        again = await one.followed(EVENTS)
        await record(sql, "here")
        assert await reasons(again, 1) == ["here"]
    await sql.close()


def test_a_snapshot_is_cut_where_others_begin() -> None:
    assert changelog._cut("5:9:6,8", 7) == "5:7:6"
    assert changelog._cut("5:9:6,8", 20) == "5:9:6,8"
    assert changelog._cut("7:9:7", 6) == "6:6:"
    assert changelog._cut("7:9:", 8) == "7:8:"
