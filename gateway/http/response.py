"""Responses: content negotiation, compression, conditional requests."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import zlib
from collections.abc import Awaitable, Mapping
from typing import Any

from starlette.types import Message, Send

from gateway.http.header_cache import cached_by_header
from gateway.operations.refusals import JSON, RefusedError, request_error
from gateway.operations.table_formats import ARROW, CSV, FORMATS, JSON_LINES
from schema.error_codes import ErrorCode

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GRAPHQL_RESPONSE = "application/graphql-response+json"
PROBLEM = "application/problem+json"
"""The media type of problems (RFC 9457)."""

EVENTS = "text/event-stream"

STREAMED = frozenset({EVENTS, *FORMATS})
"""Media types whose bodies are streamed."""

WRITE_BYTES = 2**16
"""Bytes in one write of messages from which no more are added to it: of a peer that does not read so many are kept, and
one message."""


class WholeSend:
    """An ASGI ``send`` of a server that can exchange a complete body and a complete response without messages."""

    __slots__ = ()

    def __call__(self, message: Message) -> Awaitable[None]:
        raise NotImplementedError

    def asked(self) -> bytes | None:
        """Takes the request's body if all of it has arrived; None if it has to be received."""
        raise NotImplementedError

    def whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Sends head and body at once; False if ``send`` has to be used.

        ``headers`` include the content length, none of the connection, and have lower-case names.
        """
        raise NotImplementedError

    def break_off(self) -> None:
        """Closes the connection in the middle of a response, so that the client knows it to be incomplete."""
        raise NotImplementedError


IN_THREAD = 64_000
"""The size in bytes from which a body is compressed in a thread: below, it takes at most a few milliseconds."""
_GZIP = 16 + zlib.MAX_WBITS


_ALIASES = {"application/jsonl": JSON_LINES, "application/x-jsonlines": JSON_LINES}
"""Aliases of media types."""


@cached_by_header
def negotiate(accept: bytes) -> str:
    """The media type of the response from ``Accept``; without a header or with a wildcard the GraphQL one.

    A table's media type is chosen if it is named with the highest quality, and no GraphQL media type is named with the
    same or a higher one. A wildcard beside it applies to errors.

    Raises:
        RefusedError: ``NOT_ACCEPTABLE``.
    """
    if not accept:
        return GRAPHQL_RESPONSE
    qualities = _qualities(accept)

    def quality(media: str) -> float:
        return next((qualities[name] for name in (media, "application/*", "*/*") if name in qualities), 0.0)

    plain = max(quality(GRAPHQL_RESPONSE), quality(JSON))
    named = max(qualities.get(GRAPHQL_RESPONSE, 0.0), qualities.get(JSON, 0.0))
    streamed = [(_ALIASES.get(name, name), found) for name, found in qualities.items() if found > 0]
    streamed = [(media, found) for media, found in streamed if media in STREAMED]
    if streamed:
        media, found = max(streamed, key=lambda one: one[1])
        if found > named and found >= plain:
            return media
    if plain > 0:
        return GRAPHQL_RESPONSE if quality(GRAPHQL_RESPONSE) >= quality(JSON) else JSON
    message = (
        f"This endpoint answers {GRAPHQL_RESPONSE} or {JSON}, subscriptions as {EVENTS}, and a list of rows as {CSV}, "
        f"{JSON_LINES} or {ARROW} too; the Accept header takes none of them."
    )
    raise RefusedError(406, request_error(ErrorCode.NOT_ACCEPTABLE, message))


@cached_by_header
def encoding(accept: bytes) -> str | None:
    """``zstd`` or ``gzip`` by ``Accept-Encoding``, gzip if both have the same quality; None for identity.

    Some clients offer zstd because their library does and decode it badly: one that prefers it must say so.
    """
    qualities = _qualities(accept)
    other = qualities.get("*", 0.0)
    zstd_, gzip = qualities.get("zstd", other), qualities.get("gzip", qualities.get("x-gzip", other))
    if max(zstd_, gzip) <= 0 or qualities.get("identity", 0.0) > max(zstd_, gzip):
        return None
    return "gzip" if gzip >= zstd_ else "zstd"


async def packed(body: bytes, how: str) -> bytes:
    """The compressed body."""
    pack = _zstd if how == "zstd" else _gzip
    return await asyncio.to_thread(pack, body) if len(body) >= IN_THREAD else pack(body)


def _zstd(body: bytes) -> bytes:
    return zstd.compress(body, level=1)


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(1, wbits=_GZIP)
    return packer.compress(body) + packer.flush()


async def respond(
    send: Send, status: int, body: bytes, media: str, request_id: str, headers: Mapping[str, str]
) -> None:
    """Sends a response."""
    sent = [
        (b"content-type", _CONTENT_TYPES[media]),
        (b"content-length", b"%d" % len(body)),
        *_headers(request_id, headers),
    ]
    if "connection" in headers or not (isinstance(send, WholeSend) and send.whole(status, sent, body)):
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body})


async def respond_in_parts(send: Send, media: str, request_id: str, headers: Mapping[str, str]) -> None:
    """Begins a response whose body is streamed."""
    sent = [(b"content-type", _STREAM_TYPES.get(media, media.encode())), *_headers(request_id, headers)]
    await send({"type": "http.response.start", "status": 200, "headers": sent})


async def respond_unchanged(send: Send, request_id: str, headers: Mapping[str, str]) -> None:
    """Sends 304 Not Modified."""
    await send({"type": "http.response.start", "status": 304, "headers": _headers(request_id, headers)})
    await send({"type": "http.response.body", "body": b""})


def _headers(request_id: str, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    sent = [(b"x-request-id", request_id.encode()), (b"vary", b"accept, accept-encoding, authorization")]
    if headers:
        sent += [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return sent


_CONTENT_TYPES = {media: f"{media}; charset=utf-8".encode() for media in (GRAPHQL_RESPONSE, JSON, PROBLEM)}

_STREAM_TYPES = {CSV: b"text/csv; charset=utf-8; header=present"}


def entity_tag(data: bytes) -> str:
    """A weak tag: equal for equal data, whatever the cost and the encoding."""
    return f'W/"{hashlib.blake2b(data, digest_size=16).hexdigest()}"'


def is_known(tag: str | None, if_none_match: bytes | None) -> bool:
    """Whether ``If-None-Match`` has a tag."""
    if not if_none_match or not tag:
        return False
    known = {one.strip().removeprefix("W/") for one in if_none_match.decode("latin-1").split(",")}
    return "*" in known or tag.removeprefix("W/") in known


def _qualities(header: bytes) -> dict[str, float]:
    """The values of a header in lower case, with their qualities."""
    qualities: dict[str, float] = {}
    for item in header.decode("latin-1").lower().split(","):
        name, *options = (part.strip() for part in item.split(";"))
        if name:
            given: Any = next((option[2:] for option in options if option.startswith("q=")), "1")
            qualities.setdefault(name, _quality(given))
    return qualities


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
