"""A writing transaction: begun, repeated as a whole after conflicts, and committed with a known outcome."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction

from db.engine.connector import Connector, connector_of
from db.engine.errors import (
    LockedError,
    OutcomeUnknownError,
    OverloadedError,
    ReadOnlyError,
    is_of_server,
    translate,
    translate_change,
)
from db.engine.limiter import Limiter, NoTurnError
from db.engine.locks import Running, lock_waits_of
from db.engine.readers import HeldReader, Identity, is_undone, locked, refuse_ended, set_local, within_share
from db.engine.timelines import STANDING, OutdatedServerError, PrimaryPosition

OUTCOME_SECONDS = 5.0
"""Seconds for which the outcome of an unacknowledged commit is queried."""
UNDECIDED_SECONDS = 1.0
"""Seconds after which the server is told to end a transaction whose client has disconnected."""

_FAILED = (SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass(frozen=True)
class Proof:
    """A row that exists if and only if a transaction was committed.

    ``where`` is a condition with a placeholder for each of ``values``. A transaction id is no proof: after a crash or a
    failover another transaction gets it.
    """

    table: str
    where: str
    values: Sequence[Any]


@dataclass(frozen=True)
class _CommitProof:
    """The state of a transaction before its commit: the lock that it holds until its end, and its server's position."""

    lock: int
    standing: PrimaryPosition | None


