"""The console's home page in Chromium, on the real server with demo data."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from gateway.app import CONSOLE_PAGES
from gateway.operations.persisted import CONSOLE, load
from tests.support.accessibility import Violations
from tests.support.browsing import Held
from tests.support.callers import SECRET, token
from tests.support.exploring import ask, run_sql
from tests.support.process import ROOT, Gateway

pytestmark = pytest.mark.slow

OpenPage = Callable[..., Page]
PICTURES = ROOT / "gateway" / "docs"
MAX_PICTURE = 400_000
LIST_NAMES = [name for name in CONSOLE_PAGES if name != "explorer"]
SIZES = ({"width": 1440, "height": 900}, {"width": 768, "height": 1024}, {"width": 390, "height": 844})
STICKS_OUT = "() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
"""How far a page can be moved sideways."""
PLAIN_LINKS = """() => [...document.querySelectorAll('main :is(.dim, .changes) a')]
    .filter(one => getComputedStyle(one).textDecorationLine !== 'underline').map(one => one.outerHTML)"""
"""Links that only their colour tells from the words around them. (axe-core knows them among many words alone.)"""
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

ALERTS = """{ monitoringAlerts(
    where: { status: { in: [ACTIVE, ACKNOWLEDGED, INVESTIGATING] } }
    orderBy: [{ field: SEVERITY, direction: DESC }, { field: CREATED_AT, direction: DESC }]
) { totalCount nodes { id title status } } }"""

HEALTH = """{ models(where: { isChampion: { eq: true } }, first: 50) {
    totalCount nodes { id health { healthStatus activeAlerts } } } }"""


def row(page: Page, id_: str) -> Any:
    return page.locator(f"[data-row='{id_}']")


def card(page: Page, title: str) -> Any:
    return page.get_by_role("region", name=title, exact=True)


def loaded(page: Page) -> Page:
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    return page


def _without_assets(page: str) -> list[str]:
    """The lines of a page but for the scripts and sheets that it asks for."""
    return [line for line in page.splitlines() if "/assets/" not in line]


def test_a_browser_gets_the_console_and_others_are_led_to_the_graph(site: Gateway) -> None:
    page = site.http.get("/", headers=HTML)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["vary"] == "accept"
    assert _without_assets(page.text) == _without_assets(site.http.get("/explorer").text)
    for accept in ("application/json", "*/*", "application/graphql-response+json"):
        other = site.http.get("/", headers={"accept": accept}, follow_redirects=False)
        assert (other.status_code, other.headers["location"], other.headers["vary"]) == (307, "/graphql", "accept")


def test_what_needs_a_hand_comes_first(open_page: OpenPage, site: Gateway) -> None:
    page = loaded(open_page(""))
    alerts = ask(site, ALERTS)["monitoringAlerts"]
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{alerts['totalCount']} alerts to work on")
    expect(page).to_have_title(f"({alerts['totalCount']}) Home · E2I metadata gateway")
    shown = card(page, "Alerts to work on").locator("li[data-row]")
    assert shown.evaluate_all("all => all.map(one => one.dataset.row)") == [one["id"] for one in alerts["nodes"]]
    champions = ask(site, HEALTH)["models"]
    health = {one["id"]: (one["health"] or {}).get("healthStatus") or "unknown" for one in champions["nodes"]}
    lines = card(page, "Champions").locator("tr[data-row]")
    expect(lines).to_have_count(champions["totalCount"])
    states = [health[id_] for id_ in lines.evaluate_all("all => all.map(one => one.dataset.row)")]
    order = ["critical", "warning", "unknown", "healthy"]
    assert states == sorted(states, key=order.index)
    assert len(set(states)) > 1
    for id_, state in health.items():
        expect(row(page, id_).locator(".state")).to_have_text(state)
    expect(row(page, alerts["nodes"][0]["id"]).locator("time").first).to_have_attribute("title", re.compile("UTC$"))


def test_figures_are_those_of_the_api(open_page: OpenPage, site: Gateway) -> None:
    page = loaded(open_page(""))
    told = ask(
        site,
        """{ deployments(where: { environment: { eq: "production" } }) { totalCount
             aggregate(groupBy: [{ field: STATUS }]) { group { status } count } }
           fidelityComparisons { totalCount
             aggregate(groupBy: [{ field: FIDELITY_GRADE }]) { group { fidelityGrade } count } }
           lifecycleEvents { totalCount } }""",
    )
    production = card(page, "Deployments").locator("li").first
    expect(production).to_contain_text("production")
    for one in told["deployments"]["aggregate"]:
        name = one["group"]["status"].lower().replace("_", " ")
        expect(production).to_contain_text(f"{one['count']} {name}")
    for one in told["fidelityComparisons"]["aggregate"]:
        grade = card(page, "Twins and experiments").locator("tr").filter(has_text=one["group"]["fidelityGrade"])
        expect(grade.locator("td").nth(1)).to_have_text(str(one["count"]))
    expect(card(page, "Recent changes").locator("li")).to_have_count(min(8, told["lifecycleEvents"]["totalCount"]))
    plot = card(page, "Drift by day").get_by_role("img")
    expect(plot).to_have_attribute("aria-label", re.compile(r"Readings of drift by severity in 14 days: \d+ critical"))


def test_the_drift_of_each_champion_is_its_own(open_page: OpenPage, site: Gateway) -> None:
    page = loaded(open_page(""))
    since = (datetime.now(UTC) - timedelta(days=13)).strftime("%Y-%m-%dT00:00:00Z")
    query = """query($since: DateTime!) { models(where: { isChampion: { eq: true } }, first: 50) { nodes {
        id driftHistory(where: { createdAt: { gte: $since } }) { aggregate { driftScore { max } } } } } }"""
    champions = ask(site, query, since=since)["models"]["nodes"]
    largest = {one["id"]: one["driftHistory"]["aggregate"][0]["driftScore"]["max"] for one in champions}
    assert len(set(largest.values())) > 3
    for id_, most in largest.items():
        if most is None:
            expect(row(page, id_)).to_contain_text("no readings")
        else:
            plot = row(page, id_).get_by_role("img")
            expect(plot).to_have_attribute("aria-label", re.compile(f"^Largest drift score of a day: {most:.3f} in"))


def test_from_home_to_the_lineage_and_back(open_page: OpenPage, site: Gateway) -> None:
    page = loaded(open_page(""))
    alert = ask(site, ALERTS)["monitoringAlerts"]["nodes"][0]
    row(page, alert["id"]).get_by_role("link", name=alert["title"]).click()
    expect(page.get_by_role("heading", name=alert["title"], exact=True)).to_be_visible()
    expect(page).to_have_url(re.compile(re.escape(f"from={alert['id']}&select={alert['id']}")))
    expect(page).to_have_title(f"{alert['title']} · Lineage · E2I metadata gateway")
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Home").click()
    loaded(page)
    expect(page.get_by_role("link", name="Home")).to_have_attribute("aria-current", "page")
    page.get_by_role("combobox", name="Search").fill(alert["id"])
    page.get_by_role("option").first.click()
    expect(page.get_by_role("heading", name=alert["title"], exact=True)).to_be_visible()
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="GraphiQL").click()
    expect(page.locator(".graphiql-query-editor .view-line").first).to_be_visible()


def test_home_is_followed_live(open_page: OpenPage, site: Gateway) -> None:
    page = loaded(open_page(""))
    expect(page.locator(".live")).to_be_visible()
    alerts = ask(site, ALERTS)["monitoringAlerts"]
    alert = next(one for one in alerts["nodes"] if one["status"] == "ACTIVE")
    change = 'mutation($id: ID!) { acknowledgeAlert(input: { id: $id, reason: "On it" }) { __typename } }'
    assert ask(site, change, id=alert["id"])["acknowledgeAlert"]["__typename"] == "TransitionApplied"
    expect(row(page, alert["id"]).locator(".state")).to_have_text("acknowledged")
    expect(card(page, "Recent changes").locator("li").first).to_contain_text("On it")
    change = 'mutation($id: ID!) { dismissAlert(input: { id: $id, reason: "A test" }) { __typename } }'
    assert ask(site, change, id=alert["id"])["dismissAlert"]["__typename"] == "TransitionApplied"
    expect(row(page, alert["id"])).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{alerts['totalCount'] - 1} alerts to work on")


def test_a_gateway_that_goes_away_leaves_what_was_read(open_page: OpenPage, site: Gateway) -> None:
    page = loaded(open_page("", calm=False))
    expect(page.locator(".live")).to_be_visible()
    alerts = ask(site, ALERTS)["monitoringAlerts"]["nodes"]
    page.route("**/graphql", lambda route: route.abort())
    alert = next(one for one in alerts if one["status"] == "ACTIVE")
    change = "mutation($id: ID!) { acknowledgeAlert(input: { id: $id }) { __typename } }"
    assert ask(site, change, id=alert["id"])["acknowledgeAlert"]["__typename"] == "TransitionApplied"
    failed = page.get_by_role("alert")
    expect(failed).to_contain_text("cannot be reached")
    expect(failed).to_contain_text("What is shown is as of")
    expect(card(page, "Alerts to work on").locator("li[data-row]")).to_have_count(len(alerts))
    page.unroute("**/graphql")
    failed.get_by_role("button", name="Try again").click()
    expect(failed).to_have_count(0)
    expect(row(page, alert["id"]).locator(".state")).to_have_text("acknowledged")


def test_a_token_is_asked_for_once_for_all_pages(open_page: OpenPage) -> None:
    page = open_page("", calm=False)

    def guard(route: Route) -> None:
        if route.request.method == "GET" or route.request.headers.get("authorization") == "Bearer s3cret":
            route.continue_()
            return
        refused = {"errors": [{"message": "Send a JWT.", "extensions": {"code": "UNAUTHENTICATED"}}]}
        route.fulfill(status=401, content_type="application/json", body=json.dumps(refused))

    page.route("**/graphql", guard)
    page.reload()
    asked = page.get_by_role("alert")
    expect(asked).to_contain_text("Send a JWT.")
    asked.get_by_label("Token").fill("s3cret")
    asked.get_by_role("button", name="Use it").click()
    loaded(page)
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Lineage").click()
    expect(page.locator(".welcome li")).not_to_have_count(0)
    with page.expect_request(lambda request: request.method == "POST") as sent:
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="GraphiQL").click()
    assert sent.value.headers["authorization"] == "Bearer s3cret", "one sign-in for all pages"
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Lineage").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("alert")).to_contain_text("Send a JWT.")


def test_a_slow_network_is_waited_for(open_page: OpenPage, violations: Violations) -> None:
    page = open_page("graphql", calm=False)
    for path, waiting in (("", "Reading the fleet …"), ("alerts", "Reading …"), ("explorer#from=Model:x", "Reading")):
        held = Held(page, lambda _: True)
        page.goto(f"{page.url.rpartition('/')[0]}/{path}")
        held.until_one_waits()
        expect(page.locator("main")).to_contain_text(waiting)
        expect(page.locator("main")).to_have_attribute("aria-busy", "true")
        assert violations(page) == []
        held.let_go()
        expect(page.locator("main")).to_have_attribute("aria-busy", "false")


def test_the_ways_between_pages_are_painted_before_sheet_and_scripts_have_come(open_page: OpenPage) -> None:
    page = open_page("version", calm=False)
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    page.route("**/static/explorer/**", hold)
    page.goto(f"{page.url.rpartition('/')[0]}/", wait_until="commit")
    page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length > 0")
    expect(page.get_by_role("navigation", name="Pages").get_by_role("link", name="Lineage")).to_be_visible()
    assert page.locator("main").count() == 0
    page.route("**/static/explorer/**", lambda route: route.continue_())
    while waiting:
        waiting.pop().continue_()
    loaded(page)


def locked(page: Page) -> None:
    refused = {"errors": [{"message": "Send a JWT.", "extensions": {"code": "UNAUTHENTICATED"}}]}
    page.route("**/graphql", lambda route: route.fulfill(status=401, json=refused))
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("Send a JWT.")


def gone(page: Page) -> None:
    page.route("**/graphql", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")


def as_it_is(page: Page) -> None:
    loaded(page)


@pytest.mark.parametrize("state", [as_it_is, locked, gone])
def test_every_state_is_accessible(open_page: OpenPage, violations: Violations, state: Callable[[Page], None]) -> None:
    page = open_page("", calm=False)
    state(page)
    for size in SIZES:
        page.set_viewport_size(size)
        assert violations(page) == []
        assert page.evaluate(STICKS_OUT) == 0
        assert page.evaluate(PLAIN_LINKS) == []


ASKED = """
    const send = window.fetch;
    window.fetch = (...asked) => {
        window.askedFirst ??= !window.turned;
        return send(...asked);
    };
    new MutationObserver((_all, self) => {
        if (!document.querySelector('main')) return;
        self.disconnect();
        setTimeout(() => { window.turned = true; });
    }).observe(document, { childList: true, subtree: true });
