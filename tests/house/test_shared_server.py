"""The processes of a run share one Postgres, which ends with them, even if they are killed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.process import ROOT, alive, until

KILLED = """
import os, signal
from tests.support.servers import postgres, server_folder
with server_folder() as folder, postgres(folder) as server:
    print((server.cluster / "postmaster.pid").read_text().split()[0], flush=True)
    input()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_killed_run_leaves_no_server() -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert run.stdout is not None
    pid = run.stdout.readline()
    server = psutil.Process(int(pid))
    assert alive(server)
    run.communicate("now\n")
    until(lambda: not alive(server), "the end of the server")


FOR_ALL = re.compile(r"ALTER SYSTEM|pg_reload_conf|ALTER ROLE (?!\S+ IN DATABASE)\S+ (RE)?SET\b")
"""Statements that change the server for all processes."""

SERVERS_OF_THEIR_OWN = {"bench", "cluster", "drills"}


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("ALTER SYSTEM SET fsync = off", True),
        ("ALTER ROLE e2i_gateway SET enable_sort = off", True),
        ("ALTER ROLE e2i_gateway RESET ALL", True),
        ("ALTER ROLE e2i_gateway IN DATABASE one SET enable_sort = off", False),
        ("ALTER ROLE e2i_gateway NOINHERIT", False),
    ],
)
def test_what_changes_the_server_is_found(statement: str, found: bool) -> None:  # noqa: FBT001 - a parameter
    assert bool(FOR_ALL.search(statement)) is found


def test_no_test_changes_the_server_for_others() -> None:
    files = [path for path in (ROOT / "tests").glob("*/*.py") if path.parent.name not in SERVERS_OF_THEIR_OWN]
    assert len(files) > 200
    found = [str(path.relative_to(ROOT)) for path in files if FOR_ALL.search(path.read_text())]
    assert found == [str(Path(__file__).relative_to(ROOT))]
