"""Golden queries: query, answer and statement count side by side, on the demo data of one seed and one moment.

``make snapshot`` rewrites answers and counts, to be read as a diff; a plain run compares.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from client import Client

GOLDEN = Path(__file__).parent / "golden"
QUERIES = sorted(GOLDEN.glob("*.graphql"))
COUNTS = GOLDEN / "statement_counts.json"
UPDATE = os.environ.get("UPDATE_SNAPSHOTS") == "1"


def committed_counts() -> dict[str, int]:
    counts: dict[str, int] = json.loads(COUNTS.read_text()) if COUNTS.exists() else {}
    return counts


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
async def test_answer_and_statements(path: Path, demo: Client) -> None:
    answer = await demo.ask(path.read_text())
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
