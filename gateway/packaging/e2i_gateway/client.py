"""The Python client as a library: `Gateway` and `AsyncGateway`, their errors and results."""

from __future__ import annotations

from e2i_gateway import borrowed

with borrowed():
    from gateway.client import (
        AsyncGateway,
        Changed,
        ClientError,
        Gateway,
        NoAnswerError,
        QueryData,
        Recording,
        RejectedRowsError,
        RequestFailedError,
        Rows,
    )
    from schema.error_codes import ErrorCode, ProblemCode, RowCode

__all__ = [
    "AsyncGateway",
    "Changed",
    "ClientError",
    "ErrorCode",
    "Gateway",
    "NoAnswerError",
    "ProblemCode",
    "QueryData",
    "Recording",
    "RejectedRowsError",
    "RequestFailedError",
    "RowCode",
    "Rows",
]
