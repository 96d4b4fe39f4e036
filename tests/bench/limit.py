"""The limit: the statements of the compiled selections in a bare ASGI application that does nothing else.

``BENCH_STATEMENTS`` is JSON by path: ``{"/q1": {"sql": ..., "values": [[...], ...], "start": ..., "end": ...}}``; a
request names by ``variables.n`` which values it takes.
"""

from __future__ import annotations

import os
from typing import Any

import asyncpg
import orjson


class Limit:
    """Answers each path by its one statement."""

    def __init__(self) -> None:
        self._statements: dict[str, Any] = orjson.loads(os.environ["BENCH_STATEMENTS"])
        self._pool: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message.get("more_body"):
                break
        if scope["method"] == "GET":  # whether it is there
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
            return
        one = self._statements[scope["path"]]
        values = one["values"][orjson.loads(body)["variables"].get("n", 0)]
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(one["sql"], *values)
        answer = one["start"].encode() + (row[0] or b"null") + one["end"].encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _lifespan(self, receive: Any, send: Any) -> None:
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.startup":
                settings = {"search_path": "public, extensions", "jit": "off", "TimeZone": "UTC"}
                self._pool = await asyncpg.create_pool(
                    os.environ["BENCH_DATABASE"],
                    min_size=10,
                    max_size=10,
                    max_cacheable_statement_size=0,
                    server_settings=settings,
                    reset=_keep,
                )
            else:
                await self._pool.close()
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return


async def _keep(_connection: Any) -> None:
    """Nothing to reset between two reads: the round trip would be part of the limit."""


app = Limit()
