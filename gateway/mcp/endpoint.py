"""The protocol over HTTP at ``/mcp``: access, and the metadata that leads clients to their authorization server.

There are no sessions: any worker answers each request, which is authenticated by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import getrandbits
from typing import Any

import orjson
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from db.engine.errors import DatabaseError
from gateway.auth.authentication import Authentication, UnauthenticatedError
from gateway.context import Caller
from gateway.http.headers import headers_of
from gateway.http.origins import cors, is_own_page
from gateway.mcp.addresses import METADATA, PATH
from gateway.mcp.server import ASKS, LEFT, Context, make_server
from gateway.mcp.single_exchange import answer_call, read_call
from gateway.mcp.toolbox import Toolbox
from gateway.mcp.waiting import (
    DisconnectReceive,
    WaitingResponse,
    begins,
    body_of,
    can_stream,
    is_marked,
    keep_answer,
    marked,
    read_message,
)
from gateway.observability.logging import request_id as current_request_id
from gateway.settings import Settings
from schema.error_codes import ErrorCode

HEADERS = ("mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name", "last-event-id")
"""Headers of the protocol, which pages of allowed origins may send."""
_CALLER = "e2i.mcp.caller"

log = logging.getLogger("gateway.mcp")


class McpEndpoint:
    """Answers requests to ``/mcp``, as an ASGI application."""

    def __init__(self, box: Toolbox, authentication: Authentication, settings: Settings, version: str) -> None:
        logging.getLogger("mcp").setLevel(logging.WARNING)  # its log lines repeat the gateway's
        self.box = box
        self._authentication = authentication
        self._settings = settings
        self._server = make_server(box, _sender, version)
        self._manager = StreamableHTTPSessionManager(
            self._server,
            json_response=True,
            stateless=True,
            max_request_body_size=settings.max_body_bytes,
        )
        self._app: ASGIApp = cors(self._answer, settings, HEADERS) if settings.cors else self._answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = headers_of(scope).get(b"origin")
        if origin is not None and not self._is_allowed(origin.decode("latin-1"), scope):
            message = "Pages of this origin are not allowed; GATEWAY_CORS_ORIGINS lists the allowed origins."
            await _refusal(403, ErrorCode.ORIGIN_NOT_ALLOWED, message)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serves within the block; the SDK's session manager runs in a task of its own, since its cancel scopes require
        it."""
        ready, over = asyncio.Event(), asyncio.Event()

        async def run() -> None:
            async with self._manager.run():
                ready.set()
                await over.wait()

        task = asyncio.create_task(run())
        await ready.wait()
        try:
            yield
        finally:
            over.set()
            await task

    async def metadata(self, request: Request) -> Response:
        """The metadata of the resource (RFC 9728): its authorization servers and how it takes tokens."""
        settings = self._settings
        told: dict[str, Any] = {
            "resource": self._resource(request.scope),
            "resource_name": "E2I metadata gateway",
            "bearer_methods_supported": ["header"],
        }
        if "jwt" in settings.auth and settings.jwt_issuer:
            told["authorization_servers"] = list(settings.jwt_issuer)
        headers = {"cache-control": "max-age=3600", "access-control-allow-origin": "*"}
        return Response(orjson.dumps(told), media_type="application/json", headers=headers)

    def _resource(self, scope: Scope) -> str:
        """The URL of the resource for clients."""
        host = headers_of(scope).get(b"host", b"").decode("latin-1")
        return self._settings.mcp_url or f"{scope['scheme']}://{host}{PATH}"

    def _is_allowed(self, origin: str, scope: Scope) -> bool:
        allowed = self._settings.cors
        host = headers_of(scope).get(b"host", b"").decode("latin-1")
        return "*" in allowed or origin in allowed or is_own_page(origin, host)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        current_request_id.set(f"{getrandbits(128):032x}")
        if scope["method"] != "POST":  # there are neither streams to open nor sessions to end
            message = "The Model Context Protocol is spoken by POST here; no session is kept."
            await _refusal(405, ErrorCode.METHOD_NOT_ALLOWED, message, allow="POST")(scope, receive, send)
            return
        authorization = headers_of(scope).get(b"authorization")
        try:
            caller = await self._authentication.authenticate(
                None if authorization is None else authorization.decode("latin-1")
            )
            self._check_audience(caller)
        except UnauthenticatedError as error:
            headers = dict(error.headers)
            if "www-authenticate" in headers:
                url = self._resource(scope).removesuffix(PATH) + METADATA + PATH
                headers["www-authenticate"] += f', resource_metadata="{url}"'
            await _refusal(error.status, error.code, error.message, **headers)(scope, receive, send)
            return
        scope[_CALLER] = caller
        scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]  # the SDK compares them
        departure = DisconnectReceive(receive)
        scope[LEFT] = departure.left
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                body, receive = await body_of(departure.receive, self._settings.max_body_bytes)
        except TimeoutError:
            message = f"The request did not arrive within {self._settings.request_timeout:g} seconds."
            await _refusal(408, ErrorCode.REQUEST_TIMEOUT, message, connection="close")(scope, receive, send)
            return
        whole = len(body) <= self._settings.max_body_bytes
        if _is_modern(scope):
            await self._manager.handle_request(scope, receive, send)
        elif self._settings.mcp == "change":
            await self._answer_waiting(scope, body if whole else b"", departure, receive, send)
        else:
            await self._answer_old(scope, body if whole else b"", receive, send)

    async def _answer_old(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Answers a client of a protocol before 2026-07-28."""
        if (call := read_call(scope, body)) is not None:
            await answer_call(self._server, call, scope, receive, send)
        else:
            await self._manager.handle_request(scope, receive, send)

    async def _answer_waiting(
        self, scope: Scope, body: bytes, departure: DisconnectReceive, receive: Receive, send: Send
    ) -> None:
        """Answers such a client, whose person can be asked during a call."""
        message = read_message(body) if is_marked(scope) or b'"initialize"' in body else {}
        if begins(message):
            send = marked(send)
        elif is_marked(scope) and "method" not in message and "id" in message:
            caller: Caller = scope[_CALLER]
            try:
                kept = await keep_answer(message, caller.name, self.box.previews)
            except DatabaseError as error:
                log.warning("the answer of a person cannot be kept: %s", error)
                kept = False
            refusal = _refusal(400, ErrorCode.BAD_REQUEST, "Nobody waits for an answer to this question.")
            await (Response(status_code=202) if kept else refusal)(scope, receive, send)
            return
        elif is_marked(scope) and message.get("method") == "tools/call" and can_stream(scope):
            waiting = WaitingResponse(send, departure.left, self.box.previews)
            scope[ASKS] = waiting.ask
            send = waiting.send
        await self._answer_old(scope, body, receive, send)

    def _check_audience(self, caller: Caller) -> None:
        """Checks that a JWT is meant for this resource, if the settings name the audience.

        Raises:
            UnauthenticatedError: The JWT has another audience.
        """
        audience = caller.claims.get("aud")
        if self._settings.mcp_url is None or audience is None:  # only verified JWTs have an audience
            return
        if self._settings.mcp_url not in ([audience] if isinstance(audience, str) else audience):
            raise UnauthenticatedError("The JWT is for another resource (aud).", invalid=True)


async def _sender(context: Context) -> tuple[Caller, Mapping[str, Any] | None]:
    """The caller of the request that a message came with."""
    assert context.request is not None  # noqa: S101 - over HTTP there is one
    scope: Scope = context.request.scope
    caller: Caller = scope[_CALLER]
    return caller, scope


def _is_modern(scope: Scope) -> bool:
    """Whether a request is of the protocol 2026-07-28, or of an unknown version."""
    named = headers_of(scope).get(b"mcp-protocol-version")
    return named is not None and named.decode("latin-1") not in HANDSHAKE_PROTOCOL_VERSIONS


def _refusal(status: int, code: str, message: str, **headers: str) -> Response:
    """A refusal before the protocol applies, in the gateway's form."""
    body = orjson.dumps({"errors": [{"message": message, "extensions": {"code": code}}]})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(body, status, media_type="application/json", headers=named)
