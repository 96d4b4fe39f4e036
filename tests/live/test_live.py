"""Subscriptions: what is told, in which order, and that nothing is lost or doubled, whatever breaks."""

from __future__ import annotations

import asyncio
import random
import socket
import uuid
from contextlib import suppress
from typing import Any

import asyncpg
import pytest
from websockets.exceptions import WebSocketException

from gateway.settings import Settings
from schema.subscriptions import decode, encode
from tests.support.changing import change, model_in, uuid_of
from tests.support.databases import Database, connect, kill_backends
from tests.support.plans import Statement
from tests.support.platform_shaped import IS_PLATFORM
from tests.support.proxy import proxied
from tests.support.sockets import Peer, Stream, listening, peer, until

pytestmark = pytest.mark.slow

UNTOLD = 1 if IS_PLATFORM else 600
"""Seconds between two looks for alerts that nobody tells of; on the platform's database no trigger does."""

EVENTS = """subscription($after: String, $types: [LifecycleType!], $nodeIds: [ID!], $from: [String!], $to: [String!]) {
  lifecycleEvents(after: $after, types: $types, nodeIds: $nodeIds, from: $from, to: $to) {
    cursor event { nodeId fromState toState reason }
  }
}"""
ALERTS = """subscription($after: String, $severity: [DriftSeverity!], $status: [AlertStatus!], $modelId: ID) {
  alerts(after: $after, severity: $severity, status: $status, modelId: $modelId) {
    cursor change alert { title status severity }
  }
}"""


async def record(sql: asyncpg.Connection, reason: str, **columns: str) -> None:
    """An event as the gateway writes it, in whatever transaction the connection is in."""
    values = {"node_id": "Model:x", "node_type": "Model", "to_state": "STAGING"} | columns
    await sql.execute(
        f"INSERT INTO gateway.lifecycle_events (change_id, mutation, lifecycle, actor, reason, {', '.join(values)}) "
        f"VALUES (gen_random_uuid(), 'm', 'stage', 'a', $1, {', '.join(f'${n + 2}' for n in range(len(values)))})",
        reason,
        *values.values(),
    )


async def alert(sql: asyncpg.Connection, title: str, **columns: Any) -> uuid.UUID:
    values = {"severity": "high", "status": "active"} | columns
    casts = {"severity": "drift_severity_enum", "status": "alert_status_enum", "model_id": "uuid"}
    places = ", ".join(f"${n + 2}::text::{casts[name]}" for n, name in enumerate(values))
    key: uuid.UUID = await sql.fetchval(
        f"INSERT INTO ml_monitoring_alerts (alert_type, title, message, {', '.join(values)}) "
        f"VALUES ('error', $1, 'm', {places}) RETURNING id",
        title,
        *(str(value) for value in values.values()),
    )
    return key


async def reasons(stream: Stream, number: int) -> list[str]:
    """The reasons of so many next events."""
    return [(await stream.next())["event"]["reason"] for _ in range(number)]


async def titles(stream: Stream, number: int) -> list[tuple[str, str]]:
    found = [await stream.next() for _ in range(number)]
    return [(one["change"], one["alert"]["title"]) for one in found]


async def resumed(one: Peer, before: Stream, query: str = EVENTS, **variables: Any) -> Stream:
    return await one.followed(query, after=before.cursor, **variables)


# -- what is told ------------------------------------------------------------------------------------------------------


async def test_events_with_their_rows(database: Database, sql: asyncpg.Connection) -> None:
    query = "subscription { lifecycleEvents { cursor event { toState node { ... on Model { stage isChampion } } } } }"
    model = await model_in(sql, "development")
    async with listening(database.gateway_url) as gateway, peer(gateway) as one:
        stream = await one.followed(query)
        await change(gateway.client, "promoteModel", id=model, to="STAGING")
        event = (await stream.next())["event"]
        assert event == {"toState": "STAGING", "node": {"stage": "STAGING", "isChampion": False}}


