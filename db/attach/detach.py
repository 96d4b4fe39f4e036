"""Detaching: removes the gateway's schema and indexes from a database that the platform made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.attach.compare_indexes import INDEX_PREFIX
from db.base.current_state import stored_views
from db.base.system_catalog import IN_SCHEMAS, named_in_models
from db.base.vocabulary import OWN_SCHEMA, Entity, is_own
from db.engine.errors import DEPENDENT_OBJECTS, diagnostics
from db.migrations.setup import SetupError, connect, lock_building
from db.store.current_state import drop as drop_state
from db.store.rollups import drop as drop_rollups

_FUNCTION = re.compile(rf"CREATE OR REPLACE FUNCTION {OWN_SCHEMA}\.(\w+)\(")


@dataclass(frozen=True)
class AddedObjects:
    """What the gateway has added to a database, by SQL names."""

    tables: Sequence[tuple[str, int]]
    """Its own tables with their numbers of rows."""
    functions: Sequence[str]
    indexes: Sequence[str]
    """Indexes of the platform's tables that `db check` and `doctor --sql` have recommended."""
    schema: bool
    """Whether the schema `gateway` exists."""
    others: Sequence[str]
    """Other objects in that schema, for which it is kept."""

    def text(self) -> str:
        """For the terminal: one object a line."""
        lines = [f"  table {name} ({rows} row{'s' * (rows != 1)})" for name, rows in self.tables]
        lines += [f"  function {name}" for name in self.functions]
        lines += [f"  index {name}" for name in self.indexes]
        if self.schema and not self.others:
            lines.append(f"  schema {OWN_SCHEMA}")
        elif self.others:
            lines.append(f"The schema {OWN_SCHEMA} stays: {', '.join(self.others)} in it is not the gateway's.")
        return "\n".join(lines)


async def detach(url: str | URL, *, confirmed: bool) -> AddedObjects:
    """Lists what the gateway has added to a database; if ``confirmed``, it is dropped, the record of changes included.

    Raises:
        SetupError: The migrations built the database, another object depends on what would be dropped, or the role may
            not.
        DatabaseUnavailableError: The database cannot be reached.
    """
    async with connect(url) as connection:
        async with connection.begin():
            await lock_building(connection)
            if await connection.scalar(text(f"SELECT to_regclass('{OWN_SCHEMA}.alembic_version') IS NOT NULL")):
                raise SetupError(
                    "the gateway's migrations built this whole database: there is nothing to detach from; drop the "
                    "database instead"
                )
            found = await _found(connection)
            if confirmed:
                await _drop_own(connection, found)
        if confirmed:
            raw = await connection.get_raw_connection()
            driver: Any = raw.driver_connection
            for index in found.indexes:  # outside a transaction, without blocking readers and writers
                await driver.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
    return found


_OWN = text("""
    SELECT c.oid::regclass::text, c.relname::text, c.relkind::text
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    ORDER BY 1
""")
_FUNCTIONS = text("""
    SELECT p.oid::regprocedure::text, p.proname::text
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname = :schema ORDER BY 1
""")
_INDEXES = text(f"""
    SELECT format('%I.%I', n.nspname, x.relname)
    FROM pg_index AS i
    JOIN pg_class AS x ON x.oid = i.indexrelid
    JOIN pg_namespace AS n ON n.oid = x.relnamespace
    WHERE {IN_SCHEMAS} AND starts_with(x.relname::text, :prefix)
    ORDER BY 1
""")


async def _found(connection: AsyncConnection) -> AddedObjects:
    ours = {table.name for table in Entity.metadata.tables.values() if is_own(table)}
    ours |= {"own_revisions", *(one.name for _, one in stored_views().values())}
    made = set(_FUNCTION.findall((Path(__file__).parents[1] / "sql" / "own.sql").read_text(encoding="utf-8")))
    tables, others = [], []
    for sql, name, kind in await connection.execute(_OWN, {"schema": OWN_SCHEMA}):
        if name in ours and kind in "rp":
            tables.append((sql, int(await connection.scalar(text(f"SELECT count(*) FROM {sql}")) or 0)))
        else:
            others.append(sql)
    functions: list[str] = []
    for sql, name in await connection.execute(_FUNCTIONS, {"schema": OWN_SCHEMA}):
        (functions if name in made else others).append(sql)
    indexes = await connection.scalars(_INDEXES, {**named_in_models(), "prefix": INDEX_PREFIX})
    schema = bool(await connection.scalar(text(f"SELECT to_regnamespace('{OWN_SCHEMA}') IS NOT NULL")))
    return AddedObjects(tables, functions, list(indexes), schema, others)


async def _drop_own(connection: AsyncConnection, found: AddedObjects) -> None:
    """Drops the gateway's own objects, and nothing that depends on them."""
    await drop_rollups(connection)
    await drop_state(connection)
    try:
        if found.tables:
            await connection.execute(text(f"DROP TABLE IF EXISTS {', '.join(name for name, _ in found.tables)}"))
        for function in found.functions:
            await connection.execute(text(f"DROP FUNCTION {function}"))
        if found.schema and not found.others:
            await connection.execute(text(f"DROP SCHEMA {OWN_SCHEMA}"))
    except DBAPIError as error:
        said = diagnostics(error)
        if said.state == DEPENDENT_OBJECTS:
            raise SetupError(
                "nothing was changed, because something else depends on the gateway's own tables: "
                f"{said.detail or said.words}"
            ) from error
        raise
