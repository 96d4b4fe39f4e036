"""Events for many waiting tasks: woken a few per turn of the event loop, so that other work runs in between."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable
from weakref import WeakKeyDictionary

AT_ONCE = 16
"""Tasks that are woken in one turn of the loop at most: some milliseconds of Python, with their next steps."""
TURN = 0.005
"""Seconds of a turn of the loop from which fewer tasks are woken in the next one."""


class WakeEvent:
    """An event that many tasks wait for."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], float] = {}
        """Until when each waits, by the loop's clock."""
        self._timer: asyncio.TimerHandle | None = None
        """One timer for all of them: one for each would cost as much as waking it."""

    def notify(self) -> None:
        """Wakes the tasks that wait now, in the order of their arrival."""
        waiting, self._waiting = self._waiting, {}
        _waking().add(waiting)

    async def wait(self, seconds: float = math.inf) -> None:
        """Waits until it is notified, at most ``seconds``."""
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[None] = loop.create_future()
        self._waiting[heard] = until = loop.time() + seconds
        if until < math.inf and (self._timer is None or until < self._timer.when()):
            self._look_at(until, loop)
        try:
            await heard
        finally:
            self._waiting.pop(heard, None)

    def _look_at(self, moment: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(moment, self._time_out, loop)

    def _time_out(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wakes the tasks that have waited long enough."""
        self._timer, now = None, loop.time()
        over = [heard for heard, until in self._waiting.items() if until <= now]
        for heard in over:
            del self._waiting[heard]
        _waking().add(over)
        if (first := min(self._waiting.values(), default=math.inf)) < math.inf:
            self._look_at(first, loop)


class _WakeQueue:
    """The tasks to be woken on one event loop, for all events."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._next: deque[asyncio.Future[None]] = deque()
        self._most = AT_ONCE
        self._since = 0.0

    def add(self, waiting: Iterable[asyncio.Future[None]]) -> None:
        idle = not self._next
        self._next.extend(waiting)
        if idle and self._next:
            self._since = self._loop.time()
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        took, self._since = self._loop.time() - self._since, self._loop.time()
        self._most = max(self._most // 2, 1) if took > TURN else min(self._most * 2, AT_ONCE)
        for _ in range(min(self._most, len(self._next))):
            _wake(self._next.popleft())
        if self._next:
            self._loop.call_soon(self._turn)


def _wake(heard: asyncio.Future[None]) -> None:
    if not heard.done():
        heard.set_result(None)


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _WakeQueue] = WeakKeyDictionary()


def _waking() -> _WakeQueue:
    loop = asyncio.get_running_loop()
    found = _loops.get(loop)
    if found is None:
        found = _loops[loop] = _WakeQueue(loop)
    return found
