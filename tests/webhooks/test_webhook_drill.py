"""A drill of webhooks: a receiver that fails half of the time, and senders that are killed one after the other."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path

import asyncpg
import pytest

from db.migrations import setup
from db.store import webhooks as store
from gateway.webhooks.managing import runs_on
from tests.support.databases import Database, connect
from tests.support.process import ROOT, Gateway, environment
from tests.webhooks.receivers import OK, Post, became, none_waits, receiving

pytestmark = pytest.mark.slow

ROWS, CHANGES = 200, 10
SENDERS = 3
EVENTS = int(os.environ.get("DRILL_WEBHOOKS", "0"))
"""Changes of the drill with whole gateways."""
MOST_FAILURES = 4
"""Failures of a message, so that no delay grows long."""
SENDER = """
import asyncio
import sys
from db.engine.connector import Connector
from db.engine.url import database_url, target_of
from db.store import webhook_queue
from gateway.database import engine_for
from gateway.settings import Settings
from gateway.webhooks import sender

webhook_queue.TAKE_LEASE = webhook_queue.TAKE_LEASE.replace(f"{webhook_queue.LEASE_SECONDS:g} seconds", "1 second")
sender.LOOK_SECONDS, sender.IDLE_SECONDS, sender.CLAIM_MARGIN = 0.2, 0.05, 0.2

async def main():
    settings = Settings(
        webhooks=True, webhook_private=True, webhook_retry_seconds=0.01, webhook_timeout=1.0, live_poll=0.2,
        webhook_connections=32,
    )
    url = database_url(sys.argv[1])
    print("begins", flush=True)
    await sender.WebhookSender(Connector(target_of(url)), engine_for(settings, url, 2, read_only=False), settings).run()

asyncio.run(main())
"""
"""A process that sends as a gateway's does, with a lease of one second in place of eight."""


@asynccontextmanager
async def process(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    one = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SENDER, url, cwd=ROOT, env=environment(), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert one.stdout is not None
        assert await one.stdout.readline() == b"begins\n"
        yield one
    finally:
        if one.returncode is None:
            one.kill()
        await one.communicate()


def failing(dice: random.Random) -> Callable[[Post], bytes]:
    """What answers of a receiver are that fails half of the time, each message a few times at most."""
    failed: Counter[str] = Counter()

    def answer(post: Post) -> bytes:
        if failed[post.id] == MOST_FAILURES or dice.random() < 0.5:
            return OK
        failed[post.id] += 1
        return b"HTTP/1.1 503 Busy\r\n\r\n"

    return answer


async def record(sql: asyncpg.Connection, rows: int, changes: int) -> None:
    """Changes of so many rows, each from state to state."""
    for change in range(changes):
        await sql.executemany(
            "INSERT INTO gateway.lifecycle_events "
            "(change_id, mutation, node_id, node_type, lifecycle, to_state, actor) "
            "VALUES (gen_random_uuid(), 'm', $1, 'Model', 'stage', $2, 'a')",
            [(f"Model:{row}", str(change)) for row in range(rows)],
        )


def check(posts: Sequence[Post], changes: int) -> None:
    """None is lost, each row is in order, and a change that came twice had one id."""
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    came: dict[str, list[int]] = defaultdict(list)
    for post in posts:
        ids[post.data["nodeId"], post.data["toState"]].add(post.id)
        came[post.data["nodeId"]].append(int(post.data["toState"]))
    assert len(ids) == changes, "none is lost"
    assert all(len(one) == 1 for one in ids.values()), "each change has one message"
    assert all(before <= after for states in came.values() for before, after in pairwise(states)), "in order"


async def test_none_is_lost_each_row_is_in_order_and_doubles_have_one_id(database: Database) -> None:
    sql = await connect(database.admin_url)
    async with receiving(failing(random.Random(1))) as receiver, AsyncExitStack() as stack:
        async with setup.connect(database.owner_url) as connection, connection.begin():
            await store.create(runs_on(connection), "drill", receiver.url, "lifecycle", {})
        begun = [stack.enter_async_context(process(database.gateway_url)) for _ in range(SENDERS)]
        senders = {one.pid: one for one in await asyncio.gather(*begun)}
        await record(sql, ROWS, CHANGES)
        killed: list[int] = []
        for seen in (500, 1500):
            await receiver.until(seen, 60.0)
            pid = "split_part(holder, ':', 2)::int"
            await became(sql, f"SELECT FROM gateway.webhook_sender WHERE {pid} <> ALL (ARRAY{killed}::int[])")
            killed.append(await sql.fetchval(f"SELECT {pid} FROM gateway.webhook_sender"))
            senders[killed[-1]].send_signal(signal.SIGKILL)
        await none_waits(sql, 120.0)
        assert await sql.fetchval("SELECT count(*) FROM gateway.live_log WHERE topic = 'lifecycle'") == ROWS * CHANGES
    await sql.close()
    assert len(killed) == len(set(killed)) == SENDERS - 1
    check(receiver.posts, ROWS * CHANGES)


@pytest.mark.skipif(not EVENTS, reason="the long form, of whole gateways: `make drill`")
async def test_whole_gateways_are_killed_in_turn(database: Database, tmp_path: Path) -> None:
    """Two gateways as people run them, with the lease that they have: who sends is killed -9, and begun anew."""
    settings = {
        "DATABASE_URL": database.gateway_url, "GATEWAY_WEBHOOKS": "true", "GATEWAY_WEBHOOK_PRIVATE": "true",
        "GATEWAY_WEBHOOK_RETRY_SECONDS": "0.05", "GATEWAY_WEBHOOK_CONNECTIONS": "32", "GATEWAY_WEBHOOK_TIMEOUT": "5",
    }  # fmt: skip
    sql = await connect(database.admin_url)
    rows, began = EVENTS // CHANGES, time.monotonic()
    gateways: list[Gateway] = []
    async with receiving(failing(random.Random(1))) as one, receiving(failing(random.Random(2))) as other:
        async with setup.connect(database.owner_url) as connection, connection.begin():
            for name, receiver in (("one", one), ("other", other)):
                await store.create(runs_on(connection), name, receiver.url, "lifecycle", {})
        try:
            gateways += [await asyncio.to_thread(Gateway(tmp_path / str(at), **settings).ready) for at in range(2)]
            recording = asyncio.create_task(record(sql, rows, CHANGES))
            looking = await connect(database.admin_url)
            waits = []
            for part in (1, 2, 3):
                await one.until(part * EVENTS // 3, 300.0)
                pid = await looking.fetchval("SELECT split_part(holder, ':', 2)::int FROM gateway.webhook_sender")
                (sender,) = [each for each in gateways if each.process.pid == pid]
                sender.end(signal.SIGKILL)
                since = time.monotonic()
                gateways.remove(sender)
                sender.close()
                holder = "split_part(holder, ':', 2)::int"
                await became(looking, f"SELECT FROM gateway.webhook_sender WHERE {holder} <> {pid}", 60.0)
                waits.append(round(time.monotonic() - since, 1))
                gateways.append(await asyncio.to_thread(Gateway(tmp_path / f"again{part}", **settings).ready))
            await recording
            await none_waits(looking, 600.0)
            await looking.close()
        finally:
            for each in gateways:
                each.close()
    await sql.close()
    for receiver in (one, other):
        check(receiver.posts, rows * CHANGES)
    doubles = len(one.posts) - rows * CHANGES
    print(
        f"\n{rows * CHANGES:,} changes to each of two receivers in {time.monotonic() - began:.0f} s; three gateways "
        f"killed, others took over after {waits} s; {doubles:,} posts of one beyond the first of each"
    )
