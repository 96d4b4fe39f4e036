"""Server-sent events: the protocol of graphql-sse, with the cursors, rights and limits of the socket."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest

from gateway.server.http_protocol import ClientConnection
from tests.support.callers import JWT, token
from tests.support.client import same
from tests.support.databases import Database, connect
from tests.support.sockets import TIMEOUT, Listening, listening, peer, until

EVENTS = {"accept": "text/event-stream"}
QUERY = "{ models(first: 3) { nodes { id modelName } } }"
SUBSCRIPTION = "subscription($after: String) { lifecycleEvents(after: $after) { cursor event { reason } } }"


class Stream:
    """An open stream of events."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def hear(self) -> tuple[str, Any] | None:
        """The next event with its data; None at the end."""
        kind, data = "", []
        async with asyncio.timeout(TIMEOUT):
            async for line in self._lines:
                name, _, value = line.partition(":")
                if not line and kind:
                    text = "\n".join(data)
                    return kind, json.loads(text) if text else None
                if name == "event":
                    kind = value.strip()
                elif name == "data":
                    data.append(value.strip())
        return None


@asynccontextmanager
async def streaming(
    gateway: Listening, query: str, headers: dict[str, str] | None = None, **variables: Any
) -> AsyncIterator[Stream]:
    body = {"query": query, "variables": variables}
    async with gateway.http.stream("POST", "/graphql", json=body, headers=EVENTS | (headers or {})) as response:
        yield Stream(response)


async def told(stream: Stream, name: str = "lifecycleEvents") -> dict[str, Any]:
    """The change of the next event."""
    heard = await stream.hear()
    assert heard is not None
    kind, body = heard
    assert kind == "next"
    assert "errors" not in body, body
    change: dict[str, Any] = body["data"][name]
    return change


async def code_of(stream: Stream) -> str:
    """The code of a stream that is one event of errors."""
    heard = await stream.hear()
    assert heard is not None
    kind, body = heard
    assert kind == "next"
    assert await stream.hear() == ("complete", None)
    assert await stream.hear() is None
    (error,) = body["errors"]
    return str(error["extensions"]["code"])


async def happen(sql: asyncpg.Connection, reason: str) -> None:
    await sql.execute(
        "INSERT INTO gateway.lifecycle_events "
        "(change_id, mutation, lifecycle, actor, reason, node_id, node_type, to_state) "
        "VALUES (gen_random_uuid(), 'promoteModel', 'stage', 'a', $1, 'Model:x', 'Model', 'PRODUCTION')",
        reason,
    )


@pytest.fixture(scope="module")
async def gateway(module_database: Database) -> AsyncIterator[Listening]:
    async with listening(module_database.gateway_url) as one:
        yield one


@pytest.fixture
async def sql(module_database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(module_database.admin_url)
    yield connection
    await connection.close()


async def test_a_query_is_one_event_and_the_completion(gateway: Listening) -> None:
    over_http = await gateway.client.ask(QUERY)
    async with streaming(gateway, QUERY) as stream:
        assert stream.response.headers["content-type"] == "text/event-stream"
        assert stream.response.headers["cache-control"] == "no-store"
        heard = await stream.hear()
        assert heard is not None
        assert heard[0] == "next"
        assert same(heard[1], over_http)
        assert await stream.hear() == ("complete", None)
        assert await stream.hear() is None


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ('subscription { lifecycleEvents(after: "x") { cursor } }', "INVALID_CURSOR"),
        ("subscription { lifecycleEvents(types: []) { cursor } }", "BAD_USER_INPUT"),
    ],
)
async def test_what_is_wrong_with_an_operation_is_an_event(gateway: Listening, query: str, code: str) -> None:
    async with streaming(gateway, query) as stream:
        assert stream.response.status_code == 200
        assert await code_of(stream) == code


async def test_a_filter_has_at_most_a_hundred_values(gateway: Listening, sql: asyncpg.Connection) -> None:
    query = "subscription($to: [String!]) { lifecycleEvents(to: $to) { event { reason } } }"
    async with streaming(gateway, query, to=["PRODUCTION"] * 100) as stream:
        assert (await told(stream))["event"] is None
        await happen(sql, "one of a hundred")
        assert (await told(stream))["event"]["reason"] == "one of a hundred"
    async with streaming(gateway, query, to=["PRODUCTION"] * 101) as stream:
        assert await code_of(stream) == "BAD_USER_INPUT"


async def test_what_is_wrong_with_a_request_has_its_status(gateway: Listening) -> None:
    batch = await gateway.http.post("/graphql", json=[], headers=EVENTS)
    assert (batch.status_code, batch.headers["content-type"]) == (
        400,
        "application/graphql-response+json; charset=utf-8",
    )
    change = {"query": "mutation { __typename }"}
    assert (await gateway.http.get("/graphql", params=change, headers=EVENTS)).status_code == 405
    wrong = await gateway.http.post("/graphql", json={"query": QUERY}, headers={"accept": "text/html"})
    assert wrong.status_code == 406
    assert "text/event-stream" in wrong.json()["errors"][0]["message"]
    plain = await gateway.client.error("subscription { lifecycleEvents { cursor } }")
    assert "Accept: text/event-stream" in plain["message"]


