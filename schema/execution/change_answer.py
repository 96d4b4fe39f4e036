"""Reading the result of a change: in its transaction for a limited time, and after the commit otherwise.

Inside, the answer is exactly the change's: its rows are locked, and an answer that fails as a whole is not committed.
But the rows stay locked meanwhile, and what is selected below them can be slow, or wait for a table that somebody else
has locked. So whoever wants the same rows next waits for ``timeout`` seconds at most: then the change is committed,
and what is still to be read is read on one snapshot taken after the commit. That shows the rows as they are by then;
the event is what was recorded, whatever has happened since.

What is not to be committed has nothing to show of its own: its transaction ends before its answer is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from db.engine.engine import NO_SETTINGS, Reader
from db.engine.errors import (
    ConflictError,
    LockedError,
    OutcomeUnknownError,
    RefusedByDatabaseError,
    StatementTimeoutError,
)
from db.engine.transaction import Transaction
from schema.error_codes import ErrorCode
from schema.errors import GatewayError

NEARLY = 0.05
"""Seconds before its end at which a statement that was cancelled had no more time."""


class AnswerReader:
    """Reads the answer of a change; ``opened`` holds its transaction, and what is read from ``after`` it."""

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
        """Whether the change was committed before all of its answer was read."""
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
        """Adds what was asked of the database: by the change, for its answer, and after it."""
        for one in (self._transaction.reader, self._later):
            if one is not None:
                self.statements += one.statements
                self.rows += one.rows

    async def fetch(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Sequence[Any]]:
        """Runs a statement.

        Raises:
            GatewayError: ``OUTCOME_UNKNOWN`` or ``CONFLICT``: the change could not be committed meanwhile.
            DatabaseError: The statement failed, or the database.
        """
        if self._later is None:
            async with self._turn:
                rows = await self._fetch_inside(sql, values, settings) if self._later is None else None
            if rows is not None:
                return rows
        assert self._later is not None  # noqa: S101 - else there are rows, or an error
        return await self._later.fetch(sql, values, settings)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        """What it reads from is one already."""
        yield self

    async def _fetch_inside(
        self, sql: str, values: Sequence[Any], settings: Mapping[str, str]
    ) -> Sequence[Sequence[Any]] | None:
        """None where it is to be read after the transaction, which has ended."""
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
        """Ends the transaction, and reads on a snapshot from now on."""
        try:
            if self._transaction.wanted:
                await commit(self._transaction)
                self.committed = True
            else:
                await self._transaction.rollback()
            await self._opened.aclose()  # others need its connection for their changes
        except BaseException as error:
            self._failed = error
            raise
        self._later = await self._opened.enter_async_context(self._after())

    async def _move_in_time(self) -> None:
        """Commits between two statements too: rows may take long to be made into an answer."""
        await asyncio.sleep(self._timeout)
        async with self._turn:
            if self._later is None and self._failed is None:
                try:
                    await self._move()
                except Exception as error:  # noqa: BLE001 - whoever reads on, or the end, hears of it
                    self._failed = self._failed or error

    async def end(self, *, whole: bool) -> None:
        """Commits the change if that is due: it is wanted, and its answer is not a failure as a ``whole``.

        Raises:
            GatewayError: ``OUTCOME_UNKNOWN`` or ``CONFLICT``; ``ANSWER_UNREAD``: it was made, and there is no answer.
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
        """Commits nothing any more that is not being committed."""
        if self._watch is not None:
            self._watch.cancel()


_committing: set[asyncio.Task[None]] = set()


async def commit(transaction: Transaction) -> None:
    """Commits. A request that is given up meanwhile does not stop it half-way.

    Raises:
        GatewayError: ``OUTCOME_UNKNOWN``, or ``CONFLICT`` where something was judged at the commit only.
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
