"""Confirmation by the person behind a client, by the method that its protocol version has.

Clients of 2026-07-28 receive the question as the result of their call, and call again with the answer. Earlier clients
are asked during the call: over stdio by a server request, over HTTP on the response's stream.
"""

from __future__ import annotations

from typing import Any

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from db.store.previews import KeptPreview, PreviewStore
from gateway.mcp.confirming import SCHEMA, Ask, NoPerson, Person
from gateway.mcp.envelope import ToolError
from schema.error_codes import ToolCode

SECONDS = 300.0
"""Seconds for which a call waits for the answer."""
_KEY = "confirm"


class AnswerLater(Exception):  # noqa: N818 - not a failure: the question is the result of the call
    """The result of the call is a question; the client calls again with the answer."""

    def __init__(self, question: types.InputRequiredResult) -> None:
        super().__init__("a person is asked")
        self.question = question


class ByResult:
    """Asks by the result of the call (protocol 2026-07-28)."""

    def __init__(self, given: types.CallToolRequestParams) -> None:
        self._responses = given.input_responses or {}
        self._state = given.request_state

    def said(self, kept: KeptPreview) -> str | None:
        response = self._responses.get(_KEY)
        if kept.asked is None or self._state != kept.asked or not isinstance(response, types.ElicitResult):
            return None
        return response.action

    async def ask(self, kept: KeptPreview, store: PreviewStore) -> str:
        state = await store.ask(kept.id)
        form = types.ElicitRequestFormParams(message=kept.question, requested_schema=SCHEMA)
        request = types.ElicitRequest(params=form)
        raise AnswerLater(types.InputRequiredResult(input_requests={_KEY: request}, request_state=state))


class WhileWaiting:
    """Asks during the call, and waits for the answer."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def said(self, kept: KeptPreview) -> str | None:  # noqa: ARG002
        return None

    async def ask(self, kept: KeptPreview, store: PreviewStore) -> str:
        state = await store.ask(kept.id)
        try:
            with anyio.fail_after(SECONDS):
                return await self._ask(state, kept.question)
        except (TimeoutError, MCPError):
            raise ToolError(
                ToolCode.CONFIRMATION_NEEDED,
                "No answer of the person came back; nothing was changed.",
                "Ask the user, then call apply_change again with the same previewId.",
            ) from None


def person_of(context: ServerRequestContext[Any, Any], given: types.CallToolRequestParams, ask: Ask | None) -> Person:
    """The confirmation method for a call; ``ask`` is the transport's own, if it has one."""
    if ask is not None:
        return WhileWaiting(ask)
    if not can_ask(context.session.client_capabilities):
        return NoPerson()
    if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return ByResult(given)
    if not context.session.can_send_request:
        return NoPerson()

    async def by_request(_state: str, question: str) -> str:
        result = await context.session.elicit_form(question, SCHEMA, context.request_id)
        return result.action

    return WhileWaiting(by_request)


def can_ask(capabilities: types.ClientCapabilities | None) -> bool:
    """Whether a client can show a form; an elicitation capability without modes means forms."""
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)
