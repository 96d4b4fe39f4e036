"""The expensive parts of a request by their kinds, with the messages of those that are refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Scan:
    """An expensive part of a request: the path of its argument, its approximate rows, and its points."""

    kind: ScanKind
    path: str
    rows: int
    points: int
    steps: int = 0
    """Relations that it uses, per occurrence in the statement."""
    beyond: int = 0
    """The points that it has besides if statistics mislead."""


class ScanKind(NamedTuple):
    """The message of a scan that is refused."""

    does: str
    advice: str


PATTERN = ScanKind(
    "compares about {rows:,} rows with a pattern, which no index serves",
    "Add an equality filter (a key or a reference), or use `startsWith` or `eq`.",
)
FILTER = ScanKind(
    "reads about {rows:,} rows without an index",
    "Add an equality or range filter that an index serves: a key, a reference, the type's time.",
)
WHOLE = ScanKind(
    "reads all of about {rows:,} rows, over which those that an index finds are scattered",
    "Add an equality or a range of the type's time, which leaves fewer rows.",
)
RELATION = ScanKind(
    "goes through relations for about {rows:,} rows",
    "Add an equality filter (a key or a reference), or query from the other end of the relation.",
)
SORT = ScanKind(
    "sorts about {rows:,} rows, which no index serves",
    "Narrow the rows by an equality or a range that an index serves, or leave the order to the type's own.",
)
ELEMENTS = ScanKind(
    "looks through about {rows:,} rows for those whose elements refer to another row",
    "Ask for the relation of fewer rows, or from its other end; a GIN index finds rows by elements.",
)
SUM = ScanKind(
    "sums up about {rows:,} rows",
    "Filter the rows, or request fewer functions; each percentile sorts them.",
)
