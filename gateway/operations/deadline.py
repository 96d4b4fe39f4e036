"""How long a request may take: until its deadline, or until nobody waits for the answer any more."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Receive

from gateway.http.request import DisconnectedError

LOOK_AFTER = 0.05
"""Seconds after which it is watched whether the client is still there; most answers are ready sooner."""


class Patience:
    """Looks after all requests that are at work, by one timer: one for each would cost as much as a small query."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._every = min(LOOK_AFTER, seconds / 4)
        self.held: set[Leash] = set()
        self.timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """Looks after them from now on, until there is none."""
        loop = asyncio.get_running_loop()
        self.timer = loop.call_later(self._every, self.look) if self.held else None
        for leash in self.held:
            leash.look(loop.time())


class Leash:
    """Ends the block when its time is over, or when the client goes away once ``receive`` is set.

    What runs inside is cancelled, and with it the statement that Postgres is working on.

    Raises:
        TimeoutError: It took too long.
        DisconnectedError: The client is gone.
    """

    __slots__ = ("_cancelled_before", "_end", "_patience", "_started", "_task", "_watching", "receive")

    def __init__(self, patience: Patience) -> None:
        self.receive: Receive | None = None
        """The rest of the request, which is nothing but its end once the body was read."""
        self._patience = patience
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
        patience = self._patience
        patience.held.add(self)
        if patience.timer is None:
            patience.look()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patience.held.discard(self)
        if self._watching:
            self._watching.cancel()
        if self._end is not None:
            only_ours = self._task.uncancel() <= self._cancelled_before
            if only_ours and kind is asyncio.CancelledError:
                raise self._end from error

    def look(self, now: float) -> None:
        """Ends it if its time is over, and has the client watched if that takes longer."""
        if now - self._started >= self._patience.seconds:
            self._over(TimeoutError)
        elif self.receive is not None and self._watching is None and now - self._started >= LOOK_AFTER:
            self._watching = asyncio.get_running_loop().create_task(self._watch(self.receive))

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._over(DisconnectedError)

    def _over(self, end: type[Exception]) -> None:
        if self._end is None:
            self._end = end
            self._task.cancel()
