"""How often values occur in the columns of large tables, from Postgres's statistics: what share of the rows fulfils a
comparison that no index serves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.attach.spreads import Spread
from db.base.system_catalog import ANALYZED, IN_SCHEMAS, relation_name

_BELOW, _ABOVE = ("lt", "lte"), ("gt", "gte")


@dataclass(frozen=True)
class Shares:
    """The shares of a table's rows, 0 to 1, that values have in a column.

    ``frequent`` are the most common values, as Postgres writes them; how rare the others are is not known well enough.
    ``numbers`` is the distribution of a column of numbers.
    """

    nulls: float
    frequent: Mapping[str, float]
    numbers: Spread | None = None

    def of(self, compared: Mapping[str, Any]) -> float | None:
        """The approximate share of rows that fulfil all comparisons, each an operator of filters with its operand; None
        if the statistics do not tell."""
        share = 1.0
        bounds = {name: value for name, value in compared.items() if name in {*_BELOW, *_ABOVE}}
        for name, value in compared.items():
            if name in bounds:
                continue
            if name == "isNull" and isinstance(value, bool):
                share *= self.nulls if value else 1 - self.nulls
            elif name == "eq" and value is not None:
                share *= self._value(value)
            elif name == "in" and value:
                share *= min(1.0, sum(map(self._value, value)))
            else:
                return None
        if not bounds:
            return share
        numbers = {name: number for name, value in bounds.items() if (number := _number(value)) is not None}
        if self.numbers is None or len(numbers) < len(bounds):
            return None
        first = max((numbers[name] for name in _ABOVE if name in numbers), default=None)
        last = min((numbers[name] for name in _BELOW if name in numbers), default=None)
        return share * self.numbers.share(first, last)

    def _value(self, value: Any) -> float:
        if self.numbers is not None and (number := _number(value)) is not None:
            return self.numbers.share(number, number)
        return self.frequent.get(_written(value), 0.0)


def _number(value: Any) -> float | None:
    """A number as a double; None if it is none, or exceeds them."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _written(value: Any) -> str:
    """A value as Postgres writes it."""
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value.value if isinstance(value, Enum) else value)


# Times have `db.attach.spreads`. Of a partitioned table the largest partition tells.
_SHARES = text(f"""
    SELECT DISTINCT ON (1, 2) {relation_name()}, s.attname::text, s.null_frac::float8,
        coalesce(s.most_common_vals::text::text[], '{{}}'), coalesce(s.most_common_freqs::float8[], '{{}}'),
        CASE WHEN k.is_number THEN coalesce(s.histogram_bounds::text::float8[], '{{}}') ELSE '{{}}' END, k.is_number
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    {ANALYZED}
    JOIN pg_attribute AS a ON a.attrelid = p.oid AND a.attname = s.attname
    JOIN pg_type AS t ON t.oid = a.atttypid
    CROSS JOIN LATERAL (SELECT t.typcategory = 'N' AND t.typtype = 'b' AND t.typname ~ '^(int|float|numeric)')
        AS k (is_number)
    WHERE {IN_SCHEMAS} AND c.relname = ANY (:names) AND s.n_distinct <> 0
        AND (k.is_number OR t.typtype = 'e' OR t.typname IN ('text', 'varchar', 'bpchar', 'bool', 'uuid'))
    ORDER BY 1, 2, p.reltuples DESC
""")


async def shares(
    connection: AsyncConnection, known: Mapping[str, Any], tables: Iterable[str]
) -> dict[str, dict[str, Shares]]:
    """The shares of values in analyzed columns of some tables, by table and column; ``known`` are the schemas."""
    found: dict[str, dict[str, Shares]] = {}
    for table, column, *told in await connection.execute(
        _SHARES, {**known, "names": [name.rpartition(".")[2] for name in tables]}
    ):
        nulls, values, shares_, bounds, is_number = told
        frequent = dict(zip(values, shares_, strict=True))
        left = max(0.0, 1 - nulls - sum(shares_))
        numbers = None
        if is_number:
            ascending = sorted(one for one in bounds if math.isfinite(one))
            alike = tuple((number, share) for value, share in frequent.items() if math.isfinite(number := float(value)))
            if len(ascending) > 1:
                numbers = Spread(tuple(ascending), left, alike)
            elif alike:
                numbers = Spread((alike[0][0], alike[0][0]), 0.0, alike)
        found.setdefault(table, {})[column] = Shares(nulls, frequent, numbers)
    return found
