"""Server-sent events: the protocol graphql-sse, each operation on a connection of its own.

A stream has an event ``next`` for each result, comments in between, and ends with the event ``complete``. A stream that
ends without it was ended by the gateway: its client reconnects with its last cursor.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.types import Receive, Send

from gateway.auth.authentication import UNAVAILABLE, Authentication, UnauthenticatedError
from gateway.http.request import disconnected
from gateway.http.response import EVENTS, WRITE_BYTES, respond_in_parts
from gateway.operations.answer import LiveMessage
from gateway.operations.call import Call
from gateway.operations.deadline import DisconnectedError
from gateway.operations.planner import PlannedOperation
from gateway.operations.refusals import RefusedError
from gateway.operations.service import OperationService
from gateway.settings import Settings
from schema.error_codes import ErrorCode
from schema.errors import GatewayError

CHECK_SECONDS = 5.0
"""Seconds between two checks of the credential of an open stream, which may have been revoked. Its expiry is timed
besides."""

_BROKEN = bytes.maketrans(b"\r\n", b"  ")
"""JSON from the database may contain newlines, which end a field of an event."""


class EventStreams:
    """All event streams of this process; the number of subscriptions is limited."""

    def __init__(self, service: OperationService, authentication: Authentication, settings: Settings) -> None:
        self.service = service
        self.authentication = authentication
        self.settings = settings
        self.open = 0
        """The number of running subscriptions."""
        self.leaving = asyncio.Event()

    def leave(self) -> None:
        """Ends all subscriptions for a restart; their clients reconnect."""
        self.leaving.set()

    async def answer(
        self,
        begun: PlannedOperation | RefusedError,
        call: Call,
        authorization: str | None,
        receive: Receive,
        send: Send,
    ) -> None:
        """Answers an operation that is planned, or refused.

        Raises:
            RefusedError: The limit of subscriptions is reached.
            DisconnectedError: The client has disconnected.
        """
        stream = _EventStream(call, send)
        if isinstance(begun, RefusedError):
            await stream.begin()
            await stream.fail(begun.errors)
        elif not self.service.streams(begun):
            answer = await self.service.answer(begun, call)
            await stream.begin()
            await stream.next(answer.as_json())
        else:
            await self._subscribe(begun, call, authorization, receive, stream)
            return
        await stream.complete()

    async def _subscribe(
        self, begun: PlannedOperation, call: Call, authorization: str | None, receive: Receive, stream: _EventStream
    ) -> None:
        if self.leaving.is_set() or self.open >= self.settings.ws_sockets:
            limit = self.settings.ws_sockets
            raise RefusedError(503, GatewayError(ErrorCode.TOO_MANY_SOCKETS, limit=limit))
        call.authenticate = partial(self.authentication.authenticate, authorization)
        call.record["messages"] = 0
        self.open += 1
        try:
            await stream.begin()
            await self._follow(begun, call, receive, stream, credential=authorization is not None)
        finally:
            self.open -= 1

    async def _follow(
        self, begun: PlannedOperation, call: Call, receive: Receive, stream: _EventStream, *, credential: bool
    ) -> None:
        """Sends messages until an error, a disconnect, the gateway's end, or the credential's expiry."""
        pump = asyncio.create_task(stream.pump(self.service.messages(begun, call)))
        gone = asyncio.create_task(disconnected(receive))
        others = [asyncio.create_task(self.leaving.wait()), asyncio.create_task(stream.keep(self.settings.ws_ping))]
        if credential:
            others.append(asyncio.create_task(self._watch(call)))
        tasks = {pump, gone, *others}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if gone in done:
            raise DisconnectedError
        failed: Any = next((task.exception() for task in done if task.exception()), None)
        match failed:
            case RefusedError():
                await stream.fail(failed.errors)
            case GraphQLError():
                await stream.fail([failed])
            case None:  # the gateway ends
                await stream.end()
                return
            case _:  # the log has it, and the client an error
                await stream.fail([GraphQLError("", original_error=failed)])
        await stream.complete()

    async def _watch(self, call: Call) -> None:
        """Raises once the credential has expired or was revoked."""
        while True:
            until = call.caller.until
            seconds = CHECK_SECONDS if until is None else min(CHECK_SECONDS, max(until - time.time(), 0) + 0.01)
            await asyncio.sleep(seconds)
            assert call.authenticate is not None  # noqa: S101 - set before
            try:
                call.caller = await call.authenticate()
            except UnauthenticatedError as error:
                if error.status != UNAVAILABLE or (until is not None and until <= time.time()):
                    raise


class _EventStream:
    """One stream of events."""

    def __init__(self, call: Call, send: Send) -> None:
        self._call = call
        self._send = send

    async def begin(self) -> None:
        self._call.headers |= {"cache-control": "no-store", "x-accel-buffering": "no"}  # nginx then does not buffer
        await respond_in_parts(self._send, EVENTS, self._call.id, self._call.headers)
        await self._write(b":\n\n")  # makes the client's connection open

    async def next(self, *bodies: bytes) -> None:
        """Sends results, as many in one write as ``WRITE_BYTES`` have room for, and one."""
        written = bytearray()
        for body in bodies:
            written += b"event: next\ndata: %b\n\n" % body.translate(_BROKEN)
            if len(written) >= WRITE_BYTES:
                await self._write(bytes(written))
                written.clear()
        if written:
            await self._write(bytes(written))

    async def fail(self, errors: Sequence[GraphQLError]) -> None:
        """Sends a result of errors alone."""
        public = [self._call.reporter.public(error) for error in errors]
        self._call.record["refused"] = [error["extensions"]["code"] for error in public]
        await self.next(orjson.dumps({"errors": public}))

    async def complete(self) -> None:
        await self._write(b"event: complete\ndata:\n\n")
        await self.end()

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})

    async def pump(self, messages: AsyncGenerator[Sequence[LiveMessage]]) -> None:
        """Sends messages as they arrive."""
        async with aclosing(messages):
            async for results in messages:
                self._call.record["messages"] += len(results)
                await self.next(*(result.as_json(self._call) for result in results))

    async def keep(self, seconds: float) -> None:
        """Sends comments at intervals, so that proxies keep the connection."""
        while True:
            await asyncio.sleep(seconds)
            await self._write(b":\n\n")

    async def _write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
