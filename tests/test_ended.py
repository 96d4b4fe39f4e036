"""Rows whose time is over: what says in which state a row is says so, and a walk and a search can leave them out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from changing import change
from client import Client, serving
from conftest import Clone, Database, connect


@pytest.fixture(scope="module")
async def own(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    async with clone(demo_template) as copy:
        yield copy


@pytest.fixture(scope="module")
async def client(own: Database) -> AsyncIterator[Client]:
    async with serving(own.gateway_url) as client:
        yield client


@pytest.fixture
async def sql(own: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(own.owner_url)
    yield connection
    await connection.close()


STATES = """query($id: ID!, $hash: String!) {
  expertReview(id: $id) { approvalStatus lifecycle { state allowedTransitions { to } } }
  expertReviews(where: { dagVersionHash: { eq: $hash } }) { nodes { lifecycle { state } } }
  node(id: $id) { ... on ExpertReview { lifecycle { state } } }
  lineage(from: [$id], maxDepth: 0) { nodes { state } }
  lineageText(from: [$id], maxDepth: 0)
  search(text: $hash, types: [ExpertReview]) { hits { state } }
  impact(of: $id, if: { to: "EXPIRED" }) { from allowed node { state } }
  dagApproval(hash: $hash) { state }
}"""


@pytest.mark.parametrize(("days", "status", "state"), [
    (-1, "approved", "EXPIRED"), (0, "approved", "APPROVED"), (None, "approved", "APPROVED"),
    (-1, "rejected", "REJECTED"), (-1, "pending", "PENDING"),
])  # fmt: skip
async def test_an_approval_past_its_last_day_reads_expired(
    client: Client, sql: asyncpg.Connection, days: int | None, status: str, state: str
) -> None:
    """Wherever the state of a review is read; the last day itself is valid. The column stays as it is stored."""
    hash_ = f"lapsing-{days}-{status}"
    key = await sql.fetchval(
        "INSERT INTO expert_reviews (review_type, reviewer_id, dag_version_hash, approval_status, valid_from, "
        "valid_until) VALUES ('dag_approval', 'r', $1, $2, '2020-01-01', (now() AT TIME ZONE 'UTC')::date + $3::int) "
        "RETURNING review_id",
        hash_, status, days,
    )  # fmt: skip
    id_ = f"ExpertReview:{key}"
    data = await client.data(STATES, id=id_, hash=hash_)
    ways = {"APPROVED": ["EXPIRED"], "PENDING": ["APPROVED", "REJECTED"]}.get(state, [])
    assert data["expertReview"] == {
        "approvalStatus": status,
        "lifecycle": {"state": state, "allowedTransitions": [{"to": to} for to in ways]},
    }
    assert data["expertReviews"]["nodes"] == [{"lifecycle": {"state": state}}]
    assert data["node"] == {"lifecycle": {"state": state}}
    assert data["lineage"]["nodes"] == [{"state": state}]
    assert f"[{state}]" in data["lineageText"]
    assert data["search"]["hits"] == [{"state": state}]
    assert data["impact"] == {"from": state, "allowed": status == "approved", "node": {"state": state}}
    assert data["dagApproval"]["state"] == (state if status != "pending" else "UNDECIDED")


async def test_what_has_lapsed_can_be_written_down(client: Client, sql: asyncpg.Connection) -> None:
    key = await sql.fetchval(
        "INSERT INTO expert_reviews (review_type, reviewer_id, approval_status, valid_until) "
        "VALUES ('dag_approval', 'r', 'approved', '2020-01-01') RETURNING review_id"
    )
    result = await change(client, "expireReview", id=f"ExpertReview:{key}")
    assert (result["event"]["fromState"], result["event"]["toState"]) == ("APPROVED", "EXPIRED")
    assert await sql.fetchval("SELECT approval_status FROM expert_reviews WHERE review_id = $1", key) == "expired"
