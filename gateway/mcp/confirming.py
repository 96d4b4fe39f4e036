"""How a person is asked whether a change is to be made, and what is said where nobody can be.

``asking`` has the ways that clients of both eras have for that, by the protocol's SDK, which this module does without.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from db.store.previews import KeptPreview, PreviewStore
from gateway.mcp.envelope import ToolError
from schema.error_codes import ToolCode

ACCEPT, DECLINE, CANCEL = "accept", "decline", "cancel"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
"""What is to be filled in: nothing, to accept is the answer."""

Ask = Callable[[str, str], Awaitable[str]]
"""``(state, question)``: puts a question while the call waits; the answer."""


class Person(Protocol):
    """The person behind a client."""

    def said(self, kept: KeptPreview) -> str | None:
        """The answer that came with the call, None where it has none to the question that was put last."""
        ...

    async def ask(self, kept: KeptPreview, store: PreviewStore) -> str:
        """Puts the question of a preview; the answer: accept, decline or cancel.

        Raises:
            AnswerLater: The answer comes with another call.
            ToolError: Nobody can be asked.
        """
        ...


class Nobody:
    """Nobody can be asked over this connection."""

    def said(self, kept: KeptPreview) -> str | None:  # noqa: ARG002 - as of every person
        return None

    async def ask(self, kept: KeptPreview, store: PreviewStore) -> str:  # noqa: ARG002
        raise ToolError(
            ToolCode.CONFIRMATION_NEEDED,
            "A person has to confirm, and this client cannot ask one (elicitation).",
            f"Show the user what changes. Whoever runs the gateway approves it by `e2i-gateway previews approve "
            f"{kept.id}`; then call apply_change again.",
        )
