"""What lineage fields share: their types, the arguments of a walk, and how nodes are counted and read.

Annotations are evaluated at once here: Strawberry could not look up those that name classes made by a function.
"""

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import strawberry

from db.base.lineage import LineageKind
from db.engine.engine import Reader
from db.engine.errors import DatabaseError
from schema.catalogue.records import Record
from schema.catalogue.scalars import DateTime
from schema.catalogue.selection import Selection
from schema.errors import GatewayError
from schema.execution.loaders import Loaders
from schema.graph.types import Node, Types
from schema.lineage import arguments as parsing
from schema.lineage.answer import COUNTED, Link, degree_branches
from schema.lineage.edges import edges
from schema.lineage.statements import Branch, Statements, Window
from schema.lineage.walk import MAX_READ, WalkedNode


@strawberry.enum(description="Which way a lineage is walked.")
class LineageDirection(enum.Enum):
    UPSTREAM = strawberry.enum_value("UPSTREAM", description="To what rows came from, and what that came from.")
    DOWNSTREAM = strawberry.enum_value("DOWNSTREAM", description="To what came of rows, and what came of that.")
    BOTH = strawberry.enum_value("BOTH", description="Along every edge, whichever way it leads.")


@strawberry.type(description="How many edges a node has, whatever was walked.")
class LineageDegree:
    upstream: int = strawberry.field(
        description=f"Edges to what it came from, counted up to {COUNTED:,} a kind, or `countUpTo`."
    )
    downstream: int = strawberry.field(
        description=f"Edges to what came of it, counted up to {COUNTED:,} a kind, or `countUpTo`."
    )
    capped: bool = strawberry.field(
        description="Whether it has more: a kind of which there are more than were counted."
    )


@strawberry.type(description="A row in a lineage.")
class LineageNode:
    node_id: strawberry.ID = strawberry.field(description="Global id of the row.")
    type: str = strawberry.field(description="Its type, as `__typename` names it.")
    label: str = strawberry.field(description="The best name that the row has; its type and key where it has none.")
    state: str | None = strawberry.field(
        description="Its lifecycle state or status, as the graph's enum names it; for other rows that can end ACTIVE, "
        "INACTIVE, DELETED, DEPRECATED or RETIRED; null where the type has none."
    )
    depth: int = strawberry.field(
        description="How many edges it is away from the nearest start, along what was walked."
    )
    degree: LineageDegree = strawberry.field(description="How many edges it has. Costs a statement when selected.")
    node: Node | None = strawberry.field(
        description="The row itself, read in the same snapshot; relations below it are read when they are resolved."
    )


@strawberry.type(description="How many nodes of a type were left out to fit `maxBytes`.")
class LineageOmission:
    type: str = strawberry.field(description="The type.")
    count: int = strawberry.field(description="How many of its nodes were found and left out.")


@dataclass(frozen=True)
class Classes:
    """The Strawberry classes of lineages that name enums of the models."""

    kind: Any
    edge: Any
    lineage: Any


@cache
def classes(types: Types) -> Classes:
    """The classes of one set of types."""
    kind_: Any = types.enum(LineageKind)

    @strawberry.type(description="An edge of a lineage.")
    class LineageEdge:
        from_: strawberry.ID = strawberry.field(name="from", description="Id of the upstream node.")
        to: strawberry.ID = strawberry.field(description="Id of the downstream node.")
        kind: kind_ = strawberry.field(description="What the edge means.")
        closes_cycle: bool = strawberry.field(
            description="Whether it leads back: it ends a loop of the platform (a retraining's model, a fidelity "
            "grade), or closes a cycle among the edges of this answer. Without such edges the answer has no cycle."
        )

    @strawberry.type(description="Where a lineage was cut: a node whose edges of a kind were not all followed.")
    class LineageFrontier:
        node: strawberry.ID = strawberry.field(description="Id of the node.")
        direction: LineageDirection = strawberry.field(description="Which way its edges lead: UPSTREAM or DOWNSTREAM.")
        kind: kind_ = strawberry.field(description="What the edges mean.")
        type: str = strawberry.field(description="The type of the rows that they lead to.")
        depth: int = strawberry.field(
            description="Depth of the node. At `maxDepth` its cursor reads edges alone; a greater one, nodes too."
        )
        remaining: int = strawberry.field(
            description="How many rows follow, counted up to `countUpTo`; some of them may be in the answer by "
            "other edges. Costs a statement when selected."
        )
        capped: bool = strawberry.field(description="Whether more than `countUpTo` rows follow.")
        cursor: str = strawberry.field(description="Where it stopped; pass it in `after` to read on.")

    @strawberry.type(
        description="A part of the lineage at one moment: nodes by depth, all edges among them, and what is not there."
    )
    class Lineage:
        nodes: list[LineageNode] = strawberry.field(description="The nodes, nearest first, each once.")
        edges: list[LineageEdge] = strawberry.field(
            description="All edges among the nodes, each once, but for those that `frontier` says were not followed. A "
            "page that reads on also has those to the starts and to the nodes of its cursors, and from cursors at "
            "`maxDepth` all edges: keep those whose both ends are on your pages, the others lead beyond."
        )
        complete: bool = strawberry.field(
            description="Whether nothing was cut: no limit, no lacking table, no node that does not exist."
        )
        reason: str | None = strawberry.field(description="What was cut, and by which limit; null if nothing was.")
        as_of: DateTime = strawberry.field(description="The moment of the snapshot that everything was read in.")
        frontier: list[LineageFrontier] = strawberry.field(
            description="Where it was cut. The pages that their cursors lead to, together with this one, are the whole."
        )
        omitted: list[LineageOmission] = strawberry.field(description="What `maxBytes` left out, by type.")
        missing: list[strawberry.ID] = strawberry.field(
            description="Ids of `from`, and nodes of cursors, that do not exist (any more)."
        )

    return Classes(kind_, LineageEdge, Lineage)


