"""`make bench-recording`: rows by GraphQL and as ndjson, beside the statements that one would write by hand.

On a Postgres of its own with its defaults (fsync on). Batches and single rows are asked of the whole application in
one process, HTTP parsing left out: medians of `ROUNDS` alternating pairs and their ratio, which is what to compare,
since the machine's speed is in both. How long others wait meanwhile, PostGraphile's rows a second and an exporter's
load for ``--minutes`` are measured over HTTP, with a gateway in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import orjson

from db.embedded.server import ADMIN_ROLE, GATEWAY_ROLE, start
from db.migrations import setup
from tests.bench import servers
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
    return (await timed(work))[0]


async def timed(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Seconds that something takes, and those of this process's CPU."""
    began, used = time.perf_counter(), time.process_time()
    await work()
    return time.perf_counter() - began, time.process_time() - used


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
        ours.append(await timed(lambda body=body: record(client, body)))  # type: ignore[misc]
        theirs.append(await timed(lambda arrays=arrays: by_hand(connection, arrays)))  # type: ignore[misc]
    (us, our_cpu), (them, their_cpu) = (
        [statistics.median(kind) for kind in zip(*found[2:], strict=True)] for found in (ours, theirs)
    )
    print(
        f"{name}: {count:,} rows in {us * 1000:.1f} ms, by hand {them * 1000:.1f} ms: {us / them:.2f}; CPU of this "
        f"process {our_cpu * 1000:.1f} and {their_cpu * 1000:.1f} ms"
    )
    return us / them


CREATE = "mutation($input: CreateExperimentInput!) { r: createExperiment(input: $input) { __typename } }"
EVENT = """
    INSERT INTO gateway.lifecycle_events
        (change_id, mutation, lifecycle, actor, node_id, node_type, to_state, request_id)
    VALUES
        (gen_random_uuid(), 'createExperiment', 'row', 'me', 'Experiment:' || $1::text, 'Experiment', 'BORN', $2)
"""


async def one_row(client: Client, connection: asyncpg.Connection) -> None:
    """Prints what making one row costs, beside the same transaction by hand: the row and its event."""

    async def ours(name: str) -> None:
        given = {"experimentName": name, "predictionTarget": "churn", "mlflowExperimentId": name, "minimumAuc": 0.7}
        await by_graph(client, orjson.dumps({"query": CREATE, "variables": {"input": given}}))

    async def theirs(name: str) -> None:
        async with connection.transaction():
            id_ = await connection.fetchval(
                "INSERT INTO ml_experiments (experiment_name, prediction_target, mlflow_experiment_id, minimum_auc) "
                "VALUES ($1, 'churn', $1, 0.7) RETURNING id",
                name,
            )
            await connection.execute(EVENT, str(id_), name)

    us, them = [], []
    for round_ in range(20 * ROUNDS):
        us.append(await measured(lambda name=f"our {round_}": ours(name)))  # type: ignore[misc]
        them.append(await measured(lambda name=f"their {round_}": theirs(name)))  # type: ignore[misc]
    our, their = statistics.median(us[20:]), statistics.median(them[20:])
    print(f"one row: {our * 1000:.2f} ms, by hand {their * 1000:.2f} ms: {our / their:.2f}")


LOOKUP = {"query": "{ experiments(first: 1) { nodes { id experimentName } } }"}


async def lookups(http: httpx.AsyncClient, over: asyncio.Event, *, pause: float = 0.01) -> list[float]:
    """Seconds that light lookups take, one after the other, until something is over."""
    taken = []
    while not over.is_set():
        began = time.perf_counter()
        answer = await http.post("/graphql", json=LOOKUP)
        taken.append(time.perf_counter() - began)
        assert answer.status_code == 200, answer.text[:500]
        await asyncio.sleep(pause)
    return taken


