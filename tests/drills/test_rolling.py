"""Gateways are restarted one after the other while many ask: none is connected to before it can answer."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from db.embedded.server import ADMIN_ROLE
from tests.cluster.changes import Changers
from tests.cluster.following import following
from tests.cluster.gateways import ask_as
from tests.cluster.judging import judge
from tests.drills import haproxy
from tests.drills.fixtures import DATABASE
from tests.drills.load import REPORT, SECONDS, STABLE, Load, memory
from tests.drills.postgres import Postgres
from tests.support.callers import SECRET
from tests.support.databases import execute
from tests.support.process import Gateway, until

pytestmark = pytest.mark.slow

READERS = 4
"""Clients that read, with pauses: a gateway that starts has the processor beside them."""
SLOWEST = 5.0
"""Seconds that an answer may take in `make drill`, whatever else the machine does."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


def is_connected(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def test_nobody_connects_before_it_can_answer(primary: Postgres, tmp_path: Path) -> None:
    """Whoever comes too early is refused, and asks another one."""
    port = free_port()
    one = Gateway(tmp_path, DATABASE_URL=primary.url(DATABASE), PORT=str(port))
    try:
        until(lambda: is_connected(port) or one.process.poll() is not None)
        connected = datetime.now(UTC)
        one.listening()
        prepared = [line["time"] for line in one.log if line["message"].startswith("serving the database")]
        assert connected >= datetime.fromisoformat(min(prepared)), "the schema is built, the database was looked at"
        assert one.http.get("/readyz").status_code == 200
        assert one.end() in (0, -15)
    finally:
        one.close()


async def test_a_rolling_restart(primary: Postgres, truth: Mapping[str, Any], tmp_path: Path) -> None:
    """One of two gateways ends and begins again under load; the other one, in its turn, would do the same."""
    ports = [free_port(), free_port()]
    url = primary.url(DATABASE)
    running = [Gateway(tmp_path / str(port), DATABASE_URL=url, PORT=str(port)) for port in ports]
    try:
        await asyncio.gather(*(asyncio.to_thread(one.ready) for one in running))
        load = Load("rolling restart", [one.base for one in running], truth)
        async with load.running(running[1].process.pid) as figures:
            assert await asyncio.to_thread(running[0].end) in (0, -15)
            load.healed()
            running[0].close()
            running[0] = Gateway(tmp_path / "again", DATABASE_URL=url, PORT=str(ports[0]))
            await asyncio.to_thread(running[0].ready)
            await load.well_again()
        for one in running:
            assert await asyncio.to_thread(one.end) in (0, -15)
    finally:
        for one in running:
            one.close()
    figures.hold()
    figures.record()
    assert not figures.refused
    assert figures.elsewhere > 0


@pytest.mark.skipif(haproxy.PROGRAM is None, reason="HAProxy is not installed")
async def test_two_gateways_behind_haproxy(primary: Postgres, truth: Mapping[str, Any], tmp_path: Path) -> None:
    """Both are restarted in turn, as an operator does it, while clients read, change and follow: none notices."""
    stable, ports = {query: truth[query] for query in STABLE}, [free_port(), free_port()]
    shared = {
        "DATABASE_URL": primary.url(DATABASE), "GATEWAY_WORKERS": "2", "GATEWAY_DRAIN": str(5 * haproxy.INTERVAL),
        "GATEWAY_AUTH": "jwt", "GATEWAY_JWT_SECRET": SECRET,
    }  # fmt: skip
    starts: list[Start] = []
    running: list[Gateway] = []
    try:
        running += [Gateway(tmp_path / str(port), PORT=str(port), **shared) for port in ports]
        await asyncio.gather(*(asyncio.to_thread(one.ready) for one in running))
        with haproxy.haproxy(free_port(), ports) as balancer:
            await until_up(balancer, 0, 1)
            callers = [ask_as(f"analyst-{number}") for number in range(READERS)]
            load = Load("rolling restart behind HAProxy", balancer.base, stable, READERS, callers=callers, pause=0.2)
            changers = Changers(patient=[balancer.base], impatient=[balancer.base], read_at=balancer.base)
            async with following([balancer.base], 2) as subscribers:
                async with load.running(running[0].process.pid) as figures, changers.running() as ledger:
                    for place, port in enumerate(ports):
                        await asyncio.sleep(SECONDS)
                        assert await asyncio.to_thread(running[place].end) in (0, -15)
                        assert not balancer.is_up(place)
                        running[place].close()
                        begun = time.monotonic()
                        running[place] = Gateway(tmp_path / f"{port}-again", PORT=str(port), **shared)
                        await asyncio.to_thread(running[place].ready)
                        starts.append(Start(time.monotonic() - begun, seconds_of_cpu(running[place].process.pid)))
                        await until_up(balancer, place)
                    await asyncio.sleep(SECONDS)
                judgement = await judge(primary.url(DATABASE, ADMIN_ROLE), ledger, subscribers)
            figures.memory = (figures.memory[0], memory(running[0].process.pid))
        for one in running:
            assert await asyncio.to_thread(one.end) in (0, -15)
    finally:
        for one in running:
            one.close()
        await execute(primary.url(DATABASE, ADMIN_ROLE), "DELETE FROM ml_experiments WHERE prediction_target = 'drill'")
    slowest_change = max(change.acknowledged - change.asked for change in ledger.of("made"))
    figures.more = {
        "changes acknowledged": judgement.acknowledged,
        "changes refused": dict(ledger.refused),
        "of the acknowledged lost": len(judgement.lost),
        "doubled": len(judgement.doubled),
        "not told to a subscriber": len(judgement.missed),
        "told twice to one": judgement.repeated,
        "slowest change in seconds": round(slowest_change, 3),
        "seconds from start to ready, two workers": [round(one.seconds, 1) for one in starts],
        "of the processor": [round(one.cpu, 1) for one in starts],
    }
    figures.hold()
    figures.record()
    judgement.hold()
    assert not figures.refused
    assert not ledger.refused
    assert not ledger.wrong, ledger.wrong[:3]
    assert not ledger.stale, ledger.stale[:3]
    if REPORT is not None:
        assert max(figures.longest, slowest_change) < SLOWEST


@dataclass(frozen=True)
class Start:
    """What a start took until readiness: seconds, and those of the processor."""

    seconds: float
    cpu: float


def seconds_of_cpu(pid: int) -> float:
    """Seconds of the processor that a process and its children have had."""
    first = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in [first, *first.children(recursive=True)])


async def until_up(balancer: haproxy.HAProxy, *places: int) -> None:
    """Waits until these gateways get requests, as an operator does before the next one is restarted."""
    async with asyncio.timeout(60):
        while not all(balancer.is_up(place) for place in places):  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(0.02)
