"""The graph's interface to the sender of webhooks, and its permissions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from db.store.webhooks import Run
from schema.error_codes import ErrorCode
from schema.errors import GatewayError, forbidden
from schema.scopes import WEBHOOKS


class WebhookManager(Protocol):
    """Manages receivers, by the same rules for mutations and the command line.

    Methods raise a `WebhookError` that names the invalid input.
    """

    @property
    def enabled(self) -> bool:
        """Whether this gateway may send webhooks."""

    async def create(
        self, run: Run, name: str, url: str, topic: str, filters: Mapping[str, Any], format_: str, by: str | None = None
    ) -> str:
        """Creates a receiver; returns its secret, once."""

    async def change(self, run: Run, name: str, url: str | None, filters: Mapping[str, Mapping[str, Any]]) -> None:
        """Changes the URL or the filters of a receiver; ``filters`` are by topic, one at most."""

    async def rotate(self, run: Run, name: str, hours: float) -> str:
        """Gives a receiver a new secret; returns it, once."""

    async def send_again(self, run: Run, name: str, id_: str | None) -> int:
        """Queues dead messages again, one or all; returns their number."""

    def reading(self) -> AbstractAsyncContextManager[Run]:
        """Reads receivers and messages, with the gateway's own rights."""


def check(manager: WebhookManager) -> None:
    """Refuses if webhooks are not sent.

    Raises:
        GatewayError: ``WEBHOOKS_OFF``.
    """
    if not manager.enabled:
        raise GatewayError(ErrorCode.WEBHOOKS_OFF)


def check_reader(context: Any) -> None:
    """Refuses callers who may not read webhooks, and if none are sent.

    Raises:
        GatewayError: ``FORBIDDEN_FIELD`` or ``WEBHOOKS_OFF``.
    """
    if not context.caller.may(WEBHOOKS):
        raise forbidden(WEBHOOKS)
    check(context.webhooks)