async def others(http: httpx.AsyncClient, connection: asyncpg.Connection, seconds: float = 8.0) -> None:
    """Prints how long lookups take alone, and while batches of 10,000 rows are written one after the other."""
    service = str(await add(connection, "ml_bentoml_services"))
    await add(connection, "ml_experiments")
    bodies = [b"\n".join(map(orjson.dumps, rows_of(service, 10_000, 100 + round_))) for round_ in range(3)]

    async def looking(writes: bool) -> tuple[list[float], int]:  # noqa: FBT001
        over = asyncio.Event()
        task = asyncio.create_task(lookups(http, over))
        until, batches = time.perf_counter() + seconds, 0
        while time.perf_counter() < until:
            if writes:
                headers = {"content-type": "application/x-ndjson"}
                answer = await http.post("/record/servingMetrics", content=bodies[batches % 3], headers=headers)
                assert answer.status_code == 200, answer.text[:500]
                batches += 1
            else:
                await asyncio.sleep(0.1)
        over.set()
        return await task, batches

    await looking(True)  # noqa: FBT003 - the first ones make plans
    for writes in (False, True):
        taken, batches = await looking(writes)
        middle, *_ = statistics.quantiles(taken, n=2)
        p99 = statistics.quantiles(taken, n=100)[98]
        beside = f"beside {batches} batches of 10,000 rows" if writes else "alone"
        print(
            f"lookups {beside}: median {middle * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, "
            f"worst {max(taken) * 1000:.1f} ms of {len(taken)}"
        )


async def peer(base: str, http: httpx.AsyncClient, connection: asyncpg.Connection, aliases: int) -> None:
    """Prints the rows a second of 1,000 rows by PostGraphile, so many a request, beside one mutation of ours."""
    service = str(await add(connection, "ml_bentoml_services"))
    names = [name for name in COLUMNS if name not in {"id", "service_id"}]

    def camel(name: str) -> str:
        first, *rest = name.split("_")
        return first + "".join(map(str.capitalize, rest))

    declared = ", ".join(f"$i{n}: CreateMlBentomlServingMetricInput!" for n in range(aliases))
    fields = " ".join(
        f"a{n}: createMlBentomlServingMetric(input: $i{n}) {{ clientMutationId }}" for n in range(aliases)
    )
    document = f"mutation({declared}) {{ {fields} }}"

    def inputs(rows: list[dict[str, Any]]) -> dict[str, Any]:
        found = {}
        for n, row in enumerate(rows):
            values = {camel(name): row[COLUMNS[name][0]] for name in names} | {"serviceId": row["service"]["id"]}
            found[f"i{n}"] = {"mlBentomlServingMetric": values}
        return found

    async with httpx.AsyncClient(base_url=base, timeout=120, trust_env=False) as other:

        async def theirs(bodies: list[bytes]) -> None:
            for body in bodies:
                answer = await other.post("/graphql", content=body, headers={"content-type": "application/json"})
                assert "errors" not in answer.json(), answer.text[:500]

        async def ours(body: bytes) -> None:
            answer = await http.post("/graphql", content=body, headers={"content-type": "application/json"})
            assert answer.json()["data"]["r"]["__typename"] == "Recorded", answer.text[:500]

        us, them = [], []
        for round_ in range(7):
            rows = rows_of(service, 1_000, 200 + round_)
            parts = [rows[at : at + aliases] for at in range(0, 1_000, aliases)]
            bodies = [orjson.dumps({"query": document, "variables": inputs(part)}) for part in parts]
            body = orjson.dumps({"query": MUTATION, "variables": {"input": {"rows": rows}}})
            us.append(await measured(lambda body=body: ours(body)))  # type: ignore[misc]
            them.append(await measured(lambda bodies=bodies: theirs(bodies)))  # type: ignore[misc]
    our, their = 1_000 / statistics.median(us[2:]), 1_000 / statistics.median(them[2:])
    print(
        f"PostGraphile, {aliases} rows a request: {their:,.0f} rows a second, one mutation of 1,000 rows here "
        f"{our:,.0f}: {our / their:.1f} times"
    )


