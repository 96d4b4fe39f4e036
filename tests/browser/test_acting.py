"""Changes made from the console: previewed, confirmed, refused, blocked, forced, made stale, sent again."""

from __future__ import annotations

import base64
import os
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.support.accessibility import Violations
from tests.support.browsing import Held
from tests.support.callers import SECRET, token
from tests.support.exploring import ask, link, run_sql, settled
from tests.support.process import ROOT, Gateway

pytestmark = pytest.mark.slow

OpenPage = Callable[..., Page]
MORE_ALERTS = """INSERT INTO ml_monitoring_alerts (alert_type, severity, status, title, message)
    SELECT 'drift', 'low', 'active', 'More ' || n, 'One of many.' FROM generate_series(1, 20) n"""
NO_MORE_ALERTS = "DELETE FROM ml_monitoring_alerts WHERE message = 'One of many.'"
PICTURES = ROOT / "gateway" / "docs"

ALERT = """query($id: ID!) { monitoringAlert(id: $id) { status triggeredRetraining retrainings { totalCount }
    lifecycle { history(first: 1) { nodes { id reason actor forced toState } } } } }"""


def row(page: Page, id_: str) -> Locator:
    return page.locator(f"[data-row='{id_}']")


def alert_of(site: Gateway, status: str, **more: bool) -> dict[str, Any]:
    where = {"status": {"eq": status}} | {name: {"eq": value} for name, value in more.items()}
    query = "query($w: MonitoringAlertWhere) { monitoringAlerts(where: $w, first: 1) { nodes { id title } } }"
    one: dict[str, Any] = ask(site, query, w=where)["monitoringAlerts"]["nodes"][0]
    return one


def state(site: Gateway, id_: str) -> dict[str, Any]:
    told: dict[str, Any] = ask(site, ALERT, id=id_)["monitoringAlert"]
    return told


def sheet(page: Page, button: Locator) -> Locator:
    button.click()
    opened = page.get_by_role("dialog")
    expect(opened).to_be_visible()
    return opened


def on_alert(page: Page, alert: dict[str, Any], what: str) -> Locator:
    return sheet(page, row(page, alert["id"]).get_by_role("button", name=f"{what}: {alert['title']}"))


def confirm(opened: Locator, what: str) -> None:
    opened.locator("button.primary", has_text=what).click()
    expect(opened.get_by_role("status")).to_contain_text("Done.")


def test_an_alert_is_acknowledged_with_a_preview(open_page: OpenPage, site: Gateway) -> None:
    page = open_page("")
    alert = alert_of(site, "ACTIVE")
    names = Held(page, lambda asked: "query Labels" in asked["query"])
    opened = on_alert(page, alert, "Acknowledge")
    preview = opened.get_by_role("region", name="Preview")
    expect(preview).to_contain_text("It would change 1 row")
    names.until_one_waits()
    expect(preview.locator(".planned a")).to_have_text(alert["title"])  # its name is known before names are asked for
    names.let_go()
    expect(preview.locator(".planned a")).to_have_text(alert["title"])
    expect(preview).to_contain_text("status: active → acknowledged")
    assert state(site, alert["id"])["status"] == "ACTIVE", "a preview changes nothing"
    opened.get_by_role("textbox", name=re.compile("^Reason")).fill("I look into it")
    confirm(opened, "Acknowledge")
    told = state(site, alert["id"])
    event = told["lifecycle"]["history"]["nodes"][0]
    assert (told["status"], event["reason"], event["toState"]) == ("ACKNOWLEDGED", "I look into it", "ACKNOWLEDGED")
    opened.get_by_role("link", name="The recorded event").click()
    opened.get_by_role("button", name="Close").click()
    recorded = page.get_by_role("dialog", name="active → acknowledged")
    expect(recorded).to_contain_text("I look into it")
    expect(recorded).to_contain_text(event["id"])
    recorded.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).to_have_url(re.compile("^[^#]*$"))
    expect(row(page, alert["id"]).locator(".state")).to_have_text("acknowledged")


def test_a_link_to_an_event_opens_it(open_page: OpenPage, site: Gateway, violations: Violations) -> None:
    event = ask(site, "{ lifecycleEvents(first: 1) { nodes { id actor } } }")["lifecycleEvents"]["nodes"][0]
    page = open_page(f"#event={event['id']}")
    expect(page.get_by_role("dialog")).to_contain_text(event["actor"])
    assert violations(page) == []
    page = open_page("#event=LifecycleEvent:00000000-0000-0000-0000-000000000000")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("There is no such event.")


