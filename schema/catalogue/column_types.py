"""Column types: SQL expression of their wire form, validation in Python, and GraphQL type.

Both executors select the same wire form: timestamps are UTC with six digits and ``Z``, NUMERIC is a number, UUIDs are
text, JSON and vectors are Postgres's own text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import orjson
from pgvector.sqlalchemy import Vector
from sqlalchemy import Enum as SqlEnum
from sqlalchemy.types import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Float,
    Integer,
    Numeric,
    String,
    TypeEngine,
    Uuid,
)

from db.base.system_catalog import enum_name
from db.base.vocabulary import Labels
from schema.catalogue.exact_json import named
from schema.errors import unreadable_number, unreadable_value

Decode = Callable[[Any, str], Any]
"""Validates a wire value other than None; ``(value, "table.column") -> value``, or an error instance for the
response."""


@dataclass(frozen=True)
class ColumnKind:
    """One kind of column.

    ``wire`` is the SQL of its wire form with ``{c}`` for the column; ``pg_type`` is the type of a bind that is compared
    with it; ``graphql`` names a scalar of `schema.catalogue.scalars`, or is empty for an enum, whose labels are
    ``labels``.
    """

    name: str
    wire: str
    pg_type: str
    graphql: str
    decode: Decode | None = None
    labels: type[Labels] | None = None
    is_list: bool = False
    checked: str = ""
    """The SQL of the wire form inside JSON built by Postgres, where it differs: names in place of an enum's labels,
    JSON as JSON. Where ``decode`` would refuse the value, it makes the statement fail."""

    @property
    def compared_as(self) -> str:
        """The type in which values are compared: enums by their order, agents and other text as text."""
        if self.graphql == "String":
            return "text[]" if self.is_list else "text"
        return self.pg_type

    @property
    def is_converted(self) -> bool:
        """Whether databases may store it as text, too: UUIDs and labels."""
        return self.name in {"uuid", "enum"} and self.pg_type != "text"

    def comparable(self, column: str) -> str:
        """``column`` as an expression of that type, without a cast if it has the type already, so that its index is
        used. Postgres drops the cast of UUIDs and labels, unless they are stored as text or in a domain."""
        own = self.pg_type == self.compared_as and not (self.labels and "(" in column)
        return column if own and not self.is_converted else f"{column}::{self.compared_as}"

    def sql(self, column: str) -> str:
        """The wire expression of ``column``, a SQL expression."""
        return self.wire.replace("{c}", column)

    def json(self, column: str) -> str:
        """The expression for JSON built by Postgres; the statement fails where ``decode`` would refuse the value."""
        return (self.checked or self.wire).replace("{c}", column)


_REFUSED = "('unreadable: ' || {c}::text)::integer"
"""SQL that fails and names the value; NULL for NULL."""

FINITE = (
    "CASE WHEN {c}::{type} > '-Infinity' AND {c}::{type} < 'Infinity' "
    f"THEN {{c}}::float8 ELSE {_REFUSED}::float8 END"
)
"""SQL for a finite number; fails for NaN, which compares as greater than infinity, and the infinities."""

# to_char cannot format infinities or eras; those are sent as text, which `decode` refuses
_TIME = (
    "CASE WHEN isfinite({c}) AND {c} >= '0001-01-01' AND {c} < '10000-01-01'"
    ' THEN to_char({c}{utc}, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') ELSE {c}::text END'
)
_DATE = (
    "CASE WHEN isfinite({c}) AND {c} >= '0001-01-01' AND {c} < '10000-01-01'"
    " THEN to_char({c}, 'YYYY-MM-DD') ELSE {c}::text END"
)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")


_TIME_ONLY = _TIME.replace("ELSE {c}::text END", f"ELSE {_REFUSED}::text END")
_DATE_ONLY = _DATE.replace("ELSE {c}::text END", f"ELSE {_REFUSED}::text END")


def _names(labels: type[Labels], text: str) -> str:
    """SQL for the names of an enum's members by its labels; fails for an unknown label."""
    pairs = " ".join(f"WHEN '{member.value}' THEN '{member.name}'" for member in labels)
    return f"CASE {text} {pairs} ELSE {_REFUSED.replace('{c}', text)}::text END"


def _names_list(labels: type[Labels]) -> str:
    names = _names(labels, "e.label")
    items = f"ARRAY(SELECT {names} FROM unnest({{c}}::text[]) WITH ORDINALITY AS e(label, place) ORDER BY e.place)"
    return f"CASE WHEN {{c}} IS NOT NULL THEN {items} END"


def _flat(wire: str) -> str:
    """SQL for a one-dimensional array; fails for more dimensions."""
    return f"CASE WHEN array_ndims({{c}}) > 1 THEN ARRAY[{_REFUSED}]::text[]::{{type}} ELSE {wire} END"


def _finite(value: Any, column: str) -> Any:
    return value if math.isfinite(value) else unreadable_number(column, named(value))


def _time(value: Any, column: str) -> Any:
    return value if _RFC3339.fullmatch(value) else unreadable_value(column, f"the time {value!r}, outside years 1-9999")


