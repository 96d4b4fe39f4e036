"""Hints for empty lists whose filters compare texts with regard to case."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from graphql import FieldNode, OperationDefinitionNode, ValueNode, VariableNode, parse, value_from_ast_untyped

_HEEDING = ("contains", "startsWith", "like", "eq")
"""Case-sensitive operators of texts."""
_NO_WORDS = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|\d{4}-\d\d-\d\d.*|now\b.*|[^a-zA-Z]*|[A-Z]\w+:.*")
"""Texts that are ids, times or numbers."""


def case_hints(document: str, variables: Mapping[str, Any] | None, data: Mapping[str, Any] | None) -> Iterator[str]:
    """Hints for root lists of a query that are empty and were filtered by a case-sensitive operator."""
    empty = [key for key, value in (data or {}).items() if _is_empty(value)]
    if not empty:
        return
    operation = next(one for one in parse(document).definitions if isinstance(one, OperationDefinitionNode))
    for field in operation.selection_set.selections:
        if not isinstance(field, FieldNode) or (field.alias or field.name).value not in empty:
            continue
        where = next((one.value for one in field.arguments or () if one.name.value == "where"), None)
        if where is not None and (by := _operator(_plain(where, variables or {}))):
            name = (field.alias or field.name).value
            yield f"{name} has no row, but {by} heeds upper and lower case: try iContains, or find."


def _is_empty(value: Any) -> bool:
    """Whether a value is a list of rows, and empty."""
    if not isinstance(value, Mapping):
        return False
    told = [value[name] for name in ("nodes", "edges") if name in value]
    return not any(told) and (bool(told) or value.get("totalCount") == 0)


def _plain(where: ValueNode, variables: Mapping[str, Any]) -> Any:
    if isinstance(where, VariableNode):
        return variables.get(where.name.value)
    return value_from_ast_untyped(where, dict(variables))


def _operator(value: Any) -> str | None:
    """The first case-sensitive operator whose operand has letters."""
    if isinstance(value, list):
        return next(filter(None, map(_operator, value)), None)
    if not isinstance(value, Mapping):
        return None
    for name, one in value.items():
        if name in _HEEDING and isinstance(one, str) and not _NO_WORDS.fullmatch(one):
            return str(name)
        if found := _operator(one):
            return found
    return None
