"""The gateway behind a real socket, for what a client of the application alone cannot do: hang up, or send no HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import uvicorn
from starlette.applications import Starlette

from db.engine import database_url
from gateway.app import create_app
from gateway.protocol import Protocol
from gateway.settings import Settings


@dataclass
class Site:
    """A gateway that listens at a port of this machine."""

    port: int
    app: Starlette
    http: httpx.AsyncClient

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def send(self, raw: bytes) -> asyncio.StreamWriter:
        """Sends bytes on a connection of their own, which stays open."""
        _, writer = await self.connect()
        writer.write(raw)
        await writer.drain()
        return writer

    async def answer(self, raw: bytes) -> bytes:
        """What comes back for bytes until the gateway closes the connection."""
        reader, writer = await self.connect()
        writer.write(raw)
        found = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        return found


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Waits for something to come true; how long that takes says nothing."""
    for _ in range(1500):
        if await condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what} did not happen")


def post(query: str, **variables: Any) -> bytes:
    """A request as it is on the wire."""
    body = orjson.dumps({"query": query, "variables": variables})
    head = f"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def listening(url: str, **settings: Any) -> AsyncIterator[Site]:
    """Serves a database until the end of the block."""
    app = create_app(Settings(**settings), database_url(url))
    server = uvicorn.Server(uvicorn.Config(app, http=Protocol, log_config=None, access_log=False, lifespan="on"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        serving = asyncio.create_task(server.serve([listener]))
        while not server.started:
            assert not serving.done(), "it did not start"
            await asyncio.sleep(0.01)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http:
            yield Site(port, app, http)
        server.should_exit = True
        await serving
