"""What an operation makes the database read beyond what it answers with: patterns, counts and aggregates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from db.facts import Facts
from schema.catalogue import Catalogue, Type
from schema.filters import DOCUMENTS, TEXT

ROWS_PER_POINT = 100
"""Rows that are counted or summed up cost a hundredth of rows that are compared with a pattern or sent."""

PATTERNS = {operator.name for operator in (*TEXT, *DOCUMENTS)} - {"startsWith", "isNull"}
"""Operators that read every row's value; no index of ours serves them."""


@dataclass(frozen=True)
class Scan:
    """A pattern: the path of its argument, and about how many rows it is compared with."""

    path: str
    rows: int


class Scans:
    """Estimates of what is read, from how large the tables are."""

    def __init__(self, catalogue: Catalogue, facts: Facts) -> None:
        self._catalogue = catalogue
        self._rows = facts.rows

    def rows(self, type_: Type) -> int:
        """About how many rows a type has; a SELECT at most as many as the largest table that it reads."""
        return max((self._rows.get(name, 0) for name in type_.reads), default=0)

    def below(self, type_: Type, parent: Type | None, parents: int) -> int:
        """About how many rows the lists of so many parents have together."""
        rows = self.rows(type_)
        return rows if parent is None else min(rows, parents * rows // max(self.rows(parent), 1))

    def patterns(self, type_: Type, where: Mapping[str, Any] | None, path: str, rows: int) -> Iterator[Scan]:
        """The patterns of a filter over so many rows. Beside an equality that an index serves, few rows are left."""
        where = where or {}
        narrow = self._is_narrow(type_, where)
        for name, value in where.items():
            here = f"{path}.{name}"
            if value is None:
                continue
            if name in {"and", "or"}:
                for place, one in enumerate(value):
                    yield from self.patterns(type_, one, f"{here}[{place}]", 0 if narrow else rows)
            elif name == "not":
                yield from self.patterns(type_, value, here, 0 if narrow else rows)
            elif name in type_.columns:
                for operator, operand in value.items():
                    if operator in PATTERNS and not narrow and not _is_anchored(operator, operand):
                        yield Scan(f"{here}.{operator}", rows)
            else:
                yield from self._through(type_, name, value, here)

    def _through(self, type_: Type, name: str, value: Mapping[str, Any], path: str) -> Iterator[Scan]:
        relation = type_.relations[name]
        target = self._catalogue[relation.target]
        quantified = value.items() if relation.many else [("", value)]
        for quantifier, inner in quantified:
            here = f"{path}.{quantifier}" if quantifier else path
            yield from self.patterns(target, inner, here, self.rows(target))

    def _is_narrow(self, type_: Type, where: Mapping[str, Any]) -> bool:
        """Whether an equality with a column that leads an index stands in the filter."""
        indexed = {type_.field_name(column) for column in _leading_columns(type_)}
        return any(
            name in indexed and isinstance(value, Mapping) and (value.get("eq") is not None or "in" in value)
            for name, value in where.items()
        )


def _leading_columns(type_: Type) -> set[str]:
    indexes = [next(iter(index.columns.keys()), "") for index in type_.table.indexes]
    unique = [next(iter(one.columns.keys()), "") for one in type_.table.constraints if hasattr(one, "columns")]
    return {name for name in (*indexes, *unique) if name in type_.table.columns}


def _is_anchored(operator: str, operand: Any) -> bool:
    """Whether a `like` begins with plain text."""
    return operator == "like" and isinstance(operand, str) and operand[:1] not in {"%", "_"}
