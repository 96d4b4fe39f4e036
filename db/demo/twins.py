"""Digital twins: models, simulations, and the experiments whose effects they predicted.

Of five simulations that recommended deployment, the A/B tests graded one excellent, one good, one fair and one poor;
the fifth test is running, so its prediction is unvalidated. The poor one is the e-mail cadence of Remibrutinib
(``Remibrutinib email cadence``): predicted 0.120, actual 0.048. The database computes errors and grades.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from db.demo.rows import Row
from db.demo.trials import Trial, run_trial
from db.demo.vocabulary import BRANDS, FABHALTA, FEATURES, KISQALI, REGIONS, REMIBRUTINIB, SPECIALTIES
from db.demo.world import Case, Document, World
from db.models.g01_mlops_core import TrainingRun
from db.models.g03_digital_twin import TwinFidelity, TwinModel, TwinSimulation
from db.models.g08_ab_results import FidelityComparison

INTERVENTIONS = (
    "email_campaign", "call_frequency_increase", "speaker_program_invitation", "sample_distribution",
    "peer_influence_activation", "digital_engagement",
)  # fmt: skip


@dataclass(frozen=True)
class TwinCase:
    """The values of a twin model that simulations need."""

    id: UUID
    kind: str
    brand: str
    born: datetime


@dataclass(frozen=True)
class Foretold:
    """A simulation with the actual effect, None while the test runs."""

    intervention: str
    predicted: float
    actual: float | None
    unit: str
    method: str
    notes: str
    confounding: tuple[str, ...] = ()


STORIES = {
    "poor": Foretold(
        "email_campaign", 0.12, 0.048, "hcp", "stratified",
        "The twins never saw HCPs who had opted out of e-mail.", ("opt-out wave", "competitor launch"),
    ),
    "excellent": Foretold(
        "call_frequency_increase", 0.105, 0.101, "hcp", "block", "As foretold in every decile.",
    ),
    "good": Foretold("speaker_program_invitation", 0.082, 0.071, "account", "cluster", "Too high in the west."),
    "fair": Foretold("sample_distribution", 0.066, 0.09, "territory", "adaptive", "Stock was short in two regions."),
    "unvalidated": Foretold("digital_engagement", 0.055, None, "patient", "simple", "The test still runs."),
}  # fmt: skip


def twin_models(world: World) -> list[TwinCase]:
    """A model per population and brand; one is retired."""
    kinds = (
        ("hcp", REMIBRUTINIB), ("hcp", KISQALI), ("hcp", FABHALTA), ("patient", FABHALTA), ("patient", KISQALI),
        ("territory", "All"),
    )  # fmt: skip
    made = [_twin_model(world, kind, brand, number) for number, (kind, brand) in enumerate(kinds)]
    _twin_model(world, "hcp", REMIBRUTINIB, len(kinds), retired=True)
    return made


def _twin_model(world: World, kind: str, brand: str, number: int, *, retired: bool = False) -> TwinCase:
    born = world.ago(days=420 if retired else 260 - 10 * number)
    run = world.hex(32)
    scores = [world.between(0.6, 0.8) for _ in range(5)]
    row = world.rows.add(
        TwinModel,
        model_name=f"{brand} {kind} twins",
        model_description=f"Generates synthetic {kind} populations for {brand}.",
        twin_type=kind,
        model_version="1.0.0" if retired else "2.0.0",
        mlflow_run_id=run,
        mlflow_model_uri=f"runs:/{run}/twin",
        training_config={"algorithm": "random_forest", "n_estimators": 500, "max_depth": 12, "cv_folds": 5},
        feature_columns=[feature.name for feature in FEATURES if feature.entity != "treatment"][number : number + 12],
        target_columns=["prescribing_change"],
        performance_metrics={
            "r2_score": round(sum(scores) / 5, 4), "rmse": world.between(0.05, 0.12), "mae": world.between(0.03, 0.08),
            "cv_scores": scores,
        },
        is_active=not retired,
        activation_date=born + timedelta(days=3),
        deactivation_date=world.ago(days=250) if retired else None,
        deactivation_reason="Replaced by version 2.0.0." if retired else None,
        brand=brand,
        geographic_scope="national",
        created_by="experiment_designer",
        created_at=born,
        updated_at=world.ago(days=250) if retired else born + timedelta(days=3),
    )  # fmt: skip
    world.rows.add(
        TrainingRun,
        id=UUID(run),  # derived from the run, so that no random number is drawn for it
        run_name=f"{brand}-{kind}-twins".lower(),
        mlflow_run_id=run,
        algorithm="random_forest",
        hyperparameters=row["training_config"],
        training_samples=50_000,
        feature_names=row["feature_columns"],
        validation_metrics=row["performance_metrics"],
        status="completed",
        started_at=born - timedelta(hours=2),
        completed_at=born - timedelta(minutes=20),
        duration_seconds=6_000,
        compute_type="cpu-16",
    )
    return TwinCase(row["model_id"], kind, brand, born)


def add_story(world: World, twins: list[TwinCase], cases: dict[str, Case]) -> None:
    """The five simulations and their experiments; ``cases`` has the experiment of each by grade, or `unvalidated`."""
    for number, (name, story) in enumerate(STORIES.items()):
        case = cases[name]
        started = world.ago(days=30 if story.actual is None else 90 - number)
        simulation = simulate(
            world, _twin_for(twins, case, story.unit), "completed", started - timedelta(days=5),
            intervention=story.intervention, effect=story.predicted, advice="deploy", case=case,
        )  # fmt: skip
        follow(world, case, simulation, story, started)


def _twin_for(twins: list[TwinCase], case: Case, unit: str) -> TwinCase:
    kind = "hcp" if unit == "account" else unit
    fitting = [twin for twin in twins if twin.kind == kind and twin.brand in {case.topic.brand, "All"}]
    return fitting[0] if fitting else twins[0]


def unfinished(world: World, twin: TwinCase) -> None:
    """Simulations that are pending, running or failed, or recommended against the experiment."""
    for status, minutes in (("pending", 3), ("running", 9), ("failed", 600)):
        simulate(world, twin, status, world.ago(minutes=minutes))
    for advice, effect in (("skip", 0.004), ("refine", 0.021)):
        simulate(world, twin, "completed", world.ago(days=20), effect=effect, advice=advice)


def plain(world: World, twins: list[TwinCase], case: Case) -> None:
    """Five simulations for an experiment; the one that recommended deployment was followed by an A/B test."""
    twin = _twin_for(twins, case, case.topic.entity)
    asked = world.after(case.created, 600, 4_000)
    for number in range(4):
        advice = ("skip", "refine", "refine", "deploy")[number]
        effect = world.between(0.002, 0.03) if advice != "deploy" else world.between(0.04, 0.15)
        simulate(world, twin, "completed", asked + timedelta(hours=number), effect=effect, advice=advice, case=case)
    chosen = simulate(
        world,
        twin,
        "completed",
        asked + timedelta(hours=5),
        effect=world.between(0.04, 0.15),
        advice="deploy",
        case=case,
    )
    real = round(chosen["simulated_ate"] * world.rng.gauss(0.95, 0.22), 4)
    story = Foretold(
        chosen["intervention_type"], chosen["simulated_ate"], real, twin.kind, "stratified", "Within plan."
    )
    follow(world, case, chosen, story, asked + timedelta(days=5))


def simulate(
    world: World,
    twin: TwinCase,
    status: str,
    asked: datetime,
    *,
    intervention: str | None = None,
    effect: float | None = None,
    advice: str | None = None,
    case: Case | None = None,
) -> Row:
    """A simulation; it has no result if ``effect`` is None."""
    error = round((effect or 0) * world.between(0.14, 0.2), 5) or 0.01
    started = None if status == "pending" else asked + timedelta(minutes=1)
    done = status in {"completed", "failed"}
    lasted = world.rng.randint(4_000, 90_000)
    doubtful = advice == "refine"
    brand = twin.brand if twin.brand != "All" else world.pick(BRANDS)
    specialty = world.pick(SPECIALTIES.get(brand, ("internist",)))
    known = effect is not None
    return world.rows.add(
        TwinSimulation,
        model_id=twin.id,
        experiment_design_id=case.id if case else None,
        intervention_type=intervention or world.pick(INTERVENTIONS),
        intervention_config={"channel": "email", "frequency_per_month": world.rng.randint(1, 6), "duration_weeks": 8},
        target_population=twin.kind,
        population_filters={"specialty": [specialty], "decile_min": 6, "region": world.pick(REGIONS)},
        twin_count=world.pick((5_000, 10_000, 20_000)),
        simulated_ate=effect,
        simulated_ci_lower=round(effect - 1.96 * error, 5) if effect is not None else None,
        simulated_ci_upper=round(effect + 1.96 * error, 5) if effect is not None else None,
        simulated_std_error=error if known else None,
        effect_heterogeneity=_heterogeneity(world, effect) if effect is not None else {},
        simulation_status=status,
        recommendation=advice,
        recommendation_rationale=RATIONALES.get(advice or ""),
        recommended_sample_size=world.pick((60, 120, 240)) if advice == "deploy" else None,
        recommended_duration_weeks=8 if advice == "deploy" else None,
        simulation_confidence=world.between(0.55, 0.92) if known else None,
        fidelity_warning=doubtful,
        fidelity_warning_reason="Fewer than three validations of the twin model." if doubtful else None,
        execution_time_ms=lasted if done else None,
        memory_usage_mb=world.rng.randint(300, 2_000) if done else None,
        brand=brand,
        error_message="Population filters leave no twins." if status == "failed" else None,
        requested_by="experiment_designer",
        created_at=asked,
        started_at=started,
        completed_at=started + timedelta(milliseconds=lasted) if started and done else None,
    )


RATIONALES = {
    "deploy": "The effect is above the least one of interest and its interval leaves out zero.",
    "skip": "The effect is below the least one of interest.",
    "refine": "The effect is there in upper deciles only; narrow the target segment.",
}


def _heterogeneity(world: World, effect: float) -> Document:
    return {
        f"decile_{low}_{low + 1}": {
            "ate": round(effect * world.between(0.6, 1.5), 4),
            "n": world.rng.randint(400, 2_000),
        }
        for low in (5, 7, 9)
    }


def follow(world: World, case: Case, simulation: Row, story: Foretold, started: datetime) -> None:
    """The A/B test that followed a simulation, and the comparison of its effect with the prediction."""
    trial = Trial(case, story.unit, story.method, started, story.actual)
    result = run_trial(world, trial)
    common: Document = {
        "simulation_id": simulation["simulation_id"],
        "actual_experiment_id": case.id,
        "simulated_ate": simulation["simulated_ate"],
        "simulated_ci_lower": simulation["simulated_ci_lower"],
        "simulated_ci_upper": simulation["simulated_ci_upper"],
        "confounding_factors": list(story.confounding),
        "validation_notes": story.notes,
        "created_at": started,
    }
    if result is None:
        world.rows.add(TwinFidelity, validated_at=None, **common)
        return
    known = result["computed_at"] + timedelta(hours=2)
    size = result["control_n"] + result["treatment_n"]
    actual = {
        "actual_ci_lower": result["effect_ci_lower"],
        "actual_ci_upper": result["effect_ci_upper"],
        "actual_sample_size": size,
    }
    world.rows.add(
        TwinFidelity, actual_ate=result["effect_estimate"], validated_by="experiment_monitor", validated_at=known,
        **common, **actual,
    )  # fmt: skip
    bias = result["effect_estimate"] - simulation["simulated_ate"]
    applied = abs(bias) > 0.01
    world.rows.add(
        FidelityComparison,
        experiment_id=case.id,
        twin_simulation_id=simulation["simulation_id"],
        results_id=result["id"],
        comparison_timestamp=known,
        comparison_type="final",
        predicted_effect=simulation["simulated_ate"],
        predicted_ci_lower=simulation["simulated_ci_lower"],
        predicted_ci_upper=simulation["simulated_ci_upper"],
        predicted_sample_size=simulation["recommended_sample_size"],
        actual_effect=result["effect_estimate"],
        calibration_adjustment={"bias_correction": round(bias, 5), "variance_scaling": 1.1},
        feedback_applied_to_model=applied,
        feedback_applied_at=known + timedelta(days=1) if applied else None,
        compared_by="experiment_monitor",
        **actual,
    )  # fmt: skip
