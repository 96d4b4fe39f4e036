"""On a terminal the gateway speaks to people; anywhere else its log is JSON."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys

import httpx
import pytest

from tests.support.databases import Database
from tests.support.process import COMMAND, ROOT, TIMEOUT, environment

SAY = """
import logging
from gateway.observability.logging import configure, request_line

configure("info", {form!r})
log = logging.getLogger("gateway")
log.info("it begins")
log.warning("mind the gap")
request_line(log, "POST", 200, "1", {{"operation": "Models", "milliseconds": 4.2, "errors": ["A", "B"], "rows": 9}})
"""


def said(form: str, *, terminal: bool) -> str:
    """What a process writes to its stderr, which is a terminal or a pipe."""
    command = [sys.executable, "-c", SAY.format(form=form)]
    if not terminal:
        return subprocess.run(command, capture_output=True, text=True, check=True).stderr
    ours, theirs = pty.openpty()
    try:
        subprocess.run(command, stderr=theirs, check=True)
        return os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("form", "terminal", "text"),
    [("auto", True, True), ("auto", False, False), ("json", True, False), ("text", False, True)],
)
def test_the_form_of_the_log(form: str, terminal: bool, text: bool) -> None:  # noqa: FBT001 - pytest's
    lines = said(form, terminal=terminal).split("\n")
    assert all(line.startswith("{") for line in lines if line.strip()) is not text
    if text:
        assert lines[0].rstrip().endswith("  it begins")
        assert lines[1].rstrip().endswith("  warning: mind the gap")
        assert lines[2].rstrip().endswith("  POST 200  operation=Models  milliseconds=4.2  rows=9  errors=A,B")


@pytest.mark.slow
def test_serving_tells_three_addresses_and_how_to_stop(demo_database: Database) -> None:
    ours, theirs = pty.openpty()
    variables = environment(DATABASE_URL=demo_database.gateway_url, PORT="0")
    served = subprocess.Popen([*COMMAND, "serve"], env=variables, cwd=ROOT, stdout=theirs, stderr=theirs)
    try:
        os.close(theirs)
        told = ""
        while "Control-C stops it." not in told:
            told += os.read(ours, 65536).decode()  # fails once the process has ended
        addresses = re.findall(r"http://\S+", told)
        assert [address.partition("/")[2].partition("/")[2].partition("/")[2] for address in addresses] == [
            "", "graphql", "readyz",
        ]  # fmt: skip
        assert [httpx.get(one, headers={"accept": "text/html"}, trust_env=False).status_code for one in addresses] == [
            200
        ] * 3
        assert "{" not in told, "a line of JSON"
        served.send_signal(signal.SIGINT)
        assert served.wait(TIMEOUT) == 0
    finally:
        served.kill()
        served.wait()
        os.close(ours)
