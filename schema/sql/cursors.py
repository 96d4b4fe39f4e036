"""Keyset cursors: the values of an order at a row, tied to the type and the order, to no parent and no filter."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import orjson

from schema.catalogue.catalogue import OrderTerm, Type
from schema.error_codes import ErrorCode
from schema.errors import GatewayError


def start(type_: Type, order: Sequence[OrderTerm]) -> str:
    """What all cursors of an order begin with: JSON up to the values."""
    return orjson.dumps([type_.name, signature(order)]).decode()[:-1] + ","


def encode(start_: str, values: Sequence[str | None]) -> str:
    """The cursor of a row; ``values`` are the texts of its order's columns, None for NULL."""
    return base64.urlsafe_b64encode(f"{start_}{orjson.dumps(list(values)).decode()}]".encode()).decode().rstrip("=")


def sql(start_: str, values: Sequence[str]) -> str:
    """The same as a SQL expression: ``start_`` is the SQL of its beginning, ``values`` are that of the texts."""
    texts = " || ',' || ".join(f"coalesce(to_json({value})::text, 'null')" for value in values)
    text = f"{start_} || '[' || {texts} || ']]'"
    return f"translate(encode(convert_to({text}, 'UTF8'), 'base64'), E'+/=\\n', '-_')"


def nulls(cursor: str) -> tuple[bool, ...]:
    """Which values of a cursor are NULL, on which a statement depends; empty for a text that is no cursor."""
    try:
        *_, values = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return tuple(value is None for value in values)
    except (binascii.Error, orjson.JSONDecodeError, ValueError, TypeError):
        return ()


def decode(argument: str, cursor: str, type_: Type, order: Sequence[OrderTerm]) -> tuple[str | None, ...]:
    """The values that a cursor of this type and order holds.

    Raises:
        GatewayError: ``INVALID_CURSOR``, for a text that is no cursor, or one of another type or order.
    """
    try:
        decoded = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        type_name, ordering, values = decoded
        well_formed = isinstance(values, list) and all(v is None or isinstance(v, str) for v in values)
    except (binascii.Error, orjson.JSONDecodeError, ValueError, TypeError):
        raise invalid(
            argument, f"is not a cursor; pass an `edges.cursor` or `pageInfo` cursor of {type_.plural}"
        ) from None
    if not well_formed or any(v is not None and "\x00" in v for v in values):
        raise invalid(argument, f"is not a cursor; pass an `edges.cursor` or `pageInfo` cursor of {type_.plural}")
    if type_name != type_.name:
        raise invalid(
            argument, f"is a cursor of {str(type_name)[:80]}, and {type_.plural} take cursors of {type_.name}"
        )
    if ordering != signature(order) or len(values) != len(order):
        raise invalid(
            argument, f"belongs to another order ({str(ordering)[:200]}) than this list's ({signature(order)})"
        )
    if any(value is None and not term.nullable for value, term in zip(values, order, strict=True)):
        raise invalid(argument, "holds null in a key, which no row has; pass a cursor as a list has given it")
    return tuple(values)


def invalid(argument: str, why: str) -> GatewayError:
    return GatewayError(ErrorCode.INVALID_CURSOR, f"{argument}: {why}.", argument=argument)


def signature(order: Sequence[OrderTerm]) -> str:
    """``-created_at,-id``: what ties a cursor to its order; ``!`` behind a name means nulls first."""
    return ",".join(f"{'-' if term.descending else ''}{term.name}{'!' if term.nulls_first else ''}" for term in order)
