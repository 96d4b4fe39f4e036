"""Refresh of rollups: marked units of time are summed up."""

from __future__ import annotations

from collections import Counter

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.base.sums import rollups
from db.store.rollups import RollupStep, step
from gateway.operations.upkeep import Pace, Upkeep

PACE = Pace(seconds=20.0, pause=0.05, most=4096, step_seconds=0.5)
OUTCOMES = SUMMED_UP, OUT_OF_RANGE = "summed up", "out of range"
"""What becomes of a marked unit."""


class RollupUpkeep(Upkeep[RollupStep]):
    """Refreshes all rollups, the newest marked units first."""

    what, command = "the rollup", "db rollups"

    def __init__(self, writer: AsyncEngine) -> None:
        self._rollups = {table.fullname: (table, rollup) for table, rollup in rollups()}
        super().__init__(writer, self._rollups, PACE)
        self.summed_up = Counter({(name, outcome): 0 for name in self._rollups for outcome in OUTCOMES})
        """Units tried by this process, by table and outcome."""

    async def _take(self, connection: AsyncConnection, name: str, most: int) -> RollupStep | None:
        return await step(connection, *self._rollups[name], most)

    async def _committed(self, name: str, most: int) -> RollupStep | None:
        made = await super()._committed(name, most)
        if made is not None:
            self.summed_up[name, SUMMED_UP] += made.taken - len(made.failed)
            self.summed_up[name, OUT_OF_RANGE] += len(made.failed)
            for unit, why in made.failed.items():
                self._report_once(
                    f"the unit of {name} at {unit.isoformat()} is not summed up, its rows are read: {why}"
                )
        return made