def _date(value: Any, column: str) -> Any:
    return (
        value if _ISO_DATE.fullmatch(value) else unreadable_value(column, f"the date {value!r}, outside years 1-9999")
    )


def _raw_json(value: Any, _column: str) -> Any:
    return orjson.Fragment(value.encode())


def _one_dimension(value: Any, column: str) -> Any:
    if any(isinstance(item, list) for item in value):
        return unreadable_value(column, "an array of more than one dimension")
    return value


def _label(labels: type[Labels]) -> Decode:
    known = frozenset(member.value for member in labels)

    def decode(value: Any, column: str) -> Any:
        if value in known:
            return value
        return unreadable_value(column, f"the label {value!r}, which enum {labels.__name__} does not know")

    return decode


def _label_list(labels: type[Labels]) -> Decode:
    check = _label(labels)

    def decode(values: Any, column: str) -> Any:
        for value in values:
            if value is not None and isinstance(error := check(value, column), Exception):
                return error
        return values

    return decode


@singledispatch
def kind_of(type_: TypeEngine[Any]) -> ColumnKind:
    """The kind of a column type.

    Raises:
        TypeError: The graph has no representation for the type.
    """
    raise TypeError(f"no GraphQL type for the column type {type_!r}: add it to schema/catalogue/column_types.py")


@kind_of.register
def _(type_: SqlEnum) -> ColumnKind:
    labels = type_.enum_class
    if not isinstance(labels, type) or not issubclass(labels, Labels):
        raise TypeError(f"an enum column needs a Labels class: {type_!r}")
    checked = _names(labels, "{c}::text")
    if labels.pg_name is None:  # only in SQL fields, where it is text
        return ColumnKind("enum", "{c}::text", "text", "", _label(labels), labels, checked=checked)
    pg_type = enum_name(labels)
    if labels.open_ended:
        return ColumnKind("text", "{c}::text", pg_type, "String")
    return ColumnKind("enum", "{c}::text", pg_type, "", _label(labels), labels, checked=checked)


@kind_of.register
def _(type_: ARRAY) -> ColumnKind:  # type: ignore[type-arg]  # singledispatch needs the plain class
    if isinstance(type_.item_type, SqlEnum):
        labels = kind_of(type_.item_type).labels
        assert labels is not None  # noqa: S101 - the dictionary has no arrays of open-ended enums
        return ColumnKind(
            "enum[]",
            "{c}::text[]",
            "text[]",
            "",
            _label_list(labels),
            labels,
            is_list=True,
            checked=_names_list(labels),
        )
    item = kind_of(type_.item_type)
    is_text = item.graphql in {"UUID", "String"}
    wire = "{c}::text[]" if is_text else "{c}"
    flat = _flat(wire).replace("{type}", "text[]" if is_text else f"{item.pg_type}[]")
    return ColumnKind(
        f"{item.name}[]", wire, f"{item.pg_type}[]", item.graphql, _one_dimension, is_list=True, checked=flat
    )


@kind_of.register
def _(type_: Vector) -> ColumnKind:
    return ColumnKind("vector", "{c}::text", f"vector({type_.dim})", "Vector", _raw_json, checked="{c}::text::json")


@kind_of.register
def _(_type: JSON) -> ColumnKind:
    return ColumnKind("json", "{c}::text", "jsonb", "JSON", _raw_json, checked="{c}")


@kind_of.register
def _(_type: Uuid) -> ColumnKind:  # type: ignore[type-arg]  # singledispatch needs the plain class
    return ColumnKind("uuid", "{c}::text", "uuid", "UUID")


@kind_of.register
def _(_type: Boolean) -> ColumnKind:
    return ColumnKind("boolean", "{c}", "boolean", "Boolean")


@kind_of.register
def _(_type: BigInteger) -> ColumnKind:
    return ColumnKind("bigint", "{c}", "bigint", "BigInt")


@kind_of.register
def _(_type: Integer) -> ColumnKind:
    return ColumnKind("integer", "{c}", "integer", "Int")


@kind_of.register
def _(_type: Float) -> ColumnKind:  # type: ignore[type-arg]  # singledispatch needs the plain class
    return ColumnKind("double", "{c}", "double precision", "Float", _finite, checked=FINITE.replace("{type}", "float8"))


@kind_of.register
def _(_type: Numeric) -> ColumnKind:  # type: ignore[type-arg]  # singledispatch needs the plain class
    return ColumnKind(
        "numeric", "{c}::float8", "numeric", "Float", _finite, checked=FINITE.replace("{type}", "numeric")
    )


@kind_of.register
def _(type_: DateTime) -> ColumnKind:
    utc, pg_type = (" AT TIME ZONE 'UTC'", "timestamptz") if type_.timezone else ("", "timestamp")
    wire, checked = _TIME.replace("{utc}", utc), _TIME_ONLY.replace("{utc}", utc)
    return ColumnKind("time", wire, pg_type, "DateTime", _time, checked=checked)


@kind_of.register
def _(_type: Date) -> ColumnKind:
    return ColumnKind("date", _DATE, "date", "Date", _date, checked=_DATE_ONLY)


@kind_of.register
def _(_type: String) -> ColumnKind:
    return ColumnKind("text", "{c}::text", "text", "String")
