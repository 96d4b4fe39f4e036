"""`make bench-recording`: rows by GraphQL and as ndjson, beside the statements that one would write by hand.

On a Postgres of its own with its defaults (fsync on). Batches and single rows are asked of the whole application in
one process, HTTP's parsing and a client of its own left out: medians of `ROUNDS` alternating pairs and their ratio,
which is what to compare, since the machine's speed is in both. How long the loop is held, and 20 bad rows of 10,000,
are of that process too. How long others wait meanwhile, PostGraphile's rows a second and an exporter's load for
``--minutes`` are measured over HTTP, with a gateway in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch
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


async def post(client: Client, path: str, kind: str, body: bytes) -> bytes:
    """What the application answers to a request, as a server hands it over."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
        "headers": [
            (b"host", b"localhost"), (b"content-type", kind.encode()), (b"content-length", b"%d" % len(body)),
        ],
    }  # fmt: skip
    received = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        return received.pop() if received else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await client.app(scope, receive, send)
    return b"".join(message.get("body", b"") for message in sent)


async def by_graph(client: Client, body: bytes) -> None:
    """Records a batch by a mutation."""
    answer = await post(client, "/graphql", "application/json", body)
    assert orjson.loads(answer)["data"]["r"]["__typename"] == "Recorded", answer[:500]


async def by_lines(client: Client, body: bytes) -> None:
    """Records a batch of lines."""
    answer = await post(client, "/record/servingMetrics", "application/x-ndjson", body)
    assert orjson.loads(answer).get("inserted"), answer[:500]


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


def lookups(base: str, seconds: float, pause: float = 0.01) -> list[float]:
    """Seconds that light lookups take, one after the other; in a process that does nothing else."""
    taken = []
    with httpx.Client(base_url=base, timeout=120, trust_env=False) as http:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            began = time.perf_counter()
            answer = http.post("/graphql", json=LOOKUP)
            taken.append(time.perf_counter() - began)
            assert answer.status_code == 200, answer.text[:500]
            time.sleep(pause)
    return taken


