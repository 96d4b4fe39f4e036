"""GraphiQL as people meet it: in Chromium, on the real server with demo data, without any other host.

With UPDATE_SNAPSHOTS=1 the pictures of the documentation are taken anew.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, Response, WebSocketRoute, expect

from db.base.markers import Group
from tests.support.accessibility import Violations
from tests.support.browsing import Scheme
from tests.support.exploring import ask
from tests.support.process import ROOT, Gateway

pytestmark = pytest.mark.slow

EXACT = "9007199254740993"
"""2^53 + 1, which no double is."""

PICTURES = ROOT / "gateway" / "docs"
MAX_PICTURE = 250_000
EXAMPLES = {
    "LineageExplorer": ("experiments", "nodes"),
    "LlmAgent": ("models", "nodes"),
    "Analyst": ("models", "nodes"),
    "Lineage": ("lineage", "edges"),
    "Promote": ("promoteModel", "__typename"),
}
"""The titles of the opening tabs, and what each of them answers."""


@pytest.fixture
def visit(open_page: Callable[..., Page]) -> Callable[..., Page]:
    """Opens GraphiQL as a new visitor."""

    def visited(scheme: Scheme = "light") -> Page:
        page = open_page("graphql", scheme)
        expect(page.locator(".graphiql-query-editor .view-line").first).to_be_visible()
        return page

    return visited


def execute(page: Page) -> dict[str, Any]:
    """Clicks the button; returns the answer, which has no errors and is shown."""

    def is_answer(response: Response) -> bool:
        return response.request.method == "POST" and "IntrospectionQuery" not in (response.request.post_data or "")

    with page.expect_response(is_answer) as received:
        page.get_by_role("button", name=re.compile("^Execute query")).click()
    assert received.value.status == 200
    answer: dict[str, Any] = received.value.json()
    assert "errors" not in answer
    expect(page.locator(".result-window .view-lines")).to_contain_text('"data"')
    data: dict[str, Any] = answer["data"]
    return data


def query(page: Page) -> str:
    """The text of the query editor, as far as it is in sight."""
    return page.locator(".graphiql-query-editor .view-lines").inner_text().replace("\N{NO-BREAK SPACE}", " ")


def write(page: Page, text: str) -> None:
    """Replaces the query."""
    page.locator(".graphiql-query-editor .view-lines").click()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.press("Delete")
    page.keyboard.insert_text(text)
    settle(page)


def settle(page: Page) -> None:
    """Waits until GraphiQL has read a new query, 50 ms after the last change; it sends the old name until then."""
    page.evaluate("() => new Promise(resolve => setTimeout(resolve, 500))")  # the page's own timers keep their order


def open_plugin(page: Page, name: str) -> Any:
    page.get_by_role("button", name=f"Show {name}").click()
    return page.locator(".graphiql-plugin")


def background(page: Page) -> int:
    """The brightness of the page, from 0 to 255."""
    script = "() => getComputedStyle(document.querySelector('.graphiql-container')).backgroundColor"
    return max(int(part) for part in re.findall(r"\d+", page.evaluate(script))[:3])


def test_the_example_tabs_answer(visit: Callable[..., Page]) -> None:
    page = visit()
    tabs = page.locator("[role=tab] .graphiql-tab-button")
    expect(tabs).to_have_text([*EXAMPLES])
    for title, (field, told) in EXAMPLES.items():
        tabs.filter(has_text=re.compile(f"^{title}$")).click()
        expect(page.locator(".graphiql-query-editor .view-lines")).to_contain_text(title)
        settle(page)
        assert execute(page)[field][told]


def test_the_docs_describe_a_type(visit: Callable[..., Page]) -> None:
    page = visit()
    docs = open_plugin(page, "Documentation Explorer")
    groups = docs.locator(".graphiql-markdown-description").first.locator("ol li")
    expect(groups).to_have_count(len(Group))
    expect(groups.first).to_contain_text("mlops_core: experiments, models")
    docs.get_by_role("link", name="Experiment", exact=True).click()
    expect(docs.locator(".graphiql-doc-explorer-title")).to_have_text("Experiment")
    expect(docs.locator(".graphiql-markdown-description").first).to_have_text(re.compile(r"\w+ \w+"))
    expect(docs).to_contain_text("predictionTarget")


def test_the_explorer_edits_the_query(visit: Callable[..., Page], violations: Violations) -> None:
    page = visit()
    write(page, "query Mine { tools(first: 2, where: { composable: { eq: true } }) { nodes { name } } }")
    explorer = open_plugin(page, "GraphiQL Explorer")
    expect(explorer.get_by_label("first", exact=True)).to_have_value("2")
    expect(explorer.get_by_label("where.composable.eq", exact=True)).to_have_value("true")
    assert violations(page, ".graphiql-plugin") == []
    toggle = explorer.locator("[data-field-name=totalCount][data-field-type=Int]").first
    toggle.click()
    expect(page.locator(".graphiql-query-editor .view-lines")).to_contain_text("totalCount")
    assert execute(page)["tools"]["totalCount"] > 0
    toggle.click()
    expect(page.locator(".graphiql-query-editor .view-lines")).not_to_contain_text("totalCount")
    assert "tools" in query(page)


def test_the_history_remembers_the_query(visit: Callable[..., Page]) -> None:
    page = visit()
    write(page, "query Remembered { __typename }")
    assert execute(page) == {"__typename": "Query"}
    expect(open_plugin(page, "History")).to_contain_text("Remembered")
    page.reload()
    expect(page.locator(".graphiql-plugin")).to_contain_text("Remembered")


def test_fields_are_completed(visit: Callable[..., Page]) -> None:
    page = visit()
    write(page, "query Unfinished { experiments(first: 1) { nodes {  } } }")
    for _ in range(len(" } } }")):
        page.keyboard.press("ArrowLeft")
    suggestions = page.locator(".suggest-widget .monaco-list-row")

    def suggested() -> bool:  # the worker may still be loading the schema
        page.keyboard.press("Control+Space")
        page.wait_for_timeout(250)
        return suggestions.filter(has_text="brand").count() > 0

    assert any(suggested() for _ in range(100))
    expect(suggestions.filter(has_text="brand").first).to_be_visible()


def test_a_mistake_is_underlined(visit: Callable[..., Page]) -> None:
    page = visit()
    write(page, "query Mistaken { experiments { nodes { unheardOf } } }")
    expect(page.locator(".graphiql-query-editor .squiggly-error")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_colour_schemes(visit: Callable[..., Page], scheme: Scheme) -> None:
    page = visit(scheme)
    assert execute(page)["experiments"]["nodes"]
    assert (background(page) > 128) == (scheme == "light")
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        picture = PICTURES / f"graphiql-{scheme}.png"
        picture.parent.mkdir(exist_ok=True)
        page.mouse.move(700, 880)  # off the button, whose tooltip would be in the picture
        expect(page.get_by_role("tooltip")).to_have_count(0)
        page.screenshot(path=picture, animations="disabled")
        assert picture.stat().st_size < MAX_PICTURE


def test_the_pictures_are_there() -> None:
    for scheme in ("light", "dark"):
        picture: Path = PICTURES / f"graphiql-{scheme}.png"
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < MAX_PICTURE


WIDEST_ID = 200


def width(part: Locator) -> float:
    box = part.bounding_box()
    assert box
    return box["width"]


def test_the_cookbook_and_the_result_as_a_table(visit: Callable[..., Page], violations: Violations) -> None:
    page = visit()
    page.get_by_role("button", name="Show Cookbook").click()
    book = page.get_by_role("region", name="Cookbook")
    everything = book.locator("li").count()
    assert everything >= 20
    assert violations(page, ".cookbook") == []
    book.get_by_label("Search").fill("alerts severity")
    expect(book.locator("li")).not_to_have_count(everything)
    book.get_by_role("button", name="alerts by status and severity").click()
    expect(page.get_by_role("tab", name="AlertsByStatusAndSeverity")).to_be_visible()
    rows = execute(page)["monitoringAlerts"]["nodes"]
    page.get_by_role("button", name="Show Result as a table").click()
    table = page.get_by_role("region", name="Result")
    expect(table.locator("tbody tr")).to_have_count(len(rows))
    expect(table.get_by_role("columnheader", name="model.modelName")).to_be_visible()
    assert violations(page, ".results") == []
    link = table.get_by_role("link", name=rows[0]["id"])
    assert link.get_attribute("href") == f"explorer#from={quote(rows[0]['id'], '')}&select={quote(rows[0]['id'], '')}"
    with page.expect_download() as started:
        table.get_by_role("button", name="CSV").click()
    lines = list(csv.DictReader(started.value.path().read_text().splitlines()))
    assert [line["id"] for line in lines] == [row["id"] for row in rows]
    assert lines[0]["model.modelName"] == rows[0]["model"]["modelName"]
    assert width(link) < WIDEST_ID, "an id leaves room for the other columns"


OWN = {
    "nested-interactive": "GraphiQL's tabs are list items of that role, which hold the buttons that show and close them"
}
"""What axe-core finds in GraphiQL's own elements, and why."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_whole_page_is_accessible(visit: Callable[..., Page], violations: Violations, scheme: Scheme) -> None:
    """At the width of a window, a tablet and a phone; each reason that is given still holds."""
    page = visit(scheme)
    page.set_viewport_size({"width": 1440, "height": 844})
    page.get_by_role("button", name="Show Cookbook").click()
    found = set()
    for width in (1440, 768, 390):
        page.set_viewport_size({"width": width, "height": 844})
        wrong = violations(page)
        found |= {rule for rule in OWN if any(f": {rule}: " in one for one in wrong)}
        assert [one for one in wrong if not any(f": {rule}: " in one for rule in OWN)] == [], width
        assert page.evaluate("() => document.scrollingElement.scrollWidth") <= width
    assert found == OWN.keys()


