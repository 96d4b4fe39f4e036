"""Health: liveness and readiness, for load balancers and orchestrators."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.errors import DivergedError, OverloadedError
from db.engine.readers import ShortReader
from db.engine.replica import Reads
from db.migrations.setup import platform_tables
from gateway.observability.gauges import in_use, size
from gateway.operations.planner import Planner

log = logging.getLogger("gateway.health")

TIMEOUT = 2.0
"""Timeout in seconds of the statement that tests the database."""
TIMEOUT_BESIDE = 0.5
"""The same while a replica serves reads: the database does not decide the HTTP status then, and load balancers have
short timeouts."""
BUSY = 5.0
"""Seconds for which all connections may be busy before the gateway reports that it is not ready."""


class Health:
    """Readiness, tested by a statement through the pool that requests use.

    ``reports`` are the states of other parts, such as a listener; they are reported and do not affect the status.
    """

    def __init__(self) -> None:
        self.draining = False
        """Whether the gateway is shutting down; load balancers then route elsewhere."""
        self.reports: dict[str, Callable[[], str]] = {}
        self._probe: asyncio.Task[str | None] | None = None
        self._busy_since: float | None = None

    async def readiness(
        self, engine: AsyncEngine, planner: Planner, reads: Reads, *, for_changes: bool = False
    ) -> tuple[int, dict[str, Any]]:
        """The HTTP status, 200 or 503, and the JSON body: the overall status and the state of each part.

        If changes are impossible and a replica serves reads, the gateway is ready: 200, unless ``for_changes``.
        """
        database = await self._database(engine, TIMEOUT_BESIDE if reads.usable and not for_changes else TIMEOUT)
        reads_only = database == _STANDBY or (database not in _AVAILABLE and reads.usable)
        found = {
            "database": database,
            "schema": _schema(planner),
            **{name: tell() for name, tell in self.reports.items()},
        }
        if self.draining:
            found["gateway"] = "is ending"
        if reads.standbys:
            found["replicas"] = f"{sum(one.usable for one in reads.standbys)} of {len(reads.standbys)} are read"
        able = database in _AVAILABLE or (reads_only and not for_changes)
        ready = not self.draining and able and found["schema"] in {"ok", _DIFFERS}
        if not ready:
            log.warning("not ready", extra=found)
        status = "unavailable" if not ready else "reads only" if reads_only else "ok"
        return (200 if ready else 503), {"status": status, **found}

    async def close(self) -> None:
        """Cancels a pending statement."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait({self._probe})

    async def _database(self, engine: AsyncEngine, seconds: float) -> str:
        """The state of the database, after at most ``seconds``; concurrent probes share one statement."""
        full = in_use(engine) >= size(engine)
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._test(engine))
        probe = self._probe
        await asyncio.wait({probe}, timeout=seconds)
        found = probe.result() if probe.done() else None
        if found is not None:
            self._busy_since = None
            return found
        if not full:
            return "does not answer in time"
        now = time.monotonic()
        self._busy_since = self._busy_since or now
        return "busy" if now - self._busy_since < BUSY else "has no connection to spare"

    async def _test(self, engine: AsyncEngine) -> str | None:
        """The state of the database; None on a timeout, once the statement has been cancelled."""
        try:
            async with asyncio.timeout(TIMEOUT):
                ((in_recovery,),) = await ShortReader(engine).fetch("SELECT pg_is_in_recovery()", ())
        except (OverloadedError, TimeoutError):
            return None
        except DivergedError as error:
            log.debug("the database is not used: %s", error)
            return _DIVERGED
        except Exception as error:  # noqa: BLE001 - on any error the gateway is not ready
            log.debug("the database cannot be reached: %s", error)
            return "cannot be reached"
        return _STANDBY if in_recovery else "ok"


_AVAILABLE = {"ok", "busy"}
_STANDBY = "is a standby: reads are answered, changes are not"
_DIVERGED = "lacks changes that were acknowledged, and is not used; the log says which server was followed"
_DIFFERS = "differs; `e2i-gateway db check` lists the differences"


def _schema(planner: Planner) -> str:
    if not planner.learned:
        return "not looked at yet"
    if planner.access.missing.tables.issuperset(platform_tables()):
        return "has none of the platform's tables; `e2i-gateway db migrate` builds them"
    return _DIFFERS if planner.access.missing.tables or planner.access.missing.columns else "ok"
