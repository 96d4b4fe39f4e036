"""The result of a walk: nodes, the edges among them, and truncations with a cursor each."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from db.base.lineage import LineageKind
from schema.errors import lacks
from schema.lineage.edges import End, edges
from schema.lineage.statements import Branch, Spot, nulls
from schema.lineage.walk import BOTH, DOWNSTREAM, UPSTREAM, Expansion, Walked, WalkedNode, WalkParameters

COUNTED = 1000
"""The default limit of counting degrees and remaining neighbours."""


@dataclass(frozen=True, slots=True)
class Link:
    """An edge of the result."""

    upstream: str
    downstream: str
    kind: LineageKind


Adjacent = dict[str, list[tuple[str, Link]]]
"""The edges of each node, with the node at the other end."""


def adjacent(links: Iterable[Link], direction: str = BOTH) -> Adjacent:
    """The outgoing edges of each node in a direction, in the order of the edges; nodes without any are absent."""
    found: Adjacent = {}
    for link in links:
        if direction != UPSTREAM:
            found.setdefault(link.upstream, []).append((link.downstream, link))
        if direction != DOWNSTREAM:
            found.setdefault(link.downstream, []).append((link.upstream, link))
    return found


@dataclass(frozen=True, slots=True)
class Cut:
    """A truncation: a node's neighbours along an edge after a position, and the limit that was reached."""

    end: End
    spot: Spot
    depth: int
    limit: str


@dataclass
class LineageAnswer:
    """Nodes by depth, edges, and truncations."""

    nodes: list[WalkedNode]
    links: dict[Link, bool]
    """The edges, with whether each closes a cycle."""
    cuts: list[Cut]
    omitted: Counter[str] = field(default_factory=Counter)
    """Numbers of nodes omitted to fit a size, by type."""
    elsewhere: int = 0
    """The number of nodes at the ends of edges that are neither in the result nor known from an earlier page."""


def assemble(
    walked: Walked, question: WalkParameters, types: Collection[str] | None, keep: int | None = None
) -> LineageAnswer:
    """The result with the first ``keep`` nodes of the walk (all by default), of these types."""
    found = list(walked.found.values())
    kept = found[:keep]
    ids = {node.id for node in kept}
    links: dict[Link, bool] = {}
    cuts: list[Cut] = []
    elsewhere: set[str] = set()
    for expansion in walked.expansions:
        if expansion.spot.id not in ids and expansion.spot.id not in walked.known:
            continue
        cut_at: int | None = len(expansion.neighbours) if expansion.more else None
        at_end = _reads_on_at_end(walked, question, expansion)
        for place, neighbour in reversed(list(enumerate(expansion.neighbours))):
            earlier = neighbour.id not in walked.found and walked.has(neighbour.id, expansion.depth + 1)
            if neighbour.id not in ids and not earlier:
                if at_end:
                    elsewhere.add(neighbour.id)
                else:
                    cut_at = place
        for neighbour in expansion.neighbours:
            if neighbour.id in ids or neighbour.id in walked.known or neighbour.id in elsewhere:
                links.setdefault(_link(expansion.end, expansion.spot.id, neighbour.id), expansion.end.closes_loop)
        if cut_at is not None:
            cuts.append(_cut(walked, question, expansion, cut_at))
    _mark_cycles(links, [node.id for node in kept], UPSTREAM if question.direction == UPSTREAM else DOWNSTREAM)
    shown = [node for node in kept if types is None or node.type in types]
    visible = {node.id for node in shown}
    others = walked.known.keys() | elsewhere
    visible |= {id_ for id_ in others if types is None or id_.split(":", 1)[0] in types}
    return LineageAnswer(
        shown,
        {link: closes for link, closes in links.items() if link.upstream in visible and link.downstream in visible},
        cuts,
        Counter(node.type for node in found[len(kept) :] if types is None or node.type in types),
        len(elsewhere),
    )


def _reads_on_at_end(walked: Walked, question: WalkParameters, expansion: Expansion) -> bool:
    """Whether edges are read at the walk's last depth: no nodes are added there, but every edge is reported.

    The other end may be a node of another page, which only the client knows.
    """
    id_ = expansion.spot.id
    return expansion.depth == question.max_depth and id_ in walked.known and id_ not in walked.found


def _link(end: End, id_: str, other: str) -> Link:
    return Link(id_, other, end.kind) if end.downstream else Link(other, id_, end.kind)


def _cut(walked: Walked, question: WalkParameters, expansion: Expansion, place: int) -> Cut:
    position = expansion.neighbours[place - 1].position if place else expansion.spot.position
    if place == len(expansion.neighbours):
        limit = "perNodeLimit"
    elif expansion.depth >= question.max_depth:
        limit = "maxDepth"
    else:
        limit = "maxBytes" if expansion.neighbours[place].id in walked.found else "maxNodes"
    spot = Spot(expansion.spot.id, expansion.spot.key, position)
    return Cut(expansion.end, spot, expansion.depth, limit)


