"""Clients that read slowly, stop in the middle of a request, or stay connected by the thousand and ask nothing."""

from __future__ import annotations

import asyncio
import resource
import socket
import statistics
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import psutil
import pytest

from tests.drills.fixtures import DATABASE, gateway
from tests.drills.load import SECONDS, Load, Socket, memory
from tests.drills.postgres import Postgres
from tests.support.process import Gateway

pytestmark = pytest.mark.slow

IDLE = 2_000
METRICS = "id rowVersion recordedAt requestsTotal avgLatencyMs p99LatencyMs"


def large(times: int) -> str:
    """A query whose answer is 65 KB for each time."""
    one = f"bentoServices(first: 10) {{ nodes {{ metrics(first: 500) {{ nodes {{ {METRICS} }} }} }} }}"
    return "{ " + " ".join(f"m{n}: {one}" for n in range(times)) + " }"


LARGE = large(12)
MORE_THAN_KERNELS_KEEP = large(80)
"""For a client that reads nothing; the gateway's end of a connection keeps up to 4 MB."""
Truth = Mapping[str, Any]


@pytest.fixture(scope="module")
async def one(primary: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path_factory.mktemp("clients"), DATABASE_URL=primary.url(DATABASE)) as started:
        yield started


def raw(base: str, query: str) -> bytes:
    """A request as it goes over the wire."""
    body = orjson.dumps({"query": query})
    head = f"POST /graphql HTTP/1.1\r\nhost: {urlsplit(base).netloc}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def connected(base: str, received: int | None = None) -> socket.socket:
    """A connection whose kernel keeps only so many bytes that nobody has read."""
    where = urlsplit(base)
    made = socket.socket()
    if received is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, received)
    made.setblocking(False)  # noqa: FBT003 - as the function has it
    await asyncio.get_running_loop().sock_connect(made, (where.hostname, where.port))
    return made


async def median(base: str, query: str, times: int = 60) -> float:
    """Seconds, the median of one client's requests one after the other."""
    client, taken = Socket(base), []
    for _ in range(times):
        started = time.perf_counter()
        assert (await client.post({"query": query})).status == 200
        taken.append(time.perf_counter() - started)
    client.close()
    return statistics.median(taken)


async def test_slow_readers_and_half_requests_cost_nobody_else_anything(one: Gateway, truth: Truth) -> None:
    """Connections to the database go back before the answer is read, so twenty who never read hold none of ten."""
    loop = asyncio.get_running_loop()
    load = Load("slow-reading and half-open clients", one.base, truth)
    async with load.running(one.process.pid) as figures:
        slow = [await connected(one.base, 2048) for _ in range(20)]
        for each in slow:
            await loop.sock_sendall(each, raw(one.base, LARGE))
        half = [await connected(one.base) for _ in range(20)]
        for number, each in enumerate(half):
            await loop.sock_sendall(each, raw(one.base, LARGE)[: 10 + 20 * number])
        await asyncio.sleep(2 * SECONDS)
        answers = [b"".join([part async for part in _slowly(each)]) for each in slow]
        for each in (*slow, *half):
            each.close()
        await asyncio.sleep(SECONDS)
    figures.more = {"clients that read slowly": len(slow), "clients that stop half-way": len(half)}
    figures.hold()
    figures.record()
    assert not figures.refused
    data = [orjson.loads(answer)["data"] for answer in answers]
    assert data == [data[0]] * len(slow), "each of them has the whole answer in the end"
    assert len(answers[0]) > 500_000


async def _slowly(one: socket.socket, pause: float = 0.0) -> AsyncIterator[bytes]:
    """The body of an answer, a little at a time."""
    loop = asyncio.get_running_loop()
    found = b""
    while b"\r\n\r\n" not in found:
        found += await loop.sock_recv(one, 512)
    head, _, body = found.partition(b"\r\n\r\n")
    length = next(int(line[16:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: "))
    yield body
    left = length - len(body)
    while left:
        part = await loop.sock_recv(one, 4096)
        assert part, "the answer was cut"
        left -= len(part)
        yield part
        await asyncio.sleep(pause)


async def test_connections_that_hang_are_let_go(primary: Postgres, tmp_path: Path) -> None:
    """Whoever says nothing, half of what he asks, or reads nothing of his answer; who reads slowly may go on."""
    loop = asyncio.get_running_loop()
    settings = {"GATEWAY_CLIENT_TIMEOUT": "0.6", "GATEWAY_KEEP_ALIVE": "0.3"}
    async with gateway(tmp_path, DATABASE_URL=primary.url(DATABASE), **settings) as one, asyncio.timeout(60):
        process = psutil.Process(one.process.pid)
        files = process.num_fds()
        silent, half, never, slow = [await connected(one.base, 2048) for _ in range(4)]
        await loop.sock_sendall(half, raw(one.base, LARGE)[:40])
        await loop.sock_sendall(never, raw(one.base, MORE_THAN_KERNELS_KEEP))
        await loop.sock_sendall(slow, raw(one.base, LARGE))
        read = [part async for part in _slowly(slow, pause=0.003)]
        assert len(orjson.loads(b"".join(read))["data"]) == 12
        assert await loop.sock_recv(silent, 100) == b""
        assert await loop.sock_recv(half, 100) == b""
        while process.num_fds() > files:  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(0.05)
        with suppress(ConnectionResetError):
            assert len(await _all(never)) < 5_000_000
        for each in (silent, half, never, slow):
            each.close()


async def _all(one: socket.socket) -> bytes:
    found = b""
    while part := await asyncio.get_running_loop().sock_recv(one, 65536):
        found += part
    return found


async def test_two_thousand_idle_connections(one: Gateway, truth: Truth) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * IDLE:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * IDLE), hard))
        pytest.skip("too few files may be open") if hard < 2 * IDLE else None
    process = psutil.Process(one.process.pid)
    query = next(iter(truth))
    await median(one.base, query)
    alone, before = await median(one.base, query), memory(process.pid)
    files = process.num_fds()
    idle = []
    try:
        for _ in range(IDLE):
            client = Socket(one.base)
            assert (await client.get("/healthz")).status == 200  # kept alive, and silent from now on
            idle.append(client)
        during = memory(process.pid)
        assert process.num_fds() >= files + IDLE - 10
        load = Load(f"{IDLE:,} idle connections", one.base, truth)
        async with load.running(process.pid) as figures:
            await asyncio.sleep(SECONDS)
        beside = await median(one.base, query)
    finally:
        for client in idle:
            client.close()
    figures.memory = (before, during)
    figures.more = {
        "KB per idle connection": round((during - before) * 1000 / IDLE, 1),
        "median ms alone": round(alone * 1000, 2),
        "median ms beside them": round(beside * 1000, 2),
    }
    figures.hold()
    figures.record()
    assert not figures.refused
    with suppress(TimeoutError):
        async with asyncio.timeout(10):
            while process.num_fds() > files + 20:  # noqa: ASYNC110 - another process's doing
                await asyncio.sleep(0.05)
    assert process.num_fds() <= files + 20, "closed connections are let go"
