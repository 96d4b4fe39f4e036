"""Attaching tells a page; detaching takes away all that it and the doctor's SQL have brought, and nothing else."""

from __future__ import annotations

import pytest

from db.attach.detach import detach
from db.attach.report import attach_and_tell
from db.engine.url import database_url
from db.migrations.setup import SetupError
from gateway.doctor.examine import examine
from gateway.doctor.findings import as_sql
from gateway.settings import Settings
from schema.execution.explain import explain
from tests.support.client import serving
from tests.support.databases import Clone, Database, connect, execute

pytestmark = pytest.mark.slow

WITHOUT = """
    SELECT n.nspname || '.' || c.relname || c.relkind::text
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' UNION ALL SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace <> 'pg_catalog'::regnamespace
    UNION ALL SELECT oid::regtype::text FROM pg_type WHERE typtype = 'e'
"""


async def everything(database: Database) -> set[str]:
    sql = await connect(database.admin_url)
    found = {row[0] for row in await sql.fetch(WITHOUT)}
    await sql.close()
    return found


async def test_detaching_leaves_what_there_was_before(platform_template: Database, clone: Clone) -> None:
    async with clone(platform_template) as copy:
        await execute(copy.admin_url, "DROP TYPE IF EXISTS improvement_priority")  # which is not the gateway's to make
        before = await everything(copy)
        url = database_url(copy.admin_url)
        told = (await attach_and_tell(url, explain)).text()
        script = as_sql(await examine(Settings(auth="token"), url))
        assert script.count("CREATE INDEX CONCURRENTLY e2i_gateway_") == script.count("CREATE INDEX") > 10
        sql = await connect(copy.admin_url)
        for statement in filter(None, script.split(";\n")):
            if statement.startswith(("SET", "CREATE INDEX")):
                await sql.execute(statement)
        await sql.close()
        listed = await detach(copy.admin_url, confirmed=False)
        attached = await everything(copy)
        assert attached > before
        assert len(listed.indexes) == script.count("CREATE INDEX")
        assert {name for name, _ in listed.tables} >= {"gateway.lifecycle_events", "gateway.own_revisions"}
        async with serving(copy.gateway_url) as client:
            assert await detach(copy.admin_url, confirmed=True) == listed
            assert await client.data("{ experiments(first: 1) { nodes { id } } }")
        assert await everything(copy) == before
        nothing = await detach(copy.admin_url, confirmed=True)
        assert nothing.text() == ""
        again = (await attach_and_tell(url, explain)).text()
        assert again.splitlines()[1] == told.splitlines()[1]


async def test_what_others_have_made_stays(platform_template: Database, clone: Clone) -> None:
    async with clone(platform_template) as copy:
        await attach_and_tell(database_url(copy.admin_url))
        await execute(copy.admin_url, "CREATE VIEW who AS SELECT actor FROM gateway.lifecycle_events")
        attached = await everything(copy)
        with pytest.raises(SetupError, match=r"view who depends on table gateway\.lifecycle_events"):
            await detach(copy.admin_url, confirmed=True)
        assert await everything(copy) == attached
        await execute(copy.admin_url, "DROP VIEW who", "CREATE TABLE gateway.notes (n int)")
        left = await detach(copy.admin_url, confirmed=True)
        assert left.others == ["gateway.notes"]
        assert {name for name in await everything(copy) if "gateway" in name} == {"gateway", "gateway.notesr"}


async def test_what_the_migrations_built_is_not_detached(database: Database) -> None:
    with pytest.raises(SetupError, match="built this whole database"):
        await detach(database.owner_url, confirmed=True)


async def test_attaching_tells_a_page_and_everything_if_asked(platform_template: Database, clone: Clone) -> None:
    async with clone(platform_template) as copy:
        url = database_url(copy.admin_url)
        report = await attach_and_tell(url, explain)
        lines = report.text().splitlines()
        assert lines[0].startswith(f"Database {copy.name} at ")
        assert "(Postgres " in lines[0]
        assert "pgvector " in lines[0]
        assert lines[1].startswith("Made the schema gateway with ")
        assert len(lines) <= 30
        assert max(map(len, lines)) <= 170
        assert any("ml_deployments.production_metrics is missing" in line for line in lines)
        assert "db attach --all" in report.text()
        everything_ = report.text(everything=True)
        assert all(note.message in everything_ for note in report.differences.notes)
        second = (await attach_and_tell(url)).text().splitlines()
        assert second[1].startswith("The schema gateway was there; it has all its tables.")
