"""HTTP connections: uvicorn's, with timeouts for clients that send nothing, send without end, or do not read.

The head of a request is limited in size and time; invalid HTTP gets a JSON error. A client that does not read its
response is disconnected; a slow one is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import httptools
import orjson
from starlette.types import Message, Receive, Scope, Send

from gateway.adapters.uvicorn import STATUS_LINE, Application, HttpProtocol, RequestResponseCycle
from gateway.http.headers import Headers, headers_of
from gateway.http.response import WholeSend
from gateway.server.framing import (
    BAD,
    HEAD_TOO_LARGE,
    MAX_HEAD,
    MAX_URL,
    URL_TOO_LONG,
    EndedError,
    RefusedHeadError,
    asks_for_socket,
    is_plain,
    target,
    without_upgrade,
)
from schema.error_codes import ErrorCode

LINGER = 2.0
"""Seconds for which a closing connection still receives and discards data.

If it were closed at once, the kernel would reset it, and the client might lose a response in transit (RFC 9112, 9.6).
"""


class ClientConnection(HttpProtocol):
    """A connection whose client has ``client_timeout`` seconds to send a head, and to make any progress in reading.

    An idle one is closed after that time, too. Pipelined requests are read as long as the end of each is unambiguous:
    after one that is refused, answered before its body was read, or an upgrade that is not supported, no other is read.
    """

    client_timeout = 30.0
    url = b""
    _in_head = True
    _head = 0
    _since = 0.0
    _reading: asyncio.TimerHandle | None = None
    _unread = 0
    _running: RequestResponseCycle | None = None
    """The request that is being answered, or was answered last; uvicorn's ``cycle`` is the one read last."""
    _becomes_socket = False
    _again: bytes | None = None
    """The head of an upgrade request that is parsed again without the upgrade."""
    _alone = False
    """Whether the current request is the last one, whatever it says."""
    _last = False
    """Whether no request is read after this one."""
    _ended = False
    """Whether nothing is read any more."""
    _refusal: bytes | None = None
    """The bytes to send after pending responses."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        self.loop.call_later(self.client_timeout, self._look_at_head)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch_reading()
        if self._is_answering:
            self._give_up()
        super().connection_lost(exc)

    # -- what is asked ---------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self.stop_keep_alive()
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError) as stop:
            self._stopped(stop, data)
        if self._ended or self._becomes_socket:
            return
        if self._in_head:  # all that came since its begin belongs to it
            self._head += len(data)
            if len(self.url) > MAX_URL:
                self._refuse(*URL_TOO_LONG)
            elif self._head > MAX_HEAD:
                self._refuse(*HEAD_TOO_LARGE)
        elif ((running := self._running) is None or running.response_complete) and not self.transport.is_closing():
            # empty lines before a request
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _stopped(self, stop: httptools.HttpParserUpgrade | httptools.HttpParserError, data: bytes) -> None:
        """Handles a stop of the parser: an upgrade, or invalid data."""
        if not isinstance(stop, httptools.HttpParserUpgrade):
            self._break_off(stop)
            return
        rest = data[stop.args[0] :]
        if self._again is not None:
            data, self._again, self._alone = self._again + rest, None, True
            self.parser = httptools.HttpRequestParser(self)
            try:
                self.parser.feed_data(data)
            except (httptools.HttpParserUpgrade, httptools.HttpParserError) as error:
                self._stopped(error, data)
        elif rest:
            self._becomes_socket = False
            self._refuse(BAD, "A client that requests a WebSocket waits for the response before it sends anything.")
        else:
            self.handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        if self._last:
            raise EndedError
        self._in_head, self._head, self._since = True, 0, self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        scope: Any = self.scope
        parser, headers = self.parser, headers_of(scope)
        if self._alone or parser.should_upgrade() or not is_plain(parser.get_http_version(), self.url, headers):
            self._look_closely(headers)
            if self._again is not None:
                return
            super().on_headers_complete()
            if self._becomes_socket:
                return
            if self._alone:
                last(self.cycle, self)
        else:
            super().on_headers_complete()
        if not self.cycle.keep_alive:
            self._last = True

    def _look_closely(self, headers: Headers) -> None:
        """Checks a head with a special form.

        Raises:
            RefusedHeadError: It is refused.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version()
        self.url = target(method, version, self.url, headers)
        if self.parser.should_upgrade():
            self._becomes_socket = asks_for_socket(method, version, headers) and not self._is_answering
            if not self._becomes_socket:
                self._again = without_upgrade(method, version, self.url, self.headers)
        if version == "1.0":
            self.expect_100_continue = False

    def on_message_complete(self) -> None:
        if self._again is None:
            super().on_message_complete()

    def becomes_socket(self) -> bool:
        return self._becomes_socket

    def _break_off(self, error: httptools.HttpParserError) -> None:
        """Stops reading, and refuses a head or body that could not be parsed."""
        cause, cycle = error.__context__, self.cycle
        if isinstance(cause, EndedError) or (self._last and not cycle.more_body):
            self._ended = True
            return
        if not self._in_head and cycle is not None and cycle.more_body:
            if cycle.response_started:
                self._ended = True
                self.transport.close()
                return
            if cycle is self._running:
                self._give_up()
                self._running = None
            else:
                self.pipeline.popleft()
        if isinstance(cause, RefusedHeadError):
            self._refuse(cause.status, cause.message)
        else:
            self._refuse(BAD, "Invalid HTTP request received. The graph is at /graphql, over HTTP/1.1.")

    @property
    def _is_answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _give_up(self) -> None:
        """Tells the application that the client has disconnected."""
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()

    def _look_at_head(self) -> None:
        transport: Any = self.transport
        if transport.is_closing() or transport.get_protocol() is not self:  # it became a WebSocket
            return
        if self._in_head and self.loop.time() - self._since >= self.client_timeout:
            transport.close()
        else:
            self.loop.call_later(self.client_timeout, self._look_at_head)

    def _refuse(self, status: bytes, message: str) -> None:
        """Sends an error after pending responses, and closes the connection."""
        body = orjson.dumps({"errors": [{"message": message, "extensions": {"code": ErrorCode.BAD_REQUEST}}]})
        self._refusal = (
            b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n" % len(body) + body
        )
        self._ended, self._in_head = True, False
        if not self._is_answering:
            self._send_refusal(self._refusal)

    def _send_refusal(self, refusal: bytes) -> None:
        self._refusal = None
        self.transport.write(refusal)
        self.linger()

    def linger(self) -> None:
        """Ends the connection: nothing more is sent, and received data is discarded."""
        self._ended, self._in_head = True, False
        if not self.transport.is_closing():
            self.transport.write_eof()
            self.loop.call_later(LINGER, self._end)

    def _end(self) -> None:
        self.transport.close()
        self._watch_reading()

    # -- what is answered ------------------------------------------------------------------------------------------

    def answering(self, cycle: RequestResponseCycle, app: Application) -> Application:
        self._running = cycle
        return ResponseSend(cycle, self, app).answer

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unwatch_reading()

    def on_response_complete(self) -> None:
        closes = self._running is not None and not self._running.keep_alive
        super().on_response_complete()
        if self._refusal is not None and not self._is_answering and not self.transport.is_closing():
            self._send_refusal(self._refusal)
        if closes:  # once the whole response is read
            self._watch_reading()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_reading()

    def _watch_reading(self) -> None:
        if self._reading is None:
            self._unread = self.transport.get_write_buffer_size()
            self._reading = self.loop.call_later(self.client_timeout, self._look_at_reading)

    def _look_at_reading(self) -> None:
        """Aborts a client that has read nothing since the last check; a slow one may read to the end."""
        self._reading = None
        left = self.transport.get_write_buffer_size()
        if left and left >= self._unread:
            self.transport.abort()
        elif left:
            self._watch_reading()

    def _unwatch_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None


