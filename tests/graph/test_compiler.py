"""Compiled statements: what they are kept by, when the loaders answer in their place, and what is never tried twice."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from gateway.operations.service import OperationService
from schema.execution import plans
from tests.support.client import Client, same, serving
from tests.support.databases import Clone, Database, connect, execute
from tests.support.doubling import double
from tests.support.plans import compiled


def endpoint(client: Client) -> OperationService:
    found: OperationService = client.app.state.graphql
    return found


@pytest.fixture(scope="module")
async def on(demo_database: Database) -> AsyncIterator[Client]:
    async with serving(demo_database.gateway_url, compiler=True) as client:
        yield client


@pytest.fixture(scope="module")
async def off(demo_database: Database) -> AsyncIterator[Client]:
    async with serving(demo_database.gateway_url, compiler=False) as client:
        yield client


async def asks_the_same(on: Client, off: Client, query: str, **variables: Any) -> dict[str, Any]:
    """The compiled answer, which must be the loaders' and without errors."""
    found, expected = await on.ask(query, **variables), await off.ask(query, **variables)
    assert "errors" not in expected, expected["errors"]
    assert same(found["data"], expected["data"]), (found, expected)
    return found


# -- plans -------------------------------------------------------------------------------------------------------------


async def test_values_meet_the_plan_that_is_kept(on: Client, off: Client) -> None:
    query = """query($id: ID!, $auc: Float, $stages: [ModelStage!]) { experiment(id: $id) {
      models(where: {auc: {gt: $auc}, stage: {in: $stages}}) { nodes { id auc stage } } } }"""
    ids = [n["id"] for n in (await off.data("{ experiments(first: 4) { nodes { id } } }"))["experiments"]["nodes"]]
    kept = endpoint(on).plans
    await asks_the_same(on, off, query, id=ids[0], auc=0.1, stages=["PRODUCTION"])
    misses, hits = kept.misses, kept.hits
    for place, id_ in enumerate(ids):
        await asks_the_same(on, off, query, id=id_, auc=place / 5, stages=["PRODUCTION", "SHADOW", "ARCHIVED"][:place])
    assert (kept.misses, kept.hits) == (misses, hits + len(ids))
    await asks_the_same(on, off, query, id=ids[0].partition(":")[2], auc=0.2, stages=[])
    assert kept.misses == misses


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("query($n: Int) { models(first: $n) { nodes { id } } }", [{"n": 1}, {"n": 3}, {"n": None}, {}]),
        ("query($y: Boolean!) { models(first: 2) { nodes { id stage @skip(if: $y) } } }", [{"y": True}, {"y": False}]),
        ("query($o: [ModelOrder!]) { models(first: 3, orderBy: $o) { nodes { id } } }",
         [{"o": [{"field": "AUC"}]}, {"o": [{"field": "AUC", "direction": "DESC"}]}, {"o": []}]),
        ("query($w: ModelWhere) { models(where: $w) { totalCount } }",
         [{"w": {"auc": {"eq": None}}}, {"w": {"auc": {"ne": None}}}, {"w": {}}, {"w": None},
          {"w": {"or": []}}, {"w": {"or": [{"stage": {"eq": "SHADOW"}}]}}, {"w": {"isChampion": {"eq": True}}},
          {"w": {"isChampion": {"eq": False}}}, {"w": {"not": {"experiment": {"experimentName": {"eq": "x"}}}}}]),
    ],
)  # fmt: skip
async def test_what_changes_the_statement_makes_another_plan(
    on: Client, off: Client, query: str, values: list[dict[str, Any]]
) -> None:
    for _ in range(2):
        for variables in values:
            await asks_the_same(on, off, query, **variables)


async def test_ids_of_another_type_make_another_plan(on: Client, off: Client) -> None:
    data = await off.data("{ models(first: 2) { nodes { id } } tools(first: 2) { nodes { id } } }")
    models, tools = ([node["id"] for node in data[root]["nodes"]] for root in ("models", "tools"))
    one = "query($id: ID!) { node(id: $id) { id ... on Model { stage } ... on Tool { name } } }"
    for id_ in (*models, *tools):
        await asks_the_same(on, off, one, id=id_)
    many = "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Model { stage } ... on Tool { name } } }"
    for ids in ([], models, tools, [models[0], tools[0], models[0], tools[1].replace("Tool:", "Tool:0")[:-1]]):
        await asks_the_same(on, off, many, ids=ids)


