"""Writing transactions: begun, restarted after conflicts, and committed with a known outcome."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import cached_property, partial
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.commits import Proof, Seal, is_committed, new_lock
from db.engine.connector import Connector, connector_of
from db.engine.errors import (
    DRIVER_ERRORS,
    ConflictError,
    LockedError,
    OverloadedError,
    ReadOnlyError,
    is_of_server,
    translate,
    translate_change,
)
from db.engine.limiter import Limiter, NoTurnError
from db.engine.lock_shares import locked, refuse_ended, within_share
from db.engine.locks import Running, lock_waits_of
from db.engine.pool import limiter_of
from db.engine.readers import NO_SETTINGS, EngineReader, Identity, Reader, give_up, roll_back
from db.engine.session import setting
from db.engine.stored_types import stored_types_of
from db.engine.timelines import Known, OutdatedServerError, PrimaryPosition
from db.engine.turns import BorrowedConnection

IDLE_SECONDS = 60
"""Seconds without a statement after which the server ends a transaction: a process that is stopped, or behind a network
that drops everything, would keep its locks."""
_BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'"
_READ = "reading"
_UNREAD = f"ROLLBACK TO SAVEPOINT {_READ}; RELEASE SAVEPOINT {_READ}"
"""Ends the savepoint of a read, and reverts its settings."""
_NOBODY = "none"
"""The value of ``role`` that restores the gateway's own role."""


