"""What the graph needs of whoever sends webhooks, and who may ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from db.store.webhooks import Run
from schema.error_codes import ErrorCode
from schema.errors import GatewayError, forbidden
from schema.scopes import WEBHOOKS


class WebhookManager(Protocol):
    """Keeps receivers, by the same rules for mutations as for the command line.

    Methods raise a `WebhookError` that says what of the input cannot be used.
    """

    @property
    def enabled(self) -> bool:
        """Whether this gateway may be the one that sends."""

    async def create(
        self, run: Run, name: str, url: str, topic: str, filters: Mapping[str, Any], format_: str, by: str | None = None
    ) -> str:
        """Makes a receiver; returns its secret, once."""

    async def change(self, run: Run, name: str, url: str | None, filters: Mapping[str, Mapping[str, Any]]) -> None:
        """Has its messages posted elsewhere, or others of its topic; ``filters`` are by topic, one at most."""

    async def rotate(self, run: Run, name: str, hours: float) -> str:
        """Gives it a new secret; returns it, once."""

    async def send_again(self, run: Run, name: str, id_: str | None) -> int:
        """Has dead messages sent again, one or all; how many."""

    def reading(self) -> AbstractAsyncContextManager[Run]:
        """What reads receivers and messages, in the gateway's own rights."""


def check(manager: WebhookManager) -> None:
    """Refuses where nothing would be sent.

    Raises:
        GatewayError: ``WEBHOOKS_OFF``.
    """
    if not manager.enabled:
        raise GatewayError(ErrorCode.WEBHOOKS_OFF)


def check_reader(context: Any) -> None:
    """Refuses who may not read of webhooks, and where there are none.

    Raises:
        GatewayError: ``FORBIDDEN_FIELD`` or ``WEBHOOKS_OFF``.
    """
    if not context.caller.may(WEBHOOKS):
        raise forbidden(WEBHOOKS)
    check(context.webhooks)
