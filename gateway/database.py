"""The database that a gateway serves: the embedded one with its demo data, or any other by its URL."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.engine import URL

from db import attach, embedded, setup
from db.engine import create_engine, database_url
from gateway.settings import Settings
from schema.loaders import Missing

log = logging.getLogger("gateway.database")

DATABASE = "e2i"


@dataclass(frozen=True)
class Database:
    """An open database: where it is, what it is called in logs (without secrets), and what it lacks."""

    url: URL
    name: str
    missing: Missing


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """Opens the database that the settings name and says what it lacks; closes what it has opened."""
    if settings.url is not None:
        yield await _inspected(settings.url, f"{settings.url.host}/{settings.url.database}")
        return
    server = await asyncio.to_thread(embedded.start, settings.data / "postgres")
    try:
        owner, gateway = await setup.prepare_embedded(server, DATABASE)
        if settings.demo != "off":
            await setup.load_demo(owner, settings.demo)
        yield await _inspected(database_url(gateway), f"the embedded database in {settings.data}")
    finally:
        await asyncio.to_thread(server.stop)


async def _inspected(url: URL, name: str) -> Database:
    engine = create_engine(url, read_only=True, pool_size=1)
    try:
        differences = await attach.inspect(engine)
    finally:
        await engine.dispose()
    for difference in differences.notes:
        log.warning("%s", difference.message)
    return Database(url, name, Missing(differences.missing_tables, differences.missing_columns))
