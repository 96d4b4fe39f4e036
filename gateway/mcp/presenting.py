"""The response for an agent: without added fields, texts fenced, within a budget of bytes.

What exceeds the budget is removed row by row from the end of lists, outermost lists first; each list that was cut gives
its cursor to continue from. Texts and values are never cut.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import orjson

from gateway.mcp import fences
from gateway.mcp.columns import Columns
from gateway.mcp.envelope import Envelope, ToolError
from gateway.mcp.reading import COMPLETE, EDGES, NODES, PAGE_INFO, Place
from schema.error_codes import ToolCode

Told = Callable[[Envelope], None]
"""Adds to an envelope how the lists that were cut can be continued."""
_MARGIN = 160
"""The approximate bytes of the entry of a list that was cut, with its cursor."""
_MOST_WARNINGS = 4


@dataclass
class ShownPage:
    """A list of rows in a response, from which rows are removed until it fits."""

    path: str
    backward: bool
    """Whether it was read backward, so that the rest is before its first row."""
    lists: list[list[Any]]
    """Its rows as they are shown, as nodes or edges or both; removing a row changes these lists."""
    cursors: list[str]
    below: list[list[ShownPage]]
    """The lists within each row."""
    has_more: bool
    total: int | None
    info: dict[str, Any] | None
    """Its ``pageInfo`` with the caller's keys, if the caller has selected it."""
    keys: dict[str, str] = field(default_factory=dict)
    """The keys of the fields in ``pageInfo``, by name."""

    @property
    def shown(self) -> int:
        return len(self.cursors)

    def keep(self, rows: int) -> None:
        """Keeps ``rows`` rows: those at its start, or at its end if it was read backward."""
        kept = slice(-rows, None) if self.backward else slice(None, rows)
        for each in (*self.lists, self.cursors, self.below):
            each[:] = each[kept]
        self.has_more = True
        told = {"hasPreviousPage": True, "startCursor": self.cursors[0]} if self.backward else {}
        told = told or {"hasNextPage": True, "endCursor": self.cursors[-1]}
        for name, value in told.items():
            if self.info is not None and name in self.keys:
                self.info[self.keys[name]] = value

    def entry(self) -> dict[str, Any]:
        """Its entry in ``more``, if it was cut."""
        made: dict[str, Any] = {"path": self.path, "shown": self.shown}
        if self.total is not None:
            made["of"] = self.total
        if self.cursors:
            made |= {"before": self.cursors[0]} if self.backward else {"after": self.cursors[-1]}
        return made

    def sizes(self) -> list[int]:
        """Bytes of each row, in the order in which rows are kept."""
        rows = [sum(len(orjson.dumps(one)) + 1 for one in row) for row in zip(*self.lists, strict=True)]
        return rows[::-1] if self.backward else rows


def _as_they_are(_envelope: Envelope) -> None:
    """Lists are continued by their cursors; nothing is added."""


