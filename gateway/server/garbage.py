"""Full garbage collections, which block all requests, are postponed until no request is in progress.

Python begins one whenever a quarter more objects have survived: several times within a request of a thousand lists, for
0.1 to 0.2 seconds each, in which nobody is answered. What requests leave behind is mostly freed without any.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

YOUNG, MIDDLE = 700, 10
"""Objects, and collections of those, after which Python looks at the younger generations: its own figures."""
PUT_OFF = 300
"""Collections of the middle generation after which the whole heap is walked in any case: two million objects that are
still there, or garbage of 200 to 300 MB."""
WORTH = 10
"""Such collections after which it is walked as soon as nothing is asked."""


class QuietCollections:
    """Collects all garbage while nothing is ``busy``; what is there when it begins stays, and is never walked again."""

    def __init__(self, busy: Callable[[], bool]) -> None:
        self._busy = busy
        self._before = gc.get_threshold()

    def begin(self) -> None:
        """From now on."""
        gc.collect()
        gc.freeze()
        self._before = gc.get_threshold()
        gc.set_threshold(YOUNG, MIDDLE, PUT_OFF)

    def tick(self) -> None:
        """Collects, if it is worth it and nothing is asked; to be called several times a second."""
        if gc.get_count()[2] >= WORTH and not self._busy():
            gc.collect()

    def end(self) -> None:
        """As before."""
        gc.set_threshold(*self._before)
