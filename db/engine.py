"""Engines and the three ways to read: short connections, one snapshot, or inside a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

ASYNCPG = "postgresql+asyncpg"


class DatabaseUnavailableError(Exception):
    """The database cannot be reached, has gone away, or has no connection left; nothing was answered."""


class StatementTimeoutError(Exception):
    """A statement ran longer than the limit and was cancelled by the database."""


class MissingObjectError(Exception):
    """A table, column, type or function that a statement names does not exist."""


class InvalidValueError(Exception):
    """A bound value cannot be read as the type it is compared with."""


def database_url(text: str) -> URL:
    """A URL of any Postgres as the engine needs it: ``postgres://`` and ``postgresql://`` mean asyncpg too.

    Raises:
        ValueError: It is no URL of a Postgres database.
    """
    try:
        url = make_url(text)
    except Exception as error:
        raise ValueError("not a URL; expected postgresql://user:password@host:5432/database") from error
    if url.drivername.split("+")[0] not in {"postgres", "postgresql"}:
        raise ValueError(f"{url.drivername}:// is not Postgres; expected postgresql://user:password@host:5432/database")
    query = dict(url.query)
    if "sslmode" in query:  # libpq's name for what asyncpg calls ssl
        query["ssl"] = query.pop("sslmode")
    return url.set(drivername=ASYNCPG, query=query)


def create_engine(
    url: URL,
    *,
    read_only: bool,
    pool_size: int = 10,
    statement_timeout: float = 30.0,
    connect_timeout: float = 5.0,
    prepared_statements: bool = True,
) -> AsyncEngine:
    """An engine whose connections autocommit, speak UTC and cancel statements after ``statement_timeout`` seconds.

    ``prepared_statements=False`` suits poolers in transaction mode, which hand a connection to another client between
    two statements.
    """
    settings = {
        "application_name": "e2i-gateway",
        "TimeZone": "UTC",
        "DateStyle": "ISO, YMD",
        "search_path": "public, extensions",
        "statement_timeout": str(int(statement_timeout * 1000)),
        "jit": "off",
    }
    if read_only:
        settings["default_transaction_read_only"] = "on"
    arguments: dict[str, Any] = {"server_settings": settings, "timeout": connect_timeout}
    if not prepared_statements:
        arguments |= {"prepared_statement_cache_size": 0, "statement_cache_size": 0}
    engine = create_async_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=connect_timeout,
        pool_reset_on_return=None,
        connect_args=arguments,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
    """A pooled connection that the server has closed meanwhile is replaced before anybody uses it."""
    if dbapi_connection.driver_connection.is_closed():
        raise DisconnectionError


class Reader(Protocol):
    """Something that runs reading statements and counts them."""

    statements: int
    rows: int

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]: ...


class ShortReader:
    """A connection per statement: independent statements run side by side, up to ``parallel`` of one request."""

    def __init__(self, engine: AsyncEngine, parallel: int = 4) -> None:
        self.statements = 0
        self.rows = 0
        self._engine = engine
        self._slots = asyncio.Semaphore(parallel)

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        self.statements += 1
        async with self._slots:
            with_connection = self._engine.connect()
            try:
                async with with_connection as connection:
                    rows = await _run(connection, sql, values)
            except (DBAPIError, PoolTimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise translate(error) from error
        self.rows += len(rows)
        return rows


class HeldReader:
    """One connection for a whole answer: a snapshot, or the transaction of a mutation. Statements queue."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.statements = 0
        self.rows = 0
        self._connection = connection
        self._turn = asyncio.Lock()

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        self.statements += 1
        async with self._turn:
            try:
                rows = await _run(self._connection, sql, values)
            except (DBAPIError, OSError) as error:
                raise translate(error) from error
        self.rows += len(rows)
        return rows


async def _run(connection: AsyncConnection, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
    result = await connection.exec_driver_sql(sql, tuple(values))
    return result.fetchall()


@asynccontextmanager
async def snapshot(engine: AsyncEngine) -> AsyncIterator[HeldReader]:
    """One REPEATABLE READ, read-only transaction: every statement of the block sees the same moment."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        async with connection.begin():
            yield HeldReader(connection)


_UNAVAILABLE = ("08", "57P", "53")
"""Classes of SQLSTATE: connection exceptions, operator intervention (shutdown), insufficient resources."""


def translate(error: BaseException) -> Exception:
    """The meaning of a driver's error, so that nobody above needs to know the driver."""
    cause: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
    while cause is not None and not isinstance(cause, asyncpg.PostgresError) and cause.__cause__ is not None:
        cause = cause.__cause__
    state = getattr(cause, "sqlstate", None) or ""
    if state == "57014":
        return StatementTimeoutError(str(cause))
    if state in {"42P01", "42703", "42704", "42883", "3F000"}:
        return MissingObjectError(str(cause))
    if state.startswith("22") or (state == "42601" and "jsonpath" in str(cause)):
        return InvalidValueError(str(cause))
    if state.startswith(_UNAVAILABLE) or (not state and _is_connection_error(error, cause)):
        return DatabaseUnavailableError(str(cause))
    return error if isinstance(error, Exception) else RuntimeError(str(error))


def _is_connection_error(error: BaseException, cause: BaseException | None) -> bool:
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(cause, asyncpg.InterfaceError):  # also raised for misuse, which is a fault of ours
        return "closed" in str(cause)
    return isinstance(cause, OSError | PoolTimeoutError | asyncpg.ConnectionDoesNotExistError)
