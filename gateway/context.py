"""The context of one operation: its caller, its loaders, its transactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from db.engine.engine import Identity, Reader
from db.engine.transaction import Transaction
from schema.catalogue.selection import Operation
from schema.execution.loaders import Loaders
from schema.graph.types import RequestContext
from schema.scopes import all_scopes
from schema.webhooks.manager import WebhookManager


@dataclass(frozen=True)
class Caller:
    """Who asks: a name for the record of changes, and what its roles and scopes allow."""

    name: str = "anonymous"
    scopes: frozenset[str] = frozenset()
    """What the caller may read and do, in full: those of the roles too."""
    roles: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What the credential says beside that, as it was verified."""
    identity: Identity | None = None
    """Whom the database takes the caller for, where its policies decide too."""
    until: float | None = None
    """The time (Unix) at which the credential ends; a connection that lasts longer has to end then."""

    def may(self, right: str) -> bool:
        """Whether the caller has a scope."""
        return right in self.scopes


ANONYMOUS = Caller(scopes=all_scopes())
"""Whoever reaches a gateway that asks nobody who he is, which listens to its own machine alone."""


@dataclass
class Context(RequestContext):
    """The context of one operation."""

    operation: Operation
    loaders: Loaders
    caller: Caller
    request_id: str
    begin: Callable[[], AbstractAsyncContextManager[Transaction]]
    """Opens the transaction of a mutation's root field."""
    key_hours: float
    """How long an idempotency key is kept."""
    after: Callable[[], AbstractAsyncContextManager[Reader]]
    """A snapshot of what is committed, on which the rest of a change's answer is read."""
    webhooks: WebhookManager
    """What keeps receivers of webhooks."""
    answer_timeout: float
    """Seconds for which the answer of a change is read inside its transaction."""
    transaction: Transaction = field(init=False)
    """The transaction of the mutation's root field that is being executed, or of all of them."""
