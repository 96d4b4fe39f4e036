"""Timelines of a cluster: the server on the newest timeline is the primary; one that lacks its changes is not used.

A promoted standby begins a new timeline. The former primary may come back, and accept changes that will be lost. So the
newest timeline that was seen on any server is remembered, and servers on older ones are not used.

Two standbys that are promoted side by side begin timelines of one number. So each timeline has a mark, a random id in
``gateway.timelines``, which is written when it is met, or with its first change: a server with another mark, or none,
is not the one that was followed. A server that was set back, by a snapshot of its disk, has the mark, and an earlier
position than that of a change that it has acknowledged. After a deliberate restore, the gateway has to be restarted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import asyncpg

log = logging.getLogger("gateway.database")

STANDING = "SELECT s || '/' || gateway.marks(s, false) FROM gateway.standing() AS s"
"""The primary's position; null on a standby, and where a service does not expose it."""
MARKING = "SELECT s || '/' || gateway.marks(s, true) FROM gateway.standing() AS s"
"""The same, which marks the timeline if it has no mark."""
_WITHOUT_MARKS = "SELECT gateway.standing()"
"""The same where the gateway's own tables are those of an earlier version."""

MARKS = 2
"""Marks of timelines that a position has, at most."""

_NOT_TOLD = (
    asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError, asyncpg.InsufficientPrivilegeError,
    asyncpg.FeatureNotSupportedError,
)  # fmt: skip


class OutdatedServerError(ConnectionError):
    """A server is on an older timeline than another one that was seen: it is no longer the primary."""

    reason = "older timeline"


class DivergedServerError(OutdatedServerError):
    """A server is on the newest timeline and lacks changes that were acknowledged on it."""

    reason = "other branch"


class SetBackError(DivergedServerError):
    """A server is in an earlier state than that in which it acknowledged a change."""

    reason = "set back"


REASONS = tuple(error.reason for error in (OutdatedServerError, DivergedServerError, SetBackError))
"""Why servers are refused."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of the newest timelines that have one, `MARKS` at most, by timeline.

    ``table`` is the oid of the table that they are in: a table that was made anew says nothing about an earlier one.
    """

    table: int
    ids: Mapping[int, str]

    @classmethod
    def of(cls, text: str) -> Marks | None:
        """The marks in the result of ``gateway.marks()``; None if they are unavailable."""
        table, colon, ids = text.partition(":")
        if not colon:
            return None
        pairs = (one.split("=") for one in ids.split(",") if one)
        return cls(int(table), {int(timeline): id_ for timeline, id_ in pairs})


@dataclass(frozen=True, slots=True)
class PrimaryPosition:
    """The position of a primary: its cluster's identifier, its timeline, and the bytes of its log that are flushed."""

    cluster: str
    timeline: int
    position: int
    marks: Marks | None = field(default=None, compare=False)

    @classmethod
    def of(cls, text: str | None) -> PrimaryPosition | None:
        """The position in the result of `STANDING`; None if it is unavailable."""
        if text is None:
            return None
        cluster, timeline, position, *marks = text.split("/")
        return cls(cluster, int(timeline), int(position), Marks.of(marks[0]) if marks else None)

    @property
    def mark(self) -> str | None:
        """The mark of its timeline, empty if there is none yet; None if it is unavailable."""
        return None if self.marks is None else self.marks.ids.get(self.timeline, "")

    def has_all_of(self, other: PrimaryPosition) -> bool:
        """Whether this is a later position of the same cluster: commits at ``other`` are included, or lost for good."""
        if self.cluster != other.cluster or self.timeline < other.timeline:
            return False
        return self.timeline > other.timeline or self.position >= other.position


@dataclass(frozen=True, slots=True)
class Followed:
    """What is known about the newest timeline of a cluster."""

    timeline: int
    where: str
    """The address at which it was met; empty if unknown."""
    marks: Marks | None = None
    position: int = 0
    """A position of its log before that of a change that was acknowledged, in bytes."""

    @property
    def mark(self) -> str:
        """Its mark, empty as long as none is known."""
        return "" if self.marks is None else self.marks.ids.get(self.timeline, "")


Known = Mapping[str, Followed]
"""What is known at a moment, by the identifiers of clusters."""


