"""HTTP connections: uvicorn's, without patience for clients that ask nothing, ask without end, or read nothing.

What comes before a request is one is limited in size and time, and what is no HTTP is answered in JSON. Whoever does
not read an answer is let go; reading slowly is no reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import orjson
from starlette.types import ASGIApp, Message
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

MAX_HEAD = 128 * 1024
"""Bytes of a request's line and headers."""


class Connection(HttpToolsProtocol):
    """A connection whose client has ``patience`` seconds for a head, and to read on at all, however slowly it reads.

    One that never asks anything is closed after as long.
    """

    patience = 30.0
    _in_head = True
    _head = 0
    _since = 0.0
    _reading: asyncio.TimerHandle | None = None
    _unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        self.loop.call_later(self.patience, self._look_at_head)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch_reading()
        super().connection_lost(exc)

    # -- what is asked ---------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:  # then all that came since it began belongs to it
            self._head += len(data)
            if self._head > MAX_HEAD and not self.transport.is_closing():
                self._refuse(b"431 Request Header Fields Too Large", f"The headers have more than {MAX_HEAD:,} bytes.")

    def on_message_begin(self) -> None:
        self._in_head, self._head, self._since = True, 0, self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(b"400 Bad Request", f"{msg.removesuffix('.')}. The graph is at /graphql, over HTTP/1.1.")

    def _look_at_head(self) -> None:
        transport: Any = self.transport
        if transport.is_closing() or transport.get_protocol() is not self:  # it became a WebSocket
            return
        if self._in_head and self.loop.time() - self._since >= self.patience:
            transport.close()
        else:
            self.loop.call_later(self.patience, self._look_at_head)

    def _refuse(self, status: bytes, message: str) -> None:
        body = orjson.dumps({"errors": [{"message": message, "extensions": {"code": "BAD_REQUEST"}}]})
        self.transport.write(
            b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n" % len(body) + body
        )
        self.transport.close()

    # -- what is answered ------------------------------------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        super()._start_asgi_task(cycle, lambda scope, receive, _send: app(scope, receive, Answer(cycle)))  # type: ignore[arg-type]

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unwatch_reading()

    def on_response_complete(self) -> None:
        closes = not self.cycle.keep_alive
        super().on_response_complete()
        if closes:  # once all of the answer is read
            self._watch_reading()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_reading()

    def _watch_reading(self) -> None:
        if self._reading is None:
            self._unread = self.transport.get_write_buffer_size()
            self._reading = self.loop.call_later(self.patience, self._look_at_reading)

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


class Answer:
    """How an answer is sent: uvicorn's ``send``, and a short way for one that is there as a whole.

    Every write is a system call, and costs as much as all that is done for a small query beside its statement.
    """

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def __call__(self, message: Message) -> Awaitable[None]:
        return self._cycle.send(message)  # type: ignore[arg-type]

    def whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Sends head and body at once, as uvicorn would; False where that has to be asked instead.

        ``headers`` have the length of the body among them, nothing of the connection, and names in small letters.
        """
        cycle = self._cycle
        before = cycle.default_headers
        ends = not cycle.keep_alive or len(before) > 1  # the date, and that the gateway ends
        if ends or cycle.disconnected or cycle.flow.write_paused or cycle.scope["method"] == "HEAD":
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


def protocol(patience: float) -> type[Connection]:
    """Connections that wait so many seconds for their clients."""
    return type("Connection", (Connection,), {"patience": patience})
