"""PgBouncer in transaction mode in front of a server, as Debian packages it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from db.embedded.process import Account, environment, wait_until
from db.engine.url import database_url

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")


@contextmanager
def pgbouncer(url: str, account: Account, *, server_connections: int, **settings: str) -> Iterator[str]:
    """The URL of a database through a PgBouncer that shares ``server_connections`` among all its clients."""
    assert PROGRAM is not None
    folder = Path(tempfile.mkdtemp(prefix="e2i-bouncer-", dir="/tmp"))
    target = database_url(url)
    users = folder / "users.txt"
    users.write_text(f'"{target.username}" ""\n')
    configuration = {
        "pool_mode": "transaction",
        "auth_type": "trust",
        "auth_file": str(users),
        "unix_socket_dir": str(folder),
        "listen_port": "6432",
        "max_client_conn": "500",
        "default_pool_size": str(server_connections),
        "server_round_robin": "1",
    } | settings
    text = [
        "[databases]",
        f"* = host={target.query['host']} port={target.query.get('port', '5432')}",
        "[pgbouncer]",
        *(f"{name} = {value}" for name, value in configuration.items()),
    ]
    (folder / "pgbouncer.ini").write_text("\n".join(text) + "\n")
    account.own(folder)
    for name in ("users.txt", "pgbouncer.ini"):
        (folder / name).chmod(0o644)
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [PROGRAM, "pgbouncer.ini"],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, env=environment(), **account.switch(),
    )  # fmt: skip
    try:
        there = wait_until(lambda: _listens(folder / ".s.PGSQL.6432") or process.poll() is not None, 20)
        assert there, "pgbouncer does not begin"
        assert process.poll() is None, (folder / "log").read_text()
        through = target.set(host=None, port=None, query={})
        yield f"{through.render_as_string(hide_password=False)}?host={quote(str(folder), safe='/')}&port=6432"
    finally:
        process.terminate()
        process.wait(20)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _listens(path: Path) -> bool:
    """Whether somebody lets connections in there: the file alone is there a moment earlier."""
    with socket.socket(socket.AF_UNIX) as one:
        return one.connect_ex(str(path)) == 0
