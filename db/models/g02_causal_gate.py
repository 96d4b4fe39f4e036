"""Group 2, the causal gate: estimates with their gate and its reasons, and whether experts approve a DAG.

The flowchart of the platform's specification as SELECTs. Their results equal those of the functions
`get_validation_gate`, `is_dag_approved` and `can_use_estimate`, which a database may lack.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from sqlalchemy import TEXT, VARCHAR, Boolean, Date, Integer, Numeric, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lifecycles import TODAY
from db.base.lineage import LineageKind, comes_from, leads_to
from db.base.markers import Group
from db.base.quoting import literals
from db.base.vocabulary import Argument, Derived, Labels, Relation, belongs_to, column, linked_by, pg_enum
from db.models.g02_causal_validation import GateDecision, RefutationTest
from db.models.g02_validation_lifecycles import REVIEW
from db.models.shared import BRANDS

REQUIRED = "('placebo_treatment', 'random_common_cause', 'sensitivity_e_value')"
LEAST_CONFIDENCE = "0.7"
_TESTS = literals(test.value for test in RefutationTest)

# The newest row of each test of an estimate; the SELECTs below use the same column names.
_LATEST = """
    SELECT DISTINCT ON (c.estimate_id, c.test_type)
        c.estimate_id, c.test_type::text AS test, c.status::text AS status, c.validation_id, c.created_at,
        c.gate_decision::text AS stored, c.estimate_source, c.treatment_variable, c.outcome_variable, c.brand,
        -- not a number and anything outside 0 to 1 is no confidence
        CASE WHEN c.confidence_score BETWEEN 0 AND 1 THEN c.confidence_score END AS confidence
    FROM causal_validations AS c
    ORDER BY c.estimate_id, c.test_type, c.created_at DESC NULLS LAST, c.validation_id DESC
"""

_REASON = f"""
    CASE
        WHEN v.test IS NULL THEN NULL
        WHEN v.status = 'failed' AND v.test IN {REQUIRED} THEN format('The required test %s failed.', v.test)
        WHEN v.status = 'failed' THEN format('The optional test %s failed.', v.test)
        WHEN v.status = 'warning' THEN format('The test %s ended with a warning.', v.test)
        WHEN v.status = 'skipped' THEN format('The test %s was skipped.', v.test)
        WHEN v.confidence IS NULL THEN format('The test %s gives no confidence between 0 and 1.', v.test)
        WHEN v.confidence < {LEAST_CONFIDENCE}
        THEN format('The confidence of %s, %s, is below {LEAST_CONFIDENCE}.', v.test, v.confidence)
    END
"""


def _tests(status: str) -> str:
    return f"coalesce(array_agg(v.test ORDER BY v.test) FILTER (WHERE v.status = '{status}'), ARRAY[]::text[])"


def _newest(column_: str) -> str:
    return f"(array_agg(v.{column_} ORDER BY v.created_at DESC NULLS LAST, v.validation_id DESC))[1]"


_ESTIMATES = f"""
    SELECT
        e.*,
        CASE
            WHEN e.gate = 'proceed' THEN ARRAY[format(
                'All five refutation tests passed, and the lowest confidence, %s, is at least {LEAST_CONFIDENCE}.',
                e.confidence
            )]
            WHEN cardinality(e.missing_tests) = 5 THEN ARRAY['No refutation test has been recorded.']
            ELSE e.remarks || ARRAY(
                SELECT format('The test %s has not been run.', m.test) FROM unnest(e.missing_tests) AS m (test)
            )
        END AS reasons
    FROM (
        SELECT
            g.*,
            CASE
                WHEN g.blocked THEN 'block'
                WHEN cardinality(g.passed_tests) = 5 AND g.confident_tests = 5 THEN 'proceed'
                ELSE 'review'
            END AS gate,
            ARRAY(
                SELECT t.test FROM unnest(ARRAY[{_TESTS}]) AS t (test) WHERE t.test <> ALL (g.run_tests)
            ) AS missing_tests
        FROM (
            SELECT
                v.estimate_id,
                {_newest("estimate_source")} AS estimate_source,
                {_newest("treatment_variable")} AS treatment_variable,
                {_newest("outcome_variable")} AS outcome_variable,
                {_newest("brand")} AS brand,
                CASE WHEN count(v.test) = count(v.confidence) THEN min(v.confidence) END AS confidence,
                coalesce(array_agg(v.test) FILTER (WHERE v.test IS NOT NULL), ARRAY[]::text[]) AS run_tests,
                {_tests("passed")} AS passed_tests,
                {_tests("failed")} AS failed_tests,
                {_tests("warning")} AS warning_tests,
                {_tests("skipped")} AS skipped_tests,
                count(*) FILTER (WHERE v.confidence >= {LEAST_CONFIDENCE}) AS confident_tests,
                coalesce(bool_or(v.status = 'failed' AND v.test IN {REQUIRED}), false) AS blocked,
                -- what decides comes first
                coalesce(
                    array_agg(r.reason ORDER BY v.status <> 'failed' OR v.test NOT IN {REQUIRED}, v.test)
                        FILTER (WHERE r.reason IS NOT NULL),
                    ARRAY[]::text[]
                ) AS remarks,
                coalesce(
                    array_agg(DISTINCT v.stored ORDER BY v.stored) FILTER (WHERE v.stored IS NOT NULL),
                    ARRAY[]::text[]
                ) AS stored_decisions,
                min(v.created_at) AS first_validated_at,
                max(v.created_at) AS last_validated_at
            FROM ({_LATEST}) AS v
            CROSS JOIN LATERAL (SELECT {_REASON} AS reason) AS r
            GROUP BY v.estimate_id
        ) AS g
    ) AS e
