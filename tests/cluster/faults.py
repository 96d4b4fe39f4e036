"""What happens to the leader: five ways to lose it, each with what makes its host well again."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.cluster.namespaces import Host
from tests.cluster.servers import Servers, postgres_of, signal_all


@dataclass(frozen=True)
class Fault:
    """A way to lose the leader."""

    name: str
    inflict: Callable[[Servers, Host], Awaitable[None]]
    heal: Callable[[Servers, Host], Awaitable[None]]
    is_silent: bool = False
    """Whether the host says nothing from then on, and refuses no connection either."""


async def _kill(_: Servers, leader: Host) -> None:
    """SIGKILL to each process of Postgres, as when memory runs out."""
    signal_all(postgres_of(leader), signal.SIGKILL)


async def _switch_over(servers: Servers, leader: Host) -> None:
    in_step, _ = await servers.standbys()
    await servers.switch_over(leader, in_step)


async def _cut(_: Servers, leader: Host) -> None:
    """The host is gone with all that runs on it; nobody is told."""
    leader.cut("front", "back")


async def _join(_: Servers, leader: Host) -> None:
    leader.join("front", "back")


async def _stop(_: Servers, leader: Host) -> None:
    """The host stands still, as a virtual machine does that is moved."""
    signal_all(leader.processes(), signal.SIGSTOP)


async def _wake(_: Servers, leader: Host) -> None:
    """Postgres first: for a moment it is the primary that it was."""
    signal_all(postgres_of(leader), signal.SIGCONT)
    signal_all(leader.processes(), signal.SIGCONT)


async def _part(_: Servers, leader: Host) -> None:
    """The other hosts do not hear of it, and clients do."""
    leader.cut("back")


async def _nothing(_: Servers, __: Host) -> None:
    """Patroni makes it well."""


KILL = Fault("kill -9", _kill, _nothing)
SWITCHOVER = Fault("switchover", _switch_over, _nothing)
GONE = Fault("node gone", _cut, _join, is_silent=True)
STOP = Fault("SIGSTOP", _stop, _wake, is_silent=True)
PARTITION = Fault("partition", _part, _join)
ALL = (KILL, SWITCHOVER, GONE, STOP, PARTITION)
