"""The house itself: imports point one way, the committed schema is the one that the models give."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from db.base.vocabulary import entities
from gateway.cli import client_module
from schema.schema import build
from schema.subscriptions import TOPICS
from tests.support import private_names
from tests.support.sources import LAYERS, MODULES, ROOT, TYPED, nodes, strings

ROOMS = {
    "db": (
        "adapters", "base", "models", "engine", "embedded", "store", "seed", "migrations", "attach", "demo",
    ),
    "schema": (
        "adapters", "error_codes", "errors", "catalogue", "names", "scopes", "sql", "search", "execution", "graph",
        "changes", "recording", "lineage", "webhooks", "fields", "subscriptions", "federation", "schema", "runner",
    ),
    "gateway": (
        "client", "adapters", "roles", "context", "setting_types", "setting_groups", "settings", "database", "auth",
        "subscriptions", "openlineage", "webhooks", "operations", "observability", "http", "websocket", "mcp", "app",
        "server", "doctor", "cli", "reference",
    ),
}  # fmt: skip
"""The rooms of each layer: a module uses its own room and those before it."""


@cache
def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in the file it does so."""
    names: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


UNKNOWN = {
    "db": {"schema", "gateway", "tests", "strawberry", "graphql", "starlette", "uvicorn"},
    "schema": {"gateway", "tests", "starlette", "uvicorn"},
    "gateway": {"tests"},
}
"""What a layer does not know: the layers above, and the libraries of these."""


TRANSPORTS = {"starlette", "uvicorn", "httptools", "websockets", "mcp"}
CLIENTS = {"adapters", "app", "http", "mcp", "observability", "server", "websocket"}
"""Rooms that know a transport's library; all others leave transports to them."""


def test_operations_know_no_transport() -> None:
    found = {
        f"{path.relative_to(ROOT)} imports {name}"
        for layer, path in MODULES
        if layer == "gateway" and path.relative_to(ROOT / "gateway").parts[0].removesuffix(".py") not in CLIENTS
        for name in imported(path) & TRANSPORTS
    }
    assert found == set(), "what serves by a transport is a client of gateway/operations"


def test_imports_point_one_way() -> None:
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for layer, path in MODULES
        for name in sorted(imported(path) & UNKNOWN[layer])
    ]
    assert found == []


SCRIPTS = {"gateway.cli.__main__", "db.migrations.env"}
"""Modules that run something where they are imported."""


@pytest.mark.parametrize("layer", LAYERS)
def test_libraries_are_used_by_their_public_names(layer: str) -> None:
    """What is private to a library is taken in ``adapters`` alone, where a contract test and a bound go with it."""
    found = []
    for path in (path for its, path in MODULES if its == layer and path.parent.name != "adapters"):
        private = private_names.in_nodes(nodes(path))
        module = private_names.module_of(path, ROOT)
        if module not in SCRIPTS and not module.startswith("db.migrations.versions"):
            private += private_names.in_classes(module)
        found += [f"{path.relative_to(ROOT)}:{line} {what}" for line, what in private]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "pool._do_get()",
        "def f(): return self.engine._pool",
        "from asyncpg import _testbase",
        "import asyncpg._testbase",
        "from opentelemetry.semconv._incubating.attributes import graphql_attributes",
        "from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol",
        "from sqlalchemy.util.concurrency import greenlet_spawn",
        "getattr(info, '_raw_info')",
        "from operator import attrgetter\nread = attrgetter('_raw_info')",
        "vars(connection)['_protocol']",
        "vars(connection).get('_protocol')",
        "connection.__dict__['_protocol']",
        "getattr(info, '_raw' + '_info')",
        "getattr(info, f'_raw_{name}')",
        "NAME = '_raw_info'\ngetattr(info, NAME)",
        "object.__getattribute__(info, '_raw_info')",
        "import inspect\ninspect.getattr_static(info, '_raw_info')",
        "import importlib\nimportlib.import_module('asyncpg._testbase')",
        "match info:\n    case Info(_raw_info=raw):\n        pass",
        "import asyncpg\nasyncpg.connect = None",
        "from uvicorn import Server\nServer.startup = None",
        "import uvicorn\nsetattr(uvicorn.Server, 'startup', None)",
        "import uvicorn\npatch('uvicorn.config._loops')",
    ],
)
def test_private_names_are_found(source: str) -> None:
    assert private_names.in_source(source)


