"""The database's clock, which sets the times of rows, beside this host's."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

log = logging.getLogger("gateway.database")

SKEW = 5.0
"""The largest difference of clocks in seconds at which token expiry and times are reliable."""
_READ = text("SELECT extract(epoch FROM clock_timestamp())::float8")


class ClockDifference(NamedTuple):
    """How far the database's clock is ahead of this host's, in seconds, and how exactly that is known."""

    ahead: float
    within: float


async def read(connection: AsyncConnection) -> ClockDifference:
    """Reads the database's clock.

    Raises:
        sqlalchemy.exc.DBAPIError: The database cannot be reached.
    """
    sent, began = time.time(), time.monotonic()
    there: float = await connection.scalar(_READ)
    within = (time.monotonic() - began) / 2
    return ClockDifference(there - sent - within, within)


class DatabaseClock:
    """The database's time as this process knows it: this host's, corrected by the last difference that was read.

    One that the newest reading leaves possible is kept: times of hosts that agree are not moved by noise.
    """

    def __init__(self) -> None:
        self.ahead = 0.0
        """Seconds."""

    def learn(self, found: ClockDifference) -> None:
        """Takes the difference that was found."""
        if abs(found.ahead - self.ahead) <= found.within:
            return
        if abs(found.ahead - self.ahead) > SKEW:
            side = "ahead of" if found.ahead > 0 else "behind"
            log.warning("the database's clock is %.0f s %s this host's", abs(found.ahead), side)
        self.ahead = found.ahead

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC) + timedelta(seconds=self.ahead)


CLOCK = DatabaseClock()
"""That of the database of this process."""
