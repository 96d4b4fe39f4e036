"""Timelines of a cluster: the server on the newest timeline is the primary.

A standby that takes over begins a timeline. The primary of before may wake up, and takes changes as if nothing had
happened; what is read there is past, and what is changed there is lost. So the newest timeline that was seen anywhere
is remembered, and no server on an older one is read, written or believed. What was set back on purpose is taken by a
gateway that is started anew.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import asyncpg

log = logging.getLogger("gateway.database")

STANDING = "SELECT gateway.standing()"
"""What a primary says of itself; null on a standby, and where a service does not tell."""

_NOT_TOLD = (
    asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError, asyncpg.InsufficientPrivilegeError,
    asyncpg.FeatureNotSupportedError,
)  # fmt: skip


class OutdatedServerError(ConnectionError):
    """A server is on an older timeline than another one that was seen: it is the database no longer."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a primary is: its cluster's identifier, its timeline, and the bytes of its log that are on disk."""

    cluster: str
    timeline: int
    position: int

    @classmethod
    def of(cls, text: str | None) -> Standing | None:
        """What ``gateway.standing()`` says; None where it does not."""
        if text is None:
            return None
        cluster, timeline, position = text.split("/")
        return cls(cluster, int(timeline), int(position))

    def has_all_of(self, other: Standing) -> bool:
        """Whether this is the same cluster later: what was committed at ``other`` is here, or is the past's."""
        if self.cluster != other.cluster or self.timeline < other.timeline:
            return False
        return self.timeline > other.timeline or self.position >= other.position


class Timelines:
    """The newest timelines that the pools of a gateway have seen."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._open: WeakKeyDictionary[asyncpg.Connection, Standing] = WeakKeyDictionary()
        self.tells: bool | None = None
        """Whether the database has ``gateway.standing()``; None before the first connection."""
        self.failovers = 0
        """How often a newer timeline was met."""
        self.lost_commits: Counter[str] = Counter()
        """Commits whose answer was lost, by what became of them: ``made``, ``not made``, ``unknown``."""

    @property
    def newest(self) -> int | None:
        """The newest timeline that was seen, None where no server told."""
        return max(self._newest.values(), default=None)

    def see(self, standing: Standing) -> None:
        """A server is there. Connections to an older one than this are closed.

        Raises:
            OutdatedServerError: There is a newer one.
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
            for connection, its in list(self._open.items()):
                if its.cluster == standing.cluster and its.timeline < standing.timeline:
                    log.warning("connections to the server on timeline %d are closed", its.timeline)
                    connection.terminate()

    async def admit(self, connection: asyncpg.Connection) -> None:
        """Asks a new connection where its server is.

        Raises:
            OutdatedServerError: On an older timeline; the connection is closed.
            OSError, asyncpg.PostgresError: The connection was lost meanwhile.
        """
        try:
            standing = Standing.of(await connection.fetchval(STANDING))
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
