"""The form of cursors: clients keep them, so those that were given once stay good."""

from __future__ import annotations

import orjson
import pytest

from db.store.changelog import LogPosition
from schema import subscriptions
from schema.catalogue import ids
from schema.catalogue.from_models import catalogue
from schema.errors import GatewayError
from schema.lineage import cursors as lineage_cursors
from schema.lineage.edges import edges
from schema.sql import cursors

KEY = "11111111-2222-3333-4444-555555555555"
PAGE = (
    "WyJFeHBlcmltZW50IiwiLWNyZWF0ZWRfYXQsLWlkIixbIjIwMjYtMDEtMDIgMDM6MDQ6MDUrMDAiLCIxMTExMTExMS0yMjIyLTMzMzMtNDQ0NC01"
    "NTU1NTU1NTU1NTUiXV0"
)
MESSAGE = "WyJsaXZlIiwxNzY3MzIzMDQ1LCI3MzAwMDAwMDAwMDAwMDAwMDAxLzEiLCI5OjEyOjksMTAiLCI5OjEzOiIsNF0"
EARLIER = {
    "WyJsaXZlIiwxNzY3MzIzMDQ1LCI5OjEyOjksMTAiXQ": LogPosition(1767323045, "", "9:12:9,10"),
    "WyJsaXZlIiwxNzY3MzIzMDQ1LCI5OjEyOjksMTAiLCI5OjEzOiIsNF0": LogPosition(1767323045, "", "9:12:9,10", "9:13:", 4),
    "WyJsaXZlIiwxNzY3MzIzMDQ1LCI3MzAwMDAwMDAwMDAwMDAwMDAxLzEiLCI5OjEyOjksMTAiXQ": LogPosition(
        1767323045, "7300000000000000001/1", "9:12:9,10"
    ),
}
"""Cursors of subscriptions as gateways gave them before, with what they say; the first two without a history."""
FRONTIER = (
    "WyJsaW5lYWdlIiwiMDEyMzQ1Njc4OWFiY2RlZiIsIk1vZGVsLmV4cGVyaW1lbnQiLCJNb2RlbDoxMTExMTExMS0yMjIyLTMzMzMtNDQ0NC01NTU1"
    "NTU1NTU1NTUiLDIsWyJ4IixudWxsXV0"
)
SNAPSHOT = "9:12:9,10"
ALMOST = [
    cursors.pack(orjson.dumps(["live", *parts]))
    for parts in (
        [2**40, "", SNAPSHOT],
        [-1, "", SNAPSHOT],
        [1.5, "", SNAPSHOT],
        ["1", "", SNAPSHOT],
        [True, "", SNAPSHOT],
        [1],
        [1, "", SNAPSHOT, "9:13:", 4, 5],
        [1, "", SNAPSHOT, "9:13:", 2**63],
    )
]
"""Nearly cursors of subscriptions: a time that is none or out of range, too few or too many parts."""
NONE = ["", "x", "é", "\ud800", "bGl2ZQ", "e30", "bnVsbA", "IjEyMyI", "WzEsMiwzXQ", PAGE[:-1], MESSAGE[2:]]


def test_a_cursor_of_a_page() -> None:
    type_, values = catalogue()["Experiment"], ("2026-01-02 03:04:05+00", KEY)
    assert cursors.encode(cursors.start(type_, type_.order), values) == PAGE
    assert cursors.decode("after", PAGE, type_, type_.order) == values
    assert cursors.nulls(PAGE) == (False, False)


def test_a_cursor_of_a_subscription() -> None:
    place = LogPosition(1767323045, "7300000000000000001/1", "9:12:9,10", "9:13:", 4)
    assert subscriptions.encode(place) == MESSAGE
    assert subscriptions.decode(MESSAGE) == place


@pytest.mark.parametrize("text", EARLIER)
def test_cursors_of_earlier_gateways_are_read(text: str) -> None:
    assert subscriptions.decode(text) == EARLIER[text]


def test_a_cursor_of_a_lineage() -> None:
    end, id_ = edges().by_name["Model.experiment"], ids.encode("Model", (KEY,))
    found = lineage_cursors.decode(catalogue(), "0123456789abcdef", 0, FRONTIER)
    assert (found.end, found.spot.id, found.spot.position, found.depth) == (end, id_, ("x", None), 2)
    assert lineage_cursors.encode("0123456789abcdef", end, id_, 2, ("x", None)) == FRONTIER


@pytest.mark.parametrize("text", [*NONE, *ALMOST, PAGE, MESSAGE, FRONTIER])
def test_what_is_no_cursor_is_said_to_be_none(text: str) -> None:
    """Of another kind, too; never another error."""
    type_ = catalogue()["Experiment"]
    for own, decode in (
        (PAGE, lambda: cursors.decode("after", text, type_, type_.order)),
        (MESSAGE, lambda: subscriptions.decode(text)),
        (FRONTIER, lambda: lineage_cursors.decode(catalogue(), "0123456789abcdef", 0, text)),
    ):
        if text != own:
            with pytest.raises(GatewayError) as refused:
                decode()
            assert refused.value.code == "INVALID_CURSOR"
    assert text == PAGE or not any(cursors.nulls(text))
