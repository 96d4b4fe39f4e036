"""The protocol over stdio: a client that starts `e2i-gateway mcp` itself."""

from __future__ import annotations

import pytest
from mcp import Client as McpClient
from mcp.client.stdio import stdio_client

from tests.support.agents import command
from tests.support.databases import Database

pytestmark = pytest.mark.slow


async def test_a_client_asks_over_stdio(module_database: Database) -> None:
    async with McpClient(stdio_client(command(module_database))) as client:
        tools = (await client.list_tools()).tools
        assert "query" in {tool.name for tool in tools}
        result = await client.call_tool("query", {"query": "{ tools { totalCount } }"})
        assert result.structured_content is not None
        assert result.structured_content["data"] == {"tools": {"totalCount": 13}}


async def test_the_caller_is_the_token_of_the_environment(module_database: Database) -> None:
    settings = {"GATEWAY_AUTH": "token", "GATEWAY_MCP_TOKEN": "e2i_unknown"}
    async with McpClient(stdio_client(command(module_database, **settings))) as client:
        result = await client.call_tool("query", {"query": "{ tools { totalCount } }"})
        assert result.is_error
        assert result.structured_content is not None
        assert result.structured_content["error"] == "UNAUTHENTICATED"
