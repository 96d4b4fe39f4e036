"""Documents by their id: trusted ones from a file or folder, and those that clients register by their hash."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.store.documents import TrustedDocumentsError
from gateway.http.request import PREFLIGHT
from gateway.operations.persisted import load
from tests.support.client import Client, serving
from tests.support.databases import Database
from tests.support.process import run

pytestmark = pytest.mark.slow

TOOLS = "query Tools($n: Int) { tools(first: $n) { nodes { name } } }"
COSTLY = "{ experiments(first: 1000) { nodes { models(first: 200) { nodes { id } } } } }"
OTHER = "{ tools(first: 1) { nodes { name } } }"
INVALID = "{ somethingOfYesterday }"
JSON = "application/json"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def persisted(text: str) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": sha(text)}}


async def send(client: Client, accept: str = "*/*", **body: Any) -> httpx.Response:
    return await client.http.post("/graphql", json=body, headers={"accept": accept})


def codes(response: httpx.Response) -> list[str]:
    return [error["extensions"]["code"] for error in response.json()["errors"]]


def names(response: httpx.Response) -> int:
    assert response.status_code == 200, response.text
    return len(response.json()["data"]["tools"]["nodes"])


FILES = {
    "codegen": {sha(TOOLS): TOOLS, "old": INVALID, sha(COSTLY): COSTLY},
    "relay": {hashlib.md5(TOOLS.encode()).hexdigest(): TOOLS, "costly": COSTLY},
    "apollo": {
        "format": "apollo-persisted-query-manifest",
        "version": 1,
        "operations": [{"id": sha(text), "name": "T", "type": "query", "body": text} for text in (TOOLS, COSTLY)],
    },
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trusted") / "documents.json"
    path.write_text(json.dumps(FILES["codegen"]))
    return path


@pytest.fixture(scope="module")
async def only(module_database: Database, manifest: Path) -> AsyncIterator[Client]:
    settings = {"trusted_documents": "only", "trusted_documents_path": manifest}
    async with serving(module_database.gateway_url, **settings) as client:
        yield client


@pytest.fixture(scope="module")
async def prefer(module_database: Database, manifest: Path) -> AsyncIterator[Client]:
    settings = {"trusted_documents": "prefer", "trusted_documents_path": manifest}
    async with serving(module_database.gateway_url, **settings) as client:
        yield client


@pytest.fixture(scope="module")
async def open_(module_database: Database) -> AsyncIterator[Client]:
    async with serving(module_database.gateway_url) as client:
        yield client


async def test_only_trusted_documents_are_answered_by_whatever_names_them(only: Client) -> None:
    assert names(await send(only, documentId=sha(TOOLS), variables={"n": 2})) == 2
    assert names(await send(only, documentId=f"sha256:{sha(TOOLS)}", variables={"n": 3})) == 3
    assert names(await send(only, extensions=persisted(TOOLS), variables={"n": 2})) == 2
    assert names(await send(only, query=TOOLS, variables={"n": 2})) == 2
    assert names(await send(only, query=TOOLS, extensions=persisted(TOOLS), variables={"n": 2})) == 2
    response = await only.http.get("/graphql", params={"documentId": sha(TOOLS), "variables": '{"n": 2}'})
    assert names(response) == 2


@pytest.mark.parametrize(
    "body",
    [
        {"query": OTHER},
        {"query": "{ not even graphql"},
        {"query": "{ __schema { types { name } } }"},
        {"query": TOOLS + " "},
        {"documentId": sha(OTHER)},
        {"extensions": persisted(OTHER)},
        {"query": OTHER, "extensions": persisted(OTHER)},
    ],
)
async def test_others_are_refused_before_they_are_parsed(only: Client, body: dict[str, Any]) -> None:
    for _ in range(2):  # the second time nothing has been registered either
        response = await send(only, **body)
        assert (response.status_code, codes(response)) == (400, ["DOCUMENT_NOT_TRUSTED"])
    assert (await send(only, JSON, **body)).status_code == 200


async def test_others_may_cost_less_where_trusted_documents_are_preferred(prefer: Client) -> None:
    assert (await send(prefer, documentId=sha(COSTLY))).status_code == 200
    assert (await send(prefer, query=COSTLY)).status_code == 200
    assert names(await send(prefer, query=OTHER)) == 1
    assert names(await send(prefer, query=OTHER, extensions=persisted(OTHER))) == 1
    assert names(await send(prefer, extensions=persisted(OTHER))) == 1
    response = await send(prefer, query=COSTLY + " ")
    assert codes(response) == ["COST_LIMIT"]
    (error,) = response.json()["errors"]
    assert error["extensions"]["limit"] == 100_000
    assert error["extensions"]["value"] > 100_000


async def test_two_names_for_two_documents(prefer: Client) -> None:
    response = await send(prefer, query=OTHER, documentId=sha(TOOLS))
    assert codes(response) == ["PERSISTED_QUERY_HASH_MISMATCH"]


@pytest.mark.parametrize("style", FILES)
async def test_files_of_every_style(
    module_database: Database, tmp_path: Path, style: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "documents.json"
    path.write_text(json.dumps(FILES[style]))
    async with serving(module_database.gateway_url, trusted_documents="only", trusted_documents_path=path) as client:
        assert names(await send(client, query=TOOLS, variables={"n": 2})) == 2
        if style == "codegen":
            assert codes(await send(client, documentId="old")) == ["GRAPHQL_VALIDATION_FAILED"]
            assert "the trusted document old cannot be answered" in caplog.text
        if style == "relay":
            assert names(await send(client, documentId=hashlib.md5(TOOLS.encode()).hexdigest())) > 2


async def test_a_folder(module_database: Database, tmp_path: Path) -> None:
    (tmp_path / "Tools.graphql").write_text(TOOLS)
    settings = {"trusted_documents": "only", "trusted_documents_path": tmp_path}
    async with serving(module_database.gateway_url, **settings) as client:
        assert names(await send(client, documentId="Tools", variables={"n": 2})) == 2
        assert names(await send(client, documentId=sha(TOOLS), variables={"n": 2})) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "is not JSON"), ("[]", "must be a JSON object"), ('{"a": 1}', "must be a JSON object"), (None, "cannot be")],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "documents.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TrustedDocumentsError, match=said):
        load(path)


async def test_what_cannot_be_read_is_said_at_the_start(module_database: Database, tmp_path: Path) -> None:
    settings = {
        "DATABASE_URL": module_database.gateway_url,
        "GATEWAY_TRUSTED_DOCUMENTS": "only",
        "GATEWAY_TRUSTED_DOCUMENTS_PATH": str(tmp_path / "nothing.json"),
        "PORT": "0",
    }
    found = await asyncio.to_thread(run, "serve", **settings)
    assert found.returncode == 1
    assert json.loads(found.stderr.splitlines()[-1])["message"].startswith(str(tmp_path))
    assert "Traceback" not in found.stderr


# -- automatic persisted queries -------------------------------------------------------------------------------------


async def test_a_client_registers_a_document_and_then_sends_its_hash(open_: Client) -> None:
    query = "{ tools(first: 4) { nodes { name } } }"
    unknown = await send(open_, JSON, extensions=persisted(query))
    assert unknown.status_code == 200
    assert codes(unknown) == ["PERSISTED_QUERY_NOT_FOUND"]
    assert unknown.json()["errors"][0]["message"] == "PersistedQueryNotFound"
    assert (await send(open_, extensions=persisted(query))).status_code == 400
    assert names(await send(open_, query=query, extensions=persisted(query))) == 4
    assert names(await send(open_, extensions=persisted(query))) == 4
    upper = {"persistedQuery": {"version": 1, "sha256Hash": sha(query).upper()}}
    assert names(await send(open_, extensions=upper)) == 4
    get = await open_.http.get("/graphql", params={"extensions": json.dumps(persisted(query))})
    assert names(get) == 4


async def test_a_hash_of_something_else_is_refused_and_not_kept(open_: Client) -> None:
    response = await send(open_, query="{ __typename }", extensions=persisted("{ another }"))
    assert codes(response) == ["PERSISTED_QUERY_HASH_MISMATCH"]
    assert codes(await send(open_, extensions=persisted("{ another }"))) == ["PERSISTED_QUERY_NOT_FOUND"]


async def test_an_invalid_document_is_not_kept(open_: Client) -> None:
    query = "{ nothing }"
    assert codes(await send(open_, query=query, extensions=persisted(query))) == ["GRAPHQL_VALIDATION_FAILED"]
    assert codes(await send(open_, extensions=persisted(query))) == ["PERSISTED_QUERY_NOT_FOUND"]


async def test_no_more_is_kept_than_there_is_room_for(open_: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.operations.persisted.REGISTERED", 1000)
    queries = [f"{{ tools(first: {n}) {{ nodes {{ name }} }} }}{' ' * 300}" for n in range(1, 6)]
    for query in queries:
        await send(open_, query=query, extensions=persisted(query))
    assert codes(await send(open_, extensions=persisted(queries[0]))) == ["PERSISTED_QUERY_NOT_FOUND"]
    assert names(await send(open_, extensions=persisted(queries[-1]))) == 5


async def test_it_can_be_turned_off(module_database: Database) -> None:
    async with serving(module_database.gateway_url, persisted_queries=False) as client:
        assert names(await send(client, query=OTHER, extensions=persisted(OTHER))) == 1
        assert codes(await send(client, extensions=persisted(OTHER))) == ["PERSISTED_QUERY_NOT_SUPPORTED"]


@pytest.mark.parametrize(
    "body",
    [
        {"documentId": 1},
        {"extensions": {"persistedQuery": 1}},
        {"extensions": {"persistedQuery": {}}},
        {"extensions": {"persistedQuery": {"version": 2, "sha256Hash": "x"}}},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": 7}}},
        {"query": ""},
        {"documentId": ""},
    ],
)
async def test_ids_that_are_none(open_: Client, body: dict[str, Any]) -> None:
    response = await send(open_, **body)
    assert (response.status_code, codes(response)) == (400, ["BAD_REQUEST"])


async def test_a_document_that_is_not_there(open_: Client) -> None:
    assert codes(await send(open_, documentId="nothing")) == ["DOCUMENT_NOT_FOUND"]
    long = await send(open_, documentId="x" * 300)
    assert (codes(long), long.json()["errors"][0]["extensions"]["limit"]) == (["NAME_LIMIT"], 256)


# -- reads by GET that can be kept -----------------------------------------------------------------------------------


async def test_a_read_by_its_id_has_a_tag(only: Client) -> None:
    asked = {"documentId": sha(TOOLS), "variables": '{"n": 2}'}
    first = await only.http.get("/graphql", params=asked)
    assert first.headers["cache-control"] == "public, no-cache"
    assert "authorization" in first.headers["vary"]
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    for known in (tag, f'"x", {tag}', "*", tag.removeprefix("W/")):
        again = await only.http.get("/graphql", params=asked, headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    other = await only.http.get("/graphql", params=asked | {"variables": '{"n": 3}'}, headers={"if-none-match": tag})
    assert other.status_code == 200
    assert other.headers["etag"] != tag


async def test_how_long_it_is_kept_is_a_setting(module_database: Database, manifest: Path) -> None:
    settings = {"trusted_documents": "only", "trusted_documents_path": manifest, "cache_seconds": 60}
    async with serving(module_database.gateway_url, **settings) as client:
        response = await client.http.get("/graphql", params={"documentId": sha(TOOLS)})
        assert response.headers["cache-control"] == "public, max-age=60"


async def test_errors_and_free_documents_are_not_kept(open_: Client) -> None:
    free = await open_.http.get("/graphql", params={"query": OTHER}, headers={"if-none-match": "*"})
    assert (free.status_code, free.headers["cache-control"]) == (200, "no-store")
    assert "etag" not in free.headers
    query = '{ model(id: "x") { id } }'
    await send(open_, query=query, extensions=persisted(query))
    failed = await open_.http.get("/graphql", params={"extensions": json.dumps(persisted(query))})
    assert failed.json()["errors"]
    assert failed.headers["cache-control"] == "no-store"


async def test_changes_are_not_sent_by_get_whatever_names_them(open_: Client) -> None:
    query = 'mutation { setChampion(input: { id: "x" }) { __typename } }'
    await send(open_, query=query, extensions=persisted(query))
    response = await open_.http.get(
        "/graphql", params={"extensions": json.dumps(persisted(query))}, headers={PREFLIGHT[0]: "1"}
    )
    assert (response.status_code, codes(response)) == (405, ["METHOD_NOT_ALLOWED"])
