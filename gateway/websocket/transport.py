"""uvicorn's WebSocket protocol, extended to abort a peer that does not read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from websockets.http11 import Request
from websockets.protocol import State

from gateway.adapters.uvicorn import WebSocketProtocol

DROP = "gateway.drop"
"""The scope's extension by which an application drops its peer: a function of a close code and a reason."""

GRACE = 2.0
"""Seconds for the peer to read the rest and the close frame, before the connection is aborted."""

Drop = Callable[[int, str], None]


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
            extensions[DROP] = self.drop

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
