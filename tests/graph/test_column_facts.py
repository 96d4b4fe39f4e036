"""`columnFacts`: what values of columns mean, as the models declare it and as agents' tools read it."""

from __future__ import annotations

import pytest

from db.base.column_facts import Holds
from gateway.mcp.columns import Columns
from schema.schema import build
from tests.support.client import Client, serving
from tests.support.databases import Database

ALL = "type field kind unit unitSymbol holds values prose aliases"


async def test_every_column_says_what_it_means_as_the_tools_do(demo: Client) -> None:
    facts = (await demo.data(f"{{ columnFacts {{ {ALL} }} }}"))["columnFacts"]
    assert len(facts) > 1_200
    models, columns = build().catalogue, Columns(build())
    known = {(type_.name, name): leaf for type_ in models for name, leaf in type_.columns.items() if leaf.is_own}
    found = {(one["type"], one["field"]): one for one in facts}
    assert known.keys() <= found.keys()
    for (type_, field), leaf in known.items():
        one = found[type_, field]
        assert one["aliases"] == list(leaf.facts.aliases)
        assert one["prose"] is columns.is_prose(type_, field) is (leaf.facts.holds is Holds.PROSE)
        assert columns.unit(type_, field) in {one["unitSymbol"], None}
        assert set(columns.values(type_, field)) <= set(one["values"])


async def test_some_types_are_asked_for(demo: Client) -> None:
    query = f'{{ columnFacts(types: ["Deployment", "ServingMetric", "Deployment"]) {{ {ALL} }} }}'
    facts = {(one["type"], one["field"]): one for one in (await demo.data(query))["columnFacts"]}
    assert {type_ for type_, _ in facts} == {"Deployment", "ServingMetric"}
    assert facts["Deployment", "errorRate"]["unit"] == "FRACTION"
    assert facts["ServingMetric", "errorRate"]["unitSymbol"] == "%"
    assert "production" in facts["Deployment", "environment"]["values"]
    assert facts["Deployment", "rollbackReason"]["holds"] == "PROSE"


@pytest.mark.parametrize(
    ("types", "said"),
    [
        ('["Modle"]', "types[0]: 'Modle' is no type of rows; pass the name of one, such as Model"),
        ('["Model", ""]', "types[1]: '' is no type of rows"),
        ("[]", "has 0 names"),
        (str(["Model"] * 101).replace("'", '"'), "has 101 names"),
    ],
)
async def test_bad_names_are_refused(demo: Client, types: str, said: str) -> None:
    error = await demo.error(f"{{ columnFacts(types: {types}) {{ field }} }}")
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert said in error["message"]


async def test_a_closed_schema_does_not_tell_it(demo_database: Database) -> None:
    async with serving(demo_database.gateway_url, introspection=False) as client:
        answer = await client.ask("{ columnFacts { field } }")
    assert answer["errors"][0]["message"] == "Introspection is disabled, and columnFacts reads the schema."
