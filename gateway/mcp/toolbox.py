"""What tools share: running operations, making envelopes, and the definition of a tool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from db.store.previews import PreviewStore
from gateway.mcp.arguments import ToolArgument
from gateway.mcp.cards import Cards
from gateway.mcp.changing import ChangeReport
from gateway.mcp.columns import Columns
from gateway.mcp.envelope import Envelope, ToolError
from gateway.mcp.letter_case import case_hints
from gateway.mcp.mutations import MutationNames, agent_mutations
from gateway.mcp.operations import Operations, ToolCall, failure
from gateway.mcp.out_of_use import OutOfUse
from gateway.mcp.presenting import Presenter, Told
from gateway.mcp.reading import Reading, parsed, read
from gateway.operations.refusals import RefusedError
from gateway.operations.service import OperationService
from gateway.settings import Settings
from schema.error_codes import ErrorCode, ToolCode
from schema.fields.search import searchable
from schema.names.shapes import listed
from schema.schema import Schema

LEAST_BYTES, BYTES, MOST_BYTES = 500, 8_000, 40_000
"""The least, the default and the largest size of a result in bytes."""
_KEPT = 256


class Toolbox:
    """The graph for tools."""

    def __init__(self, schema: Schema, service: OperationService, settings: Settings, previews: PreviewStore) -> None:
        self.previews = previews
        self.schema = schema
        self.settings = settings
        self.may_change = settings.mcp == "change"
        self.columns = Columns(schema)
        self.mutations = agent_mutations(schema.graphql)
        self.cards = Cards(schema.graphql, self.columns, self.mutations if self.may_change else {})
        self.operations = Operations(service, settings)
        self.changes = ChangeReport(schema, self.columns)
        self.searched = frozenset(searchable(schema.catalogue))
        """The types that `search` covers."""
        self._service = service
        self._presenter = Presenter(self.columns)
        self._out_of_use = OutOfUse(schema.catalogue)
        self._readings: dict[str, Reading] = {}

    @cached_property
    def mutation_names(self) -> MutationNames:
        """Finds mutations by words."""
        return MutationNames(self.schema)

    async def ask(
        self,
        call: ToolCall,
        document: str,
        variables: Mapping[str, Any] | None = None,
        budget: int = BYTES,
        *,
        own: bool = True,
        before: Sequence[str] = (),
        single: frozenset[str] = frozenset(),
        told: Told | None = None,
    ) -> Envelope:
        """The envelope of a query's result, with the warnings ``before`` its own; of lists named in ``single`` the
        first row is shown alone; ``told`` adds how lists are continued. A document that is not the tool's ``own`` may
        have to be trusted.

        Raises:
            ToolError: It is not a query, is refused, or has no result within the budget.
        """
        trusted = own or self._is_trusted(call, document)
        reading = self._reading(call, document)
        answer = await self.operations.run(call, reading.text, variables, own=trusted)
        if not own:
            stopped = {cut["path"][0] for cut in answer.get("extensions", {}).get("more", ())}
            whole = {key: value for key, value in (answer["data"] or {}).items() if key not in stopped}
            hints = case_hints(document, variables, whole, self.schema.graphql, self.columns)
            before = [*before, *hints, *self._out_of_use.hints(document, reading.root)]
        return self._presenter.envelope(answer, reading.root, variables or {}, budget, before, single, told)

    def _is_trusted(self, call: ToolCall, document: str) -> bool:
        try:
            return self._service.planner.is_trusted(document)
        except RefusedError as error:
            raise self._refused(call, error) from None

    def check_trusted_mutations(self, names: list[str]) -> None:
        """Checks that these mutations may be run where only trusted documents are.

        Raises:
            ToolError: No trusted document contains one of them.
        """
        trusted = self._service.planner.trusted_changes()
        if trusted is not None and (others := [name for name in names if name not in trusted]):
            raise ToolError(
                ErrorCode.DOCUMENT_NOT_TRUSTED,
                f"No trusted document has the mutation {others[0]}, and only those are answered here.",
                f"Use one of: {listed(sorted(trusted))}." if trusted else "Nothing can be changed by a tool here.",
            )

    def _refused(self, call: ToolCall, error: RefusedError) -> ToolError:
        call.record["refused"] = [(each.extensions or {}).get("code") for each in error.errors]
        return failure([call.reporter.public(each) for each in error.errors], self.settings)

    def _reading(self, call: ToolCall, document: str) -> Reading:
        """A document with the added fields; the last ones are cached."""
        if kept := self._readings.get(document):
            return kept
        ast, _ = parsed(document, self.settings)
        try:
            self._service.documents.get(document)
        except RefusedError as error:  # for the document as sent, without the added fields
            raise self._refused(call, error) from None
        made = read(self.schema.graphql, ast, self.settings)
        while len(self._readings) >= _KEPT:
            del self._readings[next(iter(self._readings))]
        if len(document) <= MOST_BYTES:
            self._readings[document] = made
        return made

    def check_types(self, names: list[str]) -> None:
        """Checks that these are types of rows.

        Raises:
            ToolError: One is not.
        """
        known = {type_.name for type_ in self.schema.catalogue}
        if wrong := [name for name in names if name not in known]:
            message = f"There is no type {wrong[0][:60]!r} of rows."
            if not self.settings.introspection:
                raise ToolError(ToolCode.UNKNOWN_TYPE, message, "Name a type that an answer has named.")
            raise ToolError(ToolCode.UNKNOWN_TYPE, message, self.schema.suggestions.type(wrong[0]).text or SEARCH)


SEARCH = "Use find_fields with a word of what you look for."


@dataclass(frozen=True)
class AgentTool:
    """A tool: its name, its description for models, and its function."""

    name: str
    description: str
    arguments: tuple[ToolArgument, ...]
    run: Callable[[Toolbox, ToolCall, dict[str, Any]], Awaitable[Envelope]]
    shows_schema: bool = False
    """Whether it shows the schema, and is absent if introspection is off."""
    changes: bool = False
    """Whether it belongs to changes, which ``GATEWAY_MCP=change`` enables."""
    destructive: bool = False
    """Whether it changes data itself."""
