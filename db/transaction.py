"""One transaction that changes something: begun, run again as a whole, and committed with an outcome that is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction

from db.engine import (
    DatabaseError,
    HeldReader,
    Identity,
    OverloadedError,
    ReadOnlyError,
    set_local,
    translate,
)

OUTCOME_SECONDS = 5.0
"""How long it is asked what became of a commit whose answer was lost."""

_FAILED = (SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


class ConflictError(DatabaseError):
    """A deadlock, a serialization failure or a stale plan: the transaction is undone, and may be run again."""


class RefusedByDatabaseError(DatabaseError):
    """A constraint or a trigger of the database does not allow the change.

    The message is all that the database says; ``words`` are its first line, which a trigger has written, and ``state``
    is its SQLSTATE. ``table``, ``column``, ``constraint`` and ``detail`` are there where the database says them.
    """

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.state: str = getattr(cause, "sqlstate", None) or ""
        self.words: str = str(cause.args[0]) if cause.args else ""
        self.detail: str = getattr(cause, "detail", None) or ""
        self.table: str | None = getattr(cause, "table_name", None)
        self.column: str | None = getattr(cause, "column_name", None)
        self.constraint: str | None = getattr(cause, "constraint_name", None)

    @property
    def by_trigger(self) -> bool:
        """Whether code in the database raised it, with words of its own."""
        return self.state.startswith("P0")


class OutcomeUnknownError(DatabaseError):
    """The connection was lost while the transaction was committed, and the database does not say what became of it."""


class Transaction:
    """A READ COMMITTED transaction on a connection of its own. Statements queue with those of its ``reader``."""

    def __init__(self, engine: AsyncEngine, connection: AsyncConnection, identity: Identity | None = None) -> None:
        self.reader = HeldReader(connection)
        self._identity = identity
        self.wanted = False
        """Whether what was changed is to stay."""
        self.position: int | None = None
        """Where the commit is in the database's log, in bytes; None before it, or where nobody wants to know."""
        self.tells_position = False
        """Whether somebody wants to know."""
        self._reads_only = False
        self._engine = engine
        self._connection = connection
        self._open: AsyncTransaction | None = None

    async def begin(self) -> None:
        try:
            self._open = await self._connection.begin()
            if self._identity is not None:
                await set_local(self._connection, self._identity.settings)
        except _FAILED as error:
            raise _meaning(error) from error

    async def restart(self) -> None:
        """Undoes everything and begins again; locks are let go."""
        self.wanted = False
        try:
            if self._open is not None:
                await self._open.rollback()
        except _FAILED as error:
            raise _meaning(error) from error
        await self.begin()

    async def run(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Runs a statement that may lock and change rows; returns what it returns. An error undoes the transaction.

        Raises:
            ConflictError: Run the transaction again.
            RefusedByDatabaseError: A constraint or a trigger is in the way.
            DatabaseError: Anything else that has a name.
        """
        self.reader.statements += 1
        try:
            result = await self._connection.exec_driver_sql(sql, tuple(values))
            rows = result.fetchall() if result.returns_rows else ()
        except _FAILED as error:
            meaning = _meaning(error)
            self._reads_only = self._reads_only or isinstance(meaning, ReadOnlyError)
            raise meaning from error
        self.reader.rows += len(rows)
        return rows

    async def run_as_gateway(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Runs a statement over the gateway's own tables, which callers have no rights on.

        Raises:
            DatabaseError: As `run` does.
        """
        if self._identity is None:
            return await self.run(sql, values)
        try:
            await set_local(self._connection, {"role": "none"})
            rows = await self.run(sql, values)
            await set_local(self._connection, {"role": self._identity.role})
        except _FAILED as error:
            raise _meaning(error) from error
        return rows

    async def commit(self) -> None:
        """Commits. Where the answer is lost, the database is asked on another connection what became of it.

        Raises:
            OutcomeUnknownError: The connection was lost and nobody knows.
            DatabaseError: The connection was lost, or the database refused; nothing was changed.
        """
        assert self._open is not None  # noqa: S101 - begun when it was made
        number = str((await self.run("SELECT pg_current_xact_id()::text"))[0][0])
        try:
            await self._open.commit()
        except _FAILED as error:
            # not every driver's error says whether the server has heard the commit
            if await self._outcome(number) != "committed":
                raise _meaning(error) from error
        self._open = None
        if self.tells_position:
            self.position = await self._committed_at()

    async def _committed_at(self) -> int | None:
        """A position behind the commit, None where the connection was lost meanwhile."""
        try:
            return int((await self._connection.exec_driver_sql(_POSITION)).scalar_one())
        except _FAILED:
            return None
        finally:
            if not self._connection.invalidated and self._connection.in_transaction():
                await self._connection.rollback()

    async def rollback(self) -> None:
        """Undoes everything; a connection that is gone has done so already."""
        if self._open is None:
            return
        try:
            await self._open.rollback()
        except _FAILED:
            await self._connection.invalidate()
        self._open = None
        if self._reads_only and not self._connection.invalidated:
            await self._connection.invalidate()  # a new one may find a database that takes changes again

    async def _outcome(self, number: str) -> str:
        """``committed`` or ``aborted``: what became of a transaction, by its number."""
        deadline = asyncio.get_running_loop().time() + OUTCOME_SECONDS
        while True:
            try:
                async with self._engine.connect() as connection:
                    asked = "SELECT pg_xact_status($1::text::xid8)"
                    status = (await connection.exec_driver_sql(asked, (number,))).scalar()
            except _FAILED:
                status = None
            if status in {"committed", "aborted"}:
                return str(status)
            if asyncio.get_running_loop().time() > deadline:
                raise OutcomeUnknownError(f"transaction {number} is {status or 'not known'} to the database")
            await asyncio.sleep(0.05)


class Transactions:
    """Opens transactions, ``at_once`` side by side. Whoever waits for one gets it in the order of asking.

    The pool alone would not do: it gives a connection to whoever comes at the right moment, and the rows that are
    changed most are waited for with a connection in hand.
    """

    def __init__(self, engine: AsyncEngine, at_once: int, patience: float) -> None:
        self.tell_positions = False
        """Whether somebody wants to know where commits are in the database's log, which costs a statement each."""
        self._engine = engine
        self.waiting = 0
        """How many wait for their turn."""
        self._turns = asyncio.Semaphore(at_once)
        self._patience = patience

    @asynccontextmanager
    async def open(self, identity: Identity | None = None) -> AsyncIterator[Transaction]:
        """A transaction that is undone at the end of the block unless it was committed.

        With an ``identity`` the database takes its statements for that one's.

        Raises:
            OverloadedError: There was no turn in time.
            DatabaseError: The database cannot be reached.
        """
        self.waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await self._turns.acquire()
        except TimeoutError:
            raise OverloadedError(f"no transaction could be begun within {self._patience:g} s") from None
        finally:
            self.waiting -= 1
        try:
            async with _transaction(self._engine, identity) as one:
                one.tells_position = self.tell_positions
                yield one
        finally:
            self._turns.release()


@asynccontextmanager
async def _transaction(engine: AsyncEngine, identity: Identity | None) -> AsyncIterator[Transaction]:
    connection = engine.connect()
    try:
        await connection.start()
    except _FAILED as error:
        raise _meaning(error) from error
    try:
        await connection.execution_options(isolation_level="READ COMMITTED")
        one = Transaction(engine, connection, identity)
        await one.begin()
        yield one
        await one.rollback()
    except BaseException:
        if not connection.invalidated:
            await connection.invalidate()  # given up in the middle; the server undoes what is open
        raise
    finally:
        await connection.close()


_POSITION = """
    SELECT (CASE current_setting('synchronous_commit')
        WHEN 'off' THEN pg_current_wal_insert_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint
"""
"""What is committed is on disk by then, unless commits do not wait for the disk."""

_RETRIED = {"40001", "40P01", "55P03"}
_READ_ONLY = "25006"
_PLAN_IS_STALE = "0A000"


def _meaning(error: BaseException) -> Exception:
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    while cause is not None and not isinstance(cause, asyncpg.PostgresError) and cause.__cause__ is not None:
        cause = cause.__cause__
    state = str(getattr(cause, "sqlstate", None) or "")
    if state in _RETRIED or (state == _PLAN_IS_STALE and isinstance(cause, asyncpg.InvalidCachedStatementError)):
        return ConflictError(str(cause))
    if state.startswith(("23", "P0")):
        return RefusedByDatabaseError(cause)
    if state == _READ_ONLY:
        return ReadOnlyError(str(cause))
    return translate(error)
