"""Clients before 2026-07-28 over HTTP: asked on the stream of a response, during their call.

There is no session: a session id only says whether its client can show a form. The person's answer is another POST,
which any worker stores in the table of previews; the waiting call reads it there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import mcp_types as types
import orjson
from pydantic import ValidationError
from starlette.types import Message, Receive, Scope, Send

from db.store.previews import PreviewStore
from gateway.http.headers import headers_of
from gateway.mcp.confirming import ACCEPT, CANCEL, DECLINE, SCHEMA
from gateway.mcp.elicitation import can_ask

MARK = "asks-"
"""The prefix of session ids of clients that can show a form."""
POLL_SECONDS, PING_SECONDS = 0.5, 15.0
_NAME = b"mcp-session-id"


class DisconnectReceive:
    """An ASGI ``receive`` that, once the body was read, tells when the client disconnects."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._lock = asyncio.Lock()
        self._whole = self._gone = False

    async def receive(self) -> Message:
        """The next message; after the body, waits for the disconnect."""
        if self._whole:
            await self.left()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._whole = self._gone = True
        elif not message.get("more_body"):
            self._whole = True
        return message

    async def left(self) -> None:
        """Returns when the client disconnects; several tasks may wait."""
        async with self._lock:
            while not self._gone:
                self._gone = (await self._receive())["type"] == "http.disconnect"


async def body_of(receive: Receive, most: int) -> tuple[bytes, Receive]:
    """The body of a request up to ``most`` bytes, and a ``receive`` that replays all of it."""
    body = bytearray()
    more = True
    while more and len(body) <= most:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            break
        more = message.get("more_body", False)
    whole: Message | None = {"type": "http.request", "body": bytes(body), "more_body": more}

    async def again() -> Message:
        nonlocal whole
        message, whole = whole, None
        return await receive() if message is None else message

    return bytes(body), again


def read_message(body: bytes) -> dict[str, Any]:
    """The message in a body; empty if there is none."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def begins(message: dict[str, Any]) -> bool:
    """Whether a message initializes a client that can show a form."""
    params = message.get("params")
    if message.get("method") != "initialize" or not isinstance(params, dict):
        return False
    try:
        return can_ask(types.ClientCapabilities.model_validate(params.get("capabilities") or {}))
    except ValidationError:
        return False


def marked(send: Send) -> Send:
    """Sends a response with a session id that says that its client can show a form."""

    async def with_id(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            id_ = f"{MARK}{uuid4().hex}".encode()
            message = {**message, "headers": [*message.get("headers", ()), (_NAME, id_)]}
        await send(message)

    return with_id


def is_marked(scope: Scope) -> bool:
    """Whether a request is of a client that can show a form."""
    return headers_of(scope).get(_NAME, b"").startswith(MARK.encode())


def can_stream(scope: Scope) -> bool:
    """Whether the client accepts an event stream."""
    return b"text/event-stream" in headers_of(scope).get(b"accept", b"")


async def keep_answer(message: dict[str, Any], caller: str, store: PreviewStore) -> bool:
    """Stores a person's answer for the waiting call; returns whether the caller may answer."""
    id_, result = message.get("id"), message.get("result")
    action = result.get("action") if isinstance(result, dict) else None
    if not isinstance(id_, str) or "\0" in id_:
        return False
    return await store.answer(id_, caller, action if action in {ACCEPT, DECLINE} else CANCEL)


class WaitingResponse:
    """A response that becomes an event stream once a question is asked; the result is its last event."""

    def __init__(self, send: Send, left: Callable[[], Awaitable[None]], store: PreviewStore) -> None:
        self._send = send
        self._left = left
        self._store = store
        self._streams = False
        self._body: list[bytes] = []

    async def send(self, message: Message) -> None:
        """Receives the messages of the protocol's own transport."""
        if not self._streams:
            await self._send(message)
        elif message["type"] == "http.response.body":
            self._body.append(message.get("body", b""))
            if not message.get("more_body"):
                await self._event(b"".join(self._body), more=False)

    async def ask(self, state: str, question: str) -> str:
        """Asks a question and waits for its answer; cancel if the client disconnects."""
        if not self._streams:
            self._streams = True
            await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        params = {"message": question, "requestedSchema": SCHEMA}
        request = {"jsonrpc": "2.0", "id": state, "method": "elicitation/create", "params": params}
        await self._event(orjson.dumps(request), more=True)
        leaving = asyncio.ensure_future(self._left())
        waited = 0.0
        try:
            while (answer := await self._store.answered(state)) is None:
                if (await asyncio.wait([leaving], timeout=POLL_SECONDS))[0]:
                    return CANCEL
                waited += POLL_SECONDS
                if waited % PING_SECONDS == 0:  # keeps proxies from closing the stream
                    await self._send({"type": "http.response.body", "body": b": ping\r\n\r\n", "more_body": True})
        finally:
            leaving.cancel()
        return answer

    async def _event(self, data: bytes, *, more: bool) -> None:
        lines = b"".join(b"data: " + line + b"\r\n" for line in data.splitlines())
        body = b"event: message\r\n" + lines + b"\r\n"
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