def test_a_retraining_is_asked_for_once(open_page: OpenPage, site: Gateway) -> None:
    page = open_page("")
    alert = alert_of(site, "ACTIVE", triggeredRetraining=False)
    before = state(site, alert["id"])["retrainings"]["totalCount"]
    opened = on_alert(page, alert, "Retrain")
    preview = opened.get_by_role("region", name="Preview")
    expect(preview).to_contain_text("a new retraining")
    confirm(opened, "Retrain")
    opened.get_by_role("button", name="Close").click()
    assert state(site, alert["id"])["retrainings"]["totalCount"] == before + 1
    line = row(page, alert["id"])
    expect(line.get_by_text("Not now: retrain.")).to_have_attribute(
        "title", "the alert has triggered a retraining already"
    )
    expect(line.get_by_role("button", name=re.compile("^Retrain: "))).to_have_count(0)


def test_what_changes_nothing_is_not_offered(open_page: OpenPage, site: Gateway) -> None:
    """A rollback to nowhere, and a champion that is one; the reason stands beside the row."""
    asked = "lifecycle { changes { mutation blockedBy { message overridable } } }"
    rows = ask(site, f"{{ rows: deployments(first: 100) {{ nodes {{ id {asked} }} }} }}")["rows"]["nodes"]
    blocked = {
        row["id"]: one["blockedBy"][0]["message"]
        for row in rows
        for one in row["lifecycle"]["changes"]
        if one["mutation"] == "rollbackDeployment" and one["blockedBy"]
    }
    assert any("it replaced no other deployment" in why for why in blocked.values())
    deployment, why = next(iter(blocked.items()))
    page = open_page(link(deployment, select=deployment))
    told = page.locator("aside .offers")
    expect(told).to_contain_text(f"Not now: roll back, {why}.")
    expect(told.get_by_role("button", name=re.compile("^(Roll back|Move to rolled back): "))).to_have_count(0)
    expect(told.get_by_role("button", name=re.compile("^Move to "))).not_to_have_count(0)
    champion = "{ rows: models(where: { isChampion: { eq: true } }, first: 1) { nodes { id } } }"
    model = ask(site, champion)["rows"]["nodes"][0]["id"]
    page = open_page(link(model, select=model))
    expect(page.locator("aside .offers button").first).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Make it the champion"))).to_have_count(0)


def test_the_champion_is_named_before_another_is_made(open_page: OpenPage, site: Gateway) -> None:
    rivals = """{ rows: models(where: { stage: { in: [SHADOW, PRODUCTION] }, isChampion: { eq: false },
        experiment: { models: { some: { isChampion: { eq: true } } } } }, first: 1)
        { nodes { id experiment { champion { id modelName modelVersion } } } } }"""
    model = ask(site, rivals)["rows"]["nodes"][0]
    champion = model["experiment"]["champion"]
    page = open_page(link(model["id"], select=model["id"]))
    page.get_by_role("button", name=re.compile("^Make it the champion: ")).click()
    preview = page.get_by_role("region", name="Preview")
    expect(preview).to_contain_text("The champion of its experiment is ")
    expect(preview.locator(f"p a[href*='{champion['id']}']")).to_be_visible()
    expect(preview.locator(f".planned a[href*='{champion['id']}']")).to_be_visible()
    expect(preview).to_contain_text("is champion: true → false")


def test_a_field_that_is_needed_is_asked_for_before_the_preview(open_page: OpenPage, site: Gateway) -> None:
    page = open_page("")
    alert = alert_of(site, "INVESTIGATING")
    opened = on_alert(page, alert, "Resolve")
    preview = opened.get_by_role("region", name="Preview")
    expect(preview).to_contain_text("It is previewed once resolution action is filled in.")
    expect(opened.locator("button.primary")).to_be_disabled()
    opened.get_by_label("resolution action").select_option("RETRAINED")
    expect(preview).to_contain_text("status: investigating → resolved")
    opened.get_by_role("textbox", name=re.compile("^Reason")).fill("Serves again")
    confirm(opened, "Resolve")
    expect(row(page, alert["id"])).to_have_count(0)
    expect(opened, "what was done stays to be read when the alert has left the page").to_contain_text("Done.")


# -- journeys ----------------------------------------------------------------------------------------------------------


MOST_CLICKS = 8
ZOOMED = {"width": 720, "height": 450}
"""A window of 1440 by 900 pixels at 200 %."""


