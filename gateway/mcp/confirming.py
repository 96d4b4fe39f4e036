"""The interface for confirmation of a change by a person, and the refusal where none can be asked.

``elicitation`` implements it with the protocol's SDK for both eras of clients; this module does not import the SDK.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from db.store.previews import KeptPreview, PreviewStore
from gateway.mcp.envelope import ToolError
from schema.error_codes import ToolCode

ACCEPT, DECLINE, CANCEL = "accept", "decline", "cancel"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
"""The JSON Schema of the form: no fields, since accepting is the answer."""

Ask = Callable[[str, str], Awaitable[str]]
"""``(state, question)``: asks during the call; returns the answer."""


class Person(Protocol):
    """The person behind a client."""

    def said(self, kept: KeptPreview) -> str | None:
        """The answer that the call carries to the last question, None if it has none."""
        ...

    async def ask(self, kept: KeptPreview, store: PreviewStore) -> str:
        """Asks the question of a preview; returns accept, decline or cancel.

        Raises:
            AnswerLater: The answer comes with another call.
            ToolError: No person can be asked.
        """
        ...


class NoPerson:
    """A connection over which no person can be asked."""

    def said(self, kept: KeptPreview) -> str | None:  # noqa: ARG002 - part of the interface
        return None

    async def ask(self, kept: KeptPreview, store: PreviewStore) -> str:  # noqa: ARG002
        raise ToolError(
            ToolCode.CONFIRMATION_NEEDED,
            "A person has to confirm, and this client cannot ask one (elicitation).",
            f"Show the user what changes. Whoever runs the gateway approves it by `e2i-gateway previews approve "
            f"{kept.id}`; then call apply_change again.",
        )
