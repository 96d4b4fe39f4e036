"""Resources and prompts of the protocol: the outline of the graph, cards of types, prompts."""

from __future__ import annotations

from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.mcp.cards import CARD_BYTES
from gateway.mcp.toolbox import Toolbox
from schema.names.shapes import listed

OUTLINE, TYPES = "e2i://outline", "e2i://types/"
MAX_URI = 200
"""Characters of a URI that are repeated in an error."""
_PROMPTS: dict[str, tuple[str, str, str]] = {
    "triage": (
        "What is at risk in production now, and what to do first",
        "",
        """Use answer models_at_risk, then drifted_features. Of the worst model look at lineage DOWNSTREAM to say what
        depends on it. Name the ids of models and alerts that you rely on, say what you could not see (complete: false),
        and propose one next step each. Change nothing.""",
    ),
    "rollback_review": (
        "Whether a deployment should go back to the one before it",
        "deployment",
        """Use answer rollback_candidates and compare_models on the two models of the deployment {deployment}. Mind
        units and splits. Say for and against, with ids as evidence, and what a rollback would touch (query impact).""",
    ),
    "gate_review": (
        "Whether an estimate may be used, by the causal gate and its reviews",
        "estimate",
        """Use answer explain_gate for {estimate}. Check each review's validUntil against asOf. Say the decision, what
        it rests on and what is missing, with ids.""",
    ),
    "retraining_plan": (
        "What a model's retraining would rest on",
        "model",
        """For the model {model}: its open alerts and drifted features, its last retrainings with old and new metric,
        its experiment's success criteria. Say whether retraining is due, on which evidence, and how success would be
        judged.""",
    ),
}
"""By name: the purpose, the required argument, and the text."""


class ReferenceShelf:
    """Resources and prompts, which are the same for all callers: they contain no text of a row."""

    def __init__(self, box: Toolbox) -> None:
        self._box = box

    async def resources(self, _context: Any, _given: Any) -> types.ListResourcesResult:
        """The resource without parameters; none if introspection is off."""
        if not self._box.settings.introspection:
            return types.ListResourcesResult(resources=[])
        outline = types.Resource(
            uri=OUTLINE, name="outline", description="All types of rows, by their roots", mime_type="text/plain"
        )
        return types.ListResourcesResult(resources=[outline])

    async def templates(self, _context: Any, _given: Any) -> types.ListResourceTemplatesResult:
        """Cards of types; none where introspection is off."""
        if not self._box.settings.introspection:
            return types.ListResourceTemplatesResult(resource_templates=[])
        card = types.ResourceTemplate(
            uri_template=TYPES + "{name}", name="type", description="The card of a type", mime_type="text/plain"
        )
        return types.ListResourceTemplatesResult(resource_templates=[card])

    async def read(self, _context: Any, given: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        """The text of a resource.

        Raises:
            MCPError: There is no resource with this URI.
        """
        uri = str(given.uri)
        name = uri.removeprefix(TYPES)
        if not self._box.settings.introspection:
            message = "There are no resources: the schema is not shown here."
            raise MCPError(code=INVALID_PARAMS, message=message, data={"uri": uri[:MAX_URI]})
        known = self._box.schema.graphql.type_map
        if uri == OUTLINE:
            text = self.outline()
        elif uri.startswith(TYPES) and name in known and not name.startswith("__"):
            text = self._box.cards.card(name)
        else:
            message = f"There is no such resource; there are {OUTLINE} and {TYPES} with the name of a type."
            raise MCPError(code=INVALID_PARAMS, message=message, data={"uri": uri[:MAX_URI]})
        return types.ReadResourceResult(
            contents=[types.TextResourceContents(uri=uri, mime_type="text/plain", text=text)]
        )

    def outline(self) -> str:
        """The row types within the bytes of a card; views and derived types are left to describe_type."""
        names = [type_.name for type_ in self._box.schema.catalogue if not type_.is_view]
        head = "Types of rows; each has a root for one (model) and for many (models). describe_type shows a type.\n"
        text = head + ", ".join(names)
        return text if len(text.encode()) <= CARD_BYTES else head + listed(names, 50)

    async def prompts(self, _context: Any, _given: Any) -> types.ListPromptsResult:
        """All prompts."""
        return types.ListPromptsResult(
            prompts=[
                types.Prompt(name=name, description=about, arguments=_arguments(argument))
                for name, (about, argument, _) in _PROMPTS.items()
            ]
        )

    async def prompt(self, _context: Any, given: types.GetPromptRequestParams) -> types.GetPromptResult:
        """A prompt with its argument filled in.

        Raises:
            MCPError: There is no such prompt, or its argument is missing.
        """
        if given.name not in _PROMPTS:
            raise MCPError(code=INVALID_PARAMS, message=f"There is no such prompt; there are {listed(_PROMPTS)}.")
        about, argument, lines = _PROMPTS[given.name]
        text = " ".join(lines.split())
        value = (given.arguments or {}).get(argument, "")
        if argument and not value.strip():
            raise MCPError(code=INVALID_PARAMS, message=f"The prompt {given.name} needs {argument}: the id of one.")
        filled = text.replace(f"{{{argument}}}", value[:200]) if argument else text
        content = types.TextContent(type="text", text=filled)
        return types.GetPromptResult(description=about, messages=[types.PromptMessage(role="user", content=content)])


def _arguments(name: str) -> list[types.PromptArgument]:
    return [types.PromptArgument(name=name, description="its id", required=True)] if name else []
