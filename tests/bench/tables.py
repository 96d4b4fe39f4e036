"""`make bench-tables`: rows as tables beside the same rows page by page, and the memory that a long table takes.

A gateway in a process of its own, on a Postgres of its own with its defaults, one client on one kept connection. Pages
are at their best: 1,000 rows each, the operation asked for by its hash, answers read as bytes in which the cursor alone
is looked for. Rounds take turns, and their medians are compared. Memory is the gateway's largest resident size while it
writes ten times as many rows.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from db.embedded.server import ADMIN_ROLE, GATEWAY_ROLE, start
from db.migrations import setup
from gateway.operations.table_formats import ARROW, CSV, JSON_LINES
from schema.catalogue.from_models import catalogue
from tests.support.databases import connect
from tests.support.many_rows import fill
from tests.support.process import Gateway

DATABASE = "tables"
ROWS, MANY = 100_000, 1_000_000
ROUNDS = 9
NUMBERS = "requestsTotal successfulRequests failedRequests requestsPerSecond avgLatencyMs p95LatencyMs errorRate"
ASKED = {
    "nine columns": f"id recordedAt {NUMBERS}",
    "nine columns and two of the service": f"id recordedAt {NUMBERS} service {{ serviceName healthStatus }}",
}
PAGES = """query($after: String) { servingMetrics(first: 1000, after: $after) {
    nodes { %s } pageInfo { endCursor hasNextPage } } }"""
TABLE = "query($first: Int) { servingMetrics(first: $first) { nodes { %s } } }"


class Caller:
    """A client on one connection."""

    def __init__(self, base: str) -> None:
        self._connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=600)

    def table(self, asked: str, media: str, rows: int) -> tuple[float, int]:
        """Seconds in which a table is read, and its bytes."""
        began, size = time.perf_counter(), 0
        response = self._post({"query": TABLE % asked, "variables": {"first": rows}}, media)
        while part := response.read(1 << 20):
            size += len(part)
        assert response.getheader("x-rows") == str(rows)
        return time.perf_counter() - began, size

    def pages(self, asked: str, rows: int) -> float:
        """Seconds in which as many rows are read page by page."""
        query = PAGES % asked
        known = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(query.encode()).hexdigest()}}
        self._post({"query": query, "extensions": known}, "application/json").read()
        began, after, more = time.perf_counter(), None, True
        for _ in range(rows // 1_000):
            assert more
            body = self._post({"extensions": known, "variables": {"after": after}}, "application/json").read()
            start_ = body.rindex(b'"endCursor":"') + 13
            after = body[start_ : body.index(b'"', start_)].decode()
            more = b'"hasNextPage":true' in body[start_:]
        return time.perf_counter() - began

    def _post(self, body: dict[str, object], media: str) -> http.client.HTTPResponse:
        headers = {"content-type": "application/json", "accept": media}
        self._connection.request("POST", "/graphql", json.dumps(body), headers)
        response = self._connection.getresponse()
        assert response.status == 200, response.read()[:500]
        return response


@contextmanager
def watched(process: psutil.Process) -> Iterator[list[float]]:
    """Resident megabytes of a process, the first before and the others meanwhile."""
    seen, over = [process.memory_info().rss / 1e6], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            seen.append(process.memory_info().rss / 1e6)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def measure(gateway: Gateway) -> None:
    """Prints what is compared, and what memory it takes."""
    caller = Caller(gateway.base)
    for name, asked in ASKED.items():
        taken: dict[str, list[float]] = {}
        sizes: dict[str, int] = {}
        for round_ in range(ROUNDS + 1):
            found = {"pages": caller.pages(asked, ROWS)}
            for media in (CSV, JSON_LINES, ARROW):
                found[media], sizes[media] = caller.table(asked, media, ROWS)
            for kind, seconds in found.items() if round_ else ():
                taken.setdefault(kind, []).append(seconds)
        pages = taken.pop("pages")
        print(f"{ROWS:,} rows of {name}: pages of 1,000 {ROWS / statistics.median(pages):,.0f} rows a second")
        for media, seconds in taken.items():
            ratios = [page / one for page, one in zip(pages, seconds, strict=True)]
            rate = ROWS / statistics.median(seconds)
            print(
                f"  {media}: {rate:,.0f} rows a second, {statistics.median(ratios):.1f} times "
                f"[{min(ratios):.1f} to {max(ratios):.1f}], {sizes[media] / 1e6:.1f} MB"
            )
    process = psutil.Process(gateway.process.pid)
    for media in (CSV, JSON_LINES, ARROW):
        for rows in (ROWS, MANY):
            with watched(process) as seen:
                _, size = caller.table(next(iter(ASKED.values())), media, rows)
            print(f"  {media}: {rows:,} rows, {size / 1e6:.0f} MB: {seen[0]:.0f} MB before, {max(seen):.0f} at most")


async def filled(url: str) -> None:
    connection = await connect(url)
    try:
        types = [catalogue()[name] for name in ("BentoService", "ServingMetric")]
        await fill(connection, MANY + 1, types[1:])
        await fill(connection, 50, types[:1])
    finally:
        await connection.close()


async def prepare(server: object, url: str) -> None:
    await setup.prepare_embedded(server, DATABASE)  # type: ignore[arg-type]
    await filled(url)


def main() -> None:
    argparse.ArgumentParser(prog="python -m tests.bench.tables", description="Measure tables.").parse_args()
    print(f"load {os.getloadavg()[0]:.1f} when it began")
    with tempfile.TemporaryDirectory(prefix="e2i-bench-") as folder, start(Path(folder) / "data") as server:
        asyncio.run(prepare(server, server.url(DATABASE, ADMIN_ROLE)))
        gateway = Gateway(
            Path(folder) / "gateway", DATABASE_URL=server.url(DATABASE, GATEWAY_ROLE),
            GATEWAY_MAX_TABLE_ROWS=str(MANY), GATEWAY_MAX_TABLE_BYTES="10000000000", GATEWAY_TABLE_TIMEOUT="600",
        )  # fmt: skip
        try:
            measure(gateway.ready())
        finally:
            gateway.close()


if __name__ == "__main__":
    main()
