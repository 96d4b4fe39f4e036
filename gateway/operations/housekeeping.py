"""Housekeeping: expired rows of the gateway's own tables are removed in slices."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.engine import translated
from db.engine.errors import MissingObjectError, NotPermittedError
from db.store import own_rows
from gateway.settings import Settings

log = logging.getLogger("gateway.housekeeping")

SECONDS = 3600.0
"""Between two rounds, of each worker; most find that there is nothing left to do."""
FIRST_SECONDS = 60.0
"""Before the first, at most."""
SLICE = 2_000
"""Rows that one statement removes, or looks at."""
PAUSE = 0.05
"""Seconds between two slices, in which others have the disk."""
_SEEN = "gateway.alerts_seen"
_ALONE = "SELECT pg_try_advisory_xact_lock(hashtext('e2i gateway housekeeping'))"


class Housekeeping:
    """Removes rows that are over, a slice in each transaction; one process at a time."""

    def __init__(self, writer: AsyncEngine, settings: Settings) -> None:
        self.removed: dict[str, int] = {}
        """How many rows this process has removed, by table."""
        self._writer = writer
        self._tables: Mapping[str, str] = own_rows.over(settings.live_hours)
        self._told: set[str] = set()

    async def run(self) -> None:
        """Looks for what is over from time to time; without an end."""
        seconds = FIRST_SECONDS
        while True:
            await asyncio.sleep(random.uniform(0.2, 1.0) * seconds)  # noqa: S311 - so that not all come at once
            seconds = SECONDS
            for table, which in self._tables.items():
                try:
                    await (self._follow_alerts() if table == _SEEN else self._remove(table, which))
                except (NotPermittedError, MissingObjectError) as error:
                    self._tell(table, str(error))
                except Exception as error:  # noqa: BLE001 - an hour later it is tried again
                    log.warning("rows of %s that are over stay for now: %s", table, error)

    async def _remove(self, table: str, which: str) -> None:
        gone = SLICE
        while gone == SLICE:
            if (found := await self._slice(own_rows.take(table, which), str(SLICE))) is None:
                return
            gone = found[0]
            await self._count(table, gone)

    async def _follow_alerts(self) -> None:
        """What is known of alerts that were deleted goes with them."""
        at: str | None = own_rows.FIRST_ALERT
        while at is not None:
            if (found := await self._slice(own_rows.GONE_ALERTS, at, str(SLICE))) is None:
                return
            await self._count(_SEEN, found[0])
            at = found[1]

    async def _slice(self, sql: str, *values: str) -> Sequence[Any] | None:
        """What a statement answers; None where another process is at it."""
        with translated():
            async with self._writer.begin() as connection:
                if not (await connection.exec_driver_sql(_ALONE)).scalar_one():
                    return None
                return (await connection.exec_driver_sql(sql, values)).one()

    async def _count(self, table: str, gone: int) -> None:
        if gone:
            self.removed[table] = self.removed.get(table, 0) + gone
        await asyncio.sleep(PAUSE)

    def _tell(self, table: str, why: str) -> None:
        """Says once that rows stay for good."""
        if table not in self._told:
            self._told.add(table)
            log.warning("rows of %s cannot be removed: %s; `e2i-gateway db role` gives the right", table, why)
