"""Declarations of what changes write and reach: effects of transitions, and special mutations.

An effect is declared beside its lifecycles and bound to a function in `schema.changes.effects`; the declaration lists
what the function writes, locks and reads, and along which edges. The grants of the database role, the impact of a
transition and the read permissions of callers are derived from it (`db.base.footprints`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

from db.base.guards import Guard
from db.base.vocabulary import Labels


@dataclass(frozen=True)
class Moves:
    """Rows whose state a change sets: their lifecycle by key, ``Model.stage``, and the states.

    ``judged`` ones move like by a mutation: after guards, and with effects.
    """

    lifecycle: str
    states: Sequence[Labels]
    judged: bool = False


@dataclass(frozen=True)
class Writes:
    """The columns that a change writes in rows of an entity.

    ``columns`` are those of existing rows, ``added`` those of inserted rows, ``triggered`` those that the database's
    triggers fill in either, if it has ours.
    """

    entity: str
    _: KW_ONLY
    columns: Sequence[str] = ()
    added: Sequence[str] = ()
    triggered: Sequence[str] = ()


@dataclass(frozen=True)
class Effect:
    """What a function writes and reaches: an effect of a transition, or a mutation by its name.

    ``locks`` and ``reads`` name entities whose rows it locks, or reads, without writing them. ``ways`` are paths of
    edges (``Deployment.previous_deployment``; ``~`` for the other end, ``*`` for a transitive step) from the moved row
    to rows that change; ``beyond`` describes changes that no edge leads to. ``made_by`` gives lifecycle and state of a
    transition whose impact is that of this mutation. ``guards`` are those of a mutation that is more than a transition,
    in addition to the guards of its transition: conditions on its subject, or on the first row that it requires; None
    if other conditions can block it, which only a dry run tells.
    """

    name: str
    _: KW_ONLY
    moves: Sequence[Moves] = ()
    writes: Sequence[Writes] = ()
    locks: Sequence[str] = ()
    reads: Sequence[str] = ()
    ways: Sequence[Sequence[str]] = ()
    beyond: str | None = None
    made_by: tuple[str, Labels] | None = None
    guards: Sequence[Guard] | None = None

    def __post_init__(self) -> None:
        if self.name in _effects:
            raise ValueError(f"there are two effects of the name {self.name}")
        _effects[self.name] = self


_effects: dict[str, Effect] = {}


def effects() -> Mapping[str, Effect]:
    """All declarations by name, in order of declaration."""
    return _effects
