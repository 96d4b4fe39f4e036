"""Gateways are restarted one after the other while many ask: none is connected to before it can answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
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
