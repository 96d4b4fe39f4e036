"""``describe_type`` and ``find_fields``: the schema, in short."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, takewhile
from typing import Any

from graphql import GraphQLObjectType, is_input_object_type

from gateway.mcp.arguments import ToolArgument
from gateway.mcp.envelope import Envelope, ToolError
from gateway.mcp.operations import ToolCall
from gateway.mcp.toolbox import SEARCH, AgentTool, Toolbox
from schema.catalogue.catalogue import CHANGES
from schema.error_codes import ToolCode
from schema.names.find import FoundField
from schema.names.words import stem, words

MOST_FIELDS_BYTES = 1_200
"""Bytes of a result: 350 tokens of text of this density."""


_CHANGES = 4
"""Mutations that are listed before fields, if the text asks for a change."""


async def _describe(box: Toolbox, _call: ToolCall, given: dict[str, Any]) -> Envelope:
    known = box.schema.graphql.type_map
    cards = []
    for name in dict.fromkeys(given["names"]):
        if (card := box.cards.mutation(name)) is not None:
            cards.append(card)
            continue
        if name not in known or name.startswith("__"):
            advice = box.schema.suggestions.type(name).text or SEARCH
            raise ToolError(ToolCode.UNKNOWN_TYPE, f"There is no type {name[:60]!r}.", advice)
        wanted = given["fields"] or ()
        has = getattr(known[name], "fields", {})
        if wanted and not any(one in has for one in wanted):
            meant = box.schema.suggestions
            near = meant.input_field if is_input_object_type(known[name]) else meant.field
            advice = near(name, wanted[0]).text or "Leave fields out to see all of them."
            raise ToolError(ToolCode.UNKNOWN_FIELD, f"{name} has no field {wanted[0][:60]!r}.", advice)
        cards.append(box.cards.card(name, wanted))
    return Envelope(cards)


DESCRIBE_TYPE = AgentTool(
    "describe_type",
    "Cards of types, inputs, enums, mutations: roots, fields <unit>, relations. With fields: these, with descriptions.",
    (
        ToolArgument("names", "strings", required=True, most=4),
        ToolArgument("fields", "strings", most=30),
    ),
    _describe,
    shows_schema=True,
)


async def _find_fields(box: Toolbox, _call: ToolCall, given: dict[str, Any]) -> Envelope:
    if given["type"]:
        box.check_types([given["type"]])
    changes = box.mutation_names.find(given["text"], _CHANGES) if box.may_change and not given["type"] else []
    fields = box.schema.finder.find(given["text"], given["type"], given["limit"])
    ways = _ways(box, given["text"], fields)[: given["limit"] - 1]
    lines, room = [], MOST_FIELDS_BYTES - sum(len(one.encode()) + 3 for one in ways)
    for found in (*changes, *fields)[: given["limit"] - len(ways)]:
        line = _line(box, found)
        room -= len(line.encode()) + 3
        if room < 0:
            break
        lines.append(line)
    envelope = Envelope([*lines[:1], *ways, *lines[1:]])
    if also := _also(box, fields, room):
        envelope.data.append(also)
    if not lines:
        envelope.warnings.append("Nothing fits: use other words, of what is measured or done.")
    return envelope


def _also(box: Toolbox, found: Sequence[FoundField], room: int) -> str:
    """The names of other fields of the type with the most hits, as many as fit: a question in other words than the
    schema's finds the type more often than the field.
    """
    named = Counter(one.leads_to if one.type == "Query" else one.type for one in found)
    types = [name for name, _ in named.most_common() if name in box.schema.catalogue.types]
    if not types:
        return ""
    said = {one.name for one in found if one.type == types[0]}
    columns = box.schema.catalogue[types[0]].columns.values()
    names = [one.name for one in columns if one.is_own and one.name not in said and not _OF_EVERY_ROW.search(one.name)]
    line = f"{types[0]} also has: "
    fitting = list(takewhile(lambda size: len(line) + size < room - 3, accumulate(len(name) + 2 for name in names)))
    return f"{line}{', '.join(names[: len(fitting)])}" if len(fitting) >= _WORTH else ""


_OF_EVERY_ROW = re.compile("(?:^id|Id|^rowVersion|^createdAt|^createdBy|^updatedAt)$")
"""Names of fields that say nothing about a type."""
_WORTH = 3
"""Names that merit a line."""
_GROUPING = frozenset(
    map(stem, ("by", "per", "each", "group", "count", "many", "number", "average", "mean", "total", "sum", "breakdown"))
)
_DOING = frozenset(map(stem, ("action", "allowed", "possible", "done", "transition", "permitted", "lifecycle")))
"""Words of questions that aggregates answer, and of those that a row's lifecycle answers."""


def _ways(box: Toolbox, text: str, hits: Sequence[FoundField]) -> list[str]:
    """Fields that answer about rows rather than with their values: aggregates, and possible transitions."""
    asked = {stem(word) for word in words(text)}
    telling = asked - _GROUPING - _DOING
    nearness: dict[str, tuple[int, float]] = {}
    for one in hits:
        name = one.leads_to if one.type == "Query" and one.leads_to else one.type
        if name in box.searched:
            called = {stem(word) for text in (name, *box.schema.catalogue[name].aliases) for word in words(text)}
            best = max(one.score, nearness.get(name, (0, 0.0))[1])
            nearness[name] = len(telling & called), best
    named = max(nearness, key=lambda name: nearness[name], default=None)
    if named is None:
        return []
    found, root = [], box.schema.finder.root(named)
    connection = box.schema.graphql.type_map.get(f"{named}Connection")
    if asked & _GROUPING and root and "aggregate" in getattr(connection, "fields", {}):
        how = "groupBy: [{field: <ENUM>}] { group { <field> } count <number> { avg sum min max } }"
        found.append(f"{named}Connection.aggregate: {how} [{root}]")
    type_ = box.schema.graphql.type_map[named]
    if asked & _DOING and "lifecycle" in getattr(type_, "fields", {}):
        found.append(
            f"{named}.lifecycle: {{ state changes {{ mutation to required allowed blockedBy {{ message }} }} }}"
        )
    elif asked & _DOING and CHANGES in getattr(type_, "fields", {}):
        found.append(f"{named}.changes: {{ mutation inputType required optional allowed }}")
    return found


def _line(box: Toolbox, found: FoundField) -> str:
    """``Type.field: Kind <unit> (values) [root]``; a root by itself."""
    if found.type == "Mutation":
        return f"{found.name} [mutation]: {found.kind}"
    if found.type == "Query":
        return f"{found.name} [root]: {found.kind}"
    type_ = box.schema.graphql.type_map[found.type]
    assert isinstance(type_, GraphQLObjectType)  # noqa: S101 - rows and their parts are objects
    line = f"{found.type}.{box.cards.field_line(type_, found.name, type_.fields[found.name])}"
    root = f"{found.root} {{ {found.through} }}" if found.through else found.root
    return f"{line} [{root}]" if found.root else line


FIND_FIELDS = AgentTool(
    "find_fields",
    "Fields for words: Type.field: Kind <unit> (values) [root]; then names of others of the type.",
    (
        ToolArgument("text", "string", "what you look for", required=True, most=200),
        ToolArgument("type", "string", most=100),
        ToolArgument("limit", "integer", default=12, least=1, most=30),
    ),
    _find_fields,
    shows_schema=True,
)
