"""Selections as the executor sees them: aliases, merged fields, fragments and directives, against plain answers.

What each place of a query should hold is put together here from simpler queries, one field or relation at a time.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.client import Client
from tests.support.databases import Database, connect

LEAVES = ["id", "rowId", "rowVersion", "modelName", "modelVersion", "stage", "auc", "registeredAt", "isChampion"]


async def plain(client: Client) -> dict[str, dict[str, Any]]:
    """Every model with all its leaves, one leaf a query, by id."""
    models: dict[str, dict[str, Any]] = {}
    for leaf in LEAVES:
        data = await client.data(f"{{ models(first: 1000) {{ nodes {{ key: id {leaf} }} }} }}")
        for node in data["models"]["nodes"]:
            models.setdefault(node["key"], {})[leaf] = node[leaf]
    return models


def same(found: Any, expected: Any) -> bool:
    """Equal with the order of keys."""
    return json.dumps(found) == json.dumps(expected)


async def test_leaves_are_what_the_table_holds(demo: Client, demo_database: Database) -> None:
    connection = await connect(demo_database.admin_url)
    try:
        rows = await connection.fetch(
            "SELECT id::text, model_name, auc::float8, xmin::text AS version FROM ml_model_registry "
            "ORDER BY registered_at DESC NULLS LAST, id DESC LIMIT 5"
        )
    finally:
        await connection.close()
    data = await demo.data("{ models(first: 5) { nodes { rowVersion auc rowId modelName id } } }")
    assert same(
        data["models"]["nodes"],
        [
            {
                "rowVersion": row["version"],
                "auc": row["auc"],
                "rowId": row["id"],
                "modelName": row["model_name"],
                "id": f"Model:{row['id']}",
            }
            for row in rows
        ],
    )


@settings(max_examples=25, deadline=None)
@given(
    at_nodes=st.lists(st.tuples(st.sampled_from(["", "a", "b", "id"]), st.sampled_from(LEAVES)), max_size=6),
    at_edges=st.lists(st.tuples(st.sampled_from(["", "a", "b", "stage"]), st.sampled_from(LEAVES)), max_size=6),
)
async def test_nodes_and_edges_ask_for_different_leaves(
    demo: Client, at_nodes: list[tuple[str, str]], at_edges: list[tuple[str, str]]
) -> None:
    """Rows are shared by ``nodes`` and ``edges``; each place answers with its own fields under its own keys."""

    def fields(asked: list[tuple[str, str]]) -> dict[str, str]:
        return {"key": "id"} | {alias or leaf: leaf for alias, leaf in asked}

    def text(chosen: dict[str, str]) -> str:
        return " ".join(f"{key}: {leaf}" for key, leaf in chosen.items())

    models = await plain(demo)
    nodes, edges = fields(at_nodes), fields(at_edges)
    data = await demo.data(
        f"{{ models(first: 4) {{ nodes {{ {text(nodes)} }} edges {{ node {{ {text(edges)} }} }} }} }}"
    )
    for place, chosen in (
        (data["models"]["nodes"], nodes),
        ([edge["node"] for edge in data["models"]["edges"]], edges),
    ):
        assert len(place) == 4
        for node in place:
            assert same(node, {key: models[node["key"]][leaf] for key, leaf in chosen.items()})


async def test_one_relation_at_several_places_with_different_arguments(demo: Client) -> None:
    """Each place has its own page, its own columns and its own total, and its own statement."""
    query = """{
      experiments(first: 5) {
        nodes {
          id
          newest: models(first: 1) { nodes { id stage } }
          oldest: models(last: 1) { nodes { id modelName } pageInfo { hasPreviousPage } }
          models(first: 3) { totalCount }
          trainingRuns(first: 2) { nodes { model { id experiment { models(first: 2) { edges { node { auc } } } } } } }
        }
      }
    }"""
    answer = await demo.ask(query)
    for experiment in answer["data"]["experiments"]["nodes"]:
        alone = await demo.data(
            "query($id: ID!) { experiment(id: $id) { models(first: 1000) { nodes { id stage modelName auc } } "
            "trainingRuns(first: 2) { nodes { model { id } } } } }",
            id=experiment["id"],
        )
        models = alone["experiment"]["models"]["nodes"]
        assert same(experiment["newest"]["nodes"], [{"id": m["id"], "stage": m["stage"]} for m in models[:1]])
        assert same(experiment["oldest"]["nodes"], [{"id": m["id"], "modelName": m["modelName"]} for m in models[-1:]])
        assert experiment["oldest"]["pageInfo"]["hasPreviousPage"] is (len(models) > 1)
        assert experiment["models"] == {"totalCount": len(models)}
        runs = alone["experiment"]["trainingRuns"]["nodes"]
        assert [run["model"] and run["model"]["id"] for run in experiment["trainingRuns"]["nodes"]] == [
            run["model"] and run["model"]["id"] for run in runs
        ]
        for run in filter(lambda run: run["model"], experiment["trainingRuns"]["nodes"]):
            below = run["model"]["experiment"]["models"]["edges"]
            assert below == [{"node": {"auc": m["auc"]}} for m in models[:2]]
    assert answer["extensions"]["cost"]["statements"] == demo.statements(8)


async def test_fields_of_one_key_are_merged(demo: Client) -> None:
    """Selections of one key add up, wherever they stand; the first mention of a key gives its place."""
    data = await demo.data("""
      { models(first: 2) { nodes { modelName } } ...More models(first: 2) { pageInfo { hasNextPage } nodes { auc } } }
      fragment More on Query { models(first: 2) { nodes { experiment { id } ...Leaves } totalCount } }
      fragment Leaves on Model { stage modelName ... on Node { id } experiment { experimentName ... on Node { id } } }
    """)
    alone = await demo.data(
        "{ models(first: 2) { nodes { modelName experiment { id experimentName } stage id auc } "
        "totalCount pageInfo { hasNextPage } } }"
    )
    assert same(data, alone)


@pytest.mark.parametrize("root", ["node", "nodes"])
async def test_fragments_on_interfaces(demo: Client, root: str) -> None:
    """Below ``Node`` each type gets what its conditions ask for, nested ones too, in the order of the query."""
    data = await demo.data(
        "{ models(first: 1) { nodes { id modelName stage experiment { id experimentName } } } "
        "experiments(first: 1) { nodes { id experimentName models(first: 1) { nodes { id } } } } "
        "tools(first: 1) { nodes { id } } }"
    )
    (model,), (experiment,), (tool,) = (data[name]["nodes"] for name in ("models", "experiments", "tools"))
    fields = """
      ...M ... on Experiment { experimentName ...E } ... on Node { ... on Model { stage kind: __typename } id }
      __typename ... { ... on Experiment @include(if: true) { models(first: 1) { nodes { ...M } } } }
    """
    fragments = """
      fragment M on Model { id name: modelName }
      fragment E on Node { ... on Experiment { a: id } ... on Model { never: id } }
    """
    ids = [model["id"], experiment["id"], tool["id"], model["id"]]
    if root == "nodes":
        query = f"query($ids: [ID!]!) {{ nodes(ids: $ids) {{ {fields} }} }} {fragments}"
        found = (await demo.data(query, ids=ids))["nodes"]
    else:
        query = f"query($id: ID!) {{ node(id: $id) {{ {fields} }} }} {fragments}"
        found = [(await demo.data(query, id=id_))["node"] for id_ in ids]
    as_model = {
        "id": model["id"],
        "name": model["modelName"],
        "stage": model["stage"],
        "kind": "Model",
        "__typename": "Model",
    }
    (first,) = experiment["models"]["nodes"]
    name = (await demo.data("query($id: ID!) { model(id: $id) { modelName } }", id=first["id"]))["model"]["modelName"]
    as_experiment = {
        "experimentName": experiment["experimentName"],
        "a": experiment["id"],
        "id": experiment["id"],
        "__typename": "Experiment",
        "models": {"nodes": [{"id": first["id"], "name": name}]},
    }
    assert same(found, [as_model, as_experiment, {"id": tool["id"], "__typename": "Tool"}, as_model])


async def test_typename_everywhere(demo: Client) -> None:
    data = await demo.data("""{ __typename q: __typename experiments(first: 1) { __typename
      edges { __typename node { __typename models(first: 1) { __typename nodes { t: __typename experiment
      { __typename } } pageInfo { __typename } } } } pageInfo { __typename } } }""")
    experiment = {
        "__typename": "Experiment",
        "models": {
            "__typename": "ModelConnection",
            "nodes": [{"t": "Model", "experiment": {"__typename": "Experiment"}}],
            "pageInfo": {"__typename": "PageInfo"},
        },
    }
    assert same(
        data,
        {
            "__typename": "Query",
            "q": "Query",
            "experiments": {
                "__typename": "ExperimentConnection",
                "edges": [{"__typename": "ExperimentEdge", "node": experiment}],
                "pageInfo": {"__typename": "PageInfo"},
            },
        },
    )


DIRECTED = """
  query($yes: Boolean = true, $no: Boolean = false, $size: Int = 2, $cursor: String) {
    models(first: $size, after: $cursor) @include(if: $yes) {
      nodes {
        id @skip(if: $yes)
        modelName @include(if: $yes) @skip(if: $no)
        stage @include(if: $no)
        auc @include(if: $yes) @skip(if: $yes)
        ...Version @skip(if: $no)
        ... @include(if: $no) { modelVersion }
        experiment @include(if: $no) { id }
        ... on Model @include(if: $yes) { experiment { id @skip(if: $no) experimentName @skip(if: $yes) } }
      }
      totalCount @skip(if: $yes)
    }
  }
  fragment Version on Model { modelVersion }
