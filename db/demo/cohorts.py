"""Cohorts: definitions, executions, the eligibility funnel, patients, and a comparison.

The story is the cohort ``csu-refractory``: its criteria reduce 12,480 CSU patients to those who still have hives on
antihistamines, the funnel of the execution adds up, and ``csu-refractory-vs-broad`` compares it with a broader version.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from db.demo.vocabulary import FABHALTA, KISQALI, REMIBRUTINIB
from db.demo.world import Document, World, sha256
from db.models.g14_cohort_constructor import (
    CohortComparison,
    CohortDefinition,
    CohortEligibilityLog,
    CohortExecution,
    PatientCohortAssignment,
)


@dataclass(frozen=True)
class Criterion:
    """An eligibility criterion and the share (0-1) of patients that it removes."""

    name: str
    kind: str
    field: str
    operator: str
    value: object
    removes: float
    why: str


@dataclass(frozen=True)
class CohortSpec:
    """A cohort definition and the number of patients of its source population."""

    id: str
    brand: str
    indication: str
    version: str
    status: str
    population: int
    criteria: tuple[Criterion, ...]


ADULT = Criterion("Adults", "inclusion", "patient_age", ">=", 18, 0.06, "The label is for adults.")
FOLLOWED = Criterion("Follow-up complete", "temporal", "followup_days", ">=", 90, 0.11, "Outcomes need 90 days.")
CSU = (
    Criterion("CSU diagnosis", "inclusion", "diagnosis_code", "in", ["L50.1", "L50.8"], 0.09, "Spontaneous urticaria."),
    ADULT,
    Criterion("Antihistamine tried", "inclusion", "antihistamine_trials", ">=", 1, 0.14, "First line comes first."),
)
SPECS = (
    CohortSpec(
        "csu-refractory", REMIBRUTINIB, "chronic spontaneous urticaria", "1.1.0", "active", 12_480,
        (
            *CSU,
            Criterion("Still symptomatic", "inclusion", "urticaria_activity_score", ">", 16, 0.31, "Uncontrolled."),
            Criterion("On omalizumab", "exclusion", "current_therapy", "=", "omalizumab", 0.08, "Another mechanism."),
            FOLLOWED,
        ),
    ),
    CohortSpec(
        "csu-broad", REMIBRUTINIB, "chronic spontaneous urticaria", "1.0.0", "archived", 12_480, (*CSU, FOLLOWED),
    ),
    CohortSpec(
        "pnh-c5-experienced", FABHALTA, "paroxysmal nocturnal hemoglobinuria", "1.0.0", "locked", 1_920,
        (
            ADULT,
            Criterion("On a C5 inhibitor", "inclusion", "current_therapy", "in", ["C5"], 0.37, "Switch population."),
            Criterion("Anemic", "inclusion", "hemoglobin_g_dl", "<", 10.5, 0.29, "Residual anemia."),
            FOLLOWED,
        ),
    ),
    CohortSpec(
        "ebc-high-risk", KISQALI, "HR+/HER2- early breast cancer", "2.0.0", "draft", 8_300,
        (
            Criterion("Stage II or III", "inclusion", "tumor_stage", "in", [2, 3], 0.42, "As in the adjuvant trial."),
            Criterion("Prior CDK4/6", "exclusion", "prior_therapy", "contains", "cdk46", 0.05, "Naive patients only."),
            FOLLOWED,
        ),
    ),
)  # fmt: skip
ERRORS = (
    ("CC_001", "The definition has no inclusion criterion."), ("CC_002", "Field hemoglobin_g_dl is missing."),
    ("CC_003", "Operator between needs two values."), ("CC_004", "The dataset is empty."),
    ("CC_005", "Lookback exceeds the data."), ("CC_006", "No patient is eligible."), ("CC_007", "The store timed out."),
)  # fmt: skip


def add_story(world: World) -> None:
    """Cohort definitions, each with a recent execution; a failed execution per error code; a comparison."""
    for number, spec in enumerate(SPECS):
        define(world, spec, days=150 - 20 * number)
        execute(world, spec, number, days=number + 0.3, patients=40)
    for number, (code, message) in enumerate(ERRORS):
        _failed(world, SPECS[number % len(SPECS)], number, code, message)
    _compare(world, SPECS[0], SPECS[1])


def plain(world: World, number: int) -> None:
    """Another version of a cohort, with an execution and its patients."""
    base = SPECS[number % len(SPECS)]
    spec = CohortSpec(
        f"{base.id}-v{number + 3}", base.brand, base.indication, f"{number + 3}.0.0", "archived",
        world.rng.randint(2_000, 60_000), base.criteria,
    )  # fmt: skip
    define(world, spec, days=200)
    execute(world, spec, number, days=world.rng.randint(1, 180), patients=200)


def funnel(spec: CohortSpec) -> list[tuple[Criterion, int, int]]:
    """For each criterion in order: the numbers of patients that it removes and that remain."""
    remaining, steps = spec.population, []
    for criterion in spec.criteria:
        removed = round(remaining * criterion.removes)
        remaining -= removed
        steps.append((criterion, removed, remaining))
    return steps


def define(world: World, spec: CohortSpec, *, days: float) -> None:
    """A cohort definition whose population sizes are those of its funnel."""
    criteria = {
        kind: [
            {"field": item.field, "operator": item.operator, "value": item.value}
            for item in spec.criteria
            if (item.kind == "exclusion") == (kind == "exclusion_criteria")
        ]
        for kind in ("inclusion_criteria", "exclusion_criteria")
    }
    eligible = funnel(spec)[-1][2]
    made = world.ago(days=days)
    world.rows.add(
        CohortDefinition,
        cohort_id=spec.id,
        brand=spec.brand,
        indication=spec.indication,
        cohort_name=f"{spec.indication}, {spec.id}",
        version=spec.version,
        created_date=made,
        updated_date=made + timedelta(days=2),
        created_by="cohort_constructor",
        lookback_days=180,
        followup_days=90,
        index_date_field="diagnosis_date",
        required_fields=["patient_journey_id", "diagnosis_date", *[item.field for item in spec.criteria]],
        initial_population=spec.population,
        eligible_population=eligible,
        excluded_population=spec.population - eligible,
        exclusion_rate=(spec.population - eligible) / spec.population,
        status=spec.status,
        clinical_rationale="; ".join(item.why for item in spec.criteria),
        regulatory_justification="Within the approved or planned label.",
        config_hash=sha256(repr((spec.id, spec.version))),
        **criteria,
    )


def execute(world: World, spec: CohortSpec, number: int, *, days: float, patients: int) -> None:
    """An execution with its funnel and a sample of its patients."""
    moment = world.ago(days=days)
    identity = f"exec-{spec.id}-{number:03d}"
    steps = funnel(spec)
    eligible = steps[-1][2]
    parts = {
        "validate_config_ms": world.rng.randint(20, 200), "apply_criteria_ms": spec.population // 2,
        "validate_temporal_ms": spec.population // 6, "generate_metadata_ms": world.rng.randint(50, 400),
    }  # fmt: skip
    total = sum(parts.values())
    partial = spec.status == "draft"
    world.rows.add(
        CohortExecution, execution_id=identity, cohort_id=spec.id, execution_timestamp=moment,
        executed_by="cohort_constructor", environment="staging" if partial else "production",
        input_dataset=f"{spec.brand.lower()}_journeys", input_row_count=spec.population, eligible_row_count=eligible,
        excluded_row_count=spec.population - eligible, output_dataset=f"cohorts.{spec.id.replace('-', '_')}",
        execution_time_ms=total, execution_time_seconds=total / 1000, status="partial" if partial else "success",
        error_message="Follow-up of 3 patients could not be checked." if partial else None, **parts,
    )  # fmt: skip
    for place, (criterion, removed, remaining) in enumerate(steps, 1):
        world.rows.add(
            CohortEligibilityLog, cohort_id=spec.id, execution_id=identity, criterion_order=place,
            criterion_name=criterion.name, criterion_type=criterion.kind, operator=criterion.operator,
            criterion_value=criterion.value, removed_count=removed, remaining_count=remaining,
            description=f"{criterion.field} {criterion.operator} {criterion.value}", clinical_rationale=criterion.why,
            applied_at=moment + timedelta(milliseconds=100 * place),
        )  # fmt: skip
    for patient in range(patients):
        _patient(world, spec, identity, patient, eligible / spec.population)


def _patient(world: World, spec: CohortSpec, execution: str, number: int, share: float) -> None:
    eligible = world.chance(share)
    failed = None if eligible else world.pick(spec.criteria)
    index = world.ago(days=world.rng.randint(120, 600))
    world.rows.add(
        PatientCohortAssignment,
        patient_journey_id=f"PJ-{spec.brand[:3].upper()}-{number:06d}",
        cohort_id=spec.id,
        execution_id=execution,
        assigned_at=world.ago(hours=4),
        is_eligible=eligible,
        failed_criteria=[failed.name] if failed else None,
        lookback_complete=True,
        followup_complete=failed is None or failed.kind != "temporal",
        index_date=index.date(),
        journey_start_date=(index - timedelta(days=200)).date(),
        journey_end_date=(index + timedelta(days=110)).date(),
    )


def _failed(world: World, spec: CohortSpec, number: int, code: str, message: str) -> None:
    world.rows.add(
        CohortExecution,
        execution_id=f"exec-{spec.id}-{code.lower()}",
        cohort_id=spec.id,
        execution_timestamp=world.ago(days=20 + number),
        executed_by="cohort_constructor",
        environment="development",
        input_dataset=f"{spec.brand.lower()}_journeys",
        input_row_count=0 if code == "CC_004" else spec.population,
        execution_time_ms=900 + number,
        execution_time_seconds=(900 + number) / 1000,
        validate_config_ms=900 + number,
        status="failed",
        error_message=message,
        error_code=code,
    )


def _compare(world: World, first: CohortSpec, second: CohortSpec) -> None:
    sizes = {spec.id: funnel(spec)[-1][2] for spec in (first, second)}
    overlap = min(sizes.values())
    results: Document = {
        "sizes": sizes, "overlap": overlap, "jaccard": round(overlap / max(sizes.values()), 4),
        "mean_uas7": {first.id: 24.6, second.id: 19.8},
    }  # fmt: skip
    world.rows.add(
        CohortComparison,
        comparison_id="csu-refractory-vs-broad",
        comparison_name="Refractory against all treated CSU",
        comparison_description="What the activity criterion costs in patients and gains in need.",
        compared_at=world.ago(hours=3),
        compared_by="m.tanaka",
        cohort_ids=[first.id, second.id],
        input_dataset="remibrutinib_journeys",
        input_row_count=first.population,
        comparison_results=results,
        visualization_config={"chart": "venn", "colors": ["#0460a9", "#e74a21"]},
    )
