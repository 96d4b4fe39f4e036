"""Cursors: their common encoding, and keyset cursors, which hold a row's values of an order.

A cursor is the URL-safe base64, without padding, of a JSON array. A keyset cursor is bound to its type and order, but
not to a parent or a filter.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import orjson

from schema.catalogue.catalogue import OrderTerm, Type
from schema.error_codes import ErrorCode
from schema.errors import GatewayError

UNCHANGED = "pass a cursor unchanged, as a list returned it"


def pack(json: bytes) -> str:
    """The cursor of a JSON array."""
    return base64.urlsafe_b64encode(json).decode().rstrip("=")


def unpack(cursor: str) -> list[Any] | None:
    """The array in a cursor; None for an invalid one."""
    try:
        value = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:  # of base64, of JSON, and of UTF-8
        return None
    return value if isinstance(value, list) else None


def start(type_: Type, order: Sequence[OrderTerm]) -> str:
    """The beginning of all cursors of an order: JSON up to the values."""
    return orjson.dumps([type_.name, signature(order)]).decode()[:-1] + ","


def encode(start_: str, values: Sequence[str | None]) -> str:
    """The cursor of a row; ``values`` are the texts of its order's columns, None for NULL."""
    return pack(f"{start_}{orjson.dumps(list(values)).decode()}]".encode())


def sql(start_: str, values: Sequence[str]) -> str:
    """The cursor as a SQL expression: ``start_`` is the SQL of its beginning, ``values`` are SQL of the texts."""
    texts = " || ',' || ".join(f"coalesce(to_json({value})::text, 'null')" for value in values)
    text = f"{start_} || '[' || {texts} || ']]'"
    return f"translate(encode(convert_to({text}, 'UTF8'), 'base64'), E'+/=\\n', '-_')"


def nulls(cursor: str) -> tuple[bool, ...]:
    """Which values of a cursor are NULL, which determines the statement; empty for an invalid cursor."""
    match unpack(cursor):
        case [_, _, list() as values]:
            return tuple(value is None for value in values)
    return ()


def decode(argument: str, cursor: str, type_: Type, order: Sequence[OrderTerm]) -> tuple[str | None, ...]:
    """The values in a cursor of this type and order.

    Raises:
        GatewayError: ``INVALID_CURSOR``: it is invalid, or of another type or order.
    """
    match unpack(cursor):
        case [str(type_name), str(ordering), list() as values] if are_texts([type_name, ordering, *values]):
            pass
        case _:
            raise invalid(argument, f"is not a cursor; pass an `edges.cursor` or `pageInfo` cursor of {type_.plural}")
    if type_name != type_.name:
        raise invalid(argument, f"is a cursor of {type_name[:80]}, and {type_.plural} take cursors of {type_.name}")
    if ordering != signature(order):
        raise invalid(
            argument,
            "belongs to another order than this list's; pass the `orderBy` of the list that returned it as well",
        )
    if len(values) != len(order):
        raise invalid(argument, f"has {len(values)} values for the {len(order)} terms of its order; {UNCHANGED}")
    if any(value is None and not term.nullable for value, term in zip(values, order, strict=True)):
        raise invalid(argument, f"holds null in a key, which no row has; {UNCHANGED}")
    return tuple(values)


def are_texts(values: Sequence[Any]) -> bool:
    """Whether these are texts, or None for NULL."""
    return all(value is None or (isinstance(value, str) and "\x00" not in value) for value in values)


def invalid(argument: str, why: str) -> GatewayError:
    return GatewayError(ErrorCode.INVALID_CURSOR, f"{argument}: {why}.", argument=argument)


def signature(order: Sequence[OrderTerm]) -> str:
    """``-created_at,-id``: binds a cursor to its order; ``!`` after a name means nulls first."""
    return ",".join(f"{'-' if term.descending else ''}{term.name}{'!' if term.nulls_first else ''}" for term in order)
