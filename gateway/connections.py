"""HTTP connections whose clients do not read their answers are let go; reading slowly is no reason."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.protocol import Protocol


class Connection(Protocol):
    """A connection whose client has ``patience`` seconds to read on at all, however slowly it reads."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._reading: asyncio.TimerHandle | None = None
        self._unread = 0

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unwatch_reading()

    def on_response_complete(self) -> None:
        closes = not self.cycle.keep_alive
        super().on_response_complete()
        if closes:  # once all of the answer is read
            self._watch_reading()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_reading()

    def _watch_reading(self) -> None:
        if self._reading is None:
            self._unread = self.transport.get_write_buffer_size()
            self._reading = self.loop.call_later(self.patience, self._look_at_reading)

    def _look_at_reading(self) -> None:
        """However slow a client reads, it may read to the end; one that has read nothing since never will."""
        self._reading = None
        left = self.transport.get_write_buffer_size()
        if left and left >= self._unread:
            self.transport.abort()
        elif left:
            self._watch_reading()

    def _unwatch_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch_reading()
        super().connection_lost(exc)


def protocol(patience: float) -> type[Connection]:
    """Connections that wait so many seconds for their clients."""
    return type("Connection", (Connection,), {"patience": patience})
