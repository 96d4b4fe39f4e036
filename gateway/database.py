"""The database that a gateway serves: the embedded one with demo data, or another by its URL."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol, TypeVar

from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from db.attach import attach, facts
from db.embedded import server as embedded
from db.engine.connector import Admit, connector_of
from db.engine.engine import create_engine
from db.engine.errors import translate
from db.engine.log_positions import Changes
from db.engine.replica import Reads
from db.engine.servers import Standby
from db.engine.stored_types import StoredTypes, stored_types_of
from db.engine.timelines import Timelines
from db.engine.url import address_of, target_of
from db.migrations import setup
from db.store import caller_roles
from gateway.settings import Settings
from schema.catalogue.records import Missing

log = logging.getLogger("gateway.database")

T = TypeVar("T")

DATABASE = "e2i"
COUNT_SECONDS = 300.0
_LOCK_TIMEOUTS_OF_A_CHANGE = 5
"""The lock timeout of a change as a multiple of a read's: changes of the same rows wait in turn."""


class Run(Protocol):
    """The signature of ``asyncio.run``."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> T: ...


@contextmanager
def embedded_database(settings: Settings, run: Run) -> Iterator[tuple[str, str]]:
    """The embedded database, created and migrated (by ``run``): the URLs for its owner and for the gateway.

    Its server stops at the end of the block unless another gateway uses the same folder.
    """
    log.info("starting Postgres in %s and bringing its tables up to date", settings.data / "postgres")
    with embedded.start(settings.data / "postgres") as server:
        yield run(setup.prepare_embedded(server, DATABASE))


async def load_demo(url: str, size: Literal["small", "large"]) -> bool:
    """Loads demo data if there are no rows; returns whether it did."""
    if await setup.has_rows(url):
        return False
    from db import demo  # noqa: PLC0415 - slow to import, and needed once

    log.info("loading the %s demo data", size)
    async with setup.connect(url) as connection, connection.begin():
        await demo.load(connection, size=size, progress=demo.terminal_progress())
    return True


def engine_for(
    settings: Settings,
    url: URL,
    size: int,
    overflow: int = 0,
    *,
    read_only: bool = True,
    timelines: Timelines | None = None,
    stored: StoredTypes | None = None,
    admit: Admit | None = None,
) -> AsyncEngine:
    """A connection pool by the settings. ``size`` connections are kept, ``overflow`` more are opened when needed."""
    return create_engine(
        url,
        read_only=read_only,
        pool_size=size,
        overflow=overflow,
        statement_timeout=settings.statement_timeout,
        lock_timeout=settings.lock_timeout * (1 if read_only else _LOCK_TIMEOUTS_OF_A_CHANGE),
        prepared_statements=settings.prepared_statements,
        timelines=timelines,
        stored=stored,
        heavy=settings.heavy_connections,
        admit=admit,
    )


def open_reads(settings: Settings, url: URL, primary: AsyncEngine, changed: Changes | None = None) -> Reads:
    """The pools that requests read from; each replica is monitored over a connection of its own.

    So is the primary, beside replicas, or where the URL names several hosts: another one may take over.
    """
    if not settings.replicas and len(target_of(url).hosts) == 1:
        return Reads(primary)
    timelines, stored = connector_of(primary).timelines, stored_types_of(primary)
    standbys = []
    for replica in settings.replicas:
        standby = Standby(address_of(replica))
        standby.engine = engine_for(
            settings, replica, settings.pool_size, timelines=timelines, stored=stored, admit=standby.admit
        )
        standbys.append(standby)
    looking, *looked_at = (engine_for(settings, where, 1, timelines=timelines) for where in (url, *settings.replicas))
    reads = Reads(primary, standbys, changed)
    reads.start(looking, looked_at, settings.replica_lag)
    return reads


async def inspect(engine: AsyncEngine) -> tuple[Missing, facts.Facts]:
    """What the database lacks, and its size; every difference that removes fields from the graph is logged."""
    differences = await attach.inspect(engine)
    for difference in differences.of(attach.Severity.BREAKS):
        log.warning("%s", difference.message)
    if others := len(differences.notes) - len(differences.of(attach.Severity.BREAKS)):
        log.info("%d more differences from the data dictionary; `e2i-gateway db check` lists them", others)
    missing = Missing(
        differences.missing_tables,
        differences.missing_columns,
        labels=differences.missing_labels,
        words=differences.words,
        computed=differences.computed_columns,
    )
    return missing, await facts.read(engine)


async def warn_of_roles(engine: AsyncEngine, settings: Settings) -> None:
    """Logs the roles that callers cannot assume, rights of the gateway's own role that it should not have, and rows
    hidden from it."""
    async with engine.connect() as connection:
        if settings.rls:
            warnings = list((await caller_roles.unusable(connection, settings.rls_roles)).values())
            if more := await caller_roles.inherited(connection, settings.rls_roles):
                warnings.append(more)
            for why in warnings:
                log.warning("GATEWAY_RLS: %s", why)
        elif hidden := await caller_roles.emptied(connection):
            log.warning("%s", caller_roles.hides("the gateway's role", hidden))


async def count_again(engine: AsyncEngine, found: Callable[[facts.Facts], None]) -> None:
    """Measures the database's size from time to time, and passes it to ``found``."""
    while True:
        await asyncio.sleep(COUNT_SECONDS)
        try:
            found(await facts.read(engine))
        except Exception as error:  # noqa: BLE001 - the last sizes are kept
            log.debug("the rows could not be counted: %s", translate(error))
