"""The protocol over stdio: a client that starts `e2i-gateway mcp` itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from mcp import Client as McpClient
from mcp.client.stdio import StdioServerParameters, stdio_client

from db.engine.url import database_url
from tests.support.databases import Database

pytestmark = pytest.mark.slow


def command(database: Database, **settings: str) -> StdioServerParameters:
    url = database_url(database.gateway_url).render_as_string(hide_password=False)
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    e2i = str(Path(sys.executable).with_name("e2i-gateway"))
    return StdioServerParameters(command=e2i, args=["mcp"], env={**inherited, "DATABASE_URL": url, **settings})


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
