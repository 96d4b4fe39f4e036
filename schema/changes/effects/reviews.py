"""Expert reviews: requests that supersede others, and expired approvals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db.base.lifecycles import MAY_REVIEW, TODAY
from db.engine.clock import CLOCK
from db.models.g02_causal_gate import same_subject, supersedes
from db.models.g02_validation_lifecycles import (
    EXPIRE_SUPERSEDED,
    EXPIRING_OVERDUE,
    REQUEST_REVIEW,
    REQUESTING_REVIEW,
    REVIEW,
    ReviewStatus,
)
from schema.changes.engine import Transition, Work
from schema.changes.mutations import mutation
from schema.changes.refusals import blocked, invalid
from schema.changes.registry import check, effect
from schema.changes.results import Blocker
from schema.changes.rows import Subject
from schema.error_codes import BlockerCode

SWEPT = 500
"""Approvals that one sweep expires."""


@check
def valid_until_ahead(given: Mapping[str, Any]) -> tuple[str, str] | None:
    until = given.get("valid_until")
    if until is not None and until < CLOCK.now().date():
        return "valid_until", f"{until} is past; pass a day from today on, or nothing for an approval without end"
    return None


@effect(EXPIRE_SUPERSEDED)
async def expire_superseded(work: Work, transition: Transition) -> None:
    """An approval ends when a valid one of the same DAG and brand that supersedes it is given."""
    if transition.row["supersedes_review_id"] is not None:
        superseded = (
            "t.approval_status = 'approved' AND EXISTS (SELECT FROM expert_reviews AS newer "
            f"WHERE newer.review_id::uuid = $1::text::uuid AND {supersedes('newer', 't')})"
        )
        for row in await work.find("ExpertReview", superseded, transition.row["review_id"]):
            await work.shift(REVIEW, row, ReviewStatus.EXPIRED)


@mutation(
    REQUESTING_REVIEW,
    "Requests an expert review, which supersedes an earlier one when it is approved, if one is named.",
    given=REQUEST_REVIEW,
)
async def request_review(work: Work) -> None:
    """Adds a pending review; one that is about something else than what it names takes no review's place."""
    related = work.given.get("related_validation_ids") or []
    there = await work.fetch(
        "SELECT validation_id::text FROM causal_validations WHERE validation_id::uuid = ANY ($1::text[]::uuid[])",
        related,
    )
    known = {key for (key,) in there}
    for place, key in enumerate(related):
        if key not in known:
            raise invalid(f"relatedValidationIds[{place}]", "names no CausalValidation")
    superseded = work.given.get("supersedes_review_id")
    if superseded is not None:
        await work.lock(work.catalogue["ExpertReview"], [Subject(superseded, (superseded,), "supersedesReviewId")])
    row = await work.insert("ExpertReview", {**work.given, "approval_status": ReviewStatus.PENDING.value})
    if superseded is not None:
        other = await work.fetch(
            "SELECT r.dag_version_hash, r.brand, r.review_type::text FROM expert_reviews AS r "
            "JOIN expert_reviews AS asked ON asked.review_id::uuid = $1::text::uuid "
            f"WHERE r.review_id::uuid = $2::text::uuid AND NOT {same_subject('asked', 'r')}",
            row["review_id"],
            superseded,
        )
        for dag, brand, type_ in other:
            about = f"the DAG {dag}" if dag else f"no DAG, of the type {type_}"
            raise invalid(
                "supersedesReviewId",
                f"that review is about {about}, for {brand or 'every brand'}; only a review of the same DAG (or, "
                "without one, of the same type), for that brand or for every brand, can supersede it",
            )
    work.subjects.append(row.id)
    await work.record(row.id, REVIEW.name, None, ReviewStatus.PENDING.name)


@mutation(
    EXPIRING_OVERDUE,
    f"Ends every approval whose last valid day is past (UTC), at most {SWEPT} at once, the longest overdue first.",
    scope=MAY_REVIEW,
)
async def expire_overdue_reviews(work: Work) -> None:
    """The sweep; where nothing is overdue it says so, and nothing is changed."""
    found = await work.fetch(
        "SELECT t.review_id::text FROM expert_reviews AS t WHERE t.approval_status = 'approved' "
        f"AND t.valid_until < {TODAY} ORDER BY t.valid_until, t.review_id "
        "LIMIT $1::text::integer",
        str(SWEPT),
    )
    rows = await work.find(
        "ExpertReview",
        f"t.review_id::uuid = ANY ($1::text[]::uuid[]) AND t.approval_status = 'approved' AND t.valid_until < {TODAY}",
        [id_ for (id_,) in found],
    )
    if not rows:
        raise blocked(
            Blocker(code=BlockerCode.NOTHING_OVERDUE, message=BlockerCode.NOTHING_OVERDUE.message, overridable=False)
        )
    work.subjects += [row.id for row in rows]
    for row in rows:
        await work.shift(REVIEW, row, ReviewStatus.EXPIRED)
