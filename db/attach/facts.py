"""Facts of a database for planning: sizes of tables, indexes, NOT NULL columns, and the version of pgvector."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import db.models  # noqa: F401 - maps all tables
from db.attach.frequencies import Frequencies, indexed_columns
from db.attach.shares import Shares, shares
from db.attach.spreads import Spreads, spreads
from db.attach.vector_indexes import VectorIndex
from db.attach.vector_indexes import indexes as indexes_of_vectors
from db.base.current_state import current_states, stored_views
from db.base.system_catalog import ANALYZED, DOMAINS, IN_SCHEMAS, STORED, named_in_models, relation_name
from db.base.trigrams import columns_of
from db.base.vocabulary import OWN_SCHEMA, Entity
from db.engine.readers import set_local

BYTES_PER_ROW = 200
"""The assumed number of rows of tables without statistics."""


@dataclass(frozen=True)
class IndexColumn:
    """A key column of an index. The name is empty for an expression and, except in GIN indexes, for a column with
    another operator class or collation than its type's."""

    name: str
    descending: bool = False
    nulls_first: bool = False


@dataclass(frozen=True)
class Index:
    """A valid index; ``predicate`` as Postgres formats it, None for a full index."""

    name: str
    columns: tuple[IndexColumn, ...]
    method: str = "btree"
    unique: bool = False
    predicate: str | None = None


@dataclass(frozen=True)
class StoredColumn:
    """The requirements of a column for inserted rows. ``type`` is as Postgres formats it, of a domain its base type."""

    type: str
    not_null: bool = False
    has_default: bool = False
    generated: bool = False
    in_domain: bool = False


FEW_VECTORS = 300
"""Rows up to which every vector is compared, even with an index: it takes about three milliseconds."""

MANY_ROWS = 100_000
"""Rows from which a sequential scan takes tens of milliseconds, while planning a statement takes less than one."""

MANY_NULLS = 200
"""Null rows of a column that exceed most pages, even by a rough estimate."""