async def test_nothing_is_told_of_what_is_undone(database: Database, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    async with listening(database.gateway_url) as gateway, peer(gateway) as one:
        stream = await one.followed(EVENTS)
        await change(gateway.client, "promoteModel", id=model, to="STAGING", dryRun=True, reason="only asked")
        await change(gateway.client, "promoteModel", id=model, to="STAGING", reason="done")
        assert await reasons(stream, 1) == ["done"]


async def test_filters_of_events(database: Database, sql: asyncpg.Connection) -> None:
    async with listening(database.gateway_url) as gateway, peer(gateway) as one:
        node = f"Model:{uuid.uuid4()}"
        streams = [
            await one.followed(EVENTS, types=["MonitoringAlert", "Deployment"]),
            await one.followed(EVENTS, nodeIds=[node.upper().replace("MODEL", "Model")]),
            await one.followed(EVENTS, **{"to": ["PRODUCTION"], "from": ["SHADOW"]}),  # type: ignore[arg-type]
        ]
        await record(sql, "plain")
        await record(sql, "deployment", node_type="Deployment")
        await record(sql, "node", node_id=node)
        await record(sql, "move", from_state="SHADOW", to_state="PRODUCTION")
        found: dict[str, list[str]] = {stream.id: [] for stream in streams}
        for _ in streams:
            message = await one.hear()
            found[message["id"]].append(message["payload"]["data"]["lifecycleEvents"]["event"]["reason"])
        assert [found[stream.id] for stream in streams] == [["deployment"], ["node"], ["move"]]


async def test_alerts_of_anybody(database: Database, sql: asyncpg.Connection) -> None:
    """Raised and changed by others than the gateway: every transaction's result is told of, once."""
    await alert(sql, "before")
    async with listening(database.gateway_url, live_poll=UNTOLD) as gateway, peer(gateway) as one:
        stream = await one.followed(ALERTS)
        first = await alert(sql, "first")
        assert await titles(stream, 1) == [("RAISED", "first")]
        await sql.execute("UPDATE ml_monitoring_alerts SET title = 'changed' WHERE id = $1", first)
        assert await titles(stream, 1) == [("CHANGED", "changed")]
        await sql.execute(
            "UPDATE ml_monitoring_alerts SET title = title, updated_at = updated_at"
        )  # the trigger's time
        assert sorted(await titles(stream, 2)) == [("CHANGED", "before"), ("CHANGED", "changed")]
        await change(gateway.client, "acknowledgeAlert", id=str(first))
        assert (await stream.next())["alert"]["status"] == "ACKNOWLEDGED"


async def test_filters_of_alerts(database: Database, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "staging")
    async with listening(database.gateway_url, live_poll=UNTOLD) as gateway, peer(gateway) as one:
        await one.followed(ALERTS, "severe", severity=["CRITICAL"])
        await one.followed(ALERTS, "resolved", status=["RESOLVED", "DISMISSED"])
        await one.followed(ALERTS, "model", modelId=model)
        await alert(sql, "plain")
        await alert(sql, "critical", severity="critical")
        await alert(sql, "resolved", status="resolved")
        await alert(sql, "model", model_id=uuid_of(model))
        found = {
            (message := await one.hear())["id"]: message["payload"]["data"]["alerts"]["alert"]["title"] for _ in "abc"
        }
        assert found == {"severe": "critical", "resolved": "resolved", "model": "model"}


async def test_alerts_that_changed_while_nobody_followed(database: Database, sql: asyncpg.Connection) -> None:
    async with listening(database.gateway_url) as gateway:
        async with peer(gateway) as one:
            stream = await one.followed(ALERTS)
        await until(lambda: not gateway.feed.subscribers)
        key = await alert(sql, "raised")
        await sql.execute("UPDATE ml_monitoring_alerts SET title = 'raised and changed' WHERE id = $1", key)
    async with listening(database.gateway_url) as gateway, peer(gateway) as one:  # another gateway, later
        stream = await resumed(one, stream, ALERTS)
        assert await titles(stream, 1) == [("RAISED", "raised and changed")]


async def test_alerts_of_a_transaction_that_ends_late(database: Database, sql: asyncpg.Connection) -> None:
    """It began before looks that did not see it, and found others that were older and younger."""
    late = await connect(database.admin_url)
    old = await alert(sql, "old")
    async with listening(database.gateway_url, live_poll=UNTOLD) as gateway, peer(gateway) as one:
        stream = await one.followed(ALERTS)
        async with late.transaction():
            await alert(late, "late")
            for n in range(3):
                await alert(sql, str(n))
                assert await titles(stream, 1) == [("RAISED", str(n))]
        assert await titles(stream, 1) == [("RAISED", "late")]
        await sql.execute("UPDATE ml_monitoring_alerts SET title = 'not so old' WHERE id = $1", old)
        assert await titles(stream, 1) == [("CHANGED", "not so old")]
    await late.close()


async def test_restoring_a_dump_changes_no_alert(database: Database, sql: asyncpg.Connection) -> None:
    await alert(sql, "kept")
    async with listening(database.gateway_url, live_poll=UNTOLD) as gateway, peer(gateway) as one:
        stream = await one.followed(ALERTS)
        async with sql.transaction():  # every row is written again as it was, with another xmin
            await sql.execute("CREATE TEMP TABLE dump AS SELECT * FROM ml_monitoring_alerts")
            await sql.execute("DELETE FROM ml_monitoring_alerts")
            await sql.execute("INSERT INTO ml_monitoring_alerts SELECT * FROM dump")
        await alert(sql, "new")
        assert await titles(stream, 1) == [("RAISED", "new")]


# -- order, and transactions that commit out of it ---------------------------------------------------------------------


async def test_commits_out_of_order(database: Database, sql: asyncpg.Connection) -> None:
    """The first writer commits last: its lower position was passed by, and it is told of nevertheless."""
    early, late = await connect(database.admin_url), await connect(database.admin_url)
    async with listening(database.gateway_url) as gateway, peer(gateway) as one:
        stream = await one.followed(EVENTS)
        first, second = early.transaction(), late.transaction()
        await first.start()
        await record(early, "first")
        await second.start()
        await record(late, "second")
        await record(sql, "between")  # commits at once
        assert await reasons(stream, 1) == ["between"]
        passed = stream.cursor
        await second.commit()
        assert await reasons(stream, 1) == ["second"]
        await record(sql, "after")
        assert await reasons(stream, 1) == ["after"]
        await first.commit()
        assert await reasons(stream, 1) == ["first"]
        async with peer(gateway) as other:  # the same from a cursor that had passed the positions by
            again = await other.followed(EVENTS, after=passed)
            assert await reasons(again, 3) == ["first", "second", "after"]
            last = await other.followed(EVENTS, after=stream.cursor)
            await record(sql, "end")
            assert {(await other.hear())["id"] for _ in range(2)} == {again.id, last.id}
    await early.close()
    await late.close()


async def test_a_transaction_that_stays_open_holds_nothing_up(database: Database, sql: asyncpg.Connection) -> None:
    other = await connect(database.admin_url)
    async with other.transaction():
        await other.execute("SELECT pg_current_xact_id()")  # it writes, or may
        async with listening(database.gateway_url) as gateway, peer(gateway) as one:
            stream = await one.followed(EVENTS)
            for n in range(3):
                await record(sql, str(n))
            assert await reasons(stream, 3) == ["0", "1", "2"]
            async with peer(gateway) as second:
                again = await resumed(second, Stream(second, "", stream.cursor))
                await record(sql, "3")
                assert await reasons(again, 1) == ["3"]
    await other.close()


async def test_every_cursor_of_a_transaction_resumes_behind_its_event(
    database: Database, sql: asyncpg.Connection
) -> None:
    async with listening(database.gateway_url) as gateway, peer(gateway) as one:
        stream = await one.followed(EVENTS)
        async with sql.transaction():
            for n in range(5):
                await record(sql, str(n))
        cursors = []
        for _ in range(5):
            await stream.next()
            cursors.append(stream.cursor)
        assert len(set(cursors)) == 5
        async with listening(database.gateway_url) as second, peer(second) as other:  # on another gateway
            for n, cursor in enumerate(cursors):
                again = await other.followed(EVENTS, after=cursor)
                await record(sql, f"end {n}")
                assert await reasons(again, 5 - n + n) == [
                    *map(str, range(n + 1, 5)),
                    *(f"end {m}" for m in range(n + 1)),
                ]
                await other.say(type="complete", id=again.id)


# -- what breaks -------------------------------------------------------------------------------------------------------


async def kill_listeners(sql: asyncpg.Connection) -> int:
    return len(
        await sql.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'e2i-gateway live' "
            "AND datname = current_database()"
        )
    )


