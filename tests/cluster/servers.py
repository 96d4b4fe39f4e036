"""Postgres on three hosts: etcd agrees on the leader, Patroni promotes it, the others stream from it, one in step."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import suppress
from typing import Any

import asyncpg
import httpx
import psutil

from db.demo import load
from db.embedded.process import Account, programs
from db.embedded.server import ADMIN_ROLE, GATEWAY_ROLE, OWNER_ROLE
from db.migrations import setup
from tests.cluster.namespaces import Host, make_network
from tests.cluster.programs import Program
from tests.support.databases import DEMO_NOW, connected, execute

DATABASE = "e2i"
LEASE, ROUND, RETRY = 10, 1, 3
"""Seconds: how long a leader stays one that says nothing, between two looks of Patroni, and for its store to answer."""
PATIENCE = 25.0
"""Seconds after which a standby does not come back by itself."""
TIMEOUT = 120.0
"""Seconds after which a cluster that should be well never will."""

PARAMETERS = {
    "max_connections": "100", "shared_buffers": "32MB", "wal_keep_size": "256MB", "max_wal_size": "512MB",
    "jit": "off", "timezone": "UTC", "log_timezone": "UTC", "log_line_prefix": "%m [%p] ",
}  # fmt: skip


class Servers:
    """The three hosts with what runs on them."""

    def __init__(self) -> None:
        self.hosts = [Host(f"db{number}", number) for number in (1, 2, 3)]
        self.http = httpx.AsyncClient(trust_env=False, timeout=2.0)
        self.programs: list[Program] = []
        self.made_anew = 0
        """How often a standby did not come back by itself."""
        self._account: Account

    async def start(self) -> None:
        """Builds the cluster with the demo data in it."""
        self._account = make_network(self.hosts)
        for host in self.hosts:
            self._run_etcd(host)
        for host in self.hosts:
            self._run_patroni(host)
        leader = await self.leader()
        postgres, owner = self.url(leader, ADMIN_ROLE, "postgres"), self.url(leader, OWNER_ROLE)
        await execute(
            postgres,
            *(f"CREATE ROLE {role} LOGIN" for role in (OWNER_ROLE, GATEWAY_ROLE)),
            f"CREATE DATABASE {DATABASE} OWNER {OWNER_ROLE}",
        )
        await execute(self.url(leader, ADMIN_ROLE), "CREATE EXTENSION vector")
        await setup.migrate(owner)
        async with setup.connect(owner) as connection, connection.begin():
            await load(connection, size="small", seed=1, now=DEMO_NOW)
        await execute(owner, "ANALYZE")
        await self.well()

    def _run_etcd(self, host: Host) -> None:
        peers = ",".join(f"{one.name}=http://{one.back}:2380" for one in self.hosts)
        options = {
            "name": host.name, "data-dir": str(host.folder / "etcd"), "log-level": "warn", "enable-v2": "true",
            "listen-peer-urls": f"http://{host.back}:2380", "initial-advertise-peer-urls": f"http://{host.back}:2380",
            "listen-client-urls": f"http://{host.back}:2379", "advertise-client-urls": f"http://{host.back}:2379",
            "initial-cluster": peers, "initial-cluster-state": "new",
        }  # fmt: skip
        command = ["etcd", *(f"--{name}={value}" for name, value in options.items())]
        self.programs.append(Program(f"etcd-{host.name}", command, host=host, account=self._account))

    def _run_patroni(self, host: Host) -> None:
        configuration = host.folder / "patroni.yml"
        configuration.write_text(json.dumps(self._configuration(host)))  # JSON is YAML
        configuration.chmod(0o644)
        command = ["patroni", str(configuration)]
        self.programs.append(Program(f"patroni-{host.name}", command, host=host, account=self._account))

    def _configuration(self, host: Host) -> dict[str, Any]:
        return {
            "scope": "e2i",
            "name": host.name,
            "restapi": {"listen": "0.0.0.0:8008", "connect_address": f"{host.back}:8008"},
            # by the second version of its API: Patroni 3.0 does not notice that a watch by the third has died
            "etcd": {"hosts": [f"{one.back}:2379" for one in self.hosts]},
            "bootstrap": {
                "dcs": {
                    "ttl": LEASE, "loop_wait": ROUND, "retry_timeout": RETRY, "synchronous_mode": True,
                    "primary_start_timeout": 0,  # a leader that crashed is not waited for
                    "postgresql": {"use_pg_rewind": True, "parameters": PARAMETERS},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, {"auth": "trust"}],
            },
            "postgresql": {
                # addresses with one port behind the last of them
                "listen": f"{host.front},{host.back}:5432",
                "connect_address": f"{host.back}:5432",
                "data_dir": str(host.folder / "data"),
                "bin_dir": str(programs(16, self._account)),
                "pgpass": str(host.folder / "pgpass"),
                "authentication": {"superuser": {"username": ADMIN_ROLE}, "replication": {"username": "replicator"}},
                "pg_hba": ["local all all trust", "host all all 10.77.0.0/16 trust",
                           "host replication all 10.77.0.0/16 trust"],
                "parameters": {"unix_socket_directories": str(host.folder)},
                "basebackup": {"checkpoint": "fast"},
            },
        }  # fmt: skip

    def url(self, host: Host, role: str = GATEWAY_ROLE, database: str = DATABASE) -> str:
        """The URL of a database on one host."""
        return f"postgresql://{role}@{host.front}:5432/{database}"

    def url_of_all(self, *order: Host) -> str:
        """The URL of whichever host is the leader; they are tried in this order."""
        hosts = "&".join(f"host={host.front}:5432" for host in order or self.hosts)
        return f"postgresql://{GATEWAY_ROLE}@/{DATABASE}?{hosts}&target_session_attrs=primary"

    async def members(self) -> list[dict[str, Any]]:
        """What Patroni says of the members, from any host that answers; empty if none does."""
        for host in self.hosts:
            with suppress(httpx.HTTPError, ValueError):
                answer = (await self.http.get(f"http://{host.front}:8008/cluster")).json()
                members: list[dict[str, Any]] = answer["members"]
                return members
        return []

    async def leader(self, *, other_than: Host | None = None) -> Host:
        """The host that is the leader and takes changes."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                for host in self.hosts:
                    if host is not other_than and await self._is_primary(host):
                        return host
                await asyncio.sleep(0.1)

    async def _is_primary(self, host: Host) -> bool:
        with suppress(httpx.HTTPError):
            return (await self.http.get(f"http://{host.front}:8008/primary", timeout=1.0)).status_code == 200
        return False

    async def well(self) -> Host:
        """Waits until there is a leader, and two standbys stream from it, one of them in step; returns the leader.

        A standby that does not come back is made anew, as an operator would.
        """
        members: list[dict[str, Any]] = []
        patience = time.monotonic() + PATIENCE
        try:
            async with asyncio.timeout(TIMEOUT):
                while not (_are_well(members) and await self._is_streamed_from(leader := await self.leader())):
                    await asyncio.sleep(0.2)
                    members = await self.members()
                    if time.monotonic() > patience:
                        patience += PATIENCE
                        await self._make_anew(members)
        except TimeoutError:
            raise AssertionError(f"the cluster does not become well: {members}") from None
        return leader

    async def _make_anew(self, members: list[dict[str, Any]]) -> None:
        """Copies the leader's data to the standbys that do not run."""
        for host in self.hosts:
            if any(
                one["name"] == host.name and one["role"] != "leader" and one["state"] != "running" for one in members
            ):
                with suppress(httpx.HTTPError):
                    await self.http.post(f"http://{host.front}:8008/reinitialize", json={"force": True}, timeout=10.0)
                    self.made_anew += 1

    async def _is_streamed_from(self, leader: Host) -> bool:
        """Whether both other hosts have all that its log has."""
        with suppress(OSError, asyncpg.PostgresError):
            async with connected(self.url(leader, ADMIN_ROLE)) as sql:
                return bool(await sql.fetchval(_STREAMED))
        return False

    async def standbys(self) -> tuple[Host, Host]:
        """The standby that is in step with the leader, and the other one."""
        roles = {member["name"]: member["role"] for member in await self.members()}
        in_step = next(host for host in self.hosts if roles[host.name] == "sync_standby")
        other = next(host for host in self.hosts if roles[host.name] == "replica")
        return in_step, other

    async def switch_over(self, leader: Host, candidate: Host) -> None:
        """Asks Patroni for another leader."""
        asked = {"leader": leader.name, "candidate": candidate.name}
        answer = await self.http.post(f"http://{leader.front}:8008/switchover", json=asked, timeout=60)
        assert answer.status_code == 200, answer.text

    async def history(self, leader: Host) -> list[tuple[int, int]]:
        """Each timeline that has ended, and the position in the log where the next one leaves it."""
        answer = await self.http.get(f"http://{leader.front}:8008/history")
        return [(entry[0], entry[1]) for entry in answer.json()]


_STREAMED = """
    SELECT count(*) = 2 FROM pg_stat_replication
    WHERE state = 'streaming' AND pg_current_wal_lsn() - replay_lsn < 1000000
"""


def _are_well(members: list[dict[str, Any]]) -> bool:
    by_role = {member["role"]: member for member in members}
    timelines = {member.get("timeline") for member in members}
    states = {member["state"] for member in members if member["role"] != "leader"}
    return (
        by_role.keys() == {"leader", "sync_standby", "replica"}
        and len(members) == 3
        and len(timelines) == 1
        and states <= {"running", "streaming"}
    )


def postgres_of(host: Host) -> list[psutil.Process]:
    """The postmaster and its children on a host."""
    return host.processes("postgres")


def startup_of(host: Host) -> psutil.Process:
    """The process that replays the log on a standby."""
    return next(one for one in postgres_of(host) if "startup" in " ".join(one.cmdline()))


def signal_all(processes: list[psutil.Process], number: signal.Signals) -> None:
    """Sends a signal to each of them that is still there."""
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            one.send_signal(number)
