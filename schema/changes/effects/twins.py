"""Digital twins: checks of results, and the record of actual effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db.models.g03_twin_lifecycles import RECORD_ACTUAL_EFFECT, RECORDING_ACTUAL_EFFECT
from schema.changes.engine import Work
from schema.changes.mutations import mutation
from schema.changes.registry import check


def _within(given: Mapping[str, Any], effect: str, lower: str, upper: str) -> tuple[str, str] | None:
    """lower <= effect <= upper, as far as they are given."""
    low, value, high = given.get(lower), given.get(effect), given.get(upper)
    if low is not None and high is not None and low > high:
        return lower, f"{low} is greater than the upper bound {high}; the interval is upside down"
    if low is not None and value is not None and low > value:
        return lower, f"{low} is greater than the effect {value}"
    if high is not None and value is not None and high < value:
        return upper, f"{high} is less than the effect {value}"
    return None


@check
def effect_within_interval(given: Mapping[str, Any]) -> tuple[str, str] | None:
    if not 0 <= given.get("simulation_confidence", 0) <= 1:
        return "simulation_confidence", f"{given['simulation_confidence']} is out of range; pass 0 to 1"
    if given.get("recommended_sample_size", 1) < 1:
        return "recommended_sample_size", f"{given['recommended_sample_size']} is no sample size; pass 1 or more"
    return _within(given, "simulated_ate", "simulated_ci_lower", "simulated_ci_upper")


@check
def actual_within_interval(given: Mapping[str, Any]) -> tuple[str, str] | None:
    if given.get("actual_sample_size", 1) < 1:
        return "actual_sample_size", f"{given['actual_sample_size']} is no sample size; pass 1 or more"
    return _within(given, "actual_ate", "actual_ci_lower", "actual_ci_upper")


@mutation(
    RECORDING_ACTUAL_EFFECT,
    "Records the actual effect of an experiment beside a simulation's prediction; a trigger of the database computes "
    "errors, coverage and grade.",
    subject="TwinSimulation",
    given=RECORD_ACTUAL_EFFECT,
    checks=("actual_within_interval",),
)
async def record_actual_effect(work: Work) -> None:
    """Fills the simulation's open fidelity record, or adds one; outcomes that were recorded stay as they are."""
    simulation = await work.subject("TwinSimulation")
    await work.guard(RECORDING_ACTUAL_EFFECT, simulation)
    outcome = {**work.given, "validated_by": work.request.actor[:100]}
    open_ = await work.find(
        "TwinFidelity",
        "t.simulation_id::uuid = $1::text::uuid AND t.actual_ate IS NULL",
        simulation["simulation_id"],
        order="t.created_at DESC NULLS LAST, t.tracking_id DESC",
    )
    models = await work.find("TwinModel", "t.model_id::uuid = $1::text::uuid", simulation["model_id"])
    if open_:
        row = open_[0]
        await work.write(row, outcome)
    else:
        predicted = {name: simulation[name] for name in ("simulated_ate", "simulated_ci_lower", "simulated_ci_upper")}
        row = await work.insert("TwinFidelity", {"simulation_id": simulation["simulation_id"], **predicted, **outcome})
    work.touched(row.id)
    for model in models:  # which the trigger changes
        work.touched(model.id)
    after = await work.again(row)
    await work.record(row.id, "fidelity", "UNVALIDATED", (after["fidelity_grade"] or "unvalidated").upper())
