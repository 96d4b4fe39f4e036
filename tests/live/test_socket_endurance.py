"""Sockets that do not behave: peers that stop reading, that are half gone, that come in thousands and do nothing."""

from __future__ import annotations

import asyncio
import base64
import os
import resource
import socket
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from tests.live.test_live import EVENTS, reasons, record
from tests.support.databases import Database, connect
from tests.support.process import Gateway
from tests.support.sockets import Listening, listening, peer, until

pytestmark = pytest.mark.slow

SOCKETS = int(os.environ.get("DRILL_SOCKETS", "200"))


@asynccontextmanager
async def raw(gateway: Listening) -> AsyncIterator[socket.socket]:
    """A connection that is initialised and then left to itself: nothing answers pings or reads on."""
    loop = asyncio.get_running_loop()
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    one.setblocking(False)  # noqa: FBT003 - the socket's own
    await loop.sock_connect(one, ("127.0.0.1", gateway.port))
    key = base64.b64encode(os.urandom(16)).decode()
    await loop.sock_sendall(
        one,
        f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        "".encode(),
    )
    assert b"101" in await loop.sock_recv(one, 4096)
    await loop.sock_sendall(one, frame('{"type":"connection_init"}'))
    assert b"connection_ack" in await loop.sock_recv(one, 4096)
    yield one
    one.close()


def frame(text: str) -> bytes:
    """A text frame of a client's, masked with nothing."""
    data = text.encode()
    length = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0x80 | 126]) + len(data).to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + data


async def everything_from(one: socket.socket) -> bytes:
    """What still comes until the other side is done with it."""
    loop = asyncio.get_running_loop()
    found = b""
    try:
        async with asyncio.timeout(30):
            while part := await loop.sock_recv(one, 65536):
                found += part
    except ConnectionError:
        pass
    return found


async def test_a_peer_that_does_not_read(demo_database: Database) -> None:
    """It is rid of; others are answered meanwhile, and what it holds is bounded."""
    settings = {"ws_send_timeout": 0.3, "ws_ping": 600.0}
    async with (
        listening(demo_database.gateway_url, **settings) as gateway,
        raw(gateway) as slow,
        peer(gateway) as other,
    ):
        loop = asyncio.get_running_loop()
        query = "{ __schema { types { name description fields { name description } } } }"
        for n in range(20):
            await loop.sock_sendall(slow, frame(f'{{"type":"subscribe","id":"{n}","payload":{{"query":"{query}"}}}}'))
        id_ = await other.subscribe("{ models { totalCount } }")
        assert (await other.payload(id_))["data"]
        await until(lambda: len(gateway.sockets.open) == 1)
        assert (await other.hear())["type"] == "complete"
        assert await everything_from(slow)  # ends: the connection is aborted, or closed with 1013


async def test_a_slow_reader_of_a_subscription_loses_nothing(database: Database) -> None:
    """It is disconnected while changes come, and reads on by its cursor."""
    sql = await connect(database.admin_url)
    async with listening(database.gateway_url, ws_send_timeout=0.3) as gateway:
        heard: list[str] = []
        cursor = None
        async with peer(gateway, max_queue=1) as one:
            stream = await one.followed(EVENTS)
            padding = "x" * 20_000
            for n in range(600):
                await record(sql, f"{n} {padding}")
            await until(lambda: not gateway.sockets.open)
            with suppress(ConnectionClosed):
                while True:
                    heard += await reasons(stream, 1)
                    cursor = stream.cursor
        assert 0 < len(heard) < 600
        async with peer(gateway) as one:
            again = await one.followed(EVENTS, after=cursor)
            heard += await reasons(again, 600 - len(heard))
        assert [int(reason.split()[0]) for reason in heard] == list(range(600))
    await sql.close()


async def test_a_peer_that_is_half_gone(demo_database: Database) -> None:
    """It answers no ping: the socket is closed, with everything that ran on it."""
    async with (
        listening(demo_database.gateway_url, ws_ping=0.1) as gateway,
        raw(gateway) as gone,
        peer(gateway) as there,
    ):
        await asyncio.get_running_loop().sock_sendall(
            gone,
            frame('{"type":"subscribe","id":"1","payload":{"query":"subscription { lifecycleEvents { cursor } }"}}'),
        )
        await until(lambda: gateway.feed.subscribers == 1)
        await until(lambda: gateway.feed.subscribers == 0)
        assert len(gateway.sockets.open) == 1  # who answers stays
        assert (1011).to_bytes(2, "big") + b"keepalive ping timeout" in await everything_from(gone)
        await there.say(type="ping")
        assert await there.hear() == {"type": "pong"}


async def test_how_soon_it_is_told(database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One after another: from before the change is written until its message is there."""
    sql = await connect(database.admin_url)
    gateway = Gateway(tmp_path, DATABASE_URL=database.gateway_url.replace("+asyncpg", ""))
    try:
        gateway.ready()
        times: list[tuple[float, float]] = []
        async with peer(gateway.base.replace("http", "ws") + "/graphql") as one:
            stream = await one.followed(EVENTS)
            for n in range(SOCKETS // 2):
                before = time.perf_counter()
                await record(sql, str(n))
                committed = time.perf_counter()
                assert await reasons(stream, 1) == [str(n)]
                after = time.perf_counter()
                times.append((after - before, after - committed))
        if SOCKETS > 200:
            with capsys.disabled():
                for what, each in zip(("write", "commit"), zip(*times, strict=True), strict=True):
                    cuts = statistics.quantiles(each, n=20)
                    print(f"\nfrom {what} to message: median {cuts[9] * 1000:.2f} ms, p95 {cuts[18] * 1000:.2f} ms")
    finally:
        gateway.close()
        await sql.close()


async def test_idle_sockets(database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Many sockets with a subscription each, on one worker: what they cost, and that all of them are told."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 3 * SOCKETS + 500), hard), hard))
    sql = await connect(database.admin_url)
    gateway = Gateway(tmp_path, DATABASE_URL=database.gateway_url.replace("+asyncpg", ""))
    try:
        gateway.ready()
        address = gateway.base.replace("http", "ws") + "/graphql"
        worker = psutil.Process(gateway.process.pid)
        async with peer(address) as one:
            await one.followed(EVENTS)
            before = worker.memory_info().rss
            peers = [peer(address, initialise=False) for _ in range(SOCKETS)]
            opened = []
            for start in range(0, SOCKETS, 50):
                some = await asyncio.gather(*(each.__aenter__() for each in peers[start : start + 50]))
                opened += await asyncio.gather(*(each.initialise() for each in some))
            idle = worker.memory_info().rss
            streams = await asyncio.gather(*(each.followed(EVENTS) for each in opened))
            following = worker.memory_info().rss
            started = time.perf_counter()
            await record(sql, "all")
            assert await asyncio.gather(*(reasons(stream, 1) for stream in streams)) == [["all"]] * SOCKETS
            seconds = time.perf_counter() - started
            with capsys.disabled():
                if SOCKETS > 200:
                    print(f"\none change told to {SOCKETS} subscribers in {seconds:.2f} s")
                    each = (idle - before) / SOCKETS / 1024, (following - before) / SOCKETS / 1024
                    print(f"\n{SOCKETS} sockets: {each[0]:.1f} KiB each, {each[1]:.1f} KiB with a subscription")
            assert (following - before) / SOCKETS < 200 * 1024
            codes = asyncio.gather(*(each.closed() for each in opened))
            gateway.process.terminate()
            assert {code for code, _ in await codes} == {1012}
        assert await asyncio.to_thread(gateway.process.wait, 60) == 0
    finally:
        gateway.close()
        await sql.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
