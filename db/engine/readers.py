"""The three ways to read: short connections, one snapshot, or inside a transaction."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from asyncio import current_task, get_running_loop
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from operator import methodcaller
from typing import Any, Protocol

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.engine.errors import DRIVER_ERRORS, LockedError, plan_is_stale, refused_by_driver, translate, translated
from db.engine.lock_shares import Answer, in_share, locked, refuse_ended, suspect, within_share
from db.engine.locks import LOCK_WAITS, LockWaits, lock_waits_of
from db.engine.pool import LIMITER, ConnectionLimiter, limiter_of
from db.engine.session import setting
from db.engine.stored_types import STORED_TYPES, StoredTypes, stored_types_of
from db.engine.turns import BorrowedConnection

NO_SETTINGS: Mapping[str, str] = {}
ROWS_AT_ONCE = 2_000
"""Rows that are converted between two yields to the event loop: some milliseconds."""
ROLLBACK_SECONDS = 2.0
"""Seconds to wait for the rollback of a cancelled transaction, before its connection is closed."""


@dataclass(frozen=True)
class Identity:
    """The identity of a request's statements: a database role, and claims (JSON) for row policies.

    As in Supabase and PostgREST both are settings of a transaction, and end with it.
    """

    role: str
    claims: str

    @cached_property
    def settings(self) -> Mapping[str, str]:
        return {"role": self.role, "request.jwt.claims": self.claims}

    @cached_property
    def begin(self) -> str:
        """Begins a reading transaction, in one round trip."""
        return reading_with(self.settings)


def reading_with(settings: Mapping[str, str]) -> str:
    """The statements that begin a reading transaction, with settings that end with it."""
    return f"BEGIN READ ONLY; SELECT {setting(settings)}"


class Reader(Protocol):
    """Executes reading statements and counts them."""

    statements: int
    rows: int
    position: int | None

    async def fetch(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Sequence[Any]]:
        """Executes a statement. ``settings`` of the database apply to it, including its planning."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Reader]:
        """A context whose statements see one snapshot; they are counted here, too."""


class EngineReader(ABC):
    """Executes reading statements on connections of an engine, and counts them."""

    statements = 0
    rows = 0
    position: int | None = None
    """The log position after the request's last change, if requested."""
    _engine: AsyncEngine
    _lock_waits: LockWaits

    async def fetch(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Sequence[Any]]:
        """Executes a statement within the limit of concurrency; see `Reader.fetch`. It only reads, and is repeated
        with a stale plan, whose table was altered, and with casts where the database's types differ."""
        self.statements += 1
        async with self._slots:
            try:
                with translated():
                    rows = await self._repeated(sql, values, settings)
            except LockedError as error:
                raise await locked(error, self._engine, sql) from error
            except asyncio.CancelledError:
                refuse_ended(self._lock_waits)
                raise
        self.rows += len(rows)
        return rows

    async def _repeated(self, sql: str, values: Sequence[Any], settings: Mapping[str, str]) -> Sequence[Sequence[Any]]:
        """Runs a statement, up to twice more in another form; errors are the driver's."""
        stored = stored_types_of(self._engine)
        sent = stored.sent(sql)
        for _ in range(2):
            try:
                return await self._run(sent, values, settings)
            except DRIVER_ERRORS as error:
                cast = stored.after(sql, sent, error) or stored.after_text(sql, sent, error)
                again = sent if plan_is_stale(error) else cast
                if again is None:
                    raise
            sent = again
        return await self._run(sent, values, settings)

    @property
    def engine(self) -> AsyncEngine:
        """The engine that it reads from."""
        return self._engine

    @property
    @abstractmethod
    def _slots(self) -> AbstractAsyncContextManager[None]:
        """The limit of its concurrent statements."""

    @abstractmethod
    async def _run(self, sql: str, values: Sequence[Any], settings: Mapping[str, str]) -> Sequence[Sequence[Any]]:
        """Executes a statement once; errors are the driver's."""