class LingeringTransport:
    """The transport of a connection's last response: closing it lets the client read that first."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    def close(self) -> None:
        self._connection.linger()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection.transport, name)


def last(cycle: RequestResponseCycle, connection: ClientConnection) -> None:
    """Ends a connection after a response, though its client may be sending more."""
    transport: Any = LingeringTransport(connection)
    cycle.keep_alive, cycle.transport = False, transport


class ResponseSend(WholeSend):
    """An ASGI ``send`` over uvicorn's, with a short path for complete responses.

    Every write is a system call, and costs as much as all work on a small query beside its statement.
    """

    __slots__ = ("_app", "_connection", "_cycle")

    def __init__(self, cycle: RequestResponseCycle, connection: ClientConnection, app: Application) -> None:
        self._cycle = cycle
        self._connection = connection
        self._app = app

    def answer(self, scope: Scope, receive: Receive, _send: Send) -> Awaitable[None]:
        """Runs the application with this ``send``."""
        return self._app(scope, receive, self)

    def __call__(self, message: Message) -> Awaitable[None]:
        cycle = self._cycle
        if cycle.more_body and not cycle.response_started:  # the client may not send the rest
            last(cycle, self._connection)
        return cycle.send(message)  # type: ignore[arg-type]

    def asked(self) -> bytes | None:
        """Takes the body like uvicorn's ``receive``, whose next message is then the disconnect."""
        cycle = self._cycle
        if cycle.more_body or cycle.waiting_for_100_continue or cycle.disconnected:
            return None
        body, cycle.body = bytes(cycle.body), bytearray()
        cycle.flow.resume_reading()
        return body

    def whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Sends head and body at once, as uvicorn does."""
        cycle = self._cycle
        before = cycle.default_headers
        ends = not cycle.keep_alive or len(before) > 1  # the date, and the closing of the connection
        if ends or cycle.more_body or cycle.disconnected or cycle.flow.write_paused or cycle.scope["method"] == "HEAD":
            return False
        headers = before + headers
        head = b"%b%b\r\n" % (STATUS_LINE[status], b"".join(map(b"%b: %b\r\n".__mod__, headers)))
        if not head.count(b"\n") == head.count(b"\r") == len(headers) + 2:
            return False  # a header with a line break
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.writelines((head, body))
        cycle.message_event.set()
        cycle.on_response()
        return True

    def break_off(self) -> None:
        self._cycle.disconnected = True  # uvicorn then does not expect an end
        self._cycle.transport.close()


def protocol(client_timeout: float) -> type[ClientConnection]:
    """A connection class with a client timeout in seconds."""
    return type("Connection", (ClientConnection,), {"client_timeout": client_timeout})
