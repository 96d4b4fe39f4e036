"""Whatever the limits let through is answered or refused by name, in bounded memory, while everybody else is answered.

25 requests on the small demo here. ``make hostile`` asks hundreds, of a large one if it is given, and prints the worst
ten by the time of the database, the longest that `/healthz` had to wait beside them, and the memory of the gateway and
of Postgres.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from gateway.operations.embeddings import SAMPLE
from gateway.settings import Settings
from schema.catalogue.from_models import catalogue
from schema.search.texts import MAX_TEXT
from schema.search.vector import Similarity
from tests.support.databases import Clone, Database, connect, connected
from tests.support.embedding_service import embedding_server
from tests.support.expensive import HOT, SUBSCRIPTIONS, TABLES, Question, questions
from tests.support.process import Gateway
from tests.support.sockets import peer

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("HOSTILE_EXPENSIVE", "25"))
SEED = int(os.environ.get("HOSTILE_SEED", "11"))
URL = os.environ.get("HOSTILE_DATABASE_URL")
"""A database of this machine's with the large demo; the small one of the tests unless it is set."""
MEGABYTES = 200
"""More than before the request: of the gateway, which fills its caches meanwhile, or of a backend."""
DATABASE, STALL = 2.0, 0.3
"""Seconds of Postgres's processors, and that the event loop waits: of ``make hostile``."""
HELD = 0.2
"""Seconds that subscriptions are held."""
KNOWN = {
    "COST_LIMIT", "ANSWER_LIMIT", "RELATION_LIMIT", "GROUP_LIMIT", "FIELD_LIMIT", "DEPTH_LIMIT", "ALIAS_LIMIT",
    "TOKEN_LIMIT", "DOCUMENT_LIMIT", "BAD_USER_INPUT", "FORBIDDEN_FIELD", "MISSING_IN_DATABASE", "NOT_A_TABLE",
    "TABLE_LIMIT", "VALUE_LIMIT", "EMBEDDING_MODEL_MISMATCH",
}  # fmt: skip


class Taken(NamedTuple):
    """What a request took."""

    question: Question
    cost: int | None
    outcome: str
    seconds: float
    database: float
    stall: float
    gateway: int
    backend: int


@pytest.fixture(scope="module")
async def url(demo_template: Database, clone: Clone) -> AsyncIterator[str]:
    async with clone(demo_template) as copy:
        yield URL or copy.gateway_url


