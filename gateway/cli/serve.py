"""``e2i-gateway serve``: listening sockets, the embedded database with demo data, the server."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import socket
from contextlib import ExitStack

from sqlalchemy.engine import URL

from db.engine.url import database_url
from gateway.cli.areas import Areas
from gateway.cli.signals import SIGNALS
from gateway.database import embedded_database, load_demo
from gateway.observability.logging import LINES
from gateway.server import uvicorn_server, workers
from gateway.server.uvicorn_server import ListenError, ListeningSockets
from gateway.setting_types import address
from gateway.settings import Settings, unknown

log = logging.getLogger("gateway")


def add(areas: Areas) -> None:
    """Adds the command."""
    parser = areas.add_parser("serve", help="serve the graph over HTTP")
    parser.add_argument("--demo", choices=["small", "large"], help="load demo data when the embedded database is empty")
    parser.set_defaults(run=serve)


class AddressError(Exception):
    """The gateway cannot listen at an address; the message says at which, why, and what to do."""


def serve(options: argparse.Namespace, settings: Settings) -> int:
    """Serves until SIGINT or SIGTERM; the embedded database stops with the last gateway that uses it."""
    for sentence in unknown(os.environ):
        log.warning("%s", sentence)
    with ExitStack() as bound:  # first, since a port in use is known at once
        sockets = ListeningSockets(*(bound.enter_context(_bind(*where)) for where in _addresses(settings)))
        if settings.url is not None:
            return _serve(settings, settings.url, sockets)
        log.info(
            "DATABASE_URL is not set: serving the gateway's own demo database in %s; set it to serve another",
            settings.data / "postgres",
        )
        with embedded_database(settings, SIGNALS.run) as (owner, gateway):
            if (size := options.demo or settings.demo) != "off":
                SIGNALS.run(load_demo(owner, size))
            return _serve(settings, database_url(gateway), sockets)


Where = tuple[str, int, str]
"""An address, a port, and the setting that changes them."""


def _addresses(settings: Settings) -> list[Where]:
    """The addresses to listen at: of the graph, and of the metrics if enabled."""
    if settings.is_exposed:
        raise AddressError(
            f"HOST={settings.host} can be reached from other machines, where GATEWAY_AUTH=none lets everybody read and "
            "change everything: set GATEWAY_AUTH to jwt or token (or both), or HOST to 127.0.0.1"
        )
    graph = (settings.host, settings.port, "set HOST to an address of this machine and PORT to a free port")
    if settings.metrics is None:
        return [graph]
    return [graph, (*address(settings.metrics), "set GATEWAY_METRICS to an address of this machine and a free port")]


def _bind(host: str, port: int, advice: str) -> socket.socket:
    """A bound socket; it accepts connections once a worker that can answer listens."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise _address_error((host, port, advice), error) from error
    return listener


def _address_error(where: Where, error: OSError) -> AddressError:
    host, port, advice = where
    what = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE:
        what = "another program, perhaps another gateway, has this port"
        advice = f"stop it, or {advice}"
    return AddressError(f"cannot listen on {host} port {port}: {what}; {advice}")


def _serve(settings: Settings, url: URL, sockets: ListeningSockets) -> int:
    def started() -> None:
        if LINES.as_text:
            LINES.write(_addresses_for_people(_shown(sockets.graph)))
            return
        log.info("the graph is at http://%s/graphql", _shown(sockets.graph))
        if sockets.metrics:
            log.info("metrics are at http://%s/metrics", _shown(sockets.metrics))

    if settings.workers > 1:
        return 0 if workers.serve(settings, url, sockets, started) else 1
    try:
        ended = uvicorn_server.run(
            settings, url, sockets, on_start=started, asked_to_end=lambda: SIGNALS.received is not None
        )
    except ListenError as error:
        raise _address_error(_addresses(settings)[error.place], error.cause) from error
    return 0 if ended else 1


def _addresses_for_people(graph: str) -> str:
    return (
        f"\n  The console: the fleet, and lineage:   http://{graph}/"
        f"\n  The graph, and GraphiQL in a browser:  http://{graph}/graphql"
        f"\n  Whether it can answer:                 http://{graph}/readyz"
        "\n\n  Control-C stops it.\n"
    )


def _shown(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
