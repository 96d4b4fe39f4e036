"""What a walk is expected to find and to read: its price.

It follows from the sizes of tables and from the shares of rows that have a reference: a node has as many neighbours
along an edge as there are, on average, for each row of its type. A node with many more is priced like the others; the
limits of the walk hold for it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from schema.catalogue.catalogue import Catalogue
from schema.graph.root_field import Estimates
from schema.lineage.edges import End, edges
from schema.lineage.walk import WalkParameters

NEIGHBOUR = 8.0
"""Points of a neighbour that is read."""
LOOK = 2.5
"""Points of a node whose neighbours along one edge are read: 5 us."""
FEW = 0.1
"""Nodes of a type below which a walk is not followed."""

Level = Mapping[tuple[str, str], float]
"""Numbers of nodes at a depth, by their type and the name of the edge's end that leads to them, empty for starts."""


@dataclass(frozen=True)
class ExpectedWalk:
    """The nodes that a walk finds, and the points that it takes."""

    nodes: int
    points: int


class _ExpectedLevels:
    """The counts of one walk, level by level."""

    def __init__(self, catalogue: Catalogue, estimates: Estimates, question: WalkParameters) -> None:
        self._catalogue, self._estimates, self._question = catalogue, estimates, question
        self._known: dict[str, tuple[float, float]] = {}
        self.found: dict[str, float] = {}
        self.looks = self.read = 0.0

    def expand(self, level: Level) -> Level:
        """Reads the neighbours of a level; returns the new ones, of each type no more than there are."""
        most = self._question.per_node
        reached: dict[tuple[str, str], float] = {}
        for (name, via), nodes in level.items():
            for end in edges().of[name]:
                if not self._question.follows(end):
                    continue
                if end.name not in self._known:
                    self._known[end.name] = self._neighbours(end)
                having, each = self._known[end.name]
                if leads_back := via == end.reverse:
                    having, each = 1.0, max(each, 1.0)
                self.looks += nodes * having
                self.read += nodes * min(each, most + 1)
                place = end.target, end.name
                reached[place] = reached.get(place, 0.0) + nodes * (min(each, most) - leads_back)
        return {place: min(nodes, self._left(place[0])) for place, nodes in reached.items()}

    def grow(self, reached: Level) -> Level:
        """Adds nodes as far as the limit allows; returns the next level."""
        room = self._question.max_nodes - sum(self.found.values())
        share = min(1.0, room / max(sum(reached.values()), 1.0))
        level: dict[tuple[str, str], float] = {}
        for (name, via), nodes in reached.items():
            new = min(nodes * share, self._left(name))
            if new >= FEW:
                level[name, via] = new
                self.found[name] = self.found.get(name, 0.0) + new
        return level

    def _left(self, name: str) -> float:
        """The rows of a type that are not found yet."""
        return max(0.0, self._estimates.rows(self._catalogue[name]) - self.found.get(name, 0.0))

    def _neighbours(self, end: End) -> tuple[float, float]:
        """The share of an end's rows that may have neighbours along it, and the neighbours of each row."""
        here, there = self._catalogue[end.type], self._catalogue[end.target]
        estimates, join = self._estimates, end.join
        having = estimates.filled(here, join.local_columns)
        others = estimates.rows(there) * estimates.filled(there, join.remote_columns)
        each = others / max(estimates.rows(here), 1)
        if end.is_declared:  # a row names one, by a key, or some
            each = having * (1.0 if end.finds_one else max(each, 1.0))
        return having, min(each, others)


def expected(catalogue: Catalogue, estimates: Estimates, question: WalkParameters) -> ExpectedWalk:
    """What a walk from its starts is expected to find and to read; a start of another kind leads nowhere."""
    walk = _ExpectedLevels(catalogue, estimates, question)
    starts = Counter(id_.split(":", 1)[0] for id_ in question.starts)
    level: Level = {(name, ""): float(count) for name, count in starts.items() if name in edges().of}
    walk.found = {name: count for (name, _), count in level.items()}
    for depth in range(question.max_depth + 1):
        reached = walk.expand(level)
        level = walk.grow(reached) if depth < question.max_depth else {}
        if not level or walk.read > question.max_read:
            break
    nodes = min(sum(walk.found.values()), question.max_nodes)
    read = min(walk.read, question.max_read)
    return ExpectedWalk(math.ceil(nodes), math.ceil(walk.looks * LOOK + read * NEIGHBOUR))
