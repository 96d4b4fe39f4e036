"""The sources of the three layers, and of the tests: each file is parsed once, for all tests of the house."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAYERS = ("db", "schema", "gateway")
PACKAGING = ROOT / "gateway" / "packaging"
"""What stands around the rooms when they are installed; no room of theirs."""
TYPED = ROOT / "gateway" / "client" / "typed.py"
"""Made from the schema, with its names."""

MODULES = [
    (layer, path) for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py")) if PACKAGING not in path.parents
]
"""The modules of all rooms, each with its layer."""


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a file; the first is its module."""
    was_on = gc.isenabled()
    gc.disable()  # a tree is kept, and not worth looking for garbage in
    try:
        return tuple(ast.walk(ast.parse(path.read_text())))
    finally:
        if was_on:
            gc.enable()


def strings(those: Iterable[ast.AST]) -> Iterator[str]:
    """All strings of these nodes, parts of f-strings too."""
    return (one.value for one in those if isinstance(one, ast.Constant) and isinstance(one.value, str))
