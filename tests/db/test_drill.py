"""Many clients, the same rows, and backends that die: short here, 50 clients for 30 seconds by ``make drill``.

On our own database, on an attached one with the platform's triggers, and on one that has none.
"""

from __future__ import annotations

import os

import pytest

from db.attach.attach import attach
from tests.support.client import serving
from tests.support.databases import Clone, Database, connect, execute
from tests.support.drill import drill, report

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("DRILL_SECONDS", "2"))
CLIENTS = int(os.environ.get("DRILL_CLIENTS", "12"))
KILL_EVERY = 0.2


async def fought(database: Database, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(database.gateway_url) as client:
        score = await drill(client, database, clients=CLIENTS, seconds=SECONDS, kill_every=KILL_EVERY)
    if "DRILL_SECONDS" in os.environ:
        with capsys.disabled():
            print(f"\n{name}: {CLIENTS} clients\n{report(score, SECONDS)}")
    assert score.acknowledged
    assert score.kills
    assert set(score.errors) <= {"DATABASE_UNAVAILABLE", "OUTCOME_UNKNOWN", "OVERLOADED", "CONFLICT"}


async def test_our_own_database(template: Database, clone: Clone, capsys: pytest.CaptureFixture[str]) -> None:
    async with clone(template) as database:
        await fought(database, "our own database", capsys)


async def test_an_attached_database(
    platform_template: Database, clone: Clone, capsys: pytest.CaptureFixture[str]
) -> None:
    async with clone(platform_template) as database:
        await attach(database.admin_url)
        await fought(database, "an attached database", capsys)


async def test_an_attached_database_that_keeps_nothing_itself(
    platform_template: Database, clone: Clone, capsys: pytest.CaptureFixture[str]
) -> None:
    """No trigger and no constraint: that there is one champion is the gateway's doing alone."""
    async with clone(platform_template) as database:
        await attach(database.admin_url)
        await execute(database.admin_url, "ALTER TABLE ml_model_registry DISABLE TRIGGER USER")
        connection = await connect(database.admin_url)
        constraints = "SELECT count(*) FROM pg_constraint WHERE conname = 'single_champion'"
        assert await connection.fetchval(constraints) == 0
        await connection.close()
        await fought(database, "an attached database without triggers", capsys)
