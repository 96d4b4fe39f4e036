"""Webhooks by the process that sends: what is told, in which order, again until it is taken, once for each change."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from standardwebhooks import Webhook

from db.engine.connector import Connector
from db.engine.url import database_url, target_of
from db.migrations import setup
from db.store import webhook_queue
from db.store import webhooks as store
from db.store.webhooks import Run
from gateway.cli import command_line
from gateway.database import engine_for
from gateway.settings import Settings
from gateway.webhooks import sender as sending
from gateway.webhooks.managing import runs_on
from tests.support.callers import JWT
from tests.support.client import serving
from tests.support.databases import Database, connect
from tests.webhooks.receivers import OK, Post, became, none_waits, receiving

pytestmark = pytest.mark.slow

FAST: dict[str, Any] = {
    "webhooks": True, "webhook_private": True, "webhook_retry_seconds": 0.02, "live_poll": 0.1, "webhook_timeout": 2.0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(sending, "IDLE_SECONDS", 0.02)


@pytest.fixture(scope="module")
async def database(module_database: Database) -> Database:
    return module_database


@pytest.fixture
async def sql(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database.admin_url)
    await connection.execute("DELETE FROM gateway.webhook_endpoints; DELETE FROM gateway.webhook_sender")
    yield connection
    await connection.close()


@asynccontextmanager
async def sender(url: str, **settings: Any) -> AsyncIterator[None]:
    """What sends, without the rest of a gateway."""
    made, target = Settings(**settings), database_url(url)
    engine = engine_for(made, target, 2, read_only=False)
    task = asyncio.create_task(sending.WebhookSender(Connector(target_of(target)), engine, made).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        await engine.dispose()


@asynccontextmanager
async def commands(database: Database) -> AsyncIterator[Run]:
    async with setup.connect(database.owner_url) as connection, connection.begin():
        yield runs_on(connection)


async def create(database: Database, url: str, topic: str = "lifecycle", name: str = "pager", **filters: Any) -> str:
    async with commands(database) as run:
        return await store.create(run, name, url, topic, filters)


async def record(sql: asyncpg.Connection, node: str, *states: str) -> None:
    await sql.executemany(
        "INSERT INTO gateway.lifecycle_events (change_id, mutation, node_id, node_type, lifecycle, to_state, actor) "
        "VALUES (gen_random_uuid(), 'm', $1, 'Model', 'stage', $2, 'a')",
        [(node, state) for state in states],
    )


async def test_a_change_and_an_alert_are_told(database: Database, sql: asyncpg.Connection) -> None:
    async with receiving() as changes, receiving() as alerts:
        secret = await create(database, changes.url, to=["PRODUCTION"])
        await create(database, alerts.url, "alerts", "alerts", severity=["high"])
        async with sender(database.gateway_url, **FAST):
            await record(sql, "Model:a", "STAGING", "PRODUCTION")
            (post,) = await changes.until(1)
            await became(sql, "SELECT FROM gateway.alerts_seen")
            for severity in ("low", "high"):
                await sql.execute(
                    "INSERT INTO ml_monitoring_alerts (alert_type, title, message, severity, status) "
                    "VALUES ('error', 't', 'm', $1::text::drift_severity_enum, 'active')",
                    severity,
                )
            (alert,) = await alerts.until(1)
            await none_waits(sql)
    told = Webhook(secret).verify(post.body, post.headers)
    assert told["type"] == "lifecycle.changed"
    assert {name: told["data"][name] for name in ("nodeId", "nodeType", "fromState", "toState")} == {
        "nodeId": "Model:a", "nodeType": "Model", "fromState": None, "toState": "PRODUCTION",
    }  # fmt: skip
    assert uuid.UUID(told["data"]["eventId"].removeprefix("LifecycleEvent:"))
    assert (alert.data["severity"], alert.data["status"], alert.data["modelId"]) == ("HIGH", "ACTIVE", None)
    assert len(changes.posts) == len(alerts.posts) == 1


async def test_the_moment_of_a_message_is_never_ahead_of_its_change(
    database: Database, sql: asyncpg.Connection
) -> None:
    async with receiving() as receiver:
        await create(database, receiver.url)
        at = await sql.fetchval(
            "INSERT INTO gateway.live_log (topic, timeline, facts, recorded_at) "
            "SELECT 'lifecycle', gateway.timeline(), "
            "jsonb_build_object('event', 'e', 'node', 'Model:m', 'type', 'Model', 'from', NULL, 'to', 'STAGING'), "
            "date_trunc('second', now()) + interval '1.9 seconds' RETURNING recorded_at"
        )
        async with sender(database.gateway_url, **FAST):
            (post,) = await receiver.until(1)
            await none_waits(sql)
    assert json.loads(post.body)["timestamp"] == at.strftime("%Y-%m-%dT%H:%M:%SZ")


def senders() -> int:
    """How many senders run in this process."""
    found = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return found.count("WebhookSender.run")


async def until_said(caplog: pytest.LogCaptureFixture, what: str) -> None:
    async with asyncio.timeout(20):
        while True:
            if what in caplog.text:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("may", [True, False])
async def test_a_gateway_sends_where_it_may(
    database: Database, sql: asyncpg.Connection, caplog: pytest.LogCaptureFixture, *, may: bool
) -> None:
    """One that may not needs none of the tables, and does nothing; one that may does without them, and says so once."""
    tables = ("webhook_endpoints", "webhook_messages", "webhook_sender")
    async with receiving() as receiver:
        await create(database, receiver.url)
        await sql.execute("; ".join(f"ALTER TABLE gateway.{name} RENAME TO {name}_away" for name in tables))
        try:
            async with serving(database.gateway_url, **FAST | {"webhooks": may}) as gateway:
                assert senders() == may
                if may:
                    await until_said(caplog, "webhooks cannot be sent")
                assert await gateway.data("{ experiments(first: 1) { totalCount } }")
                await sql.execute("; ".join(f"ALTER TABLE gateway.{name}_away RENAME TO {name}" for name in tables))
                if may:
                    await record(sql, "Model:w", "STAGING")
                    await receiver.until(1)
                    told = {one.name: one.samples for one in gateway.app.state.metrics.families()}
                    assert told["e2i_webhook_sender"][0].value == 1.0
        finally:
            for name in tables:
                await sql.execute(f"ALTER TABLE IF EXISTS gateway.{name}_away RENAME TO {name}")
    assert caplog.text.count("webhooks cannot be sent") == may
    assert senders() == 0


async def test_policies_that_hide_alerts_are_told_of_and_changes_go_on(
    database: Database, sql: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    settings = FAST | JWT | {"rls": True}
    await sql.execute("ALTER TABLE ml_monitoring_alerts ENABLE ROW LEVEL SECURITY")
    try:
        async with receiving() as receiver:
            await create(database, receiver.url)
            await create(database, receiver.url, "alerts", "alerts")
            async with sender(database.gateway_url, **settings):
                for state in ("STAGING", "PRODUCTION"):
                    await record(sql, "Model:l", state)
                await receiver.until(2)
                await none_waits(sql)
    finally:
        await sql.execute("ALTER TABLE ml_monitoring_alerts DISABLE ROW LEVEL SECURITY")
    assert caplog.text.count("webhooks are told of no alerts") == 1
    assert "BYPASSRLS" in caplog.text


async def test_what_waits_too_long_for_a_paused_receiver_is_given_up(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "_PRUNE_SECONDS", 0.05)
    async with receiving() as receiver:
        await create(database, receiver.url)
        async with commands(database) as run:
            await store.pause(run, "pager")
        async with sender(database.gateway_url, **FAST | {"webhook_retry_hours": 0.05 / 3600}):
            await record(sql, "Model:q", "STAGING")
            await became(sql, "SELECT FROM gateway.webhook_messages WHERE failure = 'the receiver was paused'")
            await none_waits(sql)
            async with commands(database) as run:
                await store.resume(run, "pager")
                assert await store.send_again(run, "pager", None, 1.0) == 1
            await receiver.until(1)


def every_other() -> Callable[[Post], bytes]:
    """Fails each message the first time, and takes it the second."""
    seen: set[str] = set()

    def answer(post: Post) -> bytes:
        if post.id in seen:
            return OK
        seen.add(post.id)
        return b"HTTP/1.1 500 No\r\n\r\n"

    return answer


async def test_each_row_in_order_though_each_message_fails_once(database: Database, sql: asyncpg.Connection) -> None:
    async with receiving(every_other()) as receiver:
        await create(database, receiver.url)
        for number in range(5):
            await record(sql, f"Model:{number}", *(str(step) for step in range(6)))
        async with sender(database.gateway_url, **FAST):
            await receiver.until(60)
            await none_waits(sql)
    came: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for post in receiver.posts:
        came[post.data["nodeId"]].append((post.data["toState"], post.id))
    for posts in came.values():
        assert [state for state, _ in posts] == [str(step) for step in range(6) for _ in range(2)]
        assert len({id_ for _, id_ in posts}) == 6, "both attempts of a message have its id"


async def test_one_that_hangs_holds_up_nobody_else(database: Database, sql: asyncpg.Connection) -> None:
    async def hang(_post: Post) -> bytes:
        await asyncio.Event().wait()
        return OK

    async with receiving(hang) as slow, receiving() as quick:
        await create(database, slow.url, name="slow")
        await create(database, quick.url, name="quick")
        async with sender(database.gateway_url, **FAST | {"webhook_timeout": 300.0, "webhook_connections": 2}):
            for number in range(20):
                await record(sql, f"Model:h{number}", "STAGING")
            await quick.until(20)
            await slow.until(2)
            assert len(slow.posts) == 2, "a receiver has so many connections at most"


async def test_given_up_and_sent_again(database: Database, sql: asyncpg.Connection) -> None:
    answers = {"status": b"HTTP/1.1 500 No\r\n\r\n"}
    async with receiving(lambda _post: answers["status"]) as receiver:
        await create(database, receiver.url)
        async with sender(database.gateway_url, **FAST | {"webhook_retry_hours": 0.05 / 3600}):
            await record(sql, "Model:d", "STAGING")
            await became(sql, "SELECT FROM gateway.webhook_messages WHERE dead_at IS NOT NULL")
            async with commands(database) as run:
                (dead,) = await store.kept(run, "pager", dead=True)
                assert (dead.row, dead.failure) == ("Model:d", "the receiver answered 500")
                answers["status"] = OK
                with pytest.raises(store.WebhookError, match="there is no dead message nope"):
                    await store.send_again(run, "pager", "nope", 1.0)
                assert await store.send_again(run, "pager", dead.id, 1.0) == 1
            before = len(receiver.posts)
            await receiver.until(before + 1)
            await none_waits(sql)
    assert {post.id for post in receiver.posts} == {dead.id}


async def test_of_a_row_the_oldest_is_sent_also_where_it_was_dead_when_others_were_found(
    database: Database, sql: asyncpg.Connection
) -> None:
    await create(database, "https://x.example/hook")
    await sql.execute(
        "INSERT INTO gateway.webhook_messages "
        "(message_id, endpoint, row_id, position, body, give_up_at, dead_at, next_at) "
        "SELECT 'msg_' || n, 'pager', 'Model:' || (n / 2), n, '{}', now() + interval '1 day', "
        "CASE n WHEN 2 THEN now() END, now() - interval '1 second' FROM generate_series(2, 5) AS n"
    )
    connection = await connect(database.gateway_url)
    try:
        found = await webhook_queue.due(connection, "pager", 10)
        assert found == ["msg_3", "msg_4"], "the first that waits of each row"
        async with commands(database) as run:
            assert await store.send_again(run, "pager", "msg_2", 1.0) == 1
        assert [one.id for one in await webhook_queue.claim(connection, found, 60.0)] == ["msg_4"]
        assert await webhook_queue.claim(connection, found, 60.0) == [], "each is claimed once"
        assert await webhook_queue.due(connection, "pager", 10) == ["msg_2"]
        async with commands(database) as run:
            await store.pause(run, "pager")
        assert (
            await webhook_queue.due(connection, "pager", 10)
            == await webhook_queue.claim(connection, ["msg_2"], 60.0)
            == []
        )
    finally:
        await connection.close()


async def test_gone_is_paused_and_can_be_resumed(database: Database, sql: asyncpg.Connection) -> None:
    answers = {"status": b"HTTP/1.1 410 Gone\r\n\r\n"}
    async with receiving(lambda _post: answers["status"]) as receiver:
        await create(database, receiver.url)
        async with sender(database.gateway_url, **FAST):
            await record(sql, "Model:g", "STAGING")
            await became(sql, "SELECT FROM gateway.webhook_endpoints WHERE paused_at IS NOT NULL")
            async with commands(database) as run:
                (one,) = await store.listed(run)
                assert (one.paused_because, one.waiting) == ("the receiver answered 410 Gone", 1)
                answers["status"] = OK
                await store.resume(run, "pager")
            await none_waits(sql)
    assert len(receiver.posts) == 2


async def test_a_secret_is_rotated_without_a_gap(database: Database, sql: asyncpg.Connection) -> None:
    async with receiving() as receiver:
        old = await create(database, receiver.url)
        async with commands(database) as run:
            new = await store.rotate(run, "pager", 1.0)
            with pytest.raises(store.WebhookError, match="one of three would not"):
                await store.rotate(run, "pager", 1.0)
        async with sender(database.gateway_url, **FAST):
            await record(sql, "Model:r", "STAGING")
            await receiver.until(1)
            async with commands(database) as run:
                await store.end_rotation(run, "pager")
                with pytest.raises(store.WebhookError, match="no rotation to end"):
                    await store.end_rotation(run, "pager")
            await record(sql, "Model:r", "PRODUCTION")
            await receiver.until(2)
            async with commands(database) as run:
                newest = await store.rotate(run, "pager", 0.0)
            await record(sql, "Model:r", "ARCHIVED")
            first, second, third = await receiver.until(3)
    for secret in (old, new):
        Webhook(secret).verify(first.body, first.headers)
    for secret, post in ((new, second), (newest, third)):  # who has the new one is never without a signature by it
        Webhook(secret).verify(post.body, post.headers)
        assert " " not in post.headers["webhook-signature"]


async def test_one_of_two_sends_and_the_other_takes_over(database: Database, sql: asyncpg.Connection) -> None:
    async with receiving(every_other()) as receiver:
        await create(database, receiver.url)
        async with sender(database.gateway_url, **FAST) as _second:
            async with sender(database.gateway_url, **FAST) as _first:
                await record(sql, "Model:t", *map(str, range(10)))
                await receiver.until(5)
                holders = await sql.fetch("SELECT DISTINCT holder FROM gateway.webhook_sender")
                assert len(holders) == 1
            await record(sql, "Model:t", *map(str, range(10, 20)))
            await receiver.until(40)
            await none_waits(sql)
    states = list(dict.fromkeys(post.data["toState"] for post in receiver.posts))
    assert states == [str(step) for step in range(20)]
    assert len({post.id for post in receiver.posts}) == 20


async def ended_while(url: str, reached: asyncio.Event, **settings: Any) -> None:
    """Runs a sender until it is in the middle of something, and ends it there in an orderly way."""
    async with sender(url, **settings):
        async with asyncio.timeout(20):
            await reached.wait()


@pytest.mark.parametrize("middle", ["taking", "connecting"])
async def test_the_lease_is_given_back_wherever_a_sender_is_ended(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, middle: str
) -> None:
    """After the lease was taken, before its answer was read or a connection of the sender's own was open."""
    reached = asyncio.Event()
    take = sending.WebhookSender._take

    async def without_end(*_arguments: Any, **_named: Any) -> None:
        reached.set()
        await asyncio.Event().wait()

    async def taken(self: sending.WebhookSender) -> bool:
        await take(self)
        self._may_hold = True  # as before the answer
        await without_end()
        return True

    await create(database, "http://127.0.0.1:9/", name="nobody")
    with monkeypatch.context() as changed:
        if middle == "taking":
            changed.setattr(sending.WebhookSender, "_take", taken)
        else:
            changed.setattr(sending.changelog, "connect", without_end)
        await ended_while(database.gateway_url, reached, **FAST)
    assert await sql.fetch("SELECT holder, held_until FROM gateway.webhook_sender") == [(None, None)]


