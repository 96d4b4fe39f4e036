"""The process that sends webhooks: takes the lease, turns the live log into messages, and delivers them.

Each receiver has a task and connections of its own, so that a slow receiver does not delay others.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import socket
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy.ext.asyncio import AsyncEngine

from db.base.markers import LiveTopic
from db.engine.connector import Connector
from db.engine.errors import DatabaseError, translate, translated
from db.store import changelog, webhook_queue
from db.store.alerts import AlertsLook
from db.store.changelog import Entry, LogEntries, LogPosition
from db.store.webhook_queue import Claim, Failed, LeaseLostError
from db.store.webhooks import WebhookError
from gateway.openlineage.events import EventWriter
from gateway.settings import Settings
from gateway.subscriptions.feed import LOOK_PAUSE, look_for_alerts
from gateway.webhooks.attempts import Attempted, send
from gateway.webhooks.messages import KINDS, Receiver, matcher, told
from schema.catalogue.from_models import catalogue

log = logging.getLogger("gateway.webhooks")

LOOK_SECONDS = 2.0
"""Seconds between two attempts to take or renew the lease."""
IDLE_SECONDS = 1.0
"""Seconds between two looks for due messages."""
MOST_AT_ONCE = 2_000
"""Entries that are read into memory at once."""
MOST_DUE = 500
"""Messages of a receiver that are read at once; a look scans all its waiting rows."""
LOOKING = 0.05
"""The largest part of the time spent on looks that are long and find little, as while a receiver is down."""
LONGEST_DELAY = 3600.0
GRACE_SECONDS = 2.0
"""Seconds for which running attempts may continue when the process ends, and then for giving the lease back."""
CLAIM_MARGIN = 10.0
"""Seconds beyond an attempt's timeout for which its message stays claimed."""
_PRUNE_SECONDS = 3600.0
_KEPT_SECONDS = 60
"""Quiet seconds after which the position is stored anyway, so that little is read twice."""

_LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@dataclass
class _DueMessages:
    """Due messages of a receiver, and when to look again."""

    ids: deque[str] = field(default_factory=deque)
    claiming: Sequence[str] = ()
    """Those that are being claimed, or were when that was interrupted."""
    look_at: float = float("-inf")


@dataclass
class _ReceiverTask:
    """The task of a receiver, and the event that wakes it."""

    task: asyncio.Task[None]
    heard: asyncio.Event


@dataclass
class _SenderState:
    """The state of a process while it sends."""

    connection: asyncpg.Connection
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Serializes statements on the connection."""
    lanes: dict[str, _ReceiverTask] = field(default_factory=dict)
    look: AlertsLook = field(default_factory=AlertsLook)
    looked_at: float = float("-inf")
    pruned_at: float = float("-inf")
    known: bool = False
    """Whether the stored position was found in this database's history."""


