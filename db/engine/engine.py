"""Engines and the three ways to read: short connections, one snapshot, or inside a transaction."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from asyncio import current_task, get_running_loop
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from operator import methodcaller
from typing import Any, Protocol, TypeVar

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    EmulatedDBAPIException,
    SQLAlchemyError,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from db.adapters.asyncpg import LARGEST_STATEMENT, SessionConnection
from db.engine import poolers
from db.engine.connector import CONNECT_SECONDS, CONNECTOR, Admit, Connector
from db.engine.errors import LOCK_NOT_AVAILABLE, LockedError, plan_is_stale, refused_by_driver, sqlstate, translate
from db.engine.locks import LOCK_WAITS, LockWaits, Running, lock_waits_of
from db.engine.pool import LIMITER, BorrowedConnection, ConnectionLimiter, follow, limiter_of
from db.engine.session import session_settings as settings_of_session
from db.engine.session import setting
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
    heavy: int | None = None,
    admit: Admit | None = None,
) -> AsyncEngine:
    """An engine whose connections autocommit, speak UTC and cancel statements after ``statement_timeout`` seconds.

    Heavy statements have ``heavy`` of its connections at most, a fourth unless said. Engines of one database share its
    ``timelines``, so that none of them takes a primary of the past for the database. ``admit`` looks at each of its
    connections when it is new.

    ``prepared_statements=False`` suits poolers in transaction mode, which hand a connection to another client between
    two transactions: there, every statement is in one, and what is not committed explicitly is undone. Settings are
    those of each transaction then, unless they are to be asked for when it connects (``session_settings``).
    """
    target = target_of(url)
    settings = {**target.settings, **settings_of_session(statement_timeout, lock_timeout)}
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
        # statements of compiled selections are long, and good for as long as the connection
        arguments |= {"max_cacheable_statement_size": LARGEST_STATEMENT, "max_cached_statement_lifetime": 0}
        if in_session:
            arguments |= {"connection_class": SessionConnection, "prepared_statement_cache_size": 0}
    else:
        arguments |= {"prepared_statement_cache_size": 0, "statement_cache_size": 0}
    engine = create_async_engine(
        url.set(query={}),  # the connector knows them
        isolation_level="AUTOCOMMIT" if in_session else "READ COMMITTED",
        pool_size=pool_size,
        max_overflow=overflow,
        pool_timeout=connect_timeout,
        pool_reset_on_return=None,
        pool_use_lifo=True,  # a few warm backends serve a small load, whose caches and plans are there
        hide_parameters=True,  # they are the data's; the log has no need of them
        connect_args=arguments,
        execution_options={  # what is kept for as long as the engine
            CONNECTOR: connector,
            LOCK_WAITS: LockWaits(pool_size, writes=not read_only),
            LIMITER: ConnectionLimiter(pool_size + overflow, connect_timeout, heavy),
        },
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    follow(engine)
    limiter = limiter_of(engine)
    limiter.used_up = partial(lock_waits_of(engine).watch, engine, lambda: limiter.is_used_up)
    return engine


def _refuse_closed(dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
    """A pooled connection that the server has closed meanwhile is replaced before anybody uses it."""
    if dbapi_connection.driver_connection.is_closed():
        raise DisconnectionError


NO_SETTINGS: Mapping[str, str] = {}

Answer = TypeVar("Answer")

ROWS_AT_ONCE = 2_000
"""Rows that are made of what the driver has read before others have their turn: some milliseconds."""
ROLLBACK_SECONDS = 2.0
"""How long the end of a transaction that was given up is waited for, before its connection is."""


@dataclass(frozen=True)
class Identity:
    """Whom the database takes the statements of a request for: a role, and claims (JSON) that its policies read.

    As Supabase and PostgREST do it: both are settings of a transaction, and end with it.
    """

    role: str
    claims: str

    @cached_property
    def settings(self) -> Mapping[str, str]:
        return {"role": self.role, "request.jwt.claims": self.claims}

    @cached_property
    def begin(self) -> str:
        """Begins a transaction that reads, in one round trip."""
        return reading_with(self.settings)


def reading_with(settings: Mapping[str, str]) -> str:
    """The statements that begin a transaction that reads, with settings that end with it."""
    return f"BEGIN READ ONLY; SELECT {setting(settings)}"


class Reader(Protocol):
    """Something that runs reading statements and counts them."""

    statements: int
    rows: int
    position: int | None

    async def fetch(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Sequence[Any]]:
        """Runs a statement. ``settings`` of the database hold for it, from its planning on."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Reader]:
        """One moment for all statements of the block, which are counted here too."""


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the driver and the pool leave the block with their meaning."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise translate(error) from error


