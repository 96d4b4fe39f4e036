"""Hints for empty lists whose filters compare texts with regard to case."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    FieldNode,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLSchema,
    GraphQLString,
    OperationDefinitionNode,
    ValueNode,
    VariableNode,
    get_named_type,
    parse,
    value_from_ast_untyped,
)

from gateway.mcp.columns import Columns

_HEEDING = ("contains", "startsWith", "like", "eq")
"""Case-sensitive operators of texts."""
_NO_WORDS = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|\d{4}-\d\d-\d\d.*|now\b.*|[^a-zA-Z]*|[A-Z]\w+:.*")
"""Texts that are ids, times or numbers."""


def case_hints(
    document: str,
    variables: Mapping[str, Any] | None,
    data: Mapping[str, Any] | None,
    schema: GraphQLSchema,
    columns: Columns,
) -> Iterator[str]:
    """Hints for root lists of a query that are empty and were filtered by a case-sensitive operator.

    Enums and closed vocabularies need none: a wrong word of theirs is an error.
    """
    empty = [key for key, value in (data or {}).items() if _is_empty(value)]
    if not empty:
        return
    operation = next(one for one in parse(document).definitions if isinstance(one, OperationDefinitionNode))
    for field in operation.selection_set.selections:
        if not isinstance(field, FieldNode) or (field.alias or field.name).value not in empty:
            continue
        where = next((one.value for one in field.arguments or () if one.name.value == "where"), None)
        if where is None or schema.query_type is None:
            continue
        type_ = schema.query_type.fields[field.name.value].args["where"].type
        if by := _operator(_plain(where, variables or {}), type_, columns):
            name = (field.alias or field.name).value
            yield f"{name} has no row, but {by} heeds upper and lower case: try iContains, or find."


def _is_empty(value: Any) -> bool:
    """Whether a value is a list of rows, and empty."""
    if not isinstance(value, Mapping):
        return False
    told = [value[name] for name in ("nodes", "edges") if name in value]
    return not any(told) and (bool(told) or (value.get("totalCount") == 0 and value.get("totalCountIsExact", True)))


def _plain(where: ValueNode, variables: Mapping[str, Any]) -> Any:
    if isinstance(where, VariableNode):
        return variables.get(where.name.value)
    return value_from_ast_untyped(where, dict(variables))


def _operator(value: Any, type_: GraphQLInputType, columns: Columns) -> str | None:
    """The first case-sensitive operator of an open text whose operand has letters."""
    if isinstance(value, list):
        return next(filter(None, (_operator(one, type_, columns) for one in value)), None)
    named = get_named_type(type_)
    if not isinstance(value, Mapping) or not isinstance(named, GraphQLInputObjectType):
        return None
    of = named.name.removesuffix("Where")
    for name, one in value.items():
        if name not in named.fields or columns.values(of, name):
            continue
        if name in _HEEDING and _is_word(one) and get_named_type(named.fields[name].type) is GraphQLString:
            return str(name)
        if found := _operator(one, named.fields[name].type, columns):
            return found
    return None


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and not _NO_WORDS.fullmatch(value)
