"""Vector indexes: their kinds, search settings and recall.

An IVFFlat index divides vectors into lists around centroids that are chosen when it is built: one that was built on an
empty table, as by schema migrations, has arbitrary centroids, and low recall until it is rebuilt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.attach.differences import Difference, Severity
from db.base.system_catalog import IN_SCHEMAS, relation_name

EF_SEARCH = (100, 1000)
"""Bounds of an HNSW search's candidate list (`hnsw.ef_search`), which is twice the page."""

COMPARISON_COST = "0.4"
"""The cost of a vector comparison in the planner's units, 160 times that of two numbers. Measured: 10 to 15 us,
including the fetch from out-of-line storage."""

DEFAULT_LISTS = 100
"""The number of lists of an IVFFlat index by default."""

FIRST = 10
LEAST_RECALL = 0.9
FEWEST, MOST = 100, 1_000_000
"""The least and the largest number of vectors for which recall is measured by comparing all."""
COMPARISONS = 300_000
"""The approximate number of comparisons for one measurement, in three to twenty searches."""
SAMPLED = 30_000
"""Above ``MOST`` vectors, the approximate number compared in each search."""
PICKED = 3_000
"""Vectors that the queries of a measurement are chosen from."""
LONGEST = 1_000
"""The largest number of vectors requested from an index."""
FEWEST_SAMPLED = 10
"""The least number of sampled vectors for a measurement."""


@dataclass(frozen=True)
class VectorIndex:
    """An index for nearest vectors by cosine distance.

    ``lists``: the number of lists of an IVFFlat index; 0 for HNSW. ``beside_hnsw``: whether the planner may use an HNSW
    index of the column instead.
    """

    name: str
    lists: int = 0
    beside_hnsw: bool = False

    @property
    def probes(self) -> int:
        """Lists that a search of an IVFFlat index reads: a fraction at which an index built on its current vectors has
        a recall above 0.9."""
        return min(self.lists, max(10, math.ceil(2 * math.sqrt(self.lists))))

    @property
    def reads_all(self) -> bool:
        """Whether a search compares every vector in the index."""
        return 0 < self.lists <= self.probes and not self.beside_hnsw

    def settings(self, limit: int) -> dict[str, str]:
        """The search settings for ``limit`` rows, and the cost of a comparison: the planner ignores that vectors are
        stored out of line, and would otherwise compare all rows that match a filter."""
        settings = {"cpu_operator_cost": COMPARISON_COST}
        if self.lists:
            settings["ivfflat.probes"] = str(self.probes)
            settings["ivfflat.iterative_scan"] = "relaxed_order"
            settings["ivfflat.max_probes"] = str(self.lists)
        if not self.lists or self.beside_hnsw:
            settings["hnsw.ef_search"] = str(min(max(2 * limit, EF_SEARCH[0]), EF_SEARCH[1]))
            settings["hnsw.iterative_scan"] = "strict_order"
        return settings


_INDEXES = text(f"""
    SELECT {relation_name()}, a.attname,
        i.indexrelid::regclass::text, m.amname,
        (SELECT o.option_value::int FROM pg_options_to_table(x.reloptions) AS o WHERE o.option_name = 'lists')
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_class AS x ON x.oid = i.indexrelid
    JOIN pg_am AS m ON m.oid = x.relam
    JOIN pg_opclass AS o ON o.oid = i.indclass[0]
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
    WHERE {IN_SCHEMAS} AND c.relname = ANY (:names) AND i.indisvalid AND i.indpred IS NULL
        AND o.opcname = 'vector_cosine_ops'
    ORDER BY m.amname
""")


async def indexes(connection: AsyncConnection, known: Mapping[str, Any]) -> dict[tuple[str, str], VectorIndex]:
    """The vector index of each column (table, column) in these ``schemas`` and ``names``; reads the catalog.

    If a column has both kinds, it is the IVFFlat index: the planner chooses which to use.
    """
    found: dict[tuple[str, str], VectorIndex] = {}
    for table, column, index, method, lists in await connection.execute(_INDEXES, known):  # HNSW before IVFFlat
        other = found.get((table, column))
        beside_hnsw = other is not None and (not other.lists or other.beside_hnsw)
        is_hnsw = method == "hnsw"
        found[table, column] = VectorIndex(
            index, 0 if is_hnsw else lists or DEFAULT_LISTS, beside_hnsw=beside_hnsw and not is_hnsw
        )
    return found


# -- what they find ----------------------------------------------------------------------------------------------------


async def weak(connection: AsyncConnection, known: Mapping[str, Any]) -> list[Difference]:
    """Indexes with a recall below 0.9 for some stored vectors, searched as by requests, and those whose recall cannot
    be measured; compares some 300,000 vectors each, or up to a million three times all. Unreadable tables are
    omitted."""
    found = []
    for (table, column), index in (await indexes(connection, known)).items():
        try:
            async with connection.begin_nested() as savepoint:
                measured = await _measured(connection, table, column, index)
                await savepoint.rollback()  # restores the settings
        except DBAPIError:
            continue
        if measured is None:
            continue
        recall, nearest = measured
        kind = "IVFFlat" if index.lists else "HNSW"
        where = f"{table} ({column})"
        if recall is None:
            found.append(
                Difference(
                    Severity.INFORMS, "unmeasured index", where,
                    f"what the {kind} index {index.name} finds in {where} could not be measured: too few vectors of a "
                    f"sample were near those that were searched for",
                )
            )  # fmt: skip
        elif recall < LEAST_RECALL:
            why = "; its lists were chosen for other vectors, or for none" if index.lists else ""
            found.append(
                Difference(
                    Severity.COSTS, "weak index", where,
                    f"the {kind} index {index.name} finds {recall:.0%} of the {nearest} nearest vectors in {where}"
                    f"{why}: similarity search misses the others without `exact`",
                    await _rebuilt(connection, table, column, index),
                )
            )  # fmt: skip
    return found