def test_panes_stand_below_each_other_on_a_phone(visit: Callable[..., Page]) -> None:
    page = visit()
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("button", name="Show Cookbook").click()
    panes = [".cookbook", ".pages", ".graphiql-query-editor", ".graphiql-response"]
    boxes = [page.locator(pane).bounding_box() for pane in panes]
    tops = [box["y"] for box in boxes if box]
    assert tops == sorted(tops)
    assert all(box and box["x"] >= 0 and box["width"] <= 390 for box in boxes)


def test_units_stand_beside_numbers(visit: Callable[..., Page], violations: Violations) -> None:
    """By the graph's `columnFacts`: in the headings of the table, behind each number of the chart."""
    page = visit("dark")
    fields = "name: deploymentName slow: latencyP95Ms errorRate"
    write(
        page,
        f"query Slow {{ deployments(first: 5, where: {{ latencyP95Ms: {{ gt: 0 }} }}) {{ nodes {{ {fields} }} }} }}",
    )
    rows = execute(page)["deployments"]["nodes"]
    page.get_by_role("button", name="Show Result as a table").click()
    table = page.get_by_role("region", name="Result")
    expect(table.get_by_role("columnheader")).to_have_text(["name", "slow ms", "errorRate"])
    table.get_by_label("Chart").select_option("slow")
    expect(table.locator(".bars li").first).to_contain_text(f"{rows[0]['slow']} ms")
    assert len({width(bar) for bar in table.get_by_role("meter").all()}) == 1, "bars of one chart have one scale"
    assert violations(page, ".results") == []


