"""A Redis for tests: the real one, on a socket of its own, gone with the test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

TIMEOUT = 20.0


class RedisServer:
    """`redis-server` on a Unix socket, without anything on the disk."""

    def __init__(self) -> None:
        found = shutil.which("redis-server")
        if found is None and os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail("redis-server is missing; the tests of shared budgets must run in CI")
        if found is None:
            pytest.skip("redis-server is not installed")
        self._command = found
        self._folder = Path(tempfile.mkdtemp(prefix="e2i-redis-"))
        self._socket = self._folder / "redis.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> None:
        """Starts it, empty, and waits until it listens."""
        options = ["--port", "0", "--unixsocket", str(self._socket), "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            [self._command, *options, "--dir", str(self._folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + TIMEOUT
        while not self._socket.exists():
            assert self.process.poll() is None, "redis-server ended"
            assert time.monotonic() < deadline, "redis-server does not listen"
            time.sleep(0.01)

    def stop(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(TIMEOUT)
            self.process = None
            self._socket.unlink(missing_ok=True)

    def pause(self) -> None:
        """It takes connections and says nothing, as a host does that hangs."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(TIMEOUT)
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.close()
