"""Refresh of rollups: one process at a time aggregates marked units, in short transactions."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from db.base.rollups import Rollup
from db.base.sums import rollups
from db.engine.errors import MissingObjectError, NotPermittedError, translated
from db.store.rollups import RollupStep, step

log = logging.getLogger("gateway.rollups")

SECONDS = 20.0
"""Greatest interval in seconds between two refreshes of each table; the actual one is random, from half of it on."""
PAUSE = 0.05
"""Seconds between two steps, so that other work has the disk."""
MOST = 256
"""The largest number of units of one step."""
OUTCOMES = SUMMED_UP, OUT_OF_RANGE = "summed up", "out of range"
"""What becomes of a marked unit."""
STEP_SECONDS = 0.5
"""Target duration of a step in seconds; the number of units adapts to it."""


class RollupUpkeep:
    """Refreshes all rollups, the newest marked units first, in steps of about `STEP_SECONDS`."""

    def __init__(self, writer: AsyncEngine) -> None:
        self._writer = writer
        self._most = dict.fromkeys((table.fullname for table, _ in rollups()), 1)
        self._reported: set[str] = set()
        self.summed_up = Counter({(name, outcome): 0 for name in self._most for outcome in OUTCOMES})
        """Units tried by this process, by table and outcome: summed up, or out of range."""

    async def run(self) -> None:
        """Refreshes every table, at intervals of at most `SECONDS`; does not return."""
        while True:
            for table, rollup in rollups():
                try:
                    await self._refresh(table, rollup)
                except (NotPermittedError, MissingObjectError) as error:
                    self._report_once(
                        f"sums of {table.fullname} cannot be kept: {error}; `e2i-gateway db role` gives the right"
                    )
                except Exception as error:  # noqa: BLE001 - queries read rows meanwhile; the next round retries
                    self._most[table.fullname] = 1
                    log.warning("sums of %s stay behind for now: %s", table.fullname, error)
            await asyncio.sleep(random.uniform(0.5, 1.0) * SECONDS)  # noqa: S311 - jitter between processes

    async def _refresh(self, table: Table, rollup: Rollup) -> None:
        more = True
        while more:
            more = await self._step(table, rollup)
            await asyncio.sleep(PAUSE)

    async def _step(self, table: Table, rollup: Rollup) -> bool:
        """Aggregates some units; returns whether more may be marked."""
        name, began = table.fullname, time.monotonic()
        most = self._most[name]
        made = await self._committed(table, rollup, most)
        if made is None:
            return False
        self.summed_up[name, SUMMED_UP] += made.units - len(made.failed)
        self.summed_up[name, OUT_OF_RANGE] += len(made.failed)
        for unit, why in made.failed.items():
            self._report_once(f"the unit of {name} at {unit.isoformat()} is not summed up, its rows are read: {why}")
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

    def _report_once(self, message: str) -> None:
        """Logs what every round finds again."""
        if message not in self._reported:
            self._reported.add(message)
            log.warning("%s", message)
