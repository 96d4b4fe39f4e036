"""Similarity search: nearest first, by the index, against exact distances in Python; paged, filtered, and honest."""

from __future__ import annotations

import json
import math
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from db.attach import vector_indexes
from db.attach.attach import Difference, Differences, attach
from tests.support.client import Client, same, serving
from tests.support.databases import Clone, Database, connect
from tests.support.executors import EXECUTORS
from tests.support.plans import Statement, plan

pytestmark = pytest.mark.slow

Serve = Callable[[Database], AbstractAsyncContextManager[Client]]

DIMENSIONS = 1536
ROWS = 3000
CENTRES = 40


@dataclass
class World:
    """Episodes whose vectors vary in their first few dimensions, so that Python can compare them."""

    client: Client
    database: Database
    vectors: dict[str, tuple[float, ...]]
    successful: set[str]

    def similarities(self, to: tuple[float, ...], among: set[str] | None = None) -> dict[str, float]:
        """Cosine similarities by episode."""
        return {
            key: math.sumprod(to, vector) / (math.hypot(*to) * math.hypot(*vector))
            if hasattr(math, "sumprod")
            else sum(a * b for a, b in zip(to, vector, strict=True)) / (math.hypot(*to) * math.hypot(*vector))
            for key, vector in self.vectors.items()
            if among is None or key in among
        }


HNSW = "CREATE INDEX hnsw_episodes ON composer_episodes USING hnsw (query_embedding vector_cosine_ops)"
_OTHERS = """
    SELECT 'DROP INDEX ' || indexrelid::regclass FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    JOIN pg_am ON pg_am.oid = relam WHERE indrelid = 'composer_episodes'::regclass AND amname IN ('hnsw', 'ivfflat')
"""


async def give_index(connection: asyncpg.Connection, statement: str | None) -> None:
    """Gives the episodes' vectors this index alone, or none."""
    for (other,) in await connection.fetch(_OTHERS):
        await connection.execute(other)
    if statement:
        await connection.execute(statement)


def text(vector: tuple[float, ...]) -> str:
    return "[" + ",".join(repr(value) for value in (*vector, *([0.0] * (DIMENSIONS - len(vector))))) + "]"


def full(vector: tuple[float, ...]) -> list[float]:
    return [*vector, *([0.0] * (DIMENSIONS - len(vector)))]


@pytest.fixture(scope="module")
async def world(template: Database, clone: Clone, serve: Serve) -> AsyncIterator[World]:
    rng = random.Random(5)
    centres = [tuple(rng.gauss(0, 1) for _ in range(8)) for _ in range(CENTRES)]
    vectors = {}
    successful = set()
    rows = []
    for number in range(ROWS):
        key = str(UUID(int=rng.getrandbits(128)))
        centre = rng.choice(centres)
        # every tenth vector is one of a few, so that many are equally near
        vector = centre if number % 10 == 0 else tuple(round(value + rng.gauss(0, 0.3), 3) for value in centre)
        vectors[key] = vector
        if rng.random() < 0.05:
            successful.add(key)
        rows.append((UUID(key), f"c{number}", f"query {number}", 1.0, text(vector), key in successful))
    async with clone(template) as database:
        connection = await connect(database.admin_url)
        try:
            await give_index(connection, HNSW)
            await connection.executemany(
                "INSERT INTO composer_episodes (episode_id, composition_id, query_text, total_latency_ms,"
                " query_embedding, success) VALUES ($1, $2, $3, $4, $5::text::vector, $6)",
                rows,
            )
            await connection.execute(
                "INSERT INTO composer_episodes (composition_id, query_text, total_latency_ms)"
                " VALUES ('none', 'has no vector', 1)"
            )
            await connection.execute("ANALYZE composer_episodes")
        finally:
            await connection.close()
        async with serve(database) as client:
            yield World(client, database, vectors, successful)


QUERY = """query($e: [Float!], $id: ID, $first: Int, $after: String, $least: Float, $good: Boolean, $exact: Boolean,
                 $where: ComposerEpisodeWhere) {
  similarEpisodes(embedding: $e, episodeId: $id, first: $first, after: $after, minSimilarity: $least,
                  onlySuccessful: $good, exact: $exact, where: $where) {
    totalCount complete pageInfo { hasNextPage hasPreviousPage endCursor } nodes { episodeId }
    edges { score cursor node { episodeId queryText success } } } }"""


