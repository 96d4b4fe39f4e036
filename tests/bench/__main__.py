"""`make bench`: the gateway over HTTP on a database of its own, with a million serving metrics.

Prints, for each query, the median over interleaved rounds of requests per second and of latency, with statements and
the size of the answer. The database is kept in ``.e2i/bench`` for the next run.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

DATA = Path(".e2i/bench")
CONNECTIONS = 16
ROUNDS = 3
SECONDS = 3.0

LIFECYCLE = """
  id experimentName brand createdAt
  models(first: 5) { nodes { id modelName modelVersion stage auc
    deployments(first: 3) { nodes { id environment status
      services(first: 1) { nodes { id serviceName healthStatus
        metrics(first: 5) { nodes { recordedAt requestsTotal p99LatencyMs errorRate } } } } } } } }
"""


@dataclass
class Case:
    """A query with its variables, and what was measured of it."""

    name: str
    query: str
    variables: dict[str, Any] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    statements: int = 0
    size: int = 0


def cases(experiment: str) -> list[Case]:
    return [
        Case("Q1 one row", "query($id: ID!) { experiment(id: $id) { id experimentName brand } }", {"id": experiment}),
        Case("Q2 five levels", f"query($id: ID!) {{ experiment(id: $id) {{ {LIFECYCLE} }} }}", {"id": experiment}),
        Case("Q3 fifty of them", f"{{ experiments(first: 50) {{ nodes {{ {LIFECYCLE} }} }} }}"),
        Case(
            "Q4 1000 flat rows",
            "{ servingMetrics(first: 1000) { nodes { id recordedAt requestsTotal avgLatencyMs errorRate } } }",
        ),
        Case(
            "Q5 simulations",
            "{ twinSimulations(first: 20) { nodes { id simulatedAte recommendation "
            "twinModel { modelName fidelityScore } fidelity(first: 5) { nodes "
            "{ actualAte predictionError fidelityGrade } } } } }",
        ),
    ]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def gateway() -> Iterator[str]:
    """A gateway of one worker on its own data; stopped afterwards."""
    port = free_port()
    environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    environment |= {"PORT": str(port), "GATEWAY_DATA": str(DATA), "GATEWAY_LOG": "warning"}
    command = [sys.executable, "-m", "gateway.cli", "serve", "--demo", "large"]
    process = subprocess.Popen(command, env=environment)
    try:
        base = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 900
        while True:
            if process.poll() is not None:
                raise SystemExit("the gateway did not start")
            try:
                if httpx.get(f"{base}/readyz").status_code == 200:
                    break
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)
        yield base
    finally:
        process.terminate()
        process.wait(30)


async def measure(base: str, case: Case) -> None:
    """One round: as many requests as CONNECTIONS clients get answered in SECONDS."""
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    body = {"query": case.query, "variables": case.variables}
    async with httpx.AsyncClient(base_url=base, limits=limits, timeout=60) as client:
        answer = await client.post("/graphql", json=body)
        assert "errors" not in answer.json(), answer.text[:500]
        case.size = len(answer.content)
        case.statements = answer.json()["extensions"]["cost"]["statements"]
        until = time.perf_counter() + SECONDS
        taken: list[float] = []

        async def ask() -> None:
            while (started := time.perf_counter()) < until:
                (await client.post("/graphql", json=body)).raise_for_status()
                taken.append(time.perf_counter() - started)

        started = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
        case.rates.append(len(taken) / (time.perf_counter() - started))
        case.latencies.append(statistics.median(taken) * 1000)


def main() -> None:
    with gateway() as base:
        found = httpx.post(f"{base}/graphql", json={"query": "{ experiments(first: 1) { nodes { id } } }"}).json()
        measured = cases(found["data"]["experiments"]["nodes"][0]["id"])
        for _ in range(ROUNDS):
            for case in measured:
                asyncio.run(measure(base, case))
    print(f"{'':20} {'req/s':>9} {'median ms':>10} {'statements':>11} {'kB':>8}")
    for case in measured:
        rate, latency = statistics.median(case.rates), statistics.median(case.latencies)
        print(f"{case.name:20} {rate:9.1f} {latency:10.1f} {case.statements:11} {case.size / 1000:8.1f}")


if __name__ == "__main__":
    main()
