"""Building the database: migrations, then functions, triggers and views, then the default tools, then rights.

Two transactions under one lock, so that any number of gateways may start at once. A database that is up to date is
recognised by a fingerprint of everything that builds it, and nothing is run.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

import db.models  # noqa: F401 - maps all entities
from db.base.quoting import literal
from db.base.vocabulary import OWN_SCHEMA, entities, enum_types, is_own, table_of
from db.embedded.server import GATEWAY_ROLE, OWNER_ROLE, EmbeddedPostgres, create_database
from db.engine.engine import create_engine
from db.engine.errors import INSUFFICIENT_PRIVILEGE, diagnostics, refuses_login, sqlstate, translate
from db.engine.url import PUBLIC, database_url, target_of
from db.seed.tools import SEED, seed_tools
from db.store.grants import OWN_RIGHTS, grants

__all__ = [
    "MIGRATIONS", "SetupError", "connect", "finish_own", "has_rows", "is_empty", "lock_building", "migrate",
    "platform_tables", "platform_views", "prepare_embedded", "run_definitions", "upgrade_tables",
]  # fmt: skip

_FOLDER = Path(__file__).parents[1]
MIGRATIONS = _FOLDER / "migrations"
_SEEDED = {"tool_registry", "tool_dependencies"}


class SetupError(Exception):
    """The database cannot be built or brought up to date; the message says why and what to do."""


def platform_tables() -> list[str]:
    """The tables that the models map, in order of declaration, named ``ml_experiments`` or ``ml.driver_rankings``."""
    tables = [table_of(entity) for entity in entities().values() if not entity.__is_view__]
    return [table.fullname for table in tables if not is_own(table)]


def platform_views() -> list[str]:
    """The views that the models map, named like :func:`platform_tables`."""
    return [table_of(entity).fullname for entity in entities().values() if entity.__is_view__]


@cache
def _sql_files() -> dict[str, str]:
    return {file.name: file.read_text(encoding="utf-8") for file in sorted((_FOLDER / "sql").glob("g*.sql"))}


@cache
def _own_sql() -> str:
    return (_FOLDER / "sql" / "own.sql").read_text(encoding="utf-8")


@asynccontextmanager
async def connect(url: str | URL) -> AsyncIterator[AsyncConnection]:
    """One connection for building or inspecting, outside any pool and without a statement timeout.

    Raises:
        SetupError: There is no such database or role, or the role may not do what the block did.
        DatabaseUnavailableError: The database cannot be reached.
        ValueError: The URL is none of a Postgres.
    """
    target = url if isinstance(url, URL) else database_url(url)
    engine = create_engine(target, read_only=False, pool_size=1, statement_timeout=0)
    try:
        async with engine.connect() as connection:
            yield await connection.execution_options(isolation_level="READ COMMITTED")
    except (DBAPIError, OSError, asyncpg.PostgresError) as error:
        if sqlstate(error) == INSUFFICIENT_PRIVILEGE:
            raise SetupError(
                f"the role {target.username} lacks a right on the database {target.database}: "
                f"{diagnostics(error).words}; connect as the owner of the database"
            ) from error
        if refuses_login(error):
            raise SetupError(
                f"no connection as {target.username} to {target.database}: {diagnostics(error).words}"
            ) from error
        raise translate(error) from error
    finally:
        await engine.dispose()


async def migrate(url: str | URL) -> None:
    """Builds an empty database, or brings one that was built by this function up to date. Does nothing when it is.

    ``url`` names the owner of the database. Several processes may call this at once. Data are never touched; the
    default tools are added where they are missing.

    Raises:
        SetupError: The platform's tables are there and were not made by us, pgvector is missing, the role lacks a
            right, or a newer gateway built the database.
        DatabaseUnavailableError: The database cannot be reached.
    """
    if target_of(url if isinstance(url, URL) else database_url(url)).schemas != PUBLIC:
        raise SetupError(
            "GATEWAY_SCHEMAS names other schemas than public, where `db migrate` makes its tables; unset it, or run "
            "`e2i-gateway db attach` on a database whose tables are in those schemas"
        )
    async with connect(url) as connection:
        async with connection.begin():
            if await _is_up_to_date(connection):
                return
        async with connection.begin():
            await upgrade_tables(connection)
        # A second transaction, since a label that was added to an enum cannot be used in the first.
        async with connection.begin():
            await lock_building(connection)
            if await _is_up_to_date(connection):
                return
            await _run_script(connection, _BUILT)
            granted = await run_definitions(connection)
            await seed_tools(connection)
            values = {"fingerprint": _fingerprint(), "granted": granted}
            await connection.execute(text("INSERT INTO gateway.built VALUES (:fingerprint, :granted)"), values)


async def run_definitions(connection: AsyncConnection) -> bool:
    """Makes functions, triggers and views anew, and gives the gateway's role its rights on them; returns whether there
    is that role."""
    await _run_script(connection, "\n".join([*_sql_files().values(), _own_sql(), *_comments()]))
    return await _grant(connection)


async def upgrade_tables(connection: AsyncConnection) -> None:
    """Runs the migrations that the database has not had yet, and nothing that is built on top of their tables.

    The first half of :func:`migrate`, in the transaction of the connection; raises what that raises.
    """
    await lock_building(connection)
    await _require_ours(connection)
    await _require_vector(connection)
    await connection.execute(text("CREATE SCHEMA IF NOT EXISTS gateway"))
    await connection.run_sync(_upgrade)


_BUILT = """
    CREATE TABLE IF NOT EXISTS gateway.built (
        fingerprint text NOT NULL,
        granted boolean NOT NULL,
        built_at timestamptz NOT NULL DEFAULT now()
    );
    COMMENT ON TABLE gateway.built IS 'What the gateway built this database from; it builds again when that changes.';
    DELETE FROM gateway.built;