def test_private_names_are_found_in_classes() -> None:
    """Also where a class only happens to have a name that its base in a library has, or gives to its instances."""
    assert any(
        "HttpProtocol._should_upgrade" in what for _, what in private_names.in_classes("gateway.adapters.uvicorn")
    )
    assert "_schema" in str(private_names.in_classes("schema.adapters.strawberry"))
    assert private_names.in_source("self._own, cls._own, super()._own, row._asdict(), value.__class__") == []


def modules() -> dict[str, Path]:
    """The files of all modules, by the modules' names."""
    paths = [path for _, path in MODULES]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


@cache
def graph() -> dict[str, set[str]]:
    """Which modules of ours each one imports: inside of functions and for the checker of types, too."""
    known = modules()

    def module(name: str) -> str | None:
        while name and name not in known:
            name = name.rpartition(".")[0]
        return name or None

    found: dict[str, set[str]] = {}
    for name, path in known.items():
        names: set[str] = set()
        for node in nodes(path):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        found[name] = {used for one in names if (used := module(one)) and used != name}
    return found


def place(name: str) -> tuple[str, int] | None:
    """The layer of a module and the place of its room; None for a layer itself."""
    layer, _, rest = name.partition(".")
    if not rest:
        return None
    room = rest.split(".")[0]
    assert room in ROOMS[layer], f"{name} stands in no room of ROOMS"
    return layer, ROOMS[layer].index(room)


def test_rooms_are_used_in_their_order() -> None:
    found = set()
    for name, used in graph().items():
        here = place(name)
        for one in used:
            there = place(one)
            if here and there and here[0] == there[0] and here[1] < there[1]:
                found.add(f"{name} -> {one}")
    assert found == set(), "these import a room that comes after theirs"


def test_no_modules_import_each_other_in_a_circle() -> None:
    edges = graph()

    def reached(start: str) -> set[str]:
        found, left = set(), [start]
        while left:
            for one in edges[left.pop()] - found:
                found.add(one)
                left.append(one)
        return found

    circular = {name for name in edges if name in reached(name)}
    assert not circular, f"these import each other in a circle: {sorted(circular)}"


def test_the_form_of_cursors_and_of_constants_is_said_once() -> None:
    quoting, cursors = ROOT / "db" / "base" / "quoting.py", ROOT / "schema" / "sql" / "cursors.py"
    secrets = ROOT / "db" / "store" / "webhooks.py"  # which the specification of webhooks has in this form
    for _, path in MODULES:
        assert path in {cursors, secrets} or not imported(path) & {"base64", "binascii"}, path
        assert path == quoting or not re.search(r"""replace\(("'"|'"'|'\\''|"\\""), """, path.read_text()), path


def test_a_class_name_means_one_thing() -> None:
    """In all three layers together, private classes and those inside of functions too."""
    places: dict[str, list[str]] = {}
    for _, path in MODULES:
        if path == TYPED:  # which has the names that the graph has
            continue
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(f"{path.relative_to(ROOT)}:{node.lineno}")
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert not twice, "these names are given to more than one class"


def test_packages_hold_a_docstring_that_says_what_is_in_the_room() -> None:
    """And import nothing, so that no module brings its whole room with it.

    Those that register something, or that programs of others import, are named.
    """
    others = {"db.models", "db.demo", "schema.changes.effects", "gateway.cli", "gateway.client"}
    for name, path in modules().items():
        if path.name != "__init__.py":
            continue
        module = nodes(path)[0]
        assert isinstance(module, ast.Module)
        assert ast.get_docstring(module), name
        assert len(module.body) == 1 or name in others, name


