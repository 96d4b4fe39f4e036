"""`make bench-frames`: how the explorer moves with 500 nodes on screen, in headless Chromium: frames and long tasks;
and when the home page paints first.

``python -m tests.bench.frames [FOLDER ...]``: each folder is a build of the page, ``gateway/static/explorer`` unless
said. Builds are measured in turns on one gateway, so that other work on the machine concerns all of them. Here Chromium
draws in software; with a GPU frames are faster.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, Page, Route, sync_playwright

from tests.support.browsing import ARGUMENTS
from tests.support.process import ROOT, Gateway

BUILD = ROOT / "gateway" / "static" / "explorer"
ROUNDS = 3
NODES = 500
QUERY = "{ retrainings(first: 1) { nodes { model { experiment { id } } } } }"

WATCH = """
    window.tasks = [];
    new PerformanceObserver(list => window.tasks.push(...list.getEntries().map(one => one.duration)))
        .observe({ type: 'longtask', buffered: true });
    window.opening = [];
    let before;
    const tell = now => {
        if (before) opening.push(now - before);
        before = now;
        if (!window.opened) requestAnimationFrame(tell);
    };
    requestAnimationFrame(tell);
    window.measure = async (frames, move) => {
        await new Promise(done => setTimeout(done, 500));
        window.tasks.length = 0;
        const times = [];
        let last = await new Promise(requestAnimationFrame);
        for (let frame = 0; frame < frames; frame++) {
            move(frame);
            const now = await new Promise(requestAnimationFrame);
            times.push(now - last);
            last = now;
        }
        await new Promise(done => setTimeout(done, 100));
        return { frames: times, tasks: [...window.tasks] };
    };
    window.middle = () => {
        const { left, top, width, height } = document.querySelector('.pane').getBoundingClientRect();
        return { clientX: left + width / 2, clientY: top + height / 2, bubbles: true, cancelable: true, view: window };
    };
"""
ZOOM = """async () => {
    const pane = document.querySelector('.pane'), at = middle();
    return measure(90, frame => pane.dispatchEvent(
        new WheelEvent('wheel', { ...at, deltaY: frame % 60 < 30 ? -40 : 40, clientX: at.clientX + frame })));
}"""
PAN = """async () => {
    const pane = document.querySelector('.pane'), at = middle();
    pane.dispatchEvent(new MouseEvent('mousedown', at));
    const measured = await measure(90, frame => window.dispatchEvent(new MouseEvent('mousemove', {
        ...at, clientX: at.clientX + 400 * Math.sin(frame / 15), clientY: at.clientY + 250 * Math.sin(frame / 10) })));
    window.dispatchEvent(new MouseEvent('mouseup', at));
    return measured;
}"""
TURN_AND_REST = """deltaY => {
    const pane = document.querySelector('.pane'), at = middle();
    return measure(60, frame => frame < 15 && pane.dispatchEvent(new WheelEvent('wheel', { ...at, deltaY })));
}"""
"""The wheel turned for a quarter of a second, then left alone: what was moved as a picture is drawn sharply again."""

EXPAND = """async () => {
    const more = [...document.querySelectorAll('.more.cut')][0];
    return measure(60, frame => frame === 5 && more.dispatchEvent(new MouseEvent('click', { bubbles: true })));
}"""

FIRST_ROW = """
    window.row = new Promise(found => new MutationObserver((_all, self) => {
        if (!document.querySelector('[data-row]')) return;
        self.disconnect();
        requestAnimationFrame(() => found(performance.now()));
    }).observe(document, { childList: true, subtree: true }));
