"""A request in progress: its caller, the limits of its transport, and its record for observers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Any

from gateway.context import ANONYMOUS, Caller
from gateway.operations.budgets import RemainingBudget
from gateway.operations.errors import Reporter
from schema.changes.transactions import RowsSeen
from schema.execution.plans import Plan


class RequestRecord(dict[str, Any]):
    """The record of a request: its items are logged, its attributes are not.

    ``milliseconds`` is set at its end; ``operation``, ``cost``, ``statements``, ``rows``, ``compiled`` (the number of
    root fields), ``fallback``, ``errors`` (codes) and ``refused`` (codes) once known.
    """

    query: str | None = None
    """The document; the log has only its hash."""
    plan: Plan | None = None
    kind: str | None = None
    """query, mutation or subscription."""
    started: float = 0.0
    """The start, by ``time.perf_counter``."""

    def count(self, compiled: int, statements: int, rows: int) -> None:
        """Adds the counts of an operation; a batch has several."""
        if "statements" in self:
            compiled, statements, rows = (
                compiled + self["compiled"],
                statements + self["statements"],
                rows + self["rows"],
            )
        self["compiled"], self["statements"], self["rows"] = compiled, statements, rows


class Call:
    """A request that is being answered; transports derive their own class."""

    caller: Caller = ANONYMOUS
    connection: Mapping[str, Any] | None = None
    """The ASGI scope of its connection; None within the process."""
    account = ""
    """The account that it is charged to."""
    left: RemainingBudget | None = None
    """The budget left once an operation is charged; None without budgets."""
    changes = False
    """Whether the operation is a mutation."""
    seen: RowsSeen | None = None
    """For a mutation in one transaction: the preview that it must match."""
    authenticate: Callable[[], Awaitable[Caller]] | None = None
    """Authenticates the caller again, where a credential may expire before a subscription ends."""
    client_left: Callable[[], Awaitable[object]] | None = None
    """Returns once the client has disconnected, if the transport can tell."""

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.headers: dict[str, str] = {}
        """Response headers that it adds, if the transport has any."""
        self.record = RequestRecord()
        self.record.started = time.perf_counter()

    @cached_property
    def reporter(self) -> Reporter:
        """Converts its errors for the response."""
        return Reporter(self.id)

    @property
    def address(self) -> str | None:
        """The client's network address, if any."""
        client = self.connection.get("client") if self.connection else None
        return client[0] if client else None

    def admit(self, kind: str) -> None:
        """Checks that the transport supports a kind of operation other than queries.

        Raises:
            RefusedError: The transport does not support it.
        """