class Timelines:
    """The newest timelines that the pools of a gateway have seen."""

    def __init__(self) -> None:
        self.known: Known = {}
        """What is known now; replaced as a whole. A server that is asked after a moment has all that was known then."""
        self._open: WeakKeyDictionary[asyncpg.Connection, tuple[PrimaryPosition, str]] = WeakKeyDictionary()
        self._said: set[str] = set()
        self.tells: bool | None = None
        """Whether the database has ``gateway.standing()``; None before the first connection."""
        self.standing = STANDING
        """The statement for the primary's position that the database has the functions of."""
        self.unmarked = asyncio.Event()
        """Set when the newest timeline is seen without a mark."""
        self.failovers = 0
        """How often a newer timeline was seen."""
        self.lossy_failovers = 0
        """How often a newer timeline had begun before the last one was marked: acknowledged changes are lost."""
        self.refused: Counter[str] = Counter()
        """Servers that were not used, by the reason, once for each connection."""
        self.lost_commits: Counter[str] = Counter()
        """Commits whose acknowledgement was lost, by outcome: ``made``, ``not made``, ``unknown``."""

    @property
    def newest(self) -> int | None:
        """The newest timeline that was seen, None if no server reported one."""
        return max((followed.timeline for followed in self.known.values()), default=None)

    @property
    def marked(self) -> tuple[str, Followed] | None:
        """The newest timeline, if its mark is known, with its history: its cluster's identifier, a slash and itself."""
        cluster = max(self.known, key=lambda one: self.known[one].timeline, default=None)
        if cluster is None or not self.known[cluster].mark:
            return None
        followed = self.known[cluster]
        return f"{cluster}/{followed.timeline}", followed

    def sealing(self, lock: str) -> str:
        """The statement that takes the advisory lock of a placeholder, marks the timeline if there is no mark yet, and
        returns the position."""
        locked = f"pg_advisory_xact_lock({lock}::text::bigint)"
        if not self.tells:
            return f"SELECT NULL::text FROM {locked}"
        if self.standing != STANDING:
            return f"{self.standing} FROM {locked}"
        return f"SELECT s || '/' || gateway.marks(s, true) FROM {locked} AS l, gateway.standing() AS s"

    def see(self, standing: PrimaryPosition, since: Known, where: str = "", *, committed: bool = True) -> None:
        """Notes the position of a server. Connections to older timelines are closed.

        ``since`` is what was `known` before the server was asked. Unless ``committed``, its mark may be that of an open
        transaction.

        Raises:
            OutdatedServerError: A newer timeline was seen, or the server lacks changes of this one.
        """
        followed = self.known.get(standing.cluster)
        if followed is None or standing.timeline > followed.timeline:
            self._turn(followed, standing, where)
        elif (refusal := _refusal(followed, standing, since.get(standing.cluster))) is not None:
            self.refused[refusal.reason] += 1
            if (what := f"{where}: {refusal}" if where else str(refusal)) not in self._said:
                self._said.add(what)
                log.error("a server is not used: %s", what)
            raise refusal
        if committed:
            self._learn(standing, where)

    def where(self, connection: asyncpg.Connection) -> str:
        """The address that a connection was opened to; empty if unknown."""
        _, where = self._open.get(connection, (None, ""))
        return where

    def acknowledge(self, standing: PrimaryPosition, where: str = "") -> None:
        """Notes that a change was committed, by the position of its server before the commit."""
        followed = self.known.get(standing.cluster)
        if followed is not None and followed.timeline == standing.timeline:
            self._learn(standing, where)
            # a position that is known has the mark before it
            if standing.position > followed.position and (followed.mark or standing.marks is None):
                self._know(standing.cluster, position=standing.position)

    def _learn(self, standing: PrimaryPosition, where: str) -> None:
        """Learns a committed mark. Connections that were opened without one to another address are closed, if the
        address is known."""
        followed = self.known[standing.cluster]
        if where and where != followed.where:
            self._know(standing.cluster, where=where)
        if standing.marks is None:
            return
        anew = followed.marks is None or standing.marks.table != followed.marks.table
        if anew or (standing.mark and not followed.mark):
            self._know(standing.cluster, marks=standing.marks)
            for connection, (its, there) in list(self._open.items()):
                if where and standing.mark and _lacks(its, standing) and there != where:
                    connection.terminate()
        if not self.known[standing.cluster].mark:
            self.unmarked.set()

    def _know(self, cluster: str, **what: Any) -> None:
        self.known = {**self.known, cluster: replace(self.known[cluster], **what)}

    def _turn(self, before: Followed | None, standing: PrimaryPosition, where: str) -> None:
        """Follows a newer timeline."""
        if before is not None:
            self.failovers += 1
            self._said.clear()
            if _is_lost(before, standing):
                self.lossy_failovers += 1
                log.error(
                    "timeline %d has begun without the changes that were made on timeline %d at %s: they are lost",
                    standing.timeline,
                    before.timeline,
                    before.where or "another server",
                )
        self.known = {**self.known, standing.cluster: Followed(standing.timeline, where)}
        former = [
            connection
            for connection, (its, _) in list(self._open.items())
            if its.cluster == standing.cluster and its.timeline < standing.timeline and not connection.is_closed()
        ]
        if former:
            log.warning(
                "timeline %d was met: %d connections to the former primary are closed", standing.timeline, len(former)
            )
        for connection in former:
            connection.terminate()

    def abandon(self) -> None:
        """Closes all connections without waiting for their servers."""
        for connection in list(self._open):
            connection.terminate()

    async def admit(self, connection: asyncpg.Connection, where: str = "") -> None:
        """Reads the position of a new connection's server, which is at the address ``where``.

        Raises:
            OutdatedServerError: It is on an older timeline, or lacks changes of this one; the connection is closed.
            OSError, asyncpg.PostgresError: The connection was lost meanwhile.
        """
        try:
            since, standing = self.known, PrimaryPosition.of(await self._ask(connection))
            if standing is not None and self._is_late(standing, since):
                since, standing = self.known, PrimaryPosition.of(await self._ask(connection))
        except _NOT_TOLD as error:
            if self.tells is None:
                log.debug("the timeline of the database is unknown: %s", error)
            self.tells = False
            return
        if standing is None:
            return
        try:
            self.see(standing, since, where)
        except OutdatedServerError:
            connection.terminate()
            raise
        self._open[connection] = standing, where

    def _is_late(self, standing: PrimaryPosition, since: Known) -> bool:
        """Whether a mark was learned while a server was asked that says that there is none."""
        known = self.known.get(standing.cluster)
        return (
            known is not None
            and _differs(known, standing)
            and not standing.mark
            and known != since.get(standing.cluster)
        )

    async def _ask(self, connection: asyncpg.Connection) -> str | None:
        try:
            told: str | None = await connection.fetchval(STANDING)
            self.standing = STANDING
        except _NOT_TOLD:
            told = await connection.fetchval(_WITHOUT_MARKS)
            self.standing = _WITHOUT_MARKS
        self.tells = True
        return told