"""
"""Whether a page asks for what it shows in the same turn in which it stands in the document, so before it is drawn."""


@pytest.mark.parametrize("path", ["", "models", "explorer"])
def test_a_page_asks_before_it_is_drawn(open_page: OpenPage, site: Gateway, path: str) -> None:
    """Drawing takes as long as a small answer: one waits for the other where it comes first."""
    page = open_page("healthz", calm=False)
    page.add_init_script(ASKED)
    (model,) = ask(site, "{ models(first: 1) { nodes { id } } }")["models"]["nodes"]
    hash_ = f"#from={model['id']}" if path == "explorer" else ""
    page.goto(f"{site.base}/{path}{hash_}")
    page.wait_for_function("() => window.askedFirst !== undefined")
    assert page.evaluate("() => window.askedFirst")


def test_pictures_of_the_documentation(request: pytest.FixtureRequest, site: Gateway) -> None:
    """With UPDATE_SNAPSHOTS=1 they are taken anew."""
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        open_page: OpenPage = request.getfixturevalue("open_page")
        page = loaded(open_page(""))
        expect(page.locator(".live")).to_be_visible()
        page.set_viewport_size({"width": 1280, "height": 860})
        page.screenshot(path=PICTURES / "console-home.png", animations="disabled")
        alert = ask(site, ALERTS)["monitoringAlerts"]["nodes"][-2]
        row(page, alert["id"]).get_by_role("button", name=re.compile("^Retrain: ")).click()
        expect(page.get_by_role("region", name="Preview")).to_contain_text("It would change")
        page.get_by_role("textbox", name="Reason", exact=True).fill("The payer mix has shifted")
        page.screenshot(path=PICTURES / "console-sheet.png", animations="disabled")
    for name in ("console-home.png", "console-sheet.png"):
        picture = PICTURES / name
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < MAX_PICTURE


# -- lists -----------------------------------------------------------------------------------------------------------


def shown(page: Page) -> list[str]:
    ids: list[str] = page.locator("tbody tr[data-row]").evaluate_all("all => all.map(one => one.dataset.row)")
    return ids


def told(page: Page, total: int) -> None:
    expect(page.locator("main .summary p").first).to_contain_text(re.compile(rf"^{total:,} "))
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")


def test_a_list_is_filtered_sorted_and_passed_on(open_page: OpenPage, site: Gateway) -> None:
    page = loaded(open_page("models"))
    query = """query($where: ModelWhere, $order: [ModelOrder!]) {
        models(where: $where, orderBy: $order, first: 50) { totalCount nodes { id auc modelName } } }"""

    def expected(where: object, field: str, direction: str) -> Any:
        return ask(site, query, where=where, order=[{"field": field, "direction": direction}])["models"]

    every = expected({}, "TRAINED_AT", "DESC")
    told(page, every["totalCount"])
    assert shown(page) == [one["id"] for one in every["nodes"]]
    page.get_by_role("button", name="production", exact=True).click()
    page.get_by_role("button", name="AUC", exact=True).click()
    some = expected({"stage": {"eq": "PRODUCTION"}}, "AUC", "DESC")
    told(page, some["totalCount"])
    page.wait_for_function("id => document.querySelector('tbody tr').dataset.row === id", arg=some["nodes"][0]["id"])
    assert shown(page) == [one["id"] for one in some["nodes"]]
    expect(page.get_by_role("columnheader", name="AUC")).to_have_attribute("aria-sort", "descending")
    expect(page).to_have_url(re.compile(re.escape("models#stage=PRODUCTION&sort=-auc") + "$"))
    page.reload()
    told(page, some["totalCount"])
    assert shown(page) == [one["id"] for one in some["nodes"]]
    page.get_by_label("Containing").fill("no such model")
    expect(page.locator("main")).to_contain_text("No model is of this filter.")
    page.get_by_role("button", name="Clear filters").click()
    told(page, every["totalCount"])


def test_a_list_is_a_file_with_every_row(open_page: OpenPage, site: Gateway) -> None:
    page = loaded(open_page("deployments#environment=production"))
    rows = ask(site, '{ deployments(where: { environment: { eq: "production" } }) { totalCount } }')
    with page.expect_download() as started:
        page.get_by_role("button", name="CSV").click()
    assert started.value.suggested_filename == "deployments.csv"
    lines = list(csv.reader(started.value.path().read_text().splitlines()))
    assert lines[0][:3] == ["id", "Deployment", "Environment"]
    assert "Latency p95 (ms)" in lines[0]
    assert len(lines) == 1 + rows["deployments"]["totalCount"]
    assert {line[2] for line in lines[1:]} == {"production"}


def test_a_view_is_saved_under_a_name_and_opened_again(open_page: OpenPage) -> None:
    page = loaded(open_page("alerts#severity=CRITICAL"))
    page.locator(".views summary").click()
    page.get_by_label("Name", exact=True).fill("Burning")
    page.get_by_role("button", name="Save this view").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Burning")
    expect(page).to_have_title("Burning · E2I metadata gateway")
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Twins").click()
    loaded(page).locator(".views summary").click()
    page.get_by_role("link", name="Burning").click()
    expect(loaded(page).get_by_role("heading", level=1)).to_have_text("Burning")
    expect(page.get_by_role("button", name="critical", exact=True)).to_have_attribute("aria-pressed", "true")
    page.locator(".views summary").click()
    page.get_by_role("button", name="Forget the view Burning").click()
    expect(page.locator(".views li")).to_have_count(0)


def test_a_list_is_followed_live_and_acts(open_page: OpenPage, site: Gateway) -> None:
    page = loaded(open_page("alerts#status=RESOLVED"))
    expect(page.locator(".live")).to_be_visible()
    alert = shown(page)[-1]
    change = 'mutation($id: ID!) { reopenAlert(input: { id: $id, reason: "Again" }) { __typename } }'
    assert ask(site, change, id=alert)["reopenAlert"]["__typename"] == "TransitionApplied"
    expect(row(page, alert)).to_have_count(0)
    page.get_by_role("button", name="active", exact=True).click()
    page.get_by_role("button", name="resolved", exact=True).click()
    row(page, alert).get_by_role("button", name=re.compile("^Investigate: ")).click()
    page.get_by_role("button", name="Investigate", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("Done.")


MOST_LINES = 3
LINES = """all => Math.max(...all.map(one => Math.round(
    one.getBoundingClientRect().height / (1.45 * Number.parseFloat(getComputedStyle(one).fontSize)))))"""


@pytest.mark.parametrize("name", LIST_NAMES)
def test_lists_are_accessible_wide_and_narrow(open_page: OpenPage, violations: Violations, name: str) -> None:
    """With rows, without any, and where reading them fails."""
    page = loaded(open_page(name, calm=False))
    expect(page.locator("tbody tr").first).to_be_visible()
    page.locator(".views summary").click()
    for size in SIZES:
        page.set_viewport_size(size)
        assert violations(page) == []
        assert page.evaluate(STICKS_OUT) == 0
        assert page.locator("tbody th .name").evaluate_all(LINES) <= MOST_LINES
    names = page.locator("tbody th .name")
    assert names.evaluate_all("all => all.every(one => one.title === one.textContent)"), "what is cut is told whole"
    if name == "deployments":
        label = page.locator("td.figure").first.get_attribute("data-label")
        assert label == "Latency p95 (ms)", "cards have no headings: the unit stands beside the name"
        page.reload()
        expect(page.get_by_role("link", name="Deployments", exact=True)).to_be_in_viewport(ratio=0.9)
    if name != "alerts":
        return
    page.get_by_role("combobox", name="Search").fill("type:alert")
    expect(page.get_by_role("option").first).to_be_visible()
    assert violations(page) == []
    page.get_by_role("combobox", name="Search").fill("")
    page.get_by_label("Containing").fill("no such alert")
    expect(page.locator(".empty")).to_be_visible()
    assert violations(page) == []
    page.route("**/graphql", lambda route: route.abort())
    page.get_by_role("button", name="Clear filters").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    assert violations(page) == []
    assert page.evaluate(STICKS_OUT) == 0


def test_the_pages_send_what_is_known_to_be_theirs(open_page: OpenPage, site: Gateway) -> None:
    known = set(load(CONSOLE).values())
    sent: list[str] = []
    page = open_page("")
    page.on("request", lambda request: sent.append(request.post_data_json["query"]) if request.post_data else None)
    titles = []
    for path in ("", *CONSOLE_PAGES):
        page.goto(f"{site.base}/{path}")
        loaded(page)
        titles.append(page.title())
    assert len(set(titles)) == len(titles), "each view has a title of its own"
    assert len(sent) > len(CONSOLE_PAGES)
    assert set(sent) <= known


# -- gateways with little to show ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of an empty database that wants to know who asks."""
    folder = tmp_path_factory.mktemp("bare")
    server = Gateway(folder / "d", "serve", GATEWAY_AUTH="jwt", GATEWAY_JWT_SECRET=SECRET)
    try:
        yield server.ready()
        assert server.end() == 0
    finally:
        if server.process.poll() is None:
            server.end()
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def visit(browser: Browser, bare: Gateway) -> Iterator[Callable[..., Page]]:
    """Opens the empty gateway's home with the scopes of a caller."""
    contexts = []

    def visited(*scopes: str) -> Page:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.goto(bare.base)
        asked = page.get_by_role("alert")
        asked.get_by_label("Token").fill(token(*scopes))
        asked.get_by_role("button", name="Use it").click()
        return loaded(page)

    yield visited
    for context in contexts:
        context.close()


