"""A writing transaction: begun, repeated as a whole after conflicts, and committed with a known outcome."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import asyncpg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.connector import Connector, connector_of
from db.engine.errors import (
    ConflictError,
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
from db.engine.pool import BorrowedConnection, limiter_of
from db.engine.readers import (
    NO_SETTINGS,
    EngineReader,
    Identity,
    Reader,
    give_up,
    locked,
    refuse_ended,
    roll_back,
    set_local,
    within_share,
)
from db.engine.session import setting
from db.engine.timelines import STANDING, OutdatedServerError, PrimaryPosition

OUTCOME_SECONDS = 5.0
"""Seconds for which the outcome of an unacknowledged commit is queried."""
UNDECIDED_SECONDS = 1.0
"""Seconds after which the server is told to end a transaction whose client has disconnected."""

_FAILED = (SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_READ = "reading"
_UNREAD = f"ROLLBACK TO SAVEPOINT {_READ}; RELEASE SAVEPOINT {_READ}"
"""A read has nothing to undo but its settings."""
_NOBODY = "none"
"""The role of the gateway itself, whoever asks."""


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
    """A READ COMMITTED transaction on a connection of its own. Statements queue with those of its ``reader``.

    What returns nothing waits until a statement is run, and goes ahead of it in one message: the beginning, savepoints,
    and changes of the role.
    """

    def __init__(self, engine: AsyncEngine, borrowed: BorrowedConnection, identity: Identity | None = None) -> None:
        self.reader = _TransactionReader(engine, self)
        self.proof: Proof | None = None
        """What tells afterwards whether it was committed."""
        self.wanted = False
        """Whether what was changed is to stay."""
        self.position: int | None = None
        """Where the commit is in the database's log, in bytes; None before it, or where nobody wants to know."""
        self.tells_position = False
        """Whether somebody wants to know."""
        self._identity = identity
        self._connector: Connector = connector_of(engine)
        self._reads_only = False
        self._engine = engine
        self._driver: Any = borrowed.driver
        self._process: int = self._driver.get_server_pid()
        """Of the server; a pooler has numbers of its own."""
        self._ahead: list[str] = []
        """Commands that go ahead of the next statement."""
        self._role = ""
        self._defers = self._checks = False
        """Whether something may be left to be checked at the commit; whether each statement is checked at its end."""
        self._savepoints: dict[str, tuple[bool, bool]] = {}
        """Savepoints with both of these, as they were then."""
        self._sealed: _CommitProof | None = None
        self.is_begun = False
        """Whether the server has it open."""
        self._begin()

    def _begin(self) -> None:
        self.wanted, self.proof, self._sealed, self.is_begun = False, None, None, False
        self._defers = self._checks = False
        self._ahead = [_BEGIN]
        if self._identity is not None:
            self._ahead.append(f"SELECT {setting(self._identity.settings)}")
            self._role = self._identity.role

    async def restart(self) -> None:
        """Undoes everything and begins again; locks are let go."""
        try:
            if self.is_begun:
                await self._driver.execute("ROLLBACK")
        except _FAILED as error:
            raise translate_change(error) from error
        self._begin()

    async def run(self, sql: str, values: Sequence[Any] = (), *, defers: bool = True) -> Sequence[Sequence[Any]]:
        """Runs a statement that may lock and change rows; returns what it returns. An error undoes the transaction.

        ``defers`` says whether it may leave something to be checked at the commit.

        Raises:
            ConflictError: Run the transaction again.
            RefusedByDatabaseError: A constraint or a trigger is in the way.
            DatabaseError: Anything else that has a name.
        """
        if self._identity is not None:
            self._act_as(self._identity.role)
        self._defers = self._defers or (defers and not self._checks)
        return await self._counted(sql, values)

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
        except _FAILED as error:
            if isinstance(error, asyncpg.InternalClientError):
                self._driver.terminate()
            meaning = translate_change(error, sql)
            self._reads_only = self._reads_only or isinstance(meaning, ReadOnlyError)
            raise meaning from error
        return rows

    async def _send_ahead(self) -> None:
        """Sends the commands that go ahead of a statement, in one message."""
        if self._ahead:
            commands, self._ahead = self._ahead, []
            self.is_begun = True  # or the server was lost, where a rollback does no harm
            await self._driver.execute("; ".join(commands))

    async def run_as_gateway(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Runs a statement over the gateway's own tables, which callers have no rights on.

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
        """Adds a row to a record of the gateway's own, which proves that the transaction was committed.

        ``insert`` ends before RETURNING; ``key`` is a column of the table, a UUID.

        Returns:
            The text of the key.

        Raises:
            DatabaseError: As `run` does.
        """
        if self._sealed is not None:
            ((id_,),) = await self.run_as_gateway(f"{insert} RETURNING {key}::text", values)
        else:
            lock = _new_lock()
            seal = f"({self._standing} FROM pg_advisory_xact_lock(${len(values) + 1}::text::bigint))"
            returning = f"{insert} RETURNING {key}::text, {seal}"
            ((id_, told),) = await self.run_as_gateway(returning, [*values, str(lock)])
            self._see(lock, told)
        self.proof = Proof(table, f"{key} = $1::text::uuid", (id_,))
        return str(id_)

    async def read(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Sequence[Any]]:
        """Runs a reading statement in a savepoint, with settings that end with it; errors are the driver's."""
        try:
            return await self._read(sql, values, settings)
        except asyncpg.InvalidCachedStatementError:  # of a table that was altered meanwhile
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
            except _FAILED:
                self._driver.terminate()
            raise
        self._ahead.append(_UNREAD if settings else f"RELEASE SAVEPOINT {_READ}")
        return rows

    # -- savepoints and constraints ------------------------------------------------------------------------------------

    def savepoint(self, name: str) -> None:
        """Makes a savepoint ahead of the next statement."""
        if self._identity is not None:
            self._act_as(self._identity.role)  # which its rollback brings back
        self._ahead.append(f"SAVEPOINT {name}")
        self._savepoints[name] = self._defers, self._checks

    def release(self, name: str) -> None:
        """Ends a savepoint, ahead of the next statement."""
        self._ahead.append(f"RELEASE SAVEPOINT {name}")

    async def rollback_to(self, name: str) -> None:
        """Undoes what was done since a savepoint.

        Raises:
            DatabaseError: The connection was lost.
        """
        try:
            await self._send_ahead()
            await self._driver.execute(f"ROLLBACK TO SAVEPOINT {name}")
        except _FAILED as error:
            raise translate_change(error) from error
        self._defers, self._checks = self._savepoints[name]
        self._sealed = None  # its lock may have been let go
        if self._identity is not None:
            self._role = self._identity.role

    def defer_constraints(self) -> None:
        """Leaves what can be checked at the commit to it, from the next statement on."""
        if self._checks:
            self._ahead.append("SET CONSTRAINTS ALL DEFERRED")
            self._checks = False

    def check_each(self) -> None:
        """Checks each statement at its end, from the next one on."""
        if not self._checks:
            self._ahead.append("SET CONSTRAINTS ALL IMMEDIATE")
            self._defers, self._checks = False, True

    async def check_constraints(self) -> None:
        """Checks what was left to the commit, and from now on each statement.

        Raises:
            RefusedByDatabaseError: A constraint or a trigger is in the way.
            DatabaseError: As `run` does.
        """
        if self._defers:
            await self.run("SET CONSTRAINTS ALL IMMEDIATE", defers=False)
            self._defers, self._checks = False, True

    # -- the end -------------------------------------------------------------------------------------------------------

    async def commit(self) -> None:
        """Commits. Where the answer is lost, the database is asked on another connection what became of it.

        Raises:
            OutcomeUnknownError: The connection was lost and nobody knows.
            ConflictError: A statement had failed.
            DatabaseError: The connection was lost, or the database refused; nothing was changed.
        """
        sealed = self._sealed or await self._seal()
        try:
            await self._send_ahead()
            status = await self._driver.execute("COMMIT;")
        except _FAILED as error:
            # not every driver's error says whether the server has heard the commit
            if is_of_server(error) or not await self._outcome(sealed):
                raise translate_change(error) from error
            status = "COMMIT"
        self.is_begun = False
        if status != "COMMIT":
            raise ConflictError("the transaction had failed, and was undone")
        if self.tells_position:
            self.position = await self._committed_at()

    async def _seal(self) -> _CommitProof:
        """Takes a lock by which others can tell that the transaction is over, and asks where the server is."""
        lock = _new_lock()
        sql = f"{self._standing} FROM pg_advisory_xact_lock($1::text::bigint)"
        return self._see(lock, (await self.run_as_gateway(sql, (str(lock),)))[0][0])

    @property
    def _standing(self) -> str:
        return STANDING if self._connector.timelines.tells else "SELECT NULL::text"

    def _see(self, lock: int, told: str | None) -> _CommitProof:
        standing = PrimaryPosition.of(told)
        if standing is not None:
            try:
                # a pooler may have led to another server than the connection did at first
                self._connector.timelines.see(standing)
            except OutdatedServerError as error:
                raise translate(error) from error
        self._sealed = _CommitProof(lock, standing)
        return self._sealed

    async def _committed_at(self) -> int | None:
        """A position behind the commit, None where the connection was lost meanwhile."""
        try:
            return int(await self._driver.fetchval(_POSITION))
        except _FAILED:
            return None

    async def rollback(self) -> None:
        """Undoes everything; a connection that is gone has done so already."""
        if self.is_begun:
            await roll_back(self._driver)
        self._begin()
        if self._reads_only:
            self._driver.terminate()  # a new one may find a database that takes changes again

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


class _TransactionReader(EngineReader):
    """Reads in a transaction of changes. Each statement runs in a savepoint, so that one that fails costs the others
    nothing."""

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
        """Its own statements see the changes already."""
        yield self


def _new_lock() -> int:
    return secrets.randbits(63)


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
    limiter = limiter_of(engine)
    try:
        borrowed = await limiter.borrow(engine)
    except _FAILED as error:
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
        if one.is_begun:  # and was given up in the middle, of which nobody can say what runs
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
"""Commits are flushed up to it, unless they are asynchronous."""
