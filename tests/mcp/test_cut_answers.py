"""Answers within a budget of bytes: whatever is cut, its cursors give the whole, and nothing twice."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from schema.lineage.edges import edges
from tests.support.agents import Agent
from tests.support.client import Client

BELOW = {
    "models": ("id modelName auc stage", {"deployments": "id environment createdAt", "alerts": "id title message"}),
    "experiments": (
        "id experimentName description createdAt",
        {"models": "id modelName"},
    ),
    "tools": ("id name description inputSchema", {}),
    "features": ("id featureName description", {}),
}
"""Lists of the graph: what is selected of their rows, and lists within these."""
TYPES = {"models": "Model", "experiments": "Experiment", "tools": "Tool", "features": "Feature"}


def asked(chosen: random.Random) -> tuple[str, str, str | None, int, bool]:
    """A random question: its root, what is selected of a row, a list within the rows, and how many rows of each."""
    root = chosen.choice(sorted(BELOW))
    fields, inner = BELOW[root]
    picked = chosen.sample(fields.split()[1:], chosen.randint(1, len(fields.split()) - 1))
    within = chosen.choice([None, *inner]) if inner else None
    return root, " ".join(["id", *picked]), within, chosen.choice([3, 20, 50]), chosen.random() < 0.4


@pytest.mark.parametrize("seed", range(25))
async def test_cursors_of_what_was_cut_give_the_whole(demo: Client, seed: int) -> None:
    chosen = random.Random(seed)
    root, fields, within, first, by_edges = asked(chosen)
    inner = (
        f"{within}(first: {chosen.choice([2, 10, 50])}) {{ nodes {{ {BELOW[root][1][within]} }} }}" if within else ""
    )
    rows = f"edges {{ node {{ {fields} {inner} }} }}" if by_edges else f"nodes {{ {fields} {inner} }}"
    query = f"query Q($after: String) {{ {root}(first: {first}, after: $after) {{ {rows} }} }}"
    agent = Agent(demo)
    whole = await everything(demo, root, within)
    found: list[str] = []
    children: dict[str, list[str]] = {}
    after: str | None = None
    while True:
        budget = chosen.choice([500, 700, 1_500, 4_000, 12_000, 40_000])
        result = await agent.result(
            "tools/call",
            {"name": "query", "arguments": {"query": query, "variables": {"after": after}, "maxBytes": budget}},
        )
        values = result["structuredContent"]
        if result.get("isError"):
            assert values["error"] == "ROW_TOO_LARGE"
            assert budget < 12_000
            continue
        assert len(orjson.dumps(values)) <= budget
        page = values["data"][root]
        assert set(page) == {"edges" if by_edges else "nodes"}
        shown = [edge["node"] for edge in page["edges"]] if by_edges else page["nodes"]
        found += [row["id"] for row in shown]
        more = {entry["path"]: entry for entry in values["more"]}
        assert values["complete"] is (not more)
        for at, row in enumerate(shown if within else []):
            path = f"{root}.edges[{at}].node.{within}" if by_edges else f"{root}.nodes[{at}].{within}"
            children[row["id"]] = [one["id"] for one in row[within]["nodes"]]
            if path in more:
                assert more[path]["shown"] == len(children[row["id"]])
                children[row["id"]] += await rest(demo, root, row["id"], within, more[path]["after"])
        if root not in more:
            break
        assert more[root]["shown"] == len(shown)
        after = more[root]["after"]
    assert found == list(whole)
    assert not within or children == whole


async def everything(demo: Client, root: str, within: str | None) -> dict[str, list[str]]:
    """The ids of all rows in their order, with those of a list within each."""
    inner = f"{within}(first: 500) {{ nodes {{ id }} }}" if within else ""
    data = await demo.data(f"{{ {root}(first: 500) {{ nodes {{ id {inner} }} }} }}")
    rows: list[dict[str, Any]] = data[root]["nodes"]
    return {row["id"]: [one["id"] for one in row[within]["nodes"]] if within else [] for row in rows}


async def rest(demo: Client, root: str, id_: str, within: str, after: str) -> list[str]:
    """The ids of what follows in a row's list."""
    query = f"""query Rest($id: ID!, $after: String) {{
        node(id: $id) {{ ... on {TYPES[root]} {{ {within}(first: 1000, after: $after) {{ nodes {{ id }} }} }} }} }}"""
    data = await demo.data(query, id=id_, after=after)
    return [one["id"] for one in data["node"][within]["nodes"]]


async def test_a_list_that_is_read_backward_keeps_its_end(demo: Client) -> None:
    query = "query Q($c: String) { models(last: 50, before: $c) { nodes { id modelName } pageInfo { startCursor } } }"
    agent, found, cursor = Agent(demo), list[str](), None
    whole = await everything(demo, "models", None)
    while True:
        envelope = await agent.call("query", query=query, variables={"c": cursor}, maxBytes=1_500)
        page = envelope["data"]["models"]
        found = [row["id"] for row in page["nodes"]] + found
        if envelope["complete"]:
            break
        [more] = envelope["more"]
        cursor = more["before"]
        assert page["pageInfo"] == {"startCursor": cursor}
    assert found == list(whole)


async def test_one_row_that_is_too_large_is_an_error_that_says_so(demo: Client) -> None:
    query = "{ tools(first: 1) { nodes { name description inputSchema outputSchema a: description b: inputSchema } } }"
    failure = await Agent(demo).fails("query", query=query, maxBytes=500)
    assert failure["error"] == "ROW_TOO_LARGE"
    assert "maxBytes" in failure["errors"][0]["try"]


@pytest.mark.slow
async def test_lineage_within_a_budget_reads_on(demo: Client) -> None:
    """The pages of a cut lineage, together, have every node of the whole."""
    agent = Agent(demo)
    id_ = next(iter(await everything(demo, "experiments", None)))
    whole = await demo.data("query Q($id: ID!) { lineage(from: [$id], maxDepth: 2) { nodes { nodeId } } }", id=id_)
    seen: set[str] = set()
    waiting: list[list[str] | None] = [None]
    while waiting:
        envelope = await agent.call(
            "lineage", ids=[id_], maxDepth=2, maxBytes=6_000, after=waiting.pop(), types=edges().types
        )
        assert len(orjson.dumps(envelope)) <= 6_000
        seen |= {word for word in envelope["data"]["outline"].split() if ":" in word}
        assert envelope["complete"] is not any(one.startswith("Not complete") for one in envelope["warnings"])
        waiting += [[one["after"]] for one in envelope["more"]]
    assert {node["nodeId"] for node in whole["lineage"]["nodes"]} <= seen


@pytest.mark.parametrize("maxBytes", [500, 8_000])
async def test_counts_without_rows_are_complete(demo: Client, maxBytes: int) -> None:  # noqa: N803 - the argument's name
    envelope = await Agent(demo).call("query", query="{ models { totalCount } }", maxBytes=maxBytes)
    assert envelope["complete"] is True


async def test_vectors_are_named_in_place_of_shown(demo: Client) -> None:
    envelope = await Agent(demo).call("query", query="{ composerEpisodes(first: 1) { nodes { queryEmbedding } } }")
    assert envelope["data"]["composerEpisodes"]["nodes"] == [{"queryEmbedding": "<vector of 1536>"}]
