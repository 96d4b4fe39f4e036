"""The gateway ends, or one of its processes dies, while many ask: what is under way is answered, all else elsewhere."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from db.embedded.server import ADMIN_ROLE
from tests.drills.fixtures import CHANGES, DATABASE, gateway
from tests.drills.load import SECONDS, Load, Socket
from tests.drills.postgres import Postgres
from tests.support.databases import execute
from tests.support.process import Gateway, workers

pytestmark = pytest.mark.slow

Truth = Mapping[str, Any]


@pytest.fixture(scope="module")
async def other(primary: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway that goes on, where the clients of those that end may go."""
    async with gateway(tmp_path_factory.mktemp("other"), DATABASE_URL=primary.url(DATABASE)) as one:
        yield one


async def test_a_gateway_is_asked_to_end(primary: Postgres, other: Gateway, truth: Truth, tmp_path: Path) -> None:
    """One of two behind the same clients; none of their requests is lost."""
    async with gateway(tmp_path, DATABASE_URL=primary.url(DATABASE)) as ending:
        load = Load("SIGTERM under load, another gateway beside", [ending.base, other.base], truth)
        async with load.running(ending.process.pid) as figures:
            await asyncio.sleep(SECONDS)
            ending.process.send_signal(signal.SIGTERM)
            load.healed()
            assert await asyncio.to_thread(ending.process.wait, 40) == 0
            await load.well_again()
    figures.memory = (figures.memory[0], 0.0)
    figures.hold()
    figures.record()
    assert not figures.refused
    assert figures.elsewhere > 0


async def test_a_long_answer_is_finished_and_nothing_new_is_begun(primary: Postgres, tmp_path: Path) -> None:
    slow = "ml_monitoring_alerts"
    admin = primary.url(CHANGES, ADMIN_ROLE)
    await execute(
        admin,
        f"ALTER TABLE {slow} RENAME TO {slow}_real",
        f"CREATE VIEW {slow} AS SELECT {slow}_real.* FROM (SELECT pg_sleep(2)) AS s, {slow}_real",
        f"GRANT SELECT ON {slow} TO PUBLIC",
    )
    try:
        async with gateway(tmp_path, DATABASE_URL=primary.url(CHANGES), GATEWAY_COMPILER="off") as one:
            client, idle = Socket(one.base), Socket(one.base)
            await idle.get("/healthz")
            asking = asyncio.create_task(client.post({"query": "{ activeAlertsSummaries { nodes { id } } }"}))
            await asyncio.sleep(0.5)
            one.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
            late = await idle.post({"query": "{ models { totalCount } }"})
            assert (late.status, late.headers["connection"]) == (200, "close")
            try:
                await Socket(one.base).open()
            except ConnectionRefusedError:
                pass
            else:
                raise AssertionError("nobody listens any more")
            answer = await asking
            assert answer.json["data"] == {"activeAlertsSummaries": {"nodes": []}}
            assert await asyncio.to_thread(one.process.wait, 40) == 0
    finally:
        await execute(admin, f"DROP VIEW {slow}", f"ALTER TABLE {slow}_real RENAME TO {slow}")


async def test_a_worker_is_killed_and_all_are_asked_to_end(
    primary: Postgres, other: Gateway, truth: Truth, tmp_path: Path
) -> None:
    """Its connections are lost with what was under way on them, and nothing else; another one takes its place."""
    async with gateway(tmp_path, DATABASE_URL=primary.url(DATABASE), GATEWAY_WORKERS="2") as one:
        load = Load("one of two workers killed", one.base, truth)
        async with load.running(one.process.pid) as figures:
            await asyncio.sleep(SECONDS)
            victim, *_ = workers(one.process.pid)
            victim.kill()
            load.healed()
            async with asyncio.timeout(60):
                while len(set(workers(one.process.pid)) - {victim}) < 2:  # noqa: ASYNC110 - another process's doing
                    await asyncio.sleep(0.05)
            await load.well_again()
        under_way = len(figures.lost)
        assert under_way <= 8, "each client had at most one request under way"
        figures.more = {"of these lost, under way in the killed worker": under_way}
        figures.record()
        figures.lost.clear()
        figures.hold()
        family = psutil.Process(one.process.pid).children(recursive=True)
        load = Load("SIGTERM under load, two workers", [one.base, other.base], truth)
        async with load.running(one.process.pid) as figures:
            await asyncio.sleep(SECONDS)
            one.process.send_signal(signal.SIGTERM)
            load.healed()
            assert await asyncio.to_thread(one.process.wait, 40) in (0, 128 + signal.SIGTERM, -signal.SIGTERM)
            await load.well_again()
        _, left = psutil.wait_procs(family, 20)
        assert not left
    figures.memory = (figures.memory[0], 0.0)
    figures.hold()
    figures.record()
