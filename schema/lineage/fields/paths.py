"""`paths`: the paths from one node to another.

Without postponed annotations: Strawberry could not resolve names of classes that a function creates.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any

import strawberry

from schema.catalogue.records import CUT, Record
from schema.catalogue.scalars import DateTime
from schema.catalogue.selection import cut_unsaid
from schema.errors import lacks
from schema.execution.time_slices import aside
from schema.graph.root_field import RootField
from schema.graph.types import Info, Types, selection_of, taking
from schema.lineage import arguments as parsing
from schema.lineage.answer import assemble
from schema.lineage.fields.types import (
    DEGREE,
    TOLD,
    LineageDirection,
    LineageNode,
    NodeReader,
    argument,
    classes,
    edge_record,
    node_record,
    walk_price,
)
from schema.lineage.paths import STEPS, Path, SearchLimitError, paths
from schema.lineage.statements import Statements, key_of
from schema.lineage.walk import BOTH, DOWNSTREAM, UPSTREAM, Walk, Walked, WalkParameters

MAX_LENGTH, LENGTH = 20, 8
MAX_FIRST, FIRST = 100, 10
NODES, PER_NODE = 5000, 1000
"""The largest part of the target's ancestry that is read."""

_BACK = {DOWNSTREAM: UPSTREAM, UPSTREAM: DOWNSTREAM, BOTH: BOTH}


async def _paths(info: Info) -> Record:
    """The paths.

    Raises:
        GatewayError: ``BAD_USER_INPUT``, naming the argument.
    """
    loaders, selection = info.context.loaders, selection_of(info)
    arguments = selection.arguments
    start = parsing.node_id(loaders.catalogue, "from", arguments["from"])
    target = parsing.node_id(loaders.catalogue, "to", arguments["to"])
    longest = parsing.number(arguments, "maxLength", LENGTH, 0, MAX_LENGTH)
    first = parsing.number(arguments, "first", FIRST, 1, MAX_FIRST)
    way = parsing.direction(arguments, DOWNSTREAM)
    question = WalkParameters([target], _BACK[way], longest, PER_NODE, NODES, parsing.kinds(arguments))
    async with loaders.reader.snapshot() as reader:
        walked = await Walk(loaders.lists, reader, question).run()
        if start not in walked.found:
            type_, key = key_of(loaders.catalogue, start)
            statement = Statements(loaders.lists).nodes({type_.name: [key]})
            if len(await reader.fetch(*statement)) < 2:  # one row has the time
                walked.gone.append(start)
        answer = await aside(walked.read, assemble, walked, question, None)
        found, limits, reasons = await aside(
            walked.read, _search, partial(paths, start, target, answer.links, _away(walked), longest, way), first
        )
        if any(cut.limit != "maxDepth" for cut in answer.cuts):
            reasons.append(f"more than {NODES} nodes, or {PER_NODE} neighbours of one, lead to the target")
        if walked.is_full:
            reasons.append(f"more than {question.max_read:,} neighbours lead to the target")
        if walked.gone:
            reasons.append(f"{' and '.join(walked.gone)} does not exist")
        if walked.lacking:
            reasons.append(lacks(walked.lacking))
        nodes = {id_: walked.found[id_] for path in found for id_ in path.nodes}
        records = {id_: node_record(node) for id_, node in nodes.items()}
        await NodeReader(loaders, reader, selection).fill(list(nodes.values()), list(records.values()))
    return {
        CUT: cut_unsaid(selection, limits, ["paths"], TOLD),
        "paths": [
            {
                "length": len(path.links),
                "nodes": [records[id_] for id_ in path.nodes],
                "edges": [edge_record(link, closes=answer.links[link]) for link in path.links],
            }
            for path in found
        ],
        "complete": not reasons,
        "reason": "; ".join(reasons) + "." if reasons else None,
        "as_of": walked.as_of,
        "missing": walked.gone,
    }


def _away(walked: Walked) -> dict[str, int]:
    """The distances of nodes from the target."""
    return {node.id: node.depth for node in walked.found.values()}


def _search(following: Callable[[], Iterator[Path]], first: int) -> tuple[list[Path], list[str], list[str]]:
    """The first paths, the argument whose limit was reached, and why there may be more."""
    found: list[Path] = []
    try:
        for path in following():
            if len(found) == first:
                return found, ["first"], [f"first: there are more than {first} paths"]
            found.append(path)
    except SearchLimitError:
        return found, [], [f"there are too many ways to try: {STEPS} edges were"]
    return found, [], []


@cache
def _result(types: Types) -> Any:
    edges_: Any = list[classes(types).edge]  # type: ignore[misc]  # a class that refers to an enum of the models

    @strawberry.type(description="A path from one node to another, without repeated nodes.")
    class LineagePath:
        length: int = strawberry.field(description="Number of edges of the node.")
        nodes: list[LineageNode] = strawberry.field(
            description="Its nodes, from `from` to `to`; `depth` is the distance to `to`."
        )
        edges: edges_ = strawberry.field(
            description="Its edges in the same order; `from` of an edge is its upstream end."
        )

    @strawberry.type(description="The paths from one node to another.")
    class LineagePaths:
        paths: list[LineagePath] = strawberry.field(
            description="The paths, shortest first; edges of different kinds make different paths."
        )
        complete: bool = strawberry.field(description="Whether these are all paths of at most `maxLength` edges.")
        reason: str | None = strawberry.field(description="Why there may be more paths; null if these are all.")
        as_of: DateTime = strawberry.field(description="Time of the snapshot from which everything was read.")
        missing: list[strawberry.ID] = strawberry.field(description="Ids among `from` and `to` that do not exist.")

    return LineagePaths


def _make(types: Types) -> Any:
    kinds: Any = list[classes(types).kind]  # type: ignore[misc]  # an enum of the models
    taken = {
        "from_": argument(strawberry.ID, "Global id of the first node of the paths.", name="from"),
        "to": argument(strawberry.ID, "Global id of the last node of the paths."),
        "maxLength": argument(int | None, f"Maximum number of edges of a path: 0 to {MAX_LENGTH}.", LENGTH),
        "first": argument(int | None, f"Maximum number of paths: 1 to {MAX_FIRST}.", FIRST),
        "through": argument(
            kinds | None, f"Follow edges of these kinds only, at most {parsing.MAX_NAMES}; all kinds by default."
        ),
        "direction": argument(
            LineageDirection | None,
            "Direction in which edges are followed; downstream by default.",
            LineageDirection.DOWNSTREAM,
        ),
    }
    return strawberry.field(
        resolver=taking(taken, _result(types) | None, lambda _root, info: _paths(info)),
        description="The paths from one node to another, shortest first, from one snapshot.",
    )


def _rows(arguments: Mapping[str, Any]) -> dict[str, int]:
    first, length = arguments.get("first"), arguments.get("maxLength")
    first = FIRST if first is None else min(max(first, 0), MAX_FIRST)
    length = LENGTH if length is None else min(max(length, 0), MAX_LENGTH)
    return {"node": first * (length + 1)}


def _reads(_types: object, _arguments: Mapping[str, Any], sizes: Mapping[str, int]) -> int:
    return walk_price(NODES, PER_NODE, sizes)


PATHS = RootField(_make, _rows, _reads, DEGREE)
