"""`graphql-transport-ws` to its letter: every message, every close code, by a real client against a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.support.changing import change, events_of, model_in
from tests.support.client import same
from tests.support.databases import Database, connect
from tests.support.sockets import TIMEOUT, Listening, closed_after, listening, peer, until

pytestmark = pytest.mark.slow

QUERY = "{ models(first: 3) { nodes { id modelName } } }"
DEEP = (
    "deployments(first: 1000) { nodes { services(first: 1000) { nodes { metrics(first: 1000) { nodes { id } } } } } }"
)
SUBSCRIPTION = "subscription { lifecycleEvents { cursor event { id } } }"


@pytest.fixture(scope="module")
async def gateway(demo_database: Database) -> AsyncIterator[Listening]:
    async with listening(demo_database.gateway_url) as one:
        yield one


async def test_a_query_is_answered_as_over_http(gateway: Listening) -> None:
    over_http = await gateway.client.ask(QUERY)
    async with peer(gateway) as one:
        id_ = await one.subscribe(QUERY)
        assert same(await one.payload(id_), over_http)
        assert await one.hear() == {"id": id_, "type": "complete"}
    assert one.connection.subprotocol == "graphql-transport-ws"


async def test_variables_and_operation_names(gateway: Listening) -> None:
    async with peer(gateway) as one:
        document = "query A { models { totalCount } } query B($n: Int!) { models(first: $n) { nodes { id } } }"
        payload = {"query": document, "operationName": "B", "variables": {"n": 2}, "extensions": {}}
        await one.say(id="1", type="subscribe", payload=payload)
        assert len((await one.payload("1"))["data"]["models"]["nodes"]) == 2


async def test_an_error_of_a_field_comes_with_the_data(gateway: Listening) -> None:
    async with peer(gateway) as one:
        id_ = await one.subscribe('{ model(id: "nonsense") { id } models(first: 1) { nodes { id } } }')
        payload = await one.payload(id_)
        assert payload["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert payload["data"]["models"]["nodes"]
        assert (await one.hear())["type"] == "complete"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ("query($n: Int!) { models(first: $n) { totalCount } }", "BAD_USER_INPUT"),
        (f"{{ models(first: 1000) {{ nodes {{ {DEEP} }} }} }}", "COST_LIMIT"),
        ("subscription { lifecycleEvents { cursor } alerts { cursor } }", "GRAPHQL_VALIDATION_FAILED"),
        ("", "BAD_REQUEST"),
        ('subscription { lifecycleEvents(after: "x") { cursor } }', "INVALID_CURSOR"),
        ("subscription { lifecycleEvents(types: []) { cursor } }", "BAD_USER_INPUT"),
        ('subscription { lifecycleEvents(nodeIds: ["Model:x"]) { cursor } }', "BAD_USER_INPUT"),
        ('subscription { alerts(modelId: "x") { cursor } }', "BAD_USER_INPUT"),
        (f"subscription {{ lifecycleEvents {{ event {{ node {{ ... on Model {{ {DEEP} }} }} }} }} }}", "COST_LIMIT"),
    ],
)  # fmt: skip
async def test_a_refusal_is_an_error_and_no_completion(gateway: Listening, query: str, code: str) -> None:
    async with peer(gateway) as one:
        id_ = await one.subscribe(query)
        message = await one.hear()
        assert (message["id"], message["type"]) == (id_, "error")
        assert [error["extensions"]["code"] for error in message["payload"]] == [code]
        id_ = await one.subscribe(QUERY, id_)  # the id is free again, and no completion has come before
        assert (await one.hear())["type"] == "next"


async def test_subscriptions_are_refused_over_http(gateway: Listening) -> None:
    error = await gateway.client.error(SUBSCRIPTION)
    assert error["code"] == "SUBSCRIPTION_OVER_HTTP"


async def test_a_mutation_changes_once_and_is_answered(database: Database) -> None:
    async with listening(database.gateway_url) as gateway, peer(gateway) as one:
        sql = await connect(database.admin_url)
        model = await model_in(sql, "development")
        mutation = "mutation($input: PromoteModelInput!) { promoteModel(input: $input) { __typename } }"
        id_ = await one.subscribe(mutation, input={"id": model, "to": "STAGING", "reason": "over the socket"})
        assert (await one.payload(id_))["data"] == {"promoteModel": {"__typename": "TransitionApplied"}}
        assert (await one.hear())["type"] == "complete"
        assert [event[5] for event in await events_of(sql, model)] == ["over the socket"]
        await sql.close()


async def test_pings_are_answered_at_any_time_and_pongs_are_taken(gateway: Listening) -> None:
    async with peer(gateway, initialise=False) as one:
        await one.say(type="ping")
        assert await one.hear() == {"type": "pong"}
        await one.say(type="pong", payload={"late": True})
        await one.initialise()
        await one.say(type="ping", payload={"n": 1})
        assert await one.hear() == {"type": "pong", "payload": {"n": 1}}


async def test_a_client_completes_its_operation(gateway: Listening) -> None:
    async with peer(gateway) as one:
        stream = await one.followed(SUBSCRIPTION)
        await one.say(type="complete", id=stream.id)
        await one.say(type="complete", id=stream.id)  # that of an operation which has ended means nothing
        again = await one.followed(SUBSCRIPTION, stream.id)  # its id is free
        assert again.cursor
        assert gateway.feed.subscribers == 1
    await until(lambda: gateway.feed.subscribers == 0)


async def test_operations_run_side_by_side(gateway: Listening) -> None:
    async with peer(gateway) as one:
        ids = [await one.subscribe("{ models { totalCount } }") for _ in range(15)]
        heard = [await one.hear() for _ in range(30)]
    for id_ in ids:
        assert [message["type"] for message in heard if message["id"] == id_] == ["next", "complete"]


# -- what closes a socket ----------------------------------------------------------------------------------------------

READY = {"type": "connection_init"}
WRONG: dict[str, tuple[list[Any], int, str]] = {
    "no JSON": (["{"], 4400, "Invalid message: it is not JSON"),
    "bytes": ([b"{}"], 4400, "Invalid message: messages are JSON in text frames"),
    "no object": (["[]"], 4400, "Invalid message: it is not an object"),
    "a deep ping": (
        ['{"type": "ping", "payload": {"a": ' + "[" * 300 + "]" * 300 + "}}"], 4400, "Invalid message: its payload",
    ),
    "a deep ping with digits": (
        ['{"type": "ping", "payload": {"a": ' + "[" * 900 + "1.10" + "]" * 900 + "}}"], 4400, "Invalid message: its p",
    ),
    "no type": (["{}"], 4400, "Invalid message: there is no type 'None'"),
    "unknown type": ([READY, {"type": "start"}], 4400, "Invalid message: there is no type 'start'"),
    "a server's type": ([READY, {"type": "connection_ack"}], 4400, "Invalid message: there is no type"),
    "the type of next": ([READY, {"type": "next", "id": "1", "payload": {}}], 4400, "Invalid message"),
    "payload of init": ([{"type": "connection_init", "payload": 1}], 4400, "Invalid message: payload"),
    "payload of ping": ([{"type": "ping", "payload": []}], 4400, "Invalid message: payload"),
    "payload of pong": ([{"type": "pong", "payload": "x"}], 4400, "Invalid message: payload"),
    "no id": ([READY, {"type": "subscribe", "payload": {"query": QUERY}}], 4400, "Invalid message: id"),
    "empty id": ([READY, {"type": "subscribe", "id": "", "payload": {"query": QUERY}}], 4400, "Invalid message: id"),
    "number as id": ([READY, {"type": "complete", "id": 1}], 4400, "Invalid message: id"),
    "no payload": ([READY, {"type": "subscribe", "id": "1"}], 4400, "Invalid message: payload is not a GraphQL"),
    "no query": ([READY, {"type": "subscribe", "id": "1", "payload": {}}], 4400, "Invalid message: payload"),
    "query of a type": ([READY, {"type": "subscribe", "id": "1", "payload": {"query": 1}}], 4400, "Invalid message"),
    "variables of a type": (
        [READY, {"type": "subscribe", "id": "1", "payload": {"query": QUERY, "variables": []}}], 4400, "Invalid",
    ),
    "name of a type": (
        [READY, {"type": "subscribe", "id": "1", "payload": {"query": QUERY, "operationName": 1}}], 4400, "Invalid",
    ),
    "before the acknowledgement": (
        [{"type": "subscribe", "id": "1", "payload": {"query": QUERY}}], 4401, "Unauthorized",
    ),
    "authorization of a type": ([READY | {"payload": {"authorization": 1}}], 4403, "Forbidden"),
    "the same id": (
        [READY, *[{"type": "subscribe", "id": "me", "payload": {"query": SUBSCRIPTION}}] * 2],
        4409, "Subscriber for me already exists",
    ),
    "two initialisations": ([READY, READY], 4429, "Too many initialisation requests"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_close_codes(gateway: Listening, name: str) -> None:
    said, code, reason = WRONG[name]
    closed = await closed_after(gateway, said)
    assert closed[0] == code
    assert closed[1].startswith(reason)
    await until(lambda: not gateway.sockets.open)
    assert gateway.feed.subscribers == 0


async def test_another_subprotocol(gateway: Listening) -> None:
    for protocols in ([Subprotocol("graphql-ws")], None):
        async with peer(gateway, initialise=False, subprotocols=protocols) as one:
            assert (await one.closed())[0] == 4406


async def test_no_initialisation_in_time(demo_database: Database) -> None:
    async with listening(demo_database.gateway_url, ws_init_timeout=0.1) as gateway:
        async with peer(gateway, initialise=False) as one:
            await one.say(type="ping")  # which buys no time
            assert await one.closed() == (4408, "Connection initialisation timeout")
        async with peer(gateway) as one:
            stream = await one.followed(SUBSCRIPTION)
            await asyncio.sleep(0.2)  # well beyond the time: the initialised stays
            assert stream.cursor
            await one.say(type="ping")
            assert await one.hear() == {"type": "pong"}


async def test_limits_of_a_socket(demo_database: Database) -> None:
    limits = {"ws_operations": 2, "ws_messages": 12, "max_body_bytes": 2_000, "ws_sockets": 2}
    async with listening(demo_database.gateway_url, **limits) as gateway:
        async with peer(gateway) as one, peer(gateway) as other:
            streams = [await one.followed(SUBSCRIPTION) for _ in range(2)]
            id_ = await one.subscribe(QUERY)
            message = await one.hear()
            assert message["type"] == "error"
            assert message["payload"][0]["extensions"] == {"code": "TOO_MANY_OPERATIONS", "limit": 2}
            await one.say(type="complete", id=streams[0].id)
            await one.subscribe(QUERY, id_)
            assert (await one.payload(id_))["data"]
            with pytest.raises(InvalidStatus) as full:
                await peer(gateway).__aenter__()
            assert full.value.response.status_code == 503
            assert full.value.response.headers["retry-after"] == "1"
            assert json.loads(full.value.response.body or b"")["errors"][0]["extensions"]["code"] == "TOO_MANY_SOCKETS"
            await other.say(type="ping", payload={"x": "y" * 2_000})
            assert (await other.closed())[0] == 1009
            for _ in range(12):
                await one.say(type="ping")
            assert (await one.closed())[0] == 1008
        await until(lambda: not gateway.sockets.open)
        async with peer(gateway) as one:  # there is room again
            assert await one.subscribe(QUERY)


async def test_origins(demo_database: Database) -> None:
    async with listening(demo_database.gateway_url, ws_origins="https://lab.example, http://x.example:81") as gateway:
        own = f"http://127.0.0.1:{gateway.port}"
        for allowed in (None, own, "https://lab.example", "http://x.example:81"):
            async with peer(gateway, origin=allowed and Origin(allowed)):
                pass
        others = ["https://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1.evil.example", "http://x.example",
                  "http://127.0.0.1:bad", f"http://127.0.0.1:{gateway.port}@evil.example"]  # fmt: skip
        for other in others:
            with pytest.raises(InvalidStatus) as refused:
                await peer(gateway, origin=Origin(other)).__aenter__()
            assert refused.value.response.status_code == 403, other
            assert b"ORIGIN_NOT_ALLOWED" in (refused.value.response.body or b"")


async def test_what_is_under_way_is_answered_before_the_gateway_ends(database: Database) -> None:
    """A change that waits for a lock, an idle socket and a subscription, when the gateway is told to end."""
    sql = await connect(database.admin_url)
    waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'ml_model_registry'::regclass)"
    model = await model_in(sql, "development")
    async with listening(database.gateway_url) as gateway:  # noqa: SIM117 - it ends before its peers
        async with peer(gateway) as busy, peer(gateway) as idle, peer(gateway) as following:
            await following.followed(SUBSCRIPTION)
            async with sql.transaction():
                await sql.execute("LOCK TABLE ml_model_registry")
                mutation = "mutation($input: PromoteModelInput!) { promoteModel(input: $input) { __typename } }"
                id_ = await busy.subscribe(mutation, input={"id": model, "to": "STAGING"})
                async with asyncio.timeout(TIMEOUT):
                    while not await sql.fetchval(waits):
                        pass
                gateway.server.should_exit = True
                assert await idle.closed() == (1012, "Service restart")
                assert await following.closed() == (1012, "Service restart")
            assert (await busy.payload(id_))["data"]["promoteModel"]["__typename"] == "TransitionApplied"
            assert await busy.hear() == {"id": id_, "type": "complete"}
            assert await busy.closed() == (1012, "Service restart")
    assert len(await events_of(sql, model)) == 1
    await sql.close()


async def test_a_change_over_http_and_one_over_the_socket_are_told_of_alike(database: Database) -> None:
    sql = await connect(database.admin_url)
    models = [await model_in(sql, "development") for _ in range(2)]
    async with listening(database.gateway_url) as gateway, peer(gateway) as one:
        stream = await one.followed("subscription { lifecycleEvents { cursor event { nodeId toState } } }")
        for model in models:
            await change(gateway.client, "promoteModel", id=model, to="STAGING")
            assert (await stream.next())["event"] == {"nodeId": model, "toState": "STAGING"}
    await sql.close()
