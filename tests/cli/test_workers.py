"""Several workers in real processes: one address, one embedded database, one end, and nobody left behind."""

from __future__ import annotations

import multiprocessing
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from db.engine.url import database_url
from gateway.server.uvicorn_server import ListeningSockets
from gateway.server.workers import FOLDER_PREFIX, Workers
from gateway.settings import Settings
from tests.support.databases import Database
from tests.support.folders import data_folder
from tests.support.process import TIMEOUT, Gateway, alive, run, until
from tests.support.process import workers as workers_of

pytestmark = pytest.mark.slow

QUERY = "{ tools(first: 1) { nodes { name } } }"


@pytest.fixture
def gateways() -> Iterator[list[Gateway]]:
    """Gateways that a test starts; none of them is left after it."""
    started: list[Gateway] = []
    yield started
    for gateway in started:
        gateway.close()
    # what watches a process from beside it ends a moment after it
    _, left = psutil.wait_procs({process for gateway in started for process in gateway.left()}, TIMEOUT)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    assert not left


def metrics(gateway: Gateway) -> str:
    (address,) = re.findall(r"metrics are at (http://\S+)\"", gateway.output)
    return gateway.http.get(address).text


def up(gateway: Gateway) -> set[str]:
    """The workers that answer a scrape."""
    return set(re.findall(r'^e2i_worker_up\{worker="(\d)"\} 1.0$', metrics(gateway), re.MULTILINE))


def workers(gateway: Gateway) -> list[psutil.Process]:
    """The processes that answer."""
    return workers_of(gateway.process.pid)


def test_two_workers_on_one_embedded_database(tmp_path: Path, gateways: list[Gateway]) -> None:
    """They share the port; one that is killed is replaced; they drain and end with the first process."""
    gateway = Gateway(tmp_path, GATEWAY_WORKERS="2", GATEWAY_METRICS="127.0.0.1:0", GATEWAY_DRAIN="2")
    gateways.append(gateway)
    gateway.ready()
    until(lambda: up(gateway) == {"0", "1"}, "both workers")
    for _ in range(20):
        httpx.post(f"{gateway.base}/graphql", json={"query": QUERY}, trust_env=False).raise_for_status()
    counts = re.findall(r'^e2i_requests_total\{outcome="ok",worker="\d"\} (.*)$', metrics(gateway), re.MULTILINE)
    assert sum(map(float, counts)) == 20

    victim = workers(gateway)[0]
    victim.kill()
    until(lambda: victim not in workers(gateway) and len(workers(gateway)) == 2, "a new worker")
    until(lambda: up(gateway) == {"0", "1"}, "its answers")
    assert gateway.ask(QUERY)["tools"]["nodes"]
    gateway.look()

    gateway.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + TIMEOUT
    seen = None
    while seen != 503 and time.monotonic() < deadline:
        seen = httpx.get(f"{gateway.base}/readyz", trust_env=False).status_code
    assert seen == 503, "it says that it will end"
    assert httpx.post(f"{gateway.base}/graphql", json={"query": QUERY}, trust_env=False).status_code == 200
    assert gateway.process.wait(TIMEOUT) == 0
    until(lambda: not gateway.left(), "the end of all processes")
    assert "Traceback" not in gateway.output


def test_workers_do_not_outlive_their_parent(
    module_database: Database, tmp_path: Path, gateways: list[Gateway]
) -> None:
    gateway = Gateway(tmp_path, DATABASE_URL=module_database.gateway_url, GATEWAY_WORKERS="2")
    gateways.append(gateway)
    gateway.ready()
    first, second = workers(gateway)
    if sys.platform == "linux":
        assert first.cmdline() == second.cmdline() == psutil.Process(gateway.process.pid).cmdline(), "forks of it"
    gateway.process.kill()
    gateway.process.wait(TIMEOUT)
    until(lambda: not any(alive(process) for process in gateway.seen), "the end of the workers")
    assert gateway.log, "every line is JSON, whatever Python says of a parent that was killed"


