"""The protocol over stdin and stdout, for a client that starts the gateway itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.server.stdio import stdio_server

from gateway.auth.authentication import Authentication, UnauthenticatedError
from gateway.context import Caller
from gateway.mcp.envelope import ToolError
from gateway.mcp.server import Context, make_server
from gateway.mcp.toolbox import Toolbox
from gateway.settings import Settings


async def serve(box: Toolbox, authentication: Authentication, settings: Settings, version: str) -> None:
    """Serves one client until it closes stdin; the caller is that of the settings' token, verified at each call."""
    token = settings.mcp_token.get_secret_value() if settings.mcp_token else None

    async def caller(_context: Context) -> tuple[Caller, Mapping[str, Any] | None]:
        try:
            return await authentication.authenticate(None if token is None else f"Bearer {token}"), None
        except UnauthenticatedError as error:
            advice = "Whoever runs this sets GATEWAY_MCP_TOKEN to a token that is in use."
            raise ToolError(error.code, error.message, advice) from None

    server = make_server(box, caller, version)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
