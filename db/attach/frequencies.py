"""How often the values of indexed columns occur, and how the order of indexed columns follows that of the rows, from
Postgres's statistics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base.system_catalog import ANALYZED, IN_SCHEMAS, relation_name

Label = Enum | bool
"""A value of a column of the kind `Stored.LABEL`."""


class Stored(StrEnum):
    """The types of columns whose values are counted, as they are stored."""

    LABEL = "label"
    """An enum, or the two truth values."""
    UUID = "uuid"
    TEXT = "text"
    WHOLE = "whole"
    TIME = "time"


@dataclass(frozen=True)
class Frequencies:
    """The shares of a table's rows, 0 to 1, that values have in a column.

    ``frequent`` are the most common values, as Postgres writes them; ``others`` is the share of each other one.
    ``unseen`` are the rows that were written since the statistics were made.
    """

    frequent: Mapping[str, float] = field(default_factory=dict)
    others: float = 0.0
    unseen: int = 0
    kind: Stored = Stored.LABEL
    alike: float = 0.0
    """The rows of each other value, where the number of values grows with that of the rows; ``others`` is 0 then."""

    def rows(self, all_rows: int, value: Any) -> int:
        """The approximate number, of ``all_rows``, with a value; all rows written since may have one that is new."""
        share = self.frequent.get(_written(self.kind, value))
        if share is not None:
            return math.ceil(all_rows * share)
        return min(all_rows, math.ceil(all_rows * self.others + self.alike) + self.unseen)

    def is_frequent(self, value: Any) -> bool:
        """Whether a value is among the most common ones."""
        return _written(self.kind, value) in self.frequent


def _written(kind: Stored, value: Any) -> str:
    """A value as Postgres writes it."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return "t" if value else "f"
    if kind is Stored.UUID:
        try:
            return str(UUID(str(value)))
        except ValueError:
            return ""
    return str(value)


class _Part(NamedTuple):
    """The statistics of a column in one of the tables that store its rows."""

    rows: float
    unseen: int
    correlation: float
    kind: str | None
    nulls: float
    distinct: float
    values: Sequence[str]
    shares: Sequence[float]

    @property
    def grows(self) -> bool:
        """Whether the number of values grows with that of the rows."""
        return self.distinct < 0

    @property
    def others(self) -> float:
        """The share of a value that is not among the most common ones; for times, of any value."""
        left = max(0.0, 1 - self.nulls - sum(self.shares))
        distinct = -self.distinct * self.rows if self.grows else self.distinct
        alike = left / max(distinct - len(self.shares), 1)
        if self.kind == Stored.TIME:  # which are written in many ways
            alike = max((alike, *self.shares))
        elif self.kind != Stored.LABEL and self.shares:  # as the planner does it
            alike = min(alike, *self.shares)
        # of a value that is in no statistics there may be a row all the same
        return max(alike, 1 / self.rows)

    @property
    def is_complete(self) -> bool:
        """Whether the most common values are all, so that a new one may have all rows written since."""
        return self.kind == Stored.LABEL or (not self.grows and self.distinct <= len(self.shares))


_STATISTICS = text(f"""
    SELECT {relation_name()}, s.attname::text, greatest(p.reltuples, 1)::float8,
        pg_stat_get_mod_since_analyze(p.oid)::bigint, coalesce(s.correlation, 0)::float8, l.kind,
        s.null_frac::float8, s.n_distinct::float8,
        CASE WHEN v.are_listed THEN coalesce(s.most_common_vals::text::text[], '{{}}') ELSE '{{}}' END,
        CASE WHEN l.kind IS NOT NULL THEN coalesce(s.most_common_freqs::float8[], '{{}}') ELSE '{{}}' END
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    {ANALYZED}
    JOIN pg_attribute AS a ON a.attrelid = p.oid AND a.attname = s.attname
    JOIN pg_type AS t ON t.oid = a.atttypid
    CROSS JOIN LATERAL (SELECT CASE
        WHEN t.typtype = 'e' OR t.oid = 'bool'::regtype THEN 'label'
        WHEN c.relname <> ALL (:large) THEN NULL
        WHEN t.oid = 'uuid'::regtype THEN 'uuid'
        WHEN t.oid IN ('text'::regtype, 'varchar'::regtype) THEN 'text'
        WHEN t.oid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN 'whole'
        WHEN t.oid IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype) THEN 'time'
    END) AS l (kind)
    CROSS JOIN LATERAL (SELECT l.kind IS NOT NULL AND l.kind <> 'time') AS v (are_listed)
    WHERE {IN_SCHEMAS} AND c.relname = ANY (:names) AND s.n_distinct <> 0
        AND EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = p.oid AND i.indisvalid AND a.attnum = ANY (i.indkey))
""")


class IndexedColumns(NamedTuple):
    """What statistics tell of analyzed columns in indexes, by table and column.

    Correlations, -1 to 1, are those of a column's order with the order of the rows in the table.
    """

    frequencies: Mapping[str, Mapping[str, Frequencies]]
    correlations: Mapping[str, Mapping[str, float]]


async def indexed_columns(
    connection: AsyncConnection, known: Mapping[str, Any], large: Iterable[str]
) -> IndexedColumns:
    """What statistics tell of the indexed columns of tables; ``known`` are the schemas and table names. Of tables that
    are not ``large`` there are the frequencies of labels alone."""
    parts: dict[tuple[str, str], list[_Part]] = {}
    binds = {**known, "large": [name.rpartition(".")[2] for name in large]}
    for table, column, *told in await connection.execute(_STATISTICS, binds):
        parts.setdefault((table, column), []).append(_Part(*told))
    frequencies: dict[str, dict[str, Frequencies]] = {}
    correlations: dict[str, dict[str, float]] = {}
    for (table, column), of_column in parts.items():
        total = sum(part.rows for part in of_column)
        correlations.setdefault(table, {})[column] = sum(part.rows * part.correlation for part in of_column) / total
        kinds = {part.kind for part in of_column}
        if len(kinds) == 1 and (kind := kinds.pop()) is not None:
            frequencies.setdefault(table, {})[column] = _together(Stored(kind), of_column, total)
    return IndexedColumns(frequencies, correlations)


def _together(kind: Stored, parts: Sequence[_Part], total: float) -> Frequencies:
    """The frequencies in all parts of a table, each of which weighs as much as its rows."""
    frequent: dict[str, float] = {}
    known = [(part, dict(zip(part.values, part.shares, strict=False))) for part in parts]
    for value in {value for part in parts for value in part.values}:
        frequent[value] = sum(part.rows * shares.get(value, part.others) for part, shares in known) / total
    grow = kind is not Stored.LABEL and all(part.grows for part in parts)
    others = sum(part.rows * part.others for part in parts)
    unseen = sum(part.unseen for part in parts if part.is_complete)
    return Frequencies(frequent, 0.0 if grow else others / total, unseen, kind, others if grow else 0.0)
