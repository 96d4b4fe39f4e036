"""The explorer while something else happens: changes, failures, lost connections, narrow windows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from tests.support.browsing import Held
from tests.support.exploring import ask, grown, link, node, nodes, press, settled
from tests.support.process import Gateway

pytestmark = pytest.mark.slow

OpenPage = Callable[..., Page]


def move(site: Gateway, mutation: str, id_: str) -> None:
    change = f'mutation($id: ID!) {{ {mutation}(input: {{ id: $id, reason: "A test" }}) {{ __typename }} }}'
    assert ask(site, change, id=id_)[mutation]["__typename"] == "TransitionApplied"


@pytest.fixture
def active(site: Gateway) -> Iterator[dict[str, Any]]:
    """An alert that is active, and is again after a test that has acknowledged it."""
    found = ask(site, "{ monitoringAlerts(where: { status: { eq: ACTIVE } }, first: 1) { nodes { id title } } }")
    one: dict[str, Any] = found["monitoringAlerts"]["nodes"][0]
    yield one
    left = ask(site, "query($id: ID!) { monitoringAlert(id: $id) { status } }", id=one["id"])["monitoringAlert"]
    if left["status"] == "ACKNOWLEDGED":
        move(site, "dismissAlert", one["id"])
        move(site, "reopenAlert", one["id"])


def joins(asked: dict[str, Any]) -> bool:
    """The last question of an opening: the edges among all nodes of the view."""
    return "ExplorerView" in asked["query"] and len(asked["variables"]["from"]) > 1


def test_a_change_while_a_side_is_being_opened(open_page: OpenPage, site: Gateway, active: dict[str, Any]) -> None:
    """Neither kills the page, nor is it lost when the side has been opened."""
    id_ = active["id"]
    page = open_page(link(id_, depth=0, select=id_))
    before = settled(page)
    expect(page.locator(".live")).to_be_visible()
    held = Held(page, joins)
    press(page, node(page, id_).locator(".more").first)
    held.until_one_waits()
    move(site, "acknowledgeAlert", id_)
    expect(page.locator("p[role=status][aria-live]")).to_contain_text("is now acknowledged")
    expect(nodes(page)).to_have_count(len(before))
    held.let_go()
    grown(page, before)
    expect(node(page, id_)).to_contain_text("acknowledged")
    expect(page.locator(".live")).to_be_visible()


def test_what_was_read_before_a_change_does_not_undo_it(
    open_page: OpenPage, site: Gateway, active: dict[str, Any]
) -> None:
    """The answer that completes an opening may be older than a change that was told of while it was on its way."""
    id_ = active["id"]
    page = open_page(link(id_, depth=0, select=id_))
    before = settled(page)
    expect(page.locator(".live")).to_be_visible()
    late: list[tuple[Route, Any]] = []

    def slow_answers(route: Route) -> None:
        if joins(route.request.post_data_json):
            late.append((route, route.fetch()))
        else:
            route.continue_()

    page.route("**/graphql", slow_answers)
    press(page, node(page, id_).locator(".more").first)
    while not late:
        page.wait_for_timeout(20)
    move(site, "acknowledgeAlert", id_)
    expect(node(page, id_)).to_contain_text("acknowledged")
    route, answer = late.pop()
    assert '"ACTIVE"' in answer.text()
    route.fulfill(response=answer)
    grown(page, before)
    expect(node(page, id_)).to_contain_text("acknowledged")


def test_reading_on_that_fails_keeps_its_place(open_page: OpenPage, experiment: str) -> None:
    page = open_page(link(experiment, direction="DOWNSTREAM"), calm=False)
    before = settled(page)
    more = node(page, experiment).locator(".more.cut")
    said = more.locator("text").text_content()
    expect(page.locator(".partial .live")).to_be_visible()  # which it becomes once the connection is there
    partial = page.locator(".partial").text_content()
    page.route("**/graphql", lambda route: route.abort())
    press(page, more)
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    assert more.locator("text").text_content() == said
    assert page.locator(".partial").text_content() == partial
    page.unroute("**/graphql")
    page.get_by_role("button", name="Try again").click()
    grown(page, before)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_page_that_fails_says_so_and_shows_the_view_anew(open_page: OpenPage, retraining: str) -> None:
    page = open_page("explorer", calm=False)

    def without_labels(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=re.sub(r'"label":\s*"[^"]*"', '"label":null', answer.text()))

    page.route("**/graphql", without_labels)
    page.evaluate("hash => { location.hash = hash }", link(retraining).split("#")[1])
    failed = page.get_by_role("alert").filter(has_text="This page has failed.")
    expect(failed).to_contain_text("nothing was changed")
    page.unroute_all(behavior="wait")  # the answer of another request may be on its way
    failed.get_by_role("button", name="Show this view anew").click()
    settled(page)
    expect(node(page, retraining)).to_have_class(re.compile("start"))


def test_a_lost_connection_is_said_and_goes_on_from_the_cursor(
    open_page: OpenPage, site: Gateway, active: dict[str, Any]
) -> None:
    page = open_page("explorer", calm=False)
    sockets: list[WebSocketRoute] = []
    subscribed: list[dict[str, Any]] = []
    shut = [False]

    def between(socket: WebSocketRoute) -> None:
        if shut[0]:
            socket.on_message(lambda _: socket.close(code=1012))
            return
        sockets.append(socket)
        server = socket.connect_to_server()

        def up(message: str | bytes) -> None:
            said = json.loads(message)
            if said["type"] == "subscribe":
                subscribed.append(said["payload"]["variables"])
            server.send(message)

        socket.on_message(up)

    page.route_web_socket("**/graphql", between)
    page.evaluate("hash => { location.hash = hash }", link(active["id"], select=active["id"]).split("#")[1])
    settled(page)
    expect(page.locator(".live")).to_be_visible()
    shut[0] = True
    sockets[-1].close(code=1012)
    expect(page.locator(".live")).to_have_count(0)
    move(site, "acknowledgeAlert", active["id"])
    shut[0] = False
    expect(node(page, active["id"])).to_contain_text("acknowledged")
    expect(page.locator(".live")).to_be_visible()
    assert subscribed[0] == {"after": None}
    assert subscribed[-1]["after"], "what happened meanwhile is told, too"


def test_another_token_is_used_by_the_socket_at_once(open_page: OpenPage, retraining: str) -> None:
    """Also after the socket was refused."""
    page = open_page("explorer", calm=False)
    tokens: list[str | None] = []
    good = "Bearer renewed"

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def up(message: str | bytes) -> None:
            said = json.loads(message)
            if said["type"] == "connection_init":
                tokens.append(said.get("payload", {}).get("authorization"))
                if tokens[-1] != good:
                    socket.close(code=4403, reason="Forbidden")
                    return
                message = json.dumps({"type": "connection_init"})
            server.send(message)

        socket.on_message(up)

    refusing = [False]

    def guard(route: Route) -> None:
        if not refusing[0] or route.request.headers.get("authorization") == good:
            route.continue_()
            return
        refused = {"errors": [{"message": "It has ended.", "extensions": {"code": "UNAUTHENTICATED"}}]}
        route.fulfill(status=401, content_type="application/json", body=json.dumps(refused))

    page.route("**/graphql", guard)
    page.route_web_socket("**/graphql", between)
    page.evaluate("hash => { location.hash = hash }", link(retraining, depth=0).split("#")[1])
    settled(page)
    while not tokens:
        page.wait_for_timeout(20)
    expect(page.locator(".live")).to_have_count(0)
    refusing[0] = True
    press(page, node(page, retraining).locator(".more").first)
    asked = page.get_by_role("alert").filter(has_text="It has ended.")
    asked.get_by_label("Token").fill("renewed")
    asked.get_by_role("button", name="Use it").click()
    expect(page.locator(".live")).to_be_visible()
    assert tokens == [None, good]
    page.wait_for_function("() => document.querySelectorAll('[data-node]').length > 1")


def test_a_narrow_window_hides_no_kind_of_edge_and_no_tool(open_page: OpenPage, retraining: str) -> None:
    page = open_page(link(retraining))
    settled(page)
    page.set_viewport_size({"width": 1100, "height": 800})
    page.get_by_text("Edges", exact=True).click()
    kinds = page.locator(".kinds label")
    assert kinds.count() > 10
    assert all(kinds.nth(at).is_visible() for at in range(kinds.count()))
    page.set_viewport_size({"width": 720, "height": 450})  # 1440 by 900 at 200 %
    for tool in (
        page.get_by_label("Per kind"),
        page.get_by_role("button", name="Copy GraphQL"),
        page.locator(".views"),
    ):
        expect(tool).to_be_visible()


def test_a_link_of_an_older_version_shows_what_it_still_means(open_page: OpenPage, experiment: str) -> None:
    """Kinds of edges, ways, columns, filters and rows that are no more are left out."""
    gone = "Gone:00000000-0000-0000-0000-000000000000"
    page = open_page(
        link(experiment, direction="SIDEWAYS", kinds="WAS_A_KIND,PRODUCES", layout=3, open=f"up~3~{gone}", select=gone)
    )
    settled(page)
    expect(node(page, experiment)).to_have_class(re.compile("start"))
    expect(page.locator(".kinds summary")).to_have_text("Edges (1)")
    expect(page.get_by_role("alert")).to_have_count(0)
    page = open_page("deployments#status=OPEN&team=x&sort=-gone&page=3")
    expect(page.locator("tbody tr").first).to_be_visible()
    expect(page.get_by_role("columnheader", name="Deployed")).to_have_attribute("aria-sort", "descending")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_reduced_motion_hides_nothing(open_page: OpenPage, retraining: str) -> None:
    page = open_page("explorer")
    page.emulate_media(reduced_motion="reduce")
    page.evaluate("hash => { location.hash = hash }", link(retraining).split("#")[1])
    settled(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy GraphQL").click()
    toast = page.locator(".toast")
    expect(toast).to_contain_text("Copied")
    assert float(toast.evaluate("one => getComputedStyle(one).opacity")) > 0.9
    assert page.evaluate("() => document.getAnimations().length") == 0
    expect(toast).to_have_count(0)
