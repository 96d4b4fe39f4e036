"""Destinations of webhooks: well-formed URLs, and addresses outside private networks."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_URL = 2000
LOOKUP_SECONDS = 3.0
"""Seconds for resolving the host of a new receiver."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
"""The IPv6 range allocated to the Internet; all other ranges are private or unused."""
_UNUSED = [ipaddress.ip_network(one) for one in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")]
"""Ranges reserved for protocols and documentation, which Python's lists of some versions lack."""


class AddressRefusedError(Exception):
    """The destination is refused; the message says why."""


class UnknownHostError(AddressRefusedError):
    """The host name does not resolve."""


@dataclass(frozen=True)
class Destination:
    """The parts of a URL."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the ``Host`` header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.secure else 80) else f"{name}:{self.port}"


def target_of(url: str, *, private: bool) -> Destination:
    """The parts of a URL; ``http`` is for private networks alone.

    Raises:
        AddressRefusedError: Webhooks cannot be sent to it.
    """
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise AddressRefusedError(f"the URL must be printable ASCII without spaces, at most {MAX_URL} characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefusedError(f"the URL cannot be read: {error}") from None
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise AddressRefusedError("the URL must be like https://host/path")
    if parts.scheme == "http" and not private:
        raise AddressRefusedError("the URL must begin with https://; http is for GATEWAY_WEBHOOK_PRIVATE=true alone")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise AddressRefusedError("the URL must have no user, no password and no fragment")
    secure = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(secure, parts.hostname, port if port is not None else 443 if secure else 80, path)


def is_public(address: str) -> bool:
    """Whether an address is public, also inside an embedding such as IPv4-mapped IPv6."""
    one = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(one, ipaddress.IPv6Address):
        inner = one.ipv4_mapped or one.sixtofour or (one.teredo[1] if one.teredo else None)
        if one in _NAT64:
            inner = ipaddress.IPv4Address(int(one) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if one not in _UNICAST:
            return False
    return one.is_global and not one.is_multicast and not any(one in network for network in _UNUSED)


async def check(url: str, *, private: bool) -> None:
    """Refuses a URL that nothing would be sent to. A name that does not resolve yet is accepted.

    Raises:
        AddressRefusedError: It is invalid, or its host has a private address.
    """
    target = target_of(url, private=private)
    if not private:
        with suppress(UnknownHostError, TimeoutError):
            async with asyncio.timeout(LOOKUP_SECONDS):
                await resolve(target, private=False)


async def resolve(target: Destination, *, private: bool) -> str:
    """The address to connect to; a name with any private address is refused.

    Raises:
        AddressRefusedError: It does not resolve, or to a private address.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnknownHostError(f"the host has no address: {error}") from None
    addresses = [str(one[4][0]) for one in found]
    if not private and (inner := [one for one in addresses if not is_public(one)]):
        raise AddressRefusedError(
            f"the host has the private address {inner[0]}; GATEWAY_WEBHOOK_PRIVATE=true would allow it"
        )
    return addresses[0]