async def test_a_killed_listener(database: Database, sql: asyncpg.Connection) -> None:
    """It is made again, and what was written meanwhile is read; the sockets stay open."""
    async with listening(database.gateway_url, live_poll=UNTOLD) as gateway, peer(gateway) as one:
        stream = await one.followed(EVENTS)
        for n in range(3):
            assert await kill_listeners(sql) == 1
            await record(sql, str(n))
            assert await reasons(stream, 1) == [str(n)]
        assert gateway.feed.connections >= 4


async def test_a_notification_that_is_lost(database: Database, sql: asyncpg.Connection) -> None:
    """As behind a pooler in transaction mode: the look from time to time finds what nobody has told of."""
    async with listening(database.gateway_url, live_poll=0.1) as gateway, peer(gateway) as one:
        stream = await one.followed(EVENTS)
        async with sql.transaction():
            await sql.execute("SET LOCAL session_replication_role = replica")  # no triggers
            await record(sql, "silent")
            await sql.execute("""
                INSERT INTO gateway.live_log (topic, facts)
                SELECT 'lifecycle', jsonb_build_object('event', event_id) FROM gateway.lifecycle_events
            """)
        assert await reasons(stream, 1) == ["silent"]


async def test_a_database_that_is_away(database: Database, sql: asyncpg.Connection) -> None:
    """Who follows already waits for it, who begins is told, and afterwards nothing is missing."""
    async with proxied(database.gateway_url) as (proxy, url), listening(url) as gateway, peer(gateway) as one:
        stream = await one.followed(EVENTS)
        proxy.away = True
        await kill_listeners(sql)
        await record(sql, "meanwhile")
        id_ = await one.subscribe(EVENTS)
        message = await one.hear()
        assert (message["id"], message["type"]) == (id_, "error")
        assert message["payload"][0]["extensions"]["code"] == "DATABASE_UNAVAILABLE"
        proxy.away = False
        assert await reasons(stream, 1) == ["meanwhile"]


