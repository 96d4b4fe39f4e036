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
    """Looks after all operations that are at work, by one timer: one for each would cost as much as a small query."""

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

    What runs inside is cancelled, and with it the statement that Postgres is working on.

    Raises:
        TimeoutError: It took too long.
        DisconnectedError: The client is gone.
    """

    __slots__ = ("_cancelled_before", "_deadlines", "_end", "_started", "_task", "_watching", "client_left")

    def __init__(self, deadlines: Deadlines) -> None:
        self.client_left: Callable[[], Awaitable[object]] | None = None
        """Returns once nobody waits for the answer any more; it is awaited where an answer takes long."""
        self._deadlines = deadlines
        self._end: type[Exception] | None = None
        """What has ended it."""
        self._watching: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - requests are answered in tasks
        self._task = task
        self._cancelled_before = task.cancelling()
        self._started = loop.time()
        deadlines = self._deadlines
        deadlines.held.add(self)
        if deadlines.timer is None:
            deadlines.look()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.held.discard(self)
        if self._watching:
            self._watching.cancel()
        if self._end is not None:
            only_ours = self._task.uncancel() <= self._cancelled_before
            if only_ours and kind is asyncio.CancelledError:
                raise self._end from error

    def look(self, now: float) -> None:
        """Ends it if its time is over, and has the client watched if that takes longer."""
        if now - self._started >= self._deadlines.seconds:
            self._over(TimeoutError)
        elif self.client_left is not None and self._watching is None and now - self._started >= LOOK_AFTER:
            self._watching = asyncio.get_running_loop().create_task(self._watch(self.client_left))

    async def _watch(self, client_left: Callable[[], Awaitable[object]]) -> None:
        await client_left()
        self._over(DisconnectedError)

    def _over(self, end: type[Exception]) -> None:
        if self._end is None:
            self._end = end
            self._task.cancel()
