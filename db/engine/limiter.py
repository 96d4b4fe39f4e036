"""A limiter of concurrency: for requests, transactions and reads.

Turns are given in order of arrival and passed on directly, so that later arrivals do not overtake.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType


class NoTurnError(Exception):
    """There was no turn within the timeout, or the queue is full."""


class _Waiter(asyncio.Future[None]):
    """A waiter, until ``end`` by the loop's clock."""

    end = 0.0


class Limiter:
    """Gives ``size`` turns at once; ``async with limiter:`` takes one.

    Others wait for up to ``timeout`` seconds, at most ``queue`` of them; None for no limit.

    Raises:
        NoTurnError: There was none; subclasses raise the error of `refusal`.
    """

    def __init__(self, size: int, timeout: float | None = None, queue: int | None = None) -> None:
        self.size = size
        self.timeout = timeout
        self._free = size
        self._queue = queue
        self._waiters: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        """One timer for all waiters: one for each would cost more than the turn."""
        self.used_up: Callable[[], None] = _nothing
        """Called whenever a caller has to wait."""

    @property
    def taken(self) -> int:
        """The number of turns taken."""
        return self.size - self._free

    @property
    def waiting(self) -> int:
        """The number of waiters."""
        return len(self._waiters)

    async def take(self) -> None:
        """Waits for a turn."""
        if self._free:
            self._free -= 1
        else:
            await self._wait()

    def give(self) -> None:
        """Ends a turn and passes it to the longest waiter."""
        if waiter := self._next():
            waiter.set_result(None)
        else:
            self._free += 1

    async def __aenter__(self) -> None:
        if self._free:
            self._free -= 1
        else:
            await self._wait()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._waiters:
            self.give()
        else:  # the common case
            self._free += 1

    def refusal(self) -> Exception:
        """The error for a caller without a turn."""
        if self.timeout is None:
            return NoTurnError("the queue is full")
        return NoTurnError(f"there was no turn within {self.timeout:g} seconds")

    def _next(self) -> _Waiter | None:
        """Removes the longest waiter that still waits."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    async def _wait(self) -> None:
        if self._queue is not None and len(self._waiters) >= self._queue:
            raise self.refusal()
        waiter = _Waiter()
        self._waiters.append(waiter)
        self.used_up()
        if self.timeout is not None:
            loop = asyncio.get_running_loop()
            waiter.end = loop.time() + self.timeout
            if self._timer is None:
                self._timer = loop.call_at(waiter.end, self._time_out)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:  # both at once
                self.give()
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise

    def _time_out(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiters and (self._waiters[0].done() or self._waiters[0].end <= loop.time()):
            if not (waiter := self._waiters.popleft()).done():
                waiter.set_exception(self.refusal())
        self._timer = loop.call_at(self._waiters[0].end, self._time_out) if self._waiters else None


def _nothing() -> None:
    pass
