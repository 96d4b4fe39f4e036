"""Budgets: points per caller and minute, by token buckets.

A request is charged its cost before it runs; the difference to its usage is credited or charged afterwards. Buckets are
per worker, or shared in Redis; while Redis is unavailable each worker counts by itself.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import OrderedDict
from datetime import UTC, datetime
from functools import lru_cache
from time import monotonic
from typing import Any, NamedTuple

from gateway.operations.refusals import RefusedError, request_error
from schema.error_codes import ErrorCode

log = logging.getLogger("gateway.budgets")

ANONYMOUS = "anonymous"
MINUTE = 60.0
CALLERS = 50_000
"""Buckets that a worker keeps; the least recently used are dropped, and are full by then."""
REDIS_SECONDS = 0.5
"""The timeout of Redis in seconds."""
BYTES_PER_POINT = 500
"""Bytes of a response that count as much as a row."""
FREE_SECONDS, POINTS_PER_SECOND = 1.0, 20_000
"""Seconds that a request may take for its rows alone, and the rows that each further second counts as: a tenth of what
Postgres reads in it, since part of it is waiting."""
AWAY_SECONDS = 5.0
"""Seconds for which Redis is not used after a failure."""


def account(caller: str, address: str | None) -> str:
    """The account of a request: the caller, or the network address of an anonymous one.

    An IPv6 network of 64 bits is one account, since a host has all of its addresses.
    """
    if caller != ANONYMOUS:
        return f"caller:{caller}"
    host = address or "unknown"
    return f"address:{':'.join(host.split(':')[:4])}" if ":" in host else f"address:{host}"


def used(rows: int, size: int, seconds: float) -> int:
    """The usage of a request in points: the largest of its rows, its bytes and its time."""
    points = max(rows, size // BYTES_PER_POINT, 1)
    return points if seconds <= FREE_SECONDS else max(points, int((seconds - FREE_SECONDS) * POINTS_PER_SECOND))


class RemainingBudget(NamedTuple):
    """The points left in a bucket of ``limit`` points."""

    limit: int
    there: float

    @property
    def remaining(self) -> int:
        return max(math.floor(self.there), 0)

    def public(self, given_back: int = 0) -> dict[str, Any]:
        """The budget for the response, with the time at which the bucket is full, once ``given_back`` points are
        credited."""
        limit, there = self
        there = min(there + given_back, limit)
        full_at = time.time() + (limit - there) * MINUTE / limit
        return {"limit": limit, "remaining": max(math.floor(there), 0), "resetAt": _written(int(full_at))}


@lru_cache(maxsize=256)
def _written(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class OwnBuckets:
    """Buckets in memory."""

    def __init__(self, limit: int) -> None:
        self._limit = float(limit)
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, points: int) -> tuple[bool, float]:
        """Takes points if there are enough. Returns whether, and how many are left."""
        now, limit, buckets = monotonic(), self._limit, self._kept
        there, since = buckets.get(caller, (limit, now))
        there = min(there + (now - since) * limit / MINUTE, limit)
        taken = points <= there
        if taken:
            there -= points
        buckets[caller] = there, now
        buckets.move_to_end(caller)
        if len(buckets) > CALLERS:
            buckets.popitem(last=False)
        return taken, there

    def settle(self, caller: str, points: int) -> None:
        """Credits points that were not used, or charges those used beyond them, down to a minute's debt."""
        if kept := self._kept.get(caller):
            there, since = kept
            self._kept[caller] = max(min(there + points, self._limit), -self._limit), since


_TAKE = """
local limit, points = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local kept = redis.call('HMGET', KEYS[1], 'points', 'at')
local there = limit
if kept[1] then
  there = math.min(kept[1] + math.max(now - kept[2], 0) * limit / 60, limit)
end
local taken = 0
if points <= there or ARGV[3] == 'settle' then
  taken = 1
  there = math.max(math.min(there - points, limit), -limit)
end
redis.call('HSET', KEYS[1], 'points', string.format('%.6f', there), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], 120)
return {taken, string.format('%.6f', there)}
"""