class Mouse:
    """Clicks, and counts them; what it writes goes to where the page has put the focus."""

    name = "by the mouse"

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0

    def use(self, one: Locator) -> None:
        self.clicks += 1
        one.click()

    tick = use

    def write(self, box: Locator, text: str) -> None:
        if not box.evaluate("one => one === document.activeElement"):
            self.use(box)
        self.page.keyboard.type(text)


class Keyboard(Mouse):
    """Presses keys alone. What Enter or Space is pressed on counts as a click."""

    name = "by the keyboard"

    def reach(self, one: Locator) -> None:
        expect(one).to_be_visible()
        for _ in range(400):
            if one.evaluate("one => one === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        pytest.fail(f"{one} is not reached by the tab key")

    def use(self, one: Locator) -> None:
        self.reach(one)
        self.clicks += 1
        self.page.keyboard.press("Enter")

    def tick(self, one: Locator) -> None:
        self.reach(one)
        self.clicks += 1
        self.page.keyboard.press("Space")

    def write(self, box: Locator, text: str) -> None:
        self.reach(box)
        self.page.keyboard.type(text)


class Journeys:
    """What somebody on call sets out for at the home page, and how many clicks each took."""

    def __init__(self, page: Page, hand: Mouse, site: Gateway) -> None:
        self.page, self.hand, self.site = page, hand, site
        self.sheet = page.get_by_role("dialog")
        self.preview = self.sheet.get_by_role("region", name="Preview")
        self.reason = self.sheet.get_by_role("textbox", name=re.compile("^Reason"))
        self.pages = page.get_by_role("navigation", name="Pages")
        self.strip: list[bytes] = []
        self.clicks: dict[str, int] = {}

    def set_out(self) -> None:
        self.page.goto(self.site.base)
        expect(self.page.locator("main")).to_have_attribute("aria-busy", "false")
        self.hand.clicks = 0

    def arrive(self, journey: str) -> None:
        self.clicks[journey] = self.hand.clicks
        assert self.hand.clicks <= MOST_CLICKS, journey

    def look(self) -> None:
        """Takes a picture of the first journey for the documentation, if they are taken anew."""
        if os.environ.get("UPDATE_SNAPSHOTS") == "1" and not self.clicks:
            self.strip.append(self.page.screenshot(animations="disabled"))

    def make(self, what: str) -> None:
        """Confirms a change that was previewed, and leaves the sheet."""
        self.hand.use(self.sheet.locator("button.primary", has_text=what))
        expect(self.sheet.get_by_role("status")).to_contain_text("Done.")
        self.look()
        self.hand.use(self.sheet.get_by_role("button", name="Close"))
        expect(self.sheet).to_have_count(0)

    def from_an_alert_to_a_retraining(self) -> None:
        self.set_out()
        alert = alert_of(self.site, "ACTIVE", triggeredRetraining=False)
        line = row(self.page, alert["id"])
        expect(line).to_be_visible()
        self.look()
        self.hand.use(line.get_by_role("button", name=f"Acknowledge: {alert['title']}"))
        self.hand.write(self.reason, "On it")
        expect(self.preview).to_contain_text("It would change")
        self.look()
        self.make("Acknowledge")
        expect(line.locator(".state")).to_have_text("acknowledged")
        self.hand.use(line.get_by_role("button", name=f"Retrain: {alert['title']}"))
        self.hand.write(self.reason, "The mix of payers has shifted")
        expect(self.preview).to_contain_text("a new retraining")
        self.look()
        self.make("Retrain")
        told = state(self.site, alert["id"])
        assert (told["status"], told["triggeredRetraining"]) == ("ACKNOWLEDGED", True)
        self.arrive("from an alert to a retraining")

    def roll_back(self) -> None:
        self.set_out()
        query = """{ deployments(where: { status: { eq: ACTIVE }, environment: { eq: "production" },
            model: { isChampion: { eq: true } }, previousDeployment: { status: { eq: DRAINING } } }, first: 1)
            { nodes { id deploymentName previousDeployment { id deploymentName } } } }"""
        deployment = ask(self.site, query)["deployments"]["nodes"][0]
        name = f"Roll back: {deployment['deploymentName']}"
        self.hand.use(self.page.get_by_role("button", name=name, exact=True).first)
        expect(self.preview).to_contain_text("This change needs a reason.")
        expect(self.preview).to_contain_text(re.compile(r"It would change \d+ rows"))  # which is seen before it is told
        expect(self.preview).not_to_contain_text("?")
        back_to = deployment["previousDeployment"]
        link = self.preview.get_by_role("link", name=back_to["deploymentName"], exact=True)
        expect(link.and_(self.page.locator(f"[href*='{back_to['id']}']"))).to_be_visible()
        expect(self.sheet.locator("button.primary")).to_be_disabled()
        self.hand.write(self.reason, "Errors since this morning")
        expect(self.sheet.locator("button.primary")).to_be_enabled()
        expect(self.preview).to_contain_text("status: active → rolled back")
        expect(self.preview).to_contain_text("status: draining → active")
        expect(self.preview).to_contain_text(re.compile(r"Behind it: .*deployment"))
        self.make("Roll back")
        statuses = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Deployment { status } } }"
        ids = [deployment["id"], deployment["previousDeployment"]["id"]]
        assert [one["status"] for one in ask(self.site, statuses, ids=ids)["nodes"]] == ["ROLLED_BACK", "ACTIVE"]
        self.arrive("a rollback")

    def force_a_promotion(self) -> dict[str, Any]:
        model = blocked_model(self.site)
        self.set_out()
        self.hand.use(self.pages.get_by_role("link", name="Models"))
        self.hand.use(self.page.get_by_role("button", name="shadow", exact=True))
        self.hand.use(row(self.page, model["id"]).get_by_role("rowheader").get_by_role("link"))
        settled(self.page)
        self.hand.use(self.page.get_by_role("button", name=re.compile("^Promote to production: ")))
        expect(self.preview).to_contain_text("It is blocked:")
        expect(self.preview).to_contain_text(in_the_way(model)[0]["message"])
        confirming = self.sheet.locator("button.primary")
        expect(confirming).to_be_disabled()
        self.hand.write(self.reason, "The review board has agreed")
        self.hand.tick(self.sheet.get_by_label("Do it all the same."))
        expect(confirming).to_be_enabled()
        self.make("Promote to production")
        told = (
            "query($id: ID!) { model(id: $id) { stage lifecycle { history(first: 1) { nodes { forced reason } } } } }"
        )
        now = ask(self.site, told, id=model["id"])["model"]
        assert now["stage"] == "PRODUCTION"
        event = {"forced": True, "reason": "The review board has agreed"}
        assert now["lifecycle"]["history"]["nodes"][0] == event
        expect(self.page.locator("aside .history .recorded").first).to_contain_text("shadow → production")
        self.arrive("a forced promotion")
        return model

    def ask_why(self, model: dict[str, Any]) -> None:
        self.set_out()
        self.hand.use(self.pages.get_by_role("link", name="Models"))
        self.hand.use(self.page.get_by_role("button", name="production", exact=True))
        self.hand.use(row(self.page, model["id"]).get_by_role("rowheader").get_by_role("link"))
        settled(self.page)
        expect(self.page.locator("aside .now")).to_contain_text("production since")
        expect(self.page.locator("aside .now")).to_contain_text("forced: The review board has agreed")
        self.hand.use(self.page.get_by_role("button", name="Why is it here?"))
        expect(self.page.locator(".answer")).to_contain_text(" came of ")
        self.arrive("why is this model in production")

    def judge_a_twin(self) -> None:
        self.set_out()
        query = """{ twinModels(where: { isActive: { eq: true } }, first: 50) { nodes { id modelName
            fidelityHistory(where: { effectGrade: { isNull: false } }) { totalCount } } } }"""
        twins = ask(self.site, query)["twinModels"]["nodes"]
        twin = max(twins, key=lambda one: one["fidelityHistory"]["totalCount"])
        self.hand.use(self.page.locator(f".twins a[href*='{twin['id']}']"))
        told = self.page.get_by_role("region", name="Good enough to skip an A/B test?")
        expect(told.locator(".state")).to_have_text(re.compile("ood enough|Not |Too little"))
        expect(told).to_contain_text(re.compile(r"predictions? |compared with a real experiment"))
        expect(told).to_contain_text("recommends")
        expect(self.page.locator("aside")).to_contain_text("Predicted and actual effect")
        self.arrive("is this twin good enough")

    def all(self) -> None:
        self.from_an_alert_to_a_retraining()
        self.roll_back()
        self.ask_why(self.force_a_promotion())
        self.judge_a_twin()
        print(self.hand.name, self.clicks)


