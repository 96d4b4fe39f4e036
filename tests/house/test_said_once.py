"""What is said once: SQLSTATEs and their meanings, what effects write, the scopes of groups, and the queues."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache

import pytest

from db.base.markers import Group
from db.base.vocabulary import entities
from schema import scopes
from tests.support.sources import MODULES, ROOT, TYPED, nodes, strings

ERRORS = ROOT / "db" / "engine" / "errors.py"
PATHS = [path for _, path in MODULES if path != TYPED]


@cache
def codes() -> set[str]:
    """The SQLSTATEs that have a name or stand in a set of `db.engine.errors`; classes of two characters aside."""
    return {text for text in strings(nodes(ERRORS)) if re.fullmatch(r"(?=.*[0-9])[0-9A-Z]{5}", text)}


def test_sqlstates_stand_in_one_module() -> None:
    assert {"23505", "40001", "57014"} <= codes()
    found = {
        f"{path.relative_to(ROOT)}: {what}"
        for path in PATHS
        if path != ERRORS
        for what in [
            *(codes() & set(strings(nodes(path)))),
            *(node.attr for node in nodes(path) if isinstance(node, ast.Attribute) and node.attr in READS),
        ]
    }
    assert found == set(), "the meaning of an SQLSTATE is a function of db.engine.errors"


READS = {"sqlstate", "pgcode", "pgerror"}
"""Attributes of errors of drivers that hold an SQLSTATE or a message of the server."""


def read_messages(source: Iterable[ast.AST]) -> Iterator[int]:
    """The lines in which the text of a caught error is compared, searched or parted."""
    for handler in source:
        if not isinstance(handler, ast.ExceptHandler) or handler.name is None:
            continue
        for node in ast.walk(handler):
            read: list[ast.expr] = []
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                read = sides if any(isinstance(one, ast.Constant | ast.JoinedStr) for one in sides) else []
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = node.func
                is_regexp = called.attr in {"search", "match", "fullmatch", "findall"}
                is_text = called.attr in {"startswith", "endswith", "split", "partition", "find", "index", "count"}
                read = [*(node.args if is_regexp else ()), *([called.value] if is_text else ())]
            if any(_is_text_of(one, handler.name) for one in read):
                yield node.lineno


def _is_text_of(node: ast.expr, name: str) -> bool:
    """Whether an expression is ``str(name)``, ``name.args[...]`` or ``name.message``, or calls a method of these."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _is_text_of(node.func.value, name)
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute) and node.attr in {"args", "message"}:
        return isinstance(node.value, ast.Name) and node.value.id == name
    is_str = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"str", "repr"}
    return is_str and any(isinstance(one, ast.Name) and one.id == name for one in ast.walk(node))


@pytest.mark.parametrize(
    "body",
    [
        "if 'exist' in str(error): pass",
        "if str(error).lower() == 'closed': pass",
        "re.search('exist', error.args[0])",
        "str(error).startswith('relation')",
        "error.message.partition(':')",
    ],
)
def test_reading_a_message_is_found(body: str) -> None:
    assert list(read_messages(ast.walk(ast.parse(f"try:\n    work()\nexcept Exception as error:\n    {body}"))))


def test_no_message_of_an_error_decides() -> None:
    """Another ``lc_messages`` of the server, or another version of a library, must not change an answer."""
    paths = [path for path in PATHS if path.parent.name != "adapters"]  # which have contract tests
    found = [f"{path.relative_to(ROOT)}:{line}" for path in paths for line in read_messages(nodes(path))]
    assert found == []


def test_effects_declare_what_they_write() -> None:
    """Grants, impact and permissions derive from declarations: neither lists beside them nor the SQL are read."""
    assert not (names := {"REACH", "BEYOND", "ADDED", "touches"} & _names()), names
    sql = re.compile(r"\b(?:INSERT|UPDATE|DELETE)\b")
    parsed = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PATHS
        if path.is_relative_to(ROOT / "schema") or path.is_relative_to(ROOT / "db" / "base")
        for node in nodes(path)
        if isinstance(node, ast.Call) and _module_of(node.func) == "re"
        if any(sql.search(text) for one in node.args[:1] for text in strings(ast.walk(one)))
    }
    assert parsed == set(), "a regular expression over SQL says again what an effect declares"


def _module_of(called: ast.expr) -> str | None:
    """The name before the dot of a call such as ``re.compile(...)``."""
    return called.value.id if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) else None


@cache
def _names() -> set[str]:
    found: set[str] = set()
    for path in PATHS:
        for node in nodes(path):
            if isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.keyword | ast.arg):
                found.add(str(node.arg))
            elif isinstance(node, ast.Attribute):
                found.add(node.attr)
    return found


def test_scopes_of_groups_come_from_the_models() -> None:
    """Each group of the models has its scopes, and no module but that of groups spells one."""
    groups = {entity.__group__ for entity in entities().values() if entity.__group__ is not None}
    assert groups == set(Group)
    wanted = {f"{verb}:{group}" for verb in ("read", "write") for group in Group}
    known = wanted | {f"purge:{group}" for group in Group}
    assert wanted <= {*scopes.shown_scopes(), *scopes.write_scopes()}
    spelled = {f"{path.relative_to(ROOT)}: {text}" for path in PATHS for text in strings(nodes(path)) if text in known}
    assert spelled == set()


def test_queues_are_limiters() -> None:
    """Who waits for a turn waits in a `Limiter` or in the pool; other futures are results that several wait for."""
    shared = {"schema/changes/operation_transaction.py", "schema/execution/time_slices.py"}
    woken = {"gateway/subscriptions/wake_event.py"}
    queues = {"db/engine/limiter.py", "db/engine/turns.py"}
    found = set()
    for path in PATHS:
        for node in nodes(path):
            is_made = isinstance(node, ast.Attribute) and node.attr == "create_future"
            is_queue = isinstance(node, ast.ClassDef) and any("Future" in ast.unparse(base) for base in node.bases)
            if is_made or is_queue:
                found.add(str(path.relative_to(ROOT)))
    assert found == shared | woken | queues


IMAGES = {
    "leash": "deadline", "patience": "timeout", "lending": "pool", "lent": "in use", "remembered": "cached",
    "siblings": "workers",
}  # fmt: skip
"""Words that stood for the field's standard terms."""


def test_names_are_the_terms_of_the_field() -> None:
    """Of modules, classes, functions and their parameters, attributes and variables: each word of a name."""
    made = {node.name for path in PATHS for node in nodes(path) if hasattr(node, "name") and isinstance(node.name, str)}
    names = {path.stem for path in PATHS} | made | _names()
    words = {name: set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())) for name in names}
    found = {name: IMAGES[word] for name, of in words.items() for word in sorted(of & IMAGES.keys())}
    assert not found, "the standard term stands beside each"


def test_timeouts_are_of_asyncio() -> None:
    """`asyncio.timeout`, which leaves a cancellation to its caller; `wait_for` makes a task of each wait."""
    assert "wait_for" not in _names()
