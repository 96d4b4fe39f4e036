"""An embedded Postgres for users without a database: `start` it on a data folder, `stop` it at the end.

The data folder holds `pgdata` (the cluster), `postgres.log`, and three kinds of lock:

- `e2i-embedded.lock` is held while a gateway starts or stops; it also marks the folder as ours;
- `users/*`, one file per running gateway, each locked by it: the last one to stop stops Postgres;
- `server.lock` is inherited by Postgres and all its children: while it is locked, a process works on the data.

Linux and macOS (there not as root); the data folder must be on a local disk.
"""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import asyncpg
import psutil

from db.base.quoting import identifier
from db.embedded.lock import (
    LOCK_NAME,
    LOCK_TIMEOUT,
    EmbeddedPostgresError,
    clear_errors,
    locked,
    open_private,
    other_users,
    sign_on,
    try_lock,
)
from db.embedded.process import (
    SOCKET_FOLDER_PREFIX,
    SOCKET_NAMES,
    Account,
    Postmaster,
    account_for,
    arguments,
    end,
    environment,
    make_socket_folder,
    postmaster,
    processes_in,
    programs,
    readable,
    recorded_pid,
    wait_until,
)

__all__ = [
    "ADMIN_ROLE", "GATEWAY_ROLE", "OWNER_ROLE", "EmbeddedPostgres", "EmbeddedPostgresError", "create_database",
    "running", "start",
]  # fmt: skip

ADMIN_ROLE = "e2i_admin"
OWNER_ROLE = "e2i_owner"
GATEWAY_ROLE = "e2i_gateway"

SETTINGS = {"max_connections": "100", "shared_buffers": "128MB", "jit": "off", "timezone": "UTC", "log_timezone": "UTC"}
"""Appended to a new cluster's postgresql.conf, where users may change them."""

LOG_LIMIT = 10 * 1024 * 1024
"""The size in bytes from which postgres.log is renamed to postgres.log.1 at the next start."""

_ORPHAN_TIMEOUT = 3.0  # seconds for the children of a killed postmaster to exit by themselves


