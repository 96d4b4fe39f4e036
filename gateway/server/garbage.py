"""Full garbage collections block all requests; they are postponed until no request is in progress.

Python starts one when the number of surviving objects has grown by a quarter: several times within a request of a
thousand lists, for 0.1 to 0.2 seconds each. Most of what requests leave behind is freed by reference counts.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

YOUNG, MIDDLE = 700, 10
"""Thresholds of the younger generations, Python's defaults: objects, and collections of those."""
PUT_OFF = 300
"""Collections of the middle generation after which a full collection runs in any case: after two million surviving
objects, or 200 to 300 MB of garbage."""
WORTH = 10
"""Such collections after which a full one runs as soon as no request is in progress."""


class QuietCollections:
    """Runs full collections while nothing is ``busy``; objects that exist at its begin are exempt for good."""

    def __init__(self, busy: Callable[[], bool]) -> None:
        self._busy = busy
        self._before = gc.get_threshold()

    def begin(self) -> None:
        """Takes over the collections."""
        gc.collect()
        gc.freeze()
        self._before = gc.get_threshold()
        gc.set_threshold(YOUNG, MIDDLE, PUT_OFF)

    def tick(self) -> None:
        """Runs a full collection if it is due and nothing is busy; to be called several times a second."""
        if gc.get_count()[2] >= WORTH and not self._busy():
            gc.collect()

    def end(self) -> None:
        """Restores Python's defaults."""
        gc.set_threshold(*self._before)
