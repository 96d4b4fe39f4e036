"""The shape of variables: what the SQL of an operation depends on, and the values that it leaves open."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    is_leaf_type,
)

from schema.sql.parameters import Parameter, Variables


def has_one_shape(type_: Any) -> bool:
    """Whether statements do not depend on values of the type: it is always given, and has one place."""
    return isinstance(type_, GraphQLNonNull) and is_leaf_type(type_.of_type) and not _is_fixed(type_.of_type)


def shape_of(type_: Any, value: Any) -> Hashable:
    """The part of a value that a statement depends on."""
    if value is None:
        return None
    if isinstance(type_, GraphQLNonNull):
        return shape_of(type_.of_type, value)
    if isinstance(type_, GraphQLList):
        return tuple(shape_of(type_.of_type, item) for item in value) if _is_object(type_.of_type) else True
    if isinstance(type_, GraphQLInputObjectType):
        return tuple((name, shape_of(type_.fields[name].type, item)) for name, item in value.items())
    return value if _is_fixed(type_) else True


def opened_value(type_: Any, name: str, value: Any, read: Callable[[Variables], Any]) -> Any:
    """The value, with parameters for everything that a statement does not depend on."""
    if isinstance(type_, GraphQLNonNull):
        return opened_value(type_.of_type, name, value, read)
    if value is None or _is_fixed(type_):
        return value
    if isinstance(type_, GraphQLList) and _is_object(type_.of_type):
        return [opened_value(type_.of_type, f"{name}.{i}", item, _item(read, i)) for i, item in enumerate(value)]
    if isinstance(type_, GraphQLInputObjectType):
        return {
            key: opened_value(type_.fields[key].type, f"{name}.{key}", item, _item(read, key))
            for key, item in value.items()
        }
    return Parameter(name, read)


def _item(read: Callable[[Variables], Any], key: Any) -> Callable[[Variables], Any]:
    return lambda variables: read(variables)[key]


def _is_object(type_: Any) -> bool:
    return isinstance(type_.of_type if isinstance(type_, GraphQLNonNull) else type_, GraphQLInputObjectType)


def _is_fixed(type_: Any) -> bool:
    """Whether the type has few values, which lead to different statements: enum members and flags."""
    return isinstance(type_, GraphQLEnumType) or type_ is GraphQLBoolean or getattr(type_, "name", "") == "Boolean"