def test_the_folder_of_a_killed_gateway_is_removed_by_the_next(
    module_database: Database, gateways: list[Gateway]
) -> None:
    """And that of one that runs stays, whose workers read each other's metrics there."""
    with data_folder("e2i-workers-") as temporary:
        settings = {"TMPDIR": str(temporary), "DATABASE_URL": module_database.gateway_url, "GATEWAY_WORKERS": "2"}

        def begun() -> tuple[Gateway, Path]:
            before = set(temporary.glob(f"{FOLDER_PREFIX}*"))
            gateways.append(gateway := Gateway(Path(), GATEWAY_METRICS="127.0.0.1:0", **settings).ready())
            (folder,) = set(temporary.glob(f"{FOLDER_PREFIX}*")) - before
            return gateway, folder

        killed, left = begun()
        running, held = begun()
        killed.process.kill()
        killed.process.wait(TIMEOUT)
        until(lambda: not any(alive(process) for process in killed.seen), "the end of the workers")
        assert left.exists()
        last, folder = begun()
        assert set(temporary.glob(f"{FOLDER_PREFIX}*")) == {held, folder}
        until(lambda: up(running) == up(last) == {"0", "1"}, "the answers of all workers")
        for gateway in (running, last):
            gateway.process.send_signal(signal.SIGTERM)
            assert gateway.process.wait(TIMEOUT) == 0
        assert list(temporary.glob(f"{FOLDER_PREFIX}*")) == []


def hears(process: psutil.Process, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    caught = re.search(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


def test_nobody_is_let_in_for_a_worker_that_still_begins(database: Database, gateways: list[Gateway]) -> None:
    """It has the port as well; at the end of all, clients that come to it would wait for an answer in vain."""
    gateway = Gateway(Path(), GATEWAY_WORKERS="2", DATABASE_URL=database.gateway_url).ready()
    gateways.append(gateway)
    before = set(workers(gateway))
    before.pop().kill()
    until(lambda: len(set(workers(gateway)) & before) < len(workers(gateway)) == 2, "a new worker")
    (new,) = set(workers(gateway)) - before
    until(lambda: hears(new, signal.SIGTERM), "the new worker hearing signals")
    gateway.process.send_signal(signal.SIGTERM)

    def ask(_client: int) -> set[object]:
        found: set[object] = set()
        while gateway.process.poll() is None:
            try:
                found.add(httpx.post(f"{gateway.base}/graphql", json={"query": QUERY}, timeout=TIMEOUT).status_code)
            except httpx.ConnectError:
                found.add("refused")
            except httpx.TransportError as error:
                found.add(repr(error))
        return found

    with ThreadPoolExecutor(16) as clients:
        found = set().union(*clients.map(ask, range(16)))
    assert found <= {200, "refused"}


def test_workers_end_that_were_started_before_a_signal_came(database: Database, tmp_path: Path) -> None:
    """Between two of them: Python would wait at its own end for the first, which nobody has told of it."""

    class Interrupted(Workers):
        def _start(self, index: int) -> Any:
            if index == 1:
                raise SystemExit(143)  # as the handler of a signal does, wherever it comes
            return super()._start(index)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings, url = Settings(workers=3), database_url(database.gateway_url)
        with pytest.raises(SystemExit):
            Interrupted(settings, url, ListeningSockets(listener), tmp_path).serve(lambda: None)
    left = multiprocessing.active_children()
    for process in left:
        process.kill()
    assert not left


def test_workers_that_cannot_begin_end_the_gateway() -> None:
    ended = run(
        "serve", GATEWAY_WORKERS="2", GATEWAY_TRACES="on", OTEL_EXPORTER_OTLP_PROTOCOL="grpc", PORT="0",
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing",
    )  # fmt: skip
    assert ended.returncode == 1
    assert "use http/protobuf" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("9464", "expected an address and a port, such as 127.0.0.1:9464"),
        ("127.0.0.1:x", "expected an address and a port"),
        ("192.0.2.1:9464", "set GATEWAY_METRICS to an address of this machine"),
    ],
)
def test_an_address_of_metrics_that_cannot_be(setting: str, words: str) -> None:
    ended = run("serve", GATEWAY_METRICS=setting, PORT="0")
    assert ended.returncode in {1, 2}
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
