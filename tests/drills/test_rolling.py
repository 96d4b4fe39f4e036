"""Gateways are restarted one after the other while many ask: none is connected to before it can answer."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.drills.fixtures import DATABASE
from tests.drills.load import Load
from tests.drills.postgres import Postgres
from tests.support.process import Gateway, until

pytestmark = pytest.mark.slow


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


@pytest.mark.parametrize("workers", [1, 2])
def test_nobody_connects_before_it_can_answer(primary: Postgres, tmp_path: Path, workers: int) -> None:
    """Whoever comes too early is refused, and asks another one."""
    port = free_port()
    one = Gateway(tmp_path, DATABASE_URL=primary.url(DATABASE), PORT=str(port), GATEWAY_WORKERS=str(workers))
    try:
        until(lambda: is_connected(port) or one.process.poll() is not None)
        assert "serving the database" in one.output, one.output
        assert one.http.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        one.look()
        assert one.end() in (0, -15)
    finally:
        one.close()


async def test_a_rolling_restart(primary: Postgres, truth: Mapping[str, Any], tmp_path: Path) -> None:
    """Two gateways of two workers, restarted in turn under load."""
    ports = [free_port(), free_port()]
    bases = [f"http://127.0.0.1:{port}" for port in ports]

    async with AsyncExitStack() as stack:

        async def begun(number: int) -> Gateway:
            one = Gateway(
                tmp_path / str(number), DATABASE_URL=primary.url(DATABASE), PORT=str(ports[number]), GATEWAY_WORKERS="2"
            )
            stack.callback(one.close)
            await asyncio.to_thread(one.ready)
            return one

        running = [await begun(number) for number in range(2)]
        load = Load("rolling restart of two gateways", bases, truth)
        async with load.running(running[0].process.pid) as figures:
            for number in range(2):
                running[number].process.send_signal(signal.SIGTERM)
                load.healed()
                assert await asyncio.to_thread(running[number].process.wait, 60) in (0, -15)
                running[number] = await begun(number)
            await load.well_again()
        for one in running:
            assert await asyncio.to_thread(one.end) in (0, -15)
    figures.memory = (figures.memory[0], 0.0)
    figures.hold()
    figures.record()
    assert not figures.refused
    assert figures.elsewhere > 0
    print(f"slowest answer {figures.longest:.2f} s, {figures.right} right, {figures.elsewhere} went elsewhere")