OWN_TABLES = """
    SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
    WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind = 'r'
"""


async def exporter(
    server: servers.Server, http: httpx.AsyncClient, connection: asyncpg.Connection, minutes: float
) -> None:
    """Sends 5,000 rows every two seconds, each with a key; prints memory and the size of the gateway's own tables."""
    service = str(await add(connection, "ml_bentoml_services"))
    began, batches, seen = time.monotonic(), 0, []
    while time.monotonic() - began < minutes * 60:
        body = b"\n".join(map(orjson.dumps, rows_of(service, 5_000, 1_000 + batches)))
        headers = {"content-type": "application/x-ndjson", "idempotency-key": f"exporter/{batches}"}
        answer = await http.post("/record/servingMetrics", content=body, headers=headers)
        assert answer.status_code == 200, answer.text[:500]
        batches += 1
        if batches % max(1, round(minutes * 3)) == 1:
            own = await connection.fetchval(OWN_TABLES)
            seen.append(f"{batches}: {server.rss:.0f} MB, own tables {own / 1e6:.3f} MB")
        with suppress(asyncio.TimeoutError):
            await asyncio.sleep(max(0.0, began + 2 * batches - time.monotonic()))
    own = await connection.fetchval(OWN_TABLES)
    print(f"an exporter's {batches} batches of 5,000 rows in {minutes:g} minutes: {server.rss:.0f} MB, own tables "
          f"{own / 1e6:.3f} MB; on the way {'; '.join(seen)}")  # fmt: skip


PARTS = ("batches", "one", "others", "peer", "exporter")


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.recording", description="Measure recording.")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long the exporter's load takes")
    parser.add_argument("parts", nargs="*", choices=PARTS, default=PARTS, metavar="part", help=", ".join(PARTS))
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} when it began")
    with tempfile.TemporaryDirectory(prefix="e2i-bench-") as folder, start(Path(folder) / "data") as server:
        await setup.prepare_embedded(server, DATABASE)
        url = server.url(DATABASE, GATEWAY_ROLE)
        connection = await connect(server.url(DATABASE, ADMIN_ROLE))
        try:
            if {"batches", "one"} & set(options.parts):
                await in_process(url, connection, options.parts)
            if {"others", "peer", "exporter"} & set(options.parts):
                admin = f"postgresql://{ADMIN_ROLE}@{quote(str(server.socket_folder), safe='')}/{DATABASE}"
                await over_http(url, admin, connection, options)
        finally:
            await connection.close()


async def in_process(url: str, connection: asyncpg.Connection, parts: list[str]) -> None:
    """What is measured without HTTP."""
    async with serving(url) as client:
        gc.collect()
        gc.freeze()  # as the server does once it is up
        if "batches" in parts:
            await compare(
                "GraphQL", 1_000, client, connection,
                lambda rows: orjson.dumps({"query": MUTATION, "variables": {"input": {"rows": rows}}}), by_graph,
            )  # fmt: skip
            await compare(
                "ndjson", 5_000, client, connection, lambda rows: b"\n".join(map(orjson.dumps, rows)), by_lines
            )
        if "one" in parts:
            await one_row(client, connection)


async def over_http(url: str, admin: str, connection: asyncpg.Connection, options: argparse.Namespace) -> None:
    """What is measured of a gateway in a process of its own."""
    with servers.gateway("recording", servers.OFF, database=url) as gateway:
        async with httpx.AsyncClient(base_url=gateway.base, timeout=120, trust_env=False) as http:
            if "others" in options.parts:
                await others(http, connection)
            if "peer" in options.parts and servers.has_peers():
                with servers.postgraphile(admin, "last") as other:
                    for aliases in (1, 10, 100):
                        await peer(other.base, http, connection, aliases)
            elif "peer" in options.parts:
                print("PostGraphile is left out: `make bench-peers` has not installed it")
            if "exporter" in options.parts:
                await exporter(gateway, http, connection, options.minutes)


if __name__ == "__main__":
    asyncio.run(main())