class Presenter:
    """Makes envelopes of responses."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    def envelope(
        self,
        answer: Mapping[str, Any],
        root: Place,
        variables: Mapping[str, Any],
        budget: int,
        before: Sequence[str] = (),
        single: frozenset[str] = frozenset(),
        told: Told | None = None,
    ) -> Envelope:
        """The envelope of a response, of at most ``budget`` bytes; the warnings ``before`` precede its own.

        Of lists named in ``single`` the first row is shown as an object. ``told`` adds to ``more`` how lists are
        continued, where cursors alone do not suffice.

        Raises:
            ToolError: A single row exceeds the budget.
        """
        showing = _ResponseCopy(self._columns, variables, single)
        pages: list[ShownPage] = []
        envelope = Envelope(showing.object(answer["data"], [root], "", pages))
        envelope.units = {
            name: unit for name in sorted(showing.leaves) if (unit := self._columns.unit(*name.split(".")))
        }
        envelope.complete = not showing.incomplete
        envelope.warnings = [*showing.incomplete, *sorted(showing.nulls), *_stopped_counts(answer, root)][
            :_MOST_WARNINGS
        ]
        for error in answer.get("errors", [])[:_MOST_WARNINGS]:
            envelope.complete = False
            path = ".".join(map(str, error.get("path", ())))
            envelope.warnings.append(fences.visible(f"{path}: {error['message']}"[:300]))
        envelope.warnings[:0] = before
        fences.noted(envelope)
        self._fit(envelope, pages, budget, told or _as_they_are)
        return envelope

    def _fit(self, envelope: Envelope, pages: list[ShownPage], budget: int, told: Told) -> None:
        """Removes rows until the rest fits."""
        size, level = _told(envelope, pages, told), pages
        while size > budget:
            for page in reversed(level):
                size = _shrink(envelope, pages, page, size, budget, told)
                if size <= budget:
                    return
            level = [inner for page in level for row in page.below for inner in row]
            if not level:
                message = f"One row of what is asked has more than maxBytes ({size:,} of {budget:,})."
                raise ToolError(
                    ToolCode.ROW_TOO_LARGE, message, f"Select fewer fields, or pass maxBytes {size + 200} or more."
                )


def _stopped_counts(answer: Mapping[str, Any], root: Place) -> Iterator[str]:
    """Warnings on counts that stopped at their limit."""
    for cut in answer.get("extensions", {}).get("more", ()):
        places = [root]
        for key in cut["path"]:
            places = [found for place in places for found in place.below.get(key, ())]
        if any(place.name == "totalCount" for place in places):
            path = ".".join(cut["path"])
            yield (
                f"{path}: there are at least so many, maybe more; the count stopped. totalCount(exact: true) or "
                "aggregate counts all."
            )


def _shrink(envelope: Envelope, pages: list[ShownPage], page: ShownPage, size: int, budget: int, told: Told) -> int:
    """Removes as many rows of a list as needed, all but one at most; returns the bytes that remain."""
    if page.shown < 2:
        return size
    sizes = page.sizes()
    room = budget - (size - sum(sizes)) - _MARGIN
    fitting = bisect_right(list(accumulate(sizes)), room)
    rows = max(1, min(fitting, page.shown - 1))
    page.keep(rows)
    size = _told(envelope, pages, told)
    while size > budget and page.shown > 1:
        page.keep(page.shown - 1)
        size = _told(envelope, pages, told)
    return size


def _told(envelope: Envelope, pages: list[ShownPage], told: Told) -> int:
    """Adds the lists that were cut to the envelope; returns its bytes."""
    envelope.more = [page.entry() for page in _all(pages) if page.has_more]
    told(envelope)
    if envelope.more:
        envelope.complete = False
    return envelope.size()


def _all(pages: list[ShownPage]) -> Iterator[ShownPage]:
    for page in pages:
        yield page
        for row in page.below:
            yield from _all(row)


class _ResponseCopy:
    """Copies a response as it is shown, and collects its lists."""

    def __init__(self, columns: Columns, variables: Mapping[str, Any], single: frozenset[str]) -> None:
        self._columns = columns
        self._variables = variables
        self._single = single
        self.leaves: set[str] = set()
        """The fields with numeric values, with their types' names."""
        self.incomplete: list[str] = []
        self.nulls: set[str] = set()
        """Meanings of nulls that do not stand for a missing value."""

    def object(
        self, value: Mapping[str, Any], places: list[Place], path: str, pages: list[ShownPage]
    ) -> dict[str, Any]:
        """An object with the fields that the caller has selected; its lists are added to ``pages``."""
        asked = {key for place in places for key in place.asked}
        shown: dict[str, Any] = {}
        for key, one in value.items():
            if key not in asked:
                continue
            here = [found for place in places for found in place.below.get(key, ())]
            shown[key] = self._value(one, here, f"{path}.{key}" if path else key, pages)
        if value.get(COMPLETE) is False and any(place.says_complete for place in places):
            self.incomplete.append(f"{path} is not complete; select what it says of that, or ask for more of it.")
        return shown

    def _value(self, value: Any, places: list[Place], path: str, pages: list[ShownPage]) -> Any:
        if value is None and any((place.parent, place.name) in _NULLS for place in places):
            self.nulls |= {_NULLS[place.parent, place.name] for place in places}
        if value is None or not places:
            return value
        if isinstance(value, dict) and places[0].below:
            if any(place.is_connection for place in places):
                return self._page(value, places, path, pages)
            self.leaves |= {f"{one.parent}.{one.name}" for one in places if _has_unit(one)}
            return self.object(value, places, path, pages)
        if isinstance(value, list) and places[0].below:
            return [self._value(one, places, f"{path}[{at}]", pages) for at, one in enumerate(value)]
        return self._leaf(value, places)

    def _leaf(self, value: Any, places: list[Place]) -> Any:
        if isinstance(value, int | float):
            if not isinstance(value, bool):
                self.leaves |= {f"{place.parent}.{place.name}" for place in places}
            return value
        kind = places[0].type.name
        if kind == "Vector" and isinstance(value, list):
            return f"<vector of {len(value)}>"
        if kind in _SAFE or self._columns.is_enum(places[0].type) or (places[0].parent, places[0].name) in _OWN:
            return value
        return fences.shown(value, prose=any(self._columns.is_prose(one.parent, one.name) for one in places))

    def _page(self, value: dict[str, Any], places: list[Place], path: str, pages: list[ShownPage]) -> Any:
        """A connection; with rows it is added to ``pages``, unless only its first row is shown."""
        if path.rpartition(".")[2] in self._single:
            rows = [found for place in places for found in place.below.get(NODES, ())]
            return self._value(value[NODES][0], rows, path, pages) if value[NODES] else None
        edges, info = value.get(EDGES), value.get(PAGE_INFO)
        if edges is None or info is None or "hasNextPage" not in info:
            return self.object(value, places, path, pages)
        backward = any(
            self._variables.get(one.last) is not None if isinstance(one.last, str) else one.last for one in places
        )
        cursors = [edge["cursor"] for edge in edges]
        below: list[list[ShownPage]] = [[] for _ in cursors]
        shown: dict[str, Any] = {}
        lists, told, keys, total = [], None, {}, None
        asked = {key for place in places for key in place.asked}
        for key in (one for one in value if one in asked):
            here = [found for place in places for found in place.below.get(key, ())]
            name = here[0].name if here else ""
            if name in {NODES, EDGES}:
                shown[key] = [
                    self._value(row, here, f"{path}.{key}[{at}]", below[at]) for at, row in enumerate(value[key])
                ]
                lists.append(shown[key])
            else:
                shown[key] = self._value(value[key], here, f"{path}.{key}", pages)
            if name == PAGE_INFO and here[0].below:
                told = shown[key]
                keys = {found[0].name: inner for inner, found in here[0].below.items()}
            elif name == "totalCount":
                total = value[key]
        has_more = bool(info["hasPreviousPage" if backward else "hasNextPage"])
        pages.append(ShownPage(path, backward, lists, cursors, below, has_more, total, told, keys))
        return shown


def _has_unit(place: Place) -> bool:
    """Whether a place has aggregates of a number that are in its unit: all but their count."""
    return place.type.name == "NumberAggregate" and any(
        one.name != "count" for found in place.below.values() for one in found
    )


_SAFE = {"DateTime", "Date", "UUID", "BigInt", "Boolean", "Int", "Float"}
_OWN = {("PossibleChange", "description"), ("AllowedTransition", "description"), ("Estimate", "reasons")}
"""Texts of the gateway itself, which contain no text of a row."""
_NULLS = {
    ("PossibleChange", "blockedBy"): "blockedBy null: only a preview tells what is in the way; [] is nothing.",
}
"""The meaning of null, where it does not stand for a missing value."""
