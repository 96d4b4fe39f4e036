"""The command `e2i-gateway` in real processes: serving, ending, sharing a data folder, and failing in words."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from sqlalchemy.engine import make_url

from db.embedded.server import OWNER_ROLE
from tests.support.databases import Clone, Database
from tests.support.process import COMMAND, ROOT, TIMEOUT, Gateway, alive, environment, run, until

pytestmark = pytest.mark.slow

FIVE_LEVELS = """{ experiments(first: 2) { totalCount nodes { experimentName
  models(first: 2) { nodes { modelName
    deployments(first: 2) { nodes { environment
      services(first: 1) { nodes { serviceName
        metrics(first: 2) { nodes { recordedAt p99LatencyMs } } } } } } } } } } }"""
QUERY = "{ experiments(first: 1) { nodes { id } } }"
NAME = "my dätä ☃"
"""Of a data folder: whatever a file system takes."""
PASSWORD = "open-sesame-4711"

Launch = Callable[..., Gateway]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for data, thrown away after the test: pytest would keep those of three runs."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Starts gateways. After the test none of them is left, nor anything that they started."""
    gateways: list[Gateway] = []

    def start(data: Path, *arguments: str, **variables: Any) -> Gateway:
        gateways.append(Gateway(data, *arguments, **variables))
        return gateways[-1]

    yield start
    for gateway in gateways:
        gateway.close()
    left = {process for gateway in gateways for process in gateway.left()}
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    assert not left


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A data folder with demo data that nobody uses, and how many experiments are in it. To be copied."""
    folder = tmp_path_factory.mktemp("built")
    gateway = Gateway(folder / NAME, "serve", "--demo", "small")
    try:
        total = gateway.ready().ask(FIVE_LEVELS)["experiments"]["totalCount"]
        assert gateway.end() == 0
        yield folder / NAME, total
    finally:
        gateway.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def data(built: tuple[Path, int], folder: Path) -> Path:
    """A data folder with demo data, of the test's own."""
    subprocess.run(["cp", "-a", built[0], folder / NAME], check=True)  # the files keep their owner
    return folder / NAME


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def one_line(text: str) -> str:
    """The only line of a message for people."""
    (line,) = text.splitlines()
    assert line.startswith("e2i-gateway: ")
    return line


def one_entry(text: str) -> str:
    """The message of the last line that a gateway has logged which cannot serve; nothing went wrong before."""
    *before, entry = [json.loads(line) for line in text.splitlines()]
    assert {one["level"] for one in before} <= {"info"}
    assert (entry["level"], entry["logger"]) == ("critical", "gateway")
    return str(entry["message"])


# -- serving and ending ------------------------------------------------------------------------------------------------


def test_a_demo_is_served(data: Path, built: tuple[Path, int], launch: Launch) -> None:
    gateway = launch(data, "serve", "--demo", "small").ready()
    experiments = gateway.ask(FIVE_LEVELS)["experiments"]
    assert experiments["totalCount"] == built[1] > 0, "loaded once"
    models = [model for node in experiments["nodes"] for model in node["models"]["nodes"]]
    deployments = [deployment for model in models for deployment in model["deployments"]["nodes"]]
    services = [service for deployment in deployments for service in deployment["services"]["nodes"]]
    assert [metric for service in services for metric in service["metrics"]["nodes"]]
    sockets = gateway.postgres.socket_folder
    assert sockets.exists()
    assert gateway.end() == 0
    assert gateway.left() == []
    assert not sockets.exists()


def test_other_endings(data: Path, launch: Launch) -> None:
    terminal, last = launch(data), launch(data)
    sockets = last.ready().postgres.socket_folder
    assert terminal.ready().end(signal.SIGHUP) == 0
    assert last.end(signal.SIGINT) == 0
    assert last.left() == []
    assert not sockets.exists()


def has_child(gateway: Gateway, name: str) -> bool:
    with suppress(psutil.NoSuchProcess):
        return any(process.name() == name for process in psutil.Process(gateway.process.pid).children())
    return False


