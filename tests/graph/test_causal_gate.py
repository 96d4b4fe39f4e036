"""The causal gate: the fields agree with the document's flowchart in Python and with the SQL functions."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.support.changing import add
from tests.support.client import Client
from tests.support.databases import Clone, Database, connect
from tests.support.platform_shaped import IS_PLATFORM

Serve = Callable[[Database], AbstractAsyncContextManager[Client]]

TESTS = ("placebo_treatment", "random_common_cause", "data_subset", "bootstrap", "sensitivity_e_value")
REQUIRED = {"placebo_treatment", "random_common_cause", "sensitivity_e_value"}
BRANDS = (None, "Kisqali", "Fabhalta")
ESTIMATES = 250
DAGS = 40


@dataclass
class World:
    """Random estimates and DAGs, as they stand in the database."""

    client: Client
    connection: asyncpg.Connection
    validations: dict[UUID, list[dict[str, Any]]] = field(default_factory=dict)
    reviews: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


@pytest.fixture(scope="module")
async def world(template: Database, clone: Clone, serve: Serve) -> AsyncIterator[World]:
    async with clone(template) as database:
        connection = await connect(database.admin_url)
        try:
            # NaN is stored where nothing forbids it
            await connection.execute(
                "ALTER TABLE causal_validations DROP CONSTRAINT IF EXISTS causal_validations_confidence_score_check"
            )
            async with serve(database) as client:
                world = World(client, connection)
                await fill(world, random.Random(3))
                yield world
        finally:
            await connection.close()


async def fill(world: World, rng: random.Random) -> None:
    """Estimates whose tests pass more often than not, so that every decision is met; reviews around today."""
    for _ in range(ESTIMATES):
        estimate = UUID(int=rng.getrandbits(128))
        weights = rng.choice(((20, 1, 1, 1), (2, 1, 1, 1), (1, 0, 0, 0)))
        for test in TESTS:
            for _ in range(rng.choice((0, 1, 1, 1, 2)) if rng.random() < 0.4 else 1):
                status = rng.choices(("passed", "failed", "warning", "skipped"), weights)[0]
                confidence = rng.choice(
                    (None, "0.5", "0.7", "0.699", "0.9", "NaN") if rng.random() < 0.1 else ("0.7", "0.9")
                )
                made = None if rng.random() < 0.05 else datetime(2026, 1, rng.randint(1, 28), tzinfo=UTC)
                row = await world.connection.fetchrow(
                    "INSERT INTO causal_validations (estimate_id, estimate_source, test_type, status, confidence_score,"
                    " created_at, gate_decision) VALUES ($1, 'causal_paths', $2, $3, $4::text::numeric, $5, $6)"
                    " RETURNING *",
                    estimate, test, status, confidence, made, rng.choice(("proceed", "review", "block")),
                )  # fmt: skip
                world.validations.setdefault(estimate, []).append(dict(row))
    today = datetime.now(UTC).date()
    every: list[UUID] = []
    for number in range(DAGS):
        last = None
        for _ in range(rng.randint(0, 4)):
            row = await world.connection.fetchrow(
                "INSERT INTO expert_reviews (review_type, dag_version_hash, reviewer_id, approval_status, brand,"
                " valid_from, valid_until, created_at, supersedes_review_id)"
                " VALUES ('dag_approval', $1, 'r', $2, $3, $4, $5, $6, $7) RETURNING *",
                f"dag{number}", rng.choice(("approved", "approved", "approved", "rejected", "expired", "pending")),
                rng.choice(BRANDS), today + timedelta(days=rng.choice((-9, 0, 1))),
                rng.choice((None, today - timedelta(days=1), today, today + timedelta(days=1))),
                datetime(2026, 2, rng.randint(1, 28), tzinfo=UTC),
                last if rng.random() < 0.3 else rng.choice(every) if every and rng.random() < 0.3 else None,
            )  # fmt: skip
            last = row["review_id"]
            every.append(last)
            world.reviews.setdefault(f"dag{number}", []).append(dict(row))


def newest(rows: list[dict[str, Any]], key: str) -> dict[str, Any]:
    return max(rows, key=lambda row: (row["created_at"] is not None, row["created_at"] or 0, row[key]))


def gate(rows: list[dict[str, Any]]) -> str:
    """The flowchart's first half."""
    tests: dict[str, dict[str, Any]] = {}
    for test in TESTS:
        if mine := [row for row in rows if row["test_type"] == test]:
            tests[test] = newest(mine, "validation_id")
    if any(row["status"] == "failed" and test in REQUIRED for test, row in tests.items()):
        return "block"
    confident = [row["confidence_score"] for row in tests.values() if row["status"] == "passed"]
    sure = len(confident) == 5 and all(c is not None and not c.is_nan() and c >= 0.7 for c in confident)
    return "proceed" if sure else "review"


