"""Copying rows from a snapshot by COPY: bytes are forwarded as they arrive, at the pace of the reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.errors import DRIVER_ERRORS, translated
from db.engine.lock_shares import refuse_ended, within_share
from db.engine.locks import LockWaits, lock_waits_of
from db.engine.pool import limiter_of
from db.engine.readers import Identity, give_up, roll_back
from db.engine.session import setting
from db.engine.stored_types import StoredTypes, stored_types_of

Take = Callable[[bytes], Awaitable[None]]
CopyFormat = Literal["binary", "csv", "plain", "values"]
"""Postgres's binary format; CSV; CSV of texts that need neither quotes nor escapes, which is faster; or texts separated
by ``MARK``, with ``NULL`` for nulls and with doubled backslashes."""
MARK, NULL = b"\x01", b"\x02"
_OPTIONS: dict[CopyFormat, dict[str, Any]] = {
    "binary": {"format": "binary"},
    "csv": {"format": "csv"},
    "plain": {"format": "text", "delimiter": ",", "null": ""},
    "values": {"format": "text", "delimiter": MARK.decode(), "null": NULL.decode()},
}


class Copying:
    """One REPEATABLE READ, read-only transaction on a connection of its own."""

    midway = False
    """Whether a copy has begun and not ended."""
    ended = False
    """Whether a copy has ended."""

    def __init__(self, driver: Any, waits: LockWaits, stored: StoredTypes) -> None:
        self._driver = driver
        self._waits = waits
        self._stored = stored

    async def value(self, sql: str, values: Sequence[Any]) -> Any:
        """The single value of a statement."""
        return await self._run(sql, lambda sent: self._driver.fetchval(sent, *values))

    async def copy(self, sql: str, values: Sequence[Any], take: Take, format_: CopyFormat) -> None:
        """Copies the rows of a query; ``take`` gets whole rows in parts, and the copy waits until it returns.

        All uses of a table in the query see the state at the transaction's begin.
        """
        self.midway = True
        options = _OPTIONS[format_]
        await self._run(sql, lambda sent: self._driver.copy_from_query(sent, *values, output=take, **options))
        self.midway, self.ended = False, True

    async def _run(self, sql: str, run: Callable[[str], Awaitable[Any]]) -> Any:
        """Runs a statement, once more with casts where the database's types differ: it is refused before any row."""
        if not self._stored.casts:
            return await within_share(self._waits, sql, partial(run, sql))
        sent = self._stored.sent(sql)
        await self._driver.execute("SAVEPOINT types")
        try:
            return await within_share(self._waits, sql, partial(run, sent))
        except DRIVER_ERRORS as error:
            again = self._stored.after(sql, sent, error)
            if again is None:
                raise
        await self._driver.execute("ROLLBACK TO SAVEPOINT types")
        return await within_share(self._waits, sql, partial(run, again))


@asynccontextmanager
async def copying(engine: AsyncEngine, identity: Identity | None, seconds: float) -> AsyncIterator[Copying]:
    """A snapshot to copy rows from; each of its statements may take ``seconds``.

    A connection whose copy is incomplete is closed, and its remaining data discarded.

    Raises:
        LockedError: A table is locked; see `db.engine.errors` for the others.
    """
    limiter, waits = limiter_of(engine), lock_waits_of(engine)
    with translated():
        borrowed = await limiter.borrow(engine)
    limiter.set_apart(borrowed)
    made = Copying(borrowed.driver, waits, stored_types_of(engine))
    try:
        with translated():
            await borrowed.driver.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            settings = {**(identity.settings if identity else {}), "statement_timeout": f"{int(seconds * 1000)}"}
            await borrowed.driver.execute(f"SELECT {setting(settings)}")
            yield made
            await borrowed.driver.execute("COMMIT")
    except BaseException as error:
        if isinstance(error, Exception) and not made.midway:
            await roll_back(borrowed.driver)
            limiter.give_back(borrowed)
            raise
        give_up(borrowed)
        limiter.give(borrowed)
        if isinstance(error, asyncio.CancelledError):
            refuse_ended(waits)
        raise
    limiter.give_back(borrowed)
