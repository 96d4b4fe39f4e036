"""`make bench-recall`: how many of the true nearest neighbours pgvector's HNSW index finds, and how fast.

100,000 clustered vectors in ``composer_episodes``, on a database of its own that is kept in ``.e2i/bench-recall``. Each
way to search answers the same 200 vectors with ten rows each, with and without a filter that one row in twenty passes;
recall@10 is the part of the ten truly nearest that it found. Prints a table and writes ``gateway/docs/recall.json``.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import asyncpg

from db.embedded import server as embedded
from db.engine.url import database_url
from db.migrations import setup
from tests.support.client import Client, serving
from tests.support.plans import Statement, plan, recording

DATA = Path(".e2i/bench-recall")
REPORT = Path("gateway/docs/recall.json")
DATABASE = "recall"
INDEX = "ix_composer_episodes_query_embedding_hnsw"

SEED = 11
ROWS = 100_000
DIMENSIONS = 1536
THEMES = 20
CENTRES = 500
SPREAD = (0.8, 0.6)
"""Standard deviations: of a centre around its theme, of a vector around its centre; a theme's own is 1."""
PASSING = 0.05
QUERIES = 200
FIRST = 10
EF_SEARCH = (40, 100, 200)

Vector = list[float]
Search = Callable[[Vector, bool], Awaitable[list[str]]]
"""``search(vector, only_successful) -> ids``, nearest first."""


class Space:
    """Vectors in clusters, the same in every run.

    The centres lie around themes, as questions do: a filter leaves about ten rows of a cluster, and those that come
    next should be of a related one and not anywhere. The noise is cut out of a pool of random numbers, since drawing
    150 million of them takes minutes; two cuts at different places are as good as independent.
    """

    def __init__(self) -> None:
        self._rng = rng = Random(SEED)
        self._pool = [rng.gauss(0, SPREAD[1]) for _ in range(2_000_000)]
        themes = [[rng.gauss(0, 1) for _ in range(DIMENSIONS)] for _ in range(THEMES)]
        self._centres = [[x + rng.gauss(0, SPREAD[0]) for x in themes[n % THEMES]] for n in range(CENTRES)]
        self.queries = [self.vector() for _ in range(QUERIES)]

    def vector(self) -> Vector:
        centre = self._rng.choice(self._centres)
        start = self._rng.randrange(len(self._pool) - DIMENSIONS)
        return [a + b for a, b in zip(centre, self._pool[start : start + DIMENSIONS], strict=True)]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        rng = Random(SEED + 1)
        for number in range(ROWS):
            passes = rng.random() < PASSING
            yield UUID(int=rng.getrandbits(128)), f"c{number}", "q", self.vector(), 1.0, passes


# -- the database ------------------------------------------------------------------------------------------------------


async def connect(url: str) -> asyncpg.Connection:
    plain = database_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain)
    await connection.set_type_codec(
        "vector",
        schema="public",
        encoder=lambda values: struct.pack(f">hh{len(values)}f", len(values), 0, *values),
        decoder=lambda data: data,
        format="binary",
    )
    return connection


async def load(connection: asyncpg.Connection, space: Space) -> dict[str, float] | None:
    """Fills the table and then builds its index, in one transaction; the seconds of both, None if a run before did."""
    if await connection.fetchval("SELECT count(*) FROM composer_episodes") == ROWS:
        return None
    async with connection.transaction():
        definition = await connection.fetchval(f"SELECT pg_get_indexdef('{INDEX}'::regclass)")
        await connection.execute(f"DROP INDEX {INDEX}; TRUNCATE composer_episodes CASCADE")
        started = time.perf_counter()
        await connection.copy_records_to_table(
            "composer_episodes",
            records=space.rows(),
            columns=["episode_id", "composition_id", "query_text", "query_embedding", "total_latency_ms", "success"],
        )
        loaded = time.perf_counter()
        await connection.execute("SET LOCAL maintenance_work_mem = '2GB'")
        await connection.execute(f"SET LOCAL max_parallel_maintenance_workers = {os.cpu_count()}")
        await connection.execute(definition)
        built = time.perf_counter()
    await connection.execute("VACUUM ANALYZE composer_episodes")
    return {"load": round(loaded - started, 1), "index": round(built - loaded, 1)}


# -- ways to search ----------------------------------------------------------------------------------------------------


def statement(vector: Vector, *, only_successful: bool) -> Statement:
    filtered = " AND success" if only_successful else ""
    text = (
        f"SELECT episode_id::text FROM composer_episodes WHERE query_embedding IS NOT NULL{filtered} "
        f"ORDER BY query_embedding <=> $1 LIMIT {FIRST}"
    )
    return Statement(text, [vector])


def in_sql(connection: asyncpg.Connection) -> Search:
    """By plain SQL, with whatever settings the connection has."""

    async def search(vector: Vector, only_successful: bool) -> list[str]:  # noqa: FBT001
        text, values, _ = statement(vector, only_successful=only_successful)
        return [row[0] for row in await connection.fetch(text, *values)]

    return search


QUERY = """
    query($vector: [Float!], $only: Boolean) {
      similarEpisodes(embedding: $vector, first: 10, onlySuccessful: $only) {
        edges { score node { episodeId } } } }
"""