async def held(client: Client, connection: asyncpg.Connection, batches: int = 5) -> None:
    """Prints the longest CPU times of single steps of the loop while batches of 10,000 rows are recorded."""
    service = str(await add(connection, "ml_bentoml_services"))
    bodies = [b"\n".join(map(orjson.dumps, rows_of(service, 10_000, 300 + turn))) for turn in range(batches + 1)]
    run, steps = asyncio.Handle._run, []

    def timed_run(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run(handle)
        steps.append(time.thread_time() - began)

    await by_lines(client, bodies[0])
    steps.clear()
    with patch.object(asyncio.Handle, "_run", timed_run):
        for body in bodies[1:]:
            await by_lines(client, body)
    longest = ", ".join(f"{step * 1000:.1f}" for step in sorted(steps, reverse=True)[:8])
    print(f"the loop's longest steps beside {batches} batches of 10,000 rows: {longest} ms of CPU of {len(steps):,}")


async def bad_rows(client: Client, connection: asyncpg.Connection) -> None:
    """Prints how long it takes to name 20 bad rows of 10,000, by what is wrong with them."""
    study = str(await add(connection, "ml_hpo_studies"))
    bad = sorted(random.Random(5).sample(range(10_000), 20))

    def rows(first: int, **wrong: Any) -> list[dict[str, Any]]:
        common = {"study": {"id": study}, "state": "COMPLETE", "params": {"leaves": 15}, "value": 0.5}
        made = [{**common, "trialNumber": first + number} for number in range(10_000)]
        for place in bad:
            made[place] |= wrong
        return made

    headers = {"content-type": "application/x-ndjson"}
    there = [row for place, row in enumerate(rows(0)) if place in bad]
    await client.http.post("/record/hpoTrials", content=b"\n".join(map(orjson.dumps, there)), headers=headers)
    cases = {
        "of another type": rows(20_000, value="much"),
        "with too many digits": rows(20_000, value=1e12),
        "that name no study": rows(20_000, study={"studyName": "there is none"}),
        "that are there": rows(0),
        "that a rule of the database forbids": rows(20_000, durationSeconds=100),
    }
    await connection.execute("ALTER TABLE ml_hpo_trials ADD CONSTRAINT short CHECK (duration_seconds < 100)")
    for words, given in cases.items():
        body, taken = b"\n".join(map(orjson.dumps, given)), []
        for _ in range(5):
            began = time.perf_counter()
            answer = await client.http.post("/record/hpoTrials", content=body, headers=headers)
            taken.append(time.perf_counter() - began)
            assert [row["row"] for row in answer.json()["rows"]] == bad, answer.text[:500]
        print(f"20 rows of 10,000 {words}: {statistics.median(taken):.2f} s, worst {max(taken):.2f} s")


async def others(base: str, http: httpx.AsyncClient, connection: asyncpg.Connection, seconds: float = 8.0) -> None:
    """Prints how long lookups take alone, and while batches of 10,000 rows are written one after the other."""
    service = str(await add(connection, "ml_bentoml_services"))
    await add(connection, "ml_experiments")
    bodies = [b"\n".join(map(orjson.dumps, rows_of(service, 10_000, 100 + round_))) for round_ in range(3)]

    async def looking(pool: ProcessPoolExecutor, *, writes: bool) -> tuple[list[float], int]:
        found, batches = asyncio.get_running_loop().run_in_executor(pool, lookups, base, seconds), 0
        while not found.done():
            if writes:
                headers = {"content-type": "application/x-ndjson"}
                answer = await http.post("/record/servingMetrics", content=bodies[batches % 3], headers=headers)
                assert answer.status_code == 200, answer.text[:500]
                batches += 1
            else:
                await asyncio.sleep(0.1)
        return await found, batches

    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        await looking(pool, writes=True)  # the first ones make plans
        measured_ = [(writes, *await looking(pool, writes=writes)) for writes in (False, True, False, True)]
    for writes, taken, batches in measured_:
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
    SELECT c.relname AS name, pg_total_relation_size(c.oid) AS size FROM pg_class c
    WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind = 'r' ORDER BY 2 DESC
"""
"""The gateway's own tables and their bytes, the largest first."""


async def exporter(
    server: servers.Server, http: httpx.AsyncClient, connection: asyncpg.Connection, minutes: float, every: float
) -> None:
    """Sends 5,000 rows every so many seconds, each with a key; prints memory and the size of the gateway's tables."""
    service = str(await add(connection, "ml_bentoml_services"))
    began, batches = time.monotonic(), 0
    marks = [minutes * part / 60 for part in (0, 1, 5, 10, 20, 40, 60)]
    while marks:
        body = b"\n".join(map(orjson.dumps, rows_of(service, 5_000, 1_000 + batches)))
        headers = {"content-type": "application/x-ndjson", "idempotency-key": f"exporter/{batches}"}
        asked = time.perf_counter()
        answer = await http.post("/record/servingMetrics", content=body, headers=headers)
        took = time.perf_counter() - asked
        assert answer.status_code == 200, answer.text[:500]
        batches += 1
        passed = (time.monotonic() - began) / 60
        if passed >= marks[0]:
            marks.pop(0)
            tables = await connection.fetch(OWN_TABLES)
            sizes, own = (
                [f"{row['name']} {row['size'] / 1e3:.0f}" for row in tables[:5]],
                sum(row["size"] for row in tables),
            )
            print(
                f"exporter after {passed:.1f} minutes, {batches} batches of 5,000 rows: {server.rss:.1f} MB, own "
                f"tables {own / 1e6:.3f} MB ({', '.join(sizes)} kB); the last batch took {took:.2f} s at load "
                f"{os.getloadavg()[0]:.1f}",
                flush=True,
            )
        await asyncio.sleep(max(0.0, began + every * batches - time.monotonic()))


PARTS = ("batches", "one", "held", "bad", "others", "peer", "exporter")


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.recording", description="Measure recording.")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long the exporter's load takes")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between its batches of 5,000 rows")
    parser.add_argument("parts", nargs="*", choices=PARTS, default=PARTS, metavar="part", help=", ".join(PARTS))
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} when it began")
    with tempfile.TemporaryDirectory(prefix="e2i-bench-") as folder, start(Path(folder) / "data") as server:
        await setup.prepare_embedded(server, DATABASE)
        url = server.url(DATABASE, GATEWAY_ROLE)
        connection = await connect(server.url(DATABASE, ADMIN_ROLE))
        try:
            if {"batches", "one", "held", "bad"} & set(options.parts):
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
        if "held" in parts:
            await held(client, connection)
        if "bad" in parts:
            await bad_rows(client, connection)


async def over_http(url: str, admin: str, connection: asyncpg.Connection, options: argparse.Namespace) -> None:
    """What is measured of a gateway in a process of its own."""
    with servers.gateway("recording", servers.OFF, database=url) as gateway:
        async with httpx.AsyncClient(base_url=gateway.base, timeout=120, trust_env=False) as http:
            if "others" in options.parts:
                await others(gateway.base, http, connection)
            if "peer" in options.parts and servers.has_peers():
                with servers.postgraphile(admin, "last") as other:
                    for aliases in (1, 10, 100):
                        await peer(other.base, http, connection, aliases)
            elif "peer" in options.parts:
                print("PostGraphile is left out: `make bench-peers` has not installed it")
            if "exporter" in options.parts:
                await exporter(gateway, http, connection, options.minutes, options.every)


if __name__ == "__main__":
    asyncio.run(main())
