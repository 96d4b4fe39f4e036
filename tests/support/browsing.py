"""The gateway's pages in headless Chromium, on the real server with demo data, without any other host."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect, sync_playwright

from tests.support.process import Gateway

ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),  # Chromium refuses to run as root with it
]

TIMEOUT = 60_000
"""Milliseconds after which something that should happen soon never will."""
expect.set_options(timeout=TIMEOUT)

Scheme = Literal["light", "dark"]


class Held:
    """Requests of a page that wait until they are let go."""

    def __init__(self, page: Page, which: Callable[[dict[str, Any]], bool]) -> None:
        self.routes: list[Route] = []
        self._page = page
        self._which = which
        page.route("**/graphql", self._meet)

    def _meet(self, route: Route) -> None:
        if self._which(route.request.post_data_json):
            self.routes.append(route)
        else:
            route.continue_()

    def until_one_waits(self) -> None:
        while not self.routes:
            self._page.wait_for_timeout(20)

    def let_go(self) -> None:
        self._which = lambda _: False
        while self.routes:
            self.routes.pop().continue_()


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None and os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail("Chromium is missing; the browser tests must run in CI")
    if found is None:
        pytest.skip("Chromium is not installed")
    return found


@pytest.fixture(scope="module")
def site(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("browser")
    server = Gateway(folder / "d", "serve", "--demo", "small")
    try:
        yield server.ready()
        assert server.end() == 0
        assert server.left() == []
    finally:
        if server.process.poll() is None:
            server.end()
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Of this file only: while it is open, its event loop counts as the running one of this thread."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Browser, site: Gateway) -> Iterator[Callable[..., Page]]:
    """Opens a page as a new visitor. Whatever it asks for is on this host, nothing fails, nothing is refused.

    A test that breaks something on purpose passes ``calm=False``; its page may complain, but not look elsewhere.
    """
    requested: list[str] = []
    complaints: list[str] = []
    contexts = []

    def failed(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page was left while it still loaded
            complaints.append(f"{request.url}: {request.failure}")

    def opened(path: str, scheme: Scheme = "light", *, calm: bool = True) -> Page:
        context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        context.set_default_timeout(TIMEOUT)
        context.on("request", lambda request: requested.append(request.url))
        if calm:
            context.on("requestfailed", failed)
            context.on("weberror", lambda error: complaints.append(str(error.error)))
            context.on(
                "console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None
            )
        page = context.new_page()
        page.goto(f"{site.base}/{path}")
        return page

    yield opened
    for context in contexts:
        context.close()
    elsewhere = [url for url in requested if not url.startswith((f"{site.base}/", "data:", "blob:"))]
    assert requested
    assert elsewhere == []
    assert complaints == []