class ShortReader(EngineReader):
    """A connection per statement: independent statements run concurrently, up to ``parallel`` per request.

    With an ``identity`` each is a transaction under that identity.
    """

    heavy = False
    """Whether its statements are heavy by their cost."""

    def __init__(self, engine: AsyncEngine, parallel: int = 4, identity: Identity | None = None) -> None:
        self._use(engine)
        self._identity = identity
        self._parallel = parallel

    def _use(self, engine: AsyncEngine) -> None:
        """Reads from another engine from now on."""
        self._engine = engine
        options = engine.sync_engine.get_execution_options()
        self._limiter: ConnectionLimiter = options[LIMITER]
        self._lock_waits: LockWaits = options[LOCK_WAITS]
        self._stored: StoredTypes = options[STORED_TYPES]

    @cached_property
    def _slots(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(self._parallel)

    async def fetch_one(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Any]:
        """The single row of a statement, directly from the driver: bytes and numbers need no conversion.

        The caller adds the number of rows that it represents. The driver prepares a statement with a stale plan again.
        """
        self.statements += 1
        sent = self._stored.sent(sql)
        try:
            try:
                row = await self._row(sent, values, settings)
            except DRIVER_ERRORS as error:
                again = self._stored.after(sql, sent, error)
                if again is None:
                    raise
                row = await self._row(again, values, settings)
        except (LockedError, *DRIVER_ERRORS) as error:
            meaning = translate(error)
            if isinstance(meaning, LockedError):
                meaning = await locked(meaning, self._engine, sql)
            raise meaning from error
        except asyncio.CancelledError:
            refuse_ended(self._lock_waits)
            raise
        return row

    async def _row(self, sql: str, values: Sequence[Any], settings: Mapping[str, str]) -> Sequence[Any]:
        row: Sequence[Any]
        if settings or self._identity:
            begin = self._begin(settings)
            row = await self._straight(
                sql, lambda driver: _reading(driver, begin, partial(driver.fetchrow, sql, *values))
            )
        else:
            row = await self._straight(sql, methodcaller("fetchrow", sql, *values))
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
        async with self._limiter.connection(self._engine, sql, heavy=self.heavy) as connection:
            return await within_share(self._lock_waits, sql, partial(_run, connection, sql, values))

    def _begin(self, settings: Mapping[str, str]) -> str:
        """The statements that begin a transaction for a single statement."""
        if not self._identity:
            return reading_with(settings)
        return reading_with({**self._identity.settings, **settings}) if settings else self._identity.begin

    async def _straight(self, sql: str, read: Callable[[Any], Awaitable[Answer]]) -> Answer:
        """Reads on a connection of the driver's, without SQLAlchemy."""
        borrowed = await self._limiter.borrow(self._engine, sql, heavy=self.heavy)
        waits, task = self._lock_waits, current_task(get_running_loop())
        running = waits.running
        running[task] = sql
        try:  # as in `within_share`, without a coroutine of its own
            if waits.known or waits.suspected:
                answer = await in_share(waits, sql, sql, partial(read, borrowed.driver))
            else:
                answer = await read(borrowed.driver)
        except asyncio.CancelledError:
            give_up(borrowed)
            self._limiter.give(borrowed)
            raise
        except BaseException as error:
            suspect(waits, sql, error)
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
    """Cancels the current statement of a connection, and closes it without waiting for the server.

    The pool opens another one: the next statement on this one might wait, too.
    """
    task = asyncio.ensure_future(borrowed.drop())
    _given_up.add(task)
    task.add_done_callback(_given_up.discard)


async def _reading(driver: Any, begin: str, read: Callable[[], Awaitable[Answer]]) -> Answer:
    """Reads in a transaction of its own, which leaves no state on the connection, however it ends.

    A statement with a stale plan is repeated: within a transaction the driver does not prepare it again itself.
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
    except Exception:  # a cancelled reader closes the connection
        await roll_back(driver)
        raise
    return answer


async def roll_back(driver: Any) -> None:
    """Rolls back a failed transaction; a connection that cannot is closed."""
    try:
        async with asyncio.timeout(ROLLBACK_SECONDS):  # includes the cancellation of a running statement
            await driver.execute("ROLLBACK")
    except Exception:  # noqa: BLE001 - the original error is reported
        driver.terminate()


class HeldReader(EngineReader):
    """One connection for a whole answer: a snapshot, or the transaction of a mutation. Statements are serialized.

    Each runs in a savepoint, so that a failure does not affect the others. With ``can_end`` the block is cancelled if
    one of them waits for a table while others wait for a connection.
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
        read = partial(self._read, sql, values, settings)  # rolled back to its savepoint, it can be repeated
        return await within_share(self._lock_waits, sql, read, can_end=self._can_end)

    async def _read(self, sql: str, values: Sequence[Any], settings: Mapping[str, str]) -> Sequence[Sequence[Any]]:
        async with self._connection.begin_nested() as savepoint:
            if settings:
                await set_local(self._connection, settings)
            rows = await _run(self._connection, sql, values)
            if settings:  # the rollback removes them, and a read has nothing else to roll back
                await savepoint.rollback()
        return rows

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        """Itself: its statements see one snapshot already."""
        yield self


async def set_local(connection: AsyncConnection, settings: Mapping[str, str]) -> None:
    """Sets settings until the end of the transaction; not counted as a statement."""
    made = ", ".join(f"set_config(${2 * n + 1}::text, ${2 * n + 2}::text, true)" for n in range(len(settings)))
    await _run(connection, f"SELECT {made}", [part for setting in settings.items() for part in setting])


async def _run(connection: AsyncConnection, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
    try:
        result = await connection.exec_driver_sql(sql, tuple(values))
    except asyncpg.InternalClientError:
        await connection.invalidate()
        raise
    except DBAPIError as error:
        if refused_by_driver(error):  # it leaves the connection in a transaction
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
    """One REPEATABLE READ, read-only transaction: all statements of the block see one snapshot."""
    async with AsyncExitStack() as held:
        with translated():
            connection = await held.enter_async_context(limiter_of(engine).connection(engine, heavy=heavy))
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
            failed = isinstance(error, Exception)  # not cancelled, after which the state of the connection is unknown
            if not (failed and await is_undone(connection)) and not connection.invalidated:
                await connection.invalidate()
            raise


async def is_undone(connection: AsyncConnection) -> bool:
    """Whether a failed transaction could be rolled back, so that its connection can be used again."""
    if connection.invalidated:
        return False
    try:
        async with asyncio.timeout(ROLLBACK_SECONDS):
            await connection.rollback()
    except Exception:  # noqa: BLE001 - the original error is reported
        return False
    return not connection.invalidated
