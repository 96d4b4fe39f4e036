"""The walk: breadth first, set-based, on one snapshot, one statement per level, with minimal depths and all
truncations.

The neighbours of the last level are read, too, but not added: that yields the edges among the nodes of the result, and
the frontier.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from db.base.lineage import LineageKind
from db.engine.errors import InvalidValueError
from db.engine.readers import Reader
from schema.catalogue.catalogue import Catalogue
from schema.errors import missing_object
from schema.execution.time_slices import aside
from schema.lineage.cursors import Resumed
from schema.lineage.edges import End, edges, state_name
from schema.lineage.statements import Branch, Key, Neighbour, Spot, Statements, Window, key_of, nulls
from schema.sql.cursors import invalid
from schema.sql.lists import Lists

MAX_READ = 50_000
"""Neighbours that a walk reads, new or known: about a second of the database. Beyond, one more per node and edge."""

UPSTREAM, DOWNSTREAM, BOTH = "UPSTREAM", "DOWNSTREAM", "BOTH"


@dataclass(frozen=True)
class WalkParameters:
    """The parameters of a walk: its starts, direction and depth, and its limits."""

    starts: Sequence[str]
    direction: str = BOTH
    max_depth: int = 3
    per_node: int = 25
    max_nodes: int = 500
    through: frozenset[LineageKind] | None = None
    since: datetime | None = None
    until: datetime | None = None
    resumed: Sequence[Resumed] = ()
    max_read: int = MAX_READ
    """The largest number of neighbours read in total."""
    only_in_use: bool = False
    """Whether ended rows are omitted."""

    def follows(self, end: End) -> bool:
        """Whether an edge is walked from this end."""
        if self.through is not None and end.kind not in self.through:
            return False
        return self.direction == BOTH or (self.direction == DOWNSTREAM) == end.downstream


@dataclass(slots=True)
class WalkedNode:
    """A node that was reached, at its least depth."""

    id: str
    type: str
    key: Key
    label: str
    state: str | None
    depth: int


@dataclass(frozen=True, slots=True)
class Expansion:
    """A node's neighbours along one edge: the first in order, and whether there are more."""

    end: End
    spot: Spot
    depth: int
    neighbours: Sequence[Neighbour]
    more: bool


@dataclass
class Walked:
    """The result of a walk. ``known`` are the nodes of earlier pages, with their depths."""

    as_of: str = ""
    found: dict[str, WalkedNode] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    expansions: list[Expansion] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    lacking: set[str] = field(default_factory=set)
    read: int = 0
    """The number of neighbours that were read."""
    is_full: bool = False
    """Whether the limit of neighbours was exceeded."""

    def has(self, id_: str, depth: int) -> bool:
        """Whether a node is in this result or an earlier page, at that depth or nearer."""
        if id_ in self.found:
            return self.found[id_].depth <= depth
        return id_ in self.known and self.known[id_] <= depth


