"""Values of columns as Postgres arrays, one array per column."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import ARRAY, Numeric, String
from sqlalchemy import Enum as SqlEnum

from db.attach.facts import StoredColumn
from db.base.system_catalog import enum_name
from schema.catalogue import exact_json
from schema.catalogue.catalogue import Type
from schema.catalogue.column_types import ColumnKind
from schema.errors import NUL
from schema.sql.operators import text_of

_NATIVE = {
    "boolean": "boolean", "integer": "integer", "bigint": "bigint", "double": "double precision", "uuid": "uuid",
    "date": "date", "time": "timestamptz",
}  # fmt: skip
"""Kinds whose values the driver encodes without conversion, with the Postgres type of the array's items."""
PLAIN = frozenset(_NATIVE)
"""Kinds whose GraphQL values need neither conversion nor a check of bounds."""
MAX_LIST = 1_000
"""The largest number of items of a list value of a column."""
MAX_SINGLE = 3.4028234663852886e38
"""The largest number of single precision, of which vectors are."""

_VARCHAR = re.compile(r"character(?: varying)?\((\d+)\)")
_NUMERIC = re.compile(r"numeric\((\d+),(\d+)\)")


@dataclass(frozen=True)
class Bounds:
    """Bounds of a column: characters of a text; digits of a number before (``digits``) and after the decimal point."""

    length: int | None = None
    digits: int | None = None
    decimals: int | None = None


@lru_cache(10_000)
def bounds_of(type_: Type, column: str, fact: StoredColumn | None) -> Bounds:
    """The bounds of a column, from the connected database or, without its facts, from the model."""
    if fact is not None:
        if found := _VARCHAR.fullmatch(fact.type):
            return Bounds(length=int(found[1]))
        if found := _NUMERIC.fullmatch(fact.type):
            return Bounds(digits=int(found[1]) - int(found[2]), decimals=int(found[2]))
        return Bounds()
    declared = type_.table.columns[column].type
    if isinstance(declared, Numeric) and declared.precision is not None:
        scale = declared.scale or 0
        return Bounds(digits=declared.precision - scale, decimals=scale)
    return Bounds(
        length=declared.length if isinstance(declared, String) and not isinstance(declared, SqlEnum) else None
    )


def wrong_value(kind: ColumnKind, value: Any, bounds: Bounds) -> str | None:
    """The error of a value of the right GraphQL type, without quoting the value; None if the value is valid."""
    if value is None:
        return None
    if kind.is_list or kind.name == "vector":
        return _wrong_list(kind, value)
    if isinstance(value, str):
        if "\x00" in value:
            return NUL
        if bounds.length is not None and len(value) > bounds.length:
            return f"has {len(value)} characters; at most {bounds.length} are kept"
    elif isinstance(value, int | float) and (kind.name == "numeric" or bounds.digits is not None):
        return exact_json.wrong_numeric(value, bounds.digits, bounds.decimals)
    return None


def vector_size(kind: ColumnKind) -> int:
    """The dimension of a vector column."""
    return int(kind.pg_type.removeprefix("vector(").removesuffix(")"))


def _wrong_list(kind: ColumnKind, value: Any) -> str | None:
    if not isinstance(value, list):
        return "is no list"
    if kind.name == "vector":
        size = vector_size(kind)
        if len(value) != size or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in value):
            return f"is no list of {size} numbers"
        if not all(abs(one) <= MAX_SINGLE for one in value):
            return "has a number that is out of range: those of a vector go up to about 3.4e38"
        return None
    if len(value) > MAX_LIST:
        return f"has {len(value)} items; at most {MAX_LIST:,} are kept"
    return NUL if any(isinstance(one, str) and "\x00" in one for one in value) else None


@dataclass(frozen=True)
class ColumnArray:
    """How the values of a column are passed as one array parameter.

    ``bound_as`` is the type of the placeholder; ``write`` converts a value into an item, None if it is passed as is.
    """

    bound_as: str
    write: Callable[[Any], Any] | None
    read: str
    """SQL over ``{v}``, an item of the array."""


@cache
def array_of(type_: Type, column: str) -> ColumnArray:
    """The array parameter of a column."""
    kind, declared = type_.column_kind(column), type_.table.columns[column].type
    if kind.name == "time" and kind.pg_type == "timestamp":
        return ColumnArray("timestamp[]", lambda value: value.astimezone(UTC).replace(tzinfo=None), "{v}")
    if kind.name in _NATIVE:
        return ColumnArray(f"{_NATIVE[kind.name]}[]", None, "{v}")
    if kind.is_list:
        item = kind.pg_type
        if isinstance(declared, ARRAY) and isinstance(declared.item_type, SqlEnum) and kind.labels is not None:
            item = f"{enum_name(kind.labels)}[]"
        texts = "ARRAY(SELECT e FROM jsonb_array_elements_text({v}::jsonb) WITH ORDINALITY AS j (e, p) ORDER BY p)"
        return ColumnArray("text[]", _json_of_texts, f"CASE WHEN {{v}} IS NOT NULL THEN {texts}::{item} END")
    if kind.name in {"json", "vector"}:
        return ColumnArray("text[]", lambda value: exact_json.dumps(value, text_of).decode(), f"{{v}}::{kind.pg_type}")
    if kind.name == "text":
        return ColumnArray("text[]", None, "{v}" if kind.pg_type == "text" else f"{{v}}::{kind.pg_type}")
    return ColumnArray("text[]", text_of, f"{{v}}::{kind.pg_type}")


def wrong_text(kind: ColumnKind, text: Any) -> str | None:
    """The error of a converted value, None if it is valid: text within jsonb cannot contain NUL."""
    return NUL if kind.name == "json" and exact_json.holds_nul(text) else None


def _json_of_texts(values: list[Any]) -> str:
    return exact_json.dumps([None if one is None else text_of(one) for one in values]).decode()


def compared(type_: Type, column: str) -> str:
    """The type to cast a value to before it is compared with the stored one: ``numeric(5, 4)``, or empty for none."""
    declared = type_.table.columns[column].type
    if isinstance(declared, Numeric) and declared.precision is not None and type_.column_kind(column).name == "numeric":
        return f"numeric({declared.precision}, {declared.scale or 0})"
    return ""
