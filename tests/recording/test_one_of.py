"""References name a row by exactly one of the ways there are: `@oneOf` in the SDL, in introspection and in errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from graphql import GraphQLInputObjectType

from schema.recording.record_fields import REF
from schema.schema import build
from tests.support.client import Client

BOTH = {"id": "Experiment:1", "mlflowExperimentId": "1"}


@pytest.mark.slow
async def test_every_reference_says_that_it_is_one_of(client: Client) -> None:
    schema = build()
    inputs = {name: one for name, one in schema.graphql.type_map.items() if isinstance(one, GraphQLInputObjectType)}
    references = {name for name in inputs if name.removesuffix(REF) in schema.catalogue.types}
    assert len(references) > 20
    assert {name for name, one in inputs.items() if one.is_one_of} == references
    printed = schema.as_str()
    assert all(f"input {name} @oneOf {{" in printed for name in references)
    told = (await client.data("{ __schema { types { name isOneOf } } }"))["__schema"]["types"]
    assert {one["name"] for one in told if one["isOneOf"]} == references


@pytest.mark.parametrize("reference", [BOTH, {}, {"id": None}, {"id": None, "mlflowExperimentId": "1"}])
async def test_two_ways_or_none_are_an_error_that_says_so(client: Client, reference: dict[str, Any]) -> None:
    """In a variable and in a literal."""
    given = {"modelName": "m", "modelVersion": "1", "algorithm": "a", "experiment": reference, "dryRun": True}
    by_variable = await client.error(
        "mutation($i: CreateModelInput!) { createModel(input: $i) { __typename } }", i=given
    )
    literal = ", ".join(f"{name}: {json.dumps(value)}" for name, value in reference.items())
    by_literal = await client.error(
        f'mutation {{ createModel(input: {{modelName: "m", modelVersion: "1", algorithm: "a", '
        f"experiment: {{{literal}}}, dryRun: true}}) {{ __typename }} }}"
    )
    for error in (by_variable, by_literal):
        assert error["extensions"]["code"] in {"BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"}
        assert any(said in error["message"] for said in ("xactly one", "must be non-null", "value of type 'ID'"))
