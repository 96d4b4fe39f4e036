"""A/B tests: assignment, enrollment, interim analyses, results and sample ratio checks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import NormalDist

from db.demo.rows import Row
from db.demo.vocabulary import REGIONS, SPECIALTIES
from db.demo.world import Case, Document, World, sha256, spread
from db.models.g08_ab_results import ExperimentResult, SrmCheck
from db.models.g08_ab_testing import Assignment, Enrollment, InterimAnalysis

NORMAL = NormalDist()
STATUSES = (("completed", 20), ("withdrawn", 2), ("excluded", 1), ("lost_to_followup", 1.5))
PREFIX = {"hcp": "HCP", "patient": "PAT", "territory": "TER", "account": "ACC"}
WEEKS = 8


@dataclass(frozen=True)
class Trial:
    """An A/B test; ``effect`` is its estimated effect, None while it runs."""

    case: Case
    unit: str
    method: str
    started: datetime
    effect: float | None


def run_trial(world: World, trial: Trial) -> Row | None:
    """Adds all rows of a test; returns its final intention-to-treat result, None while it runs."""
    running = trial.effect is None
    arms = _assign(world, trial)
    _enroll(world, trial, arms)
    _ratio_check(world, trial, arms)
    found = trial.effect if trial.effect is not None else 0.05
    _interim(world, trial, arms, found, 1, 0.5)
    if running:
        return None
    _interim(world, trial, arms, found, 2, 0.75)
    _result(world, trial, arms, found, "interim", "itt", 5)
    final = _result(world, trial, arms, found, "final", "itt", WEEKS)
    _result(world, trial, arms, found * 1.12, "final", "per_protocol", WEEKS)
    _result(world, trial, arms, found * 1.06, "post_hoc", "cace" if trial.unit == "hcp" else "as_treated", WEEKS + 1)
    return final


def _assign(world: World, trial: Trial) -> dict[str, list[Row]]:
    arms: dict[str, list[Row]] = {"control": [], "treatment_a": []}
    specialties = SPECIALTIES.get(trial.case.topic.brand, ("internist",))
    for number in range(world.size.trial_units):
        unit = f"{PREFIX[trial.unit]}-{trial.case.id.hex[:6]}-{number:05d}"
        variant = "control" if number % 2 == 0 else "treatment_a"
        stratified = trial.method == "stratified"
        row = world.rows.add(
            Assignment,
            experiment_id=trial.case.id,
            unit_id=unit,
            unit_type=trial.unit,
            variant=variant,
            assigned_at=trial.started + timedelta(minutes=number),
            randomization_method=trial.method,
            stratification_key={"region": world.pick(REGIONS), "specialty": world.pick(specialties)}
            if stratified
            else {},
            block_id=f"block-{number // 4}" if trial.method == "block" else None,
            assignment_hash=sha256(f"{trial.case.id}:{unit}:{variant}"),
            created_by="experiment_designer",
        )
        arms[variant].append(row)
    return arms


def _enroll(world: World, trial: Trial, arms: dict[str, list[Row]]) -> None:
    for row in [*arms["control"], *arms["treatment_a"]]:
        if world.chance(0.06):
            continue  # assigned, never enrolled
        status = spread(STATUSES, world.rng)
        if status == "completed" and trial.effect is None:
            status = "active"
        asked = row["assigned_at"] + timedelta(hours=world.rng.randint(2, 60))
        gone = status == "withdrawn"
        world.rows.add(
            Enrollment,
            assignment_id=row["id"],
            enrolled_at=asked + timedelta(hours=1),
            enrollment_status=status,
            eligibility_criteria_met={
                "active_prescriber": True,
                "consented": True,
                "no_other_trial": status != "excluded",
            },
            eligibility_check_timestamp=asked,
            consent_timestamp=asked + timedelta(minutes=30),
            consent_method=world.pick(("email", "phone", "in_person", "implied")),
            consent_version="v2.1",
            withdrawal_timestamp=world.after(asked, 4_000, 40_000) if gone else None,
            withdrawal_reason=world.pick(("Changed practice.", "No time for the programme.")) if gone else None,
            withdrawal_initiated_by=world.pick(("subject", "investigator", "sponsor", "system")) if gone else None,
            protocol_deviations=[_deviation(asked + timedelta(days=9))] if world.chance(0.05) else [],
        )


def _deviation(moment: datetime) -> Document:
    return {"date": moment.date().isoformat(), "type": "missed_touchpoint", "severity": "minor"}


def _interim(
    world: World, trial: Trial, arms: dict[str, list[Row]], effect: float, number: int, fraction: float
) -> None:
    """An O'Brien-Fleming analysis: little alpha is spent early, and the test continues unless it is conclusive."""
    total = sum(map(len, arms.values()))
    seen = round(total * fraction)
    error = 0.032 * math.sqrt(400 / max(seen, 1)) * 0.3
    z = effect / error
    p_value = 2 * (1 - NORMAL.cdf(abs(z)))
    bound = NORMAL.inv_cdf(0.975) / math.sqrt(fraction)
    spent = 2 * (1 - NORMAL.cdf(bound))
    before = 2 * (1 - NORMAL.cdf(NORMAL.inv_cdf(0.975) / math.sqrt(0.5))) if number == 2 else 0.0
    decision = world.pick(DECISIONS) if number == 1 else "continue"
    world.rows.add(
        InterimAnalysis,
        experiment_id=trial.case.id,
        analysis_number=number,
        performed_at=trial.started + timedelta(weeks=WEEKS * fraction),
        analysis_type="scheduled" if number == 1 else "ad_hoc",
        information_fraction=fraction,
        sample_size_at_analysis=seen,
        target_sample_size=total,
        spending_function="obrien_fleming",
        alpha_spent=round(spent - before, 6),
        cumulative_alpha_spent=round(spent, 6),
        adjusted_alpha=round(spent, 6),
        test_statistic=round(z, 4),
        standard_error=round(error, 5),
        p_value=round(p_value, 6),
        effect_estimate=round(effect * world.between(0.85, 1.1), 5),
        effect_ci_lower=round(effect - 1.96 * error, 5),
        effect_ci_upper=round(effect + 1.96 * error, 5),
        conditional_power=world.between(0.55, 0.95),
        predictive_probability=world.between(0.5, 0.93),
        decision=decision,
        decision_rationale="The boundary was not crossed."
        if decision == "continue"
        else "Enrollment was slower than planned.",
        metrics_snapshot={"n": {name: round(len(units) * fraction) for name, units in arms.items()}},
        performed_by="experiment_monitor",
        approved_by="r.garcia",
    )


