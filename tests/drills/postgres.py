"""Servers that a drill may break: each a cluster of its own, a copy of another one, or its standby by streaming."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psutil

from db.embedded.process import Account, account_for, arguments, environment, programs, wait_until
from db.embedded.server import ADMIN_ROLE, GATEWAY_ROLE

TIMEOUT = 60.0
"""Seconds after which something that should happen soon never will."""

FAST = {"fsync": "off", "shared_buffers": "32MB", "wal_level": "replica", "hot_standby": "on", "max_wal_senders": "10"}


class Postgres:
    """A server on a socket of its own; ``settings`` are those of its command line."""

    def __init__(self, folder: Path, account: Account, version: int) -> None:
        self.folder = folder
        self.account = account
        self.settings: dict[str, str] = {}
        self._cluster = folder / "pgdata"
        self._programs = programs(version, account)
        self._version = version
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
            """Its port on the loopback, beside the socket."""

    @classmethod
    def make(cls, version: int = 16, **settings: str) -> Self:
        """An empty cluster, started."""
        made = cls._in_a_folder(version)
        made._run(
            "initdb", "--username", ADMIN_ROLE, "--auth=trust", "--locale=C.UTF-8", "--encoding=UTF8", "--no-sync"
        )
        made.start(**settings)
        return made

    @classmethod
    def _in_a_folder(cls, version: int) -> Self:
        folder = Path(tempfile.mkdtemp(prefix="e2i-drill-", dir="/tmp"))
        account = account_for(folder, folder / "pgdata")
        (folder / "pgdata").mkdir()
        account.own(folder / "pgdata")
        account.own(folder)
        return cls(folder, account, version)

    def standby(self, **settings: str) -> Self:
        """A copy of this server that streams from it, started."""
        made = self._in_a_folder(self._version)
        where = ["--host", str(self.folder), "--port", str(self.port), "--username", ADMIN_ROLE, "--no-sync"]
        made._run("pg_basebackup", "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", *where)
        made.start(**settings)
        return made

    def url(self, database: str, role: str = GATEWAY_ROLE) -> str:
        """The SQLAlchemy URL of a database for a role, which has no password."""
        return f"postgresql://{role}@/{database}?host={quote(str(self.folder), safe='/')}&port={self.port}"

    def start(self, **settings: str) -> None:
        """Starts it and waits until it lets people in."""
        self.settings |= settings
        forced = FAST | self.settings | {"listen_addresses": "127.0.0.1", "port": str(self.port)}
        forced |= {"unix_socket_directories": str(self.folder)}
        for stale in (self._cluster / "postmaster.pid", self.folder / f".s.PGSQL.{self.port}.lock"):
            stale.unlink(missing_ok=True)
        log = os.open(self.folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            self._process = subprocess.Popen(
                arguments(self._programs / "postgres", self._cluster) + [f"--{k}={v}" for k, v in forced.items()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._cluster, env=environment(),
                start_new_session=True, **self.account.switch(),
            )  # fmt: skip
        finally:
            os.close(log)
        assert wait_until(self._ready, TIMEOUT), self.log[-2000:]

    def stop(self, *, with_signal: signal.Signals = signal.SIGINT) -> None:
        """Ends it: SIGINT is a fast shutdown, SIGQUIT one without farewell."""
        if self._process is not None:
            self._process.send_signal(with_signal)
            self._process.wait(TIMEOUT)
            self._process = None

    def kill(self) -> None:
        """SIGKILL to the postmaster and to each of its children, as when memory runs out or the power does."""
        if self._process is None:
            return
        server = psutil.Process(self._process.pid)
        family = [server, *server.children(recursive=True)]
        for one in family:
            one.kill()
        self._process.wait(TIMEOUT)
        psutil.wait_procs(family, TIMEOUT)
        self._process = None

    def promote(self) -> None:
        """Makes a standby a primary."""
        self._run("pg_ctl", "promote", "--wait")

    def detach(self) -> None:
        """Makes a standby a server that accepts changes, and goes on with the timeline of its primary."""
        self.stop()
        (self._cluster / "standby.signal").unlink()
        self.start()

    def clone(self) -> Self:
        """A server of its own on a copy of this one's data, while this one is stopped; started."""
        made = self._in_a_folder(self._version)
        shutil.rmtree(made._cluster)
        self._copy(self._cluster, made._cluster)
        made.start()
        return made

    def snapshot(self) -> Path:
        """A copy of its data while it is stopped, as a volume has."""
        taken = self.folder / "snapshot"
        self._copy(self._cluster, taken)
        return taken

    def set_back(self, taken: Path) -> None:
        """Puts a snapshot in the place of its data while it is stopped."""
        shutil.rmtree(self._cluster)
        self._copy(taken, self._cluster)

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        subprocess.run(["cp", "--archive", source, target], check=True)

    def close(self) -> None:
        """Ends it whatever it does, and throws its data away."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self.folder / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log[-2000:]
        asked = [self._programs / "pg_isready", "--host", self.folder, "--port", str(self.port), "--quiet"]
        return subprocess.run(asked, env=environment(), check=False, **self.account.switch()).returncode == 0

    def _run(self, program: str, *options: str) -> None:
        done = subprocess.run(
            [*arguments(self._programs / program, self._cluster), *options],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self._cluster, env=environment(),
            timeout=TIMEOUT, check=False, **self.account.switch(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