@dataclass(frozen=True)
class Facts:
    """Tables have their names in the models.

    ``rows`` are estimates; ``vector_version`` is pgvector's, None without it; ``not_null`` are the NOT NULL columns of
    a table; ``vector_indexes`` are by table and column.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    vector_version: tuple[int, ...] | None = None
    indexes: Mapping[str, tuple[Index, ...]] = field(default_factory=dict)
    not_null: Mapping[str, frozenset[str]] = field(default_factory=dict)
    widths: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Average bytes of a column's values, without out-of-line storage; for analyzed columns."""
    apart: Mapping[str, int] = field(default_factory=dict)
    """Average bytes of a row's out-of-line values, compressed."""
    many_nulls: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Columns with more null rows than most pages have rows; for analyzed columns."""
    vector_indexes: Mapping[tuple[str, str], VectorIndex] = field(default_factory=dict)
    spreads: Mapping[str, Mapping[str, Spreads]] = field(default_factory=dict)
    """How the times of a column are spread; for analyzed columns."""
    rollups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The tables of which sums by units of time are kept, with the measures that are."""
    kept: Mapping[str, str] = field(default_factory=dict)
    """The views whose rows are stored, each with the table that they are stored in."""
    columns: Mapping[str, Mapping[str, StoredColumn]] = field(default_factory=dict)
    """All columns of a table, including those outside the models."""
    partitioned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The columns by which a table is partitioned, an empty name for an expression; unique indexes have them all."""
    settled: frozenset[str] = frozenset()
    """Tables of which all is checked at once that a new row must fulfil: no constraint of theirs can be deferred, and
    no trigger or rule does anything else."""
    pages: Mapping[str, int] = field(default_factory=dict)
    """The pages of a table, without out-of-line storage."""
    frequencies: Mapping[str, Mapping[str, Frequencies]] = field(default_factory=dict)
    """How often values occur in a column; for analyzed columns in indexes, of labels or of large tables."""
    correlations: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """How the order of a column follows that of the rows, -1 to 1; for analyzed columns in indexes."""
    shares: Mapping[str, Mapping[str, Shares]] = field(default_factory=dict)
    """How often values occur in a column; for analyzed columns of large tables."""
    trigrams: Mapping[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)
    """The indexes of the trigrams of columns of a table, as SQL names them."""

    @cached_property
    def searched(self) -> Mapping[tuple[str, str], VectorIndex]:
        """The vector indexes that searches use: since pgvector 0.8 scans continue until a page is full."""
        if self.vector_version is None or self.vector_version < (0, 8):
            return {}
        few = {table for table, rows in self.rows.items() if rows <= FEW_VECTORS}
        return {place: one for place, one in self.vector_indexes.items() if place[0] not in few}

    @cached_property
    def large(self) -> frozenset[str]:
        """The tables whose sequential scan takes far longer than planning a statement."""
        return frozenset(table for table, rows in self.rows.items() if rows > MANY_ROWS)

    @cached_property
    def normalizes(self) -> bool:
        """Whether pgvector can normalize vectors: since 0.7."""
        return self.vector_version is not None and self.vector_version >= (0, 7)

    def reads_like(self, other: Facts) -> bool:
        """Whether both lead to the same statements: only numbers of rows may differ."""
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("searched", "large", "normalizes", "indexes", "not_null", "many_nulls", "rollups", "kept")
        )


_NAME = relation_name()
_OURS = f"{IN_SCHEMAS} AND c.relname = ANY (:names)"
_PAGE = "current_setting('block_size')::float8"
# as the planner does it: as many rows a page as when they were counted; a foreign table has no pages here
_ROWS = f"""CASE WHEN p.reltuples >= 0 AND (p.relpages > 0 OR p.relkind = 'f')
    THEN p.reltuples * greatest(1, pg_relation_size(p.oid) / {_PAGE} / nullif(p.relpages, 0))
    ELSE pg_relation_size(p.oid) / {BYTES_PER_ROW} END"""
_WEIGHT = "greatest(p.reltuples, 1)"
_FACTS = text(f"""
    SELECT {_NAME}, coalesce(sum({_ROWS}), 0)::bigint::text
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT {STORED}
    WHERE c.relkind IN ('r', 'p', 'm', 'f') AND {_OURS}
    GROUP BY 1
    UNION ALL
    SELECT '', extversion FROM pg_extension WHERE extname = 'vector'
""")
# the two lowest bits of an option are DESC and NULLS FIRST; columns not in their type's order have no name here
_INDEXES = text(f"""
    SELECT {_NAME}, x.relname, m.amname, i.indisunique, pg_get_expr(i.indpred, i.indrelid),
        ARRAY(
            SELECT CASE WHEN m.amname = 'gin' OR o.opcdefault AND i.indcollation[k.place] IN (0, a.attcollation)
                THEN a.attname END::text
            FROM generate_series(0, i.indnkeyatts - 1) AS k (place)
            JOIN pg_opclass AS o ON o.oid = i.indclass[k.place]
            LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[k.place]
            ORDER BY k.place
        ),
        ARRAY(SELECT i.indoption[place]::int FROM generate_series(0, i.indnkeyatts - 1) AS place ORDER BY place)
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_class AS x ON x.oid = i.indexrelid
    JOIN pg_am AS m ON m.oid = x.relam
    WHERE {_OURS} AND i.indisvalid
    ORDER BY 1, 2
""")
_TRIGRAMS = text(f"""
    SELECT {_NAME}, format('%I.%I', m.nspname, x.relname), pg_get_expr(i.indexprs, i.indrelid)
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_class AS x ON x.oid = i.indexrelid
    JOIN pg_namespace AS m ON m.oid = x.relnamespace
    JOIN pg_am AS a ON a.oid = x.relam
    JOIN pg_opclass AS o ON o.oid = i.indclass[0]
    WHERE {_OURS} AND i.indisvalid AND i.indpred IS NULL AND i.indnatts = 1 AND i.indkey[0] = 0
        AND a.amname = 'gin' AND o.opcname = 'tsvector_ops'
    ORDER BY 2
