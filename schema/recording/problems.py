"""Problems of rows and outcomes of batches, shared by recording and its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from schema.error_codes import RowCode

MAX_PROBLEMS = 20
"""Problems of rows that are told of one batch."""


@dataclass(frozen=True)
class Wrong:
    """What is wrong with one row, and with which of its fields."""

    code: RowCode
    row: int
    message: str
    fields: tuple[str, ...] = ()
    within: str = ""
    """The list of the input that the row is in; empty for the rows that the input is about."""


class RowsError(Exception):
    """Rows are in the way; nothing of the batch may stay."""

    def __init__(self, found: Sequence[Wrong]) -> None:
        super().__init__(f"{len(found)} problems of rows")
        self.found = found[:MAX_PROBLEMS]


class UnwritableError(Exception):
    """The connected database does not let rows of the type be recorded, or not in the way that is asked for."""


@dataclass(frozen=True)
class Differing:
    """A row that was there and stayed, with other values than were given."""

    row: int
    id: str
    """Its global id."""
    fields: Sequence[str]
    """The fields whose values are others."""


@dataclass
class Counts:
    """What has become of the rows of a batch."""

    inserted: int = 0
    updated: int = 0
    kept: int = 0
    differing: int | None = 0
    """How many of those that were kept differ; None where the caller may not know."""
    differs: Sequence[Differing] = field(default_factory=list)
    """The first of them, `MAX_PROBLEMS` at most."""

    def stored(self) -> Mapping[str, Any]:
        """As JSON, to be kept with a key."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """What was stored; by an earlier version without the rows that differ."""
        return cls(**{**stored, "differs": [Differing(**one) for one in stored.get("differs", ())]})
