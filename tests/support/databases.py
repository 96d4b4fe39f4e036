"""Databases for the tests: a template built by the migrations, and clones of it, on the server of the run.

With TEST_PLATFORM=1 the databases are of the platform's shape (`platform_shaped`); with TEST_PARTITIONED=1 what can be
is partitioned by month.
"""

import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from db.attach.attach import attach
from db.demo import load
from db.embedded.server import GATEWAY_ROLE, OWNER_ROLE
from db.engine.url import database_url
from db.migrations import setup
from db.migrations.partition import partition
from db.store.partitions import Month, add_months, monthly_tables
from tests.support import platform_db, platform_shaped
from tests.support.client import Client, serving
from tests.support.doubling import double
from tests.support.plans import Statement, recording
from tests.support.platform_shaped import IS_PLATFORM

IS_PARTITIONED = os.environ.get("TEST_PARTITIONED") == "1"

DEMO_NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
"""The moment that the demo data end at."""

UNKNOWN_LABEL = ("alert_status_enum", "snoozed")
UNKNOWN_COLUMN = ("ml_experiments", "internal_note", "text")
MISSING_COLUMN = ("ml_deployments", "production_metrics")
MISSING_VIEW = "v_agent_latency_summary"
"""How ``platform_database`` differs from the dictionary."""

GRANTS = f"""
    GRANT USAGE ON SCHEMA public, ml, extensions TO {GATEWAY_ROLE};
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, ml TO {GATEWAY_ROLE};
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA public, ml TO {GATEWAY_ROLE};
"""
"""What the gateway's role may on a database of the platform's."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On the platform's database, leaves out what can be so on none but our own."""
    for item in items if IS_PLATFORM else ():
        if marker := item.get_closest_marker("migrated"):
            item.add_marker(pytest.mark.skip(reason=f"not on the platform's database: {marker.args[0]}"))


@dataclass(frozen=True)
class Server:
    """A Postgres for tests, as its superuser sees it; the owner's and the gateway's role exist.

    ``templates`` begins the names of the databases that are built once there, to be cloned; without it each process
    builds its own. ``copying`` is how a database is cloned, as SQL of CREATE DATABASE.
    """

    admin_url: str
    password: str | None
    templates: str | None
    copying: str = ""

    def url(self, database: str, role: str) -> str:
        """The URL of a database for a role: the owner's, the gateway's, or another one without a password."""
        url = make_url(self.admin_url).set(database=database)
        if role != url.username:
            url = url.set(username=role, password=self.password)
        return url.render_as_string(hide_password=False)

    def admin(self, database: str) -> str:
        """The superuser's URL of a database."""
        return make_url(self.admin_url).set(database=database).render_as_string(hide_password=False)

    async def connect(self, database: str) -> asyncpg.Connection:
        """A connection of the superuser's, to be closed by the caller."""
        return await connect(self.admin(database))


@dataclass(frozen=True)
class Database:
    """A database of the server with its URLs by role."""

    server: Server
    name: str

    @property
    def admin_url(self) -> str:
        return self.server.admin(self.name)

    @property
    def owner_url(self) -> str:
        return self.server.url(self.name, OWNER_ROLE)

    @property
    def gateway_url(self) -> str:
        return self.server.url(self.name, GATEWAY_ROLE)


Clone = Callable[[Database], AbstractAsyncContextManager[Database]]
"""Makes a copy of a database that nobody is connected to, and drops it at the end of the block."""


async def connect(url: str) -> asyncpg.Connection:
    """An asyncpg connection to a database by its SQLAlchemy URL, to be closed by the caller."""
    dsn = database_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    # as the platform's clients find pgvector; what the gateway sends is found without
    settings = {"search_path": "public, extensions"} if IS_PLATFORM else None
    return await asyncpg.connect(dsn, server_settings=settings)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Like :func:`connect`, for a block."""
    connection = await connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def execute(url: str, *statements: str) -> None:
    """Runs statements on a connection of their own, each committed."""
    connection = await connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@asynccontextmanager
async def alone(connection: asyncpg.Connection, what: str) -> AsyncIterator[None]:
    """Does something that another process of the run may be about to do: it waits until this one has."""
    await connection.execute("SELECT pg_advisory_lock(hashtext($1))", what)
    try:
        yield
    finally:
        await connection.execute("SELECT pg_advisory_unlock(hashtext($1))", what)


async def waiting_backends(sql: asyncpg.Connection) -> int:
    """How many connections to the database wait for a lock."""
    waiting: int = await sql.fetchval(
        "SELECT count(DISTINCT w.pid) FROM pg_locks AS w WHERE NOT w.granted AND EXISTS (SELECT FROM pg_locks AS here "
        "WHERE here.pid = w.pid AND here.database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
    )
    return waiting


async def kill_backends(sql: asyncpg.Connection, *, waiting: bool = False) -> int:
    """Ends the gateway's connections to the database, those that wait for a lock alone if asked; returns how many."""
    only = "AND wait_event_type = 'Lock'" if waiting else ""
    killed: int = await sql.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'e2i-gateway' "
        f"AND datname = current_database() {only}"
    )
    return killed


