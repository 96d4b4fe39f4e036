"""Which records of libraries become lines of the log."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.observability.logging import Lines

POOL = "sqlalchemy.pool.impl.AsyncAdaptedQueuePool"


@pytest.mark.parametrize(
    ("logger", "error", "is_logged"),
    [
        (POOL, asyncio.CancelledError(), False),
        (POOL, OSError("the connection is lost"), True),
        (POOL, None, True),
        ("gateway", asyncio.CancelledError(), True),
    ],
)
def test_a_signal_while_a_connection_closes_is_no_error(
    logger: str, error: BaseException | None, *, is_logged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that is interrupted on a terminal ends without a traceback."""
    lines, written = Lines(), list[str]()
    monkeypatch.setattr(lines, "write", written.append)
    caught = (type(error), error, None) if error else None
    lines.handle(logging.LogRecord(logger, logging.ERROR, __file__, 1, "Exception closing connection", None, caught))
    assert bool(written) is is_logged