class WebhookSender:
    """Sends webhooks while no other process of this database's gateways does."""

    def __init__(self, connector: Connector, writer: AsyncEngine, settings: Settings) -> None:
        self.sends = False
        """Whether this process sends."""
        self.outcomes: Counter[str] = Counter()
        self.waiting, self.oldest = 0, 0.0
        self._connector = connector
        self._writer = writer
        self._settings = settings
        self._holder = f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._events = EventWriter(settings.known_url, settings.openlineage_namespace)
        self._heard = asyncio.Event()
        self._alerts_heard = False
        self._no_alerts = ""
        """Why alerts cannot be followed, as logged last; empty while they can."""
        self._may_hold = False
        """Whether this process may hold the lease: from before it is taken until it is given back."""
        self._refused: set[str] = set()
        """Receivers with invalid filters, which were logged."""

    def metrics(self) -> Iterable[Metric]:
        """The metrics for a scrape."""
        attempts = CounterMetricFamily(
            "e2i_webhook_attempts",
            "Attempts to deliver a webhook: taken, failed, or dead for the last one of a message.",
            labels=["outcome"],
        )
        for outcome in ("taken", "failed", "dead"):
            attempts.add_metric([outcome], self.outcomes[outcome])
        yield attempts
        yield GaugeMetricFamily("e2i_webhook_sender", "Whether it is this process that sends.", value=float(self.sends))
        yield GaugeMetricFamily(
            "e2i_webhook_waiting", "Messages that wait to be taken, up to 100,000, where it sends.", value=self.waiting
        )
        yield GaugeMetricFamily(
            "e2i_webhook_oldest_seconds", "Age of the oldest message that waits, where it sends.", value=self.oldest
        )

    async def run(self) -> None:
        """Sends while it holds the lease, and waits for it otherwise; without end."""
        failed = False
        while True:
            try:
                if await self._take():
                    log.info("this process sends webhooks now")
                    await self._send()
                failed = False
            except LeaseLostError:
                log.warning("another process sends webhooks now")
            except (DatabaseError, *_LOST) as error:
                level = logging.DEBUG if failed else logging.WARNING
                log.log(level, "webhooks cannot be sent: %s", str(translate(error)) or type(error).__name__)
                failed = True
            except Exception:
                log.exception("sending webhooks has failed, and begins again")
            finally:
                if self._may_hold:
                    with suppress(DatabaseError, *_LOST):
                        async with asyncio.timeout(GRACE_SECONDS):
                            await self._leave()
            await asyncio.sleep(LOOK_SECONDS * random.uniform(0.6, 1.0))  # noqa: S311 - not all at once

    async def _take(self) -> bool:
        self._may_hold = True  # also where the answer does not arrive
        with translated():
            async with self._writer.begin() as connection:
                taken = (await connection.exec_driver_sql(webhook_queue.TAKE_LEASE, (self._holder,))).first()
        self._may_hold = taken is not None
        return self._may_hold

    async def _leave(self) -> None:
        """Gives the lease back by a connection of the pool, where none of its own could."""
        with translated():
            async with self._writer.begin() as connection:
                await connection.exec_driver_sql(webhook_queue.LEAVE, (self._holder,))
        self._may_hold = False

    async def _send(self) -> None:
        """Sends until another process does, or there are no receivers."""
        async with self._listening() as connection:
            held = _SenderState(connection)
            self.sends = True
            try:
                while await self._step(held):
                    pause = LOOK_PAUSE if held.look.unfinished else min(self._settings.live_poll, LOOK_SECONDS)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._heard.wait()
            finally:
                self.sends, self.waiting, self.oldest = False, 0, 0.0
                for lane in held.lanes.values():
                    lane.task.cancel()
                await asyncio.gather(*(lane.task for lane in held.lanes.values()), return_exceptions=True)
                with suppress(*_LOST):
                    async with asyncio.timeout(GRACE_SECONDS):
                        await connection.execute(webhook_queue.LEAVE, self._holder)
                        self._may_hold = False

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[asyncpg.Connection]:
        direct = self._settings.prepared_statements or self._settings.listen_url is not None
        connection = await changelog.connect(self._connector, prepared_statements=direct)
        try:
            if direct:  # a pooler would not keep the registration
                await connection.add_listener(changelog.CHANNEL, self._hear)
            yield connection
        finally:
            connection.terminate()

    def _hear(self, _connection: Any, _process: int, _channel: str, payload: str) -> None:
        self._alerts_heard |= payload == LiveTopic.ALERTS
        self._heard.set()

    async def _step(self, held: _SenderState) -> bool:
        """Reads new entries, and supervises the tasks of receivers; False once this process no longer holds the
        lease."""
        self._heard.clear()
        async with held.turn:
            if not await webhook_queue.extend(held.connection, self._holder):
                return False
            receivers = await self._receivers(held.connection)
            await self._look_for_alerts(held, receivers)
            await self._read_on(held, receivers)
            self.waiting, self.oldest = await webhook_queue.waiting(held.connection)
            if time.monotonic() - held.pruned_at >= _PRUNE_SECONDS:
                held.pruned_at = time.monotonic()
                if bygone := await webhook_queue.prune(held.connection, self._settings.webhook_dead_days * 86400.0):
                    self.outcomes["dead"] += bygone
                    log.warning("%d messages of webhooks that are paused are given up", bygone)
        for name in held.lanes.keys() - {one.name for one in receivers}:
            held.lanes.pop(name).task.cancel()
        for one in receivers:
            lane = held.lanes.get(one.name)
            if lane is None:
                heard = asyncio.Event()
                task = asyncio.create_task(self._deliver(held, one.name, heard))
                task.add_done_callback(lambda _task: self._heard.set())
                held.lanes[one.name] = _ReceiverTask(task, heard)
            elif lane.task.done():
                lane.task.result()  # raises the error that ended it
            else:
                lane.heard.set()
        return True

    async def _receivers(self, connection: asyncpg.Connection) -> list[Receiver]:
        found = []
        for name, topic, format_, filters, since in await webhook_queue.endpoints(connection):
            try:
                matches = matcher(catalogue(), topic, filters)
            except WebhookError as error:
                if name not in self._refused:
                    log.error("the webhook %s is told nothing: %s", name, error)  # noqa: TRY400 - the receiver's error
                self._refused.add(name)
                continue
            found.append(Receiver(name, topic, format_, matches, since))
        return found

    # -- from the log to messages ----------------------------------------------------------------------------------

    async def _look_for_alerts(self, held: _SenderState, receivers: Sequence[Receiver]) -> None:
        moment = time.monotonic()
        if all(one.topic != LiveTopic.ALERTS for one in receivers):
            return
        if self._alerts_heard or held.look.unfinished or moment - held.looked_at >= self._settings.live_poll:
            self._alerts_heard, held.looked_at = False, moment
            failure = await look_for_alerts(held.connection, self._settings, held.look)
            why = "" if failure is None else str(failure)
            if why and why != self._no_alerts:
                log.error("webhooks are told of no alerts: %s", why)
            self._no_alerts = why

    async def _read_on(self, held: _SenderState, receivers: Sequence[Receiver]) -> None:
        """Writes the messages of new entries, in the transaction that stores the new position."""
        connection = held.connection
        async with connection.transaction(isolation="read_committed"):
            place, reading = await self._new(held, await webhook_queue.place_of(connection, self._holder))
            if place is None:
                await webhook_queue.keep_place(connection, reading.place)
                return
            some = False
            async for entries in _pages(connection, place, reading):
                some = True
                if messages := list(told(entries, receivers, self._events)):
                    await webhook_queue.write(connection, messages, self._settings.webhook_retry_hours * 3600.0)
            if some or reading.place.history != place.history or reading.place.seconds > place.seconds + _KEPT_SECONDS:
                await webhook_queue.keep_place(connection, reading.place)

    async def _new(self, held: _SenderState, place: LogPosition | None) -> tuple[LogPosition | None, LogEntries]:
        """The entries after a position, and the position in the current history; None if the history cannot be
        compared."""
        connection = held.connection
        if place is None:
            return None, await changelog.now(connection)
        reading = await changelog.read_new(connection, place.seen, MOST_AT_ONCE)
        now = reading.place
        if now.history != place.history:
            if not (place.history and now.history) or place.origin[0] != now.origin[0] or place.origin > now.origin:
                return await self._anew(connection)
            place = await changelog.carried_over(connection, place, now.history)
            reading = await changelog.read_new(connection, place.seen, MOST_AT_ONCE)
        elif not held.known and not await changelog.is_past(connection, place):
            return await self._anew(connection)
        held.known = True
        if now.seconds - place.seconds > self._settings.live_hours * 3600:
            log.error("no gateway sent webhooks for longer than GATEWAY_LIVE_HOURS: older changes are not told")
        return place, reading

    async def _anew(self, connection: asyncpg.Connection) -> tuple[None, LogEntries]:
        log.error("the database is another one, or an older state of it: webhooks tell of it from now on")
        return None, await changelog.now(connection)

    # -- from messages to receivers ----------------------------------------------------------------------------------

    async def _deliver(self, held: _SenderState, name: str, heard: asyncio.Event) -> None:
        """Sends a receiver its messages, those of one row in sequence, several rows at once."""
        settings = self._settings
        under_way: dict[asyncio.Task[Attempted], Claim] = {}
        due = _DueMessages()
        try:
            while True:
                heard.clear()
                if free := settings.webhook_connections - len(under_way):
                    async with held.turn:
                        claims = await self._claim(held.connection, name, free, due)
                    for claim in claims:
                        under_way[asyncio.create_task(self._attempt(claim))] = claim
                if under_way:
                    await asyncio.wait(under_way, timeout=IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                    await self._note(held, name, under_way)
                else:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(IDLE_SECONDS):
                            await heard.wait()
        finally:
            if under_way:
                await asyncio.wait(under_way, timeout=GRACE_SECONDS)
                with suppress(*_LOST):
                    await self._note(held, name, under_way)
                for task in under_way:
                    task.cancel()
                await asyncio.gather(*under_way, return_exceptions=True)
            if cut := [*due.claiming, *(claim.id for claim in under_way.values())]:
                with suppress(*_LOST):
                    async with held.turn:
                        await webhook_queue.give_back(held.connection, cut, self._holder)

    async def _claim(self, connection: asyncpg.Connection, name: str, most: int, due: _DueMessages) -> list[Claim]:
        """The next messages of a receiver, the longest due first."""
        if not due.ids and (began := time.monotonic()) >= due.look_at:
            due.ids.extend(await webhook_queue.due(connection, name, MOST_DUE))
            if len(due.ids) < most:
                now = time.monotonic()
                due.look_at = now + max(0.0, (now - began) / LOOKING - IDLE_SECONDS)
        due.claiming = [due.ids.popleft() for _ in range(min(most, len(due.ids)))]
        seconds = self._settings.webhook_timeout + CLAIM_MARGIN
        claims = await webhook_queue.claim(connection, due.claiming, seconds) if due.claiming else []
        due.claiming = ()
        return claims

    async def _attempt(self, claim: Claim) -> Attempted:
        settings = self._settings
        try:
            return await send(
                claim.url, claim.id, claim.body, claim.secrets, settings.webhook_timeout,
                private=settings.webhook_private,
            )  # fmt: skip
        except Exception as error:
            log.exception("an attempt to send a webhook has failed", extra={"webhook": claim.endpoint})
            return Attempted(f"the gateway failed: {type(error).__name__}")

    async def _note(self, held: _SenderState, name: str, under_way: dict[asyncio.Task[Attempted], Claim]) -> None:
        """Records the results of finished attempts."""
        taken, failed, gone = [], [], False
        for task in [task for task in under_way if task.done()]:
            claim, outcome = under_way.pop(task), task.result()
            if not outcome.failure:
                taken.append(claim.id)
                continue
            gone |= outcome.gone
            delay = max(self._delay(claim.attempts), min(outcome.retry_after, LONGEST_DELAY))
            failed.append(Failed(claim.id, claim.attempts, outcome.failure, delay))
            about = {"webhook": name, "delivery": claim.id, "attempt": claim.attempts}
            log.info("a webhook was not taken: %s", outcome.failure, extra=about)
        async with held.turn:
            if taken:
                await webhook_queue.taken(held.connection, taken)
            dead = await webhook_queue.fail(held.connection, failed) if failed else 0
            if gone:
                await webhook_queue.pause_gone(held.connection, name)
        if dead:
            log.warning("%d messages of a webhook are given up", dead, extra={"webhook": name})
        if gone:
            log.warning("a webhook is paused: its receiver answered 410 Gone", extra={"webhook": name})
        self.outcomes.update(taken=len(taken), failed=len(failed) - dead, dead=dead)

    def _delay(self, attempts: int) -> float:
        """Seconds until the next attempt: doubled each time."""
        doubled = self._settings.webhook_retry_seconds * 2.0 ** min(attempts - 1, 30)
        return min(doubled, LONGEST_DELAY) * random.uniform(0.8, 1.2)  # noqa: S311 - not all at once


async def _pages(
    connection: asyncpg.Connection, place: LogPosition, reading: LogEntries
) -> AsyncIterator[Sequence[Entry]]:
    """The entries of a reading; page by page if there were too many to read at once."""
    if reading.entries is not None:
        if reading.entries:
            yield reading.entries
        return
    until = reading.place
    for topic in KINDS:
        behind, full = 0, True
        while full:
            page = await changelog.read_between(connection, topic, until.history, place.seen, until.seen, behind)
            if page:
                yield page
                behind = page[-1].position
            full = page is not None and len(page) == changelog.PAGE
