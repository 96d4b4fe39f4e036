"""The migrations: what they build from nothing, and that they say what the models say."""

import asyncio
import re
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.schema import CreateSchema

from db.base.system_catalog import enums_of_models
from db.base.vocabulary import Entity, entities, enum_types, relations, table_of
from db.embedded.server import OWNER_ROLE
from db.engine.errors import DatabaseUnavailableError, MissingObjectError
from db.migrations import setup
from db.migrations.compare import enums_of_database
from db.migrations.revise import differences, new_revision
from db.migrations.setup import SetupError, has_rows, is_empty, migrate, platform_tables, platform_views
from db.migrations.setup import connect as connect_owner
from tests.support.databases import Clone, Database, Server, connect, empty_database, execute

pytestmark = pytest.mark.slow

# What a table is made of, beyond what Alembic compares: access methods, predicates, expressions, generated columns.
DEFINITIONS = """
    SELECT 'column', a.attrelid::regclass::text, a.attname,
        concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated,
            pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum))
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind = 'r'
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace::regnamespace::text IN ('public', 'ml') AND a.attnum > 0
    UNION ALL
    SELECT 'index', indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid)
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
    WHERE c.relnamespace::regnamespace::text IN ('public', 'ml')
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace::regnamespace::text IN ('public', 'ml') AND conrelid <> 0
    UNION ALL
    SELECT 'comment', oid::regclass::text, '', obj_description(oid, 'pg_class')
    FROM pg_class WHERE relnamespace::regnamespace::text IN ('public', 'ml') AND relkind = 'r'
"""

LEADING_COLUMNS = """
    SELECT i.indrelid::regclass::text AS "table",
        array_agg(a.attname::text ORDER BY k.place) AS columns,
        pg_get_indexdef(i.indexrelid) AS definition
    FROM pg_index AS i
    CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    JOIN pg_class AS c ON c.oid = i.indrelid
    WHERE c.relnamespace::regnamespace::text IN ('public', 'ml', 'gateway')
    GROUP BY i.indrelid, i.indexrelid
"""