async def test_a_sender_that_cannot_connect_leaves_the_lease_to_others(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the pool's connections and no other, as where a role's connections are used up."""
    connecting, fails = sending.changelog.connect, asyncio.Event()

    async def once(*arguments: Any, **named: Any) -> asyncpg.Connection:
        if not fails.is_set():
            fails.set()
            raise OSError("no more connections")
        return await connecting(*arguments, **named)

    monkeypatch.setattr(sending.changelog, "connect", once)
    monkeypatch.setattr(sending, "LOOK_SECONDS", 300.0)
    async with receiving() as receiver:
        await create(database, receiver.url)
        async with sender(database.gateway_url, **FAST):
            await asyncio.wait_for(fails.wait(), 20)
            await became(sql, "SELECT FROM gateway.webhook_sender WHERE holder IS NULL")
            async with sender(database.gateway_url, **FAST):
                await record(sql, "Model:c", "STAGING")
                await receiver.until(1)


@pytest.mark.parametrize("middle", ["sending", "claiming"])
async def test_a_message_whose_attempt_is_cut_off_is_due_at_once(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, middle: str
) -> None:
    """By the end of the sender; its claim would last for minutes."""
    reached = asyncio.Event()
    claim = webhook_queue.claim
    monkeypatch.setattr(sending, "GRACE_SECONDS", 0.2)

    async def hang(_post: Post) -> bytes:
        reached.set()
        await asyncio.Event().wait()
        return OK

    async def claimed(*arguments: Any) -> list[webhook_queue.Claim]:
        found = await claim(*arguments)
        if found:
            reached.set()
            await asyncio.Event().wait()
        return found

    slow = FAST | {"webhook_timeout": 200.0}
    async with receiving(hang) as hanging, receiving() as receiver:
        await create(database, hanging.url)
        with monkeypatch.context() as changed:
            if middle == "claiming":
                changed.setattr(webhook_queue, "claim", claimed)
            task = asyncio.create_task(ended_while(database.gateway_url, reached, **slow))
            await became(sql, "SELECT FROM gateway.webhook_sender WHERE place IS NOT NULL")
            await record(sql, "Model:m", "STAGING")
            await task
        assert await sql.fetchval("SELECT count(*) FROM gateway.webhook_messages WHERE next_at <= now()") == 1
        await sql.execute("UPDATE gateway.webhook_endpoints SET url = $1", receiver.url)
        async with sender(database.gateway_url, **slow):
            await receiver.until(1)


async def test_one_that_is_stopped_in_a_transaction_is_passed_over(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by SIGSTOP, or by a network that drops everything: its connection stays, with the lock of the lease."""
    monkeypatch.setattr(webhook_queue, "LEASE_SECONDS", 0.5)
    stopped = await connect(database.gateway_url)
    async with receiving() as receiver:
        await create(database, receiver.url)
        assert await sql.fetchval(webhook_queue.TAKE_LEASE, "stopped")
        await sql.execute("UPDATE gateway.webhook_sender SET held_until = now()")
        await stopped.execute("BEGIN")
        await webhook_queue.place_of(stopped, "stopped")
        async with sender(database.gateway_url, **FAST):
            await record(sql, "Model:t", "A")
            await receiver.until(1)
    stopped.terminate()


async def test_what_a_private_network_is_told(
    database: Database, sql: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gateway")
    async with receiving() as receiver:
        secret = await create(database, receiver.url.replace("http:", "https:"))
        async with sender(database.gateway_url, **FAST | {"webhook_private": False}):
            await record(sql, "Model:p", "STAGING")
            await became(sql, "SELECT FROM gateway.webhook_messages WHERE failure LIKE '%private address 127.0.0.1%'")
        assert not receiver.posts
    assert secret not in caplog.text
    assert secret.removeprefix("whsec_") not in caplog.text


def command(database: Database, *arguments: str) -> None:
    options = command_line._parser().parse_args(["webhooks", *arguments])
    assert options.run(options, Settings(database_url=database.owner_url)) == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("create", "a", "http://x.example", "--topic", "alerts"), "must begin with https"),
        (("create", "a", "https://x.example", "--topic", "alerts", "--severity", "huge"), "huge: it is one of"),
        (("create", "a", "https://x.example", "--topic", "alerts", "--type", "Model"), "types is no filter of alerts"),
        (("create", "a", "https://x.example", "--topic", "lifecycle", "--type", "Modle"), "there is no such type"),
        (("create", "a", "https://127.0.0.1/x", "--topic", "lifecycle"), "has the private address 127.0.0.1"),
        (("create", "a", "https://[::ffff:10.0.0.1]/x", "--topic", "lifecycle"), "has the private address"),
        (("create", "a b", "https://x.example", "--topic", "lifecycle"), "is not a valid name"),
        (("rotate", "nobody"), "there is no webhook called nobody"),
        (("rotate", "nobody", "--hours", "-1"), "out of range"),
        (("resend", "nobody"), "there is no webhook called nobody"),
        (("remove", "nobody"), "there is no webhook called nobody"),
    ],
)
def test_commands_that_are_refused(database: Database, arguments: tuple[str, ...], why: str) -> None:
    with pytest.raises(store.WebhookError, match=why):
        command(database, *arguments)


def test_a_secret_is_shown_once(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    command(database, "create", "shown", "https://x.example/hook", "--topic", "lifecycle", "--to", "PRODUCTION")
    secret = capsys.readouterr().out.strip()
    assert secret.startswith("whsec_")
    with pytest.raises(store.WebhookError, match="there is a webhook called shown"):
        command(database, "create", "shown", "https://x.example/hook", "--topic", "alerts")
    command(database, "pause", "shown")
    command(database, "list")
    listed = capsys.readouterr().out
    assert "paused by hand" in listed
    assert "to=['PRODUCTION']" in listed
    assert secret not in listed
    command(database, "rotate", "shown")
    assert capsys.readouterr().out.strip() not in {"", secret}
    command(database, "remove", "shown")
