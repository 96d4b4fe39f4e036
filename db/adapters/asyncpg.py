"""asyncpg: interfaces that it has not made public."""

from __future__ import annotations

from typing import Any

import asyncpg
from asyncpg.connection import _StatementCache

STATEMENTS_SIZE = 400_000
"""Characters of the statements that a connection keeps prepared. Postgres has 50 to 110 bytes for each of them."""
LARGEST_STATEMENT = 60_000
"""Characters of a statement that is kept at all; what is longer is planned each time."""


def leave_jit(connection: asyncpg.Connection) -> None:
    """Keeps a connection from turning JIT off for its session, and on again, whenever it asks what a new type is.

    Behind a pooler in transaction mode that session is somebody else's as well. The driver decides it by what it takes
    the server for, and no argument says otherwise; the gateway's transactions have JIT off already.
    """
    connection._server_caps = connection._server_caps._replace(jit=False)  # noqa: SLF001 - the adapter's purpose


class _Statements(_StatementCache):  # type: ignore[misc]  # asyncpg says no types
    """The driver's own cache, which counts statements: those used last, as far as their sizes have room."""

    __slots__ = ()

    def _maybe_cleanup(self) -> None:
        super()._maybe_cleanup()  # by count, when one has been added
        size = sum(len(query) for query, *_ in self._entries)
        while size > STATEMENTS_SIZE:
            (query, *_), entry = self._entries.popitem(last=False)
            size -= len(query)
            self._clear_entry_callback(entry)
            self._on_remove(entry._statement)  # noqa: SLF001 - the adapter's purpose


class SessionConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg says no types
    """A connection that keeps its statements prepared, within bounds, whoever prepares them.

    The driver's cache has a number of statements, whatever memory they take in the backend, and SQLAlchemy keeps as
    many of its own. Here those are the driver's too: `prepared_statement_cache_size` is to be 0.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        kept: Any = getattr(self, "_stmt_cache")  # noqa: B009 - whose type mypy cannot tell where it is set below
        self._stmt_cache = _Statements(
            loop=kept._loop,  # noqa: SLF001 - the adapter's purpose
            max_size=kept.get_max_size(),
            on_remove=kept._on_remove,  # noqa: SLF001 - the adapter's purpose
            max_lifetime=kept.get_max_lifetime(),
        )

    async def prepare(self, query: str, *, name: str | None = None, **options: Any) -> Any:
        return await self._prepare(query, name=name, use_cache=name is None, **options)
