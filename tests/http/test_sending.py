"""How answers travel: compressed, in batches, to pages of other sites, and not to those that may not."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send
from websockets.exceptions import InvalidStatus

from gateway.http.response import GRAPHQL_RESPONSE, respond
from gateway.server.http_protocol import ClientConnection
from gateway.settings import Settings
from tests.support.callers import JWT, token
from tests.support.client import Client, serving
from tests.support.databases import Database
from tests.support.sockets import listening, peer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.slow

LARGE = "{ experiments(first: 100) { nodes { id experimentName description models { nodes { id modelName } } } } }"
SMALL = "{ tools(first: 1) { nodes { name } } }"
PAGE = "https://explorer.example"


def codes(response: httpx.Response) -> list[str]:
    return [error["extensions"]["code"] for error in response.json()["errors"]]


async def raw(client: Client, query: str, accept_encoding: str | None) -> tuple[httpx.Headers, bytes]:
    """An answer's headers, and its body as it was sent."""
    headers = {"accept-encoding": accept_encoding} if accept_encoding is not None else {"accept-encoding": ""}
    async with client.http.stream("POST", "/graphql", json={"query": query}, headers=headers) as response:
        return response.headers, b"".join([part async for part in response.aiter_raw()])


@pytest.mark.parametrize(
    ("accept", "how"),
    [
        ("gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, zstd", "gzip"),
        ("zstd, gzip", "gzip"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("gzip;q=0.9, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("zstd;q=0, gzip", "gzip"),
        ("*", "gzip"),
        ("*, gzip;q=0", "zstd"),
        ("*;q=0.5, zstd;q=0", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip;q=0", None),
        ("identity;q=1, gzip;q=0.5", None),
        ("gzip;q=x", None),
    ],
)
async def test_large_answers_are_compressed_as_the_client_likes(demo: Client, accept: str, how: str | None) -> None:
    headers, body = await raw(demo, LARGE, accept)
    assert headers.get("content-encoding") == how
    assert "accept-encoding" in headers["vary"]
    assert int(headers["content-length"]) == len(body)
    unpacked = {"gzip": gzip.decompress, "zstd": zstd.decompress, None: bytes}[how](body)
    assert json.loads(unpacked)["data"]["experiments"]["nodes"]
    if how:
        assert len(body) < len(unpacked) / 2


async def test_beside_the_event_loop_the_bytes_are_the_same(demo: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.http.response.IN_THREAD", 1_000)
    _, body = await raw(demo, LARGE, "gzip")
    assert json.loads(gzip.decompress(body))["data"]["experiments"]["nodes"]


async def test_small_answers_go_as_they_are(demo: Client) -> None:
    headers, _ = await raw(demo, SMALL, "gzip, zstd")
    assert "content-encoding" not in headers


async def test_compression_can_be_turned_off(demo_database: Database) -> None:
    async with serving(demo_database.gateway_url, compress_bytes=0) as client:
        headers, _ = await raw(client, LARGE, "gzip, zstd")
        assert "content-encoding" not in headers


# -- batches ---------------------------------------------------------------------------------------------------------


class _Written:
    """A transport that remembers what is written to it at once."""

    def __init__(self, transport: Any, kept: list[bytes]) -> None:
        self._transport = transport
        self._kept = kept

    def write(self, data: bytes) -> None:
        self._kept.append(data)
        self._transport.write(data)

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        self._kept.append(b"".join(parts))
        self._transport.writelines(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


async def test_head_and_body_of_an_answer_are_written_at_once(
    demo_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bytes] = []
    made = ClientConnection.connection_made
    monkeypatch.setattr(
        ClientConnection, "connection_made", lambda self, transport: made(self, _Written(transport, kept))
    )  # type: ignore[arg-type]
    async with listening(demo_database.gateway_url) as gateway:
        address = f"http://127.0.0.1:{gateway.port}"
        async with httpx.AsyncClient(trust_env=False) as http:
            for query, status in ((SMALL, 200), ("{", 400), ("{ nothing }", 400)):
                kept.clear()
                answer = await http.post(f"{address}/graphql", json={"query": query})
                assert answer.status_code == status
                (written,) = kept
                assert written.startswith(b"HTTP/1.1 ")
                assert written.endswith(answer.content)
                assert list(answer.headers) == ["date", "content-type", "content-length", "x-request-id", "vary"]


async def test_answers_that_are_sent_in_uvicorns_own_way(demo_database: Database) -> None:
    """What has no body, or ends its connection."""
    async with listening(demo_database.gateway_url) as gateway:
        address = f"http://127.0.0.1:{gateway.port}/graphql"
        async with httpx.AsyncClient(trust_env=False) as http:
            head = await http.head(address)
            assert (head.status_code, head.content) == (405, b"")
            assert int(head.headers["content-length"]) > 0
            closed = await http.post(address, json={"query": SMALL}, headers={"connection": "close"})
            assert (closed.status_code, closed.headers["connection"]) == (200, "close")
            assert (await http.post(address, json={"query": SMALL})).status_code == 200


@pytest.mark.parametrize("value", ["one\r\nset-cookie: two", "one\nset-cookie: two", "one\rtwo"])
async def test_a_header_of_two_lines_is_never_sent(demo_database: Database, value: str) -> None:
    """Whatever might bring one about: to whoever asks it would be another header, or another answer."""

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await respond(send, 200, b"{}", GRAPHQL_RESPONSE, "id", {"etag": value})

    async with listening(demo_database.gateway_url) as gateway:
        gateway.app.answer = answer  # type: ignore[attr-defined]  # of the gateway's own class
        request = b"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"
        assert await gateway.answer(request) == b"", "uvicorn closes the connection"


@pytest.fixture(scope="module")
async def batching(demo_database: Database) -> AsyncIterator[Client]:
    async with serving(demo_database.gateway_url, max_batch=3, max_cost=1000) as client:
        yield client


async def test_a_batch_is_answered_in_order_and_each_for_itself(batching: Client) -> None:
    batch = [{"query": SMALL}, {"query": "{ nothing }"}, {"query": SMALL, "variables": {}}]
    response = await batching.http.post("/graphql", json=batch)
    assert response.status_code == 200
    first, second, third = response.json()
    assert first["data"] == third["data"]
    assert first["extensions"]["cost"]["requested"] == 2
    assert second["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert "data" not in second


async def test_a_batch_has_limits(batching: Client) -> None:
    response = await batching.http.post("/graphql", json=[{"query": SMALL}] * 4)
    assert (response.status_code, codes(response)) == (400, ["BATCH_LIMIT"])
    assert response.json()["errors"][0]["extensions"] == {"code": "BATCH_LIMIT", "limit": 3, "value": 4}
    assert codes(await batching.http.post("/graphql", json=[])) == ["BAD_REQUEST"]
    assert codes(await batching.http.post("/graphql", json=[[{"query": SMALL}]])) == ["BAD_REQUEST"]
    assert codes(await batching.http.post("/graphql", json=[{"query": SMALL}, 1])) == ["BAD_REQUEST"]


async def test_a_batch_may_cost_what_one_may(batching: Client) -> None:
    """Otherwise the price of an operation would be no limit."""
    costly = {"query": "{ experiments(first: 600) { nodes { id } } }"}
    first, second, third = (await batching.http.post("/graphql", json=[costly, costly, {"query": SMALL}])).json()
    assert first["data"]["experiments"]
    assert second["errors"][0]["extensions"]["code"] == "COST_LIMIT"
    assert second["errors"][0]["extensions"]["limit"] == 399
    assert third["data"]["tools"]


# -- pages of other sites --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def shared(demo_database: Database) -> AsyncIterator[Client]:
    async with serving(demo_database.gateway_url, cors_origins=f"{PAGE}/, https://other.example") as client:
        yield client


def preflight(origin: str, headers: str = "content-type,authorization") -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": headers,
    }


async def test_without_the_setting_no_page_of_another_site_may_read(demo: Client) -> None:
    response = await demo.http.post("/graphql", json={"query": SMALL}, headers={"origin": PAGE})
    assert not [name for name in response.headers if name.startswith("access-control")]
    asked = await demo.http.options("/graphql", headers=preflight(PAGE))
    assert asked.status_code == 405
    assert not [name for name in asked.headers if name.startswith("access-control")]


async def test_pages_of_the_sites_that_are_named_may_ask_and_read(shared: Client) -> None:
    asked = await shared.http.options("/graphql", headers=preflight(PAGE))
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == PAGE
    assert "authorization" in asked.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in asked.headers
    for status, body in ((200, {"query": SMALL}), (400, {"query": "{"})):
        response = await shared.http.post("/graphql", json=body, headers={"origin": PAGE})
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == PAGE
        assert "x-request-id" in response.headers["access-control-expose-headers"]
        assert "origin" in response.headers["vary"].lower()


async def test_others_may_not(shared: Client) -> None:
    for origin in ("https://evil.example", f"{PAGE}.evil.example", "null", "http://explorer.example"):
        asked = await shared.http.options("/graphql", headers=preflight(origin))
        assert (asked.status_code, codes(asked)) == (400, ["CROSS_SITE"])
        assert "access-control-allow-origin" not in asked.headers
        response = await shared.http.post("/graphql", json={"query": SMALL}, headers={"origin": origin})
        assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "names",
    [
        "content-type, apollographql-client-name, apollographql-client-version, x-apollo-operation-name",
        "authorization,X-APOLLO-OPERATION-ID,x-apollo-operation-type,apollo-require-preflight",
        "content-type,sentry-trace,baggage",
        "content-type, traceparent, tracestate, baggage",
    ],
)
async def test_pages_may_send_what_their_libraries_add(shared: Client, names: str) -> None:
    asked = await shared.http.options("/graphql", headers=preflight(PAGE, names))
    assert asked.status_code == 200
    allowed = {name.strip().lower() for name in asked.headers["access-control-allow-headers"].split(",")}
    assert allowed >= {name.strip().lower() for name in names.split(",")}


async def test_a_refused_preflight_says_what_was(shared: Client, demo_database: Database) -> None:
    async def why(origin: str, names: str) -> str:
        asked = await shared.http.options("/graphql", headers=preflight(origin, names))
        assert (asked.status_code, codes(asked)) == (400, ["CROSS_SITE"])
        message: str = asked.json()["errors"][0]["message"]
        return message

    header = await why(PAGE, "content-type, X-Tenant")
    assert "x-tenant" in header
    assert "GATEWAY_CORS_HEADERS" in header
    assert "origin" not in header.lower()
    origin = await why("https://evil.example", "content-type")
    assert "'https://evil.example'" in origin
    assert "GATEWAY_CORS_ORIGINS" in origin
    assert "header" not in origin
    both = await why("https://evil.example", "x-tenant")
    assert "GATEWAY_CORS_ORIGINS" in both
    assert "GATEWAY_CORS_HEADERS" in both
    for headers in (("x-tenant",), ("*",)):
        async with serving(demo_database.gateway_url, cors_origins=PAGE, cors_headers=headers) as client:
            asked = await client.http.options("/graphql", headers=preflight(PAGE, "x-tenant, sentry-trace"))
            assert asked.status_code == 200
    with pytest.raises(ValueError, match="not a header name"):
        Settings(cors_headers="x tenant")


async def test_all_sites_and_credentials(demo_database: Database) -> None:
    async with serving(demo_database.gateway_url, cors_origins="*") as client:
        response = await client.http.post("/graphql", json={"query": SMALL}, headers={"origin": PAGE})
        assert response.headers["access-control-allow-origin"] == "*"
    async with serving(demo_database.gateway_url, cors_origins=PAGE, cors_credentials=True) as client:
        response = await client.http.post("/graphql", json={"query": SMALL}, headers={"origin": PAGE})
        assert response.headers["access-control-allow-credentials"] == "true"
    with pytest.raises(ValueError, match="to name each origin"):
        async with serving(demo_database.gateway_url, cors_origins="*", cors_credentials=True):
            pass


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_get_that_another_site_made_a_browser_send_is_refused(demo: Client, shared: Client, site: str) -> None:
    """It could not read the answer, but would learn from how long it takes."""
    params = {"query": SMALL}
    headers = {"sec-fetch-site": site}
    response = await demo.http.get("/graphql", params=params, headers=headers)
    assert (response.status_code, codes(response)) == (403, ["CROSS_SITE"])
    for more in ({"graphql-require-preflight": "1"}, {"x-apollo-operation-name": "Q"}):
        assert (await demo.http.get("/graphql", params=params, headers=headers | more)).status_code == 200
    allowed = await shared.http.get("/graphql", params=params, headers=headers | {"origin": PAGE})
    assert allowed.status_code == 200


@pytest.mark.parametrize("site", ["same-origin", "none", None])
async def test_any_other_get_is_answered(demo: Client, site: str | None) -> None:
    headers = {"sec-fetch-site": site} if site else {}
    assert (await demo.http.get("/graphql", params={"query": SMALL}, headers=headers)).status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_what_a_form_can_send_is_no_request(demo: Client, content_type: str) -> None:
    """A page can send these three to any site without asking it first."""
    body: Any = json.dumps({"query": SMALL}).encode()
    response = await demo.http.post("/graphql", content=body, headers={"content-type": content_type})
    assert (response.status_code, codes(response)) == (415, ["UNSUPPORTED_MEDIA_TYPE"])


EVIL = ("evil.example", "evil.example:8000", "gateway.evil.example", "127.0.0.1.evil.example", "localhost.evil.example",
        "[::1]evil.example", "[::1", "::1", "localhost:80@evil.example", "localhost evil.example", "127.0.0.2", ".",
        "")  # fmt: skip
OWN = ("localhost", "LocalHost:8000", "localhost.", "localhost.:8000", "127.0.0.1:8000", "[::1]", "[::1]:8000")


async def asked_by(client: Client, host: str | list[str]) -> set[tuple[int, str | None]]:
    """The statuses and codes of a query by POST and by GET, and of the pages, asked by a name of the server."""
    hosts = [("host", host)] if isinstance(host, str) else [("host", one) for one in host]
    html = [*hosts, ("accept", "text/html")]
    responses = [
        await client.http.post("/graphql", json={"query": SMALL}, headers=hosts),
        await client.http.get("/graphql", params={"query": SMALL}, headers=hosts),
        await client.http.get("/graphql", headers=html),
        await client.http.get("/explorer", headers=html),
    ]
    return {(one.status_code, codes(one)[0] if one.status_code >= 400 else None) for one in responses}


async def test_a_page_that_makes_its_own_name_mean_this_machine_is_refused(demo_database: Database) -> None:
    """DNS rebinding: to the browser it is one site, so that neither preflights nor CORS are in its way."""
    async with serving(demo_database.gateway_url, hosts="Gateway., 127.0.0.1, [::1]") as client:
        for host in ("gateway", "GATEWAY:8000", "gateway.", "127.0.0.1:8000", "[::1]:8000"):
            assert await asked_by(client, host) == {(200, None)}, host
        for host in (*EVIL, "localhost"):
            assert await asked_by(client, host) == {(421, "CROSS_SITE")}, host
        for probe in ("/healthz", "/readyz"):
            assert (await client.http.get(probe, headers={"host": "10.0.0.7"})).status_code == 200


async def test_without_authentication_only_local_names_are_answered(demo_database: Database) -> None:
    async with serving(demo_database.gateway_url) as client:
        for host in OWN:
            assert await asked_by(client, host) == {(200, None)}, host
        for evil in (*EVIL, ["localhost", "evil.example"], ["evil.example", "localhost"]):
            assert await asked_by(client, evil) == {(421, "CROSS_SITE")}, evil
        refused = await client.http.get("/explorer", headers={"host": "evil.example"})
        assert "GATEWAY_HOSTS" in refused.json()["errors"][0]["message"]
    async with serving(demo_database.gateway_url, HOST="127.0.0.2") as client:
        assert await asked_by(client, "127.0.0.2:8000") == {(200, None)}
    async with serving(demo_database.gateway_url, hosts="*") as client:
        assert await asked_by(client, "evil.example") == {(200, None)}


async def test_a_page_without_a_credential_may_call_the_server_what_it_likes(demo_database: Database) -> None:
    """It has no credential to send: the gateway sets no cookies, and what its own pages keep is kept by origin."""
    async with serving(demo_database.gateway_url, **JWT) as client:
        headers = {"host": "evil.example"}
        refused = await client.http.post("/graphql", json={"query": SMALL}, headers=headers)
        assert (refused.status_code, codes(refused)) == (401, ["UNAUTHENTICATED"])
        headers["authorization"] = f"Bearer {token('viewer')}"
        assert (await client.http.post("/graphql", json={"query": SMALL}, headers=headers)).status_code == 200
    async with serving(demo_database.gateway_url, **(JWT | {"auth": ("none", "jwt")})) as client:
        headers = {"host": "evil.example"}
        refused = await client.http.post("/graphql", json={"query": SMALL}, headers=headers)
        assert (refused.status_code, codes(refused)) == (421, ["CROSS_SITE"]), "nobody may be anonymous there"


async def test_a_socket_by_another_name_of_the_server(demo_database: Database) -> None:
    async with listening(demo_database.gateway_url) as gateway:
        there = {"host": "127.0.0.1", "port": gateway.port}
        for host in OWN:
            async with peer(f"ws://{host}/graphql", **there):
                pass
        for host in ("evil.example", "127.0.0.1.evil.example:8000"):
            with pytest.raises(InvalidStatus) as refused:
                await peer(f"ws://{host}/graphql", **there).__aenter__()
            assert refused.value.response.status_code == 421
            assert b"GATEWAY_HOSTS" in (refused.value.response.body or b"")


@pytest.mark.parametrize("hosts", ["https://e2i.example", "e2i.example:443", "::1", "e2i.example/graphql", "*.example"])
def test_names_of_a_server_that_are_none(hosts: str) -> None:
    with pytest.raises(ValidationError, match=r"without a port"):
        Settings(hosts=hosts)
