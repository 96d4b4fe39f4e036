"""The mapping to OpenLineage: rows of processes are runs, each of a job of its own; all others are datasets."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from schema.catalogue import ids

START, RUNNING, COMPLETE, FAIL, ABORT, OTHER = "START", "RUNNING", "COMPLETE", "FAIL", "ABORT", "OTHER"
"""Event types of a run."""


@dataclass(frozen=True)
class RunTimes:
    """The fields with the start and the end of a type's rows; ``ended`` is None if rows have no end."""

    began: str
    ended: str | None = None


RUNS: Mapping[str, RunTimes] = {
    "CohortExecution": RunTimes("executionTimestamp"),
    "ComposerEpisode": RunTimes("createdAt", "completedAt"),
    "CompositionStep": RunTimes("startedAt", "completedAt"),
    "DiscoveryAlgorithmRun": RunTimes("createdAt"),
    "HpoStudy": RunTimes("startedAt", "completedAt"),
    "HpoTrial": RunTimes("datetimeStart", "datetimeComplete"),
    "MaterializationJob": RunTimes("startedAt", "completedAt"),
    "MonitoringRun": RunTimes("startedAt", "completedAt"),
    "ObservabilitySpan": RunTimes("startedAt", "endedAt"),
    "PromptAbTest": RunTimes("startedAt", "endedAt"),
    "PromptOptimizationRun": RunTimes("startedAt", "completedAt"),
    "Retraining": RunTimes("triggeredAt", "completedAt"),
    "TrainingRun": RunTimes("startedAt", "completedAt"),
    "TwinSimulation": RunTimes("startedAt", "completedAt"),
}
"""The types whose rows are runs. Rows of all other types are datasets."""

WAITING = frozenset("PENDING WAITING DRAFT APPROVED PARTIAL ROLLED_BACK".split())  # noqa: SIM905 - no code of an error
"""States of runs before their start, after a partial end, or after their end: `OTHER`."""
EVENT_TYPES: Mapping[str, str] = {
    **dict.fromkeys(
        ("RUNNING", "TRAINING", "VALIDATING", "DECOMPOSING", "PLANNING", "EXECUTING", "SYNTHESIZING"), RUNNING
    ),
    **dict.fromkeys(("COMPLETED", "COMPLETE", "FINISHED", "SUCCESS", "DEPLOYED"), COMPLETE),
    **dict.fromkeys(("FAILED", "FAIL", "ERROR"), FAIL),
    **dict.fromkeys(("KILLED", "PRUNED", "CANCELLED", "REJECTED", "STOPPED", "TIMEOUT"), ABORT),
}
"""The event type by the state of a run, as the graph names it."""
ENDS = frozenset({COMPLETE, FAIL, ABORT})


def is_run(type_name: str) -> bool:
    """Whether rows of a type are runs."""
    return type_name in RUNS


def event_type(state: str | None) -> str:
    """The event type for a state of a run."""
    return EVENT_TYPES.get((state or "").upper(), OTHER)


def run_id(node: str) -> str:
    """The UUID of a run: the row's own, or one derived from its global id."""
    key = node.partition(":")[2]
    try:
        return ids.read_uuid(key)
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, node))


def type_of(node: str) -> str:
    """The type of a row, by its global id."""
    return ids.type_of(node) or ""