async def test_rows_that_cannot_be_read_at_the_moment_are_waited_for(
    database: Database, sql: asyncpg.Connection
) -> None:
    """The feed has its connection, the pool has none: the change is told of when its row can be read."""
    direct = database.gateway_url
    async with proxied(direct) as (proxy, url), listening(url, listen_url=direct) as gateway, peer(gateway) as one:
        stream = await one.followed(EVENTS)
        proxy.away = True
        await kill_backends(sql)
        await record(sql, "patience")
        reads = gateway.feed.reads
        await until(lambda: gateway.feed.reads > reads)
        await one.say(type="ping")
        assert await one.hear() == {"type": "pong"}
        proxy.away = False
        assert await reasons(stream, 1) == ["patience"]


async def test_cursors_that_cannot_be_used(database: Database, sql: asyncpg.Connection) -> None:
    async with listening(database.gateway_url, live_hours=1) as gateway, peer(gateway) as one:
        stream = await one.followed(EVENTS)
        place = decode(str(stream.cursor))
        cursors = {
            encode(place._replace(seconds=place.seconds - 3601)): "CURSOR_EXPIRED",
            encode(place._replace(seen="9:999999999:")): "HISTORY_CHANGED",  # of a database that was set back
            encode(place._replace(history="73/1")): "HISTORY_CHANGED",  # of another one
            encode(place._replace(seen="9:3:")): "INVALID_CURSOR",
            encode(place._replace(ahead="9:8:7", position=1)): "INVALID_CURSOR",
            encode(place._replace(seen="9:3")): "INVALID_CURSOR",
            "": "INVALID_CURSOR",
            "bGl2ZQ": "INVALID_CURSOR",
        }
        for cursor, code in cursors.items():
            id_ = await one.subscribe(EVENTS, after=cursor)
            message = await one.hear()
            assert (message["id"], message["type"]) == (id_, "error"), message
            extensions = message["payload"][0]["extensions"]
            assert (extensions["code"], extensions["argument"]) == (code, "after")
        assert await resumed(one, stream)


