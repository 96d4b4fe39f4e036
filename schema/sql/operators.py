"""Operators of filters: their operands, and their SQL over a column.

`ne` and `notIn` treat null as a value: a row whose column is null is unequal to every value. All other operators match
only rows with a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from schema.catalogue import exact_json
from schema.catalogue.catalogue import ColumnField
from schema.catalogue.column_types import ColumnKind
from schema.catalogue.relative_times import RelativeDate, RelativeTime
from schema.sql.builder import Binds
from schema.sql.parameters import Parameter, applied

MAX_LIST = 1000


Build = Callable[[str, Any, "Bind"], str]
"""``(column, value, bind) -> predicate``; ``bind`` binds a value with the column's type."""


@dataclass(frozen=True)
class Bind:
    """Binds values as text with a cast: one form for every driver, and numbers keep their digits."""

    binds: Binds
    pg_type: str

    def __call__(self, value: Any) -> str:
        return self.binds(applied(text_of, value), f"text::{self.pg_type}")

    def many(self, values: list[Any] | Parameter) -> str:
        return self.binds(applied(_texts_of, values), f"text[]::{self.pg_type}[]")

    def text(self, value: str | Parameter, pg_type: str = "text") -> str:
        return self.binds(value, "text" if pg_type == "text" else f"text::{pg_type}")


def text_of(value: Any) -> str:
    """A GraphQL value as text for Postgres; enum members as their labels."""
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat()  # a time without a zone is UTC
        case date():
            return value.isoformat()
        case str() | int():
            return str(value)
        case float():
            return repr(value)
        case _:
            return str(value.value)


def as_sent(value: Any) -> str:
    """The text of a value for comparison with earlier requests: a relative time is its own text."""
    return value.sent if isinstance(value, RelativeTime | RelativeDate) else text_of(value)


def _texts_of(values: list[Any]) -> list[str]:
    return [text_of(value) for value in values]


@dataclass(frozen=True)
class Operator:
    """An operator: its operand (`value`, `list`, `flag`, `text`, `path` or `json`), its description, and its SQL."""

    name: str
    takes: str
    description: str
    build: Build


def _equal(column: str, value: Any, bind: Bind) -> str:
    return f"{column} IS NULL" if value is None else f"{column} = {bind(value)}"


def _unequal(column: str, value: Any, bind: Bind) -> str:
    return f"{column} IS NOT NULL" if value is None else f"{column} IS DISTINCT FROM {bind(value)}"


def _among(column: str, values: Any, bind: Bind) -> str:
    """Compares with an array of casts for times: the cast of a text depends on session settings, so that a list would
    be parsed per row."""
    listed = bind.many(values)
    return f"{column} IN (SELECT unnest({listed}))" if bind.pg_type in _BY_SETTINGS else f"{column} = ANY ({listed})"


_BY_SETTINGS = {"timestamptz", "timestamp", "date"}


def _is_null(column: str, value: Any, _bind: Bind) -> str:
    return f"{column} IS {'' if value else 'NOT '}NULL"


def _is_json_null(column: str, value: Any, _bind: Bind) -> str:
    """Both SQL NULL and JSON null are null in responses; a column may be json, which has no operators."""
    stored = f"{column}::jsonb {'=' if value else '<>'} 'null'"
    return f"{column} IS NULL OR {stored}" if value else stored


def _compare(operator: str) -> Build:
    return lambda column, value, bind: f"{column} {operator} {bind(value)}"


def _like(operator: str, before: str, after: str) -> Build:
    def pattern(value: str) -> str:
        escaped = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return before + escaped + after

    return lambda column, value, bind: f"{column} {operator} {bind.text(applied(pattern, value))}"


EQUALITY = (
    Operator("eq", "value", "Equal to the value; null matches rows without a value.", _equal),
    Operator("ne", "value", "Not equal to the value; rows without a value match.", _unequal),
    Operator("in", "list", f"One of the values (at most {MAX_LIST}); an empty list matches nothing.",
             _among),
    Operator("notIn", "list", f"None of the values (at most {MAX_LIST}); rows without a value match.",
             lambda c, v, bind: f"({_among(c, v, bind)}) IS NOT TRUE"),
    Operator("isNull", "flag", "Whether the value is null.", _is_null),
)  # fmt: skip


ORDER = (
    Operator("lt", "value", "Less than the value.", _compare("<")),
    Operator("lte", "value", "Less than the value or equal to it.", _compare("<=")),
    Operator("gt", "value", "Greater than the value.", _compare(">")),
    Operator("gte", "value", "Greater than the value or equal to it.", _compare(">=")),
)
RANGES = {operator.name for operator in ORDER}
"""Operators that bound a range."""