def test_modules_have_one_subject() -> None:
    """Nothing but a group's declarations and what is generated is longer than 450 lines."""
    declared = {ROOT / "db" / "models", ROOT / "db" / "migrations" / "versions", TYPED}
    long = {
        f"{path.relative_to(ROOT)}: {lines} lines"
        for _, path in MODULES
        if declared.isdisjoint([path, *path.parents]) and (lines := len(path.read_text().splitlines())) > 450
    }
    assert long == set(), "which two subjects does it have?"


def test_functions_fit_a_screen_of_code() -> None:
    """Of 80 lines, those inside of them included."""
    long = {
        f"{path.relative_to(ROOT)}: {node.name}, {lines} lines"
        for _, path in MODULES
        if ROOT / "db" / "migrations" / "versions" not in path.parents
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > 80
    }
    assert long == set(), "which part of it has a name of its own?"


def test_tests_stand_in_rooms() -> None:
    """Fixtures and helpers of several rooms stand in ``tests/support``, and no test among them."""
    tests = ROOT / "tests"
    assert [path.name for path in tests.glob("*.py")] == ["conftest.py"]
    assert not list((tests / "support").glob("test_*.py"))


def is_slow(node: ast.AST) -> bool:
    return any(isinstance(one, ast.Attribute) and one.attr == "slow" for one in ast.walk(node))


def quick(path: Path) -> Iterator[str]:
    """The tests of a file that `make test-quick` runs."""
    module = nodes(path)[0]
    assert isinstance(module, ast.Module)
    marks = [one for one in module.body if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "pytestmark"]
    if any(map(is_slow, marks)):
        return
    for one in module.body:
        is_test = isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name.startswith("test_")
        if is_test and not any(map(is_slow, one.decorator_list)):
            yield one.name


def test_quick_tests_are_left_in_every_room() -> None:
    rooms = {path.parent for path in (ROOT / "tests").glob("*/test_*.py")}
    lost = {room.name for room in rooms if not any(name for path in room.glob("test_*.py") for name in quick(path))}
    assert lost == {"drills"}


def test_files_without_quick_tests_say_so(pytestconfig: pytest.Config) -> None:
    """At their top, so that quick runs need not import them; one in a file with quick tests would lose these."""
    plugin = pytestconfig.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py"))
    assert plugin is not None
    files = sorted((ROOT / "tests").glob("*/test_*.py"))
    said = {path.relative_to(ROOT) for path in files if plugin.ALL_SLOW.search(path.read_text())}
    assert said == {path.relative_to(ROOT) for path in files if not list(quick(path))}


DECISIONS = ROOT / "gateway" / "docs" / "decisions"


@pytest.mark.parametrize("path", sorted(DECISIONS.glob("0*.md")), ids=lambda path: path.stem)
def test_decisions_have_their_parts(path: Path) -> None:
    """A record of a page: context, decision, figures, consequences; and the list of records names it."""
    text = path.read_text()
    heads = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert heads == ["Context", "Decision", "Figures", "Consequences"]
    assert len(text.split()) < 500
    assert f"[{text.splitlines()[0].removeprefix('# ')}]({path.name})" in (DECISIONS / "README.md").read_text()


def test_the_committed_schema_is_current() -> None:
    committed = (ROOT / "schema" / "schema.graphql").read_text()
    assert committed == build().as_str() + "\n", "the schema has changed: run `make snapshot` and read the diff"


def test_the_committed_types_of_the_client_are_current() -> None:
    made = client_module.module(build().graphql)
    assert TYPED.read_text() == made, "the schema has changed: run `make snapshot` and read the diff"