DECISIONS = (*["continue"] * 7, "modify_sample")


def _result(
    world: World, trial: Trial, arms: dict[str, list[Row]], effect: float, kind: str, method: str, week: int
) -> Row:
    control, treatment = len(arms["control"]), len(arms["treatment_a"])
    if method != "itt":
        control, treatment = round(control * 0.93), round(treatment * 0.9)
    effect = round(effect, 5)
    mean = world.between(0.4, 0.9)
    error = max(0.004, abs(effect) * world.between(0.2, 0.3))
    z = effect / error
    p_value = round(2 * (1 - NORMAL.cdf(abs(z))), 6)
    lower, upper = round(effect - 1.96 * error, 5), round(effect + 1.96 * error, 5)
    computed = trial.started + timedelta(weeks=week)
    final = kind == "final"
    return world.rows.add(
        ExperimentResult,
        experiment_id=trial.case.id,
        analysis_type=kind,
        analysis_method=method,
        computed_at=computed,
        primary_metric=trial.case.topic.target,
        primary_metric_type="continuous",
        control_mean=mean,
        control_std=round(error * math.sqrt(control / 2), 5),
        control_median=round(mean * 0.97, 5),
        control_n=control,
        treatment_mean=round(mean + effect, 5),
        treatment_std=round(error * math.sqrt(treatment / 2), 5),
        treatment_median=round((mean + effect) * 0.97, 5),
        treatment_n=treatment,
        effect_estimate=effect,
        effect_type="absolute",
        effect_ci_lower=lower,
        effect_ci_upper=upper,
        confidence_level=0.95,
        test_statistic=round(z, 4),
        test_type="t_test",
        p_value=p_value,
        is_significant=p_value < 0.05,
        adjusted_p_value=min(1.0, round(2 * p_value, 6)),
        observed_power=world.between(0.7, 0.97),
        minimum_detectable_effect=round(2.8 * error, 5),
        secondary_metrics=[
            {"metric": "trx_total", "effect": round(effect * 1.4, 4), "p_value": 0.04, "is_significant": True}
        ],
        segment_results={region: {"effect": round(effect * world.between(0.5, 1.5), 4)} for region in REGIONS},
        covariates_adjusted=["hcp_decile", "region"],
        adjusted_effect_estimate=round(effect * 0.98, 5),
        adjusted_ci_lower=round(lower * 0.98, 5),
        adjusted_ci_upper=round(upper * 0.98, 5),
        missing_rate_control=world.between(0.0, 0.05),
        missing_rate_treatment=world.between(0.0, 0.05),
        outliers_removed=world.rng.randint(0, 3),
        computed_by="experiment_monitor",
        approved_by="r.garcia" if final else None,
        approval_timestamp=computed + timedelta(hours=1) if final else None,
    )