def deciding(reviews: list[dict[str, Any]], brand: str | None, today: date) -> dict[str, Any] | None:
    """The latest decided review that no valid approval of the same brands supersedes."""
    superseded = {
        other["review_id"]
        for review in reviews
        for other in reviews
        if review["supersedes_review_id"] == other["review_id"]
        and review["approval_status"] == "approved"
        and review["valid_from"] <= today
        and (review["valid_until"] is None or review["valid_until"] >= today)
        and review["brand"] in (None, other["brand"])
    }
    decided = [
        review
        for review in reviews
        if review["approval_status"] != "pending"
        and (brand is None or review["brand"] in (None, brand))
        and not (review["approval_status"] == "approved" and review["valid_from"] > today)
        and review["review_id"] not in superseded
    ]
    return newest(decided, "review_id") if decided else None


def state(review: dict[str, Any] | None, today: date) -> str:
    if review is None:
        return "undecided"
    status = review["approval_status"]
    lapsed = status == "approved" and review["valid_until"] is not None and review["valid_until"] < today
    return "expired" if lapsed else str(status)


async def test_every_gate(world: World) -> None:
    data = await world.client.data(
        "{ estimates(first: 1000) { totalCount nodes { estimateId gate confidence reasons missingTests storedDecisions "
        "storedDifference validations(first: 100) { totalCount } decisiveValidations { nodes { validationId } } } } }"
    )
    estimates = data["estimates"]["nodes"]
    assert data["estimates"]["totalCount"] == len(estimates) == len(world.validations)
    met = set()
    for estimate in estimates:
        rows = world.validations[UUID(estimate["estimateId"])]
        expected = gate(rows)
        met.add(expected)
        assert estimate["gate"] == expected.upper()
        stored = await world.connection.fetchval("SELECT get_validation_gate($1)", UUID(estimate["estimateId"]))
        assert estimate["gate"] == stored.upper()
        assert estimate["reasons"]
        latest = [newest(mine, "validation_id") for t in TESTS if (mine := [r for r in rows if r["test_type"] == t])]
        decisive = {node["validationId"] for node in estimate["decisiveValidations"]["nodes"]}
        assert decisive == {str(row["validation_id"]) for row in latest}
        assert estimate["validations"]["totalCount"] == len(rows)
        assert len(estimate["missingTests"]) == 5 - len(latest)
        assert set(estimate["storedDecisions"]) == {row["gate_decision"].upper() for row in latest}
        assert (estimate["storedDifference"] is None) == (estimate["storedDecisions"] == [estimate["gate"]])
    assert met == {"proceed", "review", "block"}