"""


async def lock_building(connection: AsyncConnection) -> None:
    """Waits for other gateways that build this database; held until the end of the transaction."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('e2i gateway migrate'))"))


@cache
def _fingerprint() -> str:
    versions = sorted((MIGRATIONS / "versions").glob("[0-9]*.py"))
    content = [file.read_bytes() for file in [*versions, *sorted(SEED.glob("*.json")), Path(__file__)]]
    scripts = [*_sql_files().values(), _own_sql(), *_comments(), grants(GATEWAY_ROLE)]
    content += [sql.encode() for sql in scripts]
    return hashlib.sha256(b"\0".join(content)).hexdigest()


async def _is_up_to_date(connection: AsyncConnection) -> bool:
    if not await connection.scalar(text("SELECT to_regclass('gateway.built') IS NOT NULL")):
        return False
    same = text(
        "SELECT EXISTS (SELECT FROM gateway.built WHERE fingerprint = :fingerprint AND granted = "
        "EXISTS (SELECT FROM pg_roles WHERE rolname = :role))"
    )
    return bool(await connection.scalar(same, {"fingerprint": _fingerprint(), "role": GATEWAY_ROLE}))


_EXISTING = text("""
    SELECT name
    FROM unnest(CAST(:names AS text[])) AS name
    JOIN pg_class AS c ON c.relname = split_part(name, '.', -1)
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = CASE WHEN name LIKE '%.%' THEN split_part(name, '.', 1) ELSE 'public' END
""")


async def _existing(connection: AsyncConnection, names: Sequence[str]) -> list[str]:
    """Which of these tables and views there are; looked up in the catalog, which a role without rights may read too."""
    return list(await connection.scalars(_EXISTING, {"names": list(names)}))


async def _require_ours(connection: AsyncConnection) -> None:
    if await connection.scalar(text("SELECT to_regclass('gateway.alembic_version') IS NOT NULL")):
        await connection.run_sync(_require_known_revision)
        return
    there = await _existing(connection, [*platform_tables(), *platform_views()])
    if there:
        more = f" and {len(there) - 3} more" if len(there) > 3 else ""
        raise SetupError(
            f"this database has tables of the platform ({', '.join(there[:3])}{more}) that the gateway did not make, "
            f"so it changes nothing here; run `e2i-gateway db attach` to use them as they are"
        )