class Transaction:
    """A READ COMMITTED transaction on a connection of its own. Its statements are serialized with those of its
    ``reader``."""

    def __init__(self, engine: AsyncEngine, connection: AsyncConnection, identity: Identity | None = None) -> None:
        self.reader = HeldReader(engine, connection)
        self.proof: Proof | None = None
        """The row that tells afterwards whether it was committed."""
        self._identity = identity
        self._connector: Connector = connector_of(engine)
        self.wanted = False
        """Whether the changes are to be committed."""
        self.position: int | None = None
        """The commit's position in the database's log, in bytes; None before it, or if it is not needed."""
        self.tells_position = False
        """Whether the position is needed."""
        self._reads_only = False
        self._process = 0
        """The server process; poolers report other numbers."""
        self._engine = engine
        self._connection = connection
        self._open: AsyncTransaction | None = None

    async def begin(self) -> None:
        try:
            self._open = await self._connection.begin()
            driver: Any = (await self._connection.get_raw_connection()).driver_connection
            self._process = driver.get_server_pid()
            if self._identity is not None:
                await set_local(self._connection, self._identity.settings)
        except _FAILED as error:
            raise translate_change(error) from error

    async def restart(self) -> None:
        """Rolls back and begins again; locks are released."""
        self.wanted, self.proof = False, None
        try:
            if self._open is not None:
                await self._open.rollback()
        except _FAILED as error:
            raise translate_change(error) from error
        await self.begin()

    async def run(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Executes a statement that may lock and change rows; returns its rows. An error rolls back the transaction.

        Raises:
            ConflictError: The transaction should be repeated.
            RefusedByDatabaseError: A constraint or a trigger refuses it.
            DatabaseError: Any other known reason.
        """
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
            result = await self._connection.exec_driver_sql(sql, tuple(values))
            return result.fetchall() if result.returns_rows else ()
        except _FAILED as error:
            meaning = translate_change(error, sql)
            self._reads_only = self._reads_only or isinstance(meaning, ReadOnlyError)
            raise meaning from error

    async def run_as_gateway(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Executes a statement on the gateway's own tables, which callers' roles have no rights to.

        Raises:
            DatabaseError: As in `run`.
        """
        if self._identity is None:
            return await self.run(sql, values)
        try:
            await set_local(self._connection, {"role": "none"})
            rows = await self.run(sql, values)
            await set_local(self._connection, {"role": self._identity.role})
        except _FAILED as error:
            raise translate_change(error) from error
        return rows

    async def commit(self) -> None:
        """Commits. If the acknowledgement is lost, the outcome is queried on another connection.

        Raises:
            OutcomeUnknownError: The connection was lost and the outcome cannot be determined.
            DatabaseError: The connection was lost, or the database refused; nothing was changed.
        """
        assert self._open is not None  # noqa: S101 - opened at its creation
        sealed = await self._seal()
        try:
            await self._open.commit()
        except _FAILED as error:
            # not every driver's error tells whether the server received the commit
            if is_of_server(error) or not await self._outcome(sealed):
                raise translate_change(error) from error
        self._open = None
        if self.tells_position:
            self.position = await self._committed_at()

    async def _seal(self) -> _CommitProof:
        """Takes a lock that shows others when the transaction is over, and reads the server's position."""
        timelines = self._connector.timelines
        lock = secrets.randbits(63)
        asked = STANDING if timelines.tells else "SELECT NULL::text"
        row = (await self.run_as_gateway(f"{asked} FROM pg_advisory_xact_lock($1::text::bigint)", (str(lock),)))[0]
        standing = PrimaryPosition.of(row[0])
        if standing is not None:
            try:
                timelines.see(standing)  # a pooler may have switched to another server
            except OutdatedServerError as error:
                raise translate(error) from error
        return _CommitProof(lock, standing)

    async def _committed_at(self) -> int | None:
        """A log position after the commit, None if the connection was lost; the commit stands."""
        try:
            position = int((await self._connection.exec_driver_sql(_POSITION)).scalar_one())
            await self._connection.rollback()
        except _FAILED:
            if not self._connection.invalidated:
                await self._connection.invalidate()
            return None
        return position

    async def rollback(self) -> None:
        """Rolls back; a lost connection has done so already."""
        if self._open is None:
            return
        try:
            await self._open.rollback()
        except _FAILED:
            await self._connection.invalidate()
        self._open = None
        if self._reads_only and not self._connection.invalidated:
            await self._connection.invalidate()  # a new one may reach a database that accepts changes

    async def _outcome(self, sealed: _CommitProof) -> bool:
        """Like `_is_committed`; counts the outcomes of unacknowledged commits."""
        counts = self._connector.timelines.lost_commits
        try:
            made = await self._is_committed(sealed)
        except OutcomeUnknownError:
            counts["unknown"] += 1
            raise
        counts["made" if made else "not made"] += 1
        return made

    async def _is_committed(self, sealed: _CommitProof) -> bool:
        """Whether the transaction was committed, in the current database.

        Raises:
            OutcomeUnknownError: It cannot be determined in time.
        """
        if self.proof is None or sealed.standing is None:
            raise OutcomeUnknownError("no record of the change, or the server's timeline is unknown")
        loop = asyncio.get_running_loop()
        began, found = loop.time(), None
        while found is None:
            timeout = began + OUTCOME_SECONDS - loop.time()
            if timeout < 0:
                raise OutcomeUnknownError("no server that knows the outcome could be reached in time")
            try:
                async with asyncio.timeout(timeout):
                    await self._connector.look()
                    found = await _look(
                        self._engine,
                        self.proof,
                        sealed,
                        ends=loop.time() - began > min(UNDECIDED_SECONDS, timeout / 2),
                    )
            except _FAILED:
                found = None
            if found is None:
                await asyncio.sleep(0.05)
        return found


async def _look(engine: AsyncEngine, proof: Proof, sealed: _CommitProof, *, ends: bool) -> bool | None:
    """Whether a transaction was committed; None while it is not decided, or if this server cannot know.

    ``ends`` tells the server to end it. The result is valid only where a change can be committed: not on a standby, nor
    on a primary that waits for its synchronous standbys in vain.
    """
    connection = engine.connect()
    await connection.start()
    try:
        await connection.execution_options(isolation_level="READ COMMITTED")
        transaction = await connection.begin()
        await set_local(connection, {"synchronous_commit": "on"})
        is_over = (await connection.exec_driver_sql(_IS_OVER, (str(sealed.lock),))).scalar_one()
        if not is_over:
            if ends:
                await connection.exec_driver_sql(_END, (str(sealed.lock),))
            await transaction.rollback()
            return None
        # a statement after the lock sees what earlier holders have committed
        found: Sequence[Any] = (await connection.exec_driver_sql(_found(proof), tuple(proof.values))).one()
        await connection.exec_driver_sql(_WRITE)
        await transaction.commit()
    except BaseException:
        if not connection.invalidated:
            await connection.invalidate()
        raise
    finally:
        await connection.close()
    there, hidden, told = found
    standing = PrimaryPosition.of(told)
    assert sealed.standing is not None  # noqa: S101 - checked before
    if standing is None or not standing.has_all_of(sealed.standing) or (hidden and not there):
        return None
    return bool(there)


def _found(proof: Proof) -> str:
    return (
        f"SELECT EXISTS (SELECT FROM {proof.table} WHERE {proof.where}), row_security_active('{proof.table}'), "
        f"({STANDING})"
    )


_IS_OVER = "SELECT pg_try_advisory_xact_lock($1::text::bigint)"
_END = """
    SELECT pg_terminate_backend(pid) FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid <> pg_backend_pid()
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32) + objid::bigint = $1::text::bigint
"""
"""Ends the transaction that holds a lock: its client has disconnected, and others wait for its rows."""
_WRITE = "SELECT pg_logical_emit_message(true, 'e2i-gateway', '')::text"
"""A change to commit that leaves no trace in a table."""


class Transactions:
    """Opens transactions, ``at_once`` concurrently, in order of arrival.

    The pool alone would not suffice: it does not keep the order of arrival, and transactions that wait for popular rows
    would occupy its connections.
    """

    def __init__(self, engine: AsyncEngine, at_once: int, timeout: float) -> None:
        self.tell_positions = False
        """Whether positions of commits in the database's log are needed, which costs a statement each."""
        self._engine = engine
        self._limiter = Limiter(at_once, timeout)
        self._limiter.used_up = partial(lock_waits_of(engine).watch, engine, lambda: self.waiting)
        self.around: Callable[[], AbstractContextManager[object]] = nullcontext
        """A context around each of them, the wait included, for an observer."""

    @property
    def waiting(self) -> int:
        """The number of waiters."""
        return self._limiter.waiting

    @asynccontextmanager
    async def open(self, identity: Identity | None = None) -> AsyncIterator[Transaction]:
        """A transaction that is rolled back at the end of the block unless it was committed.

        With an ``identity`` its statements run under that identity.

        Raises:
            OverloadedError: There was no turn in time.
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
    connection = engine.connect()
    try:
        await connection.start()
    except _FAILED as error:
        raise translate_change(error) from error
    try:
        await connection.execution_options(isolation_level="READ COMMITTED")
        one = Transaction(engine, connection, identity)
        await one.begin()
        yield one
        await one.rollback()
    except BaseException as error:
        undone = isinstance(error, LockedError) and await is_undone(connection)  # many may be refused at once
        if not undone and not connection.invalidated:
            await connection.invalidate()  # cancelled; the server rolls back
        raise
    finally:
        await connection.close()


_POSITION = """
    SELECT (CASE current_setting('synchronous_commit')
        WHEN 'off' THEN pg_current_wal_insert_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint
"""
"""Commits are flushed up to it, unless they are asynchronous."""
