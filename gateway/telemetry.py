"""Logs as JSON lines on stderr, each with the request it belongs to."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request id, whatever ``extra`` gave, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (current := request_id.get()) is not None:
            entry["request_id"] = current
        entry |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(entry, default=str, option=orjson.OPT_UTC_Z).decode()


class Lines(logging.Handler):
    """Writes log lines to stderr, those of a tenth of a second together: a write of its own costs as much as a query.

    Whatever is a warning or worse is written at once, and so is everything outside an event loop.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self._waiting: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.write(self.format(record))
        if record.levelno >= logging.WARNING:
            self.flush()

    def write(self, line: str) -> None:
        """Takes a line, which is written soon."""
        self._waiting.append(line)
        if self._timer is not None and len(self._waiting) < _TOGETHER:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if self._timer is None:
            self._timer = loop.call_later(0.1, self.flush)
        else:
            self.flush()

    def flush(self) -> None:
        """Writes what is waiting; the interpreter does so at its end."""
        with self.lock or nullcontext():
            if self._timer is not None:
                self._timer.cancel()
            lines, self._waiting, self._timer = self._waiting, [], None
            if lines:
                sys.stderr.write("\n".join(lines) + "\n")
                sys.stderr.flush()


_TOGETHER = 500
"""Lines that are written at once."""

LINES = Lines()


def request_line(logger: logging.Logger, method: str, status: int, request_id: str, entry: dict[str, Any]) -> None:
    """The line of a request, as the formatter writes a record's, and without its price: every request has one."""
    if not logger.isEnabledFor(logging.INFO):
        return
    line = {
        "time": datetime.now(UTC),
        "level": "info",
        "logger": logger.name,
        "message": f"{method} {status}",
        "request_id": request_id,
    } | entry
    LINES.write(orjson.dumps(line, option=orjson.OPT_UTC_Z).decode())


def configure(level: str) -> None:
    """Sends all logs to stderr as JSON; uvicorn's and SQLAlchemy's too."""
    root = logging.getLogger()
    root.handlers[:] = [LINES]
    root.setLevel(level.upper())
    # nothing of it is in our lines: the logging cookbook's way not to collect it for each of them
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # the endpoint logs its requests itself, with ids
    for name in ("alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel("WARNING")
