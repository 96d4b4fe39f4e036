"""Read permissions of mutations: a caller can neither change withheld data nor learn about it from a refusal.

They are derived from the declarations of lifecycles and effects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from db.base.footprints import Footprint, of_effect
from db.base.lifecycles import Change, Lifecycle, Step, lifecycles
from schema.catalogue.from_models import catalogue
from schema.changes.guards import read_by
from schema.scopes import written


def concerned(*types: str) -> frozenset[str]:
    """The tables and columns that any transition of these types concerns, as ``table`` and ``table.column``."""
    found: set[str] = set()
    for name in types:
        found |= {catalogue()[name].sql_name, *written(name)}
        for lifecycle in lifecycles():
            if lifecycle.entity == name:
                found |= set(_of_steps([*lifecycle.entering.values(), *lifecycle.leaving.values()]))
    return frozenset(found)


def concerned_by(lifecycle: Lifecycle, change: Change) -> frozenset[str]:
    """The tables and columns that a transition concerns: its writes, the reads of its guards, and its effects."""
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
            yield from read_by(guard)
        for effect in (*step.before, *step.effects):
            yield from _of_footprint(of_effect(effect))


def _of_footprint(footprint: Footprint) -> Iterator[str]:
    for entity in footprint.entities:
        yield catalogue()[entity].sql_name
    for columns in (footprint.changed, footprint.added, footprint.triggered):
        for entity, names in columns.items():
            yield from (f"{catalogue()[entity].sql_name}.{name}" for name in names)
