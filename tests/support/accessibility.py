"""What axe-core finds wrong with a page, in light and in dark colours. It comes with the sources of the pages:
`make test-pages` installs it.
"""

from __future__ import annotations

import os
import shutil
from typing import Protocol

import pytest
from playwright.sync_api import Page

from tests.support.process import ROOT

AXE = ROOT / "gateway" / "explorer" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

SCHEMES = """() => document.documentElement.dataset.scheme ? ['light', 'dark'] : ['as it is']"""
"""The console's pages say in their root element which colours they have; other pages have those of the browser."""


WEAR = """scheme => {
    const root = document.documentElement, before = root.dataset.scheme ?? 'as it is';
    if (scheme !== 'as it is') root.dataset.scheme = scheme;
    return before;
}"""


class Violations(Protocol):
    def __call__(self, page: Page, within: str = "html") -> list[str]: ...


@pytest.fixture(scope="session")
def violations() -> Violations:
    """Lists each violation of a state in either colours, with what it concerns."""
    if not AXE.exists():
        if os.environ.get("CI", "").lower() in {"1", "true"} and shutil.which("npm"):
            pytest.fail("axe-core is missing: make test-pages")
        pytest.skip("axe-core is not installed: make test-pages")
    source = AXE.read_text()

    def found(page: Page, within: str = "html") -> list[str]:
        page.evaluate(source)
        options = {"runOnly": {"type": "tag", "values": RULES}}
        wrong = []
        for scheme in page.evaluate(SCHEMES):
            before = page.evaluate(WEAR, scheme)
            told = page.evaluate("([within, options]) => axe.run(within, options)", [within, options])["violations"]
            page.evaluate(WEAR, before)
            wrong += [
                f"{scheme}: {one['id']}: {each['html'][:200]}: {each['failureSummary']}"
                for one in told
                for each in one["nodes"]
            ]
        return wrong

    return found
