"""Arguments, validated before any SQL: ids of a type, and values for placeholders of SQL fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from schema.catalogue import ids
from schema.catalogue.catalogue import ArgumentField, Arguments, Catalogue, Type
from schema.errors import NUL, bad_argument
from schema.sql.builder import Binds
from schema.sql.operators import text_of
from schema.sql.parameters import Parameter, applied

Given = Sequence[tuple[ArgumentField, str | Parameter | None]]
"""The values of arguments, as texts for Postgres."""


def given(catalogue: Catalogue, arguments: Arguments, asked: Mapping[str, Any]) -> Given:
    """The values of a field's own arguments.

    Raises:
        GatewayError: ``BAD_USER_INPUT``, naming a missing or invalid argument.
    """
    return [(one, _value(catalogue, one, asked.get(name))) for name, one in arguments.items()]


def bound(values: Given, bind: Binds) -> dict[str, str]:
    """Binds by placeholder."""
    return {one.hole: bind(value, one.bound_as) for one, value in values if one.argument.in_sql}


def _value(catalogue: Catalogue, field: ArgumentField, value: Any) -> str | Parameter | None:
    argument = field.argument
    if value is None:
        value = argument.default
    if value is None:
        if argument.required:
            raise bad_argument(field.name, "is null; it is needed")
        return None
    text: str | Parameter = applied(partial(_text, catalogue, field), value)
    return text


def _text(catalogue: Catalogue, field: ArgumentField, value: Any) -> str:
    argument = field.argument
    if argument.of:
        return parse_id(catalogue, field.name, catalogue[argument.of], value)[0]
    least, most = argument.least, argument.most
    if (least is not None and value < least) or (most is not None and value > most):
        raise bad_argument(field.name, f"{value} is out of range; pass {least:g} to {most:g}")
    if isinstance(value, str) and "\x00" in value:
        raise bad_argument(field.name, NUL)
    return text_of(value)


_UUID = ("uuid",)


def parse_id(catalogue: Catalogue, argument: str, type_: Type, value: str) -> tuple[str, ...]:
    """The key in an id of the type, global or bare.

    Raises:
        GatewayError: ``BAD_USER_INPUT``, with an example of a valid one.
    """
    if type_.key_kinds == _UUID and ids.is_uuid(bare := value.removeprefix(f"{type_.name}:")):
        return (bare,)  # the usual form, canonical already
    named = ids.type_of(value)
    if named != type_.name and named in catalogue.types and "text" not in type_.key_kinds:
        raise bad_argument(argument, f"{value[:80]!r} is an id of {named}; an id of {type_.name} is expected")
    try:
        return ids.decode(value, type_.name, type_.key_kinds)
    except ids.MalformedIdError as error:
        raise bad_argument(argument, str(error)) from None


def type_of(catalogue: Catalogue, argument: str, value: str) -> Type:
    """The type in a global id.

    Raises:
        GatewayError: ``BAD_USER_INPUT``: there is no such type.
    """
    name = ids.type_of(value)
    if name is None or name not in catalogue.types or not catalogue[name].is_node:
        raise bad_argument(argument, f"{value[:80]!r} names no type; a global id looks like Model:<UUID>")
    return catalogue[name]
