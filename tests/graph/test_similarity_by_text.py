"""Similarity by texts: vectors of a service that is proved by stored ones, and what is said where there are none."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from gateway.settings import SettingsError, load
from tests.support.agents import LEGACY, MODERN, Agent
from tests.support.callers import JWT, calling, token
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connected
from tests.support.embedding_service import EmbeddingServer, embed, embedding_server

pytestmark = pytest.mark.slow

EPISODES = {
    1: "which brands lose patients in oncology",
    2: "why did adherence of patients drop",
    3: "forecast the revenue of next quarter",
    4: "compare revenue by region and quarter",
}
LESSONS = {5: ("Holdouts first", "keep a holdout group before rollout"), 6: ("Dose", "weekly calls beat mailings")}
QUERY = """query($text: String, $first: Int, $after: String, $least: Float, $exact: Boolean) {
  similarEpisodes(text: $text, first: $first, after: $after, minSimilarity: $least, exact: $exact) {
    totalCount pageInfo { hasNextPage endCursor } edges { score node { queryText } } } }"""
NEAR = '{ similarEpisodes(text: "revenue of a quarter", first: 2) { nodes { queryText } } }'


@pytest.fixture(scope="module")
def service() -> Iterator[EmbeddingServer]:
    with embedding_server() as made:
        yield made


@pytest.fixture(scope="module")
async def texts(template: Database, clone: Clone) -> AsyncIterator[Database]:
    """A database whose vectors are those of its texts."""
    async with clone(template) as database:
        async with connected(database.admin_url) as sql:
            await sql.executemany(
                "INSERT INTO composer_episodes (episode_id, composition_id, query_text, total_latency_ms, "
                "query_embedding, success) VALUES ($1, $2, $3, 1, $4::text::vector, true)",
                [(UUID(int=n), f"c{n}", text, json.dumps(embed(text))) for n, text in EPISODES.items()],
            )
            await sql.executemany(
                "INSERT INTO experiment_knowledge_store (knowledge_id, source_type, lesson_type, title, description, "
                "knowledge_json, embedding) VALUES ($1, 'other', 'design', $2, $3, '{}', $4::text::vector)",
                [(UUID(int=n), *both, json.dumps(embed(" ".join(both)))) for n, both in LESSONS.items()],
            )
        yield database


@asynccontextmanager
async def served(database: Database, service: EmbeddingServer, **settings: Any) -> AsyncIterator[Client]:
    given = {"embeddings_url": service.url, "embeddings_model": "words", **settings}
    async with serving(database.gateway_url, **given) as client:
        yield client


@pytest.fixture(scope="module")
async def client(texts: Database, service: EmbeddingServer) -> AsyncIterator[Client]:
    async with served(texts, service, embeddings_key="a-secret-key", embeddings_dimensions=1536) as made:
        yield made


@pytest.fixture
def sent(client: Client, service: EmbeddingServer) -> EmbeddingServer:
    service.asked.clear()
    return service


async def test_rows_are_found_by_the_meaning_of_a_text(client: Client, sent: EmbeddingServer) -> None:
    found = (await client.data(QUERY, text="revenue of the quarter", exact=True))["similarEpisodes"]
    assert [edge["node"]["queryText"] for edge in found["edges"]][:2] == [EPISODES[3], EPISODES[4]]
    by_vector = await client.data(
        "query($e: [Float!]) { similarEpisodes(embedding: $e, exact: true) { edges { score node { queryText } } } }",
        e=embed("revenue of the quarter"),
    )
    assert by_vector["similarEpisodes"]["edges"] == found["edges"]
    assert found["totalCount"] == len(EPISODES)
    asked = sent.asked[-1]
    assert asked == {"model": "words", "dimensions": 1536, "input": ["revenue of the quarter"]}
    assert sent.keys[-1] == "Bearer a-secret-key"


async def test_a_text_is_made_into_a_vector_once(client: Client, sent: EmbeddingServer) -> None:
    """By variables, literals and aliases, in one request to the service."""
    document = """query($a: String!) {
      one: similarEpisodes(text: $a, first: 1) { nodes { queryText } }
      two: similarEpisodes(text: "patients in oncology", first: 1) { nodes { queryText } }
      three: similarKnowledge(text: $a, first: 1) { nodes { title } } }"""
    answer = await client.data(document, a="weekly calls")
    assert answer["two"]["nodes"] == [{"queryText": EPISODES[1]}]
    assert answer["three"]["nodes"] == [{"title": "Dose"}]
    assert sorted(sent.texts) == ["patients in oncology", "weekly calls"]
    other = await client.data(document, a="holdout before rollout")  # a kept plan, and another text
    assert other["three"]["nodes"] == [{"title": "Holdouts first"}]
    assert min(sent.texts) == "holdout before rollout"
    assert len(sent.texts) == 3


async def test_pages_of_a_text_are_read_on(client: Client) -> None:
    seen, cursor = [], None
    for _ in range(len(EPISODES)):
        page = (await client.data(QUERY, text="revenue", first=1, after=cursor, exact=True))["similarEpisodes"]
        seen += [edge["node"]["queryText"] for edge in page["edges"]]
        cursor = page["pageInfo"]["endCursor"]
    assert sorted(seen) == sorted(EPISODES.values())
    assert page["pageInfo"]["hasNextPage"] is False
    error = await client.error(QUERY, text="patients", first=1, after=cursor)
    assert error["code"] == "INVALID_CURSOR"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('text: "a", embedding: [1.0]', "embedding and text given"),
        ('text: "a", episodeId: "b"', "episodeId and text given"),
        ("first: 1", "none given"),
        ("text: null", "none given"),
        ('text: "  "', "text: is empty"),
        ('text: "a\\u0000"', "NUL"),
        (f'text: "{"a" * 4001}"', "4,001 characters"),
    ],
)
async def test_texts_that_cannot_be_searched_by(
    client: Client, sent: EmbeddingServer, arguments: str, said: str
) -> None:
    error = await client.error(f"{{ similarEpisodes({arguments}) {{ nodes {{ id }} }} }}")
    assert error["code"] == "BAD_USER_INPUT"
    assert said in error["message"]
    assert sent.texts == []


async def test_a_text_has_a_price(client: Client) -> None:
    with_text = (await client.cost('{ similarEpisodes(text: "a b", first: 1) { nodes { id } } }'))["requested"]
    by_vector = await client.cost(
        "query($e: [Float!]) { similarEpisodes(embedding: $e, first: 1) { nodes { id } } }", e=embed("a b")
    )
    assert with_text == by_vector["requested"] + 500


@pytest.mark.parametrize("era", [MODERN, LEGACY])
async def test_an_agent_finds_by_text(client: Client, era: str) -> None:
    found = await Agent(client, era).call("similar", kind="lessons", text="weekly calls beat", first=1, minScore=0.2)
    assert found["data"]["by"] == "vectors"
    assert [row["title"] for row in found["data"]["rows"]] == ["Dose"] or "Dose" in str(found["data"]["rows"])


async def test_what_is_told_to_operators(client: Client) -> None:
    assert (await client.http.get("/readyz")).json()["embeddings"] == "ok"
    families = {family.name: family for family in client.app.state.metrics.families()}
    assert families["e2i_embedding_requests"].samples[0].value >= 1
    assert "embeddings" in {sample.labels["cache"] for sample in families["e2i_cache_hits"].samples}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, b'{"error": "revenue of a quarter"}', "HTTP status 500"),
        (302, b"", "HTTP status 302"),
        (200, b"<html>revenue of a quarter", "something else than vectors"),
        (200, b'{"data": [{"index": 0, "embedding": ["revenue of a quarter"]}]}', "something else than vectors"),
        (200, b'{"data": [{"index": 7, "embedding": [1]}]}', "something else than vectors"),
        (200, json.dumps({"data": [{"index": 0, "embedding": [0.0] * 1536}]}).encode(), "zeros"),
        (200, b" " * 200_000, "more than"),
    ],
)
async def test_a_service_that_fails_is_told_without_the_text(
    client: Client, service: EmbeddingServer, caplog: pytest.LogCaptureFixture, status: int, body: bytes, said: str
) -> None:
    """The other fields of the operation are answered, and the next request is tried again."""
    caplog.set_level(logging.DEBUG, "gateway")
    service.status, service.body = status, body
    text = f"revenue of a quarter {status} {len(body)}"
    document = "query($t: String!) { tools(first: 1) { nodes { name } } similarEpisodes(text: $t) { nodes { id } } }"
    try:
        answer = await client.ask(document, t=text)
    finally:
        service.status, service.body = 200, None
    [error] = answer["errors"]
    assert error["extensions"]["code"] == "EMBEDDINGS_UNAVAILABLE"
    assert error["path"] == ["similarEpisodes"]
    assert said in error["message"]
    assert answer["data"]["tools"]["nodes"]
    assert "revenue" not in json.dumps(answer["errors"])
    assert "revenue" not in caplog.text
    assert "a-secret-key" not in caplog.text
    assert (await client.data(document, t=text))["similarEpisodes"]["nodes"]


async def test_agents_get_words_that_are_called_so_while_it_is_away(client: Client, service: EmbeddingServer) -> None:
    service.status = 503
    try:
        found = await Agent(client).call("similar", kind="episodes", text="adherence")
    finally:
        service.status = 200
    assert found["data"]["by"] == "words"
    [row] = found["data"]["rows"]
    assert EPISODES[2] in row["queryText"]
    assert any("EMBEDDINGS_UNAVAILABLE" in one and "no similarity" in one for one in found["warnings"])


async def test_words_are_those_of_the_text(texts: Database) -> None:
    """All of them before any of them, in whatever form; what was not read is said."""
    async with serving(texts.gateway_url) as client:
        agent = Agent(client)
        found = await agent.call("similar", kind="episodes", text="the patient and his oncology brand")
        assert found["data"]["by"] == "words"
        assert [(row["matched"], EPISODES[1] in row["queryText"]) for row in found["data"]["rows"]] == [
            ("all words", True),
            ("any word", False),
        ]
        assert found["complete"] is True
        one = await agent.call("similar", kind="episodes", text="patients", first=1)
        assert (len(one["data"]["rows"]), one["complete"]) == (1, False)
        lesson = await agent.call("similar", kind="lessons", text="mailings")
        assert "Dose" in lesson["data"]["rows"][0]["title"]
        assert (await agent.call("similar", kind="lessons", text="mailings", onlySuccessful=True))["data"]["rows"] == []
        assert (await agent.call("similar", kind="episodes", text="?!"))["data"]["rows"] == []
        assert (await agent.call("similar", kind="episodes", text="100%"))["data"]["rows"] == []


async def test_a_service_that_is_slow_is_given_up(texts: Database, service: EmbeddingServer) -> None:
    async with served(texts, service, embeddings_timeout=0.3) as client:
        service.going.clear()
        try:
            error = await client.error(NEAR)
        finally:
            service.going.set()
        assert error["code"] == "EMBEDDINGS_UNAVAILABLE"
        assert "within 0.3 seconds" in error["message"]


async def test_vectors_of_another_model_are_no_answer(texts: Database, service: EmbeddingServer) -> None:
    service.model = "other"
    try:
        async with served(texts, service, embeddings_model="other") as client:
            error = await client.error(NEAR)
            found = await Agent(client).call("similar", kind="episodes", text="adherence")
            report = (await client.http.get("/readyz")).json()["embeddings"]
    finally:
        service.model = "words"
    assert error["code"] == "EMBEDDING_MODEL_MISMATCH"
    assert "0.95 is needed" in error["message"]
    assert found["data"]["by"] == "words"
    assert any("EMBEDDING_MODEL_MISMATCH" in one for one in found["warnings"])
    assert "another model" in report
    assert not any(text in json.dumps(error) for text in EPISODES.values())


async def test_vectors_of_another_length_are_no_answer(texts: Database, service: EmbeddingServer) -> None:
    service.length = 8
    try:
        async with served(texts, service) as client:
            error = await client.error(NEAR)
    finally:
        service.length = 1536
    assert error["code"] == "EMBEDDING_MODEL_MISMATCH"
    assert "8 numbers" in error["message"]


async def test_where_nothing_is_stored_nothing_is_found(module_database: Database, service: EmbeddingServer) -> None:
    async with served(module_database, service) as client:
        assert (await client.data(NEAR))["similarEpisodes"]["nodes"] == []


async def test_without_a_service_texts_are_an_error(texts: Database) -> None:
    async with serving(texts.gateway_url) as client:
        error = await client.error(NEAR)
        assert await client.error('{ similarEpisodes(text: "a") { __typename } }') == error
        assert "embeddings" not in (await client.http.get("/readyz")).json()
    assert error["code"] == "EMBEDDINGS_NOT_CONFIGURED"
    assert "GATEWAY_EMBEDDINGS_URL" in error["message"]


async def test_who_may_not_read_sends_nothing(texts: Database, service: EmbeddingServer) -> None:
    async with served(texts, service, **JWT) as client:
        may = calling(client, token("viewer"))
        assert (await may.data(NEAR))["similarEpisodes"]["nodes"]
        service.asked.clear()
        may_not = calling(client, token("read:segmentation"))
        error = await may_not.error('{ similarEpisodes(text: "of somebody else") { nodes { id } } }')
        await may.http.aclose()
        await may_not.http.aclose()
    assert error["code"] == "FORBIDDEN_FIELD"
    assert service.texts == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("EMBEDDINGS_URL", "ftp://x/v1", "expected a URL"),
        ("EMBEDDINGS_MODEL", "", "name the model"),
        ("EMBEDDINGS_URL", "http://embeddings.example/v1", "https"),
        ("EMBEDDINGS_TIMEOUT", "0", "greater than 0"),
    ],
)
def test_settings_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    given = {"EMBEDDINGS_URL": "https://embeddings.example/v1", "EMBEDDINGS_MODEL": "words", "EMBEDDINGS_KEY": "k"}
    for each, one in (given | {name: value}).items():
        monkeypatch.setenv(f"GATEWAY_{each}", one)
    with pytest.raises(SettingsError, match=said):
        load()
