"""What a change of state would touch: what is in its way, the rows that its effects concern, and what depends on them.

Effects are functions that write; which edges they follow is said here, so that nothing needs to be written to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from db.base import Labels
from db.lifecycle import Lifecycle
from db.lineage import LineageKind
from db.models.g01_mlops_core import DeploymentStatus

SERVING = (LineageKind.DEPLOYED_AS, LineageKind.SERVED_BY, LineageKind.EXECUTED_AS)
"""Edges along which a row depends on the state of another."""

REACH: Mapping[str, Sequence[Sequence[str]]] = {
    "drain_replaced": [
        ["Deployment.previous_deployment"],
        ["Deployment.previous_deployment", "BentoService.deployment~"],
    ],
    "services_follow": [["BentoService.deployment~"]],
    "dethrone_others": [["Model.experiment", "Model.experiment~"]],
    "measure_tool": [["CompositionStep.tool"], ["ToolPerformance.step~"]],
    "expire_superseded": [["ExpertReview.supersedes"]],
    "count_trials": [["HpoTrial.study"]],
    "activate_winner": [["PromptAbTest.baseline_instruction"], ["PromptAbTest.treatment_instruction"]],
    "take_back_instructions": [["OptimizedInstruction.run~"]],
    "clear_champion": [],
    "clear_champion_unless_promoted": [],
    "deactivate_other_configurations": [],
    "deactivate_other_instructions": [],
    "settle_instructions": [],
}
"""Where an effect goes from the row that moves: chains of ends of edges, at whose ends it changes rows."""

_OTHER_INSTRUCTION = "The instruction that the agent and predictor use makes room: no edge leads there."

BEYOND: Mapping[str, str] = {
    "drain_replaced": "Whatever is active in its environment by then makes room: no edge leads to all of it.",
    "deactivate_other_configurations": "The configuration that is in use makes room: no edge leads there.",
    "deactivate_other_instructions": _OTHER_INSTRUCTION,
    "take_back_instructions": "What was in use before the run's instructions comes back: no edge leads there.",
    "activate_winner": _OTHER_INSTRUCTION,
}
"""What an effect changes that no edge leads to."""

ROLLBACK = ("Deployment", "status", DeploymentStatus.ROLLED_BACK.name)
"""Rolling a deployment back makes the newest healthy one of its chain active again, with its services."""


def effects(lifecycle: Lifecycle, origin: Labels, to: Labels) -> list[str]:
    """The names of what a move sets off, in order."""
    steps = lifecycle.steps(origin, to)
    return [name for step in steps for name in (*step.before, *step.effects)]


def ways(lifecycle: Lifecycle, origin: Labels, to: Labels) -> list[Sequence[str]]:
    """The ways to the rows that a move would change beside its own."""
    return [way for name in effects(lifecycle, origin, to) for way in REACH[name]]


def unknown(lifecycle: Lifecycle, origin: Labels, to: Labels) -> list[str]:
    """What a move would change that cannot be followed."""
    return [BEYOND[name] for name in effects(lifecycle, origin, to) if name in BEYOND]
