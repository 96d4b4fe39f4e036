"""The scalars of the graph. Values from the database are in wire form, so serialization passes them through."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NewType

import strawberry
from graphql import (
    BooleanValueNode,
    EnumValueNode,
    FloatValueNode,
    GraphQLError,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLNamedType,
    GraphQLScalarType,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
    VariableNode,
    print_ast,
)
from graphql.pyutils import Undefined
from strawberry.types.scalar import ScalarDefinition

from schema.catalogue import exact_json, ids
from schema.catalogue.exact_json import Digits, cut, shown
from schema.catalogue.relative_times import is_relative, relative_date, relative_time


class WrongValueError(GraphQLError):
    """A value that a scalar does not have. The message quotes it; ``reason`` is the rest of the sentence.

    ``within`` is the path of the value in that of the scalar, if it is JSON.
    """

    def __init__(self, quoted: str, reason: str, within: Sequence[str | int] = ()) -> None:
        super().__init__(f"{quoted} {reason}.")
        self.reason = reason
        self.within = within


UUID = NewType("UUID", str)
DateTime = NewType("DateTime", str)
Date = NewType("Date", str)
JSON = NewType("JSON", object)
BigInt = NewType("BigInt", int)
Vector = NewType("Vector", object)


def _parse_uuid(value: Any) -> str:
    try:
        return ids.read_uuid(value)
    except (ValueError, TypeError, AttributeError):
        raise WrongValueError(shown(value), "is not a UUID such as 123e4567-e89b-12d3-a456-426614174000") from None


_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]"
    r"((?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-5][0-9])"
)
_USUAL = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{3}|\.[0-9]{6})?(?:Z|\+00:00)"
)
"""The forms of UTC times that Python and JavaScript write, which `fromisoformat` parses directly."""
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _parse_datetime(value: Any) -> datetime:
    """A time in UTC: RFC 3339 in the supported years, exact to what Postgres stores, or a relative time."""
    if value.__class__ is str and _USUAL.fullmatch(value):
        try:
            return datetime.fromisoformat(value)
        except ValueError:  # an invalid date
            pass
    if is_relative(value):
        try:
            return relative_time(value)
        except ValueError as error:
            raise WrongValueError(shown(value), str(error)) from None
    found = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise WrongValueError(
            shown(value), "is not an RFC 3339 time with a zone, such as 2026-01-31T12:00:00Z, or one such as now-7d"
        )
    day, time, fraction, zone = found.groups()
    if time.endswith(":60"):
        raise WrongValueError(shown(value), "is within a leap second, which Postgres cannot store")
    if fraction and fraction[6:].strip("0"):
        raise WrongValueError(
            shown(value), "is more precise than a microsecond, the precision of stored times; round it"
        )
    try:
        read = datetime.fromisoformat(f"{day}T{time}.{fraction or '0':.6}{zone.upper()}")
    except ValueError:
        what = "its date, its time of day or its offset does not exist"
        raise WrongValueError(shown(value), f"is not a valid time: {what}") from None
    try:
        return read.astimezone(UTC)
    except OverflowError:
        raise WrongValueError(shown(value), "is outside the years 1 to 9999 in UTC") from None


def _parse_date(value: Any) -> date:
    """A date: ISO 8601, or that of a relative time in UTC."""
    if is_relative(value):
        try:
            return relative_date(value)
        except ValueError as error:
            raise WrongValueError(shown(value), str(error)) from None
    try:
        if isinstance(value, str) and _ISO_DATE.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise WrongValueError(shown(value), "is not a date such as 2026-01-31, or one such as now-7d") from None


def _parse_bigint(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise WrongValueError(shown(value), "is not a 64-bit integer")
    return value


_EXACT_INTEGERS = 2**53


def _parse_float(value: Any) -> float:
    """A number within the range of doubles; digits beyond a double's precision are kept for NUMERIC columns."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongValueError(shown(value), "is not a number")
    if isinstance(value, int):
        value = float(value) if -_EXACT_INTEGERS <= value <= _EXACT_INTEGERS else Digits(str(value))
    return _in_range(value)


def _parse_int(value: Any) -> int:
    if type(value) is int and -(2**31) <= value < 2**31:  # the common case; rows have many
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not -(2**31) <= value < 2**31 or value % 1:
        raise WrongValueError(shown(value), "is not a 32-bit integer")
    return int(value)


