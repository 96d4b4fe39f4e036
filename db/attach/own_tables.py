"""The gateway's own tables on an attached database, created by the migrations that change only them.

A migration has ``own = True`` if it changes only the schema ``gateway``. `e2i-gateway db migrate` runs all migrations;
`e2i-gateway db attach` runs these, and records them in ``gateway.own_revisions``.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base.vocabulary import OWN_SCHEMA, Entity, is_own
from db.migrations.setup import MIGRATIONS, SetupError, finish_own, lock_building

_BEFORE_THE_BOOKS = "0003"
"""The own revision of databases that were attached before ``own_revisions`` existed."""

_BOOKS = f"""
    CREATE TABLE IF NOT EXISTS {OWN_SCHEMA}.own_revisions (
        revision text PRIMARY KEY,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""
_BOOKS_COMMENT = f"""
    COMMENT ON TABLE {OWN_SCHEMA}.own_revisions IS 'The changes of the gateway''s own tables that this database had.'
"""


async def make_own(connection: AsyncConnection) -> None:
    """Creates or migrates the gateway's schema and tables, in one transaction; idempotent.

    The connection's role needs the rights for it.

    Raises:
        SetupError: A newer gateway created the tables, or they have been altered.
    """
    await lock_building(connection)
    if not await connection.scalar(text(f"SELECT to_regnamespace('{OWN_SCHEMA}') IS NOT NULL")):
        await connection.execute(text(f"CREATE SCHEMA {OWN_SCHEMA}"))
    await connection.execute(text(f"COMMENT ON SCHEMA {OWN_SCHEMA} IS 'The E2I metadata gateway''s own.'"))
    await connection.run_sync(_upgrade)
    await finish_own(connection)


def _upgrade(connection: Connection) -> None:
    from alembic.operations import Operations  # noqa: PLC0415 - slow to import, and rarely needed
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415

    connection.execute(text(_BOOKS))
    connection.execute(text(_BOOKS_COMMENT))
    had = set(connection.scalars(text(f"SELECT revision FROM {OWN_SCHEMA}.own_revisions")))
    revisions = own_revisions()
    if unknown := sorted(had - revisions.keys()):
        raise SetupError(
            f"the gateway's own tables are at revision {unknown[-1]}, which this gateway does not know: a newer "
            "version made them; upgrade the gateway"
        )
    tables = [table for table in Entity.metadata.tables.values() if is_own(table)]
    there = set(inspect(connection).get_table_names(OWN_SCHEMA))
    if not had and there & {table.name for table in tables}:
        _enter(connection, _BEFORE_THE_BOOKS)
        had = {_BEFORE_THE_BOOKS}
    with Operations.context(MigrationContext.configure(connection)):
        for revision, module in revisions.items():
            if revision not in had:
                _run(revision, module)
                _enter(connection, revision)
    for table in tables:  # tables that were dropped; creating all at once would create the platform's enums, too
        table.create(connection, checkfirst=True)


def own_revisions() -> dict[str, Any]:
    """The migrations of the gateway's own tables by number, oldest first."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - slow to import, and rarely needed

    scripts = reversed(list(ScriptDirectory(str(MIGRATIONS)).walk_revisions()))
    return {script.revision: script.module for script in scripts if getattr(script.module, "own", False)}


def _run(revision: str, module: Any) -> None:
    try:
        module.upgrade()
    except DBAPIError as error:
        raise SetupError(
            f"the gateway's own tables cannot be brought to revision {revision}: {error.orig}; they are not as an "
            f"earlier gateway left them"
        ) from error


def _enter(connection: Connection, revision: str) -> None:
    connection.execute(
        text(f"INSERT INTO {OWN_SCHEMA}.own_revisions (revision) VALUES (:revision)"), {"revision": revision}
    )
