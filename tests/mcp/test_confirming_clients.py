"""Clients of both eras that ask their person: the SDK's own over HTTP and stdio, and what goes wrong in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest
from mcp import Client as McpClient
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitResult

from tests.support.agents import LEGACY, Agent, command, promote
from tests.support.callers import JWT, token
from tests.support.changing import events_of, model_in, state
from tests.support.databases import Database, connect
from tests.support.sockets import Listening, listening

pytestmark = pytest.mark.slow

Callback = Callable[[Any, Any], Awaitable[ElicitResult]]
ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])


@pytest.fixture(scope="module")
async def site(own: Database) -> AsyncIterator[Listening]:
    async with listening(own.gateway_url, mcp="change") as site:
        yield site


@pytest.fixture
async def sql(own: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(own.owner_url)
    yield connection
    await connection.close()


def url(site: Listening) -> str:
    return f"http://127.0.0.1:{site.port}/mcp"


def saying(action: Any, heard: list[str]) -> Callback:
    """A person who always says the same; ``heard`` gets the questions."""

    async def answer(_context: Any, params: Any) -> ElicitResult:
        heard.append(params.message)
        return ElicitResult(action=action, content={} if action == "accept" else None)

    return answer


async def previewed(client: McpClient, model: str) -> str:
    result = await client.call_tool("preview_change", {"steps": [promote(model)]})
    assert result.structured_content is not None
    id_: str = result.structured_content["data"]["previewId"]
    return id_


async def applied(client: McpClient, id_: str) -> dict[str, Any]:
    result = await client.call_tool("apply_change", {"previewId": id_})
    assert result.structured_content is not None
    values: dict[str, Any] = result.structured_content
    assert result.is_error is ("error" in values)
    return values


@ERAS
async def test_a_person_is_asked_over_http(site: Listening, sql: asyncpg.Connection, mode: Any) -> None:
    model, heard = await model_in(sql, "development"), []  # type: tuple[str, list[str]]
    transport = streamable_http_client(url(site))
    async with McpClient(transport, mode=mode, elicitation_callback=saying("accept", heard)) as client:
        id_ = await previewed(client, model)
        assert (await applied(client, id_))["data"]["replayed"] is False
        assert (await applied(client, id_))["error"] == "PREVIEW_USED"
        assert len((await client.list_tools()).tools) == 9
    assert len(heard) == 1
    assert f"({model}): stage DEVELOPMENT -> STAGING" in heard[0]
    assert await state(sql, model) == ("staging", False)


@ERAS
async def test_a_person_who_declines_over_http(site: Listening, sql: asyncpg.Connection, mode: Any) -> None:
    model, heard = await model_in(sql, "development"), []  # type: tuple[str, list[str]]
    transport = streamable_http_client(url(site))
    async with McpClient(transport, mode=mode, elicitation_callback=saying("decline", heard)) as client:
        id_ = await previewed(client, model)
        assert (await applied(client, id_))["error"] == "PREVIEW_DECLINED"
        assert (await applied(client, id_))["error"] == "PREVIEW_DECLINED"
    assert len(heard) == 1
    assert await state(sql, model) == ("development", False)


@ERAS
async def test_a_client_that_cannot_ask_over_http(site: Listening, sql: asyncpg.Connection, mode: Any) -> None:
    model = await model_in(sql, "development")
    async with McpClient(streamable_http_client(url(site)), mode=mode) as client:
        failure = await applied(client, await previewed(client, model))
    assert failure["error"] == "CONFIRMATION_NEEDED"
    assert "previews approve" in failure["errors"][0]["try"]


@ERAS
async def test_a_person_is_asked_over_stdio(own: Database, sql: asyncpg.Connection, mode: Any) -> None:
    model, heard = await model_in(sql, "development"), []  # type: tuple[str, list[str]]
    transport = stdio_client(command(own, GATEWAY_MCP="change"))
    async with McpClient(transport, mode=mode, elicitation_callback=saying("accept", heard)) as client:
        assert (await applied(client, await previewed(client, model)))["data"]["replayed"] is False
    assert len(heard) == 1
    assert await state(sql, model) == ("staging", False)


# -- what the SDK's client never does ----------------------------------------------------------------------------------


class Waiting:
    """A client of the era before, by hand: its session, and the calls that wait for an answer."""

    def __init__(self, site: Listening, http: httpx.AsyncClient, **headers: str) -> None:
        self._http = http
        self._url = url(site)
        self.headers = {
            "accept": "application/json, text/event-stream",
            "content-type": "application/json",
            "mcp-protocol-version": LEGACY,
            **headers,
        }

    async def begin(self) -> None:
        given = {
            "protocolVersion": LEGACY,
            "capabilities": {"elicitation": {}},
            "clientInfo": {"name": "by hand", "version": "1"},
        }
        self.headers["mcp-session-id"] = (await self.post("initialize", given)).headers["mcp-session-id"]

    def message(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}

    async def post(self, method: str, params: dict[str, Any]) -> httpx.Response:
        return await self._http.post(self._url, json=self.message(method, params), headers=self.headers)

    async def answer(self, id_: str, action: str) -> int:
        body = {"jsonrpc": "2.0", "id": id_, "result": {"action": action, "content": {}}}
        return (await self._http.post(self._url, json=body, headers=self.headers)).status_code

    async def preview(self, model: str) -> str:
        given = {"name": "preview_change", "arguments": {"steps": [promote(model)]}}
        content = (await self.post("tools/call", given)).json()["result"]["structuredContent"]
        id_: str = content["data"]["previewId"]
        return id_

    async def events(self, preview: str) -> AsyncIterator[dict[str, Any]]:
        """The messages on the stream of a call that applies a preview."""
        given = self.message("tools/call", {"name": "apply_change", "arguments": {"previewId": preview}})
        async with self._http.stream("POST", self._url, json=given, headers=self.headers) as response:
            assert response.headers["content-type"] == "text/event-stream"
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))


@pytest.fixture
async def waiting(site: Listening) -> AsyncIterator[Waiting]:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        made = Waiting(site, http)
        await made.begin()
        yield made


async def test_a_session_that_ends_while_its_person_decides_changes_nothing(
    waiting: Waiting, sql: asyncpg.Connection
) -> None:
    model = await model_in(sql, "development")
    id_ = await waiting.preview(model)
    events = waiting.events(id_)
    first = await anext(events)
    await events.aclose()  # type: ignore[attr-defined]  # the client is gone, its question with it
    assert first["method"] == "elicitation/create"
    assert await state(sql, model) == ("development", False)
    again = waiting.events(id_)
    second = await anext(again)
    assert await waiting.answer(first["id"], "accept") == 400
    assert await waiting.answer(second["id"], "accept") == 202
    assert await waiting.answer(second["id"], "accept") == 400
    result = (await anext(again))["result"]
    assert result["structuredContent"]["data"]["replayed"] is False
    await again.aclose()  # type: ignore[attr-defined]
    assert len(await events_of(sql, model)) == 1


async def test_the_answer_may_come_to_another_worker(waiting: Waiting, own: Database, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    async with listening(own.gateway_url, mcp="change") as other, httpx.AsyncClient(trust_env=False) as http:
        events = waiting.events(await waiting.preview(model))
        question = await anext(events)
        elsewhere = Waiting(other, http)
        elsewhere.headers = waiting.headers
        assert await elsewhere.answer(question["id"], "accept") == 202
        assert (await anext(events))["result"]["structuredContent"]["data"]["replayed"] is False
        await events.aclose()  # type: ignore[attr-defined]


async def test_two_callers_in_one_session_do_not_answer_for_each_other(own: Database, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    async with (
        listening(own.gateway_url, mcp="change", **JWT) as site,
        httpx.AsyncClient(trust_env=False, timeout=60) as http,
    ):
        ada = Waiting(site, http, authorization=f"Bearer {token('operator')}")
        await ada.begin()
        eve = Waiting(site, http, authorization=f"Bearer {token('admin', sub='eve')}")
        eve.headers["mcp-session-id"] = ada.headers["mcp-session-id"]
        id_ = await ada.preview(model)
        events = ada.events(id_)
        question = await anext(events)
        assert await eve.answer(question["id"], "accept") == 400
        given = {"name": "apply_change", "arguments": {"previewId": id_}}
        refused = (await eve.post("tools/call", given)).json()["result"]
        assert refused["structuredContent"]["error"] == "PREVIEW_NOT_FOUND"
        assert await ada.answer(question["id"], "decline") == 202
        assert (await anext(events))["result"]["structuredContent"]["error"] == "PREVIEW_DECLINED"
        await events.aclose()  # type: ignore[attr-defined]
    assert await state(sql, model) == ("development", False)


@pytest.mark.parametrize("id_", ["", "made up", "\x00", 7, None, ["x"]])
async def test_an_answer_to_no_question_is_refused(waiting: Waiting, id_: Any) -> None:
    assert await waiting.answer(id_, "accept") == 400


async def test_a_session_says_only_whether_its_client_can_ask(site: Listening) -> None:
    """Whoever has no session, or one that nobody gave, is answered all the same."""
    agent = Agent(site.client, LEGACY)
    assert (await agent.result("tools/list"))["tools"]
    response = await agent.send("initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {
        "name": "old", "version": "1"}})  # fmt: skip
    assert "mcp-session-id" not in response.headers
    invented = Agent(site.client, LEGACY, **{"mcp-session-id": "asks-invented"})
    assert (await invented.result("tools/list"))["tools"]


@pytest.mark.parametrize("era", ["2026-07-28", LEGACY])
async def test_a_client_that_leaves_ends_its_statement(own: Database, sql: asyncpg.Connection, era: str) -> None:
    """What a tool runs for nobody is cancelled, and with it the statement that Postgres is at work on."""
    at_work = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'tool_registry'::regclass"
    async with listening(own.gateway_url, request_timeout=60, lock_timeout=60, statement_timeout=60) as site:
        transaction = sql.transaction()
        await transaction.start()
        await sql.execute("LOCK TABLE tool_registry IN ACCESS EXCLUSIVE MODE")
        asking = asyncio.create_task(Agent(site.client, era).call("query", query="{ tools { totalCount } }"))
        await becomes(sql, at_work, 1)
        asking.cancel()
        await asyncio.wait([asking])
        await becomes(sql, at_work, 0)
        await transaction.rollback()
        assert (await Agent(site.client, era).call("query", query="{ tools { totalCount } }"))["complete"] is True


async def becomes(sql: asyncpg.Connection, query: str, count: int) -> None:
    async with asyncio.timeout(30):
        while await sql.fetchval(query) != count:  # noqa: ASYNC110 - Postgres tells nobody
            await asyncio.sleep(0.02)


async def test_a_question_that_is_put_anew_is_waited_for_no_longer(waiting: Waiting, sql: asyncpg.Connection) -> None:
    """Else a caller could have any number of calls wait, each of which looks for its answer again and again."""
    model = await model_in(sql, "development")
    id_ = await waiting.preview(model)
    former, latter = waiting.events(id_), waiting.events(id_)
    for events in (former, latter):
        assert (await anext(events))["method"] == "elicitation/create"
    assert (await anext(former))["result"]["structuredContent"]["error"] == "CONFIRMATION_NEEDED"
    await sql.execute("UPDATE gateway.change_previews SET expires_at = now() WHERE preview_id = $1", id_)
    assert (await anext(latter))["result"]["structuredContent"]["error"] == "CONFIRMATION_NEEDED"
    for events in (former, latter):
        await events.aclose()  # type: ignore[attr-defined]
    assert await state(sql, model) == ("development", False)
