"""Types of settings: each check returns the value, or raises a ValueError that says what is expected."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from db.engine.url import address_of, database_url, schema_names

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+")
_HOST = re.compile(r"[^\s:/\[\]?#@*]+|\[[0-9a-f:.]+\]", re.IGNORECASE)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
"""Loopback names. No other machine's page can have such an origin, whatever DNS says."""


def checked_postgres(value: str) -> str:
    """Checks the URL of a Postgres.

    Raises:
        ValueError: It is none, or several.
    """
    if value.count("://") > 1:
        raise ValueError("expected one URL; several hosts of one database are postgresql://one,two/name")
    database_url(value)
    return value


def checked_schemas(value: str) -> str:
    schema_names(value)
    return value


REPLICAS = 8
"""The largest number of replicas."""


def checked_replicas(value: str) -> str:
    """Checks the URLs of replicas, separated by white space.

    Raises:
        ValueError: One is not a URL of Postgres, names no host, two have the same address, or there are too many.
    """
    for one in value.split():
        if one.count("://") > 1 or one.endswith((",", ";")):
            raise ValueError("expected URLs that are separated by spaces; commas separate the hosts of one URL")
        if one.partition("://")[2] == "":
            raise ValueError(f"{one} names no host; a replica is postgresql://user@host:5432/name")
    urls = [database_url(url) for url in value.split()]
    if len(urls) > REPLICAS:
        raise ValueError(f"expected at most {REPLICAS} replicas, not {len(urls)}")
    addresses = [address_of(url) for url in urls]
    if twice := {one for one in addresses if addresses.count(one) > 1}:
        raise ValueError(f"{', '.join(sorted(twice))} is named twice; each server is named once")
    return value


def checked_address(value: str) -> str:
    address(value)
    return value


def address(value: str) -> tuple[str, int]:
    """The address and the port of ``127.0.0.1:9464`` or ``[::1]:9464``.

    Raises:
        ValueError: The text has neither form.
    """
    host, colon, port = value.rpartition(":")
    if not (host and colon and port.isdigit() and int(port) < 2**16):
        raise ValueError("expected an address and a port, such as 127.0.0.1:9464")
    return host.strip("[]"), int(port)


def checked_url(value: str) -> str:
    url = urlsplit(value)
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment or not url.path:
        raise ValueError("expected a URL with a path, such as https://e2i.example/mcp")
    return value


def checked_base(value: str) -> str:
    url = urlsplit(value)
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
        raise ValueError("expected a URL such as https://e2i.example")
    return value.rstrip("/")


def checked_origins(value: str) -> str:
    for one in filter(None, value.split(",")):
        if one.strip() != "*" and not _ORIGIN.fullmatch(one.strip()):
            raise ValueError(f"{one.strip()!r} is not an origin; expected https://host or https://host:port")
    return value


def checked_hosts(value: str) -> str:
    for one in words(value):
        if one != "*" and not _HOST.fullmatch(one):
            raise ValueError(
                f"{one!r} is no name of a server; expected e2i.example, 127.0.0.1 or [::1], without a port"
            )
    return value


def words(value: Any) -> Any:
    """``a, b`` -> ``("a", "b")``, without duplicates."""
    if isinstance(value, str):
        return tuple(dict.fromkeys(word for part in value.split(",") if (word := part.strip())))
    return value


def checked_headers(names: tuple[str, ...]) -> tuple[str, ...]:
    if wrong := [name for name in names if not _HEADER.fullmatch(name)]:
        raise ValueError(f"{wrong[0]!r} is not a header name; expected names such as x-tenant, or *")
    return names


def is_loopback(host: str) -> bool:
    """Whether an address is a loopback address."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def checked_redis(value: str) -> str:
    if not value.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("expected redis://host:6379/0, rediss://... or unix://...")
    return value