class Transaction:
    """A READ COMMITTED transaction on a connection of its own; its statements and those of its ``reader`` are serial.

    Commands without a result (BEGIN, savepoints, changes of the role) are buffered and sent in one message before the
    next statement.
    """

    def __init__(self, engine: AsyncEngine, borrowed: BorrowedConnection, identity: Identity | None = None) -> None:
        self.reader = _TransactionReader(engine, self)
        self.proof: Proof | None = None
        """The row that proves the commit, if one was written."""
        self.wanted = False
        """Whether the changes are to be committed."""
        self.position: int | None = None
        """The WAL position of the commit in bytes; None before the commit, or unless ``tells_position``."""
        self.tells_position = False
        """Whether the WAL position of the commit is needed, which costs a statement."""
        self._identity = identity
        self._connector: Connector = connector_of(engine)
        self._reads_only = False
        self._engine = engine
        self._driver: Any = borrowed.driver
        self._process: int = self._driver.get_server_pid()
        """The process id of the server's backend; behind a pooler, one that the pooler assigned."""
        self._ahead: list[str] = []
        """Buffered commands, which are sent before the next statement."""
        self._role = ""
        self._defers = self._checks = False
        """Whether deferred checks may be pending; whether constraints are IMMEDIATE."""
        self._savepoints: dict[str, tuple[bool, bool]] = {}
        """The values of both flags at each savepoint, by name."""
        self._sealed: Seal | None = None
        self.is_begun = False
        """Whether the server may have it open."""
        self._begin()

    def _begin(self) -> None:
        self.wanted, self.proof, self._sealed, self.is_begun = False, None, None, False
        self._defers = self._checks = False
        self._ahead = [_BEGIN]
        if self._identity is not None:
            self._ahead.append(f"SELECT {setting(self._identity.settings)}")
            self._role = self._identity.role

    async def restart(self) -> None:
        """Rolls back, which releases all locks, and begins again.

        Raises:
            DatabaseError: The connection was lost.
        """
        try:
            if self.is_begun:
                await self._driver.execute("ROLLBACK")
        except DRIVER_ERRORS as error:
            raise translate_change(error) from error
        self._begin()

    async def run(self, sql: str, values: Sequence[Any] = (), *, defers: bool = True) -> Sequence[Sequence[Any]]:
        """Runs a statement that may lock and change rows, and returns its rows. An error aborts the transaction.

        ``defers``: whether it may leave checks of deferrable constraints pending.

        Raises:
            ConflictError: The transaction conflicts with another one; restart it.
            RefusedByDatabaseError: A constraint or a trigger refuses the change.
            DatabaseError: Any other translated error.
        """
        if self._identity is not None:
            self._act_as(self._identity.role)
        self._defers = self._defers or (defers and not self._checks)
        return await self._counted(stored_types_of(self._engine).cast(sql), values)

    async def _counted(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        self.reader.statements += 1
        change = Running(self._process, sql, values)
        try:
            rows = await within_share(lock_waits_of(self._engine), sql, partial(self._run, sql, values), change=change)
        except LockedError as error:
            raise await locked(error, self._engine, sql) from error
        except asyncio.CancelledError:
            refuse_ended(lock_waits_of(self._engine))
            raise
        self.reader.rows += len(rows)
        return rows

    async def _run(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        try:
            await self._send_ahead()
            rows: Sequence[Sequence[Any]] = await self._driver.fetch(sql, *values)
        except DRIVER_ERRORS as error:
            if isinstance(error, asyncpg.InternalClientError):
                self._driver.terminate()
            meaning = translate_change(error, sql)
            self._reads_only = self._reads_only or isinstance(meaning, ReadOnlyError)
            raise meaning from error
        return rows

    async def _send_ahead(self) -> None:
        """Sends the buffered commands in one message."""
        if self._ahead:
            commands, self._ahead = self._ahead, []
            self.is_begun = True  # if the connection is lost instead, a rollback does no harm
            await self._driver.execute("; ".join(commands))

    async def run_as_gateway(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Runs a statement on the gateway's own tables with the gateway's role; callers have no rights on them.

        Raises:
            DatabaseError: As `run` does.
        """
        if self._identity is not None:
            self._act_as(_NOBODY)
        return await self._counted(sql, values)

    def _act_as(self, role: str) -> None:
        if self._role != role:
            self._ahead.append(f"SELECT {setting({'role': role})}")
            self._role = role

    async def record(self, table: str, key: str, insert: str, values: Sequence[Any]) -> str:
        """Inserts a row into a table of the gateway's own; the row proves the commit of the transaction.

        ``insert`` is an INSERT without RETURNING; ``key`` is a column of the table, a UUID.

        Returns:
            The key as text.

        Raises:
            DatabaseError: As `run` does.
        """
        if self._sealed is not None:
            ((id_,),) = await self.run_as_gateway(f"{insert} RETURNING {key}::text", values)
        else:
            lock = new_lock()
            timelines = self._connector.timelines
            known, seal = timelines.known, timelines.sealing(f"${len(values) + 1}")
            returning = f"{insert} RETURNING {key}::text, ({seal})"
            ((id_, told),) = await self.run_as_gateway(returning, [*values, str(lock)])
            self._see(lock, told, known)
        self.proof = Proof(table, f"{key} = $1::text::uuid", (id_,))
        return str(id_)

    async def read(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Sequence[Any]]:
        """Runs a reading statement in a savepoint, with ``settings`` for it alone; errors are the driver's."""
        try:
            return await self._read(sql, values, settings)
        except asyncpg.InvalidCachedStatementError:  # a table was altered since the statement was prepared
            return await self._read(sql, values, settings)

    async def _read(self, sql: str, values: Sequence[Any], settings: Mapping[str, str]) -> Sequence[Sequence[Any]]:
        self.savepoint(_READ)
        if settings:
            self._ahead.append(f"SELECT {setting(settings)}")
        await self._send_ahead()
        try:
            rows: Sequence[Sequence[Any]] = await self._driver.fetch(sql, *values)
        except asyncpg.InternalClientError:
            self._driver.terminate()
            raise
        except Exception:
            try:
                await self._driver.execute(_UNREAD)
            except DRIVER_ERRORS:
                self._driver.terminate()
            raise
        self._ahead.append(_UNREAD if settings else f"RELEASE SAVEPOINT {_READ}")
        return rows

    # -- savepoints and constraints ------------------------------------------------------------------------------------

    def savepoint(self, name: str) -> None:
        """Creates a savepoint before the next statement."""
        if self._identity is not None:
            self._act_as(self._identity.role)  # a rollback to the savepoint restores this role
        self._ahead.append(f"SAVEPOINT {name}")
        self._savepoints[name] = self._defers, self._checks

    def release(self, name: str) -> None:
        """Releases a savepoint before the next statement."""
        self._ahead.append(f"RELEASE SAVEPOINT {name}")

    async def rollback_to(self, name: str) -> None:
        """Rolls back to a savepoint.

        Raises:
            DatabaseError: The connection was lost.
        """
        try:
            await self._send_ahead()
            await self._driver.execute(f"ROLLBACK TO SAVEPOINT {name}")
        except DRIVER_ERRORS as error:
            raise translate_change(error) from error
        self._defers, self._checks = self._savepoints[name]
        self._sealed = None  # the rollback may have released its lock
        if self._identity is not None:
            self._role = self._identity.role

    def defer_constraints(self) -> None:
        """Sets all deferrable constraints to DEFERRED, before the next statement."""
        if self._checks:
            self._ahead.append("SET CONSTRAINTS ALL DEFERRED")
            self._checks = False

    def check_each(self) -> None:
        """Sets all deferrable constraints to IMMEDIATE, before the next statement."""
        if not self._checks:
            self._ahead.append("SET CONSTRAINTS ALL IMMEDIATE")
            self._defers, self._checks = False, True

    async def check_constraints(self) -> None:
        """Checks deferred constraints now, and from then on after each statement.

        Raises:
            RefusedByDatabaseError: A constraint or a trigger refuses the changes.
            DatabaseError: As `run` does.
        """
        if self._defers:
            await self.run("SET CONSTRAINTS ALL IMMEDIATE", defers=False)
            self._defers, self._checks = False, True

    # -- the end -------------------------------------------------------------------------------------------------------

    async def commit(self) -> None:
        """Commits. If the connection is lost meanwhile, the outcome is queried on another connection.

        Raises:
            OutcomeUnknownError: The connection was lost, and the outcome cannot be determined.
            ConflictError: An earlier statement had failed; nothing was changed.
            DatabaseError: The connection was lost, or the database refused the commit; nothing was changed.
        """
        sealed = self._sealed or await self._seal()
        try:
            await self._send_ahead()
            status = await self._driver.execute("COMMIT;")
        except DRIVER_ERRORS as error:
            # after an error of the driver the server may have received the COMMIT or not
            if is_of_server(error) or not await is_committed(self._engine, self.proof, sealed):
                raise translate_change(error) from error
            status = "COMMIT"
        self.is_begun = False
        if status != "COMMIT":
            raise ConflictError("the transaction had failed, and was undone")
        if sealed.standing is not None:
            self._connector.timelines.acknowledge(sealed.standing, self._where)
        if self.tells_position:
            self.position = await self._committed_at()

    async def _seal(self) -> Seal:
        """Takes an advisory lock, which is free once the transaction has ended, and reads the server's position."""
        lock, timelines = new_lock(), self._connector.timelines
        known = timelines.known
        ((told,),) = await self.run_as_gateway(timelines.sealing("$1"), (str(lock),))
        return self._see(lock, told, known)

    def _see(self, lock: int, told: str | None, known: Known) -> Seal:
        standing = PrimaryPosition.of(told)
        if standing is not None:
            try:
                # behind a pooler, the server may be another one than when the connection was opened
                self._connector.timelines.see(standing, known, self._where, committed=False)
            except OutdatedServerError as error:
                raise translate(error) from error
        self._sealed = Seal(lock, standing)
        return self._sealed

    @property
    def _where(self) -> str:
        return self._connector.timelines.where(self._driver)

    async def _committed_at(self) -> int | None:
        """A WAL position, in bytes, at or after the commit; None if the connection was lost."""
        try:
            return int(await self._driver.fetchval(_POSITION))
        except DRIVER_ERRORS:
            return None

    async def rollback(self) -> None:
        """Rolls back; with the loss of a connection the server has done so."""
        if self.is_begun:
            await roll_back(self._driver)
        self._begin()
        if self._reads_only:
            self._driver.terminate()  # a new connection may reach a server that accepts changes


class _TransactionReader(EngineReader):
    """Reads within a writing transaction; each statement runs in a savepoint, so that an error does not abort it."""

    def __init__(self, engine: AsyncEngine, transaction: Transaction) -> None:
        self._engine = engine
        self._lock_waits = lock_waits_of(engine)
        self._transaction = transaction

    @cached_property
    def _slots(self) -> asyncio.Lock:
        return asyncio.Lock()

    async def _run(self, sql: str, values: Sequence[Any], settings: Mapping[str, str]) -> Sequence[Sequence[Any]]:
        read = partial(self._transaction.read, sql, values, settings)
        return await within_share(self._lock_waits, sql, read, can_end=False)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        """The reader itself, whose statements see the transaction's changes; not a snapshot of its own."""
        yield self


class Transactions:
    """Opens at most ``at_once`` concurrent transactions, in order of arrival; ``timeout`` limits the wait, in seconds.

    The pool alone would not suffice: it does not keep the order of arrival, and transactions that wait for contended
    rows would occupy its connections.
    """

    def __init__(self, engine: AsyncEngine, at_once: int, timeout: float) -> None:
        self.tell_positions = False
        """Whether WAL positions of commits are needed, which costs a statement each."""
        self._engine = engine
        self._limiter = Limiter(at_once, timeout)
        self._limiter.used_up = partial(lock_waits_of(engine).watch, engine, lambda: self.waiting)
        self.around: Callable[[], AbstractContextManager[object]] = nullcontext
        """A context for each transaction, including its wait, for an observer."""

    @property
    def waiting(self) -> int:
        """The number of waiting callers."""
        return self._limiter.waiting

    @asynccontextmanager
    async def open(self, identity: Identity | None = None) -> AsyncIterator[Transaction]:
        """A transaction that is rolled back at the end of the block unless it was committed.

        With an ``identity`` its statements run under that identity.

        Raises:
            OverloadedError: No transaction became available within the timeout.
            DatabaseError: The database cannot be reached.
        """
        with self.around():
            try:
                await self._limiter.take()
            except NoTurnError:
                raise OverloadedError(f"no transaction could be begun within {self._limiter.timeout:g} s") from None
            try:
                async with _transaction(self._engine, identity) as one:
                    one.tells_position = self.tell_positions
                    yield one
            finally:
                self._limiter.give()


@asynccontextmanager
async def _transaction(engine: AsyncEngine, identity: Identity | None) -> AsyncIterator[Transaction]:
    limiter = limiter_of(engine)
    try:
        borrowed = await limiter.borrow(engine)
    except DRIVER_ERRORS as error:
        raise translate_change(error) from error
    limiter.set_apart(borrowed)
    one = Transaction(engine, borrowed, identity)
    try:
        yield one
    except Exception:
        await one.rollback()
        limiter.give_back(borrowed)
        raise
    except BaseException:
        if one.is_begun:  # cancelled: a statement may still be running
            give_up(borrowed)
            limiter.give(borrowed)
        else:
            limiter.give_back(borrowed)
        raise
    await one.rollback()
    limiter.give_back(borrowed)


_POSITION = """
    SELECT (CASE current_setting('synchronous_commit')
        WHEN 'off' THEN pg_current_wal_insert_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint
"""
"""The flushed WAL position, in bytes; with asynchronous commits, the insert position."""
