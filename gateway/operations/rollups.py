"""Rollups are brought up to date: one process at a time sums marked units of time up, in small transactions."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from db.base.rollups import Rollup
from db.base.sums import rollups
from db.engine.errors import MissingObjectError, NotPermittedError, translated
from db.store.rollups import RollupStep, step

log = logging.getLogger("gateway.rollups")

SECONDS = 20.0
"""Between two looks at each table."""
PAUSE = 0.05
"""Seconds between two steps, in which others have the disk."""
MOST = 256
"""Units that one step sums up at most."""
STEP_SECONDS = 0.5
"""What a step should take at most."""


class RollupUpkeep:
    """Sums marked units up, the newest first, and as many at once as take half a second."""

    def __init__(self, writer: AsyncEngine) -> None:
        self._writer = writer
        self._most = dict.fromkeys((table.fullname for table, _ in rollups()), 1)
        self._told: set[str] = set()

    async def run(self) -> None:
        """Looks for marked units from time to time; without an end."""
        while True:
            for table, rollup in rollups():
                try:
                    await self._follow(table, rollup)
                except (NotPermittedError, MissingObjectError) as error:
                    self._tell(table.fullname, str(error))
                except Exception as error:  # noqa: BLE001 - rows are read in place of sums, and it is tried again
                    self._most[table.fullname] = 1
                    log.warning("sums of %s stay behind for now: %s", table.fullname, error)
            await asyncio.sleep(random.uniform(0.5, 1.0) * SECONDS)  # noqa: S311 - so that not all come at once

    async def _follow(self, table: Table, rollup: Rollup) -> None:
        more = True
        while more:
            more = await self._step(table, rollup)
            await asyncio.sleep(PAUSE)

    async def _step(self, table: Table, rollup: Rollup) -> bool:
        """Sums some units up; whether there may be more."""
        name, began = table.fullname, time.monotonic()
        most = self._most[name]
        made = await self._committed(table, rollup, most)
        if made is None:
            return False
        if made.state == "broken":
            log.warning(
                "rollups of %s are broken: rows may have been written unmarked while its triggers were off or its rows "
                "hidden; `e2i-gateway db rollups` makes them anew",
                name,
            )
        took = time.monotonic() - began
        self._most[name] = max(most // 2, 1) if took > STEP_SECONDS else min(most * 2, MOST) if made.units else most
        return made.units == most

    async def _committed(self, table: Table, rollup: Rollup, most: int) -> RollupStep | None:
        with translated():
            async with self._writer.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ")
                async with connection.begin():
                    return await step(connection, table, rollup, most)

    def _tell(self, name: str, why: str) -> None:
        """Says once that sums are not kept by this role."""
        if name not in self._told:
            self._told.add(name)
            log.warning("sums of %s cannot be kept: %s; `e2i-gateway db role` gives the right", name, why)
