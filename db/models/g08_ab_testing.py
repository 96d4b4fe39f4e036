"""Group 8, A/B testing: assignment, enrollment, interim analyses."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import TEXT, VARCHAR, Double, ForeignKey, Integer, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lineage import LineageKind, comes_from, leads_to
from db.base.markers import Group, Retention, entity, facts
from db.base.vocabulary import (
    EMPTY_LIST,
    EMPTY_OBJECT,
    NEW_UUID,
    NOW,
    PATIENT,
    Entity,
    Labels,
    belongs_to,
    column,
    linked_by,
    pg_enum,
)


class UnitType(Labels, pg_name="ab_unit_type"):
    """What an experiment randomizes."""

    HCP = "hcp", "Healthcare professional."
    PATIENT = "patient", "Patient."
    TERRITORY = "territory", "Sales territory."
    ACCOUNT = "account", "Account or organization."


class RandomizationMethod(Labels, pg_name="randomization_method"):
    """How units are assigned to variants."""

    SIMPLE = "simple", "Each unit at random, independent of the others."
    STRATIFIED = "stratified", "At random within strata of covariates."
    BLOCK = "block", "At random within blocks of fixed allocation."
    CLUSTER = "cluster", "Whole clusters at random."
    ADAPTIVE = "adaptive", "With probabilities that follow the responses seen so far."


class EnrollmentStatus(Labels, pg_name="enrollment_status"):
    """Lifecycle status of a unit's enrollment."""

    ACTIVE = "active", "Taking part."
    WITHDRAWN = "withdrawn", "Withdrew, or was withdrawn, before the end."
    EXCLUDED = "excluded", "Excluded, for example after a protocol violation."
    COMPLETED = "completed", "Took part to the end."
    LOST_TO_FOLLOWUP = "lost_to_followup", "Could no longer be followed."


class InterimDecision(Labels, pg_name="interim_decision"):
    """Decision of an interim analysis."""

    CONTINUE = "continue", "Continue as planned."
    STOP_EFFICACY = "stop_efficacy", "Stop early: the effect is shown."
    STOP_FUTILITY = "stop_futility", "Stop early: a significant effect has become improbable."
    STOP_SAFETY = "stop_safety", "Stop because of safety concerns."
    MODIFY_SAMPLE = "modify_sample", "Continue with another sample size."


class Assignment(Entity):
    """Assignment of a unit to a variant of an experiment, with randomization metadata and a reproducible hash."""

    __group__ = Group.AB_TESTING
    __aliases__ = ("randomization", "variant assignment", "participant", "subject")
    __tablename__ = "ab_experiment_assignments"
    __record__ = facts(key=("experiment_id", "unit_id"), actor="created_by", agrees=True)
    __label__ = ("variant", "unit_id")
    __table_args__ = (UniqueConstraint("experiment_id", "unit_id"),)
    __order__ = "assigned_at"

    id: Mapped[UUID] = column(Uuid(), "Assignment identifier.", primary_key=True, server_default=NEW_UUID)
    experiment_id: Mapped[UUID] = column(Uuid(), "Parent experiment.", ForeignKey("ml_experiments.id"))
    unit_id: Mapped[str] = column(
        VARCHAR(255),
        "Identifier of the HCP, patient, territory or account assigned.",
        scope=PATIENT,
        holds=Holds.IDENTIFIER,
        aliases=("participant",),
    )
    unit_type: Mapped[UnitType] = column(pg_enum(UnitType), "Unit type: hcp, patient, territory or account.")
    variant: Mapped[str] = column(
        VARCHAR(50),
        "Variant assigned: control, treatment_a, treatment_b, etc.",
        holds=Holds.LABEL,
        aliases=("arm", "group"),
    )
    assigned_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the unit was assigned.", server_default=NOW
    )
    randomization_method: Mapped[RandomizationMethod] = column(
        pg_enum(RandomizationMethod),
        "Randomization strategy: simple, stratified, block, cluster or adaptive.",
        server_default=RandomizationMethod.SIMPLE.value,
    )
    stratification_key: Mapped[Any | None] = column(
        JSONB(),
        "Stratification variables used, with the unit's values.",
        server_default=EMPTY_OBJECT,
        scope=PATIENT,
        holds=Holds.DATA,
    )
    block_id: Mapped[str | None] = column(
        VARCHAR(100), "Block of the unit, for block randomization.", holds=Holds.IDENTIFIER
    )
    assignment_hash: Mapped[str | None] = column(
        VARCHAR(64),
        "SHA-256 for reproducible verification of the assignment, in hexadecimal.",
        scope=PATIENT,
        holds=Holds.IDENTIFIER,
    )
    created_by: Mapped[str | None] = column(
        VARCHAR(100), "User or agent that made the assignment.", holds=Holds.IDENTIFIER
    )
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the assignment was recorded.", server_default=NOW
    )

    experiment = belongs_to(
        "Experiment",
        "experiment_id",
        "The experiment that the unit was assigned in.",
        inverse="assignments",
        inverse_doc="Assignments of units to the experiment's variants.",
        lineage=comes_from(LineageKind.CONTAINS),
        inverse_aliases=("arms", "variants", "groups", "treatment arms"),
    )


