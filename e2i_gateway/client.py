"""The Python client as a library: `Gateway` and `AsyncGateway`, their errors, and what they answer."""

from __future__ import annotations

from e2i_gateway import borrowed

with borrowed():
    from gateway.client import (
        AsyncGateway,
        ClientError,
        Gateway,
        NoAnswerError,
        Recording,
        RejectedRowsError,
        RequestFailedError,
        Rows,
    )
    from schema.error_codes import ErrorCode, ProblemCode, RowCode

__all__ = [
    "AsyncGateway",
    "ClientError",
    "ErrorCode",
    "Gateway",
    "NoAnswerError",
    "ProblemCode",
    "Recording",
    "RejectedRowsError",
    "RequestFailedError",
    "RowCode",
    "Rows",
]