"""


@pytest.mark.parametrize(
    ("variables", "size", "statements"),
    [({}, 2, 2), ({"size": 3}, 3, 2), ({"yes": True, "no": False, "cursor": None}, 2, 2), ({"size": None}, 37, 2)],
)
async def test_directives_with_variables_and_defaults(
    demo: Client, variables: dict[str, Any], size: int, statements: int
) -> None:
    alone = await demo.data("{ models(first: 50) { nodes { modelName modelVersion experiment { id } } } }")
    answer = await demo.ask(DIRECTED, **variables)
    assert same(answer["data"], {"models": {"nodes": alone["models"]["nodes"][:size]}})
    assert answer["extensions"]["cost"]["statements"] == demo.statements(statements)


async def test_directives_turned_round(demo: Client) -> None:
    """The same document with other values is another selection, cached document or not."""
    alone = await demo.data("{ models(first: 1) { nodes { id stage modelVersion experiment { id } } totalCount } }")
    node = alone["models"]["nodes"][0]
    node.pop("experiment")
    for _ in range(2):
        assert await demo.data(DIRECTED, yes=False, no=True, size=1) == {}
        turned = DIRECTED.replace("@include(if: $yes) {\n      nodes", "{\n      nodes")
        data = await demo.data(turned, yes=False, no=False, size=1)
        assert same(data["models"]["nodes"], [{"id": node["id"], "modelVersion": node["modelVersion"]}])
        assert data["models"]["totalCount"] == alone["models"]["totalCount"]
        assert (await demo.data(DIRECTED, size=1))["models"].keys() == {"nodes"}


async def test_what_is_skipped_costs_no_statement_and_leaves_an_object(demo: Client) -> None:
    for inner in ("models @skip(if: true) { nodes { id } }", "... @include(if: false) { models { totalCount } }"):
        answer = await demo.ask(f"{{ experiments(first: 2) {{ nodes {{ {inner} }} }} }}")
        assert answer["data"] == {"experiments": {"nodes": [{}, {}]}}
        assert answer["extensions"]["cost"]["statements"] == demo.statements(1)
    answer = await demo.ask("{ experiments { nodes @skip(if: true) { id } } models { totalCount @skip(if: true) } }")
    assert answer["data"] == {"experiments": {}, "models": {}}
    assert answer["extensions"]["cost"]["statements"] == 0


async def test_one_row_at_two_places_keeps_its_columns_apart(demo: Client) -> None:
    """The same row by a root, by ``node`` and by a relation, each with other columns: none sees another's."""
    (model,) = (await demo.data("{ models(first: 1) { nodes { id modelName stage auc experiment { id } } } }"))[
        "models"
    ]["nodes"]
    data = await demo.data(
        "query($id: ID!) { a: model(id: $id) { stage } b: model(id: $id) { modelName n: stage } "
        "node(id: $id) { ... on Model { auc experiment { id } } } nodes(ids: [$id, $id]) { id } "
        "c: model(id: $id) { experiment { id } } }",
        id=model["id"],
    )
    assert same(
        data,
        {
            "a": {"stage": model["stage"]},
            "b": {"modelName": model["modelName"], "n": model["stage"]},
            "node": {"auc": model["auc"], "experiment": model["experiment"]},
            "nodes": [{"id": model["id"]}, {"id": model["id"]}],
            "c": {"experiment": model["experiment"]},
        },
    )


async def test_arguments_come_from_the_operation_that_runs(demo: Client) -> None:
    """Several operations share fragments; the variables and defaults are those of the named one."""
    query = """
      query Two($n: Int = 2) { ...F } query Three($n: Int = 3) { ...F } query Given($n: Int!) { ...F }
      fragment F on Query { models(first: $n) { nodes { experiment { models(first: $n) { nodes { id } } } } } }
    """
    for name, variables, size in (("Two", {}, 2), ("Three", {}, 3), ("Given", {"n": 1}, 1), ("Two", {"n": 4}, 4)):
        body = {"query": query, "operationName": name, "variables": variables}
        data = (await demo.http.post("/graphql", json=body)).json()["data"]
        nodes = data["models"]["nodes"]
        assert len(nodes) == size
        below = [len(node["experiment"]["models"]["nodes"]) for node in nodes]
        totals = await demo.data(
            f"{{ models(first: {size}) {{ nodes {{ experiment {{ models {{ totalCount }} }} }} }} }}"
        )
        expected = [node["experiment"]["models"]["totalCount"] for node in totals["models"]["nodes"]]
        assert below == [min(size, total) for total in expected]
