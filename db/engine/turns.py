"""Turns of a connection pool: those that are taken, waited for, and opened."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine

CLOSE_SECONDS = 2.0
"""Seconds for telling a server that a connection ends, before it is aborted."""


class PoolTurn:
    """A turn that is taken."""

    __slots__ = ("heavy", "looks", "sql")

    heavy: bool
    """Whether it counts to the share of heavy statements."""
    sql: str
    """The statement that it is for; empty for several."""
    looks: int
    """The number of checks since it was taken."""


class BorrowedConnection(PoolTurn):
    """A connection checked out of its pool, with the driver's connection."""

    __slots__ = ("_pooled", "driver", "generation")

    def __init__(self, pooled: PoolProxiedConnection, generation: int) -> None:
        self._pooled = pooled
        self.driver: Any = pooled.driver_connection
        self.generation = generation
        """The engine's number of lost databases and disposed pools at its checkout."""

    def give_back(self) -> None:
        """Returns it to its pool in any state: the pool checks it at the next checkout."""
        self._pooled.close()

    def close(self) -> None:
        """Closes it, in a greenlet; its pool opens another one."""
        self._pooled.invalidate()

    async def drop(self) -> None:
        """Cancels its current statement, and closes it; the pool will open another one."""
        try:
            await self.driver.close(timeout=CLOSE_SECONDS)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            pass  # the driver has aborted it
        finally:
            self._pooled.invalidate()


class ConnectionWaiter(asyncio.Future[BorrowedConnection | None]):
    """A waiter for a turn, with a connection if it ``connects``; waiting ``since`` then, at most until ``end``."""

    def __init__(self, since: float, end: float, *, connects: bool) -> None:
        super().__init__()
        self.since = since
        self.end = end
        self.connects = connects


class Opening:
    """The attempts to open a connection for a turn, until ``end``; the turn ``connects``, as a waiter does."""

    __slots__ = ("connects", "end", "engine", "heavy", "is_first")

    def __init__(self, engine: AsyncEngine, end: float, *, heavy: bool, connects: bool) -> None:
        self.engine, self.end, self.heavy, self.connects = engine, end, heavy, connects
        self.is_first = True
