"""Runs of tests in a copy of the tree, each in a fork of a process that has read the libraries already.

One Postgres and its templates serve all runs, so that one costs the import of our own code and its tests. The copy is
a directory of its own: no fault is ever written into the tree.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.mutants.order import Order

LIBRARIES = (
    "alembic.command", "asyncpg", "graphql", "httptools", "httpx", "hypothesis", "jsonschema", "jwt", "orjson",
    "pgvector.sqlalchemy", "prometheus_client", "psutil", "pydantic_settings", "redis.asyncio",
    "sqlalchemy.dialects.postgresql.asyncpg", "sqlalchemy.ext.asyncio", "sqlalchemy.orm", "starlette.applications",
    "starlette.testclient", "strawberry", "strawberry.schema", "uvicorn", "uvloop", "websockets",
)  # fmt: skip
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "node_modules", "__pycache__", ".*_cache", "build", "*.egg-info", ".e2i"
)


@dataclass
class Run:
    """What came of a run. ``by`` is the test that failed first, or "import", "time" or "end" (it ended by a signal)."""

    by: str | None
    seconds: float
    durations: Mapping[str, float] = field(default_factory=dict)
    failed: Sequence[str] = ()
    output: str = ""


class Runner:
    """The copy, the Postgres and the forks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folder = Path(tempfile.mkdtemp(prefix="e2i-mutants-"))
        self.copy = self._folder / "tree"

    def __enter__(self) -> Self:
        shutil.copytree(self.root, self.copy, ignore=LEFT_OUT)
        subprocess.run(["git", "init", "-q"], cwd=self.copy, check=False)  # tests find the root by it
        path = os.pathsep.join([str(self.copy), str(self.copy / "tests")])
        os.environ["PYTHONPATH"] = path
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.server"],
            cwd=self.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(self.root), str(self.root / "tests")])},
        )  # fmt: skip
        assert self._server.stdout is not None
        os.environ["TEST_DATABASE_ADMIN_URL"] = self._server.stdout.readline().strip()
        os.environ["TEST_TEMPLATES"] = "e2i_kept"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in LIBRARIES:
                importlib.import_module(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(60)
        shutil.rmtree(self._folder, ignore_errors=True)

    def clean(self) -> None:
        """Drops what a run that was ended has left in the Postgres."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write("clean\n")
        self._server.stdin.flush()
        self._server.stdout.readline()

    def with_fault(self, path: str, text: str, tests: Sequence[str], **how: Any) -> Run:
        """The tests with another text in one file; what builds the database builds it anew."""
        file = self.copy / path
        source, times = file.read_text(encoding="utf-8"), file.stat()
        file.write_text(text, encoding="utf-8")
        try:
            return self.run(tests, builds=path.endswith(".sql"), **how)
        finally:
            file.write_text(source, encoding="utf-8")
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    def run(
        self,
        tests: Sequence[str],
        *,
        timeout: float,
        scores: Mapping[str, float],
        skipped: frozenset[str] = frozenset(),
        keeps: bool = False,
        builds: bool = False,
    ) -> Run:
        """Runs tests to the first failure; ``keeps`` says that compiled modules may be written beside the sources."""
        told, output = self._folder / "told.json", self._folder / "output.txt"
        told.unlink(missing_ok=True)
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            self._child(tests, scores, skipped, told, output, keeps=keeps, builds=builds)
        status = None
        try:
            while time.monotonic() - started < timeout:
                ended, found = os.waitpid(pid, os.WNOHANG)
                if ended:
                    status = found
                    break
                time.sleep(0.05)
        finally:  # its time is over, or ours
            if status is None:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        if status is None:
            self.clean()
            return Run("time", time.monotonic() - started)
        seconds = time.monotonic() - started
        words = output.read_text(errors="replace")
        if not told.exists():  # a conftest that cannot be imported has no session
            self.clean()
            return Run("import" if "Error" in words else "end", seconds, output=words)
        said = json.loads(told.read_text())
        by = said["failed"][0] if said["failed"] else "import" if said["refused"] or status else None
        return Run(by, seconds, said["durations"], said["failed"], words)

    def _child(
        self, tests: Sequence[str], scores: Mapping[str, float], skipped: frozenset[str], told: Path, output: Path,
        *, keeps: bool, builds: bool,
    ) -> None:  # fmt: skip
        """In the fork; does not return."""
        code = 1
        try:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            with output.open("w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            os.chdir(self.copy)
            sys.path[:] = [str(self.copy), *(one for one in sys.path if one not in {"", str(self.root)})]
            for name in [name for name in sys.modules if name.split(".")[0] in {"tests", "db", "schema", "gateway"}]:
                if name.split(".")[:2] != ["tests", "mutants"]:
                    del sys.modules[name]
            sys.dont_write_bytecode = not keeps
            if builds:
                del os.environ["TEST_TEMPLATES"]
            arguments = [
                *tests,
                "-p",
                "no:cacheprovider",
                "--tb=short",
                "-x",
                "-W",
                "ignore::pytest.PytestAssertRewriteWarning",
            ]
            code = int(pytest.main(arguments, plugins=[Order(scores, skipped, told)]))
        except BaseException:  # noqa: BLE001 - the fork must not go on as its parent
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