DRIVER_ERRORS = (
    SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError,
    EmulatedDBAPIException,  # as a connection says that the pool's own could not be opened
)  # fmt: skip


async def within_share(
    waits: LockWaits,
    sql: str,
    run: Callable[[], Awaitable[Answer]],
    *,
    can_end: bool = True,
    change: Running | None = None,
) -> Answer:
    """Runs a statement, with a connection in hand, unless as many as may do wait for a table that it names.

    Where it waits for a table while others have no connection, or for a row that it is to ``change``, it may be ended
    if it ``can_end``: it is cancelled then, and `LockWaits.why_ended` says so to whoever has no connection in hand any
    more.

    Raises:
        LockedError: As many wait already.
    """
    task = asyncio.current_task() if can_end else None
    waits.running[task] = sql
    if change is not None:
        waits.changes[task] = change
    try:
        if waits.known or waits.suspected:
            return await _in_share(waits, sql, sql if change is None else change.key, run)
        return await run()
    except DRIVER_ERRORS as error:
        _suspect(waits, sql if change is None else change, error)
        raise
    finally:
        waits.running.pop(task, None)
        waits.changes.pop(task, None)


_ENOUGH = "as many statements as may do wait for it already"


def refuse_ended(waits: LockWaits) -> None:
    """What a statement that was cancelled has to say, if that was because of a lock.

    Raises:
        LockedError: It was.
    """
    names = waits.why_ended()
    if names is not None:
        raise LockedError(_ENOUGH, names) from None


async def _in_share(waits: LockWaits, sql: str, key: Hashable, run: Callable[[], Awaitable[Answer]]) -> Answer:
    """Runs a statement while something is known to be locked."""
    with waits.turn(sql, key) as names:
        if names is not None:
            raise LockedError(_ENOUGH, names)
        return await run()


def _suspect(waits: LockWaits, statement: str | Running, error: BaseException) -> None:
    """Where it waited for a lock in vain, those who wait for its connection hear of it before they have that."""
    if isinstance(error, DRIVER_ERRORS) and sqlstate(error) == LOCK_NOT_AVAILABLE:
        waits.suspect(statement if isinstance(statement, str) else statement.key)


async def locked(error: LockedError, engine: AsyncEngine, sql: str) -> LockedError:
    """What is to be said of a statement that waited for a lock in vain, with the tables that it names."""
    return LockedError(str(error), error.tables or await lock_waits_of(engine).learn(engine, sql))


class EngineReader(ABC):
    """Runs reading statements by connections of an engine, and counts them."""

    statements = 0
    rows = 0
    position: int | None = None
    """Where the last change of the request is in the database's log, if that is asked for."""
    _engine: AsyncEngine
    _lock_waits: LockWaits

    async def fetch(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Sequence[Any]]:
        """Runs a statement, in its turn; see `Reader.fetch`. A statement that named a table of another shape, which was
        altered meanwhile, is run again: it reads."""
        self.statements += 1
        async with self._slots:
            try:
                with translated():
                    try:
                        rows = await self._run(sql, values, settings)
                    except DBAPIError as error:
                        if not plan_is_stale(error):
                            raise
                        rows = None
                    if rows is None:
                        rows = await self._run(sql, values, settings)
            except LockedError as error:
                raise await locked(error, self._engine, sql) from error
            except asyncio.CancelledError:
                refuse_ended(self._lock_waits)
                raise
        self.rows += len(rows)
        return rows

    @property
    def engine(self) -> AsyncEngine:
        """The engine that it reads by."""
        return self._engine

    @property
    @abstractmethod
    def _slots(self) -> AbstractAsyncContextManager[None]:
        """The turn of one of its statements, of which some run side by side."""

    @abstractmethod
    async def _run(self, sql: str, values: Sequence[Any], settings: Mapping[str, str]) -> Sequence[Sequence[Any]]:
        """Runs a statement once; errors are the driver's."""


