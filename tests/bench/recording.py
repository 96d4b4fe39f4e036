"""`make bench-recording`: batches of serving metrics by GraphQL and as ndjson, beside an insert of arrays by asyncpg.

On a Postgres of its own with its defaults (fsync on), the requests by the whole application in one process, HTTP
parsing left out. Prints medians of `ROUNDS` alternating pairs and their ratio, which is what to compare: the machine's
speed is in both.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from db.embedded.server import ADMIN_ROLE, GATEWAY_ROLE, start
from db.migrations import setup
from tests.support.changing import add
from tests.support.client import Client, serving
from tests.support.databases import connect

DATABASE = "recording"
ROUNDS = 15
COLUMNS = {
    "id": ("id", "uuid"), "service_id": ("service", "uuid"), "recorded_at": ("recordedAt", "timestamptz"),
    "requests_total": ("requestsTotal", "integer"), "successful_requests": ("successfulRequests", "integer"),
    "failed_requests": ("failedRequests", "integer"), "requests_per_second": ("requestsPerSecond", "float8"),
    "avg_latency_ms": ("avgLatencyMs", "float8"), "p50_latency_ms": ("p50LatencyMs", "float8"),
    "p95_latency_ms": ("p95LatencyMs", "float8"), "p99_latency_ms": ("p99LatencyMs", "float8"),
    "max_latency_ms": ("maxLatencyMs", "float8"), "error_rate": ("errorRate", "float8"),
    "memory_mb": ("memoryMb", "float8"), "cpu_percent": ("cpuPercent", "float8"),
    "predictions_count": ("predictionsCount", "integer"),
}  # fmt: skip
MUTATION = "mutation($input: RecordServingMetricsInput!) { r: recordServingMetrics(input: $input) { __typename } }"


def rows_of(service: str, count: int, round_: int) -> list[dict[str, Any]]:
    """Rows as a client sends them."""
    begun = datetime(2026, 5, 1, tzinfo=UTC) + timedelta(days=round_)
    return [
        {
            "service": {"id": service},
            "recordedAt": (begun + timedelta(seconds=n)).isoformat(),
            **{name: 100 + n for _, (name, kind) in COLUMNS.items() if kind == "integer"},
            **{name: n / 7 for _, (name, kind) in COLUMNS.items() if kind == "float8"},
        }
        for n in range(count)
    ]


def arrays_of(rows: list[dict[str, Any]]) -> list[list[Any]]:
    """The same rows as somebody who writes SQL has them."""
    found = []
    for column, (name, _) in COLUMNS.items():
        if column == "id":
            continue
        if column == "service_id":
            found.append([row[name]["id"] for row in rows])
        elif column == "recorded_at":
            found.append([datetime.fromisoformat(row[name]) for row in rows])
        else:
            found.append([row[name] for row in rows])
    return found


async def by_hand(connection: asyncpg.Connection, arrays: list[list[Any]]) -> None:
    """The insert that one would write."""
    columns = [column for column in COLUMNS if column != "id"]
    bound = ", ".join(f"${place}::{COLUMNS[column][1]}[]" for place, column in enumerate(columns, 1))
    async with connection.transaction():
        await connection.execute(
            f"INSERT INTO ml_bentoml_serving_metrics ({', '.join(columns)}) SELECT * FROM unnest({bound})", *arrays
        )


async def measured(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds that something takes."""
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def by_graph(client: Client, body: bytes) -> None:
    """Records a batch by a mutation."""
    answer = await client.http.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert answer.json()["data"]["r"]["__typename"] == "Recorded", answer.text[:500]


async def by_lines(client: Client, body: bytes) -> None:
    """Records a batch of lines."""
    headers = {"content-type": "application/x-ndjson"}
    answer = await client.http.post("/record/servingMetrics", content=body, headers=headers)
    assert answer.status_code == 200, answer.text[:500]


async def compare(
    name: str,
    count: int,
    client: Client,
    connection: asyncpg.Connection,
    encode: Callable[[list[dict[str, Any]]], bytes],
    record: Callable[[Client, bytes], Awaitable[None]],
) -> float:
    """Prints and returns the ratio of medians."""
    service = str(await add(connection, "ml_bentoml_services"))
    ours, theirs = [], []
    for round_ in range(ROUNDS + 2):
        rows = rows_of(service, count, round_)
        body, arrays = encode(rows), arrays_of(rows)
        ours.append(await measured(lambda body=body: record(client, body)))  # type: ignore[misc]
        theirs.append(await measured(lambda arrays=arrays: by_hand(connection, arrays)))  # type: ignore[misc]
    us, them = statistics.median(ours[2:]), statistics.median(theirs[2:])
    print(f"{name}: {count:,} rows in {us * 1000:.1f} ms, by hand {them * 1000:.1f} ms: {us / them:.2f}")
    return us / them


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="e2i-bench-") as folder, start(Path(folder) / "data") as server:
        await setup.prepare_embedded(server, DATABASE)
        url = server.url(DATABASE, GATEWAY_ROLE)
        connection = await connect(server.url(DATABASE, ADMIN_ROLE))
        try:
            async with serving(url) as client:
                gc.collect()
                gc.freeze()  # as the server does once it is up
                await compare(
                    "GraphQL", 1_000, client, connection,
                    lambda rows: orjson.dumps({"query": MUTATION, "variables": {"input": {"rows": rows}}}), by_graph,
                )  # fmt: skip
                await compare(
                    "ndjson", 5_000, client, connection, lambda rows: b"\n".join(map(orjson.dumps, rows)), by_lines
                )
        finally:
            await connection.close()


if __name__ == "__main__":
    asyncio.run(main())
