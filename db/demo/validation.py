"""Causal validation: refutation tests of estimates, and expert reviews of their DAGs.

- Rep visits on Kisqali TRx (``Kisqali rep visit effect``, an estimate of ``ml_experiments``) passed all: proceed.
- Speaker programs on Kisqali NRx failed the placebo test, which is required: block.
- E-mails on Remibrutinib NRx has a warning, so it is in review, and an approved expert review lets it proceed; a
  quarterly audit superseded the earlier approval.
- Copay cards on Fabhalta persistence is in review: its approval has expired.
- MSL visits on Fabhalta starts was rejected by its reviewer; peers on Remibrutinib starts is still pending.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from db.demo.vocabulary import FABHALTA, KISQALI, REMIBRUTINIB
from db.demo.world import Case, Document, World, sha256
from db.models.g02_causal_validation import CausalValidation, ExpertReview

TESTS = ("placebo_treatment", "random_common_cause", "data_subset", "bootstrap", "sensitivity_e_value")
REQUIRED = {"placebo_treatment", "random_common_cause", "sensitivity_e_value"}
REVIEWERS = {
    "commercial_ops": ("r.garcia", "Rosa Garcia"),
    "medical_affairs": ("d.lindqvist", "Dr. Dag Lindqvist"),
    "data_science": ("k.adeyemi", "Kemi Adeyemi"),
}


@dataclass(frozen=True)
class Review:
    """A review: its kind, its status, its age in days, and its validity in days."""

    kind: str
    status: str
    age: int
    valid: int | None = 90
    role: str = "data_science"
    concerns: tuple[str, ...] = ()
    supersedes_last: bool = False


@dataclass(frozen=True)
class TestedEstimate:
    """An estimate: treatment and outcome, the outcomes of tests that did not pass, and its reviews."""

    treatment: str
    outcome: str
    brand: str
    effect: float
    confidence: float = 0.84
    outcomes: dict[str, str] = field(default_factory=dict)
    reviews: tuple[Review, ...] = ()
    stored: str | None = None  # the stored gate, if it differs from that of the tests
    retried: bool = False


STORIES = (
    TestedEstimate(
        "speaker_programs", "nrx", KISQALI, 0.31, 0.42, {"placebo_treatment": "failed", "bootstrap": "warning"}
    ),
    TestedEstimate(
        "email_campaign", "nrx", REMIBRUTINIB, 0.17, 0.76, {"data_subset": "warning"},
        (
            Review("dag_approval", "approved", 130, 90, "medical_affairs"),
            Review("quarterly_audit", "approved", 25, 90, "medical_affairs", supersedes_last=True),
        ),
    ),
    TestedEstimate(
        "copay_card", "persistence_180d", FABHALTA, 0.092, 0.66, {}, (Review("dag_approval", "expired", 140, 90),),
        stored="proceed",
    ),
    TestedEstimate(
        "msl_visits", "first_rx_90d", FABHALTA, 0.058, 0.71, {"bootstrap": "failed"},
        (Review("methodology_review", "rejected", 12, None, "commercial_ops", ("Territory plans drive both sides.",)),),
    ),
    TestedEstimate(
        "peer_adoption", "first_rx_90d", REMIBRUTINIB, 0.24, 0.73, {"sensitivity_e_value": "skipped"},
        (Review("ad_hoc_validation", "pending", 2, None),), retried=True,
    ),
)  # fmt: skip


def add_story(world: World, case: Case) -> list[UUID]:
    """The estimates of the stories; ``case`` is the experiment whose estimate passes. Returns their ids."""
    visits = TestedEstimate(
        "rep_visits_90d", "trx_last_90d", KISQALI, 1.42, 0.88, {},
        (Review("dag_approval", "approved", 40, 365, "commercial_ops"),),
    )  # fmt: skip
    suite(world, visits, case.id, "ml_experiments", world.ago(days=41))
    ids = []
    for number, estimate in enumerate(STORIES):
        ids.append(world.rows.uuid())
        suite(world, estimate, ids[-1], "causal_paths", world.ago(days=8 + 3 * number))
    return ids


def plain(world: World, case: Case) -> None:
    """Two estimates for an experiment: its own, and one of a causal path."""
    for source in ("ml_experiments", "causal_paths"):
        outcomes = {world.pick(TESTS): world.pick(("warning", "failed", "skipped"))} if world.chance(0.4) else {}
        estimate = TestedEstimate(
            world.pick(case.features), case.topic.target, case.topic.brand, world.between(0.02, 0.6),
            world.between(0.55, 0.95, 3), outcomes,
            (Review("dag_approval", "approved", 30, 90),) if world.chance(0.3) else (),
        )  # fmt: skip
        identity = case.id if source == "ml_experiments" else world.rows.uuid()
        suite(world, estimate, identity, source, world.ago(days=world.rng.randint(1, 60)))


def gate(estimate: TestedEstimate) -> str:
    """The gate decision that follows from the tests of an estimate."""
    if any(estimate.outcomes.get(test) == "failed" for test in REQUIRED):
        return "block"
    return "review" if estimate.outcomes or estimate.confidence < 0.7 else "proceed"


def suite(world: World, estimate: TestedEstimate, identity: UUID, source: str, moment: datetime) -> None:
    """Five refutation tests of an estimate and the reviews of its DAG."""
    if estimate.reviews:  # the tests precede the first review
        moment = min(moment, world.ago(days=max(review.age for review in estimate.reviews) + 1))
    dag = sha256(f"{estimate.treatment} -> {estimate.outcome} / {estimate.brand}")
    common: Document = {
        "estimate_id": identity,
        "estimate_source": source,
        "gate_decision": estimate.stored or gate(estimate),
        "brand": estimate.brand,
        "analysis_context": f"Effect of {estimate.treatment} on {estimate.outcome}.",
        "treatment_variable": estimate.treatment,
        "outcome_variable": estimate.outcome,
        "agent_activity_id": f"act-{world.hex(12)}",
        "data_split": world.pick(("train", "validation", "test")),
    }
    if estimate.retried:
        _test(world, estimate, "random_common_cause", "failed", dag, moment - timedelta(days=1), common)
    validations = [
        _test(world, estimate, test, estimate.outcomes.get(test, "passed"), dag, moment, common) for test in TESTS
    ]
    last: UUID | None = None
    for review in estimate.reviews:
        last = _review(world, estimate, review, dag, validations, last if review.supersedes_last else None)


def _test(
    world: World, estimate: TestedEstimate, test: str, status: str, dag: str, moment: datetime, common: Document
) -> UUID:
    effect = estimate.effect
    if status == "skipped":
        refuted = p_value = None
    elif test == "placebo_treatment":
        refuted = round(effect * (0.62 if status == "failed" else world.between(-0.05, 0.05)), 6)
        p_value = 0.00311 if status == "failed" else world.between(0.3, 0.95, 5)
    else:
        refuted = round(effect * (world.between(0.4, 0.6) if status == "failed" else world.between(0.93, 1.05)), 6)
        p_value = world.between(0.001, 0.04, 5) if status == "failed" else world.between(0.3, 0.95, 5)
    row = world.rows.add(
        CausalValidation,
        test_type=test,
        status=status,
        original_effect=effect,
        refuted_effect=refuted,
        p_value=p_value,
        delta_percent=None if refuted is None else round(100 * (refuted - effect) / effect, 4),
        confidence_score=None if status == "skipped" else min(0.99, estimate.confidence + TESTS.index(test) * 0.01),
        test_config={"num_simulations": 100, "random_seed": 42},
        details_json={"refuter": test, "dag_hash": dag, "status": status},
        created_at=moment + timedelta(seconds=40 * TESTS.index(test)),
        **common,
    )
    identity: UUID = row["validation_id"]
    return identity


def _review(
    world: World, estimate: TestedEstimate, review: Review, dag: str, validations: list[UUID], supersedes: UUID | None
) -> UUID:
    asked = world.ago(days=review.age)
    decided = asked + timedelta(days=1, hours=3)
    reviewer, name = REVIEWERS[review.role]
    was_approved = review.status in {"approved", "expired"}
    row = world.rows.add(
        ExpertReview,
        review_type=review.kind,
        dag_version_hash=dag,
        reviewer_id=reviewer,
        reviewer_name=name,
        reviewer_role=review.role,
        reviewer_email=f"{reviewer}@example.com",
        approval_status=review.status,
        checklist_json={"confounders_complete": was_approved, "no_colliders": True, "timing_plausible": was_approved},
        comments_json={"summary": "The structure agrees with practice."} if was_approved else None,
        concerns_raised=list(review.concerns) or None,
        conditions="Repeat when a new payer contract starts." if was_approved else None,
        brand=estimate.brand,
        analysis_context=f"DAG of {estimate.treatment} on {estimate.outcome}.",
        treatment_variable=estimate.treatment,
        outcome_variable=estimate.outcome,
        valid_from=decided.date() if was_approved else asked.date(),
        valid_until=(decided + timedelta(days=review.valid)).date() if was_approved and review.valid else None,
        created_at=asked,
        updated_at=decided if review.status != "pending" else asked,
        approved_at=decided if was_approved else None,
        related_validation_ids=validations,
        supersedes_review_id=supersedes,
    )
    identity: UUID = row["review_id"]
    return identity
