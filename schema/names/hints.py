"""Suggestions in validation errors; graphql-core's own suggestions compare letters only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from graphql import EnumValueNode, FieldNode, GraphQLError, StringValueNode

from schema.adapters import graphql_core as said
from schema.names.suggestions import Suggestion, Suggestions

MOST = 5
"""The largest number of errors of a document that get a suggestion; each takes some milliseconds."""


def hinted(errors: Iterable[GraphQLError], suggestions: Suggestions) -> Iterator[GraphQLError]:
    """The errors, with suggestions in the first `MOST` that are about unknown names."""
    left = MOST
    for error in errors:
        found = (
            _of_field(error, suggestions)
            or suggested(error.message, suggestions)
            or _instead(error, suggestions)
            or _in_quotes(error)
            if left
            else None
        )
        if not found:
            yield error
            continue
        left -= 1
        stop = "" if error.message.endswith(".") else "."
        yield GraphQLError(f"{error.message}{stop} {found.text}", error.nodes, extensions=error.extensions)


def _of_field(error: GraphQLError, suggestions: Suggestions) -> Suggestion | None:
    """The suggestion for an unknown field that was selected from."""
    found = said.UNKNOWN_FIELD.match(error.message)
    node = error.nodes[0] if found and error.nodes else None
    if found is None or not isinstance(node, FieldNode) or node.selection_set is None:
        return None
    below = next((one.name.value for one in node.selection_set.selections if isinstance(one, FieldNode)), "")
    return suggestions.field(found["owner"], found["name"], below)


def _instead(error: GraphQLError, suggestions: Suggestions) -> Suggestion | None:
    """The suggestion for an error about another value in place of an input object."""
    found = said.NO_OBJECT.match(error.message)
    if found is None:
        return None
    node = error.nodes[0] if error.nodes else None
    name = node.value if isinstance(node, EnumValueNode | StringValueNode) else ""
    return suggestions.shape(found["owner"], name)


def _in_quotes(error: GraphQLError) -> Suggestion | None:
    """The suggestion for a name in place of a text."""
    node = error.nodes[0] if error.nodes and said.NO_TEXT.match(error.message) else None
    return Suggestion(right=f'Write it in quotes: "{node.value}".') if isinstance(node, EnumValueNode) else None


_UNKNOWN_NAMES: tuple[tuple[re.Pattern[str], Callable[[Suggestions, re.Match[str]], Suggestion]], ...] = (
    (said.UNKNOWN_FIELD, lambda known, of: known.field(of["owner"], of["name"])),
    (said.UNKNOWN_ARGUMENT, lambda known, of: known.argument(of["owner"], of["field"], of["name"])),
    (said.UNKNOWN_DIRECTIVE_ARGUMENT, lambda known, of: known.directive_argument(of["owner"], of["name"])),
    (said.UNKNOWN_INPUT_FIELD, lambda known, of: known.input_field(of["owner"], of["name"])),
    (said.UNKNOWN_VALUE, lambda known, of: known.value(of["owner"], of["name"])),
    (said.VALUE_AS_TEXT, lambda known, of: known.value(of["owner"], of["name"])),
    (said.UNKNOWN_TYPE, lambda known, of: known.type(of["name"])),
)


def suggested(message: str, suggestions: Suggestions) -> Suggestion | None:
    """The suggestion for the unknown name of an error; None if the error is about something else."""
    return next((ask(suggestions, found) for error, ask in _UNKNOWN_NAMES if (found := error.match(message))), None)
