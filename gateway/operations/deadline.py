"""Deadlines: an operation is cancelled at its deadline, or when its client disconnects."""

from __future__ import annotations

import asyncio
from asyncio import current_task, get_running_loop
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

LOOK_AFTER = 0.05
"""Seconds after which the client's connection is watched; most responses are ready sooner."""


class DisconnectedError(Exception):
    """The client has disconnected."""


class Deadlines:
    """Watches all running operations with one timer; only those near their deadline have one of their own.

    A timer for each operation would cost ten times as much, and most end before it.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._every = min(LOOK_AFTER, seconds / 4)
        self.held: dict[Deadline, None] = {}
        """The running operations, in order of their start."""
        self.timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts the timer, which stops when no operation is left."""
        self.timer = loop.call_later(self._every, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self.timer = None
        if self.held:
            self.start(loop)
        now = loop.time()
        for deadline in self.held:
            age = now - deadline.started
            if age < self._every:  # later ones are younger
                break
            if age > self.seconds - 2 * self._every:  # its deadline is before the next look but one
                deadline.end_at(deadline.started + self.seconds)
            if age >= LOOK_AFTER:
                deadline.watch()


class Deadline:
    """Cancels the block at its deadline, or when the client disconnects once ``client_left`` is set.

    What runs inside is cancelled, and with it the current statement of Postgres, as by `asyncio.timeout`.

    Raises:
        TimeoutError: The deadline has passed.
        DisconnectedError: The client has disconnected.
    """

    # most blocks set none of these
    client_left: Callable[[], Awaitable[object]] | None = None
    """Returns once the client has disconnected; it is awaited if the response takes long."""
    _end: type[Exception] | None = None
    """The exception that ended it."""
    _timer: asyncio.TimerHandle | None = None
    _watching: asyncio.Task[None] | None = None

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines

    def __enter__(self) -> Self:
        loop = get_running_loop()
        task = current_task(loop)
        assert task is not None  # noqa: S101 - only tasks can be cancelled
        self._task = task
        self._cancelled_before = task.cancelling()
        self.started = loop.time()
        deadlines = self._deadlines
        deadlines.held[self] = None
        if deadlines.timer is None:
            deadlines.start(loop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._deadlines.held[self]
        if self._timer:
            self._timer.cancel()
        if self._watching:
            self._watching.cancel()
        if self._end:
            only_ours = self._task.uncancel() <= self._cancelled_before
            if only_ours and kind is asyncio.CancelledError:
                raise self._end from error

    def end_at(self, when: float) -> None:
        """Sets the timer, by the loop's clock."""
        if self._timer is None:
            self._timer = get_running_loop().call_at(when, self._over, TimeoutError)

    def watch(self) -> None:
        """Starts to watch the client's connection."""
        if self.client_left is not None and self._watching is None:
            self._watching = get_running_loop().create_task(self._watch(self.client_left))

    async def _watch(self, client_left: Callable[[], Awaitable[object]]) -> None:
        await client_left()
        self._over(DisconnectedError)

    def _over(self, end: type[Exception]) -> None:
        if self._end is None:
            self._end = end
            self._task.cancel()