def in_the_way(model: dict[str, Any]) -> list[dict[str, Any]]:
    (move,) = [one for one in model["lifecycle"]["allowedTransitions"] if one["to"] == "PRODUCTION"]
    found: list[dict[str, Any]] = move["blockedBy"]
    return found


def blocked_model(site: Gateway) -> dict[str, Any]:
    """A model in shadow whose promotion is blocked, by what can be overridden."""
    moves = "lifecycle { allowedTransitions { to blockedBy { message overridable } } }"
    query = f"{{ models(where: {{ stage: {{ eq: SHADOW }} }}, first: 50) {{ nodes {{ id {moves} }} }} }}"
    models = site.ask(query)["models"]["nodes"]
    return next(one for one in models if in_the_way(one) and all(each["overridable"] for each in in_the_way(one)))


def test_five_journeys_from_home_take_few_clicks(open_page: OpenPage, site: Gateway) -> None:
    page = open_page("")
    page.set_viewport_size({"width": 1280, "height": 860})
    journeys = Journeys(page, Mouse(page), site)
    journeys.all()
    if journeys.strip:
        take_strip(page, journeys.strip)


def take_strip(page: Page, pictures: list[bytes]) -> None:
    """Puts pictures beside each other, two in a row, as one of the documentation."""
    shown = "".join(
        f'<img style="width:640px;margin:4px" src="data:image/png;base64,{base64.b64encode(one).decode()}">'
        for one in pictures
    )
    other = page.context.new_page()
    other.set_viewport_size({"width": 1310, "height": 890})
    other.set_content(f'<body style="margin:0;background:#888">{shown}</body>')
    other.screenshot(path=PICTURES / "console-journey.png", full_page=True)
    other.close()


