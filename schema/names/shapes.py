"""Descriptions of input types for suggestions: the fields, and a valid example."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    get_nullable_type,
    is_required_input_field,
)

FEW = 12
"""The number of names that are listed; the others are counted."""
_PLAIN = {"Int": "5", "BigInt": '"5"', "Float": "0.5", "Boolean": "true", "DateTime": '"now-7d"', "ID": '"<id>"'}
_DEPTH = 3
_ROWS = "rows"
"""The extension of inputs with rows, whose values no error quotes; the same as in `schema.execution.coercions`."""


def shape(type_: GraphQLInputObjectType, meant: str = "") -> str:
    """A description: ``Such as {field: CREATED_AT, direction: DESC}. Its fields: field, direction.``

    ``meant`` is the enum value to use in the example, if any.
    """
    fields = f"Its fields: {listed(type_.fields)}."
    return fields if type_.extensions.get(_ROWS) else f"Such as {_example(type_, meant, _DEPTH)}. {fields}"


def example(type_: GraphQLInputType, fields: Mapping[str, GraphQLInputType]) -> str:
    """A value of an input, or of a list of inputs, with these fields: ``{stage: {eq: DEVELOPMENT}}``."""
    plain = get_nullable_type(type_)
    if isinstance(plain, GraphQLList):
        return f"[{example(plain.of_type, fields)}]"
    pairs = [f"{name}: {_example(one, '', _DEPTH)}" for name, one in fields.items()]
    return f"{{{', '.join(pairs)}}}"


def listed(names: Iterable[str], most: int = FEW) -> str:
    """Names joined by commas: the first ``most``, and the number of the others."""
    all_names = list(names)
    more = f" and {len(all_names) - most} more" if len(all_names) > most else ""
    return ", ".join(all_names[:most]) + more


def ordered_by(type_: GraphQLInputObjectType) -> GraphQLEnumType | None:
    """The enum of an input: that of its field to order or group by, or of the value to compare with; else None."""
    for name in ("field", "eq"):
        if name in type_.fields:
            named = get_nullable_type(type_.fields[name].type)
            return named if isinstance(named, GraphQLEnumType) else None
    return None


def _example(type_: Any, meant: str, depth: int) -> str:
    named = get_nullable_type(type_)
    if isinstance(named, GraphQLList):
        return f"[{_example(named.of_type, meant, depth)}]"
    if isinstance(named, GraphQLEnumType):
        usual = "DESC" if "DESC" in named.values else next(iter(named.values))
        return meant if meant in named.values else usual
    if not isinstance(named, GraphQLInputObjectType):
        return _PLAIN.get(named.name, '"<text>"')
    if depth == 0:
        return "{}"
    fields = (f"{one}: {_example(named.fields[one].type, meant, depth - 1)}" for one in _example_fields(named))
    return f"{{{', '.join(fields)}}}"


def _example_fields(type_: GraphQLInputObjectType) -> list[str]:
    """The fields of an example: the required and the most usual ones, else the first."""
    needed = [name for name, one in type_.fields.items() if is_required_input_field(one)]
    usual = [name for name in ("field", "direction") if name in type_.fields]
    usual = usual or [name for name in ("eq", "some") if name in type_.fields][:1]
    others = [name for name in type_.fields if name not in {"and", "or", "not"}][:1]
    return list(dict.fromkeys([*needed, *usual])) or others