class ShortReader(EngineReader):
    """A connection per statement: independent statements run side by side, up to ``parallel`` of one request.

    With an ``identity`` each is a transaction that the database takes for that one's.
    """

    heavy = False
    """Whether its statements are heavy by their price."""

    def __init__(self, engine: AsyncEngine, parallel: int = 4, identity: Identity | None = None) -> None:
        self._use(engine)
        self._identity = identity
        self._parallel = parallel

    def _use(self, engine: AsyncEngine) -> None:
        """Reads by connections of an engine from now on."""
        self._engine = engine
        options = engine.sync_engine.get_execution_options()
        self._limiter: ConnectionLimiter = options[LIMITER]
        self._lock_waits: LockWaits = options[LOCK_WAITS]

    @cached_property
    def _slots(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(self._parallel)

    async def fetch_one(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Any]:
        """The one row of a statement, straight from the driver: bytes and numbers need nothing of SQLAlchemy's.

        The caller says how many rows it stands for. A statement whose plan is stale is prepared again by the driver.
        """
        self.statements += 1
        row: Sequence[Any]
        try:
            if settings or self._identity:
                begin = self._begin(settings)
                row = await self._straight(
                    sql, lambda driver: _reading(driver, begin, partial(driver.fetchrow, sql, *values))
                )
            else:
                row = await self._straight(sql, methodcaller("fetchrow", sql, *values))
        except (LockedError, *DRIVER_ERRORS) as error:
            meaning = translate(error)
            if isinstance(meaning, LockedError):
                meaning = await locked(meaning, self._engine, sql)
            raise meaning from error
        except asyncio.CancelledError:
            refuse_ended(self._lock_waits)
            raise
        return row

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        async with self._slots, snapshot(self._engine, self._identity, heavy=self.heavy) as held:
            try:
                yield held
            finally:
                self.statements += held.statements
                self.rows += held.rows

    async def _run(self, sql: str, values: Sequence[Any], settings: Mapping[str, str]) -> Sequence[Sequence[Any]]:
        if settings or self._identity:
            begin = self._begin(settings)
            rows: Sequence[Sequence[Any]] = await self._straight(
                sql, lambda driver: _reading(driver, begin, partial(driver.fetch, sql, *values))
            )
            return rows
        limiter = self._limiter
        turn = await limiter.take(sql, heavy=self.heavy)
        try:
            async with self._engine.connect() as connection:
                return await within_share(self._lock_waits, sql, partial(_run, connection, sql, values))
        finally:
            limiter.give(turn)

    def _begin(self, settings: Mapping[str, str]) -> str:
        """What begins the transaction of a statement that needs one of its own."""
        if not self._identity:
            return reading_with(settings)
        return reading_with({**self._identity.settings, **settings}) if settings else self._identity.begin

    async def _straight(self, sql: str, read: Callable[[Any], Awaitable[Answer]]) -> Answer:
        """Reads by a connection of the driver's own."""
        borrowed = await self._limiter.borrow(self._engine, sql, heavy=self.heavy)
        waits, task = self._lock_waits, current_task(get_running_loop())
        running = waits.running
        running[task] = sql
        try:  # as `within_share` does, without a coroutine of its own
            if waits.known or waits.suspected:
                answer = await _in_share(waits, sql, sql, partial(read, borrowed.driver))
            else:
                answer = await read(borrowed.driver)
        except asyncio.CancelledError:
            give_up(borrowed)
            self._limiter.give(borrowed)
            raise
        except BaseException as error:
            _suspect(waits, sql, error)
            if isinstance(error, asyncpg.InternalClientError):
                borrowed.driver.terminate()
            self._limiter.give_back(borrowed)
            raise
        finally:
            del running[task]
        self._limiter.give_back(borrowed)
        return answer


_given_up: set[asyncio.Future[None]] = set()


def give_up(borrowed: BorrowedConnection) -> None:
    """Cancels what the server does on a connection, and closes it; nobody waits for a server that may never answer.

    The pool has another one instead: on this one, the next statement would wait too.
    """
    task = asyncio.ensure_future(borrowed.drop())
    _given_up.add(task)
    task.add_done_callback(_given_up.discard)


async def _reading(driver: Any, begin: str, read: Callable[[], Awaitable[Answer]]) -> Answer:
    """Reads in a transaction of its own, which leaves nothing on the connection, however it ends.

    A statement whose plan is stale is prepared again: within a transaction the driver does not do that itself.
    """
    try:
        return await _read_once(driver, begin, read)
    except asyncpg.InvalidCachedStatementError:
        return await _read_once(driver, begin, read)


async def _read_once(driver: Any, begin: str, read: Callable[[], Awaitable[Answer]]) -> Answer:
    try:
        await driver.execute(begin)
        answer = await read()
        await driver.execute("COMMIT")
    except Exception:  # whoever gives it up meanwhile gives the connection up too
        await roll_back(driver)
        raise
    return answer


async def roll_back(driver: Any) -> None:
    """Ends a transaction that has failed; a connection that cannot is thrown away."""
    try:
        async with asyncio.timeout(ROLLBACK_SECONDS):  # which waits until a statement that was given up is cancelled
            await driver.execute("ROLLBACK")
    except Exception:  # noqa: BLE001 - why it had to be is what the caller is told
        driver.terminate()


class HeldReader(EngineReader):
    """One connection for a whole answer: a snapshot, or the transaction of a mutation. Statements queue.

    Each runs in a savepoint, so that one that fails costs the others nothing. One that ``can_end`` is ended, and all of
    the block with it, where it waits for a table while others have no connection.
    """

    def __init__(self, engine: AsyncEngine, connection: AsyncConnection, *, can_end: bool = False) -> None:
        self._engine = engine
        self._connection = connection
        self._can_end = can_end
        self._lock_waits = lock_waits_of(engine)

    @cached_property
    def _slots(self) -> asyncio.Lock:
        return asyncio.Lock()

    async def _run(self, sql: str, values: Sequence[Any], settings: Mapping[str, str]) -> Sequence[Sequence[Any]]:
        read = partial(self._read, sql, values, settings)  # what its savepoint undoes can be run again
        return await within_share(self._lock_waits, sql, read, can_end=self._can_end)

    async def _read(self, sql: str, values: Sequence[Any], settings: Mapping[str, str]) -> Sequence[Sequence[Any]]:
        async with self._connection.begin_nested() as savepoint:
            if settings:
                await set_local(self._connection, settings)
            rows = await _run(self._connection, sql, values)
            if settings:  # which undoes them, and a read has nothing else to undo
                await savepoint.rollback()
        return rows

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        """Its own statements see one moment already."""
        yield self


async def set_local(connection: AsyncConnection, settings: Mapping[str, str]) -> None:
    """Settings to the end of the transaction; not a statement of the graph's."""
    made = ", ".join(f"set_config(${2 * n + 1}::text, ${2 * n + 2}::text, true)" for n in range(len(settings)))
    await _run(connection, f"SELECT {made}", [part for setting in settings.items() for part in setting])


async def _run(connection: AsyncConnection, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
    try:
        result = await connection.exec_driver_sql(sql, tuple(values))
    except asyncpg.InternalClientError:
        await connection.invalidate()
        raise
    except DBAPIError as error:
        if refused_by_driver(error):  # which leaves the connection in a transaction
            await connection.invalidate()
        raise
    rows: list[Sequence[Any]] = []
    for some in result.partitions(ROWS_AT_ONCE):
        if rows:
            await asyncio.sleep(0)
        rows += some
    return rows


@asynccontextmanager
async def snapshot(
    engine: AsyncEngine, identity: Identity | None = None, *, heavy: bool = False
) -> AsyncIterator[HeldReader]:
    """One REPEATABLE READ, read-only transaction: every statement of the block sees the same moment."""
    limiter = limiter_of(engine)
    with translated():
        turn = await limiter.take(heavy=heavy)
    try:
        async with _snapshot(engine, identity) as held:
            yield held
    finally:
        limiter.give(turn)


@asynccontextmanager
async def _snapshot(engine: AsyncEngine, identity: Identity | None) -> AsyncIterator[HeldReader]:
    connection = engine.connect()
    with translated():
        await connection.start()
    try:
        with translated():
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            transaction = await connection.begin()
            if identity is not None:
                await set_local(connection, identity.settings)
        yield HeldReader(engine, connection, can_end=True)
        with translated():
            await transaction.commit()
    except BaseException as error:
        failed = isinstance(error, Exception)  # and was not given up in the middle, of which nobody can say what runs
        if not (failed and await is_undone(connection)) and not connection.invalidated:
            await connection.invalidate()
        raise
    finally:
        await connection.close()


async def is_undone(connection: AsyncConnection) -> bool:
    """Whether a transaction that has failed could be ended, so that its connection is as good as before."""
    if connection.invalidated:
        return False
    try:
        async with asyncio.timeout(ROLLBACK_SECONDS):
            await connection.rollback()
    except Exception:  # noqa: BLE001 - why it had to be is what the caller is told
        return False
    return not connection.invalidated
