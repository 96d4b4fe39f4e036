"""Refresh of stored current state: one process at a time computes the rows of marked keys, in short transactions."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from sqlalchemy.ext.asyncio import AsyncEngine

from db.base.current_state import CurrentState, current_states
from db.engine.errors import MissingObjectError, NotPermittedError, translated
from db.store.current_state import StateStep, step

log = logging.getLogger("gateway.current_state")

SECONDS = 4.0
"""Greatest interval in seconds between two refreshes; the actual one is random, from half of it on. A marked key is
computed by every query of all rows meanwhile."""
PAUSE = 0.02
"""Seconds between two steps, so that other work has the disk."""
MOST = 2_000
"""The largest number of keys of one step."""
STEP_SECONDS = 0.3
"""Target duration of a step in seconds; the number of keys adapts to it."""


class StateUpkeep:
    """Refreshes all stored current state, in steps of about `STEP_SECONDS`."""

    def __init__(self, writer: AsyncEngine) -> None:
        self._writer = writer
        self._most = 50
        self._reported: set[str] = set()

    async def run(self) -> None:
        """Refreshes at intervals of at most `SECONDS`; does not return."""
        while True:
            for state in current_states():
                try:
                    await self._refresh(state)
                except (NotPermittedError, MissingObjectError) as error:
                    self._report_once(state.of, str(error))
                except Exception as error:  # noqa: BLE001 - queries compute marked keys meanwhile; the next round retries
                    self._most = 1
                    log.warning("the stored state of %s stays behind for now: %s", state.of, error)
            await asyncio.sleep(random.uniform(0.5, 1.0) * SECONDS)  # noqa: S311 - jitter between processes

    async def _refresh(self, state: CurrentState) -> None:
        more = True
        while more:
            more = await self._step(state)
            await asyncio.sleep(PAUSE)

    async def _step(self, state: CurrentState) -> bool:
        """Computes some keys; returns whether more may be marked."""
        began, most = time.monotonic(), self._most
        made = await self._committed(state, most)
        if made is None:
            return False
        if made.state == "broken":
            log.warning(
                "the stored state of %s is broken: rows may have been written unmarked while its triggers were off or "
                "its rows hidden; `e2i-gateway db current-state` makes it anew",
                state.of,
            )
        took = time.monotonic() - began
        self._most = max(most // 2, 1) if took > STEP_SECONDS else min(most * 2, MOST) if made.keys == most else most
        return made.keys == most

    async def _committed(self, state: CurrentState, most: int) -> StateStep | None:
        with translated():
            async with self._writer.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ")
                async with connection.begin():
                    return await step(connection, state, most)

    def _report_once(self, name: str, why: str) -> None:
        """Logs, once per table, that this role cannot refresh its state."""
        if name not in self._reported:
            self._reported.add(name)
            log.warning("the state of %s cannot be stored: %s; `e2i-gateway db role` gives the right", name, why)
