"""GraphQL over HTTP, statement by statement: what the specification says a server MUST and SHOULD do.

The ids are those of the audits in `graphql-http`, the reference suite, where it has one for a statement.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.client import Client, serving
from tests.support.databases import Database

GRAPHQL = "application/graphql-response+json"
JSON = "application/json"
QUERY = "{ __typename }"


@pytest.fixture(scope="module")
async def client(module_database: Database) -> AsyncIterator[Client]:
    async with serving(module_database.gateway_url) as served:
        yield served


async def post(client: Client, body: Any, accept: str | None = None, content_type: str | None = JSON) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"accept": accept, "content-type": content_type}
    request = client.http.build_request("POST", "/graphql", content=content)
    request.headers.pop("accept", None)
    request.headers.update({name: value for name, value in headers.items() if value is not None})
    return await client.http.send(request)


def media(response: httpx.Response) -> str:
    return response.headers["content-type"].split(";")[0]


# -- media types -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [GRAPHQL, JSON, f"{GRAPHQL}, {JSON};q=0.9"])
async def test_must_answer_in_the_media_type_that_is_accepted(client: Client, accept: str) -> None:  # 22EB, 4655
    response = await post(client, {"query": QUERY}, accept)
    assert response.status_code == 200
    assert media(response) == accept.split(",", maxsplit=1)[0]


@pytest.mark.parametrize("accept", ["*/*", "application/*"])
async def test_should_accept_wildcards(client: Client, accept: str) -> None:  # 47DE
    response = await post(client, {"query": QUERY}, accept)
    assert response.status_code == 200
    assert media(response) in {GRAPHQL, JSON}


async def test_should_answer_graphql_response_without_an_accept_header(client: Client) -> None:  # 80D8, since 2025
    response = await post(client, {"query": QUERY})
    assert (response.status_code, media(response)) == (200, GRAPHQL)


@pytest.mark.parametrize("accept", [GRAPHQL, JSON])
async def test_must_encode_answers_in_utf8_and_say_so(client: Client, accept: str) -> None:  # 82A3
    query = '{ a: __typename search(text: "日本\u00e9") { complete } }'
    response = await post(client, {"query": query}, accept)
    assert response.headers["content-type"].endswith("charset=utf-8")
    assert json.loads(response.content.decode("utf-8"))["data"]["a"] == "Query"


@pytest.mark.parametrize("content_type", [f"{JSON}; charset=utf-8", f'{JSON};charset="UTF-8"', JSON])
async def test_must_accept_utf8_and_take_it_for_granted(client: Client, content_type: str) -> None:  # BF61, 78D5
    response = await post(client, {"query": QUERY}, content_type=content_type)
    assert response.status_code == 200


async def test_should_refuse_media_types_that_it_does_not_know(client: Client) -> None:
    assert (await post(client, {"query": QUERY}, "text/html")).status_code == 406
    assert (await post(client, {"query": QUERY}, content_type="text/plain")).status_code == 415


async def test_may_refuse_a_body_without_a_content_type(client: Client) -> None:  # 9ABE
    assert 400 <= (await post(client, {"query": QUERY}, content_type=None)).status_code < 500


# -- methods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [GRAPHQL, JSON])
async def test_must_accept_post_with_json(client: Client, accept: str) -> None:  # 2C94, 03D4
    response = await post(client, {"query": QUERY}, accept)
    assert response.json()["data"] == {"__typename": "Query"}


async def test_may_accept_get(client: Client) -> None:  # 5A70, D6D5, 6A70
    query = "query Q($n: String!) { __type(name: $n) { name } }"
    params = {"query": query, "operationName": "Q", "variables": '{"n": "Model"}', "extensions": "{}"}
    response = await client.http.get("/graphql", params=params)
    assert response.json()["data"]["__type"]["name"] == "Model"


async def test_must_not_run_mutations_by_get(client: Client) -> None:  # 9C48
    query = 'mutation { setChampion(input: { id: "x" }) { __typename } }'
    response = await client.http.get("/graphql", params={"query": query})
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert "data" not in response.json()


async def test_get_must_run_the_query_beside_a_mutation(client: Client) -> None:
    query = 'query A { __typename } mutation B { setChampion(input: { id: "x" }) { __typename } }'
    answered = await client.http.get("/graphql", params={"query": query, "operationName": "A"})
    assert answered.json()["data"] == {"__typename": "Query"}
    assert (await client.http.get("/graphql", params={"query": query, "operationName": "B"})).status_code == 405


# -- parameters --------------------------------------------------------------------------------------------------------

WRONG: list[Any] = [{"obj": "ect"}, 0, False, ["array"], 1.5]


@pytest.mark.parametrize("accept", [GRAPHQL, JSON])
@pytest.mark.parametrize("name", ["query", "operationName", "variables", "extensions"])
async def test_parameters_of_a_wrong_type_are_400(client: Client, name: str, accept: str) -> None:
    """423L, LKJ0-3, 6C00-3, 4760-3, 58B0-3: also in plain JSON, since such a request is not well-formed."""
    for value in [*WRONG, "string"]:
        right = isinstance(value, dict if name in {"variables", "extensions"} else str)
        if right or (name == "query" and value == "string"):
            continue
        response = await post(client, {"query": QUERY, name: value}, accept)
        assert response.status_code == 400, value
        assert response.json()["errors"]
        assert "data" not in response.json()


@pytest.mark.parametrize("accept", [GRAPHQL, JSON])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"operationName": None, "variables": None, "extensions": None},
        {"operationName": "", "variables": {}, "extensions": {}},
        {"variables": {"unknown": "is ignored"}, "extensions": {"some": "value"}},
        {"somethingElse": 1},
    ],
)
async def test_parameters_that_must_be_accepted(
    client: Client, accept: str, more: Any
) -> None:  # 13EE, 8161, 94B0, 39AA
    response = await post(client, {"query": QUERY} | more, accept)
    assert (response.status_code, response.json()["data"]) == (200, {"__typename": "Query"})


async def test_variables_and_operation_name_are_used(client: Client) -> None:  # B8B3, 0220, 428F, 1B7A
    query = "query A { __typename } query B($n: String!) { __type(name: $n) { name } }"
    response = await post(client, {"query": query, "operationName": "B", "variables": {"n": "Tool"}})
    assert response.json()["data"] == {"__type": {"name": "Tool"}}


@pytest.mark.parametrize("accept", [GRAPHQL, JSON])
@pytest.mark.parametrize("body", [b"{ not json", b"", b'{"qeury": "{ __typename }"}', b"{}", b"null", b'"x"'])
async def test_what_is_no_request_is_400(
    client: Client, body: bytes, accept: str
) -> None:  # A5BF, B6DC, BCF8, 8764, 3E3A
    response = await post(client, body, accept)
    assert response.status_code == 400
    assert media(response) == accept
    assert response.json()["errors"]
    assert "data" not in response.json()


# -- statuses ----------------------------------------------------------------------------------------------------------

REFUSED: dict[str, dict[str, Any]] = {
    "parsing": {"query": "{"},  # 572B, 865D, 556A, D586
    "validation": {"query": "{ 8f31403dfe404bccbb0e835f2629c6a7 }"},  # FDE2, 51FE, 74FF, 5E5B
    "unknown field": {"query": "{ unknown }"},
    "operation": {"query": "query A { __typename } query B { __typename }"},
    "operation name": {"query": QUERY, "operationName": "X"},
    "variables": {"query": "query($id: ID!) { model(id: $id) { id } }", "variables": {"id": None}},  # 7B9B, 86EE
    "missing variables": {"query": "query($id: ID!) { model(id: $id) { id } }"},
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_run_has_no_data_and_is_400(client: Client, body: Any) -> None:
    response = await post(client, body, GRAPHQL)
    assert response.status_code == 400
    assert "data" not in response.json()
    assert response.json()["errors"][0]["message"]


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_run_is_200_in_plain_json(client: Client, body: Any) -> None:
    response = await post(client, body, JSON)
    assert response.status_code == 200
    assert response.json()["errors"]


@pytest.mark.parametrize("accept", [GRAPHQL, JSON])
async def test_partial_data_is_200(client: Client, accept: str) -> None:
    """The specification allows 294 for it, which is no registered status yet."""
    response = await post(client, {"query": '{ __typename model(id: "x") { id } }'}, accept)
    assert response.status_code == 200
    assert response.json()["data"] == {"__typename": "Query", "model": None}
    assert response.json()["errors"][0]["path"] == ["model"]


async def test_the_answer_is_a_graphql_response(client: Client) -> None:
    """A map with `errors` not empty, and nothing beside data, errors and extensions."""
    for query in (QUERY, "{", '{ model(id: "x") { id } }'):
        answer = (await post(client, {"query": query})).json()
        assert set(answer) <= {"data", "errors", "extensions"}
        assert answer.get("errors", [1])
        for error in answer.get("errors", []):
            assert set(error) <= {"message", "locations", "path", "extensions"}
            assert isinstance(error["message"], str)
            assert all(place["line"] >= 1 and place["column"] >= 1 for place in error.get("locations", []))
