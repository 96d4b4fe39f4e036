"""``make mutants``: how many of a random sample of faults the tests notice.

    python -m tests.mutants [--sample 300] [--seed 1] [--only filters] [--timeout 600] [--tests 90] [--quick]
        [--lines build/mutants/lines.sqlite] [--report build/mutants]

Each fault is put into a copy of the tree and meets its tests until one fails: those that run its line, by what
`contexts` knows (``--lines``, measured first where there is no such file), and those that are meant for its file
(`places`); the share is of what they notice in ``--tests`` seconds of the processor. The sample is drawn by place: of
several faults of one kind at one place only one can be in it, and none that does not parse. Survivors are given to
mypy, and then listed as patches; those that `equivalents.json` names with a reason are not counted. The time limit is
in seconds of the processor, so that a busy machine changes no result. A fault that reaches it is killed, as is usual,
if the same tests end without it in a third of that; where they take longer, it is tried again with three times what
they take. One of which that cannot be told, since they fail without it as well, is not counted, and the report says so.
The report is written after every fault, and a run that is ended goes on where it was when it is started again with the
same sample, seed and tree.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.mutants import contexts
from tests.mutants.faults import Fault, changed, diff, faults
from tests.mutants.lines import Lines
from tests.mutants.places import find, held_by, is_data, mutated, stale
from tests.mutants.runs import Run, Runner
from tests.mutants.sample import Sample, drawn

ROOT = Path(__file__).resolve().parents[2]
EQUIVALENTS = Path(__file__).with_name("equivalents.json")
TIMES = 3
"""A run that takes this many times the processor's seconds of the same tests without a fault never ends."""
NEVER = {"endless": "never ended", "still": "waited for what never came"}
UNJUDGED = "unjudged"
UNTOLD = "not counted: they did not end, and without a fault the same tests fail."


def every(root: Path, only: str | None) -> list[Fault]:
    """All faults, or those of the files whose path has ``only`` in it."""
    found: list[Fault] = []
    for path in mutated(root):
        if only is None or only in path:
            found += [one for one in faults(root, path) if one.operator == "sql" or not is_data(path)]
    return found


