"""uvicorn's WebSocket protocol, extended to abort a peer that does not read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.protocol import State

from gateway.adapters.uvicorn import WebSocketProtocol
from gateway.http.response import WRITE_BYTES

DROP = "gateway.drop"
"""The scope's extension by which an application drops its peer: a function of a close code and a reason."""
WRITE = "gateway.write"
"""The scope's extension by which an application sends texts, in UTF-8, to a peer that reads: a function that returns
how many were sent. The next one is sent by ASGI, which waits for the peer."""

GRACE = 2.0
"""Seconds for the peer to read the rest and the close frame, before the connection is aborted."""

Drop = Callable[[int, str], None]
Write = Callable[[Sequence[bytes]], int]


log = logging.getLogger("gateway.websocket.transport")
log.setLevel("WARNING")  # operations are logged, connections are not


class SocketProtocol(WebSocketProtocol):
    """A WebSocket whose closing does not wait without limit for a peer that does not read."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.logger = self.conn.logger = log

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:  # uvicorn would send nothing, and wait
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is None:  # invalid frames before the handshake was answered
            self.transport.close()
        else:
            super().handle_parser_exception()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:  # the application runs once this returns
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions |= {DROP: self.drop, WRITE: self.write}

    def write(self, texts: Sequence[bytes]) -> int:
        """Sends the first of some texts in one write, if nothing has to be waited for; returns how many.

        Most of the time of a text that is sent by ASGI is not that of the write.
        """
        if not self.writable.is_set() or self.conn.state is not State.OPEN or self.close_sent or self.disconnected:
            return 0
        frames: list[bytes] = []
        size = 0
        for text in texts:
            frames += _head(len(text)), text  # no extension changes it: none is negotiated
            size += len(text)
            if size >= WRITE_BYTES:
                break
        self.transport.write(b"".join(frames))
        return len(frames) // 2

    def drop(self, code: int, reason: str) -> None:
        """Closes the connection, waiting at most ``GRACE`` seconds for the peer."""
        if self.conn.state is not State.OPEN or self.close_sent or self.transport.is_closing():
            self._abort_soon()
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.read_paused = False
        self.transport.resume_reading()  # the peer's answer ends it at once
        self.close_timer = self.loop.call_later(GRACE, self.transport.abort)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._abort_soon()

    def shutdown(self) -> None:
        super().shutdown()
        self._abort_soon()

    def _abort_soon(self) -> None:
        self.loop.call_later(GRACE, self.transport.abort)


def _head(size: int) -> bytes:
    """What is before the ``size`` bytes of a text that a server sends as one frame (RFC 6455, 5.2)."""
    if size < 126:
        return bytes((_TEXT, size))
    if size < 2**16:
        return bytes((_TEXT, 126)) + size.to_bytes(2, "big")
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big")


_TEXT = 0x80 | Opcode.TEXT
"""The first byte of the only frame of a text."""
