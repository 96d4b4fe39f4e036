"""Calls of tools by clients before 2026-07-28, answered as a single exchange.

The SDK creates a transport, streams and tasks for every request of that era, which cost more than most tools. A plain
call of a tool needs none of them; other messages of such clients are left to the SDK.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import orjson
import pydantic_core
from mcp.server.connection import Connection
from mcp.server.lowlevel.server import Server
from mcp.server.runner import serve_one
from mcp.server.streamable_http import check_accept_headers
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.jsonrpc_dispatcher import handler_exception_to_error_data
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp_types import DEFAULT_NEGOTIATED_VERSION, INTERNAL_ERROR, ErrorData
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

log = logging.getLogger("gateway.mcp")

CALL = "tools/call"
_VERSION = "mcp-protocol-version"


@dataclass(frozen=True)
class ToolRequest:
    """A message that calls a tool."""

    id: str | int
    params: Mapping[str, Any]


def read_call(scope: Scope, body: bytes) -> ToolRequest | None:
    """The tool call in a request of such a client; None for anything else, and for malformed messages."""
    if b'"tools/call"' not in body:
        return None
    request = Request(scope)
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    version = request.headers.get(_VERSION, DEFAULT_NEGOTIATED_VERSION)
    if kind != "application/json" or version not in HANDSHAKE_PROTOCOL_VERSIONS or not check_accept_headers(request)[0]:
        return None
    try:
        message = pydantic_core.from_json(body)
    except ValueError:
        return None
    match message:
        case {"jsonrpc": "2.0", "method": "tools/call", "id": str() | int() as id_, "params": dict() as params}:
            return None if isinstance(id_, bool) or len(message) != 4 else ToolRequest(id_, params)
        case _:
            return None


@dataclass
class _Exchange:
    """One request with its response; no other messages are exchanged."""

    transport: TransportContext
    request_id: str | int
    message_metadata: ServerMessageMetadata
    cancel_requested: anyio.Event = field(default_factory=anyio.Event)
    can_send_request: bool = field(default=False, init=False)

    async def send_raw_request(
        self,
        method: str,
        params: Mapping[str, Any] | None,  # noqa: ARG002 - part of the interface
        opts: CallOptions | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """Sends nothing: the response is not a stream."""

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Sends nothing."""


async def answer_call(server: Server[Any], call: ToolRequest, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers the call of a tool."""
    request = Request(scope, receive)
    version = request.headers.get(_VERSION, DEFAULT_NEGOTIATED_VERSION)
    exchange = _Exchange(
        TransportContext(kind="streamable-http", can_send_request=False, headers=request.headers),
        call.id,
        ServerMessageMetadata(request_context=request),
    )
    connection = Connection.from_envelope(version, None, None)
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": call.id}
    try:
        answer["result"] = await serve_one(
            server, exchange, CALL, call.params, connection=connection, lifespan_state={}
        )
    except Exception as error:  # noqa: BLE001 - any error has a response in the protocol
        answer["error"] = _told(error).model_dump(mode="json", exclude_none=True)
    await Response(orjson.dumps(answer), media_type="application/json")(scope, receive, send)


def _told(error: Exception) -> ErrorData:
    """An exception as a protocol error, without internal details."""
    known = handler_exception_to_error_data(error)
    if known is None:
        log.error("a call of a tool has failed", exc_info=error)
        return ErrorData(code=INTERNAL_ERROR, message="Internal server error")
    return known