async def test_more_at_once_than_is_kept_in_memory(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.subscriptions.feed.MOST_AT_ONCE", 10)
    monkeypatch.setattr("gateway.subscriptions.feed.KEPT", 20)
    monkeypatch.setattr("db.store.changelog.PAGE", 7)
    async with listening(database.gateway_url) as gateway, peer(gateway) as one:
        stream = await one.followed(EVENTS)
        await record(sql, "few")
        async with sql.transaction():
            for n in range(25):
                await record(sql, str(n))
        await record(sql, "after")
        assert await reasons(stream, 27) == ["few", *map(str, range(25)), "after"]
        first = stream.cursor
        for n in range(40):
            await record(sql, str(n))
        assert await reasons(stream, 40) == [*map(str, range(40))]
        again = await one.followed(EVENTS, after=first)
        assert await reasons(again, 40) == [*map(str, range(40))]


# -- everything at once ------------------------------------------------------------------------------------------------

WRITERS, TRANSACTIONS, CLIENTS = 6, 120, 3


async def write(url: str, writer: int, seed: int) -> list[str]:
    """Transactions of a few events each, which stay open for a while and are sometimes undone; what was committed."""
    chance = random.Random(seed)
    connection = await connect(url)
    written: list[str] = []
    for number in range(TRANSACTIONS):
        transaction = connection.transaction()
        await transaction.start()
        events = [f"{writer}.{number}.{n}" for n in range(chance.randint(1, 5))]
        for event in events:
            await record(connection, event)
        if chance.random() < 0.3:
            await asyncio.sleep(chance.random() * 0.03)
        if chance.random() < 0.1:
            await transaction.rollback()
        else:
            await transaction.commit()
            written += events
    await connection.close()
    return written


class Follower:
    """Reads all events over connections that break, each time with the cursor of the last one, of any gateway."""

    def __init__(self, addresses: list[str], seed: int) -> None:
        self.heard: list[str] = []
        self.breaks = 0
        self.cursor: str | None = None
        self._addresses = addresses
        self._chance = random.Random(seed)

    async def run(self, last: asyncio.Event) -> None:
        while True:
            with suppress(WebSocketException, OSError):
                async with peer(self._chance.choice(self._addresses)) as one:
                    await one.subscribe(EVENTS, **({} if self.cursor is None else {"after": self.cursor}))
                    for _ in range(self._chance.randint(1, 150)):
                        message = await one.hear()
                        assert message["type"] == "next", message
                        told = message["payload"]["data"]["lifecycleEvents"]
                        self.cursor = told["cursor"]
                        if told["event"] is None:
                            last.set()  # it has begun
                        elif told["event"]["reason"] == "end":
                            return
                        else:
                            self.heard.append(told["event"]["reason"])
                    if self._chance.random() < 0.5:
                        one.connection.transport.abort()
            self.breaks += 1
            await asyncio.sleep(0.02)


async def test_nothing_is_lost_or_doubled(database: Database, sql: asyncpg.Connection) -> None:
    """Writers whose commits overtake each other, followers that lose their connections and change gateways, listeners
    that are killed, and a gateway that is started again."""
    stop = asyncio.Event()

    async def kill() -> None:
        own = await connect(database.admin_url)
        while not stop.is_set():
            await kill_listeners(own)
            await asyncio.sleep(0.3)
        await own.close()

    async def restart(port: int) -> None:
        while not stop.is_set():
            async with listening(database.gateway_url, port=port):
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 3.0)

    async with listening(database.gateway_url) as steady:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        followers = [Follower([steady.address, f"ws://127.0.0.1:{port}/graphql"], seed) for seed in range(CLIENTS)]
        begun = [asyncio.Event() for _ in followers]
        restarts = asyncio.create_task(restart(port))
        following = [asyncio.create_task(one.run(event)) for one, event in zip(followers, begun, strict=True)]
        await asyncio.gather(*(event.wait() for event in begun))
        killing = asyncio.create_task(kill())
        written = await asyncio.gather(*(write(database.admin_url, n, n) for n in range(WRITERS)))
        await record(sql, "end")
        await asyncio.gather(*following)
        stop.set()
        await asyncio.gather(killing, restarts)
        connections = steady.feed.connections
    everything = [event for one in written for event in one]
    assert len(everything) > 1_500
    for follower in followers:
        assert sorted(follower.heard) == sorted(everything)
        for n, one in enumerate(written):  # what one writer commits is told of in its order
            assert [event for event in follower.heard if event.startswith(f"{n}.")] == one
    assert min(follower.breaks for follower in followers) > 5
    assert connections > 3


