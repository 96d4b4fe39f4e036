"""What a caller may not read, told by no other way either: lineage, search, the record of changes, prices, plans."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from db.attach.facts import Facts
from schema.catalogue.from_models import catalogue
from schema.changes.permissions import concerned
from schema.scopes import read_scopes, reading
from tests.support.callers import JWT, calling, token
from tests.support.changing import change, model_in
from tests.support.client import Client, serving
from tests.support.databases import Database, connect
from tests.support.executors import EXECUTORS

pytestmark = pytest.mark.slow

MONITORING = reading("model_monitoring")
WITHOUT_MONITORING = sorted(read_scopes() - {MONITORING})
TYPES_OF_MONITORING = {"DriftRecord", "MonitoringAlert", "Retraining", "PerformanceMetric", "MonitoringRun"}


@pytest.fixture(scope="module", params=EXECUTORS)
async def guarded(request: pytest.FixtureRequest, own: Database) -> AsyncIterator[Client]:
    async with serving(own.gateway_url, compiler=request.param, **JWT) as client:
        yield client


@pytest.fixture
async def sql(own: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(own.owner_url)
    yield connection
    await connection.close()


def everybody(client: Client) -> Client:
    return calling(client, token("admin", "patient"))


def without_monitoring(client: Client) -> Client:
    return calling(client, token(*WITHOUT_MONITORING))


def forbidden(answer: dict[str, Any]) -> set[tuple[str, str | None]]:
    """The codes and scopes of the errors of an answer."""
    return {(one["extensions"]["code"], one["extensions"].get("scope")) for one in answer["errors"]}


# -- plans -----------------------------------------------------------------------------------------------------------


async def test_every_list_that_a_caller_may_not_read_names_the_scope(guarded: Client) -> None:
    """In the default order, whose columns the caller may read none of, and without a filter."""
    client = calling(guarded, token(MONITORING))
    roots = [
        root
        for root in catalogue().roots.values()
        if root.many and not root.nearest and not catalogue()[root.target].arguments
    ]
    assert len(roots) > 40
    for root in roots:
        answer = await client.ask(f"{{ {root.name}(first: 1) {{ totalCount nodes {{ id }} }} }}")
        if "errors" in answer:
            ((code, scope),) = forbidden(answer)
            assert code == "FORBIDDEN_FIELD", root.name
            assert scope in read_scopes() - {MONITORING}, root.name
        else:
            assert answer["data"][root.name]["totalCount"] is not None


async def test_callers_who_ask_the_same_get_their_own_plans(guarded: Client) -> None:
    query = """query ($n: Int!) { assignments(first: $n) { nodes { variant unitId } }
                                  byUnit: assignments(orderBy: [{field: UNIT_ID}], first: $n) { nodes { variant } } }"""
    some, all_ = calling(guarded, token("viewer")), everybody(guarded)
    for n in (2, 3, 2, 3):
        answer = await some.ask(query, n=n)
        assert [row["unitId"] for row in answer["data"]["assignments"]["nodes"]] == [None] * n
        assert answer["data"]["byUnit"] is None
        assert forbidden(answer) == {("FORBIDDEN_FIELD", "patient")}
        data = await all_.data(query, n=n)
        assert all(row["unitId"] for row in data["assignments"]["nodes"])
        assert len(data["byUnit"]["nodes"]) == n
    assert guarded.app.state.graphql.plans.hits >= 4


async def test_callers_with_the_same_scopes_share_plans(guarded: Client) -> None:
    plans = guarded.app.state.graphql.plans
    query = "{ models(first: 1) { nodes { modelName } } }"
    await calling(guarded, token("viewer", sub="ada")).data(query)
    misses = plans.misses
    for one in (token("viewer", sub="grace"), token("analyst", sub="grace"), token("read", "change", sub="alan")):
        await calling(guarded, one).data(query)
    assert plans.misses == misses, "who may read the same has the same plans"


# -- prices ------------------------------------------------------------------------------------------------------------


async def test_prices_tell_nothing_of_the_size_of_what_is_withheld(guarded: Client) -> None:
    endpoint = guarded.app.state.graphql
    facts = endpoint.access.facts
    query = '{ patientCohortAssignments(where: {cohortId: {contains: "x"}}) { totalCount(exact: true) } }'
    some = calling(guarded, token("viewer"))
    prices = []
    try:
        for rows in (10, 100_000_000):
            endpoint.planner.learn_facts(
                Facts({**facts.rows, "ml_patient_cohort_assignments": rows}, facts.vector_version)
            )
            answer = await some.ask(query)
            assert forbidden(answer) == {("FORBIDDEN_FIELD", "patient")}
            prices.append(answer["extensions"]["cost"])
        assert (await everybody(guarded).error(query))["code"] == "COST_LIMIT"
    finally:
        endpoint.planner.learn_facts(facts)
    assert prices[0] == prices[1]


# -- lineage -----------------------------------------------------------------------------------------------------------


async def alarming_model(client: Client) -> tuple[str, str]:
    """A model with an alert, and the alert."""
    query = "{ monitoringAlerts(first: 1, where: {model: {}}) { nodes { id model { id } } } }"
    (alert,) = (await everybody(client).data(query))["monitoringAlerts"]["nodes"]
    return alert["model"]["id"], alert["id"]


WALK = """query ($from: [ID!]!, $after: [String!]) { lineage(from: $from, maxDepth: 2, perNodeLimit: 3, after: $after) {
    nodes { id: nodeId type label degree { upstream downstream } } edges { from to } complete reason
    frontier { type cursor } omitted { type } missing } }"""


async def test_walks_pass_what_is_withheld_by(guarded: Client) -> None:
    model, _ = await alarming_model(guarded)
    whole = (await everybody(guarded).data(WALK, **{"from": [model]}))["lineage"]
    part = (await without_monitoring(guarded).data(WALK, **{"from": [model]}))["lineage"]
    assert {node["type"] for node in whole["nodes"]} & TYPES_OF_MONITORING
    seen = {node["type"] for node in part["nodes"]}
    seen |= {id_.split(":")[0] for edge in part["edges"] for id_ in edge.values()}
    seen |= {cut["type"] for cut in part["frontier"]} | {one["type"] for one in part["omitted"]}
    assert not seen & TYPES_OF_MONITORING
    assert (part["complete"], MONITORING in part["reason"]) == (False, True)
    degree = {node["id"]: node["degree"]["downstream"] for node in part["nodes"]}
    known = {node["id"]: node["degree"]["downstream"] for node in whole["nodes"]}
    assert degree[model] < known[model], "neighbours that are withheld are not counted"


@pytest.mark.parametrize(
    "query",
    [
        "query ($id: ID!) { lineage(from: [$id]) { nodes { id: nodeId } missing } }",
        "query ($id: ID!) { lineageCounts(from: [$id]) { total missing } }",
        "query ($id: ID!) { lineageText(from: [$id]) }",
        "query ($id: ID!) { paths(from: $id, to: $id) { paths { length } missing } }",
        'query ($id: ID!) { impact(of: $id, if: {to: "RESOLVED"}) { allowed } }',
        """query ($id: ID!) { lineageDiff(from: [$id], between: ["2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"]) {
            missing } }""",
        "query ($id: ID!) { node(id: $id) { id } }",
        "query ($id: ID!) { monitoringAlert(id: $id) { id } }",
    ],
)
async def test_whether_a_withheld_row_exists_is_not_told(query: str, guarded: Client) -> None:
    _, alert = await alarming_model(guarded)
    caller = without_monitoring(guarded)
    answers = [
        await caller.ask(query, id=id_) for id_ in (alert, "MonitoringAlert:00000000-0000-4000-8000-000000000000")
    ]
    assert answers[0] == answers[1]
    assert forbidden(answers[0]) == {("FORBIDDEN_FIELD", MONITORING)}
    assert set(answers[0]["data"].values()) == {None}


async def test_a_cursor_of_somebody_who_sees_more(guarded: Client) -> None:
    model, _ = await alarming_model(guarded)
    whole = (await everybody(guarded).data(WALK, **{"from": [model]}))["lineage"]
    cursors = [cut["cursor"] for cut in whole["frontier"] if cut["type"] in TYPES_OF_MONITORING]
    assert cursors
    answer = await without_monitoring(guarded).ask(
        WALK.replace("maxDepth: 2", "maxDepth: 3"), **{"from": [model], "after": cursors[:1]}
    )
    assert forbidden(answer) == {("FORBIDDEN_FIELD", MONITORING)}


async def test_labels_show_no_units(guarded: Client) -> None:
    query = "{ assignments(first: 1) { nodes { id unitId variant } } }"
    (row,) = (await everybody(guarded).data(query))["assignments"]["nodes"]
    asked = {"from": [row["id"]]}
    assert row["unitId"] in str((await everybody(guarded).data(WALK, **asked))["lineage"]["nodes"])
    caller = calling(guarded, token("viewer"))
    text = "query ($from: [ID!]!) { lineageText(from: $from) }"
    answers = [await caller.data(WALK, **asked), await caller.data(text, **asked)]
    assert row["unitId"] not in str(answers)
    assert row["variant"] in str(answers)


# -- search ------------------------------------------------------------------------------------------------------------


async def test_search_finds_nothing_by_what_is_withheld(guarded: Client) -> None:
    query = """query ($text: String!) { search(text: $text) {
        hits { field text node { id } } complete omissions { type reason } } }"""
    rows = await everybody(guarded).data(
        "{ monitoringAlerts(first: 1) { nodes { id title } } patientCohortAssignments(first: 1) { nodes { id } } }"
    )
    ((alert,), (patient,)) = (rows[name]["nodes"] for name in rows)
    for caller, wanted in (
        (without_monitoring(guarded), (alert["id"], alert["title"])),
        (calling(guarded, token("viewer")), (patient["id"],)),
    ):
        for text in wanted:
            assert wanted[0] in str((await everybody(guarded).data(query, text=text))["search"]["hits"])
            found = (await caller.data(query, text=text))["search"]
            assert wanted[0] not in str(found["hits"])
            type_ = wanted[0].split(":")[0]
            (reason,) = (one["reason"] for one in found["omissions"] if one["type"] == type_)
            assert "scope" in reason, "that it was not searched is said, and nothing of what is there"


# -- the record of changes ---------------------------------------------------------------------------------------------


async def enrolled(client: Client) -> str:
    query = "{ enrollments(first: 1, where: {enrollmentStatus: {eq: ACTIVE}}) { nodes { id } } }"
    id_: str = (await everybody(client).data(query))["enrollments"]["nodes"][0]["id"]
    return id_


EVENTS = """query ($node: String!, $event: ID!, $text: String!) {
    lifecycleEvents(where: {nodeId: {eq: $node}}) { totalCount nodes { id reason details } aggregate { count } }
    node(id: $event) { id }
    nodes(ids: [$event]) { id }
    lifecycleEvent(id: $event) { reason }
    search(text: $text) { hits { node { id } } }
}"""


async def test_changes_of_what_is_withheld_are_not_shown(guarded: Client) -> None:
    enrollment = await enrolled(guarded)
    done = await change(everybody(guarded), "withdrawEnrollment", id=enrollment, reason="moved to another city")
    event = done["event"]["id"]
    seen = await everybody(guarded).data(EVENTS, node=enrollment, event=event, text=event)
    assert seen["lifecycleEvents"]["totalCount"] == seen["lifecycleEvents"]["aggregate"][0]["count"] == 1
    assert seen["lifecycleEvent"]["reason"] == "moved to another city"
    caller = calling(guarded, token("operator"))
    hidden = await caller.data(EVENTS, node=enrollment, event=event, text=event)
    assert hidden == {
        "lifecycleEvents": {"totalCount": 0, "nodes": [], "aggregate": [{"count": 0}]},
        "node": None, "nodes": [None], "lifecycleEvent": None, "search": {"hits": []},
    }  # fmt: skip
    answer = await caller.ask(
        "query ($id: ID!) { enrollment(id: $id) { enrollmentStatus lifecycle { state history { totalCount } } } }",
        id=enrollment,
    )
    assert forbidden(answer) == {("FORBIDDEN_FIELD", "patient")}
    diff = """query ($id: ID!) { lineageDiff(from: [$id], maxDepth: 0,
        between: ["2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"]) { changed { lifecycle actor } unknown } }"""
    told = (await everybody(guarded).data(diff, id=enrollment))["lineageDiff"]
    assert {"lifecycle": "status", "actor": "ada"} in told["changed"]
    untold = (await caller.data(diff, id=enrollment))["lineageDiff"]
    assert all(one["actor"] is None for one in untold["changed"])
    assert "scope patient" in untold["unknown"][-1]
    assert answer["data"]["enrollment"]["lifecycle"] == {"state": "WITHDRAWN", "history": None}


async def test_what_is_in_the_way_is_told_to_those_alone_who_may_read_it(
    guarded: Client, sql: asyncpg.Connection
) -> None:
    model = await model_in(sql, "shadow")
    query = (
        """query ($id: ID!) { model(id: $id) { lifecycle { state allowedTransitions { to blockedBy { code } } } } }"""
    )
    ways = (await everybody(guarded).data(query, id=model))["model"]["lifecycle"]["allowedTransitions"]
    assert all(way["blockedBy"] is not None for way in ways)
    answer = await without_monitoring(guarded).ask(query, id=model)
    assert forbidden(answer) == {("FORBIDDEN_FIELD", MONITORING)}
    told = answer["data"]["model"]["lifecycle"]["allowedTransitions"]
    assert [(way["to"], way["blockedBy"]) for way in told] == [
        (way["to"], None if way["to"] == "PRODUCTION" else []) for way in ways
    ]


# -- changes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "mutation", "scope"),
    [
        (["viewer"], "promoteModel", "change"),
        (["analyst"], "promoteModel", "change"),
        (["reviewer"], "promoteModel", "change"),
        (["operator"], "approveReview", "review"),
        (["viewer"], "requestReview", "change"),
        ([], "promoteModel", "change"),
        (["read", "change:setChampion"], "promoteModel", "change"),
        ([*WITHOUT_MONITORING, "change"], "promoteModel", MONITORING),
        (["operator"], "withdrawEnrollment", "patient"),
        (["admin"], "withdrawEnrollment", "patient"),
    ],
)
async def test_what_a_caller_may_not_do_is_forbidden(
    roles: list[str], mutation: str, scope: str, guarded: Client
) -> None:
    id_ = {"promoteModel": "Model", "approveReview": "ExpertReview", "withdrawEnrollment": "Enrollment"}.get(mutation)
    given: dict[str, Any] = {"id": f"{id_}:00000000-0000-4000-8000-000000000000"} if id_ else {}
    given |= {
        "promoteModel": {"to": "STAGING"},
        "requestReview": {"reviewType": "DAG_APPROVAL", "reviewerId": "r"},
    }.get(mutation, {})
    result = await change(calling(guarded, token(*roles)), mutation, reason="r", **given)
    assert (result["__typename"], result["code"]) == ("Forbidden", "FORBIDDEN"), "whether there is such a row or not"
    assert result["message"].startswith(f"ada may not use {mutation}: it ")
    assert f"the scope {scope}" in result["message"]


async def test_what_roles_may_do(guarded: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")

    async def promoted(*roles: str, to: str = "STAGING", **given: Any) -> str:
        result = await change(calling(guarded, token(*roles)), "promoteModel", id=model, to=to, **given)
        return str(result["__typename"])

    assert await promoted("analyst", dryRun=True) == "TransitionPreview"
    assert await promoted("viewer", dryRun=True) == "Forbidden"
    assert await promoted("operator", to="SHADOW", force=True, reason="r") == "Forbidden"
    assert await promoted("read", "change:promoteModel") == "TransitionApplied"
    assert await promoted("operator", to="SHADOW") == "TransitionApplied"
    assert await promoted("admin", to="PRODUCTION", force=True, reason="r") == "TransitionApplied"
    asked = await change(
        calling(guarded, token("operator")),
        "requestReview",
        reviewType="DAG_APPROVAL",
        reviewerId="r",
        dagVersionHash="h",
    )
    review = asked["node"]["id"]
    done = await change(calling(guarded, token("reviewer", sub="grace")), "rejectReview", id=review, reason="no")
    assert done["event"]["actor"] == "grace"


def test_what_a_change_reads_beside_its_own_rows_is_known() -> None:
    assert "ml_monitoring_alerts" in concerned("Model"), "a guard of a model's promotion reads them"
    assert "ml_bentoml_services" in concerned("Deployment"), "an effect reaches them"


async def test_payloads_show_no_more_than_queries(guarded: Client) -> None:
    caller = calling(guarded, token(*WITHOUT_MONITORING, "change"))
    answer = await caller.ask(
        """mutation ($id: ID!) { reportHealth(input: {id: $id, healthStatus: HEALTHY}) { ... on TransitionApplied {
               node { ... on BentoService { deployment { model { id alerts { totalCount } } } } } } } }""",
        id=(await caller.data("{ bentoServices(first: 1) { nodes { id } } }"))["bentoServices"]["nodes"][0]["id"],
    )
    assert forbidden(answer) == {("FORBIDDEN_FIELD", MONITORING)}
    assert answer["data"]["reportHealth"]["node"]["deployment"]["model"]["alerts"] is None
