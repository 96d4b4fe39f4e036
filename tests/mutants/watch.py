"""How much of the processor a run has used, and when it has had enough.

Wall time says how busy the machine is, and so a run is ended by the processor's seconds of all its processes,
Postgres's among them. One that waits for what never comes uses none, and is ended when nothing has moved for long.
"""

from __future__ import annotations

import time
from contextlib import suppress

import psutil

EVERY = 1.0
"""Seconds between two looks at the processes."""
STILL = 300.0
"""Seconds without work after which a run waits for what never comes; tests wait at most 120 s for anything."""
STOPPED = 10.0
"""Seconds without a look after which all were stopped, by a signal or with the machine: no time of the run's."""
STILL_SHARE = 0.02
"""The share of a processor below which a process does no work: servers look at their clocks."""


class Watch:
    """The work of a process, of those that it has started, and of a Postgres that nobody else uses."""

    def __init__(self, pid: int, limit: float, postgres: int | None) -> None:
        """``limit`` is in seconds of the processor."""
        self._pid = pid
        self._limit = limit
        self._postgres = postgres
        self._before = used(postgres) if postgres else 0.0
        self._own = 0.0
        self._looked = time.monotonic()
        self._moved, self._moved_at = 0.0, self._looked

    def seconds(self, own: float = 0.0) -> float:
        """Seconds of the processor so far, where the process itself and those that it waited for have used ``own``;
        what processes have used that have left the tree stays counted."""
        self._own = max(self._own, own)
        return self._own + (used(self._postgres) - self._before if self._postgres else 0.0)

    def over(self) -> str | None:
        """Why the run is to be ended, "endless" or "still"; None while it may go on."""
        now = time.monotonic()
        passed = now - self._looked
        if passed < EVERY:
            return None
        self._looked = now
        if passed > STOPPED:
            self._moved_at += passed
        seconds = self.seconds(used(self._pid))
        if seconds >= self._limit:
            return "endless"
        if seconds - self._moved > STILL_SHARE * (now - self._moved_at):
            self._moved, self._moved_at = seconds, now
        return "still" if now - self._moved_at >= STILL else None


def used(pid: int) -> float:
    """The processor's seconds of a process, of what it has started, and of what those have waited for."""
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])
    return total
