"""A payload that cannot be read is refused as an operation: the socket's other operations go on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.support.databases import Database
from tests.support.sockets import Listening, closed_after, listening, peer, until

ALERTS = "subscription { alerts { cursor alert { id } } }"
QUERY = "query($w: ModelWhere) { models(where: $w) { totalCount } }"
DEEP = '{"and":[' * 600 + "{}" + "]}" * 600
WITHOUT = '"query":"{ experiments { totalCount } }"'


@pytest.fixture(scope="module")
async def gateway(demo_database: Database) -> AsyncIterator[Listening]:
    async with listening(demo_database.gateway_url) as one:
        yield one


def asked(variables: str, *more: str) -> str:
    return "{" + ",".join((f'"query":{json.dumps(QUERY)}', f'"variables":{variables}', *more)) + "}"


HALF = r"holds \ud800, half of a surrogate pair"
UNREADABLE: dict[str, tuple[str, str, str]] = {
    "a large number": (asked('{"w":{"auc":{"gt":1e400}}}'), "BAD_REQUEST", "number 1e400 at variables.w.auc.gt is out"),
    "a large number in a list": (
        asked('{"w":{"or":[{"auc":{"gt":1}},{"auc":{"gt":-1e999}}]}}'), "BAD_REQUEST",
        "the number -1e999 at variables.w.or[1].auc.gt is out of range",
    ),
    "a large number elsewhere": (
        f'{{{WITHOUT},"extensions":{{"a":1e400}}}}', "BAD_REQUEST", "the number 1e400 at extensions.a is out of range",
    ),
    "half a character": (
        asked(r'{"w":{"modelName":{"eq":"a\ud800"}}}'), "BAD_REQUEST", f"text at variables.w.modelName.eq {HALF}",
    ),
    "half a character in a name": (asked(r'{"w":{"\ud800":1}}'), "BAD_REQUEST", f"the text at variables.w {HALF}"),
    "half a character in the query": (r'{"query":"\ud800"}', "BAD_REQUEST", f"the text at query {HALF}"),
    "half a character as operation": (
        f'{{{WITHOUT},"operationName":"\\ud800"}}', "BAD_REQUEST", f"the text at operationName {HALF}",
    ),
    "a number below half a character": (asked(r'{"\ud800":{"a":1e400}}'), "BAD_REQUEST", r"variables.\ud800.a is out"),
    "deep": (asked(f'{{"w":{DEEP}}}'), "BAD_REQUEST", "nested deeper than 1,024 levels"),
    "deep and large": (
        asked('{"w":' + "[" * 990 + "1e400" + "]" * 990 + "}"), "BAD_REQUEST", "is nested deeper than 500 levels",
    ),
    "too deep": (asked(f'{{"v":[],"w":{"[" * 60 + "]" * 60}}}'), "VALUE_DEPTH_LIMIT", "The variable $w is nested"),
    "too many": (asked(f'{{"w":[{"1," * 200_000}1]}}'), "VALUE_LIMIT", "too many values"),
    "the id of a document": (f'{{{WITHOUT},"documentId":1}}', "BAD_REQUEST", "documentId must be a string or null"),
    "extensions": (f'{{{WITHOUT},"extensions":[]}}', "BAD_REQUEST", "extensions must be an object or null"),
    "extensions alone": ('{"extensions":"x"}', "BAD_REQUEST", "extensions must be an object or null"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREADABLE)
async def test_it_is_an_error_of_its_operation_as_over_http(gateway: Listening, name: str) -> None:
    payload, code, part = UNREADABLE[name]
    headers = {"content-type": "application/json"}
    over_http = await gateway.http.post("/graphql", content=payload, headers=headers)
    assert over_http.status_code == 400
    (error,) = over_http.json()["errors"]
    assert (error["extensions"]["code"], part in error["message"]) == (code, True), error
    events = await gateway.http.post("/graphql", content=payload, headers=headers | {"accept": "text/event-stream"})
    assert part in events.text.replace("\\\\", "\\")
    async with peer(gateway) as one:
        running = await one.followed(ALERTS)
        for text in (
            f'{{"id":"x","type":"subscribe","payload":{payload}}}',
            f'{{ "type" : "subscribe", "id" : "x", "payload" : {payload}}}',
        ):
            await one.connection.send(text)
            message = await one.hear()
            assert (message["id"], message["type"]) == ("x", "error")
            (same,) = message["payload"]
            assert same["extensions"] == error["extensions"]
            assert same["message"] == error["message"].replace("the body", "the payload").replace(
                "The body", "The payload"
            )
        await one.say(type="ping")
        assert await one.hear() == {"type": "pong"}
        assert gateway.feed.subscribers == 1
        await one.say(type="complete", id=running.id)
    await until(lambda: not gateway.feed.subscribers)


async def test_the_type_and_the_id_may_come_last(gateway: Listening) -> None:
    payload = UNREADABLE["a large number"][0]
    async with peer(gateway) as one:
        await one.connection.send(f'{{"payload":{payload},"type":"subscribe","id":"x"}}')
        assert (await one.hear())["type"] == "error"


READY = '{"type":"connection_init"}'
CLOSING: dict[str, tuple[list[str], int, str]] = {
    "before the acknowledgement": (['{"id":"x","type":"subscribe","payload":{"a":1e400}}'], 4401, "Unauthorized"),
    "no id": ([READY, '{"type":"subscribe","payload":{"a":1e400}}'], 4400, "Invalid message: id"),
    "half a character as the id": (
        [READY, r'{"id":"\ud800","type":"subscribe","payload":{}}'], 4400, "Invalid message: id must be",
    ),
    "a ping": ([READY, '{"type":"ping","payload":{"a":1e400}}'], 4400, "Invalid message: the number 1e400 at payload"),
    "a list": ([READY, "[1e400]"], 4400, "Invalid message: the number 1e400 at [0]"),
    "no JSON": ([READY, '{"id":"x","type":"subscribe","payload":{"a":1e400}'], 4400, "Invalid message: it is not"),
    "a deep message of no type": (["[" * 2_000 + "]" * 2_000], 4400, "Invalid message: the value at [0][0]"),
    "variables": (
        [READY, f'{{"id":"x","type":"subscribe","payload":{{{WITHOUT},"variables":[1]}}}}'], 4400,
        "Invalid message: payload.variables must be an object or null",
    ),
    "operationName": (
        [READY, f'{{"id":"x","type":"subscribe","payload":{{{WITHOUT},"operationName":1}}}}'], 4400,
        "Invalid message: payload.operationName must be a string or null",
    ),
    "query": (
        [READY, '{"id":"x","type":"subscribe","payload":{"query":1}}'], 4400,
        "Invalid message: payload.query must be a string",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSING)
async def test_no_message_closes_saying_which_part_is_wrong(gateway: Listening, name: str) -> None:
    said, code, reason = CLOSING[name]
    closed = await closed_after(gateway, said)
    assert (closed[0], closed[1][: len(reason)]) == (code, reason)
    await until(lambda: not gateway.sockets.open)
