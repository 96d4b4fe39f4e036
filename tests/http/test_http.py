"""GraphQL over HTTP: methods, media types, statuses, and bodies that are no GraphQL request."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from graphql import build_client_schema, get_introspection_query

from tests.support.client import Client, serving
from tests.support.databases import Database

GRAPHQL = "application/graphql-response+json"
JSON = "application/json"
QUERY = "{ tools(first: 1) { totalCount nodes { name } } }"


@pytest.fixture(scope="module")
async def client(module_database: Database) -> AsyncIterator[Client]:
    async with serving(module_database.gateway_url) as served:
        yield served


async def post(client: Client, body: Any, **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.http.post("/graphql", content=content, headers={"content-type": JSON} | names)


def codes(response: Any) -> list[str]:
    return [error["extensions"]["code"] for error in response.json()["errors"]]


async def test_post_answers(client: Client) -> None:
    response = await post(client, {"query": QUERY})
    assert response.status_code == 200
    assert response.headers["content-type"] == f"{GRAPHQL}; charset=utf-8"
    assert response.json()["data"]["tools"]["totalCount"] == 13
    assert response.headers["x-request-id"]


async def test_get_answers(client: Client) -> None:
    query = "query Q($n: Int) { tools(first: $n) { nodes { name } } }"
    parameters = {"query": query, "variables": '{"n": 2}', "operationName": "Q", "extensions": "{}"}
    response = await client.http.get("/graphql", params=parameters)
    assert response.status_code == 200
    assert len(response.json()["data"]["tools"]["nodes"]) == 2


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (GRAPHQL, GRAPHQL),
        (JSON, JSON),
        ("*/*", GRAPHQL),
        ("application/*", GRAPHQL),
        (f"{JSON};q=0.9, {GRAPHQL}", GRAPHQL),
        (f"{GRAPHQL};q=0.1, {JSON}", JSON),
        (f"text/html, {JSON}", JSON),
        (f"{GRAPHQL}; charset=utf-8", GRAPHQL),
    ],
)
async def test_the_media_type_is_negotiated(client: Client, accept: str, media: str) -> None:
    response = await post(client, {"query": QUERY}, accept=accept)
    assert response.status_code == 200
    assert response.headers["content-type"] == f"{media}; charset=utf-8"


@pytest.mark.parametrize("accept", ["text/html", "application/xml", f"{JSON};q=0"])
async def test_no_common_media_type_is_406(client: Client, accept: str) -> None:
    response = await post(client, {"query": QUERY}, accept=accept)
    assert response.status_code == 406
    assert codes(response) == ["NOT_ACCEPTABLE"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"query": "\xff"}',
        b"null",
        b"1",
        b'"{ __typename }"',
        b"[]",
        b'[{"query": "{ __typename }"}]',
        b"{}",
        b'{"query": null}',
        b'{"query": ""}',
        b'{"query": 1}',
        b'{"query": ["{ __typename }"]}',
        b'{"query": "{ __typename }", "variables": []}',
        b'{"query": "{ __typename }", "variables": "x"}',
        b'{"query": "{ __typename }", "extensions": 1}',
        b'{"query": "{ __typename }", "operationName": 1}',
    ],
)
@pytest.mark.parametrize("media", [GRAPHQL, JSON])
async def test_a_body_that_is_no_request_is_400(client: Client, body: bytes, media: str) -> None:
    response = await post(client, body, accept=media)
    assert response.status_code == 400
    assert codes(response) == ["BAD_REQUEST"]
    assert "data" not in response.json()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ unknown }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query A { __typename } query B { __typename }"}, "OPERATION_NOT_FOUND"),
        ({"query": "{ __typename }", "operationName": "X"}, "OPERATION_NOT_FOUND"),
        ({"query": "query($n: Int!) { tools(first: $n) { totalCount } }"}, "BAD_USER_INPUT"),
        ({"query": "query($n: Int) { tools(first: $n) { totalCount } }", "variables": {"n": 2**40}}, "BAD_USER_INPUT"),
        ({"query": "query($n: Int) { tools(first: $n) { totalCount } }", "variables": {"n": "1"}}, "BAD_USER_INPUT"),
        ({"query": "{ tools(first: 99999999999) { totalCount } }"}, "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_a_refused_document_is_400_and_200_to_plain_json(client: Client, body: Any, code: str) -> None:
    response = await post(client, body, accept=GRAPHQL)
    assert (response.status_code, set(codes(response))) == (400, {code})
    assert "data" not in response.json()
    response = await post(client, body, accept=JSON)
    assert (response.status_code, set(codes(response))) == (200, {code})


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/graphql"])
async def test_other_content_types_are_415(client: Client, content_type: str) -> None:
    response = await post(client, {"query": QUERY}, content_type=content_type)
    assert response.status_code == 415
    assert codes(response) == ["UNSUPPORTED_MEDIA_TYPE"]


@pytest.mark.parametrize("coding", ["gzip", "GZIP, br", "zstd"])
async def test_an_encoded_body_is_415(client: Client, coding: str) -> None:
    body = gzip.compress(json.dumps({"query": QUERY}).encode())
    headers = {"content-type": JSON, "content-encoding": coding}
    response = await client.http.post("/graphql", content=body, headers=headers)
    assert (response.status_code, codes(response)) == (415, ["UNSUPPORTED_MEDIA_TYPE"])
    assert coding.lower() in response.json()["errors"][0]["message"]
    assert response.headers["accept-encoding"] == "identity"
    headers["content-encoding"] = "identity"
    plain = await client.http.post("/graphql", content=json.dumps({"query": QUERY}), headers=headers)
    assert plain.status_code == 200


async def test_an_operation_named_that_has_no_name(client: Client) -> None:
    response = await post(client, {"query": "{ __typename }", "operationName": "X"}, accept=GRAPHQL)
    (error,) = response.json()["errors"]
    assert error["message"] == (
        "The document has no operation 'X': its only one has no name. Leave operationName out, or name it in the "
        "document."
    )


async def test_other_charsets_are_415(client: Client) -> None:
    body = json.dumps({"query": QUERY}).encode("utf-16")
    response = await post(client, body, content_type=f"{JSON}; charset=utf-16")
    assert response.status_code == 415


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_405_with_json(client: Client, method: str) -> None:
    response = await client.http.request(method, "/graphql")
    assert response.status_code == 405
    assert codes(response) == ["METHOD_NOT_ALLOWED"]
    assert "POST" in response.headers["allow"]


async def test_unknown_paths_are_404_with_json(client: Client) -> None:
    for path in ("/nowhere", "/static/nowhere.js", "/static/../settings.py"):
        response = await client.http.get(path)
        assert response.status_code == 404
        assert codes(response) == ["NOT_FOUND"]


async def test_bad_get_parameters(client: Client) -> None:
    response = await client.http.get("/graphql", params={"query": QUERY, "variables": "{"})
    assert (response.status_code, codes(response)) == (400, ["BAD_REQUEST"])
    response = await client.http.get("/graphql", headers={"accept": JSON})
    assert (response.status_code, codes(response)) == (400, ["BAD_REQUEST"])


async def test_mutations_are_not_sent_by_get(client: Client) -> None:
    response = await client.http.get("/graphql", params={"query": "mutation { anything }"})
    assert response.status_code in {400, 405}
    assert "data" not in response.json()


async def test_a_large_body_is_refused_announced_or_not(client: Client) -> None:
    large = {"query": "{ __typename }" + " " * 2_000_000}
    response = await post(client, large)
    assert (response.status_code, codes(response)) == (413, ["BODY_LIMIT"])
    assert response.json()["errors"][0]["extensions"]["limit"] == 2_000_000

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(201):
            yield b" " * 10_000

    response = await client.http.post("/graphql", content=chunks(), headers={"content-type": JSON})
    assert (response.status_code, codes(response)) == (413, ["BODY_LIMIT"])


async def test_graphiql_is_for_browsers(client: Client) -> None:
    page = await client.http.get("/graphql", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assets = [part.split('"')[0] for part in page.text.split('src="')[1:] + page.text.split('href="')[1:]]
    for asset in assets:
        response = await client.http.get(f"/{asset.removeprefix('./')}", headers={"accept-encoding": "gzip"})
        assert response.status_code == 200, asset
        assert "content-security-policy" in response.headers


async def test_static_assets_are_compressed(client: Client) -> None:
    response = await client.http.get("/static/graphiql/LICENSES.md", headers={"accept-encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert len(gzip.compress(response.content)) > 0


async def test_graphiql_can_be_turned_off(module_database: Database) -> None:
    async with serving(module_database.gateway_url, graphiql=False) as client:
        response = await client.http.get("/graphql", headers={"accept": "text/html"})
        assert response.status_code == 406


async def test_health_and_readiness(client: Client) -> None:
    assert (await client.http.get("/healthz")).json() == {"status": "ok"}
    ready = (await client.http.get("/readyz")).json()
    assert [ready[name] for name in ("status", "database", "schema")] == ["ok"] * 3
    for asked in ("", "=true", "=1", "=false", "=0", "=No"):
        assert (await client.http.get(f"/readyz?changes{asked}")).json()["status"] == "ok"
    wrong = await client.http.get("/readyz?changes=maybe")
    assert (wrong.status_code, wrong.json()) == (
        400,
        {"error": "changes: expected true or false, as in /readyz?changes=true"},
    )


async def test_introspection_works(client: Client) -> None:
    query = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    )
    answer = await client.data(query)
    assert build_client_schema(answer).type_map["Model"]  # type: ignore[arg-type]
