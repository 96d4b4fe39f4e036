"""Aggregates: counts, sums and percentiles of the rows of a list, by groups and time buckets, for all parents in one
statement."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import strawberry

from schema.adapters.strawberry import annotate
from schema.catalogue.catalogue import ColumnField, Type
from schema.catalogue.column_types import FINITE, ColumnKind
from schema.catalogue.exact_json import OUT_OF_RANGE, named
from schema.catalogue.records import Missing
from schema.catalogue.scalars import Date, DateTime
from schema.catalogue.selection import Selection
from schema.error_codes import ErrorCode
from schema.errors import GatewayError, bad_argument, missing_object
from schema.sql.builder import Binds, conditions
from schema.sql.orders import sortable

MAX_GROUPS = 1000
MAX_KEYS = 5


@strawberry.enum(description="Length of the intervals that times are grouped into; they start in UTC, weeks on Monday.")
class TimeBucket(enum.Enum):
    MINUTE = strawberry.enum_value("minute", description="Minutes.")
    HOUR = strawberry.enum_value("hour", description="Hours.")
    DAY = strawberry.enum_value("day", description="Days.")
    WEEK = strawberry.enum_value("week", description="Weeks, from Monday.")
    MONTH = strawberry.enum_value("month", description="Months.")


@strawberry.type(description="Aggregates of a numeric field; nulls are left out.")
class NumberAggregate:
    count: int = strawberry.field(description="Number of rows with a value.")
    min: float | None = strawberry.field(description="Least value.")
    max: float | None = strawberry.field(description="Greatest value.")
    avg: float | None = strawberry.field(description="Mean.")
    sum: float | None = strawberry.field(description="Sum.")
    stddev: float | None = strawberry.field(description="Standard deviation of the sample; null below two values.")
    p50: float | None = strawberry.field(description="Median, interpolated.")
    p95: float | None = strawberry.field(description="95th percentile, interpolated.")
    p99: float | None = strawberry.field(description="99th percentile, interpolated.")


@strawberry.type(description="Aggregates of a time field; nulls are left out.")
class TimeAggregate:
    count: int = strawberry.field(description="Number of rows with a value.")
    min: DateTime | None = strawberry.field(description="Earliest.")
    max: DateTime | None = strawberry.field(description="Latest.")


@strawberry.type(description="Aggregates of a date field; nulls are left out.")
class DateAggregate:
    count: int = strawberry.field(description="Number of rows with a value.")
    min: Date | None = strawberry.field(description="Earliest.")
    max: Date | None = strawberry.field(description="Latest.")


NUMBER = ColumnKind("double", "{c}::float8", "double precision", "Float", checked=FINITE.replace("{type}", "float8"))
PERCENTILES: Mapping[str, float] = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
"""Functions that sort the rows, with their share of them."""
_FUNCTIONS = {
    "avg": "avg({v})",
    "sum": "sum({v})",
    "stddev": "stddev_samp({v})",
    **{name: f"percentile_cont({share}) WITHIN GROUP (ORDER BY {{v}})" for name, share in PERCENTILES.items()},
}
EXTREMES = {"min", "max"}
_CAN_OVERFLOW = {"avg", "sum", "stddev"}
"""Functions whose results, in part or in the end, can exceed the range of doubles."""
BY_KIND: dict[str, Any] = {
    "Int": NumberAggregate,
    "BigInt": NumberAggregate,
    "Float": NumberAggregate,
    "DateTime": TimeAggregate,
    "Date": DateAggregate,
}
"""The aggregate type of a leaf, by its scalar; leaves of other scalars have none."""


def aggregated(leaf: ColumnField) -> bool:
    """Whether a leaf has an aggregate."""
    return sortable(leaf) and not leaf.kind.labels and leaf.kind.graphql in BY_KIND


@dataclass(frozen=True)
class Summary:
    """An aggregate of a list: its statement, and the conversion of a result row to a record."""

    type: Type
    keys: tuple[tuple[ColumnField, str], ...]
    """The leaves of the groups' keys, with the key's expression."""
    measures: tuple[tuple[ColumnField, str], ...]
    """The aggregated leaves, with the names of the functions."""
    counts: bool = True
    """Whether the number of rows is selected."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """The leaves that are not aggregated, as their columns are missing, with the missing column."""
    wide: bool = False
    """Whether what can overflow is computed in decimals of any size, so that values out of range fail alone."""

    def readable(self, missing: Missing) -> Summary:
        """The same without the leaves that the database lacks: these are errors in its records.

        Raises:
            GatewayError: ``MISSING_IN_DATABASE``, or ``FORBIDDEN_FIELD``: a key is, or all that is measured.
        """
        for leaf, _ in self.keys:
            if what := missing.first(self.type, leaf.columns):
                raise missing_object(what)
        lacking = {leaf.name: what for leaf, _ in self.measures if (what := missing.first(self.type, leaf.columns))}
        there = tuple(one for one in self.measures if one[0].name not in lacking)
        if lacking and not there and not self.counts:
            raise missing_object(next(iter(lacking.values())))
        return replace(self, measures=there, missing=lacking)

    def widened(self) -> Summary | None:
        """The same in decimals of any size; None if nothing of it can overflow."""
        if self.wide or not any(function in _CAN_OVERFLOW for _, function in self.measures):
            return None
        return replace(self, wide=True)

    def statement(
        self, rows: str, where: Sequence[str], bind: Binds, write: Callable[[ColumnKind, str], str] = ColumnKind.sql
    ) -> str:
        """The groups of one list of ``rows`` with the alias ``t``: keys, count, measures, as ``a0``, ``a1`` and so on.

        ``write`` gives the form of values: wire form, or JSON.
        """
        groups = [expression for _, expression in self.keys]
        select = [write(leaf.kind, expression) for leaf, expression in self.keys]
        select.append("count(*)")
        select += [
            _wide(leaf, function) if self.wide and function in _CAN_OVERFLOW else _measure(leaf, function, write)
            for leaf, function in self.measures
        ]
        items = ", ".join(f"{expression} AS a{place}" for place, expression in enumerate(select))
        source = f"SELECT {items} FROM {rows} t{conditions(where)}"
        if not groups:
            return source
        by = ", ".join(groups)
        return f"{source} GROUP BY {by} ORDER BY {by} LIMIT {bind(MAX_GROUPS + 1, 'bigint')}"

    def record(self, values: Sequence[Any]) -> dict[str, Any]:
        """A result row for the aggregate types."""
        column = self.type.sql_name
        keys = len(self.keys)
        record: dict[str, Any] = {
            "group": dict.fromkeys(self.type.columns)
            | {
                leaf.name: _checked(leaf.kind, value, f"{column}.{leaf.name}")
                for (leaf, _), value in zip(self.keys, values, strict=False)
            },
            "count": values[keys],
        }
        record |= {leaf.name: {} for leaf in self.type.columns.values() if aggregated(leaf) and leaf.name not in record}
        for (leaf, function), value in zip(self.measures, values[keys + 1 :], strict=True):
            what = f"{function} of {column}.{leaf.name}"
            kind = value_kind(leaf, function)
            if value is not None and kind.graphql == "Float" and function != "count":
                record[leaf.name][function] = _number(value, what, leaf)
            else:
                record[leaf.name][function] = _checked(kind, value, what)
        record |= {name: missing_object(what) for name, what in self.missing.items()}
        return record


def _number(value: float | str, what: str, leaf: ColumnField) -> float | GatewayError:
    """A result for the response, from a double or the text of a decimal; an error if JSON has no such number."""
    number = float(value)
    if math.isfinite(number):
        return number
    filter_ = f"`where: {{{leaf.name}: {{gte: -1e300, lte: 1e300}}}}`"
    if value in {"NaN", "Infinity", "-Infinity"} or isinstance(value, float):
        why = f"is {named(number)}, which JSON numbers cannot represent"
        advice = f"A filter leaves out rows without a number, such as {filter_}"
    else:
        why = OUT_OF_RANGE
        advice = f"Narrow the list by a filter, such as {filter_}, or ask for avg, min or max"
    message = f"{what} {why}; it is answered as null. {advice}."
    return GatewayError(ErrorCode.UNREPRESENTABLE_VALUE, message, column=what)


def _checked(kind: ColumnKind, value: Any, what: str) -> Any:
    return kind.decode(value, what) if kind.decode and value is not None else value


def value_kind(leaf: ColumnField, function: str) -> ColumnKind:
    """The kind of a function's values: the column's for its extremes, if a Float can have it."""
    return leaf.kind if function in EXTREMES and leaf.kind.graphql != "BigInt" else NUMBER


def _measure(leaf: ColumnField, function: str, write: Callable[[ColumnKind, str], str]) -> str:
    value = leaf.value_over("t")
    if function == "count":
        return f"count({value})"
    measure = f"{function}({value})" if function in EXTREMES else f"({_FUNCTIONS[function].replace('{v}', value)})"
    return write(value_kind(leaf, function), measure)


def _wide(leaf: ColumnField, function: str) -> str:
    """The text of a function's result in decimals: through the text of a double, which has all of its digits."""
    value = f"({leaf.value_over('t')})::text::numeric"
    return f"({_FUNCTIONS[function].replace('{v}', value)})::text"


