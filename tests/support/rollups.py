"""Rollups in tests: made by the owner of the tables, summed up in the gateway's role as its upkeep does."""

from __future__ import annotations

from db.base.sums import rollups
from db.migrations.setup import connect
from db.store import rollups as store


async def make(url: str) -> list[str]:
    """Makes the rollups of a database, given by its owner's URL; returns a sentence for each table."""
    async with connect(url) as connection, connection.begin():
        return await store.make(connection)


async def sum_up(url: str, *, most: int = 500) -> None:
    """Sums up all that is marked in a database, given by the gateway's URL, ``most`` units in a step."""
    async with connect(url) as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        for table, rollup in rollups():
            units = 1
            while units:
                async with connection.begin():
                    made = await store.step(connection, table, rollup, most)
                units = made.taken if made else 0
