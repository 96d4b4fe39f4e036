"""Checks of the Host, Origin and Sec-Fetch-Site headers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import orjson
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.header_cache import cached_by_header
from gateway.http.headers import headers_of
from gateway.http.request import PREFLIGHT
from gateway.operations.refusals import JSON
from gateway.settings import Settings
from schema.error_codes import ErrorCode

TELEMETRY = ("traceparent", "tracestate", "baggage", "sentry-trace")
"""Headers of OpenTelemetry and Sentry, which they add to every request of a page."""
CLIENTS = (
    "apollographql-client-name", "apollographql-client-version", "apollo-client-name", "apollo-client-version",
    "x-apollo-operation-id", "x-apollo-operation-type",
)  # fmt: skip
"""Headers that GraphQL clients send beside those of :data:`PREFLIGHT`."""


class _Cors(CORSMiddleware):
    """CORS for other origins; a refused preflight says in JSON which header or origin was refused."""

    def preflight_response(self, request_headers: Headers) -> Response:
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        headers = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        return _refusal(" ".join(self._reasons(request_headers)), answer.status_code, headers)

    def _reasons(self, asked: Headers) -> Iterator[str]:
        if not self.is_allowed_origin(asked["origin"]):
            yield f"The origin {asked['origin'][:200]!r} is not allowed; GATEWAY_CORS_ORIGINS lists the allowed "
            "origins."
        if (method := asked["access-control-request-method"]) not in self.allow_methods:
            yield f"The method {method[:20]!r} means nothing here; send {' or '.join(self.allow_methods)}."
        given = (name.strip().lower() for name in asked.get("access-control-request-headers", "").split(","))
        refused = [] if self.allow_all_headers else [name for name in given if name not in self.allow_headers]
        if refused := list(filter(None, refused)):
            names = ", ".join(name[:80] for name in refused[:5])
            yield f"Pages may not send the header {names}; GATEWAY_CORS_HEADERS names those that they may."
        if "access-control-request-private-network" in asked:
            yield "Pages of public sites may not send requests to a private network."


def cors(graph: ASGIApp, settings: Settings, headers: tuple[str, ...] = ()) -> ASGIApp:
    """The graph with CORS for the origins of the settings; pages may send ``headers`` besides."""
    return _Cors(
        graph,
        allow_origins=sorted(settings.cors),
        allow_methods=("GET", "POST"),
        allow_headers=(
            "authorization",
            "if-none-match",
            *PREFLIGHT,
            *CLIENTS,
            *TELEMETRY,
            *headers,
            *settings.cors_headers,
        ),
        allow_credentials=settings.cors_credentials,
        expose_headers=("etag", "retry-after", "www-authenticate", "x-request-id", "x-rows"),
        max_age=7200,
    )


def is_of_page(scope: Scope) -> bool:
    """Whether a page has sent a request, or may have: browsers set Origin on a POST."""
    return scope["method"] != "POST" or b"origin" in headers_of(scope)


def is_own_page(origin: str, host: str) -> bool:
    """Whether an origin is the server's own, by name and port of the Host header."""
    page = urlsplit(origin)
    with suppress(ValueError):  # an invalid port
        own = urlsplit(f"{page.scheme}://{host}")
        default = {"http": 80, "https": 443}.get(page.scheme)
        return bool(page.hostname) and (page.hostname, page.port or default) == (own.hostname, own.port or default)
    return False


_HOST = re.compile(rb"([^\s:/\[\]]+|\[[0-9a-f:.]+\])(?::[0-9]*)?")


def host_of(scope: Scope) -> bytes:
    """The host name of a request in lower case, without port and trailing dot.

    Empty if the header is missing, repeated or malformed.
    """
    given = [value for name, value in scope["headers"] if name == b"host"]
    return _name_in(given[0]) if len(given) == 1 else b""


@cached_by_header
def _name_in(header: bytes) -> bytes:
    found = _HOST.fullmatch(header.lower())
    return found[1].removesuffix(b".") if found else b""


async def refuse_host(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuses a request with an unknown Host: by DNS rebinding a page could read answers otherwise."""
    message = (
        "The Host header is not a name of this server (DNS rebinding). Set GATEWAY_HOSTS to its names; the default "
        "with GATEWAY_AUTH=none is localhost, 127.0.0.1 and [::1]."
    )
    await _refusal(message, 421, {"connection": "close"})(scope, receive, send)


def _refusal(message: str, status: int, headers: dict[str, str]) -> Response:
    body = orjson.dumps({"errors": [{"message": message, "extensions": {"code": ErrorCode.CROSS_SITE}}]})
    return Response(body, status, headers, JSON)