class Enrollment(Entity):
    """Enrollment of an assigned unit through its lifecycle: eligibility, consent and protocol adherence."""

    __group__ = Group.AB_TESTING
    __aliases__ = ("participant", "subject")
    __tablename__ = "ab_experiment_enrollments"
    __record__ = entity(key=("assignment_id",), server=("protocol_deviations", "withdrawal_initiated_by"))
    __label__ = ("enrolled_at",)
    __order__ = "enrolled_at"

    id: Mapped[UUID] = column(Uuid(), "Enrollment identifier.", primary_key=True, server_default=NEW_UUID)
    assignment_id: Mapped[UUID] = column(Uuid(), "Parent assignment.", ForeignKey("ab_experiment_assignments.id"))
    enrolled_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the unit was enrolled.", server_default=NOW
    )
    enrollment_status: Mapped[EnrollmentStatus] = column(
        pg_enum(EnrollmentStatus),
        "Current lifecycle status: active, withdrawn, excluded, completed or lost_to_followup.",
        server_default=EnrollmentStatus.ACTIVE.value,
        aliases=("status",),
    )
    eligibility_criteria_met: Mapped[Any | None] = column(
        JSONB(),
        "Checklist of eligibility criteria, each met or not.",
        server_default=EMPTY_OBJECT,
        scope=PATIENT,
        holds=Holds.PROSE,
    )
    eligibility_check_timestamp: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When eligibility was checked."
    )
    consent_timestamp: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When consent was given.")
    consent_method: Mapped[str | None] = column(
        VARCHAR(50),
        "How consent was given: email, phone, in_person or implied.",
        values=("email", "phone", "in_person", "implied"),
    )
    consent_version: Mapped[str | None] = column(VARCHAR(20), "Version of the consent form.", holds=Holds.IDENTIFIER)
    withdrawal_timestamp: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the unit withdrew; null unless the status is withdrawn."
    )
    withdrawal_reason: Mapped[str | None] = column(
        TEXT(), "Reason for withdrawal (if applicable).", scope=PATIENT, holds=Holds.PROSE, aliases=("drop out reason",)
    )
    withdrawal_initiated_by: Mapped[str | None] = column(
        VARCHAR(50),
        "Who initiated the withdrawal: subject, investigator, sponsor or system.",
        values=("subject", "investigator", "sponsor", "system"),
    )
    protocol_deviations: Mapped[Any | None] = column(
        JSONB(),
        "Recorded deviations from the protocol with date, type, severity.",
        server_default=EMPTY_LIST,
        scope=PATIENT,
        holds=Holds.PROSE,
    )
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the enrollment was recorded.", server_default=NOW
    )
    updated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it was last changed; set by a trigger.", server_default=NOW
    )

    assignment = belongs_to(
        "Assignment",
        "assignment_id",
        "The assignment that the unit was enrolled under.",
        inverse="enrollments",
        inverse_doc="Enrollments of the assigned unit, newest first.",
        lineage=comes_from(LineageKind.ENROLLED_AS),
    )
    results = linked_by(
        "ExperimentResult",
        "{that}.experiment_id = (SELECT a.experiment_id FROM ab_experiment_assignments AS a "
        "WHERE a.id = {this}.assignment_id) AND {that}.computed_at >= {this}.enrolled_at",
        "Results of the experiment that were computed after the unit was enrolled.",
        this_columns=("assignment_id", "enrolled_at"),
        that_columns=("experiment_id", "computed_at"),
        inverse="enrollments",
        inverse_doc="Enrollments in the experiment up to the time that the result was computed.",
        inverse_sql="{this}.assignment_id = ANY (ARRAY(SELECT a.id FROM ab_experiment_assignments AS a "
        "WHERE a.experiment_id = {that}.experiment_id)) AND {this}.enrolled_at <= {that}.computed_at",
        lineage=leads_to(LineageKind.ANALYZED_BY),
    )


