"""graphql-core: parts of its executor and of variable coercion that it does not export, and the wording of its
errors."""

from __future__ import annotations

import re

from graphql import GraphQLSyntaxError
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValueSource

__all__ = [
    "NO_OBJECT",
    "NO_TEXT",
    "UNKNOWN_ARGUMENT",
    "UNKNOWN_DIRECTIVE_ARGUMENT",
    "UNKNOWN_FIELD",
    "UNKNOWN_INPUT_FIELD",
    "UNKNOWN_TYPE",
    "UNKNOWN_VALUE",
    "VALUE_AS_TEXT",
    "FieldDetailsList",
    "GraphQLVariableSignature",
    "GroupedFieldSet",
    "VariableValueSource",
    "get_variable_signature",
    "has_too_many_tokens",
    "is_nested_too_deeply",
]

UNKNOWN_FIELD = re.compile(r"Cannot query field '(?P<name>\w+)' on type '(?P<owner>\w+)'\.")
UNKNOWN_ARGUMENT = re.compile(r"Unknown argument '(?P<name>\w+)' on field '(?P<owner>\w+)\.(?P<field>\w+)'\.")
UNKNOWN_DIRECTIVE_ARGUMENT = re.compile(r"Unknown argument '(?P<name>\w+)' on directive '@(?P<owner>\w+)'\.")
UNKNOWN_INPUT_FIELD = re.compile(
    r"Expected value of type '(?P<owner>\w+)!?' not to include unknown field '(?P<name>\w+)'[,.]"
)
NO_OBJECT = re.compile(r"Expected value of type '(?P<owner>\w+)!?' to be an object\.")
NO_TEXT = re.compile(r"String cannot represent a non string value: ")
UNKNOWN_TYPE = re.compile(r"Unknown type '(?P<name>\w+)'\.")
UNKNOWN_VALUE = re.compile(r"Value '(?P<name>\w+)' does not exist in '(?P<owner>\w+)' enum\.")
VALUE_AS_TEXT = re.compile(r"Enum '(?P<owner>\w+)' cannot represent non-enum value: \"(?P<name>[^\"\\]+)\"\.")
"""The message of validation for an unknown name, where suggestions are disabled."""


def has_too_many_tokens(error: GraphQLSyntaxError) -> bool:
    """Whether a document was not parsed because of the number of its tokens or comments."""
    return re.search(r"contains more than \d+ ", error.message) is not None


def is_nested_too_deeply(error: GraphQLSyntaxError) -> bool:
    """Whether a document was not parsed because of its depth."""
    return "nested too deeply" in error.message
