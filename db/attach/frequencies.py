"""How often the labels of indexed columns occur, and how the order of indexed columns follows that of the rows, from
Postgres's statistics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base.system_catalog import ANALYZED, IN_SCHEMAS, relation_name

Label = Enum | bool
"""A value of the columns whose frequencies are known."""


@dataclass(frozen=True)
class Frequencies:
    """The shares of a table's rows, 0 to 1, that the labels of an enum or the two truth values have in a column.

    ``frequent`` are those in the statistics, as Postgres writes them; ``others`` is the share of each other one.
    ``unseen`` are the rows that were written since the statistics were made.
    """

    frequent: Mapping[str, float] = field(default_factory=dict)
    others: float = 0.0
    unseen: int = 0

    def rows(self, all_rows: int, value: Label) -> int:
        """The approximate number, of ``all_rows``, with a value; all rows written since may have one that is new."""
        share = self.frequent.get(_written(value))
        if share is None:
            return min(all_rows, math.ceil(all_rows * self.others) + self.unseen)
        return math.ceil(all_rows * share)


def _written(value: Label) -> str:
    """A value as Postgres writes it."""
    if isinstance(value, Enum):
        return str(value.value)
    return "t" if value else "f"


class _Part(NamedTuple):
    """The statistics of a column in one of the tables that store its rows."""

    rows: float
    unseen: int
    correlation: float
    is_label: bool
    nulls: float
    distinct: float
    values: Sequence[str]
    shares: Sequence[float]

    @property
    def others(self) -> float:
        """The share of a value that is not among the most common ones."""
        left = max(0.0, 1 - self.nulls - sum(self.shares))
        distinct = self.distinct if self.distinct >= 0 else -self.distinct * self.rows
        # of a value that is in no statistics there may be a row all the same
        return max(left / max(distinct - len(self.shares), 1), 1 / self.rows)


_STATISTICS = text(f"""
    SELECT {relation_name()}, s.attname::text, greatest(p.reltuples, 1)::float8,
        pg_stat_get_mod_since_analyze(p.oid)::bigint, coalesce(s.correlation, 0)::float8, l.is_label,
        s.null_frac::float8, s.n_distinct::float8,
        CASE WHEN l.is_label THEN coalesce(s.most_common_vals::text::text[], '{{}}') ELSE '{{}}' END,
        CASE WHEN l.is_label THEN coalesce(s.most_common_freqs::float8[], '{{}}') ELSE '{{}}' END
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    {ANALYZED}
    JOIN pg_attribute AS a ON a.attrelid = p.oid AND a.attname = s.attname
    JOIN pg_type AS t ON t.oid = a.atttypid
    CROSS JOIN LATERAL (SELECT t.typtype = 'e' OR t.oid = 'bool'::regtype) AS l (is_label)
    WHERE {IN_SCHEMAS} AND c.relname = ANY (:names) AND s.n_distinct <> 0
        AND EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = p.oid AND i.indisvalid AND a.attnum = ANY (i.indkey))
""")


class IndexedColumns(NamedTuple):
    """What statistics tell of analyzed columns in indexes, by table and column.

    Correlations, -1 to 1, are those of a column's order with the order of the rows in the table.
    """

    frequencies: Mapping[str, Mapping[str, Frequencies]]
    correlations: Mapping[str, Mapping[str, float]]


async def indexed_columns(connection: AsyncConnection, known: Mapping[str, Any]) -> IndexedColumns:
    """What statistics tell of the indexed columns of tables; ``known`` are the schemas and table names."""
    parts: dict[tuple[str, str], list[_Part]] = {}
    for table, column, *told in await connection.execute(_STATISTICS, known):
        parts.setdefault((table, column), []).append(_Part(*told))
    frequencies: dict[str, dict[str, Frequencies]] = {}
    correlations: dict[str, dict[str, float]] = {}
    for (table, column), of_column in parts.items():
        total = sum(part.rows for part in of_column)
        correlations.setdefault(table, {})[column] = sum(part.rows * part.correlation for part in of_column) / total
        if all(part.is_label for part in of_column):
            frequencies.setdefault(table, {})[column] = _together(of_column, total)
    return IndexedColumns(frequencies, correlations)


def _together(parts: Sequence[_Part], total: float) -> Frequencies:
    """The frequencies in all parts of a table, each of which weighs as much as its rows."""
    frequent: dict[str, float] = {}
    for value in {value for part in parts for value in part.values}:
        shares = [dict(zip(part.values, part.shares, strict=True)).get(value, part.others) for part in parts]
        frequent[value] = sum(part.rows * share for part, share in zip(parts, shares, strict=True)) / total
    others = sum(part.rows * part.others for part in parts) / total
    return Frequencies(frequent, others, sum(part.unseen for part in parts))
