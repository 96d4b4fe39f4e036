"""The person of a client, asked by whatever way the client has for that.

Clients of 2026-07-28 get the question as the result of their call, and call again with the answer. Those before it are
asked while the call waits: over stdio by a request of the server's, over HTTP on the stream of the response.
"""

from __future__ import annotations

from typing import Any

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from db.store.previews import KeptPreview, PreviewStore
from gateway.mcp.confirming import SCHEMA, Ask, Nobody, Person
from gateway.mcp.envelope import ToolError
from schema.error_codes import ToolCode

SECONDS = 300.0
"""How long an answer is waited for while a call is open."""
_KEY = "confirm"


class AnswerLater(Exception):  # noqa: N818 - not a failure: the question is the result of the call
    """The call is answered by a question; the client calls again with what the person says."""

    def __init__(self, question: types.InputRequiredResult) -> None:
        super().__init__("a person is asked")
        self.question = question


class ByResult:
    """Asked by the result of the call, in the protocol of 2026-07-28."""

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
    """Asked while the call waits for the answer."""

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
    """The person behind a call; ``ask`` is the way to one that the transport has by itself, if it has one."""
    if ask is not None:
        return WhileWaiting(ask)
    if not can_ask(context.session.client_capabilities):
        return Nobody()
    if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return ByResult(given)
    if not context.session.can_send_request:
        return Nobody()

    async def by_request(_state: str, question: str) -> str:
        result = await context.session.elicit_form(question, SCHEMA, context.request_id)
        return result.action

    return WhileWaiting(by_request)


def can_ask(capabilities: types.ClientCapabilities | None) -> bool:
    """Whether a client can show a form; one that names no mode means that one."""
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)
