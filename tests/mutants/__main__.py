"""``make mutants``: how many of a random sample of faults the tests notice.

    python -m tests.mutants [--sample 300] [--seed 1] [--only filters] [--timeout 600] [--tests 40] [--quick] [--jobs 1]
        [--lines build/mutants/lines.sqlite] [--report build/mutants/1] [--again build/mutants/1/results.jsonl]

Each fault is put into a copy of the tree and meets its tests until one fails: those that run its line, by what
`contexts` knows (``--lines``, measured first where there is no such file), or name what it declares (`names`), and
those that are meant for its file (`places`); the share is of what they notice in ``--tests`` seconds of the processor.
The sample is drawn by place: of several faults of one kind at one place only one can be in it, and none that does not
parse. Survivors are given to mypy, and then listed as patches; those that `equivalents.json` names with a reason are
not counted. ``--again`` tries the survivors of another run, after the tests were mended.

The time limit is in seconds of the processor, so that a busy machine changes no result. A fault that reaches it is
killed, as is usual, if the same tests end without it in a third of that; where they take longer, it is tried again with
three times what they take. One of which that cannot be told, since they fail without it as well, is not counted, and
the report says so. ``--jobs`` copies stand side by side. The report is written after every fault, and a run that is
ended goes on where it was when it is started again with the same sample, seed and tree.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.mutants import contexts
from tests.mutants.again import changed, diff, survivors
from tests.mutants.faults import Fault, faults
from tests.mutants.places import find, held_by, is_data, mutated, stale
from tests.mutants.sample import Placed, Sample, drawn, interval
from tests.mutants.trials import NEVER, UNJUDGED, Copies, Judges, Trial

ROOT = Path(__file__).resolve().parents[2]
EQUIVALENTS = Path(__file__).with_name("equivalents.json")
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

    def __init__(self, sample: Sample[Placed], drawn_from: int, folder: Path) -> None:
        self._sample = sample
        self._drawn_from = drawn_from
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "results.jsonl"
        self._report = folder / "report.md"
        self._equivalents = {
            (one["file"], one["before"], one["after"]) for one in json.loads(EQUIVALENTS.read_text(encoding="utf-8"))
        }
        kept = [json.loads(line) for line in self._file.read_text().splitlines()] if self._file.exists() else []
        self._kept: dict[str, dict[str, Any]] = {one["key"]: one for one in kept if one["by"] != UNJUDGED}
        self.results: list[dict[str, Any]] = []
        self._kills: dict[str, Counter[str]] = defaultdict(Counter)
        for one in self._kept.values():
            self._count(one)

    def trials(self) -> Iterator[Trial]:
        """The faults that are to be tried; what is known of the others is told."""
        for fault in self._sample.faults:
            source = (ROOT / fault.path).read_text(encoding="utf-8")
            text = fault.applied(source)
            equivalent = (Path(fault.path).name, *changed(source, text)) in self._equivalents
            kept = self._kept.get(_key(fault, text))
            if equivalent:
                self.tell(Trial(fault, text, {}), {"by": "equivalent", "seconds": 0.0, "cpu": 0.0}, keep=False)
            elif kept:
                self.tell(Trial(fault, text, {}), kept, keep=False)
            else:
                yield Trial(fault, text, self._scores(fault.path))

    def tell(self, trial: Trial, known: dict[str, Any], *, keep: bool = True) -> None:
        """Keeps what became of a fault, and writes the report."""
        fault = trial.fault
        source = (ROOT / fault.path).read_text(encoding="utf-8")
        before, after = changed(source, trial.text)
        found = {"key": _key(fault, trial.text), "path": fault.path, "family": fault.family, "before": before,
                 "after": after, "diff": diff(fault.path, source, trial.text)}  # fmt: skip
        result = found | known
        self.results.append(result)
        if keep:
            self._count(result)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
        told = f"{result['by'] or 'SURVIVED'} {result['seconds']} s, {result['cpu']} s of CPU"
        print(f"{len(self.results)}/{len(self._sample.faults)} {fault.path} {fault.family}: {told}")
        if result["by"] is None:
            print(f"    - {before}\n    + {after}")
        sys.stdout.flush()
        self._report.write_text(self.report(), encoding="utf-8")

    def _count(self, result: dict[str, Any]) -> None:
        if result["by"] and "::" in result["by"]:
            self._kills[result["path"]][result["by"]] += 1

    def _scores(self, path: str) -> dict[str, float]:
        """How likely tests are to notice a fault of a file, by what they have noticed."""
        scores: dict[str, float] = defaultdict(float)
        for other, kills in self._kills.items():
            for test, number in kills.items():
                scores[test] += number * (10 if other == path else 0.01)
        return scores

    def report(self) -> str:
        """The share that was noticed, by what, and the survivors as patches."""
        by = Counter(
            "tests" if one["by"] and "::" in one["by"] else one["by"] or "survived" for one in self.results
        )  # fmt: skip
        counted = len(self.results) - by["equivalent"] - by[UNJUDGED]
        killed = counted - by["survived"]
        low, high = interval(killed, counted)
        rooms: dict[str, Counter[bool]] = defaultdict(Counter)
        for one in self.results:
            if one["by"] not in {"equivalent", UNJUDGED}:
                rooms[one["path"]][one["by"] is not None] += 1
        seconds, cpu = (sum(one[name] for one in self.results) for name in ("seconds", "cpu"))
        lines = [
            f"# {killed} of {counted} killed, {100 * killed / max(1, counted):.1f} %",
            "",
            f"Of all faults, {100 * low:.1f} to {100 * high:.1f} % (Wilson's interval at 95 %).",
            f"Drawn from {self._drawn_from} faults. "
            + ", ".join(f"{name}: {number}" for name, number in by.most_common())
            + ".",
            f"{seconds:.0f} s, {cpu:.0f} s of CPU.",
            *(f"{by[kind]} {words}, while the same tests end: killed." for kind, words in NEVER.items() if by[kind]),
            *(f"{number} {UNTOLD}" for number in (by[UNJUDGED],) if number),
            "",
            f"Not tried: {len(self._sample.left_out)}.",
            *(f"- `{one.path}` {one.family}: {why}" for one, why in self._sample.left_out),
            "",
            *(f"- `{path}` {found[True]} of {found.total()}" for path, found in sorted(rooms.items())),
            "",
            "## Survivors",
            *(f"\n```diff\n{one['diff']}\n```" for one in self.results if one["by"] is None),
        ]
        return "\n".join(lines) + "\n"


def _key(fault: Placed, text: str) -> str:
    return hashlib.sha256(f"{fault.path}\0{text}".encode()).hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="a part of the paths of files")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds of the processor that a fault may take")
    parser.add_argument("--tests", type=float, default=40.0, help="seconds of the processor for the tests of a fault")
    parser.add_argument("--lines", type=Path, default=ROOT / "build" / "mutants" / "lines.sqlite")
    parser.add_argument("--quick", action="store_true", help="without tests that are marked as slow")
    parser.add_argument("--jobs", type=int, default=1, help="copies of the tree, each with a Postgres of its own")
    parser.add_argument("--report", type=Path, help="a folder; build/mutants/SEED, or again beside the results")
    parser.add_argument("--again", type=Path, help="the results of another run, whose survivors are tried")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # what a run has made is taken away
    if names := stale(ROOT):
        print(f"no file is called {', '.join(names)}: correct the table in tests/mutants/places.py")
    sample: Sample[Placed]
    if asked.again:
        sample = Sample(*survivors(ROOT, asked.again))
        found = len(sample.faults)
    else:
        faults_ = every(ROOT, asked.only)
        found = len(faults_)
        sample = drawn(faults_, asked.sample, asked.seed, lambda path: (ROOT / path).read_text(encoding="utf-8"))
    if not asked.lines.exists():
        print(f"runs every test once, to know which lines each runs: {asked.lines}", flush=True)
        subprocess.run([sys.executable, "-m", "tests.mutants.contexts", str(asked.lines)], cwd=ROOT, check=False)
    meant = dict.fromkeys(test for one in sample.faults for test in held_by(ROOT, one.path))
    lines = contexts.read(asked.lines)
    known = dict.fromkeys(
        file for test in (*lines.seconds, *lines.naming.said) if (ROOT / (file := test.split("::")[0])).exists()
    )  # fmt: skip
    files = list(meant | known | {str(find(ROOT, "aggregates")): None})
    folder = asked.report or (asked.again.parent / "again" if asked.again else ROOT / "build/mutants" / str(asked.seed))
    campaign = Campaign(sample, found, folder)
    with Copies(Judges(ROOT, files, asked.quick, asked.tests, asked.timeout, asked.lines), asked.jobs) as copies:
        for trial, result in copies.results(campaign.trials()):
            campaign.tell(trial, result)
    print(campaign.report().split("\n## ")[0])


if __name__ == "__main__":
    main()
