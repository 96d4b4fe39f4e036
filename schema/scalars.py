"""The scalars of the graph. Values come from the database in their wire form, so serialising passes them through."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any, NewType

import strawberry
from graphql import GraphQLError

UUID = NewType("UUID", str)
DateTime = NewType("DateTime", str)
Date = NewType("Date", str)
JSON = NewType("JSON", object)
BigInt = NewType("BigInt", int)
Vector = NewType("Vector", object)


def _parse_uuid(value: Any) -> str:
    try:
        return str(uuid.UUID(value))
    except (ValueError, TypeError, AttributeError):
        raise GraphQLError(f"{value!r} is not a UUID such as 123e4567-e89b-12d3-a456-426614174000.") from None


def _parse_datetime(value: Any) -> datetime:
    try:
        parsed = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise GraphQLError(f"{value!r} is not an RFC 3339 time with a zone, such as 2026-01-31T12:00:00Z.")
    return parsed


def _parse_date(value: Any) -> date:
    try:
        return date.fromisoformat(value)
    except (ValueError, TypeError):
        raise GraphQLError(f"{value!r} is not a date such as 2026-01-31.") from None


def _parse_bigint(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise GraphQLError(f"{value!r} is not a 64-bit integer.")
    return value


SCALARS: dict[object, Any] = {
    UUID: strawberry.scalar(
        name="UUID",
        description="A UUID in its usual text form, lower case with hyphens.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc9562",
        parse_value=_parse_uuid,
    ),
    DateTime: strawberry.scalar(
        name="DateTime",
        description="A moment, RFC 3339 in UTC with microseconds: `2026-01-31T12:00:00.000000Z`.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        parse_value=_parse_datetime,
    ),
    Date: strawberry.scalar(
        name="Date",
        description="A calendar date, ISO 8601: `2026-01-31`.",
        parse_value=_parse_date,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value, as it is stored (objects, lists, numbers with all their digits).",
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="A 64-bit integer as a JSON number; JavaScript keeps 53 bits of it.",
        parse_value=_parse_bigint,
    ),
    Vector: strawberry.scalar(
        name="Vector",
        description="An embedding: a list of numbers, of a fixed length. Large; it is sent only where it is asked for.",
    ),
}

BY_NAME: dict[str, Any] = {
    "UUID": UUID,
    "DateTime": DateTime,
    "Date": Date,
    "JSON": JSON,
    "BigInt": BigInt,
    "Vector": Vector,
    "ID": strawberry.ID,
    "String": str,
    "Int": int,
    "Float": float,
    "Boolean": bool,
}
"""The annotation of each scalar that `schema.kinds` names."""
