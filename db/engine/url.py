"""Database URLs with libpq's parameters, translated to the driver's options."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.engine import URL, make_url

ASYNCPG = "postgresql+asyncpg"
EXPECTED = "expected postgresql://user:password@host:5432/database"

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
TARGETS = ("any", "primary", "standby", "read-write", "read-only", "prefer-standby")

_OF_DRIVER = ("target_session_attrs", "krbsrvname", "gsslib", "passfile")
"""Parameters that the driver takes by the same name."""
_OF_TLS = (
    "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation",
    "ssl_min_protocol_version", "ssl_max_protocol_version",
)  # fmt: skip
_FILES = ("sslcert", "sslkey", "sslrootcert", "sslcrl", "passfile")
_CHOICES = {"sslmode": SSL_MODES, "target_session_attrs": TARGETS, "sslnegotiation": ("postgres", "direct")}
_WITHOUT_EFFECT = {
    "channel_binding": ("disable", "prefer"), "gssencmode": ("disable", "prefer"), "sslcompression": ("0",),
    "sslsni": ("1",), "client_encoding": ("utf8", "utf-8", "auto"), "load_balance_hosts": ("disable",),
    "replication": ("false", "off", "no", "0"), "keepalives": ("0", "1"),
}  # fmt: skip
"""Parameters of libpq that are accepted only with the gateway's fixed behaviour."""
_OWN = ("host", "port", "dbname", "user", "password", "connect_timeout", "options", "application_name",
        "fallback_application_name", "schemas")  # fmt: skip
TAKEN = tuple(sorted((*_OWN, *_OF_DRIVER, *_OF_TLS)))
"""The parameters that a URL may have."""

