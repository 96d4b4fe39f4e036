"""Housekeeping: expired rows of the gateway's own tables are deleted in slices."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.errors import MissingObjectError, NotPermittedError, translated
from db.store import own_rows
from gateway.settings import Settings

log = logging.getLogger("gateway.housekeeping")

SECONDS = 3600.0
"""Seconds between two rounds of a worker; most rounds find nothing to do."""
FIRST_SECONDS = 60.0
"""The longest delay before the first round, in seconds."""
SLICE = 2_000
"""Rows that one statement deletes or checks."""
PAUSE = 0.05
"""Seconds between two slices, which leave the disk to others."""
_SEEN = "gateway.alerts_seen"
_ALONE = "SELECT pg_try_advisory_xact_lock(hashtext('e2i gateway housekeeping'))"


class Housekeeping:
    """Deletes expired rows, a slice per transaction; one process at a time."""

    def __init__(self, writer: AsyncEngine, settings: Settings) -> None:
        self.removed: dict[str, int] = {}
        """Rows that this process has deleted, by table."""
        self._writer = writer
        self._tables: Mapping[str, str] = own_rows.over(settings.live_hours)
        self._told: set[str] = set()

    async def run(self) -> None:
        """Deletes expired rows from time to time, without end."""
        seconds = FIRST_SECONDS
        while True:
            await asyncio.sleep(random.uniform(0.2, 1.0) * seconds)  # noqa: S311 - workers do not start together
            seconds = SECONDS
            for table, which in self._tables.items():
                try:
                    await (self._follow_alerts() if table == _SEEN else self._remove(table, which))
                except (NotPermittedError, MissingObjectError) as error:
                    self._tell(table, str(error))
                except Exception as error:  # noqa: BLE001 - repeated in the next round
                    log.warning("rows of %s that are over stay for now: %s", table, error)

    async def _remove(self, table: str, which: str) -> None:
        gone = SLICE
        while gone == SLICE:
            if (found := await self._slice(own_rows.take(table, which), str(SLICE))) is None:
                return
            gone = found[0]
            await self._count(table, gone)

    async def _follow_alerts(self) -> None:
        """Deletes what is recorded of alerts that no longer exist."""
        at: str | None = own_rows.FIRST_ALERT
        while at is not None:
            if (found := await self._slice(own_rows.GONE_ALERTS, at, str(SLICE))) is None:
                return
            await self._count(_SEEN, found[0])
            at = found[1]

    async def _slice(self, sql: str, *values: str) -> Sequence[Any] | None:
        """The rows that a statement returns; None if another process is deleting."""
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
        """Logs once that rows of a table cannot be deleted."""
        if table not in self._told:
            self._told.add(table)
            log.warning("rows of %s cannot be removed: %s; `e2i-gateway db role` gives the right", table, why)
