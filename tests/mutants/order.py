"""A plugin of pytest for one mutant: the tests that have killed its neighbours come first; says what killed it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest


class Order:
    """Runs tests by ``scores``, greatest first, then as files are named, slow ones last; says what came of it."""

    def __init__(self, scores: Mapping[str, float], skipped: frozenset[str], told: Path) -> None:
        self._scores = scores
        self._skipped = skipped
        self._told = told
        self.durations: dict[str, float] = {}
        self.failed: list[str] = []
        self.refused = False

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [one for one in items if one.nodeid not in self._skipped]
        items.sort(key=lambda one: (-self._scores.get(one.nodeid, 0.0), one.get_closest_marker("slow") is not None))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.refused = self.refused or report.failed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.durations[report.nodeid] = self.durations.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        said: dict[str, Any] = {"durations": self.durations, "failed": self.failed, "refused": self.refused}
        self._told.write_text(json.dumps(said))
