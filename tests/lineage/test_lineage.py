"""Lineage against a walk by brute force over random graphs: nodes, depths, edges, what is cut, and reading on."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import pytest

from db.base.lineage import LineageKind
from db.migrations import setup
from tests.support.client import Client
from tests.support.databases import Clone, Database
from tests.support.lineage_graph import EPOCH, Edge, Graph, has_cycle, leads_back, paths, random_graph, walk

pytestmark = pytest.mark.slow

Serve = Callable[[Database], AbstractAsyncContextManager[Client]]

LINEAGE = """
    query($from: [ID!]!, $direction: LineageDirection, $maxDepth: Int, $perNodeLimit: Int, $maxNodes: Int,
        $maxBytes: Int, $types: [String!], $through: [LineageKind!], $since: DateTime, $until: DateTime,
        $after: [String!]) {
      lineage(from: $from, direction: $direction, maxDepth: $maxDepth, perNodeLimit: $perNodeLimit,
          maxNodes: $maxNodes, maxBytes: $maxBytes, types: $types, through: $through, since: $since, until: $until,
          after: $after) {
        nodes { id: nodeId type depth }
        edges { from to kind closesCycle }
        complete reason
        frontier { node direction kind type depth remaining capped cursor }
        omitted { type count }
        missing
      }
    }"""
ALL = {"perNodeLimit": 1000, "maxNodes": 2000}
LEFT_OUT = re.compile(r"(\d+) [A-Z]\w+")
DIRECTIONS = ("UPSTREAM", "DOWNSTREAM", "BOTH")


@dataclass
class World:
    """A random graph in a database of its own."""

    client: Client
    graph: Graph

    async def ask(self, **variables: Any) -> dict[str, Any]:
        data = await self.client.data(LINEAGE, **variables)
        lineage: dict[str, Any] = data["lineage"]
        return lineage


@pytest.fixture(scope="module", params=[1, 2])
async def world(request: pytest.FixtureRequest, template: Database, clone: Clone, serve: Serve) -> AsyncIterator[World]:
    graph = random_graph(random.Random(request.param))
    async with clone(template) as database:
        async with setup.connect(database.owner_url) as connection, connection.begin():
            await graph.write(connection)
        async with serve(database) as client:
            yield World(client, graph)


def questions(rng: random.Random, graph: Graph, count: int) -> list[dict[str, Any]]:
    """Random walks: starts of any types, directions, depths, kinds and moments."""
    asked = []
    for _ in range(count):
        one: dict[str, Any] = {
            "from": rng.sample(sorted(graph.times), rng.choice((1, 1, 1, 2, 5))),
            "direction": rng.choice(DIRECTIONS),
            "maxDepth": rng.choice((0, 1, 2, 3, 4, 100)),
        }
        if rng.random() < 0.3:
            kinds = sorted({kind for _, _, kind in graph.edges})
            one["through"] = rng.sample(kinds, rng.randrange(1, len(kinds)))
        if rng.random() < 0.3:
            one["since"] = (EPOCH + timedelta(hours=rng.randrange(20))).isoformat()
        if rng.random() < 0.3:
            one["until"] = (EPOCH + timedelta(hours=rng.randrange(21, 40))).isoformat()
        asked.append(one)
    return asked


def reached(graph: Graph, question: dict[str, Any]) -> Any:
    """The answer by brute force."""
    hours = {name: question.get(name) for name in ("since", "until")}
    return walk(
        graph,
        question["from"],
        direction=question["direction"],
        depth=question["maxDepth"],
        through=set(question["through"]) if "through" in question else None,
        **{name: None if text is None else type(EPOCH).fromisoformat(text) for name, text in hours.items()},
    )


def depths(answer: dict[str, Any]) -> dict[str, int]:
    return {node["id"]: node["depth"] for node in answer["nodes"]}


def edges(answer: dict[str, Any]) -> set[Edge]:
    return {(edge["from"], edge["to"], edge["kind"]) for edge in answer["edges"]}


async def test_a_whole_answer_is_what_brute_force_finds(world: World) -> None:
    for question in questions(random.Random(7), world.graph, 60):
        expected = reached(world.graph, question)
        answer = await world.ask(**question, **ALL)
        assert depths(answer) == expected.depths, question
        assert edges(answer) == expected.edges, question
        assert answer["complete"] == expected.complete, question
        assert (answer["reason"] is None) == (answer["frontier"] == []) == answer["complete"]
        assert len(answer["nodes"]) == len(depths(answer))
        assert len(answer["edges"]) == len(edges(answer))
        assert [node["depth"] for node in answer["nodes"]] == sorted(expected.depths.values())


async def test_edges_that_close_cycles(world: World) -> None:
    closing = 0
    for question in questions(random.Random(8), world.graph, 40):
        answer = await world.ask(**question, **ALL)
        marked = {(edge["from"], edge["to"], edge["kind"]) for edge in answer["edges"] if edge["closesCycle"]}
        closing += len(marked)
        assert not has_cycle(edges(answer) - marked), "without them there is no cycle"
        for edge in marked:
            ends_loop = edge[0].startswith("Retraining:") and edge[1].startswith("Model:")
            assert ends_loop or leads_back(edge, edges(answer))
    assert closing > 20


async def test_a_limited_answer_is_a_true_part_and_says_so(world: World) -> None:
    rng = random.Random(9)
    cut = 0
    for question in questions(rng, world.graph, 60):
        limits = {"perNodeLimit": rng.choice((1, 2, 5)), "maxNodes": rng.choice((5, 10, 30))}
        expected = reached(world.graph, question)
        answer = await world.ask(**question, **limits)
        found = depths(answer)
        assert len(found) <= limits["maxNodes"]
        assert all(found[node] >= expected.depths[node] for node in found)
        assert edges(answer) <= expected.edges
        if answer["complete"]:
            assert (found, edges(answer), True) == (expected.depths, expected.edges, expected.complete)
        else:
            cut += 1
            assert answer["reason"]
            assert answer["frontier"]
    assert cut > 20


async def test_the_union_of_the_pages_is_the_whole(world: World) -> None:
    rng = random.Random(10)
    pages = 0
    for question in questions(rng, world.graph, 20):
        limits = {"perNodeLimit": rng.choice((2, 3, 10)), "maxNodes": rng.choice((10, 30))}
        expected = reached(world.graph, question)
        found: dict[str, int] = {}
        among: set[Edge] = set()
        waiting: list[str] | None = None
        while waiting is None or waiting:
            size = rng.choice((1, 10, 1000))
            now, waiting = (waiting or [])[:size], (waiting or [])[size:]
            answer = await world.ask(**question, **limits, **({"after": now} if now else {}))
            pages += 1
            for node, depth in depths(answer).items():
                found[node] = min(depth, found.get(node, depth))
            among |= edges(answer)
            waiting += [one["cursor"] for one in answer["frontier"] if one["cursor"] not in waiting]
            assert answer["complete"] or answer["reason"]
            assert pages < 5_000, "it ends"
        assert found == expected.depths, question
        held = {edge for edge in among if edge[0] in found and edge[1] in found}
        assert held == expected.edges, question
        assert among <= world.graph.edges, question
        assert (among == held) == expected.complete, "edges that lead beyond say that there is more"
    assert pages > 30


async def test_the_frontier_counts_what_remains(world: World) -> None:
    """Of every start that is shown alone, all edges lie beyond: as many as its degree says, and as there are."""
    for start in random.Random(11).sample(sorted(world.graph.times), 40):
        answer = await world.client.data(
            """query($from: [ID!]!) { lineage(from: $from, maxDepth: 0) {
                 nodes { degree { upstream downstream capped } }
                 frontier { direction kind type remaining capped } } }""",
            **{"from": [start]},
        )
        upstream = [edge for edge in world.graph.edges if edge[1] == start]
        downstream = [edge for edge in world.graph.edges if edge[0] == start]
        assert answer["lineage"]["nodes"] == [
            {"degree": {"upstream": len(upstream), "downstream": len(downstream), "capped": False}}
        ]
        beyond = Counter(
            (direction, edge[2], edge[end].split(":")[0])
            for direction, end, found in (("UPSTREAM", 0, upstream), ("DOWNSTREAM", 1, downstream))
            for edge in found
            if edge[0] != edge[1]
        )
        remaining = {
            (one["direction"], one["kind"], one["type"]): one["remaining"] for one in answer["lineage"]["frontier"]
        }
        assert remaining.keys() == beyond.keys()
        for key, count in beyond.items():
            assert count <= remaining[key] <= count + 1, "a self-link behind the cursor is counted too"


async def test_what_is_shown_and_what_is_walked(world: World) -> None:
    types = ["Deployment", "BentoService", "Tool"]
    for start in random.Random(12).sample(sorted(world.graph.times), 15):
        whole = await world.ask(**{"from": [start]}, maxDepth=6, **ALL)
        shown = await world.ask(**{"from": [start]}, maxDepth=6, **ALL, types=types)
        kept = {id_: depth for id_, depth in depths(whole).items() if id_.split(":")[0] in types}
        assert depths(shown) == kept
        assert edges(shown) == {edge for edge in edges(whole) if edge[0] in kept and edge[1] in kept}
        assert shown["complete"] == whole["complete"]


async def test_a_size_keeps_the_nearest_and_says_what_was_left_out(world: World) -> None:
    rng = random.Random(13)
    for start in rng.sample(sorted(world.graph.times), 25):
        whole = await world.ask(**{"from": [start]}, maxDepth=8, **ALL)
        size = rng.randrange(4_000, 20_000)
        answer = await world.ask(**{"from": [start]}, maxDepth=8, **ALL, maxBytes=size)
        assert len(orjson.dumps(answer)) <= size
        kept = depths(answer)
        assert list(kept.items()) == list(depths(whole).items())[: len(kept)], "breadth first"
        left = Counter(id_.split(":")[0] for id_ in depths(whole).keys() - kept.keys())
        assert {one["type"]: one["count"] for one in answer["omitted"]} == left
        assert edges(answer) == {edge for edge in edges(whole) if edge[0] in kept and edge[1] in kept}
        if left:
            assert not answer["complete"]
            assert "maxBytes" in answer["reason"]
        else:
            assert answer == whole


async def test_paths_are_all_paths_shortest_first(world: World) -> None:
    rng = random.Random(14)
    many = 0
    for start in rng.sample(sorted(world.graph.times), 60):
        near = walk(world.graph, [start], direction="DOWNSTREAM", depth=4).depths
        target = rng.choice(sorted(near))
        expected = paths(world.graph, start, target, 5)
        for direction, ends in (("DOWNSTREAM", (start, target)), ("UPSTREAM", (target, start))):
            answer = await world.client.data(
                """query($from: ID!, $to: ID!, $direction: LineageDirection) {
                     paths(from: $from, to: $to, maxLength: 5, first: 100, direction: $direction) {
                       complete reason paths { length nodes { id: nodeId } edges { from to kind } } } }""",
                **{"from": ends[0], "to": ends[1], "direction": direction},
            )
            found = answer["paths"]["paths"]
            as_edges = [tuple((edge["from"], edge["to"], edge["kind"]) for edge in path["edges"]) for path in found]
            downstream = set(as_edges) if direction == "DOWNSTREAM" else {edges_[::-1] for edges_ in as_edges}
            assert len(found) == len(downstream) == min(len(expected), 100)
            assert downstream <= expected
            assert answer["paths"]["complete"] == (len(expected) <= 100)
            assert [path["length"] for path in found] == sorted(len(one) for one in expected)[:100]
            assert all([path["nodes"][0]["id"], path["nodes"][-1]["id"]] == list(ends) for path in found)
        many += len(expected) > 1
    assert many >= 3


async def test_counts_and_text_say_the_same_as_nodes(world: World) -> None:
    for start in random.Random(15).sample(sorted(world.graph.times), 20):
        for depth in (0, 2, 100):
            whole = await world.ask(**{"from": [start]}, maxDepth=depth, **ALL)
            data = await world.client.data(
                """query($from: [ID!]!, $depth: Int) {
                     lineageCounts(from: $from, maxDepth: $depth) { counts { type depth count } total edges complete }
                     whole: lineageText(from: $from, maxDepth: $depth, perNodeLimit: 1000, maxNodes: 2000,
                         maxBytes: 1000000)
                     short: lineageText(from: $from, maxDepth: $depth, perNodeLimit: 1000, maxNodes: 2000,
                         maxBytes: 2000) }""",
                **{"from": [start], "depth": depth},
            )
            counts = {(one["type"], one["depth"]): one["count"] for one in data["lineageCounts"]["counts"]}
            assert counts == Counter((node["type"], node["depth"]) for node in whole["nodes"])
            assert data["lineageCounts"]["total"] == len(whole["nodes"])
            assert data["lineageCounts"]["edges"] == len(whole["edges"])
            assert data["lineageCounts"]["complete"] == whole["complete"]
            lines = data["whole"].split("\n")
            assert len(lines) == 2 + len(whole["nodes"]) + sum(" = ->" in f" {line.lstrip()}" for line in lines)
            arrows = sum(line.lstrip().startswith(("->", "<-", "= ->")) for line in lines)
            assert arrows == len(whole["edges"]), "each edge is told once"
            listed = [line for line in lines[1:-1] if not line.lstrip().startswith("= ->")]
            indents = {line.split(" '")[0].split()[-1]: len(line) - len(line.lstrip()) for line in listed}
            assert indents == {node["id"]: 2 * node["depth"] for node in whole["nodes"]}
            assert all(sum(node["id"] in line.split("'")[0] for line in lines) >= 1 for node in whole["nodes"])
            assert lines[-1].startswith("complete" if whole["complete"] else "NOT COMPLETE: maxDepth")
            assert len(data["short"].encode()) <= 2000
            omitted = [line for line in data["short"].split("\n") if line.startswith("left out: ")]
            left_out = sum(int(count) for count in LEFT_OUT.findall("".join(omitted)))
            shown = sum(node["id"] in data["short"] for node in whole["nodes"])
            assert shown + left_out == len(whole["nodes"])


async def test_kinds_are_the_models(world: World) -> None:
    assert {kind for _, _, kind in world.graph.edges} <= {kind.name for kind in LineageKind}