def _mark_cycles(links: dict[Link, bool], roots: Sequence[str], direction: str) -> None:
    """Marks edges that lead back onto the current path, depth first from the starts; without them the graph is acyclic.

    Edges are followed in the walk's direction; edges of the platform's own loops are marked already.
    """
    following = adjacent((link for link, closes in links.items() if not closes), direction)
    done: set[str] = set()
    on_path: set[str] = set()
    ends = [one for link in links for one in (link.upstream, link.downstream)[:: -1 if direction == UPSTREAM else 1]]
    for root in [*roots, *ends]:
        if root in done or root not in following:
            continue
        path: list[tuple[str, Iterator[tuple[str, Link]]]] = [(root, iter(following[root]))]
        on_path.add(root)
        while path:
            node, rest = path[-1]
            step = next(rest, None)
            if step is None:
                path.pop()
                on_path.discard(node)
                done.add(node)
            elif step[0] in on_path:
                links[step[1]] = True
            elif step[0] not in done:
                on_path.add(step[0])
                path.append((step[0], iter(following.get(step[0], ()))))


def fitted(
    walked: Walked,
    question: WalkParameters,
    types: Collection[str] | None,
    size: Callable[[LineageAnswer], int],
    max_bytes: int | None,
) -> LineageAnswer:
    """The largest result that fits: complete, or with as many of the nearest nodes as possible."""
    whole = assemble(walked, question, types)
    if max_bytes is None or (most_bytes := size(whole)) <= max_bytes:
        return whole
    fits = assemble(walked, question, types, 0)
    least, most, least_bytes = 0, len(walked.found), size(fits)  # the first always fits, the second is too large
    places = {id_: place for place, id_ in enumerate(walked.found)}
    reached = sorted(max(places.get(one.upstream, 0), places.get(one.downstream, 0)) for one in whole.links)

    def things(keep: int) -> int:
        """The number of nodes and edges in the result with ``keep`` nodes, which its bytes grow with."""
        return keep + bisect_left(reached, keep)

    tries = 0
    while most - least > 1 and least_bytes < max_bytes:
        tries += 1
        middle = (least + most) // 2
        if tries % 3:
            share = (max_bytes - least_bytes) / (most_bytes - least_bytes)
            aim = things(least) + share * (things(most) - things(least))
            middle = min(max(bisect_right(range(most), aim, key=things) - 1, least + 1), most - 1)
        answer = assemble(walked, question, types, middle)
        if (bytes_ := size(answer)) <= max_bytes:
            fits, least, least_bytes = answer, middle, bytes_
        else:
            most, most_bytes = middle, bytes_
    return fits


def is_complete(answer: LineageAnswer, walked: Walked) -> bool:
    """Whether the result contains everything requested."""
    return not (answer.cuts or answer.omitted or answer.elsewhere or walked.gone or walked.lacking or walked.is_full)


def limits(answer: LineageAnswer, walked: Walked) -> frozenset[str]:
    """The arguments whose limits were reached."""
    reached = {cut.limit for cut in answer.cuts}
    if answer.elsewhere:
        reached.add("maxDepth")
    if walked.is_full:
        reached.add("perNodeLimit")
    return frozenset(reached)


def reason(answer: LineageAnswer, walked: Walked, question: WalkParameters) -> str | None:
    """Why the result is incomplete, as one text; None if it is complete."""
    counts = Counter(cut.limit for cut in answer.cuts)
    said = {
        "maxDepth": f"maxDepth: edges lead on from nodes at depth {question.max_depth}",
        "perNodeLimit": f"perNodeLimit: nodes have more than {question.per_node} neighbours of a kind",
        "maxNodes": f"maxNodes: more than {question.max_nodes} nodes were found",
        "maxBytes": "maxBytes: the nodes that were found exceed it",
    }
    parts = [text for limit, text in said.items() if counts[limit] or (limit == "maxBytes" and answer.omitted)]
    if answer.elsewhere and not counts["maxDepth"]:
        parts.insert(0, said["maxDepth"])
    if walked.is_full:
        parts.append(f"perNodeLimit: fewer were followed where more than {question.max_read:,} neighbours were met")
    if walked.gone:
        parts.append(f"missing: {len(walked.gone)} of the requested nodes do not exist")
    if walked.lacking:
        parts.append(lacks(walked.lacking))
    return "; ".join(parts) + "." if parts else None


def degree_branches(nodes: Sequence[WalkedNode], lacking: Callable[[End], str | None]) -> list[Branch]:
    """The counts for nodes' degrees: a branch per type, direction and kind of neighbour."""
    by_type: dict[str, list[Spot]] = {}
    for node in nodes:
        by_type.setdefault(node.type, []).append(Spot(node.id, node.key))
    branches = []
    for type_name, spots in by_type.items():
        alike: dict[Any, list[End]] = {}
        for end in edges().of[type_name]:
            if not lacking(end):
                alike.setdefault((end.downstream, end.kind, end.target), []).append(end)
        branches += [Branch(tuple(ends), spots) for ends in alike.values()]
    return branches


def cut_branches(cuts: Sequence[Cut]) -> tuple[list[Branch], list[list[int]]]:
    """The counts for the frontier, with the cuts of each branch."""
    groups: dict[Any, list[int]] = {}
    for place, cut in enumerate(cuts):
        groups.setdefault((cut.end.name, nulls(cut.spot.position)), []).append(place)
    places = list(groups.values())
    return [Branch((cuts[group[0]].end,), [cuts[place].spot for place in group]) for group in places], places
