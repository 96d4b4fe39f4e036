"""What lineage fields share: types, the arguments of a walk, and reading and counting of nodes.

Without postponed annotations: Strawberry could not resolve names of classes that a function creates.
"""

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import strawberry

from db.base.lineage import LineageKind
from db.engine.errors import DatabaseError
from db.engine.readers import Reader
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


@strawberry.enum(description="Direction in which a lineage is traversed.")
class LineageDirection(enum.Enum):
    UPSTREAM = strawberry.enum_value("UPSTREAM", description="To the rows that a row came from, transitively.")
    DOWNSTREAM = strawberry.enum_value("DOWNSTREAM", description="To the rows that came from a row, transitively.")
    BOTH = strawberry.enum_value("BOTH", description="Along every edge, in both directions.")


@strawberry.type(description="Number of edges of a node, independent of the traversal.")
class LineageDegree:
    upstream: int = strawberry.field(
        description=f"Number of edges to upstream rows, counted up to {COUNTED:,} per kind, or `countUpTo`."
    )
    downstream: int = strawberry.field(
        description=f"Number of edges to downstream rows, counted up to {COUNTED:,} per kind, or `countUpTo`."
    )
    capped: bool = strawberry.field(description="Whether a kind has more edges than were counted.")


@strawberry.type(description="A row in a lineage.")
class LineageNode:
    node_id: strawberry.ID = strawberry.field(description="Global id of the row.")
    type: str = strawberry.field(description="Its type, as `__typename` names it.")
    label: str = strawberry.field(
        description="The most descriptive name of the row; its type and key if it has no name."
    )
    state: str | None = strawberry.field(
        description="Lifecycle state or status, as its enum names it. ACTIVE, INACTIVE, DELETED, DEPRECATED or RETIRED "
        "for types without a lifecycle whose rows can end; null if the type has no state."
    )
    depth: int = strawberry.field(
        description="Number of edges to the nearest start node, along the edges that were traversed."
    )
    degree: LineageDegree = strawberry.field(
        description="Number of edges of the node. Runs one SQL statement when selected."
    )
    node: Node | None = strawberry.field(
        description="The row, read in the same snapshot; its relations are read when they are resolved."
    )


@strawberry.type(description="Number of nodes of a type that were omitted to fit `maxBytes`.")
class LineageOmission:
    type: str = strawberry.field(description="The type.")
    count: int = strawberry.field(description="Number of its nodes that were found and omitted.")


@dataclass(frozen=True)
class Classes:
    """The Strawberry classes of lineages that refer to enums of the models."""

    kind: Any
    edge: Any
    lineage: Any


@cache
def classes(types: Types) -> Classes:
    """The classes for one set of types."""
    kind_: Any = types.enum(LineageKind)

    @strawberry.type(description="An edge of a lineage.")
    class LineageEdge:
        from_: strawberry.ID = strawberry.field(name="from", description="Id of the upstream node.")
        to: strawberry.ID = strawberry.field(description="Id of the downstream node.")
        kind: kind_ = strawberry.field(description="What the edge means.")
        closes_cycle: bool = strawberry.field(
            description="Whether the edge closes a cycle: a loop of the platform (a retraining's model, a fidelity "
            "grade), or a cycle among the edges of this result. Without these edges the result is acyclic."
        )

    @strawberry.type(
        description="Where a lineage was truncated: a node with edges of a kind that were not all followed."
    )
    class LineageFrontier:
        node: strawberry.ID = strawberry.field(description="Id of the node.")
        direction: LineageDirection = strawberry.field(description="Direction of these edges: UPSTREAM or DOWNSTREAM.")
        kind: kind_ = strawberry.field(description="What the edges mean.")
        type: str = strawberry.field(description="The type of the rows that they lead to.")
        depth: int = strawberry.field(
            description="Depth of the node. At `maxDepth` its cursor reads edges only; with a greater `maxDepth`, "
            "nodes too."
        )
        remaining: int = strawberry.field(
            description="Number of rows that were not followed, counted up to `countUpTo`; some of them may be in the "
            "result by other edges. Runs one SQL statement when selected."
        )
        capped: bool = strawberry.field(description="Whether more than `countUpTo` rows were not followed.")
        cursor: str = strawberry.field(
            description="Position where the traversal stopped; pass it in `after` to continue."
        )

    @strawberry.type(
        description="A part of the lineage at one moment: nodes by depth, the edges among them, and what was truncated "
        "or is missing."
    )
    class Lineage:
        nodes: list[LineageNode] = strawberry.field(description="The nodes, nearest first, each once.")
        edges: list[LineageEdge] = strawberry.field(
            description="All edges among the nodes, each once, except those that `frontier` lists as not followed. A "
            "page read from cursors also has the edges to the start nodes and to the nodes of its cursors; from "
            "cursors at `maxDepth` it has all edges of these nodes. Keep the edges whose two ends are on your pages; "
            "the others lead outside."
        )
        complete: bool = strawberry.field(
            description="Whether nothing was truncated: no limit was reached, and no table or node is missing."
        )
        reason: str | None = strawberry.field(
            description="What was truncated, and by which limit; null if nothing was."
        )
        as_of: DateTime = strawberry.field(description="Time of the snapshot from which everything was read.")
        frontier: list[LineageFrontier] = strawberry.field(
            description="Where the lineage was truncated. This page and the pages that these cursors lead to are the "
            "whole lineage."
        )
        omitted: list[LineageOmission] = strawberry.field(
            description="What was omitted because of `maxBytes`, by type."
        )
        missing: list[strawberry.ID] = strawberry.field(
            description="Ids of `from`, and nodes of cursors, that do not exist or no longer exist."
        )

    return Classes(kind_, LineageEdge, Lineage)