class InterimAnalysis(Entity):
    """An interim analysis of an experiment: O'Brien-Fleming alpha spending, conditional power and the decision."""

    __group__ = Group.AB_TESTING
    __aliases__ = ("interim", "interim look")
    __tablename__ = "ab_interim_analyses"
    __record__ = entity(
        key=("experiment_id", "analysis_number"),
        actor="performed_by",
        updates=(),
        retention=Retention("performed_at", days=365),
    )
    __label__ = ("analysis_number", "decision")
    __order__ = "performed_at"

    id: Mapped[UUID] = column(Uuid(), "Analysis identifier.", primary_key=True, server_default=NEW_UUID)
    experiment_id: Mapped[UUID] = column(Uuid(), "Parent experiment.", ForeignKey("ml_experiments.id"))
    analysis_number: Mapped[int] = column(
        Integer(), "Sequential analysis index within the experiment, from 1.", unit=Unit.ORDINAL
    )
    performed_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the analysis was performed.", server_default=NOW
    )
    analysis_type: Mapped[str] = column(
        VARCHAR(50),
        "What called for the analysis: scheduled, ad_hoc or triggered.",
        server_default="scheduled",
        values=("scheduled", "ad_hoc", "triggered"),
    )
    information_fraction: Mapped[float] = column(
        Double(), "Proportion of total data collected (0-1).", unit=Unit.FRACTION
    )
    sample_size_at_analysis: Mapped[int] = column(
        Integer(), "Number of units in the analysis, over all arms.", unit=Unit.COUNT
    )
    target_sample_size: Mapped[int | None] = column(
        Integer(), "Planned number of units, over all arms.", unit=Unit.COUNT
    )
    spending_function: Mapped[str] = column(
        VARCHAR(50),
        "Alpha-spending function: obrien_fleming or other.",
        server_default="obrien_fleming",
        holds=Holds.LABEL,
    )
    alpha_spent: Mapped[float] = column(Double(), "Type I error spent at this analysis (0-1).", unit=Unit.FRACTION)
    cumulative_alpha_spent: Mapped[float] = column(
        Double(), "Type I error spent up to and with this analysis (0-1).", unit=Unit.FRACTION
    )
    adjusted_alpha: Mapped[float] = column(
        Double(), "Adjusted significance threshold that this analysis is judged against (0-1).", unit=Unit.FRACTION
    )
    test_statistic: Mapped[float | None] = column(
        Double(), "Test statistic value, on the scale of the test.", unit=Unit.ROW_SCALE
    )
    standard_error: Mapped[float | None] = column(
        Double(), "Standard error of the effect estimate.", unit=Unit.ROW_SCALE
    )
    p_value: Mapped[float | None] = column(
        Double(), "Statistical significance: p-value of the test (0-1).", unit=Unit.FRACTION
    )
    effect_estimate: Mapped[float | None] = column(
        Double(), "Point estimate of effect at this analysis, in units of the primary metric.", unit=Unit.ROW_SCALE
    )
    effect_ci_lower: Mapped[float | None] = column(
        Double(), "Lower bound of the effect's confidence interval.", unit=Unit.ROW_SCALE
    )
    effect_ci_upper: Mapped[float | None] = column(
        Double(), "Upper bound of the effect's confidence interval.", unit=Unit.ROW_SCALE
    )
    conditional_power: Mapped[float | None] = column(
        Double(),
        "Probability of significance at the end given current data (0-1); low values speak for futility.",
        unit=Unit.FRACTION,
        aliases=("futility",),
    )
    predictive_probability: Mapped[float | None] = column(
        Double(), "Predictive probability of success at the end (0-1).", unit=Unit.FRACTION
    )
    decision: Mapped[InterimDecision] = column(
        pg_enum(InterimDecision),
        "Decision taken: continue, stop_efficacy, stop_futility, stop_safety or modify_sample.",
        server_default=InterimDecision.CONTINUE.value,
        aliases=("stop", "verdict"),
    )
    decision_rationale: Mapped[str | None] = column(TEXT(), "Why it was decided so, in prose.", holds=Holds.PROSE)
    metrics_snapshot: Mapped[Any] = column(
        JSONB(),
        "Primary and secondary metrics and sample sizes per arm at this analysis.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
    )
    performed_by: Mapped[str | None] = column(
        VARCHAR(100), "User or agent that performed the analysis.", holds=Holds.IDENTIFIER
    )
    approved_by: Mapped[str | None] = column(VARCHAR(100), "Who approved the decision.", holds=Holds.IDENTIFIER)
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the analysis was recorded.", server_default=NOW
    )

    experiment = belongs_to(
        "Experiment",
        "experiment_id",
        "The experiment that was analysed.",
        inverse="interim_analyses",
        latest="latest_interim_analysis",
        inverse_doc="Interim analyses of the experiment, newest first.",
        lineage=comes_from(LineageKind.ANALYZED_BY),
    )
