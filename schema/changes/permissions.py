"""What a mutation reads and writes, so that nobody changes, or is told by a refusal, what he may not read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from db.lifecycle import Change, Guard, Lifecycle, Step, lifecycles
from schema.catalogue import catalogue
from schema.lineage.edges import edges
from schema.lineage.impact import REACH
from schema.scopes import named_in, written


def concerned(*types: str) -> frozenset[str]:
    """What a change that moves rows of these types in any way concerns, as ``table`` and ``table.column``."""
    found: set[str] = set()
    for name in types:
        found |= {catalogue()[name].sql_name, *written(name)}
        for lifecycle in lifecycles():
            if lifecycle.entity == name:
                found |= set(_of_steps([*lifecycle.entering.values(), *lifecycle.leaving.values()]))
    return frozenset(found)


def concerned_by(lifecycle: Lifecycle, change: Change) -> frozenset[str]:
    """What a mutation that moves a row concerns: what it writes, what its guards read, and where its effects reach."""
    table = catalogue()[lifecycle.entity].sql_name
    entering = [step for state, step in lifecycle.entering.items() if not change.to or state in change.to]
    steps = [*entering, *lifecycle.leaving.values()]
    columns = {lifecycle.column, *(name for name, one in change.given.items() if one.stored)}
    columns |= {column for step in steps for column in step.stamps}
    named = {catalogue()[one.type].sql_name for one in change.given.values() if isinstance(one.type, str)}
    return frozenset({table, *(f"{table}.{column}" for column in columns), *named, *_of_steps(steps)})


def _of_steps(steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        for guard in step.guards:
            yield from _guarded(guard)
        for effect in (*step.before, *step.effects):
            for way in REACH[effect]:
                for name in way:
                    yield catalogue()[edges().by_name[name].target].sql_name


def _guarded(guard: Guard) -> frozenset[str]:
    return named_in(guard.sql)