def test_the_strip_is_there() -> None:
    picture = PICTURES / "console-journey.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 500_000


def test_a_row_that_changes_meanwhile_is_previewed_anew(open_page: OpenPage, site: Gateway) -> None:
    page = open_page("")
    alert = alert_of(site, "ACTIVE")
    opened = on_alert(page, alert, "Investigate")
    preview = opened.get_by_role("region", name="Preview")
    expect(preview).to_contain_text("status: active → investigating")
    opened.get_by_role("textbox", name=re.compile("^Reason")).fill("On it")
    change = 'mutation($id: ID!) { acknowledgeAlert(input: { id: $id, reason: "Seen" }) { __typename } }'
    assert ask(site, change, id=alert["id"])["acknowledgeAlert"]["__typename"] == "TransitionApplied"
    opened.locator("button.primary").click()
    expect(opened.get_by_role("status")).to_contain_text("has changed since it was previewed")
    expect(preview).to_contain_text("status: acknowledged → investigating")
    assert state(site, alert["id"])["status"] == "ACKNOWLEDGED", "it was not made over the other's change"
    confirm(opened, "Investigate")
    assert state(site, alert["id"])["status"] == "INVESTIGATING"


def test_a_change_whose_answer_was_lost_is_made_once(open_page: OpenPage, site: Gateway) -> None:
    page = open_page("", calm=False)
    alert = alert_of(site, "INVESTIGATING")
    opened = on_alert(page, alert, "Dismiss")
    opened.get_by_role("textbox", name=re.compile("^Reason")).fill("A false alarm")
    expect(opened.get_by_role("region", name="Preview")).to_contain_text("It would change 1 row")
    lost = [0]

    def loses(route: Route) -> None:
        if "idempotencyKey" in (route.request.post_data or ""):
            lost[0] += 1
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/graphql", loses)
    opened.locator("button.primary").click()
    expect(opened.get_by_role("alert")).to_contain_text("It is not known whether the change was made.")
    page.unroute("**/graphql")
    confirm(opened, "Send again")
    expect(opened.get_by_role("status")).to_contain_text("nothing was changed twice")
    assert lost == [1]
    history = "query($id: ID!) { monitoringAlert(id: $id) { lifecycle { history { nodes { toState } } } } }"
    events = ask(site, history, id=alert["id"])["monitoringAlert"]["lifecycle"]["history"]["nodes"]
    assert [one["toState"] for one in events].count("DISMISSED") == 1


