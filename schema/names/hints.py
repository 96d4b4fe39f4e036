"""Suggestions in validation errors: graphql-core's own ones only compare letters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from graphql import EnumValueNode, GraphQLError, StringValueNode

from schema.adapters import graphql_core as said
from schema.names.suggestions import Suggestion, Suggestions

MOST = 5
"""Errors of one document that get a suggestion: each costs some milliseconds."""


def hinted(errors: Iterable[GraphQLError], suggestions: Suggestions) -> Iterator[GraphQLError]:
    """The errors, the first of them with suggestions where they are of a name that the schema does not have."""
    left = MOST
    for error in errors:
        found = (suggested(error.message, suggestions) or _instead(error, suggestions)) if left else None
        if not found:
            yield error
            continue
        left -= 1
        yield GraphQLError(f"{error.message} {found.text}", error.nodes, extensions=error.extensions)


def _instead(error: GraphQLError, suggestions: Suggestions) -> Suggestion | None:
    """What would be right where an error is about something that stands in the place of an object."""
    found = said.NO_OBJECT.match(error.message)
    if found is None:
        return None
    node = error.nodes[0] if error.nodes else None
    name = node.value if isinstance(node, EnumValueNode | StringValueNode) else ""
    return suggestions.shape(found["owner"], name)


_ASKED: tuple[tuple[re.Pattern[str], Callable[[Suggestions, re.Match[str]], Suggestion]], ...] = (
    (said.UNKNOWN_FIELD, lambda known, of: known.field(of["owner"], of["name"])),
    (said.UNKNOWN_ARGUMENT, lambda known, of: known.argument(of["owner"], of["field"], of["name"])),
    (said.UNKNOWN_DIRECTIVE_ARGUMENT, lambda known, of: known.directive_argument(of["owner"], of["name"])),
    (said.UNKNOWN_INPUT_FIELD, lambda known, of: known.input_field(of["owner"], of["name"])),
    (said.UNKNOWN_VALUE, lambda known, of: known.value(of["owner"], of["name"])),
    (said.VALUE_AS_TEXT, lambda known, of: known.value(of["owner"], of["name"])),
    (said.UNKNOWN_TYPE, lambda known, of: known.type(of["name"])),
)


def suggested(message: str, suggestions: Suggestions) -> Suggestion | None:
    """What was probably meant by the name that an error is about; None for an error about anything else."""
    return next((ask(suggestions, found) for error, ask in _ASKED if (found := error.match(message))), None)
