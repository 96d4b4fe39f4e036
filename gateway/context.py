"""The context of one operation: its caller, its loaders, its transactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from db.engine.readers import Identity, Reader
from db.engine.transaction import Transaction
from schema.catalogue.selection import Operation
from schema.execution.loaders import Loaders
from schema.graph.types import RequestContext
from schema.scopes import all_scopes
from schema.webhooks.manager import WebhookManager


@dataclass(frozen=True)
class Caller:
    """The caller of an operation: a name for the record of changes, and the scopes of its roles and credential."""

    name: str = "anonymous"
    scopes: frozenset[str] = frozenset()
    """The caller's scopes, those of its roles included."""
    roles: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Other verified claims of the credential."""
    identity: Identity | None = None
    """The database role and claims that row policies apply to, if they do."""
    until: float | None = None
    """The time (Unix) at which the credential expires; longer connections are closed then."""

    def may(self, right: str) -> bool:
        """Whether the caller has a scope."""
        return right in self.scopes


ANONYMOUS = Caller(scopes=all_scopes())
"""The caller without authentication, which is possible on loopback addresses alone."""


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
    """How long an idempotency key is valid."""
    after: Callable[[], AbstractAsyncContextManager[Reader]]
    """A snapshot of the committed state, on which the rest of a change's answer is read."""
    webhooks: WebhookManager
    """Manages receivers of webhooks."""
    answer_timeout: float
    """Seconds for which a change's answer is read inside its transaction."""
    transaction: Transaction = field(init=False)
    """The transaction of the mutation's root field that is being executed, or of all of them."""
