"""The committed builds of the pages: whole, offline, small and in step with their sources. No browser needed."""

import gzip
import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from graphql import OperationDefinitionNode, parse

from gateway.app import CONSOLE_PAGES

GATEWAY = Path(__file__).parents[2] / "gateway"
MOST_BEFORE_PAINT = 3_000
"""Bytes of a page of the console, uncompressed."""
EXAMPLES = sorted((GATEWAY / "static" / "graphiql-examples").glob("*.graphql"))


@dataclass(frozen=True)
class Build:
    """A page's sources and what was built of them, with the most that it may weigh."""

    name: str
    served_at: str
    max_bytes: int
    max_files: int
    max_gzip: int
    libraries: tuple[str, ...]
    """Some that the licences must name, at the locked versions."""

    @property
    def sources(self) -> Path:
        return GATEWAY / self.name

    @property
    def folder(self) -> Path:
        return GATEWAY / "static" / self.name

    def text(self, *suffixes: str) -> dict[str, str]:
        """Built text files by name."""
        return {path.name: path.read_text() for path in self.folder.rglob("*") if path.suffix in suffixes}

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def page(self) -> "Page":
        """All of its pages as one: they differ in what they ask for at once."""
        parsed = Page()
        for path in sorted(self.folder.glob("*.html")):
            parsed.feed(path.read_text())
        return parsed


GRAPHIQL = Build(
    "graphiql",
    "graphql",
    max_bytes=7_000_000,  # 6.45 MB when written
    max_gzip=2_000_000,  # 1.8 MB
    max_files=50,  # 34
    libraries=("graphiql", "@graphiql/react", "@graphiql/plugin-explorer", "graphql", "monaco-editor", "react-dom"),
)
EXPLORER = Build(
    "explorer",
    "explorer",
    max_bytes=400_000,  # 217 kB when written
    max_gzip=130_000,  # 129.9 kB; no page loads all of it
    max_files=24,  # a bundle for each page, and what they share
    libraries=("preact", "d3-zoom", "@dagrejs/dagre", "graphql-ws"),
)

# Vite names an asset <name>-<8 characters of its hash>.<suffix> and refers to it from a quote, a slash or a backtick.
ASSET_NAME = re.compile(r"""["'`/(]([A-Za-z0-9_.-]+-[A-Za-z0-9_-]{8}\.(?:js|css|ttf|woff2?|svg))""")
FETCHED_URL = re.compile(
    r"""(?:\b(?:import|importScripts|fetch|Worker|SharedWorker|WebSocket|EventSource|sendBeacon)\s*\(\s*|"""
    r"""\bfrom\s*|\bimport\s*|@import\s*|\burl\(\s*)["'`]?(?:https?:|wss?:)?//[\w.-]+"""
)


class Page(HTMLParser):
    """The tags of pages, and the text inside its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.script_text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script":
            self.script_text += data.strip()


@pytest.fixture(scope="module", params=[GRAPHIQL, EXPLORER], ids=lambda build: build.name)
def build(request: pytest.FixtureRequest) -> Build:
    one: Build = request.param
    return one


@pytest.fixture
def page(build: Build) -> Page:
    return build.page()


def linked(page: Page) -> list[str]:
    """What it loads, not where it leads."""
    return [attrs[key] for tag, attrs in page.tags if tag != "a" for key in ("src", "href") if key in attrs]


def test_the_page_names_only_files_of_its_own_that_exist(build: Build, page: Page) -> None:
    assert linked(page)
    for url in linked(page):
        assert url.startswith(f"static/{build.name}/assets/"), f"relative to the page at <mount>/{build.served_at}"
        assert (GATEWAY / url).is_file(), url


def test_every_asset_is_there_and_every_asset_is_used(build: Build, page: Page) -> None:
    existing = {path.name for path in (build.folder / "assets").iterdir()}
    named = {Path(url).name for url in linked(page)}
    for text in build.text(".js", ".css").values():
        named.update(ASSET_NAME.findall(text))
    assert named == existing


def test_each_page_of_the_console_asks_for_its_scripts_at_once() -> None:
    """One that is asked for by the first script alone comes a round trip and a run of that script later."""
    assert {f"{name}.html" for name in CONSOLE_PAGES.values()} < {path.name for path in EXPLORER.folder.glob("*.html")}
    for path, bundle in (("index", "home"), ("lists", "lists"), ("explorer", "explorer")):
        page = Page()
        page.feed((EXPLORER.folder / f"{path}.html").read_text())
        asked = {Path(url).name for url in linked(page)}
        named = [name for name in asked if name.endswith(".js") and name.startswith(f"{bundle}-")]
        assert len(named) == 1, f"{path} does not ask for the bundle {bundle}"
        script = (EXPLORER.folder / "assets" / named[0]).read_text()
        imported = re.findall(r"""(?:from|^import|;import)\s*["'`]\./([\w.-]+\.js)""", script)
        assert imported
        assert set(imported) <= asked