"""
PAINTED = """async () => {
    const row = await window.row;
    for (;;) {
        const [first] = performance.getEntriesByName('first-contentful-paint');
        if (first) return [first.startTime, row];
        await new Promise(requestAnimationFrame);
    }
}"""
COLD = 11

Measured = dict[str, list[float]]


def opened(browser: Browser, gateway: Gateway, build: Path, start: str) -> Page:
    """The page of one build with 500 nodes on screen."""
    page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()

    def serve(route: Route) -> None:
        route.fulfill(path=build / route.request.url.split("/static/explorer/")[1])

    if build != BUILD:
        page.route("**/static/explorer/**", serve)
        html = (build / "index.html").read_text()
        page.route("**/explorer", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.add_init_script(WATCH)
    page.goto(f"{gateway.base}/explorer#from={quote(start)}&depth=4&per=25&siblings=apart")
    page.wait_for_function("n => document.querySelectorAll('[data-node]').length === n", arg=NODES)
    page.wait_for_function("() => document.querySelector('main').ariaBusy === 'false'")
    page.wait_for_timeout(1000)
    return page


def measured(page: Page) -> dict[str, Measured]:
    """Frame times and long tasks, in milliseconds, of each thing that a user does."""
    first: Measured = page.evaluate("() => { opened = true; return { frames: opening, tasks: [...tasks] }; }")
    page.keyboard.press("f")  # a view opens so that it can be read, which shows some twenty of the nodes
    found = {"opening": first, "pan, all in sight": page.evaluate(PAN), "zoom": page.evaluate(ZOOM)}
    found["drag after wheel"] = page.evaluate(PAN)
    for _ in range(2):
        page.get_by_role("button", name="Zoom in").click()
    found["pan, near"] = page.evaluate(PAN)
    page.get_by_role("button", name="Show all").click()
    found["zoom in, rest"] = page.evaluate(TURN_AND_REST, -60)
    found["zoom out, rest"] = page.evaluate(TURN_AND_REST, 60)
    page.get_by_role("button", name="Show all").click()
    found["expand"] = page.evaluate(EXPAND)
    return found


def painted(browser: Browser, gateway: Gateway) -> tuple[float, float]:
    """When the home page first painted something, and when its first row, as a new visitor: milliseconds."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.add_init_script(FIRST_ROW)
    page.goto(f"{gateway.base}/")
    first, row = page.evaluate(PAINTED)
    context.close()
    return first, row


def line(name: str, build: str, frames: list[float], tasks: list[float], rounds: int) -> str:
    told = [f"{name:18} {build:14}"]
    if frames:
        ordered = sorted(frames)
        p95 = ordered[int(len(ordered) * 0.95)]
        told.append(f"frames: median {statistics.median(frames):5.1f} p95 {p95:6.1f} worst {ordered[-1]:6.1f} ms;")
    worst = max(tasks, default=0)
    told.append(f"long tasks: {len(tasks) / rounds:.1f} a round, {sum(tasks) / rounds:.0f} ms, worst {worst:.0f} ms")
    return " ".join(told)


def main(*folders: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed.")
    builds = [Path(folder).resolve() for folder in folders] or [BUILD]
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(Path(folder) / "d", "serve", "--demo", "small").ready()
        try:
            answer: Any = gateway.http.post(f"{gateway.base}/graphql", json={"query": QUERY}).json()
            start = answer["data"]["retrainings"]["nodes"][0]["model"]["experiment"]["id"]
            found: dict[tuple[str, Path], Measured] = defaultdict(lambda: {"frames": [], "tasks": []})
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
                for _ in range(ROUNDS):
                    for build in builds:
                        page = opened(browser, gateway, build, start)
                        for name, one in measured(page).items():
                            found[name, build]["frames"] += one["frames"]
                            found[name, build]["tasks"] += one["tasks"]
                        page.context.close()
                cold = [painted(browser, gateway) for _ in range(COLD)]
                browser.close()
        finally:
            gateway.end()
            gateway.close()
    for (name, build), one in found.items():
        print(line(name, build.parent.name if len(builds) > 1 else "", one["frames"], one["tasks"], ROUNDS))
    first, row = (statistics.median(times) for times in zip(*cold, strict=True))
    print(f"home, cold, median of {COLD}: first paint {first:.0f} ms, first row {row:.0f} ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
