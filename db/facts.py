"""What the planning of requests needs to know of a database: how large its tables are, and which pgvector it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

import db.models  # noqa: F401 - maps all tables
from db.base import Entity

BYTES_PER_ROW = 200
"""A guess, for tables that Postgres has not counted yet."""


@dataclass(frozen=True)
class Facts:
    """Estimated rows by table, named as the models name them, and the version of pgvector, None without it."""

    rows: Mapping[str, int] = field(default_factory=dict)
    vector_version: tuple[int, ...] | None = None

    @property
    def scans_on(self) -> bool:
        """Whether a scan of an HNSW index can go on until a page is full: since pgvector 0.8."""
        return self.vector_version is not None and self.vector_version >= (0, 8)


_FACTS = text(f"""
    SELECT CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname,
        CASE WHEN c.reltuples >= 0 THEN c.reltuples ELSE pg_relation_size(c.oid) / {BYTES_PER_ROW} END::bigint::text
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm', 'f') AND n.nspname = ANY (:schemas) AND c.relname = ANY (:names)
    UNION ALL
    SELECT '', extversion FROM pg_extension WHERE extname = 'vector'
""")


async def read(engine: AsyncEngine) -> Facts:
    """Reads the facts from the system catalog; every role may.

    Raises:
        sqlalchemy.exc.DBAPIError: The database cannot be reached or refuses to answer.
    """
    tables = Entity.metadata.tables.values()
    known = {
        "schemas": sorted({table.schema or "public" for table in tables}),
        "names": sorted({table.name for table in tables}),
    }
    async with engine.connect() as connection:
        found = {row[0]: row[1] for row in await connection.execute(_FACTS, known)}
    version = found.pop("", None)
    parts = tuple(int(part) for part in version.split(".") if part.isdigit()) if version else None
    return Facts({name: int(rows) for name, rows in found.items()}, parts)