def _ratio_check(world: World, trial: Trial, arms: dict[str, list[Row]]) -> None:
    counts = {name: len(units) for name, units in arms.items()}
    check_ratio(world, trial.case, counts, trial.started + timedelta(weeks=1))


def check_ratio(world: World, case: Case, counts: dict[str, int], moment: datetime, **more: object) -> None:
    """A check for equal arms; statistic, p-value and severity are computed from the counts."""
    expected = sum(counts.values()) / len(counts)
    statistic = sum((count - expected) ** 2 / expected for count in counts.values())
    p_value = math.erfc(math.sqrt(statistic / 2))  # one degree of freedom
    severity = next(label for label, bound in SRM_BOUNDS if p_value > bound)
    values: Document = {
        "experiment_id": case.id,
        "checked_at": moment,
        "check_type": "scheduled",
        "expected_ratio": {name: 1 / len(counts) for name in counts},
        "actual_counts": counts,
        "chi_squared_statistic": round(statistic, 5),
        "degrees_of_freedom": len(counts) - 1,
        "p_value": p_value,
        "is_srm_detected": severity != "none",
        "severity": severity,
        "deviation_percent": round(100 * max(abs(count - expected) for count in counts.values()) / expected, 3),
    }
    world.rows.add(SrmCheck, **(values | more))


SRM_BOUNDS = (("none", 0.05), ("minor", 0.01), ("moderate", 0.001), ("severe", -1.0))


def mismatches(world: World, case: Case) -> None:
    """Sample ratio checks of every severity: a redirect lost treated units until it was fixed."""
    week = world.ago(days=30)
    for number, counts in enumerate(((570, 500), (590, 500), (700, 512))):
        arms = dict(zip(("control", "treatment_a"), counts, strict=True))
        solved: Document = {
            "check_type": "triggered" if number else "scheduled",
            "investigation_notes": "Units behind one proxy never reached the treatment page.",
            "root_cause": world.pick(("tracking_bug", "bot_traffic", "assignment_bug", "unknown")),
            "resolution_action": "The redirect was repaired; units since then were assigned anew.",
            "resolved_at": week + timedelta(days=8),
            "resolved_by": "experiment_monitor",
        }
        check_ratio(world, case, arms, week + timedelta(days=number), **solved)


def stopped(world: World, cases: list[Case]) -> None:
    """Third interim analyses, which stopped an experiment early or modified it."""
    for case, (decision, why, effect, p_value) in zip(cases, STOPS, strict=False):
        world.rows.add(
            InterimAnalysis,
            experiment_id=case.id,
            analysis_number=3,
            performed_at=world.ago(days=18),
            analysis_type="triggered",
            information_fraction=0.8,
            sample_size_at_analysis=320,
            target_sample_size=400,
            spending_function="obrien_fleming",
            alpha_spent=0.0114,
            cumulative_alpha_spent=0.0258,
            adjusted_alpha=0.0258,
            test_statistic=round(NORMAL.inv_cdf(1 - p_value / 2), 4),
            standard_error=round(abs(effect) / NORMAL.inv_cdf(1 - p_value / 2), 5),
            p_value=p_value,
            effect_estimate=effect,
            conditional_power=0.97 if decision == "stop_efficacy" else 0.06,
            predictive_probability=0.96 if decision == "stop_efficacy" else 0.04,
            decision=decision,
            decision_rationale=why,
            metrics_snapshot={"n": {"control": 160, "treatment_a": 160}},
            performed_by="experiment_monitor",
            approved_by="d.lindqvist",
        )


STOPS = (
    ("stop_efficacy", "The O'Brien-Fleming boundary was crossed.", 0.14, 0.0009),
    ("stop_futility", "Conditional power fell to 6%.", 0.006, 0.71),
    ("modify_sample", "Enrollment was slower than planned.", 0.045, 0.048),
    ("stop_safety", "More adverse event reports in the treatment arm.", 0.02, 0.21),
)
