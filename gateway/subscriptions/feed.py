"""The feed: one listening connection per process, shared by all subscribers.

Notifications only announce that there may be new entries, which are read from the log itself; so a lost connection
loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import asyncpg

from db.base.markers import LiveTopic
from db.engine.connector import Connector
from db.engine.errors import (
    DatabaseUnavailableError,
    DivergedError,
    MissingObjectError,
    NotPermittedError,
    translate,
)
from db.store import changelog
from db.store.alerts import AlertsLook
from db.store.changelog import Entry, LogEntries, LogPosition
from gateway.settings import Settings
from gateway.subscriptions.wake_event import WakeEvent
from schema.error_codes import ErrorCode
from schema.errors import GatewayError

log = logging.getLogger("gateway.live")

T = TypeVar("T")

KEPT = 5_000
"""Entries that are kept in memory; subscribers further behind read the log."""
KEPT_BATCHES = 1_000
MOST_AT_ONCE = 2_000
"""New entries that are read into memory; if there are more, each subscriber reads the log."""
FIRST_DELAY, LAST_DELAY = 0.1, 10.0
"""Seconds between two attempts to connect: the first, and the longest."""
TIMEOUT = 3.0
"""Seconds for which a new subscriber waits for a lost connection."""
LOOK_PAUSE = 0.01
"""Seconds between two steps of an unfinished look for alerts, in which other statements run."""

_LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Errors of a statement whose connection was lost; the last one if it was lost between two of its protocol steps."""
_ENDED = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""Errors of statements after which the connection is replaced."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries that were read together, those not visible in ``since``; None if there are too many to keep."""

    since: str
    until: LogPosition
    entries: Sequence[Entry] | None


@dataclass(frozen=True, slots=True)
class HistoryChange:
    """The database has another history: a standby was promoted, or a backup restored.

    ``lost`` are the kept entries that it lacks, by the number of their batch; None if that cannot be determined. Of
    batch ``survived`` at least one entry exists, and of no later one; -1: of none that was kept.
    """

    lost: Sequence[tuple[int, Entry]] | None = None
    survived: int = -1


