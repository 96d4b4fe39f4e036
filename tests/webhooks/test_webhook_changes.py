"""Receivers of webhooks kept by mutations: by whom, once for a key, with others, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from standardwebhooks import Webhook

from gateway.webhooks import sender as sending
from tests.support.callers import JWT, calling, token
from tests.support.client import Client, serving
from tests.support.databases import Database, connect
from tests.webhooks.receivers import Post, became, none_waits, receiving

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {
    "webhooks": True, "webhook_private": True, "webhook_retry_seconds": 0.02, "live_poll": 0.1, "webhook_timeout": 2.0,
}  # fmt: skip
ANSWER = """__typename
    ... on WebhookChanged { secret resent replayed dryRun webhook {
        name url topic format filters createdBy paused rotatingUntil waiting dead } }
    ... on Problem { code message path } ... on InvalidInput { field }"""


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sending, "LOOK_SECONDS", 0.1)
        patch.setattr(sending, "IDLE_SECONDS", 0.02)
        yield


@pytest.fixture(scope="module")
async def database(module_database: Database) -> Database:
    return module_database


@pytest.fixture
async def sql(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database.admin_url)
    await connection.execute("DELETE FROM gateway.webhook_endpoints; DELETE FROM gateway.webhook_sender")
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def one_gateway(database: Database) -> AsyncIterator[Client]:
    async with serving(database.gateway_url, **SETTINGS) as client:
        yield client


@pytest.fixture
async def gateway(one_gateway: Client, sql: asyncpg.Connection) -> Client:
    """It has no receivers yet."""
    return one_gateway


async def change(client: Client, mutation: str, **given: Any) -> dict[str, Any]:
    """What a mutation answers."""
    type_ = f"{mutation[0].upper()}{mutation[1:]}Input"
    query = f"mutation($input: {type_}!) {{ changed: {mutation}(input: $input) {{ {ANSWER} }} }}"
    changed: dict[str, Any] = (await client.data(query, input=given))["changed"]
    return changed


async def problem(client: Client, mutation: str, **given: Any) -> tuple[str, str]:
    """The field that is wrong, and what is said of it."""
    changed = await change(client, mutation, **given)
    assert changed["__typename"] == "InvalidInput", changed
    return changed["field"], changed["message"]


async def promote(sql: asyncpg.Connection, *states: str) -> None:
    await sql.executemany(
        "INSERT INTO gateway.lifecycle_events (change_id, mutation, node_id, node_type, lifecycle, to_state, actor) "
        "VALUES (gen_random_uuid(), 'm', 'Model:a', 'Model', 'stage', $1, 'a')",
        [(state,) for state in states],
    )


async def test_a_receiver_is_made_told_rotated_changed_and_removed(gateway: Client, sql: asyncpg.Connection) -> None:
    async with receiving() as first, receiving() as second:
        made = await change(
            gateway, "createWebhook", name="ci", url=first.url, lifecycle={"types": ["Model"], "to": ["PRODUCTION"]}
        )
        assert made["webhook"] == {
            "name": "ci", "url": first.url, "topic": "LIFECYCLE", "format": "STANDARD",
            "filters": {"types": ["Model"], "to": ["PRODUCTION"]}, "createdBy": "anonymous", "paused": None,
            "rotatingUntil": None, "waiting": 0, "dead": 0,
        }  # fmt: skip
        await promote(sql, "STAGING", "PRODUCTION")
        (post,) = await first.until(1)
        Webhook(made["secret"]).verify(post.body, post.headers)
        rotated = await change(gateway, "rotateWebhookSecret", name="ci", hours=1)
        assert rotated["secret"] not in {None, made["secret"]}
        assert rotated["webhook"]["rotatingUntil"]
        changed = await change(gateway, "changeWebhook", name="ci", url=second.url, lifecycle={})
        assert (changed["webhook"]["url"], changed["webhook"]["filters"]) == (second.url, {})
        await promote(sql, "ARCHIVED")
        (post,) = await second.until(1)
        for secret in (made["secret"], rotated["secret"]):
            Webhook(secret).verify(post.body, post.headers)
        field, why = await problem(gateway, "rotateWebhookSecret", name="ci")
        assert (field, "two secrets of ci sign until" in why) == ("hours", True)
        ended = await change(gateway, "endWebhookRotation", name="ci")
        assert (ended["secret"], ended["webhook"]["rotatingUntil"]) == (None, None)
        await promote(sql, "STAGING")
        _, post = await second.until(2)
        Webhook(rotated["secret"]).verify(post.body, post.headers)
        assert " " not in post.headers["webhook-signature"]
        await none_waits(sql)
    assert (await change(gateway, "removeWebhook", name="ci"))["webhook"] is None
    assert (await gateway.data("{ webhooks { name } }"))["webhooks"] == []
    done = (
        "SELECT mutation, details ->> 'name' FROM gateway.recordings WHERE node_type = 'Webhook' ORDER BY recorded_at"
    )
    recorded = [tuple(row) for row in await sql.fetch(done)]
    steps = ("createWebhook", "rotateWebhookSecret", "changeWebhook", "endWebhookRotation", "removeWebhook")
    assert recorded[-5:] == [(name, "ci") for name in steps]


async def test_what_was_given_up_is_listed_and_sent_again(gateway: Client, sql: asyncpg.Connection) -> None:
    good: list[bool] = []

    def answer(_post: Post) -> bytes:
        return b"HTTP/1.1 204 No Content\r\n\r\n" if good else b"HTTP/1.1 503 Busy\r\n\r\n"

    async with receiving(answer) as receiver:
        await change(gateway, "createWebhook", name="weak", url=receiver.url, lifecycle={})
        await promote(sql, "STAGING")
        await became(sql, "SELECT FROM gateway.webhook_messages")
        await sql.execute("UPDATE gateway.webhook_messages SET give_up_at = now()")
        await became(sql, "SELECT FROM gateway.webhook_messages WHERE dead_at IS NOT NULL")
        (message,) = (
            await gateway.data('{ webhookMessages(name: "weak") { messageId row attempts deadAt nextAt failure } }')
        )["webhookMessages"]
        assert (message["row"], message["nextAt"], message["failure"]) == ("Model:a", None, "the receiver answered 503")
        assert message["attempts"] and message["deadAt"]  # noqa: PT018
        assert (await gateway.data("{ webhooks { name dead waiting } }"))["webhooks"][0]["dead"] == 1
        field, why = await problem(gateway, "resendWebhookMessages", name="weak", messageId="msg_none")
        assert (field, "no dead message msg_none" in why) == ("messageId", True)
        before = len(receiver.posts)
        good.append(True)
        resent = await change(gateway, "resendWebhookMessages", name="weak", messageId=message["messageId"])
        assert resent["resent"] == 1
        await receiver.until(before + 1)
        assert {post.id for post in receiver.posts} == {message["messageId"]}
        await none_waits(sql)


async def test_a_paused_receiver_waits(gateway: Client, sql: asyncpg.Connection) -> None:
    async with receiving() as receiver:
        await change(gateway, "createWebhook", name="p", url=receiver.url, lifecycle={})
        assert (await change(gateway, "pauseWebhook", name="p"))["webhook"]["paused"] == "paused by hand"
        await promote(sql, "STAGING")
        await became(sql, "SELECT FROM gateway.webhook_messages")
        waiting = '{ webhookMessages(name: "p", dead: false, first: 1) { row deadAt } }'
        assert (await gateway.data(waiting))["webhookMessages"] == [{"row": "Model:a", "deadAt": None}]
        tried = await sql.fetchval("SELECT give_up_at - created_at FROM gateway.webhook_messages")
        assert tried == timedelta(days=1)
        assert not receiver.posts
        assert (await change(gateway, "resumeWebhook", name="p"))["webhook"]["paused"] is None
        await receiver.until(1)


async def test_messages_that_are_cut_are_told(gateway: Client, sql: asyncpg.Connection) -> None:
    await change(gateway, "createWebhook", name="many", url="https://many.example/x", lifecycle={})
    await change(gateway, "pauseWebhook", name="many")
    await sql.execute(
        "INSERT INTO gateway.webhook_messages (message_id, endpoint, row_id, position, body, give_up_at, dead_at) "
        "SELECT 'msg_' || n, 'many', 'Model:' || n, n, '{}', now() + interval '1 day', now() "
        "FROM generate_series(1, 101) AS n"
    )
    for asked, number, more in (
        ("", 100, [{"path": ["all"], "lists": 1}]),
        (", first: 100", 100, [{"path": ["all"], "lists": 1}]),
        (", first: 101", 101, None),
        (", dead: false", 0, None),
    ):
        answer = await gateway.ask(f'{{ all: webhookMessages(name: "many"{asked}) {{ messageId }} }}')
        assert len(answer["data"]["all"]) == number
        assert answer["extensions"].get("more") == more
    assert (await gateway.data('{ webhookMessages(name: "many", first: 0) { messageId } }'))["webhookMessages"] == []
    for first in (-1, 1_001):
        error = await gateway.error(f'{{ webhookMessages(name: "many", first: {first}) {{ messageId }} }}')
        assert (error["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", "first")
        assert f"is {first}; pass 0 to 1,000" in error["message"]


async def test_two_secrets_sign_for_a_day_unless_it_is_said(gateway: Client, sql: asyncpg.Connection) -> None:
    await change(gateway, "createWebhook", name="day", url=HTTPS, lifecycle={})
    await change(gateway, "pauseWebhook", name="day")
    for given, hours in (({}, 24), ({"hours": None}, 24), ({"hours": 0.5}, 0.5)):
        rotated = await change(gateway, "rotateWebhookSecret", name="day", **given)
        left = datetime.fromisoformat(rotated["webhook"]["rotatingUntil"]) - await sql.fetchval("SELECT now()")
        assert timedelta(0) <= timedelta(hours=hours) - left < timedelta(minutes=10)
        await change(gateway, "endWebhookRotation", name="day")


async def test_a_key_makes_one_and_shows_its_secret_once(gateway: Client, sql: asyncpg.Connection) -> None:
    given = {"name": "once", "url": "https://once.example/x", "alerts": {"severity": ["HIGH"]}, "idempotencyKey": "k1"}
    dry = await change(gateway, "createWebhook", **given | {"dryRun": True})
    assert (dry["dryRun"], dry["secret"], dry["webhook"]["name"]) == (True, None, "once")
    made = await change(gateway, "createWebhook", **given)
    assert made["secret"].startswith("whsec_")
    assert made["webhook"]["filters"] == {"severity": ["high"]}
    again = await change(gateway, "createWebhook", **given)
    assert (again["replayed"], again["secret"], again["webhook"]) == (True, None, None)
    kept = await sql.fetchval("SELECT string_agg(k::text, '') FROM gateway.idempotency_keys AS k WHERE key = 'k1'")
    kept += await sql.fetchval("SELECT string_agg(r::text, '') FROM gateway.recordings AS r")
    assert made["secret"].removeprefix("whsec_") not in kept
    assert (await problem(gateway, "createWebhook", **given | {"idempotencyKey": None}))[0] == "name"


async def test_two_are_made_in_one_transaction_or_none(gateway: Client) -> None:
    query = f"""mutation($one: CreateWebhookInput!, $other: CreateWebhookInput!) @transaction {{
        one: createWebhook(input: $one) {{ {ANSWER} }} other: createWebhook(input: $other) {{ {ANSWER} }} }}"""
    one = {"name": "one", "url": "https://one.example/x", "lifecycle": {}}
    data = await gateway.data(query, one=one, other={**one, "name": "two words"})
    assert (data["one"]["__typename"], data["other"]["field"]) == ("TransactionUndone", "name")
    assert (await gateway.data("{ webhooks { name } }"))["webhooks"] == []
    data = await gateway.data(query, one=one, other={**one, "name": "other"})
    assert {each["__typename"] for each in data.values()} == {"WebhookChanged"}
    assert [each["name"] for each in (await gateway.data("{ webhooks { name } }"))["webhooks"]] == ["one", "other"]


HTTPS = "https://x.example/hook"


@pytest.mark.parametrize(
    ("mutation", "given", "field", "why"),
    [
        ("createWebhook", {"name": "a"}, "lifecycle", "one of them"),
        ("createWebhook", {"name": "a", "lifecycle": {}, "alerts": {}}, "lifecycle", "one of them"),
        ("createWebhook", {"name": "a b", "lifecycle": {}}, "name", "is not a valid name"),
        ("createWebhook", {"name": "a" * 101, "lifecycle": {}}, "name", "at most 100"),
        ("createWebhook", {"name": "a", "lifecycle": {"to": []}}, "lifecycle", "is empty"),
        ("createWebhook", {"name": "a", "lifecycle": {"nodeIds": ["x"]}}, "lifecycle", "names no type"),
        ("createWebhook", {"name": "a", "lifecycle": {}, "url": "ftp://x"}, "url", "must be like https"),
        ("createWebhook", {"name": "a", "lifecycle": {}, "url": "https://u:p@x.example"}, "url", "no password"),
        ("changeWebhook", {"name": "nobody", "url": HTTPS}, "name", "no webhook called nobody"),
        ("changeWebhook", {"name": "nobody"}, "url", "nothing is to change"),
        ("rotateWebhookSecret", {"name": "nobody", "hours": -1}, "hours", "out of range"),
        ("rotateWebhookSecret", {"name": "nobody"}, "name", "no webhook called nobody"),
        ("endWebhookRotation", {"name": "nobody"}, "name", "no webhook called nobody"),
        ("pauseWebhook", {"name": "no\x00body"}, "name", "NUL"),
        ("removeWebhook", {"name": "nobody"}, "name", "no webhook called nobody"),
    ],
)
async def test_what_cannot_be_used_is_said(
    gateway: Client, mutation: str, given: dict[str, Any], field: str, why: str
) -> None:
    more = {"url": HTTPS} if mutation == "createWebhook" and "url" not in given else {}
    said = await problem(gateway, mutation, **given, **more)
    assert said[0] == field
    assert why in said[1]


async def test_filters_of_another_topic_are_no_change(gateway: Client) -> None:
    await change(gateway, "createWebhook", name="t", url=HTTPS, lifecycle={})
    assert "told of lifecycle, which is for good" in (await problem(gateway, "changeWebhook", name="t", alerts={}))[1]


async def test_private_addresses_are_refused_when_it_is_made(database: Database) -> None:
    async with serving(database.gateway_url, **SETTINGS | {"webhook_private": False}) as gateway:
        for url in ("https://127.0.0.1/x", "https://[::1]/x", "https://10.1.2.3:8443/x", "https://localhost/x"):
            field, why = await problem(gateway, "createWebhook", name="a", url=url, lifecycle={})
            assert (field, "private address" in why) == ("url", True)


async def test_who_may_keep_them(database: Database) -> None:
    async with serving(database.gateway_url, **JWT, **SETTINGS) as client:
        nobody = calling(client, token("admin"))
        for mutation, given in (("pauseWebhook", {}), ("createWebhook", {"url": HTTPS, "dryRun": True})):
            refused = await change(nobody, mutation, name="x", **given)
            assert (refused["__typename"], "scope webhooks" in refused["message"]) == ("Forbidden", True)
        for query in ("{ webhooks { name } }", '{ webhookMessages(name: "x") { messageId } }'):
            error = await nobody.error(query)
            assert (error["code"], error["extensions"]["scope"]) == ("FORBIDDEN_FIELD", "webhooks")
        keeper = calling(client, token("notifier"))
        made = await change(keeper, "createWebhook", name="mine", url=HTTPS, lifecycle={})
        assert made["webhook"]["createdBy"] == "ada"
        await change(keeper, "removeWebhook", name="mine")


async def test_where_none_are_sent_none_are_kept(database: Database) -> None:
    async with serving(database.gateway_url) as client:
        assert (await client.error("{ webhooks { name } }"))["code"] == "WEBHOOKS_OFF"
        query = 'mutation { pauseWebhook(input: {name: "x"}) { __typename } }'
        error = await client.error(query)
        assert (error["code"], error["path"]) == ("WEBHOOKS_OFF", ["pauseWebhook"])
