"""The audit of dependencies in CI: it never hides what it found, and does not fail for what it could not ask."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import ROOT

pytestmark = pytest.mark.slow

LOCK = "alpha==1.0 --hash=sha256:{0}\nbeta==2.0 --hash=sha256:{0}\n".format("0" * 64)
KNOWN = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-0001"],
    "summary": "It lets anybody in.",
    "affected": [
        {
            "package": {"name": "beta", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.1"}]}],
        }
    ],
}


@contextmanager
def osv(answers: dict[str, Any], status: int = 200) -> Iterator[str]:
    """A database of vulnerabilities with OSV's interface."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            body = json.dumps(answers.get(asked["package"]["name"], {})).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def audit(lock: Path, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / ".ci" / "audit", lock],
        env=os.environ | {"OSV_URL": url, "NO_PROXY": "127.0.0.1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    (tmp_path / "some.lock").write_text(LOCK)
    return tmp_path / "some.lock"


def test_a_known_vulnerability_fails(lock: Path) -> None:
    with osv({"beta": {"vulns": [KNOWN]}}) as url:
        ended = audit(lock, url)
    assert ended.returncode == 1
    assert "beta 2.0: PYSEC-2026-1 (CVE-2026-0001), fixed in 2.1" in ended.stdout


def test_none_known_is_well(lock: Path) -> None:
    with osv({}) as url:
        ended = audit(lock, url)
    assert (ended.returncode, ended.stdout) == (0, "Audited 2 dependencies: no known vulnerability.\n")


def test_a_database_that_is_away_is_said_and_does_not_fail(lock: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        ended = audit(lock, f"http://127.0.0.1:{unused.getsockname()[1]}/v1/query")
    assert ended.returncode == 0
    assert "were not audited" in ended.stdout
    with osv({}, status=404) as url:
        ended = audit(lock, url)
    assert ended.returncode == 0
    assert "were not audited" in ended.stdout


def test_a_lock_file_that_cannot_be_read_fails(tmp_path: Path) -> None:
    assert audit(tmp_path / "missing.lock", "http://127.0.0.1:1").returncode != 0
