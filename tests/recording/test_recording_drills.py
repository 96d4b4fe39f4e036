"""Recording while things break: backends ended at random moments, writers with the same keys in opposite orders.

Short forms; ``DRILL_KILLS=200 DRILL_ROUNDS=100`` run them longer.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import asyncpg
import httpx
import pytest

from gateway.client import AsyncGateway, RejectedRowsError
from tests.support.changing import add
from tests.support.client import Client
from tests.support.databases import kill_backends

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("DRILL_KILLS", "6"))
ROUNDS = int(os.environ.get("DRILL_ROUNDS", "2"))


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


async def test_writers_of_the_same_keys_in_opposite_orders(client: Client, sql: asyncpg.Connection) -> None:
    """None of them is told of a conflict or a deadlock."""
    study = str(await add(sql, "ml_hpo_studies"))

    def rows(value: float, step: int) -> list[dict[str, Any]]:
        common = {"study": {"id": study}, "state": "COMPLETE", "params": {}}
        return [{**common, "trialNumber": number, "value": value} for number in range(300)][::step]

    async def write(writer: int) -> None:
        async with asking(client, retries=0) as gateway:
            for turn in range(ROUNDS):
                made = await gateway.record(
                    "hpoTrials", rows(writer + turn / 1000, -1 if writer % 2 else 1), on_conflict="UPDATE"
                )
                assert made.inserted + made.updated + made.kept == 300

    await asyncio.gather(*(write(writer) for writer in range(8)))
    counts = await sql.fetchrow(
        "SELECT count(*) AS rows, count(DISTINCT value) AS values FROM ml_hpo_trials WHERE study_id = $1::text::uuid",
        study,
    )
    assert tuple(counts) == (300, 1)


async def test_bad_rows_among_ten_thousand_are_all_named(client: Client, sql: asyncpg.Connection) -> None:
    """Those that the database alone knows of, too: they are found by halving."""
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
