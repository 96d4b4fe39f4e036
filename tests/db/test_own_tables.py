"""The gateway's own tables: made and brought up to date on its own databases and on those that it is attached to."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import TEXT, Column, Table

from db.attach import own_tables
from db.attach.attach import attach, inspect
from db.base.vocabulary import OWN_SCHEMA, Entity
from db.migrations import revise, setup
from db.migrations.setup import MIGRATIONS, SetupError, migrate
from db.migrations.setup import connect as connect_owner
from db.store.grants import OWN_RIGHTS
from tests.support.databases import Clone, Database, connect, connected, execute

pytestmark = pytest.mark.slow

OWN_DEFINITIONS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
        col_description(c.oid, a.attnum), obj_description(c.oid, 'pg_class'),
        (SELECT array_agg(pg_get_indexdef(i.indexrelid) ORDER BY 1) FROM pg_index AS i WHERE i.indrelid = c.oid),
        (SELECT array_agg(k.conname || ' ' || pg_get_constraintdef(k.oid) ORDER BY 1) FROM pg_constraint AS k
         WHERE k.conrelid = c.oid),
        (SELECT array_agg(pg_get_triggerdef(t.oid) ORDER BY 1) FROM pg_trigger AS t
         WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind = 'r'
        AND c.relname <> ALL (ARRAY['own_revisions', 'built', 'alembic_version'])
"""

LATER = '''"""a column and a table more"""

import sqlalchemy as sa
from alembic import op

revision = "9001"
down_revision = "{head}"
branch_labels = None
depends_on = None
own = True


def upgrade() -> None:
    op.add_column("lifecycle_events", sa.Column("origin", sa.TEXT(), nullable=True), schema="gateway")
    op.create_table("later", sa.Column("a", sa.TEXT()), schema="gateway")
'''


@pytest.fixture
async def bare(platform_template: Database, clone: Clone) -> AsyncIterator[Database]:
    """The platform's database, which nobody has attached to."""
    async with clone(platform_template) as copy:
        yield copy


