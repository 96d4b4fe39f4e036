"""The embedded Postgres, by behaviour: real servers, real processes, real signals."""

import asyncio
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import psutil
import pytest

from db.embedded import process as embedded_process
from db.embedded.server import (
    ADMIN_ROLE,
    GATEWAY_ROLE,
    OWNER_ROLE,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    create_database,
    running,
    start,
)

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as several users")

# A gateway process: starts, says so, and waits for the word (or the end of its input) before it leaves.
WORKER = """
import json, os, pwd, sys
from pathlib import Path
from db.embedded.server import EmbeddedPostgresError, start
if sys.argv[2]:  # only now, since the user may have no way to this Python
    entry = pwd.getpwnam(sys.argv[2])
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
try:
    server = start(Path(sys.argv[1]))
except EmbeddedPostgresError as error:
    print(json.dumps({"error": str(error)}), flush=True)
else:
    print(json.dumps({"socket": str(server.socket_folder)}), flush=True)
    if sys.stdin.readline() == "stop\\n":
        server.stop()
"""


class Worker:
    """A gateway in a process of its own."""

    def __init__(self, folder: Path, user: str = "", prefix: tuple[str, ...] = ()) -> None:
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", WORKER, str(folder), user],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def started(self) -> dict[str, str]:
        """Waits for the start; returns what the worker says of it."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def say(self, word: str) -> None:
        """Tells it to stop, or anything else: to end without."""
        self.process.communicate(f"{word}\n", timeout=30)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(autouse=True)
def no_clutter(tmp_path: Path) -> Iterator[None]:
    """Throws the clusters away, of which pytest would keep three runs."""
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def worker() -> Iterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def make(*arguments) -> Worker:
        made.append(Worker(*arguments))
        return made[-1]

    yield make
    for one in made:
        with one.process:
            one.process.kill()


@pytest.fixture
def watch() -> Iterator[Callable[[Path], int]]:
    """Records the server on a folder with its children and returns its pid; after the test all of them must be gone."""
    seen: list[psutil.Process] = []

    def record(folder: Path) -> int:
        main = psutil.Process(pid_of(folder))
        seen.extend([main, *main.children(recursive=True)])
        return main.pid

    yield record
    assert seen
    left = [process for process in seen if alive(process)]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    assert left == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can pass, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="e2it-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def pid_of(folder: Path) -> int:
    return int((folder / "pgdata" / "postmaster.pid").read_text().splitlines()[0])


def sleeping_in(folder: Path) -> "subprocess.Popen[bytes]":
    """The worst stranger to inherit a pid: a process of the same user that works in the same folder."""
    user = folder.stat().st_uid if os.geteuid() == 0 else None
    return subprocess.Popen(["sleep", "60"], cwd=folder, user=user)


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def dead_within(process: psutil.Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while alive(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


async def connect(server: EmbeddedPostgres, database: str = "postgres", role: str = ADMIN_ROLE) -> asyncpg.Connection:
    return await asyncpg.connect(server.url(database, role).replace("+asyncpg", ""))


async def ask(server: EmbeddedPostgres, sql: str, database: str = "postgres", role: str = ADMIN_ROLE) -> object:
    connection = await connect(server, database, role)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def remember(server: EmbeddedPostgres) -> None:
    await ask(server, "CREATE TABLE memory AS SELECT 42 AS n")


async def remembers(server: EmbeddedPostgres) -> bool:
    return await ask(server, "SELECT n FROM memory") == 42


@pytest.mark.parametrize("version", [16, 18])
async def test_data_survive_a_restart_and_keep_their_version(tmp_path, watch, version):
    with start(tmp_path / "d", version=version) as server:
        watch(tmp_path / "d")
        await remember(server)
        assert running(tmp_path / "d")
    assert not running(tmp_path / "d")
    assert not server.socket_folder.exists()
    server.stop()  # a second time is no error

    other = 34 - version
    with start(tmp_path / "d", version=other) as server:
        watch(tmp_path / "d")
        assert await remembers(server)
        assert server.version == version
        settings = "SELECT string_agg(current_setting(s), ' ') FROM unnest($${%s}$$::text[]) s"
        names = "listen_addresses,jit,fsync,max_connections,shared_buffers,TimeZone"
        assert await ask(server, settings % names) == " off on 100 128MB UTC"
        assert await ask(server, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == "C.UTF-8"


async def test_roles_and_database_are_made_once_by_many(tmp_path, watch):
    name = 'e2i "x" ü?&/\''
    with start(tmp_path / "d") as server:
        watch(tmp_path / "d")
        await asyncio.gather(*(create_database(server, name) for _ in range(3)))
        await create_database(server, name)
        owner = await ask(server, "SELECT pg_get_userbyid(datdba) FROM pg_database ORDER BY oid DESC LIMIT 1")
        assert owner == OWNER_ROLE
        for role in (OWNER_ROLE, GATEWAY_ROLE):
            powers = "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication FROM pg_roles WHERE rolname = "
            assert await ask(server, f"{powers} current_user", name, role) is False
        assert await ask(server, "SELECT current_database()", name, GATEWAY_ROLE) == name
        assert await ask(server, "SELECT '[1,2]'::vector <-> '[1,4]'", name, GATEWAY_ROLE) == 2
        await ask(server, "CREATE TABLE t ()", name, OWNER_ROLE)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ask(server, "CREATE TABLE u ()", name, GATEWAY_ROLE)


async def test_urls_do_not_depend_on_the_environment(tmp_path, watch, monkeypatch):
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    with start(tmp_path / "d") as server:
        watch(tmp_path / "d")
        assert server.url("a b", "c@d").startswith("postgresql+asyncpg://c%40d@/a%20b?host=/")
        assert await ask(server, "SELECT 1") == 1


async def test_processes_share_a_server_and_the_last_one_stops_it(tmp_path, watch, worker):
    others = [worker(tmp_path / "d") for _ in range(2)]  # at once, on a folder that is not there yet
    with start(tmp_path / "d") as server:
        assert [other.started() for other in others] == [{"socket": str(server.socket_folder)}] * 2
        pid = watch(tmp_path / "d")
        others[0].say("stop")
        assert await ask(server, "SELECT 1") == 1
    assert running(tmp_path / "d")
    assert pid_of(tmp_path / "d") == pid
    others[1].say("stop")
    assert not running(tmp_path / "d")


async def test_uses_within_one_process_count_too(tmp_path, watch):
    first = start(tmp_path / "d")
    watch(tmp_path / "d")
    second = start(tmp_path / "d")
    first.stop()
    assert await ask(second, "SELECT 1") == 1
    second.stop()


async def test_a_process_that_forgets_to_stop_does_so_at_its_end(tmp_path, watch, worker):
    one = worker(tmp_path / "d")
    one.started()
    watch(tmp_path / "d")
    one.say("end")
    assert not running(tmp_path / "d")


async def test_a_killed_user_leaves_a_server_that_the_next_one_adopts(tmp_path, watch, worker):
    one = worker(tmp_path / "d")
    one.started()
    pid = watch(tmp_path / "d")
    one.kill()
    assert running(tmp_path / "d")
    with start(tmp_path / "d") as server:
        assert pid_of(tmp_path / "d") == pid
        assert await ask(server, "SELECT 1") == 1
    assert not running(tmp_path / "d")


async def test_the_server_is_out_of_reach_of_ctrl_c(tmp_path, watch, worker):
    one = worker(tmp_path / "d")
    one.started()
    pid = watch(tmp_path / "d")
    assert os.getsid(pid) == pid != os.getsid(one.process.pid)
    one.say("stop")


async def test_a_killed_server_recovers_even_if_a_child_works_on(tmp_path, watch):
    server = start(tmp_path / "d")
    await remember(server)
    busy = await connect(server)
    child = psutil.Process(busy.get_server_pid())
    query = asyncio.create_task(busy.execute("DO $$ BEGIN LOOP END LOOP; END $$"))
    running = f"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {child.pid} AND query LIKE 'DO %')"
    async with asyncio.timeout(20):
        while not await ask(server, running):
            pass
    pid = watch(tmp_path / "d")
    os.kill(pid, signal.SIGKILL)
    assert dead_within(psutil.Process(pid), 5) if psutil.pid_exists(pid) else True
    assert alive(child)

    with start(tmp_path / "d") as again:
        assert not alive(child)
        assert watch(tmp_path / "d") != pid
        assert await remembers(again)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await query
        busy.terminate()
        assert again.socket_folder == server.socket_folder  # so that the pools of other gateways find it again
        server.stop()
        assert await remembers(again)


@pytest.mark.parametrize("who", ["nobody any more", "a stranger"])
async def test_a_pid_file_that_lies_is_survived_and_strangers_are_not_touched(tmp_path, watch, who):
    folder = tmp_path / "d"
    with start(folder) as server:
        watch(folder)
        await remember(server)
        recorded = (folder / "pgdata" / "postmaster.pid").read_text().splitlines()
    owner = (folder / "pgdata").stat()
    sleep = sleeping_in(folder / "pgdata")
    try:
        if who == "nobody any more":
            sleep.kill()
            sleep.wait()
        recorded[0], recorded[2] = str(sleep.pid), str(int(time.time()))
        for lying in (folder / "pgdata" / "postmaster.pid", server.socket_folder / ".s.PGSQL.5432.lock"):
            lying.parent.mkdir(mode=0o700, exist_ok=True)
            lying.write_text("\n".join([*recorded, ""]))
            os.chown(lying.parent, owner.st_uid, owner.st_gid)
        assert not running(folder)
        with start(folder) as again:
            assert watch(folder) != sleep.pid
            assert await remembers(again)
        assert sleep.poll() == (None if who == "a stranger" else -signal.SIGKILL)
    finally:
        sleep.kill()
        sleep.wait()


async def test_a_server_whose_start_time_does_not_fit_is_left_alone(tmp_path, watch):
    with start(tmp_path / "d") as server:
        watch(tmp_path / "d")
        file = tmp_path / "d" / "pgdata" / "postmaster.pid"
        lines = file.read_text().split("\n")
        lines[2] = str(int(lines[2]) - 3600)  # as if somebody had set the clock
        file.write_text("\n".join(lines))
        with pytest.raises(EmbeddedPostgresError, match="was the clock changed"):
            start(tmp_path / "d")
        assert await ask(server, "SELECT 1") == 1


async def test_a_postgres_of_another_folder_is_a_stranger(tmp_path, watch):
    with start(tmp_path / "a"), start(tmp_path / "b") as other:
        watch(tmp_path / "a")
        watch(tmp_path / "b")
        recorded = (tmp_path / "a" / "pgdata" / "postmaster.pid").read_text()
        other.stop()
        (tmp_path / "b" / "pgdata" / "postmaster.pid").write_text(recorded)
        assert not running(tmp_path / "b")
        start(tmp_path / "b").stop()
        assert running(tmp_path / "a")


@pytest.mark.parametrize("name", ["with space", 'o\'clock "x" $HOME `id`', "ünïcödé-数据", "x" * 200 + "/" + "y" * 200])
async def test_any_path_will_do(tmp_path, watch, name):
    with start(tmp_path / name) as server:
        watch(tmp_path / name)
        assert await ask(server, "SELECT 1") == 1
    with start(tmp_path / name):
        watch(tmp_path / name)


async def test_a_half_done_cluster_is_made_anew(tmp_path, watch, worker):
    one = worker(tmp_path / "d")
    deadline = time.monotonic() + 20
    while not list(tmp_path.glob("d/pgdata.new-*/PG_VERSION")):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)
    one.kill()
    assert not (tmp_path / "d" / "pgdata").exists()
    with start(tmp_path / "d") as server:
        watch(tmp_path / "d")
        assert await ask(server, "SELECT 1") == 1
    assert list(tmp_path.glob("d/pgdata.new-*")) == []


async def test_deleted_data_do_not_keep_a_server_alive(tmp_path, watch):
    server = start(tmp_path / "d")
    watch(tmp_path / "d")
    shutil.rmtree(tmp_path / "d")
    server.stop()


def test_what_is_not_ours_is_refused_and_not_touched(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("dear")
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "PG_VERSION").write_text("16\n")
    before = sorted(tmp_path.rglob("*"))
    for name, what in (
        ("file", "is a file"),
        ("full", "has other files"),
        ("cluster", "a Postgres cluster of its own"),
    ):
        with pytest.raises(EmbeddedPostgresError, match=what):
            start(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(EmbeddedPostgresError, match="no embedded Postgres 15"):
        start(tmp_path / "new", version=15)


async def test_a_start_that_fails_says_why_and_leaves_nothing(tmp_path, watch):
    folder = tmp_path / "d"
    start(folder).stop()
    settings = folder / "pgdata" / "postgresql.conf"
    good = settings.read_text()
    settings.write_text(f"{good}\nwork_mem = 'a lot'\n")
    with pytest.raises(EmbeddedPostgresError, match=r'(?s)ended with 1; .*postgres\.log ends with:.*"work_mem"'):
        start(folder)
    assert not running(folder)
    settings.write_text(good)
    with start(folder):
        watch(folder)
    (folder / "pgdata" / "PG_VERSION").unlink()
    with pytest.raises(EmbeddedPostgresError, match="damaged"):
        start(folder)


async def test_a_long_log_is_put_aside(tmp_path, watch, monkeypatch):
    monkeypatch.setattr("db.embedded.server.LOG_LIMIT", 10)
    for _ in range(2):
        with start(tmp_path / "d"):
            watch(tmp_path / "d")
    assert "ready to accept connections" in (tmp_path / "d" / "postgres.log").read_text()
    assert "shut down" in (tmp_path / "d" / "postgres.log.1").read_text()


async def test_the_socket_is_private(tmp_path, watch):
    with start(tmp_path / "d") as server:
        watch(tmp_path / "d")
        folder = server.socket_folder.stat()
        assert stat.S_IMODE(folder.st_mode) == 0o700
        assert folder.st_uid == (tmp_path / "d" / "pgdata").stat().st_uid
        assert stat.S_IMODE((tmp_path / "d" / "pgdata").stat().st_mode) == 0o700


@NEEDS_ROOT
async def test_root_survives_that_somebody_takes_the_name_of_its_socket_folder(tmp_path, watch):
    with start(tmp_path / "d") as server:
        taken = server.socket_folder
    taken.mkdir()
    stranger = 1 + (tmp_path / "d" / "pgdata").stat().st_uid
    os.chown(taken, stranger, stranger)
    try:
        with start(tmp_path / "d") as server:
            watch(tmp_path / "d")
            assert server.socket_folder != taken
        assert taken.stat().st_uid == stranger
    finally:
        taken.rmdir()


@NEEDS_ROOT
async def test_root_keeps_programs_and_data_where_only_root_can_go(tmp_path, open_folder, watch, monkeypatch):
    private = tmp_path / "root"
    private.mkdir(mode=0o700)
    installed = embedded_process.programs(16, embedded_process.Account(0, 0)).parent.parent
    shutil.copytree(
        installed, private / "site" / installed.name, symlinks=True, ignore=shutil.ignore_patterns("include", "*18")
    )
    libraries = installed.with_name(f"{installed.name}.libs")
    shutil.copytree(libraries, private / "site" / libraries.name, symlinks=True)
    monkeypatch.syspath_prepend(str(private / "site"))
    monkeypatch.setattr(embedded_process, "PROGRAM_HOMES", [private, open_folder])
    (open_folder / "e2i-gateway" / "new-left").mkdir(parents=True)  # by a start that was killed
    for _ in range(2):
        with start(private / "d") as server:
            pid = watch(private / "d")
            assert psutil.Process(pid).exe().startswith(str(open_folder))
            assert psutil.Process(pid).uids().effective == (private / "d" / "pgdata").stat().st_uid != 0
            await create_database(server, "e2i")
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert private.stat().st_uid == 0
    assert len(list((open_folder / "e2i-gateway").iterdir())) == 1


@NEEDS_ROOT
async def test_an_ordinary_user_and_root_after_him(open_folder, watch, worker):
    folder = open_folder / "d"
    folder.mkdir()
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    for user in ("nobody", "", "nobody"):  # what root leaves behind must not lock the owner out
        one = worker(folder, user)
        assert "socket" in one.started()
        assert psutil.Process(watch(folder)).uids().effective == nobody.pw_uid
        one.say("stop")
        assert not running(folder)
    assert {path.stat().st_uid for path in folder.rglob("*")} == {nobody.pw_uid}


@NEEDS_ROOT
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is what takes rights away")
async def test_root_without_the_right_to_look_into_processes(tmp_path, watch, worker):
    less = ("setpriv", "--bounding-set=-sys_ptrace", "--")  # as in a container
    first = worker(tmp_path / "d", "", less)
    second = worker(tmp_path / "d", "", less)
    assert first.started() == second.started()
    watch(tmp_path / "d")
    first.say("stop")
    assert running(tmp_path / "d")
    second.say("stop")
    assert not running(tmp_path / "d")


@NEEDS_ROOT
async def test_an_ordinary_user_is_told_whose_data_they_are(open_folder, worker):
    (open_folder / "locked").mkdir()
    for folder in (open_folder / "locked", open_folder / "new"):
        answer = worker(folder, "nobody").started()
        assert "Permission denied" in answer["error"]
        assert "give it a data folder of its own" in answer["error"]