async def search(world: World, **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await world.client.data(QUERY, **variables))["similarEpisodes"]
    return found


def keys(found: dict[str, Any]) -> list[str]:
    return [edge["node"]["episodeId"] for edge in found["edges"]]


async def test_exact_search_is_the_order_of_similarity(world: World) -> None:
    query = (0.3, -1.0, 0.2, 0.5, 0.1, 0.9, -0.4, 0.7)
    expected = world.similarities(query)
    found = await search(world, e=full(query), first=200, exact=True)
    scores = [edge["score"] for edge in found["edges"]]
    assert scores == sorted(scores, reverse=True)
    assert scores == pytest.approx(sorted(expected.values(), reverse=True)[:200], abs=1e-6)
    assert all(
        edge["score"] == pytest.approx(expected[key], abs=1e-6)
        for edge, key in zip(found["edges"], keys(found), strict=True)
    )
    assert found["totalCount"] == ROWS
    assert found["complete"] is True


async def test_the_index_finds_what_exact_search_finds(world: World) -> None:
    """Recall among the first ten, over many queries; the large measurement is `make bench-recall`."""
    rng = random.Random(7)
    right = 0
    for _ in range(30):
        query = full(tuple(rng.gauss(0, 1) for _ in range(8)))
        near, exact = await search(world, e=query, first=10), await search(world, e=query, first=10, exact=True)
        furthest = exact["edges"][-1]["score"]
        right += sum(edge["score"] >= furthest - 1e-6 for edge in near["edges"])  # any of those equally near
        assert (near["complete"], exact["complete"]) == (False, True), "an index does not know what it has not found"
    assert right >= 0.95 * 300


@pytest.mark.parametrize("condition", ["", 'where: { queryText: { startsWith: "query 1" } }'])
async def test_the_plan_uses_the_index(world: World, recorded: list[Statement], condition: str) -> None:
    """With no filter and with one that a third of the rows pass; of the 150 that another leaves, comparing all is as
    good, and `make bench-recall` shows the filter of 5 % over many rows."""
    await world.client.data(
        f"query($e: [Float!]) {{ similarEpisodes(embedding: $e, first: 5, {condition}) {{ nodes {{ id }} }} }}",
        e=full((1.0,)),
    )
    (statement,) = recorded
    connection = await connect(world.database.gateway_url)
    try:
        nodes = await plan(connection, statement)
    finally:
        await connection.close()
    assert "hnsw_episodes" in [node.get("Index Name") for node in nodes]
    assert "Seq Scan" not in [node["Node Type"] for node in nodes]


NESTED = """query($e: [Float!]!, $id: ID!) {
  near: similarEpisodes(embedding: $e, first: 3) {
    complete totalCount pageInfo { hasNextPage endCursor }
    edges { score cursor node { episodeId steps(first: 2) { totalCount nodes { id episode { queryText } } } } } }
  like: similarEpisodes(episodeId: $id, first: 700) { nodes { id } }
  composerEpisodes(first: 1) { totalCount } }"""


async def test_searches_and_what_is_below_them_are_one_statement(world: World, recorded: list[Statement]) -> None:
    """Read with the settings of the search that asks the index for most; another vector meets the same plan."""
    async with serving(world.database.gateway_url, compiler=False) as loaders:
        for place, vector in enumerate([(1.0,), (0.3, -0.2, 1.0)]):
            id_ = list(world.vectors)[place]
            recorded.clear()
            found = await world.client.data(NESTED, e=full(vector), id=id_)
            if world.client.compiles:
                (statement,) = recorded
                assert statement.settings["hnsw.ef_search"] == "1000"
            expected = await loaders.data(NESTED, e=full(vector), id=id_)
            assert same(found, expected)


async def test_similar_to_an_episode_is_not_the_episode(world: World) -> None:
    key, vector = next(iter(world.vectors.items()))
    expected = sorted(world.similarities(vector, set(world.vectors) - {key}).values(), reverse=True)
    for id_ in (key, f"ComposerEpisode:{key}"):
        found = await search(world, id=id_, first=5)
        assert key not in keys(found)
        assert [edge["score"] for edge in found["edges"]] == pytest.approx(expected[:5], abs=1e-6)


