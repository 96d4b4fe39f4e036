"""The gateway as people run it: its command in a process of its own, on a port of its own, with all that it starts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from db.embedded.process import Postmaster, postmaster, processes_in

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "gateway.cli"]
TIMEOUT = 120.0
"""Seconds after which something that should happen soon never will."""

OURS = re.compile(r"HOST|PORT|DATABASE_URL|GATEWAY_.*|PG.*")


def environment(**variables: str) -> dict[str, str]:
    """The environment for a gateway: the settings given here, and none of the user's."""
    return {name: value for name, value in os.environ.items() if not OURS.fullmatch(name)} | variables


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of the gateway to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(**variables),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def until(condition: Callable[[], object], what: str = "it") -> None:
    """Waits for something to come true; how long that takes says nothing."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def workers(pid: int) -> list[psutil.Process]:
    """The processes of a gateway of several workers that answer requests: forks of its first one, or spawned."""
    first, found = psutil.Process(pid), []
    command = first.cmdline()
    for child in first.children():
        with suppress(psutil.Error):  # it has ended meanwhile
            if alive(child) and (child.cmdline() == command or "spawn_main" in " ".join(child.cmdline())):
                found.append(child)
    return found


class Gateway:
    """A command of the gateway that goes on until it is stopped, `serve` if not told otherwise."""

    def __init__(
        self, data: Path, *arguments: str, command: list[str] | None = None, root: Path = ROOT, **variables: str
    ) -> None:
        """``root`` is the checkout whose command it is, ``variables`` are its settings."""
        self.root = root
        settings = {"GATEWAY_DATA": str(data), "PORT": "0"} | variables
        self.cluster = Path(os.path.realpath(data)) / "postgres" / "pgdata"
        self.seen: set[psutil.Process] = set()
        """Every process that was found to belong to it."""
        self.http = httpx.Client(trust_env=False, timeout=60)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the gateway
        self.process = subprocess.Popen(
            [*(command or COMMAND), *(arguments or ["serve"])],
            env=environment(**settings),
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )

    # -- what it says ----------------------------------------------------------------------------------------------

    @property
    def output(self) -> str:
        """All that it wrote."""
        return os.pread(self._output.fileno(), 2**24, 0).decode()

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its log; what is no line of JSON fails."""
        return [json.loads(line) for line in self.output.splitlines()]

    @property
    def base(self) -> str:
        """The address that it says it answers at."""
        (address,) = re.findall(r"the graph is at (http://\S+)/graphql", self.output)
        return str(address)

    def listening(self) -> Gateway:
        """Waits until it answers at all."""
        until(lambda: "the graph is at" in self.output or self.process.poll() is not None, "listening")
        assert self.process.poll() is None, self.output
        self.http.base_url = self.base
        self.look()
        return self

    def ready(self) -> Gateway:
        """Waits until it answers from its database."""
        self.listening()
        until(lambda: self.http.get("/readyz").status_code == 200, "readiness")
        self.look()
        return self

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an answer without errors."""
        answer = self.http.post("/graphql", json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer["errors"][:3]
        data: dict[str, Any] = answer["data"]
        return data

    # -- what it runs ----------------------------------------------------------------------------------------------

    @property
    def postgres(self) -> Postmaster:
        """The server on its data."""
        found = postmaster(self.cluster)
        assert found is not None
        return found

    def look(self) -> set[psutil.Process]:
        """Remembers the processes that it has now, and the server's that it may share with another gateway."""
        found = postmaster(self.cluster)
        for parent in [psutil.Process(self.process.pid), *([found.process] if found else [])]:
            self.seen |= {parent, *parent.children(recursive=True)}
        return self.seen

    def left(self) -> list[psutil.Process]:
        """What still runs: of the processes seen, and of any Postgres on its data."""
        on_the_data = processes_in(self.cluster) if self.cluster.exists() else []
        return [process for process in {*self.seen, *on_the_data} if alive(process)]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal, waits for the end and returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT)

    def close(self) -> None:
        """Ends whatever is left of it, harshly; for the end of a test."""
        for process in [psutil.Process(self.process.pid)] if self.process.poll() is None else []:
            process.kill()
        self.process.wait(TIMEOUT)
        self.http.close()
        self._output.close()
