"""The protocol over HTTP: who may ask, by which name and from which page, and what is said to those who may not."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest
from starlette.types import Scope

from gateway.cli.mcp import demo_size
from gateway.mcp.single_exchange import ToolRequest, read_call
from gateway.settings import Settings, SettingsError, load
from tests.support.agents import LEGACY, MODERN, Agent, failed
from tests.support.callers import JWT, calling, token
from tests.support.client import Client, serving
from tests.support.databases import Database
from tests.support.sockets import listening

pytestmark = pytest.mark.slow

URL = "http://localhost/mcp"
NODES = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
MODELS = "{ models(first: 1) { nodes { id } } }"


@pytest.fixture(scope="module")
async def guarded(module_database: Database) -> AsyncIterator[Client]:
    settings = {"jwt_issuer": "https://auth.example", "mcp_url": URL, "jwt_audience": ("authenticated", URL)}
    async with serving(module_database.gateway_url, **JWT, **settings) as served:
        yield served


@pytest.fixture(scope="module")
async def client(module_database: Database) -> AsyncIterator[Client]:
    async with serving(module_database.gateway_url, cors_origins="https://lab.example") as served:
        yield served


async def test_the_first_clients_wait_for_one_opening(module_database: Database) -> None:
    """Also where one of them goes away meanwhile."""
    async with serving(module_database.gateway_url) as served:
        asking = [asyncio.create_task(Agent(served).send("tools/list")) for _ in range(3)]
        await asyncio.sleep(0)
        asking[0].cancel()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        for answer in answers[1:]:
            assert not isinstance(answer, BaseException)
            assert answer.status_code == 200


async def test_space_around_headers_is_no_part_of_them(client: Client) -> None:
    agent = Agent(client, **{"mcp-method": "  tools/list \t"})
    assert (await agent.send("tools/list")).status_code == 200


async def test_an_unknown_resource_is_named_in_the_error(client: Client) -> None:
    answer = (await Agent(client).send("resources/read", {"uri": "e2i://nothing"})).json()
    assert answer["error"]["code"] == -32602
    assert answer["error"]["data"] == {"uri": "e2i://nothing"}


def bearer(*roles: str, aud: object = URL, **claims: object) -> str:
    return f"Bearer {token(*roles, aud=aud, iss='https://auth.example', **claims)}"


@pytest.mark.parametrize("era", [MODERN, LEGACY])
async def test_without_a_credential_clients_learn_where_tokens_come_from(guarded: Client, era: str) -> None:
    response = await Agent(guarded, era).send("tools/call", {"name": "query", "arguments": {"query": MODELS}})
    assert response.status_code == 401
    challenge = response.headers["www-authenticate"]
    assert 'resource_metadata="http://localhost/.well-known/oauth-protected-resource/mcp"' in challenge
    metadata = await guarded.http.get("/.well-known/oauth-protected-resource/mcp")
    assert metadata.json()["resource"] == URL
    assert metadata.json()["authorization_servers"] == ["https://auth.example"]


async def test_a_token_of_another_resource_is_refused(guarded: Client) -> None:
    agent = Agent(guarded, authorization=bearer("viewer", aud="authenticated"))
    response = await agent.send("tools/list")
    assert response.status_code == 401
    assert "another resource" in response.text
    over_graphql = calling(guarded, token("viewer", iss="https://auth.example"))
    assert (await over_graphql.ask(MODELS))["data"]
    await over_graphql.http.aclose()


async def test_the_caller_is_of_each_request(guarded: Client) -> None:
    """Two callers in what one of them began: each reads what is his, whatever session the messages name."""
    reader = Agent(guarded, LEGACY, authorization=bearer("viewer"), **{"mcp-session-id": "shared"})
    nobody = Agent(guarded, LEGACY, authorization=bearer(), **{"mcp-session-id": "shared"})
    assert (await reader.call("query", query=MODELS))["complete"] is True
    assert (await nobody.fails("query", query=MODELS))["error"] == "FORBIDDEN_FIELD"
    assert (await reader.call("query", query=MODELS))["complete"] is True


async def test_the_log_counts_tools_as_everyone(client: Client) -> None:
    before = client.app.state.metrics.statements
    await Agent(client).call("query", query=MODELS)
    assert client.app.state.metrics.statements == before + 1


async def test_pages_of_other_sites_may_not_ask(client: Client) -> None:
    refused = await Agent(client, origin="https://evil.example").send("tools/list")
    assert refused.status_code == 403
    allowed = await Agent(client, origin="https://lab.example").send("tools/list")
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://lab.example"
    own = await Agent(client, origin="http://localhost").send("tools/list")
    assert own.status_code == 200


async def test_another_name_of_the_server_is_refused(client: Client) -> None:
    response = await Agent(client, host="evil.example").send("tools/list")
    assert response.status_code == 421


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_there_is_no_stream_and_no_session(client: Client, method: str) -> None:
    response = await client.http.request(method, "/mcp", headers={"accept": "text/event-stream"})
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


async def test_a_session_that_nobody_knows_changes_nothing(client: Client) -> None:
    """A legacy client whose server was restarted in between goes on: each request stands for itself."""
    agent = Agent(client, LEGACY, **{"mcp-session-id": "of another worker"})
    assert (await agent.result("tools/list"))["tools"]


async def test_both_eras_introduce_the_server(client: Client) -> None:
    legacy = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "old", "version": "1"}}
    begun = await Agent(client, LEGACY).result("initialize", legacy)
    assert begun["protocolVersion"] == LEGACY
    discovered = await Agent(client).result("server/discover")
    assert MODERN in discovered["supportedVersions"]
    assert begun["instructions"] == discovered["instructions"]
    assert len(begun["instructions"].encode()) <= 4 * 500


async def test_off_means_off(module_database: Database) -> None:
    async with serving(module_database.gateway_url, mcp="off") as served:
        response = await served.http.post("/mcp", json={})
        assert response.status_code == 404


def test_an_audience_that_no_token_can_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_AUTH", "jwt")
    monkeypatch.setenv("GATEWAY_JWT_SECRET", "x" * 32)
    monkeypatch.setenv("GATEWAY_MCP_URL", URL)
    with pytest.raises(SettingsError, match="GATEWAY_JWT_AUDIENCE"):
        load()
    with pytest.raises(ValueError, match="such as https"):
        Settings(mcp_url="mcp")


@pytest.mark.parametrize("era", [MODERN, LEGACY])
@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("nothing", {}, "no tool"),
        ("Query", {"query": MODELS}, "no tool"),
        ("query", {}, "query is missing"),
        ("query", {"query": 7}, "query is a number"),
        ("query", {"query": MODELS, "limit": 3}, "no argument 'limit'"),
        ("query", {"query": MODELS, "variables": []}, "variables is a list"),
        ("query", {"query": MODELS, "maxBytes": 10}, "maxBytes is 10, out of range"),
        ("query", {"query": MODELS, "maxBytes": True}, "maxBytes is true or false"),
        ("query", {"query": ""}, "empty"),
        ("query", {"query": "{"}, "Syntax Error"),
        ("query", {"query": "{ " + "a " * 2001 + "}"}, "more than 2000 tokens"),
        ("query", {"query": "{a" * 900 + "}" * 900}, "nested too deeply"),
        ("query", {"query": "{ models { nodes { nam } } }"}, "Cannot query field 'nam'"),
        ("query", {"query": 'mutation { promoteModel(input: {id: "x"}) { ok } }'}, "runs no mutation"),
        ("query", {"query": "subscription { alertRaised { id } }"}, "runs no subscription"),
        ("query", {"query": "{ __schema { types { name } } }"}, "does not show the schema"),
        ("query", {"query": '{ ...on Query { x: __type(name: "Model") { name } } }'}, "does not show the schema"),
        ("query", {"query": "query A { models { totalCount } } query B { models { totalCount } }"}, "2 operations"),
        ("query", {"query": "fragment F on Model { id }"}, "0 operations"),
        ("query", {"query": "query($n: Int!) { models(first: $n) { totalCount } }", "variables": {"n": "x"}}, "n"),
        ("query", {"query": "query($n: Int) { models(first: $n) { totalCount } }", "variables": {"n": 10**400}}, "n"),
        ("lineage", {"ids": ["Model:x"] * 10_000}, "ids has 10,000 values"),
        ("query", {"query": NODES, "variables": {"ids": ["Model:x"] * 10_000}}, "too many values"),
        ("answer", {"question": "tool_chain", "args": {"tools": ["x"] * 10_000}}, "too many"),
        ("describe_type", {"names": ["Model"] * 10_000}, "names has 10,000 values"),
        ("lineage", {"ids": []}, "empty"),
        ("lineage", {"ids": [7]}, "something else than texts"),
        ("lineage", {"ids": ["nonsense"]}, "nonsense"),
        ("lineage", {"ids": ["Model:x"], "direction": "SIDEWAYS"}, "direction is none of its values"),
        ("lineage", {"ids": ["Model:x"], "through": ["nothing"]}, "nothing"),
        ("find", {"text": "x" * 301}, "text has 301 characters"),
        ("find", {"text": "a\u0000b"}, "NUL"),
        ("find", {"text": "a", "types": ["Modell"]}, "no type 'Modell'"),
        ("find", {"text": "a", "first": 51}, "first is 51"),
        ("similar", {"kind": "episodes"}, "exactly one"),
        ("similar", {"kind": "people", "text": "a"}, "none of its values"),
        ("similar", {"kind": "episodes", "id": "nonsense"}, "nonsense"),
        ("describe_type", {"names": ["Modle"]}, "no type 'Modle'"),
        ("describe_type", {"names": ["__Schema"]}, "no type"),
        ("describe_type", {"names": ["Model"], "fields": ["nam"]}, "no field 'nam'"),
        ("find_fields", {"text": "x", "type": "Nothing"}, "no type"),
    ],
)
async def test_bad_input_is_an_answer_that_says_what_to_try(
    client: Client, era: str, tool: str, arguments: dict[str, object], said: str
) -> None:
    failure = await Agent(client, era).fails(tool, **arguments)
    assert said in json.dumps(failure)


@pytest.mark.parametrize("era", [MODERN, LEGACY])
@pytest.mark.parametrize("arguments", [[], "query", 7, True])
async def test_arguments_that_are_no_object_are_no_error_of_the_protocol(
    client: Client, era: str, arguments: object
) -> None:
    result = await Agent(client, era).result("tools/call", {"name": "query", "arguments": arguments})
    assert "no object" in failed(result)["errors"][0]["message"]


CALLING = {"name": "describe_type", "arguments": {"names": ["Tool"]}}


@pytest.mark.parametrize(
    ("message", "headers", "is_own"),
    [
        ({"id": 1, "method": "tools/call", "params": CALLING}, {}, True),
        ({"id": "a", "method": "tools/call", "params": {**CALLING, "_meta": {"progressToken": 1}}}, {}, True),
        ({"id": 1, "method": "tools/call", "params": {"name": "query", "arguments": {"query": "{"}}}, {}, True),
        ({"id": 1, "method": "tools/call", "params": {"name": 7}}, {}, True),
        ({"id": 1, "method": "tools/call", "params": {"arguments": {}}}, {}, True),
        ({"id": 1, "method": "tools/call", "params": {**CALLING, "_meta": 7}}, {}, True),
        ({"id": 1, "method": "tools/call", "params": CALLING}, {"mcp-protocol-version": None}, True),
        ({"id": 1, "method": "tools/call", "params": CALLING}, {"accept": "text/event-stream"}, False),
        ({"id": 1, "method": "tools/call", "params": CALLING}, {"content-type": "text/plain"}, False),
        ({"id": True, "method": "tools/call", "params": CALLING}, {}, False),
        ({"id": None, "method": "tools/call", "params": CALLING}, {}, False),
        ({"id": 1.5, "method": "tools/call", "params": CALLING}, {}, False),
        ({"method": "tools/call", "params": CALLING}, {}, False),
        ({"id": 1, "method": "tools/call"}, {}, False),
        ({"id": 1, "method": "tools/call", "params": []}, {}, False),
        ({"id": 1, "method": "ping", "params": {"name": "tools/call"}}, {}, False),
        ({"jsonrpc": "1.0", "id": 1, "method": "tools/call", "params": CALLING}, {}, False),
    ],
)
async def test_a_call_of_the_old_era_is_answered_as_the_sdk_answers_it(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    *,
    message: dict[str, object],
    headers: dict[str, str],
    is_own: bool,
) -> None:
    """Without the transport that the SDK makes for each of them; what is no plain call is left to it."""
    own = []

    def read(scope: Scope, body: bytes) -> ToolRequest | None:
        own.append(found := read_call(scope, body))
        return found

    given = {"content-type": "application/json", "accept": "application/json", "mcp-protocol-version": LEGACY}
    sent = {name: value for name, value in {**given, **headers}.items() if value is not None}
    body = json.dumps({"jsonrpc": "2.0", **message})
    answers = []
    for reader in (read, lambda _scope, _body: None):
        monkeypatch.setattr("gateway.mcp.endpoint.read_call", reader)
        response = await client.http.post("/mcp", content=body, headers=sent)
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "now", response.text)
        kind = response.headers.get("content-type", "").partition(";")[0]
        answers.append((response.status_code, kind, json.loads(text) if kind == "application/json" and text else text))
    assert [one is not None for one in own] == [is_own]
    assert answers[0] == answers[1]


async def test_a_body_that_is_too_large_is_refused(client: Client) -> None:
    agent = Agent(client)
    large = "#" * (client.app.state.mcp.box.settings.max_body_bytes + 1)
    response = await agent.send("tools/call", {"name": "query", "arguments": {"query": large}})
    assert response.status_code == 413


@pytest.mark.parametrize("era", [MODERN, LEGACY])
async def test_a_body_that_does_not_come_is_not_waited_for(module_database: Database, era: str) -> None:
    """Byte by byte, so that the connection is never quiet."""
    head = (
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"accept: application/json, text/event-stream\r\nmcp-protocol-version: {era}\r\ncontent-length: 5000\r\n\r\n"
    )
    async with listening(module_database.gateway_url, request_timeout=0.5) as site:
        reader, writer = await site.connect()
        writer.write(head.encode())
        answering = asyncio.create_task(reader.read())
        for _ in range(4_000):
            if answering.done():
                break
            writer.write(b" ")
            await asyncio.sleep(0.01)
        assert answering.done()
        found = await answering
        writer.close()
    assert found.startswith(b"HTTP/1.1 408")
    assert b"REQUEST_TIMEOUT" in found


async def test_without_introspection_the_schema_is_not_shown(module_database: Database) -> None:
    async with serving(module_database.gateway_url, introspection=False) as served:
        agent = Agent(served)
        listed = {tool["name"] for tool in (await agent.result("tools/list"))["tools"]}
        assert listed == {"answer", "query", "find", "similar", "lineage"}
        for name, arguments in (("describe_type", {"names": ["Model"]}), ("find_fields", {"text": "error rate"})):
            told = json.dumps(failed(await agent.result("tools/call", {"name": name, "arguments": arguments})))
            assert "There is no tool" in told
        wrong = await agent.result("tools/call", {"name": "find", "arguments": {"text": "x", "types": ["Modl"]}})
        assert "Model" not in json.dumps(failed(wrong))
        assert (await agent.result("resources/list"))["resources"] == []
        assert (await agent.result("resources/templates/list"))["resourceTemplates"] == []
        assert (await agent.call("query", query="{ tools(first: 1) { totalCount } }"))["complete"] is True


@pytest.mark.parametrize(
    ("given", "settings", "size"),
    [
        (None, {}, "small"),
        ("large", {}, "large"),
        (None, {"demo": "off"}, "off"),
        (None, {"demo": "large"}, "large"),
        ("small", {"demo": "off"}, "small"),
    ],
)
def test_over_stdio_an_empty_embedded_database_is_the_demo_unless_said(
    given: str | None, settings: dict[str, str], size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GATEWAY_DEMO", raising=False)
    assert demo_size(argparse.Namespace(demo=given), Settings(**settings)) == size
