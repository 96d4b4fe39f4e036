"""The schema's own description: a map of its groups."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from graphql import SchemaDefinitionNode, graphql_sync, parse

from db.base.markers import Group
from schema.schema import build, subgraph

SDL = Path(__file__).parents[2] / "schema" / "schema.graphql"
MAP = build().graphql.description or ""
ROOTS = build().graphql.query_type.fields if build().graphql.query_type else {}


def test_every_list_of_the_graph_stands_in_its_group_once() -> None:
    lines = re.findall(r"^\d+\. \*\*(\w+)\*\*: (.+)$", MAP, re.MULTILINE)
    assert [name for name, _ in lines] == [group.value for group in Group]
    lists = [name for name, field in ROOTS.items() if str(field.type).rstrip("!").endswith("Connection")]
    named = re.findall(r"`(\w+)`", MAP)
    twice = {"lifecycleEvents": 2, "models": 2}  # one is the example of a list and its row
    assert {name: named.count(name) for name in lists} == dict.fromkeys(lists, 1) | twice
    told = dict(lines)
    assert "`models`" in told["mlops_core"]
    assert re.search(r"Questions: .*`modelHealths`", told["model_monitoring"])


def test_what_it_names_is_there() -> None:
    schema = build().graphql
    known = {field for type_ in schema.type_map.values() for field in getattr(type_, "fields", {})}
    arguments = {name for field in ROOTS.values() for name in field.args}
    names = set(re.findall(r"`(\w+)`", MAP))
    assert names <= known | arguments
    assert all(f"`{name}`" in MAP for name in ("search", "lineage", "node", "dagApproval"))


@pytest.mark.slow
def test_it_is_the_schemas_description_and_no_subgraphs() -> None:
    described, _, _ = SDL.read_text().partition("schema {")  # which is the schema's, by a test of the house
    (only,) = parse(f"{described}schema {{ query: Query }}").definitions
    assert isinstance(only, SchemaDefinitionNode)
    assert only.description is not None
    assert only.description.value == MAP
    answer = graphql_sync(build().graphql, "{ __schema { description } }").data
    assert answer == {"__schema": {"description": MAP}}
    assert "**mlops_core**" not in subgraph()
