"""asyncpg: interfaces that it does not export."""

from __future__ import annotations

from typing import Any

import asyncpg
from asyncpg.connection import _StatementCache

STATEMENTS_SIZE = 400_000
"""Characters of the statements that a connection keeps prepared. Postgres uses 50 to 110 bytes for each."""
LARGEST_STATEMENT = 60_000
"""The longest statement that is kept prepared; longer ones are planned each time."""


def leave_jit(connection: asyncpg.Connection) -> None:
    """Keeps a connection from switching JIT off and on in its session whenever it introspects a type.

    Behind a pooler in transaction mode the session is shared. The driver decides this by the server's capabilities, and
    has no argument for it; the gateway's transactions have JIT off already.
    """
    connection._server_caps = connection._server_caps._replace(jit=False)  # noqa: SLF001 - the adapter's purpose


class _Statements(_StatementCache):  # type: ignore[misc]  # asyncpg has no types
    """The driver's statement cache, which is bounded by count, additionally bounded by the statements' sizes."""

    __slots__ = ()

    def _maybe_cleanup(self) -> None:
        super()._maybe_cleanup()  # by count, after an insertion
        size = sum(len(query) for query, *_ in self._entries)
        while size > STATEMENTS_SIZE:
            (query, *_), entry = self._entries.popitem(last=False)
            size -= len(query)
            self._clear_entry_callback(entry)
            self._on_remove(entry._statement)  # noqa: SLF001 - the adapter's purpose


class TerminableConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection that may be terminated while another task uses it.

    The driver's own forgets its protocol: a statement between two of its steps then fails with `AttributeError`.
    Here it fails as on every closed connection, with `asyncpg.InterfaceError`.
    """

    def _abort(self) -> None:
        self._aborted = True
        self._protocol.abort()


class SessionConnection(TerminableConnection):
    """A connection that keeps statements prepared, within bounds.

    The driver's cache is bounded by count alone, whatever memory its statements take in the backend, and SQLAlchemy has
    another cache. Here there is only the driver's: `prepared_statement_cache_size` must be 0.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        kept: Any = getattr(self, "_stmt_cache")  # noqa: B009 - mypy sees the attribute set below
        self._stmt_cache = _Statements(
            loop=kept._loop,  # noqa: SLF001 - the adapter's purpose
            max_size=kept.get_max_size(),
            on_remove=kept._on_remove,  # noqa: SLF001 - the adapter's purpose
            max_lifetime=kept.get_max_lifetime(),
        )

    async def prepare(self, query: str, *, name: str | None = None, **options: Any) -> Any:
        return await self._prepare(query, name=name, use_cache=name is None, **options)
