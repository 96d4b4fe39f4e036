"""The Postgres of a run of tests, which its processes share.

What a test changes beyond its own databases (a role, a setting of the server) changes for all of them. It is an
embedded Postgres, whose version TEST_POSTGRES_VERSION says. With TEST_DATABASE_ADMIN_URL (a superuser's URL of any
Postgres with pgvector) that server is used instead; with TEST_TEMPLATES as well, templates are built once there, under
names that begin with it, and are kept for the runs after. DATABASE_URL is never read.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from db.embedded import server as embedded
from db.embedded.server import ADMIN_ROLE, GATEWAY_ROLE, OWNER_ROLE, EmbeddedPostgres
from db.embedded.temporary import hold
from db.engine.url import database_url
from tests.support.databases import Server, alone
from tests.support.folders import data_folder

SETTINGS = {
    "max_connections": "400",
    # nothing here needs to survive a crash, or is replicated
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
    "wal_level": "minimal", "max_wal_senders": "0",
}  # fmt: skip
"""Those of the embedded server beside the embedded Postgres's own."""


_END_LEFT = """
import fcntl, os, pathlib, signal, sys
folder = pathlib.Path(sys.argv[1])
fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX)
os.kill(int((folder / "data/pgdata/postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
"""
"""Waits until no process holds a folder, and ends the server that is left there, if any."""


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder for the data of a server, which ends with the processes that hold the folder, however they end."""
    with ExitStack() as last, data_folder("e2i-pytest-") as folder:
        watching = subprocess.Popen(
            [sys.executable, "-ISc", _END_LEFT, str(folder)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        last.callback(watching.wait)
        yield folder


_FOLDER = pytest.StashKey[Path]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells a process of a run the folder of their server: the first that needs it starts it, the last one stops it."""
    config = node.config
    if _FOLDER not in config.stash:
        folder = ExitStack()
        config.stash[_FOLDER] = folder.enter_context(server_folder())
        config.add_cleanup(folder.close)
    node.workerinput["server_folder"] = str(config.stash[_FOLDER])


def _told(config: pytest.Config) -> dict[str, Any]:
    """What a process of a run is told; nothing where it is the only one."""
    told: dict[str, Any] = getattr(config, "workerinput", {})
    return told


@contextmanager
def _folder(config: pytest.Config) -> Iterator[Path]:
    """The folder of the server: that of the run's processes, or one of this process alone."""
    shared: str | None = _told(config).get("server_folder")
    if shared is None:
        with server_folder() as folder:
            yield folder
        return
    handle = hold(Path(shared))
    try:
        yield Path(shared)
    finally:
        os.close(handle)


async def _make_roles(server: Server) -> None:
    connection = await server.connect("postgres")
    try:
        async with alone(connection, "roles"):
            there = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
            for role in (OWNER_ROLE, GATEWAY_ROLE):
                await connection.execute(f"{'ALTER' if role in there else 'CREATE'} ROLE {role} LOGIN")
                if server.password:
                    await connection.execute(f"ALTER ROLE {role} PASSWORD '{server.password}'")
    finally:
        await connection.close()


@contextmanager
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """An embedded server with its data in ``folder``, or the one that another process of the run has started there."""
    with pytest.MonkeyPatch.context() as patch:
        for setting, value in SETTINGS.items():
            patch.setitem(embedded.SETTINGS, setting, value)
        server = embedded.start(folder / "data", version=int(os.environ.get("TEST_POSTGRES_VERSION", "16")))
    with server:
        yield server


@pytest.fixture(scope="session")
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """The Postgres of a run; stopped at its end, and its data thrown away."""
    if given := os.environ.get("TEST_DATABASE_ADMIN_URL"):
        url = database_url(given).render_as_string(hide_password=False)
        password = _told(request.config).get("testrunuid") or secrets.token_hex(16)  # that of all processes of a run
        external = Server(url, password, os.environ.get("TEST_TEMPLATES"))
        await _make_roles(external)
        yield external
        return
    with _folder(request.config) as folder, postgres(folder) as started:
        # files are copied for half of the processor time of copying pages by the log, which is Postgres's choice
        copying = "STRATEGY FILE_COPY" if started.version >= 15 else ""
        own = Server(started.url("postgres", ADMIN_ROLE), None, "e2i_template", copying)
        await _make_roles(own)
        yield own