# -- arguments -------------------------------------------------------------------------------------------------------


def argument(annotation: Any, description: str, default: Any = strawberry.UNSET, name: str | None = None) -> Any:
    """An argument as `taking` takes it; ``name`` is given where Python cannot say it."""
    described = Annotated[annotation, strawberry.argument(name=name, description=description)]
    return described if default is strawberry.UNSET else (described, default)


def walk_arguments(
    types: Types, *, depth: int = parsing.DEPTH, nodes: int = parsing.NODES, per_node: int = parsing.PER_NODE
) -> dict[str, Any]:
    """The arguments that say what is walked, with these defaults."""
    kinds: Any = list[classes(types).kind]  # type: ignore[misc]  # an enum of the models
    starts = f"Global ids of the nodes to start from, at most {parsing.MAX_STARTS}."
    return {
        "from_": argument(list[strawberry.ID], starts, name="from"),
        "direction": argument(LineageDirection | None, "Which way to walk.", LineageDirection.BOTH),
        "maxDepth": argument(
            int | None, f"How many edges to follow from a start: 0 to {parsing.MAX_DEPTH}. 0 shows the starts.", depth
        ),
        "types": argument(
            list[str] | None,
            f"Show nodes of these types alone, at most {parsing.MAX_NAMES}; all types are walked nevertheless.",
        ),
        "through": argument(
            kinds | None, f"Walk edges of these kinds alone, at most {parsing.MAX_NAMES}; all by default."
        ),
        "since": argument(
            DateTime | None,
            "Reach rows from this moment on: by the time that orders their type, such as createdAt. Rows without one, "
            "and the starts, count as within.",
        ),
        "until": argument(DateTime | None, "Reach rows from before this moment."),
        "onlyInUse": argument(
            bool | None,
            "Leave out rows that have ended, and what only they lead to; the starts stay. Ended are rows that are "
            "deleted, deprecated, retired or deactivated, and those in a state that is kept for the record alone: "
            "archived, deprecated, rolled back, expired.",
            default=False,
        ),
        "perNodeLimit": argument(
            int | None,
            f"How many neighbours of a node to follow along one kind of edge to one type: 1 to {parsing.MAX_PER_NODE}, "
            "newest first.",
            per_node,
        ),
        "maxNodes": argument(int | None, f"How many nodes to reach: 1 to {parsing.MAX_NODES}.", nodes),
    }


def _bounded(arguments: Mapping[str, Any], name: str, default: int, most: int) -> int:
    value = arguments.get(name)
    return min(max(default if value is None else value, 0), most)


def node_rows(arguments: Mapping[str, Any]) -> dict[str, int]:
    """How many rows a lineage can answer with: its price, before its arguments are checked."""
    return {"node": _bounded(arguments, "maxNodes", parsing.NODES, parsing.MAX_NODES)}


READ, ASKED = 8, 25
"""Points of a neighbour that a walk reads, and of a node that it asks for its neighbours along ten or so edges."""


DEGREE = {"degree": 95}
"""Points of counting the edges of a node, a thousand of a kind at most."""


