"""``python -m tests.bench.pictures FOLDER [WORD ...]``: pictures of each page and state, to be looked at.

Each in four sizes and both schemes, as ``<size>-<scheme>-<state>.png``, and for each size and scheme a sheet of all
states (``sheet-<size>-<scheme>.png``). With words, the sizes, schemes and states whose names begin with one. Prints
what sticks out of a window and, where axe-core is installed (`make test-pages`), what it finds. Asks two gateways that
it starts: one of the demo, one of an empty database that wants to know who asks.
"""

from __future__ import annotations

import base64
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from gateway.app import CONSOLE_PAGES
from tests.support.accessibility import AXE, RULES
from tests.support.browsing import ARGUMENTS, Held, Scheme
from tests.support.callers import SECRET, token
from tests.support.exploring import link, press, settled
from tests.support.process import Gateway

SIZES = {"wide": (1440, 900), "large": (1920, 1080), "tablet": (768, 1024), "phone": (390, 844)}
SCHEMES: dict[str, Scheme] = {"light": "light", "dark": "dark"}
ROWS = """{
    alert: monitoringAlerts(first: 1, where: { status: { eq: ACTIVE } }) { nodes { id } }
    model: models(first: 1, where: { isChampion: { eq: true } }) { nodes { id } }
    experiment: retrainings(first: 1) { nodes { model { experiment { id } } } }
    service: bentoServices(first: 1, where: { metrics: { some: {} } }) { nodes { id } }
    twin: twinModels(first: 1, where: { fidelityHistory: { some: {} } }) { nodes { id } }
    event: lifecycleEvents(first: 1) { nodes { id } }
}"""
UNKNOWN = "Model:00000000-0000-0000-0000-000000000000"
SLOW = "query Slow { deployments(first: 12) { nodes { id deploymentName latencyP95Ms errorRate } } }"
LISTS = [name for name in CONSOLE_PAGES if name != "explorer"]


class Studio:
    """A browser's page in one scheme and size, and the rows that states are about."""

    def __init__(self, browser: Browser, demo: Gateway, empty: Gateway) -> None:
        self.browser, self.demo, self.empty = browser, demo, empty
        nodes = {name: told["nodes"] for name, told in demo.ask(ROWS).items()}
        self.ids = {name: one[0]["id"] for name, one in nodes.items() if one and name != "experiment"}
        self.ids["experiment"] = nodes["experiment"][0]["model"]["experiment"]["id"]

    def opened(self, scheme: Scheme, size: tuple[int, int]) -> Page:
        viewport = {"width": size[0], "height": size[1]}
        page = self.browser.new_context(viewport=viewport, color_scheme=scheme).new_page()
        page.set_default_timeout(20_000)
        return page

    def go(self, page: Page, path: str) -> None:
        page.goto(f"{self.demo.base}/{path}")
        expect(page.locator("main")).to_have_attribute("aria-busy", "false")

    def row(self, page: Page, name: str, **view: object) -> None:
        page.goto(f"{self.demo.base}/{link(self.ids[name], select=self.ids[name], **view)}")
        settled(page)

    def ask(self, page: Page, query: str) -> None:
        page.goto(f"{self.demo.base}/graphql")
        expect(page.locator(".graphiql-query-editor .view-line").first).to_be_visible()
        page.locator(".graphiql-query-editor .view-lines").click()
        page.keyboard.press("ControlOrMeta+A")
        page.keyboard.press("Delete")
        page.keyboard.insert_text(query)
        page.wait_for_timeout(500)
        page.get_by_role("button", name=re.compile("^Execute query")).click()
        expect(page.locator(".result-window .view-lines")).to_contain_text('"data"')


def listed(name: str) -> Callable[[Studio, Page], None]:
    def shown(studio: Studio, page: Page) -> None:
        studio.go(page, name)
        expect(page.locator("tbody tr").first).to_be_visible()

    return shown


def home(studio: Studio, page: Page) -> None:
    studio.go(page, "")
    expect(page.locator(".live")).to_be_visible()


def home_below(studio: Studio, page: Page) -> None:
    home(studio, page)
    page.locator("main").evaluate("main => main.scrollTo(0, main.scrollHeight)")


def waiting(studio: Studio, page: Page) -> None:
    held = Held(page, lambda _: True)
    page.goto(studio.demo.base)
    held.until_one_waits()


def event(studio: Studio, page: Page) -> None:
    page.goto(f"{studio.demo.base}/#event={studio.ids['event']}")
    expect(page.get_by_role("dialog").locator("dl")).to_be_visible()


def sheet(studio: Studio, page: Page) -> None:
    home(studio, page)
    page.locator(f"[data-row='{studio.ids['alert']}']").get_by_role("button", name=re.compile("^Acknowledge")).click()
    expect(page.get_by_role("region", name="Preview")).to_contain_text("It would change")


