"""``/mcp`` before its first request: the protocol's SDK, a quarter of all imports, is imported only then."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.auth.authentication import Authentication
from gateway.mcp.toolbox import Toolbox
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.mcp.endpoint import McpEndpoint


class McpEntry:
    """Answers requests to ``/mcp``, as an ASGI application, by an endpoint that the first request creates."""

    def __init__(self, box: Toolbox, authentication: Authentication, settings: Settings) -> None:
        self.box = box
        self._authentication = authentication
        self._settings = settings
        self._running = AsyncExitStack()
        self._opening: asyncio.Task[McpEndpoint] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._endpoint())(scope, receive, send)

    async def metadata(self, request: Request) -> Response:
        """The metadata for OAuth clients that have no token yet."""
        return await (await self._endpoint()).metadata(request)

    async def close(self) -> None:
        """Closes the endpoint, if one was created."""
        if self._opening is not None:
            await asyncio.wait([self._opening])
        await self._running.aclose()

    async def _endpoint(self) -> McpEndpoint:
        """The endpoint; concurrent first requests wait for one creation, which a disconnect does not cancel."""
        if self._opening is None or (self._opening.done() and self._opening.exception() is not None):
            self._opening = asyncio.create_task(self._open())
        return await asyncio.shield(self._opening)

    async def _open(self) -> McpEndpoint:
        endpoint_type = await asyncio.to_thread(_endpoint_type)  # in a thread, so that other requests are answered
        endpoint = endpoint_type(self.box, self._authentication, self._settings, version("e2i-gateway"))
        await self._running.enter_async_context(endpoint.running())
        return endpoint


def _endpoint_type() -> type[McpEndpoint]:
    from gateway.mcp.endpoint import McpEndpoint  # noqa: PLC0415 - slow to import, and not always needed

    return McpEndpoint
