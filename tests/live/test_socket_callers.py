"""Callers over a socket: who they are, for how long, and that none receives what it may not read."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from websockets.exceptions import ConnectionClosed

from db.embedded.server import GATEWAY_ROLE
from db.migrations import setup
from db.store import tokens
from tests.live.test_live import ALERTS, EVENTS, alert, reasons, record
from tests.support.callers import JWT, token
from tests.support.databases import Database, execute, kill_backends
from tests.support.process import Gateway, run
from tests.support.proxy import proxied
from tests.support.sockets import TIMEOUT, Listening, Peer, listening, peer, until

pytestmark = pytest.mark.slow

MODELS = "{ models(first: 1) { nodes { id } } }"


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Listening]:
    async with listening(database.gateway_url, jwt_leeway=0, **JWT) as one:
        yield one


def bearer(*roles: str, **claims: Any) -> str:
    return f"Bearer {token(*(roles or ('viewer',)), **claims)}"


async def test_a_credential_in_the_payload_or_in_the_header(gateway: Listening) -> None:
    wrong = {"additional_headers": {"authorization": "Bearer wrong"}}
    for options, payload in (
        ({}, {"authorization": bearer()}),
        ({}, {"Authorization": bearer()}),
        ({"additional_headers": {"authorization": bearer()}}, {}),
        (wrong, {"authorization": bearer()}),  # what the client says later is what counts
    ):
        async with peer(gateway, initialise=False, **options) as one:
            await one.initialise(**payload)
            id_ = await one.subscribe(MODELS)
            assert "errors" not in await one.payload(id_)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({}, "Forbidden: Authentication is required"),
        ({"authorization": "Bearer wrong"}, "Forbidden:"),
        ({"authorization": "Basic YTpi"}, "Forbidden: The Authorization header must be"),
        ({"authorization": f"Bearer {token('viewer', exp=1)}"}, "Forbidden: The JWT has expired"),
    ],
)
async def test_nobody_is_let_in_without_one(gateway: Listening, payload: dict[str, Any], said: str) -> None:
    async with peer(gateway, initialise=False) as one:
        await one.say(type="connection_init", payload=payload)
        code, reason = await one.closed()
        assert code == 4403
        assert reason.startswith(said)


async def test_a_credential_that_ends_closes_the_socket(gateway: Listening) -> None:
    async with peer(gateway, initialise=False) as one, peer(gateway, initialise=False) as other:
        await one.initialise(authorization=bearer(exp=int(time.time()) + 2))
        await other.initialise(authorization=bearer())
        await one.followed(EVENTS)
        code, reason = await one.closed()
        assert code == 4403
        assert "expired" in reason
        await until(lambda: gateway.feed.subscribers == 0)
        id_ = await other.subscribe(MODELS)
        assert await other.payload(id_)


SERVICE = {"auth": ("token",)}


async def minted(database: Database, name: str) -> str:
    """A service token of a viewer."""
    async with setup.connect(database.owner_url) as connection, connection.begin():
        return await tokens.create(connection, name, ["viewer"], 1)


def all_have_some(gateway: Gateway) -> bool:
    """Whether each of two workers says that it has sockets."""
    (address,) = re.findall(r"metrics are at (http://\S+)\"", gateway.output)
    told = gateway.http.get(address).text
    return len(re.findall(r'^e2i_sockets\{worker="\d"\} [1-9]', told, re.MULTILINE)) == 2


async def test_a_token_that_is_revoked_closes_the_sockets_of_every_worker(
    database: Database, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    """By the command line, while they are idle, subscribed or neither; those of another token stay."""
    secret, other = await minted(database, "lost"), await minted(database, "kept")
    url = database.gateway_url.replace("+asyncpg", "")
    settings = {"GATEWAY_AUTH": "token", "GATEWAY_WORKERS": "2", "GATEWAY_METRICS": "127.0.0.1:0"}
    gateway = Gateway(tmp_path, DATABASE_URL=url, **settings)
    try:
        await asyncio.to_thread(gateway.ready)
        address = gateway.base.replace("http", "ws") + "/graphql"
        async with AsyncExitStack() as held:

            async def opened(credential: str) -> Peer:
                one = await held.enter_async_context(peer(address, initialise=False, open_timeout=TIMEOUT))
                return await one.initialise(authorization=f"Bearer {credential}")

            stays = await (await opened(other)).followed(EVENTS)
            lost = [await opened(secret) for _ in range(2)]
            while not await asyncio.to_thread(all_have_some, gateway):
                lost.append(await opened(secret))  # the kernel chooses who takes it
            for one in lost[::2]:
                await one.followed(EVENTS)
            revoked = await asyncio.to_thread(
                run, "token", "revoke", "lost", DATABASE_URL=database.owner_url.replace("+asyncpg", "")
            )
            assert revoked.returncode == 0, revoked.stderr
            for code, reason in await asyncio.gather(*(one.closed() for one in lost)):
                assert code == 4403
                assert reason == "Forbidden: The service token is unknown, revoked or expired."
            await record(sql, "after")
            assert await reasons(stays, 1) == ["after"]
    finally:
        gateway.close()


async def test_nothing_is_told_to_a_token_that_is_revoked(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is about to be told is looked at first, however long it is until the next look."""
    monkeypatch.setattr("gateway.websocket.protocol.CHECK_SECONDS", 3600.0)
    monkeypatch.setattr("gateway.auth.authentication.TOKEN_SECONDS", 0.0)
    secret = await minted(database, "lost")
    async with listening(database.gateway_url, **SERVICE) as gateway, peer(gateway, initialise=False) as one:
        await one.initialise(authorization=f"Bearer {secret}")
        await one.followed(EVENTS)
        async with setup.connect(database.owner_url) as connection, connection.begin():
            await tokens.revoke(connection, "lost")
        await record(sql, "secret")
        async with asyncio.timeout(TIMEOUT):
            with pytest.raises(ConnectionClosed):
                await one.hear()
        assert (await one.closed())[0] == 4403