def in_graphql(client: Client) -> Search:
    """By the gateway, over HTTP without a network."""

    async def search(vector: Vector, only_successful: bool) -> list[str]:  # noqa: FBT001
        data = await client.data(QUERY, vector=vector, only=only_successful)
        return [edge["node"]["episodeId"] for edge in data["similarEpisodes"]["edges"]]

    return search


async def settings(connection: asyncpg.Connection, ef_search: int | None) -> None:
    """Settings of an approximate search, or of an exact one for None; plans made under others are forgotten.

    The index is forced, so that the figures are its own; what the planner would choose shows in the gateway's lines.
    """
    await connection.execute("DISCARD PLANS")
    if ef_search is None:
        await connection.execute("SET enable_indexscan = off")
        return
    await connection.execute(
        "RESET enable_indexscan; SET enable_seqscan = off; SET enable_bitmapscan = off;"
        f"SET hnsw.iterative_scan = strict_order; SET hnsw.ef_search = {ef_search}"
    )


async def uses_index(connection: asyncpg.Connection, asked: Statement) -> bool:
    return any(node.get("Index Name") == INDEX for node in await plan(connection, asked))


# -- measuring ---------------------------------------------------------------------------------------------------------


async def answers(search: Search, space: Space, *, filtered: bool) -> tuple[list[list[str]], float]:
    """The ids that are found for each query, and the median time of one, in ms; one query warms up."""
    await search(space.queries[0], filtered)
    found, taken = [], []
    for query in space.queries:
        started = time.perf_counter()
        found.append(await search(query, filtered))
        taken.append(time.perf_counter() - started)
    return found, round(statistics.median(taken) * 1000, 2)


def recall(found: list[list[str]], truth: list[list[str]]) -> float:
    return statistics.fmean(len(set(f) & set(t)) / len(t) for f, t in zip(found, truth, strict=True))


async def line(
    connection: asyncpg.Connection, name: str, found: list[list[str]], truth: list[list[str]], asked: Statement
) -> dict[str, Any]:
    """What is said of one way to search; ``asked`` is a statement of it, planned with the connection's settings."""
    parts = [recall([f], [t]) for f, t in zip(found, truth, strict=True)]
    return {
        "search": name,
        "recall_at_10": round(statistics.fmean(parts), 4),
        "worst_recall": min(parts),
        "short_answers": sum(len(f) < FIRST for f in found),
        "index_used": await uses_index(connection, asked),
    }


async def measure(connection: asyncpg.Connection, client: Client, space: Space) -> list[dict[str, Any]]:
    """A line for each way to search, without and with the filter."""
    lines: list[dict[str, Any]] = []
    for filtered in (False, True):
        asked = statement(space.queries[0], only_successful=filtered)
        extra = {"filtered": filtered}
        await settings(connection, None)
        truth, median = await answers(in_sql(connection), space, filtered=filtered)
        lines.append(await line(connection, "exact, SQL", truth, truth, asked) | extra | {"median_ms": median})
        for ef_search in EF_SEARCH:
            await settings(connection, ef_search)
            found, median = await answers(in_sql(connection), space, filtered=filtered)
            name = f"HNSW, SQL, ef_search {ef_search}"
            lines.append(await line(connection, name, found, truth, asked) | extra | {"median_ms": median})
        await connection.execute("RESET ALL")
        search = in_graphql(client)
        with recording() as sent:
            await search(space.queries[0], filtered)
        found, median = await answers(search, space, filtered=filtered)
        lines.append(await line(connection, "gateway", found, truth, sent[0]) | extra | {"median_ms": median})
    return lines


async def run(server: embedded.EmbeddedPostgres) -> dict[str, Any]:
    await setup.prepare_embedded(server, DATABASE)
    space = Space()
    connection = await connect(server.url(DATABASE, embedded.ADMIN_ROLE))
    try:
        seconds = await load(connection, space)
        async with serving(server.url(DATABASE, embedded.GATEWAY_ROLE)) as client:
            lines = await measure(connection, client, space)
        return {
            "data": f"{ROWS} vectors of {DIMENSIONS} dimensions around {CENTRES} centres of {THEMES} themes; "
            f"{PASSING:.0%} pass the filter; {QUERIES} queries of {FIRST} rows",
            "postgres": await connection.fetchval("SHOW server_version"),
            "pgvector": await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'vector'"),
            "shared_buffers": await connection.fetchval("SHOW shared_buffers"),
            "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, one query at a time",
            "index_mb": await connection.fetchval(f"SELECT pg_relation_size('{INDEX}'::regclass) / 1000000"),
            "seconds": seconds,
            "results": lines,
        }
    finally:
        await connection.close()


def main() -> None:
    with embedded.start(DATA) as server:
        report = asyncio.run(run(server))
    print(f"{'':26} {'filter':>6} {'recall@10':>10} {'worst':>6} {'median ms':>10} {'index':>6}")
    for line in report["results"]:
        print(
            f"{line['search']:26} {'5 %' if line['filtered'] else '-':>6} {line['recall_at_10']:10.4f} "
            f"{line['worst_recall']:6.1f} {line['median_ms']:10.2f} {'yes' if line['index_used'] else 'no':>6}"
        )
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
