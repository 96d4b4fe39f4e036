"""``lineage``: upstream and downstream rows, as an outline."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

from db.base.lineage import LineageKind
from db.base.markers import RowNature
from db.base.recording import recordables
from gateway.mcp import fences
from gateway.mcp.arguments import ToolArgument, spelt
from gateway.mcp.envelope import Envelope, ToolError
from gateway.mcp.operations import ToolCall
from gateway.mcp.rows import row_id
from gateway.mcp.toolbox import BYTES, MOST_BYTES, AgentTool, Toolbox
from schema.error_codes import ToolCode
from schema.lineage.answer import LineageAnswer, Link
from schema.lineage.edges import edges
from schema.lineage.text import outline
from schema.lineage.walk import WalkedNode
from schema.names.shapes import listed
from schema.names.words import closest

_DOCUMENT = """query Lineage(
  $ids: [ID!]!, $direction: LineageDirection!, $depth: Int!, $types: [String!], $through: [LineageKind!],
  $after: [String!], $nodes: Int!
) {
  lineage(from: $ids, direction: $direction, maxDepth: $depth, types: $types, through: $through, after: $after,
    maxNodes: $nodes) {
    nodes { nodeId type label state depth }
    edges { from to kind closesCycle }
    complete reason asOf missing
    omitted { type count }
    frontier { node kind type direction depth cursor }
  }
}"""
_COUNTS = """query Counts($ids: [ID!]!, $direction: LineageDirection!) {
  lineage(from: $ids, direction: $direction, maxDepth: 0) { frontier { kind type remaining capped } }
}"""
_MANY = 1_000
"""Nodes that are walked if facts are omitted: omitted ones take no room."""
NODES = 200
"""Nodes of an outline."""
_TRIES = 6


async def _run(box: Toolbox, call: ToolCall, given: dict[str, Any]) -> Envelope:
    if given["types"]:
        box.check_types(given["types"])
    ids, warnings = [], []
    for text in given["ids"]:
        id_, warning = await row_id(box, call, "ids", text.strip())
        ids.append(id_)
        warnings += [warning] if warning else []
    through = _kinds(given["through"])
    facts = _facts() - {id_.partition(":")[0] for id_ in ids}
    counted = not (given["types"] or through)
    types = sorted(set(edges().types) - facts) if counted else given["types"]
    variables = {
        "ids": ids, "direction": given["direction"], "depth": given["maxDepth"], "types": types,
        "through": through, "after": given["after"],
    }  # fmt: skip
    if (given["types"] or through) and not given["after"]:  # part of the first page
        warnings.append(f"Restricted to {listed([*(given['types'] or ()), *(through or ())], 6)}: there may be others.")
    counts: list[dict[str, Any]] = []
    if counted and not given["after"]:
        answer = await box.operations.run(call, _COUNTS, {"ids": ids, "direction": given["direction"]})
        counts = [one for one in answer["data"]["lineage"]["frontier"] if one["type"] in facts and one["remaining"]]
    nodes, size, budget = _MANY if counted else NODES, 0, given["maxBytes"]
    for _ in range(_TRIES):
        answer = await box.operations.run(call, _DOCUMENT, variables | {"nodes": nodes})
        found = answer["data"]["lineage"]
        if counted:
            _without(found, facts, counts)
        envelope = _envelope(found, given["maxDepth"])
        envelope.warnings[:0] = warnings
        size = envelope.size()
        if size <= budget:
            return envelope
        if nodes == 1:
            break
        nodes = max(1, min(len(found["nodes"]) - 1, int(len(found["nodes"]) * budget / size * 0.85)))
    message = f"The least outline has {size:,} bytes."
    raise ToolError(
        ToolCode.ROW_TOO_LARGE, message, f"Pass fewer ids or cursors, or maxBytes {min(size + 200, MOST_BYTES)}."
    )


@cache
def _facts() -> frozenset[str]:
    """The types of mass data: spans, metrics, drift records and the like."""
    return frozenset(one.__name__ for one, declared in recordables() if declared.nature is RowNature.FACT)


def _kinds(given: list[str] | None) -> list[str] | None:
    """Kinds of edges in any spelling: as in the outline, or as in the schema.

    Raises:
        ToolError: One is not a kind.
    """
    names = [kind.name for kind in LineageKind]
    found = []
    for text in given or ():
        name = spelt(text, names) or closest(text, names)
        if name is None:
            message = f"through: {text[:40]!r} is no kind of edge."
            raise ToolError(ToolCode.BAD_ARGUMENT, message, f"There are {listed(names, 40)}.")
        found.append(name)
    return found or None


def _without(found: dict[str, Any], facts: frozenset[str], counts: list[dict[str, Any]]) -> None:
    """Removes facts from a result, and replaces them by counts."""
    found["frontier"] = [one for one in found["frontier"] if one["type"] not in facts]
    if not counts and not found["frontier"] and not found["missing"]:
        return
    if not found["frontier"]:
        found["reason"] = "facts are counted alone"
    found["complete"] = False
    found["counts"] = counts


def _envelope(found: dict[str, Any], depth: int) -> Envelope:
    made = LineageAnswer(
        [
            WalkedNode(one["nodeId"], one["type"], (), fences.label(one["label"]), one["state"], one["depth"])
            for one in found["nodes"]
        ],
        {Link(one["from"], one["to"], LineageKind[one["kind"]]): one["closesCycle"] for one in found["edges"]},
        [],
        Counter({one["type"]: one["count"] for one in found["omitted"]}),
    )
    head = f"{len(made.nodes)} nodes; -> leads downstream, <- upstream, = to a node that stands elsewhere"
    text = outline(made, head, "complete" if found["complete"] else f"NOT COMPLETE: {found['reason']}")
    counts = found.get("counts", ())
    if counts:
        text += "".join(f"\ncounted: {_number(one)} {one['type']} by {one['kind']}" for one in counts)
    envelope = Envelope({"outline": text, "missing": found["missing"]}, complete=found["complete"])
    envelope.more = [
        {"path": f"{one['node']} {one['direction']} {one['kind']}", "after": one["cursor"]}
        for one in found["frontier"]
        if one["depth"] < depth  # at this depth there are edges alone, whose nodes are not shown
    ]
    envelope.more += [{"path": one["kind"], "of": one["remaining"], "types": [one["type"]]} for one in counts]
    if counts:
        envelope.warnings.append("Facts of the ids are counted, not listed: pass the types of more, or through.")
    if not found["complete"]:
        envelope.warnings.append(f"Not complete: {found['reason']}")
    return fences.noted(envelope)


def _number(count: dict[str, Any]) -> str:
    return f"{count['remaining']:,}{' or more' if count['capped'] else ''}"


LINEAGE = AgentTool(
    "lineage",
    "What rows came from (UPSTREAM) and what came of them (DOWNSTREAM), as an outline; spans, metrics and other facts "
    "as counts unless types or through ask for them.",
    (
        ToolArgument("ids", "strings", "such as Model:<uuid>", required=True, most=20),
        ToolArgument("direction", "string", default="BOTH", choices=("UPSTREAM", "DOWNSTREAM", "BOTH")),
        ToolArgument("maxDepth", "integer", default=3, least=0, most=100),
        ToolArgument("types", "strings", most=100),
        ToolArgument("through", "strings", "such as served by", most=100),
        ToolArgument("after", "strings", "cursors of more", most=1000),
        ToolArgument("maxBytes", "integer", default=BYTES, least=1_000, most=MOST_BYTES),
    ),
    _run,
)