async def test_a_token_that_ends_while_it_cannot_be_looked_up_closes_its_socket(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it ends is known from before: nobody needs to ask the database."""
    monkeypatch.setattr("gateway.websocket.protocol.CHECK_SECONDS", 0.05)
    monkeypatch.setattr("gateway.auth.authentication.TOKEN_SECONDS", 0.0)
    secret = await minted(database, "brief")
    async with (
        proxied(database.gateway_url) as (proxy, url),
        listening(url, **SERVICE) as gateway,
        peer(gateway, initialise=False) as one,
    ):
        await one.initialise(authorization=f"Bearer {secret}")
        (socket,) = gateway.sockets.open
        end: float = await sql.fetchval(
            "UPDATE gateway.service_tokens SET expires_at = now() + interval '3 seconds' "
            "RETURNING extract(epoch FROM expires_at)::float8"
        )
        await until(lambda: socket._caller.until == pytest.approx(end, abs=0.01) or not gateway.sockets.open)
        proxy.away = True
        await kill_backends(sql)
        code, reason = await one.closed()
        assert (code, "expired" in reason) == (4403, True)


async def test_tokens_that_cannot_be_looked_up_wait(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is away for longer than tokens are remembered: who follows stays, and is told when it is back."""
    monkeypatch.setattr("gateway.websocket.protocol.CHECK_SECONDS", 0.05)
    monkeypatch.setattr("gateway.auth.authentication.TOKEN_SECONDS", 0.0)
    secret, direct = await minted(database, "patient"), database.gateway_url
    async with (
        proxied(direct) as (proxy, url),
        listening(url, listen_url=direct, **SERVICE) as gateway,
        peer(gateway, initialise=False) as one,
    ):
        await one.initialise(authorization=f"Bearer {secret}")
        stream = await one.followed(EVENTS)
        proxy.away = True
        await kill_backends(sql)
        await record(sql, "patience")
        id_ = await one.subscribe(MODELS)
        message = await one.hear()
        assert (message["id"], message["type"]) == (id_, "error")
        assert message["payload"][0]["extensions"]["code"] == "DATABASE_UNAVAILABLE"
        proxy.away = False
        assert await reasons(stream, 1) == ["patience"]


async def test_a_mutation_needs_its_scope(gateway: Listening) -> None:
    async with peer(gateway, initialise=False) as one:
        await one.initialise(authorization=bearer())
        query = 'mutation { promoteModel(input: {id: "x", to: STAGING}) { __typename } }'
        assert (await one.payload(await one.subscribe(query)))["data"]["promoteModel"]["__typename"] == "Forbidden"


async def test_no_subscriber_receives_rows_that_it_may_not_read(gateway: Listening, sql: asyncpg.Connection) -> None:
    """Neither of its rows, nor that anything has happened."""
    async with peer(gateway, initialise=False) as one, peer(gateway, initialise=False) as other:
        await one.initialise(authorization=bearer("read:mlops_core"))
        await other.initialise(authorization=bearer("viewer", "patient"))
        seldom = await one.followed(EVENTS)
        often = await other.followed(EVENTS)
        await record(sql, "alert", node_type="MonitoringAlert", node_id="MonitoringAlert:x")
        await record(sql, "model")
        assert await reasons(seldom, 1) == ["model"]
        assert await reasons(often, 2) == ["alert", "model"]
        id_ = await one.subscribe(ALERTS)
        message = await one.hear()
        assert (message["id"], message["type"]) == (id_, "error")
        assert message["payload"][0]["extensions"] == {
            "code": "FORBIDDEN_FIELD",
            "scope": "read:model_monitoring",
        }


async def test_messages_wait_for_the_budget(database: Database, sql: asyncpg.Connection) -> None:
    """They cost what the operation costs, and come when there is enough; what never fits is refused."""
    async with listening(database.gateway_url, budget_per_minute=900) as gateway, peer(gateway) as one:
        many = EVENTS.replace(
            "event { nodeId", "event { nodeId node { ... on Model { deployments(first: %d) { nodes { id } } } }"
        )
        id_ = await one.subscribe(many.replace("%d", "999"))
        message = await one.hear()
        assert (message["id"], message["type"]) == (id_, "error")
        assert message["payload"][0]["extensions"]["code"] == "BUDGET_EXCEEDED"
        stream = await one.followed(many.replace("%d", "230"))
        async with sql.transaction():
            for n in range(2):
                await record(sql, str(n), node_id=f"Model:{uuid.uuid4()}")
        assert await reasons(stream, 2) == ["0", "1"]  # of which the second waits


async def test_policies_of_the_database_decide(database: Database, sql: asyncpg.Connection) -> None:
    role = f"e2i_user_{secrets.token_hex(6)}"
    mine = "current_setting('request.jwt.claims', true)::json ->> 'brand'"
    await execute(
        database.admin_url,
        f"CREATE ROLE {role} NOLOGIN",
        f"GRANT {role} TO {GATEWAY_ROLE}",
        f"GRANT USAGE ON SCHEMA public, ml, gateway TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public, ml TO {role}",
        "ALTER TABLE ml_monitoring_alerts ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY own_brand ON ml_monitoring_alerts TO {role} USING (title = {mine})",
    )
    settings = JWT | {"rls": True, "rls_roles": (role,), "rls_token_role": role}
    try:
        async with listening(database.gateway_url, **settings) as gateway, peer(gateway, initialise=False) as one:
            await one.initialise(authorization=bearer(role=role, brand="a"))
            await one.subscribe(ALERTS)
            message = await one.hear()
            assert message["payload"][0]["extensions"]["code"] == "SUBSCRIPTIONS_UNAVAILABLE"
            assert "BYPASSRLS" in message["payload"][0]["message"]
        settings["listen_url"] = database.admin_url
        async with listening(database.gateway_url, **settings) as gateway:  # noqa: SIM117
            async with peer(gateway, initialise=False) as one, peer(gateway, initialise=False) as other:
                await one.initialise(authorization=bearer(role=role, brand="a"))
                await other.initialise(authorization=bearer(role=role, brand="b"))
                first, second = await one.followed(ALERTS), await other.followed(ALERTS)
                for title in "abba":
                    await alert(sql, title)
                assert [(await first.next())["alert"]["title"] for _ in range(2)] == ["a", "a"]
                assert [(await second.next())["alert"]["title"] for _ in range(2)] == ["b", "b"]
    finally:
        await execute(database.admin_url, f"DROP OWNED BY {role}; DROP ROLE {role}")
