"""The page that walks lineage, as people meet it: in Chromium, on the real server with demo data.

With UPDATE_SNAPSHOTS=1 the pictures of the documentation are taken anew.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from graphql import parse
from playwright.sync_api import Browser, Page, Route, expect

from gateway.operations.persisted import CONSOLE, load
from tests.support.accessibility import Violations
from tests.support.browsing import Scheme
from tests.support.exploring import ask, grown, link, node, places, press, run_sql, settled
from tests.support.process import ROOT, Gateway

pytestmark = pytest.mark.slow

PICTURES = ROOT / "gateway" / "docs"
MAX_PICTURE = 400_000
UNKNOWN = "Model:00000000-0000-0000-0000-000000000000"
MANY = 500

LIFE = "PRODUCES,LINKED_TO,DEPLOYED_AS,SERVED_BY,EMITS,MONITORED_BY,ALERTS_ON,RAISES,TRIGGERS,CARRIED_OUT_AS"
"""The kinds of edges that make an experiment's life: from its models over serving and drift back to a model."""

OpenPage = Callable[..., Page]

FRAMES = """async () => {
    const stage = document.querySelector('.pane');
    const { left, top, width, height } = stage.getBoundingClientRect();
    const at = { clientX: left + width / 2, clientY: top + height / 2, bubbles: true, cancelable: true };
    const times = [];
    let last = await new Promise(requestAnimationFrame);
    for (let frame = 0; frame < 120; frame++) {
        const deltaY = frame % 60 < 30 ? -40 : 40;
        stage.dispatchEvent(new WheelEvent('wheel', { ...at, deltaY, clientX: at.clientX + frame }));
        const now = await new Promise(requestAnimationFrame);
        times.push(now - last);
        last = now;
    }
    return times.sort((a, b) => a - b);
}"""


DRAG_AFTER_WHEEL = """async () => {
    const pane = document.querySelector('.pane'), { width, height } = pane.getBoundingClientRect();
    const at = { clientX: width / 2, clientY: height / 2, bubbles: true, cancelable: true, view: window };
    for (let turn = 0; turn < 30; turn++) pane.dispatchEvent(new WheelEvent('wheel', { ...at, deltaY: -40 }));
    pane.dispatchEvent(new MouseEvent('mousedown', at));
    await new Promise(done => setTimeout(done, 400)); // the wheel counts as turned by now
    const layer = getComputedStyle(document.querySelector('.scene')).willChange === 'transform';
    window.dispatchEvent(new MouseEvent('mouseup', at));
    return layer;
}"""

TURN = """() => {
    const pane = document.querySelector('.pane'), { width, height } = pane.getBoundingClientRect();
    const at = { clientX: width / 2, clientY: height / 2, bubbles: true, cancelable: true };
    for (let turn = 0; turn < 30; turn++) pane.dispatchEvent(new WheelEvent('wheel', { ...at, deltaY: -40 }));
    return ['.scene', '.paper'].map(one => new DOMMatrix(document.querySelector(one).style.transform).a);
}"""
"""Turns the wheel; how far that stretched the picture, and at which scale the picture was drawn before."""

TURN_IN_FRAMES = """async () => {
    const pane = document.querySelector('.pane'), { width, height } = pane.getBoundingClientRect();
    const at = { clientX: width / 2, clientY: height / 2, bubbles: true, cancelable: true, view: window };
    pane.dispatchEvent(new MouseEvent('mousedown', at)); // however long a frame takes, the movement does not rest
    for (let turn = 0; turn < 30; turn++) {
        pane.dispatchEvent(new WheelEvent('wheel', { ...at, deltaY: -40 }));
        await new Promise(requestAnimationFrame);
    }
}"""
LET_GO = "() => window.dispatchEvent(new MouseEvent('mouseup', { view: window }))"

FEW_TILES = 100
"""A window has 24; a drawing that is drawn anew in each of 30 frames has hundreds."""

RESTS = """() => {
    const [by, drawn] = ['.scene', '.paper'].map(one => new DOMMatrix(document.querySelector(one).style.transform).a);
    return by === 1 && drawn;
}"""

COUNT_NODES = """() => {
    window.counted = [];
    const count = () => {
        counted.push(document.querySelectorAll('[data-node]').length);
        requestAnimationFrame(count);
    };
    requestAnimationFrame(count);
}"""
"""How many nodes are there at each frame."""

IN_SIGHT = """() => {
    const pane = document.querySelector('.pane').getBoundingClientRect();
    return [...document.querySelectorAll('[data-node] .card')].every(card => {
        const at = card.getBoundingClientRect();
        return at.left >= pane.left && at.right <= pane.right && at.top >= pane.top && at.bottom <= pane.bottom;
    });
}"""
"""Whether all nodes are in the window."""


@pytest.mark.parametrize("typed", ["Fabhatla HCP engagment", "experimnet"])
def test_search_by_name_or_type_with_typos(open_page: OpenPage, typed: str) -> None:
    page = open_page("explorer")
    page.get_by_role("combobox", name="Search").fill(typed)
    hit = page.get_by_role("option").filter(has_text=re.compile("Fabhalta HCP engagement *Experiment"))
    hit.first.click()
    settled(page)
    expect(page).to_have_url(re.compile(re.escape("from=Experiment:")))
    expect(page.get_by_role("heading", name="Fabhalta HCP engagement", exact=True)).to_be_visible()
    opened = page.url
    page.goto(opened.split("#")[0])
    page.get_by_role("combobox", name="Search").click()
    before = page.get_by_role("listbox", name="Opened before").get_by_role("option")
    expect(before).to_have_text([re.compile("^Fabhalta HCP engagement")])
    page.keyboard.press("Enter")
    settled(page)
    expect(page).to_have_url(opened)


