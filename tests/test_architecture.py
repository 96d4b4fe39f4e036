"""The house itself: imports point one way, the committed schema is the one that the models give."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from schema.schema import build

ROOT = Path(__file__).parent.parent
ALLOWED = {"db": {"db"}, "schema": {"schema", "db"}, "gateway": {"gateway", "schema", "db"}}
MODULES = [(room, path) for room in ALLOWED for path in sorted((ROOT / room).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in the file it does so."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize(("room", "path"), MODULES, ids=lambda value: getattr(value, "stem", value))
def test_imports_point_one_way(room: str, path: Path) -> None:
    ours = imported(path) & {"db", "schema", "gateway", "tests"}
    assert ours <= ALLOWED[room], f"{path.relative_to(ROOT)} imports {sorted(ours - ALLOWED[room])}"
    if room == "db":
        assert not imported(path) & {"strawberry", "graphql", "starlette", "uvicorn"}
    if room == "schema":
        assert not imported(path) & {"starlette", "uvicorn"}


def test_the_committed_schema_is_current() -> None:
    committed = (ROOT / "schema" / "schema.graphql").read_text()
    assert committed == build().as_str() + "\n", "the schema has changed: run `make snapshot` and read the diff"


def test_top_level_is_what_it_should_be() -> None:
    expected = {"gateway", "schema", "db", "tests", "pyproject.toml", "Makefile", "README.md"}
    beside = {"LICENSE", "CHANGELOG.md", "requirements.lock", "requirements-dev.lock"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert expected <= found
    assert {name for name in found - expected - beside if not name.endswith(".egg-info") and name != "build"} == set()
