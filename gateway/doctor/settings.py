"""Checks of the settings, against each other and against this host."""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from gateway.doctor.findings import Finding, error, note, ok, warning
from gateway.setting_types import address, is_loopback
from gateway.settings import Settings, unknown


def check(settings: Settings) -> Iterator[Finding]:
    """All checks that need the settings alone."""
    yield from _names(os.environ)
    yield from _exposure(settings)
    yield from _times(settings)
    yield from _workers(settings)
    yield from _traces(settings)
    if settings.database_url is None:
        yield from _folder(settings)


def _names(environment: Mapping[str, str]) -> Iterator[Finding]:
    for sentence in unknown(environment):
        yield warning("settings.names", sentence, "name a setting, or leave the variable out")


def _exposure(settings: Settings) -> Iterator[Finding]:
    if settings.is_exposed:
        yield error(
            "settings.host",
            f"HOST is {settings.host}, and GATEWAY_AUTH=none lets every client read and change everything: the "
            f"gateway refuses to start",
            "set GATEWAY_AUTH to jwt or token (or both), or HOST to 127.0.0.1",
        )
    elif not is_loopback(settings.host):
        yield warning(
            "settings.host",
            f"HOST is {settings.host}: the gateway speaks plain HTTP, credentials included",
            "let a proxy with TLS be the only one who reaches that address",
        )
    elif "none" in settings.auth:
        yield warning(
            "settings.auth",
            "callers are not authenticated: a proxy on this host would admit everyone",
            "set GATEWAY_AUTH to jwt or token (or both) before anything forwards requests here",
        )
    else:
        yield ok("settings.host", f"{settings.host} can be reached from this host only")
    if settings.metrics and not _is_private(address(settings.metrics)[0]):
        yield error(
            "settings.metrics",
            f"everyone who can connect to {settings.metrics} can read the metrics",
            "set GATEWAY_METRICS to an address of a network that Prometheus is in, or of this host",
        )


def _is_private(host: str) -> bool:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return found.is_private and not found.is_unspecified


def _times(settings: Settings) -> Iterator[Finding]:
    if settings.statement_timeout >= settings.request_timeout:
        yield warning(
            "settings.timeouts",
            f"a statement may take {settings.statement_timeout:g} s, a request {settings.request_timeout:g} s: "
            "requests time out before Postgres ends their statements, and the error says less",
            "set GATEWAY_STATEMENT_TIMEOUT below GATEWAY_REQUEST_TIMEOUT",
        )
    else:
        yield ok("settings.timeouts", "statements end before requests are given up")


def _workers(settings: Settings) -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if settings.workers > 2 * cores:
        yield warning(
            "settings.workers",
            f"{settings.workers} workers share {cores} cores, and each takes memory and connections",
            f"set GATEWAY_WORKERS to {cores} or less",
        )
    else:
        yield ok("settings.workers", f"{settings.workers} for {cores} cores")
    if settings.budget_per_minute and settings.workers > 1 and not settings.redis_url:
        yield warning(
            "settings.budget",
            f"each of {settings.workers} workers counts for itself: callers have up to {settings.workers} times "
            f"GATEWAY_BUDGET_PER_MINUTE",
            "set REDIS_URL, or divide the budget",
        )


def _traces(settings: Settings) -> Iterator[Finding]:
    if settings.traces and not find_spec("opentelemetry"):
        yield error("settings.traces", "OpenTelemetry is not installed", "pip install 'e2i-gateway[otel]'")


def _folder(settings: Settings) -> Iterator[Finding]:
    """Whether the folder of the embedded database is private and writable."""
    folder = settings.data.resolve()
    if not folder.exists():
        parent = next(one for one in folder.parents if one.exists())
        if os.access(parent, os.W_OK):
            yield note("settings.data", f"{folder} will be made when the gateway first serves")
        else:
            yield error("settings.data", f"{folder} cannot be made: {parent} is not writable", "set GATEWAY_DATA")
        return
    found = folder.stat()
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield error("settings.data", f"{folder} is no folder that this user may write", "set GATEWAY_DATA, or chown it")
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX:
        yield error(
            "settings.data", f"others may write in {folder}, and put a database of theirs there", f"chmod go-w {folder}"
        )
    else:
        yield ok("settings.data", f"{folder} is this user's")