"""


class Estimate(Derived):
    """A causal estimate, with the gate that its refutation tests decide, and the reasons. The newest row of each of the
    five tests counts. The gate is `proceed` if all five passed with a confidence of at least 0.7 each; `block` if a
    required test (placebo_treatment, random_common_cause, sensitivity_e_value) failed; `review` otherwise, also if a
    test was not run. Estimates exist by their tests: an id without any recorded test is null.
    """

    __group__ = Group.CAUSAL_VALIDATION
    __aliases__ = ("causal estimate", "gate")
    __select__ = f"""
        SELECT e.*,
            (SELECT format('The newest tests store %s where the gate is %s.', array_to_string(e.stored_decisions, ', '),
                e.gate) WHERE e.stored_decisions <> ARRAY[e.gate] AND e.stored_decisions <> ARRAY[]::text[]
            ) AS stored_difference
        FROM ({_ESTIMATES}) AS e
    """
    __reads__ = ("CausalValidation",)
    __label__ = ("treatment_variable", "outcome_variable")
    __order__ = "last_validated_at"

    estimate_id: Mapped[UUID] = column(
        Uuid(), "Identifier of the estimate; estimate_source names its table.", primary_key=True
    )
    estimate_source: Mapped[str | None] = column(
        VARCHAR(50),
        "Source table of the estimate, as the newest test names it: causal_paths or ml_experiments.",
        values=("causal_paths", "ml_experiments"),
    )
    treatment_variable: Mapped[str | None] = column(
        VARCHAR(100), "Treatment being analyzed, according to the newest test.", holds=Holds.IDENTIFIER
    )
    outcome_variable: Mapped[str | None] = column(
        VARCHAR(100), "Outcome being measured, according to the newest test.", holds=Holds.IDENTIFIER
    )
    brand: Mapped[str | None] = column(
        VARCHAR(50), "Brand of the estimate, according to the newest test.", values=BRANDS
    )
    gate: Mapped[GateDecision] = column(
        pg_enum(GateDecision),
        "The decision of the tests: PROCEED, REVIEW or BLOCK. Experts: see `usable`.",
        aliases=("verdict", "gate decision"),
    )
    confidence: Mapped[Decimal | None] = column(
        Numeric(4, 3),
        "Lowest confidence of the newest tests (0-1); null where one of them gives none.",
        unit=Unit.FRACTION,
    )
    reasons: Mapped[list[str]] = column(
        ARRAY(TEXT()), "Why the gate is what it is, in words; what decides comes first.", holds=Holds.PROSE
    )
    passed_tests: Mapped[list[RefutationTest]] = column(
        ARRAY(pg_enum(RefutationTest)), "Tests whose newest row passed."
    )
    failed_tests: Mapped[list[RefutationTest]] = column(
        ARRAY(pg_enum(RefutationTest)), "Tests whose newest row failed."
    )
    warning_tests: Mapped[list[RefutationTest]] = column(
        ARRAY(pg_enum(RefutationTest)), "Tests whose newest row has a warning."
    )
    skipped_tests: Mapped[list[RefutationTest]] = column(
        ARRAY(pg_enum(RefutationTest)), "Tests whose newest row was skipped."
    )
    missing_tests: Mapped[list[RefutationTest]] = column(
        ARRAY(pg_enum(RefutationTest)), "Tests that were never run on the estimate."
    )
    stored_decisions: Mapped[list[GateDecision]] = column(
        ARRAY(pg_enum(GateDecision)), "The gate decisions that are stored with the newest row of each test."
    )
    stored_difference: Mapped[str | None] = column(
        TEXT(), "How the stored decisions differ from the gate, in words; null where they agree.", holds=Holds.PROSE
    )
    first_validated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the oldest of the newest tests was recorded."
    )
    last_validated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the newest test was recorded; null if there is none."
    )

    validations = Relation(
        "CausalValidation",
        "All refutation tests of the estimate, newest first, those of earlier attempts included.",
        on={"estimate_id": "estimate_id"},
        many=True,
        inverse="estimate",
        inverse_doc="The estimate that was tested, with its gate.",
        inverse_many=False,
        lineage=leads_to(LineageKind.VALIDATED_BY),
    )
    decisive_validations = linked_by(
        "CausalValidation",
        "{that}.estimate_id = {this}.estimate_id AND NOT EXISTS (SELECT FROM causal_validations AS n "
        "WHERE n.estimate_id = {that}.estimate_id AND n.test_type = {that}.test_type AND "
        "(coalesce(n.created_at, '-infinity'), n.validation_id) > "
        "(coalesce({that}.created_at, '-infinity'), {that}.validation_id))",
        "The rows that decide the gate: the newest of each test.",
        this_columns=("estimate_id",),
        that_columns=("estimate_id", "test_type", "created_at", "validation_id"),
        aliases=("decisive tests", "evidence"),
    )
    reviews = linked_by(
        "ExpertReview",
        "{that}.related_validation_ids && ARRAY(SELECT c.validation_id FROM causal_validations AS c "
        "WHERE c.estimate_id = {this}.estimate_id)",
        "Expert reviews that are about the estimate's validations.",
        this_columns=("estimate_id",),
        that_columns=("related_validation_ids",),
        inverse="estimates",
        inverse_doc="Estimates whose validations the review is about.",
        inverse_sql="{this}.estimate_id = ANY (ARRAY(SELECT c.estimate_id FROM causal_validations AS c "
        "WHERE c.validation_id = ANY ({that}.related_validation_ids)))",
        aliases=("approvals", "sign offs", "expert opinions"),
    )
    experiment = linked_by(
        "Experiment",
        "{that}.id = {this}.estimate_id AND {this}.estimate_source = 'ml_experiments'",
        "The experiment whose estimate it is; null for estimates of other sources.",
        this_columns=("estimate_id", "estimate_source"),
        that_columns=("id",),
        many=False,
        inverse="estimate",
        inverse_doc="The experiment's causal estimate, with its gate; null where it was never tested.",
        inverse_many=False,
        lineage=comes_from(LineageKind.PRODUCES),
    )
    roi_calculations = linked_by(
        "RoiCalculation",
        "{that}.causal_path_id = {this}.estimate_id AND {this}.estimate_source = 'causal_paths'",
        "ROI calculations whose value depends on the estimated causal path.",
        this_columns=("estimate_id", "estimate_source"),
        that_columns=("causal_path_id",),
        inverse="estimate",
        inverse_doc="The estimate of the causal path that the value depends on, with its gate; null without tests.",
        inverse_many=False,
        lineage=leads_to(LineageKind.VALUED_BY),
    )


def supersedes(newer: str, older: str) -> str:
    """The SQL condition that a review supersedes another one of the same DAG.

    Only an approval supersedes, within its period of validity, for the brands of the older review. A review that is
    pending, rejected or expired, or of another DAG, does not supersede the one that it names.
    """
    return (
        f"({newer}.supersedes_review_id = {older}.review_id AND {newer}.review_id <> {older}.review_id "
        f"AND {same_subject(newer, older)} AND {newer}.approval_status = 'approved' "
        f"AND coalesce({newer}.valid_from <= {TODAY}, true) AND coalesce({newer}.valid_until >= {TODAY}, true))"
    )


def same_subject(newer: str, older: str) -> str:
    """The SQL condition that a review covers the subject of another: its DAG (or, without one, its type) and brand."""
    return (
        f"({newer}.dag_version_hash IS NOT DISTINCT FROM {older}.dag_version_hash "
        f"AND ({newer}.dag_version_hash IS NOT NULL OR {newer}.review_type = {older}.review_type) "
        f"AND ({newer}.brand IS NULL OR {newer}.brand IS NOT DISTINCT FROM {older}.brand))"
    )


# The latest decided review, without pending ones and approvals that are not valid yet. Superseded reviews are sorted
# last rather than excluded, so that of reviews that supersede each other in a cycle the latest decides.
_REVIEW = f"""
    SELECT
        r.review_id, r.valid_until, r.reviewer_role, r.created_at,
        {REVIEW.read("r")} AS state
    FROM expert_reviews AS r
    WHERE r.dag_version_hash = {{dag_hash}}
        AND ({{brand}} IS NULL OR r.brand IS NULL OR r.brand = {{brand}})
        AND r.approval_status IN ('approved', 'rejected', 'expired')
        AND (r.approval_status <> 'approved' OR coalesce(r.valid_from <= {TODAY}, true))
    ORDER BY
        EXISTS (SELECT FROM expert_reviews AS newer WHERE {supersedes("newer", "r")}),
        r.created_at DESC NULLS LAST, r.review_id DESC
    LIMIT 1
