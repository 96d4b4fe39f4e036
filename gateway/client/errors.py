"""Exceptions of the client; their ``code`` is an error code of the gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from schema.error_codes import ErrorCode, ProblemCode, RowCode

SHOWN = 5
"""Rejected rows that a message names."""


class ClientError(Exception):
    """A request failed."""


class NoAnswerError(ClientError):
    """The gateway did not respond to any attempt; the last request may have been executed."""


class RequestFailedError(ClientError):
    """The gateway refused a request or failed to answer it. ``details`` is the error as it was received.

    ``code`` is one of the gateway's, empty if a proxy has answered.
    """

    def __init__(self, code: str, message: str, status: int, details: Mapping[str, Any]) -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.message = message
        self.status = status
        self.details = details
        self.code: ErrorCode | ProblemCode | str = _member(code)


class RejectedRowsError(RequestFailedError):
    """Rows of a batch were rejected; none of the batch was recorded. The message names the first ones.

    ``rows`` lists the problems, with ``code``, ``message``, ``path`` and ``row``: the place among all rows given.
    ``recorded`` is how many rows of earlier batches were recorded.
    """

    def __init__(
        self, message: str, status: int, details: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], recorded: int
    ) -> None:
        more = f"\n  and {len(rows) - SHOWN} more in .rows" if len(rows) > SHOWN else ""
        listed = "".join(f"\n  {'.'.join(row['path'])}: {row['message']}" for row in rows[:SHOWN])
        super().__init__(ProblemCode.ROWS_REJECTED, f"{message}{listed}{more}", status, details)
        self.rows = [{**row, "code": RowCode[row["code"]]} for row in rows]
        self.recorded = recorded


def _member(code: str) -> ErrorCode | ProblemCode | str:
    for codes in (ErrorCode, ProblemCode):
        if code in codes.__members__:
            return codes[code]
    return code