def test_an_empty_database_says_what_to_do_next(visit: Callable[..., Page], violations: Violations) -> None:
    page = visit("read")
    expect(page.get_by_role("heading", name="There is nothing here yet")).to_be_visible()
    expect(page.locator("main")).to_contain_text("e2i-gateway db attach")
    expect(page.get_by_role("heading", level=1)).to_have_text("No alert to work on")
    expect(page.locator(".live")).to_be_visible()
    assert violations(page) == []


def test_what_a_caller_may_not_read_is_said_where_it_would_stand(
    visit: Callable[..., Page], violations: Violations
) -> None:
    page = visit("read:model_monitoring")
    expect(card(page, "Champions")).to_contain_text("read:mlops_core")
    expect(card(page, "Alerts to work on")).to_contain_text("No alert is open.")
    expect(card(page, "Twins and experiments")).to_contain_text("read:ab_testing")
    assert violations(page) == []


HALF = """DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
        AND relname ~ '^(ml_model|ml_deployments|ml_experiments|ml_training|digital_twin|twin_|ab_|ml_bento)'
    LOOP EXECUTE format('DROP TABLE IF EXISTS %s CASCADE', name); END LOOP; END $$"""


def test_a_gateway_that_comes_back_to_half_of_its_tables(
    visit: Callable[..., Page], bare: Gateway, violations: Violations
) -> None:
    """Last of its file: what goes with the tables is told where it would stand, the other half is there."""
    page = visit("read")
    expect(page.locator(".live")).to_be_visible()
    run_sql(bare, HALF)
    assert bare.end() == 0
    expect(page.locator(".stale")).to_be_visible()
    page.get_by_role("button", name="read again").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    port = bare.base.rpartition(":")[2]
    again = Gateway(bare.cluster.parents[1], "serve", GATEWAY_AUTH="jwt", GATEWAY_JWT_SECRET=SECRET, PORT=port)
    try:
        again.ready()
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(card(page, "Champions")).to_contain_text("ml_model_registry")
        expect(card(page, "Alerts to work on")).to_contain_text("No alert is open.")
        expect(page.locator(".live")).to_be_visible()
        assert violations(page) == []
        for path, told in (("models", "ml_model_registry"), ("alerts", "There is no alert yet.")):
            page.goto(f"{again.base}/{path}")
            expect(page.locator("#console")).to_contain_text(told)
        assert again.end() == 0
    finally:
        again.close()