def test_top_level_is_what_it_should_be() -> None:
    expected = {
        "gateway",
        "schema",
        "db",
        "tests",
        "pyproject.toml",
        "Makefile",
        "README.md",
    }
    beside = {"LICENSE", "CHANGELOG.md", "requirements.lock", "requirements-dev.lock"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert expected <= found
    assert {name for name in found - expected - beside if not name.endswith(".egg-info") and name != "build"} == set()


def test_what_the_gateway_tells_live_is_marked_on_the_models() -> None:
    """Their names stand nowhere else: of a topic's model, code asks the catalogue."""
    told = {entity.__name__ for entity in entities().values() if entity.__topic__}
    assert told == {build().catalogue.told(topic.name).name for topic in TOPICS.values() if topic.fact}
    allowed = {ROOT / "schema" / "changes" / "effects" / "monitoring.py"}  # mutations of alerts name what they change
    allowed.add(ROOT / "gateway" / "client" / "typed.py")  # made from the schema, with its enums
    for room, path in MODULES:
        if room != "db" and path not in allowed:
            assert not told & set(strings(nodes(path))), path.relative_to(ROOT)


SECONDS_OF_A_PAUSE = 0.3
"""The longest that a test lets pass for nothing to happen; from `NEVER` seconds on it waits until it is cancelled."""
NEVER = 30
OVER_TIME = {"bench", "cluster", "drills", "mutants"}
"""Rooms that measure, or that watch a load for some seconds."""


def pauses(source: Iterable[ast.AST]) -> Iterator[ast.Call]:
    """Calls that let a time pass whatever happens; those in loops look again."""
    tree = list(source)
    looped = {
        id(inner) for one in tree if isinstance(one, ast.While | ast.For | ast.AsyncFor) for inner in ast.walk(one)
    }
    numbers = {
        one.targets[0].id: one.value.value
        for one in tree
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name) and isinstance(one.value, ast.Constant)
    }
    for one in tree:
        if (
            isinstance(one, ast.Call)
            and id(one) not in looped
            and ast.unparse(one.func) in {"asyncio.sleep", "time.sleep"}
        ):
            time = one.args[0]
            seconds = numbers.get(time.id) if isinstance(time, ast.Name) else getattr(time, "value", 0)
            if isinstance(seconds, int | float) and SECONDS_OF_A_PAUSE < seconds < NEVER:
                yield one


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("await asyncio.sleep(1)", 1),
        ("LONG = 2\nawait asyncio.sleep(LONG)", 1),
        ("time.sleep(0.5)", 1),
        ("while not there:\n    await asyncio.sleep(1)", 0),
        ("await asyncio.sleep(60)", 0),
        ("await asyncio.sleep(0.1)", 0),
    ],
)
def test_a_pause_is_found(source: str, found: int) -> None:
    assert len(list(pauses(ast.walk(ast.parse(source))))) == found


def test_tests_wait_for_what_happens() -> None:
    """Not for a time in which it should have happened."""
    tests = ROOT / "tests"
    files = [path for path in sorted(tests.glob("*/*.py")) if path.parent.name not in OVER_TIME]
    assert [f"{path}:{one.lineno}" for path in files for one in pauses(nodes(path))] == []


def test_migrations_lead_forward() -> None:
    """Gateways of earlier versions serve the tables of later ones: nothing is taken back."""
    versions = sorted((ROOT / "db" / "migrations" / "versions").glob("*.py"))
    assert [path.name for path in versions if "def downgrade" in path.read_text()] == []


def test_what_benches_and_helpers_import_is_there() -> None:
    """Benches run by hand: nobody else would notice that a module of theirs has moved.

    Files of tests are imported by every run.
    """
    lost = [
        f"{path.relative_to(ROOT)}: {node.module}.{alias.name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if "node_modules" not in path.parts  # what a peer of `make bench` came with
        and not path.name.startswith("test_")
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {"tests", *LAYERS}
        for alias in node.names
        if alias.name != "*" and not is_there(str(node.module), alias.name)
    ]
    assert lost == []


@cache
def is_there(module: str, name: str) -> bool:
    """Whether a module of this repository has a name, or a module of that name in it."""
    path = ROOT.joinpath(*module.split("."))
    if path.is_dir():
        if (path / f"{name}.py").exists() or (path / name).is_dir():
            return True
        path /= "__init__"
    source = path.with_suffix(".py")
    return source.exists() and re.search(rf"\b{re.escape(name)}\b", source.read_text()) is not None
