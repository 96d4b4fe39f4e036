"""The gateway listening on a port of its own in this process, and clients of its WebSocket, or of bare connections."""

from __future__ import annotations

import asyncio
import json
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from db.engine.url import database_url
from gateway.app import create_app
from gateway.server.uvicorn_server import Server, server_config
from gateway.settings import Settings
from gateway.subscriptions.feed import ChangeFeed
from gateway.websocket.protocol import PROTOCOL, WebSocketApp
from tests.support.client import Client

TIMEOUT = 30.0
"""Seconds after which something that should happen soon never will."""


async def until(condition: Callable[[], object], seconds: float = TIMEOUT) -> None:
    """Waits for something that comes soon or never."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nobody tells a test
            await asyncio.sleep(0.01)


@dataclass
class Listening:
    """A gateway that listens on a port."""

    app: Starlette
    port: int
    client: Client
    server: Server

    @property
    def http(self) -> httpx.AsyncClient:
        return self.client.http

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
        found = await asyncio.wait_for(reader.read(), TIMEOUT)
        writer.close()
        return found

    @property
    def address(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    @property
    def feed(self) -> ChangeFeed:
        feed: ChangeFeed = self.app.state.feed
        return feed

    @property
    def sockets(self) -> WebSocketApp:
        sockets: WebSocketApp = self.app.state.sockets
        return sockets


@asynccontextmanager
async def listening(url: str, port: int = 0, **settings: Any) -> AsyncIterator[Listening]:
    """The gateway on a database, served by uvicorn as the command serves it."""
    checked = Settings(**settings)
    app = create_app(checked, database_url(url))
    server = Server(server_config(app, checked), app, drain=0, on_start=lambda: None)
    with socket.create_server(("127.0.0.1", port)) as listener:
        bound = listener.getsockname()[1]
        running = asyncio.create_task(server.serve([listener]))
        try:
            await until(lambda: server.started, 4 * TIMEOUT)  # the first in a process builds the schema
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{bound}", trust_env=False, timeout=60) as http:
                yield Listening(app, bound, Client(http, app), server)
        finally:
            server.should_exit = True
            await running


class Peer:
    """A client of the WebSocket that says and hears messages as they are."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(TIMEOUT):
            message: dict[str, Any] = json.loads(await self.connection.recv(decode=True))
        return message

    async def initialise(self, **payload: Any) -> Peer:
        await self.say(type="connection_init", payload=payload)
        assert await self.hear() == {"type": "connection_ack"}
        return self

    async def subscribe(self, query: str, id_: str | None = None, **variables: Any) -> str:
        """Sends an operation; returns its id."""
        id_ = id_ or uuid.uuid4().hex
        await self.say(type="subscribe", id=id_, payload={"query": query, "variables": variables})
        return id_

    async def payload(self, id_: str) -> dict[str, Any]:
        """The payload of the next message, which must be a `next` of this operation."""
        message = await self.hear()
        assert (message["id"], message["type"]) == (id_, "next"), message
        payload: dict[str, Any] = message["payload"]
        return payload

    async def followed(self, query: str, id_: str | None = None, **variables: Any) -> Stream:
        """A subscription that must begin; without a cursor its first message is heard already."""
        stream = Stream(self, await self.subscribe(query, id_, **variables))
        if "after" not in variables:
            assert next(value for name, value in (await stream.next()).items() if name != "cursor") is None
        return stream

    async def closed(self) -> tuple[int, str]:
        """The code and reason by which the gateway closes the socket, whatever it says before."""
        async with asyncio.timeout(TIMEOUT):
            with suppress(ConnectionClosed):
                while True:
                    await self.connection.recv()
        frame = self.connection.protocol.close_rcvd
        assert frame is not None, "the connection was lost without a close frame"
        return frame.code, frame.reason


@dataclass
class Stream:
    """A subscription with one field."""

    peer: Peer
    id: str
    cursor: str | None = None

    async def next(self) -> dict[str, Any]:
        """The value of the field in the next message."""
        payload = await self.peer.payload(self.id)
        assert "errors" not in payload, payload
        (value,) = payload["data"].values()
        self.cursor = value["cursor"]
        result: dict[str, Any] = value
        return result


@asynccontextmanager
async def peer(gateway: Listening | str, *, initialise: bool = True, **options: Any) -> AsyncIterator[Peer]:
    """A client that is connected, and acknowledged unless told otherwise."""
    address = gateway if isinstance(gateway, str) else gateway.address
    protocols = options.pop("subprotocols", [Subprotocol(PROTOCOL)])
    options = {"proxy": None, "max_size": None, "ping_interval": None, "close_timeout": 0.2} | options
    async with connect(address, subprotocols=protocols, **options) as connection:
        one = Peer(connection)
        if initialise:
            await one.initialise()
        yield one


async def closed_after(gateway: Listening, said: Sequence[Any]) -> tuple[int, str]:
    """The code and the reason with which a WebSocket is closed after some messages: texts, bytes, or JSON values."""
    async with peer(gateway, initialise=False) as one:
        for message in said:
            await one.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))
        code, reason = await one.closed()
    return code, reason
