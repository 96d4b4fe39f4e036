"""Timelines of a cluster: the server on the newest timeline is the primary.

A promoted standby begins a new timeline. The former primary may come back, and accept changes that will be lost. So the
newest timeline that was seen on any server is remembered, and servers on older ones are not used. After a deliberate
restore, the gateway has to be restarted.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import asyncpg

log = logging.getLogger("gateway.database")

STANDING = "SELECT gateway.standing()"
"""The primary's position; null on a standby, and where a service does not expose it."""

_NOT_TOLD = (
    asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError, asyncpg.InsufficientPrivilegeError,
    asyncpg.FeatureNotSupportedError,
)  # fmt: skip


class OutdatedServerError(ConnectionError):
    """A server is on an older timeline than another one that was seen: it is no longer the primary."""


@dataclass(frozen=True, slots=True)
class PrimaryPosition:
    """The position of a primary: its cluster's identifier, its timeline, and the bytes of its log that are flushed."""

    cluster: str
    timeline: int
    position: int

    @classmethod
    def of(cls, text: str | None) -> PrimaryPosition | None:
        """The position in the result of ``gateway.standing()``; None if it is unavailable."""
        if text is None:
            return None
        cluster, timeline, position = text.split("/")
        return cls(cluster, int(timeline), int(position))

    def has_all_of(self, other: PrimaryPosition) -> bool:
        """Whether this is a later position of the same cluster: commits at ``other`` are included, or lost for good."""
        if self.cluster != other.cluster or self.timeline < other.timeline:
            return False
        return self.timeline > other.timeline or self.position >= other.position


class Timelines:
    """The newest timelines that the pools of a gateway have seen."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._open: WeakKeyDictionary[asyncpg.Connection, PrimaryPosition] = WeakKeyDictionary()
        self.tells: bool | None = None
        """Whether the database has ``gateway.standing()``; None before the first connection."""
        self.failovers = 0
        """How often a newer timeline was seen."""
        self.lost_commits: Counter[str] = Counter()
        """Commits whose acknowledgement was lost, by outcome: ``made``, ``not made``, ``unknown``."""

    @property
    def newest(self) -> int | None:
        """The newest timeline that was seen, None if no server reported one."""
        return max(self._newest.values(), default=None)

    def see(self, standing: PrimaryPosition) -> None:
        """Notes the position of a server. Connections to older timelines are closed.

        Raises:
            OutdatedServerError: A newer timeline was seen.
        """
        newest = self._newest.get(standing.cluster, 0)
        if standing.timeline < newest:
            raise OutdatedServerError(
                f"the server is on timeline {standing.timeline} of its cluster, and timeline {newest} was seen: it was "
                f"the primary before, and is not used. If the database was set back on purpose, restart the gateway"
            )
        if standing.timeline > newest:
            self.failovers += newest > 0
            self._newest[standing.cluster] = standing.timeline
            former = [
                connection
                for connection, its in list(self._open.items())
                if its.cluster == standing.cluster and its.timeline < standing.timeline and not connection.is_closed()
            ]
            if former:
                log.warning(
                    "timeline %d was met: %d connections to the former primary are closed",
                    standing.timeline,
                    len(former),
                )
            for connection in former:
                connection.terminate()

    def abandon(self) -> None:
        """Closes all connections without waiting for their servers."""
        for connection in list(self._open):
            connection.terminate()

    async def admit(self, connection: asyncpg.Connection) -> None:
        """Reads the position of a new connection's server.

        Raises:
            OutdatedServerError: It is on an older timeline; the connection is closed.
            OSError, asyncpg.PostgresError: The connection was lost meanwhile.
        """
        try:
            standing = PrimaryPosition.of(await connection.fetchval(STANDING))
            self.tells = True
        except _NOT_TOLD as error:
            if self.tells is None:
                log.debug("the timeline of the database is unknown: %s", error)
            self.tells = False
            return
        if standing is None:
            return
        try:
            self.see(standing)
        except OutdatedServerError:
            connection.terminate()
            raise
        self._open[connection] = standing
