"""The drill of the cluster is left out with a word where it cannot run, and leaves nothing where it does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.cluster import namespaces
from tests.cluster.namespaces import is_inside, lacks, namespaced
from tests.support.process import ROOT, alive, until

pytestmark = pytest.mark.skipif(is_inside(), reason="the drill runs it outside")


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "PATHS", "/nowhere")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert {"the package etcd-server", "the package patroni", "the package haproxy"} <= set(lacks())
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert lacks() == ["root on Linux"]


RUNS_A_HOST = """
import subprocess, time
from tests.cluster.namespaces import Host, make_network

host = Host("db1", 1)
make_network([host])
running = subprocess.Popen([*host.entered, "sleep", "1000"])
print("begun", flush=True)
time.sleep(1000)
"""


def test_nothing_is_left_when_it_is_killed() -> None:
    """A host of the cluster runs a program, which ends with the namespaces."""
    if subprocess.run(namespaced("true"), capture_output=True, check=False).returncode:
        pytest.skip("no namespaces can be made here")
    with subprocess.Popen(namespaced(sys.executable, "-c", RUNS_A_HOST), cwd=ROOT, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"begun\n"
        family = psutil.Process(first.pid).children(recursive=True)
        first.kill()
    assert len(family) == 3, "the first process, the drill and its host's program"
    until(lambda: not any(alive(one) for one in family), "the end of all")
    assert not Path("/run/netns/db1").exists()
