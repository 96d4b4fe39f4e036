"""`make bench-lanes`: lookups by 16 clients, alone and beside 20 that ask for sums of all rows without a pause.

One worker with its limits as they are by default. Lookups must keep half of their rate, at a 99th percentile below
`P99` ms, and none may be refused; else it ends with 1. Rounds go in turns: alone, beside, alone, beside.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import asyncpg
import httpx

from db.embedded import server as embedded
from tests.bench import load, servers
from tests.bench.__main__ import address, database, prepare, setting

LOOKUPS, ANALYSTS = 16, 20
P99 = 50.0
HEAVY = (
    "{ servingMetrics { aggregate(groupBy: [{ field: RECORDED_AT, bucket: DAY }]) { count p99LatencyMs { avg } } } }"
)
"""Reads all metrics."""
ONE = "query($id: ID!) { experiment(id: $id) { id experimentName brand } }"


async def analyst(url: str, headers: Mapping[str, str], ended: Event, statuses: Counter[int]) -> None:
    """Asks again and again."""
    async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as client:
        while not ended.is_set():
            response = await client.post(url, json={"query": HEAVY})
            statuses[response.status_code] += 1
            if response.status_code == 503:  # as it is told
                await asyncio.sleep(float(response.headers.get("retry-after", 1)))


async def analysts(url: str, headers: Mapping[str, str], ended: Event, statuses: Counter[int]) -> None:
    """As many of them at once."""
    await asyncio.gather(*(analyst(url, headers, ended, statuses) for _ in range(ANALYSTS)))


def measure(url: str, headers: dict[str, str], experiments: list[str], rounds: int, seconds: float) -> int:
    """Prints the rounds; the exit status."""
    bodies = [load.body(ONE, {"id": one}) for one in experiments]
    statuses: Counter[int] = Counter()
    alone, beside = [], []
    load.run(url, headers, bodies, LOOKUPS, 1)
    for _ in range(rounds):
        alone.append(load.run(url, headers, bodies, LOOKUPS, seconds))
        ended = Event()
        with ThreadPoolExecutor(1) as pool:
            heavy = pool.submit(asyncio.run, analysts(url, headers, ended, statuses))
            try:
                Event().wait(3)  # until they are known to be heavy
                beside.append(load.run(url, headers, bodies, LOOKUPS, seconds))
            finally:
                ended.set()
            heavy.result()
    for name, some in (("alone", alone), ("beside analysts", beside)):
        for one in some:
            print(f"{name:<16} {one.rate:>9,.0f}/s  p50 {one.latency:>6.1f} ms  p99 {one.p99:>6.1f} ms")
    kept = statistics.median(one.rate for one in beside) / statistics.median(one.rate for one in alone)
    slowest = statistics.median(one.p99 for one in beside)
    print(f"kept {kept:.0%} of the rate, p99 {slowest:.1f} ms; the analysts' answers by status: {dict(statuses)}")
    return 0 if kept >= 0.5 and slowest < P99 else 1


async def _experiments(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [str(row[0]) for row in await connection.fetch("SELECT id FROM ml_experiments ORDER BY id LIMIT 100")]
    finally:
        await connection.close()


def main() -> int:
    """Reads the arguments, and measures on the data of `make bench`."""
    parser = argparse.ArgumentParser(prog="make bench-lanes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (3)")
    parser.add_argument("--seconds", type=int, default=5, help="seconds of a round (5)")
    options = parser.parse_args()
    with servers.gateway("data", servers.OFF), database() as found:
        asyncio.run(prepare(address(found, "e2i_admin")))
    with embedded.start(servers.DATA / "postgres"), database() as found:
        experiments = asyncio.run(_experiments(address(found, "e2i_admin")))
        with servers.gateway("lanes", servers.ON, database=setting(found, "e2i")) as server:
            return measure(server.url(), server.headers, experiments, options.rounds, options.seconds)


if __name__ == "__main__":
    sys.exit(main())