async def _require_vector(connection: AsyncConnection) -> None:
    if not await connection.scalar(text("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector')")):
        try:
            async with connection.begin_nested():
                await connection.execute(text("CREATE EXTENSION vector"))
        except DBAPIError as error:
            if sqlstate(error) == INSUFFICIENT_PRIVILEGE:
                raise SetupError(
                    "the database lacks pgvector and this role may not add it; as a superuser, run in this database: "
                    "CREATE EXTENSION vector"
                ) from error
            raise SetupError(
                f"pgvector cannot be added to the database: {diagnostics(error).words}; install pgvector on the server"
            ) from error
    if not await connection.scalar(text("SELECT to_regtype('vector') IS NOT NULL")):
        raise SetupError(
            "pgvector is in a schema where it is not found; move it: ALTER EXTENSION vector SET SCHEMA extensions (or "
            "public), and grant USAGE on that schema"
        )


def _require_known_revision(connection: Connection) -> None:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - slow to import, and rarely needed
    from alembic.util import CommandError  # noqa: PLC0415

    revision = connection.scalar(text("SELECT version_num FROM gateway.alembic_version"))
    if revision is None:
        return
    try:
        ScriptDirectory(str(MIGRATIONS)).get_revision(revision)
    except CommandError as error:
        raise SetupError(
            f"the database is at revision {revision}, which this gateway does not know: a newer one built it; upgrade "
            f"the gateway"
        ) from error


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - slow to import, and rarely needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def _run_script(connection: AsyncConnection, sql: str) -> None:
    """Runs many statements at once, in the transaction of the connection."""
    await connection.execute(text("SELECT 1"))  # begins the transaction, which the driver's connection shares
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    await driver.execute(sql)


def _comments() -> list[str]:
    """COMMENTs from the models for what no migration makes or can comment: views, their columns and enums."""
    statements = []
    for entity in entities().values():
        if entity.__is_view__:
            view = table_of(entity)
            statements.append(f"COMMENT ON VIEW {view.fullname} IS {literal(view.comment or '')};")
            statements += [
                f"COMMENT ON COLUMN {view.fullname}.{column.name} IS {literal(column.comment or '')};"
                for column in view.columns
            ]
    for labels in enum_types():
        name = f"{labels.pg_schema or 'public'}.{labels.pg_name}"
        statements.append(f"COMMENT ON TYPE {name} IS {literal(' '.join((labels.__doc__ or '').split()))};")
    return statements


async def _grant(connection: AsyncConnection) -> bool:
    """Gives the gateway's role what it needs to serve, and nothing more; says if there is that role."""
    exists = text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :role)")
    if not await connection.scalar(exists, {"role": GATEWAY_ROLE}):
        return False
    await _run_script(connection, grants(GATEWAY_ROLE))
    return True


async def finish_own(connection: AsyncConnection) -> None:
    """Functions and triggers of the gateway's own tables, and the rights of its role on them; re-runnable."""
    await _run_script(connection, _own_sql())
    exists = text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :role)")
    if await connection.scalar(exists, {"role": GATEWAY_ROLE}):
        await connection.execute(text(f"GRANT USAGE ON SCHEMA {OWN_SCHEMA} TO {GATEWAY_ROLE}"))
        for table, rights in OWN_RIGHTS.items():
            await connection.execute(text(f"REVOKE ALL ON {OWN_SCHEMA}.{table} FROM {GATEWAY_ROLE}"))
            await connection.execute(text(f"GRANT {rights} ON {OWN_SCHEMA}.{table} TO {GATEWAY_ROLE}"))


async def prepare_embedded(server: EmbeddedPostgres, database: str = "e2i") -> tuple[str, str]:
    """Makes a database on the embedded server, or brings it up to date; returns the owner's URL and the gateway's."""
    await create_database(server, database)
    owner_url = server.url(database, OWNER_ROLE)
    await migrate(owner_url)
    return owner_url, server.url(database, GATEWAY_ROLE)


async def is_empty(url: str | URL) -> bool:
    """Whether the database has none of the platform's tables and views, so that :func:`migrate` would build them."""
    async with connect(url) as connection:
        return not await _existing(connection, [*platform_tables(), *platform_views()])


async def has_rows(url: str | URL) -> bool:
    """Whether any table of the platform has a row, apart from the default tools."""
    async with connect(url) as connection:
        there = await _existing(connection, [table for table in platform_tables() if table not in _SEEDED])
        exists = " OR ".join(f"EXISTS (SELECT FROM {table})" for table in there)
        return bool(there and await connection.scalar(text(f"SELECT {exists}")))
