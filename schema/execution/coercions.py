"""How values of variables are coerced: by functions that are made once a type, where many values of one type are sent.

They say nothing of what is wrong: whoever calls them asks graphql-core then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
    get_nullable_type,
    is_input_object_type,
    is_leaf_type,
)
from graphql.pyutils import Undefined
from graphql.utilities import coerce_input_value

ROWS = "rows"
"""The extension of input types that hold rows to be recorded: in thousands, without defaults of their own."""

CONFIDENTIAL = "confidential"
"""The extension of an input field whose values no error quotes."""

_PLAIN = {"Float": float, "String": str, "Boolean": bool}
"""Scalars whose values of this very class are coerced already: JSON has no NaN, and numbers out of range have one of
their own."""

Coerce = Callable[[Any], Any]


def holds_rows(type_: Any) -> bool:
    """Whether a type is one of those inputs, or a list of them."""
    named = get_named_type(type_)
    return is_input_object_type(named) and bool(named.extensions.get(ROWS))


def coercion(type_: Any) -> Coerce | None:
    """How values of a type are coerced: a function that fails, or gives `Undefined`, where one is wrong.

    None for types of which graphql-core coerces the values.
    """
    named = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if is_leaf_type(named):
        coerce: Coerce = named.coerce_input_value
        return coerce
    return _nullable(type_, {}) if holds_rows(type_) else None


def _nullable(type_: Any, known: dict[str, Coerce]) -> Coerce:
    if isinstance(type_, GraphQLNonNull):
        inner = _of(type_.of_type, known)

        def required(value: Any) -> Any:
            if value is None:
                raise ValueError
            return inner(value)

        return required
    inner = _of(type_, known)
    return lambda value: None if value is None else inner(value)


def _of(type_: Any, known: dict[str, Coerce]) -> Coerce:
    if isinstance(type_, GraphQLList):
        item = _nullable(type_.of_type, known)
        return lambda value: [item(one) for one in value] if isinstance(value, list) else [item(value)]
    if isinstance(type_, GraphQLInputObjectType):
        if type_.name not in known:
            known[type_.name] = _object(type_, known)
        return known[type_.name]
    coerce: Coerce = type_.coerce_input_value
    return coerce


def _object(type_: GraphQLInputObjectType, known: dict[str, Coerce]) -> Coerce:
    if any(field.default is not None or field.out_name for field in type_.fields.values()):
        return lambda value: _core(value, type_)
    fields = {name: _nullable(field.type, known) for name, field in type_.fields.items()}
    plain = {
        name: _PLAIN.get(getattr(get_nullable_type(field.type), "name", "")) for name, field in type_.fields.items()
    }
    required = frozenset(name for name, field in type_.fields.items() if isinstance(field.type, GraphQLNonNull))
    made, one_of = type_.out_type, type_.is_one_of

    def coerce(value: dict[str, Any]) -> Any:
        if not required <= value.keys():
            raise ValueError
        found = {name: one if one.__class__ is plain[name] else fields[name](one) for name, one in value.items()}
        if one_of and (len(found) != 1 or None in found.values()):
            raise ValueError
        return made(found)

    return coerce


def _core(value: Any, type_: GraphQLInputObjectType) -> Any:
    found = coerce_input_value(value, type_)
    if found is Undefined:
        raise ValueError
    return found
