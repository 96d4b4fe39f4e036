"""``describe_type`` and ``find_fields``: the graph itself, in as few words as say it."""

from __future__ import annotations

from typing import Any

from gateway.mcp.arguments import ToolArgument
from gateway.mcp.envelope import Envelope, ToolError, listed
from gateway.mcp.operations import ToolCall
from gateway.mcp.toolbox import AgentTool, Toolbox
from schema.error_codes import ToolCode

MOST_FIELDS_BYTES = 1_200
"""Bytes of what is found: 350 tokens of text as dense as this."""


async def _describe(box: Toolbox, _call: ToolCall, given: dict[str, Any]) -> Envelope:
    known = box.schema.graphql.type_map
    cards = []
    for name in dict.fromkeys(given["names"]):
        if name not in known or name.startswith("__"):
            near = box.like(name, {one for one in known if not one.startswith("__")})
            advice = f"Did you mean {listed(near)}?" if near else "Use find_fields with a word of what you look for."
            raise ToolError(ToolCode.UNKNOWN_TYPE, f"There is no type {name[:60]!r}.", advice)
        wanted = given["fields"] or ()
        has = getattr(known[name], "fields", {})
        if wanted and not any(one in has for one in wanted):
            near = box.like(wanted[0], set(has))
            advice = f"Did you mean {listed(near)}?" if near else "Leave fields out to see all of them."
            raise ToolError(ToolCode.UNKNOWN_FIELD, f"{name} has no field {wanted[0][:60]!r}.", advice)
        cards.append(box.cards.card(name, wanted))
    return Envelope(cards)


DESCRIBE_TYPE = AgentTool(
    "describe_type",
    "Cards of types, inputs or enums: roots, fields <unit>, relations. With fields: these, with descriptions.",
    (
        ToolArgument("names", "strings", required=True, most=4),
        ToolArgument("fields", "strings", most=30),
    ),
    _describe,
)


async def _find_fields(box: Toolbox, _call: ToolCall, given: dict[str, Any]) -> Envelope:
    if given["type"]:
        box.check_types([given["type"]])
    lines, room = [], MOST_FIELDS_BYTES
    found = box.fields.find(given["text"], given["type"], given["limit"])
    for line in found:
        room -= len(line.encode()) + 3
        if room < 0:
            break
        lines.append(line)
    envelope = Envelope(lines)
    if not lines:
        envelope.warnings.append("Nothing fits: use other words, of what is measured or done.")
    return envelope


FIND_FIELDS = AgentTool(
    "find_fields",
    "Fields for words: Type.field: Kind <unit> (values) [root].",
    (
        ToolArgument("text", "string", "what you look for", required=True, most=200),
        ToolArgument("type", "string", most=100),
        ToolArgument("limit", "integer", default=12, least=1, most=30),
    ),
    _find_fields,
)