def test_what_a_page_of_the_console_shows_first_needs_the_page_alone() -> None:
    """In bytes and requests: before its first paint a browser has read one small page, and waits for nothing else."""
    for path in EXPLORER.folder.glob("*.html"):
        head, _, body = path.read_text().partition("<body>")
        assert len(path.read_bytes()) < MOST_BEFORE_PAINT
        blocking = re.findall(r'<link rel="stylesheet"[^>]*>|<script(?![^>]*type="module")[^>]*>', head)
        assert blocking == [], "a browser paints nothing before it has these"
        shown, sheet, _ = body.partition('<link rel="stylesheet"')
        assert sheet, "the sheet stands behind what is shown first"
        assert re.findall(r"<a [^>]*>([^<]+)</a>", shown)[0] == "Home"
        style = re.sub(r"\s", "", head.partition("<style>")[2].partition("</style>")[0])
        (colours,) = [text for name, text in EXPLORER.text(".css").items() if name.startswith("style-")]
        for light, dark in re.findall(r"light-dark\((#\w+),(#\w+)\)", style):
            assert light in colours, "the colours are those of the sheet"
            assert dark in colours


def test_nothing_is_fetched_from_another_host(build: Build, page: Page) -> None:
    assert "//" not in "".join(linked(page))
    for name, text in build.text(".html", ".css", ".js").items():
        assert not FETCHED_URL.findall(text), name


def test_a_strict_content_security_policy_holds(build: Build, page: Page) -> None:
    assert page.script_text == "", "no inline script"
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") or name == "style" for name in attrs)]
    for name, text in build.text(".js").items():
        assert not re.search(r"\beval\(|\bnew Function\(|[^\w$.]Function\(", text), name


def test_no_source_maps(build: Build) -> None:
    assert not list(build.folder.rglob("*.map"))
    assert not [
        name for name, text in build.text(".js", ".css").items() if re.search(r"sourceMappingURL=[\w./-]+\.map", text)
    ]


def test_the_build_is_small(build: Build) -> None:
    contents = [path.read_bytes() for path in build.files() if path.name != "LICENSES.md"]  # which no page loads
    assert len(contents) <= build.max_files
    assert sum(map(len, contents)) <= build.max_bytes
    assert sum(len(gzip.compress(content)) for content in contents) <= build.max_gzip


def test_dependencies_are_pinned_and_the_lock_file_names_no_host(build: Build) -> None:
    package = json.loads((build.sources / "package.json").read_text())
    lock = json.loads((build.sources / "package-lock.json").read_text())
    for group in ("dependencies", "devDependencies"):
        assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in package[group].values())
        assert lock["packages"][""][group] == package[group]
    for path, entry in lock["packages"].items():
        assert "resolved" not in entry, path
        assert "://" not in json.dumps({key: value for key, value in entry.items() if key != "funding"}), path


def test_the_build_is_of_the_locked_versions(build: Build) -> None:
    packages = json.loads((build.sources / "package-lock.json").read_text())["packages"]
    licences = (build.folder / "LICENSES.md").read_text()
    for name in build.libraries:
        assert f"\n## {name} - {packages[f'node_modules/{name}']['version']} " in licences


def test_the_opening_tabs_are_the_examples() -> None:
    entry = next(text for name, text in GRAPHIQL.text(".js").items() if "graphiql-examples/" in text)
    assert EXAMPLES
    assert re.findall(r"[\"'`](\d\d-[a-z-]+)[\"'`]", entry) == [path.stem for path in EXAMPLES]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_who_asks_what_in_one_named_operation(example: Path) -> None:
    text = example.read_text()
    assert re.match(r"# Who asks: .+\n# What: ", text)
    (operation,) = parse(text).definitions
    assert isinstance(operation, OperationDefinitionNode)
    assert operation.name is not None, "GraphiQL titles the tab with it"
