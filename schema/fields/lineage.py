"""`lineage`: what feeds rows and what came of them, as two flat lists that say where they were cut.

Annotations are evaluated at once here: Strawberry could not look up those that name classes made by a function.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import orjson
import strawberry

from db.engine import DatabaseError, Reader
from db.lineage import LineageKind
from schema.errors import GatewayError
from schema.fields.root_field import RootField
from schema.lineage import asked as asking
from schema.lineage import cursors
from schema.lineage.answer import COUNTED, Answer, Link, cut_branches, degree_branches, fitted, reason
from schema.lineage.asked import Asked, asked
from schema.lineage.statements import Branch, Statements, Window
from schema.lineage.walk import Found, Walk, Walked, window
from schema.loaders import Loaders
from schema.records import Record
from schema.scalars import DateTime
from schema.selection import Selection
from schema.types import Info, Node, Types, selection_of, taking


@strawberry.enum(description="Which way a lineage is walked.")
class LineageDirection(enum.Enum):
    UPSTREAM = strawberry.enum_value("UPSTREAM", description="To what rows came from, and what that came from.")
    DOWNSTREAM = strawberry.enum_value("DOWNSTREAM", description="To what came of rows, and what came of that.")
    BOTH = strawberry.enum_value("BOTH", description="Along every edge, whichever way it leads.")


@strawberry.type(description="How many edges a node has, whatever was walked.")
class LineageDegree:
    upstream: int = strawberry.field(description=f"Edges to what it came from, counted up to {COUNTED} a kind.")
    downstream: int = strawberry.field(description=f"Edges to what came of it, counted up to {COUNTED} a kind.")
    capped: bool = strawberry.field(description=f"Whether it has more: a kind of which there are over {COUNTED}.")


@strawberry.type(description="A row in a lineage.")
class LineageNode:
    id: strawberry.ID = strawberry.field(description="Global id.")
    type: str = strawberry.field(description="Its type, as `__typename` names it.")
    label: str = strawberry.field(description="The best name that the row has; its type and key where it has none.")
    state: str | None = strawberry.field(
        description="Its lifecycle state or status, as the graph's enum names it; null where the type has none."
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
            description="Depth of the node. At `maxDepth` a greater one is needed to read on from here."
        )
        remaining: int = strawberry.field(
            description=f"How many rows follow, counted up to {COUNTED}; some of them may be in the answer by other "
            "edges. Costs a statement when selected."
        )
        capped: bool = strawberry.field(description=f"Whether more than {COUNTED} rows follow.")
        cursor: str = strawberry.field(description="Where it stopped; pass it in `after` to read on.")

    @strawberry.type(
        description="A part of the lineage at one moment: nodes by depth, all edges among them, and what is not there."
    )
    class Lineage:
        nodes: list[LineageNode] = strawberry.field(description="The nodes, nearest first, each once.")
        edges: list[LineageEdge] = strawberry.field(
            description="All edges among the nodes, each once; on a page that reads on, also those to nodes of the "
            "pages before."
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


def walk_arguments(types: Types, *, depth: int = asking.DEPTH) -> dict[str, Any]:
    """The arguments that say what is walked."""
    kind = classes(types).kind
    kinds: Any = list[kind]  # type: ignore[valid-type]  # an enum of the models
    starts = f"Global ids of the nodes to start from, 1 to {asking.MAX_STARTS}."
    return {
        "from_": argument(list[strawberry.ID], starts, name="from"),
        "direction": argument(LineageDirection | None, "Which way to walk.", LineageDirection.BOTH),
        "maxDepth": argument(
            int | None, f"How many edges to follow from a start: 0 to {asking.MAX_DEPTH}. 0 shows the starts.", depth
        ),
        "types": argument(list[str] | None, "Show nodes of these types alone; all types are walked nevertheless."),
        "through": argument(kinds | None, "Walk edges of these kinds alone; all of them unless said."),
        "since": argument(
            DateTime | None,
            "Reach rows from this moment on: by the time that orders their type, such as createdAt. Rows without one, "
            "and the starts, count as within.",
        ),
        "until": argument(DateTime | None, "Reach rows from before this moment."),
    }


def _taken(types: Types) -> dict[str, Any]:
    return walk_arguments(types) | {
        "perNodeLimit": argument(
            int | None,
            f"How many neighbours of a node to follow along one kind of edge to one type: 1 to {asking.MAX_PER_NODE}, "
            "newest first.",
            asking.PER_NODE,
        ),
        "maxNodes": argument(int | None, f"How many nodes to answer with: 1 to {asking.MAX_NODES}.", asking.NODES),
        "maxBytes": argument(
            int | None,
            "How many bytes of JSON the answer may have, aside from what is selected below `node`; nearest nodes "
            f"first. {asking.LEAST_BYTES} to {asking.MAX_BYTES}.",
        ),
        "after": argument(
            list[str] | None,
            f"Read on from these cursors of a `frontier`, at most {cursors.MAX_CURSORS}, with the same arguments; "
            "limits may differ. A node can come again; its lesser depth holds.",
        ),
    }


# -- the answer ------------------------------------------------------------------------------------------------------


async def _lineage(info: Info) -> Record:
    """A part of the lineage.

    Raises:
        GatewayError: ``BAD_USER_INPUT`` or ``INVALID_CURSOR``, naming the argument.
    """
    loaders, selection = info.context.loaders, selection_of(info)
    question = asked(loaders.catalogue, selection.arguments)
    async with loaders.reader.snapshot() as reader:
        return await Reading(loaders, reader, question, selection).record()


class Reading:
    """One answer, made on one snapshot."""

    def __init__(self, loaders: Loaders, reader: Reader, asked_: Asked, selection: Selection) -> None:
        self._loaders = Loaders(loaders.catalogue, reader, loaders.missing, loaders.facts)
        self._reader = reader
        self._asked = asked_
        self._selection = selection
        self._statements = Statements(loaders.catalogue, loaders.missing)

    async def record(self) -> Record:
        """The answer as its types' fields read it."""
        question = self._asked.question
        walked = await Walk(self._loaders.catalogue, self._loaders.missing, self._reader, question).run()

        def size(answer: Answer) -> int:
            return len(orjson.dumps(_projected(self._selection, self._record(answer, walked))))

        answer = fitted(walked, question, self._asked.types, size, self._asked.max_bytes)
        record = self._record(answer, walked)
        if self._below("nodes", "degree"):
            await self._count_degrees(answer.nodes, record["nodes"])
        if self._below("frontier", "remaining") or self._below("frontier", "capped"):
            await self._count_remaining(answer, record["frontier"])
        if selections := self._below("nodes", "node"):
            await self._read_nodes(answer.nodes, record["nodes"], selections)
        return record

    def _below(self, parent: str, name: str) -> list[Selection]:
        """The selections of a field in a list of the answer, under whatever aliases."""
        return [
            child
            for listed in self._selection.fields.values()
            if listed.name == parent
            for child in listed.fields.values()
            if child.name == name
        ]

    def _record(self, answer: Answer, walked: Walked) -> Record:
        """The answer before anything is counted: numbers as long as they can become."""
        return {
            "nodes": [node_record(node) for node in answer.nodes],
            "edges": [edge_record(link, closes=closes) for link, closes in answer.links.items()],
            "complete": not (answer.cuts or answer.omitted or walked.gone or walked.lacking),
            "reason": reason(answer, walked, self._asked.question),
            "as_of": walked.as_of,
            "frontier": [
                {
                    "node": cut.spot.id,
                    "direction": LineageDirection.DOWNSTREAM if cut.end.downstream else LineageDirection.UPSTREAM,
                    "kind": cut.end.kind.value,
                    "type": cut.end.target,
                    "depth": cut.depth,
                    "remaining": COUNTED,
                    "capped": False,
                    "cursor": cursors.encode(self._asked.signature, cut.end, cut.spot.id, cut.depth, cut.spot.position),
                }
                for cut in answer.cuts
            ],
            "omitted": [{"type": name, "count": count} for name, count in sorted(answer.omitted.items())],
            "missing": walked.gone,
        }

    async def _count(self, branches: Sequence[Branch], window: Window) -> Sequence[Sequence[Any]]:
        if not branches:
            return []
        return await self._reader.fetch(*self._statements.counts(branches, COUNTED + 1, window))

    async def _count_degrees(self, nodes: Sequence[Found], records: Sequence[Record]) -> None:
        branches = degree_branches(nodes, self._statements.lacking)
        by_id = {record["id"]: record["degree"] for record in records}
        for degree in by_id.values():
            degree |= {"upstream": 0, "downstream": 0}
        for number, place, count in await self._count(branches, Window()):
            branch = branches[number]
            degree = by_id[branch.spots[place - 1].id]
            degree["downstream" if branch.end.downstream else "upstream"] += min(count, COUNTED)
            degree["capped"] |= count > COUNTED

    async def _count_remaining(self, answer: Answer, records: Sequence[Record]) -> None:
        branches, places = cut_branches(answer.cuts)
        within = window(self._loaders.catalogue, self._asked.question)
        for number, place, count in await self._count(branches, within):
            record = records[places[number][place - 1]]
            record |= {"remaining": min(count, COUNTED), "capped": count > COUNTED}

    async def _read_nodes(
        self, nodes: Sequence[Found], records: Sequence[Record], selections: Sequence[Selection]
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


def node_record(node: Found) -> Record:
    """A node as its type's fields read it, uncounted."""
    return {
        "id": node.id,
        "type": node.type,
        "label": node.label,
        "state": node.state,
        "depth": node.depth,
        "degree": {"upstream": COUNTED * 10, "downstream": COUNTED * 10, "capped": False},
        "node": None,
    }


def edge_record(link: Link, *, closes: bool) -> Record:
    """An edge as its type's fields read it."""
    return {"from_": link.upstream, "to": link.downstream, "kind": link.kind.value, "closes_cycle": closes}


_ATTRIBUTES = {"from": "from_", "closesCycle": "closes_cycle", "asOf": "as_of"}


def _projected(selection: Selection, value: Any) -> Any:
    """A value as it is sent: what is selected, under its aliases; rows of the catalogue aside."""
    if isinstance(value, list):
        return [_projected(selection, one) for one in value]
    if not isinstance(value, dict):
        return value.value if isinstance(value, enum.Enum) else value
    return {key: _field(child, value) for key, child in selection.fields.items()}


def _field(child: Selection, record: Record) -> Any:
    if child.name == "__typename":
        return child.type_name
    return _projected(child, record[_ATTRIBUTES.get(child.name, child.name)])


def _make(types: Types) -> Any:
    return strawberry.field(
        resolver=taking(_taken(types), classes(types).lineage | None, lambda _root, info: _lineage(info)),
        description="What rows came from and what came of them, to any depth: nodes and edges as flat lists from one "
        "snapshot, complete or saying where they were cut, with cursors to read on.",
    )


def _rows(arguments: Mapping[str, Any]) -> dict[str, int]:
    asked_for = arguments.get("maxNodes")
    return {"node": min(max(asking.NODES if asked_for is None else asked_for, 0), asking.MAX_NODES)}


def _reads(_types: object, arguments: Mapping[str, Any], _sizes: Mapping[str, int]) -> int:
    """Neighbours that are read to see whether they are new."""
    per_node = arguments.get("perNodeLimit")
    per_node = asking.PER_NODE if per_node is None else per_node
    return _rows(arguments)["node"] * min(max(per_node, 0), asking.MAX_PER_NODE) // 10


LINEAGE = RootField(_make, _rows, _reads)