""")
_NOT_NULL = text(f"""
    SELECT {_NAME}, array_agg(a.attname::text)
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE {_OURS} AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND a.attnotnull
    GROUP BY 1
""")
_COLUMNS = text(f"""
    SELECT {_NAME}, a.attname::text,
        CASE WHEN d.oid IS NULL THEN format_type(a.atttypid, a.atttypmod) ELSE format_type(d.base, d.modifier) END,
        a.attnotnull OR coalesce(d.not_null, false),
        a.atthasdef OR a.attidentity <> '' OR coalesce(d.has_default, false),
        a.attgenerated <> '' OR a.attidentity = 'a', d.oid IS NOT NULL
    FROM pg_attribute AS a
    LEFT JOIN {DOMAINS} AS d ON d.oid = a.atttypid
    JOIN pg_class AS c ON c.oid = a.attrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE {_OURS} AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
""")
_SETTLED = text(f"""
    SELECT {_NAME} FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE {_OURS} AND c.relkind = 'r' AND NOT c.relhassubclass AND NOT c.relhasrules AND NOT EXISTS (
        SELECT FROM pg_trigger AS t
        WHERE t.tgrelid = c.oid AND t.tgtype & 4 <> 0 AND t.tgenabled <> 'D' AND (t.tgdeferrable OR NOT t.tgisinternal)
    )
""")  # 4 is the bit of INSERT
_WIDTHS = text(f"""
    SELECT {_NAME}, s.attname::text,
        ceil(sum(s.avg_width * (1 - s.null_frac) * {_WEIGHT}) / sum({_WEIGHT}))::int,
        (sum(s.null_frac * {_WEIGHT}) / sum({_WEIGHT}))::float8
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    {ANALYZED}
    WHERE {_OURS} GROUP BY 1, 2
""")
_APART = text(f"""
    SELECT {_NAME}, (sum(pg_relation_size(p.reltoastrelid)) / sum(p.reltuples))::bigint
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    {STORED}
    WHERE {_OURS} AND p.reltuples > 0 AND p.reltoastrelid <> 0
    GROUP BY 1
""")

_PAGES = text(f"""
    SELECT {_NAME}, (sum(pg_relation_size(p.oid)) / {_PAGE})::bigint
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    {STORED}
    WHERE c.relkind IN ('r', 'p', 'm') AND {_OURS}
    GROUP BY 1
""")
_PARTITIONED = text(f"""
    SELECT {_NAME}, ARRAY(
        SELECT coalesce(a.attname, '')::text FROM unnest(k.partattrs::smallint[]) AS u (place)
        LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = u.place AND u.place > 0
    )
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_partitioned_table AS k ON k.partrelid = c.oid
    WHERE {_OURS}
""")

_HAS_ROLLUPS = text("""
    SELECT to_regnamespace('gateway') IS NOT NULL AND has_schema_privilege('gateway', 'USAGE')
        AND to_regclass('gateway.rollups') IS NOT NULL AND has_table_privilege('gateway.rollups', 'SELECT')
""")
_ROLLUPS = text(
    "SELECT name, measures FROM gateway.rollups WHERE state = 'ready' AND gateway.is_rolled_up(to_regclass(name))"
)
_HAS_STATES = text("""
    SELECT to_regnamespace('gateway') IS NOT NULL AND has_schema_privilege('gateway', 'USAGE')
        AND to_regclass('gateway.current_states') IS NOT NULL
        AND has_table_privilege('gateway.current_states', 'SELECT') AND to_regproc('gateway.is_kept') IS NOT NULL
""")
_IS_KEPT = text("""
    SELECT gateway.is_kept(:name, :definition)
        AND NOT EXISTS (SELECT FROM unnest(CAST(:tables AS text[])) AS t (name)
            WHERE to_regclass(t.name) IS NULL OR NOT has_table_privilege(t.name, 'SELECT'))
""")


def known_tables() -> dict[str, list[str]]:
    """The schemas and names of the models' tables, as binds for statements over the system catalog."""
    tables = Entity.metadata.tables.values()
    return {
        **named_in_models(),
        "names": sorted({*(table.name for table in tables), *(one.name for _, one in stored_views().values())}),
    }


