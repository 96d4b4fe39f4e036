"""Six faults of a cluster under load; `make drill-ha` runs them, in namespaces of their own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db.embedded.server import ADMIN_ROLE
from tests.cluster import faults
from tests.cluster.drill import Cluster, Run, run
from tests.cluster.faults import Fault
from tests.cluster.gateways import BALANCED, PORTS
from tests.cluster.namespaces import Host, is_inside
from tests.cluster.positions import read_positions
from tests.cluster.report import record, record_all, record_positions
from tests.cluster.servers import startup_of
from tests.cluster.watching import READY
from tests.support.databases import connected

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_inside(), reason="`make drill-ha` runs it, in namespaces of its own"),
]

POSITIONED = int(os.environ.get("DRILL_CLUSTER_POSITIONED", "10000"))
READS = {"one address of all": (BALANCED, POSITIONED), "an address of each": (PORTS[0], POSITIONED // 5)}
"""How a gateway knows the standbys, its port, and how many positioned reads it answers."""
ORDERS = 6
FOUND_WITHIN = 2.0
"""Seconds from the promotion until the new leader is connected to, whatever the order of the hosts."""
SILENCE_COSTS = 1.0
"""Seconds that a silent host may cost a read."""
KILLS = int(os.environ.get("DRILL_CLUSTER_KILLS") or 0)
STOPS = int(os.environ.get("DRILL_CLUSTER_STOPS") or 0)


@pytest.fixture(scope="session")
async def cluster() -> AsyncIterator[Cluster]:
    """The cluster, well."""
    one = Cluster()
    try:
        await one.start()
        yield one
        await one.end()
    finally:
        if folder := os.environ.get("DRILL_CLUSTER_LOGS"):
            one.write_logs(Path(folder))
        one.close()


@pytest.mark.parametrize("fault", faults.ALL, ids=lambda fault: fault.name)
async def test_the_leader_is_lost(cluster: Cluster, fault: Fault) -> None:
    record(done := await run(cluster, fault))
    hold(done, fault)


async def test_a_standby_replays_nothing(cluster: Cluster) -> None:
    """It goes on to receive the log, behind an address of two standbys, and beside the others by name."""
    leader = await cluster.servers.well()
    _, frozen = await cluster.servers.standbys()
    await cluster.gateways.start_balanced()
    replay = startup_of(frozen)
    replay.suspend()  # Patroni resumes one that is paused
    try:
        found = {name: await read_positions(port, number) for name, (port, number) in READS.items()}
        assert await behind(cluster, leader, frozen) > 0
    finally:
        replay.resume()
    record_positions(found)
    for one in found.values():
        assert not one.stale, one.stale[:3]
        assert one.refused == 0


async def behind(cluster: Cluster, leader: Host, standby: Host) -> int:
    """How many bytes of the leader's log a standby has not replayed."""
    async with (
        connected(cluster.servers.url(leader, ADMIN_ROLE)) as there,
        connected(cluster.servers.url(standby, ADMIN_ROLE)) as here,
    ):
        written = await there.fetchval("SELECT pg_current_wal_flush_lsn() - '0/0'")
        replayed = await here.fetchval("SELECT pg_last_wal_replay_lsn() - '0/0'")
    return int(written - replayed)


@pytest.mark.parametrize(("fault", "times"), [(faults.KILL, KILLS), (faults.STOP, STOPS)], ids=["kill -9", "SIGSTOP"])
async def test_the_leader_is_lost_again_and_again(cluster: Cluster, fault: Fault, times: int) -> None:
    """The long form."""
    if not times:
        pytest.skip("DRILL_CLUSTER_KILLS and DRILL_CLUSTER_STOPS say how often")
    runs: list[Run] = []
    while len(runs) < times:
        runs.append(await run(cluster, fault, name=f"{fault.name}, again and again"))
        record_all(runs)
    for one in runs:
        hold(one, fault)


def hold(done: Run, fault: Fault) -> None:
    """What is promised of every fault."""
    done.judgement.hold()
    assert not done.ledger.wrong, done.ledger.wrong[:3]
    assert not done.figures.wrong, done.figures.wrong[:3]
    assert not done.ledger.stale, done.ledger.stale[:3]
    assert done.ledger.positioned > 0
    right, other = done.answered
    assert right >= 999 * other, f"{other} of {right + other} reads were not answered while there was no leader"
    assert len(done.found) == ORDERS, done.found
    assert max(done.found.values()) <= FOUND_WITHIN, done.found
    assert done.seen.words <= READY, done.seen.ready
    if fault.is_silent:
        assert "/readyz: 200 reads only" in done.seen.words, done.seen.ready
        assert done.slowest[0] <= done.slowest_before + SILENCE_COSTS, done.slowest
