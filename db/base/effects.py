"""Declarations of what changes write and reach: effects of transitions, and special mutations.

An effect is declared beside the lifecycles that name it; its function in `schema.changes.effects` is bound to the
declaration, which says what the function writes, locks and reads, and along which edges. The grants of the database
role, the impact of a move and what a caller must be able to read are derived from it (`db.base.footprints`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

from db.base.vocabulary import Labels


@dataclass(frozen=True)
class Moves:
    """Rows that get another state with a change: their lifecycle by its key, ``Model.stage``, and the states.

    ``judged`` ones move as a mutation moves them: after the guards, and with the effects of the move.
    """

    lifecycle: str
    states: Sequence[Labels]
    judged: bool = False


@dataclass(frozen=True)
class Writes:
    """Columns that a change writes in rows of an entity.

    ``columns`` are those of rows that are there, ``added`` those of rows that it adds, ``triggered`` those that the
    database's own triggers fill in with either, where it has ours.
    """

    entity: str
    _: KW_ONLY
    columns: Sequence[str] = ()
    added: Sequence[str] = ()
    triggered: Sequence[str] = ()


@dataclass(frozen=True)
class Effect:
    """What a function writes and reaches: the effect of a move, or a mutation by its name.

    ``locks`` and ``reads`` name entities whose rows it locks, or reads, without writing them. ``ways`` are chains of
    ends of edges (``Deployment.previous_deployment``; ``~`` is the other end, ``*`` follows a chain to its end) from
    the row that moves, at whose ends rows change; ``beyond`` says in a sentence what changes that no edge leads to.
    ``made_by`` is a mutation's move as lifecycle and state, where the impact of that move is the mutation's.
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

    def __post_init__(self) -> None:
        if self.name in _effects:
            raise ValueError(f"there are two effects of the name {self.name}")
        _effects[self.name] = self


_effects: dict[str, Effect] = {}


def effects() -> Mapping[str, Effect]:
    """Every declaration by its name, in order of declaration."""
    return _effects
