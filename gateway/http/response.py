"""Responses: content negotiation, compression, conditional requests."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import zlib
from collections.abc import Awaitable, Mapping
from typing import Any

from starlette.types import Message, Send

from gateway.http.header_cache import remembered
from gateway.operations.refusals import JSON, RefusedError, request_error
from gateway.operations.table_formats import ARROW, CSV, JSON_LINES, WRITERS
from schema.error_codes import ErrorCode

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GRAPHQL_RESPONSE = "application/graphql-response+json"
PROBLEM = "application/problem+json"
"""RFC 9457."""

EVENTS = "text/event-stream"

STREAMED = frozenset({EVENTS, *WRITERS})
"""Media types that are sent as they are made."""


class WholeSend:
    """An ASGI ``send`` of a server that has a short way for a body and an answer that are there as a whole."""

    __slots__ = ()

    def __call__(self, message: Message) -> Awaitable[None]:
        raise NotImplementedError

    def asked(self) -> bytes | None:
        """Takes the body of the request, if all of it is there; None where it has to be received."""
        raise NotImplementedError

    def whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Sends head and body at once; False where that has to be asked of ``send`` instead.

        ``headers`` have the length of the body among them, nothing of the connection, and names in small letters.
        """
        raise NotImplementedError

    def break_off(self) -> None:
        """Closes the connection in the middle of an answer, whose client sees that it is not whole."""
        raise NotImplementedError


IN_THREAD = 64_000
"""Bytes from which an answer is compressed beside the event loop: a few milliseconds of everybody's time."""
_GZIP = 16 + zlib.MAX_WBITS


_ALIASES = {"application/jsonl": JSON_LINES, "application/x-jsonlines": JSON_LINES}
"""Other names of media types."""


@remembered
def negotiate(accept: bytes) -> str:
    """The media type of the answer, from ``Accept``; no header or a wildcard means the GraphQL one.

    Of tables the most welcome one that is named is sent, the first of several, where it is as welcome as the GraphQL
    media types that are named, and those are not; a wildcard beside it is for errors.

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


@remembered
def encoding(accept: bytes) -> str | None:
    """``zstd`` or ``gzip`` by ``Accept-Encoding``, gzip where both are as welcome; None: as it is.

    Clients that send what their platform's library offers do not all read zstd well: one that prefers it says so.
    """
    qualities = _qualities(accept)
    other = qualities.get("*", 0.0)
    zstd_, gzip = qualities.get("zstd", other), qualities.get("gzip", qualities.get("x-gzip", other))
    if max(zstd_, gzip) <= 0 or qualities.get("identity", 0.0) > max(zstd_, gzip):
        return None
    return "gzip" if gzip >= zstd_ else "zstd"


async def packed(body: bytes, how: str) -> bytes:
    """The body compressed."""
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
    """Sends an answer."""
    sent = [
        (b"content-type", _CONTENT_TYPES[media]),
        (b"content-length", b"%d" % len(body)),
        *_headers(request_id, headers),
    ]
    if "connection" in headers or not (isinstance(send, WholeSend) and send.whole(status, sent, body)):
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body})


async def respond_in_parts(send: Send, media: str, request_id: str, headers: Mapping[str, str]) -> None:
    """Begins an answer whose body is sent as it is made."""
    sent = [(b"content-type", _STREAM_TYPES.get(media, media.encode())), *_headers(request_id, headers)]
    await send({"type": "http.response.start", "status": 200, "headers": sent})


async def respond_unchanged(send: Send, request_id: str, headers: Mapping[str, str]) -> None:
    """Says that what the client has is what there is."""
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
    """A weak tag: the same data, whatever it cost to read them and however they are sent."""
    return f'W/"{hashlib.blake2b(data, digest_size=16).hexdigest()}"'


def is_known(tag: str | None, if_none_match: bytes | None) -> bool:
    """Whether a client has what a tag stands for."""
    if not if_none_match or not tag:
        return False
    known = {one.strip().removeprefix("W/") for one in if_none_match.decode("latin-1").split(",")}
    return "*" in known or tag.removeprefix("W/") in known


def _qualities(header: bytes) -> dict[str, float]:
    """What a header names, in small letters, with how welcome it is."""
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
