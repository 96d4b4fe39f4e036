"""``query``: runs one GraphQL query."""

from __future__ import annotations

from typing import Any

from gateway.mcp.arguments import ToolArgument
from gateway.mcp.envelope import Envelope
from gateway.mcp.operations import ToolCall
from gateway.mcp.toolbox import BYTES, LEAST_BYTES, MOST_BYTES, AgentTool, Toolbox

MAX_BYTES = ToolArgument("maxBytes", "integer", default=BYTES, least=LEAST_BYTES, most=MOST_BYTES)


async def _run(box: Toolbox, call: ToolCall, given: dict[str, Any]) -> Envelope:
    return await box.ask(call, given["query"], given["variables"], given["maxBytes"], own=False)


QUERY = AgentTool(
    "query",
    "Run one GraphQL query, such as { monitoringAlerts(first: 5, where: {severity: {eq: HIGH}, createdAt: {gte: "
    '"now-7d"}}, orderBy: [{field: CREATED_AT, direction: DESC}]) { totalCount nodes { id title } '
    "aggregate(groupBy: [{field: STATUS}]) { group { status } count } } }. Rows beyond maxBytes are dropped; "
    "more tells the cursor.",
    (ToolArgument("query", "string", required=True), ToolArgument("variables", "object"), MAX_BYTES),
    _run,
)