def walk_price(nodes: int, per_node: int, sizes: Mapping[str, int]) -> int:
    """The points of a walk, which reads no more than it may, and meets a row once on each of a few edges."""
    there = sum(sizes.get(name, 0) for name in edges().types)
    nodes = min(nodes, there)
    return nodes * ASKED + min(nodes * per_node // 10, 2 * there, MAX_READ) * READ


def walked_rows(_types: object, arguments: Mapping[str, Any], sizes: Mapping[str, int]) -> int:
    """The price of what a walk reads to see whether it is new."""
    per_node = _bounded(arguments, "perNodeLimit", parsing.PER_NODE, parsing.MAX_PER_NODE)
    return walk_price(node_rows(arguments)["node"], per_node, sizes)


# -- nodes -----------------------------------------------------------------------------------------------------------


class Filling:
    """Counts and reads nodes of an answer, as far as it is selected, on one snapshot; counts up to ``counted``."""

    def __init__(self, loaders: Loaders, reader: Reader, selection: Selection, counted: int = COUNTED) -> None:
        self._loaders = loaders.over(reader, compiles=False)
        self._reader = reader
        self._selection = selection
        self._counted = counted
        self.statements = Statements(loaders.lists)

    async def fill(self, nodes: Sequence[WalkedNode], records: Sequence[Record]) -> None:
        """Puts degrees and rows into the records of nodes, where they are asked for."""
        if any(below(self._selection, "LineageNode", "degree")):
            await self._count_degrees(nodes, records)
        if selections := list(below(self._selection, "LineageNode", "node")):
            await self._read_nodes(nodes, records, selections)

    async def count(self, branches: Sequence[Branch], window: Window) -> Sequence[Sequence[Any]]:
        """Rows (branch, place, count, whether there are more)."""
        if not branches:
            return []
        most = self._counted
        counts = await self._reader.fetch(*self.statements.counts(branches, most + 1, window))
        return [(branch, place, min(count, most), count > most) for branch, place, count in counts]

    async def _count_degrees(self, nodes: Sequence[WalkedNode], records: Sequence[Record]) -> None:
        branches = degree_branches(nodes, self.statements.lacking)
        by_id = {record["node_id"]: record["degree"] for record in records}
        for degree in by_id.values():
            degree |= {"upstream": 0, "downstream": 0}
        for number, place, count, more in await self.count(branches, Window()):
            branch = branches[number]
            degree = by_id[branch.spots[place - 1].id]
            degree["downstream" if branch.end.downstream else "upstream"] += count
            degree["capped"] |= more

    async def _read_nodes(
        self, nodes: Sequence[WalkedNode], records: Sequence[Record], selections: Sequence[Selection]
    ) -> None:
        """The rows themselves, a statement per type; one that fails is an error of its nodes."""
        by_type: dict[str, list[int]] = {}
        for place, node in enumerate(nodes):
            by_type.setdefault(node.type, []).append(place)
        for name, places in by_type.items():
            asked_for = {child.name for one in selections for child in one.on(name).values()}
            if asked_for <= {"id", "__typename"}:
                rows: Sequence[Any] = [{"__typename": name, "id": nodes[place].id} for place in places]
            else:
                rows = await self._rows(name, selections, [nodes[place].key for place in places])
            for place, row in zip(places, rows, strict=True):
                records[place]["node"] = row

    async def _rows(self, name: str, selections: Sequence[Selection], keys: Sequence[Any]) -> Sequence[Any]:
        try:
            return await self._loaders.by_ids(self._loaders.catalogue[name], selections, keys)
        except (GatewayError, DatabaseError) as error:
            return [error] * len(keys)


def below(selection: Selection, type_name: str, name: str) -> Iterator[Selection]:
    """The selections of a field of one of the lineage's types, wherever below and under whatever aliases."""
    for child in selection.fields.values():
        if child.type_name == type_name:
            yield from (one for one in child.fields.values() if one.name == name)
        elif child.type_name.startswith("Lineage") and child.name != "node" and child.concrete_types():
            yield from below(child, type_name, name)


LONGEST = parsing.MAX_COUNTED * 10
"""A count as long as it can become, where the size of an answer is measured before anything is counted."""


def node_record(node: WalkedNode) -> Record:
    """A node as its type's fields read it, uncounted."""
    return {
        "node_id": node.id,
        "type": node.type,
        "label": node.label,
        "state": node.state,
        "depth": node.depth,
        "degree": {"upstream": LONGEST, "downstream": LONGEST, "capped": False},
        "node": None,
    }


def edge_record(link: Link, *, closes: bool) -> Record:
    """An edge as its type's fields read it."""
    return {"from_": link.upstream, "to": link.downstream, "kind": link.kind.value, "closes_cycle": closes}