_OPTION = re.compile(r"(?:-c\s*|--)([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)

PUBLIC = ("public",)

Host = tuple[str | None, int | None]
"""A name, an address or a socket's folder, and a port; None for the driver's default."""


@dataclass(frozen=True)
class Target:
    """The destination of a URL, with connection options."""

    hosts: Sequence[Host]
    arguments: Mapping[str, Any]
    """Further arguments of ``asyncpg.connect``."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Session settings, from ``options``."""
    application: str = "e2i-gateway"
    timeout: float | None = None
    """The connection timeout in seconds, if the URL has one."""
    attributes: str = "any"
    """Which of the hosts are suitable."""
    schemas: tuple[str, ...] = PUBLIC
    """The schemas in which the platform's tables are looked for, in order."""


def database_url(text: str) -> URL:
    """A URL of any Postgres in the engine's form: ``postgres://`` and ``postgresql://`` stand for asyncpg, too.

    Raises:
        ValueError: It is not a URL of a Postgres database, or has an unsupported parameter; the message names it.
    """
    try:
        url = make_url(_with_hosts_in_query(text))
    except Exception as error:
        raise ValueError(f"not a URL; {EXPECTED}") from error
    if url.drivername.split("+")[0] not in {"postgres", "postgresql"}:
        raise ValueError(f"{url.drivername}:// is not Postgres; {EXPECTED}")
    query = dict(url.query)
    if "ssl" in query and "sslmode" not in query:  # the driver's name for it
        mode = str(query.pop("ssl"))
        query["sslmode"] = "require" if mode.lower() == "true" else mode
    url = url.set(drivername=ASYNCPG, query=query)
    target_of(url)
    return url


def _with_hosts_in_query(text: str) -> str:
    """``//user@one:5432,two:5432/database`` as ``//user@/database?host=one:5432&host=two:5432``."""
    found = re.fullmatch(r"(\w+(?:\+\w+)?://(?:[^/?#]*@)?)([^/?#@]*,[^/?#@]*)([^?#]*)(?:\?([^#]*))?", text)
    if found is None:
        return text
    before, hosts, path, query = found.groups()
    listed = "&".join(urlencode({"host": host}) for host in hosts.split(","))
    return f"{before}{path}?{listed}{'&' + query if query else ''}"


def target_of(url: URL) -> Target:
    """The connection options of a URL.

    Raises:
        ValueError: A parameter is not supported, or has an invalid value.
    """
    query = {name: _last(name, value) for name, value in url.query.items() if name not in {"host", "port"}}
    for name, value in query.items():
        _check(name, value)
    arguments: dict[str, Any] = {name: query[name] for name in _OF_DRIVER if name in query}
    arguments |= {
        name: value
        for name, value in {
            "user": url.username or query.get("user"),
            "password": url.password or query.get("password"),
            "database": url.database or query.get("dbname"),
        }.items()
        if value is not None
    }
    if tls := {name: query[name] for name in _OF_TLS if name in query}:
        arguments["dsn"] = f"postgresql://?{urlencode(tls)}"  # the driver takes them in no other form
    timeout = _seconds(query["connect_timeout"]) if "connect_timeout" in query else None
    attributes = arguments.pop("target_session_attrs", None) or os.environ.get("PGTARGETSESSIONATTRS") or "any"
    application = query.get("application_name") or query.get("fallback_application_name") or "e2i-gateway"
    schemas = schema_names(query["schemas"]) if "schemas" in query else PUBLIC
    options = _options(query.get("options", ""))
    return Target(_hosts(url), arguments, options, application, timeout, attributes, schemas)


_NOT_THE_PLATFORMS = {"gateway", "extensions", "pg_catalog", "information_schema"}


def schema_names(text: str) -> tuple[str, ...]:
    """The names of schemas in a list with commas, as ``pg_namespace`` has them.

    Raises:
        ValueError: There are none, one is there twice, or one is not of the platform's tables.
    """
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if not name or '"' in name or "," in name:
            raise ValueError(f"schemas={text}: expected names of schemas separated by commas, such as ml,public")
        if names.count(name) > 1:
            raise ValueError(f"schemas={text}: {name} is named twice; name each schema once")
        if name in _NOT_THE_PLATFORMS:
            raise ValueError(
                f"schemas={text}: {name} is never a schema of the platform's tables; expected names of schemas other "
                f"than {', '.join(sorted(_NOT_THE_PLATFORMS))}"
            )
    return names


def with_schemas(url: URL, names: Sequence[str]) -> URL:
    """The URL of a database whose tables of the platform are looked for in these schemas."""
    return url if tuple(names) == PUBLIC else url.update_query_dict({"schemas": ",".join(names)})


def address_of(url: URL) -> str:
    """The address in a URL, for people: ``db2:5432``; several hosts are joined by commas."""
    return ",".join(f"{host or 'this host'}{f':{port}' if port else ''}" for host, port in target_of(url).hosts)


def _last(name: str, value: str | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        raise ValueError(f"the parameter {name} is given more than once")  # noqa: TRY004 - the URL is wrong, not its type
    return value


def _check(name: str, value: str) -> None:
    if name in _WITHOUT_EFFECT:
        if value.lower() not in _WITHOUT_EFFECT[name]:
            raise ValueError(
                f"the parameter {name}={value} is not supported; "
                f"leave it out or pass {' or '.join(_WITHOUT_EFFECT[name])}"
            )
    elif name not in TAKEN:
        raise ValueError(f"the parameter {name} is not supported; supported are {', '.join(TAKEN)}")
    elif name in _CHOICES and value not in _CHOICES[name]:
        raise ValueError(f"{name}={value} is not one of {', '.join(_CHOICES[name])}")
    elif name == "sslrootcert" and value == "system":
        raise ValueError(
            "sslrootcert=system is not supported; name a file, such as /etc/ssl/certs/ca-certificates.crt of Debian"
        )
    elif name in _FILES and not os.access(Path(value).expanduser(), os.R_OK):
        raise ValueError(f"{name}={value}: there is no such file, or it cannot be read")
    elif name.endswith("_protocol_version") and not re.fullmatch(r"TLSv1(\.[123])?", value):
        raise ValueError(f"{name}={value} is not one of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3")


def _seconds(text: str) -> float:
    if not text.isdecimal() or not 1 <= int(text) <= 600:
        raise ValueError(f"connect_timeout={text} is out of range; pass whole seconds from 1 to 600")
    return float(text)


def _options(text: str) -> dict[str, str]:
    """Settings in the form of the server's command line: ``-c name=value`` and ``--name=value``."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"options={text}: {error}") from error
    settings = {}
    while words:
        word = words.pop(0)
        if word == "-c" and words:
            word += words.pop(0)
        found = _OPTION.fullmatch(word)
        if found is None:
            raise ValueError(f"options={text}: {word} is not supported; pass -c name=value for each setting")
        settings[found[1].replace("-", "_")] = found[2]
    return settings


def _hosts(url: URL) -> list[Host]:
    listed, ports = _each(url.query.get("host")), _each(url.query.get("port"))
    if not listed:
        listed = [url.host] if url.host else []
        ports = ports or ([str(url.port)] if url.port else [])
        if not listed:
            return [(None, _port(ports[0]) if ports else None)]
    hosts: list[Host] = []
    for place, text in enumerate(listed):
        host, port = _parted(text)
        if port and ports:
            raise ValueError(f"host={text}: the port is given here and in the parameter port; give it once")
        if ports:
            if len(ports) not in {1, len(listed)}:
                raise ValueError(
                    f"{len(listed)} hosts and {len(ports)} ports; pass a port for each host, or one for all"
                )
            port = ports[place if len(ports) > 1 else 0]
        hosts.append((host, _port(port) if port else None))
    return hosts


def _each(value: str | tuple[str, ...] | None) -> list[str]:
    texts = [] if value is None else [value] if isinstance(value, str) else list(value)
    return [one.strip() for text in texts for one in text.split(",")]


def _parted(text: str) -> tuple[str, str]:
    """A host and its port; an IPv6 address is in brackets if a port follows."""
    if text.startswith("/") or (text.count(":") > 1 and not text.startswith("[")):
        return text, ""
    found = re.fullmatch(r"\[([0-9A-Fa-f:.%\w]+)\](?::(\d*))?|([^:\[\]]+)(?::(\d*))?", text)
    if found is None:
        raise ValueError(f"host={text} is not a host name; {EXPECTED}")
    return found[1] or found[3], found[2] or found[4] or ""


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ValueError(f"port={text} is not a port; pass a number from 1 to 65535")
    return int(text)
