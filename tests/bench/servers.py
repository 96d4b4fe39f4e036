"""What is measured, as processes of their own on one database: gateways, the limit and PostGraphile."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import jwt
import psutil

ROOT = Path(__file__).parents[2]
DATA = ROOT / ".e2i" / "bench"
PEERS = Path(__file__).parent / "peers"
TIMEOUT = 900.0


@dataclass
class Server:
    """A running server: where it answers, and its process with all below it."""

    name: str
    base: str
    process: psutil.Process
    headers: dict[str, str] = field(default_factory=dict)
    """What each request to it has, beside what every request has."""

    def url(self, path: str = "/graphql") -> str:
        return f"{self.base}{path}"

    @property
    def cpu(self) -> float:
        """Seconds of CPU that it has taken; a database that it started is not part of it."""
        return _cpu([self.process])

    @property
    def rss(self) -> float:
        """Megabytes that it holds."""
        return float(self.process.memory_info().rss) / 1e6


def _cpu(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def database_cpu(postmaster: psutil.Process) -> float:
    """Seconds of CPU that the database's processes have taken; those that ended count in their parent."""
    ended = postmaster.cpu_times()
    return _cpu([postmaster, *postmaster.children(recursive=True)]) + ended.children_user + ended.children_system


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _running(
    name: str, command: list[str], port: int, ready: str, folder: Path = ROOT, **environment: str
) -> Iterator[Server]:
    DATA.mkdir(parents=True, exist_ok=True)
    log = DATA / f"{name.replace(' ', '-')}.log"
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "GATEWAY_", "DATABASE_URL"))}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=clean | environment, stdout=output, stderr=output, cwd=folder)
        try:
            base = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + TIMEOUT
            while not _answers(base + ready):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{name} did not start; {log} says why")
                time.sleep(0.2)
            yield Server(name, base, psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code < 500
    except httpx.TransportError:
        return False


SECRET = "a secret of thirty-two bytes or more"

ON = {
    "GATEWAY_LOG": "info",
    "GATEWAY_AUTH": "jwt,token",
    "GATEWAY_JWT_SECRET": SECRET,
    "GATEWAY_BUDGET_PER_MINUTE": "1000000000",
    "GATEWAY_CORS_ORIGINS": "https://lineage.example.org",
    "GATEWAY_METRICS": "127.0.0.1:0",
    "GATEWAY_SLOW_MS": "5000",
}
"""What a deployment switches on, as far as it costs no round trip: who asks, budgets, other sites, logs, metrics."""

OFF = {"GATEWAY_LOG": "warning", "GATEWAY_AUTH": "none", "GATEWAY_SLOW_MS": "0"}


@contextmanager
def gateway(
    name: str,
    switches: dict[str, str],
    *,
    compiler: bool = True,
    database: str | None = None,
    checkout: Path = ROOT,
) -> Iterator[Server]:
    """A gateway of one worker, with its limits as they are by default; without a ``database`` it makes the data.
    Its code is that of the ``checkout``, its libraries are those of this process."""
    port = free_port()
    command = [sys.executable, "-m", "gateway.cli", "serve", *([] if database else ["--demo", "large"])]
    settings = {
        "PORT": str(port),
        "GATEWAY_DATA": str(DATA),
        "GATEWAY_COMPILER": "on" if compiler else "off",
        **({"DATABASE_URL": database} if database else {}),
    }
    with _running(name, command, port, "/readyz", checkout, **settings, **switches) as server:
        if "GATEWAY_JWT_SECRET" in switches:
            who = {"sub": "bench", "aud": "authenticated", "app_metadata": {"roles": ["analyst"]}}
            made = jwt.encode(who | {"exp": int(time.time()) + 86_400}, SECRET, "HS256")
            server.headers["authorization"] = f"Bearer {made}"
        yield server


@contextmanager
def limit(database: str, statements: str) -> Iterator[Server]:
    """The hard-coded limit, on the same web server as the gateway."""
    port = free_port()
    command = [
        sys.executable, "-m", "uvicorn", "tests.bench.limit:app", "--port", str(port), "--loop", "uvloop",
        "--http", "httptools", "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
    environment = {"BENCH_STATEMENTS": statements, "BENCH_DATABASE": database}
    with _running("limit", command, port, "/ready", **environment) as server:
        yield server


NODE = PEERS / "node_modules" / ".bin" / "node"
"""PostGraphile's own: it needs a newer one than systems have."""


def has_peers() -> bool:
    """Whether `make bench-peers` has installed PostGraphile."""
    return NODE.exists()


@contextmanager
def postgraphile(database: str, nulls: str) -> Iterator[Server]:
    """PostGraphile 5, one process; ``nulls`` come ``last`` or ``first`` in its orders, as the indexes have them."""
    port = free_port()
    command = [str(NODE), str(PEERS / "server.mjs"), database, str(port), nulls]
    with _running(
        "PostGraphile", command, port, "/graphql", NODE_ENV="production", GRAPHILE_ENV="production"
    ) as server:
        yield server