def summary(type_: Type, selection: Selection) -> Summary:
    """The aggregate that a field selects.

    Raises:
        GatewayError: ``BAD_USER_INPUT``, naming an invalid key.
    """
    asked: Sequence[Mapping[str, Any]] = selection.arguments.get("groupBy") or ()
    if len(asked) > MAX_KEYS:
        raise bad_argument("groupBy", f"has {len(asked)} keys; pass at most {MAX_KEYS}")
    keys: list[tuple[ColumnField, str]] = []
    for place, one in enumerate(asked):
        leaf = type_.columns[one["field"].value]
        if any(leaf is other for other, _ in keys):
            raise bad_argument(f"groupBy[{place}]", f"groups by {leaf.name} a second time")
        keys.append((leaf, _key(leaf, one.get("bucket"), f"groupBy[{place}].bucket")))
    measures: dict[tuple[str, str], tuple[ColumnField, str]] = {}
    for child in selection.fields.values():
        leaf_ = type_.columns.get(child.name)
        if leaf_ is not None and aggregated(leaf_):
            for function in child.fields.values():
                if not function.name.startswith("__"):
                    measures[leaf_.name, function.name] = (leaf_, function.name)
    counts = any(child.name == "count" for child in selection.fields.values())
    return Summary(type_, tuple(keys), tuple(measures.values()), counts)


