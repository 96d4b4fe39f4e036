"""Request bodies of JSON lines: received, decompressed and split within limits."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence

from starlette.types import Receive

from gateway.http.headers import Headers
from gateway.operations.deadline import DisconnectedError
from gateway.operations.refusals import RefusedError, refuse, request_error
from gateway.operations.request import bad_request
from schema.error_codes import ErrorCode
from schema.execution.time_slices import background

MEDIA = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
"""Media types of lines; a page cannot send one of these to another origin without a preflight."""
STEP = 1_000_000
"""Bytes that are decompressed between two yields to the event loop: two milliseconds."""
_GZIP = 16 + zlib.MAX_WBITS


class LinesBody:
    """A received body of lines; ``lines`` decompresses it."""

    def __init__(self, parts: Sequence[bytes], most: int, *, packed: bool) -> None:
        self._parts = parts
        self._most = most
        self._packed = packed

    async def lines(self, most: int) -> list[bytes]:
        """The lines without empty ones; ``most`` limits the number of both together.

        Raises:
            RefusedError: There are too many lines or bytes, or it is not gzip.
        """
        parts = self._parts
        if self._packed:
            inflater = _Inflater(self._most)
            for part in parts:
                await inflater.add(part)
            parts = inflater.end()
        feeds = 0
        for part in parts:
            feeds += part.count(b"\n")
            if feeds > most:
                raise _too_many(most)
            await background().one()
        body = b"".join(parts).removeprefix(b"\xef\xbb\xbf")
        if b"\r" in body:
            body = body.replace(b"\r\n", b"\n")
        await background().one()
        lines = body.split(b"\n")
        await background().one()
        return [line for line in lines if line and not line.isspace()]


async def receive_lines(headers: Headers, receive: Receive, most: int) -> LinesBody:
    """Receives a body of lines of at most ``most`` bytes.

    Raises:
        RefusedError: The media type is wrong, or the body too large.
        DisconnectedError: The client disconnected.
    """
    packed = check_kind(headers.get(b"content-type", b""), headers.get(b"content-encoding", b""))
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced[:20]) > most:
        raise _too_large(most)
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        part: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size > most:  # compressed bytes, too: gzip allows any number of empty members
            raise _too_large(most)
        parts.append(part)
    return LinesBody(parts, most, packed=packed)


class _Inflater:
    """Decompresses gzip in parts; concatenated members are one body."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._parts: list[bytes] = []
        self._member = zlib.decompressobj(_GZIP)
        self._is_begun = False

    async def add(self, data: bytes) -> None:
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            try:
                part = self._member.decompress(data, min(STEP, self._most - self._size + 1))
            except zlib.error:
                raise bad_request("The body is not gzip, although Content-Encoding is gzip.") from None
            self._is_begun = True
            self._size += len(part)
            if self._size > self._most:
                raise _too_large(self._most)
            self._parts.append(part)
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if data:
                await asyncio.sleep(0)

    def end(self) -> list[bytes]:
        if self._is_begun and not self._member.eof:
            raise bad_request("The body of gzip ends too early.")
        return self._parts


def check_kind(content_type: bytes, coding: bytes = b"") -> bool:
    """Whether a body of lines is compressed.

    Raises:
        RefusedError: ``UNSUPPORTED_MEDIA_TYPE``.
    """
    media, *options = content_type.decode("latin-1").lower().split(";")
    if media.strip() not in MEDIA:
        message = f"The content type {media.strip()[:80] or '(none)'!r} is not supported; send {MEDIA[0]}."
        raise RefusedError(415, request_error(ErrorCode.UNSUPPORTED_MEDIA_TYPE, message))
    for option in options:
        name, _, value = option.strip().partition("=")
        if name == "charset" and value.strip('"') not in {"utf-8", "utf8"}:
            raise RefusedError(415, request_error(ErrorCode.UNSUPPORTED_MEDIA_TYPE, f"Send UTF-8, not {value[:80]!r}."))
    how = coding.decode("latin-1").strip().lower()
    if how in {"gzip", "x-gzip"}:
        return True
    if how in {"", "identity"}:
        return False
    message = f"The body is encoded as {how[:80]!r}; send it as it is, or as gzip."
    error = request_error(ErrorCode.UNSUPPORTED_MEDIA_TYPE, message)
    raise RefusedError(415, error, **{"accept-encoding": "gzip, identity"})


def _too_large(most: int) -> RefusedError:
    error = refuse(ErrorCode.BODY_LIMIT, most, None, "Record the rows in several requests.")
    return RefusedError(413, error, connection="close")


def _too_many(most: int) -> RefusedError:
    advice = "Record the rows in several requests, without empty lines."
    return RefusedError(413, refuse(ErrorCode.VALUE_LIMIT, most, None, advice, "The body has too many lines"))
