"""Signals that end a command: SIGINT, SIGTERM, SIGHUP."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class TerminationSignals:
    """Unwinds a command at SIGINT, SIGTERM or SIGHUP, so that the embedded database stops with it.

    Only the first signal has an effect. Coroutines are cancelled, since an exception raised inside them by a signal
    handler can get lost between greenlets and callbacks.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._runs = False
        self._task: asyncio.Task[Any] | None = None

    def listen(self) -> None:
        """Installs the handlers; uvicorn has its own while it serves, and restores these."""
        signal.signal(signal.SIGINT, self._ask)
        signal.signal(signal.SIGTERM, self._ask)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
            signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine to its end, or until a signal cancels it."""

        async def watched() -> T:
            self._task = asyncio.current_task()
            if self._task and self.received is not None:
                self._task.cancel()
            return await coroutine

        self._runs = True
        try:
            return asyncio.run(watched())
        finally:
            self._runs, self._task = False, None
            self.raise_if_received()  # the cancellation may have been converted on its way up

    def raise_if_received(self) -> None:
        """Unwinds if a signal was received."""
        if self.received is not None:
            raise SystemExit(128 + self.received)

    def _ask(self, number: int, _frame: object) -> None:
        self.received = signal.Signals(number)
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, signal.SIG_IGN)
        if not self._runs:
            self.raise_if_received()
        elif self._task:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)


SIGNALS = TerminationSignals()
"""The signal handling of this process."""