STAGES: dict[str, Callable[[Gateway], bool]] = {
    "the cluster is made": lambda gateway: has_child(gateway, "initdb"),
    "the database is built": lambda gateway: (gateway.cluster / "postmaster.pid").exists(),
    "the demo is loaded": lambda gateway: "loading the small demo data" in gateway.output,
}


def test_ending_at_any_stage_of_the_start(folder: Path, built: tuple[Path, int], launch: Launch) -> None:
    for stage, reached in STAGES.items():
        gateway = launch(folder / "d", "serve", "--demo", "small")
        until(lambda gateway=gateway, reached=reached: reached(gateway), stage)
        gateway.look()
        assert gateway.end() == 0, stage
        until(lambda gateway=gateway: not gateway.left(), f"the end of all processes while {stage}")
        assert "Traceback" not in gateway.output

    gateway = launch(folder / "d", "serve", "--demo", "small").ready()
    assert gateway.ask(FIVE_LEVELS)["experiments"]["totalCount"] == built[1]
    assert gateway.end() == 0


def test_ending_a_command_that_serves_nothing(folder: Path, launch: Launch) -> None:
    command = launch(folder / "d", "db", "init")
    until((command.cluster / "postmaster.pid").exists, "the start of the server")
    command.look()
    assert command.end() == 128 + signal.SIGTERM
    assert command.left() == []


async def test_a_request_is_answered_before_the_end(data: Path, launch: Launch) -> None:
    gateway = launch(data)
    await asyncio.to_thread(gateway.ready)
    owner = await asyncpg.connect(host=str(gateway.postgres.socket_folder), port=5432, user=OWNER_ROLE, database="e2i")
    try:
        lock = owner.transaction()
        await lock.start()
        await owner.execute("LOCK TABLE ml_experiments IN ACCESS EXCLUSIVE MODE")
        asked = asyncio.create_task(asyncio.to_thread(gateway.http.post, "/graphql", json={"query": QUERY}))
        waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
        while not await owner.fetchval(waits):  # noqa: ASYNC110 - Postgres has no event for it
            await asyncio.sleep(0.02)
        gateway.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(until, lambda: "Shutting down" in gateway.output)
        assert not asked.done()
        await lock.rollback()
        response = await asked
    finally:
        await owner.close()
    assert response.status_code == 200
    assert response.json()["data"]["experiments"]["nodes"]
    assert await asyncio.to_thread(gateway.process.wait, TIMEOUT) == 0
    assert gateway.left() == []


# -- several gateways on one data folder -------------------------------------------------------------------------------


def test_gateways_share_a_server_until_the_last_one_ends(data: Path, launch: Launch) -> None:
    first, second = launch(data), launch(data)  # at once
    server = first.ready().postgres.process
    assert second.ready().postgres.process == server
    assert first.end() == 0
    assert second.ask(QUERY)
    killed = launch(data).ready()
    assert killed.end(signal.SIGKILL) == -signal.SIGKILL
    assert second.ask(QUERY)
    assert alive(server)
    assert second.end() == 0
    assert second.left() == []


def test_a_server_whose_gateways_were_killed_is_adopted(data: Path, launch: Launch) -> None:
    killed = launch(data), launch(data)
    for gateway in killed:
        gateway.ready()
    server = gateway.postgres.process
    for gateway in killed:
        gateway.end(signal.SIGKILL)
    assert alive(server)
    heir = launch(data).ready()
    assert heir.postgres.process == server
    assert heir.ask(QUERY)
    assert heir.end() == 0
    assert heir.left() == []


