"""One attempt to deliver a message: signed, to an address resolved once, without redirects, within a timeout."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version

from gateway.webhooks.addresses import AddressRefusedError, Destination, resolve, target_of

MAX_HEAD = 16_384
"""Bytes of a response that are read: its head, none of its body."""
_MOST_INTERIM = 5
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: |\r|$)")
_RETRY_AFTER = re.compile(rb"\r\nretry-after:[ \t]*([0-9]{1,6})[ \t]*\r\n", re.IGNORECASE)


@dataclass(frozen=True)
class Attempted:
    """The result of an attempt. ``failure`` is empty if the message was accepted."""

    failure: str = ""
    gone: bool = False
    retry_after: float = 0.0
    """The receiver's Retry-After, in seconds."""


def signed(id_: str, body: str, secrets: Sequence[str], now: datetime | None = None) -> dict[str, str]:
    """The headers of a message: a signature for each valid secret."""
    from standardwebhooks import Webhook  # noqa: PLC0415 - needed only for sending

    moment = datetime.fromtimestamp(int((now or datetime.now(UTC)).timestamp()), UTC)
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(id_, moment, body) for secret in secrets),
    }


async def send(url: str, id_: str, body: str, secrets: Sequence[str], seconds: float, *, private: bool) -> Attempted:
    """Posts a message; it is accepted if the receiver answers 2xx within ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            target = target_of(url, private=private)
            address = await resolve(target, private=private)
            return await _post(target, address, signed(id_, body, secrets), body.encode())
    except (
        AddressRefusedError,
        TimeoutError,
        OSError,
        asyncio.LimitOverrunError,
        asyncio.IncompleteReadError,
    ) as error:
        return Attempted(_failure(error, seconds))


def _failure(error: Exception, seconds: float) -> str:
    """An error in words, without content of the message."""
    told = f"the connection failed: {getattr(error, 'strerror', None) or type(error).__name__}"
    match error:
        case AddressRefusedError():
            told = str(error)
        case TimeoutError():
            told = f"no answer within {seconds:g} seconds"
        case ssl.SSLCertVerificationError():
            told = f"the certificate is not good: {error.verify_message}"
        case ssl.SSLError():
            told = f"TLS failed: {error.reason or error}"
        case asyncio.LimitOverrunError():
            told = f"the head of the answer is longer than {MAX_HEAD} bytes"
        case asyncio.IncompleteReadError():
            told = "the connection was closed before there was an answer"
    return told


async def _post(target: Destination, address: str, signature: dict[str, str], body: bytes) -> Attempted:
    reader, writer = await asyncio.open_connection(
        address, target.port, limit=MAX_HEAD,
        ssl=_tls() if target.secure else None, server_hostname=target.host if target.secure else None,
    )  # fmt: skip
    try:
        headers = {
            "host": target.authority,
            "user-agent": _agent(),
            "content-type": "application/json",
            "content-length": str(len(body)),
            "connection": "close",
            **signature,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"POST {target.path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        with suppress(ConnectionError):  # a receiver that answers early may have closed; its answer is readable
            await writer.drain()
        return await _answer(reader)
    finally:
        writer.transport.abort()


async def _answer(reader: asyncio.StreamReader) -> Attempted:
    for _ in range(_MOST_INTERIM):
        head = await reader.readuntil(b"\r\n\r\n")
        found = _STATUS.match(head)
        if found is None:
            return Attempted("the answer is not HTTP")
        status = int(found[1])
        if status >= 200:
            break
    else:
        return Attempted("the receiver gives interim answers alone")
    if status < 300:
        return Attempted()
    wait = _RETRY_AFTER.search(head)
    words = "answered with a redirect, which is not followed:" if status < 400 else "answered"
    return Attempted(f"the receiver {words} {status}", status == 410, float(wait[1]) if wait else 0.0)


@cache
def _agent() -> str:
    return f"e2i-gateway/{version('e2i-gateway')}"


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
