"""`toolExecutionPlan`: layers in dependency order, what flows between the tools, and errors that name the culprit."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from db.seed.tools import default_tools, tool_id
from tests.support.client import Client
from tests.support.databases import Database, execute

PLAN = """query($tools: [String!]!) { toolExecutionPlan(tools: $tools) {
  estimatedLatencyMs successRate
  layers { position steps {
    tool { name } suggestedProducerCount
    inputs { outputField inputField transformExpression producerTool { name } consumerTool { name } }
    suggestedProducers { producerTool { name } }
  } }
} }"""
CHAIN = ["roi_estimator", "segment_ranker", "gap_calculator", "cate_analyzer", "causal_effect_estimator"]
TOOLS = {tool["name"]: tool for tool in default_tools()["tools"]}


def named(plan: dict[str, Any]) -> list[list[str]]:
    return [[step["tool"]["name"] for step in layer["steps"]] for layer in plan["layers"]]


async def plan(client: Client, *tools: str) -> dict[str, Any]:
    return (await client.data(PLAN, tools=list(tools)))["toolExecutionPlan"]


@pytest.fixture(scope="module")
async def tools(module_database: Database, serve: Any) -> AsyncIterator[Client]:
    """The default tools, and beside them a cycle of three, a tool of its own, and some that cannot be used."""
    await execute(
        module_database.owner_url,
        """INSERT INTO tool_registry (name, description, category, source_agent, composable, deprecated_at,
               avg_latency_ms, success_rate)
           SELECT name, '', 'GAP', 'gap_analyzer', name <> 'internal', CASE name WHEN 'old' THEN now() END,
               CASE name WHEN 'unmeasured' THEN NULL WHEN 'broken' THEN 'NaN'::float8 ELSE 10 END,
               CASE name WHEN 'unmeasured' THEN NULL ELSE 0.5 END
           FROM unnest('{a,b,c,alone,internal,old,unmeasured,broken}'::text[]) AS name""",
        *(
            f"""INSERT INTO tool_dependencies (producer_tool_id, consumer_tool_id, output_field)
            SELECT p.tool_id, c.tool_id, 'x' FROM tool_registry p, tool_registry c
            WHERE p.name = '{producer}' AND c.name = '{consumer}'"""
            for producer, consumer in ("ab", "bc", "ca", ("internal", "alone"), ("old", "alone"), ("a", "alone"))
        ),
    )
    async with serve(module_database) as client:
        yield client


async def test_layers_follow_the_longest_path(demo: Client) -> None:
    answer = await plan(demo, *CHAIN, "psi_calculator", "power_calculator")
    assert named(answer) == [
        ["causal_effect_estimator", "psi_calculator"],
        ["cate_analyzer", "power_calculator"],
        ["segment_ranker"],
        ["gap_calculator"],
        ["roi_estimator"],
    ]
    assert [layer["position"] for layer in answer["layers"]] == [1, 2, 3, 4, 5]
    assert answer["estimatedLatencyMs"] == 4200 + 7800 + 350 + 900 + 1800
    assert answer["successRate"] == pytest.approx(
        math.prod(TOOLS[name]["success_rate"] for name in (*CHAIN, "psi_calculator", "power_calculator"))
    )


async def test_steps_show_what_flows_into_them(demo: Client) -> None:
    answer = await plan(demo, *CHAIN)
    last = answer["layers"][-1]["steps"][0]
    assert [(one["outputField"], one["inputField"], one["producerTool"]["name"]) for one in last["inputs"]] == [
        ("ate", "expected_effect", "causal_effect_estimator"),
        ("gaps", "gaps", "gap_calculator"),
    ]
    gaps = answer["layers"][3]["steps"][0]["inputs"]
    assert gaps[0]["transformExpression"] == "[.[].segment]"
    assert gaps[0]["consumerTool"]["name"] == "gap_calculator"


async def test_producers_outside_the_plan_are_suggested(demo: Client) -> None:
    """What could be used: without the chain between them, two tools stand side by side."""
    answer = await plan(demo, "roi_estimator", "causal_effect_estimator")
    assert named(answer) == [["causal_effect_estimator"], ["roi_estimator"]]
    first, second = (layer["steps"][0] for layer in answer["layers"])
    assert first["suggestedProducers"] == [{"producerTool": {"name": "propensity_estimator"}}]
    assert (second["suggestedProducers"], second["suggestedProducerCount"]) == (
        [{"producerTool": {"name": "gap_calculator"}}],
        1,
    )


async def test_tools_that_cannot_be_used_are_not_suggested(tools: Client) -> None:
    answer = await plan(tools, "alone")
    step = answer["layers"][0]["steps"][0]
    assert (step["suggestedProducers"], step["suggestedProducerCount"]) == ([{"producerTool": {"name": "a"}}], 1)


async def test_names_and_ids_mix(demo: Client) -> None:
    key = str(tool_id("cate_analyzer"))
    for text in ("cate_analyzer", key, f"Tool:{key}", key.upper()):
        assert named(await plan(demo, text, "segment_ranker")) == [["cate_analyzer"], ["segment_ranker"]]


async def test_unknown_values_make_unknown_sums(tools: Client) -> None:
    answer = await plan(tools, "a", "unmeasured")
    assert (answer["estimatedLatencyMs"], answer["successRate"]) == (None, None)
    answer = await plan(tools, "a", "broken")
    assert (answer["estimatedLatencyMs"], answer["successRate"]) == (None, 0.25)


async def test_statements_do_not_grow_with_the_tools(demo: Client) -> None:
    counts = set()
    for names in (["causal_effect_estimator", "roi_estimator"], [*CHAIN], sorted(TOOLS)):
        answer = await demo.ask(PLAN, tools=names)
        assert "errors" not in answer
        counts.add(answer["extensions"]["cost"]["statements"])
    # the plan; tools, inputs with their ends, and suggestions with theirs: by the loaders a statement for each end
    assert max(counts) == (4 if demo.app.state.graphql.plans.compiles else 7)
    answer = await demo.ask('{ toolExecutionPlan(tools: ["roi_estimator"]) { estimatedLatencyMs } }')
    assert answer["extensions"]["cost"]["statements"] == 1


async def test_the_price_is_what_could_be_answered(demo: Client) -> None:
    answer = await demo.ask(PLAN, tools=["roi_estimator", "cate_analyzer"])
    cost = answer["extensions"]["cost"]
    assert cost["requested"] >= cost["actual"]
    tools = [f"t{number}" for number in range(100)]
    deep = "inputs { producerTool { steps(first: 1000) { nodes { id } } } }"
    query = f"query($tools: [String!]!) {{ toolExecutionPlan(tools: $tools) {{ layers {{ steps {{ {deep} }} }} }} }}"
    assert (await demo.error(query, tools=tools))["code"] == "COST_LIMIT"


@pytest.mark.parametrize(
    ("asked", "argument", "said"),
    [
        ([], "tools", "is empty"),
        ([f"t{number}" for number in range(101)], "tools", "101 tools are too many; pass at most 100"),
        (["roi_estimator", "cate_analyzer", "roi_estimator"], "tools[2]", "a second time, after tools[0]"),
        (["roi_estimator", str(tool_id("roi_estimator"))], "tools[1]", "names roi_estimator a second time"),
        (["roi_estimator", "a\x00b"], "tools[1]", "NUL"),
    ],
)
async def test_bad_input(demo: Client, asked: list[str], argument: str, said: str) -> None:
    error = await demo.error(PLAN, tools=asked)
    assert (error["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", argument)
    assert said in error["message"]
    assert error["path"] == ["toolExecutionPlan"]


async def test_as_many_tools_as_the_limit_allows_are_looked_up(demo: Client) -> None:
    error = await demo.error(PLAN, tools=[f"t{number}" for number in range(100)])
    assert "too many" not in error["message"]
    assert error["extensions"]["argument"] == "tools[0]"


async def test_unknown_tools_are_named_with_near_ones(demo: Client) -> None:
    error = await demo.error(PLAN, tools=["roi_estimator", "causal_efect_estimator", "x" * 10_000, "🙂", ""])
    assert (error["code"], error["extensions"]["argument"]) == ("UNKNOWN_TOOL", "tools[1]")
    assert "did you mean causal_effect_estimator" in error["message"]
    assert len(error["message"]) < 500
    unknown = error["extensions"]["unknown"]
    assert [one["argument"] for one in unknown] == ["tools[1]", "tools[2]", "tools[3]", "tools[4]"]
    assert unknown[0]["suggestions"][0] == "causal_effect_estimator"
    for text in (f"Model:{tool_id('roi_estimator')}", "00000000-0000-0000-0000-000000000000", "%", "roi_estimato_"):
        assert (await demo.error(PLAN, tools=[text]))["code"] == "UNKNOWN_TOOL"


@pytest.mark.parametrize(("name", "why"), [("internal", "not composable"), ("old", "deprecated")])
async def test_tools_that_cannot_be_used(tools: Client, name: str, why: str) -> None:
    error = await tools.error(PLAN, tools=["a", name])
    assert (error["code"], error["extensions"]["argument"]) == ("TOOL_NOT_COMPOSABLE", "tools[1]")
    assert error["extensions"]["tools"] == [name]
    assert f"{name} ({why})" in error["message"]


@pytest.mark.parametrize("asked", [["a", "b", "c"], ["c", "roi_estimator", "b", "alone", "a", "cate_analyzer"]])
async def test_a_cycle_is_spelled_out(tools: Client, asked: list[str]) -> None:
    error = await tools.error(PLAN, tools=asked)
    assert (error["code"], error["extensions"]["cycle"]) == ("DEPENDENCY_CYCLE", ["a", "b", "c", "a"])
    assert "a -> b -> c -> a" in error["message"]


async def test_a_cycle_that_the_plan_does_not_close_is_none(tools: Client) -> None:
    assert named(await plan(tools, "c", "b")) == [["b"], ["c"]]


async def test_a_tool_that_waits_for_itself(template: Database, clone: Any, serve: Any) -> None:
    async with clone(template) as copy:
        await execute(
            copy.owner_url,
            "ALTER TABLE tool_dependencies DROP CONSTRAINT no_self_dependency",
            "INSERT INTO tool_dependencies (producer_tool_id, consumer_tool_id)"
            " SELECT tool_id, tool_id FROM tool_registry WHERE name = 'risk_scorer'",
        )
        async with serve(copy) as client:
            error = await client.error(PLAN, tools=["risk_scorer", "psi_calculator"])
            assert error["extensions"]["cycle"] == ["risk_scorer", "risk_scorer"]


async def test_columns_that_the_database_lacks_cost_their_fields(template: Database, clone: Any, serve: Any) -> None:
    async with clone(template) as copy:
        await execute(
            copy.owner_url,
            "ALTER TABLE tool_registry DROP COLUMN avg_latency_ms, DROP COLUMN deprecated_at",
        )
        async with serve(copy) as client:
            answer = await client.ask(PLAN, tools=CHAIN)
            assert len(answer["data"]["toolExecutionPlan"]["layers"]) == 5
            assert answer["data"]["toolExecutionPlan"]["successRate"] > 0.8
            (error,) = answer["errors"]
            assert error["path"] == ["toolExecutionPlan", "estimatedLatencyMs"]
            assert error["extensions"] == {
                "code": "MISSING_IN_DATABASE",
                "object": "tool_registry.avg_latency_ms",
            }
    async with clone(template) as copy:
        await execute(copy.owner_url, "DROP TABLE tool_dependencies")
        async with serve(copy) as client:
            assert (await client.error(PLAN, tools=CHAIN))["code"] == "MISSING_IN_DATABASE"


async def test_rows_without_a_plan_are_not_read(demo: Client) -> None:
    """Fragments, aliases and directives mean here what they mean anywhere."""
    answer = await demo.data(
        """{ toolExecutionPlan(tools: ["cate_analyzer", "causal_effect_estimator"]) { layers { steps {
             one: tool { name } two: tool { ...Named } ... @skip(if: true) { inputs { inputField } } } } } }
           fragment Named on Tool { category }"""
    )
    first = answer["toolExecutionPlan"]["layers"][0]["steps"]
    assert first == [{"one": {"name": "causal_effect_estimator"}, "two": {"category": "CAUSAL"}}]