def test_search_by_id_with_the_keyboard(open_page: OpenPage, experiment: str) -> None:
    page = open_page("explorer")
    expect(page.locator(".welcome li")).not_to_have_count(0)
    page.keyboard.press("/")
    expect(page.get_by_role("combobox", name="Search")).to_be_focused()
    page.keyboard.type(experiment)
    expect(page.locator("#hits [role=option]").first).to_contain_text(f"id: {experiment}")
    page.keyboard.press("Enter")
    settled(page)
    expect(node(page, experiment)).to_have_class(re.compile("start"))


def test_both_sides_expand_and_nodes_keep_their_place(open_page: OpenPage, retraining: str) -> None:
    page = open_page(link(retraining, depth=0))
    before = settled(page)
    assert [*before] == [retraining]
    sides = node(page, retraining).locator(".more")
    expect(sides).to_have_count(2)
    press(page, sides.and_(page.locator("[data-side=UPSTREAM]")))
    before = grown(page, before)
    press(page, sides.and_(page.locator("[data-side=DOWNSTREAM]")))
    grown(page, before)
    expect(sides).to_have_count(0)
    x = {id_: float(re.findall(r"-?[\d.]+", at)[0]) for id_, at in settled(page).items()}
    assert min(x.values()) < x[retraining] < max(x.values())


def test_the_closing_edge_of_a_cycle_is_drawn_apart(open_page: OpenPage, retraining: str) -> None:
    page = open_page(link(retraining))
    settled(page)
    assert page.locator("path.edge.closing").count() >= 1
    expect(page.locator("text.edge-label.closing").first).to_contain_text("closes the loop")


def test_a_hot_node_says_how_many_more_and_reads_on(open_page: OpenPage, experiment: str) -> None:
    page = open_page(link(experiment, direction="DOWNSTREAM", siblings="apart"))
    before = settled(page)
    more = node(page, experiment).locator(".more.cut")
    counts = []
    for _ in range(2):
        text = more.locator("text").text_content() or ""
        assert re.fullmatch(r"\+[\d,]+ more", text)
        counts.append(int(re.sub(r"\D", "", text)))
        press(page, more)
        before = grown(page, before)
    assert counts[0] > counts[1]
    expect(page.locator(".partial")).to_contain_text("Partial answer")
    expect(page.locator(".partial")).to_contain_text("perNodeLimit")
    expect(page).to_have_url(re.compile(re.escape(f"open=down~53~{experiment}")))
    page.reload()
    page.wait_for_function("n => document.querySelectorAll('[data-node]').length === n", arg=len(before))
    assert settled(page).keys() == before.keys()


def test_the_way_between_two_rows(open_page: OpenPage, site: Gateway) -> None:
    query = """{ retrainings(first: 1) { nodes { alert { id title } } }
        deployments(first: 1, where: { status: { eq: ACTIVE } }) { nodes { id deploymentName } } }"""
    found = ask(site, query)
    alert, deployment = (found[name]["nodes"][0] for name in ("retrainings", "deployments"))
    start, end = alert["alert"]["id"], deployment["id"]
    query = """query($from: ID!, $to: ID!) { paths(from: $from, to: $to, direction: BOTH, first: 1) {
        paths { length nodes { nodeId label } } } }"""
    [path] = ask(site, query, **{"from": start, "to": end})["paths"]["paths"]
    page = open_page(link(start, select=start))
    settled(page)
    page.get_by_role("button", name="Path to …").click()
    page.get_by_role("combobox", name="Search").fill(end)
    page.get_by_role("listbox", name="Found").get_by_role("option").first.click()
    edges = f"{path['length']} edge{'s' if path['length'] > 1 else ''}"
    expect(page.locator(".answer")).to_contain_text(
        f"From {alert['alert']['title']} to {deployment['deploymentName']} it is {edges}"
    )
    assert settled(page).keys() == {one["nodeId"] for one in path["nodes"]}


def test_details_tell_fields_lifecycle_and_what_blocks(open_page: OpenPage, site: Gateway) -> None:
    lifecycle = "lifecycle { allowedTransitions { to blockedBy { message } } }"
    models = ask(site, f"{{ models(first: 50) {{ nodes {{ id modelName {lifecycle} }} }} }}")["models"]["nodes"]
    blocked = [one for one in models if any(move["blockedBy"] for move in one["lifecycle"]["allowedTransitions"])]
    model, moves = blocked[0], blocked[0]["lifecycle"]["allowedTransitions"]
    page = open_page(link(model["id"], select=model["id"]))
    settled(page)
    aside = page.locator("aside")
    expect(aside).to_contain_text("modelName")
    expect(aside).to_contain_text(model["modelName"])
    expect(aside.locator(".moves > li")).to_have_count(len(moves))
    for move in moves:
        for blocker in move["blockedBy"]:
            expect(aside.locator(".moves .blocked").filter(has_text=blocker["message"]).first).to_be_visible()
    expect(aside.get_by_role("heading", name="Timeline")).to_be_visible()


def test_an_unknown_id_is_said(open_page: OpenPage) -> None:
    page = open_page(link(UNKNOWN))
    expect(page.get_by_role("alert")).to_contain_text(f"There is no {UNKNOWN}")
    expect(page.locator(".welcome li")).not_to_have_count(0)


