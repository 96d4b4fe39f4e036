"""Resources and prompts of the protocol: the outline of the graph, groups, cards of types, lifecycles, prompts."""

from __future__ import annotations

from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from db.base.entity import RowClass, camel, derived, entities
from db.base.lifecycles import Lifecycle, lifecycles
from db.base.markers import Group
from gateway.mcp.cards import CARD_BYTES
from gateway.mcp.envelope import shortened
from gateway.mcp.toolbox import Toolbox
from schema.names.shapes import listed

OUTLINE, GROUPS, TYPES, LIFECYCLES = "e2i://outline", "e2i://groups/", "e2i://types/", "e2i://lifecycles/"
_TEMPLATES = {
    "group": (GROUPS, f"The types of a group: {', '.join(Group)}"),
    "type": (TYPES, "The card of a type"),
    "lifecycle": (LIFECYCLES, "The states and moves of a type's rows"),
}
_ABOUT = 80
"""Characters about a type in its group."""
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
        """Groups, cards of types and lifecycles; none where introspection is off."""
        if not self._box.settings.introspection:
            return types.ListResourceTemplatesResult(resource_templates=[])
        made = [
            types.ResourceTemplate(uri_template=uri + "{name}", name=name, description=about, mime_type="text/plain")
            for name, (uri, about) in _TEMPLATES.items()
        ]
        return types.ListResourceTemplatesResult(resource_templates=made)

    async def read(self, _context: Any, given: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        """The text of a resource.

        Raises:
            MCPError: There is no resource with this URI.
        """
        uri = str(given.uri)
        place, slash, name = uri.rpartition("/")
        if not self._box.settings.introspection:
            message = "There are no resources: the schema is not shown here."
            raise MCPError(code=INVALID_PARAMS, message=message, data={"uri": uri[:MAX_URI]})
        text = self.outline() if uri == OUTLINE else self._named(f"{place}{slash}", name)
        if text is None:
            message = (
                f"There is no such resource; there are {OUTLINE}, {TYPES} and {LIFECYCLES} with the name of a type"
            )
            message += f", and {GROUPS} with one of {', '.join(Group)}."
            raise MCPError(code=INVALID_PARAMS, message=message, data={"uri": uri[:MAX_URI]})
        return types.ReadResourceResult(
            contents=[types.TextResourceContents(uri=uri, mime_type="text/plain", text=text)]
        )

    def _named(self, place: str, name: str) -> str | None:
        """The text of a group, a type or the lifecycles of a type; None if there is no such one."""
        known = self._box.schema.graphql.type_map
        if place == GROUPS and name in set(Group):
            return self._group(Group(name))
        if place == TYPES and name in known and not name.startswith("__"):
            return self._box.cards.card(name)
        moved = [one for one in lifecycles() if one.entity == name]
        return "\n".join(map(_moves, moved)) if place == LIFECYCLES and moved else None

    def _group(self, group: Group) -> str:
        """The types of a group, each with its subject."""
        rows: dict[str, RowClass] = {**entities(), **derived()}
        types_ = [self._box.schema.catalogue[name] for name, one in rows.items() if one.__group__ is group]
        lines = [f"{one.name}: {shortened(one.description.partition('. ')[0], _ABOUT)}" for one in types_]
        return "\n".join([f"{group.value}: {group.about}", *lines])

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


def _moves(lifecycle: Lifecycle) -> str:
    """The moves of a lifecycle, each with the mutations that make it, and the codes of what blocks a state."""
    lines = [f"{lifecycle.entity}.{camel(lifecycle.column)}: begins as {lifecycle.initial.name}"]
    for origin, targets in lifecycle.moves.items():
        ways = []
        for to in targets:
            by = [one.name for one in lifecycle.changes if not one.to or to in one.to]
            ways.append(f"{to.name} ({' or '.join(by)})" if by else to.name)
        lines += [f"{origin.name} -> {', '.join(ways)}"] if ways else []
    for word, steps in (("to", lifecycle.entering), ("from", lifecycle.leaving)):
        for state, step in steps.items():
            if step.guards:
                lines.append(f"{word} {state.name} unless {', '.join(guard.code for guard in step.guards)}")
    return "\n".join([*lines, *(one.doc for one in lifecycle.lapses)])


def _arguments(name: str) -> list[types.PromptArgument]:
    return [types.PromptArgument(name=name, description="its id", required=True)] if name else []
