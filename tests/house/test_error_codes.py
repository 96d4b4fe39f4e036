"""Codes are said once: nobody writes one as a string, each is used, and each has what the reference tells of it."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from itertools import chain

import pytest

from db.base.guards import Guard
from db.base.lifecycles import lifecycles
from schema.changes.mutations import mutations
from schema.error_codes import BlockerCode, ErrorCode, ProblemCode, Retry, RowCode, ToolCode
from schema.errors import GatewayError
from tests.support.sources import MODULES, ROOT, TYPED, nodes, strings

HOME = ROOT / "schema" / "error_codes.py"
KINDS = (ErrorCode, ProblemCode, BlockerCode, RowCode, ToolCode)
CODES = list(chain(*KINDS))
SOURCES = [path for layer, path in MODULES if layer in {"gateway", "schema"} and path != HOME]
LIBRARIES = {ROOT / "gateway" / "adapters", ROOT / "schema" / "adapters", TYPED}
"""Names of libraries stand there, and in what is made of the schema those of its enums, as texts too."""
ENVIRONMENT = re.compile(r"(GATEWAY|OTEL|DATABASE|REDIS)_")


def test_no_code_stands_as_a_string() -> None:
    codes = set(CODES)
    found = {
        f"{path.relative_to(ROOT)}: {text}"
        for path in SOURCES
        if LIBRARIES.isdisjoint([path, *path.parents])
        for text in strings(nodes(path))
        if text in codes or (re.fullmatch(r"[A-Z]+(_[A-Z]+)+", text) and not ENVIRONMENT.match(text))
    }
    assert found == set(), "a code is a member of schema.error_codes"


def test_each_code_is_used() -> None:
    text = "".join(path.read_text() for path in SOURCES)
    used = set(re.findall(r"\b((?:Error|Problem|Blocker|Row|Tool)Code\.[A-Z][A-Z_]+)", text))
    known = {f"{type(code).__name__}.{code.name}" for code in CODES}
    assert known == used, (
        "a code is declared that gateway/ and schema/ do not use; the code of a guard stands in its Guard"
    )


@pytest.mark.parametrize("code", CODES)
def test_each_code_is_described(code: ErrorCode | ProblemCode | BlockerCode) -> None:
    assert code == code.name
    assert re.fullmatch(r"[A-Z`].*\.", code.meaning)
    assert isinstance(code.retry, Retry)


def guards() -> Iterator[Guard]:
    """The guards of every move and of every other mutation."""
    for lifecycle in lifecycles():
        for step in (*lifecycle.entering.values(), *lifecycle.leaving.values()):
            yield from step.guards
    for mutation in mutations().values():
        yield from mutation.guards or ()


def test_a_code_of_a_guard_means_one_thing() -> None:
    """And none of the codes that are declared in `schema.error_codes`, which a client tells apart by nothing else."""
    meanings: dict[str, set[str]] = {}
    for guard in guards():
        meanings.setdefault(guard.code, {code.meaning for code in BlockerCode if code == guard.code}).add(guard.doc)
    twice = {code: docs for code, docs in meanings.items() if len(docs) > 1}
    assert not twice, "a guard of another meaning needs another code"


def test_every_guard_is_tried() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("*/test_*.py"))
    untried = {guard.code for guard in guards() if f'"{guard.code}"' not in tests}
    assert not untried, "a test makes each of these guards block a change"


@pytest.mark.parametrize("code", ErrorCode)
def test_a_message_of_a_code_is_filled_from_the_details(code: ErrorCode) -> None:
    if not code.message:
        return
    details = {name: 7 for _, name, _, _ in string.Formatter().parse(code.message) if name}
    error = GatewayError(code, **details)
    assert error.extensions == {"code": code.name, **details}
    assert not re.search(r"[{}]", error.message)
