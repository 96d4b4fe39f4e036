"""The namespaces that the cluster lives in: its own processes, mounts and networks, and a network stack for each host.

The first process of a process namespace takes all others with it when it ends, and networks and mounts end with the
last of them. So nothing is cleaned up here, and nothing is left.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import psutil

from db.embedded.process import Account, account_for

INSIDE = "DRILL_CLUSTER_INSIDE"
"""The variable that is set within."""
FOLDER = Path("/dev/shm/cluster")
"""Where all data are: in memory that is freed with the namespaces."""
LIMIT = int(os.environ.get("DRILL_CLUSTER_LIMIT", "3600"))
"""Seconds after which everything is ended, whatever it does."""
HUB = "10.77.0.1"
"""The address of gateways, balancers and clients."""

PROGRAMS = {
    "etcd": "etcd-server", "patroni": "patroni", "haproxy": "haproxy", "redis-server": "redis-server", "nginx": "nginx",
    "ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux", "setpriv": "util-linux",
}  # fmt: skip
"""What the cluster is made of, and Debian's package of each."""
PATHS = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"

_NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child=SIGKILL", "--mount-proc"]

Link = Literal["front", "back"]
"""The network of the clients, and that of replication and consensus."""


def program(name: str) -> str:
    """The path of a program."""
    found = shutil.which(name, path=PATHS)
    assert found is not None, f"{name} is not installed"
    return found


def lacks() -> list[str]:
    """What is missing for the cluster to be built here, in words."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return ["root on Linux"]
    packages = {package for name, package in PROGRAMS.items() if shutil.which(name, path=PATHS) is None}
    missing = [f"the package {package}" for package in sorted(packages)]
    if not missing and subprocess.run([*_NAMESPACES, "true"], capture_output=True, check=False).returncode:
        missing.append("the right to make namespaces")
    return missing


def is_inside() -> bool:
    """Whether this process is in the namespaces."""
    return INSIDE in os.environ


def namespaced(*command: str) -> list[str]:
    """A command in namespaces of its own, which end with it."""
    return [*_NAMESPACES, sys.executable, "-m", "tests.cluster.namespaces", *command]


def enter(command: Sequence[str]) -> NoReturn:
    """Becomes the process that runs a command in namespaces."""
    os.environ[INSIDE] = "1"
    os.execvp("unshare", namespaced(*command))


def _begin(command: Sequence[str]) -> int:
    """The first process: runs the command, and buries those whose parents have gone before them."""
    ip("link", "set", "lo", "up")
    for folder in ("/run", "/dev/shm"):  # names of network namespaces; shared memory of Postgres
        _run("mount", "-t", "tmpfs", "-o", "mode=1777", "drill", folder)
    FOLDER.mkdir()
    FOLDER.chmod(0o755)
    signal.signal(signal.SIGALRM, lambda *_: os._exit(124))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command has heard it too
    signal.alarm(LIMIT)
    os.environ["TMPDIR"] = "/dev/shm"
    child = subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))  # noqa: PLW1509
    while True:
        with suppress(InterruptedError):
            pid, status = os.wait()
            if pid == child.pid:
                return os.waitstatus_to_exitcode(status)


def ip(*arguments: str) -> None:
    """Configures the network."""
    _run("ip", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


@dataclass(frozen=True)
class Host:
    """A machine of the cluster: a network stack of its own with a port on each of two switches."""

    name: str
    number: int

    @property
    def front(self) -> str:
        """Its address for clients."""
        return f"10.77.0.{10 + self.number}"

    @property
    def back(self) -> str:
        """Its address for the other hosts."""
        return f"10.77.1.{10 + self.number}"

    @property
    def hardware(self) -> str:
        """Its address on either switch."""
        return f"02:00:00:00:00:{self.number:02x}"

    @property
    def folder(self) -> Path:
        """Its disk."""
        return FOLDER / self.name

    def make(self, account: Account) -> None:
        """Connects it to both switches."""
        ip("netns", "add", self.name)
        self.within("ip", "link", "set", "lo", "up")
        for link, address in (("front", self.front), ("back", self.back)):
            port = f"{link}-{self.name}"
            peer = ["peer", "name", link, "address", self.hardware, "netns", self.name]
            ip("link", "add", port, "type", "veth", *peer)
            ip("link", "set", port, "master", link, "up")
            self.within("ip", "addr", "add", f"{address}/24", "dev", link)
            self.within("ip", "link", "set", link, "up")
        self.folder.mkdir()
        account.own(self.folder)

    @property
    def entered(self) -> list[str]:
        """What begins a command that runs here."""
        return [program("nsenter"), f"--net=/run/netns/{self.name}"]

    def within(self, *command: str) -> None:
        """Runs a command here to its end."""
        _run(*self.entered, *command)

    def cut(self, *links: Link) -> None:
        """Packets from and to it are dropped; nobody is told."""
        for link in links:
            ip("link", "set", f"{link}-{self.name}", "nomaster")

    def join(self, *links: Link) -> None:
        """Packets pass again."""
        for link in links:
            ip("link", "set", f"{link}-{self.name}", "master", link)

    def processes(self, *names: str) -> list[psutil.Process]:
        """Its processes; with ``names``, those of these programs."""
        return [one for one in self._all() if not names or one.name() in names]

    def _all(self) -> Iterator[psutil.Process]:
        inode = Path(f"/run/netns/{self.name}").stat().st_ino
        for one in psutil.process_iter():
            with suppress(OSError, psutil.Error):
                if Path(f"/proc/{one.pid}/ns/net").stat().st_ino == inode:
                    yield one


def make_network(hosts: Sequence[Host]) -> Account:
    """Two switches and the hosts on them; clients are on the first one. Returns who runs the hosts' programs."""
    for link in ("front", "back"):
        ip("link", "add", link, "type", "bridge")
        ip("link", "set", link, "up")
    ip("addr", "add", f"{HUB}/24", "dev", "front")
    account = account_for(FOLDER, FOLDER / "nothing")
    for host in hosts:
        host.make(account)
        # known for good: one that is gone is silent, as behind a router, and not unknown
        ip("neigh", "replace", host.front, "lladdr", host.hardware, "dev", "front", "nud", "permanent")
    return account


if __name__ == "__main__":
    sys.exit(_begin(sys.argv[1:]))