class Walk:
    """One walk over a snapshot."""

    def __init__(self, lists: Lists, reader: Reader, question: WalkParameters) -> None:
        self._lists = lists
        self._catalogue = lists.catalogue
        self._reader = reader
        self._question = question
        self._statements = Statements(lists)
        self.window = window(lists.catalogue, question)
        self._ends: dict[str, list[End]] = {}
        self.walked = Walked()

    async def run(self) -> Walked:
        """Runs the walk.

        Raises:
            GatewayError: ``INVALID_CURSOR``: the position in a cursor has impossible values.
        """
        question, walked = self._question, self.walked
        level = await self._begin()
        pending: dict[int, list[Resumed]] = {}
        for one in dict.fromkeys(question.resumed):
            if one.spot.id in walked.known:
                pending.setdefault(one.depth, []).append(one)
        depth = 0 if level else min(pending, default=0)
        while level or pending:
            resumed = [one for one in pending.pop(depth, []) if one.spot.id not in walked.found]
            expansions = await self._expand([*_resuming(resumed), *self._branches(level)], depth)
            walked.expansions += expansions
            level = (
                await aside(len(expansions), self._grow, expansions, depth + 1) if depth < question.max_depth else []
            )
            depth += 1
        return walked

    async def _begin(self) -> list[WalkedNode]:
        """Reads the starts, and the nodes of the cursors to continue from. Returns the first level; empty if it
        continues."""
        question, walked = self._question, self.walked
        depths = dict.fromkeys(question.starts, 0)
        for one in question.resumed:
            self._check(one)
            depths[one.spot.id] = min(one.depth, depths.get(one.spot.id, one.depth))
        keys: dict[str, list[Key]] = {}
        for id_ in depths:
            type_, key = key_of(self._catalogue, id_)
            keys.setdefault(type_.name, []).append(key)
        there: dict[str, WalkedNode] = {}
        for type_name, _place, id_, label, state in await self._reader.fetch(*self._statements.nodes(keys)):
            if type_name is None:
                walked.as_of = id_
            else:
                there[id_] = self._node(id_, label, state, depths[id_])
        walked.gone = [id_ for id_ in depths if id_ not in there]
        if question.resumed:
            walked.known = {id_: depth for id_, depth in depths.items() if id_ in there}
            return []
        walked.found = {id_: there[id_] for id_ in depths if id_ in there}
        return list(walked.found.values())

    def _check(self, resumed: Resumed) -> None:
        if what := self._statements.lacking(resumed.end):
            raise missing_object(what)
        order = self._lists.order(self._catalogue[resumed.end.target])
        if resumed.spot.position is not None and len(resumed.spot.position) != len(order):
            raise invalid("after", "holds another number of values than its order has")

    def _node(self, id_: str, label: str | None, state: str | None, depth: int) -> WalkedNode:
        type_, key = key_of(self._catalogue, id_)
        shown = self._statements.face(type_)
        name = label or f"{type_.name} {':'.join(key)[:8]}"
        return WalkedNode(id_, type_.name, key, name, state_name(type_, shown, state), depth)

    def _branches(self, level: Sequence[WalkedNode]) -> Iterator[Branch]:
        """All nodes of a level, along all their edges."""
        by_type: dict[str, list[Spot]] = {}
        for node in level:
            by_type.setdefault(node.type, []).append(Spot(node.id, node.key))
        for type_name, spots in by_type.items():
            for end in self._ends_of(type_name):
                yield Branch((end,), spots)

    def _ends_of(self, type_name: str) -> list[End]:
        """The ends that are walked from nodes of a type; objects that the database lacks are recorded."""
        if type_name not in self._ends:
            walked = []
            for end in edges().of[type_name]:
                if self._question.follows(end):
                    if what := self._statements.lacking(end):
                        self.walked.lacking.add(what)
                    else:
                        walked.append(end)
            self._ends[type_name] = walked
        return self._ends[type_name]

    async def _expand(self, branches: Sequence[Branch], depth: int) -> list[Expansion]:
        """Reads the neighbours, in the order of the nodes, and of the edges of each.

        If they could exceed the limit, some of each are read first, then more of those that have more; nothing is read
        twice.
        """
        if not branches:
            return []
        walked, most = self.walked, self._question.per_node
        share = max(self._share(sum(len(branch.spots) for branch in branches), most), 1)
        expansions = await self._read(branches, share, depth)
        cut = [place for place, one in enumerate(expansions) if one.more]
        while cut and share < most and (more := self._share(len(cut), most - share)) > 0:
            on = {_behind(expansions[place]): place for place in cut}
            for further in await self._read(list(_resuming(list(on))), more, depth):
                place = on[Resumed(further.end, further.spot, depth)]
                expansions[place] = _joined(expansions[place], further)
            cut = [place for place in cut if expansions[place].more]
            share += more
        walked.is_full |= bool(cut) and share < most
        return expansions

    def _share(self, spots: int, most: int) -> int:
        """The number of neighbours to read per spot, of ``most``, with one to detect more."""
        return min(most, (self._question.max_read - self.walked.read) // spots - 1)

    async def _read(self, branches: Sequence[Branch], limit: int, depth: int) -> list[Expansion]:
        """Reads up to ``limit`` neighbours per spot, from the start or after positions."""
        rows = await self._fetch(branches, limit)
        self.walked.read += len(rows)
        return await aside(len(rows), _expansions, branches, rows, limit, depth)

    async def _fetch(self, branches: Sequence[Branch], limit: int) -> Sequence[Sequence[Any]]:
        statement, values = self._statements.neighbours(branches, limit, self.window)
        try:
            return await self._reader.fetch(statement, values)
        except InvalidValueError as error:
            raise invalid("after", "holds values that its columns cannot have") from error

    def _grow(self, expansions: Sequence[Expansion], depth: int) -> list[WalkedNode]:
        """Adds neighbours that are new, or nearer than known, up to the limit of nodes."""
        walked = self.walked
        level: list[WalkedNode] = []
        for expansion in expansions:
            for neighbour in expansion.neighbours:
                if walked.has(neighbour.id, depth):
                    continue
                if len(walked.found) >= self._question.max_nodes:
                    return level
                node = self._node(neighbour.id, neighbour.label, neighbour.state, depth)
                walked.found[node.id] = node
                level.append(node)
        return level


def _expansions(branches: Sequence[Branch], rows: Sequence[Sequence[Any]], limit: int, depth: int) -> list[Expansion]:
    """The expansions of a level, in the order of the nodes, and of the edges of each."""
    answers: dict[tuple[int, int], list[Neighbour | None]] = {}
    for branch, place, id_, label, state, position in rows:  # a stored key that is none of its type is no id
        neighbour = None if id_ is None else Neighbour(id_, label, state, tuple(position))
        answers.setdefault((branch, place), []).append(neighbour)
    places: dict[str, int] = {}
    for one in branches:
        for spot in one.spots:
            places.setdefault(spot.id, len(places))
    ordered = sorted(answers, key=lambda at: (places[branches[at[0]].spots[at[1] - 1].id], at))
    return [
        Expansion(
            branches[branch].end,
            branches[branch].spots[place - 1],
            depth,
            [one for one in answers[branch, place][:limit] if one is not None],
            len(answers[branch, place]) > limit,
        )
        for branch, place in ordered
    ]


def _behind(expansion: Expansion) -> Resumed:
    """The position after an expansion."""
    spot = Spot(expansion.spot.id, expansion.spot.key, expansion.neighbours[-1].position)
    return Resumed(expansion.end, spot, expansion.depth)


def _joined(first: Expansion, further: Expansion) -> Expansion:
    neighbours = [*first.neighbours, *further.neighbours]
    return Expansion(first.end, first.spot, first.depth, neighbours, further.more)


def window(catalogue: Catalogue, question: WalkParameters) -> Window:
    """The restrictions on reached rows, from which the starts are exempt."""
    if question.since is None and question.until is None and not question.only_in_use:
        return Window()
    starts: dict[str, list[Key]] = {}
    for id_ in question.starts:
        type_, key = key_of(catalogue, id_)
        starts.setdefault(type_.name, []).append(key)
    return Window(question.since, question.until, starts, question.only_in_use)


def _resuming(resumed: Sequence[Resumed]) -> Iterator[Branch]:
    """Branches of nodes that are read along one edge, after positions with nulls at the same indices."""
    groups: dict[Any, list[Resumed]] = {}
    for one in resumed:
        groups.setdefault((one.end.name, nulls(one.spot.position)), []).append(one)
    for group in groups.values():
        yield Branch((group[0].end,), [one.spot for one in group])