@pytest.mark.slow
async def test_the_experts_turn_review(world: World) -> None:
    """With a DAG: approved and valid is proceed, rejected or expired is block, and nobody lifts a block."""
    today = datetime.now(UTC).date()
    met = set()
    for dag in [f"dag{number}" for number in range(DAGS)]:
        for brand in BRANDS:
            asked = {"dag": dag, "brand": brand}
            data = await world.client.data(
                """query($dag: String!, $brand: String) {
                     dagApproval(hash: $dag, brand: $brand) { state approved reviewId reason daysLeft pendingReviews }
                     estimates(first: 12) { nodes { estimateId gate
                       usable(dagHash: $dag, brand: $brand) {
                         decision allowed reasons reviewId review { reviewId } } } } }""",
                **asked,
            )
            review = deciding(world.reviews.get(dag, []), brand, today)
            approval = data["dagApproval"]
            assert approval["state"] == state(review, today).upper()
            assert approval["reviewId"] == (None if review is None else str(review["review_id"]))
            approved = await world.connection.fetchval("SELECT is_dag_approved($1, $2)", dag, brand)
            assert approval["approved"] == (approval["state"] == "APPROVED")
            assert IS_PLATFORM or approval["approved"] == approved  # the platform's own function knows no rejections
            pending = [r for r in world.reviews.get(dag, []) if r["approval_status"] == "pending"]
            assert approval["pendingReviews"] == sum(brand is None or r["brand"] in (None, brand) for r in pending)
            for estimate in data["estimates"]["nodes"]:
                usable = estimate["usable"]
                turned = {"APPROVED": "PROCEED", "REJECTED": "BLOCK", "EXPIRED": "BLOCK", "UNDECIDED": "REVIEW"}
                expected = turned[approval["state"]] if estimate["gate"] == "REVIEW" else estimate["gate"]
                met.add((estimate["gate"], approval["state"]))
                assert usable["decision"] == expected
                identity = UUID(estimate["estimateId"])
                assert usable["allowed"] == (expected == "PROCEED")
                can_use = "SELECT can_use_estimate($1, $2, $3)"
                assert IS_PLATFORM or usable["allowed"] == await world.connection.fetchval(
                    can_use, identity, dag, brand
                )
                rests_on = usable["review"] and usable["review"]["reviewId"]
                assert (
                    rests_on == usable["reviewId"] == (approval["reviewId"] if estimate["gate"] == "REVIEW" else None)
                )
    assert {state_ for _, state_ in met} == {"APPROVED", "REJECTED", "EXPIRED", "UNDECIDED"}


async def test_an_approval_is_valid_to_the_end_of_its_last_day(world: World) -> None:
    today = datetime.now(UTC).date()
    answers = {}
    for days in (-1, 0):
        last = today + timedelta(days=days)
        await world.connection.execute(
            "INSERT INTO expert_reviews (review_type, dag_version_hash, reviewer_id, approval_status, valid_from,"
            " valid_until) VALUES ('dag_approval', $1, 'r', 'approved', $2, $3)",
            f"last day {days}", today - timedelta(days=30), last,
        )  # fmt: skip
        data = await world.client.data(
            "query($h: String!) { dagApproval(hash: $h) { state daysLeft reason } }", h=f"last day {days}"
        )
        answers[days] = data["dagApproval"]
    assert answers[0]["state"] == "APPROVED"
    assert answers[0]["daysLeft"] == 0
    assert answers[-1]["state"] == "EXPIRED"
    assert str(today - timedelta(days=1)) in answers[-1]["reason"]


async def test_an_estimate_that_nothing_knows_is_null(world: World) -> None:
    for query in (
        '{ found: estimate(id: "00000000-0000-0000-0000-000000000001") { id gate } }',
        '{ found: estimate(id: "00000000-0000-0000-0000-000000000001") { usable(dagHash: "none") { decision } } }',
        '{ found: node(id: "Estimate:00000000-0000-0000-0000-000000000001") { id } }',
    ):
        assert (await world.client.data(query))["found"] is None


REASONS = """query($id: ID!, $dag: String) {
  estimate(id: $id) { gate missingTests reasons usable(dagHash: $dag) { reasons } } }"""