def test_what_is_no_id_is_said(open_page: OpenPage) -> None:
    page = open_page(link("nonsense"))
    expect(page.get_by_role("alert")).to_contain_text("BAD_USER_INPUT")


def test_a_gateway_that_is_away_is_said_and_tried_again(open_page: OpenPage, retraining: str) -> None:
    page = open_page("explorer", calm=False)
    expect(page.locator(".welcome li")).not_to_have_count(0)
    page.route("**/graphql", lambda route: route.abort())
    page.evaluate("hash => { location.hash = hash }", link(retraining).split("#")[1])
    expect(page.get_by_role("alert").first).to_contain_text("cannot be reached")
    page.unroute("**/graphql")
    page.get_by_role("button", name="Try again").click()
    settled(page)
    expect(page.locator(".error")).to_have_count(0)


def test_the_keyboard_walks_and_expands(open_page: OpenPage, retraining: str) -> None:
    page = open_page(link(retraining, depth=0))
    before = settled(page)
    node(page, retraining).focus()
    page.keyboard.press("Enter")
    grown(page, before)
    focused = "() => document.activeElement.dataset?.node ?? null"
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"was => ({focused})() !== was", arg=retraining)
    upstream = page.evaluate(focused)
    assert upstream is not None
    expect(node(page, upstream)).to_have_attribute("tabindex", "0")
    assert page.locator("[data-node][tabindex='0']").count() == 1
    assert re.search(r"^[A-Z].+, .+", node(page, upstream).locator("title").first.text_content() or "")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"was => ({focused})() !== was", arg=upstream)
    expect(page.locator("[role=status][aria-live]")).to_contain_text("nodes added")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"was => ({focused})() === was", arg=upstream)


def test_shift_and_an_arrow_expand_one_side(open_page: OpenPage, retraining: str) -> None:
    page = open_page(link(retraining, depth=0))
    before = settled(page)
    for key, side in (("ArrowLeft", "up"), ("ArrowRight", "down")):
        node(page, retraining).focus()
        page.keyboard.press(f"Shift+{key}")
        grown_ = grown(page, before)
        expect(page).to_have_url(re.compile(re.escape(f"open={side}~25~{retraining}")))
        left = {id_ for id_ in grown_ if abscissa(grown_[id_]) < abscissa(grown_[retraining])}
        assert (grown_.keys() - before.keys() <= left) == (side == "up")
        before = grown_


def abscissa(place: str) -> float:
    return float(re.findall(r"-?[\d.]+", place)[0])


def test_a_view_is_fitted_into_the_window(open_page: OpenPage, experiment: str) -> None:
    page = open_page(link(experiment, depth=2, per=10))
    settled(page)
    page.keyboard.press("f")
    page.wait_for_function(IN_SIGHT)
    page.get_by_role("button", name="Zoom in").click(click_count=4)
    page.wait_for_function(f"!({IN_SIGHT})()")
    page.keyboard.press("f")
    page.wait_for_function(IN_SIGHT)
    expect(page.locator(".minimap")).not_to_be_visible()


SMALLEST_TEXT = """() => {
    const scale = new DOMMatrix(document.querySelector('.paper').style.transform).a;
    const texts = [...document.querySelectorAll('.node text')];
    return Math.min(...texts.map(one => parseFloat(getComputedStyle(one).fontSize) * scale));
}"""
"""Height of the smallest text of a node, in pixels of the screen."""

OVERFLOWING = """() => [...document.querySelectorAll('.node')].filter(node => {
    const card = node.querySelector('.card').getBoundingClientRect();
    return [...node.querySelectorAll(':scope > text')].some(one => one.getBoundingClientRect().right > card.right);
}).map(node => node.textContent)"""


def test_a_view_opens_so_that_it_can_be_read(open_page: OpenPage, experiment: str) -> None:
    page = open_page(link(experiment, depth=2, select=experiment))
    shown = settled(page)
    assert len(shown) > 25
    page.wait_for_function(f"({SMALLEST_TEXT})() >= 11")
    start = node(page, experiment).bounding_box()
    stage = page.locator(".pane").bounding_box()
    assert start is not None
    assert stage is not None
    assert stage["x"] < start["x"] < stage["x"] + stage["width"] - start["width"]
    assert page.evaluate(OVERFLOWING) == []


def test_questions_are_answered_by_a_click(open_page: OpenPage, site: Gateway) -> None:
    model = ask(site, "{ models(first: 1, where: { isChampion: { eq: true } }) { nodes { id } } }")["models"]["nodes"][
        0
    ]
    page = open_page(link(model["id"], select=model["id"]))
    settled(page)
    for name, direction, lead in (
        ("What depends on it?", "DOWNSTREAM", "On .* depend"),
        ("Why is it here?", "UPSTREAM", ".* came of"),
    ):
        page.get_by_role("group", name="Questions").get_by_role("button", name=name).click()
        expect(page.locator(".answer")).to_have_text(re.compile(f"^{lead} .*"))
        settled(page)
        expect(page).to_have_url(re.compile(re.escape(f"direction={direction}")))
    page.go_back()
    expect(page.locator(".answer")).to_have_text(re.compile("^On .* depend"))


