"""`lineageText` and `lineageCounts`: a lineage as an outline, and as counts.

Without postponed annotations: Strawberry could not resolve names of classes that a function creates.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import strawberry

from schema.catalogue.records import CUT, Record
from schema.catalogue.scalars import DateTime
from schema.catalogue.selection import cut_unsaid
from schema.execution.time_slices import aside
from schema.graph.root_field import RootField
from schema.graph.types import Info, Types, selection_of, taking
from schema.lineage import arguments as parsing
from schema.lineage.answer import LineageAnswer, assemble, fitted, is_complete, limits, reason
from schema.lineage.arguments import LineageRequest, request_of
from schema.lineage.fields.types import TOLD, argument, node_rows, walk_arguments, walked_rows
from schema.lineage.text import outline
from schema.lineage.walk import Walk, Walked

TEXT_BYTES, LEAST_TEXT = 20_000, 2_000
COUNTED_NODES, COUNTED_NEIGHBOURS = 5_000, 1_000


async def _walked(info: Info, question: LineageRequest) -> Walked:
    loaders = info.context.loaders
    async with loaders.reader.snapshot() as reader:
        return await Walk(loaders.lists, reader, question.question).run()


async def _text(info: Info) -> str:
    """The outline.

    Raises:
        GatewayError: ``BAD_USER_INPUT``, naming the argument.
    """
    arguments = selection_of(info).arguments
    room = parsing.number(arguments, "maxBytes", TEXT_BYTES, LEAST_TEXT, parsing.MAX_BYTES)
    question = request_of(info.context.loaders.catalogue, {**arguments, "maxBytes": None})
    walked = await _walked(info, question)
    walk = question.question

    def written(answer: LineageAnswer) -> str:
        head = f"lineage {walk.direction} to depth {walk.max_depth}, as of {walked.as_of}"
        foot = "complete" if is_complete(answer, walked) else f"NOT COMPLETE: {reason(answer, walked, walk)}"
        gone = (
            [f"missing: {', '.join(walked.gone[:10])}{' ...' if len(walked.gone) > 10 else ''}"] if walked.gone else []
        )
        return "\n".join([outline(answer, head, foot), *gone])

    def size(answer: LineageAnswer) -> int:
        return len(written(answer).encode())

    return await aside(walked.read, lambda: written(fitted(walked, walk, question.types, size, room)))


async def _counts(info: Info) -> Record:
    """The counts.

    Raises:
        GatewayError: ``BAD_USER_INPUT``, naming the argument.
    """
    selection = selection_of(info)
    question = request_of(
        info.context.loaders.catalogue, selection.arguments, nodes=COUNTED_NODES, per_node=COUNTED_NEIGHBOURS
    )
    walked = await _walked(info, question)
    answer = await aside(walked.read, assemble, walked, question.question, question.types)
    counts = Counter((node.depth, node.type) for node in answer.nodes)
    return {
        CUT: cut_unsaid(selection, limits(answer, walked), ["counts", "total", "edges"], TOLD),
        "counts": [{"type": name, "depth": depth, "count": count} for (depth, name), count in sorted(counts.items())],
        "total": len(answer.nodes),
        "edges": len(answer.links),
        "complete": is_complete(answer, walked),
        "reason": reason(answer, walked, question.question),
        "as_of": walked.as_of,
        "missing": walked.gone,
    }


@strawberry.type(description="Number of nodes of a type at a depth of a lineage.")
class LineageCount:
    type: str = strawberry.field(description="The type.")
    depth: int = strawberry.field(description="Number of edges to the nearest start node.")
    count: int = strawberry.field(description="Number of nodes.")


@strawberry.type(description="Numbers of nodes and edges of a lineage.")
class LineageCounts:
    counts: list[LineageCount] = strawberry.field(description="Nodes by depth and type.")
    total: int = strawberry.field(description="Number of nodes, start nodes included.")
    edges: int = strawberry.field(description="Number of edges among them.")
    complete: bool = strawberry.field(description="Whether all were counted; if not, the numbers are lower bounds.")
    reason: str | None = strawberry.field(description="What was truncated, and by which limit; null if nothing was.")
    as_of: DateTime = strawberry.field(description="Time of the snapshot in which everything was counted.")
    missing: list[strawberry.ID] = strawberry.field(description="Ids of `from` that do not exist.")


def _make_text(types: Types) -> Any:
    room = f"Maximum size of the text in bytes, nearest nodes first: {LEAST_TEXT} to {parsing.MAX_BYTES}."
    taken = walk_arguments(types) | {"maxBytes": argument(int | None, room, TEXT_BYTES)}
    return strawberry.field(
        resolver=taking(taken, str | None, lambda _root, info: _text(info)),
        description="A lineage as a text outline for agents: ids, labels, states and kinds of edges, one line per node "
        "below the node that it was reached from. The last lines say what was omitted and whether the lineage is "
        "complete.",
    )


def _make_counts(types: Types) -> Any:
    taken = walk_arguments(types, nodes=COUNTED_NODES, per_node=COUNTED_NEIGHBOURS)
    return strawberry.field(
        resolver=taking(taken, LineageCounts | None, lambda _root, info: _counts(info)),
        description="Number of nodes of a lineage by type and depth, without their rows.",
    )


def _no_rows(_arguments: Mapping[str, Any]) -> dict[str, int]:
    return {}


def _counted_rows(types: object, arguments: Mapping[str, Any], sizes: Mapping[str, int]) -> int:
    limits = {"maxNodes": COUNTED_NODES, "perNodeLimit": COUNTED_NEIGHBOURS}
    given = {name: arguments[name] for name in limits if arguments.get(name) is not None}
    return walked_rows(types, limits | given, sizes)


def _written_rows(types: object, arguments: Mapping[str, Any], sizes: Mapping[str, int]) -> int:
    return node_rows(arguments)["node"] + walked_rows(types, arguments, sizes)


LINEAGE_TEXT = RootField(_make_text, _no_rows, _written_rows)
LINEAGE_COUNTS = RootField(_make_counts, _no_rows, _counted_rows)