async def test_what_many_are_told_is_read_once(
    database: Database, sql: asyncpg.Connection, recorded: list[Statement]
) -> None:
    """Subscribers with the same operation and rights share a reading; one with another selection has its own."""
    async with listening(database.gateway_url) as gateway, peer(gateway) as one, peer(gateway) as other:
        streams = [await each.followed(EVENTS) for each in (one, other) for _ in range(5)]
        lone = await other.followed("subscription { lifecycleEvents { cursor event { mutation } } }")
        recorded.clear()
        await record(sql, "shared")
        for stream in streams[:5]:
            assert (await one.hear())["payload"]["data"]["lifecycleEvents"]["event"]["reason"] == "shared", stream
        heard = [(await other.hear())["payload"]["data"]["lifecycleEvents"]["event"] for _ in range(6)]
        assert sorted(len(event) for event in heard) == [1, 4, 4, 4, 4, 4], lone
        assert len([each for each in recorded if "lifecycle_events" in each.text]) == 2


async def test_the_log_of_20_changes_a_second_stays_below_2_gb(database: Database, sql: asyncpg.Connection) -> None:
    """By the size of its rows, indexes included: they are kept for `GATEWAY_LIVE_HOURS`, however long there are any."""
    rows = 5_000
    change = (
        "INSERT INTO gateway.lifecycle_events (change_id, mutation, node_id, node_type, from_state, to_state, "
        "lifecycle, actor, reason) VALUES (gen_random_uuid(), 'promoteModel', 'Model:' || gen_random_uuid(), 'Model', "
        "'SHADOW', 'PRODUCTION', 'stage', 'service:training', 'beats the champion by 0.02 on the holdout')"
    )
    await sql.execute("SET synchronous_commit = off")
    # each in a transaction of its own: indexes hold equal values in less room
    await sql.execute(f"DO $$ BEGIN FOR _ IN 1..{rows} LOOP {change}; COMMIT; END LOOP; END $$")
    size, logged = await sql.fetchrow(
        "SELECT pg_total_relation_size('gateway.live_log'), count(*) FROM gateway.live_log"
    )
    assert logged == rows
    kept = Settings().live_hours * 3600 * 20
    assert size / rows * kept < 2e9