def test_rows_of_a_type_or_in_a_state_stand_out(open_page: OpenPage, violations: Violations, retraining: str) -> None:
    """The others keep their places without words; the link, the outline and the count say the same."""
    page = open_page(link(retraining, select=retraining, depth=2))
    before = settled(page)
    page.get_by_text("Rows", exact=True).click()
    types = page.get_by_role("group", name="Types")
    types.get_by_label("Model", exact=False).first.check()
    models = {id_ for id_ in before if id_.startswith("Model:")}
    faded = page.locator(".node.faded")
    expect(faded).to_have_count(len(before) - len(models))
    assert settled(page) == before
    expect(page.locator(".node.faded:not(.selected) text:visible")).to_have_count(0)
    expect(page.locator(".minimap rect")).to_have_count(len(models))
    expect(page.get_by_role("status").filter(has_text=f"{len(models)} of {len(before)} stand out")).to_be_attached()
    expect(page).to_have_url(re.compile(re.escape("types=Model")))
    assert violations(page) == []
    page.reload()
    assert settled(page).keys() == before.keys()
    expect(faded).to_have_count(len(before) - len(models))
    page.get_by_role("tab", name="Outline").click()
    expect(page.locator(".line.faded")).to_have_count(len(before) - len(models))
    expect(page.locator(".line.faded").first).to_contain_text("not chosen")
    page.get_by_text("Rows (1)", exact=True).click()
    page.get_by_role("button", name="All rows").click()
    expect(faded).to_have_count(0)
    state = page.get_by_role("group", name="States").get_by_role("checkbox").first
    state.check()
    expect(faded).not_to_have_count(0)
    expect(page.locator(".node:not(.faded)")).not_to_have_count(0)
    page.get_by_role("button", name="Use dark colours").or_(
        page.get_by_role("button", name="Use light colours")
    ).click()
    assert violations(page) == []


def test_a_slider_marks_what_has_become_of_a_lineage(open_page: OpenPage, site: Gateway, experiment: str) -> None:
    page = open_page(link(experiment, depth=1, select=experiment))
    shown = settled(page)
    expect(page.locator(".mark")).to_have_count(0)
    page.get_by_role("slider", name="Changes of").fill("90")
    summary = page.locator(".diff summary")
    expect(summary).to_contain_text("In 90 days")
    expect(page).to_have_url(re.compile(re.escape("since=90")))
    query = """query($from: [ID!]!, $between: [DateTime!]!) {
        lineageDiff(from: $from, between: $between, maxDepth: 1, perNodeLimit: 3) {
            added { nodes { nodeId } } removed { nodes { nodeId } } changed { node { nodeId } } } }"""
    as_of = page.locator(".partial time").get_attribute("datetime") or ""
    before = (datetime.fromisoformat(as_of) - timedelta(days=90)).isoformat()
    told = ask(site, query, **{"from": [experiment], "between": [before, as_of]})["lineageDiff"]
    expect(summary).to_contain_text(f"{len(told['added']['nodes'])} added")
    changed = {one["node"]["nodeId"] for one in told["changed"]}
    marked = changed | {one["nodeId"] for part in ("added", "removed") for one in told[part]["nodes"]}
    assert marked & shown.keys()
    expect(page.locator(".node .mark")).to_have_count(len(marked & shown.keys()))
    page.get_by_role("slider", name="Changes of").fill("0")
    expect(page.locator(".mark")).to_have_count(0)


def test_details_tell_what_matters_first(open_page: OpenPage, site: Gateway) -> None:
    query = """{ driftRecords(first: 1, where: { model: { isChampion: { eq: true } } }) {
        nodes { model { id trainedAt experiment { id } } } } }"""
    model = ask(site, query)["driftRecords"]["nodes"][0]["model"]
    page = open_page(link(model["id"], select=model["id"]))
    settled(page)
    aside = page.locator("aside")
    expect(aside.locator("figure.plot canvas").first).to_be_attached()
    expect(aside.locator("figure.plot").first).to_contain_text("drift score from")
    expect(aside.locator(".history")).to_contain_text("trained")
    expect(aside.get_by_text("mlflowModelUri", exact=True)).to_be_hidden()
    aside.locator(".folded summary").click()
    expect(aside.get_by_text("mlflowModelUri", exact=True)).to_be_visible()
    aside.get_by_role("button", name="Experiment", exact=True).click()
    page.wait_for_url(f"**select={model['experiment']['id']}*")
    expect(aside).to_contain_text(re.compile(r"predictionHorizonDays\d+ days"))


def test_a_phone_shows_words_first_and_the_drawing_when_asked(open_page: OpenPage, retraining: str) -> None:
    page = open_page("explorer")
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate("hash => { location.hash = hash }", link(retraining).split("#")[1])
    page.reload()
    settled(page)
    expect(page.get_by_role("tab", name="Outline")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("treeitem").first).to_be_visible()
    expect(node(page, retraining)).to_be_hidden()
    page.get_by_role("tab", name="Drawing").click()
    expect(node(page, retraining)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.wait_for_function(f"({SMALLEST_TEXT})() >= 11")


def test_the_minimap_is_dragged(open_page: OpenPage, experiment: str) -> None:
    page = open_page(link(experiment, depth=2, per=10))
    settled(page)
    page.get_by_role("button", name="Zoom in").click(click_count=6)
    map_ = page.locator(".minimap")
    expect(map_).to_be_visible()
    box = map_.bounding_box()
    assert box is not None
    corners = []
    for x, y in ((0.2, 0.2), (0.8, 0.8)):
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y, steps=3)
        page.mouse.up()
        corners.append(page.locator(".scene").evaluate("scene => new DOMMatrix(scene.style.transform).toJSON()"))
        lens = page.locator(".lens").bounding_box()
        assert lens is not None
        assert abs(lens["x"] + lens["width"] / 2 - box["x"] - box["width"] * x) < 3
        assert abs(lens["y"] + lens["height"] / 2 - box["y"] - box["height"] * y) < 3
    assert corners[0]["e"] > corners[1]["e"]
    assert corners[0]["f"] > corners[1]["f"]


