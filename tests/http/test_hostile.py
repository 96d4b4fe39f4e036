"""Hostile requests against the server as it runs: each a typed refusal or an answer, in time, in bounded memory.

500 of them here, 10,000 by ``make hostile``; a seed makes them again.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import shutil
import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import orjson
import psutil
import pytest

from tests.support.client import Client
from tests.support.databases import Clone, Database
from tests.support.hostile import Shot, shots
from tests.support.process import Gateway

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("HOSTILE_REQUESTS", "500"))
SEED = int(os.environ.get("HOSTILE_SEED", "7"))
AT_ONCE = 8
DEADLINE = 20.0
"""Seconds: the gateway's own, for a request."""
GROWTH = 300
"""Megabytes that the caches of documents, plans and registered queries may fill."""

LEAKS = re.compile(
    r"Traceback|asyncpg|sqlalchemy|psycopg|site-packages|\.py\b|SELECT |INSERT |UPDATE |pg_catalog|/work|/tmp|/usr|"
    r"postgresql\+|orjson|starlette|RecursionError|KeyError|TypeError",
)
PLAIN = {301, 302, 304, 307}


@pytest.fixture(scope="module")
async def gateway(
    demo_template: Database, clone: Clone, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    folder = tmp_path_factory.mktemp("hostile")
    async with clone(demo_template) as copy:
        one = Gateway(
            folder / "d",
            "serve",
            DATABASE_URL=copy.gateway_url,
            GATEWAY_REQUEST_TIMEOUT=str(DEADLINE),
            GATEWAY_STATEMENT_TIMEOUT="10",
        )
        try:
            yield await asyncio.to_thread(one.ready)
        finally:
            if one.process.poll() is None:
                await asyncio.to_thread(one.end)
            one.close()
            shutil.rmtree(folder, ignore_errors=True)


def judged(shot: Shot, response: httpx.Response) -> list[str]:
    """The codes of an answer. Whatever is no GraphQL answer in JSON fails."""
    about = f"{shot.kind} {shot.method} {shot.path[:200]} {shot.content[:2000]!r} -> {response.status_code}"
    assert response.status_code < 500, f"{about} {response.text[:1000]}"
    if shot.method == "HEAD" or response.status_code in PLAIN:
        return []
    if response.headers["content-type"].startswith("text/html"):
        return []
    said = response.json()
    errors = said.get("errors", [])
    codes = [error["extensions"]["code"] for error in errors]
    assert "INTERNAL" not in codes, about
    assert codes or response.status_code == 200, about
    for error in errors:
        echo = error["message"]
        if found := LEAKS.search(echo):
            assert found[0] in shot.content.decode("utf-8", "replace") + shot.path, f"{about}: {echo[:500]}"
        assert len(echo) <= 1001, about
    for error in errors:
        if error["extensions"]["code"].endswith("_LIMIT"):
            assert error["extensions"]["limit"] is not None, about
    return codes


async def test_hostile_requests(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    process = psutil.Process(gateway.process.pid)
    codes: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    slowest: list[tuple[float, str]] = []
    memory = {}
    todo = list(shots(SEED, COUNT))
    warm = list(shots(SEED + 1, 100))

    async with httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=DEADLINE + 10) as http:

        async def fire(source: list[Shot]) -> None:
            while source:
                shot = source.pop()
                started = time.perf_counter()
                response = await http.request(
                    shot.method, shot.path, content=shot.content or None, headers=raw(shot.headers)
                )
                slowest.append((time.perf_counter() - started, f"{shot.kind} {shot.content[:100]!r}"))
                statuses[response.status_code] += 1
                codes.update(judged(shot, response))

        await asyncio.gather(*(fire(warm) for _ in range(AT_ONCE)))
        statuses.clear()
        codes.clear()
        slowest.clear()
        memory["before"] = process.memory_info().rss // 2**20
        started = time.perf_counter()
        await asyncio.gather(*(fire(todo) for _ in range(AT_ONCE)))
        seconds = time.perf_counter() - started
        memory["after"] = process.memory_info().rss // 2**20
        answer = await http.post("/graphql", json={"query": "{ experiments(first: 1) { nodes { id } } }"})
        assert answer.json()["data"]["experiments"]["nodes"]

    slowest.sort(reverse=True)
    if "HOSTILE_REQUESTS" in os.environ:
        with capsys.disabled():
            print(f"\n{COUNT} hostile requests in {seconds:.0f} s, seed {SEED}; megabytes: {memory}")
            print(f"statuses: {dict(statuses.most_common())}\ncodes: {dict(codes.most_common())}")
            print("slowest:", *(f"\n  {took:.2f} s {what}" for took, what in slowest[:5]))
    assert sum(statuses.values()) == COUNT
    assert len(codes) > 10, "the generator finds many ways to be refused"
    assert memory["after"] - memory["before"] < GROWTH
    faults = [line for line in gateway.log if "traceback" in line]
    assert not faults, json.dumps(faults[0])[:3000]


def raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), text.encode("latin-1", "replace")) for name, text in headers.items()]


BAD_HTTP = [
    b"\x00\x01\x02\x03\r\n\r\n",
    b"GET /graphql\r\n\r\n",
    b"GET /graphql HTTP/9.9\r\n\r\n",
    b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: abc\r\n\r\n",
    b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    b"POST /graphql HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\nzz\r\n",
    b"POST /graphql HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS where there is none
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@pytest.mark.parametrize("sent", BAD_HTTP, ids=range(len(BAD_HTTP)))
async def test_what_is_no_http_is_refused_by_the_server(gateway: Gateway, sent: bytes) -> None:
    host, port = gateway.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    await writer.drain()
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    if answer:  # a request that only lacks its end is waited for
        head, _, said = answer.partition(b"\r\n\r\n")
        refused = dict.fromkeys((b"400", b"501", b"505"), "BAD_REQUEST")
        if b"\r\nhost:" not in sent.lower():  # what looks like a request all the same names no server
            refused[b"421"] = "CROSS_SITE"
        status = head.split(b" ")[1]
        assert json.loads(said)["errors"][0]["extensions"]["code"] == refused[status]
    assert not LEAKS.search(answer.decode("latin-1"))
    assert (await asyncio.to_thread(gateway.http.get, "/healthz")).status_code == 200


async def test_long_headers_are_not_kept(demo: Client) -> None:
    """Each worker would have room for hundreds of each kind, of a hundred thousand characters."""
    kinds = {
        "host": "x{}",
        "accept": "application/json, x{}/y",
        "accept-encoding": "gzip, x{}",
        "content-type": "application/json; x{}=y",
    }
    question = {"query": "{ experiments(first: 100) { nodes { id description } } }"}
    tracemalloc.start()
    try:
        for name, value in kinds.items():
            kept = []
            for number in range(2):
                for padding in range(50):
                    long = value.format(f"{number}n{padding}" + "y" * 100_000)
                    headers = {"content-type": "application/json", name: long}
                    await demo.http.post("/graphql", content=orjson.dumps(question), headers=headers)
                del long, headers
                gc.collect()
                kept.append(tracemalloc.get_traced_memory()[0])
            assert kept[1] - kept[0] < 1_000_000, name  # fifty of them are five million bytes
    finally:
        tracemalloc.stop()
