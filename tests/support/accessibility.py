"""What axe-core finds wrong with a page. It comes with the sources of the pages: `make test-pages` installs it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.support.process import ROOT

AXE = ROOT / "gateway" / "explorer" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

Violations = Callable[[Page], list[str]]


@pytest.fixture(scope="session")
def violations() -> Violations:
    """Lists each violation with what it concerns."""
    if not AXE.exists():
        if os.environ.get("CI", "").lower() in {"1", "true"} and shutil.which("npm"):
            pytest.fail("axe-core is missing: make test-pages")
        pytest.skip("axe-core is not installed: make test-pages")
    source = AXE.read_text()

    def found(page: Page) -> list[str]:
        page.evaluate(source)
        options = {"runOnly": {"type": "tag", "values": RULES}}
        told = page.evaluate("options => axe.run(document, options)", options)["violations"]
        return [f"{one['id']}: {each['html'][:200]}: {each['failureSummary']}" for one in told for each in one["nodes"]]

    return found
