"""A request in progress: its caller, what its transport allows, and its record for observers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Any

from gateway.context import ANONYMOUS, Caller
from gateway.operations.budgets import Left
from gateway.operations.errors import Reporter
from schema.changes.transactions import RowsSeen
from schema.execution.plans import Plan


class RequestRecord(dict[str, Any]):
    """What is known of a request, as it becomes so: what its line in the log says, and beside it what is not logged.

    ``milliseconds`` are there at its end; ``operation``, ``cost``, ``statements``, ``rows``, ``compiled`` (how many
    root fields), ``fallback``, ``errors`` (codes) and ``refused`` (codes) where they are known.
    """

    query: str | None = None
    """The document, of which the log has the hash only."""
    plan: Plan | None = None
    kind: str | None = None
    """query, mutation or subscription."""
    started: float = 0.0
    """When it began, by ``time.perf_counter``."""

    def count(self, compiled: int, statements: int, rows: int) -> None:
        """Adds what an operation took; a batch has several."""
        if "statements" in self:
            compiled, statements, rows = (
                compiled + self["compiled"],
                statements + self["statements"],
                rows + self["rows"],
            )
        self["compiled"], self["statements"], self["rows"] = compiled, statements, rows


class Call:
    """One request that is being answered; transports derive their own from it."""

    caller: Caller = ANONYMOUS
    connection: Mapping[str, Any] | None = None
    """The connection that it came by, as ASGI has it: client, path, headers; None within the process."""
    account = ""
    """Whose budget it is on."""
    left: Left | None = None
    """What is left of that, once an operation is paid for; None where there are no budgets."""
    changes = False
    """Whether it is a mutation."""
    seen: RowsSeen | None = None
    """Of a mutation that is one transaction, what binds it to a preview."""
    authenticate: Callable[[], Awaitable[Caller]] | None = None
    """Says who asks now, where a credential may end before a subscription does."""
    client_left: Callable[[], Awaitable[object]] | None = None
    """Returns once nobody waits for the answer any more, where the transport can tell."""

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.headers: dict[str, str] = {}
        """What is sent beside the answer, where the transport has a place for it."""
        self.record = RequestRecord()
        self.record.started = time.perf_counter()

    @cached_property
    def reporter(self) -> Reporter:
        """Turns its errors into what is sent."""
        return Reporter(self.id)

    @property
    def address(self) -> str | None:
        """The network address that it came from, if any."""
        client = self.connection.get("client") if self.connection else None
        return client[0] if client else None

    def admit(self, kind: str) -> None:
        """Looks at the kind of an operation that is no query.

        Raises:
            RefusedError: The transport does not carry it.
        """
