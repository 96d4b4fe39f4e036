"""Group 2, causal validation: refutation tests of causal estimates, the gate that they open, and expert reviews."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import TEXT, VARCHAR, Date, Index, Numeric, Uuid, literal_column, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lineage import LineageKind, comes_from
from db.base.markers import Group, entity, facts
from db.base.vocabulary import NEW_UUID, NOW, Entity, Labels, belongs_to, column, linked_by, pg_enum
from db.models.shared import BRANDS


class RefutationTest(Labels, pg_name="refutation_test_type"):
    """A DoWhy refutation test: how it tries to break a causal estimate."""

    PLACEBO_TREATMENT = (
        "placebo_treatment",
        "Replaces the treatment by a random one; the effect should vanish. Required: if it fails, the gate blocks.",
    )
    RANDOM_COMMON_CAUSE = (
        "random_common_cause",
        "Adds a random confounder; the effect should stay. Required: if it fails, the gate blocks.",
    )
    DATA_SUBSET = "data_subset", "Estimates on random subsets of the data; the effect should stay. Optional."
    BOOTSTRAP = "bootstrap", "Estimates on bootstrap resamples; shows the estimate's variance. Optional."
    SENSITIVITY_E_VALUE = (
        "sensitivity_e_value",
        "How strong a hidden confounder must be to explain the effect away. Required: if it fails, the gate blocks.",
    )


class ValidationStatus(Labels, pg_name="validation_status"):
    """Outcome of one refutation test."""

    PASSED = "passed", "The estimate withstood the test."
    FAILED = "failed", "The test refuted the estimate."
    WARNING = "warning", "Borderline; an expert should look at it."
    SKIPPED = "skipped", "The test was not run or does not apply."


class GateDecision(Labels, pg_name="gate_decision"):
    """Whether a causal estimate may be used in production."""

    PROCEED = "proceed", "All five refutation tests passed and confidence >= 0.7: safe for production."
    REVIEW = (
        "review",
        "Partial pass (a test missing, skipped or warned, an optional one failed, low confidence): expert needed.",
    )
    BLOCK = (
        "block",
        "A required test (placebo_treatment, random_common_cause, sensitivity_e_value) failed: do not use.",
    )


class ExpertReviewType(Labels, pg_name="expert_review_type"):
    """What an expert was asked to review."""

    DAG_APPROVAL = "dag_approval", "Sign-off for a new DAG structure."
    METHODOLOGY_REVIEW = "methodology_review", "Whether the causal method fits the question."
    QUARTERLY_AUDIT = "quarterly_audit", "The scheduled renewal of a time-limited approval."
    AD_HOC_VALIDATION = "ad_hoc_validation", "A review on demand."


class CausalValidation(Entity):
    """The result of one DoWhy refutation test on one causal estimate."""

    __group__ = Group.CAUSAL_VALIDATION
    __aliases__ = ("refutation", "refutation test", "robustness check", "validation")
    __tablename__ = "causal_validations"
    __record__ = facts()
    __label__ = ("test_type",)
    __table_args__ = (
        Index(
            "ix_causal_validations_estimate_id_created_at",
            "estimate_id",
            literal_column("created_at DESC NULLS LAST"),
            literal_column("validation_id DESC"),
        ),
    )
    __order__ = "created_at"
    __references__ = ("estimate_id",)

    validation_id: Mapped[UUID] = column(
        Uuid(), "Validation record identifier.", primary_key=True, server_default=NEW_UUID
    )
    estimate_id: Mapped[UUID] = column(
        Uuid(), "ID of the estimate being validated; estimate_source names its table (no foreign key)."
    )
    estimate_source: Mapped[str | None] = column(
        VARCHAR(50),
        "Source table of the estimate: causal_paths or ml_experiments.",
        server_default="causal_paths",
        values=("causal_paths", "ml_experiments"),
    )
    test_type: Mapped[RefutationTest] = column(
        pg_enum(RefutationTest), "Which DoWhy refutation test was run.", aliases=("refutation", "method")
    )
    status: Mapped[ValidationStatus] = column(
        pg_enum(ValidationStatus), "Per-test pass/fail result: passed, failed, warning or skipped."
    )
    original_effect: Mapped[Decimal | None] = column(
        Numeric(12, 6), "Causal effect before refutation, in units of the outcome.", unit=Unit.ROW_SCALE
    )
    refuted_effect: Mapped[Decimal | None] = column(
        Numeric(12, 6), "Effect after refutation manipulation, in units of the outcome.", unit=Unit.ROW_SCALE
    )
    p_value: Mapped[Decimal | None] = column(
        Numeric(6, 5), "Statistical significance: p-value of the test (0-1).", unit=Unit.FRACTION
    )
    delta_percent: Mapped[Decimal | None] = column(
        Numeric(8, 4), "Change from the original to the refuted effect, in percent of the original.", unit=Unit.PERCENT
    )
    confidence_score: Mapped[Decimal | None] = column(
        Numeric(4, 3), "Weighted confidence (0-1); the gate wants at least 0.7.", unit=Unit.FRACTION
    )
    gate_decision: Mapped[GateDecision] = column(
        pg_enum(GateDecision),
        "The decision as it was stored with this test: proceed, review, or block. The estimate's own gate is computed "
        "from the latest row of each test.",
        server_default=GateDecision.REVIEW.value,
        aliases=("gate", "verdict"),
    )
    test_config: Mapped[Any | None] = column(
        JSONB(), "Parameters of the test: number of simulations, thresholds.", holds=Holds.DATA
    )
    details_json: Mapped[Any | None] = column(JSONB(), "Full output of the DoWhy refuter.", holds=Holds.PROSE)
    agent_activity_id: Mapped[str | None] = column(
        VARCHAR(100),
        "Agent activity that ran the test (agent_activities.activity_id, outside this graph).",
        holds=Holds.IDENTIFIER,
    )
    brand: Mapped[str | None] = column(
        VARCHAR(50), "Brand that the estimate is about: Remibrutinib, Fabhalta, or Kisqali.", values=BRANDS
    )
    analysis_context: Mapped[str | None] = column(TEXT(), "What was being analyzed, in prose.", holds=Holds.PROSE)
    treatment_variable: Mapped[str | None] = column(
        VARCHAR(100), "Treatment being analyzed.", holds=Holds.IDENTIFIER, aliases=("cause", "exposure")
    )
    outcome_variable: Mapped[str | None] = column(
        VARCHAR(100), "Outcome being measured.", holds=Holds.IDENTIFIER, aliases=("target",)
    )
    data_split: Mapped[str | None] = column(
        VARCHAR(20),
        "Which data split the test used: train, validation, test or holdout.",
        values=("train", "validation", "test", "holdout"),
    )
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the result was recorded.", server_default=NOW
    )
    updated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it was last changed; set by a trigger.", server_default=NOW
    )

    experiment = linked_by(
        "Experiment",
        "{that}.id = {this}.estimate_id AND {this}.estimate_source = 'ml_experiments'",
        "The experiment whose estimate is validated; null for estimates of other sources.",
        this_columns=("estimate_id", "estimate_source"),
        that_columns=("id",),
        many=False,
        inverse="causal_validations",
        inverse_doc="Refutation tests of the experiment's causal estimate.",
        lineage=comes_from(LineageKind.VALIDATED_BY),
    )


class ExpertReview(Entity):
    """A domain expert's review of a causal DAG or a methodology.

    Approvals may be limited in time, for quarterly audit cycles. An approved and valid review lets an estimate proceed
    whose gate says review.
    """

    __group__ = Group.CAUSAL_VALIDATION
    __aliases__ = ("review", "approval", "sign off", "reviewer")
    __tablename__ = "expert_reviews"
    __record__ = entity(
        door="requestReview", why="a review may supersede an earlier one of the same subject", updates=()
    )
    __label__ = ("review_type", "reviewer_role")
    __table_args__ = (
        Index("ix_expert_reviews_related_validation_ids", "related_validation_ids", postgresql_using="gin"),
        Index(
            "ix_expert_reviews_dag_version_hash_created_at",
            "dag_version_hash",
            literal_column("created_at DESC NULLS LAST"),
            literal_column("review_id DESC"),
        ),
    )
    __order__ = "created_at"
    __search__ = ("dag_version_hash",)

    review_id: Mapped[UUID] = column(Uuid(), "Review identifier.", primary_key=True, server_default=NEW_UUID)
    review_type: Mapped[ExpertReviewType] = column(
        pg_enum(ExpertReviewType),
        "Type of review: dag_approval, methodology_review, quarterly_audit or ad_hoc_validation.",
    )
    dag_version_hash: Mapped[str | None] = column(
        VARCHAR(64), "SHA256 hash of DAG for versioning: the structure that was reviewed.", holds=Holds.IDENTIFIER
    )
    reviewer_id: Mapped[str] = column(VARCHAR(100), "Reviewer user ID.", holds=Holds.IDENTIFIER)
    reviewer_name: Mapped[str | None] = column(
        VARCHAR(200), "Reviewer's display name.", holds=Holds.IDENTIFIER, aliases=("expert",)
    )
    reviewer_role: Mapped[str | None] = column(
        VARCHAR(100),
        "Reviewer's role: commercial_ops, medical_affairs, data_science.",
        values=("commercial_ops", "medical_affairs", "data_science"),
    )
    reviewer_email: Mapped[str | None] = column(VARCHAR(200), "Reviewer's email address.", holds=Holds.IDENTIFIER)
    approval_status: Mapped[str] = column(
        VARCHAR(30),
        "State of the review: pending, approved, rejected, expired.",
        server_default="pending",
        holds=Holds.STATE,
        aliases=("status", "state", "decision"),
    )
    checklist_json: Mapped[Any | None] = column(JSONB(), "Completed review checklist.", holds=Holds.PROSE)
    comments_json: Mapped[Any | None] = column(JSONB(), "Reviewer's notes and feedback.", holds=Holds.PROSE)
    concerns_raised: Mapped[list[str] | None] = column(
        ARRAY(TEXT()), "Concerns that the reviewer raised, one by one.", holds=Holds.PROSE
    )
    conditions: Mapped[str | None] = column(TEXT(), "Conditions on which the approval depends.", holds=Holds.PROSE)
    brand: Mapped[str | None] = column(
        VARCHAR(50),
        "Brand that the review is about: Remibrutinib, Fabhalta, or Kisqali; null for every brand.",
        values=BRANDS,
    )
    analysis_context: Mapped[str | None] = column(
        TEXT(), "Analysis that the review covers, in prose.", holds=Holds.PROSE
    )
    treatment_variable: Mapped[str | None] = column(VARCHAR(100), "Treatment being analyzed.", holds=Holds.IDENTIFIER)
    outcome_variable: Mapped[str | None] = column(VARCHAR(100), "Outcome being measured.", holds=Holds.IDENTIFIER)
    valid_from: Mapped[date | None] = column(
        Date(), "First day on which an approval is valid.", server_default=text("CURRENT_DATE")
    )
    valid_until: Mapped[date | None] = column(
        Date(),
        "Expiration date for approval, its last valid day; null means without end.",
        aliases=("expires", "expiry", "expiration"),
    )
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was requested.", server_default=NOW)
    updated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it was last changed; set by a trigger.", server_default=NOW
    )
    approved_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was approved, if it was.")
    related_validation_ids: Mapped[list[UUID] | None] = column(
        ARRAY(Uuid()), "Causal validations that the review is about, by their ids (no foreign key)."
    )
    supersedes_review_id: Mapped[UUID | None] = column(
        Uuid(), "Replaces a previous review: that review's id (no foreign key)."
    )

    supersedes = belongs_to(
        "ExpertReview",
        {"supersedes_review_id": "review_id"},
        "The previous review that this one replaces when it is approved, if both have the same DAG and brand.",
        inverse="superseded_by",
        inverse_doc="Later reviews that name this one as replaced; approved ones of the same DAG and brand replace it.",
        lineage=comes_from(LineageKind.SUPERSEDES),
        aliases=("replaces", "earlier review"),
        inverse_aliases=("replaced by", "later review"),
    )
    previous_of_dag = linked_by(
        "ExpertReview",
        "{that}.review_id = (SELECT p.review_id FROM expert_reviews AS p "
        "WHERE p.dag_version_hash = {this}.dag_version_hash AND {this}.dag_version_hash <> '' "
        "AND (p.created_at, p.review_id) < ({this}.created_at, {this}.review_id) "
        "ORDER BY p.created_at DESC, p.review_id DESC LIMIT 1)",
        "The review of the same DAG, by its hash, that came before this one.",
        this_columns=("dag_version_hash", "created_at", "review_id"),
        that_columns=("review_id", "dag_version_hash", "created_at"),
        many=False,
        inverse="next_of_dag",
        inverse_doc="The next review of the same DAG, by its hash.",
        inverse_many=False,
        inverse_sql="{this}.review_id = (SELECT n.review_id FROM expert_reviews AS n "
        "WHERE n.dag_version_hash = {that}.dag_version_hash AND {that}.dag_version_hash <> '' "
        "AND (n.created_at, n.review_id) > ({that}.created_at, {that}.review_id) "
        "ORDER BY n.created_at, n.review_id LIMIT 1)",
        lineage=comes_from(LineageKind.REVIEWED_AGAIN_IN),
    )
    related_validations = linked_by(
        "CausalValidation",
        "{that}.validation_id = ANY ({this}.related_validation_ids)",
        "Causal validations that the review is about.",
        this_columns=("related_validation_ids",),
        that_columns=("validation_id",),
        inverse="related_reviews",
        inverse_doc="Expert reviews that are about the validation.",
        inverse_sql="{this}.related_validation_ids @> ARRAY[{that}.validation_id]",
        elements="related_validation_ids",
        lineage=comes_from(LineageKind.REVIEWED_BY),
    )
