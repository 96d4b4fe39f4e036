"""The server of the tests ends with the processes that use it, even if they are killed."""

from __future__ import annotations

import subprocess
import sys

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
