"""Triggers of an attached database, identified by their effects: what they write, and what the gateway leaves to them.

The platform's database has triggers of seven kinds, which can have other names or rules than ours. A trigger is
identified by its table and by its function's source, whatever its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from db.models.g04_composer_lifecycles import MEASURES_STEPS


@dataclass(frozen=True)
class TriggerKind:
    """A kind of trigger: the pattern of its function, the consequence of its absence, and what the gateway leaves to
    it."""

    table: str
    does: str
    """A regular expression for the source of the function."""
    lost: str = ""
    """The consequence of its absence; empty if the gateway does the same itself."""
    theirs: str = ""
    """The consequence if it differs from the trigger of the gateway's migrations."""


OURS = frozenset(
    {
        "queue_for_champion", "keep_single_champion", "raise_drift_alert", "grade_twin_fidelity",
        "refresh_fidelity_of_tracked", "refresh_fidelity_of_simulated", "grade_fidelity_comparison",
        "keep_locked_cohort", "set_updated_at", "tell_of_alerts", "mark_rollup", "mark_state",
    }
)  # fmt: skip
"""The trigger functions of the gateway's migrations."""

KNOWN = (
    TriggerKind(
        "ml_model_registry", r"is_champion",
        "the database does not keep at most one champion per experiment",
        "it clears an experiment's other champions by itself, and two transactions outside the gateway may leave two",
    ),
    TriggerKind(
        "ml_drift_history", r"insert\s+into\s+(\w+\.)?ml_monitoring_alerts",
        "drift of medium or higher severity raises no alert",
        "it raises the alert of a recorded drift, so the gateway raises none",
    ),
    TriggerKind(
        "twin_fidelity_tracking", r"fidelity_grade\s*:=|prediction_error\s*:=",
        "fidelity and grade are not computed when actual results are recorded",
        "it grades twins by its own rules, and the graph shows what it stores",
    ),
    TriggerKind(
        "twin_fidelity_tracking", r"digital_twin_models|refresh_twin_model_fidelity",
        "the fidelity of twin models does not follow their validations",
        "it works the fidelity of twin models out by its own rules",
    ),
    TriggerKind(
        "ab_fidelity_comparisons", r"fidelity_score\s*:=|fidelity_grade\s*:=|prediction_error\s*:=",
        "prediction errors and fidelity scores are not computed",
        "it grades comparisons by its own rules, and the graph shows what it stores",
    ),
    TriggerKind(
        "composition_steps", MEASURES_STEPS,
        theirs="it records the measurement of a step that ends, so `moveStep` adds none",
    ),
    TriggerKind("ml_shap_analyses", r"explanation_id", theirs="it names explanations that have no id"),
)  # fmt: skip
"""The platform's kinds of triggers, other than those that set the time of the last change."""


def lacking(table: str, triggers: Mapping[str, str]) -> Iterator[str]:
    """The consequences of triggers that a table lacks; ``triggers`` are the sources of its trigger functions by
    name."""
    for known in KNOWN:
        if known.table == table and known.lost and not any(_does(known, text) for text in triggers.values()):
            yield known.lost


def left_to(table: str, triggers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The functions of a table's triggers that are of a known kind but not ours, with the consequence."""
    for known in KNOWN:
        for name, text in sorted(triggers.items()):
            if known.table == table and name not in OURS and known.theirs and _does(known, text):
                yield name, known.theirs


_GRADES = re.compile(r"\bfidelity_grade\s*:=\s*(?:\w+\.)?(\w+)\s*\(\s*NEW\.(\w*(?:score|error))\b", re.IGNORECASE)


def graders(triggers: Mapping[str, str]) -> set[tuple[str, bool]]:
    """The functions by which triggers grade fidelity, with whether they grade a score (higher is better) or an error
    (lower is better)."""
    found = (one for text in triggers.values() for one in _GRADES.findall(text))
    return {(function.lower(), what.lower().endswith("score")) for function, what in found}


def graded_alike(tables: Mapping[str, Mapping[str, str]], overloads: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """The tables whose fidelity scores are graded by a function that another table's trigger applies to errors, with
    that function: it cannot be right for both. ``overloads`` are the numbers of functions per name."""
    by_table = {table: graders(triggers) for table, triggers in tables.items()}
    of_errors = {function for found in by_table.values() for function, is_score in found if not is_score}
    for table, found in sorted(by_table.items()):
        for function, is_score in sorted(found):
            if is_score and function in of_errors and overloads.get(function) == 1:
                yield table, function


def _does(known: TriggerKind, text: str) -> bool:
    return re.search(known.does, text, re.IGNORECASE) is not None
