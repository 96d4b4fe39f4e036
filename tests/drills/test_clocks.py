"""Gateways whose hosts' clocks are a minute ahead of and behind the database's: one graph, by the database's clock."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from tests.live.test_live import EVENTS, alert
from tests.support.databases import Database, connect
from tests.support.process import Gateway
from tests.support.sockets import peer

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(LIBRARY is None, reason="Debian's package faketime is not installed, which sets clocks back"),
]
CHANGE = """mutation ($id: ID!, $key: String!) {
  acknowledgeAlert(input: {id: $id, idempotencyKey: $key}) { __typename ... on TransitionApplied { replayed } } }"""

RESOLVED = """mutation ($id: ID!) {
  resolveAlert(input: {id: $id, resolutionAction: FIXED_DATA, reason: "mended"}) { __typename } }"""


@pytest.fixture
async def sql(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database.admin_url)
    yield connection
    await connection.close()


@pytest.fixture
def gateways(database: Database, tmp_path: Path) -> Iterator[list[Gateway]]:
    """A gateway whose clock is a minute behind the database's, and one that is a minute ahead."""
    with ExitStack() as stack:
        started = []
        for offset in ("-60s", "+60s"):
            gateway = Gateway(
                tmp_path / offset, DATABASE_URL=database.gateway_url, LD_PRELOAD=str(LIBRARY), FAKETIME=offset,
                DONT_FAKE_MONOTONIC="1", GATEWAY_METRICS_PORT="0", NO_COLOR="1",
            )  # fmt: skip
            stack.callback(gateway.close)
            started.append(gateway)
        yield [gateway.ready() for gateway in started]


async def test_now_is_the_databases(gateways: list[Gateway], sql: asyncpg.Connection) -> None:
    """Rows of the last ten seconds are found by gateways for which they are of the last minute, or of the next."""
    key = await alert(sql, "just now")
    for gateway, ahead in zip(gateways, (60, -60), strict=True):
        found = gateway.ask(
            '{ now monitoringAlerts(where: {createdAt: {gt: "now-20s", lte: "now+20s"}}) { nodes { id } } }'
        )
        assert found["monitoringAlerts"]["nodes"] == [{"id": f"MonitoringAlert:{key}"}]
        there = await sql.fetchval("SELECT clock_timestamp()")
        assert abs(datetime.fromisoformat(found["now"]) - there) < timedelta(seconds=20)
        told = [line["message"] for line in gateway.log if "the database's clock is" in line["message"]]
        assert told == [f"the database's clock is 60 s {'ahead of' if ahead > 0 else 'behind'} this host's"]


async def test_a_key_and_a_cursor_are_known_to_both(gateways: list[Gateway], sql: asyncpg.Connection) -> None:
    behind, ahead = gateways
    id_, key = str(await alert(sql, "once")), uuid.uuid4().hex
    async with peer(f"ws{ahead.base.removeprefix('http')}/graphql") as one:
        stream = await one.followed(EVENTS)
        made = behind.ask(CHANGE, id=id_, key=key)["acknowledgeAlert"]
        again = ahead.ask(CHANGE, id=id_, key=key)["acknowledgeAlert"]
        assert [made["replayed"], again["replayed"]] == [False, True]
        assert (await stream.next())["event"]["toState"] == "ACKNOWLEDGED"
    assert ahead.ask(RESOLVED, id=id_)["resolveAlert"]["__typename"] == "TransitionApplied"
    async with peer(f"ws{behind.base.removeprefix('http')}/graphql") as one:
        told = await (await one.followed(EVENTS, after=stream.cursor)).next()
        assert told["event"]["toState"] == "RESOLVED"