@pytest.fixture
async def owner(module_database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(module_database.owner_url)
    yield connection
    await connection.close()


async def test_the_models_have_no_change_without_a_migration(database: Database) -> None:
    assert await differences(database.owner_url) == []
    assert await new_revision(database.owner_url, "nothing") is None


async def test_a_missing_migration_is_noticed(database: Database) -> None:
    await execute(
        database.owner_url,
        "ALTER TABLE ml_experiments ADD COLUMN surplus text",
        "COMMENT ON COLUMN ml_experiments.description IS 'another'",
        "ALTER TABLE ml_experiments DROP CONSTRAINT valid_auc",
        "CREATE TYPE surplus AS ENUM ('a')",
        "DROP TYPE improvement_priority",
        "ALTER TABLE ml_experiments ALTER COLUMN data_split SET DEFAULT 'train'",
    )
    found = "\n".join(await differences(database.owner_url))
    for what in (
        "remove_column", "modify_comment", "add_constraint", "remove_enum', 'surplus'",
        "add_enum', 'improvement_priority'", "modify_default",
    ):  # fmt: skip
        assert what in found


async def test_a_label_can_be_added_but_not_taken_away(database: Database) -> None:
    await execute(
        database.owner_url,
        "DROP TYPE improvement_priority",
        "CREATE TYPE improvement_priority AS ENUM ('critical', 'high', 'low', 'none')",
    )
    assert await differences(database.owner_url) == ["('add_enum_label', 'improvement_priority', 'medium')"]
    await execute(database.owner_url, "ALTER TYPE improvement_priority ADD VALUE 'surplus'")
    with pytest.raises(ValueError, match=r"improvement_priority has labels that the model lacks .surplus."):
        await differences(database.owner_url)


async def test_the_migrations_build_what_the_models_say_to_the_letter(server: Server, template: Database) -> None:
    async with empty_database(server) as straight, empty_database(server, template=template.name) as migrated:
        await execute(straight.admin_url, "CREATE EXTENSION vector")
        async with connect_owner(straight.owner_url) as connection, connection.begin():
            await connection.execute(CreateSchema("ml"))
            for labels in enum_types():
                values = ", ".join(f"'{member.value}'" for member in labels)
                name = f"{labels.pg_schema or 'public'}.{labels.pg_name}"
                await connection.execute(text(f"CREATE TYPE {name} AS ENUM ({values})"))
            tables = [Entity.metadata.tables[name] for name in platform_tables()]
            await connection.run_sync(lambda sync: Entity.metadata.create_all(sync, tables=tables))
        built = []
        for one in (straight, migrated):
            connection = await connect(one.owner_url)
            built.append({tuple(row) for row in await connection.fetch(DEFINITIONS)})
            await connection.close()
        assert len(built[0]) > 1500
        assert built[0] ^ built[1] == set()


async def test_enums_have_the_labels_of_the_models_in_their_order(module_database: Database) -> None:
    async with connect_owner(module_database.owner_url) as connection:
        assert await connection.run_sync(enums_of_database) == enums_of_models()


async def test_public_has_only_what_the_dictionary_names(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch("""
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm')
    """)
    assert {row["relname"] for row in rows} == {
        name for name in [*platform_tables(), *platform_views()] if "." not in name
    }


async def test_comments_reach_the_database(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch("""
        SELECT a.attrelid::regclass::text AS "table", a.attname AS name, col_description(a.attrelid, a.attnum) AS words
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
        WHERE c.relnamespace::regnamespace::text IN ('public', 'ml', 'gateway') AND c.relkind IN ('r', 'v')
          AND a.attnum > 0 AND c.oid::regclass::text <> ALL (ARRAY['gateway.alembic_version', 'gateway.built'])
    """)
    assert {(row["table"], row["name"]): row["words"] for row in rows} == {
        (table.fullname, column.name): column.comment
        for table in Entity.metadata.tables.values()
        for column in table.columns
    }
    words = await owner.fetchval("SELECT obj_description('ml.driver_rankings'::regclass)")
    assert words == Entity.metadata.tables["ml.driver_rankings"].comment
    assert await owner.fetchval("SELECT obj_description('v_champion_models'::regclass)")
    assert await owner.fetchval("SELECT obj_description('ml.gate_decision'::regtype)")


async def test_every_way_between_rows_has_an_index(owner: asyncpg.Connection) -> None:
    indexes = [(row["table"], row["columns"]) for row in await owner.fetch(LEADING_COLUMNS)]

    def served(table: str, columns: set[str]) -> bool:
        return any(there == table and set(leading[: len(columns)]) == columns for there, leading in indexes)

    missing: list[tuple[str, object]] = []
    for entity in entities().values():
        table = table_of(entity)
        missing += [(table.fullname, key.column_keys) for key in table.foreign_key_constraints
                    if not served(table.fullname, set(key.column_keys))]  # fmt: skip
        for relation in relations(entity).values():
            target = entities()[relation.target]
            if relation.on:
                ends = [(entity, set(relation.on)), (target, set(relation.on.values()))]
                missing += [(table_of(end).fullname, columns) for end, columns in ends
                            if not end.__is_view__ and not served(table_of(end).fullname, columns)]  # fmt: skip
            else:
                # A predicate needs at least one column of each side to begin with.
                ends_by_sql = [(entity, tuple(relation.this_columns)), (target, tuple(relation.that_columns))]
                missing += [(table_of(end).fullname, columns) for end, columns in ends_by_sql
                            if not any(served(table_of(end).fullname, {column}) for column in columns)]  # fmt: skip
    assert missing == []


async def test_every_default_order_is_read_from_an_index(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch(LEADING_COLUMNS)
    definitions = {(row["table"], re.sub(r".*USING btree ", "", row["definition"])) for row in rows}
    for entity in entities().values():
        if not entity.__is_view__ and entity.__order__:
            table = table_of(entity)
            keys = [f"{column.name} DESC" for column in table.primary_key if column.name != entity.__order__]
            assert (table.fullname, f"({', '.join([f'{entity.__order__} DESC NULLS LAST', *keys])})") in definitions


def test_names_of_indexes_are_unique_and_whole() -> None:
    names = [str(index.name) for name in platform_tables() for index in Entity.metadata.tables[name].indexes]
    assert len(names) == len(set(names))
    assert max(len(name.encode()) for name in names) <= 63


async def test_an_up_to_date_database_is_left_alone(database: Database) -> None:
    async def stamp() -> tuple[object, ...]:
        connection = await connect(database.owner_url)
        state = await connection.fetchrow(
            "SELECT built_at, xmin::text, (SELECT md5(string_agg(concat_ws(',', oid, xmin), ';' ORDER BY oid)) "
            "FROM pg_class), (SELECT md5(string_agg(concat_ws(',', oid, xmin), ';' ORDER BY oid)) FROM pg_proc) "
            "FROM gateway.built"
        )
        await connection.close()
        return tuple(state)

    before = await stamp()
    await migrate(database.owner_url)
    assert await stamp() == before


async def test_what_was_changed_by_hand_is_built_again_when_the_files_change(database: Database) -> None:
    await execute(
        database.owner_url,
        "DROP VIEW v_champion_models",
        "DELETE FROM tool_dependencies",
        "UPDATE tool_registry SET description = 'ours' WHERE name = 'cate_analyzer'",
        "UPDATE gateway.built SET fingerprint = 'an older one'",
    )
    await migrate(database.owner_url)
    connection = await connect(database.gateway_url)
    assert await connection.fetchval("SELECT count(*) FROM v_champion_models") == 0
    assert await connection.fetchval("SELECT count(*) FROM tool_dependencies") > 0
    assert await connection.fetchval("SELECT description FROM tool_registry WHERE name = 'cate_analyzer'") == "ours"
    await connection.close()


async def test_two_gateways_may_start_on_an_empty_database_at_once(server: Server) -> None:
    async with empty_database(server) as database:
        await execute(database.admin_url, "CREATE EXTENSION vector")
        assert await is_empty(database.owner_url)
        await asyncio.gather(*(migrate(database.owner_url) for _ in range(3)))
        assert await differences(database.owner_url) == []
        assert not await is_empty(database.owner_url)


async def test_rows_are_noticed_but_the_default_tools_do_not_count(database: Database) -> None:
    assert not await has_rows(database.owner_url)
    await execute(
        database.owner_url,
        "INSERT INTO ml_experiments (experiment_name, prediction_target) VALUES ('x', 'y')",
    )
    assert await has_rows(database.owner_url)


async def test_the_gateways_role_serves_but_owns_nothing(database: Database) -> None:
    connection = await connect(database.gateway_url)
    assert await connection.fetchval("SELECT get_validation_gate(gen_random_uuid())::text") == "review"
    for name in [*platform_tables(), *platform_views()]:
        await connection.fetch(f"SELECT * FROM {name} LIMIT 1")
    for forbidden in (
        "DELETE FROM ml_experiments",
        "DELETE FROM ml_model_registry",
        "UPDATE gateway.recordings SET actor = 'z'",
        "UPDATE gateway.lifecycle_events SET actor = 'z'",
        "CREATE TABLE public.mine (a int)",
        "CREATE TABLE ml.mine (a int)",
        "CREATE TABLE gateway.mine (a int)",
        "CREATE SCHEMA mine",
        "ALTER TABLE ml_experiments ADD COLUMN mine int",
        "DROP TABLE ml_experiments",
        "DROP VIEW v_champion_models",
        "TRUNCATE ml_experiments",
        "CREATE INDEX ON ml_experiments (description)",
        "UPDATE gateway.built SET fingerprint = ''",
        "DELETE FROM gateway.alembic_version",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(forbidden)
    owned = "SELECT count(*) FROM pg_class WHERE relowner = current_user::regrole"
    assert await connection.fetchval(owned) == 0
    await connection.close()


async def test_rights_follow_when_the_gateways_role_is_made_later(database: Database) -> None:
    await execute(
        database.owner_url,
        "REVOKE ALL ON ml_experiments FROM e2i_gateway",
        "UPDATE gateway.built SET granted = false",
    )
    await migrate(database.owner_url)
    connection = await connect(database.gateway_url)
    assert await connection.fetchval("SELECT count(*) FROM ml_experiments") == 0
    await connection.close()


async def test_a_database_of_the_platform_is_refused(platform_template: Database, clone: Clone) -> None:
    async with clone(platform_template) as copy:
        with pytest.raises(SetupError, match="e2i-gateway db attach"):
            await migrate(copy.owner_url)
        connection = await connect(copy.admin_url)
        assert not await connection.fetchval("SELECT to_regnamespace('gateway') IS NOT NULL")
        await connection.close()


async def test_without_pgvector_it_is_said_what_to_do(server: Server) -> None:
    async with empty_database(server) as database:
        await execute(database.admin_url, f"REVOKE CREATE ON DATABASE {database.name} FROM {OWNER_ROLE}")
        await execute(database.admin_url, f"ALTER DATABASE {database.name} OWNER TO current_user")
        with pytest.raises(SetupError, match="CREATE EXTENSION vector"):
            await migrate(database.owner_url)
        await execute(database.admin_url, "CREATE EXTENSION vector")
        with pytest.raises(SetupError, match=r"e2i_owner lacks a right .* permission denied for database"):
            await migrate(database.owner_url)


async def test_pgvector_may_live_in_extensions(server: Server) -> None:
    async with empty_database(server) as database:
        await execute(
            database.admin_url,
            "CREATE SCHEMA extensions",
            "GRANT USAGE ON SCHEMA extensions TO public",
            "CREATE EXTENSION vector SCHEMA extensions",
        )
        await migrate(database.owner_url)
        assert await differences(database.owner_url) == []
        await execute(database.admin_url, "ALTER EXTENSION vector SET SCHEMA ml", "DELETE FROM gateway.built")
        with pytest.raises(SetupError, match="ALTER EXTENSION vector SET SCHEMA"):
            await migrate(database.owner_url)


async def test_a_database_of_a_newer_gateway_is_refused(database: Database) -> None:
    await execute(
        database.owner_url,
        "UPDATE gateway.alembic_version SET version_num = '9999'",
        "UPDATE gateway.built SET fingerprint = 'a newer one'",
    )
    with pytest.raises(SetupError, match="revision 9999, which this gateway does not know"):
        await migrate(database.owner_url)


async def test_what_cannot_be_reached_is_said_in_words(server: Server) -> None:
    with pytest.raises(SetupError, match=r"no connection as e2i_owner to nowhere: .*does not exist"):
        await migrate(server.url("nowhere", OWNER_ROLE))
    with pytest.raises(SetupError, match="no connection as nobody_known to postgres"):
        await migrate(server.url("postgres", "nobody_known"))
    with pytest.raises(DatabaseUnavailableError):
        await migrate("postgresql://a@127.0.0.1:1/b")


async def test_a_failure_leaves_nothing_half_done(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with empty_database(server) as database:
        await execute(database.admin_url, "CREATE EXTENSION vector")
        with monkeypatch.context() as patch:
            files = {"g01.sql": "CREATE TABLE public.half_done (a int);", "g02.sql": "SELECT * FROM missing_table;"}
            patch.setattr(setup, "_sql_files", lambda: files)
            with pytest.raises(MissingObjectError):
                await migrate(database.owner_url)
        await migrate(database.owner_url)
        assert await differences(database.owner_url) == []
