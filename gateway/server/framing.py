"""Message framing by RFC 9112, strict enough that the gateway and every proxy agree on the end of a request.

Ambiguous framing is refused and the connection closed: by request smuggling, bytes that one side reads as a body and
the other as a request would be answered to another client.
"""

from __future__ import annotations

import re

from gateway.http.headers import Headers

MAX_URL = 64 * 1024
MAX_HEAD = 128 * 1024
"""The largest size in bytes of a request target, and of a request's head."""

URL_TOO_LONG = b"414 URI Too Long", f"The URL has more than {MAX_URL:,} bytes. Send the query by POST."
HEAD_TOO_LARGE = b"431 Request Header Fields Too Large", f"The headers have more than {MAX_HEAD:,} bytes."
BAD = b"400 Bad Request"

_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)(/[^?#]*)?(.*)", re.DOTALL)


class RefusedHeadError(Exception):
    """A request that is refused by its head: the status and the message."""

    def __init__(self, status: bytes, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class EndedError(Exception):
    """A request after the last one of its connection, which is not answered."""


def is_plain(version: str, url: bytes, headers: Headers) -> bool:
    """Whether a head has no upgrade, transfer coding or other special form: :func:`target` then keeps its URL."""
    return (
        version == "1.1"
        and b"," not in headers.get(b"host", b",")
        and b"transfer-encoding" not in headers
        and url.startswith(b"/")
        and len(url) <= MAX_URL
    )


def target(method: bytes, version: str, url: bytes, headers: Headers) -> bytes:
    """The request target, as path and query.

    Raises:
        RefusedHeadError: It is too long or not supported, or the end of the request is ambiguous.
    """
    if version not in {"1.1", "1.0"}:
        raise RefusedHeadError(b"505 HTTP Version Not Supported", f"HTTP/{version} is not supported.")
    if method == b"CONNECT":
        raise RefusedHeadError(b"501 Not Implemented", "CONNECT is not supported: the gateway is not a proxy.")
    if (coding := headers.get(b"transfer-encoding")) is not None:
        if version == "1.0":
            raise RefusedHeadError(BAD, "A request of HTTP/1.0 has no Transfer-Encoding.")
        if coding.lower() != b"chunked" or b"content-length" in headers:
            message = "The one Transfer-Encoding that is read is chunked, once and without a Content-Length."
            raise RefusedHeadError(b"501 Not Implemented", message)
    if len(url) > MAX_URL:
        raise RefusedHeadError(*URL_TOO_LONG)
    host = headers.get(b"host")
    if b"," in host if host is not None else version == "1.1":
        raise RefusedHeadError(BAD, "A request has one header Host.")
    return url if url.startswith(b"/") else _origin_form(url, host)


def _origin_form(url: bytes, host: bytes | None) -> bytes:
    """The path and query of an absolute URL, whose host must equal the Host header."""
    found = _ABSOLUTE.fullmatch(url)
    if found is None:
        raise RefusedHeadError(BAD, "The target of a request is a path, or an absolute URL.")
    if host is not None and found[1].lower() != host.lower():
        raise RefusedHeadError(BAD, "The URL names another host than the header Host.")
    return (found[2] or b"/") + found[3]


def asks_for_socket(method: bytes, version: str, headers: Headers) -> bool:
    """Whether an upgrade request is for a WebSocket, and for nothing else."""
    return (
        method == b"GET"
        and version == "1.1"
        and headers[b"upgrade"].lower() == b"websocket"
        and headers.get(b"content-length", b"0") == b"0"
        and b"transfer-encoding" not in headers
    )


def without_upgrade(method: bytes, version: str, url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The head of an upgrade request, without the upgrade.

    A server may ignore an upgrade (RFC 9110, 7.8); the request is then framed as any other. httptools cannot do that:
    it treats everything after such a head as the other protocol.
    """
    kept = [(name, value) for name, value in headers if name != b"upgrade"]
    lines = b"".join(map(b"%b: %b\r\n".__mod__, kept))
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, url, version.encode(), lines)
