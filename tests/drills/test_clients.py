"""Clients that read slowly, stop in the middle of a request, or stay connected by the thousand and ask nothing."""

from __future__ import annotations

import asyncio
import resource
import socket
import statistics
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import orjson
import psutil
import pytest

from drills.fixtures import DATABASE, gateway
from drills.load import SECONDS, Load, Socket, memory
from drills.postgres import Postgres
from process import Gateway

IDLE = 2_000
LARGE = "{ servingMetrics(first: 500) { nodes { id recordedAt metricName metricValue deployment { id deploymentName } } } }"
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
    made.setblocking(False)
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
    expected = len(set(answers))
    assert expected == 1, "each of them has the whole answer in the end"
    assert len(orjson.loads(answers[0])["data"]["servingMetrics"]["nodes"]) > 1


async def _slowly(one: socket.socket) -> AsyncIterator[bytes]:
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
