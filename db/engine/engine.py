"""Engines: pools of connections with the gateway's session settings, limits and timeouts."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    DisconnectionError,
)
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from db.adapters.asyncpg import LARGEST_STATEMENT, SessionConnection
from db.engine import poolers
from db.engine.connector import CONNECT_SECONDS, CONNECTOR, Admit, Connector
from db.engine.locks import LOCK_WAITS, LockWaits, lock_waits_of
from db.engine.pool import LIMITER, ConnectionLimiter, follow, limiter_of
from db.engine.session import OF_READS
from db.engine.session import session_settings as settings_of_session
from db.engine.stored_types import STORED_TYPES, StoredTypes
from db.engine.timelines import Timelines
from db.engine.url import target_of


def create_engine(
    url: URL,
    *,
    read_only: bool,
    pool_size: int = 10,
    overflow: int = 0,
    statement_timeout: float = 30.0,
    lock_timeout: float = 0.0,
    connect_timeout: float = CONNECT_SECONDS,
    prepared_statements: bool = True,
    session_settings: bool | None = None,
    timelines: Timelines | None = None,
    stored: StoredTypes | None = None,
    heavy: int | None = None,
    admit: Admit | None = None,
) -> AsyncEngine:
    """An engine whose connections autocommit, use UTC and cancel statements after ``statement_timeout`` seconds.

    Heavy statements use at most ``heavy`` of its connections, a fourth by default. Engines of one database share
    ``timelines``, so that none of them uses a former primary, and its ``stored`` types. ``admit`` checks each new
    connection.

    ``prepared_statements=False`` suits poolers in transaction mode, which assign a connection to another client between
    two transactions: every statement then is in a transaction, and uncommitted work is rolled back. Settings then are
    those of each transaction, unless ``session_settings`` sets them at connecting.
    """
    target = target_of(url)
    reads = OF_READS if read_only else {}
    settings = {**reads, **target.settings, **settings_of_session(statement_timeout, lock_timeout, target.schemas)}
    of_session = {"application_name": target.application}
    connector = Connector(target, timelines, admit)
    arguments: dict[str, Any] = {
        "server_settings": of_session, "timeout": connect_timeout, "async_creator_fn": connector,
    }  # fmt: skip
    in_session = prepared_statements if session_settings is None else session_settings
    if in_session:
        of_session |= settings
        if read_only:
            of_session["default_transaction_read_only"] = "on"
    else:
        arguments["connection_class"] = poolers.connection_class(settings, read_only=read_only)
    if prepared_statements:
        # compiled statements are long, and valid for the life of the connection
        arguments |= {"max_cacheable_statement_size": LARGEST_STATEMENT, "max_cached_statement_lifetime": 0}
        if in_session:
            arguments |= {"connection_class": SessionConnection, "prepared_statement_cache_size": 0}
    else:
        arguments |= {"prepared_statement_cache_size": 0, "statement_cache_size": 0}
    engine = create_async_engine(
        url.set(query={}),  # the connector has them
        isolation_level="AUTOCOMMIT" if in_session else "READ COMMITTED",
        pool_size=pool_size,
        max_overflow=overflow,
        pool_timeout=connect_timeout,
        pool_reset_on_return=None,
        pool_use_lifo=True,  # a small load uses few backends, with warm caches and plans
        hide_parameters=True,  # parameters are data, and must not be logged
        connect_args=arguments,
        execution_options={  # state with the engine's lifetime
            CONNECTOR: connector,
            LOCK_WAITS: LockWaits(pool_size, writes=not read_only),
            LIMITER: ConnectionLimiter(pool_size + overflow, connect_timeout, heavy),
            STORED_TYPES: stored or StoredTypes(),
        },
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    follow(engine)
    limiter = limiter_of(engine)
    limiter.used_up = partial(lock_waits_of(engine).watch, engine, lambda: limiter.is_used_up)
    return engine


def _refuse_closed(dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
    """Replaces a pooled connection that the server has closed before it is used."""
    if dbapi_connection.driver_connection.is_closed():
        raise DisconnectionError
