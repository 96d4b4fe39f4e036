"""The impact of a transition: blockers, the rows that its effects change, and the rows that depend on them.

Effects declare the edges that they follow, so that nothing has to be executed.
"""

from __future__ import annotations

from collections.abc import Sequence

from db.base.effects import Effect, effects
from db.base.lifecycles import Lifecycle
from db.base.lineage import LineageKind
from db.base.vocabulary import Labels

SERVING = (LineageKind.DEPLOYED_AS, LineageKind.SERVED_BY, LineageKind.EXECUTED_AS)
"""Kinds of edges along which a row depends on the state of another."""


def set_off(lifecycle: Lifecycle, origin: Labels, to: Labels) -> list[Effect]:
    """The effects of a transition, in order; then that of the mutation that alone makes it, if there is one."""
    steps = lifecycle.steps(origin, to)
    found = [one for step in steps for one in (*step.before, *step.effects)]
    return found + [one for one in effects().values() if one.made_by == (lifecycle.key, to)]


def ways(lifecycle: Lifecycle, origin: Labels, to: Labels) -> list[Sequence[str]]:
    """The paths to the rows that a transition would change beside its own."""
    return [way for effect in set_off(lifecycle, origin, to) for way in effect.ways]


def unknown(lifecycle: Lifecycle, origin: Labels, to: Labels) -> list[str]:
    """What a transition would change that no path leads to."""
    return [effect.beyond for effect in set_off(lifecycle, origin, to) if effect.beyond]
