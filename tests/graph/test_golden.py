"""Golden queries: query, answer and statement count side by side, on the demo data of one seed and one moment.

``make snapshot`` rewrites answers and counts as the loaders give them, to be read as a diff; a plain run compares, with
the answer of the compiled statement too, which is one.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Client, same, serving
from tests.support.databases import Database

GOLDEN = Path(__file__).parents[1] / "golden"
QUERIES = sorted(GOLDEN.glob("*.graphql"))
COUNTS = GOLDEN / "statement_counts.json"
IN_PYTHON = {"lifecycles", "lineage", "search", "tool_plan"}
"""Queries with fields that are resolved in Python, beside what is compiled."""
UPDATE = os.environ.get("UPDATE_SNAPSHOTS") == "1"


def committed_counts() -> dict[str, int]:
    counts: dict[str, int] = json.loads(COUNTS.read_text()) if COUNTS.exists() else {}
    return counts


@pytest.fixture(scope="module")
async def loaders(demo_database: Database) -> AsyncIterator[Client]:
    """The gateway over the demo data without compiled statements."""
    async with serving(demo_database.gateway_url, compiler=False) as client:
        yield client


@pytest.fixture(scope="module")
async def compiled(demo_database: Database) -> AsyncIterator[Client]:
    """The same with them."""
    async with serving(demo_database.gateway_url, compiler=True) as client:
        yield client


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
async def test_answer_and_statements(path: Path, loaders: Client) -> None:
    answer = await loaders.ask(path.read_text())
    assert "errors" not in answer, answer["errors"]
    statements = answer["extensions"]["cost"]["statements"]
    golden = path.with_suffix(".json")
    if UPDATE:
        golden.write_text(json.dumps(answer["data"], indent=2, ensure_ascii=False) + "\n")
        stems = {one.stem for one in QUERIES}
        counts = {stem: count for stem, count in committed_counts().items() if stem in stems} | {path.stem: statements}
        COUNTS.write_text(json.dumps(dict(sorted(counts.items())), indent=2) + "\n")
        return
    assert json.dumps(answer["data"]) == json.dumps(json.loads(golden.read_text())), (
        "run `make snapshot`, read the diff"
    )
    assert statements == committed_counts()[path.stem]


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
async def test_one_compiled_statement_answers_the_same(path: Path, compiled: Client) -> None:
    answer = await compiled.ask(path.read_text())
    golden = json.loads(path.with_suffix(".json").read_text())
    assert same(answer["data"], golden)
    if path.stem not in IN_PYTHON:
        assert answer["extensions"]["cost"]["statements"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
async def test_statements_are_relation_fields_whatever_the_rows(path: Path, doubled: Client) -> None:
    """No more statements over twice the rows: a statement belongs to a field of the query, never to a row.

    Fewer can be right: the rows of a page may have no reference to follow.
    """
    answer = await doubled.ask(path.read_text())
    assert "errors" not in answer, answer["errors"]
    assert answer["extensions"]["cost"]["statements"] <= committed_counts()[path.stem]
    assert rows(answer["data"]) > 0


def rows(value: Any) -> int:
    """Objects with fields in an answer."""
    if isinstance(value, list):
        return sum(rows(item) for item in value)
    if isinstance(value, dict):
        return 1 + sum(rows(item) for item in value.values())
    return 0


def test_every_golden_file_has_its_query() -> None:
    stems = {path.stem for path in QUERIES}
    assert {path.stem for path in GOLDEN.glob("*.json")} - {"statement_counts"} == stems
    assert set(committed_counts()) == stems