@pytest.mark.parametrize("exact", [True, False])
async def test_pages_are_the_whole_list_without_gaps(world: World, exact: bool) -> None:  # noqa: FBT001 - a case
    """Through many rows that are equally near, which only the key tells apart."""
    query = full(next(iter(world.vectors.values())))
    whole = keys(await search(world, e=query, first=300, exact=exact))
    paged: list[str] = []
    cursor = None
    while len(paged) < 300:
        page = await search(world, e=query, first=37, after=cursor, exact=exact)
        assert page["pageInfo"]["hasPreviousPage"] == (cursor is not None)
        assert page["pageInfo"]["hasNextPage"]
        paged += keys(page)
        cursor = page["pageInfo"]["endCursor"]
    assert len(set(paged)) == len(paged)
    if exact:
        assert paged[:300] == whole
    else:  # each page is a search of its own
        assert len(set(paged[:300]) & set(whole)) >= 0.95 * 300


async def test_filters_and_the_least_similarity(world: World) -> None:
    query = (0.2, 0.2, -0.9, 0.4, 0.4, 0.1, 0.1, -0.3)
    among = world.similarities(query, world.successful)
    found = await search(world, e=full(query), first=1000, good=True)
    assert found["complete"] is True
    assert set(keys(found)) == world.successful
    assert all(edge["node"]["success"] for edge in found["edges"])
    near = [score for score in world.similarities(query).values() if score >= 0.6]
    found = await search(world, e=full(query), first=1000, least=0.6, exact=True)
    assert found["totalCount"] == len(found["edges"]) == len(near)
    assert min(edge["score"] for edge in found["edges"]) >= 0.6
    found = await search(world, e=full(query), first=1000, least=0.3, good=True, where={"queryText": {"contains": "7"}})
    expected = [key for key, score in among.items() if score >= 0.3]
    assert set(keys(found)) <= set(expected)
    assert found["totalCount"] == len(found["edges"])


@pytest.mark.parametrize("compiler", EXECUTORS)
async def test_a_page_of_just_all_rows_that_match_is_complete(world: World, *, compiler: bool) -> None:
    """By the index, of whose full pages no other is."""
    matching = len(world.successful)
    async with serving(world.database.gateway_url, compiler=compiler) as client:
        asked = World(client, world.database, world.vectors, world.successful)
        for first, complete in (matching - 1, False), (matching, True):
            found = await search(asked, e=full((1.0,)), first=first, good=True)
            assert (len(found["edges"]), found["complete"]) == (first, complete)


async def test_an_answer_that_the_index_cut_short_says_so(world: World) -> None:
    """The scan may read so few rows that a rare filter leaves the page unfilled."""
    connection = await connect(world.database.admin_url)
    rare = sorted(world.successful)[:3]
    role = f"ALTER ROLE e2i_gateway IN DATABASE {world.database.name}"
    try:
        await connection.execute(f"{role} SET hnsw.max_scan_tuples = 1")
        await connection.execute(f"{role} SET enable_seqscan = off")
        await connection.execute(f"{role} SET enable_bitmapscan = off")
        await connection.execute(f"{role} SET enable_sort = off")
        async with serving(world.database.gateway_url) as client:
            hurried = World(client, world.database, world.vectors, world.successful)
            near = world.similarities(world.vectors[rare[0]])
            furthest = sorted(near, key=near.__getitem__)[:200]
            where = {"episodeId": {"in": furthest}, "queryText": {"ne": "x"}}
            cut = await search(hurried, e=full(world.vectors[rare[0]]), first=150, where=where)
            whole = await search(hurried, e=full(world.vectors[rare[0]]), first=150, where=where, exact=True)
    finally:
        await connection.execute(f"{role} RESET ALL")
        await connection.close()
    assert len(whole["edges"]) == 150
    assert whole["complete"] is True
    assert len(cut["edges"]) < 150
    assert cut["complete"] is False
    assert cut["totalCount"] == whole["totalCount"] == 200