def test_back_and_forward_show_the_views_again(open_page: OpenPage, experiment: str, retraining: str) -> None:
    page = open_page(link(retraining, depth=1))
    first = settled(page)
    page.get_by_role("combobox", name="Search").fill(experiment)
    page.get_by_role("option").filter(has_text=experiment).first.click()
    expect(node(page, experiment)).to_have_class(re.compile("start"))
    second = settled(page)
    page.go_back()
    expect(node(page, retraining)).to_have_class(re.compile("start"))
    assert settled(page) == first
    page.go_forward()
    expect(node(page, experiment)).to_have_class(re.compile("start"))
    assert settled(page) == second


def test_the_recorded_history_of_a_node(open_page: OpenPage, site: Gateway) -> None:
    alerts = ask(site, "{ monitoringAlerts(where: { status: { eq: ACTIVE } }, first: 1) { nodes { id } } }")
    alert = alerts["monitoringAlerts"]["nodes"][0]["id"]
    change = """mutation($id: ID!) {
        acknowledgeAlert(input: { id: $id, reason: "Seen on the page" }) { __typename } }"""
    assert ask(site, change, id=alert)["acknowledgeAlert"]["__typename"] == "TransitionApplied"
    page = open_page(link(alert, select=alert))
    settled(page)
    history = page.locator("aside .history .recorded")
    expect(history).to_have_count(1)
    expect(history).to_contain_text("active → acknowledged by")
    expect(history).to_contain_text("Seen on the page")


def test_a_change_is_shown_when_it_is_made(open_page: OpenPage, site: Gateway) -> None:
    alerts = ask(site, "{ monitoringAlerts(where: { status: { eq: ACTIVE } }, first: 1) { nodes { id title } } }")
    alert = alerts["monitoringAlerts"]["nodes"][0]
    page = open_page(link(alert["id"], select=alert["id"]))
    settled(page)
    expect(page.locator(".live")).to_be_visible()
    change = "mutation($id: ID!) { acknowledgeAlert(input: { id: $id }) { __typename } }"
    assert ask(site, change, id=alert["id"])["acknowledgeAlert"]["__typename"] == "TransitionApplied"
    expect(node(page, alert["id"])).to_contain_text("acknowledged")
    expect(page.locator("p[role=status][aria-live]")).to_contain_text(f"{alert['title']} is now acknowledged")
    expect(page.locator("aside .history .recorded")).to_have_count(1)


# -- for those who do not see the drawing ----------------------------------------------------------------------------


def accessible(page: Page) -> list[dict[str, Any]]:
    """What Chromium tells a screen reader: role, name and properties of each node that is not ignored."""
    session = page.context.new_cdp_session(page)
    told = session.send("Accessibility.getFullAXTree")["nodes"]
    return [
        {
            "role": one["role"]["value"],
            "name": one.get("name", {}).get("value", ""),
            **{each["name"]: each["value"].get("value") for each in one.get("properties", [])},
        }
        for one in told
        if not one["ignored"]
    ]


def test_the_outline_is_a_tree_for_screen_readers(open_page: OpenPage, experiment: str) -> None:
    page = open_page(link(experiment, depth=2))
    shown = settled(page)
    page.get_by_role("tab", name="Outline").click()
    expect(page.locator("[role=treeitem]")).to_have_count(len(shown))
    told = accessible(page)
    assert [one["name"] for one in told if one["role"] == "tree"] == ["Lineage"]
    items = [one for one in told if one["role"] == "treeitem"]
    assert len(items) == len(shown)
    levels = [item["level"] for item in items]
    assert levels[0] == 1
    assert set(levels) == {1, 2, 3}
    assert all(below - above <= 1 for above, below in pairwise(levels)), "no level is left out"
    assert items[0]["expanded"] is True
    assert any(item.get("expanded") is False and "more" in item["name"] for item in items)
    assert re.search(r" Experiment\b", items[0]["name"])
    assert all(re.match(r"[a-z ]+ →\s*: |← [a-z ]+\s*: ", item["name"]) for item in items[1:]), (
        "each says by which edge"
    )
    drawn = [one for one in told if one["role"] == "button" and "expanded" in one and "pressed" in one]
    assert len(drawn) == len(shown)
    assert all(re.match(r"[A-Z][a-z ]+, \S", one["name"]) for one in drawn), "each says what it is"
    assert any(one["role"] == "status" and one.get("live") == "polite" for one in told)


def test_every_state_is_accessible(open_page: OpenPage, violations: Violations, retraining: str) -> None:
    page = open_page("explorer", calm=False)
    expect(page.locator(".welcome li")).not_to_have_count(0)
    assert violations(page) == []
    page.evaluate("hash => { location.hash = hash }", link(retraining, select=retraining).split("#")[1])
    settled(page)
    expect(page.locator("aside dl")).to_be_visible()
    for size in ({"width": 1440, "height": 900}, {"width": 390, "height": 844}):
        page.set_viewport_size(size)
        for tab in ("Details", "Outline"):
            page.get_by_role("tab", name=tab).click()
            assert violations(page) == []
    page.evaluate("hash => { location.hash = hash }", link(UNKNOWN).split("#")[1])
    expect(page.get_by_role("alert")).to_contain_text("There is no")
    assert violations(page) == []