def test_a_change_by_the_keyboard_alone(open_page: OpenPage, site: Gateway) -> None:
    page = open_page("")
    alert = alert_of(site, "ACKNOWLEDGED")
    button = row(page, alert["id"]).get_by_role("button", name=f"Investigate: {alert['title']}")
    button.focus()
    page.keyboard.press("Enter")
    opened = page.get_by_role("dialog")
    expect(opened.get_by_role("textbox", name=re.compile("^Reason"))).to_be_focused()
    page.keyboard.type("By hand")
    expect(opened.locator("button.primary")).to_be_enabled()
    while not opened.locator("button.primary").evaluate("one => one === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(opened.get_by_role("status")).to_contain_text("Done.")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert state(site, alert["id"])["lifecycle"]["history"]["nodes"][0]["reason"] == "By hand"


def test_the_sheet_is_accessible(open_page: OpenPage, site: Gateway, violations: Violations) -> None:
    page = open_page("")
    alert = ask(
        site,
        "{ monitoringAlerts(where: { status: { in: [ACKNOWLEDGED, ACTIVE, INVESTIGATING] } }, first: 1) "
        "{ nodes { id title } } }",
    )["monitoringAlerts"]["nodes"][0]
    opened = on_alert(page, alert, "Dismiss")
    opened.get_by_role("textbox", name=re.compile("^Reason")).fill("x")
    expect(opened.get_by_role("region", name="Preview")).to_contain_text("It would change")
    expect(opened.get_by_role("region", name="Preview")).to_have_attribute("aria-busy", "false")
    assert violations(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert violations(page) == []


# -- callers with fewer rights ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of the demo that wants to know who asks."""
    folder = tmp_path_factory.mktemp("guarded")
    signed = {"GATEWAY_AUTH": "jwt", "GATEWAY_JWT_SECRET": SECRET}
    server = Gateway(folder / "d", "serve", "--demo", "small", GATEWAY_COUNT_UP_TO="3", **signed)
    try:
        yield server.ready()
        assert server.end() == 0
    finally:
        if server.process.poll() is None:
            server.end()
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def signed_in(browser: Browser, guarded: Gateway) -> Iterator[Callable[..., Page]]:
    """Opens a page of it with the roles of a caller."""
    contexts = []

    def opened(path: str, *roles: str) -> Page:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{guarded.base}/{path}")
        page.get_by_label("Token").fill(token(*roles))
        page.get_by_role("button", name="Use it").click()
        return page

    yield opened
    for context in contexts:
        context.close()


def test_what_a_caller_may_not_do_is_said_in_place_of_a_button(
    signed_in: Callable[..., Page], violations: Violations
) -> None:
    page = signed_in("", "viewer")
    line = page.locator("li[data-row]").first
    expect(line).to_contain_text(re.compile(r"You may not: .*dismiss"))
    expect(line.get_by_role("button")).to_have_count(0)
    expect(line.locator(".offers small")).to_have_attribute("title", "This takes the scope change.")
    assert violations(page) == []


def test_a_page_tells_its_own_number_and_a_full_one_that_there_are_more(
    signed_in: Callable[..., Page], guarded: Gateway
) -> None:
    """Counts of this gateway end at 3; the home page shows at most 20 alerts."""
    page = signed_in("", "viewer")
    expect(page.locator("li[data-row]").first).to_be_visible()
    alerts = page.locator("ul.alerts li[data-row]").count()
    assert 3 < alerts < 20
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{alerts} alerts to work on")
    expect(page).to_have_title(f"({alerts}) Home · E2I metadata gateway")
    run_sql(guarded, MORE_ALERTS)
    try:
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text("more than 19 alerts to work on")
        expect(page).to_have_title("(19+) Home · E2I metadata gateway")
    finally:
        run_sql(guarded, NO_MORE_ALERTS)  # the tests after this one work on the alerts of the demo


def test_who_may_not_override_a_guard_is_told_so(
    signed_in: Callable[..., Page], guarded: Gateway, violations: Violations
) -> None:
    guarded.http.headers["authorization"] = f"Bearer {token('admin')}"
    model = blocked_model(guarded)
    page = signed_in(link(model["id"], depth=0, select=model["id"]), "operator")
    opened = sheet(page, page.get_by_role("button", name=re.compile("^Promote to production: ")))
    expect(opened.get_by_role("region", name="Preview")).to_contain_text("It is blocked:")
    expect(opened).to_contain_text("You may not override this.")
    expect(opened).to_contain_text("it needs the scope force")
    expect(opened.get_by_label("Do it all the same.")).to_have_count(0)
    assert violations(page) == []


def test_five_journeys_from_home_by_the_keyboard_alone(
    signed_in: Callable[..., Page], guarded: Gateway, violations: Violations
) -> None:
    """In a window at 200 %, without motion."""
    guarded.http.headers["authorization"] = f"Bearer {token('admin')}"
    page = signed_in("", "admin")
    page.set_viewport_size(ZOOMED)
    page.emulate_media(reduced_motion="reduce")
    Journeys(page, Keyboard(page), guarded).all()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= ZOOMED["width"], "nothing sticks out"