class SharedBuckets:
    """Buckets in Redis, by its clock; one script per request, so that workers do not count the same points twice."""

    def __init__(self, url: str, limit: int) -> None:
        # slow to import, and needed only for shared budgets
        from redis.asyncio import Redis  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.exceptions import RedisError  # noqa: PLC0415

        self._error = RedisError
        self._limit = limit
        self._redis: Any = Redis.from_url(
            url,
            socket_timeout=REDIS_SECONDS,
            socket_connect_timeout=REDIS_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._script = self._redis.register_script(_TAKE)

    async def take(self, caller: str, points: int, how: str = "take") -> tuple[bool, float]:
        """As in memory; ``settle`` applies even if there are not enough.

        Raises:
            OSError: Redis is unavailable.
        """
        try:
            taken, left = await self._script(keys=[f"e2i-gateway:budget:{caller}"], args=[self._limit, points, how])
        except self._error as error:
            raise ConnectionError(f"{type(error).__name__}: {error}"[:300]) from error
        return bool(taken), float(left)

    async def close(self) -> None:
        await self._redis.aclose()


class Budgets:
    """The budgets of all callers: ``limit`` points a minute each."""

    def __init__(self, limit: int, redis_url: str | None = None) -> None:
        self.limit = limit
        self._own = OwnBuckets(limit)
        self._shared = SharedBuckets(redis_url, limit) if redis_url else None
        self._away_until = 0.0
        self._giving_back: set[asyncio.Task[Any]] = set()

    async def take(self, caller: str, points: int) -> RemainingBudget:
        """Takes the points that a request may cost, at least one.

        Raises:
            RefusedError: ``BUDGET_EXCEEDED``, 429: there are not enough left.
        """
        points = max(points, 1)
        taken, there = await self._take(caller, points) if self._shared else self._own.take(caller, points)
        if taken:
            return RemainingBudget(self.limit, there)
        raise self._exceeded(points, RemainingBudget(self.limit, there))

    def settle(self, caller: str, points: int) -> None:
        """Credits points that were not used, or charges those used beyond them, in the background."""
        if points and self._shared is None:
            self._own.settle(caller, points)
        elif points:
            task = asyncio.ensure_future(self._take(caller, -points, "settle"))
            self._giving_back.add(task)
            task.add_done_callback(self._giving_back.discard)

    async def close(self) -> None:
        if self._shared:
            await self._shared.close()

    async def _take(self, caller: str, points: int, how: str = "take") -> tuple[bool, float]:
        if self._shared is None:
            return self._own.take(caller, points)
        if monotonic() >= self._away_until:
            try:
                found = await self._shared.take(caller, points, how)
            except OSError as error:
                if not self._away_until:
                    log.warning("Redis is away, each worker keeps budgets of its own: %s", error)
                self._away_until = monotonic() + AWAY_SECONDS
            else:
                if self._away_until:
                    log.info("Redis is back, budgets are shared again")
                    self._away_until = 0.0
                return found
        if how == "settle":
            self._own.settle(caller, -points)
            return True, 0.0
        return self._own.take(caller, points)

    def _exceeded(self, points: int, left: RemainingBudget) -> RefusedError:
        details = {**left.public(), "value": points}
        if points > self.limit:
            advice = "It never fits: lower `first` on the lists along the path, and page on with cursors."
            headers = {}
        else:
            seconds = max(math.ceil((points - left.there) * MINUTE / self.limit), 1)
            advice = f"Try again in {seconds} seconds, or request less at once."
            headers = {"retry-after": str(seconds)}
        message = f"This costs {points:,} points, and {left.remaining:,} of {self.limit:,} a minute are left. {advice}"
        return RefusedError(429, request_error(ErrorCode.BUDGET_EXCEEDED, message, **details), **headers)