def test_cards_of_many_and_what_is_chosen_are_accessible(
    open_page: OpenPage, violations: Violations, site: Gateway
) -> None:
    query = "{ bentoServices(first: 1, where: { metrics: { some: {} } }) { nodes { id } } }"
    service = ask(site, query)["bentoServices"]["nodes"][0]["id"]
    page = open_page(link(service, direction="DOWNSTREAM", per=25, select=service))
    settled(page)
    expect(page.locator(".plot").first).to_be_visible()
    page.get_by_role("button", name="Path to …").click()
    expect(page.locator(".answer[role=status]")).to_contain_text("choose its other end")
    assert violations(page) == []
    page.get_by_role("button", name="Cancel").click()
    press(page, page.locator("[data-node^='Stack:']").first)
    expect(page.get_by_role("region", name="Rows of one kind").locator("tbody tr").first).to_be_visible()
    assert violations(page) == []
    twin = ask(site, "{ twinModels(first: 1) { nodes { id } } }")["twinModels"]["nodes"][0]["id"]
    page.evaluate("hash => { location.hash = hash }", link(twin, since=30, select=twin).split("#")[1])
    expect(page.get_by_role("region", name="Good enough to skip an A/B test?")).to_be_visible()
    expect(page.locator(".diff")).to_be_visible()
    assert violations(page) == []


def test_what_is_measured_over_time_is_plotted(open_page: OpenPage, site: Gateway) -> None:
    """The documents of all types are answered; of those that a page sends one is looked at."""
    documents = [text for text in load(CONSOLE).values() if text.startswith("query Plots(")]
    types = {re.findall(r"\.\.\. on (\w+)", text)[0]: text for text in documents}
    assert {"Experiment", "Feature", "FeatureView", "HpoStudy", "Tool", "CohortDefinition"} < types.keys()
    roots = {one["target"]: one["list"] for one in lists_of(site)}
    for type_, text in types.items():
        root = roots[type_]
        for one in ask(site, f"{{ {root}(first: 1) {{ nodes {{ id }} }} }}")[root]["nodes"]:
            assert ask(site, text, id=one["id"])["node"]["id"] == one["id"]
    tested = ask(site, "{ assignments(first: 1) { nodes { experiment { id } } } }")["assignments"]["nodes"][0]
    start = tested["experiment"]["id"]
    page = open_page(link(start, depth=0, select=start))
    settled(page)
    plots = page.get_by_role("region", name="Plots")
    expect(plots).to_contain_text("Units assigned by day")
    expect(plots).to_contain_text("Effect at each interim analysis")


def lists_of(site: Gateway) -> list[dict[str, str]]:
    """The lists at the root, and of which type their rows are."""
    told = ask(site, "{ __schema { queryType { fields { name type { name ofType { name } } } } } }")
    found = []
    for field in told["__schema"]["queryType"]["fields"]:
        name = (field["type"]["ofType"] or field["type"])["name"] or ""
        if name.endswith("Connection"):
            found.append({"target": name.removesuffix("Connection"), "list": field["name"]})
    return found


def test_the_outline_is_walked_with_the_keyboard(open_page: OpenPage, retraining: str) -> None:
    page = open_page(link(retraining, depth=1))
    shown = settled(page)
    page.get_by_role("tab", name="Outline").click()
    items = page.locator("[role=treeitem]")
    expect(items).to_have_count(len(shown))
    items.first.focus()
    page.keyboard.press("ArrowLeft")
    expect(items).to_have_count(1)
    expect(items.first).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowRight")
    expect(items).to_have_count(len(shown))
    page.keyboard.press("End")
    expect(items.last).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(items.nth(1)).to_be_focused()
    closed = page.locator("[role=treeitem][aria-expanded=false]").first
    before = places(page)
    closed.focus()
    page.keyboard.press("ArrowRight")
    grown(page, before)
    expect(page.locator("p[role=status][aria-live]")).to_contain_text("nodes added")
    page.keyboard.press("Enter")
    expect(page.locator("[role=treeitem][aria-selected=true]")).to_have_count(1)


# -- gateways that are not open to all -------------------------------------------------------------------------------


