"""The gateways of the cluster: two of two workers that name all hosts, and a third behind one address of them."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.cluster.balancers import PRIMARY, REDIS, STANDBYS
from tests.cluster.namespaces import FOLDER, HUB
from tests.cluster.servers import DATABASE, GATEWAY_ROLE, Servers
from tests.support.callers import SECRET, token
from tests.support.process import Gateway

PORTS = (8001, 8002)
BALANCED = 8003


def ask_as(who: str) -> str:
    """The header of a caller of its own: what one has changed holds back the reads of that one alone."""
    return f"Bearer {token('admin', sub=who)}"


def base(port: int) -> str:
    """The address of what listens on a port of the hub."""
    return f"http://{HUB}:{port}"


def metrics_of(port: int) -> str:
    """The address of a gateway's metrics."""
    return base(port + 1400)


class Gateways:
    """Gateways on the cluster."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self.running: list[Gateway] = []
        self._away: Counter[Gateway] = Counter()

    async def start(self) -> None:
        """Two that name the hosts, the second in the opposite order."""
        forwards = self._servers.hosts
        for port, hosts in zip(PORTS, (forwards, forwards[::-1]), strict=True):
            self._run(
                port,
                DATABASE_URL=self._servers.url_of_all(*hosts),
                GATEWAY_REPLICA_URL=" ".join(self._servers.url(host) for host in hosts),
                GATEWAY_WORKERS="2",
            )
        for one in self.running:
            await asyncio.to_thread(one.ready)

    async def start_balanced(self) -> Gateway:
        """One that knows the leader by one address, and the standbys by another."""
        one = self._run(
            BALANCED,
            DATABASE_URL=f"postgresql://{GATEWAY_ROLE}@{HUB}:{PRIMARY}/{DATABASE}",
            GATEWAY_REPLICA_URL=f"postgresql://{GATEWAY_ROLE}@{HUB}:{STANDBYS}/{DATABASE}",
        )
        await asyncio.to_thread(one.ready)
        return one

    def _run(self, port: int, **settings: str) -> Gateway:
        shared = {
            "HOST": HUB, "PORT": str(port), "GATEWAY_AUTH": "jwt", "GATEWAY_JWT_SECRET": SECRET,
            "REDIS_URL": f"redis://{HUB}:{REDIS}/0", "GATEWAY_BUDGET_PER_MINUTE": "1000000000",
            "GATEWAY_METRICS": metrics_of(port).removeprefix("http://"),
        }  # fmt: skip
        folder = FOLDER / f"gateway-{port}"
        folder.mkdir(exist_ok=True)
        one = Gateway(folder, **shared, **settings)
        self.running.append(one)
        return one

    def check(self) -> None:
        """All of them must be running, share their budgets, and know what happened to them.

        On a busy machine Redis may not answer in time; until the next check each worker must have found it again.
        """
        for one in self.running:
            output = one.output
            assert one.process.poll() is None, output[-3000:]
            assert '"traceback"' not in output, next(line for line in output.splitlines() if '"traceback"' in line)
            assert output.count("Redis is back") >= self._away[one], "a worker has not found Redis again"
            self._away[one] = output.count("Redis is away")

    async def end(self) -> None:
        """Ends them as a deployment does."""
        for one in self.running:
            assert await asyncio.to_thread(one.end) in (0, -15)