@pytest.mark.parametrize("run", ["bootstrap", "a test of its own"])
async def test_tests_that_were_not_run_are_the_reasons(world: World, run: str) -> None:
    """Each by its name; where none of the five was run, but one that the database alone knows, one reason for all."""
    id_ = UUID(int=1)
    await world.connection.execute(f"ALTER TYPE refutation_test_type ADD VALUE IF NOT EXISTS '{run}'")
    await world.connection.execute(
        "INSERT INTO causal_validations (estimate_id, estimate_source, test_type, status, confidence_score)"
        " VALUES ($1, 'causal_paths', $2::text::refutation_test_type, 'passed', 0.9)",
        id_, run,
    )  # fmt: skip
    try:
        found = (await world.client.data(REASONS, id=str(id_)))["estimate"]
    finally:
        await world.connection.execute("DELETE FROM causal_validations WHERE estimate_id = $1", id_)
    missing = [test for test in TESTS if test != run]
    assert (found["gate"], sorted(found["missingTests"])) == ("REVIEW", sorted(test.upper() for test in missing))
    expected = ["No refutation test has been recorded."]
    if run in TESTS:
        expected = sorted(f"The test {test} has not been run." for test in missing)
    assert sorted(found["reasons"]) == expected


@pytest.mark.parametrize("role", [None, "a statistician"])
async def test_a_review_is_by_the_role_of_its_reviewer(world: World, role: str | None) -> None:
    by = role or "an expert"
    says = {
        "approved": f"The DAG is approved by {by}, without end.",
        "rejected": f"The latest decided review of the DAG, by {by}, rejects it.",
    }
    estimate = next(key for key, rows in world.validations.items() if gate(rows) == "review")
    for status, reason in says.items():
        dag = f"{status} by {role}"
        await world.connection.execute(
            "INSERT INTO expert_reviews (review_type, dag_version_hash, reviewer_id, reviewer_role, approval_status) "
            "VALUES ('dag_approval', $1, 'r', $2, $3)",
            dag, role, status,
        )  # fmt: skip
        data = await world.client.data("query($dag: String!) { dagApproval(hash: $dag) { reason } }", dag=dag)
        assert data["dagApproval"]["reason"] == reason
        used = await world.client.data(REASONS, id=str(estimate), dag=dag)
        assert used["estimate"]["usable"]["reasons"][-1] == reason


async def test_reviews_of_other_dags_supersede_nothing(world: World) -> None:
    """Whatever they name; a valid approval of the same DAG takes the place of one that came after it."""

    async def review(dag: str, status: str, day: int, supersedes: UUID | None = None) -> UUID:
        id_: UUID = await world.connection.fetchval(
            "INSERT INTO expert_reviews (review_type, dag_version_hash, reviewer_id, approval_status, created_at,"
            " supersedes_review_id) VALUES ('dag_approval', $1, 'r', $2, $3, $4) RETURNING review_id",
            dag, status, datetime(2026, 3, day, tzinfo=UTC), supersedes,
        )  # fmt: skip
        return id_

    await review("of m", "approved", 1)
    decides = await review("of m", "rejected", 2)
    for dag in ("of a", "of z"):
        await review(dag, "approved", 3, decides)
    later = await review("of n", "rejected", 2)
    await review("of n", "approved", 1, later)
    for dag, expected in (("of m", "REJECTED"), ("of n", "APPROVED")):
        data = await world.client.data("query($dag: String!) { dagApproval(hash: $dag) { state } }", dag=dag)
        assert data["dagApproval"]["state"] == expected
        stored = await world.connection.fetchval("SELECT is_dag_approved($1)", dag)
        assert IS_PLATFORM or stored == (expected == "APPROVED")


async def test_the_reviews_of_a_dag_are_linked_one_by_one_in_their_order(world: World) -> None:
    """Those of one time by their ids; never one before the last, or of another DAG."""
    rows = await world.connection.fetch("SELECT review_id, dag_version_hash, created_at FROM expert_reviews")
    expected: dict[str, tuple[str | None, str | None]] = {}
    for dag in {row["dag_version_hash"] for row in rows}:
        mine = sorted(
            (row["created_at"], row["review_id"]) for row in rows if row["dag_version_hash"] == dag
        )  # fmt: skip
        ids = [None, *(str(id_) for _, id_ in mine), None]
        expected |= {str(ids[at]): (ids[at - 1], ids[at + 1]) for at in range(1, len(ids) - 1)}
    assert any(before and after for before, after in expected.values())
    data = await world.client.data(
        "{ expertReviews(first: 1000) { nodes { reviewId previousOfDag { reviewId } nextOfDag { reviewId } } } }"
    )
    found = {
        one["reviewId"]: tuple(one[name] and one[name]["reviewId"] for name in ("previousOfDag", "nextOfDag"))
        for one in data["expertReviews"]["nodes"]
    }
    assert found == expected


