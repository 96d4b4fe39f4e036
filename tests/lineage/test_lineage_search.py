"""Paths, cycles and results that fit, over graphs made at random, compared with what trying everything finds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from db.base.lineage import LineageKind
from schema.lineage import paths as searches
from schema.lineage.answer import LineageAnswer, Link, _mark_cycles, assemble, degree_branches, fitted, is_complete
from schema.lineage.arguments import MAX_COUNTED
from schema.lineage.edges import edges
from schema.lineage.fields.types import LONGEST
from schema.lineage.paths import SearchLimitError, paths
from schema.lineage.statements import Spot
from schema.lineage.walk import BOTH, DOWNSTREAM, UPSTREAM, Expansion, Neighbour, Walked, WalkedNode, WalkParameters

KINDS = list(LineageKind)[:2]
GRAPHS = range(60)


def graph(dice: random.Random, nodes: int, links: int) -> list[Link]:
    """Links between so many nodes, two of which may have several, and one end of itself."""
    names = [f"n{number}" for number in range(nodes)]
    made = [Link(dice.choice(names), dice.choice(names), dice.choice(KINDS)) for _ in range(links)]
    return list(dict.fromkeys(made))


def following(links: Sequence[Link], node: str, direction: str) -> Iterator[tuple[str, Link]]:
    for link in links:
        if direction != UPSTREAM and link.upstream == node:
            yield link.downstream, link
        if direction != DOWNSTREAM and link.downstream == node:
            yield link.upstream, link


def every_path(links: Sequence[Link], start: str, target: str, longest: int, direction: str) -> set[tuple[Link, ...]]:
    """The links of each path without repeated nodes, whatever its length up to ``longest``."""
    found = set()
    pending: list[tuple[list[str], list[Link]]] = [([start], [])]
    while pending:
        nodes, taken = pending.pop()
        if nodes[-1] == target:
            found.add(tuple(taken))
            continue
        for node, link in following(links, nodes[-1], direction) if len(taken) < longest else ():
            if node not in nodes:
                pending.append(([*nodes, node], [*taken, link]))
    return found


def distances(links: Sequence[Link], target: str, direction: str) -> dict[str, int]:
    """How many links each node is away from the target."""
    back = {UPSTREAM: DOWNSTREAM, DOWNSTREAM: UPSTREAM, BOTH: BOTH}[direction]
    away, level = {target: 0}, [target]
    while level:
        near = [(other, away[node] + 1) for node in level for other, _ in following(links, node, back)]
        level = [other for other, _ in dict(near).items() if other not in away]
        away |= {other: distance for other, distance in near if other in level}
    return away


@pytest.mark.parametrize("direction", [UPSTREAM, DOWNSTREAM, BOTH])
def test_all_paths_are_found_the_shortest_first(direction: str) -> None:
    compared = 0
    for seed in GRAPHS:
        links = graph(random.Random(seed), 6, 11)
        away = distances(links, "n1", direction)
        for longest in (0, 1, 3, 6):
            found = [tuple(path.links) for path in paths("n0", "n1", links, away, longest, direction)]
            assert set(found) == every_path(links, "n0", "n1", longest, direction), (seed, longest)
            assert len(found) == len(set(found))
            assert [*map(len, found)] == sorted(map(len, found))
            compared += len(found)
        for path in paths("n0", "n1", links, away, 6, direction):
            ends = zip(path.nodes, path.nodes[1:], path.links, strict=False)
            assert all({one, other} == {link.upstream, link.downstream} for one, other, link in ends)
            assert (path.nodes[0], path.nodes[-1], len(path.nodes)) == ("n0", "n1", len(path.links) + 1)
    assert compared > 100


def test_a_node_has_one_path_to_itself_and_none_to_what_it_does_not_reach() -> None:
    links = graph(random.Random(1), 6, 11)
    (path,) = paths("n0", "n0", links, {"n0": 0}, 6, BOTH)
    assert (path.nodes, path.links) == (["n0"], [])
    assert not list(paths("n0", "far", links, {"far": 0}, 6, BOTH))


def test_a_search_tries_so_many_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of three links is tried once, for its length; the fourth try would be one too many."""
    links = [Link(f"n{place}", f"n{place + 1}", KINDS[0]) for place in range(3)]
    away = distances(links, "n3", DOWNSTREAM)
    monkeypatch.setattr(searches, "STEPS", 3)
    assert len(list(paths("n0", "n3", links, away, 3, DOWNSTREAM))) == 1
    monkeypatch.setattr(searches, "STEPS", 2)
    with pytest.raises(SearchLimitError):
        list(paths("n0", "n3", links, away, 3, DOWNSTREAM))


def has_cycle(links: Sequence[Link]) -> bool:
    """Whether nodes remain when those that nothing leads to are taken away, again and again."""
    left = list(links)
    while True:
        heads = {link.downstream for link in left}
        rest = [link for link in left if link.upstream in heads]
        if len(rest) == len(left):
            return bool(left)
        left = rest


@pytest.mark.parametrize("direction", [UPSTREAM, DOWNSTREAM])
def test_what_closes_a_cycle_is_marked_and_nothing_else(direction: str) -> None:
    marked = 0
    for seed in GRAPHS:
        dice = random.Random(seed)
        links = dict.fromkeys(graph(dice, 7, 12), False)
        known = {link for link in links if dice.random() < 0.1}  # of the platform's own loops
        links |= dict.fromkeys(known, True)
        _mark_cycles(links, ["n3", "n0"], direction)
        straight = [link for link, closes in links.items() if not closes]
        assert not has_cycle(straight)
        for link in links.keys() - straight - known:
            assert has_cycle([*straight, link]), (seed, link)
            marked += 1
        assert all(links[link] for link in known)
    assert marked > 50