@pytest.mark.parametrize(
    ("arguments", "argument", "says"),
    [
        ("embedding: [1, 2, 3]", "embedding", "1536"),
        ("", "embedding", "none given"),
        ('embedding: [1], episodeId: "x"', "embedding", "embedding and episodeId given"),
        ('episodeId: "nonsense"', "episodeId", "UUID"),
        ('episodeId: "Model:00000000-0000-0000-0000-000000000001"', "episodeId", "ComposerEpisode"),
        ('episodeId: "00000000-0000-0000-0000-000000000001"', "episodeId", "there is no"),
        ("embedding: $zero", "embedding", "zeros"),
        ("embedding: $huge", "embedding[7]", "32-bit"),
        ("embedding: $one, minSimilarity: 1.5", "minSimilarity", "-1 to 1"),
        ("embedding: $one, minSimilarity: -1.0000001", "minSimilarity", "-1.0000001 is out of range"),
        ("embedding: $one, first: 1001", "first", "1000"),
        ('embedding: $one, after: "nonsense"', "after", "cursor"),
    ],
)
async def test_bad_input(world: World, arguments: str, argument: str, says: str) -> None:
    vectors = {"zero": full(()), "one": full((1.0,)), "huge": [*full(())[:7], 1e39, *full(())[8:]]}
    used = {name: vector for name, vector in vectors.items() if f"${name}" in arguments}
    declared = f"({', '.join(f'${name}: [Float!]' for name in used)})" if used else ""
    asked = f"({arguments})" if arguments else ""
    error = await world.client.error(f"query{declared} {{ similarEpisodes{asked} {{ nodes {{ id }} }} }}", **used)
    assert error["code"] in {"BAD_USER_INPUT", "INVALID_CURSOR"}
    assert error["extensions"]["argument"] == argument
    assert says in error["message"]


async def test_an_episode_without_a_vector_is_similar_to_nothing(world: World) -> None:
    data = await world.client.data('{ composerEpisodes(where: {queryText: {eq: "has no vector"}}) { nodes { id } } }')
    id_ = data["composerEpisodes"]["nodes"][0]["id"]
    for fields in ("nodes { id }", "totalCount"):
        error = await world.client.error(
            f"query($id: ID!) {{ similarEpisodes(episodeId: $id) {{ {fields} }} }}", id=id_
        )
        assert error["extensions"]["argument"] == "episodeId"
        assert "has no queryEmbedding" in error["message"]


async def test_a_cursor_belongs_to_its_search(world: World) -> None:
    found = await search(world, e=full((1.0,)), first=1)
    answer = await world.client.ask(QUERY, e=full((1.0, 1.0)), first=1, after=found["pageInfo"]["endCursor"])
    assert answer["errors"][0]["extensions"]["code"] == "INVALID_CURSOR"


async def test_knowledge(demo: Client) -> None:
    data = await demo.data("{ experimentKnowledgeEntries(first: 1) { nodes { id embedding } } }")
    (lesson,) = data["experimentKnowledgeEntries"]["nodes"]
    data = await demo.data(
        """query($id: ID!, $e: [Float!]) {
             like: similarKnowledge(knowledgeId: $id, first: 3, onlyActive: true) { complete edges { node { id } } }
             same: similarKnowledge(embedding: $e, first: 1) { edges { score node { id } } } }""",
        id=lesson["id"],
        e=lesson["embedding"],
    )
    assert data["like"]["complete"]
    assert lesson["id"] not in [edge["node"]["id"] for edge in data["like"]["edges"]]
    assert data["same"]["edges"][0]["score"] == pytest.approx(1)


# -- lengths, and what points nowhere ----------------------------------------------------------------------------------


def scaled(vector: tuple[float, ...], by: float) -> tuple[float, ...]:
    return tuple(value * by for value in vector)


