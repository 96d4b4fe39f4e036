"""Random requests, cut at random: never more answers on the wire than h11, which shares no code, finds requests.

``FRAMING_SECONDS`` and ``FRAMING_SEED`` make it longer, and another one.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import re
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress

import h11
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from gateway.server.uvicorn_server import server_config
from gateway.settings import Settings
from tests.support.sockets import TIMEOUT, until

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("FRAMING_SECONDS", "3"))
SEED = int(os.environ.get("FRAMING_SEED", "1"))
HIDDEN = b"GET /read HTTP/1.1\r\nhost: h\r\n\r\n"
LINES = [
    b"connection: upgrade", b"connection: Upgrade, close", b"connection: keep-alive", b"connection: close",
    b"upgrade: foo", b"upgrade: websocket", b"upgrade: h2c", b"expect: 100-continue", b"transfer-encoding: chunked",
    b"Transfer-Encoding: CHUNKED", b"transfer-encoding: identity", b"transfer-encoding: gzip, chunked",
    b"transfer-encoding: \x0bchunked", b"\ttransfer-encoding: chunked", b"content-length: 31", b"content-length: 0",
    b"content-length: 5", b"content-length: 31, 31", b"content-length:31 ", b"content-length: +31", b"x: y", b"x:",
    b" folded: x", b"x : y", b"te: trailers", b"trailer: x", b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    b"sec-websocket-version: 13", b"x: \x80", b"keep-alive: 5", b"x: a\x00b", b"x: a\rb", b"host: e.vil",
]  # fmt: skip
METHODS = [b"GET", b"POST", b"PUT", b"OPTIONS", b"CONNECT", b"DELETE", b"PATCH"]
TARGETS = [b"/read", b"/read/slow", b"/early", b"/early/slow", b"http://h/read", b"*", b"/read?" + b"x" * 100]
VERSIONS = [*[b"HTTP/1.1"] * 12, b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9"]
LAST = [
    *[b"0\r\n\r\n"] * 6, b"0\r\nx: y\r\n\r\n", b"0\r\n", b"00\r\n\r\n", b"zz\r\n", b"0\n\n",
    b"0\r\ntransfer-encoding: chunked\r\n\r\n",
]  # fmt: skip


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it was sent, or before it has read that, at once or later."""
    if scope["type"] == "lifespan":
        while (kind := (await receive())["type"]) != "lifespan.shutdown":
            await send({"type": f"{kind}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close"})
        return
    body, more = b"", scope["path"].startswith("/read")
    with suppress(TimeoutError):
        async with asyncio.timeout(2):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body += message.get("body", b"")
                more = message.get("more_body", False)
    if scope["path"].endswith("slow"):
        await asyncio.sleep(0.005)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    config = server_config(app, Settings(keep_alive=0.15, client_timeout=1))
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server.serve([listener]))
        await until(lambda: server.started)
        yield listener.getsockname()[1]
        server.should_exit = True
        await running


def soup(chance: random.Random) -> bytes:
    """One request, or something like it."""
    method = chance.choice(METHODS) if chance.random() < 0.5 else chance.choice([b"GET", b"POST"])
    lines = [b" ".join([method, chance.choice(TARGETS), chance.choice(VERSIONS)])]
    lines += [b"host: h"] if chance.random() < 0.97 else []
    lines += chance.choices(LINES, k=chance.choice([0, 0, 1, 1, 2, 3, 4]))
    payload = chance.choice([HIDDEN, b"abc", HIDDEN * 3])
    end = b"\r\n" if chance.random() < 0.95 else b"\n"
    body, kind = b"", chance.random()
    if kind < 0.3:
        lines.append(b"content-length: %d" % len(payload))
        body = payload
    elif kind < 0.6:
        lines.append(b"transfer-encoding: chunked")
        parts = [payload[:2], payload[2:]] if chance.random() < 0.5 else [payload]
        extension = chance.choice([b"", b"", b";x=y"])
        body = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts) + chance.choice(LAST)
    elif kind < 0.75:
        body = HIDDEN
    return end.join([*lines, b"", b""]) + body


def requests(raw: bytes) -> int:
    """How many requests h11 begins to read: until one is none, or ends its connection."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw)
    count = 0
    with suppress(h11.ProtocolError):
        while (event := connection.next_event()) not in [h11.NEED_DATA, h11.PAUSED]:
            count += isinstance(event, h11.Request)
            if isinstance(event, h11.ConnectionClosed):
                break
            if isinstance(event, h11.EndOfMessage):
                connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    break
                connection.start_next_cycle()
    return count


def answered(wire: bytes) -> Counter[int]:
    """The statuses of the answers in what came; whatever is none fails."""
    found: Counter[int] = Counter()
    while wire:
        head, end, wire = wire.partition(b"\r\n\r\n")
        status = int(re.match(rb"HTTP/1\.1 (\d{3}) ", head)[1])  # type: ignore[index]
        assert end
        if status >= 200:
            length = int(re.search(rb"(?i)\r\ncontent-length: (\d+)", head)[1])  # type: ignore[index]
            assert len(wire) >= length
            wire = wire[length:]
            found[status] += 1
    return found


async def sent(port: int, segments: list[bytes]) -> tuple[bytes, bool]:
    """What comes for them until the gateway ends the connection, and whether that was by a reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    parts: list[bytes] = []

    async def hear() -> None:
        while part := await reader.read(65_536):
            parts.append(part)

    heard = asyncio.ensure_future(hear())
    reset = False
    try:
        for segment in segments:
            writer.write(segment)
            await writer.drain()
            await asyncio.sleep(0.001)
    except ConnectionError:
        reset = True
    try:
        await asyncio.wait_for(heard, TIMEOUT)
    except ConnectionError:
        reset = True
    writer.close()
    return b"".join(parts), reset


async def test_no_more_answers_than_requests(port: int) -> None:
    ends = time.monotonic() + SECONDS
    compared: Counter[str] = Counter()

    async def compare(chance: random.Random) -> None:
        while time.monotonic() < ends:
            raw = b"".join(soup(chance) for _ in range(chance.choice([1, 1, 2, 3])))
            cuts = sorted({0, len(raw), *chance.choices(range(len(raw)), k=chance.choice([0, 1, 2, 5, 12]))})
            segments = [raw[start:end] for start, end in itertools.pairwise(cuts)]
            wire, reset = await sent(port, segments)
            if reset and not wire:  # it was not read before more was sent to a connection that had ended
                compared["reset"] += 1
                continue
            found, expected = answered(wire), requests(raw)
            assert found[200] <= expected, (segments, wire)
            assert found.total() - found[200] <= 1, (segments, wire)
            compared["alike" if found[200] == expected else "fewer"] += 1

    await asyncio.gather(*(compare(random.Random(SEED * 1_000 + one)) for one in range(8)))
    print(dict(compared))
    assert compared["alike"] > compared["reset"]
    assert compared["alike"] > 20
