"""Logs on stderr, each line with the id of its request; warnings and uncaught exceptions included.

Lines are JSON, or plain text if stderr is a terminal; the setting ``log_format`` overrides that.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import warnings
from contextlib import nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, TextIO

import orjson

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request id, fields of ``extra``, traceback."""

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
        return _as_line(entry)


_AS_LINE = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


class TextFormatter(logging.Formatter):
    """Plain text for people: time, level unless info, message, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        text = f"{datetime.fromtimestamp(record.created):%H:%M:%S}  {level}{record.getMessage()}"  # noqa: DTZ006 - local time
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _as_line(entry: dict[str, Any]) -> str:
    """An entry as JSON, whatever it contains: lone surrogates, integers of many digits, keys that are not strings."""
    try:
        return orjson.dumps(entry, default=str, option=_AS_LINE).decode()
    except TypeError:
        return json.dumps(entry, default=str, skipkeys=True)


def _is_no_cancelled_close(record: logging.LogRecord) -> bool:
    """False for the error that SQLAlchemy's pool logs if a signal ends the closing of a connection."""
    error = record.exc_info[1] if record.exc_info else None
    return not (record.name.startswith("sqlalchemy.pool") and isinstance(error, asyncio.CancelledError))


class Lines(logging.Handler):
    """Writes log lines to stderr, in batches of a tenth of a second: a write of its own costs as much as a query.

    Warnings and errors are written at once, and so is everything outside an event loop.
    """

    def __init__(self) -> None:
        super().__init__()
        self.as_text = False
        self.setFormatter(JsonFormatter())
        self.addFilter(_is_no_cancelled_close)
        self._waiting: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - no record of a library may raise here
            what = f"a line of the log cannot be written: {record.msg!r:.500}: {error!r:.500}"
            line = _as_line({"time": datetime.now(UTC), "level": "error", "logger": record.name, "message": what})
        self.write(line)
        if record.levelno >= logging.WARNING:
            self.flush()

    def write_as(self, form: Format) -> None:
        """Selects text or JSON; ``auto`` is text on a terminal."""
        self.as_text = form == "text" or (form == "auto" and sys.stderr is not None and sys.stderr.isatty())
        self.setFormatter(TextFormatter() if self.as_text else JsonFormatter())

    def write(self, line: str) -> None:
        """Queues a line to be written."""
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
        """Writes queued lines; the interpreter calls it at exit."""
        with self.lock or nullcontext():
            if self._timer is not None:
                self._timer.cancel()
            lines, self._waiting, self._timer = self._waiting, [], None
            if lines:
                sys.stderr.write("\n".join(lines) + "\n")
                sys.stderr.flush()


def _as_text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


Format = Literal["auto", "json", "text"]
_TOLD = ("operation", "milliseconds", "statements", "rows", "errors", "refused")
"""The fields of a request's line for people; the JSON has all."""
_TOGETHER = 500
"""Levels whose lines are written at once."""

LINES = Lines()


def request_line(logger: logging.Logger, method: str, status: int, request_id: str, entry: dict[str, Any]) -> None:
    """The line of a request, formatted directly: a log record for each request would cost several times as much."""
    if not logger.isEnabledFor(logging.INFO):
        return
    if LINES.as_text:
        told = "  ".join(f"{key}={_as_text(entry[key])}" for key in _TOLD if entry.get(key) is not None)
        LINES.write(f"{datetime.now():%H:%M:%S}  {method} {status}  {told}")  # noqa: DTZ005 - local time
        return
    line = {
        "time": datetime.now(UTC),
        "level": "info",
        "logger": logger.name,
        "message": f"{method} {status}",
        "request_id": request_id,
    } | entry
    LINES.write(_as_line(line))


def configure(level: str, form: Format = "auto") -> None:
    """Sends all logs to stderr; uvicorn's and SQLAlchemy's too."""
    LINES.write_as(form)
    root = logging.getLogger()
    root.handlers[:] = [LINES]
    root.setLevel(level.upper())
    # our lines do not use these; the logging cookbook's way to avoid collecting them
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # the endpoint logs its requests itself, with ids
    for name in ("alembic", "sqlalchemy", *(("uvicorn.error",) if LINES.as_text else ())):
        logging.getLogger(name).setLevel("WARNING")  # people are told the graph's address, and need no process ids
    warnings.showwarning = _log_warning
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    sys.unraisablehook = _log_unraisable


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - the signature is Python's
    line: str | None = None,  # noqa: ARG001
) -> None:
    logging.getLogger("py.warnings").warning("%s: %s (%s:%d)", category.__name__, message, filename, lineno)


def _log_uncaught(type_: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    logging.getLogger("gateway").critical("the gateway has failed", exc_info=(type_, error, traceback))


def _log_uncaught_in_thread(caught: threading.ExceptHookArgs) -> None:
    if caught.exc_value is not None:
        where = caught.thread.name if caught.thread else "?"
        logging.getLogger("gateway").error("the thread %s has failed", where, exc_info=caught.exc_value)


def _log_unraisable(caught: Any) -> None:
    what = caught.err_msg or "an exception was ignored"
    logging.getLogger("gateway").error("%s: %.200r", what, caught.object, exc_info=caught.exc_value)