@pytest.fixture(
    scope="module",
    params=[("hnsw", True), ("hnsw", False), ("ivfflat", True), ("none", True)],
    ids="{0[0]} {0[1]}".format,
)
async def lengths(template: Database, clone: Clone, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Thirty directions, of lengths from 1e-30 to 1e30, and two vectors of zeros."""
    rng = random.Random(3)
    vectors = {str(UUID(int=rng.getrandbits(128))): tuple(rng.gauss(0, 1) for _ in range(8)) for _ in range(30)}
    async with clone(template) as database:
        connection = await connect(database.admin_url)
        index, compiles = request.param
        await give_index(connection, {"hnsw": HNSW, "ivfflat": IVFFLAT, "none": None}[index])
        sizes = (10.0 ** (2 * place - 29) for place in range(30))
        rows = [(UUID(key), text(scaled(vector, next(sizes)))) for key, vector in vectors.items()]
        rows += [(UUID(int=n), text(())) for n in (1, 2)]
        await connection.executemany(
            "INSERT INTO composer_episodes (episode_id, composition_id, query_text, total_latency_ms, query_embedding) "
            "VALUES ($1::uuid, $1::uuid::text, 'q', 1, $2::text::vector)",
            rows,
        )
        await connection.execute("ANALYZE composer_episodes")
        await connection.close()
        async with serving(database.gateway_url, compiler=compiles) as client:
            yield World(client, database, vectors, set())


@pytest.mark.parametrize("by", [1e-30, 1e-12, 1.0, 1e12, 1e30])
@pytest.mark.parametrize("exact", [True, None])
async def test_the_length_of_a_vector_changes_nothing(lengths: World, by: float, exact: bool | None) -> None:  # noqa: FBT001 - a case
    query = (0.3, -1.0, 0.2, 0.5, 0.1, 0.9, -0.4, 0.7)
    expected = lengths.similarities(query)
    found = await search(lengths, e=full(scaled(query, by)), first=10, exact=exact)
    order = sorted(expected, key=expected.__getitem__, reverse=True)
    assert keys(found) == order[:10]
    assert [edge["score"] for edge in found["edges"]] == pytest.approx([expected[key] for key in order[:10]], abs=1e-5)
    assert (found["totalCount"], found["complete"]) == (30, True), "zeros are ranked nowhere"
    near = await search(lengths, e=full(scaled(query, by)), first=30, least=0.2, exact=exact)
    assert near["totalCount"] == len(near["edges"]) == sum(score >= 0.2 for score in expected.values())


async def test_similar_to_a_short_and_to_a_long_one(lengths: World) -> None:
    for key in [*lengths.vectors][:: len(lengths.vectors) - 1]:
        expected = lengths.similarities(lengths.vectors[key], lengths.vectors.keys() - {key})
        found = await search(lengths, id=key, first=29)
        assert keys(found) == sorted(expected, key=expected.__getitem__, reverse=True)


async def test_zeros_are_in_no_list_and_nothing_is_similar_to_them(lengths: World) -> None:
    found = await search(lengths, e=full((1.0,)), first=100)
    assert len(found["edges"]) == found["totalCount"] == 30
    assert found["complete"] is True
    assert None not in [edge["score"] for edge in found["edges"]]
    answer = await lengths.client.ask(QUERY, id=str(UUID(int=1)))
    assert answer["errors"][0]["extensions"]["argument"] == "episodeId"
    assert "zeros" in answer["errors"][0]["message"]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_what_is_no_number_is_refused(world: World, value: str) -> None:
    query = "query($e: [Float!]) { similarEpisodes(embedding: $e) { totalCount } }"
    body = json.dumps({"query": query, "variables": {"e": full((1.0,))}}).replace("1.0", value, 1)
    sent = await world.client.http.post("/graphql", content=body, headers={"content-type": "application/json"})
    answer = sent.json()
    (error,) = answer["errors"]
    assert error["extensions"]["code"] != "INTERNAL"
    assert answer.get("data") in (None, {"similarEpisodes": None})


# -- IVFFlat -----------------------------------------------------------------------------------------------------------

IVFFLAT = """CREATE INDEX ivf_episodes ON composer_episodes USING ivfflat (query_embedding vector_cosine_ops)
  WITH (lists = 100)"""


@pytest.fixture(scope="module", params=EXECUTORS)
async def ivfflat(
    world: World, template: Database, clone: Clone, request: pytest.FixtureRequest
) -> AsyncIterator[World]:
    """The same vectors, behind an index that was built before there were any."""
    async with clone(template) as database:
        connection = await connect(database.admin_url)
        await give_index(connection, IVFFLAT)
        await connection.executemany(
            "INSERT INTO composer_episodes (episode_id, composition_id, query_text, total_latency_ms, query_embedding, "
            "success) VALUES ($1::uuid, $1::uuid::text, 'q', 1, $2::text::vector, $3)",
            [(UUID(key), text(vector), key in world.successful) for key, vector in world.vectors.items()],
        )
        await connection.execute("ANALYZE composer_episodes")
        await connection.close()
        async with serving(database.gateway_url, compiler=request.param) as client:
            yield World(client, database, world.vectors, world.successful)


async def test_an_ivfflat_index_is_asked_as_such_and_never_thought_complete(
    ivfflat: World, recorded: list[Statement]
) -> None:
    query = full((0.3, -1.0, 0.2, 0.5))
    found = await search(ivfflat, e=query, first=10)
    settings = next(one.settings for one in recorded if one.settings)
    assert settings["ivfflat.probes"] == "20"
    assert settings["ivfflat.iterative_scan"] == "relaxed_order"
    assert not [name for name in settings if name.startswith("hnsw")]
    assert (len(found["edges"]), found["complete"]) == (10, False), "a full page of the lists that were read"
    scores = [edge["score"] for edge in found["edges"]]
    assert scores == sorted(scores, reverse=True)
    exact = await search(ivfflat, e=query, first=10, exact=True)
    assert exact["complete"] is True
    assert exact["totalCount"] == found["totalCount"] == ROWS
    everything = await search(ivfflat, e=query, first=1000, good=True)
    assert everything["complete"] is (set(keys(everything)) == ivfflat.successful)


@pytest.mark.parametrize("most", [vector_indexes.MOST, 1000], ids=["by all vectors", "by a sample of them"])
async def test_a_weak_index_is_told_with_its_recall_until_it_is_built_anew(
    template: Database, clone: Clone, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Vectors in clusters that fill all dimensions, behind a thousand lists that were chosen on an empty table."""
    monkeypatch.setattr(vector_indexes, "MOST", most)
    monkeypatch.setattr(vector_indexes, "SAMPLED", 600)

    def told(found: Differences) -> list[Difference]:
        return [note for note in found.notes if note.kind == "weak index"]

    rng = random.Random(9)
    noise = [rng.gauss(0, 0.9) for _ in range(100_000)]
    centres = [[rng.gauss(0, 1) for _ in range(DIMENSIONS)] for _ in range(20)]
    rows = []
    for number in range(1500):
        start = rng.randrange(len(noise) - DIMENSIONS)
        vector = [a + b for a, b in zip(centres[number % 20], noise[start : start + DIMENSIONS], strict=True)]
        rows.append((f"[{','.join(f'{value:.3f}' for value in vector)}]",))
    async with clone(template) as database:
        connection = await connect(database.admin_url)
        await give_index(connection, IVFFLAT.replace("100", "1000"))
        await connection.executemany(
            "INSERT INTO composer_episodes (composition_id, query_text, total_latency_ms, query_embedding) "
            "VALUES (gen_random_uuid()::text, 'q', 1, $1::text::vector)",
            rows,
        )
        (note,) = told(await attach(database.admin_url))
        assert "IVFFlat index ivf_episodes finds" in note.message
        assert ("of the 10 nearest" in note.message) == (most > 1000)
        memory, rebuilt = note.remedy.split(";\n")
        assert rebuilt == "REINDEX INDEX CONCURRENTLY ivf_episodes"
        with pytest.raises(asyncpg.ProgramLimitExceededError):  # of a thousand lists, with the server's memory
            await connection.execute(rebuilt)
        await connection.execute(memory)
        await connection.execute(rebuilt)
        assert told(await attach(database.admin_url)) == []
        await connection.close()


@pytest.mark.parametrize("compiler", EXECUTORS)
async def test_pages_are_full_whichever_of_two_indexes_the_planner_takes(world: World, *, compiler: bool) -> None:
    """As while an IVFFlat index gives way to an HNSW index."""
    connection = await connect(world.database.admin_url)
    try:
        await connection.execute(IVFFLAT.replace("100", "10"))  # of which all are read: dearer than the other
        async with serving(world.database.gateway_url, compiler=compiler) as client:
            both = World(client, world.database, world.vectors, world.successful)
            for first in (60, 300):
                found = await search(both, e=full((0.3, -1.0, 0.2)), first=first)
                assert (len(found["edges"]), found["complete"]) == (first, False)
    finally:
        await connection.execute("DROP INDEX ivf_episodes")
        await connection.close()


@pytest.mark.parametrize("most", [vector_indexes.MOST, 1000], ids=["by all vectors", "by a sample of them"])
async def test_a_good_index_is_not_told_of(world: World, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(vector_indexes, "MOST", most)
    monkeypatch.setattr(vector_indexes, "SAMPLED", 600)
    assert [note for note in (await attach(world.database.admin_url)).notes if note.kind == "weak index"] == []
