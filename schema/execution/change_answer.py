"""Reading the result of a change: inside its transaction for a limited time, and after the commit otherwise.

Inside, the answer is exactly the change's: its rows are locked, and an answer that fails as a whole is not committed.
But the rows stay locked meanwhile, and selections below them can be slow, or wait for a table lock. Others that need
these rows wait for ``timeout`` seconds at most: then the change is committed, and the rest is read on one snapshot
taken after the commit, which shows the rows in their state by then; the event is what was recorded in any case.

What is not committed has nothing to show: its transaction ends before its answer is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from db.engine.errors import (
    ConflictError,
    LockedError,
    OutcomeUnknownError,
    RefusedByDatabaseError,
    StatementTimeoutError,
)
from db.engine.readers import NO_SETTINGS, Reader
from db.engine.transaction import Transaction
from schema.error_codes import ErrorCode
from schema.errors import GatewayError

NEARLY = 0.05
"""A statement cancelled within these seconds before the end is taken to have run out of time."""


class AnswerReader:
    """Reads the answer of a change; ``opened`` holds its transaction, ``after`` opens the reader for the rest."""

    def __init__(
        self,
        opened: AsyncExitStack,
        transaction: Transaction,
        after: Callable[[], AbstractAsyncContextManager[Reader]],
        timeout: float,
    ) -> None:
        self.statements = self.rows = 0
        self.position: int | None = None
        self.committed = False
        """Whether the change was committed before its answer was read completely."""
        self._opened = opened
        self._transaction = transaction
        self._after = after
        self._timeout = timeout
        self._later: Reader | None = None
        self._failed: BaseException | None = None
        self._end: float | None = None
        self._watch: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    def count(self) -> None:
        """Adds the statements and rows of the change and of its answer."""
        for one in (self._transaction.reader, self._later):
            if one is not None:
                self.statements += one.statements
                self.rows += one.rows

    async def fetch(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Sequence[Any]]:
        """Runs a statement.

        Raises:
            GatewayError: ``OUTCOME_UNKNOWN`` or ``CONFLICT``: the change could not be committed.
            DatabaseError: The statement or the database failed.
        """
        if self._later is None:
            async with self._turn:
                rows = await self._fetch_inside(sql, values, settings) if self._later is None else None
            if rows is not None:
                return rows
        assert self._later is not None  # noqa: S101 - otherwise there are rows, or an error
        return await self._later.fetch(sql, values, settings)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        """Itself: it reads from a snapshot already."""
        yield self

    async def _fetch_inside(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str]
    ) -> Sequence[Sequence[Any]] | None:
        """The rows, or None if the transaction has ended and they are to be read after it."""
        if self._failed is not None:
            raise self._failed
        loop = asyncio.get_running_loop()
        if self._end is None and self._transaction.wanted:
            self._end = loop.time() + self._timeout
            self._watch = asyncio.create_task(self._move_in_time())
        if self._end is not None and (left := self._end - loop.time()) > NEARLY:
            most = f"{left * 1000:.0f}"  # milliseconds
            limits = {"statement_timeout": most, "lock_timeout": most}
            try:
                return await self._transaction.reader.fetch(sql, values, {**settings, **limits})
            except (StatementTimeoutError, LockedError):
                if loop.time() < self._end - NEARLY:
                    raise
        await self._move()
        return None

    async def _move(self) -> None:
        """Ends the transaction; later statements read from a snapshot."""
        try:
            if self._transaction.wanted:
                await commit(self._transaction)
                self.committed = True
            else:
                await self._transaction.rollback()
            await self._opened.aclose()  # releases its connection
        except BaseException as error:
            self._failed = error
            raise
        self._later = await self._opened.enter_async_context(self._after())

    async def _move_in_time(self) -> None:
        """Commits on time between statements, too: building the answer can take long."""
        await asyncio.sleep(self._timeout)
        async with self._turn:
            if self._later is None and self._failed is None:
                try:
                    await self._move()
                except Exception as error:  # noqa: BLE001 - reported by the next statement, or by the end
                    self._failed = self._failed or error

    async def end(self, *, whole: bool) -> None:
        """Commits the change if it is wanted, and its answer has not failed as a ``whole``.

        Raises:
            GatewayError: ``OUTCOME_UNKNOWN`` or ``CONFLICT``; ``ANSWER_UNREAD``: it was committed, and its answer could
                not be read.
            DatabaseError: The connection was lost; nothing was changed.
        """
        async with self._turn:
            self.stop()
        if self.committed:
            if not whole:
                raise GatewayError(ErrorCode.ANSWER_UNREAD)
        elif self._failed is not None:
            raise self._failed
        elif self._later is None and self._transaction.wanted and whole:
            await commit(self._transaction)
        elif self._later is None:
            await self._transaction.rollback()

    def stop(self) -> None:
        """Prevents a commit that has not begun."""
        if self._watch is not None:
            self._watch.cancel()


_committing: set[asyncio.Task[None]] = set()


async def commit(transaction: Transaction) -> None:
    """Commits. A cancelled request does not interrupt it.

    Raises:
        GatewayError: ``OUTCOME_UNKNOWN``, or ``CONFLICT`` where a check failed at the commit.
    """
    committed: Awaitable[None] = transaction.commit()
    task = asyncio.ensure_future(committed)
    _committing.add(task)
    task.add_done_callback(_committing.discard)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
    except OutcomeUnknownError as error:
        raise GatewayError(ErrorCode.OUTCOME_UNKNOWN) from error
    except (ConflictError, RefusedByDatabaseError) as error:
        words = (
            f": {error.diagnostics.words}" if isinstance(error, RefusedByDatabaseError) and error.by_trigger else "."
        )
        raise GatewayError(
            ErrorCode.CONFLICT, f"The database refused the commit, and nothing was changed{words}"
        ) from error
