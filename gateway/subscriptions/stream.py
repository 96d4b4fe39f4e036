"""Following the feed from now or from a cursor, from memory or from the log, in the order of changes.

A subscriber holds a position, not a queue. A slow reader falls behind and reads what it missed from the log page by
page, without affecting others.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
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

CHECKPOINT_SECONDS = 900.0
"""Quiet time after which there is a fresh place, so that a cursor never grows too old to resume at."""

Told = tuple[Entry | None, LogPosition]
"""A change and the place behind it; without a change it only says how far the stream has come."""


async def follow(
    feed: ChangeFeed, topic: str, after: str | None, matches: Matches, hours: float, begun: Callable[[], None]
) -> AsyncGenerator[Sequence[Told]]:
    """What is told of a topic, in lists that are never empty; ``after`` can be up to so many hours old.

    ``begun`` is called when it is certain that there is something to follow, before any of it is told.

    Raises:
        GatewayError: ``INVALID_CURSOR``, ``CURSOR_EXPIRED``, or ``SUBSCRIPTIONS_UNAVAILABLE``; ``HISTORY_CHANGED``, at
            any time, when the database may lack what was told before.
        DatabaseUnavailableError: There is no connection to begin with; a later loss is outlasted.
    """
    place = None if after is None else _resumed(after, hours)
    alerts = topic == LiveTopic.ALERTS
    feed.subscribers += 1
    feed.alert_subscribers += alerts
    try:
        now = await feed.now(alerts=alerts)
        number = feed.next if place is None else -1
        stream = _Stream(feed, topic, matches, place or now, number)  # which counts failovers from here on
        if place is not None:
            await _check(feed, place)
        begun()
        if place is None:
            yield [(None, now)]
        async for told in stream.told():
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
    """Whether a place is one that this database has given, and is of its past.

    Raises:
        GatewayError: ``INVALID_CURSOR``, or ``HISTORY_CHANGED``: what became of what was told then cannot be known, as
            of a place ahead of this database, or of another one: it may have been restored from a backup that lacks it.
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
    """How far one follower has come, and what it is told next."""

    def __init__(self, feed: ChangeFeed, topic: str, matches: Matches, place: LogPosition, number: int) -> None:
        self._feed = feed
        self._place = place
        self._number = number
        """Of the batch behind the place; where it is none that is kept, the log is read."""
        self._last: int | None = None
        """What was told last is of the batch of this number, or of before it."""
        self._turned = len(feed.turns)
        self._topic = topic
        self._matches = matches

    async def told(self) -> AsyncGenerator[Sequence[Told]]:
        """What is told, without an end."""
        told_at = time.monotonic()
        while True:
            async for some in self._more():
                yield some
                told_at, self._last = time.monotonic(), self._number
            if time.monotonic() - told_at >= CHECKPOINT_SECONDS:
                yield [(None, self._place)]
                told_at = time.monotonic()

    async def _more(self) -> AsyncGenerator[Sequence[Told]]:
        """One step: what is next of what is kept, or of the log, or waiting for something."""
        feed = self._feed
        if len(feed.turns) > self._turned:
            await self._carry_over()
        elif self._number == feed.next:
            await feed.more(CHECKPOINT_SECONDS)
            if self._number == feed.next:
                self._place = feed.place
        elif (batch := feed.batch(self._number)) is not None and batch.entries is not None:
            if told := self._of(batch, batch.entries):
                yield told
            self._place = batch.until
            self._number += 1
        else:
            self._number = feed.next
            async for page in self._logged(feed.place):
                yield page

    async def _carry_over(self) -> None:
        """Goes on from the same place, now that the database has become another one.

        Raises:
            GatewayError: ``HISTORY_CHANGED``: of what was told, something is lost, or may be.
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
        """The changes that are asked for, with their places; behind the last entry it is the batch's own."""
        last = len(entries) - 1
        return [
            (entry, batch.until if n == last else _within(batch.until, entry, batch.since, batch.until.seen))
            for n, entry in enumerate(entries)
            if self._concerns(entry)
        ]

    async def _logged(self, until: LogPosition) -> AsyncGenerator[Sequence[Told]]:
        """What lies between here and another place, page by page from the log, unless the database becomes another."""
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
    """The place behind an entry, on the way to another place."""
    return LogPosition(entry.seconds, until.history, seen, ahead, entry.position)
