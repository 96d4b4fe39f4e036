"""Errors of validation with what was probably meant: graphql-core's own suggestions go by letters alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphql import GraphQLError

from schema.adapters import graphql_core as said
from schema.names.suggestions import Suggestion, Suggestions

MOST = 5
"""Errors of one document that get a suggestion: each costs some milliseconds."""


def hinted(errors: Iterable[GraphQLError], suggestions: Suggestions) -> Iterator[GraphQLError]:
    """The errors, the first of them with suggestions where they are of a name that the schema does not have."""
    left = MOST
    for error in errors:
        found = suggested(error.message, suggestions) if left else None
        if not found:
            yield error
            continue
        left -= 1
        yield GraphQLError(f"{error.message} {found.text}", error.nodes, extensions=error.extensions)


def suggested(message: str, suggestions: Suggestions) -> Suggestion | None:
    """What was probably meant by the name that an error is about; None for an error about anything else."""
    if found := said.UNKNOWN_FIELD.match(message):
        return suggestions.field(found["owner"], found["name"])
    if found := said.UNKNOWN_ARGUMENT.match(message):
        return suggestions.argument(found["owner"], found["field"], found["name"])
    if found := said.UNKNOWN_INPUT_FIELD.match(message):
        return suggestions.input_field(found["owner"], found["name"])
    if found := said.UNKNOWN_VALUE.match(message) or said.VALUE_AS_TEXT.match(message):
        return suggestions.value(found["owner"], found["name"])
    if found := said.UNKNOWN_TYPE.match(message):
        return suggestions.type(found["name"])
    return None
