"""Agents for tests: the tools of the gateway over HTTP, as clients of both eras of the protocol call them."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from mcp.client.stdio import StdioServerParameters

from db.engine.url import database_url
from tests.support.callers import token
from tests.support.client import Client
from tests.support.databases import Database

MODERN = "2026-07-28"
LEGACY = "2025-06-18"


class Agent:
    """Calls tools by one POST each."""

    def __init__(self, client: Client, era: str = MODERN, **headers: str) -> None:
        self.client = client
        self.era = era
        self._headers = headers
        self._ids = itertools.count(1)
        self.capabilities: dict[str, Any] = {}

    async def send(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """The response over HTTP to one message."""
        given = dict(params or {})
        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": self.era,
        }
        if self.era == MODERN:
            given["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": self.capabilities,
                "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
            }
            headers["mcp-method"] = method
            if isinstance(given.get("name"), str) and given["name"].isprintable() and given["name"].isascii():
                headers["mcp-name"] = given["name"]
            elif isinstance(given.get("uri"), str):
                headers["mcp-name"] = given["uri"]
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": given}
        return await self.client.http.post("/mcp", content=json.dumps(body), headers=headers | self._headers)

    async def result(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of a message that must have one."""
        response = await self.send(method, params)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The envelope of a call that must succeed."""
        result = await self.result("tools/call", {"name": tool, "arguments": arguments})
        assert not result.get("isError"), result["structuredContent"]
        envelope: dict[str, Any] = result["structuredContent"]
        assert json.loads(result["content"][0]["text"]) == envelope
        return envelope

    async def fails(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The failure of a call: an answer of the tool, in at most 150 tokens."""
        return failed(await self.result("tools/call", {"name": tool, "arguments": arguments}))


def promote(model: str, to: str = "STAGING", **input_: Any) -> dict[str, Any]:
    """A step of ``preview_change``."""
    return {"mutation": "promoteModel", "id": model, "input": {"to": to, **input_}}


def command(database: Database, **settings: str) -> StdioServerParameters:
    """How a client starts the gateway itself, on a database."""
    url = database_url(database.gateway_url).render_as_string(hide_password=False)
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    e2i = str(Path(sys.executable).with_name("e2i-gateway"))
    return StdioServerParameters(command=e2i, args=["mcp"], env={**inherited, "DATABASE_URL": url, **settings})


def failed(result: dict[str, Any]) -> dict[str, Any]:
    """What a failed call says."""
    assert result.get("isError") is True, result
    failure: dict[str, Any] = result["structuredContent"]
    text = result["content"][0]["text"]
    assert json.loads(text) == failure
    assert tokens(text) <= 150
    assert failure["error"]
    assert failure["errors"]
    assert all(one["message"] and one["try"] for one in failure["errors"])
    assert "Traceback" not in text
    return failure


_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


def tokens(text: str) -> int:
    """About how many tokens a text has: 26 for a UUID, 18 for a time, else one for four bytes.

    Within some 10 % of what ``o200k_base`` counts in answers, schema and instructions.
    """
    text, ids = _UUID.subn("", text)
    text, times = _TIME.subn("", text)
    return -(-len(text.encode()) // 4) + 26 * ids + 18 * times


# -- changes -----------------------------------------------------------------------------------------------------------


def asking(client: Client, *roles: str, **claims: Any) -> Agent:
    """An agent whose client can ask its person."""
    headers = {"authorization": f"Bearer {token(*roles, **claims)}"} if roles else {}
    made = Agent(client, **headers)
    made.capabilities = {"elicitation": {}}
    return made


async def previewed(agent: Agent, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    envelope = await agent.call("preview_change", steps=list(steps), **more)
    data: dict[str, Any] = envelope["data"]
    return data


async def apply(agent: Agent, preview: str, **more: Any) -> dict[str, Any]:
    """The result of one call, a question or an answer."""
    given = {"name": "apply_change", "arguments": {"previewId": preview}, **more}
    return await agent.result("tools/call", given)


async def asked(agent: Agent, preview: str) -> dict[str, Any]:
    """The question of a call that must put one."""
    result = await apply(agent, preview)
    assert result["resultType"] == "input_required", result
    return result


async def answer(agent: Agent, preview: str, question: dict[str, Any], action: str) -> dict[str, Any]:
    responses = {"confirm": {"action": action, **({"content": {}} if action == "accept" else {})}}
    return await apply(agent, preview, inputResponses=responses, requestState=question["requestState"])


async def confirmed(agent: Agent, preview: str) -> dict[str, Any]:
    """The result of a preview that a person confirms."""
    return await answer(agent, preview, await asked(agent, preview), "accept")
