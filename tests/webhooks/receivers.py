"""Receivers of webhooks on this machine, which answer as they are told."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Post:
    """What was received: its path, headers and body."""

    path: str
    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.body)["data"]
        return data


Answer = Callable[[Post], Awaitable[bytes] | bytes]


@dataclass
class Receiver:
    """A receiver: what came, and what it answers; empty bytes close the connection without an answer."""

    answer: Answer
    url: str = ""
    posts: list[Post] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, number: int, seconds: float = 20.0) -> list[Post]:
        """Waits for so many posts."""
        async with asyncio.timeout(seconds):
            while len(self.posts) < number:
                self.more.clear()
                await self.more.wait()
        return self.posts


@asynccontextmanager
async def receiving(answer: Answer | bytes = OK, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a port of its own."""
    one = Receiver((lambda _post: answer) if isinstance(answer, bytes) else answer)
    at_work: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        at_work.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers["content-length"]))
            post = Post(head[0].split()[1], headers, body.decode())
            one.posts.append(post)
            one.more.set()
            answer = one.answer(post)
            writer.write(answer if isinstance(answer, bytes) else await answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass
        finally:
            at_work.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    one.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/hook?of=e2i"
    try:
        yield one
    finally:
        server.close()
        for task in list(at_work):
            task.cancel()
        await asyncio.gather(*at_work, return_exceptions=True)


async def none_waits(sql: asyncpg.Connection, seconds: float = 20.0) -> None:
    """Waits until every message was taken or given up."""
    await became(sql, "SELECT WHERE NOT EXISTS (SELECT FROM gateway.webhook_messages WHERE dead_at IS NULL)", seconds)


async def became(sql: asyncpg.Connection, condition: str, seconds: float = 20.0) -> None:
    """Waits until a query has a row."""
    async with asyncio.timeout(seconds):
        while True:
            if await sql.fetchval(f"SELECT EXISTS ({condition})"):
                return
            await asyncio.sleep(0.02)
