"""Recording while things break: backends ended at random moments, writers with the same keys in opposite orders.

Short forms; ``DRILL_KILLS=200 DRILL_ROUNDS=100 DRILL_KEYS=1000`` run them longer.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import asyncpg
import httpx
import pytest

from db.engine.transaction import Transaction
from gateway.client import AsyncGateway, RejectedRowsError
from tests.support.changing import add
from tests.support.client import Client, serving
from tests.support.databases import Database, kill_backends
from tests.support.proxy import Moment, proxied

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("DRILL_KILLS", "6"))
ROUNDS = int(os.environ.get("DRILL_ROUNDS", "2"))
KEYS = int(os.environ.get("DRILL_KEYS", "300"))


def asking(client: Client, retries: int = 20) -> AsyncGateway:
    return AsyncGateway("http://localhost", transport=httpx.ASGITransport(client.app), retries=retries)


async def test_backends_that_are_ended_neither_double_nor_part_a_batch(client: Client, sql: asyncpg.Connection) -> None:
    service = str(await add(sql, "ml_bentoml_services"))
    dice = random.Random(17)
    over = asyncio.Event()

    async def kill() -> None:
        for _ in range(KILLS):
            await asyncio.sleep(dice.uniform(0.005, 0.1))
            await kill_backends(sql)
        over.set()

    batches = 0
    killing = asyncio.create_task(kill())
    async with asking(client) as gateway:
        while not over.is_set() or not batches:
            rows = [{"service": {"id": service}, "requestsTotal": batches} for _ in range(200)]
            made = await gateway.record("servingMetrics", rows, key=f"drill/{batches}")
            assert made.inserted == 200
            batches += 1
    await killing
    found = await sql.fetch(
        "SELECT count(*) FROM ml_bentoml_serving_metrics WHERE service_id = $1::text::uuid GROUP BY requests_total",
        service,
    )
    assert [row["count"] for row in found] == [200] * batches


async def test_a_connection_that_is_lost_before_each_statement(
    client: Client, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever it is: the batch is recorded once, by the same key sent again."""
    service = str(await add(sql, "ml_bentoml_services"))
    run, seen, moment = Transaction._run, 0, 0

    async def lost(self: Transaction, statement: str, values: Any) -> Any:
        nonlocal seen
        if seen == moment:
            await sql.execute("SELECT pg_terminate_backend($1)", self._process)
        seen += 1
        return await run(self, statement, values)

    monkeypatch.setattr(Transaction, "_run", lost)
    monkeypatch.setattr("gateway.client.flows.FIRST_PAUSE", 0.01)
    while seen >= moment:
        seen = 0
        rows = [{"service": {"id": service}, "requestsTotal": moment} for _ in range(51)]
        async with asking(client) as gateway:
            made = await gateway.record("servingMetrics", rows, key=f"lost/{moment}")
        assert made.inserted == 51
        moment += 1
    assert moment >= 5
    found = await sql.fetch(
        "SELECT count(*) FROM ml_bentoml_serving_metrics WHERE service_id = $1::text::uuid GROUP BY requests_total",
        service,
    )
    assert [row["count"] for row in found] == [51] * moment
    assert await sql.fetchval("SELECT count(*) FROM gateway.recordings WHERE inserted = 51") == moment


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
async def test_a_connection_that_is_lost_at_the_commit(moment: Moment, own: Database, sql: asyncpg.Connection) -> None:
    """The database is asked what became of it, and the batch is there once."""
    service = str(await add(sql, "ml_bentoml_services"))
    rows = [{"service": {"id": service}} for _ in range(52)]
    async with proxied(own.gateway_url) as (proxy, url), serving(url) as client, asking(client) as gateway:
        proxy.lose = moment
        made = await gateway.record("servingMetrics", rows, key=moment)
        assert (proxy.lost, made.inserted) == (1, 52)
    assert await sql.fetchval(
        "SELECT count(*) FROM ml_bentoml_serving_metrics WHERE service_id = $1::text::uuid", service
    ) == 52  # fmt: skip


async def test_writers_of_the_same_keys_in_opposite_orders(client: Client, sql: asyncpg.Connection) -> None:
    """None of them is told of a conflict or a deadlock."""
    study = str(await add(sql, "ml_hpo_studies"))

    def rows(value: float, step: int) -> list[dict[str, Any]]:
        common = {"study": {"id": study}, "state": "COMPLETE", "params": {}}
        return [{**common, "trialNumber": number, "value": value} for number in range(KEYS)][::step]

    async def write(writer: int) -> None:
        async with asking(client, retries=0) as gateway:
            for turn in range(ROUNDS):
                made = await gateway.record(
                    "hpoTrials", rows(writer + turn / 1000, -1 if writer % 2 else 1), on_conflict="UPDATE"
                )
                assert made.inserted + made.updated + made.kept == KEYS

    await asyncio.gather(*(write(writer) for writer in range(8)))
    counts = await sql.fetchrow(
        "SELECT count(*) AS rows, count(DISTINCT value) AS values FROM ml_hpo_trials WHERE study_id = $1::text::uuid",
        study,
    )
    assert tuple(counts) == (KEYS, 1)


async def test_bad_rows_among_ten_thousand_are_all_named(client: Client, sql: asyncpg.Connection) -> None:
    """Those that the database alone knows of, too."""
    study = str(await add(sql, "ml_hpo_studies"))
    common = {"study": {"id": study}, "state": "COMPLETE", "params": {}}
    taken = sorted(random.Random(5).sample(range(10_000), 20))
    async with asking(client, retries=0) as gateway:
        await gateway.record("hpoTrials", [{**common, "trialNumber": number} for number in taken])
        with pytest.raises(RejectedRowsError) as caught:
            await gateway.record(
                "hpoTrials", [{**common, "trialNumber": number} for number in range(10_000)], size=10_000
            )
    assert [row["row"] for row in caught.value.rows] == taken
    assert await sql.fetchval("SELECT count(*) FROM ml_hpo_trials WHERE study_id = $1::text::uuid", study) == 20
