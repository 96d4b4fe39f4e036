"""`make bench-lineage`: a hot node, 10,000 nodes and diamonds, walked by the gateway and by plain recursive queries.

On a database of its own that is kept in ``.e2i/bench-lineage``. Prints, for each case, the median of `ROUNDS` runs: the
whole request through the gateway (HTTP in one process, JSON included), and the recursive query that one would write by
hand, which sends nothing but a count.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from db.embedded import server as embedded
from db.engine.url import database_url
from db.migrations import setup
from tests.support.client import Client, serving

DATA = Path(".e2i/bench-lineage")
DATABASE = "lineage"
ROUNDS = 5
TIMEOUT = 30.0
"""Seconds after which a recursive query is given up."""

HOT = (100, 1_000, 10_000, 100_000)
PROMPTS = 10_000
TOOLS, CONSUMED = 2_000, 4

LINEAGE = """
    query($from: [ID!]!, $depth: Int, $perNode: Int, $nodes: Int, $through: [LineageKind!]) {
      lineage(from: $from, direction: DOWNSTREAM, maxDepth: $depth, perNodeLimit: $perNode, maxNodes: $nodes,
          through: $through) {
        nodes { id: nodeId type label state depth } edges { from to kind closesCycle } complete
        frontier { node kind remaining capped cursor } } }"""

MEASURED = """
    WITH RECURSIVE w (id) AS (SELECT $1::uuid UNION
        SELECT m.id FROM w JOIN ml_performance_metrics m ON m.model_id = w.id)
    SELECT count(*) FROM w"""
DESCENDED = """
    WITH RECURSIVE w (id) AS (SELECT $1::uuid UNION
        SELECT p.prompt_id FROM w JOIN prompt_configurations p ON p.parent_prompt_id = w.id)
    SELECT count(*) FROM w"""
FED = """
    WITH RECURSIVE w (kind, id, depth) AS (SELECT 't', $1::uuid, 0 UNION
        SELECT x.kind, x.id, w.depth + 1 FROM w CROSS JOIN LATERAL (
            SELECT 'd', d.dependency_id FROM tool_dependencies d WHERE w.kind = 't' AND d.producer_tool_id = w.id
            UNION ALL
            SELECT 't', d.consumer_tool_id FROM tool_dependencies d WHERE w.kind = 'd' AND d.dependency_id = w.id
        ) AS x (kind, id) WHERE w.depth < 100)
    SELECT count(DISTINCT id) FROM w"""
"""With the depth of each node, which makes a row of every length of way to it; without it there is no least depth."""


async def load(connection: asyncpg.Connection) -> None:
    """Fills the tables, unless a run before did."""
    if await connection.fetchval("SELECT count(*) FROM prompt_configurations") == PROMPTS:
        return
    rng = random.Random(1)
    async with connection.transaction():
        for place, children in enumerate(HOT):
            await connection.execute(
                "INSERT INTO ml_model_registry (id, model_name, model_version, algorithm) VALUES ($1, 'hot', $2, 'a')",
                UUID(int=children),
                str(place),
            )
            await connection.execute(
                "INSERT INTO ml_performance_metrics (model_id, metric_name, metric_value, data_split, measured_at) "
                "SELECT $1, 'roc_auc', 0.8, 'production', now() - n * interval '1 min' FROM generate_series(1, $2) n",
                UUID(int=children),
                children,
            )
        prompts = [
            (UUID(int=n + 1), f"p{n}", "s", UUID(int=rng.randrange(max(0, n - 2_000), n) + 1) if n else None)
            for n in range(PROMPTS)
        ]
        await connection.copy_records_to_table(
            "prompt_configurations",
            records=prompts,
            columns=["prompt_id", "prompt_name", "system_prompt", "parent_prompt_id"],
        )
        tools = [(UUID(int=n + 1), f"bench_tool_{n}", "t", "CAUSAL", "a") for n in range(TOOLS)]
        await connection.copy_records_to_table(
            "tool_registry", records=tools, columns=["tool_id", "name", "description", "category", "source_agent"]
        )
        dependencies = [
            (UUID(int=10**6 + n * CONSUMED + place), UUID(int=n + 1), UUID(int=producer + 1))
            for n in range(1, TOOLS)
            for place, producer in enumerate(rng.sample(range(n), min(n, CONSUMED)))
        ]
        await connection.copy_records_to_table(
            "tool_dependencies",
            records=dependencies,
            columns=["dependency_id", "consumer_tool_id", "producer_tool_id"],
        )
    await connection.execute("VACUUM ANALYZE")


async def median(run: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    """Milliseconds, and what was answered, after a run that warms up."""
    answer = await run()
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        answer = await run()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken), answer


async def recursive(connection: asyncpg.Connection, statement: str, key: UUID) -> str:
    try:
        taken, count = await median(lambda: connection.fetchval(statement, key, timeout=TIMEOUT))
    except TimeoutError:
        return f"given up after {TIMEOUT:.0f} s"
    return f"{taken:9.1f} ms ({count:,} rows)"


async def compare(
    name: str, client: Client, connection: asyncpg.Connection, start: str, statement: str, **limits: Any
) -> None:
    taken, answer = await median(lambda: client.ask(LINEAGE, **{"from": [start]}, **limits))
    assert "errors" not in answer, answer["errors"][:1]
    lineage, cost = answer["data"]["lineage"], answer["extensions"]["cost"]
    by_hand = await recursive(connection, statement, UUID(start.split(":")[1]))
    print(
        f"{name:34} {taken:9.1f} ms {len(lineage['nodes']):7,} {len(lineage['edges']):7,} "
        f"{'whole' if lineage['complete'] else 'cut':>6} {cost['statements']:5} {cost['rows']:8,}   {by_hand}",
        flush=True,
    )


async def run(server: embedded.EmbeddedPostgres) -> None:
    await setup.prepare_embedded(server, DATABASE)
    url = database_url(server.url(DATABASE, embedded.ADMIN_ROLE))
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain)
    try:
        await load(connection)
        print(f"{'':34} {'lineage':>12} {'nodes':>7} {'edges':>7} {'':>6} {'stmts':>5} {'rows':>8}   by hand")
        async with serving(server.url(DATABASE, embedded.GATEWAY_ROLE)) as client:
            for children in HOT:
                start = f"Model:{UUID(int=children)}"
                await compare(f"hot node, {children:,} children", client, connection, start, MEASURED, depth=3)
            start = f"PromptConfiguration:{UUID(int=1)}"
            limits = {"depth": 100, "perNode": 1000, "nodes": 500}
            await compare("500 of 10,000 prompts", client, connection, start, DESCENDED, **limits)
            limits = {"depth": 100, "perNode": 90, "nodes": 10_000}
            await compare("10,000 prompts", client, connection, start, DESCENDED, **limits)
            start = f"Tool:{UUID(int=1)}"
            await compare("10,000 tools and dependencies", client, connection, start, FED, **limits)
    finally:
        await connection.close()


def main() -> None:
    with embedded.start(DATA) as server:
        asyncio.run(run(server))


if __name__ == "__main__":
    main()
