"""A drill of webhooks: a receiver that fails half of the time, and senders that are killed one after the other."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise

import pytest

from db.migrations import setup
from db.store import webhooks as store
from tests.support.databases import Database, connect
from tests.support.process import ROOT, environment
from tests.webhooks.receivers import OK, Post, became, none_waits, receiving

pytestmark = pytest.mark.slow

ROWS, CHANGES = 200, 10
SENDERS = 3
MOST_FAILURES = 4
"""Failures of a message, so that no delay grows long."""
SENDER = """
import asyncio
import sys
from db.engine.connector import Connector
from db.engine.url import database_url, target_of
from db.store import webhooks as store
from gateway.database import engine_for
from gateway.settings import Settings
from gateway.webhooks import sender

store.TAKE_LEASE = store.TAKE_LEASE.replace(f"{store.LEASE_SECONDS:g} seconds", "1 second")
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
"""A process that sends as a gateway's does, with a lease of one second in place of fifteen."""


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


async def test_none_is_lost_each_row_is_in_order_and_doubles_have_one_id(database: Database) -> None:
    dice = random.Random(1)
    sql = await connect(database.admin_url)

    failed: Counter[str] = Counter()

    def answer(post: Post) -> bytes:
        if failed[post.id] == MOST_FAILURES or dice.random() < 0.5:
            return OK
        failed[post.id] += 1
        return b"HTTP/1.1 503 Busy\r\n\r\n"

    async with receiving(answer) as receiver, AsyncExitStack() as stack:
        async with setup.connect(database.owner_url) as connection, connection.begin():
            await store.create(connection, "drill", receiver.url, "lifecycle", {})
        begun = [stack.enter_async_context(process(database.gateway_url)) for _ in range(SENDERS)]
        senders = {one.pid: one for one in await asyncio.gather(*begun)}
        for change in range(CHANGES):
            await sql.executemany(
                "INSERT INTO gateway.lifecycle_events "
                "(change_id, mutation, node_id, node_type, lifecycle, to_state, actor) "
                "VALUES (gen_random_uuid(), 'm', $1, 'Model', 'stage', $2, 'a')",
                [(f"Model:{row}", str(change)) for row in range(ROWS)],
            )
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
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    came: dict[str, list[int]] = defaultdict(list)
    for post in receiver.posts:
        ids[post.data["nodeId"], post.data["toState"]].add(post.id)
        came[post.data["nodeId"]].append(int(post.data["toState"]))
    assert len(killed) == len(set(killed)) == SENDERS - 1
    assert len(ids) == ROWS * CHANGES, "none is lost"
    assert all(len(one) == 1 for one in ids.values()), "each change has one message"
    assert all(before <= after for states in came.values() for before, after in pairwise(states)), "in order"