def test_a_killed_server_is_503_until_another_gateway_starts_one(data: Path, launch: Launch) -> None:
    gateway = launch(data).ready()
    server = gateway.postgres.process
    family = [server, *server.children(recursive=True)]
    server.kill()
    until(lambda: not any(map(alive, family)), "the end of the server")

    for _ in range(2):
        response = gateway.http.post("/graphql", json={"query": QUERY})
        assert response.status_code == 503
        assert [error["extensions"]["code"] for error in response.json()["errors"]] == ["DATABASE_UNAVAILABLE"]
    assert gateway.http.get("/readyz").status_code == 503
    assert gateway.http.get("/healthz").status_code == 200

    other = launch(data).ready()
    assert other.postgres.process != server
    assert gateway.ask(QUERY) == other.ask(QUERY)
    assert other.end() == 0
    assert gateway.ask(QUERY)
    assert gateway.end() == 0
    assert gateway.left() == []


# -- what a person did wrong -------------------------------------------------------------------------------------------


def test_a_port_that_is_taken(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("serve", "--demo", "small", PORT=port, GATEWAY_DATA=str(folder / "d"))
    assert done.returncode == 1
    assert f"port {port}" in one_entry(done.stderr)
    assert not (folder / "d").exists(), "no database was made for nothing"


def test_an_address_of_another_machine(folder: Path) -> None:
    done = run("serve", HOST="192.0.2.1", PORT="0", GATEWAY_AUTH="token", GATEWAY_DATA=str(folder / "d"))
    assert done.returncode == 1
    assert "HOST" in one_entry(done.stderr)


def test_a_variable_that_is_no_setting_is_told(folder: Path) -> None:
    nowhere = {"HOST": "192.0.2.1", "PORT": "0", "GATEWAY_AUTH": "token", "GATEWAY_DATA": str(folder / "d")}
    done = run("serve", **nowhere, GATEWAY_PORT="1")
    told = [json.loads(line) for line in done.stderr.splitlines()]
    (warned,) = [one["message"] for one in told if one["level"] == "warning"]
    assert warned == "GATEWAY_PORT is no setting and has no effect; did you mean PORT?"
    assert told[-1]["level"] == "critical", "it goes on to serve"


def test_every_bad_setting_is_named(folder: Path) -> None:
    done = run(
        "serve",
        PORT="abc",
        GATEWAY_POOL_SIZE="0",
        DATABASE_URL=f"mysql://me:{PASSWORD}@x",
        GATEWAY_DATA=str(folder / "d"),
    )
    assert done.returncode == 2
    for name in ("PORT", "GATEWAY_POOL_SIZE", "DATABASE_URL"):
        assert f"\n{name}: " in one_entry(done.stderr)
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr
    assert not (folder / "d").exists()


def test_a_data_folder_of_somebody_else(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "diary.txt").touch()
    done = run("serve", PORT="0", GATEWAY_DATA=str(folder))
    assert done.returncode == 1
    assert "other files" in one_entry(done.stderr)
    assert "DATABASE_URL is not set: serving the gateway's own demo database" in done.stderr


# -- the database of somebody else -------------------------------------------------------------------------------------


def test_serving_before_the_database_is_there(folder: Path, launch: Launch) -> None:
    url = f"postgresql://somebody:{PASSWORD}@127.0.0.1:{closed_port()}/e2i"
    gateway = launch(folder / "d", DATABASE_URL=url, GATEWAY_LOG="debug").listening()
    assert gateway.http.get("/readyz").status_code == 503
    assert gateway.http.get("/healthz").status_code == 200
    assert gateway.http.post("/graphql", json={"query": QUERY}).status_code == 503
    assert [entry for entry in gateway.log if "cannot be reached" in entry["message"] and entry["level"] == "warning"]
    assert gateway.end() == 0
    assert PASSWORD not in gateway.output
    assert not (folder / "d").exists()


@pytest.mark.parametrize("command", ["check", "init"])
def test_commands_say_that_the_database_is_away(command: str) -> None:
    done = run("db", command, DATABASE_URL=f"postgresql://somebody:{PASSWORD}@127.0.0.1:{closed_port()}/e2i")
    assert done.returncode == 1
    assert "cannot be reached" in one_line(done.stderr)
    assert PASSWORD not in done.stderr + done.stdout


def test_no_password_in_any_log(demo_database: Database, folder: Path, launch: Launch) -> None:
    url = make_url(demo_database.gateway_url)
    url = url if url.password else url.set(password=PASSWORD)  # the tests' own server asks for none
    text = url.render_as_string(hide_password=False)
    gateway = launch(folder / "d", DATABASE_URL=text, GATEWAY_LOG="debug").ready()
    assert gateway.ask(FIVE_LEVELS)["experiments"]["nodes"]
    assert gateway.end() == 0
    assert gateway.log
    assert str(url.password) not in gateway.output


async def test_the_platforms_database_is_attached_and_checked(platform_template: Database, clone: Clone) -> None:
    async with clone(platform_template) as copy:
        done = await asyncio.to_thread(run, "db", "attach", DATABASE_URL=copy.owner_url)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Made the schema gateway" in done.stdout
        done = await asyncio.to_thread(run, "db", "attach", "--all", DATABASE_URL=copy.owner_url)
        assert "v_agent_latency_summary" in done.stdout
        done = await asyncio.to_thread(run, "db", "detach", DATABASE_URL=copy.owner_url)
        assert "Nothing was changed" in done.stdout
        done = await asyncio.to_thread(run, "db", "check", DATABASE_URL=copy.owner_url)
        assert (done.returncode, done.stderr) == (1, "")
        assert "v_agent_latency_summary" in done.stdout
        done = await asyncio.to_thread(run, "db", "init", DATABASE_URL=copy.owner_url)
        assert done.returncode == 1
        assert "db attach" in one_line(done.stderr)


# -- the other commands ------------------------------------------------------------------------------------------------


def test_a_database_from_nothing(folder: Path) -> None:
    steps = [
        (("db", "init"), 0, "up to date"),
        (("db", "migrate"), 0, "up to date"),
        (("db", "demo", "--size", "small"), 0, "loaded"),
        (("db", "demo", "--size", "small"), 1, "rows already"),
    ]
    for arguments, status, words in steps:
        done = run(*arguments, GATEWAY_DATA=str(folder / "d"), GATEWAY_LOG="warning")
        assert (done.returncode, done.stderr) == (status, ""), arguments
        (line,) = done.stdout.splitlines()
        assert words in line
        assert not (folder / "d" / "postgres" / "pgdata" / "postmaster.pid").exists()
    done = run("db", "check", GATEWAY_DATA=str(folder / "d"), GATEWAY_LOG="warning")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Only to know"), "few rows of one parent are sorted for some lists, and nothing else"


def test_the_schema_is_printed_as_it_is_committed() -> None:
    done = run("schema", "print")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (ROOT / "schema" / "schema.graphql").read_text()
    possible = run("schema", "possible-types")
    assert (possible.returncode, possible.stderr) == (0, "")
    assert possible.stdout == (ROOT / "schema" / "possible-types.json").read_text()


def test_a_reader_may_stop_reading() -> None:
    with subprocess.Popen(
        [*COMMAND, "schema", "print"],
        env=environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.close()
        assert command.stderr.read() == b""
        assert command.wait(TIMEOUT) == 128 + signal.SIGPIPE


def test_requests_are_found_in_the_log(data: Path, launch: Launch) -> None:
    gateway = launch(data).ready()
    ids = [
        gateway.http.post("/graphql", json={"query": query}).headers["x-request-id"]
        for query in (QUERY, "{ nothing }", QUERY)
    ]
    assert gateway.end() == 0
    entries = {entry["request_id"]: entry for entry in gateway.log if entry["logger"] == "gateway.request"}
    assert list(entries) == ids
    assert [entry["message"] for entry in entries.values()] == ["POST 200", "POST 400", "POST 200"]
    assert all({"time", "level", "message"} <= entry.keys() for entry in gateway.log)


ODD = """
import asyncio, gc, logging, threading, warnings
from gateway.observability.logging import configure

configure("info")
warnings.warn("mind the gap", DeprecationWarning)
log = logging.getLogger("somebody.elses")
log.warning("half \\ud800 a pair", extra={"key": "\\udfff", "number": 10**40, "map": {(1, 2): 3, 4: 5}})
log.warning("two %s of one", 1, 2)
log.error("an object %s", type("Odd", (), {"__str__": lambda self: 1 / 0})())
logging.getLogger("uvicorn.error").error("of uvicorn")
thread = threading.Thread(target=lambda: 1 / 0, name="lost")
thread.start()
thread.join()

class Fails:
    def __del__(self):
        raise ValueError("nobody hears this")

Fails()
gc.collect()

async def main():
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    asyncio.get_running_loop().create_task(main_fails())
    await asyncio.sleep(0.01)
    gc.collect()

async def main_fails():
    raise KeyError("never retrieved")

asyncio.run(main())
open("/dev/null")
gc.collect()
raise RuntimeError("at the end")
"""


def test_every_line_on_stderr_is_json() -> None:
    """Warnings, threads, destructors, event loops, other loggers, what cannot be formatted, and what nobody catches."""
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", ODD],
        env=environment(PYTHONPATH=str(ROOT)), capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    entries = [json.loads(line) for line in done.stderr.splitlines()]
    said = [entry["message"] + entry.get("traceback", "") for entry in entries]
    for words in (
        "mind the gap", "half \ud800 a pair", "two %s of one", "an object", "of uvicorn", "the thread lost has failed",
        "nobody hears this", "never retrieved", "ZeroDivisionError", "unclosed file", "at the end",
    ):  # fmt: skip
        assert any(words in one for one in said), words
    assert {"time", "level", "logger", "message"} <= set.intersection(*(set(entry) for entry in entries))


# Python is loaded by root and used by another user, who may have no way to it. What is imported late is imported first.
AS_ANOTHER_USER = """
import os, pwd, sys
import alembic.command, alembic.ddl.postgresql, asyncpg, encodings.idna, uvicorn.lifespan.on, uvloop
import db.demo, gateway.cli.command_line
import uvicorn.protocols.http.httptools_impl
from gateway.cli import main
entry = pwd.getpwnam(sys.argv.pop(1))
os.setgroups([])
os.setgid(entry.pw_gid)
os.setuid(entry.pw_uid)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_an_ordinary_user_without_a_home(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    user = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="e2it-") as open_folder:  # others cannot pass pytest's own
        os.chown(open_folder, user.pw_uid, user.pw_gid)
        command = [sys.executable, "-c", AS_ANOTHER_USER, user.pw_name]
        gateway = launch(Path(open_folder, "d"), "serve", "--demo", "small", command=command).ready()
        assert gateway.postgres.process.uids().effective == user.pw_uid
        assert gateway.ask(FIVE_LEVELS)["experiments"]["nodes"]
        assert gateway.end() == 0
        assert gateway.left() == []


COMMANDS = ["db role", "db check"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("where", [">&-", "> /dev/full"])
def test_nowhere_to_write_to(command: str, where: str, database: Database) -> None:
    """A closed standard output, and a disk that is full."""
    line = f"exec {' '.join(map(str, COMMAND))} {command} {where}"
    done = subprocess.run(
        ["/bin/sh", "-c", line], capture_output=True, text=True, check=False, timeout=TIMEOUT,
        env=environment(DATABASE_URL=database.owner_url), cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert ("standard output is closed" if where == ">&-" else "No space left on device") in done.stderr


@pytest.mark.parametrize("command", ["db attach", "token list", "doctor"])
@pytest.mark.parametrize("url", ["postgresql://u@127.0.0.1:1/d", "postgresql://u@nobody.invalid/d"])
def test_a_database_that_is_not_there(command: str, url: str) -> None:
    done = run(*command.split(), DATABASE_URL=url)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "cannot be reached" in done.stderr + done.stdout
