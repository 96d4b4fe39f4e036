"""The entities and columns that changes write, lock and read, derived from lifecycles and effects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from db.base.effects import Effect, Moves, effects
from db.base.guards import Guard
from db.base.lifecycles import Change, Lifecycle, Step, lifecycles


@dataclass(frozen=True)
class Footprint:
    """What a change may write and read, by entity; ``changed`` and ``added`` list the columns."""

    changed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    added: Mapping[str, frozenset[str]] = field(default_factory=dict)
    triggered: Mapping[str, frozenset[str]] = field(default_factory=dict)
    locked: frozenset[str] = frozenset()
    read: frozenset[str] = frozenset()

    def __or__(self, other: Footprint) -> Footprint:
        return Footprint(
            _merged(self.changed, other.changed),
            _merged(self.added, other.added),
            _merged(self.triggered, other.triggered),
            self.locked | other.locked,
            self.read | other.read,
        )

    @property
    def updated(self) -> frozenset[str]:
        """The entities whose rows are updated or locked, including by triggers."""
        return frozenset({*self.changed, *self.added, *self.triggered}) | self.locked

    @property
    def entities(self) -> frozenset[str]:
        """All entities that are written or read."""
        return self.updated | self.read


def _merged(one: Mapping[str, frozenset[str]], other: Mapping[str, frozenset[str]]) -> Mapping[str, frozenset[str]]:
    return {name: one.get(name, frozenset()) | other.get(name, frozenset()) for name in {**one, **other}}


def union(footprints: Iterable[Footprint]) -> Footprint:
    """The union of footprints."""
    found = Footprint()
    for one in footprints:
        found |= one
    return found


def of_effect(effect: Effect) -> Footprint:
    """What the function of an effect, or of a special mutation, writes and reads."""
    written = Footprint(
        {one.entity: frozenset(one.columns) for one in effect.writes if one.columns},
        {one.entity: frozenset(one.added) for one in effect.writes if one.added},
        {one.entity: frozenset(one.triggered) for one in effect.writes if one.triggered},
        frozenset(effect.locks),
        frozenset({*effect.reads, *(name for guard in effect.guards or () for name in entities_of(guard))}),
    )
    return written | union(_of_moves(one) for one in effect.moves)


def of_change(lifecycle: Lifecycle, change: Change) -> Footprint:
    """What a mutation with a transition writes and reads, from any state."""
    steps = [step for state, step in lifecycle.entering.items() if not change.to or state in change.to]
    stored = frozenset(name for name, one in change.given.items() if one.stored)
    named = frozenset(one.type for one in change.given.values() if isinstance(one.type, str))
    given = Footprint({lifecycle.entity: stored} if stored else {}, read=named)
    return given | _of_move(lifecycle, [*steps, *lifecycle.leaving.values()], judged=True)


@cache
def everything() -> Footprint:
    """What all changes together write and read; requires that the models are imported."""
    moves = [of_change(lifecycle, change) for lifecycle in lifecycles() for change in lifecycle.changes]
    return union([*moves, *map(of_effect, effects().values())])


def _of_moves(moves: Moves) -> Footprint:
    lifecycle = next(one for one in lifecycles() if one.key == moves.lifecycle)
    entering = [step for state, step in lifecycle.entering.items() if state in moves.states]
    return _of_move(lifecycle, [*entering, *lifecycle.leaving.values()], judged=moves.judged)


def _of_move(lifecycle: Lifecycle, steps: Iterable[Step], *, judged: bool) -> Footprint:
    columns = {lifecycle.column, *(column for step in steps for column in step.stamps)}
    found = Footprint({lifecycle.entity: frozenset(columns)})
    if not judged:
        return found
    read = {name for step in steps for guard in step.guards for name in entities_of(guard)}
    found |= Footprint(read=frozenset({*read, *lifecycle.queue_reads}))
    return found | union(of_effect(one) for step in steps for one in (*step.before, *step.effects))


def entities_of(guard: Guard) -> frozenset[str]:
    """The entities that a guard reads beside the row to be moved."""
    return frozenset(name.split(".")[0] for name in guard.reads)
