"""A plugin of pytest for one mutant: its tests, those that have killed its neighbours first; says what killed it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest


class Order:
    """Runs ``tests`` (files, tests of files, or one with these parameters), by ``scores``, greatest first, then as they
    are named, slow ones last, until one fails or ``most`` seconds of the processor are over; says what came of it.

    ``quick`` leaves out those that are slow, unless all are: a fault that meets no test is noticed by none.
    """

    def __init__(
        self,
        tests: Sequence[str],
        scores: Mapping[str, float],
        skipped: frozenset[str],
        told: Path,
        *,
        quick: bool = False,
        most: float = math.inf,
    ) -> None:
        self._places = {name: place for place, name in reversed(list(enumerate(tests)))}
        self._scores = scores
        self._skipped = skipped
        self._told = told
        self._quick = quick
        self._most = most
        self._ends = math.inf
        self.durations: dict[str, float] = {}
        self.failed: list[str] = []
        self.refused = False

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [one for one in items if self._place(one) < math.inf and one.nodeid not in self._skipped]
        items[:] = (self._quick and [one for one in chosen if not _is_slow(one)]) or chosen
        items.sort(key=lambda one: (-self._scores.get(one.nodeid, 0.0), _is_slow(one), self._place(one)))
        self._ends = time.process_time() + self._most  # what is imported for them is no time of theirs

    def _place(self, item: pytest.Item) -> float:
        names = (item.nodeid, item.nodeid.split("[")[0], item.nodeid.split("::")[0])
        return min(self._places.get(name, math.inf) for name in names)

    @property
    def is_over(self) -> bool:
        """Whether the seconds are over."""
        return time.process_time() > self._ends

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.refused = self.refused or report.failed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.durations[report.nodeid] = self.durations.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed.append(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        if self.is_over:
            item.session.shouldstop = "the seconds of the processor are over"

    def pytest_sessionfinish(self) -> None:
        said: dict[str, Any] = {"durations": self.durations, "failed": self.failed, "refused": self.refused}
        self._told.write_text(json.dumps(said))


def _is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None