@asynccontextmanager
async def empty_database(server: Server, *, template: str = "template1") -> AsyncIterator[Database]:
    """A database that the owner's role owns, without pgvector unless the template has it; dropped after the block."""
    name = f"e2i_test_{uuid.uuid4().hex}"
    await execute(server.admin_url, f"CREATE DATABASE {name} OWNER {OWNER_ROLE} TEMPLATE {template} {server.copying}")
    try:
        yield Database(server, name)
    finally:
        await execute(server.admin_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@asynccontextmanager
async def template_database(
    server: Server, name: str, build: Callable[[Database], Awaitable[None]], *, template: str = "template1"
) -> AsyncIterator[Database]:
    """A database that ``build`` has filled, to be cloned; one that is kept on the server, if there is one.

    A template that is kept has its name only once it is whole, and one process builds it.
    """
    if not server.templates:
        async with empty_database(server, template=template) as database:
            await _built(database, build)
            yield database
        return
    kept = f"{server.templates}_{name}"
    connection = await server.connect("postgres")
    try:
        async with alone(connection, kept):
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", kept):
                async with empty_database(server, template=template) as database:
                    await _built(database, build)
                    await connection.execute(f"ALTER DATABASE {database.name} RENAME TO {kept}")
    finally:
        await connection.close()
    yield Database(server, kept)


async def _built(database: Database, build: Callable[[Database], Awaitable[None]]) -> None:
    try:
        await build(database)
    except Exception as error:
        error.add_note('If the models have a column or table that is missing here: make migration m="..." adds it.')
        raise


async def partitioned(database: Database) -> None:
    """Partitions every table that can be, with the months that the demo data are of."""
    await partition(database.owner_url, [one.table.fullname for one in monthly_tables()])
    async with setup.connect(database.owner_url) as connection, connection.begin():
        for one in monthly_tables():
            await add_months(connection, one, [Month(2026, 6).after(months) for months in range(-12, 2)])


@pytest.fixture(scope="session")
async def migrated_template(server: Server) -> AsyncIterator[Database]:
    """The database as the migrations build it, with the default tools in it. Do not connect: clone it."""

    async def build(database: Database) -> None:
        await execute(database.admin_url, "CREATE EXTENSION vector")
        await setup.migrate(database.owner_url)
        if IS_PARTITIONED:
            await partitioned(database)

    async with template_database(server, "partitioned_template" if IS_PARTITIONED else "template", build) as database:
        yield database


@pytest.fixture(scope="session")
async def template(server: Server, migrated_template: Database) -> AsyncIterator[Database]:
    """The database that tests clone, with the default tools in it: as the migrations build it, or of the platform's
    shape and attached to, where the suite runs on that. Do not connect: clone it."""
    if not IS_PLATFORM:
        yield migrated_template
        return

    async def build(database: Database) -> None:
        async with connected(database.admin_url) as connection, connected(database.owner_url) as owner:
            await platform_shaped.build(connection, owner)
            await attach(database.owner_url)
            await platform_shaped.grant(owner)
        await _fill(database, migrated_template)

    async with template_database(server, "platform_template", build) as database:
        yield database


async def _fill(database: Database, source: Database) -> None:
    async with connected(database.admin_url) as connection, connected(source.admin_url) as other:
        await platform_shaped.fill(connection, other)


@pytest.fixture(scope="session")
def clone(server: Server) -> Clone:
    """``async with clone(database) as copy:``."""
    return lambda source: empty_database(server, template=source.name)


@pytest.fixture
async def database(template: Database, clone: Clone) -> AsyncIterator[Database]:
    """A fresh database of the test's own, with nothing but the default tools in it."""
    async with clone(template) as copy:
        yield copy


@pytest.fixture
async def sql(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """The superuser in ``database``."""
    connection = await connect(database.admin_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def module_database(template: Database, clone: Clone) -> AsyncIterator[Database]:
    """Like ``database``, shared by the tests of a file."""
    async with clone(template) as copy:
        yield copy


@pytest.fixture(scope="session")
async def migrated_demo_template(server: Server, migrated_template: Database) -> AsyncIterator[Database]:
    """The small demo data in the database of the migrations. Do not connect: clone it."""

    async def build(copy: Database) -> None:
        async with setup.connect(copy.owner_url) as connection, connection.begin():
            await load(connection, size="small", seed=1, now=DEMO_NOW)
        await execute(copy.owner_url, "ANALYZE")

    name = "partitioned_demo" if IS_PARTITIONED else "demo"
    async with template_database(server, name, build, template=migrated_template.name) as copy:
        yield copy


@pytest.fixture(scope="session")
async def demo_template(
    server: Server, template: Database, migrated_demo_template: Database
) -> AsyncIterator[Database]:
    """The small demo data, the same in every run. Do not connect: clone it."""
    if not IS_PLATFORM:
        yield migrated_demo_template
        return

    async def build(copy: Database) -> None:
        await execute(copy.admin_url, "TRUNCATE tool_registry CASCADE")
        await _fill(copy, migrated_demo_template)
        await execute(copy.admin_url, "ANALYZE")

    async with template_database(server, "platform_demo", build, template=template.name) as copy:
        yield copy


@pytest.fixture(scope="module")
async def own(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    """The small demo data, for the tests of a file to change."""
    async with clone(demo_template) as copy:
        yield copy


@pytest.fixture(scope="session")
async def demo_database(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    """The small demo data. Only to be read; what writes clones ``demo_template``."""
    async with clone(demo_template) as copy:
        yield copy


@pytest.fixture(scope="session")
async def demo(demo_database: Database) -> AsyncIterator[Client]:
    """The gateway over the demo data."""
    async with serving(demo_database.gateway_url) as client:
        yield client


@pytest.fixture(scope="session")
def serve() -> Callable[[Database], AbstractAsyncContextManager[Client]]:
    """``async with serve(database) as client:``, in the gateway's role."""
    return lambda database: serving(database.gateway_url)


@pytest.fixture
def recorded() -> Iterator[list[Statement]]:
    """Every statement that is sent, with its values."""
    with recording() as found:
        yield found


@pytest.fixture(scope="session")
async def doubled(demo_template: Database, clone: Clone) -> AsyncIterator[Client]:
    """The gateway over twice the demo data: every row has a copy, related as the first ones are."""
    async with clone(demo_template) as copy:
        connection = await connect(copy.admin_url)
        try:
            await double(connection)
        finally:
            await connection.close()
        await execute(copy.owner_url, "ANALYZE")
        async with serving(copy.gateway_url) as client:
            yield client


@pytest.fixture(scope="session")
async def platform_template(server: Server) -> AsyncIterator[Database]:
    """What ``platform_database`` is cloned from. Do not connect: clone it."""

    async def build(database: Database) -> None:
        connection = await server.connect(database.name)
        try:
            await platform_db.build(
                connection,
                rows=True,
                vector_schema="extensions",
                extra_label=UNKNOWN_LABEL,
                extra_column=UNKNOWN_COLUMN,
                without_column=MISSING_COLUMN,
                without_view=MISSING_VIEW,
            )
            await connection.execute(GRANTS)
        finally:
            await connection.close()

    async with template_database(server, "platform", build) as database:
        yield database


@pytest.fixture(scope="session")
async def own_platform_template(server: Server) -> AsyncIterator[Database]:
    """The platform's database with its own constraints and triggers, attached to. Do not connect: clone it."""

    async def build(database: Database) -> None:
        connection = await server.connect(database.name)
        try:
            await platform_db.build(connection, rows=True, vector_schema="extensions", own=True)
            await connection.execute(GRANTS)
        finally:
            await connection.close()
        await attach(database.admin_url)

    async with template_database(server, "own_platform", build) as database:
        yield database


@pytest.fixture
async def own_platform(own_platform_template: Database, clone: Clone) -> AsyncIterator[Database]:
    """A platform's database as its migrations build it, for one test."""
    async with clone(own_platform_template) as copy:
        yield copy


@pytest.fixture(scope="session")
async def platform_database(platform_template: Database, clone: Clone) -> AsyncIterator[Database]:
    """A platform's database that we did not make: rows in every table, pgvector in ``extensions``, and a few surprises.

    It belongs to the superuser; the owner's role owns the database but none of its objects.
    """
    async with clone(platform_template) as copy:
        yield copy


@pytest.fixture(scope="session", autouse=True)
def no_database_of_the_user() -> Iterator[None]:
    """Whoever runs the tests may have a DATABASE_URL; no test must ever meet it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name == "DATABASE_URL" or name.startswith("PG")]:
            patch.delenv(name)
        yield
