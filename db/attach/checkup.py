"""Checks of a connection: the server, the role, a pooler in between."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.attach.attach import Differences, Explain, inspect
from db.base.system_catalog import is_schema_of
from db.engine import clock
from db.engine.engine import create_engine
from db.engine.session import VALUES
from db.store.caller_roles import emptied, inherited, unusable
from db.store.current_state import Storable, storable
from db.store.grants import rights
from db.store.rollup_states import RollupState, states
from db.store.tokens import listed

POOLED_SETTINGS = (*VALUES, "statement_timeout", "transaction_read_only")
"""Session settings of the gateway that a pooler may not pass on."""


@dataclass(frozen=True)
class Pooler:
    """Whether there is a pooler between the gateway and Postgres, and whether it shares backends between clients."""

    there: bool
    shares: bool


@dataclass(frozen=True)
class Checkup:
    """The state of a database and of the gateway's role in it."""

    version: int
    """As ``server_version_num``: 160004."""
    encoding: str
    encrypted: bool
    vector: str | None
    """The version of pgvector, None without it."""
    vector_schema: str | None
    vector_found: bool
    in_recovery: bool
    role: str
    superuser: bool
    bypasses_rls: bool
    role_limit: int
    """The connection limit of the role, -1 for none."""
    database_limit: int
    server_limit: int
    """The connection limit of all roles that are not superusers."""
    connected: int
    """Current connections of other clients."""
    skew: float
    """Seconds by which the server's clock is ahead of this host's, to within half a round trip."""
    settings: Mapping[str, str]
    owned: tuple[str, ...]
    """Tables of the models that the role owns, directly or by membership."""
    lacking: Mapping[str, tuple[str, ...]]
    """Missing rights of the role, by table."""
    beyond: Mapping[str, tuple[str, ...]]
    """Unneeded rights of the role, by table."""
    hidden: tuple[str, ...]
    """Tables of the models with row level security and no policy that shows the role any row."""
    closed: Mapping[str, str] = field(default_factory=dict)
    inherits: str | None = None
    """Why callers cannot assume roles that they should be able to, by role."""
    tokens: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The roles and scopes of valid service tokens, by name."""
    documents: int | None = None
    """The number of trusted documents in the table, None if it is missing or not readable."""
    rollups: Sequence[RollupState] = ()
    """The rollups that are kept, none if their tables are missing or not readable."""
    states: Sequence[Storable] = ()
    """The tables whose rows' current state can be stored."""
    pooler: Pooler = field(default=Pooler(there=False, shares=False))
    differences: Differences = field(default_factory=Differences)


_SERVER = text("""
    SELECT current_setting('server_version_num')::int AS version,
        pg_encoding_to_char(d.encoding) AS encoding,
        coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)
            OR inet_server_addr() IS NULL AS encrypted,
        (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS vector,
        (SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector') AS vector_schema,
        to_regtype('vector') IS NOT NULL AS vector_found,
        pg_is_in_recovery() AS in_recovery,
        current_user::text AS role, r.rolsuper AS superuser, r.rolbypassrls AS bypasses_rls,
        r.rolconnlimit AS role_limit, d.datconnlimit AS database_limit,
        current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int AS server_limit,
        (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend'
            AND application_name <> 'e2i-gateway') AS connected
    FROM pg_database AS d, pg_roles AS r
    WHERE d.datname = current_database() AND r.rolname = current_user
""")
_RIGHTS = text(f"""
    SELECT v.name, p.name AS privilege,
        has_table_privilege(c.oid, p.name) AND has_schema_privilege(c.relnamespace, 'USAGE')
    FROM unnest(CAST(:tables AS text[])) AS v (name)
    JOIN pg_class AS c ON c.oid = (
        SELECT k.oid FROM pg_class AS k JOIN pg_namespace AS n ON n.oid = k.relnamespace
        WHERE k.relname = split_part(v.name, '.', -1)
            AND {is_schema_of("v.name")}
    )
    CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p (name)
""")
_OWNED = text("""
    SELECT c.oid::regclass::text
    FROM pg_class AS c
    WHERE c.oid = ANY (CAST(:tables AS text[])::regclass[]) AND c.relkind IN ('r', 'p')
        AND pg_has_role(c.relowner, 'MEMBER')
    ORDER BY 1
""")
_READS = text("""
    SELECT coalesce(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'), false)
    FROM pg_namespace AS n JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = :table
    WHERE n.nspname = 'gateway'
""")