@pytest.fixture
async def sql(bare: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(bare.admin_url)
    yield connection
    await connection.close()


@pytest.fixture
def migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations that a test may add to."""
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for module, name in ((own_tables, "MIGRATIONS"), (setup, "MIGRATIONS"), (revise, "FOLDER")):
        monkeypatch.setattr(module, name, folder)
    return folder


def add_later(folder: Path) -> None:
    head = ScriptDirectory(str(folder)).get_current_head()
    (folder / "versions" / "9001_later.py").write_text(LATER.format(head=head))


async def definitions(connection: asyncpg.Connection) -> set[tuple[Any, ...]]:
    return {tuple(map(str, row)) for row in await connection.fetch(OWN_DEFINITIONS)}


async def record(connection: asyncpg.Connection) -> None:
    await connection.execute("""
        INSERT INTO gateway.lifecycle_events (change_id, mutation, node_id, node_type, lifecycle, actor)
        VALUES (gen_random_uuid(), 'promoteModel', 'Model:1', 'Model', 'stage', 'somebody')
    """)


@pytest.mark.migrated("it is about what the migrations make")
async def test_attaching_makes_what_the_migrations_make(
    database: Database, bare: Database, sql: asyncpg.Connection
) -> None:
    await attach(bare.admin_url)
    built = await connect(database.owner_url)
    assert await definitions(sql) == await definitions(built)
    assert await built.fetchval("SELECT to_regclass('gateway.own_revisions')") is None
    await built.close()
    assert [row["revision"] for row in await sql.fetch("SELECT revision FROM gateway.own_revisions")] == list(
        own_tables.own_revisions()
    )


@pytest.mark.parametrize("books", [True, False], ids=["with books", "attached before there were books"])
async def test_attaching_again_brings_them_up_to_date(
    bare: Database, sql: asyncpg.Connection, migrations: Path, *, books: bool
) -> None:
    await attach(bare.admin_url)
    await record(sql)
    if not books:
        later = [table for table in (await tables(sql)) if table not in {"lifecycle_events", "idempotency_keys"}]
        await sql.execute("".join(f"DROP TABLE gateway.{table} CASCADE;" for table in later))
    add_later(migrations)
    for _ in range(2):  # the second one finds nothing to do
        await attach(bare.admin_url)
        assert await sql.fetchval("SELECT count(*) FROM gateway.lifecycle_events WHERE origin IS NULL") == 1
        assert await sql.fetchval("SELECT to_regclass('gateway.later') IS NOT NULL")
    assert await sql.fetchval("SELECT max(revision) FROM gateway.own_revisions") == "9001"


async def tables(sql: asyncpg.Connection) -> list[str]:
    rows = await sql.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'gateway'")
    return [row["tablename"] for row in rows]


async def test_a_primary_says_how_many_bytes_of_its_log_are_on_disk(database: Database) -> None:
    flushed = "pg_current_wal_flush_lsn() - '0/0'"
    async with connected(database.admin_url) as sql:
        row = await sql.fetchrow(
            f"SELECT {flushed} AS a, gateway.standing() AS b, {flushed} AS c, gateway.history() AS h"
        )
    history, _, place = row["b"].rpartition("/")
    assert history == row["h"]
    assert row["a"] <= int(place) <= row["c"]


async def test_what_a_newer_gateway_made_is_left_alone(bare: Database, sql: asyncpg.Connection) -> None:
    await attach(bare.admin_url)
    await sql.execute("INSERT INTO gateway.own_revisions (revision) VALUES ('9999')")
    with pytest.raises(SetupError, match="revision 9999, which this gateway does not know"):
        await attach(bare.admin_url)


async def test_what_somebody_changed_is_said(bare: Database, sql: asyncpg.Connection, migrations: Path) -> None:
    await attach(bare.admin_url)
    await sql.execute("CREATE TABLE gateway.later (b int)")
    add_later(migrations)
    with pytest.raises(SetupError, match="cannot be brought to revision 9001"):
        await attach(bare.admin_url)
    assert "origin" not in {row[1] for row in await definitions(sql)}, "all or nothing"


@pytest.mark.migrated("it is about what the migrations make")
async def test_older_own_tables_are_a_difference(database: Database) -> None:
    await execute(database.owner_url, "ALTER TABLE gateway.lifecycle_events DROP COLUMN reason")
    async with connect_owner(database.gateway_url) as connection:
        (note,) = (await inspect(connection)).notes
    assert (note.kind, note.object) == ("older own table", "gateway.lifecycle_events.reason")
    assert "e2i-gateway db migrate" in note.message


def revisions() -> list[Any]:
    return [script.module for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]


@pytest.mark.parametrize("module", revisions(), ids=lambda module: module.revision)
def test_a_migration_is_about_own_tables_or_about_the_platforms(module: Any) -> None:
    written = io.StringIO()
    options = {"as_sql": True, "output_buffer": written}
    with Operations.context(MigrationContext.configure(dialect_name="postgresql", opts=options)):
        module.upgrade()
    statements = [each for each in re.split(r";\n", written.getvalue()) if each.strip()]
    about_own = {"gateway." in each.split("(")[0] or " ON gateway." in each for each in statements}
    assert about_own == {getattr(module, "own", False)}


@pytest.fixture
def newcomer() -> Iterator[str]:
    """An own table more in the models, with the name that is yielded."""
    table = Table("newcomer", Entity.metadata, Column("a", TEXT(), comment="A."), schema=OWN_SCHEMA, comment="New.")
    yield table.fullname
    Entity.metadata.remove(table)


@pytest.mark.migrated("it is about what the migrations make")
async def test_a_new_own_table_gets_its_migration(
    database: Database, bare: Database, migrations: Path, newcomer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when functions and rights name it already; changes of the platform's tables come in the next one."""
    words = f"COMMENT ON TABLE {newcomer} IS 'New.';"
    monkeypatch.setattr(setup, "_own_sql", lambda: words)
    monkeypatch.setitem(OWN_RIGHTS, "newcomer", "SELECT")
    await execute(database.owner_url, "COMMENT ON COLUMN ml_experiments.description IS 'another'")
    path = await revise.new_revision(database.owner_url, "a newcomer")
    assert path is not None
    assert path.parent == migrations / "versions"
    written = path.read_text()
    assert "own = True" in written
    assert "newcomer" in written
    assert "ml_experiments" not in written
    await execute(database.owner_url, "DELETE FROM gateway.built")
    await migrate(database.owner_url)
    await attach(bare.admin_url)
    for url in (database.gateway_url, bare.gateway_url):
        connection = await connect(url)
        assert await connection.fetch(f"SELECT a FROM {newcomer}") == []
        await connection.close()
    path = await revise.new_revision(database.owner_url, "the rest")
    assert path is not None
    assert "own = True" not in path.read_text()
    assert "ml_experiments" in path.read_text()