def _refusal(followed: Followed, standing: PrimaryPosition, since: Followed | None) -> OutdatedServerError | None:
    """Why a server that is not on a newer timeline is not used; ``since`` is what was known before it was asked."""
    if standing.timeline < followed.timeline:
        return OutdatedServerError(
            f"the server is on timeline {standing.timeline} of its cluster, and timeline {followed.timeline} was seen: "
            f"it was the primary before, and is not used. If the database was set back on purpose, restart the gateway"
        )
    known = since if since is not None and since.timeline == standing.timeline else None
    other = f"the server at {followed.where}" if followed.where else "another server"
    if _differs(followed, standing) and (standing.mark or (known is not None and known.mark)):
        return DivergedServerError(
            f"the server has a timeline {standing.timeline} of its own: {other} was followed on it, and changes that "
            f"were made there are missing here. Let the gateway reach that server again, or restart the gateway to "
            f"continue without them"
        )
    if known is not None and standing.position < known.position:
        return SetBackError(
            f"the server is in an earlier state of timeline {standing.timeline} than {other}: changes that were made "
            f"are missing. If the database was set back on purpose, restart the gateway"
        )
    return None


def _lacks(one: PrimaryPosition, other: PrimaryPosition) -> bool:
    """Whether a position of the same timeline has no mark."""
    return (one.cluster, one.timeline, one.mark) == (other.cluster, other.timeline, "")


def _differs(followed: Followed, standing: PrimaryPosition) -> bool:
    """Whether a server has not the known mark of its timeline."""
    if standing.marks is None or followed.marks is None or standing.marks.table != followed.marks.table:
        return False
    return bool(followed.mark) and standing.mark != followed.mark


def _is_lost(before: Followed, standing: PrimaryPosition) -> bool:
    """Whether a newer timeline has begun without the mark of the last one."""
    if standing.marks is None or before.marks is None or standing.marks.table != before.marks.table or not before.mark:
        return False
    ids = standing.marks.ids
    if before.timeline in ids:
        return ids[before.timeline] != before.mark
    return len(ids) < MARKS or min(ids) < before.timeline  # else there may be more of later ones