def test_whole_numbers_keep_their_digits(visit: Callable[..., Page]) -> None:
    """The gateway's JSON has them; a browser's own reading of it would round them."""
    page = visit()
    rows = [{"id": f"Count:{digits}", "many": "MANY"} for digits in (EXACT, 7)]
    body = json.dumps({"data": {"rows": rows}}).replace('"MANY"', EXACT, 1).replace('"MANY"', "7", 1)
    page.route("**/graphql", lambda route: route.fulfill(body=body, content_type="application/json"))
    page.get_by_role("button", name="Execute query").click()
    expect(page.locator(".result-window .view-lines")).to_contain_text(EXACT)
    page.get_by_role("button", name="Show Result as a table").click()
    table = page.get_by_role("region", name="Result")
    expect(table.get_by_role("cell", name=EXACT, exact=True)).to_be_visible()
    expect(table.get_by_label("Chart")).to_contain_text("many")
    with page.expect_download() as started:
        table.get_by_role("button", name="CSV").click()
    assert [line["many"] for line in csv.DictReader(started.value.path().read_text().splitlines())] == [EXACT, "7"]


def test_whole_numbers_of_a_subscription_keep_their_digits(visit: Callable[..., Page]) -> None:
    page = visit()

    def answer(socket: WebSocketRoute) -> None:
        def said(message: str | bytes) -> None:
            told = json.loads(message)
            if told["type"] == "connection_init":
                socket.send(json.dumps({"type": "connection_ack"}))
            elif told["type"] == "subscribe":
                payload = f'{{"data": {{"alerts": {{"cursor": "{EXACT}", "many": {EXACT}}}}}}}'
                socket.send(f'{{"id": "{told["id"]}", "type": "next", "payload": {payload}}}')

        socket.on_message(said)

    page.route_web_socket("**/graphql", answer)
    page.reload()  # sockets of the page as it is are the browser's own
    expect(page.locator(".graphiql-query-editor .view-line").first).to_be_visible()
    write(page, "subscription Followed { alerts { cursor } }")
    page.get_by_role("button", name="Execute query").click()
    expect(page.locator(".result-window .view-lines")).to_contain_text(f'"many": {EXACT}')
    expect(page.locator(".result-window .view-lines")).to_contain_text(f'"cursor": "{EXACT}"')


def test_the_script_of_the_documentation_follows_changes(open_page: Callable[..., Page], site: Gateway) -> None:
    """As it stands there: the first message says where it begins, the next one what has changed."""
    text = (PICTURES / "how-to" / "subscribe.md").read_text()
    (script,), (subscription, *_) = (re.findall(f"```{name}\n(.*?)```", text, re.DOTALL) for name in ("js", "graphql"))
    page = open_page("graphql")
    begin = "window.heard = []; follow(query, ({ event }) => window.heard.push(event?.reason));"
    page.evaluate(f"(query) => {{ {script} {begin} }}", subscription)

    def heard(messages: int) -> list[str | None]:
        while len(found := page.evaluate("window.heard")) < messages:
            page.wait_for_timeout(20)
        return list(found)

    assert heard(1) == [None]
    shadows = "{ models(where: { stage: { eq: SHADOW } }, first: 1) { nodes { id } } }"
    model = ask(site, shadows)["models"]["nodes"][0]["id"]
    promote = "mutation($input: PromoteModelInput!) { promoteModel(input: $input) { __typename } }"
    ask(site, promote, input={"id": model, "to": "PRODUCTION", "reason": "by hand", "force": True})
    assert heard(2) == [None, "by hand"]
