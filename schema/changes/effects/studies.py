"""Studies: counts and best trial, derived from the trials; checks of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db.models.g06_hpo_lifecycles import COUNT_OWN_TRIALS, COUNT_TRIALS
from schema.changes.engine import Transition, Work
from schema.changes.registry import check, effect
from schema.changes.rows import Row, Sql


@check
def rows_not_negative(given: Mapping[str, Any]) -> tuple[str, str] | None:
    if given.get("rows_materialized", 0) < 0:
        return "rows_materialized", f"{given['rows_materialized']} is negative"
    return None


def _count(state: str) -> Sql:
    return Sql(f"(SELECT count(*) FROM ml_hpo_trials AS h WHERE h.study_id = t.id AND h.state = '{state}')")


_BEST = (
    "(SELECT h.{column} FROM ml_hpo_trials AS h WHERE h.study_id = t.id AND h.state = 'COMPLETE' "
    "AND h.value IS NOT NULL AND h.value <> 'NaN' "
    "ORDER BY CASE WHEN t.direction = 'minimize' THEN h.value ELSE -h.value END, h.trial_number LIMIT 1)"
)


@effect(COUNT_TRIALS)
async def count_trials(work: Work, transition: Transition) -> None:
    """Counts the study's trials again and finds its best one, by the direction of the study; the first of equals."""
    for study in await work.find("HpoStudy", "t.id::uuid = $1::text::uuid", transition.row["study_id"]):
        await _count_trials(work, study)
        work.touched(study.id)


@effect(COUNT_OWN_TRIALS)
async def count_own_trials(work: Work, transition: Transition) -> None:
    """The same for a study that ends; one without trials here keeps what was said of it."""
    there = "SELECT true FROM ml_hpo_trials AS h WHERE h.study_id::uuid = $1::text::uuid LIMIT 1"
    if await work.fetch(there, transition.row["id"]):
        await _count_trials(work, transition.row)


async def _count_trials(work: Work, study: Row) -> None:
    best = {
        f"best_{name}": Sql(_BEST.replace("{column}", column))
        for name, column in (("trial_number", "trial_number"), ("value", "value"), ("params", "params"))
    }
    counts = {
            "n_trials": Sql("(SELECT count(*) FROM ml_hpo_trials AS h WHERE h.study_id = t.id AND h.state IN "
                            "('COMPLETE', 'PRUNED', 'FAIL'))"),
            "n_completed": _count("COMPLETE"),
            "n_pruned": _count("PRUNED"),
            "n_failed": _count("FAIL"),
        }  # fmt: skip
    await work.write(study, {**counts, **best})