@pytest.fixture(scope="module")
async def gateway(url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    folder = tmp_path_factory.mktemp("expensive")
    with embedding_server() as service:  # with the timeouts that deployments have: none is reached
        service.known = await stored_vectors(url)
        asked = {"GATEWAY_EMBEDDINGS_URL": service.url, "GATEWAY_EMBEDDINGS_MODEL": "words", "GATEWAY_FEDERATION": "on"}
        asked["GATEWAY_EMBEDDINGS_TIMEOUT"] = "60"
        one = Gateway(folder / "d", "serve", DATABASE_URL=url, **asked)
        try:
            yield await asyncio.to_thread(one.ready)
        finally:
            if one.process.poll() is None:
                await asyncio.to_thread(one.end)
            one.close()
            shutil.rmtree(folder, ignore_errors=True)


async def stored_vectors(url: str) -> dict[str, list[float]]:
    """The vectors that the gateway proves a service by, with their texts."""
    found: dict[str, list[float]] = {}
    async with connected(url) as connection:
        for root in catalogue().roots.values():
            if root.nearest:
                for *texts, vector in await connection.fetch(Similarity(catalogue(), root).sample(), SAMPLE, MAX_TEXT):
                    found |= dict.fromkeys(texts, json.loads(vector))
    return found


class Stall:
    """How long an event loop stood, on a machine on which others may have the processors."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._began = time.perf_counter()
        self._before, self._own = self._read(pid), self._read(os.getpid())

    def seconds(self) -> float:
        """Since it was made: all but what threads wanted to run and could not; what the loop's own ran at least."""
        waited = time.perf_counter() - self._began
        queued = ran = 0.0
        for before, now in ((self._before, self._read(self._pid)), (self._own, self._read(os.getpid()))):
            for thread in before.keys() & now.keys():
                queued += now[thread][1] - before[thread][1]
                if thread == self._pid:
                    ran = now[thread][0] - before[thread][0]
        return max(waited - queued, min(ran, waited))

    @staticmethod
    def _read(pid: int) -> dict[int, tuple[float, float]]:
        """Seconds on a processor and in the queue for one, by the threads of a process."""
        found = {}
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # it has ended
                ran, queued, _ = (thread / "schedstat").read_text().split()
                found[int(thread.name)] = (int(ran) / 1e9, int(queued) / 1e9)
        return found


class Watch:
    """Looks at the gateway and its backends while a request runs."""

    def __init__(self, process: psutil.Process, postgres: psutil.Process, http: httpx.AsyncClient) -> None:
        self._process = process
        self._postgres = postgres
        self._http = http
        self.stall = 0.0
        self.gateway = self.backend = 0
        self.backends: dict[int, float] = {}
        self._sizes: dict[int, int] = {}
        self.measure(begins=True)

    async def look(self) -> None:
        before = self._process.memory_info().rss
        while True:
            stall = Stall(self._process.pid)
            assert (await self._http.get("/healthz")).status_code == 200
            self.stall = max(self.stall, stall.seconds())
            self.gateway = max(self.gateway, self._process.memory_info().rss - before)
            self.measure()
            await asyncio.sleep(0.02)

    def measure(self, *, begins: bool = False) -> None:
        """The most that a backend's own memory has grown, and the seconds of all of this Postgres's, of no other's."""
        for one in self._postgres.children():
            try:
                memory, times = one.memory_info(), one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            size = memory.rss - memory.shared
            self.backend = max(self.backend, size - self._sizes.setdefault(one.pid, size if begins else 0))
            self.backends[one.pid] = times.user + times.system


async def postmaster(url: str) -> psutil.Process:
    """The Postgres on this machine that a URL leads to."""
    connection = await connect(url)
    try:
        parent = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()")).parent()
    finally:
        await connection.close()
    assert parent is not None
    return parent


async def asked(question: Question, http: httpx.AsyncClient) -> dict[str, Any]:
    """The answer to a query, of which nothing is kept where it is a table."""
    headers = {"accept": question.accept}
    async with http.stream("POST", "/graphql", json={"query": question.query}, headers=headers) as response:
        if response.headers["content-type"].partition(";")[0] == question.accept and question.kind == TABLES:
            with suppress(httpx.RemoteProtocolError):  # a table of too many bytes breaks off
                async for _ in response.aiter_raw():
                    pass
            return {}
        answer: dict[str, Any] = json.loads(await response.aread())
    return answer


async def held(question: Question, http: httpx.AsyncClient) -> dict[str, Any]:
    """The first messages of as many subscriptions as a socket may have, which are held for a while and cancelled."""
    async with peer(f"{str(http.base_url).replace('http', 'ws', 1).rstrip('/')}/graphql") as one:
        ids = [await one.subscribe(question.query) for _ in range(Settings().ws_operations)]
        messages = [await one.hear() for _ in ids]
        await asyncio.sleep(HELD)
        for id_ in ids:
            await one.say(id=id_, type="complete")
    assert {message["type"] for message in messages} <= {"next", "error"}
    return {"errors": [error for message in messages if message["type"] == "error" for error in message["payload"]]}


async def take(question: Question, http: httpx.AsyncClient, process: psutil.Process, postgres: psutil.Process) -> Taken:
    watch = Watch(process, postgres, http)
    before = dict(watch.backends)
    looking = asyncio.ensure_future(watch.look())
    started = time.perf_counter()
    answer = await (held if question.kind == SUBSCRIPTIONS else asked)(question, http)
    seconds = time.perf_counter() - started
    await asyncio.sleep(0)
    looking.cancel()
    watch.measure()
    database = sum(used - before.get(pid, 0.0) for pid, used in watch.backends.items())
    codes = sorted({error["extensions"]["code"] for error in answer.get("errors", [])})
    cost = answer.get("extensions", {}).get("cost", {}).get("requested")
    outcome = ",".join(codes) or "answered"
    return Taken(question, cost, outcome, seconds, database, watch.stall, watch.gateway, watch.backend)


async def test_dear_requests(gateway: Gateway, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    process, postgres = psutil.Process(gateway.process.pid), await postmaster(url)
    async with httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http:
        names = {"BentoService": "bentoServices", "MonitoringAlert": "monitoringAlerts", "TrainingRun": "trainingRuns"}
        ids: dict[str, list[str]] = {}
        for name in HOT:
            root = names.get(name, name[0].lower() + name[1:] + "s")
            answer = await http.post("/graphql", json={"query": f"{{ {root}(first: 5) {{ nodes {{ id }} }} }}"})
            ids[name] = [row["id"] for row in answer.json()["data"][root]["nodes"]]
        taken = [await take(question, http, process, postgres) for question in questions(SEED, COUNT, ids)]
    if "HOSTILE_EXPENSIVE" in os.environ:
        with capsys.disabled():
            report(taken)
    outcomes = {code for one in taken for code in one.outcome.split(",")}
    assert "answered" in outcomes
    assert outcomes <= KNOWN | {"answered"}, [one for one in taken if not set(one.outcome.split(",")) <= KNOWN]
    grown = [one for one in taken if max(one.gateway, one.backend) > MEGABYTES * 2**20]
    assert not grown, [(one.question, one.gateway, one.backend) for one in grown]
    if "HOSTILE_EXPENSIVE" in os.environ:
        long = [one for one in taken if one.database > DATABASE or one.stall > STALL]
        assert not long, [(one.question, one.database, one.stall) for one in long]


def report(taken: list[Taken]) -> None:
    """Prints the worst ten of each measure."""
    print(f"\n{len(taken)} expensive requests: {dict(Counter(one.outcome for one in taken))}")
    for name in ("database", "stall", "gateway", "backend"):
        print(f"worst by {name}:")
        for one in sorted(taken, key=lambda one: float(getattr(one, name)), reverse=True)[:10]:
            print(
                f"  {one.question.kind:10} price {one.cost or '-':>9} {one.outcome[:14]:14} "
                f"{one.database * 1000:6.0f} ms of database {one.stall * 1000:5.0f} ms stall "
                f"{one.gateway >> 20:4} + {one.backend >> 20:4} MB  {one.question.query[:90]}"
            )
