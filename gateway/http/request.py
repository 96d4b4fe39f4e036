"""Request parsing: GraphQL parameters from a URL or a body, within limits, with types checked.

It reads ASGI messages directly: a compiled statement takes less time than a framework's request object.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.types import Receive, Scope

from gateway.http.header_cache import cached_by_header
from gateway.http.headers import Headers
from gateway.operations.deadline import DisconnectedError
from gateway.operations.documents import MARKS, most_values, too_many_values
from gateway.operations.refusals import JSON, RefusedDocumentError, RefusedError, refuse, request_error
from gateway.operations.request import Parameters, bad_request, parameters_of
from gateway.settings import Settings
from schema.catalogue import exact_json
from schema.error_codes import ErrorCode

PREFLIGHT = ("graphql-require-preflight", "apollo-require-preflight", "x-apollo-operation-name")
"""Headers that a page can send to another origin only after a preflight."""

LINGER = 10
"""How many times the body limit is read and discarded, so that a client that sends too much receives the refusal."""

LINGER_SECONDS = 5.0


class RequestReader:
    """Reads requests within the limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._marks = MARKS * most_values(settings) * max(settings.max_batch, 1)
        """The values that a body at the limit of values may hold; a shorter body cannot hold more."""

    async def read(
        self, scope: Scope, headers: Headers, receive: Receive, there: bytes | None = None
    ) -> Parameters | list[Parameters]:
        """The parameters of a request; a list for a batch, if batches are allowed.

        The body is received, unless ``there`` is the whole body.

        Raises:
            RefusedError: It is not a GraphQL request, or too large.
            DisconnectedError: The client disconnected.
        """
        method = scope["method"]
        if method == "POST":
            try:
                _require_json(headers.get(b"content-type", b""))
                if (coding := headers.get(b"content-encoding")) is not None:
                    _require_plain(coding)
            except RefusedError:
                if there is None:
                    await self.linger(receive)
                raise
            if there is None:
                there = await self._body(headers, receive)
            elif len(there) > self._settings.max_body_bytes:
                raise self._too_large(413, len(there))
            body = self._json(there, "the body")
            return self._batch(body) if isinstance(body, list) else parameters_of(body, self._settings)
        if method == "GET":
            return self._read_url(scope["query_string"], headers)
        message = f"{method} means nothing here; send queries by GET or POST, mutations by POST."
        raise RefusedError(405, request_error(ErrorCode.METHOD_NOT_ALLOWED, message), allow="GET, POST")

    def _read_url(self, query_string: bytes, headers: Headers) -> Parameters:
        self._check_site(headers)
        if len(query_string) > self._settings.max_body_bytes:
            raise self._too_large(414, len(query_string))
        try:
            pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, max_num_fields=20)
        except ValueError:
            raise bad_request("The URL has too many parameters.") from None
        parameters: dict[str, Any] = dict(pairs)
        for name in ("variables", "extensions"):
            if name in parameters:
                parameters[name] = self._json(parameters[name].encode(), f"the parameter {name}")
        return parameters_of(parameters, self._settings)

    def _check_site(self, headers: Headers) -> None:
        """Refuses requests of other sites' pages: they could not read the answer, but measure its time."""
        if headers.get(b"sec-fetch-site") not in {b"cross-site", b"same-site"}:
            return
        origin, origins = headers.get(b"origin", b"").decode("latin-1"), self._settings.cors
        if "*" in origins or origin in origins or any(name.encode() in headers for name in PREFLIGHT):
            return
        message = (
            "A page of another site sent this GET without a preflight request. Send POST with application/json, or "
            f"the header {PREFLIGHT[0]}; GATEWAY_CORS_ORIGINS lists the sites that may read responses."
        )
        raise RefusedError(403, request_error(ErrorCode.CROSS_SITE, message))

    def _json(self, raw: bytes, where: str) -> Any:
        if len(raw) > self._marks and exact_json.holds_more(raw, self._marks):
            raise RefusedDocumentError(too_many_values(f"{where[0].upper()}{where[1:]} holds", self._marks // MARKS))
        try:
            return exact_json.loads(raw)
        except orjson.JSONDecodeError as error:
            raise bad_request(f"{where} is not UTF-8 JSON: {error}.") from None
        except ValueError as error:
            raise bad_request(f"{where} cannot be read: {error}.") from None

    def _batch(self, body: list[Any]) -> list[Parameters]:
        limit = self._settings.max_batch
        if not limit:
            message = "Batches are not supported; send one operation a request, with several root fields."
            raise RefusedError(400, request_error(ErrorCode.BAD_REQUEST, message))
        if not body:
            raise RefusedError(
                400, request_error(ErrorCode.BAD_REQUEST, "The batch is empty; send at least one request in it.")
            )
        if len(body) > limit:
            advice = "Send several root fields in one operation, or several requests."
            raise RefusedError(400, refuse(ErrorCode.BATCH_LIMIT, limit, len(body), advice))
        return [parameters_of(one, self._settings) for one in body]

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        limit = self._settings.max_body_bytes
        announced = headers.get(b"content-length", b"")
        size = int(announced[:20]) if announced.isdigit() else 0
        if size > LINGER * limit:
            raise self._too_large(413, size)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        body: bytes = message.get("body", b"")
        received = len(body)
        if message.get("more_body"):  # most arrive in one message
            body, received = await self._rest(body, receive)
        if received > limit or size > limit:
            raise self._too_large(413, max(size, received))
        return body

    async def _rest(self, body: bytes, receive: Receive) -> tuple[bytes, int]:
        """The rest of a body within the limit, and the number of bytes received."""
        limit = self._settings.max_body_bytes
        received = len(body)
        more = True
        while more and received <= LINGER * limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise DisconnectedError
            part = message.get("body", b"")
            received += len(part)
            if received <= limit:
                body += part
            more = message.get("more_body", False)
        return body, received

    async def linger(self, receive: Receive) -> None:
        """Reads and discards the rest of a refused request: a client that still sends would not receive the refusal."""
        received = 0
        more = True
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while more and received <= LINGER * self._settings.max_body_bytes:
                    message = await receive()
                    received += len(message.get("body", b""))
                    more = message.get("more_body", False)

    def _too_large(self, status: int, size: int) -> RefusedError:
        limit = self._settings.max_body_bytes
        advice = "Shorten the query, or send less in its variables."
        error = refuse(ErrorCode.BODY_LIMIT, limit, size, advice)
        return RefusedError(status, error, connection="close")


async def disconnected(receive: Receive) -> None:
    """Returns when the client of a request, whose body was read, disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass


@cached_by_header
def _require_json(header: bytes) -> None:
    """Accepts JSON alone: media types that a page can send without a preflight are refused."""
    content_type, *options = header.decode("latin-1").split(";")
    if content_type.strip().lower() != JSON:
        message = f"The content type {content_type[:80] or '(none)'!r} is not supported; send {JSON}."
        raise RefusedError(415, request_error(ErrorCode.UNSUPPORTED_MEDIA_TYPE, message))
    for option in options:
        name, _, value = option.strip().lower().partition("=")
        if name == "charset" and value.strip('"') not in {"utf-8", "utf8"}:
            raise RefusedError(415, request_error(ErrorCode.UNSUPPORTED_MEDIA_TYPE, f"Send UTF-8, not {value[:80]!r}."))


def _require_plain(header: bytes) -> None:
    coding = header.decode("latin-1").strip().lower()
    if coding not in {"", "identity"}:
        message = f"The body is encoded as {coding[:80]!r}; send it as it is, without Content-Encoding."
        error = request_error(ErrorCode.UNSUPPORTED_MEDIA_TYPE, message)
        raise RefusedError(415, error, **{"accept-encoding": "identity"})
