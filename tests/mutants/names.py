"""Which tests name what a line declares: for lines that run before any test, which no test's context has.

A test that is about a column, a query of a model or a limit says its name somewhere: in a query, a row that it writes,
a helper that it calls, or its own id. `calibrationErrors`, `calibration_error` and `CALIBRATION_ERROR` are one name.
"""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_CREATED = re.compile(r"^\s*(?:CREATE|COMMENT ON)\b.*?\b(?:FUNCTION|VIEW|TRIGGER|TABLE|INDEX)\s+([\w.]+)", re.MULTILINE)

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def names(text: str) -> set[str]:
    """The names in a text, in one form."""
    return {_form(one) for one in _NAME.findall(text)}


@cache
def _form(name: str) -> str:
    return _HUMP.sub("_", name).lower().strip("_").removesuffix("s")


def declared(path: str, source: str, line: int) -> list[str]:
    """What a line is part of the declaration of, as it is written: outermost first, then what is made of it where its
    name is private. Of SQL, the function or view that it stands in."""
    if path.endswith(".sql"):
        lines = source.split("\n")
        return [one.rpartition(".")[2] for one in _CREATED.findall("\n".join(lines[:line]))[-1:]]
    tree = ast.parse(source)
    found = list(_around(tree.body, line))
    followed: list[str] = []
    waiting = found[:1]
    while waiting:
        name = waiting.pop()
        if name not in followed:
            followed.append(name)
            waiting += _users(tree, name) if name.startswith("_") else ()
    return list(dict.fromkeys([*found, *followed]))


def _around(body: Iterable[ast.stmt], line: int) -> Iterator[str]:
    """The names that the statement at a line gives, and within a class those of its statement."""
    for one in body:
        first = min([one.lineno, *(each.lineno for each in getattr(one, "decorator_list", ()))])
        if first <= line <= (one.end_lineno or first):
            yield from _given(one)
            if isinstance(one, ast.ClassDef):
                yield from _around(one.body, line)


def _given(statement: ast.stmt) -> list[str]:
    if isinstance(statement, Definition):
        return [statement.name]
    targets: list[ast.expr] = getattr(statement, "targets", None) or [getattr(statement, "target", ast.Constant(None))]
    return [one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]


def _users(tree: ast.Module, name: str) -> list[str]:
    """What a module makes at its top of one of its names."""
    using = [one for one in tree.body if any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(one))]
    return [given for one in using for given in _given(one) if given != name]


@dataclass(frozen=True)
class Naming:
    """The names that tests say, by test without its parameters (``file::test``)."""

    said: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def rank(self, wanted: Iterable[str]) -> list[str]:
        """The tests that say any of these names; those that say more, and such as few others say, come first."""
        forms = {_form(one) for one in wanted}
        worth = {one: math.log((len(self.said) + 1) / self._often[one]) for one in forms if one in self._often}
        scores = {test: sum(worth.get(one, 0.0) for one in forms & said) for test, said in self.said.items()}
        return sorted((test for test, score in scores.items() if score > 0), key=lambda test: (-scores[test], test))

    @cached_property
    def _often(self) -> Counter[str]:
        return Counter(name for said in self.said.values() for name in said)


def read(root: Path, files: Iterable[str]) -> Naming:
    """What the tests of files say, with what they use of their files: constants, helpers and fixtures."""
    found: dict[str, frozenset[str]] = {}
    for file in files:
        source = (root / file).read_text(encoding="utf-8")
        lines = source.split("\n")
        parts = {name: _words(lines, part) for part in ast.parse(source).body for name in _given(part)}
        for name in parts:
            if name.startswith("test_"):
                reached = _reached(parts, name)
                found[f"{file}::{name}"] = frozenset(_form(word) for one in reached for word in parts[one])
    return Naming(found)


def _words(lines: Sequence[str], part: ast.stmt) -> frozenset[str]:
    first = min([part.lineno, *(one.lineno for one in getattr(part, "decorator_list", ()))])
    return frozenset(_NAME.findall("\n".join(lines[first - 1 : part.end_lineno])))


def _reached(parts: Mapping[str, frozenset[str]], name: str) -> set[str]:
    """A name that a module gives, and those that stand in what is given to it, and so on."""
    met, waiting = {name}, [name]
    while waiting:
        new = (parts[waiting.pop()] & parts.keys()) - met
        met |= new
        waiting += new
    return met