class Campaign:
    """A sample on its way: what became of each fault, kept in ``folder``."""

    def __init__(self, runner: Runner, folder: Path, timeout: float, lines: Lines, most: float) -> None:
        """``most`` is in seconds of the processor: what the tests of one fault may take where none fails."""
        self.runner = runner
        self.timeout = timeout
        self._lines = lines
        self._most = most
        folder.mkdir(parents=True, exist_ok=True)
        self._results = folder / "results.jsonl"
        self._report = folder / "report.md"
        self._history = folder / "kills.json"
        self.kills: dict[str, dict[str, int]] = json.loads(self._history.read_text()) if self._history.exists() else {}
        self.equivalents = {
            (one["file"], one["before"], one["after"]) for one in json.loads(EQUIVALENTS.read_text(encoding="utf-8"))
        }
        self.done: dict[str, dict[str, Any]] = {}
        if self._results.exists():
            kept = [json.loads(line) for line in self._results.read_text().splitlines()]
            self.done = {one["key"]: one for one in kept if one["by"] not in {"time", UNJUDGED}}
        self._stands: dict[str, bool] = {}
        self._takes: dict[tuple[str, ...], float | None] = {}

    def tell(self, fault: Fault) -> dict[str, Any]:
        """What becomes of a fault."""
        source = (self.runner.copy / fault.path).read_text(encoding="utf-8")
        text = fault.applied(source)
        key = hashlib.sha256(f"{fault.path}\0{text}".encode()).hexdigest()[:16]
        before, after = changed(source, text)
        equivalent = (Path(fault.path).name, before, after) in self.equivalents
        if key in self.done and not (equivalent and self.done[key]["by"] is None):
            return self.done[key]
        result: dict[str, Any] = {
            "key": key,
            "path": fault.path,
            "family": fault.family,
            "before": before,
            "after": after,
        }
        if equivalent:
            result |= {"by": "equivalent", "seconds": 0.0, "cpu": 0.0}
        else:
            run = self._met(fault, text)
            result |= {"by": run.by, "seconds": round(run.seconds, 1), "cpu": round(run.cpu, 1)}
            if run.by is None:
                result["diff"] = diff(fault, source, text)
                if not self._typed(fault.path, text):
                    result["by"] = "types"
            elif run.by and "::" in run.by:
                kills = self.kills.setdefault(fault.path, {})
                kills[run.by] = kills.get(run.by, 0) + 1
                self._history.write_text(json.dumps(self.kills, indent=1))
        self.done[key] = result
        with self._results.open("a") as file:
            file.write(json.dumps(result) + "\n")
        return result

    def _scores(self, fault: Fault) -> dict[str, float]:
        """How likely tests are to notice a fault here, by what they have noticed."""
        scores: dict[str, float] = defaultdict(float)
        for path, kills in self.kills.items():
            for test, number in kills.items():
                scores[test] += number * (10 if path == fault.path else 0.01)
        return scores

    def _met(self, fault: Fault, text: str) -> Run:
        """A fault and its tests; one that fails without a fault as well is left out from then on."""
        source, timeout = (self.runner.copy / fault.path).read_text(encoding="utf-8"), self.timeout
        line = source.count("\n", 0, fault.place) + 1
        tests = self._lines.chosen(fault.path, source, line, held_by(self.runner.copy, fault.path), self._most)
        while True:
            skipped = frozenset(test for test, stands in self._stands.items() if not stands)
            run = self.runner.with_fault(
                fault.path, text, tests, timeout=timeout, scores=self._scores(fault), skipped=skipped
            )
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
                alone = self.runner.run([run.by], timeout=self.timeout, scores={})
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

    def _typed(self, path: str, text: str) -> bool:
        """Whether mypy accepts a file with a fault."""
        if not path.endswith(".py"):
            return True
        file = self.runner.copy / path
        source = file.read_text(encoding="utf-8")
        file.write_text(text, encoding="utf-8")
        try:
            command = [sys.executable, "-m", "mypy", "--no-error-summary"]
            return subprocess.run(command, cwd=self.runner.copy, capture_output=True, check=False).returncode == 0
        finally:
            file.write_text(source, encoding="utf-8")

    def report(self, results: Sequence[dict[str, Any]], sample: Sample[Fault], drawn_from: int) -> str:
        """The share that was noticed, by what, and the survivors as patches."""
        by = Counter(
            "tests" if one["by"] and "::" in one["by"] else one["by"] or "survived" for one in results
        )  # fmt: skip
        counted = len(results) - by["equivalent"] - by[UNJUDGED]
        killed = counted - by["survived"]
        rooms: dict[str, Counter[bool]] = defaultdict(Counter)
        for one in results:
            if one["by"] not in {"equivalent", UNJUDGED}:
                rooms[one["path"]][one["by"] is not None] += 1
        lines = [
            f"# {killed} of {counted} killed, {100 * killed / max(1, counted):.1f} %",
            "",
            f"Drawn from {drawn_from} faults. "
            + ", ".join(f"{name}: {number}" for name, number in by.most_common())
            + ".",
            f"{sum(one['seconds'] for one in results):.0f} s, {sum(one['cpu'] for one in results):.0f} s of CPU.",
            *(f"{by[kind]} {words}, while the same tests end: killed." for kind, words in NEVER.items() if by[kind]),
            *(f"{number} {UNTOLD}" for number in (by[UNJUDGED],) if number),
            "",
            f"Not drawn: {len(sample.left_out)}, no programs.",
            *(f"- `{one.path}` {one.family}: {why}" for one, why in sample.left_out),
            "",
            *(f"- `{path}` {found[True]} of {found.total()}" for path, found in sorted(rooms.items())),
            "",
            "## Survivors",
            *(f"\n```diff\n{one.get('diff', one['after'])}\n```" for one in results if one["by"] is None),
        ]
        text = "\n".join(lines) + "\n"
        self._report.write_text(text)
        return text


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="a part of the paths of files")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds of the processor that a fault may take")
    parser.add_argument("--tests", type=float, default=90.0, help="seconds of the processor for the tests of a fault")
    parser.add_argument("--lines", type=Path, default=ROOT / "build" / "mutants" / "lines.sqlite")
    parser.add_argument("--quick", action="store_true", help="without tests that are marked as slow")
    parser.add_argument("--report", type=Path, default=ROOT / "build" / "mutants")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # what a run has made is taken away
    if names := stale(ROOT):
        print(f"no file is called {', '.join(names)}: correct the table in tests/mutants/places.py")
    results = []
    sample = drawn(
        found := every(ROOT, asked.only),
        asked.sample,
        asked.seed,
        lambda path: (ROOT / path).read_text(encoding="utf-8"),
    )
    if not asked.lines.exists():
        print(f"runs every test once, to know which lines each runs: {asked.lines}", flush=True)
        subprocess.run([sys.executable, "-m", "tests.mutants.contexts", str(asked.lines)], cwd=ROOT, check=False)
    lines = contexts.read(asked.lines)
    meant = dict.fromkeys(test for one in sample.faults for test in held_by(ROOT, one.path))
    known = dict.fromkeys(file for test in lines.seconds if (ROOT / (file := test.split("::")[0])).exists())
    control_test = str(find(ROOT, "aggregates"))
    with Runner(ROOT, list(meant | known | {control_test: None}), quick=asked.quick) as runner:
        control = runner.run([control_test], timeout=asked.timeout, scores={})
        if control.by:
            sys.exit(f"without a fault, tests fail in the copy ({control.by}):\n{control.output}")
        campaign = Campaign(runner, asked.report, asked.timeout, lines, asked.tests)
        for number, fault in enumerate(sample.faults, 1):
            result = campaign.tell(fault)
            results.append(result)
            told = f"{result['by'] or 'SURVIVED'} {result['seconds']} s, {result['cpu']} s of CPU"
            print(f"{number}/{len(sample.faults)} {fault.path} {fault.family}: {told}")
            if result["by"] is None:
                print(f"    - {result['before']}\n    + {result['after']}")
            sys.stdout.flush()
            text = campaign.report(results, sample, len(found))
    print(text.split("\n## ")[0])


if __name__ == "__main__":
    main()