class ChangeFeed:
    """Reads new entries of the live log."""

    def __init__(self, connector: Connector, settings: Settings) -> None:
        self.subscribers = 0
        self.alert_subscribers = 0
        self.reads = 0
        """How often the log was read."""
        self.connections = 0
        """How often a connection was made that the log could be read on."""
        self.turns: list[HistoryChange] = []
        """How often the database had another history."""
        self.written = 0
        """Everything read is before this position of the primary's log, in bytes."""
        self.alerts_failure: Exception | None = None
        """Why alerts cannot be followed, if they cannot."""
        self._connector = connector
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()
        """Serializes statements on the connection."""
        self._heard = asyncio.Event()
        self._alerts_heard = True
        self._look = AlertsLook()
        self._looks_wanted = self._looks_reached = 0
        self._state = WakeEvent()
        """Notified when the connection has changed, or when a read has finished."""
        self._more = WakeEvent()
        """Notified when there is a new batch."""
        self._wanted = self._reached = 0
        self._failure: Exception | None = None
        self._place: LogPosition | None = None
        self._batches: deque[Batch] = deque()
        self._first = 0
        """The number of the first batch in memory."""
        self._size = 0

    @property
    def listens(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    @property
    def place(self) -> LogPosition:
        """The position up to which the log has been read."""
        assert self._place is not None  # noqa: S101 - no one follows before the first read
        return self._place

    @property
    def next(self) -> int:
        """The number of the next batch."""
        return self._first + len(self._batches)

    async def close(self) -> None:
        """Ends the feed, at the end of the process."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    # -- for those who follow --------------------------------------------------------------------------------------

    async def now(self, *, alerts: bool) -> LogPosition:
        """A position after the call: it precedes everything committed from now on.

        Raises:
            DatabaseUnavailableError: There is no connection.
            GatewayError: ``SUBSCRIPTIONS_UNAVAILABLE``: the log, or the table of alerts, is missing or not readable.
        """
        self._alerts_heard |= alerts  # earlier changes of alerts are logged first
        self._failure = None
        self._wanted += 1
        self._looks_wanted += alerts
        ticket, look = self._wanted, self._looks_wanted if alerts else 0
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        self._heard.set()
        deadline = time.monotonic() + TIMEOUT
        while self._reached < ticket or self._looks_reached < look:
            self._give_up(deadline)
            await self._state.wait(TIMEOUT)
        if alerts and self.alerts_failure is not None:
            raise self.alerts_failure
        return self.place

    def _give_up(self, deadline: float) -> None:
        """Raises why there is no connection, if a retry is useless or the deadline has passed."""
        failure = self._failure
        if failure is not None and (isinstance(failure, GatewayError) or time.monotonic() >= deadline):
            raise failure

    def batch(self, number: int) -> Batch | None:
        """A batch by its number; None if it is no longer in memory."""
        place = number - self._first
        return self._batches[place] if 0 <= place < len(self._batches) else None

    async def more(self, seconds: float) -> None:
        """Waits for a new batch, at most ``seconds``."""
        await self._more.wait(seconds)

    async def turned(self, seen: int) -> None:
        """Waits until there are more than ``seen`` changes of history; another task has detected one."""
        while len(self.turns) == seen:
            self._heard.set()
            await self.more(FIRST_DELAY)

    async def carried_over(self, place: LogPosition) -> LogPosition:
        """The same position in the current history."""
        return await self.read(partial(changelog.carried_over, place=place, history=self.place.history))

    async def read(self, run: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Reads on the connection; if it is lost, again on the next one.

        Raises:
            asyncpg.DataError: A value has another type.
        """
        while True:
            connection = self._connection
            if connection is None:
                await self._state.wait()
                continue
            reading = asyncio.ensure_future(self._in_turn(run, connection))
            reading.add_done_callback(_forget)
            try:
                return await asyncio.shield(reading)  # others need the connection
            except asyncpg.DataError:
                raise
            except _LOST as error:
                log.info("a reading of the live log is tried again: %s", error or type(error).__name__)
                self._heard.set()
                await asyncio.sleep(FIRST_DELAY)

    async def _in_turn(self, run: Callable[[asyncpg.Connection], Awaitable[T]], connection: asyncpg.Connection) -> T:
        async with self._turn:
            return await run(connection)

    # -- the connection --------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Listens while there are subscribers. A lost connection is replaced, and missed entries are read."""
        delay = 0.0
        while True:
            connections = self.connections
            try:
                async with self._listening() as connection:
                    await self._read_on(connection)
            except _LOST as error:
                meaning = translate(error)
                log.warning("the live connection is lost: %s", str(meaning) or type(error).__name__)
                self._fail(_public(meaning))
            except Exception as error:
                log.exception("the feed has failed, and begins again")
                self._fail(error)
            if not self.subscribers:
                return
            if self.connections > connections:
                delay = 0.0
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - not all at once
            delay = min(max(delay * 2, FIRST_DELAY), LAST_DELAY)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[asyncpg.Connection]:
        direct = self._settings.prepared_statements or self._settings.listen_url is not None
        connection = await changelog.connect(self._connector, prepared_statements=direct)
        try:
            connection.add_termination_listener(lambda _connection: self._heard.set())
            if direct:  # a pooler would not keep the registration
                await connection.add_listener(changelog.CHANNEL, self._hear)
            yield connection
        finally:
            self._connection, self._look = None, AlertsLook()
            connection.terminate()

    def _hear(self, _connection: Any, _process: int, _channel: str, payload: str) -> None:
        self._alerts_heard |= payload == LiveTopic.ALERTS
        self._heard.set()

    async def _read_on(self, connection: asyncpg.Connection) -> None:
        anew = self._place is None or not await changelog.is_past(connection, self._place)
        looked = float("-inf")
        while True:
            self._heard.clear()
            wanted, looks, moment = self._wanted, self._looks_wanted, time.monotonic()
            due = self._alerts_heard or self._look.unfinished or moment - looked >= self._settings.live_poll
            async with self._turn:
                if self.alert_subscribers and due:
                    self._alerts_heard, looked = False, moment
                    self.alerts_failure = await look_for_alerts(connection, self._settings, self._look)
                await self._read_new(connection, anew=anew)
            anew = False
            if self._look.remembering and self.alerts_failure is None:
                looks = self._looks_reached  # alerts are not sent before
            if self._connection is None or wanted != self._reached or looks != self._looks_reached:
                self.connections += self._connection is None
                self._connection, self._reached, self._looks_reached = connection, wanted, looks
                self._state.notify()
            await _either(self._heard, LOOK_PAUSE if self._look.unfinished else self._settings.live_poll)

    async def _read_new(self, connection: asyncpg.Connection, *, anew: bool) -> None:
        """Reads new entries; ``anew`` if what was read before is not part of this database's history."""
        self.reads += 1
        before = None if anew else self._place
        if before is None:
            reading = await changelog.now(connection)
            if self._place is not None:
                self._sever()
        else:
            reading = await changelog.read_new(connection, before.seen, MOST_AT_ONCE)
            if reading.place.history != before.history:
                before, reading = await self._turn_over(connection, before, reading)
        self._place = reading.place
        self.written = reading.written or 0
        if before is None or (reading.entries is not None and not reading.entries):
            return
        self._batches.append(Batch(before.seen, self._place, reading.entries))
        self._size += len(reading.entries or ())
        while self._size > KEPT or len(self._batches) > KEPT_BATCHES:
            self._size -= len(self._batches.popleft().entries or ())
            self._first += 1
        self._more.notify()
        if any(entry.facts.get("type") == changelog.ALERT.__name__ for entry in reading.entries or ()):
            self._alerts_heard = True  # if the table of alerts sends no notifications
            self._heard.set()

    async def _turn_over(
        self, connection: asyncpg.Connection, before: LogPosition, reading: LogEntries
    ) -> tuple[LogPosition | None, LogEntries]:
        """Reads in another history, and determines which entries of the last one it lacks.

        An entry of the last commits that exists shows that all earlier commits do.
        """
        history = reading.place.history
        if before.history and not history:
            raise ConnectionError("the server does not report its history; it may be a standby")
        if not before.history or before.origin[0] != reading.place.origin[0] or before.origin > reading.place.origin:
            reading = await changelog.now(connection)
            self._sever()
            return None, reading
        kept = [
            (number, entry)
            for number, batch in enumerate(self._batches, self._first)
            for entry in batch.entries or ()
            if entry.seconds > reading.place.seconds - self._settings.live_hours * 3600  # older ones may be deleted
        ]
        lost = {entry.position for entry in await changelog.lost(connection, [entry for _, entry in kept])}
        before = await changelog.carried_over(connection, before, history)
        reading = await changelog.read_new(connection, before.seen, MOST_AT_ONCE)
        survived = max((number for number, entry in kept if entry.position not in lost), default=-1)
        self._tell(HistoryChange([(number, entry) for number, entry in kept if entry.position in lost], survived))
        log.warning("another server has taken over the database", extra={"history": history, "lost": len(lost)})
        return before, reading

    def _sever(self) -> None:
        log.error("the database is another one, or an older state of it; subscribers receive HISTORY_CHANGED")
        self._tell(HistoryChange())

    def _tell(self, turn: HistoryChange) -> None:
        self.turns.append(turn)
        self._look = AlertsLook()
        self._first = self.next + 1  # a number that no subscriber has: all read the log
        self._batches.clear()
        self._size = 0
        self._more.notify()

    def _fail(self, failure: Exception) -> None:
        self._failure = failure
        self._state.notify()


async def look_for_alerts(connection: asyncpg.Connection, settings: Settings, look: AlertsLook) -> Exception | None:
    """Logs alerts that have changed since the last look, or a part of them; returns why they cannot be followed, if so.

    No failure here keeps other entries from being read on the connection.
    """
    try:
        if settings.rls and await changelog.hides_alerts(connection):
            look.failed()
            return GatewayError(ErrorCode.SUBSCRIPTIONS_UNAVAILABLE, _HIDDEN)
        await look.step(connection)
    except asyncpg.PostgresError as error:
        if connection.is_closed() or isinstance(error, _ENDED):
            raise
        look.failed()
        log.warning("alerts cannot be followed at the moment: %s", error)
        return _public(translate(error))
    return None


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Waits for an event, at most ``seconds``."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _forget(reading: asyncio.Future[Any]) -> None:
    """Retrieves the error of an abandoned read."""
    if not reading.cancelled():
        reading.exception()


_HIDDEN = (
    "The subscription `alerts` is not available: row level security hides alerts from the role that looks for new "
    "ones. The operator sets a role with BYPASSRLS in GATEWAY_LISTEN_URL; callers still receive only what their own "
    "policies show."
)


def _public(meaning: Exception) -> Exception:
    """The error for a new subscriber when the connection cannot be used."""
    if isinstance(meaning, DivergedError):
        return meaning
    if not isinstance(meaning, MissingObjectError | NotPermittedError | asyncpg.ReadOnlySQLTransactionError):
        return DatabaseUnavailableError(str(meaning))
    return GatewayError(ErrorCode.SUBSCRIPTIONS_UNAVAILABLE)
