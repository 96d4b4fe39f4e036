"""The lineage explorer in a browser: links to it, what it draws, and that it has come to rest."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from playwright.sync_api import Locator, Page, expect

from db.embedded.server import OWNER_ROLE
from tests.support.process import Gateway


def ask(gateway: Gateway, query: str, **variables: object) -> dict[str, Any]:
    answer = gateway.http.post(f"{gateway.base}/graphql", json={"query": query, "variables": variables}).json()
    assert "errors" not in answer
    data: dict[str, Any] = answer["data"]
    return data


def run_sql(gateway: Gateway, script: str, *values: object) -> None:
    """Runs SQL as the owner of the database that the gateway brought along."""

    async def run() -> None:
        folder = str(gateway.postgres.socket_folder)
        connection = await asyncpg.connect(host=folder, port=5432, user=OWNER_ROLE, database="e2i")
        try:
            await connection.execute(script, *values)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as aside:  # the browser's loop runs in the caller's thread
        aside.submit(asyncio.run, run()).result()


def link(*start: str, **view: object) -> str:
    parameters = [f"from={quote(id_)}" for id_ in start] + [f"{name}={value}" for name, value in view.items()]
    return f"explorer#{'&'.join(parameters)}"


@pytest.fixture(scope="module")
def experiment(site: Gateway) -> str:
    """The one whose model was retrained: its loop is closed."""
    query = "{ retrainings(first: 1) { nodes { model { experiment { id } } } } }"
    return str(ask(site, query)["retrainings"]["nodes"][0]["model"]["experiment"]["id"])


@pytest.fixture(scope="module")
def retraining(site: Gateway) -> str:
    return str(ask(site, "{ retrainings(first: 1) { nodes { id } } }")["retrainings"]["nodes"][0]["id"])


def nodes(page: Page) -> Locator:
    return page.locator("[data-node]")


def node(page: Page, id_: str) -> Locator:
    return page.locator(f"[data-node='{id_}']")


def places(page: Page) -> dict[str, str]:
    script = "all => Object.fromEntries(all.map(one => [one.dataset.node, one.getAttribute('transform')]))"
    found: dict[str, str] = nodes(page).evaluate_all(script)
    return found


def settled(page: Page) -> dict[str, str]:
    expect(nodes(page).first).to_be_attached()
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    return places(page)


def press(page: Page, target: Locator) -> None:
    """Clicks what may be out of sight in the drawing."""
    target.dispatch_event("click")
    page.wait_for_timeout(50)


def grown(page: Page, before: dict[str, str]) -> dict[str, str]:
    """Waits until the view has more nodes than before, all of which stayed where they were."""
    page.wait_for_function("n => document.querySelectorAll('[data-node]').length > n", arg=len(before))
    after = settled(page)
    assert before.items() <= after.items()
    return after
