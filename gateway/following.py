"""Following the feed: from now or behind a cursor, out of memory or out of the log, in the order of the changes.

Whoever follows holds a place and no queue. A slow reader falls behind, reads what it missed from the log page by page,
and costs nobody anything.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial

import asyncpg

from db import live
from db.live import Entry, Place
from gateway.live import Batch, Feed
from schema import subscriptions
from schema.errors import GatewayError
from schema.subscriptions import Matches

CHECKPOINT_SECONDS = 900.0
"""Quiet time after which there is a fresh place, so that a cursor never grows too old to resume at."""

Told = tuple[Entry | None, Place]
"""A change and the place behind it; without a change it only says how far the stream has come."""


async def follow(
    feed: Feed, topic: str, after: str | None, matches: Matches, hours: float, begun: Callable[[], None]
) -> AsyncGenerator[Sequence[Told]]:
    """What is told of a topic, in lists that are never empty; ``after`` can be up to so many hours old.

    ``begun`` is called when it is certain that there is something to follow, before any of it is told.

    Raises:
        GatewayError: ``INVALID_CURSOR``, ``CURSOR_EXPIRED``, or ``SUBSCRIPTIONS_UNAVAILABLE``.
        DatabaseUnavailableError: There is no connection to begin with; a later loss is outlasted.
    """
    place = None if after is None else _resumed(after, hours)
    alerts = topic == "alerts"
    feed.subscribers += 1
    feed.alert_subscribers += alerts
    try:
        now = await feed.now(alerts=alerts)
        number = feed.next if place is None else -1
        if place is not None and not (await _is_past(feed, place.seen) and await _is_past(feed, place.ahead)):
            raise subscriptions.invalid()
        begun()
        if place is None:
            yield [(None, now)]
        async for told in _from(feed, topic, place or now, number, matches):
            yield told
    finally:
        feed.subscribers -= 1
        feed.alert_subscribers -= alerts


def _resumed(after: str, hours: float) -> Place:
    place = subscriptions.decode(after)
    if time.time() - place.seconds > hours * 3600:
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(place.seconds))
        raise GatewayError(
            "CURSOR_EXPIRED",
            f"after: the cursor is of {when}, and changes can be resumed for {hours:g} hours. Subscribe without "
            f"`after`, and read from the graph what happened since then: lifecycleEvents(where: {{occurredAt: {{gte: "
            f'"{when}"}}}}) has every recorded change, monitoringAlerts has the alerts.',
            argument="after",
            limit=hours,
        )
    return place


async def _is_past(feed: Feed, snapshot: str | None) -> bool:
    """Whether a snapshot is one that this database may have given."""
    if snapshot is None:
        return True
    try:
        return await feed.read(partial(live.is_past, snapshot=snapshot))
    except asyncpg.DataError:
        return False


async def _from(feed: Feed, topic: str, place: Place, number: int, matches: Matches) -> AsyncGenerator[Sequence[Told]]:
    """``number`` is that of the batch behind the place; where it is none that is kept, the log is read."""
    told_at = time.monotonic()
    while True:
        if number == feed.next:
            await feed.more(CHECKPOINT_SECONDS)
            if number == feed.next:
                place = feed.place
        elif (batch := feed.batch(number)) is not None and batch.entries is not None:
            if told := _told(batch, topic, matches):
                yield told
                told_at = time.monotonic()
            place = batch.until
            number += 1
        else:
            until, number = feed.place, feed.next
            async for page in _logged(feed, topic, place, until, matches):
                yield page
                told_at = time.monotonic()
            place = until
        if time.monotonic() - told_at >= CHECKPOINT_SECONDS:
            yield [(None, place)]
            told_at = time.monotonic()


def _told(batch: Batch, topic: str, matches: Matches) -> list[Told]:
    """The changes that are asked for, with their places; behind the last entry it is the batch's own."""
    entries = batch.entries or ()
    last = len(entries) - 1
    return [
        (entry, batch.until if n == last else Place(entry.seconds, batch.since, batch.until.seen, entry.position))
        for n, entry in enumerate(entries)
        if entry.topic == topic and matches(entry.facts)
    ]


async def _logged(
    feed: Feed, topic: str, place: Place, until: Place, matches: Matches
) -> AsyncGenerator[Sequence[Told]]:
    """What lies between two places, page by page from the log."""
    stages = [(place.seen, place.ahead, place.position)] if place.ahead is not None else []
    stages.append((place.ahead or place.seen, until.seen, 0))
    for seen, ahead, position in stages:
        reached, full = position, True
        while full:
            page: Sequence[Entry] = await feed.read(
                partial(live.read_between, topic=topic, seen=seen, until=ahead, behind=reached)
            )
            full = len(page) == live.PAGE
            told: list[Told] = [
                (entry, Place(entry.seconds, seen, ahead, entry.position)) for entry in page if matches(entry.facts)
            ]
            if told:
                yield told
            if full:
                reached = page[-1].position
