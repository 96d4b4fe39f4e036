"""Following the feed from now or from a cursor, from memory or from the log, in commit order.

A subscriber holds a position, not a queue. A slow one falls behind and reads the log page by page, without affecting
others.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial

import asyncpg

from db.base.markers import LiveTopic
from db.store import changelog
from db.store.changelog import Entry, LogPosition
from gateway.subscriptions.feed import Batch, ChangeFeed
from schema import subscriptions
from schema.error_codes import ErrorCode
from schema.errors import GatewayError
from schema.subscriptions import Matches

MOST_BATCHES = 32
"""Batches that a subscriber who is behind receives together, a power of two."""
CHECKPOINT_SECONDS = 900.0
"""Quiet seconds after which a new position is sent, so that a cursor does not expire."""

Told = tuple[Entry | None, LogPosition]
"""A change and the position after it; without a change it only reports progress."""


@asynccontextmanager
async def following(
    feed: ChangeFeed, topic: str, after: str | None, matches: Matches, hours: float
) -> AsyncIterator[AsyncGenerator[Sequence[Told]]]:
    """A subscription that is valid, to changes of a topic; ``after`` may be up to ``hours`` hours old.

    Its changes are in lists that are never empty.

    Raises:
        GatewayError: ``INVALID_CURSOR``, ``CURSOR_EXPIRED``, or ``SUBSCRIPTIONS_UNAVAILABLE``; ``HISTORY_CHANGED``, at
            any time, when the database may lack what was sent before.
        DatabaseUnavailableError: There is no connection at the start; later losses are bridged.
    """
    place = None if after is None else _resumed(after, hours)
    alerts = topic == LiveTopic.ALERTS
    feed.subscribers += 1
    feed.alert_subscribers += alerts
    try:
        now = await feed.now(alerts=alerts)
        number = feed.next if place is None else -1
        stream = _Stream(feed, topic, matches, place or now, number)  # detects failovers from here on
        if place is not None:
            await _check(feed, place)
        async with aclosing(stream.told(begins=place is None)) as told:
            yield told
    finally:
        feed.subscribers -= 1
        feed.alert_subscribers -= alerts


def _resumed(after: str, hours: float) -> LogPosition:
    place = subscriptions.decode(after)
    if time.time() - place.seconds > hours * 3600:
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(place.seconds))
        raise GatewayError(
            ErrorCode.CURSOR_EXPIRED,
            f"after: the cursor is of {when}, and changes can be resumed for {hours:g} hours. Subscribe without "
            f"`after`, and read from the graph what happened since then: lifecycleEvents(where: {{occurredAt: {{gte: "
            f'"{when}"}}}}) has every recorded change, monitoringAlerts has the alerts.',
            argument="after",
            limit=hours,
        )
    return place


async def _check(feed: ChangeFeed, place: LogPosition) -> None:
    """Checks that a position was given by this database, and is part of its history.

    Raises:
        GatewayError: ``INVALID_CURSOR``, or ``HISTORY_CHANGED``: the position is ahead of this database, or of another
            one, as after a restore from a backup: what was sent before may be lost.
    """
    now = feed.place
    try:
        past = await feed.read(partial(changelog.is_past, place=place))
    except asyncpg.DataError:
        raise subscriptions.invalid() from None
    if not past or place.origin[0] != now.origin[0]:
        raise subscriptions.superseded(None, argument="after")
    if place.history != now.history:
        later = place.origin < now.origin
        raise subscriptions.superseded(await feed.carried_over(place) if later else None, argument="after")


class _Stream:
    """The position of one subscriber, and its next entries."""

    def __init__(self, feed: ChangeFeed, topic: str, matches: Matches, place: LogPosition, number: int) -> None:
        self._feed = feed
        self._place = place
        self._number = number
        """The number of the batch after the position; if it is not in memory, the log is read."""
        self._last: int | None = None
        """The last change sent is of the batch with this number, or of an earlier one."""
        self._turned = len(feed.turns)
        self._topic = topic
        self._matches = matches

    async def told(self, *, begins: bool) -> AsyncGenerator[Sequence[Told]]:
        """The changes, without end; one that ``begins`` tells its position first."""
        if begins:
            yield [(None, self._place)]
        told_at = time.monotonic()
        while True:
            some = await self._next()
            if some is None:
                self._number = self._feed.next
                async for page in self._logged(self._feed.place):
                    yield page
                    told_at, self._last = time.monotonic(), self._number
            elif some:
                yield some
                told_at = time.monotonic()
            if time.monotonic() - told_at >= CHECKPOINT_SECONDS:
                yield [(None, self._place)]
                told_at = time.monotonic()

    async def _next(self) -> Sequence[Told] | None:
        """One step: the next entries in memory, or a wait; None if the next entries are in the log alone."""
        feed = self._feed
        if len(feed.turns) > self._turned:
            await self._carry_over()
        elif self._number == feed.next:
            await feed.more(CHECKPOINT_SECONDS)
            if self._number == feed.next:
                self._place = feed.place
        elif batches := self._at_hand():
            self._number += len(batches)
            self._place = batches[-1].until
            if told := [one for batch in batches for one in self._of(batch, batch.entries or ())]:
                self._last = self._number - 1
            return told
        else:
            return None
        return ()

    def _at_hand(self) -> Sequence[Batch]:
        """The next batches that are in memory with their entries; several if the subscriber is behind.

        Their number is a power of two that divides the number of the first. All who are behind then receive the same
        changes together: they are read and encoded once, whoever is how far behind.
        """
        first, count = self._number, 1
        while first % (2 * count) == 0 and first + 2 * count <= self._feed.next and 2 * count <= MOST_BATCHES:
            count *= 2
        found = []
        for number in range(first, first + count):
            batch = self._feed.batch(number)
            if batch is None or batch.entries is None:
                break
            found.append(batch)
        return found

    async def _carry_over(self) -> None:
        """Continues from the same position in another history of the database.

        Raises:
            GatewayError: ``HISTORY_CHANGED``: changes that were sent are lost, or may be.
        """
        turns, self._turned = self._feed.turns[self._turned :], len(self._feed.turns)
        if any(turn.lost is None for turn in turns):
            raise subscriptions.superseded(None)
        lost = [entry for turn in turns for number, entry in turn.lost or () if number < self._number]
        last = self._last
        self._place = await self._feed.carried_over(self._place)
        self._number = -1
        if any(map(self._concerns, lost)) or (last is not None and any(turn.survived < last for turn in turns)):
            raise subscriptions.superseded(self._place)

    def _concerns(self, entry: Entry) -> bool:
        return entry.topic == self._topic and self._matches(entry.facts)

    def _of(self, batch: Batch, entries: Sequence[Entry]) -> list[Told]:
        """The matching changes with their positions; after the last entry it is the batch's own."""
        last = len(entries) - 1
        return [
            (entry, batch.until if n == last else _within(batch.until, entry, batch.since, batch.until.seen))
            for n, entry in enumerate(entries)
            if self._concerns(entry)
        ]

    async def _logged(self, until: LogPosition) -> AsyncGenerator[Sequence[Told]]:
        """The changes up to another position, page by page from the log, unless the history changes."""
        place = self._place
        stages = [(place.seen, place.ahead, place.position)] if place.ahead is not None else []
        stages.append((place.ahead or place.seen, until.seen, 0))
        for seen, ahead, position in stages:
            reached, full = position, True
            while full:
                between = {"topic": self._topic, "history": until.history, "seen": seen, "until": ahead}
                page = await self._feed.read(partial(changelog.read_between, behind=reached, **between))
                if page is None:
                    await self._feed.turned(self._turned)
                    return
                if told := [(one, _within(until, one, seen, ahead)) for one in page if self._matches(one.facts)]:
                    yield told
                full = len(page) == changelog.PAGE
                if full:
                    reached = page[-1].position
                    self._place = _within(until, page[-1], seen, ahead)
        self._place = until


def _within(until: LogPosition, entry: Entry, seen: str, ahead: str) -> LogPosition:
    """The position after an entry, on the way to another position."""
    return LogPosition(entry.seconds, until.history, seen, ahead, entry.position)
