"""The record of each answered request: a log line, counters, and a second line if it was slow."""

from __future__ import annotations

import logging
import math
from typing import Any

from db.store.documents import digest
from gateway.observability.logging import request_line
from gateway.observability.metrics import Metrics
from gateway.operations.call import Call, RequestRecord
from gateway.operations.observers import Observer
from gateway.settings import Settings

log = logging.getLogger("gateway.request")
slow = logging.getLogger("gateway.slow")


class RequestLog(Observer):
    """Records every request once, at its end. It takes microseconds, since it is on the path of each."""

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics()
        self._slow = settings.slow_ms or math.inf

    def finished(self, call: Call, transport: str, status: int) -> None:
        """Records a request, or an operation over WebSocket, with its HTTP status."""
        record = call.record
        request_line(log, transport, status, call.id, record)
        metrics = self.metrics
        if record.kind == "subscription":  # it lasts until its client unsubscribes; its duration has no meaning
            metrics.outcomes["refused" if "refused" in record else "ok"] += 1
            metrics.refusals.update(map(str, record.get("refused", ())))
            return
        milliseconds: float = record["milliseconds"]
        metrics.request(record.get("operation"), self._outcome(status, record), milliseconds / 1000)
        if (statements := record.get("statements")) is not None:
            metrics.statements += statements
            metrics.rows += record["rows"]
            metrics.executors["compiled" if record["compiled"] else "loaders"] += 1
        if milliseconds >= self._slow:
            _tell_slow(record)

    def _outcome(self, status: int, record: RequestRecord) -> str:
        metrics = self.metrics
        if "refused" in record:
            metrics.refusals.update(map(str, record["refused"]))
            return _REFUSED.get(status, "refused")
        if "statements" not in record:
            # an error of the gateway, or a client that disconnected before its request was read
            return "failed" if status == 500 else "unfinished"
        if "fallback" in record:
            metrics.fallbacks[record["fallback"]] += 1
        if "errors" in record:
            metrics.errors.update(record["errors"])
            return "unavailable" if status == 503 else "errors"
        return "ok"


_REFUSED = {408: "timeout", 503: "unavailable", 504: "timeout"}


def _tell_slow(record: RequestRecord) -> None:
    """Logs a slow request with what is needed to find it again; values of variables are not included."""
    told: dict[str, Any] = {key: record[key] for key in _TOLD if key in record}
    if record.query is not None:
        told["document"] = digest(record.query)
    if record.plan is not None:
        statement = record.plan.statement
        told["roots"] = record.plan.keys
        told["plan"] = "loaders" if statement is None else "mixed" if record.plan.rest else "compiled"
        if statement is not None:
            told["sql_hash"] = digest(statement.sql)[:16]
            if slow.isEnabledFor(logging.DEBUG):
                told["sql"] = statement.sql  # with placeholders, as EXPLAIN (GENERIC_PLAN) takes it
    slow.warning("a slow request", extra=told)


_TOLD = (
    "trace_id", "operation", "milliseconds", "cost", "compiled", "fallback", "statements", "rows", "errors", "refused",
)  # fmt: skip
