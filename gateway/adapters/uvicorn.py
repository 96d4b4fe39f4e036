"""uvicorn: its protocol classes, which it does not document for extension, under public names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

__all__ = ["STATUS_LINE", "HttpProtocol", "RequestResponseCycle", "WebSocketProtocol"]

Application = Callable[..., Awaitable[None]]

WebSocketProtocol = WebSocketsSansIOProtocol
"""A WebSocket over the library websockets, without I/O of its own."""


class HttpProtocol(HttpToolsProtocol):
    """A connection that httptools reads: each request is a cycle, of which one is answered at a time."""

    stop_keep_alive = HttpToolsProtocol._unset_keepalive_if_required  # noqa: SLF001 - the adapter's purpose

    def answering(self, cycle: RequestResponseCycle, app: Application) -> Application:  # noqa: ARG002 - for subclasses
        """Returns the application that answers a request in a task that begins next; subclasses may wrap it."""
        return app

    def becomes_socket(self) -> bool:
        """Whether the request just read asks for a WebSocket and may be upgraded."""
        return super()._should_upgrade()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        super()._start_asgi_task(cycle, self.answering(cycle, app))

    def _should_upgrade(self) -> bool:
        return self.becomes_socket()
