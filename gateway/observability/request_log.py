"""What is kept of every request once it is answered: a line of the log, counts, and what was slow in more words."""

from __future__ import annotations

import hashlib
import logging
import math
from typing import TYPE_CHECKING, Any

from gateway.observability.logging import request_line
from gateway.observability.metrics import Metrics
from gateway.settings import Settings, SettingsError
from schema.plans import Plan

if TYPE_CHECKING:
    from gateway.observability.tracing import Tracing

log = logging.getLogger("gateway.request")
slow = logging.getLogger("gateway.slow")


class Entry(dict[str, Any]):
    """What the log says of a request, as it becomes known, and beside it what only some of them need.

    ``milliseconds`` are there at its end; ``operation``, ``cost``, ``statements``, ``rows``, ``compiled`` (how many
    root fields), ``fallback``, ``errors`` (codes) and ``refused`` (codes) where they are known.
    """

    query: str | None = None
    """The document, of which the log has the hash only."""
    plan: Plan | None = None
    planned: float | None = None
    """When there was a plan, by ``time.perf_counter``."""
    kind: str | None = None
    """query, mutation or subscription."""
    started: float = 0.0
    """When it began, by the same clock."""

    def count(self, compiled: int, statements: int, rows: int) -> None:
        """Adds what an operation took; a batch has several."""
        if "statements" in self:
            compiled, statements, rows = (
                compiled + self["compiled"],
                statements + self["statements"],
                rows + self["rows"],
            )
        self["compiled"], self["statements"], self["rows"] = compiled, statements, rows


class Watch:
    """Sees every request once, at its end. Costs microseconds: it is on the way of each.

    Raises:
        SettingsError: Traces are asked for and cannot be made.
    """

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics()
        self.tracing = _tracing() if settings.traces else None
        self._slow = settings.slow_ms or math.inf

    def finished(self, method: str, status: int, request_id: str, entry: Entry) -> None:
        """A request, or an operation over a WebSocket, has been answered with an HTTP status."""
        if self.tracing is not None:
            self.tracing.finished(entry)
        request_line(log, method, status, request_id, entry)
        metrics = self.metrics
        if entry.kind == "subscription":  # which lasts for as long as somebody listens, and is neither slow nor quick
            metrics.outcomes["refused" if "refused" in entry else "ok"] += 1
            metrics.refusals.update(map(str, entry.get("refused", ())))
            return
        milliseconds: float = entry["milliseconds"]
        metrics.request(entry.get("operation"), self._outcome(status, entry), milliseconds / 1000)
        if "statements" in entry:
            metrics.statements += entry["statements"]
            metrics.rows += entry["rows"]
            metrics.executors["compiled" if entry["compiled"] else "loaders"] += 1
        if milliseconds >= self._slow:
            _tell_slow(entry)

    def _outcome(self, status: int, entry: Entry) -> str:
        metrics = self.metrics
        if "refused" in entry:
            metrics.refusals.update(map(str, entry["refused"]))
            return _REFUSED.get(status, "refused")
        if "statements" not in entry:
            # a fault of ours, or a client that went away before it had said what it asks
            return "failed" if status == 500 else "unfinished"
        if "fallback" in entry:
            metrics.fallbacks[entry["fallback"]] += 1
        if "errors" in entry:
            metrics.errors.update(entry["errors"])
            return "unavailable" if status == 503 else "errors"
        return "ok"


_REFUSED = {408: "timeout", 503: "unavailable", 504: "timeout"}


def _tracing() -> Tracing:
    try:
        from gateway.observability.tracing import Tracing  # noqa: PLC0415 - an extra, and nobody who does without it should pay
    except ImportError as error:
        raise SettingsError(
            f"GATEWAY_TRACES: OpenTelemetry is not installed ({error}); install e2i-gateway[otel]"
        ) from error
    return Tracing()


def _tell_slow(entry: Entry) -> None:
    """A request that took long, with what it takes to find it again; no value of a variable is in it."""
    told: dict[str, Any] = {key: entry[key] for key in _TOLD if key in entry}
    if entry.query is not None:
        told["document"] = hashlib.sha256(entry.query.encode()).hexdigest()
    if entry.plan is not None:
        statement = entry.plan.statement
        told["roots"] = entry.plan.keys
        told["plan"] = "loaders" if statement is None else "mixed" if entry.plan.rest else "compiled"
        if statement is not None:
            told["sql_hash"] = hashlib.sha256(statement.sql.encode()).hexdigest()[:16]
            if slow.isEnabledFor(logging.DEBUG):
                told["sql"] = statement.sql  # with places for values, as EXPLAIN (GENERIC_PLAN) takes it
    slow.warning("a slow request", extra=told)


_TOLD = (
    "trace_id", "operation", "milliseconds", "cost", "compiled", "fallback", "statements", "rows", "errors", "refused",
)  # fmt: skip
