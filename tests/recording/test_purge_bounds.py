"""How old rows must be to be purged, and how many go at once: each bound, and one step to either side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.engine.clock import CLOCK
from schema.recording import purging
from schema.recording.record_types import purge_mutations

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CLOCK, "now", lambda: NOW)


@pytest.mark.parametrize("name", purge_mutations())
def test_rows_that_are_as_old_as_they_are_kept_may_go(name: str) -> None:
    type_ = purge_mutations()[name]
    retention = type_.plan.declared.retention
    assert retention is not None
    oldest = NOW - timedelta(days=retention.days)
    assert purging.too_young(type_, oldest) is None
    assert purging.too_young(type_, oldest - timedelta(microseconds=1)) is None
    refused = purging.too_young(type_, oldest + timedelta(microseconds=1))
    assert refused == (
        f"is less than {retention.days} days ago, for which {type_.name} rows are kept at least; pass an earlier one"
    )


@pytest.mark.parametrize(
    ("limit", "rows"),
    [
        (None, purging.PURGED),
        ("5", purging.PURGED),
        (-1, 1),
        (0, 1),
        (1, 1),
        (2, 2),
        (purging.MAX_PURGED, purging.MAX_PURGED),
        (purging.MAX_PURGED + 1, purging.MAX_PURGED),
    ],
)
def test_a_purge_is_priced_by_the_rows_that_it_may_take(limit: Any, rows: int) -> None:
    assert purging.rows_of_purge({"limit": limit}) == rows
    assert purging.rows_of_purge({}) == purging.PURGED
