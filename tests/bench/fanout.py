"""`make bench-fanout`: messages that one worker sends to many sockets that follow the same changes.

One worker with its limits as they are by default, `SOCKETS` WebSockets that all subscribe to every change, and `RATE`
changes a second, written by SQL: 20,000 messages a second. Each message has the time at which its change was written,
just before its commit; the clients, one process, measure how old it is. All messages must arrive, and 99 of 100 within
`P99` seconds; else it ends with 1. The second half of the changes counts.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import multiprocessing
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop

from db.embedded.server import GATEWAY_ROLE, start
from db.migrations import setup
from tests.bench import servers
from tests.support.databases import connect

DATABASE = "fanout"
SOCKETS, RATE, SECONDS = 1_000, 20, 20
P99 = 1.0
PATIENCE = 60.0
"""Seconds to wait for messages after the last change."""
AT_ONCE = 50
"""Sockets that are opened together."""
FOLLOW = "subscription { lifecycleEvents { cursor event { nodeId fromState toState reason } } }"
CHANGE = """
    INSERT INTO gateway.lifecycle_events (change_id, mutation, lifecycle, actor, node_id, node_type, to_state, reason)
    VALUES (gen_random_uuid(), 'm', 'stage', 'a', 'Model:x', 'Model', 'STAGING', $1)
"""
_TIME = re.compile(rb'"reason":"at (\d+\.\d+)"')


class Heard:
    """The messages that all sockets have received: when each was written, and its age, in seconds."""

    def __init__(self) -> None:
        self.ages: list[tuple[float, float]] = []
        self.following = asyncio.Semaphore(0)
        """Released by each socket that has its first message."""
        self.all = asyncio.Event()
        self._wanted = sys.maxsize

    def add(self, written: float, age: float) -> None:
        self.ages.append((written, age))
        if len(self.ages) >= self._wanted:
            self.all.set()

    async def so_many(self, wanted: int) -> None:
        """Waits for so many messages, as long as `PATIENCE`."""
        self._wanted = wanted
        if len(self.ages) < wanted:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.all.wait(), PATIENCE)


class Follower(asyncio.Protocol):
    """A WebSocket that subscribes, and notes the age of each message."""

    def __init__(self, request: bytes, heard: Heard) -> None:
        self._request, self._heard = request, heard
        subscribe = {"type": "subscribe", "id": "1", "payload": {"query": FOLLOW}}
        self._next = [(b"\r\n\r\n", frame({"type": "connection_init"})), (b"connection_ack", frame(subscribe))]
        """What is sent after which answers."""
        self._follows, self._rest = False, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are no subclasses
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._next:
            if self._next[0][0] in data:
                self._transport.write(self._next.pop(0)[1])
            return
        data = self._rest + data
        end, now = 0, time.time()
        for found in _TIME.finditer(data):
            written, end = float(found[1]), found.end()
            self._heard.add(written, now - written)
        if not self._follows and b'"next"' in data:
            self._follows = True
            self._heard.following.release()
        self._rest = data[max(end, len(data) - 64) :]


def frame(message: Mapping[str, object]) -> bytes:
    """A text frame of a client's, masked with nothing."""
    data = json.dumps(message).encode()
    length = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0x80 | 126]) + len(data).to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + data


async def follow(url: str, headers: Mapping[str, str], sockets: int, pipe: Connection) -> None:
    """Opens the sockets, tells when all follow, and returns the ages of all messages once it is told their number."""
    loop, place = asyncio.get_running_loop(), urlsplit(url)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {place.path} HTTP/1.1", f"Host: {place.netloc}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: graphql-transport-ws",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]  # fmt: skip
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    heard = Heard()
    for first in range(0, sockets, AT_ONCE):
        some = min(AT_ONCE, sockets - first)
        for _ in range(some):
            await loop.create_connection(lambda: Follower(request, heard), place.hostname, place.port)
        for _ in range(some):
            await heard.following.acquire()
    pipe.send("all follow")
    await heard.so_many(await asyncio.to_thread(pipe.recv))
    pipe.send(heard.ages)


def _clients(url: str, headers: Mapping[str, str], sockets: int, pipe: Connection) -> None:
    uvloop.run(follow(url, headers, sockets, pipe))


async def change(url: str, changes: int) -> list[float]:
    """Writes changes at `RATE`; the seconds that each took."""
    sql = await connect(url)
    took = []
    try:
        began = time.monotonic()
        for number in range(changes):
            await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
            written = time.time()
            await sql.execute(CHANGE, f"at {written:.6f}")
            took.append(time.time() - written)
    finally:
        await sql.close()
    return took


def measure(server: servers.Server, url: str, sockets: int, seconds: int) -> int:
    """Prints what was found; the exit status."""
    ours, theirs = multiprocessing.Pipe()
    clients = multiprocessing.Process(target=_clients, args=(server.url(), server.headers, sockets, theirs))
    clients.start()
    try:
        if not ours.poll(PATIENCE):
            raise SystemExit(f"{sockets} sockets did not follow within {PATIENCE:.0f} s")
        ours.recv()
        cpu, changes = server.cpu, seconds * RATE
        took = asyncio.run(change(url, changes))
        ours.send(sockets * changes)
        ages = ours.recv()
    finally:
        clients.terminate()
    begin = statistics.median(written for written, _ in ages)
    counted = sorted(age for written, age in ages if written >= begin)
    p50, p99 = (counted[int(len(counted) * share)] for share in (0.5, 0.99))
    print(
        f"{len(ages):,} of {sockets * changes:,} messages, {sockets * RATE:,} a second: p50 {p50 * 1000:.0f} ms, "
        f"p99 {p99 * 1000:.0f} ms; {(server.cpu - cpu) / len(ages) * 1e6:.0f} microseconds of CPU each; "
        f"a change took {statistics.median(took) * 1000:.1f} ms"
    )
    return 0 if len(ages) == sockets * changes and p99 < P99 else 1


def main() -> int:
    """Reads the arguments, and measures on a database of its own, without rows, which is thrown away."""
    parser = argparse.ArgumentParser(prog="make bench-fanout", description=__doc__)
    parser.add_argument("--sockets", type=int, default=SOCKETS, help=f"sockets ({SOCKETS})")
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"seconds of changes ({SECONDS})")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="e2i-fanout-") as folder, start(Path(folder) / "data") as postgres:
        asyncio.run(setup.prepare_embedded(postgres, DATABASE))
        url = postgres.url(DATABASE, GATEWAY_ROLE)
        with servers.gateway("fan-out", servers.ON, database=url) as server:
            return measure(server, postgres.url(DATABASE, postgres.admin_role), options.sockets, options.seconds)


if __name__ == "__main__":
    sys.exit(main())
