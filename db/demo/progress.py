"""A progress bar on a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from db.demo.rows import Progress


class ProgressBar:
    """Draws the progress of a load on one line of a terminal; does nothing if the stream is not a terminal.

    A call passes the current table, the number of rows written so far and the expected total; an empty table ends the
    line.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._started = time.monotonic()
        self._drawn = 0.0
        self._quiet = not self._stream.isatty()

    def __call__(self, table: str, done: int, total: int) -> None:
        now = time.monotonic()
        if self._quiet or (table and now - self._drawn < 0.1):
            return
        self._drawn = now
        share = done / total if total else 1.0
        width = shutil.get_terminal_size().columns
        text = f" {share:4.0%}  {done:,} of {total:,} rows  {now - self._started:.0f} s  {table}"
        room = max(min(width - len(text) - 3, 30), 0)
        bar = f"[{'#' * round(share * room):<{room}}]" if room > 4 else ""
        self._stream.write(f"\r{(bar + text)[: width - 1]}\x1b[K" + ("" if table else "\n"))
        self._stream.flush()


def terminal_progress() -> Progress:
    """A progress bar on standard error; it does nothing if that is not a terminal."""
    return ProgressBar()
