"""Reads the lineage and the record of changes from the graph, like any client, and writes them as events.

A walk follows every cursor of its frontier; whether its depth ended it is reported.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.openlineage.events import Event, EventWriter, WalkedEdge, WalkedLineage, WalkedRow
from gateway.openlineage.mapping import RUNS, is_run

Ask = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Executes an operation and returns its data; raises an error that says why there is none."""

MOST_NODES = 100_000
"""Nodes of an export, which are kept in memory until they are written."""
_PAGE = 500
_TOGETHER = 100
"""Start rows of one walk."""

_LINEAGE = """
query ($from: [ID!]!, $direction: LineageDirection, $depth: Int, $after: [String!]) {
  lineage(from: $from, direction: $direction, maxDepth: $depth, perNodeLimit: 200, maxNodes: 1000, after: $after) {
    asOf
    nodes { nodeId type label state depth }
    edges { from to kind }
    frontier { node cursor }
  }
}
"""
_TIMES = "query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ {fragments} }} }}"
_IDS = """
query ($after: String) {{
  rows: {root}(first: 500, after: $after) {{ nodes {{ id }} pageInfo {{ hasNextPage endCursor }} }}
}}
"""
_CHANGES = """
query ($after: String, $where: LifecycleEventWhere) {
  lifecycleEvents(first: 500, after: $after, where: $where, orderBy: [{field: OCCURRED_AT}]) {
    nodes { id nodeId nodeType fromState toState occurredAt }
    pageInfo { hasNextPage endCursor }
  }
}
"""


class ExportError(Exception):
    """The export is impossible or incomplete; the message says why and what to do."""


@dataclass(frozen=True)
class WalkScope:
    """A part of the lineage: start rows, direction and depth."""

    starts: Sequence[str]
    direction: str = "BOTH"
    depth: int = 3


async def walk(ask: Ask, scope: WalkScope, most: int = MOST_NODES) -> WalkedLineage:
    """A part of the lineage, with all its pages.

    Raises:
        ExportError: It has too many nodes.
    """
    walked, depths = WalkedLineage(""), dict[str, int]()
    edges: set[WalkedEdge] = set()
    for at in range(0, len(scope.starts), _TOGETHER):
        starts = list(scope.starts[at : at + _TOGETHER])
        left: list[str] = []
        first = True
        while first or left:
            after, left, first = left[:_PAGE], left[_PAGE:], False
            asked = {"from": starts, "direction": scope.direction, "depth": scope.depth, "after": after or None}
            page = (await ask(_LINEAGE, asked))["lineage"]
            walked.as_of = walked.as_of or page["asOf"]
            for one in page["nodes"]:
                id_ = one["nodeId"]
                depths[id_] = min(one["depth"], depths.get(id_, one["depth"]))
                walked.nodes[id_] = WalkedRow(id_, one["type"], one["label"], one["state"])
            edges |= {WalkedEdge(one["from"], one["to"], one["kind"]) for one in page["edges"]}
            if len(walked.nodes) > most:
                raise ExportError(f"there are more than {most:,} rows; export from fewer rows, or not as far")
            # edges beyond the last level are not followed
            left += [one["cursor"] for one in page["frontier"] if depths[one["node"]] < scope.depth]
    walked.edges = {one for one in edges if one.upstream in walked.nodes and one.downstream in walked.nodes}
    await _read_times(ask, walked)
    return walked


async def _read_times(ask: Ask, walked: WalkedLineage) -> None:
    """Reads when the runs among the nodes began and ended."""
    runs = [node for node in walked.nodes.values() if is_run(node.type)]
    for at in range(0, len(runs), _PAGE):
        some = runs[at : at + _PAGE]
        types = {node.type for node in some}
        fragments = " ".join(
            f"... on {name} {{ id began: {times.began} {f'ended: {times.ended}' if times.ended else ''} }}"
            for name, times in RUNS.items()
            if name in types
        )
        rows = (await ask(_TIMES.format(fragments=fragments), {"ids": [node.id for node in some]}))["nodes"]
        for node, row in zip(some, rows, strict=True):
            if row is not None:
                walked.nodes[node.id] = WalkedRow(
                    node.id, node.type, node.label, node.state, row.get("began"), row.get("ended")
                )


async def ids_of(ask: Ask, root: str, type_name: str) -> list[str]:
    """The ids of all rows of a type, by its list field.

    Raises:
        ExportError: There are too many.
    """
    found: list[str] = []
    after: str | None = None
    while True:
        page = (await ask(_IDS.format(root=root), {"after": after}))["rows"]
        found += [one["id"] for one in page["nodes"]]
        if len(found) > MOST_NODES:
            raise ExportError(f"there are more than {MOST_NODES:,} {type_name} rows; name some by --from")
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def changes(ask: Ask, writer: EventWriter, since: str | None, until: str | None) -> AsyncIterator[Event]:
    """The record of changes in order, an event each; ``since`` inclusive, ``until`` exclusive."""
    between = {name: value for name, value in (("gte", since), ("lt", until)) if value is not None}
    where = {"occurredAt": between} if between else None
    after: str | None = None
    while True:
        page = (await ask(_CHANGES, {"after": after, "where": where}))["lifecycleEvents"]
        for one in page["nodes"]:
            details = {
                "kind": "lifecycle.changed",
                "nodeId": one["nodeId"],
                "nodeType": one["nodeType"],
                "eventId": one["id"],
                "fromState": one["fromState"],
                "toState": one["toState"],
            }
            yield writer.change(one["nodeId"], one["nodeType"], one["occurredAt"], one["toState"], details)
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]
