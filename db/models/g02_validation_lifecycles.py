"""Group 2, lifecycles: expert reviews."""

from __future__ import annotations

from sqlalchemy import TEXT, VARCHAR, Date
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from db.base.effects import Effect, Moves, Writes
from db.base.guards import Guard
from db.base.lifecycles import MAY_REVIEW, NOW, TODAY, Change, Given, Lapse, Lifecycle, Step
from db.base.vocabulary import Labels
from db.models.g02_causal_validation import ExpertReviewType


class ReviewStatus(Labels):
    """Where an expert review stands."""

    PENDING = "pending", "Asked for; nothing has been decided."
    APPROVED = "approved", "The expert approves."
    REJECTED = "rejected", "The expert does not approve."
    EXPIRED = "expired", "The approval has run out, or a newer one has replaced it."


_ENDS = Moves("ExpertReview.status", (ReviewStatus.EXPIRED,))
EXPIRE_SUPERSEDED = Effect("expire_superseded", moves=(_ENDS,), ways=(("ExpertReview.supersedes",),))
EXPIRING_OVERDUE = Effect("expireOverdueReviews", moves=(_ENDS,))

REVIEW = Lifecycle(
    "status",
    "ExpertReview",
    "approval_status",
    ReviewStatus,
    ReviewStatus.PENDING,
    {
        ReviewStatus.PENDING: (ReviewStatus.APPROVED, ReviewStatus.REJECTED),
        ReviewStatus.APPROVED: (ReviewStatus.EXPIRED,),
    },
    entering={
        ReviewStatus.APPROVED: Step(
            guards=(
                Guard(
                    "CHECKLIST_INCOMPLETE",
                    "Every item of the checklist must be true, and there must be some.",
                    """
                    SELECT CASE WHEN items.open IS NULL THEN 'the checklist is missing or empty'
                        ELSE 'the checklist is not complete: ' || items.open END, 'ExpertReview:' || {row}.review_id
                    FROM (
                        SELECT string_agg(i.key, ', ' ORDER BY i.key) FILTER (WHERE i.value <> 'true'::jsonb) AS open,
                            count(*) AS total
                        FROM jsonb_each(CASE jsonb_typeof({row}.checklist_json) WHEN 'object'
                            THEN {row}.checklist_json ELSE '{}'::jsonb END) AS i
                    ) AS items
                    WHERE items.total = 0 OR items.open IS NOT NULL
                    """,
                ),
                Guard(
                    "VALIDITY_ENDED",
                    "An approval ends in the future, or never.",
                    f"""
                    SELECT 'it would be valid until ' || {{row}}.valid_until || ', which is past', NULL
                    WHERE {{row}}.valid_until < {TODAY}
                    """,
                ),
            ),
            stamps={"approved_at": NOW},
            effects=(EXPIRE_SUPERSEDED,),
        ),
    },
    changes=(
        Change(
            "approveReview",
            "Approves a review; a superseded approval of the same DAG and brand expires.",
            (ReviewStatus.APPROVED,),
            {
                "checklist_json": Given(JSONB(), "Completed review checklist: items, each true."),
                "valid_until": Given(Date(), "Last valid day of the approval; unlimited by default."),
                "conditions": Given(TEXT(), "Conditions on which the approval depends."),
            },
            checks=("valid_until_ahead",),
            many=False,
        ),
        Change(
            "rejectReview",
            "Rejects a review.",
            (ReviewStatus.REJECTED,),
            {"concerns_raised": Given(ARRAY(TEXT()), "Concerns that the reviewer raised, one by one.")},
            reason_due=True,
            many=False,
        ),
        Change("expireReview", "Expires an approval, before or after its last valid day.", (ReviewStatus.EXPIRED,)),
    ),
    lapses=(
        Lapse(
            ReviewStatus.APPROVED,
            ReviewStatus.EXPIRED,
            f"{{row}}.valid_until < {TODAY}",
            ("valid_until",),
            "An approval is EXPIRED from the day after `validUntil` (UTC), independent of `approvalStatus`.",
        ),
    ),
    ended=(ReviewStatus.EXPIRED,),
    scope=MAY_REVIEW,
)

REQUEST_REVIEW = {
    "review_type": Given(ExpertReviewType, "Type of review.", required=True),
    "reviewer_id": Given(VARCHAR(100), "Reviewer user ID.", required=True),
    "reviewer_name": Given(VARCHAR(200), "Reviewer's display name."),
    "reviewer_role": Given(VARCHAR(100), "Reviewer's role: commercial_ops, medical_affairs, data_science."),
    "dag_version_hash": Given(VARCHAR(64), "SHA256 hash of the DAG that is to be reviewed."),
    "brand": Given(VARCHAR(50), "Brand that the review is about; every brand by default."),
    "analysis_context": Given(TEXT(), "Analysis that the review covers, in prose."),
    "treatment_variable": Given(VARCHAR(100), "Treatment being analyzed."),
    "outcome_variable": Given(VARCHAR(100), "Outcome being measured."),
    "reviewer_email": Given(VARCHAR(200), "Reviewer's email address."),
    "checklist_json": Given(JSONB(), "Review checklist that is to be completed."),
    "related_validation_ids": Given(
        "CausalValidation", "The refutation tests whose results are to be reviewed.", many=True
    ),
    "supersedes_review_id": Given(
        "ExpertReview", "The review of the same DAG and brand that this one is to replace, once it is approved."
    ),
}
"""Inputs of a new review."""

REQUESTING_REVIEW = Effect(
    "requestReview",
    writes=(Writes("ExpertReview", added=(*REQUEST_REVIEW, "approval_status")),),
    locks=("ExpertReview",),
)
