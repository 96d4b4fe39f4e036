"""GraphQL operations for the caller of a tool, executed in process by the service of all transports."""

from __future__ import annotations

import time
from collections.abc import Mapping
from random import getrandbits
from typing import Any

from gateway.context import Caller
from gateway.mcp.confirming import NoPerson, Person
from gateway.mcp.envelope import ToolError
from gateway.observability.logging import request_id as current_request_id
from gateway.operations.call import Call
from gateway.operations.observers import AGENTS
from gateway.operations.refusals import RefusedDocumentError, RefusedError
from gateway.operations.service import OperationService
from gateway.settings import Settings
from schema.error_codes import ErrorCode
from schema.errors import GatewayError


class ToolCall(Call):
    """A call of a tool; its operations count as one request in the log and the metrics."""

    def __init__(self, caller: Caller, connection: Mapping[str, Any] | None) -> None:
        super().__init__(f"{getrandbits(128):032x}")
        self.caller = caller
        self.connection = connection
        self.record["caller"] = caller.name
        self.person: Person = NoPerson()
        self.may_change = False
        """Whether the running operation is a previewed change, or its preview."""

    def admit(self, kind: str) -> None:
        """Admits queries, and mutations that the tools of changes run themselves."""
        if self.may_change and kind == "mutation":
            return
        raise RefusedDocumentError(GatewayError(ErrorCode.BAD_USER_INPUT, f"A {kind} cannot be run by a tool."))


class Operations:
    """Runs the operations of tools."""

    def __init__(self, service: OperationService, settings: Settings) -> None:
        self.service = service
        self._settings = settings

    async def run(
        self, call: ToolCall, document: str, variables: Mapping[str, Any] | None = None, *, own: bool = True
    ) -> dict[str, Any]:
        """The response to an operation as plain values: ``data``, ``errors`` if any, ``extensions``.

        ``own`` says that the document is the tool's own, or was trusted as it was sent: it is then answered where only
        trusted documents are.

        Raises:
            ToolError: The operation was refused, has no data, or exceeded its time.
        """
        current_request_id.set(call.id)
        try:
            parameters = self.service.parameters({"query": document, "variables": dict(variables or {})})
            answer = await self.service.run(parameters._replace(own=own), call)
        except RefusedError as error:
            call.record["refused"] = [(each.extensions or {}).get("code") for each in error.errors]
            call.record.setdefault("status", error.status)
            raise failure([call.reporter.public(each) for each in error.errors], self._settings) from None
        values = answer.as_values()
        if values.get("errors") and not any(one is not None for one in (values.get("data") or {}).values()):
            raise failure(values["errors"], self._settings)
        return values

    def finished(self, call: ToolCall, tool: str) -> None:
        """Notifies observers that a tool has answered; a call without operations is not counted as a request."""
        record = call.record
        if "statements" not in record and "refused" not in record:
            return
        record["tool"] = tool
        record["milliseconds"] = round((time.perf_counter() - record.started) * 1000, 2)
        self.service.finished(call, AGENTS, record.pop("status", 200))


def failure(errors: list[dict[str, Any]], settings: Settings) -> ToolError:
    """The errors of an operation as one error of a tool; equal messages are merged."""
    shown = settings.introspection
    found: dict[str, tuple[str, str]] = {}
    for error in errors:
        code = str(error.get("extensions", {}).get("code", ErrorCode.INTERNAL))
        message, advice = _told(error["message"], code, shown=shown)
        found.setdefault(message, (message, advice))
    first, *others = found.values()
    code = str(errors[0].get("extensions", {}).get("code", ErrorCode.INTERNAL))
    return ToolError(code, *first, *others)


def _told(message: str, code: str, *, shown: bool) -> tuple[str, str]:
    """A message split into the problem and the advice, where it has both as sentences.

    ``shown`` says whether tools that show the schema are available.
    """
    if code == ErrorCode.GRAPHQL_VALIDATION_FAILED and not shown:
        return message, "Use names that an answer of answer, find or lineage has used."
    head, separator, rest = message.partition(". ")
    if code == ErrorCode.GRAPHQL_VALIDATION_FAILED and rest.startswith(_RIGHT):
        return f"{head}.", rest
    if code in _ADVICE:
        return message, _ADVICE[code]
    if not separator:
        head, separator, rest = message.partition("; ")
    return (f"{head}.", rest) if separator else (message, "Change what it says, then call again.")


_RIGHT = ("Did you mean", "Such as", "Its values", "Its fields", "Aggregates stand")
"""Beginnings of the advice in validation errors."""
_ADVICE: dict[str, str] = {
    ErrorCode.GRAPHQL_VALIDATION_FAILED: "find_fields names the right field, describe_type all of a type.",
    ErrorCode.GRAPHQL_PARSE_FAILED: "Send one GraphQL query such as { models(first: 5) { nodes { id modelName } } }.",
    ErrorCode.REQUEST_TIMEOUT: "Ask for fewer rows or fields.",
    ErrorCode.OVERLOADED: "Call again in a few seconds.",
    ErrorCode.DATABASE_UNAVAILABLE: "Call again in a minute.",
    ErrorCode.DATABASE_DIVERGED: "Tell whoever runs the gateway.",
    ErrorCode.COST_LIMIT: "Lower `first` on the lists along the path.",
    ErrorCode.FORBIDDEN_FIELD: "Leave the field out; whoever runs the gateway grants scopes.",
    ErrorCode.DOCUMENT_NOT_TRUSTED: "Use answer, find, similar or lineage, or a trusted document to the letter.",
    ErrorCode.OUTCOME_UNKNOWN: "Call apply_change again: what was made is not made twice.",
    ErrorCode.ANSWER_UNREAD: "It was changed. Call apply_change again: it is not made twice.",
    ErrorCode.INTERNAL: "It is in the gateway's log; ask another way.",
}
