"""GraphQL over WebSocket: the protocol `graphql-transport-ws`.

A socket that violates the protocol is closed with the protocol's code for that, or with one of RFC 6455: 1008 for too
many messages, 1009 for one that is too large, 1011 for a peer that does not answer pings, 1012 when the gateway ends,
1013 for a peer that does not read. Clients reconnect after 1012 and 1013.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

import orjson
from starlette.types import Message, Receive, Scope, Send

from gateway.auth.authentication import UNAVAILABLE, Authentication, UnauthenticatedError
from gateway.context import Caller
from gateway.http.origins import is_own_page
from gateway.operations.documents import most_values
from gateway.operations.refusals import RefusedError
from gateway.operations.service import OperationService
from gateway.settings import Settings
from gateway.websocket.messages import (
    ALREADY,
    FAULT,
    FORBIDDEN,
    INVALID,
    LATER,
    NOT_ACCEPTABLE,
    POLICY,
    RESTART,
    TIMEOUT,
    TOO_MANY,
    UNAUTHORIZED,
    ClosedError,
    id_of,
    message_of,
    no_request,
    payload_of,
)
from gateway.websocket.operations import SocketOperation, errors
from gateway.websocket.transport import DROP, WRITE, Drop, Write
from schema.catalogue import exact_json
from schema.error_codes import ErrorCode
from schema.errors import GatewayError

log = logging.getLogger("gateway.websocket")

PROTOCOL = "graphql-transport-ws"
WINDOW = 10.0
"""Seconds in which messages are counted."""
CHECK_SECONDS = 5.0
"""Seconds between two checks of an open socket's credential, which may have been revoked. Its expiry is timed
besides."""


class WebSocketApp:
    """All WebSockets of this process, as an ASGI application."""

    def __init__(self, service: OperationService, authentication: Authentication, settings: Settings) -> None:
        self.service = service
        self.authentication = authentication
        self.settings = settings
        self.open: set[Socket] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        """Ids of running operations, which are unique on a socket."""
        self._origins = frozenset(one.strip() for one in settings.ws_origins.split(","))
        self._leaving = False
        self._left = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if not self._is_allowed(headers):
            message = (
                f"Pages of {headers[b'origin'][:200]!r} may not connect. GATEWAY_WS_ORIGINS lists the allowed origins, "
                "in addition to the gateway's own."
            )
            await _refuse(send, 403, ErrorCode.ORIGIN_NOT_ALLOWED, message)
        elif self._leaving or len(self.open) >= self.settings.ws_sockets:
            await _refuse(send, 503, ErrorCode.TOO_MANY_SOCKETS, None, limit=self.settings.ws_sockets)
        else:
            socket = Socket(self, scope, receive, send, headers.get(b"authorization"))
            self.open.add(socket)
            try:
                await socket.run(PROTOCOL if PROTOCOL in scope["subprotocols"] else None)
            finally:
                self._remove(socket)

    async def leave(self, seconds: float) -> None:
        """Closes all sockets for a restart: those with running queries and mutations when these are answered, within
        the time."""
        self._leaving = True
        for socket in list(self.open):
            socket.leave()
        if self.open:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._left.wait()

    def _remove(self, socket: Socket) -> None:
        self.open.discard(socket)
        if self._leaving and not self.open:
            self._left.set()

    def _is_allowed(self, headers: Mapping[bytes, str]) -> bool:
        """Checks the Origin header, which only browsers send: they attach a user's cookies to connections of any
        page."""
        origin = headers.get(b"origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return True
        return is_own_page(origin, headers.get(b"host", ""))


async def _refuse(send: Send, status: int, code: ErrorCode, message: str | None, **details: Any) -> None:
    body = orjson.dumps({"errors": [{"message": message or code.message, "extensions": {"code": code, **details}}]})
    retry = [(b"retry-after", b"1")] if status == 503 else []
    headers = [(b"content-type", b"application/json"), *retry]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


class Socket:
    """One WebSocket and its running operations."""

    __slots__ = (
        "_authorization", "_caller", "_check", "_closed", "_closing", "_count", "_drop", "_initialised", "_leaving",
        "_main", "_operations", "_receive", "_scope", "_send", "_single", "_sockets", "_window", "_write_now",
    )  # fmt: skip

    def __init__(
        self, sockets: WebSocketApp, scope: Scope, receive: Receive, send: Send, authorization: str | None
    ) -> None:
        self._sockets = sockets
        self._receive = receive
        self._send = send
        self._scope = scope
        self._drop: Drop | None = scope["extensions"].get(DROP)
        self._write_now: Write | None = scope["extensions"].get(WRITE)
        self._authorization = authorization
        self._caller: Caller | None = None
        self._initialised = self._leaving = self._closed = False
        self._closing: ClosedError | None = None
        self._main: asyncio.Task[Any] | None = None
        self._check: asyncio.TimerHandle | None = None
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._single = 0
        """The number of running queries and mutations."""
        self._window = time.monotonic()
        self._count = 0

    async def run(self, protocol: str | None) -> None:
        """Exchanges messages until either side closes the socket."""
        self._main = asyncio.current_task()
        try:
            await self._send({"type": "websocket.accept", "subprotocol": protocol})
            await self._converse(protocol)
        except ClosedError as closed:
            await self._close(closed)
        except asyncio.CancelledError:
            if self._closing is None or self._main is None:
                raise
            self._main.uncancel()
            await self._close(self._closing)
        except OSError:  # the peer has disconnected
            pass
        except Exception:
            log.exception("a socket has failed")
            await self._close(ClosedError(FAULT, "Something went wrong; it is in the gateway's log"))
        finally:
            self._closed = True
            if self._check is not None:
                self._check.cancel()
            for task in self._operations.values():
                task.cancel()

    def leave(self) -> None:
        """Closes the socket for a restart, once running queries and mutations are answered."""
        self._leaving = True
        if not self._single:
            self._end(ClosedError(RESTART, "Service restart"))

    def _end(self, closed: ClosedError) -> None:
        """Closes the socket from another task than its own."""
        if self._closing is None and not self._closed and self._main is not None:
            self._closing = closed
            self._main.cancel()

    async def _close(self, closed: ClosedError) -> None:
        self._closed = True
        if self._drop is not None:
            self._drop(closed.code, closed.reason)
            return
        with suppress(OSError, RuntimeError):
            await self._send({"type": "websocket.close", "code": closed.code, "reason": closed.reason})

    # -- what is said ----------------------------------------------------------------------------------------------

    async def _converse(self, protocol: str | None) -> None:
        if protocol is None:
            raise ClosedError(NOT_ACCEPTABLE, f"Subprotocol not acceptable: request {PROTOCOL}")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._sockets.settings.ws_init_timeout
        while True:
            if self._caller is None:
                try:
                    async with asyncio.timeout_at(deadline):
                        event = await self._receive()
                except TimeoutError:
                    raise ClosedError(TIMEOUT, "Connection initialisation timeout") from None
            else:
                event = await self._receive()
            if event["type"] == "websocket.disconnect":
                return
            await self._hear(event)

    async def _hear(self, event: Message) -> None:
        self._meter()
        message = message_of(event.get("text"), most_values(self._sockets.settings))
        match message.get("type"):
            case "connection_init":
                await self._initialise(payload_of(message))
            case "ping":
                payload = payload_of(message)
                await self._say({"type": "pong"} | ({} if payload is None else {"payload": payload}))
            case "pong":
                payload_of(message)
            case "subscribe":
                await self._subscribe(id_of(message), message.get("payload"))
            case "complete":
                if task := self._operations.pop(id_of(message), None):
                    task.cancel()
            case other:
                raise ClosedError(
                    INVALID, f"Invalid message: there is no type {str(other)[:40]!r} for a client to send"
                )

    def _meter(self) -> None:
        now = time.monotonic()
        if now - self._window > WINDOW:
            self._window, self._count = now, 0
        self._count += 1
        if self._count > self._sockets.settings.ws_messages:
            raise ClosedError(
                POLICY, f"Too many messages: at most {self._sockets.settings.ws_messages} in {WINDOW:g} s"
            )

    async def _say(self, message: Mapping[str, Any]) -> None:
        try:
            text = exact_json.dumps(message)  # a ping may contain numbers
        except (TypeError, RecursionError):  # nested deeper than can be encoded, though it was decoded
            raise ClosedError(INVALID, "Invalid message: its payload is nested too deeply") from None
        await self._write(text)

    async def _write(self, *texts: bytes) -> None:
        """Sends messages, once the peer reads.

        Raises:
            ClosedError: The peer does not read.
        """
        rest = texts
        while rest and not self._closed:
            sent = 0 if self._write_now is None else self._write_now(rest)
            if not sent:
                try:
                    async with asyncio.timeout(self._sockets.settings.ws_send_timeout):
                        await self._send({"type": "websocket.send", "text": rest[0].decode()})
                except TimeoutError:
                    raise ClosedError(LATER, "Too slow: messages are not read in time") from None
                sent = 1
            rest = rest[sent:]

    # -- the caller --------------------------------------------------------------------------------------------------

    async def _initialise(self, payload: Mapping[str, Any] | None) -> None:
        if self._initialised:
            raise ClosedError(TOO_MANY, "Too many initialisation requests")
        self._initialised = True
        given = next((value for name, value in (payload or {}).items() if name.lower() == "authorization"), None)
        if given is not None and not isinstance(given, str):
            raise ClosedError(FORBIDDEN, "Forbidden: authorization must be a text such as 'Bearer ...'")
        self._authorization = given or self._authorization
        try:
            self._caller = await self._authenticate()
        except UnauthenticatedError as error:
            raise ClosedError(LATER, error.message) from None
        await self._say({"type": "connection_ack"})
        if self._authorization is not None:
            self._check_later()

    async def _authenticate(self) -> Caller:
        """Authenticates the caller again: a credential may have expired since the socket was opened.

        Raises:
            ClosedError: The credential is no longer valid.
            UnauthenticatedError: It could not be verified.
        """
        try:
            return await self._sockets.authentication.authenticate(self._authorization)
        except UnauthenticatedError as error:
            if error.status == UNAVAILABLE:
                raise
            raise ClosedError(FORBIDDEN, f"Forbidden: {error.message}") from None

    def _check_later(self) -> None:
        until = self._caller.until if self._caller else None
        seconds = CHECK_SECONDS if until is None else min(CHECK_SECONDS, max(until - time.time(), 0) + 0.01)
        self._check = asyncio.get_running_loop().call_later(seconds, lambda: self._begin(self._check_again))

    async def _check_again(self) -> None:
        try:
            self._caller = await self._authenticate()
        except UnauthenticatedError:  # it could not be verified: an idle socket receives nothing meanwhile
            if self._caller and self._caller.until is not None and self._caller.until <= time.time():
                raise ClosedError(FORBIDDEN, "Forbidden: The credential has expired.") from None
            log.debug("a socket's credential could not be looked at")
        self._check_later()

    # -- operations ------------------------------------------------------------------------------------------------

    def _begin(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        async def guarded() -> None:
            try:
                await work()
            except ClosedError as closed:
                self._end(closed)
            except OSError:
                pass  # the peer has disconnected, which the socket's own task handles
            except Exception:
                log.exception("an operation on a socket has failed")
                self._end(ClosedError(FAULT, "Something went wrong; it is in the gateway's log"))

        task = asyncio.create_task(guarded())
        self._sockets.tasks.add(task)
        task.add_done_callback(self._sockets.tasks.discard)
        return task

    async def _subscribe(self, id_: str, payload: Any) -> None:
        if self._caller is None:
            raise ClosedError(UNAUTHORIZED, "Unauthorized: wait for connection_ack before you subscribe")
        if not isinstance(payload, RefusedError) and (wrong := no_request(payload)):
            raise ClosedError(INVALID, f"Invalid message: {wrong}")
        if id_ in self._operations:
            raise ClosedError(ALREADY, f"Subscriber for {id_} already exists")
        if self._leaving:
            return
        limit = self._sockets.settings.ws_operations
        if len(self._operations) >= limit:
            refused = GatewayError(ErrorCode.TOO_MANY_OPERATIONS, limit=limit)
            await self._say({"id": id_, "type": "error", "payload": errors(refused)})
            return
        self._operations[id_] = self._begin(partial(self._operate, id_, payload))

    async def _operate(self, id_: str, payload: dict[str, Any] | RefusedError) -> None:
        """Runs an operation, or refuses it, and sends its messages."""
        operation = SocketOperation(self._sockets.service, self._authenticate, self._scope)
        with operation.observed():
            await operation.begin(payload)
            self._single += not operation.lasts
            try:
                await self._answer(id_, operation)
            finally:
                self._single -= not operation.lasts
                if self._operations.get(id_) is asyncio.current_task():
                    del self._operations[id_]
                if self._leaving and not self._single:
                    self._end(ClosedError(RESTART, "Service restart"))

    async def _answer(self, id_: str, operation: SocketOperation) -> None:
        task = asyncio.current_task()
        quoted = orjson.dumps(id_)
        failed = False
        async with aclosing(operation.messages()) as messages:
            async for kind, bodies in messages:
                await self._write(*[b'{"id":%b,"type":"%b","payload":%b}' % (quoted, kind, body) for body in bodies])
                failed = kind == b"error"
        if self._operations.get(id_) is task:
            del self._operations[id_]  # the id is free before the client knows of the end
            if not failed:
                await self._write(b'{"id":%b,"type":"complete"}' % quoted)
