"""All tools, in their public order."""

from __future__ import annotations

from gateway.mcp.toolbox import AgentTool
from gateway.mcp.tools.answer import ANSWER
from gateway.mcp.tools.change import APPLY_CHANGE, PREVIEW_CHANGE
from gateway.mcp.tools.describe import DESCRIBE_TYPE, FIND_FIELDS
from gateway.mcp.tools.find import FIND, SIMILAR
from gateway.mcp.tools.lineage import LINEAGE
from gateway.mcp.tools.query import QUERY

TOOLS: tuple[AgentTool, ...] = (
    ANSWER, FIND_FIELDS, DESCRIBE_TYPE, QUERY, FIND, SIMILAR, LINEAGE, PREVIEW_CHANGE, APPLY_CHANGE,
)  # fmt: skip
