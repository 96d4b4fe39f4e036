"""How long an operation may take: until its deadline, or until nobody waits for the answer any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

LOOK_AFTER = 0.05
"""Seconds after which it is watched whether the client is still there; most answers are ready sooner."""


class DisconnectedError(Exception):
    """The client went away, and nobody waits for the answer any more."""


class Deadlines:
    """Looks after all operations that are at work, by one timer; only those that take long have one of their own.

    Setting and taking back a timer for each would cost ten times as much, and most need none.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._every = min(LOOK_AFTER, seconds / 4)
        self.held: set[Deadline] = set()
        self.timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """Looks after them from now on, until there is none."""
        loop = asyncio.get_running_loop()
        self.timer = loop.call_later(self._every, self.look) if self.held else None
        for deadline in self.held:
            deadline.look(loop.time())


class Deadline:
    """Ends the block when its time is over, or when the client goes away once ``client_left`` is set.

    What runs inside is cancelled by an ``asyncio.timeout``, and with it the statement that Postgres is working on.

    Raises:
        TimeoutError: It took too long.
        DisconnectedError: The client is gone.
    """

    __slots__ = ("_deadlines", "_is_left", "_started", "_timeout", "_watching", "client_left")

    def __init__(self, deadlines: Deadlines) -> None:
        self.client_left: Callable[[], Awaitable[object]] | None = None
        """Returns once nobody waits for the answer any more; it is awaited where an answer takes long."""
        self._deadlines = deadlines
        self._timeout = asyncio.timeout(None)
        self._is_left = False
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._started = asyncio.get_running_loop().time()
        deadlines = self._deadlines
        deadlines.held.add(self)
        if deadlines.timer is None:
            deadlines.look()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.held.discard(self)
        if self._watching:
            self._watching.cancel()
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as over:
            if self._is_left:
                raise DisconnectedError from over
            raise

    def look(self, now: float) -> None:
        """Sets the timer of one that is still at work, and has the client watched if that takes longer."""
        if now == self._started or self._timeout.expired():
            return
        if self._timeout.when() is None:
            self._timeout.reschedule(self._started + self._deadlines.seconds)
        if self.client_left is not None and self._watching is None and now - self._started >= LOOK_AFTER:
            self._watching = asyncio.get_running_loop().create_task(self._watch(self.client_left))

    async def _watch(self, client_left: Callable[[], Awaitable[object]]) -> None:
        await client_left()
        if not self._timeout.expired():
            self._is_left = True
            self._timeout.reschedule(asyncio.get_running_loop().time())
