"""Copying rows from a snapshot by COPY: bytes are forwarded as they arrive, at the pace of the reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.errors import translated
from db.engine.lock_shares import refuse_ended, within_share
from db.engine.locks import LockWaits, lock_waits_of
from db.engine.pool import limiter_of
from db.engine.readers import Identity, give_up, roll_back
from db.engine.session import setting

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

    def __init__(self, driver: Any, waits: LockWaits) -> None:
        self._driver = driver
        self._waits = waits

    async def value(self, sql: str, values: Sequence[Any]) -> Any:
        """The single value of a statement."""
        return await within_share(self._waits, sql, partial(self._driver.fetchval, sql, *values))

    async def copy(self, sql: str, values: Sequence[Any], take: Take, format_: CopyFormat) -> None:
        """Copies the rows of a query; ``take`` gets whole rows in parts, and the copy waits until it returns.

        All uses of a table in the query see the state at the transaction's begin.
        """
        self.midway = True
        copied = partial(self._driver.copy_from_query, sql, *values, output=take, **_OPTIONS[format_])
        await within_share(self._waits, sql, copied)
        self.midway, self.ended = False, True


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
    made = Copying(borrowed.driver, waits)
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
