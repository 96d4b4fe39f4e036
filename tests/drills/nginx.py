"""nginx in front of a gateway, configured as gateway/docs/deploy says."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from db.embedded.process import wait_until
from tests.support.process import ROOT

PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
SITE = ROOT / "gateway/docs/deploy/nginx/e2i-gateway.conf"
ANY_UPGRADE = "map $http_upgrade $e2i_upgrade { default $http_upgrade; }"
"""In place of the file's map: what a client says in ``Upgrade`` goes on to the gateway, as in many guides to nginx."""

FRAME = """
daemon off; pid {folder}/pid; error_log {folder}/error.log error; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {site}
}}
"""


def documented(port: int, upstream: int) -> str:
    """The documented configuration, without TLS and with other ports."""
    kept = [line for line in SITE.read_text().splitlines() if not re.search(r"ssl_certificate|http2 on", line)]
    text = "\n".join(kept)
    for old, new in (("127.0.0.1:8000", f"127.0.0.1:{upstream}"), ("listen 443 ssl", f"listen 127.0.0.1:{port}")):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    assert "keepalive 64" in text
    return text


def forwarding_any_upgrade(site: str) -> str:
    """A configuration that lets clients ask the gateway for any protocol."""
    changed, times = re.subn(r"^map \$http_upgrade .*$", ANY_UPGRADE.replace("\\", "\\\\"), site, flags=re.MULTILINE)
    assert times == 1
    return changed


@contextmanager
def nginx(upstream: int, *, any_upgrade: bool) -> Iterator[int]:
    """The port of an nginx in front of a gateway's ``upstream`` port."""
    assert PROGRAM is not None
    folder = Path(tempfile.mkdtemp(prefix="e2i-nginx-", dir="/tmp"))
    folder.chmod(0o755)  # its workers are somebody else where it is started by root
    port = _free_port()
    site = documented(port, upstream)
    site = forwarding_any_upgrade(site) if any_upgrade else site
    (folder / "nginx.conf").write_text(FRAME.format(folder=folder, site=site))
    log = (folder / "error.log").open("wb")
    process = subprocess.Popen(
        [PROGRAM, "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
    )  # fmt: skip
    try:
        there = wait_until(lambda: _listens(port) or process.poll() is not None, 20)
        assert there, "nginx does not begin"
        assert process.poll() is None, (folder / "error.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(20)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
    return port


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
