"""Runs of tests in a copy of the tree, each in a fork of a process that has read what no fault can change.

One Postgres and its templates serve all runs. Most faults cost a fork of a process that stands before its first test
(`warm`); the others the import of our own code and its tests too. The copy is a directory of its own: no fault is ever
written into the tree.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import pytest

from tests.mutants.warm import Asked, Ended, Forks, Seen, waited

LIBRARIES = (
    "alembic.command", "asyncpg", "graphql", "httptools", "httpx", "hypothesis", "jsonschema", "jwt", "orjson",
    "pgvector.sqlalchemy", "prometheus_client", "psutil", "pydantic_settings", "redis.asyncio",
    "sqlalchemy.dialects.postgresql.asyncpg", "sqlalchemy.ext.asyncio", "sqlalchemy.orm", "starlette.applications",
    "starlette.testclient", "strawberry", "strawberry.schema", "uvicorn", "uvloop", "websockets",
)  # fmt: skip
LEFT_OUT = shutil.ignore_patterns(  # what mypy keeps goes with the copy: survivors are given to it
    ".git", ".venv", "node_modules", "__pycache__", ".hypothesis", ".pytest_cache", ".ruff_cache", "build",
    "*.egg-info", ".e2i",
)  # fmt: skip
NONE_FAILED = {pytest.ExitCode.OK, pytest.ExitCode.INTERRUPTED, pytest.ExitCode.NO_TESTS_COLLECTED}
"""What a run ends with in which no test failed: also one that had its seconds, or met no test."""


@dataclass
class Run:
    """What came of a run. ``by`` is the test that failed first, or "import", "end" (it ended by a signal), "endless"
    (it had its seconds of the processor) or "still" (it waited for what never came)."""

    by: str | None
    seconds: float
    cpu: float = 0.0
    durations: Mapping[str, float] = field(default_factory=dict)
    failed: Sequence[str] = ()
    output: str = ""
    cold: bool = False
    """Whether our own code was read anew for it."""


class Runner:
    """The copy, the Postgres and the forks."""

    def __init__(self, root: Path, tests: Sequence[str], *, quick: bool = False) -> None:
        """``tests`` are the files that runs may ask for, ``quick`` without those that are marked as slow."""
        self.root = root
        self._quick = quick
        self.tests = tests
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
            start_new_session=True,  # a signal to the group is ours: it ends, and stops Postgres, when its input does
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(self.root), str(self.root / "tests")])},
        )  # fmt: skip
        assert self._server.stdout is not None
        os.environ["TEST_DATABASE_ADMIN_URL"] = self._server.stdout.readline().strip()
        self._postgres = int(self._server.stdout.readline())
        os.environ["TEST_TEMPLATES"] = "e2i_kept"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in LIBRARIES:
                importlib.import_module(name)
        self._start_warm()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server.stdin is not None
        self._ask.close()
        os.waitpid(self._warm, 0)
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
            return self.run(tests, fault=(path, source, text), **how)
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
        most: float = math.inf,
        fault: tuple[str, str, str] | None = None,
    ) -> Run:
        """Runs tests to the first failure, or until they had ``most`` seconds of the processor, and ends them after
        ``timeout`` of them; a fault is a path with what stands there else, and now."""
        told, output = self._folder / "told.json", self._folder / "output.txt"
        told.unlink(missing_ok=True)
        path, source, text = fault or (None, "", "")
        asked = Asked(
            path, source, text, tests, scores, sorted(skipped), str(told), str(output), timeout, self._postgres,
            self._quick, None if math.isinf(most) else most,
        )  # fmt: skip
        self._ask.write(asked.line())
        self._ask.flush()
        ended = Ended(**json.loads(self._answers.readline()))
        if cold := ended.cold:
            ended = self._cold(asked, builds=path is not None and path.endswith(".sql"))
        if ended.over:
            self.clean()
            return Run(ended.over, ended.seconds, ended.cpu, cold=cold)
        words = output.read_text(errors="replace")
        if not told.exists():  # a conftest that cannot be imported has no session
            self.clean()
            return Run("import" if "Error" in words else "end", ended.seconds, ended.cpu, output=words, cold=cold)
        said = json.loads(told.read_text())
        by = None
        if said["failed"]:
            by = said["failed"][0]
        elif said["refused"] or (ended.status and os.waitstatus_to_exitcode(ended.status) not in NONE_FAILED):
            by = "import"
        return Run(by, ended.seconds, ended.cpu, said["durations"], said["failed"], words, cold)

    def _cold(self, asked: Asked, *, builds: bool) -> Ended:
        """A run in a process that reads our own code anew."""
        pid = os.fork()
        if pid == 0:
            order = asked.order()
            files = list(dict.fromkeys(one.split("::")[0] for one in asked.tests))
            self._child(files, [order], Path(asked.output), builds=builds)
        return waited(pid, asked, lambda: time.sleep(0.05))

    def _start_warm(self) -> None:
        """Starts the process that most runs are forks of; what it compiles is kept for the others."""
        (ours, asking), (answering, theirs) = os.pipe(), os.pipe()
        self._warm = os.fork()
        if self._warm == 0:
            os.close(asking)
            os.close(answering)
            seen = Seen()
            forks = Forks(self.copy, os.fdopen(ours), os.fdopen(theirs, "w"), seen)
            threading.setprofile(seen.note)
            sys.setprofile(seen.note)
            self._child(self.tests, [forks], self._folder / "warm.txt", keeps=True)
        os.close(ours)
        os.close(theirs)
        self._ask: IO[str] = os.fdopen(asking, "w")
        self._answers: IO[str] = os.fdopen(answering)
        if not self._answers.readline():
            raise RuntimeError(f"tests cannot be collected:\n{(self._folder / 'warm.txt').read_text()}")

    def _child(
        self,
        tests: Sequence[str],
        plugins: Sequence[object],
        output: Path,
        *,
        keeps: bool = False,
        builds: bool = False,
    ) -> None:
        """In the fork; does not return. ``keeps`` says that compiled modules may be written beside the sources."""
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
            warned = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
            arguments = [*tests, "-p", "no:cacheprovider", "--tb=short", "-x", "-s", *warned]
            code = int(pytest.main(arguments, plugins=list(plugins)))
        except BaseException:  # noqa: BLE001 - the fork must not go on as its parent
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
