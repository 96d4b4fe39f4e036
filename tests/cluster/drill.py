"""One fault under load: clients read, change and follow before, during and after it; what they were told is judged."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db.embedded.server import ADMIN_ROLE
from tests.cluster import balancers
from tests.cluster.balancers import GATEWAYS, NGINX
from tests.cluster.changes import Changers, Ledger
from tests.cluster.faults import Fault
from tests.cluster.following import Subscriber, following
from tests.cluster.gateways import PORTS, Gateways, ask_as, base
from tests.cluster.judging import Judgement, judge
from tests.cluster.namespaces import Host
from tests.cluster.programs import LOGS, Program
from tests.cluster.servers import Servers
from tests.cluster.watching import Seen, Watch
from tests.drills.load import STABLE, Answered, Figures, Load, Socket
from tests.support.client import serving

CALM, OUTLASTS, AFTER = 1.5, 2.0, 2.0
"""Seconds before a fault, from the promotion to its end, and after it."""
READERS = 8


class Cluster:
    """Servers, balancers and gateways."""

    def __init__(self) -> None:
        self.servers = Servers()
        self.gateways = Gateways(self.servers)
        self.truth: Mapping[str, Any] = {}
        self._balancers: list[Program] = []

    async def start(self) -> None:
        """Builds all of it."""
        await self.servers.start()
        self._balancers += [balancers.redis(), balancers.haproxy(PORTS, self.servers.hosts), balancers.nginx(PORTS)]
        await self.gateways.start()
        leader = await self.servers.leader()
        async with serving(self.servers.url(leader), compiler=False) as client:
            self.truth = {query: await client.data(query) for query in STABLE}

    def check(self) -> None:
        """What must run does."""
        for one in self._programs:
            one.check()
        self.gateways.check()

    @property
    def _programs(self) -> list[Program]:
        return [*self.servers.programs, *self._balancers]

    async def end(self) -> None:
        """Ends the gateways, as a deployment does."""
        await self.gateways.end()
        await self.servers.http.aclose()

    def write_logs(self, folder: Path) -> None:
        """Copies what all of them wrote to a folder that stays."""
        shutil.copytree(LOGS, folder, dirs_exist_ok=True)
        for place, one in enumerate(self.gateways.running):
            (folder / f"gateway-{place}.log").write_text(one.output)

    def close(self) -> None:
        """Ends whatever is left of it, harshly."""
        for gateway in self.gateways.running:
            gateway.close()
        for one in self._programs:
            one.end()


class Readers(Load):
    """Readers through HAProxy, which asks the gateways whether they are ready."""

    def __init__(self, drill: str, truth: Mapping[str, Any]) -> None:
        callers = [ask_as(f"analyst-{number}") for number in range(READERS)]
        super().__init__(drill, base(GATEWAYS), truth, READERS, callers=callers, pause=0.02)
        self.took: list[tuple[float, float]] = []
        """When each read began, on the monotonic clock, and its seconds."""

    async def _ask(self, socket: Socket, query: str, number: int) -> None:
        began = time.monotonic()
        await super()._ask(socket, query, number)
        self.took.append((began, time.monotonic() - began))

    def slowest(self, since: float, until: float) -> tuple[float, float]:
        """Seconds of the slowest read that was under way in a period, and how long after its begin the read began."""
        inside = [(took, began - since) for began, took in self.took if began < until and began + took > since]
        return max(inside, default=(0.0, 0.0))

    def _judge(self, query: str, answer: Answered) -> set[str] | None:
        if answer.headers.get("content-type", "").startswith("text/html"):
            return {"BALANCER"}
        return super()._judge(query, answer)


@dataclass
class Moment:
    """The counts of readers at a moment."""

    at: float
    right: int
    other: int

    @classmethod
    def of(cls, figures: Figures) -> Moment:
        return cls(time.monotonic(), figures.right, figures.refused.total() + len(figures.lost) + len(figures.wrong))

    def until(self, later: Moment) -> tuple[int, int]:
        """How many reads were answered right between both, and how many were not."""
        return later.right - self.right, later.other - self.other


@dataclass
class Run:
    """One fault, and what became of it."""

    fault: str
    figures: Figures
    ledger: Ledger
    judgement: Judgement
    seen: Seen
    subscribers: list[Subscriber]
    leaderless: float
    """Seconds from the fault to the promotion."""
    answered: tuple[int, int]
    """Reads that were answered right meanwhile, and those that were not."""
    slowest: tuple[float, float]
    """Seconds of the slowest read between the fault and the promotion, and how long after the fault it began."""
    slowest_before: float
    """The same before the fault."""
    found: dict[str, float]
    """Seconds from the promotion until a connection was opened, by order of the hosts."""
    changed: list[float]
    """Seconds from the promotion until each gateway acknowledged a change."""
    made_anew: int
    """Standbys that did not come back by themselves."""


async def run(cluster: Cluster, fault: Fault, *, name: str | None = None) -> Run:
    """Inflicts a fault on the leader, and heals it."""
    servers, bases = cluster.servers, [base(port) for port in PORTS]
    leader, made_anew = await servers.well(), servers.made_anew
    readers = Readers(f"cluster: {name or fault.name}", cluster.truth)
    changers = Changers(patient=[base(NGINX)] * 4, impatient=bases * 3, read_at=base(GATEWAYS))
    watch = Watch(servers, bases)
    async with following(bases) as subscribers:
        async with (
            readers.running(cluster.gateways.running[0].process.pid) as figures,
            changers.running() as ledger,
            watch.running() as seen,
        ):
            await asyncio.sleep(CALM)
            begun, seen.leaderless = Moment.of(figures), True
            await fault.inflict(servers, leader)
            promoted = await watch.new_leader()
            seen.leaderless, ended = False, Moment.of(figures)
            await asyncio.sleep(OUTLASTS)
            await fault.heal(servers, leader)
            await asyncio.sleep(AFTER)
        leader = await _well(servers, figures, promoted)
        ends = [position for _, position in await servers.history(leader)]
        judgement = await judge(servers.url(leader, ADMIN_ROLE), ledger, subscribers, ends)
    cluster.check()
    return Run(
        fault.name, figures, ledger, judgement, seen, subscribers,
        leaderless=promoted - begun.at,
        answered=begun.until(ended),
        slowest=readers.slowest(begun.at, promoted),
        slowest_before=readers.slowest(0.0, begun.at)[0],
        found={order: moment - promoted for order, moment in seen.found.items()},
        changed=[_first(ledger, one, promoted) for one in bases],
        made_anew=servers.made_anew - made_anew,
    )  # fmt: skip


async def _well(servers: Servers, figures: Figures, since: float) -> Host:
    """Waits until the cluster is well; how long that took is the drill's time to recover."""
    leader = await servers.well()
    figures.recovered = time.monotonic() - since
    return leader


def _first(ledger: Ledger, at: str, since: float) -> float:
    """Seconds until a change was acknowledged at an address."""
    moments = [change.acknowledged for change in ledger.of("made") if change.base == at]
    return min((moment - since for moment in moments if moment >= since), default=float("inf"))
