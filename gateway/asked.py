"""What an HTTP request asks, to the letter of GraphQL over HTTP: media types, method and body, to its parameters.

It works on the ASGI messages themselves: an answer by a compiled statement takes less time than a framework's request.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import orjson
from graphql import GraphQLError
from starlette.types import Receive, Scope

from db.replica import position_of
from gateway.errors import request_error
from gateway.limits import refuse

GRAPHQL_RESPONSE = "application/graphql-response+json"
JSON = "application/json"

_READ = {b"accept", b"authorization", b"content-length", b"content-type"}


@dataclass(frozen=True)
class Asked:
    """The parameters of a GraphQL request."""

    query: str
    operation_name: str | None
    variables: dict[str, Any]
    after: int | None = None
    """The position in the database's log that the answer must not be behind."""


class RefusedError(Exception):
    """A request that is refused as a whole: nothing was run."""

    def __init__(self, status: int, *errors: GraphQLError, **headers: str) -> None:
        super().__init__(errors[0].message)
        self.status = status
        self.errors = errors
        self.headers = headers

    def status_as(self, _media: str) -> int:
        return self.status


class RefusedDocumentError(RefusedError):
    """A well-formed request whose document, operation or variables are refused."""

    def __init__(self, *errors: GraphQLError) -> None:
        super().__init__(400, *errors)

    def status_as(self, media: str) -> int:
        """To clients of plain JSON the specification gives 200: they know no difference between errors and failures."""
        return 200 if media == JSON else self.status


class DisconnectedError(Exception):
    """The client went away before it had said what it asks."""


def headers_of(scope: Scope) -> dict[bytes, str]:
    """The headers that are read, in lower case; those that were sent several times joined by commas."""
    found: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name in _READ:
            text = value.decode("latin-1")
            found[name] = f"{found[name]},{text}" if name in found else text
    return found


@lru_cache(maxsize=256)
def negotiate(accept: str) -> str:
    """The media type of the answer, from ``Accept``; no header or a wildcard means the GraphQL one.

    Raises:
        RefusedError: The client takes neither.
    """
    if not accept:
        return GRAPHQL_RESPONSE
    qualities: dict[str, float] = {}
    for item in accept.split(","):
        media, *options = (part.strip().lower() for part in item.split(";"))
        qualities.setdefault(media, next((_quality(option[2:]) for option in options if option.startswith("q=")), 1.0))

    def quality(media: str) -> float:
        return next((qualities[name] for name in (media, "application/*", "*/*") if name in qualities), 0.0)

    if max(quality(GRAPHQL_RESPONSE), quality(JSON)) > 0:
        return GRAPHQL_RESPONSE if quality(GRAPHQL_RESPONSE) >= quality(JSON) else JSON
    message = f"This endpoint answers {GRAPHQL_RESPONSE} or {JSON}, and the Accept header takes neither."
    raise RefusedError(406, request_error("NOT_ACCEPTABLE", message))


async def read(scope: Scope, headers: dict[bytes, str], receive: Receive, max_body: int) -> Asked:
    """The parameters of a request whose body is at most so many bytes long.

    Raises:
        RefusedError: It is not a GraphQL request.
        DisconnectedError: The client went away.
    """
    method = scope["method"]
    if method == "POST":
        _require_json(headers.get(b"content-type", ""))
        return _checked(_json(await _body(headers, receive, max_body), "the body"))
    if method != "GET":
        message = f"{method} means nothing here; send queries by GET or POST, mutations by POST."
        raise RefusedError(405, request_error("METHOD_NOT_ALLOWED", message), allow="GET, POST")
    parameters: dict[str, Any] = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    for name in ("variables", "extensions"):
        if name in parameters:
            parameters[name] = _json(parameters[name].encode(), f"the parameter {name}")
    return _checked(parameters)


@lru_cache(maxsize=64)
def _require_json(header: str) -> None:
    content_type, *options = header.split(";")
    if content_type.strip().lower() != JSON:
        message = f"The content type {content_type or '(none)'!r} is not supported; send {JSON}."
        raise RefusedError(415, request_error("UNSUPPORTED_MEDIA_TYPE", message))
    for option in options:
        name, _, value = option.strip().lower().partition("=")
        if name == "charset" and value.strip('"') not in {"utf-8", "utf8"}:
            raise RefusedError(415, request_error("UNSUPPORTED_MEDIA_TYPE", f"Send UTF-8, not {value[:80]!r}."))


async def _body(headers: dict[bytes, str], receive: Receive, limit: int) -> bytes:
    announced = headers.get(b"content-length", "")
    size = int(announced) if announced.isdigit() else 0
    body = b""
    more = size <= limit
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        body += message.get("body", b"")
        more = message.get("more_body", False) and len(body) <= limit
    if max(size, len(body)) > limit:
        advice = "Shorten the query, or send less in its variables."
        error = refuse("BODY_LIMIT", "The request body is too large, in bytes", limit, max(size, len(body)), advice)
        raise RefusedError(413, error, connection="close")
    return body


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def _json(raw: bytes, where: str) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise RefusedError(400, request_error("BAD_REQUEST", f"{where} is not UTF-8 JSON: {error}.")) from None


def _checked(parameters: Any) -> Asked:
    """The parameters with their types checked."""

    def refuse_parameter(message: str) -> RefusedError:
        return RefusedError(400, request_error("BAD_REQUEST", message))

    if isinstance(parameters, list):
        raise refuse_parameter("Batches are not supported; send one operation a request, with several root fields.")
    if not isinstance(parameters, dict):
        raise refuse_parameter('The body must be a JSON object such as {"query": "{ experiments { totalCount } }"}.')
    query = parameters.get("query")
    if not isinstance(query, str) or not query.strip():
        raise refuse_parameter("The parameter query is missing; it is the GraphQL document, a string.")
    operation_name = parameters.get("operationName")
    if operation_name is not None and not isinstance(operation_name, str):
        raise refuse_parameter("The parameter operationName must be a string or null.")
    for name in ("variables", "extensions"):
        if parameters.get(name) is not None and not isinstance(parameters[name], dict):
            raise refuse_parameter(f"The parameter {name} must be an object or null.")
    after = _after((parameters.get("extensions") or {}).get("position"))
    return Asked(query, operation_name or None, parameters.get("variables") or {}, after)


def _after(position: Any) -> int | None:
    if position is None:
        return None
    try:
        return position_of(str(position))
    except ValueError as error:
        raise RefusedError(400, request_error("BAD_REQUEST", f"extensions.position: {error}.")) from None
