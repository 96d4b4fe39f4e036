"""``lineage``: what rows came from and what came of them, as an outline."""

from __future__ import annotations

from collections import Counter
from typing import Any

from db.base.lineage import LineageKind
from gateway.mcp import fences
from gateway.mcp.arguments import ToolArgument
from gateway.mcp.envelope import Envelope, ToolError
from gateway.mcp.operations import ToolCall
from gateway.mcp.rows import row_id
from gateway.mcp.toolbox import BYTES, MOST_BYTES, AgentTool, Toolbox
from schema.error_codes import ToolCode
from schema.lineage.answer import LineageAnswer, Link
from schema.lineage.text import outline
from schema.lineage.walk import WalkedNode

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
    frontier { node kind direction depth cursor }
  }
}"""
NODES = 200
"""Nodes of an outline; more of them no model reads."""
_TRIES = 6


async def _run(box: Toolbox, call: ToolCall, given: dict[str, Any]) -> Envelope:
    if given["types"]:
        box.check_types(given["types"])
    ids, warnings = [], []
    for text in given["ids"]:
        id_, warning = await row_id(box, call, "ids", text.strip())
        ids.append(id_)
        warnings += [warning] if warning else []
    variables = {
        "ids": ids, "direction": given["direction"], "depth": given["maxDepth"], "types": given["types"],
        "through": given["through"], "after": given["after"],
    }  # fmt: skip
    nodes, size, budget = NODES, 0, given["maxBytes"]
    for _ in range(_TRIES):
        answer = await box.operations.run(call, _DOCUMENT, variables | {"nodes": nodes})
        found = answer["data"]["lineage"]
        envelope = _envelope(found, given["maxDepth"])
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
    envelope = Envelope({"outline": text, "missing": found["missing"]}, complete=found["complete"])
    envelope.more = [
        {"path": f"{one['node']} {one['direction']} {one['kind']}", "after": one["cursor"]}
        for one in found["frontier"]
        if one["depth"] < depth  # at it there are edges alone, whose nodes lie beyond
    ]
    if not found["complete"]:
        envelope.warnings.append(f"Not complete: {found['reason']}")
    return fences.noted(envelope)


LINEAGE = AgentTool(
    "lineage",
    "What rows came from (UPSTREAM) and what came of them (DOWNSTREAM), as an outline.",
    (
        ToolArgument("ids", "strings", "such as Model:<uuid>", required=True, most=20),
        ToolArgument("direction", "string", default="BOTH", choices=("UPSTREAM", "DOWNSTREAM", "BOTH")),
        ToolArgument("maxDepth", "integer", default=3, least=0, most=100),
        ToolArgument("types", "strings", most=100),
        ToolArgument("through", "strings", "kinds of edges", most=100),
        ToolArgument("after", "strings", "cursors of more", most=1000),
        ToolArgument("maxBytes", "integer", default=BYTES, least=1_000, most=MOST_BYTES),
    ),
    _run,
)
