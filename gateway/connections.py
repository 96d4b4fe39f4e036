"""HTTP connections that hang are let go: heads that never end, clients that say nothing, answers that nobody reads."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 65_536
"""Bytes of a request's line and headers."""


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, which gives a client some seconds to say what it asks, and to read on at all.

    The body of a request and its answer have the request's deadline; this is about what comes before and after.
    """

    patience = 30.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = False
        self._head = 0
        self._asking: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._unread = 0

    # -- what is asked -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._asking = self.loop.call_later(self.patience, self._give_up)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._wait_for_head(len(data))

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head = 0
        super().on_message_begin()

    def send_400_response(self, msg: str) -> None:
        self._refuse("400 Bad Request", "BAD_REQUEST", f"{msg.removesuffix('.')}. {_WHERE}")

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
        super().on_headers_complete()

    def _wait_for_head(self, received: int) -> None:
        self._head += received
        if self._head > MAX_HEAD:
            self._refuse("431 Request Header Fields Too Large", "HEAD_LIMIT", _TOO_LARGE)
        elif self._asking is None:
            self._asking = self.loop.call_later(self.patience, self._give_up)

    def _give_up(self) -> None:
        if self._in_head:
            self._refuse("408 Request Timeout", "REQUEST_TIMEOUT", _TOO_SLOW.format(self.patience))
        else:
            self.transport.close()

    def _refuse(self, status: str, code: str, message: str) -> None:
        self._in_head = False
        if self.transport.is_closing():
            return
        body = orjson.dumps({"errors": [{"message": message, "extensions": {"code": code}}]})
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
        self.transport.close()
        self._watch_reading()

    # -- what is read ------------------------------------------------------------------------------------------

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

    def connection_lost(self, exc: Exception | None) -> None:
        if self._asking is not None:
            self._asking.cancel()
        self._unwatch_reading()
        super().connection_lost(exc)


def protocol(patience: float) -> type[Connection]:
    """Connections that wait so many seconds for their clients."""
    return type("Connection", (Connection,), {"patience": patience})


_WHERE = "The graph is at /graphql, over HTTP/1.1."
_TOO_LARGE = f"The request's line and headers have more than {MAX_HEAD:,} bytes; send what is large by POST."
_TOO_SLOW = "The request's headers did not come within {:g} seconds; send them at once."
