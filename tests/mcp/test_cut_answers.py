"""Answers within a budget of bytes: whatever is cut, its cursors give the whole, and nothing twice."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from schema.catalogue.catalogue import Type
from schema.lineage.edges import edges
from schema.schema import build
from tests.support.agents import Agent
from tests.support.client import Client

TABLES = {type_.name: type_ for type_ in build().catalogue if not type_.is_view and not type_.is_derived}
ROOTS = {
    root.name: TABLES[root.target]
    for root in build().catalogue.roots.values()
    if root.many and not root.nearest and root.target in TABLES
}
BUDGETS = (500, 700, 1_500, 4_000, 12_000, 40_000)
MOST_PAGES = 12
"""Pages of a query that are read on: a table of facts has thousands of rows."""


class Level:
    """A list of a random query: what is selected of its rows, and the lists within them."""

    def __init__(self, chosen: random.Random, type_: Type, depth: int) -> None:
        self.type = type_
        leaves = [name for name, leaf in type_.columns.items() if name != "id" and leaf.kind.graphql != "Vector"]
        self.fields = " ".join(["id", *chosen.sample(leaves, min(len(leaves), chosen.randint(0, 5)))])
        self.by_edges = chosen.random() < 0.4
        lists = [one for one in type_.relations.values() if one.many and one.target in TABLES]
        picked = chosen.sample(lists, min(len(lists), chosen.choice([0, 0, 1, 1, 2]))) if depth else []
        self.within = {one.name: Level(chosen, TABLES[one.target], depth - 1) for one in picked}
        self.first = {name: chosen.choice([2, 5, 30]) for name in self.within}

    def selection(self) -> str:
        inner = " ".join(f"{name}(first: {self.first[name]}) {one.selection()}" for name, one in self.within.items())
        row = f"{{ {self.fields} {inner} }}"
        return f"{{ edges {{ node {row} }} }}" if self.by_edges else f"{{ nodes {row} }}"

    def rows(self, page: dict[str, Any], path: str) -> list[tuple[dict[str, Any], str]]:
        """The rows of a page, each with its path."""
        if self.by_edges:
            return [(edge["node"], f"{path}.edges[{at}].node") for at, edge in enumerate(page["edges"])]
        return [(row, f"{path}.nodes[{at}]") for at, row in enumerate(page["nodes"])]


class Checked:
    """Answers of ``query`` that are compared with the whole lists, each read once without a budget."""

    def __init__(self, demo: Client) -> None:
        self._demo = demo
        self._whole: dict[tuple[str, str], list[str]] = {}

    async def root(self, root: str, query: str, level: Level, chosen: random.Random) -> None:
        whole, found, after = await self.list(root), list[str](), None
        for _ in range(MOST_PAGES):
            budget = chosen.choice(BUDGETS)
            arguments = {"query": query, "variables": {"after": after}, "maxBytes": budget}
            result = await Agent(self._demo).result("tools/call", {"name": "query", "arguments": arguments})
            values = result["structuredContent"]
            if result.get("isError"):
                assert values["error"] == "ROW_TOO_LARGE", values
                continue
            assert len(orjson.dumps(values)) <= budget
            page, more = values["data"][root], {entry["path"]: entry for entry in values["more"]}
            assert set(page) == {"edges" if level.by_edges else "nodes"}
            assert values["complete"] is (not more)
            await self.within(level, page, root, more)
            found += [row["id"] for row, _ in level.rows(page, root)]
            if root not in more:
                assert found == whole
                break
            after = more.pop(root)["after"]
            assert not more, "a list is in more that the answer does not have"
        assert found == whole[: len(found)]

    async def within(self, level: Level, page: dict[str, Any], path: str, more: dict[str, Any]) -> None:
        """Each list of the rows is whole, or goes on at the cursor of its place, which is taken out of ``more``."""
        for row, place in level.rows(page, path):
            for name, inner in level.within.items():
                shown = [one["id"] for one, _ in inner.rows(row[name], name)]
                if entry := more.pop(f"{place}.{name}", None):
                    assert entry["shown"] == len(shown)
                    shown += await self.list(name, row["id"], entry["after"])
                assert shown == await self.list(name, row["id"]), f"{place}.{name}"
                await self.within(inner, row[name], f"{place}.{name}", more)

    async def list(self, name: str, of: str = "", after: str | None = None) -> list[str]:
        """The ids of a list, of a root or of a row, from a cursor on."""
        if after is None and (known := self._whole.get((of, name))) is not None:
            return known
        found, cursor = list[str](), after
        page = f"found: {name}(first: 1000, after: $after) {{ nodes {{ id }} pageInfo {{ endCursor hasNextPage }} }}"
        while True:
            if of:
                row = f"... on {of.partition(':')[0]} {{ {page} }}"
                query = f"query($id: ID!, $after: String) {{ node(id: $id) {{ {row} }} }}"
                data = (await self._demo.data(query, id=of, after=cursor))["node"]
            else:
                data = await self._demo.data(f"query($after: String) {{ {page} }}", after=cursor)
            found += [row["id"] for row in data["found"]["nodes"]]
            cursor = data["found"]["pageInfo"]["endCursor"]
            if not data["found"]["pageInfo"]["hasNextPage"]:
                break
        if after is None:
            self._whole[of, name] = found
        return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
async def test_cursors_of_what_was_cut_give_the_whole(demo: Client, seed: int) -> None:
    """Random queries of any table, with lists within lists: nothing is missing unsaid, and nothing is there twice."""
    chosen = random.Random(seed)
    root = chosen.choice(sorted(ROOTS))
    level = Level(chosen, ROOTS[root], 2)
    query = (
        f"query Q($after: String) {{ {root}(first: {chosen.choice([3, 20, 50])}, after: $after) {level.selection()} }}"
    )
    await Checked(demo).root(root, query, level, chosen)


async def test_a_list_that_is_read_backward_keeps_its_end(demo: Client) -> None:
    query = "query Q($c: String) { models(last: 50, before: $c) { nodes { id modelName } pageInfo { startCursor } } }"
    agent, found, cursor = Agent(demo), list[str](), None
    whole = await Checked(demo).list("models")
    while True:
        envelope = await agent.call("query", query=query, variables={"c": cursor}, maxBytes=1_500)
        page = envelope["data"]["models"]
        found = [row["id"] for row in page["nodes"]] + found
        if envelope["complete"]:
            break
        [more] = envelope["more"]
        cursor = more["before"]
        assert page["pageInfo"] == {"startCursor": cursor}
    assert found == whole


async def test_one_row_that_is_too_large_is_an_error_that_says_so(demo: Client) -> None:
    query = "{ tools(first: 1) { nodes { name description inputSchema outputSchema a: description b: inputSchema } } }"
    failure = await Agent(demo).fails("query", query=query, maxBytes=500)
    assert failure["error"] == "ROW_TOO_LARGE"
    assert "maxBytes" in failure["errors"][0]["try"]


@pytest.mark.slow
async def test_lineage_within_a_budget_reads_on(demo: Client) -> None:
    """The pages of a cut lineage, together, have every node of the whole."""
    agent = Agent(demo)
    id_ = (await Checked(demo).list("experiments"))[0]
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
