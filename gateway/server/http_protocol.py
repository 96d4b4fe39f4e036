"""HTTP connections: uvicorn's, with timeouts for clients that send nothing, send without end, or read nothing.

The head of a request is limited in size and time; invalid HTTP gets a JSON error. A client that does not read a
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
"""Seconds for which a connection that has ended still takes in, and throws away, what its client sends.

Closed at once, the kernel would reset it, and the client might lose an answer that it has not read yet (RFC 9112, 9.6).
"""


class ClientConnection(HttpProtocol):
    """A connection whose client has ``client_timeout`` seconds to send a head, and to read on, however slowly it reads.

    One that never asks anything is closed after as long. Requests are read one behind the other as long as it is beyond
    doubt where each of them ends: behind one that is refused, answered before it was heard out, or asks for a protocol
    that is not spoken, no other is read.
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
    """The head of a request that is read once more, without the upgrade that it asks for."""
    _alone = False
    """Whether the request that is read now is the last one, whatever it says."""
    _last = False
    """Whether no other request is read behind this one."""
    _ended = False
    """Whether nothing is read any more."""
    _refusal: bytes | None = None
    """What is sent behind the answers that are still due."""

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
        if self._in_head:  # then all that came since it began belongs to it
            self._head += len(data)
            if len(self.url) > MAX_URL:
                self._refuse(*URL_TOO_LONG)
            elif self._head > MAX_HEAD:
                self._refuse(*HEAD_TOO_LARGE)
        elif ((running := self._running) is None or running.response_complete) and not self.transport.is_closing():
            # empty lines, which begin no request
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _stopped(self, stop: httptools.HttpParserUpgrade | httptools.HttpParserError, data: bytes) -> None:
        """The parser reads no further: another protocol is asked for, or what has come is refused."""
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
        """Looks at a head that is not as most are.

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
        """Reads nothing any more, and refuses what could not be read: the head of a request, or its body."""
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
        """Tells the application that nobody waits for its answer."""
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
        """Answers with an error, in its turn, and closes the connection."""
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
        """Ends the connection: nothing more is said, and what still comes is not looked at."""
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
        if closes:  # once all of the answer is read
            self._watch_reading()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_reading()

    def _watch_reading(self) -> None:
        if self._reading is None:
            self._unread = self.transport.get_write_buffer_size()
            self._reading = self.loop.call_later(self.client_timeout, self._look_at_reading)

    def _look_at_reading(self) -> None:
        """However slow a client reads, it may read to the end; one that has read nothing since never will."""
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


class Lingering:
    """The transport of a connection's last answer: closing it leaves its client the time to read."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    def close(self) -> None:
        self._connection.linger()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection.transport, name)


def last(cycle: RequestResponseCycle, connection: ClientConnection) -> None:
    """Has a connection end with an answer, though its client may be sending more."""
    transport: Any = Lingering(connection)
    cycle.keep_alive, cycle.transport = False, transport


class ResponseSend(WholeSend):
    """How an answer is sent: uvicorn's ``send``, and a short way for one that is there as a whole.

    Every write is a system call, and costs as much as all that is done for a small query beside its statement.
    """

    __slots__ = ("_app", "_connection", "_cycle")

    def __init__(self, cycle: RequestResponseCycle, connection: ClientConnection, app: Application) -> None:
        self._cycle = cycle
        self._connection = connection
        self._app = app

    def answer(self, scope: Scope, receive: Receive, _send: Send) -> Awaitable[None]:
        """Has the application answer by it in place of uvicorn's own."""
        return self._app(scope, receive, self)

    def __call__(self, message: Message) -> Awaitable[None]:
        cycle = self._cycle
        if cycle.more_body and not cycle.response_started:  # who hears an answer may leave the rest of the body out
            last(cycle, self._connection)
        return cycle.send(message)  # type: ignore[arg-type]

    def asked(self) -> bytes | None:
        """Takes the body as uvicorn's ``receive`` would, which after that has the end of the request to tell."""
        cycle = self._cycle
        if cycle.more_body or cycle.waiting_for_100_continue or cycle.disconnected:
            return None
        body, cycle.body = bytes(cycle.body), bytearray()
        cycle.flow.resume_reading()
        return body

    def whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Sends head and body at once, as uvicorn would."""
        cycle = self._cycle
        before = cycle.default_headers
        ends = not cycle.keep_alive or len(before) > 1  # the date, and that the gateway ends
        if ends or cycle.more_body or cycle.disconnected or cycle.flow.write_paused or cycle.scope["method"] == "HEAD":
            return False
        headers = before + headers
        head = b"%b%b\r\n" % (STATUS_LINE[status], b"".join(map(b"%b: %b\r\n".__mod__, headers)))
        if not head.count(b"\n") == head.count(b"\r") == len(headers) + 2:
            return False  # a header has more than a line
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.writelines((head, body))
        cycle.message_event.set()
        cycle.on_response()
        return True

    def break_off(self) -> None:
        self._cycle.disconnected = True  # so that uvicorn looks for no end of it
        self._cycle.transport.close()


def protocol(client_timeout: float) -> type[ClientConnection]:
    """Connections that wait so many seconds for their clients."""
    return type("Connection", (ClientConnection,), {"client_timeout": client_timeout})