async def test_cursors_with_and_without_nulls(on: Client, off: Client) -> None:
    query = """query($c: String, $n: Int = 7, $o: [DeploymentOrder!]) { deployments(first: $n, after: $c, orderBy: $o) {
      edges { cursor node { id status } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
    for order in (None, [{"field": "ROW_ID"}], [{"field": "DEACTIVATED_AT", "nulls": "FIRST"}, {"field": "STATUS"}]):
        cursor = None
        for _ in range(9):
            found = await asks_the_same(on, off, query, c=cursor, o=order)
            cursor = found["data"]["deployments"]["pageInfo"]["endCursor"]


async def test_variables_within_literals(on: Client, off: Client) -> None:
    query = """query($a: UUID!, $key: String!, $n: Float!) { experiments(where: {rowId: {in: [$a, $a]}}) { totalCount }
      models(where: {hyperparameters: {contains: {learning_rate: $n}}, modelName: {like: $key}}) { totalCount } }"""
    ids = [
        n["rowId"] for n in (await off.data("{ experiments(first: 2) { nodes { rowId } } }"))["experiments"]["nodes"]
    ]
    for id_, n in zip(ids, (0.05, 0.1), strict=True):
        await asks_the_same(on, off, query, a=id_, key="%a%", n=n)


async def test_plans_are_bounded(demo_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "CAPACITY", 20_000)
    async with serving(demo_database.gateway_url, compiler=True) as client:
        for n in range(20):
            await client.data(f"{{ models(first: {n}) {{ nodes {{ id }} }} }}")
        assert endpoint(client).plans.dropped > 5
        for kept in endpoint(client).plans._kept.values():
            assert kept.plan.statement
            text = "{ models(first: 0) { nodes { id } } }"
            assert kept.size >= plans.OVERHEAD + plans.TREE * len(text) + len(kept.plan.statement.sql)
        assert await client.data("{ models(first: 0) { nodes { id } } }") == {"models": {"nodes": []}}


async def test_prices_and_limits_are_those_of_the_request(on: Client) -> None:
    query = "query($n: Int) { servingMetrics(first: $n) { nodes { service { metrics(first: $n) { nodes { id } } } } } }"
    for _ in range(2):
        for n, requested in ((2, 11), (3, 19)):
            cost = (await on.ask(query, n=n))["extensions"]["cost"]
            assert (cost["requested"], cost["statements"]) == (requested, 1)
            assert 0 < cost["rows"] <= requested
    for _ in range(2):
        deep = "trainingRuns(first: 1000) { totalCount nodes { id } }"
        refused = await on.ask(
            f"{{ models {{ nodes {{ experiment {{ models(first: 1000) {{ nodes {{ {deep} }} }} }} }} }} }}"
        )
        assert refused["errors"][0]["extensions"]["code"] == "COST_LIMIT"


# -- the whole answer --------------------------------------------------------------------------------------------------


async def test_roots_side_by_side_keep_the_order_of_the_query(on: Client, off: Client) -> None:
    """Compiled roots are one statement; introspection and what is resolved in Python stand between them."""
    query = """{ z: models(first: 1) { nodes { id } } __schema { queryType { name } } tools(first: 1) { totalCount }
      t: __typename a: experiments(first: 1) { totalCount } }"""
    found = await asks_the_same(on, off, query)
    assert list(found["data"])[:2] == ["z", "__schema"]


async def test_objects_with_nothing_in_them(on: Client, off: Client) -> None:
    query = """query($no: Boolean = false) { models(first: 2) { nodes { id @include(if: $no) } edges { node { stage
      @skip(if: true) } } pageInfo { hasNextPage @include(if: $no) } } experiments(first: 1) { nodes { models {
      nodes { experiment { id @include(if: $no) } } } } }
      none: model(id: "00000000-0000-0000-0000-000000000000") { id } }"""
    found = await asks_the_same(on, off, query)
    assert found["data"]["models"]["nodes"] == [{}, {}]
    assert found["data"]["none"] is None


async def test_names_longer_than_those_of_postgres(on: Client, off: Client) -> None:
    first, second = "a" * 63, "a" * 64
    found = await asks_the_same(on, off, f"{{ models(first: 1) {{ nodes {{ {first}: id {second}: stage }} }} }}")
    assert list(found["data"]["models"]["nodes"][0]) == [first, second]


@pytest.mark.parametrize("key", ["o", "c", "i", "g", "j", "n", "t", "r1", "l1", "one", "ord", "at_", "select"])
async def test_keys_that_are_words_of_the_statement(on: Client, off: Client, key: str) -> None:
    await asks_the_same(
        on,
        off,
        f"{{ {key}: models(first: 1) {{ {key}: edges {{ {key}: node {{ {key}: id experiment {{ {key}: brand }} }} }} "
        f"x: pageInfo {{ {key}: endCursor }} y: aggregate {{ {key}: group {{ {key}: stage }} }} }} }}",
    )


# -- what it costs -----------------------------------------------------------------------------------------------------


async def rows_read(url: str, query: str, **variables: Any) -> int:
    """How many rows Postgres touches to answer, where it uses the indexes that there are."""
    statement, values = await compiled(query, **variables)
    connection = await connect(url)
    try:
        # small tables would rather be read and sorted whole
        for unwanted in ("seqscan", "bitmapscan", "sort"):
            await connection.execute(f"SET enable_{unwanted} = off")
        await connection.execute("SET search_path = public, extensions")
        text = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *values)
    finally:
        await connection.close()
    return _touched(json.loads(text)[0]["Plan"])


def _touched(node: dict[str, Any]) -> int:
    own = 0
    if "Relation Name" in node:
        own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return round(own) + sum(_touched(below) for below in node.get("Plans", []))


LIFECYCLE = """query($id: ID!) { experiment(id: $id) { experimentName models(first: 2) { nodes { stage
  deployments(first: 2) { nodes { status services(first: 1) { nodes { metrics(first: 3)
  { nodes { requestsTotal } } } } } } } } } }"""


@pytest.mark.slow
@pytest.mark.migrated("it is about our own indexes, and test_platform_plans.py about the platform's")
async def test_a_fixed_answer_costs_the_same_over_sixteen_times_the_rows(
    demo_template: Database, clone: Clone, off: Client
) -> None:
    data = await off.data("{ models(where: {stage: {eq: PRODUCTION}}, first: 1) { nodes { experiment { id } } } }")
    id_ = data["models"]["nodes"][0]["experiment"]["id"]
    tables = ["ml_experiments", "ml_model_registry", "ml_deployments", "ml_bentoml_services"]
    async with clone(demo_template) as copy:
        read = await rows_read(copy.gateway_url, LIFECYCLE, id=id_)
        connection = await connect(copy.admin_url)
        try:
            before = await connection.fetchval("SELECT count(*) FROM ml_bentoml_serving_metrics")
            for mark in range(2, 6):
                await double(connection, *tables, "ml_bentoml_serving_metrics", mark=mark)
            assert await connection.fetchval("SELECT count(*) FROM ml_bentoml_serving_metrics") == 16 * before
            await connection.execute(f"ANALYZE {', '.join(tables)}, ml_bentoml_serving_metrics")
        finally:
            await connection.close()
        assert 0 < read == await rows_read(copy.gateway_url, LIFECYCLE, id=id_)
    assert read <= 1 + 2 + 4 + 4 + 12


async def test_a_level_adds_its_own_queries_alone() -> None:
    """However many rows there are, the statement grows with the selection, by the same for each level."""
    sizes = []
    query = "{ experiments { nodes { id } } }"
    for _ in range(5):
        statement, _values = await compiled(query)
        sizes.append(statement.count("LATERAL"))
        query = query.replace("{ id }", "{ id models { nodes { experiment { id } } } }")
    assert len({after - before for before, after in itertools.pairwise(sizes)}) == 1


@pytest.mark.migrated("it is about our own indexes, and test_platform_plans.py about the platform's")
async def test_many_rows_under_one_node_are_paged(demo_template: Database, clone: Clone) -> None:
    async with clone(demo_template) as copy:
        connection = await connect(copy.admin_url)
        try:
            id_ = await connection.fetchval("SELECT id::text FROM ml_experiments ORDER BY id LIMIT 1")
            await connection.execute(
                "INSERT INTO ml_model_registry (experiment_id, model_name, model_version, algorithm, registered_at) "
                f"SELECT '{id_}', 'm', 'v' || n, 'a', CASE WHEN n % 3 > 0 THEN now() + (n % 7) * "
                "interval '1 second' END FROM generate_series(1, 300) n; ANALYZE ml_model_registry"
            )
        finally:
            await connection.close()
        query = """query($id: ID!, $c: String) { experiment(id: $id) { models(first: 40, after: $c) { totalCount
          nodes { id } pageInfo { endCursor hasNextPage } } } }"""
        async with serving(copy.gateway_url, compiler=True) as client:
            found: list[str] = []
            cursor, more = None, True
            while more:
                page = (await client.data(query, id=id_, c=cursor))["experiment"]["models"]
                found += [node["id"] for node in page["nodes"]]
                cursor, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
                read = await rows_read(copy.gateway_url, query.replace("totalCount", ""), id=id_, c=cursor)
                assert read <= 2 * 41 + 3
            assert len(found) == len(set(found)) == page["totalCount"] >= 300


# -- when the loaders answer -------------------------------------------------------------------------------------------


BROKEN = {
    "a number that is none": (
        "UPDATE ml_model_registry SET auc = 'NaN' WHERE id = (SELECT min(id::text)::uuid FROM ml_model_registry)",
        "{ models(first: 1000) { nodes { id auc } } }",
        "UNREPRESENTABLE_VALUE",
    ),
    "a time without end": (
        "UPDATE ml_model_registry SET registered_at = 'infinity' WHERE model_version = '1.0.0'",
        "{ models(first: 1000) { nodes { id registeredAt } } }",
        "UNREPRESENTABLE_VALUE",
    ),
    "a table that is gone": (
        "DROP TABLE ml_training_runs CASCADE",
        "{ experiments(first: 2) { nodes { id trainingRuns { totalCount } } } models(first: 1) { totalCount } }",
        "MISSING_IN_DATABASE",
    ),
    "a table that must not be read": (
        "REVOKE SELECT ON ml_training_runs FROM e2i_gateway",
        "{ experiments(first: 2) { nodes { id trainingRuns { totalCount } } } models(first: 1) { totalCount } }",
        "MISSING_IN_DATABASE",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
async def test_the_loaders_say_which_field_is_wrong(demo_template: Database, clone: Clone, name: str) -> None:
    statement, query, code = BROKEN[name]
    async with (
        clone(demo_template) as copy,
        serving(copy.gateway_url, compiler=True) as on,
        serving(copy.gateway_url, compiler=False) as off,
    ):
        await execute(copy.admin_url, statement)
        found, expected = await on.ask(query), await off.ask(query)
        assert found["data"] == expected["data"]
        assert [(e["path"], e["extensions"]["code"]) for e in found["errors"]] == [
            (e["path"], e["extensions"]["code"]) for e in expected["errors"]
        ]
        assert {e["extensions"]["code"] for e in found["errors"]} == {code}
        assert sum(endpoint(on).execution.fallbacks.values()) == 1
        assert found["extensions"]["cost"]["statements"] == expected["extensions"]["cost"]["statements"] + 1


async def test_a_label_that_nobody_knows(platform_database: Database) -> None:
    async with serving(platform_database.gateway_url, compiler=True) as on:
        connection = await connect(platform_database.admin_url)
        try:
            rows = "WHERE id = (SELECT min(id::text)::uuid FROM ml_monitoring_alerts)"
            before = await connection.fetchval(f"SELECT status::text FROM ml_monitoring_alerts {rows}")
            await connection.execute(f"UPDATE ml_monitoring_alerts SET status = 'snoozed' {rows}")
            answer = await on.ask("{ monitoringAlerts { nodes { id status } } }")
            await connection.execute(f"UPDATE ml_monitoring_alerts SET status = '{before}' {rows}")
        finally:
            await connection.close()
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNREPRESENTABLE_VALUE"]
        assert len([node for node in answer["data"]["monitoringAlerts"]["nodes"] if node["status"]]) == 2


async def test_bad_arguments_are_named_as_ever(on: Client, off: Client) -> None:
    for query, variables in (
        ("query($id: ID!) { model(id: $id) { id } }", {"id": "nonsense"}),
        ("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ["Model:1", "Nothing:2"]}),
        ("query($c: String) { models(after: $c) { nodes { id } } }", {"c": "nonsense"}),
        ("query($n: Int) { models(first: $n) { nodes { id } } }", {"n": -1}),
        ("query($t: String) { models(where: {modelName: {eq: $t}}) { totalCount } }", {"t": "\x00"}),
        ("query($t: String) { models(where: {hyperparameters: {path: $t}}) { totalCount } }", {"t": "$["}),
    ):
        found, expected = await on.ask(query, **variables), await off.ask(query, **variables)
        for answer in (found, expected):
            answer.pop("extensions")
        assert json.dumps(found) == json.dumps(expected)


# -- rows below what Python answers ------------------------------------------------------------------------------------


PAYLOAD = """mutation($id: ID!) { archiveOrNot: promoteModel(input: {id: $id, to: ARCHIVED, expectedVersion: "0"}) {
  __typename ... on StaleVersion { current { id ... on Model { stage
    was: experiment { experimentName models(first: 3) { totalCount nodes { modelVersion stage } } }
    deployments(first: 2) { nodes { environment services(first: 1) { nodes { serviceName } } } } } } } } }"""


async def test_what_a_change_answers_is_compiled_in_its_transaction(on: Client, off: Client) -> None:
    models = (await off.data("{ models(where: {stage: {eq: STAGING}}, first: 2) { nodes { id } } }"))["models"]["nodes"]
    found = await asks_the_same(on, off, PAYLOAD, id=models[0]["id"])
    assert found["data"]["archiveOrNot"]["current"]["stage"] == "STAGING"
    by_loaders = await off.ask(PAYLOAD, id=models[0]["id"])
    counts = [one["extensions"]["cost"] for one in (found, by_loaders)]
    assert counts[0]["statements"] < counts[1]["statements"]
    assert counts[0]["rows"] >= 3


async def test_ids_of_no_rows_count_none(on: Client, off: Client) -> None:
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    ids = [f"Model:{UUID(int=1)}", f"Experiment:{UUID(int=1)}"]
    assert (await asks_the_same(on, off, query, ids=ids))["data"] == {"nodes": [None, None]}
    assert [(await client.cost(query, ids=ids))["rows"] for client in (on, off)] == [0, 0]


@pytest.mark.parametrize("below", ["deployments(first: 50) { nodes { id } }", "experiment { id }"])
async def test_rows_below_a_hit_count_as_those_that_the_loaders_read(on: Client, off: Client, below: str) -> None:
    some = "{ models(first: 1, where: { deployments: { some: {} } }) { nodes { id } } }"
    (model,) = (await off.data(some))["models"]["nodes"]
    query = f"query($text: String!) {{ search(text: $text) {{ hits {{ node {{ ... on Model {{ id {below} }} }} }} }} }}"
    found = await asks_the_same(on, off, query, text=model["id"])
    costs = [found["extensions"]["cost"], await off.cost(query, text=model["id"])]
    assert costs[0]["statements"] < costs[1]["statements"]
    assert costs[0]["rows"] == costs[1]["rows"] > 1


async def test_rows_of_a_search_are_compiled_and_fall_back_to_the_loaders(
    demo_template: Database, clone: Clone, off: Client
) -> None:
    query = """{ search(text: "kisqali", types: [Experiment], first: 5) { hits { node { ... on Experiment {
      experimentName models(first: 2) { nodes { auc experiment { brand } } } } } } } }"""
    async with clone(demo_template) as copy, serving(copy.gateway_url, compiler=True) as client:
        found, expected = await client.ask(query), await off.ask(query)
        assert same(found["data"], expected["data"])
        assert found["extensions"]["cost"]["statements"] < expected["extensions"]["cost"]["statements"]
        await execute(copy.owner_url, "UPDATE ml_model_registry SET auc = 'NaN'")
        broken = await client.ask(query)
    assert {error["extensions"]["code"] for error in broken["errors"]} == {"UNREPRESENTABLE_VALUE"}
    assert all(error["path"][-1] == "auc" for error in broken["errors"])
    assert [hit["node"]["experimentName"] for hit in broken["data"]["search"]["hits"]] == [
        hit["node"]["experimentName"] for hit in found["data"]["search"]["hits"]
    ]


async def test_keys_longer_than_names_of_columns_are_compiled(on: Client, off: Client) -> None:
    """Wherever a key stands: rows, pages, edges, groups, objects; with values that are null, and many at once."""
    a = ("long_" * 20).__add__
    many = " ".join(f"{a(f'n{n}')}: auc" for n in range(120))
    query = f"""{{ {a("root")}: models(first: 3) {{
      {a("total")}: totalCount
      {a("info")}: pageInfo {{ {a("more")}: hasNextPage {a("end")}: endCursor }}
      {a("edges")}: edges {{ {a("cursor")}: cursor {a("node")}: node {{ {a("t")}: __typename id {a("auc")}: auc }} }}
      {a("sums")}: aggregate(groupBy: [{{ field: STAGE }}]) {{ {a("group")}: group {{ {a("stage")}: stage }}
        {a("of")}: auc {{ {a("avg")}: avg {a("p95")}: p95 }} }}
      nodes {{ {a("experiment")}: experiment {{ {a("name")}: experimentName {a("description")}: description }}
        {a("deployments")}: deployments(first: 2) {{ {a("nodes")}: nodes {{ {a("all")}: productionMetrics id }} }} }}
    }} wide: models(first: 2) {{ nodes {{ {many} stage }} }} }}"""
    found = await asks_the_same(on, off, query)
    assert found["extensions"]["cost"]["statements"] == 1
