"""Triggers that mark what statements write to the tables that rollups and stored states follow.

A table and each of its partitions have their own: a statement that names a partition fires none of its parent's. They
are enabled ALWAYS, so that they also fire with ``session_replication_role`` set to replica, as a restore sets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base.quoting import literals
from db.base.vocabulary import OWN_SCHEMA

_EVENTS: Mapping[str, str] = {
    "INSERT": "REFERENCING NEW TABLE AS new_rows",
    "UPDATE": "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "DELETE": "REFERENCING OLD TABLE AS old_rows",
    "TRUNCATE": "",
}
"""Each event, and how its trigger sees the rows: by one of these names."""


@dataclass(frozen=True)
class MarkingTriggers:
    """The triggers of one kind: the function in the schema ``gateway`` that they execute, and how their names begin.
    Their first argument is the name of the rollup or state that they mark for."""

    function: str
    prefix: str

    async def create(self, connection: AsyncConnection, store: str, arguments: Iterable[str]) -> None:
        """Creates them on ``store``, SQL of the name of a table or partition; waits for concurrent writers, so that
        every later write is marked."""
        execute = f"FOR EACH STATEMENT EXECUTE FUNCTION {OWN_SCHEMA}.{self.function}({literals(list(arguments))})"
        for event, rows in _EVENTS.items():
            name = self._name(event)
            await connection.execute(text(f"CREATE TRIGGER {name} AFTER {event} ON {store} {rows} {execute}"))
            await connection.execute(text(f"ALTER TABLE {store} ENABLE ALWAYS TRIGGER {name}"))

    async def drop(self, connection: AsyncConnection, marked: str) -> None:
        """Drops those that mark for ``marked``, from whichever tables have them."""
        for store in list(await connection.scalars(_STORES, self._asked(marked))):
            for event in _EVENTS:
                await connection.execute(text(f"DROP TRIGGER IF EXISTS {self._name(event)} ON {store}"))

    def _name(self, event: str) -> str:
        return f"{self.prefix}_{event.lower()}"

    def _asked(self, marked: str) -> Mapping[str, str]:
        return {"marked": marked, "function": f"{OWN_SCHEMA}.{self.function}", "prefix": f"{self.prefix}_"}


_STORES = text("""
    SELECT t.tgrelid::regclass::text FROM pg_trigger AS t
    WHERE t.tgfoid = CAST(CAST(:function AS text) AS regproc) AND starts_with(t.tgname, :prefix)
        AND starts_with(encode(t.tgargs, 'escape'), :marked || chr(92) || '000')
    GROUP BY 1
""")