TEXT = (
    Operator("contains", "text", "Contains the text, in this case.", _like("LIKE", "%", "%")),
    Operator("iContains", "text", "Contains the text, in any case.", _like("ILIKE", "%", "%")),
    Operator("startsWith", "text", "Starts with the text, in this case.", _like("LIKE", "", "%")),
    Operator("like", "text", r"Matches the pattern: `%` any text, `_` any character, `\` escapes.",
             lambda c, v, bind: f"{c} LIKE {bind.text(applied(_closed, v))}"),
)  # fmt: skip


LISTS = (
    Operator("has", "value", "The list has the value.", lambda c, v, bind: f"{c} @> {bind.many([v])}"),
    Operator("hasAny", "list", f"The list has one of the values (at most {MAX_LIST}).",
             lambda c, v, bind: f"{c} && {bind.many(v)}"),
    Operator("hasAll", "list", f"The list has all of the values (at most {MAX_LIST}).",
             lambda c, v, bind: f"{c} @> {bind.many(v)}"),
    Operator("isNull", "flag", "Whether there is no list.", _is_null),
)  # fmt: skip


DOCUMENTS = (
    Operator("contains", "json", "Contains this JSON: objects by their given keys, lists by their given items.",
             lambda c, v, bind: f"{c}::jsonb @> {bind.text(applied(_json, v), 'jsonb')}"),
    Operator("hasKey", "text", "The object has the key, or the list the text.",
             lambda c, v, bind: f"{c}::jsonb ? {bind.text(v)}"),
    Operator("path", "path", "The SQL/JSON path finds something: `$.roc_auc ? (@ > 0.8)`.",
             lambda c, v, bind: f"{c}::jsonb @? {bind.text(v, 'jsonpath')}"),
    Operator("isNull", "flag", "Whether there is no value, or the value is JSON's null.", _is_json_null),
)  # fmt: skip


VECTORS = (Operator("isNull", "flag", "Whether the row has no vector.", _is_null),)


def _json(value: Any) -> str:
    return exact_json.dumps(value, text_of).decode()


_PATH_TOKEN = re.compile(
    r"""/\*.*?(?:\*/|\Z)|\\.|(\$(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[^\s"?%$.\[\]{}()|&!=<>@#,*:+/-]+))"""
    r"""|"[^"\\]*+(?:\\.[^"\\]*+)*+"?""",
    re.DOTALL,
)
"""Comments, escapes, variables and texts of an SQL/JSON path."""


def path_variable(path: str) -> str | None:
    """The first variable that an SQL/JSON path names. Postgres reads it as null, so `$auc` would match every row."""
    return next((found[1] for found in _PATH_TOKEN.finditer(path) if found[1]), None)


def _closed(pattern: str) -> str:
    """A pattern that ends in a lone escape character is an error in Postgres; it is taken literally."""
    trailing = len(pattern) - len(pattern.rstrip("\\"))
    return pattern + "\\" if trailing % 2 else pattern


def operators(kind: ColumnKind) -> tuple[Operator, ...]:
    """The operators of a column of this kind."""
    if kind.is_list:
        return LISTS
    match kind.graphql:
        case "JSON":
            return DOCUMENTS
        case "Vector":
            return VECTORS
        case "Boolean" | "UUID" | "ID":
            return EQUALITY
        case "String":
            return EQUALITY + ORDER + TEXT
        case _:
            return EQUALITY + ORDER


def filtered(leaf: ColumnField) -> bool:
    """Whether a leaf can be filtered by: not the global id or the row's version."""
    return leaf.is_own and bool(operators(leaf.kind))


def labelled(operator: str, column: str, value: Any, bind: Bind, stored: str) -> str | None:
    """`eq` or `in` of texts over a column of an enum, ``stored`` in SQL, by the labels that it has, so that indexes of
    the column serve; None for other comparisons.

    The planner computes the label of `eq` by functions, as it would by no cast of arrays, and so how often it occurs.
    """
    labels = f"enum_range(NULL::{stored})"
    match operator:
        case "eq" if value is not None:
            names = f"string_to_array(array_to_string({labels}, chr(1)), chr(1))"
            return f"{column} = ({labels})[array_position({names}, {bind(value)})]"
        case "in":
            return f"{column} = ANY (ARRAY(SELECT e FROM unnest({labels}) e WHERE e::text = ANY ({bind.many(value)})))"
    return None


CLOSED = frozenset({"eq", "ne", "in", "notIn", "has", "hasAny", "hasAll"})
"""Operators that compare whole values, which must be words of a closed vocabulary."""
