"""The gateway as a subgraph of Apollo Federation 2: its SDL with keys, and entities by their representations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from graphql import ObjectTypeDefinitionNode, parse, print_ast

from gateway.cli.command_line import main
from schema.catalogue.from_models import catalogue
from schema.schema import build
from schema.schema import subgraph as sdl
from schema.sql.entities import natural_keys
from tests.support.callers import JWT, calling, token
from tests.support.client import Client, serving
from tests.support.databases import Database
from tests.support.executors import EXECUTORS

pytestmark = pytest.mark.slow

ENTITIES = """query($representations: [_Any!]!) { _entities(representations: $representations) {
    __typename ... on Model { id modelName } ... on TwinSimulation { id simulationStatus } } }"""


@pytest.fixture(scope="module", params=EXECUTORS)
async def subgraph(request: pytest.FixtureRequest, demo_database: Database) -> AsyncIterator[Client]:
    async with serving(demo_database.gateway_url, federation=True, compiler=request.param) as client:
        yield client


@pytest.fixture(scope="module")
async def entities(demo: Client) -> list[dict[str, str]]:
    """Representations of rows of two types, in turn."""
    data = await demo.data("{ models(first: 5) { nodes { id } } twinSimulations(first: 5) { nodes { id } } }")
    pairs = zip(data["models"]["nodes"], data["twinSimulations"]["nodes"], strict=True)
    made = [({"__typename": "Model", **one}, {"__typename": "TwinSimulation", **other}) for one, other in pairs]
    return [one for pair in made for one in pair]


async def test_entities_come_in_their_places_by_a_statement_a_type(
    subgraph: Client, entities: list[dict[str, str]]
) -> None:
    bare = {"__typename": "Model", "id": entities[0]["id"].removeprefix("Model:")}
    nobody = {"__typename": "Model", "id": "Model:00000000-0000-4000-8000-000000000000"}
    answer = await subgraph.ask(ENTITIES, representations=[*entities, bare, nobody])
    assert "errors" not in answer
    found = answer["data"]["_entities"]
    asked = [*entities, {**bare, "id": entities[0]["id"]}]
    assert [{"__typename": one["__typename"], "id": one["id"]} for one in found[:-1]] == asked
    assert found[-1] is None
    assert answer["extensions"]["cost"]["statements"] <= (1 if subgraph.compiles else 2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"__typename": "TwinSimulation", "id": "Model:00000000-0000-4000-8000-000000000000"}, "is an id of Model"),
        ({"__typename": "Nothing", "id": "1"}, "names no type"),
        ({"__typename": "Model", "id": "x"}, "Model"),
        ({"__typename": "Model"}, "is no entity"),
        ({"id": "Model:x"}, "is no entity"),
        ("Model:x", "is no entity"),
    ],
)
async def test_what_is_no_entity_is_an_error_in_its_place(
    subgraph: Client, entities: list[dict[str, str]], wrong: Any, said: str
) -> None:
    answer = await subgraph.ask(ENTITIES, representations=[entities[0], wrong, entities[1]])
    found = answer["data"]["_entities"]
    assert [one and one["id"] for one in found] == [entities[0]["id"], None, entities[1]["id"]]
    (error,) = answer["errors"]
    assert error["path"] == ["_entities", 1]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert said in error["message"]


async def test_ten_thousand_entities_are_refused_in_words(subgraph: Client, entities: list[dict[str, str]]) -> None:
    error = await subgraph.error(ENTITIES, representations=entities[:2] * 1_000)
    assert (error["code"], error["path"]) == ("BAD_USER_INPUT", ["_entities"])
    assert "2000 entities are too many" in error["message"]
    of_another_type = {"__typename": "Model", "id": entities[1]["id"]}
    error = await subgraph.error(ENTITIES, representations=[entities[0], of_another_type] * 5_000)
    assert (error["code"], "Send fewer at once" in error["message"]) == ("VALUE_LIMIT", True)


async def test_scopes_are_those_of_the_caller(demo_database: Database, entities: list[dict[str, str]]) -> None:
    async with serving(demo_database.gateway_url, federation=True, **JWT) as client:
        answer = await calling(client, token("read:mlops")).ask(ENTITIES, representations=entities[1:2])
        assert answer["data"]["_entities"] == [None]
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN_FIELD"


async def test_the_subgraph_says_its_keys(subgraph: Client, capsys: pytest.CaptureFixture[str]) -> None:
    sdl = (await subgraph.data("{ _service { sdl } }"))["_service"]["sdl"]
    assert main(["schema", "print", "--federation"]) == 0
    assert sdl == capsys.readouterr().out
    types = {one.name.value: one for one in parse(sdl).definitions if isinstance(one, ObjectTypeDefinitionNode)}
    keyed = {name for name, one in types.items() if any(each.name.value == "key" for each in one.directives or ())}
    assert keyed == {type_.name for type_ in catalogue() if type_.is_node}
    assert [each.name.value for each in types["PageInfo"].directives or ()] == ["shareable"]


async def test_without_introspection_the_schema_is_not_told(demo_database: Database) -> None:
    async with serving(demo_database.gateway_url, federation=True, introspection=False) as client:
        assert (await client.error("{ _service { sdl } }"))["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_without_the_setting_there_is_no_subgraph(demo: Client) -> None:
    assert (await demo.error("{ _service { sdl } }"))["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert "_Any" not in build().as_str()


# -- natural keys ------------------------------------------------------------------------------------------------------

NAMED = """query($representations: [_Any!]!) { _entities(representations: $representations) {
    __typename ... on Model { id modelName modelVersion deployments(first: 1) { nodes { id } } }
    ... on HpoTrial { id trialNumber study { id } } } }"""


@pytest.fixture(scope="module")
async def named(demo: Client) -> list[tuple[dict[str, Any], str]]:
    """Representations by natural keys of two types, in turn, with the ids of their rows."""
    data = await demo.data(
        "{ models(first: 5) { nodes { id modelName modelVersion } } "
        "hpoTrials(first: 5) { nodes { id trialNumber studyId } } }"
    )
    found = []
    for model, trial in zip(data["models"]["nodes"], data["hpoTrials"]["nodes"], strict=True):
        found += [({"__typename": "Model", **model}, model.pop("id"))]
        found += [({"__typename": "HpoTrial", **trial}, trial.pop("id"))]
    return [({name: value for name, value in one.items() if name != "id"}, id_) for one, id_ in found]


async def test_entities_by_what_else_is_unique(subgraph: Client, named: list[tuple[dict[str, Any], str]]) -> None:
    nobody = {"__typename": "Model", "modelName": "nobody's", "modelVersion": "0"}
    by_id = {"__typename": "Model", "id": named[0][1]}
    asked = [one for one, _ in named]
    answer = await subgraph.ask(NAMED, representations=[*asked, nobody, by_id])
    assert "errors" not in answer
    found = answer["data"]["_entities"]
    assert [one and one["id"] for one in found] == [*(id_ for _, id_ in named), None, named[0][1]]
    assert found[0] == found[-1]
    assert answer["extensions"]["cost"]["statements"] <= (1 if subgraph.compiles else 8)


async def test_a_type_by_its_natural_key_is_one_statement(
    subgraph: Client, named: list[tuple[dict[str, Any], str]]
) -> None:
    query = "query($r: [_Any!]!) { _entities(representations: $r) { ... on Model { id } } }"
    answer = await subgraph.ask(query, r=[one for one, _ in named if one["__typename"] == "Model"])
    assert answer["extensions"]["cost"]["statements"] == 1
    assert all(answer["data"]["_entities"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"__typename": "Model", "modelName": "a"}, "or `modelName` and `modelVersion` in place of the id"),
        ({"__typename": "Model", "modelName": "a", "modelVersion": 1}, "a value of String is expected"),
        ({"__typename": "Model", "modelName": "a\x00", "modelVersion": "1"}, "a value of String is expected"),
        ({"__typename": "HpoTrial", "studyId": "x", "trialNumber": 1}, "a value of UUID is expected"),
        ({"__typename": "HpoTrial", "studyId": "0" * 32, "trialNumber": 2**40}, "a value of Int is expected"),
        ({"__typename": "HpoTrial", "studyId": "0" * 32, "trialNumber": True}, "a value of Int is expected"),
    ],
)
async def test_what_is_no_natural_key_is_an_error_in_its_place(
    subgraph: Client, named: list[tuple[dict[str, Any], str]], wrong: Any, said: str
) -> None:
    answer = await subgraph.ask(NAMED, representations=[named[0][0], wrong, named[1][0]])
    found = answer["data"]["_entities"]
    assert [one and one["id"] for one in found] == [named[0][1], None, named[1][1]]
    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["_entities", 1], "BAD_USER_INPUT")
    assert said in error["message"]


async def test_natural_keys_are_priced_and_limited_like_ids(
    subgraph: Client, named: list[tuple[dict[str, Any], str]]
) -> None:
    query = "query($r: [_Any!]!) { _entities(representations: $r) { ... on Model { id } } }"
    one = named[0]
    priced = [
        (await subgraph.ask(query, r=[each] * 50))["extensions"]["cost"]["requested"]
        for each in (one[0], {"__typename": "Model", "id": one[1]})
    ]
    assert priced[0] == priced[1]
    assert "entities are too many" in (await subgraph.error(query, r=[one[0]] * 1_001))["message"]


def test_every_natural_key_is_in_the_subgraph() -> None:
    keys = natural_keys(catalogue())
    types = {one.name.value: one for one in parse(sdl()).definitions if isinstance(one, ObjectTypeDefinitionNode)}
    assert "Model" in keys
    for name, lookups in keys.items():
        said = [print_ast(each) for each in types[name].directives or () if each.name.value == "key"]
        assert said == ['@key(fields: "id")', *(f'@key(fields: "{" ".join(one)}")' for one in lookups)]