async def test_changes_are_followed_and_resumed_by_the_socket_as_well(
    gateway: Listening, sql: asyncpg.Connection
) -> None:
    async with streaming(gateway, SUBSCRIPTION) as stream:
        begun = await told(stream)
        assert begun["event"] is None
        await happen(sql, "one")
        one = await told(stream)
        assert one["event"]["reason"] == "one"
    await until(lambda: gateway.feed.subscribers == 0)
    await happen(sql, "two")
    async with peer(gateway) as socket:
        id_ = await socket.subscribe(SUBSCRIPTION, after=one["cursor"])
        assert (await socket.payload(id_))["data"]["lifecycleEvents"]["event"]["reason"] == "two"
    async with streaming(gateway, SUBSCRIPTION, after=begun["cursor"]) as again:
        assert [(await told(again))["event"]["reason"] for _ in range(2)] == ["one", "two"]


async def test_who_begins_after_a_change_is_not_told_of_it(gateway: Listening, sql: asyncpg.Connection) -> None:
    """Messages of equal subscriptions are read once, and the position after a change has the cursor of the change."""
    async with streaming(gateway, SUBSCRIPTION) as stream, streaming(gateway, SUBSCRIPTION) as other:
        for one in (stream, other):
            assert (await told(one))["event"] is None
        await happen(sql, "before")
        change = await told(stream)
        async with streaming(gateway, SUBSCRIPTION) as later:
            assert await told(later) == {"cursor": change["cursor"], "event": None}
        assert await told(other) == change
        assert change["event"] == {"reason": "before"}


async def test_an_event_source_asks_by_get(gateway: Listening, sql: asyncpg.Connection) -> None:
    async with gateway.http.stream("GET", "/graphql", params={"query": SUBSCRIPTION}, headers=EVENTS) as response:
        stream = Stream(response)
        assert (await told(stream))["event"] is None
        await happen(sql, "by get")
        assert (await told(stream))["event"]["reason"] == "by get"


async def test_comments_keep_an_idle_stream_open(module_database: Database) -> None:
    async with (
        listening(module_database.gateway_url, ws_ping=0.05) as gateway,
        streaming(gateway, SUBSCRIPTION) as stream,
        asyncio.timeout(TIMEOUT),
    ):
        parts, heard = stream.response.aiter_raw(), b""
        while heard.count(b":\n\n") < 4:
            heard += await anext(parts)


async def test_as_many_as_may_be(module_database: Database) -> None:
    async with listening(module_database.gateway_url, ws_sockets=1) as gateway:
        async with streaming(gateway, SUBSCRIPTION) as stream:
            await told(stream)
            refused = await gateway.http.post("/graphql", json={"query": SUBSCRIPTION}, headers=EVENTS)
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"
            assert refused.json()["errors"][0]["extensions"]["code"] == "TOO_MANY_SOCKETS"
            async with streaming(gateway, QUERY) as query:  # which ends by itself
                assert await query.hear() is not None
        await until(lambda: gateway.app.state.events.open == 0)
        async with streaming(gateway, SUBSCRIPTION) as stream:
            await told(stream)


async def test_who_reads_nothing_of_a_stream_is_let_go(module_database: Database, sql: asyncpg.Connection) -> None:
    """What was not read is bounded meanwhile: changes wait in the log."""
    async with listening(module_database.gateway_url, client_timeout=0.3) as gateway:
        asked = json.dumps({"query": SUBSCRIPTION}).encode()
        head = "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        head += f"accept: text/event-stream\r\ncontent-length: {len(asked)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", gateway.port)) as silent:
            silent.sendall(head.encode() + asked)
            await until(lambda: gateway.app.state.events.open == 1)
            await until(lambda: gateway.feed.subscribers == 1)
            unread = [0]
            for _ in range(400):
                await happen(sql, "x" * 50_000)
                if gateway.app.state.events.open == 0:
                    break
                open_ = gateway.server.server_state.connections
                unread += [one.transport.get_write_buffer_size() for one in open_ if isinstance(one, ClientConnection)]
            await until(lambda: gateway.app.state.events.open == 0)
            assert gateway.feed.subscribers == 0
            assert max(unread) < 500_000


async def test_a_restart_ends_streams_without_a_completion(module_database: Database) -> None:
    async with listening(module_database.gateway_url) as gateway, streaming(gateway, SUBSCRIPTION) as stream:
        await told(stream)
        gateway.server.should_exit = True
        assert await stream.hear() is None


@pytest.mark.slow
async def test_a_credential_decides_and_ends(module_database: Database) -> None:
    async with listening(module_database.gateway_url, jwt_leeway=0, **JWT) as gateway:
        nobody = await gateway.http.post("/graphql", json={"query": SUBSCRIPTION}, headers=EVENTS)
        assert nobody.status_code == 401
        assert nobody.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        soon = {"authorization": f"Bearer {token('viewer', exp=int(time.time()) + 4)}"}
        async with streaming(gateway, SUBSCRIPTION, soon) as stream:
            await told(stream)
            assert await code_of(stream) == "UNAUTHENTICATED"
        little = {"authorization": f"Bearer {token('read:causal')}"}
        async with streaming(gateway, "subscription { alerts { cursor } }", little) as stream:
            assert await code_of(stream) == "FORBIDDEN_FIELD"