async def read(
    url: URL,
    *,
    statement_timeout: float,
    prepared_statements: bool = True,
    roles: Sequence[str] = (),
    explain: Explain | None = None,
) -> Checkup:
    """Inspects a database in one transaction, over a connection like those of requests. Changes nothing.

    ``roles`` are those that callers may assume; ``explain`` is as for `db.attach.attach.inspect`. No prepared
    statements are used, so that any pooler works; ``prepared_statements`` says whether requests use them, which
    determines how their settings are set.

    Raises:
        sqlalchemy.exc.DBAPIError: It cannot be reached, or refuses a statement.
    """
    engine = create_engine(
        url, read_only=True, pool_size=2, statement_timeout=statement_timeout,
        prepared_statements=False, session_settings=prepared_statements,
    )  # fmt: skip
    try:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="READ COMMITTED")
            async with connection.begin():
                skew = (await clock.read(connection)).ahead
                server = (await connection.execute(_SERVER)).one()._asdict()
                found = {name: await connection.scalar(text(f"SHOW {name}")) for name in POOLED_SETTINGS}
                lacking, beyond = await _rights(connection)
                owned, hidden = await _owned(connection), tuple(await emptied(connection))
                differences = await inspect(connection, explain, measures=True)
                closed = await unusable(connection, roles) if roles else {}
                inherits = await inherited(connection, roles) if roles else None
                tokens = await _tokens(connection)
                documents = await _documents(connection)
                kept = await _rollups(connection)
                readable = bool(await connection.scalar(_READS, {"table": "current_states"}))
                current = await storable(connection, readable=readable)
            pooler = await _pooler(engine, connection)
    finally:
        await engine.dispose()
    return Checkup(
        **server, skew=skew, settings=found, owned=owned, lacking=lacking, beyond=beyond, hidden=hidden, pooler=pooler,
        closed=closed, inherits=inherits, tokens=tokens, documents=documents, rollups=kept, states=current,
        differences=differences,
    )  # fmt: skip


async def _rights(connection: AsyncConnection) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Missing and unneeded rights on existing tables, by table."""
    needed = {name: {one for one in right.split(", ") if "(" not in one} for name, right in rights().items()}
    has: dict[str, set[str]] = {}
    for name, privilege, granted in await connection.execute(_RIGHTS, {"tables": list(needed)}):
        has.setdefault(name, set()).update({privilege} if granted else ())
    lacking = {name: tuple(sorted(needed[name] - there)) for name, there in has.items() if needed[name] - there}
    beyond = {name: tuple(sorted(there - needed[name])) for name, there in has.items() if there - needed[name]}
    return lacking, beyond


async def _tokens(connection: AsyncConnection) -> dict[str, tuple[str, ...]]:
    if not await connection.scalar(_READS, {"table": "service_tokens"}):
        return {}
    return {one.name: tuple(one.scopes) for one in await listed(connection) if one.state == "active"}


async def _documents(connection: AsyncConnection) -> int | None:
    if not await connection.scalar(_READS, {"table": "trusted_documents"}):
        return None
    count: int = await connection.scalar(text("SELECT count(*) FROM gateway.trusted_documents"))
    return count


async def _rollups(connection: AsyncConnection) -> Sequence[RollupState]:
    for table in ("rollups", "rollup_marks"):
        if not await connection.scalar(_READS, {"table": table}):
            return ()
    return await states(connection)


async def _owned(connection: AsyncConnection) -> tuple[str, ...]:
    exists = text("SELECT name FROM unnest(CAST(:tables AS text[])) AS name WHERE to_regclass(name) IS NOT NULL")
    visible = list(await connection.scalars(exists, {"tables": [name for name in rights() if "." not in name]}))
    return tuple(await connection.scalars(_OWNED, {"tables": visible}))


async def _pooler(engine: AsyncEngine, first: AsyncConnection) -> Pooler:
    """A pooler is detected by a backend other than the one announced; sharing, by one that two clients get."""
    promised, backend = await _backend(first)
    if promised == backend:
        return Pooler(there=False, shares=False)
    await asyncio.sleep(0.05)  # until the pooler has released its server connection
    async with engine.connect() as second:
        _, other = await _backend(second)
    return Pooler(there=True, shares=backend == other)


async def _backend(connection: AsyncConnection) -> tuple[int, int]:
    """The announced backend's process id, and that of the backend that answers."""
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    return driver.get_server_pid(), await driver.fetchval("SELECT pg_backend_pid()")