async def _rebuilt(connection: AsyncConnection, table: str, column: str, index: VectorIndex) -> str:
    """The statements that build an index anew: an IVFFlat index with the memory that pgvector may demand for it, if the
    server allows less."""
    sql = f"REINDEX INDEX CONCURRENTLY {index.name}"
    if not index.lists:
        return sql
    dimensions, allowed = (await connection.execute(text(_MEMORY.format(column=column, table=table)))).one()
    samples = max(50 * index.lists, 10_000)
    vectors, numbers = samples + 3 * index.lists, (samples + index.lists) * (index.lists + 3)
    needed = math.ceil((vectors * (4 * dimensions + 8) + 4 * numbers) / 2**20) + 1
    return sql if needed <= allowed / 1024 else f"SET maintenance_work_mem = '{needed}MB';\n{sql}"


async def _measured(
    connection: AsyncConnection, table: str, column: str, index: VectorIndex
) -> tuple[float | None, int] | None:
    """The recall of an index, None if too little was found to tell, and the number of vectors requested; None for few
    vectors, which are all compared."""
    counted = f"SELECT count(*) FROM (SELECT FROM {table} WHERE {column} IS NOT NULL LIMIT {MOST + 1}) AS t"
    there = int((await connection.execute(text(counted))).scalar_one())
    if there < FEWEST:
        return None
    if there > MOST:
        there = max(there, int((await connection.execute(_ROWS, {"table": table})).scalar_one()))
        return await _by_sample(connection, table, column, index, there)
    wanted = await _some(connection, table, column, there, max(3, min(20, COMPARISONS // there)))
    await _set(connection, index.settings(FIRST))
    right = 0
    for _, vector in wanted:  # each is nearest to itself, so one more is read
        near = [distance for _, distance in await _nearest(connection, table, column, vector, FIRST + 1)]
        exact = await _nearest(connection, table, column, vector, FIRST + 1, all_of=table)
        furthest = max((distance for _, distance in exact), default=0.0)
        right += max(sum(distance <= furthest + 1e-6 for distance in near) - 1, 0)
    return (right / (FIRST * len(wanted)) if wanted else None), FIRST


async def _by_sample(
    connection: AsyncConnection, table: str, column: str, index: VectorIndex, there: int
) -> tuple[float | None, int]:
    """As :func:`_measured`, by a sample of vectors that are too many to compare all: the index should return every
    sampled vector that is at least as near as its last result."""
    asked = min(LONGEST, FIRST * math.ceil(there / SAMPLED))
    wanted = await _some(connection, table, column, there, max(3, min(20, COMPARISONS // SAMPLED)))
    sample = f"{table} AS t {_sampled(SAMPLED, there)}"
    await _set(connection, index.settings(asked))
    right = every = 0
    for itself, vector in wanted:
        near = await _nearest(connection, table, column, vector, asked)
        furthest = near[-1][1] if len(near) == asked else math.inf
        some = await _nearest(connection, table, column, vector, LONGEST, all_of=sample)
        as_near = {place for place, distance in some if distance <= furthest and place != itself}
        every += len(as_near)
        right += len(as_near & {place for place, _ in near})
    return (right / every if every >= FEWEST_SAMPLED else None), asked


async def _some(
    connection: AsyncConnection, table: str, column: str, there: int, number: int
) -> Sequence[tuple[str, str]]:
    """Some vectors as texts, with their row locations; read from a few pages of a large table."""
    source = f"{table} AS t {_sampled(PICKED, there)}"
    points = f"{column} IS NOT NULL AND vector_norm({column}) > 0"
    sample = f"SELECT ctid::text, {column}::text FROM {source} WHERE {points} ORDER BY random() LIMIT {number}"
    return [(place, vector) for place, vector in await connection.execute(text(sample))]


def _sampled(rows: int, there: int) -> str:
    """TABLESAMPLE for about ``rows`` rows of a table; empty if it has not many more."""
    return "" if there <= 2 * rows else f"TABLESAMPLE SYSTEM ({100 * rows / there:.6f})"


async def _set(connection: AsyncConnection, settings: Mapping[str, str]) -> None:
    for name, value in {**settings, "enable_seqscan": "off", "enable_sort": "off"}.items():
        await connection.execute(text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value})


async def _nearest(
    connection: AsyncConnection, table: str, column: str, vector: str, limit: int, *, all_of: str = ""
) -> Sequence[tuple[str, float]]:
    """The locations and distances of the vectors nearest to one, by the index; or by comparing those of ``all_of``."""
    distance = f"({column} <=> CAST(CAST(:vector AS text) AS vector))"
    order = f"({distance} + 0)" if all_of else distance
    rows = f"FROM {all_of or table} WHERE {column} IS NOT NULL ORDER BY {order} LIMIT {limit}"
    found = await connection.execute(text(f"SELECT ctid::text, {distance} {rows}"), {"vector": vector})
    return [(place, by) for place, by in found]


_MEMORY = """
    SELECT (SELECT vector_dims({column}) FROM {table} WHERE {column} IS NOT NULL LIMIT 1),
        (SELECT setting::bigint FROM pg_settings WHERE name = 'maintenance_work_mem')
"""
"""The dimension of a column's vectors, and what the building of an index may take, in kB."""

_ROWS = text("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(:table)")