"""

_REVIEW_REASON = """
    CASE r.state
        WHEN 'approved' THEN format('The DAG is approved by %s, %s.', coalesce(r.reviewer_role, 'an expert'),
            coalesce('valid to the end of ' || r.valid_until, 'without end'))
        WHEN 'rejected' THEN format('The latest decided review of the DAG, by %s, rejects it.',
            coalesce(r.reviewer_role, 'an expert'))
        WHEN 'expired' THEN
            'The approval of the DAG has expired' || coalesce('; its last day was ' || r.valid_until, '') || '.'
        ELSE 'No expert review of the DAG has been decided.'
    END
"""


class EstimateUse(Derived):
    """Whether an estimate may be used with the DAG that it was estimated with: the gate and the expert reviews
    together. The gate `review` becomes `proceed` by an approved and valid review of the DAG, and `block` if the latest
    review is rejected or expired. Reviews never lift the gate `block`, and are not needed for the gate `proceed`.
    """

    __group__ = Group.CAUSAL_VALIDATION
    __select__ = f"""
        SELECT
            e.estimate_id,
            d.decision,
            d.decision = 'proceed' AS allowed,
            r.review_id,
            e.reasons || CASE
                WHEN e.gate <> 'review' THEN ARRAY[]::text[]
                WHEN {{dag_hash}} IS NULL THEN ARRAY['No DAG was named, so no expert review can lift the gate.']
                ELSE ARRAY[{_REVIEW_REASON}]
            END AS reasons
        FROM ({_ESTIMATES}) AS e
        LEFT JOIN LATERAL ({_REVIEW}) AS r ON e.gate = 'review'
        CROSS JOIN LATERAL (
            SELECT CASE
                WHEN e.gate <> 'review' THEN e.gate
                WHEN r.state = 'approved' THEN 'proceed'
                WHEN r.state IN ('rejected', 'expired') THEN 'block'
                ELSE 'review'
            END AS decision
        ) AS d
    """
    __reads__ = ("CausalValidation", "ExpertReview")
    __arguments__: ClassVar = {
        "dag_hash": Argument(
            TEXT(), "SHA256 hash of the DAG that the estimate was made with; without it no review counts."
        ),
        "brand": Argument(
            TEXT(), "Brand of the reviews that count, beside those without a brand; any brand by default."
        ),
    }
    __plural__ = "estimateUses"

    estimate_id: Mapped[UUID] = column(Uuid(), "The estimate.", primary_key=True)
    decision: Mapped[GateDecision] = column(pg_enum(GateDecision), "PROCEED, REVIEW or BLOCK, the experts included.")
    allowed: Mapped[bool] = column(Boolean(), "Whether the estimate may be used: the decision is PROCEED.")
    reasons: Mapped[list[str]] = column(
        ARRAY(TEXT()), "Why, in words: the tests' reasons, then the experts'.", holds=Holds.PROSE
    )
    review_id: Mapped[UUID | None] = column(Uuid(), "The expert review that decides; null where none does.")

    estimate = belongs_to(
        "Estimate",
        {"estimate_id": "estimate_id"},
        "The estimate.",
        inverse="usable",
        inverse_doc="Whether the estimate may be used with a given DAG: the gate and the expert reviews together.",
        inverse_many=False,
    )
    review = Relation(
        "ExpertReview", "The expert review that decides; null where none does.", on={"review_id": "review_id"}
    )


class DagApprovalState(Labels):
    """State of the expert approval of a DAG, by the latest decided review that is not superseded."""

    APPROVED = "approved", "Approved, and the approval is valid today (UTC)."
    EXPIRED = "expired", "Was approved; its last valid day is past, or the review is marked as expired."
    REJECTED = "rejected", "Rejected."
    UNDECIDED = "undecided", "No review of the DAG has been decided."


class DagApproval(Derived):
    """The expert approval of a DAG today, by the latest decided review that is not superseded. An approval counts as
    expired from the day after `valid_until` (UTC).
    """

    __group__ = Group.CAUSAL_VALIDATION
    __aliases__ = ("dag sign off",)
    __select__ = f"""
        SELECT
            {{hash}} AS dag_version_hash,
            {{brand}} AS brand,
            coalesce(r.state, 'undecided') AS state,
            coalesce(r.state = 'approved', false) AS approved,
            r.review_id,
            r.valid_until,
            CASE WHEN r.state = 'approved' THEN r.valid_until - {TODAY} END AS days_left,
            {_REVIEW_REASON} AS reason,
            (
                SELECT count(*)::integer FROM expert_reviews AS p
                WHERE p.dag_version_hash = {{hash}} AND p.approval_status = 'pending'
                    AND ({{brand}} IS NULL OR p.brand IS NULL OR p.brand = {{brand}})
            ) AS pending_reviews
        FROM (SELECT) AS one
        LEFT JOIN LATERAL ({_REVIEW.replace("{dag_hash}", "{hash}")}) AS r ON true
    """
    __reads__ = ("ExpertReview",)
    __single__ = True
    __arguments__: ClassVar = {
        "hash": Argument(TEXT(), "SHA256 hash of the DAG.", required=True),
        "brand": Argument(
            TEXT(), "Brand of the reviews that count, beside those without a brand; any brand by default."
        ),
    }

    dag_version_hash: Mapped[str] = column(VARCHAR(64), "The requested hash.", primary_key=True, holds=Holds.IDENTIFIER)
    brand: Mapped[str | None] = column(VARCHAR(50), "The requested brand.", holds=Holds.LABEL)
    state: Mapped[DagApprovalState] = column(pg_enum(DagApprovalState), "State of the expert approval.")
    approved: Mapped[bool] = column(Boolean(), "Whether the DAG is approved today.")
    reason: Mapped[str] = column(TEXT(), "Why, in words.", holds=Holds.PROSE)
    review_id: Mapped[UUID | None] = column(Uuid(), "The review that decides; null where none does.")
    valid_until: Mapped[date | None] = column(Date(), "Last valid day of the approval; null means without end.")
    days_left: Mapped[int | None] = column(
        Integer(),
        "Days that the approval stays valid after today; null without an approval or without an end.",
        unit=Unit.DAYS,
    )
    pending_reviews: Mapped[int] = column(
        Integer(), "Number of requested reviews of the DAG that are not decided.", unit=Unit.COUNT
    )

    review = Relation("ExpertReview", "The review that decides; null where none does.", on={"review_id": "review_id"})