def blocked(studio: Studio, page: Page) -> None:
    studio.go(page, "models#stage=SHADOW")
    page.locator("tbody th a").first.click()
    settled(page)
    page.get_by_role("button", name=re.compile("^Promote to production: ")).click()
    expect(page.get_by_role("region", name="Preview")).to_contain_text(re.compile("It is blocked|It would change"))


def search(studio: Studio, page: Page) -> None:
    home(studio, page)
    page.get_by_role("combobox", name="Search").fill("type:alert state:active")
    expect(page.get_by_role("option").first).to_be_visible()


def filtered(studio: Studio, page: Page) -> None:
    studio.go(page, "alerts#severity=CRITICAL&status=ACTIVE")
    page.locator(".views summary").click()


def nothing_found(studio: Studio, page: Page) -> None:
    studio.go(page, "models#q=no%20such%20model")
    expect(page.locator(".empty")).to_be_visible()


def welcome(studio: Studio, page: Page) -> None:
    page.goto(f"{studio.demo.base}/explorer")
    expect(page.locator(".welcome li").first).to_be_visible()


def lineage(studio: Studio, page: Page) -> None:
    studio.row(page, "experiment", direction="DOWNSTREAM", depth=3, since=30)
    expect(page.locator("aside dl, [role=tree]").first).to_be_visible()


def alert(studio: Studio, page: Page) -> None:
    studio.row(page, "alert")
    expect(page.locator("aside dl").first).to_be_visible()


def model(studio: Studio, page: Page) -> None:
    studio.row(page, "model", depth=2)
    expect(page.locator(".plot").first).to_be_visible()


def service(studio: Studio, page: Page) -> None:
    studio.row(page, "service", direction="DOWNSTREAM", per=25)
    expect(page.locator(".plot").first).to_be_visible()


def stack(studio: Studio, page: Page) -> None:
    service(studio, page)
    press(page, page.locator("[data-node^='Stack:']").first)
    expect(page.get_by_role("region", name="Rows of one kind").locator("tbody tr").first).to_be_visible()


def twin(studio: Studio, page: Page) -> None:
    studio.row(page, "twin")
    expect(page.get_by_role("region", name="Good enough to skip an A/B test?")).to_be_visible()


def drawing(studio: Studio, page: Page) -> None:
    """On a narrow window the drawing is a tab."""
    lineage(studio, page)
    tab = page.get_by_role("tab", name="Drawing")
    if tab.is_visible():
        tab.click()
        page.wait_for_timeout(300)
    else:
        page.keyboard.press("f")


def outline(studio: Studio, page: Page) -> None:
    lineage(studio, page)
    page.get_by_role("tab", name="Outline").click()


def gone(studio: Studio, page: Page) -> None:
    page.goto(f"{studio.demo.base}/{link(UNKNOWN)}")
    expect(page.get_by_role("alert")).to_be_visible()


def graphiql(studio: Studio, page: Page) -> None:
    studio.ask(page, SLOW)
    page.mouse.move(5, 400)


def cookbook(studio: Studio, page: Page) -> None:
    graphiql(studio, page)
    page.get_by_role("button", name="Show Cookbook").click()


def table(studio: Studio, page: Page) -> None:
    graphiql(studio, page)
    page.get_by_role("button", name="Show Result as a table").click()
    expect(page.get_by_role("columnheader", name="latencyP95Ms ms")).to_be_visible()


def chart(studio: Studio, page: Page) -> None:
    table(studio, page)
    page.get_by_label("Chart").select_option("latencyP95Ms")


def docs(studio: Studio, page: Page) -> None:
    graphiql(studio, page)
    page.get_by_role("button", name="Show Documentation Explorer").click()


def fields(studio: Studio, page: Page) -> None:
    graphiql(studio, page)
    page.get_by_role("button", name="Show GraphiQL Explorer").click()
    expect(page.get_by_label("Kind of operation to add")).to_be_visible()


def sign_in(studio: Studio, page: Page) -> None:
    page.goto(studio.empty.base)
    expect(page.get_by_label("Token")).to_be_visible()


def empty(studio: Studio, page: Page) -> None:
    sign_in(studio, page)
    page.get_by_label("Token").fill(token("read"))
    page.get_by_role("button", name="Use it").click()
    expect(page.locator(".nothing")).to_be_visible()


def empty_list(studio: Studio, page: Page) -> None:
    empty(studio, page)
    page.goto(f"{studio.empty.base}/models")
    expect(page.locator(".empty")).to_be_visible()


def forbidden(studio: Studio, page: Page) -> None:
    sign_in(studio, page)
    page.get_by_label("Token").fill(token("read:model_monitoring"))
    page.get_by_role("button", name="Use it").click()
    expect(page.locator(".problem").first).to_be_visible()


