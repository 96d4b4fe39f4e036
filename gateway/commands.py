"""What the command line's commands do. Each returns its exit status."""

from __future__ import annotations

import argparse
import asyncio
import signal
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


def serve(options: argparse.Namespace, settings: Settings) -> int:
    """Serves until SIGINT or SIGTERM; the embedded database stops with the last gateway that uses it."""
    signal.signal(signal.SIGTERM, _exit)  # uvicorn raises the signal again once it has stopped: end by the blocks below
    if settings.url is not None:
        return _serve(settings, settings.url)
    with embedded_database(settings) as (owner, gateway):
        if (size := options.demo or settings.demo) != "off":
            asyncio.run(load_demo(owner, size))
        return _serve(settings, database_url(gateway))


def _exit(*_: object) -> None:
    raise SystemExit(0)


def _serve(settings: Settings, url: URL) -> int:
    config = uvicorn.Config(
        create_app(settings, url),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=int(settings.request_timeout) + 1,
        lifespan="on",
    )
    server = uvicorn.Server(config)
    server.run()
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
