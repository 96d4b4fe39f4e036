"""Writing migrations, and checking whether one is missing."""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, text

from db.base.vocabulary import OWN_SCHEMA, Entity
from db.embedded import server as embedded
from db.migrations.compare import OPTIONS
from db.migrations.setup import connect, upgrade_tables

FOLDER = Path(__file__).parent


@asynccontextmanager
async def _temporary_database() -> AsyncIterator[str]:
    """An empty database with pgvector, on a server of its own that ends with the block."""
    with tempfile.TemporaryDirectory(prefix="e2i-revision-") as folder:
        server = await asyncio.to_thread(embedded.start, Path(folder) / "data")
        try:
            await embedded.create_database(server, "revision")
            yield server.url("revision", embedded.OWNER_ROLE)
        finally:
            await asyncio.to_thread(server.stop)


@asynccontextmanager
async def _database_at_head(url: str | URL | None) -> AsyncIterator[str | URL]:
    if url is not None:
        await _migrate_tables(url)
        yield url
        return
    async with _temporary_database() as temporary:
        if ScriptDirectory(str(FOLDER)).get_heads():
            await _migrate_tables(temporary)
        yield temporary


async def _migrate_tables(url: str | URL) -> None:
    """The tables alone: functions, views and rights may name what only the migration that is to be written makes."""
    async with connect(url) as connection, connection.begin():
        await upgrade_tables(connection)


async def new_revision(url: str | URL | None, message: str) -> Path | None:
    """Writes the migration that turns a database at head into what the models say; None if they agree.

    Changes of the gateway's own tables get a migration of their own, and first; the next call writes the others.

    Without a ``url`` a temporary embedded Postgres is started, migrated and compared. With one, that database is
    migrated first; only one that the migrations made will do.

    Raises:
        SetupError: The database cannot be migrated.
    """
    async with _database_at_head(url) as target, connect(target) as connection, connection.begin():
        await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {OWN_SCHEMA}"))
        return await connection.run_sync(_write, message)


def _write(connection: Connection, message: str) -> Path | None:
    config = Config(cmd_opts=argparse.Namespace(quiet=True))
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    number = sum(1 for _ in ScriptDirectory(str(FOLDER)).walk_revisions()) + 1

    own: list[Any] = []

    def arrange(_context: Any, _revision: Any, scripts: list[Any]) -> None:
        changes = scripts[0].upgrade_ops
        own[:] = [change for change in changes.ops if getattr(change, "schema", None) == OWN_SCHEMA]
        if own:
            changes.ops[:] = own  # a migration of their own, which attached databases have too
        if changes.is_empty():
            scripts.clear()

    script = command.revision(
        config, message, autogenerate=True, rev_id=f"{number:04d}", process_revision_directives=arrange
    )
    if isinstance(script, list):
        script = script[0] if script else None
    if script is None:
        return None
    path = Path(script.path)
    if own:
        path.write_text(path.read_text(encoding="utf-8").replace(*_MARK, 1), encoding="utf-8")
    _tidy(path)
    return path


_MARK = ("\ndepends_on = None\n", "\ndepends_on = None\nown = True\n")


def _tidy(path: Path) -> None:
    """Makes what Alembic wrote look as if a person had: its remarks, unused imports and unused exemptions go."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("    # ### ")), encoding="utf-8")
    for step in ("format", "check --fix --exit-zero", "format"):
        command_line = [sys.executable, "-m", "ruff", *step.split(), "--quiet", str(path)]
        subprocess.run(command_line, check=True)  # noqa: S603 - a fixed program, no shell


async def differences(url: str | URL | None = None) -> list[str]:
    """How the database differs from the models, a line each; empty when every change of the models has its migration.

    Without a ``url`` a temporary embedded Postgres is started and migrated.
    """
    async with _database_at_head(url) as target, connect(target) as connection, connection.begin():
        return await connection.run_sync(_differences)


def _differences(connection: Connection) -> list[str]:
    options = {key: value for key, value in OPTIONS.items() if key != "target_metadata"}
    context = MigrationContext.configure(connection, opts=options)
    return [repr(difference) for difference in compare_metadata(context, Entity.metadata)]
