"""A gateway that keeps its schema to itself: no introspection, no suggestions, no name that was not sent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from graphql import get_introspection_query

from schema.schema import build
from tests.support.client import Client, serving
from tests.support.databases import Database

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
async def closed(demo_database: Database) -> AsyncIterator[Client]:
    async with serving(demo_database.gateway_url, introspection=False) as client:
        yield client


def names() -> set[str]:
    """Every name of the schema that is no common word: two words run together, or longer than a word is."""
    found: set[str] = set()
    for type_ in build().graphql.type_map.values():
        if type_.name.startswith("__"):
            continue
        fields: dict[str, Any] = getattr(type_, "fields", {})
        found |= {type_.name, *fields, *getattr(type_, "values", {})}
        found |= {argument for field in fields.values() for argument in getattr(field, "args", {})}
    return {name for name in found if re.search(r"[a-z][A-Z]|_", name)}


NAMES = names()

ASKED: list[tuple[str, dict[str, Any]]] = [
    ("{ experimens { nodes { id } } }", {}),
    ("{ experiments { node { id } } }", {}),
    ("{ experiments }", {}),
    ("{ experiments { nodes { experimentNam } } }", {}),
    ("{ experiments { nodes { id { x } } } }", {}),
    ("{ experiments(frist: 1) { totalCount } }", {}),
    ("{ experiments(first: true) { totalCount } }", {}),
    ("{ models(where: { stag: { eq: 1 } }) { totalCount } }", {}),
    ("{ models(where: { stage: { eq: PRODUCTIO } }) { totalCount } }", {}),
    ("{ models(where: { stage: { equal: PRODUCTION } }) { totalCount } }", {}),
    ("{ models(orderBy: [{ field: AUCS }]) { totalCount } }", {}),
    ("{ models(orderBy: [{}]) { totalCount } }", {}),
    ('{ node(id: "x") { ... on Modle { id } } }', {}),
    ('{ node(id: "x") { stage } }', {}),
    ("{ model { id } }", {}),
    ("{ models { nodes @skipp(if: true) { id } } }", {}),
    ("{ models { nodes @skip { id } } }", {}),
    ("query($v: ModelWher) { models(where: $v) { totalCount } }", {}),
    ("query($v: Int) { models(where: $v) { totalCount } }", {}),
    ("query($v: ModelWhere) { models(where: $v) { totalCount } }", {"v": {"stag": 1}}),
    ("query($v: ModelWhere) { models(where: $v) { totalCount } }", {"v": {"stage": {"eq": "PRODUCTIO"}}}),
    ("query($v: [ModelOrder!]) { models(orderBy: $v) { totalCount } }", {"v": [{"fiel": 1}]}),
    ("query($v: ModelStage) { models(where: { stage: { eq: $v } }) { totalCount } }", {"v": "PROD"}),
    ("mutation { promoteModl(input: {}) { __typename } }", {}),
    ("mutation { promoteModel(input: {}) { __typename } }", {}),
    ("mutation { promoteModel { __typename } }", {}),
    ("mutation($v: PromoteModelInput!) { promoteModel(input: $v) { __typename } }", {"v": {"idd": 1}}),
    ("mutation { completeSimulation(input: { id: 1 }) { __typename } }", {}),
    ("subscription { lifecycle }", {}),
    ("{ a: models { totalCount } a: tools { totalCount } }", {}),
]


@pytest.mark.parametrize(("query", "variables"), ASKED, ids=range(len(ASKED)))
async def test_errors_tell_no_name_that_was_not_sent(
    closed: Client, demo: Client, query: str, variables: dict[str, Any]
) -> None:
    sent = set(re.findall(r"\w+", query + str(variables)))
    answer = await closed.ask(query, **variables)
    messages = " ".join(error["message"] for error in answer["errors"])
    assert "Did you mean" not in messages
    assert set(re.findall(r"\w+", messages)) & NAMES <= sent, messages
    assert not any((answer.get("data") or {}).values())
    open_ = await demo.ask(query, **variables)  # where the schema is open the same mistakes are refused as well
    assert [error["extensions"]["code"] for error in open_["errors"]] == [
        error["extensions"]["code"] for error in answer["errors"]
    ]


async def test_an_open_schema_suggests(demo: Client) -> None:
    """So that the tests above can fail."""
    messages = [(await demo.ask(query, **variables))["errors"][0]["message"] for query, variables in ASKED]
    assert sum("Did you mean" in message for message in messages) > 5
    told = [
        set(re.findall(r"\w+", m)) & NAMES - set(re.findall(r"\w+", q))
        for m, (q, _) in zip(messages, ASKED, strict=True)
    ]
    assert sum(map(bool, told)) > 10


@pytest.mark.parametrize(
    "query",
    [
        get_introspection_query(),
        "{ __schema { types { name } } }",
        '{ __type(name: "Model") { fields { name } } }',
        '{ tools(first: 1) { totalCount } __type(name: "Model") { name } }',
        "{ ...S } fragment S on Query { a: __schema { queryType { name } } }",
    ],
)
async def test_the_schema_cannot_be_asked_for(closed: Client, query: str) -> None:
    response = await closed.post(query)
    assert response.status_code == 400
    assert {error["extensions"]["code"] for error in response.json()["errors"]} == {"GRAPHQL_VALIDATION_FAILED"}
    assert "data" not in response.json()


async def test_everything_else_goes_on(closed: Client) -> None:
    data = await closed.data("{ __typename experiments(first: 1) { nodes { __typename id } } }")
    assert data["__typename"] == "Query"


async def test_introspection_is_answered_once_and_kept(demo: Client) -> None:
    query = get_introspection_query()
    first, second = await demo.ask(query), await demo.ask(query)
    assert first["data"] == second["data"]
    assert first["extensions"]["cost"]["requested"] > 100
    one = await demo.data("query($n: String!) { __type(name: $n) { name } __typename }", n="Model")
    other = await demo.data("query($n: String!) { __type(name: $n) { name } __typename }", n="Tool")
    assert (one["__type"]["name"], other["__type"]["name"]) == ("Model", "Tool")
    assert await demo.data(
        'query($n: Boolean!) { __type(name: "Model") @skip(if: $n) { name } __typename }', n=True
    ) == {"__typename": "Query"}


async def test_beside_rows_little_of_the_schema_may_be_asked_for(demo: Client) -> None:
    small = await demo.data('{ tools(first: 1) { totalCount } __type(name: "Model") { name kind } }')
    assert small["__type"]["name"] == "Model"
    error = await demo.error(
        "{ tools(first: 1) { totalCount } __schema { types { name fields { name args { name } } } } }"
    )
    assert error["code"] == "INTROSPECTION_LIMIT"


async def test_others_are_answered_while_the_schema_is_written_down(demo: Client) -> None:
    """The standard query takes a second or more of Python; nobody waits for it but who asked."""
    done: list[str] = []

    async def ask(name: str, query: str) -> None:
        await demo.data(query)
        done.append(name)

    await ask("warm", "{ tools(first: 2) { nodes { name } } }")
    new = get_introspection_query().replace("queryType", "once: queryType")
    schema = asyncio.create_task(ask("schema", new))
    await asyncio.sleep(0.05)
    for _ in range(3):
        await ask("rows", "{ tools(first: 2) { nodes { name } } }")
    await schema
    assert done == ["warm", "rows", "rows", "rows", "schema"]
