"""Marks of timelines: written by each process as soon as it meets a timeline without one, so that all know it."""

from __future__ import annotations

import logging

from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.connector import connector_of
from db.engine.errors import DRIVER_ERRORS
from db.engine.readers import set_local
from db.engine.timelines import MARKING, PrimaryPosition

log = logging.getLogger("gateway.database")


async def keep_marked(engine: AsyncEngine) -> None:
    """Marks timelines through a pool of writing connections, until it is cancelled.

    A timeline that cannot be marked (the database is read-only) is tried again when another connection meets it; the
    first change on it writes its mark at the latest.
    """
    timelines = connector_of(engine).timelines
    while True:
        await timelines.unmarked.wait()
        timelines.unmarked.clear()
        try:
            await _mark(engine)
        except DRIVER_ERRORS as error:
            log.debug("the timeline could not be marked: %s", error)


async def _mark(engine: AsyncEngine) -> None:
    timelines = connector_of(engine).timelines
    connection = engine.connect()
    await connection.start()
    try:
        await connection.execution_options(isolation_level="READ COMMITTED")
        transaction = await connection.begin()
        # flushed, so that a crash does not lose a mark that is known; standbys that are missing are not waited for
        await set_local(connection, {"synchronous_commit": "local"})
        since = timelines.known
        standing = PrimaryPosition.of((await connection.exec_driver_sql(MARKING)).scalar_one())
        await transaction.commit()
        if standing is not None:
            driver = (await connection.get_raw_connection()).driver_connection
            timelines.see(standing, since, timelines.where(driver))
    except BaseException:
        if not connection.invalidated:
            await connection.invalidate()
        raise
    finally:
        await connection.close()
