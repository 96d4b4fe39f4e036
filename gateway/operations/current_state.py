"""Refresh of stored current state: the rows of marked keys are computed."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.base.current_state import current_states
from db.store.current_state import StateStep, step
from gateway.operations.upkeep import Pace, Upkeep

PACE = Pace(seconds=4.0, pause=0.02, most=2_000, step_seconds=0.3)
"""A marked key is computed by every query of all rows meanwhile."""


class StateUpkeep(Upkeep[StateStep]):
    """Refreshes all stored current state."""

    what, command = "the stored state", "db current-state"

    def __init__(self, writer: AsyncEngine) -> None:
        self._states = {state.of: state for state in current_states()}
        super().__init__(writer, self._states, PACE)

    async def _take(self, connection: AsyncConnection, name: str, most: int) -> StateStep | None:
        return await step(connection, self._states[name], most)
