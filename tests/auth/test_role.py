"""The role that a gateway serves with: what `e2i-gateway db role` makes is enough, and no more.

That every lifecycle's mutations work in it is shown by their own tests: the role that those serve with has the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from db.attach.attach import attach
from db.attach.detach import detach
from db.attach.report import attach_and_tell
from db.embedded.server import GATEWAY_ROLE, OWNER_ROLE
from db.engine.url import database_url
from db.store.grants import STORED_RIGHTS, rights, role_sql
from tests.support.changing import change, model_in
from tests.support.client import serving
from tests.support.databases import Clone, Database, Server, connect, execute
from tests.support.process import run

pytestmark = pytest.mark.slow

ROLE = 'e2i test "role"'

HELD = """
    SELECT n.nspname || '.' || c.relname AS name, string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type) AS rights
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL aclexplode(c.relacl) AS a
    WHERE a.grantee = $1::text::regrole AND c.relkind IN ('r', 'v', 'S')
    GROUP BY 1
"""


@pytest.fixture
async def attached(platform_template: Database, clone: Clone, server: Server) -> AsyncIterator[Database]:
    """The platform's database with the gateway's own tables, and a role of our own making."""
    async with clone(platform_template) as copy:
        await attach(copy.admin_url)
        yield copy
        await execute(copy.admin_url, f"DROP OWNED BY {quoted(ROLE)}", f"DROP ROLE {quoted(ROLE)}")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


async def held(sql: asyncpg.Connection, role: str) -> dict[str, str]:
    return {row["name"]: row["rights"] for row in await sql.fetch(HELD, role)}


def expected() -> dict[str, str]:
    found = {name if "." in name else f"public.{name}": right for name, right in rights().items()}
    return {
        name: ", ".join(sorted(one for one in right.split(", ") if "(" not in one)) for name, right in found.items()
    }


async def test_it_serves_the_platforms_database(attached: Database, server: Server) -> None:
    sql = await connect(attached.admin_url)
    try:
        for _ in range(2):  # it may be run again
            await sql.execute(role_sql(ROLE))
        if server.password:
            await sql.execute(f"ALTER ROLE {quoted(ROLE)} PASSWORD '{server.password}'")
        model = await model_in(sql, "development")
        async with serving(server.url(attached.name, ROLE)) as client:
            assert await client.data("{ experiments(first: 1) { nodes { models(first: 1) { nodes { id } } } } }")
            result = await change(client, "promoteModel", id=model, to="STAGING", idempotencyKey="k")
            assert result["__typename"] == "TransitionApplied"
            started = await change(client, "startDeployment", modelId=model, environment="staging")
            assert started["__typename"] == "TransitionApplied"
        there = await held(sql, quoted(ROLE))
        assert {name: right for name, right in there.items() if not name.endswith("_seq")} == {
            name: right for name, right in expected().items() if await sql.fetchval("SELECT to_regclass($1)", name)
        }
        flags = await sql.fetchrow("SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication "
                                   "FROM pg_roles WHERE rolname = $1", ROLE)  # fmt: skip
        assert not any(flags)
        assert not await sql.fetchval("SELECT has_database_privilege($1, current_database(), 'CREATE')", ROLE)
    finally:
        await sql.close()


async def test_attaching_gives_it_its_rights_again(attached: Database) -> None:
    sql = await connect(attached.admin_url)
    try:
        await sql.execute(role_sql(ROLE))
        before = await held(sql, quoted(ROLE))
        assert before["gateway.alerts_seen"] == "DELETE, INSERT, SELECT, UPDATE"
        await sql.execute(f"REVOKE DELETE ON gateway.alerts_seen FROM {quoted(ROLE)}")  # as a gateway before gave it
        await attach(attached.admin_url)
        assert await held(sql, quoted(ROLE)) == before
        await detach(attached.admin_url, confirmed=True)
        told = await attach_and_tell(database_url(attached.admin_url))
        assert await held(sql, quoted(ROLE)) == before
        assert await sql.fetchval("SELECT has_schema_privilege($1, 'gateway', 'USAGE')", ROLE)
        assert told.did.endswith(f"was changed. {quoted(ROLE)} and e2i_gateway may use its tables.")
        assert not (await attach_and_tell(database_url(attached.admin_url))).did.endswith("may use its tables.")
        await sql.execute(f"GRANT TRUNCATE ON ml_experiments TO {quoted(ROLE)}")  # which `db role` does not give
        await detach(attached.admin_url, confirmed=True)
        await attach(attached.admin_url)
        assert not any(name.startswith("gateway.") for name in await held(sql, quoted(ROLE)))
    finally:
        await sql.close()


async def test_the_embedded_databases_role_has_the_same(database: Database) -> None:
    sql = await connect(database.admin_url)
    there = await held(sql, GATEWAY_ROLE)
    there_not = {"gateway.own_revisions", *(f"gateway.{name}" for name in STORED_RIGHTS)}
    assert {name: right for name, right in there.items() if not name.endswith("_seq")} == {
        name: right for name, right in expected().items() if name not in there_not
    }
    await sql.close()


async def test_rights_of_before_are_taken_back(database: Database) -> None:
    await execute(database.owner_url, f"GRANT DELETE, TRUNCATE ON ml_experiments TO {GATEWAY_ROLE}")
    await execute(database.owner_url, role_sql(GATEWAY_ROLE))
    sql = await connect(database.admin_url)
    assert (await held(sql, GATEWAY_ROLE))["public.ml_experiments"] == "INSERT, SELECT, UPDATE"
    await sql.close()


async def test_an_owner_is_no_role_to_serve_with(database: Database) -> None:
    with pytest.raises(asyncpg.RaiseError, match=f"{OWNER_ROLE} owns .*: it is no role to serve with"):
        await execute(database.owner_url, role_sql(OWNER_ROLE))


def test_it_is_printed() -> None:
    printed = run("db", "role", "--name", "reader")
    assert printed.returncode == 0
    assert printed.stdout == role_sql("reader")
