"""Rows whose time is over: what says in which state a row is says so, and a walk and a search can leave them out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from schema.catalogue.from_models import catalogue
from tests.support.changing import change
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect
from tests.support.executors import EXECUTORS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=EXECUTORS)
async def client(request: pytest.FixtureRequest, own: Database) -> AsyncIterator[Client]:
    async with serving(own.gateway_url, compiler=request.param) as client:
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
    hash_ = f"lapsing-{days}-{status}-{client.compiles}"
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
    result = await change(client, "approveReview", id=f"ExpertReview:{key}", checklistJson={"ok": True})
    assert (result["__typename"], result["from"], result["allowed"]) == ("IllegalTransition", "EXPIRED", [])
    result = await change(client, "expireReview", id=f"ExpertReview:{key}")
    assert (result["event"]["fromState"], result["event"]["toState"]) == ("APPROVED", "EXPIRED")
    assert await sql.fetchval("SELECT approval_status FROM expert_reviews WHERE review_id = $1", key) == "expired"


ENDED = {
    "FeatureView": ("UPDATE ml_feast_feature_views SET deleted_at = {}", "now()", "NULL", "DELETED"),
    "Tool": ("UPDATE tool_registry SET deprecated_at = {}", "now()", "NULL", "DEPRECATED"),
    "Feature": ("UPDATE ml_feature_store SET is_active = {}", "false", "true", "INACTIVE"),
    "PromptConfiguration": ("UPDATE prompt_configurations SET is_active = {}", "false", "true", "INACTIVE"),
    "ExperimentKnowledge": ("UPDATE experiment_knowledge_store SET is_active = {}", "false", "true", "INACTIVE"),
    "OptimizedToolDescription": ("UPDATE optimized_tool_descriptions SET is_active = {}", "false", "true", "INACTIVE"),
    "RoiCalculation": ("UPDATE roi_calculations SET is_active = {}", "false", "true", "INACTIVE"),
    "TwinModel": ("UPDATE digital_twin_models SET is_active = {}", "false", "true", "INACTIVE"),
    "Model": ("UPDATE ml_model_registry SET stage = {}", "'archived'", "'staging'", "ARCHIVED"),
    "CohortDefinition": ("UPDATE ml_cohort_definitions SET status = {}", "'archived'", "'draft'", "ARCHIVED"),
    "ExpertReview": (
        "UPDATE expert_reviews SET approval_status = 'approved', valid_until = {}", "'2020-01-01'", "NULL", "EXPIRED",
    ),
}  # fmt: skip
"""How rows of a type end, and go on, and the state that they are in then."""

NEIGHBOURS = """query($ids: [ID!]!, $type: String!, $only: Boolean) {
  lineage(from: $ids, maxDepth: 1, types: [$type], onlyInUse: $only, perNodeLimit: 1000, maxNodes: 9000) {
    complete nodes { nodeId state } frontier { remaining cursor } }
  lineageCounts(from: $ids, maxDepth: 1, types: [$type], onlyInUse: $only) { total }
}"""
HITS = "query($id: String!, $only: Boolean) { search(text: $id, onlyInUse: $only) { hits { state node { id } } } }"


@pytest.mark.parametrize("type_", ENDED)
async def test_rows_that_have_ended_say_so_and_can_be_left_out(
    client: Client, sql: asyncpg.Connection, type_: str
) -> None:
    """In a walk to them and in a search, by id and by what the type is called; a walk's starts stay."""
    update, ended, going_on, state = ENDED[type_]
    table = catalogue()[type_].sql_name
    key = catalogue()[type_].key[0]
    keys = [row[0] for row in await sql.fetch(f"SELECT {key}::text FROM {table} ORDER BY {key} LIMIT 2")]
    over, lasting = f"{type_}:{keys[0]}", f"{type_}:{keys[1]}"
    await sql.execute(f"{update.format(going_on)} WHERE {key}::text = $1", keys[1])
    await sql.execute(f"{update.format(ended)} WHERE {key}::text = $1", keys[0])

    query = "query($ids: [ID!]!) { lineage(from: $ids, maxDepth: 1, perNodeLimit: 1) { nodes { nodeId type } } }"
    around = (await client.data(query, ids=[over]))["lineage"]["nodes"]
    others = [one["nodeId"] for one in around if one["type"] != type_]
    for only in (False, None, True):
        starts = await client.data(NEIGHBOURS, ids=[over, lasting], type=type_, only=only)
        states = {one["nodeId"]: one["state"] for one in starts["lineage"]["nodes"]}
        assert states[over] == state
        assert states[lasting] not in {None, state}
        if others:
            walked = await client.data(NEIGHBOURS, ids=others, type=type_, only=only)
            reached = {one["nodeId"]: one["state"] for one in walked["lineage"]["nodes"]}
            assert (over in reached) is (not only)
            assert walked["lineageCounts"]["total"] == len(reached)
            if only:
                assert state not in reached.values()
        hits = (await client.data(HITS, id=over, only=only))["search"]["hits"]
        assert [(hit["state"], hit["node"]["id"]) for hit in hits] == ([] if only else [(state, over)])
        hits = (await client.data(HITS, id=lasting, only=only))["search"]["hits"]
        assert [hit["node"]["id"] for hit in hits] == [lasting]


async def test_a_cursor_belongs_to_what_is_left_out(client: Client) -> None:
    """A walk that leaves out what has ended cannot be read on as one that does not."""
    experiments = await client.data("{ experiments(first: 50) { nodes { id } } }")
    ids = [one["id"] for one in experiments["experiments"]["nodes"]]
    query = """query($ids: [ID!]!, $only: Boolean, $after: [String!]) {
      lineage(from: $ids, maxDepth: 2, maxNodes: 60, onlyInUse: $only, after: $after) { frontier { cursor } } }"""
    cut = await client.data(query, ids=ids, only=True)
    after = [cut["lineage"]["frontier"][0]["cursor"]]
    assert (await client.data(query, ids=ids, only=True, after=after))["lineage"]
    error = await client.error(query, ids=ids, only=False, after=after)
    assert error["extensions"]["code"] == "INVALID_CURSOR"


async def test_without_the_columns_nothing_ends(demo_template: Database, clone: Clone) -> None:
    """A database that lacks what ends rows: states are what their columns say, and nothing is left out."""
    async with clone(demo_template) as copy:
        connection = await connect(copy.owner_url)
        await connection.execute("UPDATE expert_reviews SET approval_status = 'approved'")
        await connection.execute("ALTER TABLE expert_reviews DROP COLUMN valid_until CASCADE")
        await connection.execute("ALTER TABLE ml_feast_feature_views DROP COLUMN deleted_at CASCADE")
        await connection.close()
        query = """{ expertReviews(first: 1) { nodes { id lifecycle { state } } }
          featureViews(first: 1) { nodes { id } }
          search(text: "feature views", onlyInUse: true) { hits { state } } }"""
        async with serving(copy.gateway_url) as client:
            data = await client.data(query)
            (review,), (view,) = data["expertReviews"]["nodes"], data["featureViews"]["nodes"]
            assert review["lifecycle"]["state"] == "APPROVED"
            assert {hit["state"] for hit in data["search"]["hits"]} == {None}
            walk = "query($ids: [ID!]!) { lineage(from: $ids, onlyInUse: true) { nodes { nodeId state } } }"
            walked = await client.data(walk, ids=[review["id"], view["id"]])
            states = {one["nodeId"]: one["state"] for one in walked["lineage"]["nodes"]}
            assert states[review["id"]] == "APPROVED"
            assert states[view["id"]] is None
