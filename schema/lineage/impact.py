"""The impact of a change of state: blockers, the rows of its effects, and the rows that depend on them.

Which edges effects follow is declared with them, so that nothing needs to be written to know.
"""

from __future__ import annotations

from collections.abc import Sequence

from db.base.effects import Effect, effects
from db.base.lifecycles import Lifecycle
from db.base.lineage import LineageKind
from db.base.vocabulary import Labels

SERVING = (LineageKind.DEPLOYED_AS, LineageKind.SERVED_BY, LineageKind.EXECUTED_AS)
"""Edges along which a row depends on the state of another."""


def set_off(lifecycle: Lifecycle, origin: Labels, to: Labels) -> list[Effect]:
    """What a move sets off, in order; then the mutation that alone makes it, where there is one."""
    steps = lifecycle.steps(origin, to)
    found = [one for step in steps for one in (*step.before, *step.effects)]
    return found + [one for one in effects().values() if one.made_by == (lifecycle.key, to)]


def ways(lifecycle: Lifecycle, origin: Labels, to: Labels) -> list[Sequence[str]]:
    """The ways to the rows that a move would change beside its own."""
    return [way for effect in set_off(lifecycle, origin, to) for way in effect.ways]


def unknown(lifecycle: Lifecycle, origin: Labels, to: Labels) -> list[str]:
    """What a move would change that cannot be followed."""
    return [effect.beyond for effect in set_off(lifecycle, origin, to) if effect.beyond]