async def read(source: AsyncEngine | AsyncConnection) -> Facts:
    """Reads the facts from the system catalog, which every role may.

    Tables are joined in the order in which the statements name them: the planner expects a single row of most joins
    with ``pg_stats``, and would use loops that take a second on a small database and fifteen on partitions.

    Raises:
        sqlalchemy.exc.DBAPIError: The database cannot be reached, or refuses a statement.
    """
    known = known_tables()
    async with source.connect() if isinstance(source, AsyncEngine) else nullcontext(source) as connection:
        if connection is not source:  # ours: others are in a transaction, or their owner has time
            await connection.execution_options(isolation_level="READ COMMITTED")
        await set_local(connection, {"join_collapse_limit": "1"})
        found = {row[0]: row[1] for row in await connection.execute(_FACTS, known)}
        indexes: dict[str, tuple[Index, ...]] = {}
        for table, name, method, unique, predicate, columns, options in await connection.execute(_INDEXES, known):
            made = [
                IndexColumn(column or "", bool(option & 1), bool(option & 2))
                for column, option in zip(columns, options, strict=True)
            ]
            indexes[table] = (*indexes.get(table, ()), Index(name, tuple(made), method, unique, predicate))
        vectors = await indexes_of_vectors(connection, known)
        of_trigrams = {
            (table, columns_of(expression)): index
            for table, index, expression in await connection.execute(_TRIGRAMS, known)
        }
        not_null = {table: frozenset(columns) for table, columns in await connection.execute(_NOT_NULL, known)}
        described: dict[str, dict[str, StoredColumn]] = {}
        for table, column, *told in await connection.execute(_COLUMNS, known):
            described.setdefault(table, {})[column] = StoredColumn(*told)
        widths: dict[str, dict[str, int]] = {}
        many_nulls: dict[str, frozenset[str]] = {}
        for table, column, width, nulls in await connection.execute(_WIDTHS, known):
            widths.setdefault(table, {})[column] = width
            if nulls * int(found.get(table, 0)) >= MANY_NULLS:
                many_nulls[table] = many_nulls.get(table, frozenset()) | {column}
        apart = {row[0]: row[1] for row in await connection.execute(_APART, known)}
        times = await spreads(connection, known)
        pages = {row[0]: row[1] for row in await connection.execute(_PAGES, known)}
        many = [table for table, rows in found.items() if table and int(rows) > MANY_ROWS]
        indexed = await indexed_columns(connection, known, many)
        values = await shares(connection, known, many)
        settled = frozenset(row[0] for row in await connection.execute(_SETTLED, known))
        partitioned = {row[0]: tuple(row[1]) for row in await connection.execute(_PARTITIONED, known)}
        rollups = await connection.execute(_ROLLUPS) if await connection.scalar(_HAS_ROLLUPS) else ()
        kept = await _stored(connection)
        await connection.execute(text("SET LOCAL join_collapse_limit TO DEFAULT"))  # of a transaction that goes on
        rolled_up = {name: frozenset(measures) for name, measures in rollups}
    version = found.pop("", None)
    parts = tuple(int(part) for part in version.split(".") if part.isdigit()) if version else None
    counts = {name: int(rows) for name, rows in found.items()}
    return Facts(
        counts,
        parts,
        indexes,
        not_null,
        widths,
        apart,
        many_nulls,
        vectors,
        times,
        rolled_up,
        kept,
        described,
        partitioned,
        settled,
        pages,
        indexed.frequencies,
        indexed.correlations,
        values,
        of_trigrams,
    )


async def _stored(connection: AsyncConnection) -> dict[str, str]:
    """The views whose rows are stored and may be read, with the tables that they are stored in."""
    found: dict[str, str] = {}
    if await connection.scalar(_HAS_STATES):
        for state in current_states():
            tables = {one.view.fullname: f"{OWN_SCHEMA}.{one.name}" for one in state.views}
            asked = {"name": state.of, "definition": state.definition, "tables": list(tables.values())}
            if await connection.scalar(_IS_KEPT, asked):
                found |= tables
    return found
