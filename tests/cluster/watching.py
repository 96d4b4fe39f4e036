"""What is looked at while a fault lasts: who leads since when, how ready gateways are, and who finds the leader."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import asyncpg
import httpx

from db.embedded.server import ADMIN_ROLE
from db.engine.connector import Connector
from db.engine.url import database_url, target_of
from tests.cluster.namespaces import Host
from tests.cluster.servers import DATABASE, Servers

EVERY = 0.05
"""Seconds between two looks."""

READY = {
    "/readyz: 200 ok", "/readyz?changes: 200 ok", "/readyz: 200 reads only", "/readyz?changes: 503 unavailable",
}  # fmt: skip
"""What a gateway that has standbys may say of itself: it is ready for reads, and for changes or not."""

_TIMELINE = """
    SELECT CASE WHEN pg_is_in_recovery() THEN NULL
        ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END
"""
_LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@dataclass
class Seen:
    """What was seen; moments are on the monotonic clock."""

    promoted: dict[int, float] = field(default_factory=dict)
    """When a host first said that it writes a timeline."""
    ready: list[Counter[str]] = field(default_factory=list)
    """Of each gateway: how often `/readyz` said what, while there was no leader."""
    found: dict[str, float] = field(default_factory=dict)
    """By order of the hosts: when a connection to a leader of a new timeline was opened."""
    leaderless: bool = False
    """Set by the fault, until there is a leader again."""
    timeline: int = 0

    @property
    def newest(self) -> int:
        """The newest timeline."""
        return max(self.promoted)

    @property
    def words(self) -> set[str]:
        """What gateways said of themselves."""
        return {word for gateway in self.ready for word in gateway}

    def has_new_leader(self) -> bool:
        """Whether a timeline has begun since the fault."""
        return self.newest > self.timeline


class Watch:
    """Looks at the hosts, the gateways and every order of the hosts until the end of a block."""

    def __init__(self, servers: Servers, gateways: Sequence[str]) -> None:
        self.seen = Seen(ready=[Counter() for _ in gateways])
        self._servers = servers
        self._gateways = gateways
        self._orders = [Connector(target_of(database_url(servers.url_of_all(*order)))) for order in
                        itertools.permutations(servers.hosts)]  # fmt: skip

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Seen]:
        """Looks to the end of the block, once it is known who leads."""
        looking = [asyncio.create_task(self._hosts(host)) for host in self._servers.hosts]
        looking += [asyncio.create_task(self._ready(place, base)) for place, base in enumerate(self._gateways)]
        try:
            for connector in self._orders:
                (await connector()).terminate()
            async with asyncio.timeout(10):
                while not self.seen.promoted:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(EVERY)
            self.seen.timeline = self.seen.newest
            looking += [asyncio.create_task(self._find(connector)) for connector in self._orders]
            yield self.seen
        finally:
            for task in looking:
                task.cancel()
            ended = await asyncio.gather(*looking, return_exceptions=True)
        for failure in ended:
            if isinstance(failure, Exception):
                raise failure

    async def new_leader(self, seconds: float = 60.0) -> float:
        """Waits for a new timeline; when it began."""
        async with asyncio.timeout(seconds):
            while not self.seen.has_new_leader():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(EVERY)
        return self.seen.promoted[self.seen.newest]

    async def _hosts(self, host: Host) -> None:
        while True:
            with suppress(*_LOST):
                async with asyncio.timeout(1.0):
                    sql = await asyncpg.connect(host=host.front, user=ADMIN_ROLE, database=DATABASE)
                try:
                    while True:
                        async with asyncio.timeout(1.0):
                            timeline = await sql.fetchval(_TIMELINE)
                        if timeline is not None:
                            self.seen.promoted.setdefault(timeline, time.monotonic())
                        await asyncio.sleep(EVERY)
                finally:
                    sql.terminate()
            await asyncio.sleep(EVERY)

    async def _ready(self, place: int, base: str) -> None:
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=5.0) as http:
            while True:
                if self.seen.leaderless:
                    for path in ("/readyz", "/readyz?changes"):
                        try:
                            answer = await http.get(path)
                            word = f"{path}: {answer.status_code} {answer.json()['status']}"
                        except (httpx.HTTPError, ValueError) as error:
                            word = f"{path}: {type(error).__name__}"
                        if self.seen.leaderless:
                            self.seen.ready[place][word] += 1
                await asyncio.sleep(2 * EVERY)

    async def _find(self, connector: Connector) -> None:
        name = ", ".join(str(host) for host, _ in connector.target.hosts)
        while True:
            with suppress(*_LOST):
                connection = await connector()
                try:
                    async with asyncio.timeout(1.0):
                        timeline = await connection.fetchval(_TIMELINE)
                finally:
                    connection.terminate()
                if timeline is not None and timeline > self.seen.timeline:
                    self.seen.found[name] = time.monotonic()
                    return
            await asyncio.sleep(2 * EVERY)
