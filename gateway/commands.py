"""What the command line's commands do. Each returns its exit status."""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvicorn
from sqlalchemy.engine import URL

from db import attach, setup
from db.engine import database_url
from db.migrations.revise import new_revision
from gateway.app import create_app
from gateway.database import embedded_database, load_demo
from gateway.settings import Settings
from schema.schema import build

log = logging.getLogger("gateway")


class AddressError(Exception):
    """The gateway cannot listen where it should; the message says where, why and what to do."""


def serve(options: argparse.Namespace, settings: Settings) -> int:
    """Serves until SIGINT or SIGTERM; the embedded database stops with the last gateway that uses it."""
    with _bind(settings) as listener:  # first of all, since a port that is taken is known at once
        if settings.url is not None:
            return _serve(settings, settings.url, listener)
        with embedded_database(settings) as (owner, gateway):
            if (size := options.demo or settings.demo) != "off":
                asyncio.run(load_demo(owner, size))
            return _serve(settings, database_url(gateway), listener)


def _bind(settings: Settings) -> socket.socket:
    """A socket with the address and port of the settings; nobody can connect until it listens."""
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise _address_error(settings, error) from error
    return listener


def _address_error(settings: Settings, error: OSError) -> AddressError:
    what, advice = error.strerror or str(error), "set HOST to an address of this machine and PORT to a free port"
    if error.errno == errno.EADDRINUSE:
        what, advice = "another program, perhaps another gateway, has this port", "stop it, or set PORT to a free one"
    return AddressError(f"cannot listen on {settings.host} port {settings.port}: {what}; {advice}")


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            log.info("the graph is at http://%s:%d/graphql", f"[{host}]" if ":" in host else host, port)


def _serve(settings: Settings, url: URL, listener: socket.socket) -> int:
    config = uvicorn.Config(
        create_app(settings, url),
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=int(settings.request_timeout) + 1,
        lifespan="on",
    )
    try:
        listener.listen(config.backlog)
    except OSError as error:  # somebody else was bound to the port too, and listened first
        raise _address_error(settings, error) from error
    server = _Server(config)
    server.run([listener])
    return 0 if server.started else 1


def schema_print(_options: argparse.Namespace, _settings: Settings) -> int:
    """Prints the schema as SDL."""
    sys.stdout.write(build().as_str() + "\n")
    return 0


def db_init(_options: argparse.Namespace, settings: Settings) -> int:
    """Builds the schema on an empty database."""
    return _with_owner(settings, _migrate)


db_migrate = db_init


async def _migrate(url: str) -> int:
    await setup.migrate(url)
    _say("The database is up to date.")
    return 0


def db_attach(_options: argparse.Namespace, settings: Settings) -> int:
    """Prepares the platform's database: adds the schema `gateway`, changes nothing else."""

    async def run(url: str) -> int:
        _say((await attach.attach(url)).text())
        return 0

    return _with_owner(settings, run)


def db_check(_options: argparse.Namespace, settings: Settings) -> int:
    """Prints every difference between the database and what the graph expects."""

    return _with_owner(settings, lambda url: attach.check(url, sys.stdout.write))


def db_demo(options: argparse.Namespace, settings: Settings) -> int:
    """Loads demo data into an empty database."""

    async def run(url: str) -> int:
        loaded = await load_demo(url, options.size)
        _say("Demo data loaded." if loaded else "The database has rows already; demo data needs an empty one.")
        return 0 if loaded else 1

    return _with_owner(settings, run)


def db_revision(options: argparse.Namespace, settings: Settings) -> int:
    """Writes a migration from the difference between the models and the migrations so far."""
    path = asyncio.run(new_revision(settings.database_url, options.message))
    _say(f"Wrote {path}: read it before you commit it." if path else "The migrations say what the models say already.")
    return 0


def _with_owner(settings: Settings, run: Callable[[str], Coroutine[Any, Any, int]]) -> int:
    """Runs on the database that the settings name, in the role that owns its objects."""
    if settings.database_url:
        return asyncio.run(run(settings.database_url))
    with embedded_database(settings) as (owner, _):
        return asyncio.run(run(owner))


def _say(text: str) -> None:
    sys.stdout.write(text.rstrip() + "\n")
