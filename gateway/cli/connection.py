"""Database connections of commands, in the role of the owner."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.migrations import setup
from gateway.cli.signals import SIGNALS
from gateway.database import embedded_database
from gateway.settings import Settings


@asynccontextmanager
async def own_table(url: str, table: str, error: type[Exception]) -> AsyncIterator[AsyncConnection]:
    """A transaction over one of the gateway's own tables; raises ``error`` if the database lacks it."""
    async with setup.connect(url) as connection, connection.begin():
        if await connection.scalar(text("SELECT to_regclass(:name) IS NULL"), {"name": f"gateway.{table}"}):
            raise error(
                f"this database has no gateway.{table} yet; run `e2i-gateway db migrate` or `e2i-gateway db attach`"
            )
        yield connection


def with_owner(settings: Settings, run: Callable[[str], Coroutine[Any, Any, int]]) -> int:
    """Runs on the database that the settings name, in the role that owns its objects; returns the exit status."""
    if settings.url is not None:
        return SIGNALS.run(run(settings.url.render_as_string(hide_password=False)))
    with embedded_database(settings, SIGNALS.run) as (owner, _):
        return SIGNALS.run(run(owner))


def say(text: str) -> None:
    sys.stdout.write(text.rstrip() + "\n")
