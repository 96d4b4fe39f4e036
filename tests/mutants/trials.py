"""What becomes of faults: each is put into a copy of the tree and meets its tests; several copies stand together."""

from __future__ import annotations

import math
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.mutants import contexts
from tests.mutants.lines import Lines
from tests.mutants.places import find, held_by
from tests.mutants.runs import Run, Runner
from tests.mutants.sample import Placed

TIMES = 3
"""A run that takes this many times the processor's seconds of the same tests without a fault never ends."""
NEVER = {"endless": "never ended", "still": "waited for what never came"}
UNJUDGED = "unjudged"


@dataclass(frozen=True)
class Trial:
    """A fault, the file with it, and how likely tests are to notice it by what they have noticed."""

    fault: Placed
    text: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Judges:
    """What faults meet: ``files`` of tests, ``quick`` without those that are marked as slow, for ``most`` seconds of
    the processor where none fails; a fault may take ``timeout`` of them. ``lines`` is the file of `contexts`."""

    root: Path
    files: Sequence[str]
    quick: bool
    most: float
    timeout: float
    lines: Path


@dataclass
class Copy:
    """A copy of the tree in which faults are tried."""

    runner: Runner
    judges: Judges
    lines: Lines
    _stands: dict[str, bool] = field(default_factory=dict)
    _takes: dict[tuple[str, ...], float | None] = field(default_factory=dict)

    def check(self) -> None:
        """Ends the process if tests fail in the copy without a fault."""
        control = self.runner.run([str(find(self.judges.root, "aggregates"))], timeout=self.judges.timeout, scores={})
        if control.by:
            sys.exit(f"without a fault, tests fail in the copy ({control.by}):\n{control.output}")

    def result(self, trial: Trial) -> dict[str, Any]:
        """What a fault was noticed by, and what that took."""
        run = self._met(trial)
        by = run.by
        if by is None and not self._typed(trial):
            by = "types"
        took = {"seconds": round(run.seconds, 1), "cpu": round(run.cpu, 1), "tests": len(run.durations)}
        return {"by": by, **took, "cold": run.cold}

    def _met(self, trial: Trial) -> Run:
        """A fault and its tests; one that fails without a fault as well is left out from then on."""
        path, timeout = trial.fault.path, self.judges.timeout
        source = (self.runner.copy / path).read_text(encoding="utf-8")
        line = source.count("\n", 0, trial.fault.place) + 1
        tests = self.lines.chosen(path, source, line, held_by(self.runner.copy, path), self.judges.most)
        while True:
            skipped = frozenset(test for test, stands in self._stands.items() if not stands)
            run = self.runner.with_fault(
                path, trial.text, tests, timeout=timeout, scores=trial.scores, skipped=skipped, most=self.judges.most
            )  # fmt: skip
            if run.by in NEVER:
                takes = self._without_fault(tests, skipped)
                if takes is None:
                    run.by = UNJUDGED
                elif run.by == "endless" and timeout < TIMES * takes:
                    timeout = TIMES * takes
                    continue
                return run
            if run.by is None or "::" not in run.by:
                return run
            if run.by not in self._stands:
                alone = self.runner.run([run.by], timeout=self.judges.timeout, scores={})
                self._stands[run.by] = alone.by is None
            if self._stands[run.by]:
                return run
            print(f"  {run.by} fails without a fault", flush=True)

    def _without_fault(self, tests: Sequence[str], skipped: frozenset[str]) -> float | None:
        """The processor's seconds of tests without a fault; None if they do not pass."""
        key = (*tests, *sorted(skipped))
        if key not in self._takes:
            run = self.runner.run(tests, timeout=math.inf, scores={}, skipped=skipped)
            self._takes[key] = run.cpu if run.by is None else None
        return self._takes[key]

    def _typed(self, trial: Trial) -> bool:
        """Whether mypy accepts a file with a fault; what stands in texts of SQL it does not see."""
        if trial.fault.family.startswith("sql"):
            return True
        file = self.runner.copy / trial.fault.path
        source = file.read_text(encoding="utf-8")
        file.write_text(trial.text, encoding="utf-8")
        try:
            command = [sys.executable, "-m", "mypy", "--no-error-summary"]
            return subprocess.run(command, cwd=self.runner.copy, capture_output=True, check=False).returncode == 0
        finally:
            file.write_text(source, encoding="utf-8")


class Copies:
    """Several copies of the tree, each with a process and a Postgres of its own."""

    def __init__(self, judges: Judges, number: int) -> None:
        self._judges = judges
        self._number = number
        self._processes: list[ForkProcess] = []
        self._pipes: list[connection.Connection] = []

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("fork")
        for _ in range(self._number):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, [*self._pipes, ours], self._judges))
            self._pipes.append(ours)
            self._processes.append(process)
            process.start()
            theirs.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            if kind:
                process.terminate()
            process.join()

    def results(self, trials: Iterator[Trial]) -> Iterator[tuple[Trial, dict[str, Any]]]:
        """What becomes of faults, in the order in which that is known; a fault is asked for when a copy is free."""
        under_way: dict[connection.Connection, Trial | None] = dict.fromkeys(self._pipes)
        while under_way:
            for pipe in connection.wait(list(under_way)):
                assert isinstance(pipe, connection.Connection)
                result = pipe.recv()  # None when the copy is ready
                if (tried := under_way.pop(pipe)) is not None:
                    yield tried, result
                if (trial := next(trials, None)) is not None:
                    pipe.send(trial)
                    under_way[pipe] = trial


def _serve(pipe: connection.Connection, others: Sequence[connection.Connection], judges: Judges) -> None:
    """A process with a copy: answers each fault that is sent until the pipe is closed."""
    for other in others:  # else it would never be closed
        other.close()
    with Runner(judges.root, judges.files, quick=judges.quick) as runner:
        copy = Copy(runner, judges, contexts.read(judges.lines))
        copy.check()
        pipe.send(None)
        try:
            while True:
                pipe.send(copy.result(pipe.recv()))
        except EOFError:
            return
