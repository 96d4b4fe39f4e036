"""The share of connections that statements may occupy that wait for a locked table."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.errors import DRIVER_ERRORS, LOCK_NOT_AVAILABLE, LockedError, sqlstate
from db.engine.locks import LockWaits, Running, lock_waits_of

Answer = TypeVar("Answer")


async def within_share(
    waits: LockWaits,
    sql: str,
    run: Callable[[], Awaitable[Answer]],
    *,
    can_end: bool = True,
    change: Running | None = None,
) -> Answer:
    """Executes a statement on a connection, unless the limit of statements waiting for one of its tables is reached.

    If it waits for a table while others wait for a connection, or for a row that it is to ``change``, it may be
    cancelled if it ``can_end``; `LockWaits.why_ended` then tells the caller, who has released the connection.

    Raises:
        LockedError: The limit is reached.
    """
    task = asyncio.current_task() if can_end else None
    waits.running[task] = sql
    if change is not None:
        waits.changes[task] = change
    try:
        if waits.known or waits.suspected:
            return await in_share(waits, sql, sql if change is None else change.key, run)
        return await run()
    except DRIVER_ERRORS as error:
        suspect(waits, sql if change is None else change, error)
        raise
    finally:
        waits.running.pop(task, None)
        waits.changes.pop(task, None)


_ENOUGH = "as many statements as may do wait for it already"


def refuse_ended(waits: LockWaits) -> None:
    """Raises the error of a statement that was cancelled because of a lock.

    Raises:
        LockedError: It was cancelled for that reason.
    """
    names = waits.why_ended()
    if names is not None:
        raise LockedError(_ENOUGH, names) from None


async def in_share(waits: LockWaits, sql: str, key: Hashable, run: Callable[[], Awaitable[Answer]]) -> Answer:
    """Executes a statement while some object is known to be locked."""
    with waits.turn(sql, key) as names:
        if names is not None:
            raise LockedError(_ENOUGH, names)
        return await run()


def suspect(waits: LockWaits, statement: str | Running, error: BaseException) -> None:
    """Notes a lock timeout, before the statement's connection is passed on."""
    if isinstance(error, DRIVER_ERRORS) and sqlstate(error) == LOCK_NOT_AVAILABLE:
        waits.suspect(statement if isinstance(statement, str) else statement.key)


async def locked(error: LockedError, engine: AsyncEngine, sql: str) -> LockedError:
    """The error of a lock timeout, with the locked tables that the statement names."""
    return LockedError(str(error), error.tables or await lock_waits_of(engine).learn(engine, sql))