def _parse_id(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongValueError(shown(value), "is not an id, which is a text or an integer")
    return str(value)


def _in_range(value: float) -> float:
    if not math.isfinite(value):
        raise WrongValueError(f"the number {cut(repr(value))}", exact_json.OUT_OF_RANGE)
    nearest = exact_json.plain(value)
    if value == 0 and isinstance(nearest, Digits):
        raise WrongValueError(f"the number {cut(nearest.text)}", "is out of range: numbers go down to about 4.9e-324")
    return nearest


def _float_literal(node: ValueNode, _variables: Mapping[str, Any] | None = None) -> float:
    if not isinstance(node, FloatValueNode | IntValueNode):
        raise WrongValueError(print_ast(node)[:120], "is not a number")
    return _in_range(exact_json.number(node.value) if isinstance(node, FloatValueNode) else _whole(node.value))


def _int_literal(node: ValueNode, _variables: Mapping[str, Any] | None = None) -> int:
    if not isinstance(node, IntValueNode):
        raise WrongValueError(print_ast(node)[:120], "is not a 32-bit integer")
    return _parse_int(exact_json.integer(node.value))


def _id_literal(node: ValueNode, _variables: Mapping[str, Any] | None = None) -> str:
    if not isinstance(node, StringValueNode | IntValueNode):
        raise WrongValueError(print_ast(node)[:120], "is not an id, which is a text or an integer")
    return node.value


def _whole(text: str) -> float:
    return float(text) if len(text) < 16 else Digits(text)


def _json_value(value: Any) -> Any:
    if wrong := exact_json.find_wrong_number(value):
        raise WrongValueError(f"the number {wrong.text}", wrong.reason, wrong.path)
    return exact_json.with_whole_floats(value)


def _json_literal(node: ValueNode, variables: Mapping[str, Any] | None = None) -> Any:
    return _json_value(_value_of(node, variables))


def _value_of(node: ValueNode, variables: Mapping[str, Any] | None = None) -> Any:  # noqa: PLR0911 - one per kind
    """The JSON value of a literal. An unset variable is omitted from an object, and null in a list."""
    match node:
        case IntValueNode():
            return exact_json.integer(node.value)
        case FloatValueNode():
            return exact_json.number(node.value)
        case StringValueNode() | BooleanValueNode() | EnumValueNode():
            return node.value
        case ListValueNode():
            items = (_value_of(item, variables) for item in node.values)
            return [None if item is Undefined else item for item in items]
        case ObjectValueNode():
            fields = {field.name.value: _value_of(field.value, variables) for field in node.fields}
            return {name: value for name, value in fields.items() if value is not Undefined}
        case VariableNode():
            return (variables or {}).get(node.name.value, Undefined)
        case _:
            return None


def _literal(parse: Callable[[Any], Any]) -> Callable[..., Any]:
    """A literal parser from the parser of variables."""
    return lambda node, variables=None: parse(_json_literal(node, variables))


def _scalar(name: str, description: str, parse: Callable[[Any], Any], url: str | None = None) -> ScalarDefinition:
    return strawberry.scalar(
        name=name, description=description, specified_by_url=url, parse_value=parse, parse_literal=_literal(parse)
    )


class _StandardScalar(GraphQLScalarType):
    """A scalar of the specification with custom input parsing; graphql-core reserves these names."""

    reserved_types: Mapping[str, GraphQLNamedType] = {}


def _standard(scalar: GraphQLScalarType, parse: Callable[[Any], Any], literal: Callable[..., Any]) -> ScalarDefinition:
    own = _StandardScalar(
        scalar.name,
        scalar.coerce_output_value,
        parse,
        literal,
        value_to_literal=scalar.value_to_literal,
        description=scalar.description,
    )
    return ScalarDefinition(
        scalar.name, scalar.description, None, own.serialize, own.parse_value, own.parse_literal,
        origin=own, implementation=own,
    )  # fmt: skip


SCALARS: dict[object, Any] = {
    UUID: _scalar(
        "UUID",
        "A UUID in its usual text form, lower case with hyphens.",
        _parse_uuid,
        "https://www.rfc-editor.org/rfc/rfc9562",
    ),
    DateTime: _scalar(
        "DateTime",
        "A moment, RFC 3339 in UTC with microseconds: `2026-01-31T12:00:00.000000Z`. Arguments may have any offset, "
        "and no more digits than a microsecond has; years are 1 to 9999 in UTC. Or they are relative to the moment of "
        "the operation: `now`, `now-7d`, `now+1h30m` (w, d, h, m, s).",
        _parse_datetime,
        "https://www.rfc-editor.org/rfc/rfc3339",
    ),
    Date: _scalar(
        "Date",
        "A calendar date, ISO 8601: `2026-01-31`. Arguments may be relative to the moment of the operation, in UTC: "
        "`now`, `now+30d`.",
        _parse_date,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value, as it is stored (objects, lists, numbers with all their digits).",
        parse_value=_json_value,
        parse_literal=_json_literal,
    ),
    BigInt: _scalar("BigInt", "A 64-bit integer as a JSON number; JavaScript keeps 53 bits of it.", _parse_bigint),
    Vector: strawberry.scalar(
        name="Vector",
        description="An embedding: a list of numbers of a fixed length. Large; it is read only if selected.",
    ),
    float: _standard(GraphQLFloat, _parse_float, _float_literal),
    int: _standard(GraphQLInt, _parse_int, _int_literal),
    strawberry.ID: _standard(GraphQLID, _parse_id, _id_literal),
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
"""The Strawberry annotation of each scalar that `schema.catalogue.column_types` names."""
