"""The default tools as data: their schemas, and the fields that their dependencies name."""

from graphlib import TopologicalSorter
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from db.seed.tools import default_tools

TOOLS: dict[str, dict[str, Any]] = {tool["name"]: tool for tool in default_tools()["tools"]}
DEPENDENCIES = default_tools()["dependencies"]


def test_the_thirteen_tools_of_the_platform() -> None:
    assert set(TOOLS) == {
        "causal_effect_estimator", "refutation_runner", "sensitivity_analyzer", "cate_analyzer", "segment_ranker",
        "gap_calculator", "roi_estimator", "power_calculator", "counterfactual_simulator", "risk_scorer",
        "propensity_estimator", "psi_calculator", "distribution_comparator",
    }  # fmt: skip
    assert len({tool["tool_id"] for tool in TOOLS.values()}) == 13


@pytest.mark.parametrize("name", TOOLS)
def test_schemas_are_valid_and_every_field_is_described(name: str) -> None:
    for kind in ("input_schema", "output_schema"):
        schema = TOOLS[name][kind]
        Draft202012Validator.check_schema(schema)
        assert schema["$schema"].endswith("2020-12/schema")
        assert set(schema["required"]) <= set(schema["properties"])
        assert all(field["description"] and field["type"] for field in schema["properties"].values())


@pytest.mark.parametrize("name", TOOLS)
def test_defaults_satisfy_their_own_schema(name: str) -> None:
    for field in TOOLS[name]["input_schema"]["properties"].values():
        if "default" in field:
            Draft202012Validator(field).validate(field["default"])


@pytest.mark.parametrize("edge", DEPENDENCIES, ids=lambda edge: f"{edge['consumer']}<-{edge['producer']}")
def test_dependencies_join_fields_that_exist_and_fit(edge: dict[str, Any]) -> None:
    produced = TOOLS[edge["producer"]]["output_schema"]["properties"][edge["output_field"]]
    consumed = TOOLS[edge["consumer"]]["input_schema"]["properties"][edge["input_field"]]
    if edge["transform_expression"] is None:
        assert produced["type"] == consumed["type"]


def test_dependencies_are_acyclic_and_one_per_pair() -> None:
    graph = TopologicalSorter({name: set() for name in TOOLS})
    for edge in DEPENDENCIES:
        graph.add(edge["consumer"], edge["producer"])
    assert set(graph.static_order()) == set(TOOLS)
    assert len({(edge["consumer"], edge["producer"]) for edge in DEPENDENCIES}) == len(DEPENDENCIES)
