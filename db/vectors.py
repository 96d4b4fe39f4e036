"""Indexes of vectors: which there are, how they are searched, and how much they find.

An IVFFlat index parts its vectors into lists around centres that are chosen when it is built: one that was built on an
empty table, as schema migrations do it, has centres anywhere, and finds little until it is built anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.attach_compare import Difference, Severity

EF_SEARCH = (100, 1000)
"""Least and greatest size of an HNSW index's list of candidates: twice the page within these bounds."""

COMPARISON_COST = "0.4"
"""Of two vectors, in the planner's units; 160 times that of two numbers. Measured: 10 to 15 us, with the vector fetched
from where long values are stored."""

DEFAULT_LISTS = 100
"""Of an IVFFlat index that was made without a word of it."""

FIRST = 10
LEAST_RECALL = 0.9
FEWEST, MOST = 100, 1_000_000
"""Vectors of which it is worth, and affordable, to measure what an index finds."""
COMPARISONS = 300_000
"""About as many are made to measure one index; at least three searches, and at most twenty."""


@dataclass(frozen=True)
class VectorIndex:
    """An index by which vectors are found that are near to one, by cosine distance.

    ``lists``: into how many an IVFFlat index parts them; 0 for HNSW.
    """

    name: str
    lists: int = 0

    @property
    def probes(self) -> int:
        """Lists that one search of an IVFFlat index reads: a share by which an index that was built on the vectors it
        has finds more than nine in ten of the nearest."""
        return min(self.lists, max(10, math.ceil(2 * math.sqrt(self.lists))))

    @property
    def reads_all(self) -> bool:
        """Whether one search compares every vector that the index has."""
        return 0 < self.lists <= self.probes

    def settings(self, limit: int) -> dict[str, str]:
        """How the index searches for so many rows, and what a comparison costs: vectors are long and stored apart,
        which the planner does not reckon with, and so it would rather compare all rows that match a filter."""
        if self.lists:
            return {
                "ivfflat.probes": str(self.probes),
                "ivfflat.iterative_scan": "relaxed_order",
                "ivfflat.max_probes": str(self.lists),
                "cpu_operator_cost": COMPARISON_COST,
            }
        return {
            "hnsw.ef_search": str(min(max(2 * limit, EF_SEARCH[0]), EF_SEARCH[1])),
            "hnsw.iterative_scan": "strict_order",
            "cpu_operator_cost": COMPARISON_COST,
        }


_INDEXES = text("""
    SELECT CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname, a.attname,
        i.indexrelid::regclass::text, m.amname,
        (SELECT o.option_value::int FROM pg_options_to_table(x.reloptions) AS o WHERE o.option_name = 'lists')
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_class AS x ON x.oid = i.indexrelid
    JOIN pg_am AS m ON m.oid = x.relam
    JOIN pg_opclass AS o ON o.oid = i.indclass[0]
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
    WHERE n.nspname = ANY (:schemas) AND c.relname = ANY (:names) AND i.indisvalid AND i.indpred IS NULL
        AND o.opcname = 'vector_cosine_ops'
    ORDER BY m.amname
""")


async def indexes(connection: AsyncConnection, known: Mapping[str, Any]) -> dict[tuple[str, str], VectorIndex]:
    """The index of each column (table, column) of these ``schemas`` and ``names`` that has one; reads the catalog.

    Where there is one of each kind, it is the IVFFlat index: which of them answers is the planner's to say.
    """
    return {
        (table, column): VectorIndex(index, (lists or DEFAULT_LISTS) if method == "ivfflat" else 0)
        for table, column, index, method, lists in await connection.execute(_INDEXES, known)
    }


# -- what they find ----------------------------------------------------------------------------------------------------


async def weak(connection: AsyncConnection, known: Mapping[str, Any]) -> list[Difference]:
    """The indexes that find less than nine in ten of the vectors nearest to some that are stored, searched as requests
    do it; compares up to a million vectors each. What may not be read is left out."""
    found = []
    for (table, column), index in (await indexes(connection, known)).items():
        try:
            async with connection.begin_nested() as savepoint:
                recall = await _recall(connection, table, column, index)
                await savepoint.rollback()  # of the settings
        except DBAPIError:
            continue
        if recall is not None and recall < LEAST_RECALL:
            kind = "IVFFlat" if index.lists else "HNSW"
            why = "; its lists were chosen for other vectors, or for none" if index.lists else ""
            found.append(
                Difference(
                    Severity.COSTS, "weak index", f"{table} ({column})",
                    f"the {kind} index {index.name} finds {recall:.0%} of the {FIRST} nearest vectors in {table} "
                    f"({column}){why}: similarity search misses the others unless asked for `exact`",
                    f"REINDEX INDEX CONCURRENTLY {index.name}",
                )
            )  # fmt: skip
    return found


async def _recall(connection: AsyncConnection, table: str, column: str, index: VectorIndex) -> float | None:
    """The part of the nearest vectors that the index finds, None where it is not measured."""
    counted = f"SELECT count(*) FROM (SELECT FROM {table} WHERE {column} IS NOT NULL LIMIT {MOST + 1}) AS t"
    there = int((await connection.execute(text(counted))).scalar_one())
    if not FEWEST <= there <= MOST:
        return None
    samples = max(3, min(20, COMPARISONS // there))
    sample = f"SELECT {column}::text FROM {table} WHERE vector_norm({column}) > 0 ORDER BY random() LIMIT {samples}"
    wanted = [row[0] for row in await connection.execute(text(sample))]
    settings = {**index.settings(FIRST), "enable_seqscan": "off", "enable_sort": "off"}
    for name, value in settings.items():
        await connection.execute(text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value})
    right = 0
    for vector in wanted:  # each is the nearest to itself, and so one more is read
        by = f"({column} <=> CAST(CAST(:v AS text) AS vector))"
        near, exact = [
            (await connection.execute(text(_NEAREST.format(by=one, table=table)), {"v": vector})).scalars().all()
            for one in (by, f"({by} + 0)")
        ]
        furthest = max(exact, default=0.0)
        right += max(sum(distance <= furthest + 1e-6 for distance in near) - 1, 0)
    return right / (FIRST * len(wanted)) if wanted else None


_NEAREST = f"SELECT {{by}} AS distance FROM {{table}} ORDER BY {{by}} LIMIT {FIRST + 1}"
