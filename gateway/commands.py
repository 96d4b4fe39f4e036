"""What the command line's commands do. Each returns its exit status."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from db import attach, embedded, setup
from gateway.app import create_app
from gateway.database import DATABASE
from gateway.settings import Settings
from schema.schema import build


class CommandError(Exception):
    """A command cannot do what it was asked; the message says why and what to do."""


def serve(options: argparse.Namespace, settings: Settings) -> int:
    """Serves until SIGINT or SIGTERM; the embedded database stops with the last gateway that uses it."""
    if options.demo and settings.url is None:
        settings = settings.model_copy(update={"demo": options.demo})
    config = uvicorn.Config(
        create_app(settings),
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

    async def run(url: str) -> int:
        differences = await attach.check(url)
        _say(differences.text())
        return 1 if differences.breaks_fields else 0

    return _with_owner(settings, run)


def db_demo(options: argparse.Namespace, settings: Settings) -> int:
    """Loads demo data into an empty database."""

    async def run(url: str) -> int:
        loaded = await setup.load_demo(url, options.size)
        _say("Demo data loaded." if loaded else "The database has rows already; demo data needs an empty one.")
        return 0 if loaded else 1

    return _with_owner(settings, run)


def db_revision(options: argparse.Namespace, settings: Settings) -> int:
    """Writes a migration from the difference between the models and the migrations so far."""
    path = asyncio.run(setup.new_revision(settings.database_url, options.message))
    _say(f"Wrote {path}: read it before you commit it.")
    return 0


def _with_owner(settings: Settings, run: object) -> int:
    async def with_database() -> int:
        async with _owner_url(settings) as url:
            return int(await run(url))  # type: ignore[operator]

    return asyncio.run(with_database())


@asynccontextmanager
async def _owner_url(settings: Settings) -> AsyncIterator[str]:
    """The database that the settings name, in the role that owns its objects."""
    if settings.database_url:
        yield settings.database_url
        return
    server = await asyncio.to_thread(embedded.start, settings.data / "postgres")
    try:
        owner, _ = await setup.prepare_embedded(server, DATABASE)
        yield owner
    finally:
        await asyncio.to_thread(server.stop)


def _say(text: str) -> None:
    sys.stdout.write(text.rstrip() + "\n")