def forbidden_list(studio: Studio, page: Page) -> None:
    forbidden(studio, page)
    page.goto(f"{studio.empty.base}/models")
    expect(page.get_by_role("alert")).to_be_visible()


def failed(studio: Studio, page: Page) -> None:
    home(studio, page)
    page.route("**/graphql", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    page.reload()
    expect(page.get_by_role("alert")).to_be_visible()


def stale(studio: Studio, page: Page) -> None:
    """What was read stands; reading it again fails."""
    home(studio, page)
    page.route("**/graphql", lambda route: route.abort())
    page.evaluate("dispatchEvent(new Event('online'))")
    page.locator(f"[data-row='{studio.ids['alert']}']").get_by_role("button", name=re.compile("^Investigate")).click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()


STATES: dict[str, Callable[[Studio, Page], None]] = {
    "home": home, "home-below": home_below, "home-waiting": waiting, "home-event": event, "home-sheet": sheet,
    "home-search": search, **{f"list-{name}": listed(name) for name in LISTS},
    "list-filtered": filtered, "list-nothing": nothing_found, "lineage-welcome": welcome, "lineage": lineage,
    "lineage-drawing": drawing, "lineage-outline": outline, "lineage-alert": alert, "lineage-model": model,
    "lineage-service": service, "lineage-stack": stack, "lineage-twin": twin, "lineage-blocked": blocked,
    "lineage-gone": gone, "graphiql": graphiql, "graphiql-cookbook": cookbook, "graphiql-table": table,
    "graphiql-chart": chart, "graphiql-docs": docs, "graphiql-fields": fields, "sign-in": sign_in,
    "empty": empty, "empty-list": empty_list, "forbidden": forbidden, "forbidden-list": forbidden_list,
    "failed": failed, "failed-sheet": stale,
}  # fmt: skip


def faults(page: Page, axe: str | None) -> Iterator[str]:
    """What is wrong with a page as it stands."""
    out = page.evaluate("() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth")
    if out > 0:
        yield f"{out} pixels stick out"
    if axe:
        page.evaluate(axe)
        told = page.evaluate(f"() => axe.run(document, {{ runOnly: {{ type: 'tag', values: {RULES} }} }})")[
            "violations"
        ]
        for one in told:
            yield f"{one['id']}: {one['nodes'][0]['html'][:160]} ({len(one['nodes'])})"


def sheet_of(browser: Browser, pictures: list[Path], width: int, to: Path) -> None:
    """Puts pictures beside each other under their names."""
    shown = "".join(
        f'<figure style="margin:6px;width:{width}px"><figcaption>{one.stem.split("-", 2)[2]}</figcaption>'
        f'<img style="width:100%" src="data:image/png;base64,{base64.b64encode(one.read_bytes()).decode()}"></figure>'
        for one in pictures
    )
    page = browser.new_page(viewport={"width": 1920, "height": 1000})
    page.set_content(f'<body style="margin:0;background:#777;display:flex;flex-wrap:wrap;font:14px sans-serif">{shown}')
    page.screenshot(path=to, full_page=True)
    page.close()


def main(folder: Path, *words: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed.")
    folder.mkdir(parents=True, exist_ok=True)
    axe = AXE.read_text() if AXE.exists() else None

    def chosen(names: Iterable[str]) -> list[str]:
        return [name for name in names if name.startswith(words)] or list(names)

    with tempfile.TemporaryDirectory() as data:
        demo = Gateway(Path(data) / "demo", "serve", "--demo", "small").ready()
        signed = {"GATEWAY_AUTH": "jwt", "GATEWAY_JWT_SECRET": SECRET}
        empty_ = Gateway(Path(data) / "empty", "serve", **signed).ready()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
                studio = Studio(browser, demo, empty_)
                for size in chosen(SIZES):
                    for scheme in chosen(SCHEMES):
                        taken = []
                        for name in chosen(STATES):
                            page = studio.opened(SCHEMES[scheme], SIZES[size])
                            try:
                                STATES[name](studio, page)
                            except (Error, AssertionError) as error:
                                print(f"{size} {scheme} {name}: not reached: {str(error).splitlines()[0]}", flush=True)
                            page.wait_for_timeout(200)
                            taken.append(folder / f"{size}-{scheme}-{name}.png")
                            page.screenshot(path=taken[-1], animations="disabled")
                            for fault in faults(page, axe):
                                print(f"{size} {scheme} {name}: {fault}", flush=True)
                            page.context.close()
                        width = 228 if size == "phone" else 372 if size == "tablet" else 628
                        sheet_of(browser, taken, width, folder / f"sheet-{size}-{scheme}.png")
                browser.close()
        finally:
            for gateway in (demo, empty_):
                gateway.end()
                gateway.close()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *sys.argv[2:])
