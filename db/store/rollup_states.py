"""The states of the rollups that a database keeps, for diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base.sums import rollups
from db.base.vocabulary import OWN_SCHEMA


@dataclass(frozen=True)
class RollupState:
    """A rollup: building, ready or broken; its marked units, those that cannot be aggregated, with one error, and the
    lengths of units that one made by this version has besides."""

    table: str
    state: str
    marked: int
    failed: int
    error: str | None
    lacks: Sequence[str]


_STATES = text(f"""
    SELECT r.name, CASE WHEN {OWN_SCHEMA}.is_rolled_up(to_regclass(r.name)) THEN r.state ELSE 'broken' END,
        count(DISTINCT m.at), count(DISTINCT m.at) FILTER (WHERE m.error IS NOT NULL), max(m.error),
        r.measures
    FROM {OWN_SCHEMA}.rollups AS r
    LEFT JOIN (SELECT name, at, to_jsonb(marks) ->> 'error' AS error FROM {OWN_SCHEMA}.rollup_marks AS marks) AS m
        ON m.name = r.name
    GROUP BY r.name, r.state, r.measures ORDER BY r.name
""")  # by JSON: marks of an earlier version have no errors


async def states(connection: AsyncConnection) -> Sequence[RollupState]:
    """The rollups that are kept; the gateway's own tables must be there."""
    units = {table.fullname: [unit.interval for unit in rollup.units] for table, rollup in rollups()}
    return [
        RollupState(name, state, marked, failed, error, [unit for unit in units.get(name, ()) if unit not in stored])
        for name, state, marked, failed, error, stored in await connection.execute(_STATES)
    ]
