"""HAProxy in front of two gateways, configured as gateway/docs/deploy says."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from db.embedded.process import wait_until
from tests.support.process import ROOT

PROGRAM = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
CONFIGURATION = ROOT / "gateway/docs/deploy/haproxy/haproxy.cfg"
INTERVAL = 0.25
"""Seconds between two probes, for a second in the documented configuration."""

UP = "2"
"""The state of a server that gets requests, in the fourth column after its name."""


class HAProxy:
    """A running HAProxy."""

    def __init__(self, port: int, admin: Path) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self._admin = admin

    def is_up(self, place: int) -> bool:
        """Whether it sends requests to the gateway at this place."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self._admin))
            asking.sendall(b"show servers state gateways\n")
            told = b"".join(iter(lambda: asking.recv(65536), b"")).decode()
        (state,) = re.findall(rf" gateway{place + 1} \S+ (\d) ", told)
        return bool(state == UP)


def documented(port: int, upstream: Sequence[int]) -> str:
    """The documented configuration, without TLS, with other addresses, and with more frequent probes."""
    text = CONFIGURATION.read_text()
    wanted = {
        "bind :443 ssl crt /etc/haproxy/metadata.example.com.pem": f"bind 127.0.0.1:{port}",
        "inter 1s": f"inter {INTERVAL * 1000:.0f}ms",
        **{f"192.0.2.{place}:8000": f"127.0.0.1:{own}" for place, own in enumerate(upstream, 1)},
    }
    for old, new in wanted.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@contextmanager
def haproxy(port: int, upstream: Sequence[int]) -> Iterator[HAProxy]:
    """An HAProxy at a port, in front of gateways at these."""
    assert PROGRAM is not None
    folder = Path(tempfile.mkdtemp(prefix="e2i-haproxy-", dir="/tmp"))
    admin = folder / "admin"
    configuration = folder / "haproxy.cfg"
    configuration.write_text(f"global\n    stats socket {admin}\n\n{documented(port, upstream)}")
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [PROGRAM, "-db", "-f", configuration], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
    )
    try:
        assert wait_until(lambda: admin.is_socket() or process.poll() is not None, 20), "HAProxy does not begin"
        assert process.poll() is None, (folder / "log").read_text()
        yield HAProxy(port, admin)
    finally:
        process.terminate()
        process.wait(20)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)