# -- arguments -------------------------------------------------------------------------------------------------------


def argument(annotation: Any, description: str, default: Any = strawberry.UNSET, name: str | None = None) -> Any:
    """An argument for `taking`; ``name`` is given where it is a Python keyword."""
    described = Annotated[annotation, strawberry.argument(name=name, description=description)]
    return described if default is strawberry.UNSET else (described, default)


def walk_arguments(
    types: Types, *, depth: int = parsing.DEPTH, nodes: int = parsing.NODES, per_node: int = parsing.PER_NODE
) -> dict[str, Any]:
    """The arguments of a walk, with these defaults."""
    kinds: Any = list[classes(types).kind]  # type: ignore[misc]  # an enum of the models
    starts = f"Global ids of the nodes to start from, at most {parsing.MAX_STARTS}."
    return {
        "from_": argument(list[strawberry.ID], starts, name="from"),
        "direction": argument(LineageDirection | None, "Direction of the traversal.", LineageDirection.BOTH),
        "maxDepth": argument(
            int | None,
            f"Maximum number of edges from a start node: 0 to {parsing.MAX_DEPTH}. 0 returns the start nodes.",
            depth,
        ),
        "types": argument(
            list[str] | None,
            f"Return nodes of these types only, at most {parsing.MAX_NAMES}; nodes of other types are still traversed.",
        ),
        "through": argument(
            kinds | None, f"Follow edges of these kinds only, at most {parsing.MAX_NAMES}; all kinds by default."
        ),
        "since": argument(
            DateTime | None,
            "Rows from this time on, by the time that orders their type, such as createdAt. Rows without such a time, "
            "and the start nodes, are always included.",
        ),
        "until": argument(DateTime | None, "Rows from before this time."),
        "onlyInUse": argument(
            bool | None,
            "Omit ended rows, and rows that only ended rows lead to; start nodes are kept. A row has ended if it is "
            "deleted, deprecated, retired or deactivated, or in an archival state: archived, deprecated, rolled back, "
            "expired.",
            default=False,
        ),
        "perNodeLimit": argument(
            int | None,
            f"Maximum number of neighbours of a node by one kind of edge and one type: 1 to {parsing.MAX_PER_NODE}, "
            "newest first.",
            per_node,
        ),
        "maxNodes": argument(int | None, f"Maximum number of nodes: 1 to {parsing.MAX_NODES}.", nodes),
    }


def _bounded(arguments: Mapping[str, Any], name: str, default: int, most: int) -> int:
    value = arguments.get(name)
    return min(max(default if value is None else value, 0), most)


def node_rows(arguments: Mapping[str, Any]) -> dict[str, int]:
    """The largest number of rows of a lineage, before its arguments are validated: its cost."""
    return {"node": _bounded(arguments, "maxNodes", parsing.NODES, parsing.MAX_NODES)}


READ, ASKED = 8, 25
"""Points of a neighbour that a walk reads, and of a node whose neighbours along about ten edges are read."""


TOLD = ("complete", "reason")
"""The fields of a result that tell whether it was cut."""

DEGREE = {"degree": 95}
"""Points of counting the edges of a node, at most a thousand of a kind."""


def walk_price(nodes: int, per_node: int, sizes: Mapping[str, int]) -> int:
    """The points of a walk, which is limited, and meets a row once on each of a few edges."""
    there = sum(sizes.get(name, 0) for name in edges().types)
    nodes = min(nodes, there)
    return nodes * ASKED + min(nodes * per_node // 10, 2 * there, MAX_READ) * READ


def walked_rows(_types: object, arguments: Mapping[str, Any], sizes: Mapping[str, int]) -> int:
    """The points of the neighbours that a walk reads."""
    per_node = _bounded(arguments, "perNodeLimit", parsing.PER_NODE, parsing.MAX_PER_NODE)
    return walk_price(node_rows(arguments)["node"], per_node, sizes)


# -- nodes -----------------------------------------------------------------------------------------------------------


class NodeReader:
    """Counts and reads the nodes of a result, as far as selected, on one snapshot; counts up to ``counted``."""

    def __init__(self, loaders: Loaders, reader: Reader, selection: Selection, counted: int = COUNTED) -> None:
        self._loaders = loaders.over(reader, compiles=False)
        self._reader = reader
        self._selection = selection
        self._counted = counted
        self.statements = Statements(loaders.lists)

    async def fill(self, nodes: Sequence[WalkedNode], records: Sequence[Record]) -> None:
        """Adds degrees and rows to the records of nodes, if selected."""
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
        """Reads the rows, a statement per type; a failure is an error of that type's nodes."""
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
    """The selections of a field of a lineage type, at any depth and under any alias."""
    for child in selection.fields.values():
        if child.type_name == type_name:
            yield from (one for one in child.fields.values() if one.name == name)
        elif child.type_name.startswith("Lineage") and child.name != "node" and child.concrete_types():
            yield from below(child, type_name, name)


LONGEST = parsing.MAX_COUNTED * 10
"""The largest count, by which a result's size is measured before anything is counted."""


def node_record(node: WalkedNode) -> Record:
    """A node for its type's fields, without counts."""
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
    """An edge for its type's fields."""
    return {"from_": link.upstream, "to": link.downstream, "kind": link.kind.value, "closes_cycle": closes}
