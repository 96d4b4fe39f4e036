"""Which tests run which line, by coverage.py's contexts: ``python -m tests.mutants.contexts FILE [ROOM]``.

Every test that is not slow is a context. Rooms are measured beside each other, each into a file of its own; a run that
is ended goes on with those that are left when it is started again. The file is made once and kept: lines that have
moved since are found again by their text, and a test that it does not know is met with its file. What runs before the
first test (modules, declarations, the catalogue) is in no test's context, and neither is SQL in files.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import coverage
import pytest

from tests.mutants import names
from tests.mutants.lines import Lines

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "graph", "changes", "lineage", "recording", "operations", "db", "auth", "live", "mcp", "http", "webhooks", "house"
)  # fmt: skip
"""The folders of tests that are asked; the others start processes and browsers, or look at no answer."""
FLOORS = ("schema", "db", "gateway")
SOURCES, SECONDS = ".sources.json", ".seconds.json"
"""The suffixes of what is kept beside the contexts."""


class Contexts:
    """A plugin of pytest: each test is a context of coverage; what it takes of the processor is noted."""

    def __init__(self, measured: coverage.Coverage, told: Path) -> None:
        self._measured = measured
        self._told = told
        self._seconds: dict[str, float] = json.loads(told.read_text()) if told.exists() else {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        started = time.process_time()
        self._measured.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self._measured.switch_context("")
            self._seconds[item.nodeid] = round(time.process_time() - started, 3)
            self._told.write_text(json.dumps(self._seconds))


class ByFile(Mapping[str, Mapping[int, Sequence[str]]]):
    """The contexts of the lines of each file, read when they are looked at."""

    def __init__(self, data: coverage.CoverageData) -> None:
        self._data = data
        self._files = {str(Path(name).relative_to(ROOT)): name for name in data.measured_files()}

    def __getitem__(self, path: str) -> Mapping[int, Sequence[str]]:
        return self._data.contexts_by_lineno(self._files[path])

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def read(file: Path) -> Lines:
    """What is known by a file of ours, and by the names that tests say; those alone, where there is no file."""
    paths = (path for room in ROOMS for path in sorted((ROOT / "tests" / room).glob("test_*.py")))
    naming = names.read(ROOT, [str(path.relative_to(ROOT)) for path in paths])
    if not file.exists():
        return Lines(naming=naming)
    data = coverage.CoverageData(str(file))
    data.read()
    sources, seconds = (json.loads(file.with_suffix(name).read_text()) for name in (SOURCES, SECONDS))
    return Lines(ByFile(data), sources, seconds, naming)


def measure(data: Path, room: str) -> None:
    """Runs the tests of a room; the file is there once all of them have run."""
    begun = data.with_suffix(".begun")
    begun.unlink(missing_ok=True)
    data.with_suffix(SECONDS).unlink(missing_ok=True)
    measured = coverage.Coverage(
        str(begun), config_file=False, source=[str(ROOT / floor) for floor in FLOORS],
        concurrency=["thread", "greenlet"], messages=False,
    )  # fmt: skip
    told = Contexts(measured, data.with_suffix(SECONDS))
    measured.start()
    importlib.import_module("schema.schema").build()  # in no test's context
    tests = str(ROOT / "tests" / room)
    pytest.main([tests, "-p", "no:cacheprovider", "-m", "not slow", "--tb=line"], plugins=[told])
    measured.stop()
    measured.save()
    begun.rename(data)


def combine(data: Path, parts: Sequence[Path]) -> None:
    """Makes one file of those of the rooms, which are removed."""
    every = coverage.CoverageData(str(data))
    seconds: dict[str, float] = {}
    for part in parts:
        one = coverage.CoverageData(str(part))
        one.read()
        every.update(one)
        seconds |= json.loads(part.with_suffix(SECONDS).read_text())
    every.write()
    data.with_suffix(SECONDS).write_text(json.dumps(seconds))
    for part in parts:
        part.unlink()
        part.with_suffix(SECONDS).unlink()


def main() -> None:
    file, *room = sys.argv[1:]
    data = Path(file).resolve()
    if room:
        measure(data, *room)
        return
    data.parent.mkdir(parents=True, exist_ok=True)
    sources = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for floor in FLOORS
        for path in (ROOT / floor).rglob("*.py")
    }
    kept = data.with_suffix(SOURCES)
    parts = {room: data.with_name(f"{data.stem}-{room}{data.suffix}") for room in ROOMS}
    if not kept.exists() or json.loads(kept.read_text()) != sources:  # what there is was measured of another tree
        for part in parts.values():
            part.unlink(missing_ok=True)
    kept.write_text(json.dumps(sources))

    def run(room: str) -> None:
        command = [sys.executable, "-m", "tests.mutants.contexts", str(parts[room]), room]
        subprocess.run(command, cwd=ROOT, check=False)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(run, [room for room, part in parts.items() if not part.exists()]))
    combine(data, [part for part in parts.values() if part.exists()])


if __name__ == "__main__":
    main()