def test_the_edge_that_leads_back_to_a_start_is_the_one_that_is_marked() -> None:
    ring = [Link("a", "b", KINDS[0]), Link("b", "c", KINDS[0]), Link("c", "a", KINDS[0])]
    for direction, root, back in ((DOWNSTREAM, "b", ring[0]), (UPSTREAM, "b", ring[1]), (DOWNSTREAM, "a", ring[2])):
        links = dict.fromkeys(ring, False)
        _mark_cycles(links, [root], direction)
        assert [link for link, closes in links.items() if closes] == [back]


def walked(dice: random.Random, nodes: int) -> Walked:
    """A walk from one node, two levels deep, whose edges go to nodes that are in it and to some that are not."""
    end = next(one for one in edges().by_name.values() if one.downstream)
    names = [f"{dice.choice(('Model', 'Feature'))}:{number}" for number in range(nodes)]
    found = {
        name: WalkedNode(name, name.split(":")[0], (name,), name, None, min(place, 2))
        for place, name in enumerate(names)
    }
    made = Walked("now", found)
    for place, name in enumerate(names[: nodes // 2]):
        others = [Neighbour(one, one, None, ("1",)) for one in dice.sample([*names, "Model:far"], 4)]
        made.expansions.append(Expansion(end, Spot(name, (name,)), min(place, 2), others, dice.random() < 0.3))
    return made


def size(answer: LineageAnswer) -> int:
    return 70 * len(answer.nodes) + 110 * len(answer.links)


@pytest.mark.parametrize("types", [None, {"Model"}])
def test_what_fits_is_as_much_as_fits(types: set[str] | None) -> None:
    for seed in range(12):
        dice = random.Random(seed)
        walk = walked(dice, dice.randint(2, 24))
        question = WalkParameters(["Model:0"], max_depth=3)
        parts = [assemble(walk, question, types, keep) for keep in range(len(walk.found) + 1)]
        sizes = [size(part) for part in parts]
        assert sizes == sorted(sizes)
        for most in [*range(0, sizes[-1] + 200, 90), *sizes, *(one - 1 for one in sizes)]:
            fits = fitted(walk, question, types, size, most)
            best = max((keep for keep, needs in enumerate(sizes) if needs <= most), default=0)
            assert (fits.nodes, fits.links) == (parts[best].nodes, parts[best].links), (seed, most)
            assert is_complete(fits, walk) == (
                size(fits) == sizes[-1] and not fits.cuts and not fits.omitted and not fits.elsewhere
            )
        assert fitted(walk, question, types, size, None).links == parts[-1].links


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("known", range(5))
def test_a_node_of_an_earlier_page_ends_a_walk_where_it_is_no_nearer(depth: int, known: int) -> None:
    """One that is nearer by this edge is read anew: what lies behind it may be within the depth now."""
    end = next(one for one in edges().by_name.values() if one.downstream)
    start = Spot("Model:start", ("start",))
    walk = Walked("now", {start.id: WalkedNode(start.id, "Model", start.key, "", None, depth)}, {"Model:known": known})
    walk.expansions.append(Expansion(end, start, depth, [Neighbour("Model:known", "known", None, ("1",))], more=False))
    answer = assemble(walk, WalkParameters([start.id], max_depth=9), None)
    assert [link.downstream for link in answer.links] == ["Model:known"]
    assert [cut.limit for cut in answer.cuts] == ([] if known <= depth + 1 else ["maxNodes"])


def test_what_fits_is_found_in_few_tries_however_sizes_grow() -> None:
    """Also where one node is larger than all others, which leads a guess by the sizes astray."""
    walk = walked(random.Random(1), 24)
    question = WalkParameters(["Model:0"], max_depth=3)
    names = list(walk.found)
    for large in range(len(names)):
        sizes: list[int] = []

        def told(part: LineageAnswer, name: str = names[large], sizes: list[int] = sizes) -> int:
            sizes.append(size(part) + 10**9 * any(node.id == name for node in part.nodes))
            return sizes[-1]

        fitted(walk, question, None, told, 10**9)
        assert len(sizes) <= 2 + 3 * len(names).bit_length(), large


def test_no_count_is_longer_than_that_by_which_a_result_is_measured() -> None:
    """A degree counts up to the limit for each kind of edge in its direction."""
    for name in edges().of:
        branches = degree_branches([WalkedNode(name, name, (name,), name, None, 0)], lambda _: None)
        most = max(Counter(branch.end.downstream for branch in branches).values(), default=0)
        assert len(str(LONGEST)) >= len(str(most * MAX_COUNTED)), name


def test_a_part_has_the_edges_among_its_nodes_and_counts_what_is_left_out() -> None:
    for seed in range(12):
        walk = walked(random.Random(seed), 16)
        names = list(walk.found)
        for keep in range(17):
            part = assemble(walk, WalkParameters(["Model:0"]), None, keep)
            ids = set(names[:keep])
            assert [node.id for node in part.nodes] == names[:keep]
            assert part.omitted.total() == 16 - keep
            expected = {
                (one.spot.id, other.id)
                for one in walk.expansions
                for other in one.neighbours
                if {one.spot.id, other.id} <= ids
            }
            assert {(link.upstream, link.downstream) for link in part.links} == expected
            shown = {cut.spot.id for cut in part.cuts}
            cut = {
                one.spot.id
                for one in walk.expansions
                if one.spot.id in ids and (one.more or not {other.id for other in one.neighbours} <= ids)
            }
            assert shown == cut