async def test_roi_calculations_are_of_the_estimates_of_causal_paths(world: World) -> None:
    """Not of an estimate of an experiment that happens to have the path's id."""
    path, other = list(world.validations)[:2]
    calculations = [await add(world.connection, "roi_calculations", causal_path_id=of) for of in (path, path, other)]
    experiment = UUID(int=2)
    await world.connection.execute(
        "INSERT INTO causal_validations (estimate_id, estimate_source, test_type, status)"
        " VALUES ($1, 'ml_experiments', 'bootstrap', 'passed')",
        experiment,
    )
    calculations.append(await add(world.connection, "roi_calculations", causal_path_id=experiment))
    try:
        data = await world.client.data(
            """query($path: ID!, $experiment: ID!, $of: [UUID!]) {
                 path: estimate(id: $path) { roiCalculations { totalCount nodes { estimate { estimateId } } } }
                 experiment: estimate(id: $experiment) { estimateSource roiCalculations { totalCount } }
                 roiCalculations(where: { causalPathId: { in: $of } }) {
                   nodes { causalPathId estimate { estimateId } } } }""",
            path=str(path), experiment=str(experiment), of=[str(path), str(experiment)],
        )  # fmt: skip
    finally:
        await world.connection.execute("DELETE FROM roi_calculations WHERE calculation_id = ANY ($1)", calculations)
        await world.connection.execute("DELETE FROM causal_validations WHERE estimate_id = $1", experiment)
    assert data["path"]["roiCalculations"] == {
        "totalCount": 2, "nodes": [{"estimate": {"estimateId": str(path)}}] * 2,
    }  # fmt: skip
    assert data["experiment"]["roiCalculations"]["totalCount"] == 0
    linked = {
        one["causalPathId"]: one["estimate"] and one["estimate"]["estimateId"]
        for one in data["roiCalculations"]["nodes"]
    }
    assert linked == {str(path): str(path), str(experiment): None}


async def test_estimates_have_all_the_power_of_lists(world: World) -> None:
    expected = {gate_: sum(gate(rows) == gate_.lower() for rows in world.validations.values()) for gate_ in
                ("PROCEED", "REVIEW", "BLOCK")}  # fmt: skip
    answer = await world.client.ask(
        """{ estimates { aggregate(groupBy: [{ field: GATE }]) { group { gate } count } }
             blocked: estimates(where: { gate: { eq: BLOCK } }, first: 3, orderBy: [{ field: CONFIDENCE }]) {
               totalCount edges { cursor node { gate confidence } } }
             validations: causalValidations(where: { estimate: { gate: { eq: BLOCK } } }) { totalCount } }"""
    )
    data = answer["data"]
    assert {one["group"]["gate"]: one["count"] for one in data["estimates"]["aggregate"]} == expected
    assert data["blocked"]["totalCount"] == expected["BLOCK"]
    rows = sum(len(rows) for rows in world.validations.values() if gate(rows) == "block")
    assert data["validations"]["totalCount"] == rows
    following = await world.client.data(
        """query($c: String) { estimates(where: { gate: { eq: BLOCK } }, first: 1, after: $c,
             orderBy: [{ field: CONFIDENCE }]) { edges { cursor } } }""",
        c=data["blocked"]["edges"][0]["cursor"],
    )
    assert following["estimates"]["edges"][0]["cursor"] == data["blocked"]["edges"][1]["cursor"]


async def test_bad_input(world: World) -> None:
    error = await world.client.error('{ estimate(id: "nonsense") { gate } }')
    assert (error["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", "id")
    error = await world.client.error("{ dagApproval { state } }")
    assert error["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert "hash" in error["message"]
    error = await world.client.error(r'{ dagApproval(hash: "\u0000") { state } }')
    assert (error["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", "hash")