def _key(leaf: ColumnField, bucket: Any, path: str) -> str:
    value = leaf.value_over("t")
    if bucket is None:
        return value
    if leaf.kind.graphql not in {"DateTime", "Date"}:
        raise bad_argument(path, f"{leaf.name} is not a time; leave `bucket` out, or group by a time")
    if leaf.kind.pg_type == "timestamptz":
        return f"date_trunc('{bucket.value}', {value}, 'UTC')"
    truncated = f"date_trunc('{bucket.value}', {value}::timestamp)"
    return f"{truncated}::date" if leaf.kind.graphql == "Date" else truncated


def groups(found: list[dict[str, Any]]) -> list[dict[str, Any]] | GatewayError:
    """The groups of one list, or the error that there are too many."""
    if len(found) <= MAX_GROUPS:
        return found
    return too_many()


def too_many() -> GatewayError:
    """The error for too many groups."""
    return GatewayError(ErrorCode.GROUP_LIMIT, limit=MAX_GROUPS)


_REFUSAL = re.compile(r"groups of ([\w.]+): \d")


def refusal(path: Sequence[str]) -> str:
    """The message with which a compiled statement fails, before the number of groups, if the aggregate at a path has
    too many."""
    return f"groups of {'.'.join(path)}: "


def refused(error: Exception) -> frozenset[tuple[str, ...]]:
    """The path of the aggregate whose groups failed a compiled statement; empty for other errors."""
    return frozenset(tuple(found.split(".")) for found in _REFUSAL.findall(str(error)))


class AggregateTypes:
    """The aggregate types, per type of the graph."""

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation

    def aggregate(self, type_: Type) -> Any:
        """``ModelAggregate``: the group's keys, the count, and a field per number and time."""
        annotations: dict[str, Any] = {"group": self._group(type_), "count": int}
        cls: Any = type(f"{type_.name}Aggregate", (), {})
        cls.group = strawberry.field(description="The keys of the group; null for fields that are not grouped by.")
        cls.count = strawberry.field(description="Number of rows in the group.")
        for leaf in type_.columns.values():
            if aggregated(leaf) and leaf.name not in annotations:
                annotations[leaf.name] = BY_KIND[leaf.kind.graphql] | None
                setattr(cls, leaf.name, strawberry.field(name=leaf.name, description=leaf.description))
        annotate(cls, annotations)
        return strawberry.type(cls, description=f"Aggregates of a group of {type_.name} rows.")

    def _group(self, type_: Type) -> Any:
        cls: Any = type(f"{type_.name}Group", (), {})
        annotations: dict[str, Any] = {}
        for leaf in type_.columns.values():
            if sortable(leaf):
                annotations[leaf.name] = self._annotation(leaf.kind) | None
                setattr(cls, leaf.name, strawberry.field(name=leaf.name, description=leaf.description, default=None))
        annotate(cls, annotations)
        return strawberry.type(cls, description=f"The keys by which {type_.name} rows are grouped.")