class EmbeddedPostgres:
    """One gateway's use of the Postgres on a data folder; created by `start`."""

    def __init__(self, folder: Path, account: Account, user: int, user_file: Path) -> None:
        self.data_folder = folder
        self.admin_role = ADMIN_ROLE
        self.socket_folder = Path()
        self.cluster = _cluster(folder)
        self._account = account
        self._user = user
        self._user_file = user_file
        self._process: psutil.Process | None = None
        self._pid = os.getpid()
        self._stopped = False
        self._stopping = threading.Lock()

    def url(self, database: str, role: str) -> str:
        """The SQLAlchemy URL of a database on this server for a role; roles have no passwords."""
        # without the default port in the URL the client would take $PGPORT
        host = quote(str(self.socket_folder), safe="/")
        return f"postgresql+asyncpg://{quote(role, safe='')}@/{quote(database, safe='')}?host={host}&port=5432"

    @property
    def version(self) -> int:
        """The major version of the data."""
        return _version(self.cluster)

    def stop(self) -> None:
        """Ends this use and, if it was the last, Postgres: by a fast shutdown within 30 seconds, then by stronger
        signals.

        Close connections first. Idempotent. Raises EmbeddedPostgresError if a process keeps running.
        """
        with self._stopping:
            if self._stopped:
                return
            self._stopped = True
            atexit.unregister(self.stop)
            try:
                # a forked process only releases what it inherited
                if os.getpid() != self._pid:
                    return
                if not self.cluster.exists() and self._process is not None:
                    # the data were deleted: there is nothing to save, and no lock to share
                    end([self._process], (signal.SIGQUIT, 10), (signal.SIGKILL, 5))
                    self._remove_socket_folder()
                else:
                    with clear_errors(self.data_folder), locked(self.data_folder):
                        self._leave()
            finally:
                os.close(self._user)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def begin(self, version: int, timeout: float) -> None:
        """Joins the server that runs on the data, or starts one. Only for `start`, under the folder's lock."""
        try:
            self._serve(version, timeout)
        except BaseException:
            with suppress(EmbeddedPostgresError, OSError, psutil.Error):  # the first error is reported
                self._leave()
            os.close(self._user)
            raise

    def _serve(self, version: int, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        if not self.cluster.exists() or not any(self.cluster.iterdir()):
            _make_cluster(self.data_folder, self.cluster, self._account, version)
        server_lock = self._adopt_or_lock(deadline)
        if server_lock is None:
            return
        try:
            self._launch(server_lock, deadline)
        finally:
            os.close(server_lock)

    def _adopt_or_lock(self, deadline: float) -> int | None:
        """Returns None once it has joined a running server, or the locked server.lock if there certainly is none."""
        orphaned = time.monotonic() + _ORPHAN_TIMEOUT
        while True:
            found = postmaster(self.cluster)
            if found is not None and found.ready:
                self._adopt(found)
                return None
            if found is None:
                lock = try_lock(self.data_folder / "server.lock")
                if lock is not None:
                    return lock
                if time.monotonic() > orphaned:
                    self._end_orphans()
            if time.monotonic() > deadline:
                what = "is neither ready nor gone" if found else "left processes that do not end"
                raise EmbeddedPostgresError(
                    f"the Postgres on {self.cluster} {what} in time (recovering from a crash can take "
                    f"long); see {self._log}, and start the gateway again"
                )
            time.sleep(0.05)

    def _adopt(self, found: Postmaster) -> None:
        self._process = found.process
        self.socket_folder = found.socket_folder

    def _launch(self, server_lock: int, deadline: float) -> None:
        """Starts Postgres and waits until it accepts connections; no other process works on the data."""
        strangers = processes_in(self.cluster)
        if strangers:
            raise EmbeddedPostgresError(
                f"a Postgres that no gateway started works in {self.cluster}, and its postmaster.pid does not describe "
                f"it; stop it first: process {', '.join(str(process.pid) for process in strangers)}"
            )
        bin_folder = programs(self.version, self._account)
        self.socket_folder = make_socket_folder(self.data_folder, self._account)
        # no process uses these any more, but Postgres would believe a reused pid
        for stale in (self.cluster / "postmaster.pid", *(self.socket_folder / name for name in SOCKET_NAMES)):
            stale.unlink(missing_ok=True)
        if self._log.exists() and self._log.stat().st_size > LOG_LIMIT:
            self._log.rename(self._log.with_name("postgres.log.1"))
        log = open_private(self._log, os.O_WRONLY | os.O_APPEND)
        try:
            written = os.fstat(log).st_size
            # authentication is configured here and not in postgresql.conf, where it could be changed
            forced = {
                "listen_addresses": "", "port": "5432", "unix_socket_directories": f'"{self.socket_folder}"',
                "unix_socket_permissions": "0700", "log_destination": "stderr", "logging_collector": "off",
                "cluster_name": "e2i_gateway",
            }  # fmt: skip
            server = subprocess.Popen(  # noqa: S603  the bundled program, no shell
                arguments(bin_folder / "postgres", self.cluster) + [f"--{key}={word}" for key, word in forced.items()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.cluster, env=environment(),
                pass_fds=[server_lock], start_new_session=True, **self._account.switch(),
            )  # fmt: skip
        finally:
            os.close(log)
        with suppress(psutil.NoSuchProcess):
            self._process = psutil.Process(server.pid)
        # if another gateway stops it as its last user, its exit status must still be collected here
        threading.Thread(target=server.wait, name="embedded-postgres", daemon=True).start()
        self._await_ready(server, written, deadline)

    def _await_ready(self, server: "subprocess.Popen[bytes]", written: int, deadline: float) -> None:
        def settled() -> bool:
            found = postmaster(self.cluster)
            return server.poll() is not None or (found is not None and found.ready and found.process.pid == server.pid)

        in_time = wait_until(settled, deadline - time.monotonic())
        if in_time and server.poll() is None:
            return
        with self._log.open("rb") as log:
            log.seek(written)
            output = readable(os.fsdecode(log.read()), self.cluster)
        what = f"ended with {server.returncode}" if in_time else "is not ready in time"
        raise EmbeddedPostgresError(
            f"the Postgres on {self.cluster} {what}{_disk_hint(self.data_folder)}; {self._log} ends with:\n{output}"
        )

    def _leave(self) -> None:
        """Signs off, and stops Postgres if no other gateway uses it; under the folder's lock."""
        self._user_file.unlink(missing_ok=True)
        if other_users(self._user_file):
            return
        found = postmaster(self.cluster)
        process = found.process if found else self._process
        if found:
            self._adopt(found)
        if process is not None:
            # fast shutdown, immediate shutdown (with recovery at the next start), kill
            end([process], (signal.SIGINT, 30), (signal.SIGQUIT, 10), (signal.SIGKILL, 5))
        if not wait_until(self._nothing_runs, _ORPHAN_TIMEOUT):
            self._end_orphans()
        self._remove_socket_folder()

    def _remove_socket_folder(self) -> None:
        # a server started by hand may have its socket in a shared folder, which must not be cleaned
        if self.socket_folder.name.startswith(SOCKET_FOLDER_PREFIX):
            with suppress(OSError):
                for name in SOCKET_NAMES:
                    (self.socket_folder / name).unlink(missing_ok=True)
                self.socket_folder.rmdir()

    def _nothing_runs(self) -> bool:
        lock = try_lock(self.data_folder / "server.lock")
        if lock is not None:
            os.close(lock)
        return lock is not None

    def _end_orphans(self) -> None:
        """Ends what a killed postmaster left: processes that hold server.lock and work in the cluster."""
        orphans = processes_in(self.cluster)
        if recorded_pid(self.cluster) in {process.pid for process in orphans}:
            raise EmbeddedPostgresError(
                f"process {recorded_pid(self.cluster)} looks like the Postgres on {self.cluster}, but it was not "
                "started at the time that its postmaster.pid says (was the clock changed?), so it is not stopped; "
                f"stop it yourself: kill -INT {recorded_pid(self.cluster)}"
            )
        end(orphans, (signal.SIGQUIT, 5), (signal.SIGKILL, 5))
        if not wait_until(self._nothing_runs, 1):
            raise EmbeddedPostgresError(
                f"something that cannot be seen from here still uses {self.cluster} and holds "
                f"{self.data_folder / 'server.lock'}, perhaps a Postgres in another container; stop it first"
            )

    @property
    def _log(self) -> Path:
        return self.data_folder / "postgres.log"


def start(data_folder: Path, *, version: int = 16, timeout: float = 60.0) -> EmbeddedPostgres:
    """Starts Postgres on a data folder, or joins the server that another gateway runs there.

    The folder is created if missing. `version` is the major version of new data; existing data keep theirs. `timeout`
    is in seconds, for Postgres to be ready. Blocking: call it in a thread from async code. It stops at the end of the
    process unless `stop` was called.

    Raises EmbeddedPostgresError, and then leaves no process running that it started.
    """
    folder = Path(os.path.realpath(data_folder))
    with clear_errors(folder):
        _require_ours(folder)
        with locked(folder):
            account = account_for(folder, _cluster(folder))
            server = EmbeddedPostgres(folder, account, *sign_on(folder))
            server.begin(version, timeout)
    atexit.register(server.stop)
    return server


def running(data_folder: Path) -> bool:
    """Whether a Postgres, verified by pid, start time and folder, runs on a data folder."""
    return postmaster(_cluster(Path(os.path.realpath(data_folder)))) is not None


async def create_database(server: EmbeddedPostgres, name: str) -> None:
    """Creates the gateway's roles and a database with pgvector, over asyncpg as the admin; existing objects are left as
    they are.

    OWNER_ROLE owns the database and migrates it; GATEWAY_ROLE serves from it and owns nothing. Both may log in, neither
    is a superuser. Tables have their own grants. Several gateways may call this concurrently.
    """
    where: dict[str, Any] = {"host": str(server.socket_folder), "port": 5432, "user": ADMIN_ROLE, "ssl": False}
    admin = await asyncpg.connect(**where, database="postgres")
    try:
        await admin.execute("SELECT pg_advisory_lock(hashtext('e2i embedded create_database'))")
        for role in (OWNER_ROLE, GATEWAY_ROLE):
            if not await admin.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role):
                await admin.execute(f"CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION")
        if not await admin.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
            await admin.execute(f"CREATE DATABASE {identifier(name)} OWNER {OWNER_ROLE}")
        inside = await asyncpg.connect(**where, database=name)
        try:
            await inside.execute("CREATE EXTENSION IF NOT EXISTS vector")
        finally:
            await inside.close()
    finally:
        await admin.close()


def _cluster(folder: Path) -> Path:
    """The cluster's real path, which the kernel reports as its processes' working folder; `pgdata` may be a link."""
    return Path(os.path.realpath(folder / "pgdata"))


def _require_ours(folder: Path) -> None:
    """Creates the data folder, or checks that it is the gateway's or empty."""
    if folder.exists() and not folder.is_dir():
        raise EmbeddedPostgresError(f"the data folder {folder} is a file; give the path of a folder, new or empty")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = {path.name for path in folder.iterdir()} - {"lost+found"}
    if names and LOCK_NAME not in names:
        what = "is a Postgres cluster of its own" if "PG_VERSION" in names else "has other files in it"
        raise EmbeddedPostgresError(
            f"the data folder {folder} {what} and was not made by this gateway; give a new or empty folder. "
            f"Nothing was changed in it"
        )


def _version(cluster: Path) -> int:
    try:
        return int((cluster / "PG_VERSION").read_text())
    except (FileNotFoundError, ValueError):
        raise EmbeddedPostgresError(
            f"{cluster} is damaged: PG_VERSION is missing or no number; restore the folder from a backup, or move it "
            f"away to begin with an empty database"
        ) from None


def _make_cluster(folder: Path, cluster: Path, account: Account, version: int) -> None:
    """Runs initdb in a temporary folder beside the cluster's, which is renamed once complete."""
    for half_done in folder.glob("pgdata.new-*"):
        _clear(half_done)
    bin_folder = programs(version, account)
    fresh = Path(tempfile.mkdtemp(prefix="pgdata.new-", dir=folder))
    try:
        account.own(fresh)
        command = arguments(bin_folder / "initdb", fresh)
        command += ["--username", ADMIN_ROLE, "--auth=trust", "--locale=C.UTF-8", "--encoding=UTF8"]
        command += [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
        done = subprocess.run(  # noqa: S603  the bundled program, no shell
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            cwd=fresh, env=environment(), timeout=LOCK_TIMEOUT, start_new_session=True, **account.switch(),
        )  # fmt: skip
        if done.returncode != 0:
            output = readable(os.fsdecode(done.stdout), fresh)
            raise EmbeddedPostgresError(
                f"no new cluster could be made in {folder}{_disk_hint(folder)}; initdb ends with:\n{output}"
            )
        fresh.rename(cluster)
    except subprocess.TimeoutExpired:
        raise EmbeddedPostgresError(
            f"initdb in {folder} was not done after {LOCK_TIMEOUT:.0f} s; is the disk slow or stuck?"
        ) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _clear(half_done: Path) -> None:
    """Removes what a killed start left: its initdb may still be writing there."""
    for _ in range(10):
        writing = processes_in(Path(os.path.realpath(half_done)), "initdb", "sh", "postgres")
        if not writing:
            break
        end(writing, (signal.SIGKILL, 5))
    shutil.rmtree(half_done, ignore_errors=True)


def _disk_hint(folder: Path) -> str:
    free = shutil.disk_usage(folder).free // 2**20
    return f" (only {free} MB are free on that disk)" if free < 200 else ""