def test_a_token_is_asked_for_and_kept_for_the_tab(open_page: OpenPage, retraining: str) -> None:
    page = open_page("explorer", calm=False)

    def guard(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer s3cret":
            route.continue_()
            return
        refused = {"errors": [{"message": "Send a JWT.", "extensions": {"code": "UNAUTHENTICATED"}}]}
        route.fulfill(status=401, content_type="application/json", body=json.dumps(refused))

    page.route("**/graphql", guard)
    page.goto(page.url.split("#")[0] + "#" + link(retraining).split("#")[1])
    page.reload()
    alert = page.get_by_role("alert").filter(has_text="Send a JWT.")
    alert.get_by_label("Token").fill("wrong")
    alert.get_by_role("button", name="Use it").click()
    alert = page.get_by_role("alert").filter(has_text="The gateway does not take this token.")
    alert.get_by_label("Token").fill("Bearer s3cret")
    alert.get_by_role("button", name="Use it").click()
    settled(page)
    assert page.evaluate("() => [...Object.values(localStorage), document.cookie]") == [""]
    page.reload()
    settled(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("alert")).to_contain_text("Send a JWT.")


def test_what_may_not_be_read_is_said(open_page: OpenPage, retraining: str) -> None:
    page = open_page("explorer", calm=False)
    refused = {"errors": [{"message": "It takes the scope read.", "extensions": {"code": "FORBIDDEN"}}]}
    answer = {"status": 403, "content_type": "application/json", "body": json.dumps(refused)}
    page.route("**/graphql", lambda route: route.fulfill(**answer))
    page.evaluate("hash => { location.hash = hash }", link(retraining).split("#")[1])
    expect(page.get_by_role("alert").first).to_contain_text("You may not read this. It takes the scope read.")


def test_without_introspection_fields_and_types_are_there_all_the_same(open_page: OpenPage, retraining: str) -> None:
    page = open_page("explorer", calm=False)

    def guard(route: Route) -> None:
        if "__schema" not in (route.request.post_data or "") and "__type(" not in (route.request.post_data or ""):
            route.continue_()
            return
        refused = {"errors": [{"message": "no", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}]}
        route.fulfill(status=400, content_type="application/json", body=json.dumps(refused))

    page.route("**/graphql", guard)
    page.goto(page.url.split("#")[0] + "#" + link(retraining, select=retraining).split("#")[1])
    page.reload()
    settled(page)
    expect(page.locator("aside dl").first).to_contain_text("triggerType")
    page.get_by_role("combobox", name="Search").fill("alerts")
    expect(page.get_by_role("option").first).to_contain_text("Monitoring alert")


def test_the_view_as_graphql_answers_the_view(open_page: OpenPage, site: Gateway, experiment: str) -> None:
    page = open_page(link(experiment, depth=2))
    shown = settled(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy GraphQL").click()
    expect(page.locator(".toast")).to_contain_text("Copied")
    query = page.evaluate("() => navigator.clipboard.readText()")
    parse(query)
    answer = ask(site, query)["lineage"]
    assert {one["nodeId"] for one in answer["nodes"]} == shown.keys()
    assert len(answer["edges"]) == page.locator("path.edge").count()


def test_pictures_are_saved(open_page: OpenPage, retraining: str, tmp_path: Path) -> None:
    page = open_page(link(retraining))
    shown = settled(page)
    files = {}
    for kind in ("SVG", "PNG"):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind, exact=True).click()
        files[kind] = tmp_path / kind
        download.value.save_as(files[kind])
    svg = files["SVG"].read_text()
    assert svg.count("data-node=") == len(shown)
    assert not re.search(r"""(?:href|src)=["']https?:""", svg)
    assert files["PNG"].read_bytes().startswith(b"\x89PNG")
    assert files["PNG"].stat().st_size > 10_000


def test_five_hundred_nodes(open_page: OpenPage, experiment: str) -> None:
    page = open_page("explorer")
    page.evaluate(COUNT_NODES)
    page.evaluate("hash => { location.hash = hash }", link(experiment, depth=4, per=25, siblings="apart").split("#")[1])
    shown = settled(page)
    assert len(shown) == MANY
    assert len(set(shown.values())) == MANY, "no two in one place"
    counted = page.evaluate("counted")
    assert max(after - before for before, after in pairwise(counted)) <= MANY / 10, "a part is drawn in each frame"
    lines = page.locator("path.edge").evaluate_all("all => all.map(one => one.getAttribute('d'))")
    label = page.locator("svg.graph").get_attribute("aria-label") or ""
    assert sum(line.count("M") for line in lines) == int(re.findall(r"(\d+) edges", label)[0]) > 2 * len(lines)
    expect(page.locator(".minimap rect")).to_have_count(MANY)
    expect(page.locator(".partial")).to_contain_text("maxNodes")


def test_five_hundred_nodes_move_as_a_picture(open_page: OpenPage, browser: Browser, experiment: str) -> None:
    page = open_page(link(experiment, depth=4, per=25, siblings="apart"))
    settled(page)
    page.keyboard.press("f")
    page.wait_for_function(IN_SIGHT)
    page.wait_for_timeout(500)  # its tiles are there
    browser.start_tracing(page=page, categories=["disabled-by-default-devtools.timeline"])
    page.evaluate(TURN_IN_FRAMES)
    told = json.loads(browser.stop_tracing())["traceEvents"]
    page.evaluate(LET_GO)
    tiles = sum(one["name"] == "RasterTask" for one in told)
    assert tiles < FEW_TILES, "the browser draws nothing anew either"
    page.wait_for_function(RESTS)
    page.keyboard.press("f")
    page.wait_for_function(IN_SIGHT)
    drawn = page.evaluate(RESTS)
    by, still = page.evaluate(TURN)
    assert still == drawn, "while it is zoomed nothing is drawn anew"
    assert by > 2
    page.wait_for_function(RESTS)
    assert page.evaluate(RESTS) == pytest.approx(drawn * by, rel=1e-3), "then it is sharp again"
    assert page.evaluate(DRAG_AFTER_WHEEL), "while it is dragged the view is a picture that moves, not drawn anew"
    times = page.evaluate(FRAMES)
    print(json.dumps({"frames": len(times), "median": times[len(times) // 2], "p95": times[-6], "max": times[-1]}))


def test_a_node_with_a_hundred_thousand_children(open_page: OpenPage, site: Gateway) -> None:
    """They are one card that says how many there are, and opens as a table of those that were read."""
    service = UUID(int=0x100_000)
    insert_metrics(site, service, 100_000)
    start = f"BentoService:{service}"
    page = open_page(link(start, direction="DOWNSTREAM", per=25, select=start))
    card = f"Stack:{start}~DOWNSTREAM~EMITS~ServingMetric"
    assert settled(page).keys() == {start, card}
    expect(node(page, card)).to_contain_text("100,000 serving metrics")
    expect(page.get_by_role("button", name="25 of 100,000 downstream")).to_be_visible()
    expect(page.locator(".cuts")).to_contain_text("emits Serving metric: 99,975 more")
    press(page, node(page, card))
    table = page.get_by_role("region", name="Rows of one kind")
    expect(table.locator("tbody tr")).to_have_count(25)
    table.get_by_role("button", name="Read on (99,975 more)").click()
    expect(table.get_by_role("status")).to_have_text("225 of 225 that were read")
    assert settled(page).keys() == {start, card}
    row = table.locator("tbody tr").nth(7)
    pinned = row.get_attribute("data-row") or ""
    row.get_by_role("button").click()
    expect(node(page, pinned)).to_be_in_viewport()
    page.reload()
    expect(node(page, pinned)).to_be_attached()
    assert settled(page).keys() == {start, card, pinned}
    press(page, node(page, start))
    page.get_by_role("button", name="Close downstream").click()
    expect(page.locator("[data-node]")).to_have_count(1)
    page.reload()
    assert settled(page).keys() == {start}
    press(page, node(page, start).locator(".more"))
    expect(node(page, card)).to_contain_text("100,000 serving metrics")
    insert_metrics(site, UUID(int=0x100_001), 100_001)
    start = f"BentoService:{UUID(int=0x100_001)}"
    page.evaluate("hash => { location.hash = hash }", link(start, per=25, select=start).split("#")[1])
    page.reload()
    expect(page.get_by_role("button", name="25 of 100,000+ downstream")).to_have_attribute(
        "title", re.compile("at least so many")
    )
    assert ask(
        site,
        "query($id: ID!) { bentoService(id: $id) { metrics { totalCount(exact: true) } } }",
        id=f"BentoService:{service}",
    ) == {"bentoService": {"metrics": {"totalCount": 100_000}}}


def insert_metrics(site: Gateway, service: UUID, count: int) -> None:
    run_sql(site, "INSERT INTO ml_bentoml_services (id, service_name, bento_tag) VALUES ($1, 'hot', 'hot:1')", service)
    run_sql(
        site,
        "INSERT INTO ml_bentoml_serving_metrics (service_id, recorded_at) "
        "SELECT $1, now() - n * interval '1 minute' FROM generate_series(1, $2::int) AS n",
        service,
        count,
    )


def test_the_page_may_only_fetch_from_its_host(site: Gateway) -> None:
    answer = site.http.get(f"{site.base}/explorer")
    assert answer.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_colour_schemes(open_page: OpenPage, experiment: str, retraining: str, scheme: Scheme) -> None:
    view = {"direction": "DOWNSTREAM", "depth": 8, "per": 2, "kinds": LIFE}
    page = open_page(link(experiment, **view, select=quote(retraining)), scheme)
    settled(page)
    expect(page.locator("aside dl")).to_be_visible()
    assert (brightness(page) > 128) == (scheme == "light")
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        page.set_viewport_size({"width": 1920, "height": 900})
        page.get_by_role("button", name="Show all").click()
        if scheme == "dark":
            page.screenshot(path=PICTURES / "explorer-dark.png", animations="disabled")
        else:
            take_halves(page)
    page.get_by_role("button", name=re.compile("^Use .* colours$")).click()
    expect(page.locator("html")).to_have_attribute("data-scheme", "light" if scheme == "dark" else "dark")
    assert (brightness(page) > 128) == (scheme == "dark")
    page.reload()
    settled(page)
    assert (brightness(page) > 128) == (scheme == "dark"), "the switch is remembered"


def take_halves(page: Page) -> None:
    """Two pictures of a life, from left to right, so large that they can be read in the README."""
    page.set_viewport_size({"width": 1920, "height": 1010})
    page.get_by_role("button", name="Show all").click()
    for _ in range(3):
        page.get_by_role("button", name="Zoom in").click()
    page.evaluate("() => document.querySelectorAll('.minimap, .zoom').forEach(one => { one.style.opacity = 0 })")
    stage = page.locator(".stage").bounding_box()
    assert stage is not None
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + 60
    for name, edge in (("explorer-life.png", "left"), ("explorer-life-on.png", "right")):
        cards = page.locator("[data-node]").evaluate_all("all => all.map(one => one.getBoundingClientRect().toJSON())")
        left, right = min(card["left"] for card in cards), max(card["right"] for card in cards)
        by = stage["x"] + 16 - left if edge == "left" else stage["x"] + stage["width"] - 16 - right
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + by, y, steps=4)
        page.mouse.up()
        shown = [
            card
            for card in cards
            if stage["x"] <= card["left"] + by and card["right"] + by <= stage["x"] + stage["width"]
        ]
        top = max(stage["y"], min(card["top"] for card in shown) - 24)
        bottom = min(stage["y"] + stage["height"], max(card["bottom"] for card in shown) + 24)
        page.wait_for_timeout(500)
        page.screenshot(path=PICTURES / name, animations="disabled", clip={**stage, "y": top, "height": bottom - top})


def brightness(page: Page) -> int:
    colour = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    return max(int(part) for part in re.findall(r"\d+", colour)[:3])


def test_the_pictures_are_there() -> None:
    for name in ("explorer-life.png", "explorer-life-on.png", "explorer-dark.png"):
        picture: Path = PICTURES / name
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < MAX_PICTURE
