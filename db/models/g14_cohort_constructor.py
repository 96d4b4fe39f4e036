"""Group 14, cohort constructor: cohort definitions, their executions, exclusions, patients and comparisons."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import TEXT, Boolean, Date, ForeignKey, Index, Integer, Numeric, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lineage import LineageKind, comes_from
from db.base.markers import Group, entity, facts
from db.base.vocabulary import NOW, PATIENT, Entity, belongs_to, column, computed_object, linked_by
from db.models.shared import BRANDS


class CohortDefinition(Entity):
    """A versioned cohort: the inclusion and exclusion criteria for a brand and indication."""

    __group__ = Group.COHORT_CONSTRUCTOR
    __aliases__ = ("cohort", "patient cohort")
    __tablename__ = "ml_cohort_definitions"
    __record__ = entity(
        key=("brand", "indication", "version"),
        born=("DRAFT",),
        server=("created_date", "updated_date"),
        actor="created_by",
    )
    __label__ = ("cohort_name", "version")
    __table_args__ = (UniqueConstraint("brand", "indication", "version"),)
    __order__ = "created_date"
    __search__ = ("cohort_name", "cohort_id", "version", "config_hash")

    cohort_id: Mapped[str] = column(TEXT(), "Cohort identifier.", primary_key=True, holds=Holds.IDENTIFIER)
    brand: Mapped[str] = column(TEXT(), "Target brand.", values=BRANDS)
    indication: Mapped[str] = column(
        TEXT(), "Clinical indication.", holds=Holds.LABEL, aliases=("disease", "condition")
    )
    cohort_name: Mapped[str] = column(TEXT(), "Human-readable name of the cohort.", holds=Holds.IDENTIFIER)
    version: Mapped[str | None] = column(TEXT(), "Semantic version.", server_default="1.0.0", holds=Holds.IDENTIFIER)
    created_date: Mapped[datetime | None] = column(TIMESTAMP(), "When it was created.", server_default=NOW)
    updated_date: Mapped[datetime | None] = column(TIMESTAMP(), "When it was last changed.", server_default=NOW)
    created_by: Mapped[str | None] = column(
        TEXT(), "User or agent that created the definition.", holds=Holds.IDENTIFIER
    )
    inclusion_criteria: Mapped[Any] = column(
        JSONB(),
        "Inclusion criteria array (field, operator, value).",
        holds=Holds.PROSE,
        aliases=("eligibility criteria",),
    )
    exclusion_criteria: Mapped[Any] = column(
        JSONB(),
        "Exclusion criteria array (field, operator, value).",
        holds=Holds.PROSE,
        aliases=("eligibility criteria",),
    )
    lookback_days: Mapped[int | None] = column(
        Integer(),
        "Data lookback period before the index date, in days (default 180).",
        server_default="180",
        unit=Unit.DAYS,
    )
    followup_days: Mapped[int | None] = column(
        Integer(), "Required follow-up after the index date, in days (default 90).", server_default="90", unit=Unit.DAYS
    )
    index_date_field: Mapped[str | None] = column(
        TEXT(), "Field that gives a patient's index date.", server_default="diagnosis_date", holds=Holds.IDENTIFIER
    )
    required_fields: Mapped[Any | None] = column(
        JSONB(), "Fields that the input data must have (array).", holds=Holds.DATA
    )
    initial_population: Mapped[int | None] = column(Integer(), "Patients before any criterion.", unit=Unit.COUNT)
    eligible_population: Mapped[int | None] = column(
        Integer(), "Population passing all criteria, in patients.", unit=Unit.COUNT, aliases=("cohort size",)
    )
    excluded_population: Mapped[int | None] = column(Integer(), "Patients excluded by the criteria.", unit=Unit.COUNT)
    exclusion_rate: Mapped[Decimal | None] = column(Numeric(5, 4), "Fraction excluded (0-1).", unit=Unit.FRACTION)
    status: Mapped[str | None] = column(
        TEXT(), "State of the definition: active, draft, archived, locked.", server_default="active", holds=Holds.STATE
    )
    clinical_rationale: Mapped[str | None] = column(TEXT(), "Clinical rationale of the criteria.", holds=Holds.PROSE)
    regulatory_justification: Mapped[str | None] = column(
        TEXT(), "Regulatory justification of the criteria.", holds=Holds.PROSE
    )
    config_hash: Mapped[str | None] = column(
        TEXT(), "SHA256 of the configuration, for version tracking.", holds=Holds.IDENTIFIER
    )


_ENDED_WELL = "({row}.status = 'failed') IS NOT TRUE"


class CohortExecution(Entity):
    """One execution of a cohort definition on a dataset, with the latency of each node.

    Its target: under 120 seconds for 100,000 patients.
    """

    __group__ = Group.COHORT_CONSTRUCTOR
    __aliases__ = ("cohort run",)
    __tablename__ = "ml_cohort_executions"
    __record__ = entity(
        born=("SUCCESS", "PARTIAL", "FAILED"), actor="executed_by", server=("execution_time_seconds",), updates=()
    )
    __label__ = ("execution_id",)
    __order__ = "execution_timestamp"
    __search__ = ("execution_id",)

    execution_id: Mapped[str] = column(TEXT(), "Execution identifier.", primary_key=True, holds=Holds.IDENTIFIER)
    cohort_id: Mapped[str] = column(
        TEXT(), "Cohort definition.", ForeignKey("ml_cohort_definitions.cohort_id"), holds=Holds.IDENTIFIER
    )
    execution_timestamp: Mapped[datetime | None] = column(
        TIMESTAMP(), "When the cohort was constructed.", server_default=NOW
    )
    executed_by: Mapped[str | None] = column(TEXT(), "User or agent that ran it.", holds=Holds.IDENTIFIER)
    environment: Mapped[str | None] = column(
        TEXT(),
        "Environment it ran in: development, staging, or production.",
        server_default="production",
        values=("development", "staging", "production"),
    )
    input_dataset: Mapped[str | None] = column(
        TEXT(), "Dataset that the cohort was drawn from.", holds=Holds.IDENTIFIER
    )
    input_row_count: Mapped[int | None] = column(
        Integer(), "Input population size, in patients.", unit=Unit.COUNT, aliases=("patients",)
    )
    eligible_row_count: Mapped[int | None] = column(
        Integer(), "Eligible population size, in patients.", unit=Unit.COUNT, aliases=("cohort size", "patients")
    )
    excluded_row_count: Mapped[int | None] = column(
        Integer(), "Excluded population size, in patients.", unit=Unit.COUNT
    )
    output_dataset: Mapped[str | None] = column(
        TEXT(), "Dataset that the eligible patients were written to.", holds=Holds.IDENTIFIER
    )
    execution_time_ms: Mapped[int | None] = column(
        Integer(),
        "Total execution time, in ms (target: under 120000 ms for 100,000 patients).",
        unit=Unit.MILLISECONDS,
        aliases=("duration", "runtime"),
    )
    execution_time_seconds: Mapped[Decimal | None] = column(
        Numeric(10, 3), "Total execution time, in seconds.", unit=Unit.SECONDS
    )
    validate_config_ms: Mapped[int | None] = column(
        Integer(), "Config validation latency, in ms.", unit=Unit.MILLISECONDS
    )
    apply_criteria_ms: Mapped[int | None] = column(
        Integer(), "Criteria application latency, in ms.", unit=Unit.MILLISECONDS
    )
    validate_temporal_ms: Mapped[int | None] = column(
        Integer(), "Temporal validation latency, in ms.", unit=Unit.MILLISECONDS
    )
    generate_metadata_ms: Mapped[int | None] = column(
        Integer(), "Metadata generation latency, in ms.", unit=Unit.MILLISECONDS
    )
    status: Mapped[str | None] = column(
        TEXT(),
        "Outcome of the execution: success, failed, partial.",
        server_default="success",
        values=("success", "failed", "partial"),
    )
    error_message: Mapped[str | None] = column(TEXT(), "Why the execution failed, if it did.", holds=Holds.PROSE)
    error_code: Mapped[str | None] = column(
        TEXT(),
        "Error code, CC_001 through CC_007; null when it succeeded.",
        values=("CC_001", "CC_002", "CC_003", "CC_004", "CC_005", "CC_006", "CC_007"),
    )

    cohort = belongs_to(
        "CohortDefinition",
        {"cohort_id": "cohort_id"},
        "The cohort definition that was executed.",
        inverse="executions",
        latest="latest_execution",
        inverse_doc="Executions of the cohort definition.",
        lineage=comes_from(LineageKind.EXECUTED_AS),
    )
    sla = computed_object(
        "Whether the execution met its service level: 120 seconds per 100,000 patients of the input. Null for a failed "
        "execution.",
        {
            "target_ms": (
                f"CASE WHEN {_ENDED_WELL} THEN {{row}}.input_row_count * 1.2 END",
                Numeric(),
                "Allowed time, in milliseconds; null for a failed execution.",
                Unit.MILLISECONDS,
            ),
            "actual_ms": (
                "{row}.execution_time_ms",
                Integer(),
                "Actual time, in milliseconds.",
                Unit.MILLISECONDS,
            ),
            "met": (
                f"CASE WHEN {_ENDED_WELL} THEN {{row}}.execution_time_ms <= {{row}}.input_row_count * 1.2 END",
                Boolean(),
                "Whether it met its target; null for a failed execution.",
            ),
        },
        columns=("status", "input_row_count", "execution_time_ms"),
    )


class CohortEligibilityLog(Entity):
    """One criterion applied in an execution, and how many patients it removed."""

    __group__ = Group.COHORT_CONSTRUCTOR
    __aliases__ = ("eligibility log", "criterion", "exclusion step")
    __tablename__ = "ml_cohort_eligibility_log"
    __record__ = facts(key=("execution_id", "criterion_order"), part_of="execution_id")
    __label__ = ("criterion_name",)
    __order__ = "applied_at"

    log_id: Mapped[int] = column(
        Integer(), "Log entry identifier.", primary_key=True, autoincrement=True, unit=Unit.ORDINAL
    )
    cohort_id: Mapped[str] = column(
        TEXT(), "Cohort definition.", ForeignKey("ml_cohort_definitions.cohort_id"), holds=Holds.IDENTIFIER
    )
    execution_id: Mapped[str] = column(
        TEXT(), "Execution run.", ForeignKey("ml_cohort_executions.execution_id"), holds=Holds.IDENTIFIER
    )
    criterion_order: Mapped[int] = column(
        Integer(), "Application order: position of the criterion in the execution.", unit=Unit.ORDINAL
    )
    criterion_name: Mapped[str] = column(TEXT(), "Criterion label.", holds=Holds.IDENTIFIER)
    criterion_type: Mapped[str] = column(
        TEXT(),
        "Type of the criterion: inclusion, exclusion, or temporal.",
        values=("inclusion", "exclusion", "temporal"),
    )
    operator: Mapped[str] = column(
        TEXT(), "Operator that compares the patient's field with the criterion's value.", holds=Holds.LABEL
    )
    criterion_value: Mapped[Any | None] = column(JSONB(), "Value that the criterion compares with.", holds=Holds.DATA)
    removed_count: Mapped[int] = column(
        Integer(), "Patients excluded by this criterion.", unit=Unit.COUNT, aliases=("excluded patients",)
    )
    remaining_count: Mapped[int] = column(Integer(), "Patients remaining after this criterion.", unit=Unit.COUNT)
    description: Mapped[str | None] = column(TEXT(), "What the criterion asks for, in prose.", holds=Holds.PROSE)
    clinical_rationale: Mapped[str | None] = column(TEXT(), "Clinical rationale of the criterion.", holds=Holds.PROSE)
    applied_at: Mapped[datetime | None] = column(TIMESTAMP(), "When the criterion was applied.", server_default=NOW)

    cohort = belongs_to(
        "CohortDefinition",
        {"cohort_id": "cohort_id"},
        "The cohort definition that the criterion belongs to.",
        inverse="eligibility_log",
        inverse_doc="Criteria applied in any execution of the cohort, with their impact.",
        lineage=comes_from(LineageKind.CONTAINS),
    )
    execution = belongs_to(
        "CohortExecution",
        {"execution_id": "execution_id"},
        "The execution in which the criterion was applied.",
        inverse="eligibility_log",
        inverse_doc="Criteria applied in the execution, with their impact.",
        lineage=comes_from(LineageKind.CONTAINS),
        inverse_aliases=("criteria", "exclusions"),
    )


class PatientCohortAssignment(Entity):
    """Whether one patient was eligible for a cohort in one execution, and which criteria failed if not."""

    __group__ = Group.COHORT_CONSTRUCTOR
    __aliases__ = ("patient", "cohort member", "cohort patient")
    __tablename__ = "ml_patient_cohort_assignments"
    __record__ = facts()
    __label__ = ("patient_journey_id",)
    __scope__ = PATIENT
    __order__ = "assigned_at"

    patient_journey_id: Mapped[str] = column(TEXT(), "Patient identifier.", primary_key=True, holds=Holds.IDENTIFIER)
    cohort_id: Mapped[str] = column(
        TEXT(),
        "Cohort definition.",
        ForeignKey("ml_cohort_definitions.cohort_id"),
        primary_key=True,
        holds=Holds.IDENTIFIER,
    )
    execution_id: Mapped[str] = column(
        TEXT(),
        "Execution run.",
        ForeignKey("ml_cohort_executions.execution_id"),
        primary_key=True,
        holds=Holds.IDENTIFIER,
    )
    assigned_at: Mapped[datetime | None] = column(TIMESTAMP(), "When the patient was assigned.", server_default=NOW)
    is_eligible: Mapped[bool] = column(Boolean(), "Eligibility result.", aliases=("included",))
    failed_criteria: Mapped[Any | None] = column(JSONB(), "Which criteria failed (if not eligible).", holds=Holds.PROSE)
    lookback_complete: Mapped[bool | None] = column(Boolean(), "Lookback period satisfied.")
    followup_complete: Mapped[bool | None] = column(Boolean(), "Follow-up period satisfied.")
    index_date: Mapped[date | None] = column(Date(), "The patient's index date.")
    journey_start_date: Mapped[date | None] = column(Date(), "First day of the patient's journey in the data.")
    journey_end_date: Mapped[date | None] = column(Date(), "Last day of the patient's journey in the data.")

    cohort = belongs_to(
        "CohortDefinition",
        {"cohort_id": "cohort_id"},
        "The cohort that the patient was assessed for.",
        inverse="patient_assignments",
        inverse_doc="Patients assessed for the cohort, in any execution.",
        lineage=comes_from(LineageKind.CONTAINS),
    )
    execution = belongs_to(
        "CohortExecution",
        {"execution_id": "execution_id"},
        "The execution that assessed the patient.",
        inverse="patient_assignments",
        inverse_doc="Patients that the execution assessed.",
        lineage=comes_from(LineageKind.PRODUCES),
        inverse_aliases=("patients", "members", "participants"),
    )


class CohortComparison(Entity):
    """A comparison of several cohort definitions, with the analysis of their overlap."""

    __group__ = Group.COHORT_CONSTRUCTOR
    __aliases__ = ("cohort overlap",)
    __tablename__ = "ml_cohort_comparisons"
    __record__ = entity(actor="compared_by", updates=())
    __table_args__ = (
        Index(
            "ix_ml_cohort_comparisons_cohort_ids_gin",
            "cohort_ids",
            postgresql_using="gin",
            postgresql_ops={"cohort_ids": "jsonb_path_ops"},
        ),
    )
    __order__ = "compared_at"
    __search__ = ("comparison_name", "comparison_id")

    comparison_id: Mapped[str] = column(TEXT(), "Comparison identifier.", primary_key=True, holds=Holds.IDENTIFIER)
    comparison_name: Mapped[str] = column(TEXT(), "Human-readable label.", holds=Holds.IDENTIFIER)
    comparison_description: Mapped[str | None] = column(
        TEXT(), "What was compared and why, in prose.", holds=Holds.PROSE
    )
    compared_at: Mapped[datetime | None] = column(TIMESTAMP(), "When the cohorts were compared.", server_default=NOW)
    compared_by: Mapped[str | None] = column(TEXT(), "User or agent that compared them.", holds=Holds.IDENTIFIER)
    cohort_ids: Mapped[Any] = column(JSONB(), "Array of compared cohort IDs.", holds=Holds.DATA)
    input_dataset: Mapped[str | None] = column(
        TEXT(), "Dataset that the comparison was made on.", holds=Holds.IDENTIFIER
    )
    input_row_count: Mapped[int | None] = column(Integer(), "Size of that dataset, in patients.", unit=Unit.COUNT)
    comparison_results: Mapped[Any | None] = column(JSONB(), "Statistical comparison results.", holds=Holds.PROSE)
    visualization_config: Mapped[Any | None] = column(JSONB(), "Visualization parameters.", holds=Holds.DATA)

    cohorts = linked_by(
        "CohortDefinition",
        "{that}.cohort_id = ANY(ARRAY(SELECT item #>> ARRAY[]::text[] FROM jsonb_array_elements("
        "CASE jsonb_typeof({this}.cohort_ids) WHEN 'array' THEN {this}.cohort_ids ELSE '[]' END) AS item"
        " WHERE jsonb_typeof(item) = 'string'))",
        "The cohort definitions that were compared.",
        this_columns=("cohort_ids",),
        that_columns=("cohort_id",),
        inverse="comparisons",
        inverse_doc="Comparisons that the cohort took part in.",
        # The inner query makes the planner use the GIN index; without it, a page per cohort scans the order's index.
        inverse_sql="{this}.comparison_id = ANY(ARRAY(SELECT named.comparison_id FROM ml_cohort_comparisons AS named"
        " WHERE named.cohort_ids @> jsonb_build_array({that}.cohort_id)))",
        lineage=comes_from(LineageKind.COMPARED_IN),
    )
