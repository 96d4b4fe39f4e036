"""`lineageDiff`: the changes of a lineage between two times.

Without postponed annotations: Strawberry could not resolve names of classes that a function creates.
"""

from datetime import datetime
from functools import cache
from typing import Any

import strawberry

from schema.catalogue.records import CUT, Record
from schema.catalogue.scalars import DateTime
from schema.catalogue.selection import cut_unsaid
from schema.errors import bad_argument
from schema.execution.time_slices import aside
from schema.graph.root_field import RootField
from schema.graph.types import Info, Types, selection_of, taking
from schema.lineage.answer import assemble, is_complete, limits, reason
from schema.lineage.arguments import request_of
from schema.lineage.diff import DiffReader, NodeChange
from schema.lineage.fields.types import (
    DEGREE,
    TOLD,
    LineageNode,
    NodeReader,
    argument,
    classes,
    edge_record,
    node_record,
    node_rows,
    walk_arguments,
    walked_rows,
)
from schema.lineage.walk import Walk


def _between(moments: list[datetime]) -> tuple[datetime, datetime]:
    if len(moments) != 2:
        raise bad_argument("between", f"has {len(moments)} moments; pass two, the earlier one first")
    since, until = moments
    if since >= until:
        raise bad_argument("between", f"{since.isoformat()} is not before {until.isoformat()}")
    return since, until


async def _diff(info: Info) -> Record:
    """The difference.

    Raises:
        GatewayError: ``BAD_USER_INPUT``, naming the argument.
    """
    loaders, selection = info.context.loaders, selection_of(info)
    since, until = _between(selection.arguments["between"])
    question = request_of(loaders.catalogue, selection.arguments)
    async with loaders.reader.snapshot() as reader:
        walked = await Walk(loaders.lists, reader, question.question).run()
        answer = await aside(walked.read, assemble, walked, question.question, question.types)
        found = await DiffReader(loaders.catalogue, loaders.missing, reader).between(answer, since, until)
        changed = [change.node for change in found.changes]
        nodes = {node.id: node for node in (*found.added, *found.removed, *changed)}
        records = {id_: node_record(node) for id_, node in nodes.items()}
        await NodeReader(loaders, reader, selection).fill(list(nodes.values()), list(records.values()))

    def change(one: NodeChange) -> Record:
        return {
            "node": records[one.node.id],
            "at": one.at,
            "lifecycle": one.lifecycle,
            "from_": one.origin,
            "to": one.to,
            "actor": one.actor,
        }

    return {
        CUT: cut_unsaid(selection, limits(answer, walked), ["added", "removed", "changed"], TOLD),
        "added": {
            "nodes": [records[node.id] for node in found.added],
            "edges": [edge_record(link, closes=answer.links[link]) for link in found.added_links],
        },
        "removed": {
            "nodes": [records[node.id] for node in found.removed],
            "edges": [edge_record(link, closes=answer.links[link]) for link in found.removed_links],
        },
        "changed": [change(one) for one in found.changes],
        "unknown": found.unknown,
        "complete": is_complete(answer, walked),
        "reason": reason(answer, walked, question.question),
        "as_of": walked.as_of,
        "missing": walked.gone,
    }


@strawberry.type(description="A change of a node between two moments.")
class LineageChange:
    node: LineageNode = strawberry.field(description="The node, as it is now.")
    at: DateTime = strawberry.field(description="Time of the change; for several unrecorded changes, of the last one.")
    lifecycle: str | None = strawberry.field(
        description="Lifecycle of the transition; null for an update that was not recorded."
    )
    from_: str | None = strawberry.field(name="from", description="The state before.")
    to: str | None = strawberry.field(description="The state after.")
    actor: str | None = strawberry.field(description="Who asked for the change.")


@cache
def _result(types: Types) -> Any:
    edges_: Any = list[classes(types).edge]  # type: ignore[misc]  # a class that refers to an enum of the models

    @strawberry.type(description="Nodes and edges that were added or removed.")
    class LineagePart:
        nodes: list[LineageNode] = strawberry.field(description="The nodes, nearest first.")
        edges: edges_ = strawberry.field(description="The edges, including those between these nodes and older nodes.")

    @strawberry.type(description="Changes of a lineage between two moments, and what cannot be known about them.")
    class LineageDiff:
        added: LineagePart = strawberry.field(description="Rows that were created in that time, and their edges.")
        removed: LineagePart = strawberry.field(
            description="Rows that ended in that time (deactivated, retired), and their edges."
        )
        changed: list[LineageChange] = strawberry.field(
            description="Recorded changes, in order; then rows with unrecorded updates."
        )
        unknown: list[str] = strawberry.field(
            description="What the times of rows and the record of changes cannot show."
        )
        complete: bool = strawberry.field(description="Whether the whole lineage was compared.")
        reason: str | None = strawberry.field(description="What was truncated; null if nothing was.")
        as_of: DateTime = strawberry.field(description="Time of the snapshot from which everything was read.")
        missing: list[strawberry.ID] = strawberry.field(description="Ids of `from` that do not exist.")

    return LineageDiff


def _make(types: Types) -> Any:
    two = "The moments, exactly 2, the earlier first: changes after the first, up to the second."
    moments: Any = list[DateTime]
    taken = {"between": argument(moments, two)} | walk_arguments(types)
    return strawberry.field(
        resolver=taking(taken, _result(types) | None, lambda _root, info: _diff(info)),
        description="Changes of a lineage between two moments, from the times of rows and the recorded changes. The "
        "lineage is walked as it is now.",
    )


LINEAGE_DIFF = RootField(_make, node_rows, walked_rows, DEGREE)
