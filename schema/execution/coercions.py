"""Coercion of variables by functions that are built once per type, for large lists of values.

They only detect errors; graphql-core produces the messages.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from types import NoneType
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

from schema.catalogue.relative_times import TYPES

ROWS = "rows"
"""The extension key of input types for rows to be recorded: lists of thousands, without defaults."""

CONFIDENTIAL = "confidential"
"""The extension key of input fields whose values errors must not quote."""

SERVER = "server"
"""The extension key, on input types of rows, for the fields that the server fills."""

_INT = 2**31
_PLAIN = {"Float": float, "String": str, "Boolean": bool}
"""Scalars whose JSON values need no coercion if they have exactly this class: JSON has no NaN, and numbers out of range
have a class of their own."""

Coerce = Callable[[Any], Any]


def holds_rows(type_: Any) -> bool:
    """Whether a type is an input type of rows, or a list of one."""
    named = get_named_type(type_)
    return is_input_object_type(named) and bool(named.extensions.get(ROWS))


def may_hold_times(type_: Any) -> bool:
    """Whether values of a type may contain times: a time, a date, a list of them, or an object."""
    named = get_named_type(type_)
    return is_input_object_type(named) or named.name in TYPES


def coercion(type_: Any) -> Coerce | None:
    """The coercion function of a type; it raises, or returns `Undefined`, for an invalid value.

    None for types that are left to graphql-core.
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
        named: Any = get_nullable_type(type_.of_type)
        if isinstance(named, GraphQLInputObjectType) and not named.is_one_of:
            return _RowsCoercion(named, item, known)
        return lambda value: [item(one) for one in value] if isinstance(value, list) else [item(value)]
    if isinstance(type_, GraphQLInputObjectType):
        if type_.name not in known:
            known[type_.name] = _object(type_, known)
        return known[type_.name]
    coerce: Coerce = type_.coerce_input_value
    return coerce


def _object(type_: GraphQLInputObjectType, known: dict[str, Coerce]) -> Coerce:
    fields = {name: _nullable(field.type, known) for name, field in type_.fields.items()}
    plain = {
        name: _PLAIN.get(getattr(get_nullable_type(field.type), "name", "")) for name, field in type_.fields.items()
    }
    required = frozenset(name for name, field in type_.fields.items() if isinstance(field.type, GraphQLNonNull))
    one_of = type_.is_one_of

    def coerce(value: dict[str, Any]) -> Any:
        if not required <= value.keys():
            raise ValueError
        found = {name: one if one.__class__ is plain[name] else fields[name](one) for name, one in value.items()}
        if one_of and (len(found) != 1 or None in found.values()):
            raise ValueError
        return found

    return coerce


class _RowsCoercion:
    """Coerces rows column by column, if all have the same fields: most columns only need a type check."""

    def __init__(self, type_: GraphQLInputObjectType, item: Coerce, known: dict[str, Coerce]) -> None:
        self._item = item
        self._fields = {name: _FieldColumn(field.type, known) for name, field in type_.fields.items()}
        self._required = {name for name, field in type_.fields.items() if isinstance(field.type, GraphQLNonNull)}

    def __call__(self, value: Any) -> Any:
        rows = value if isinstance(value, list) else [value]
        names = rows[0].keys() if rows and isinstance(rows[0], dict) else ()
        if (
            not names
            or not self._required <= names
            or any(row.__class__ is not dict or row.keys() != names for row in rows)
        ):
            return [self._item(row) for row in rows]
        found = [row.copy() for row in rows]
        for name in names:
            values = list(map(itemgetter(name), rows))
            coerced = self._fields[name](values)
            if coerced is not values:
                for row, one in zip(found, coerced, strict=True):
                    row[name] = one
        return found


class _FieldColumn:
    """Coerces the values of one field of many rows."""

    def __init__(self, type_: Any, known: dict[str, Coerce]) -> None:
        named = get_nullable_type(type_)
        self._coerce = _nullable(type_, known)
        self._coerce_value = _of(named, known)
        self._plain = _PLAIN.get(getattr(named, "name", ""))
        self._is_int = named is get_named_type(type_) and getattr(named, "name", "") == "Int"
        self._takes = {NoneType} - ({NoneType} if isinstance(type_, GraphQLNonNull) else set())

    def __call__(self, values: list[Any]) -> list[Any]:
        """The coerced values; the same list if they need no coercion."""
        kinds = set(map(type, values)) - self._takes
        if self._plain is not None and kinds <= {self._plain}:
            return values
        if self._is_int and kinds == {int}:
            numbers = [value for value in values if value is not None]
            if min(numbers) >= -_INT and max(numbers) < _INT:
                return values
        coerce = self._coerce_value
        if kinds == {str}:  # times and ids repeat
            found = {value: None if value is None else coerce(value) for value in set(values)}
            return [found[value] for value in values]
        if kinds == {dict} and all(value is None or len(value) == 1 for value in values):
            return self._references(values)
        return list(map(self._coerce, values))

    def _references(self, values: list[Any]) -> list[Any]:
        """Coerces objects of one field: references to rows by a text repeat, too."""
        found: dict[tuple[str, str], Any] = {}
        coerced: list[Any] = []
        for value in values:
            if value is None:
                coerced.append(None)
                continue
            ((name, text),) = value.items()
            if text.__class__ is not str:
                coerced.append(self._coerce_value(value))
                continue
            if (name, text) not in found:
                found[name, text] = self._coerce_value(value)
            coerced.append(found[name, text])
        return coerced
