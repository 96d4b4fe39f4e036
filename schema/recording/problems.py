"""Problems of rows and outcomes of batches, shared by recording and its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from schema.error_codes import RowCode

MAX_PROBLEMS = 20
"""The largest number of problems reported for one batch."""


@dataclass(frozen=True)
class RowViolation:
    """A problem of one row: its code, the row's index from 0, a message, and the names of the fields concerned."""

    code: RowCode
    row: int
    message: str
    fields: tuple[str, ...] = ()
    within: str = ""
    """The list of child rows that contains the row; empty for the rows of the mutation itself."""


class RowsError(Exception):
    """Rows are invalid or refused; the whole batch is to be rolled back."""

    def __init__(self, found: Sequence[RowViolation]) -> None:
        super().__init__(f"{len(found)} problems of rows")
        self.found = found[:MAX_PROBLEMS]


class UnwritableError(Exception):
    """The connected database does not support recording rows of the type, or not with the requested options."""


@dataclass(frozen=True)
class Differing:
    """An existing row that was left unchanged although its values differ from the input."""

    row: int
    id: str
    """Global id of the existing row."""
    fields: Sequence[str]
    """The given fields whose values differ."""


@dataclass
class Counts:
    """The outcome of a batch: numbers of rows."""

    inserted: int = 0
    updated: int = 0
    kept: int = 0
    differing: int | None = 0
    """The number of kept rows that differ from the input; None if the caller may not read them."""
    differs: Sequence[Differing] = field(default_factory=list)
    """The first of them, at most `MAX_PROBLEMS`."""

    def stored(self) -> Mapping[str, Any]:
        """The counts as JSON, stored with an idempotency key."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """The counts from stored JSON; those of an earlier version lack the differing rows."""
        return cls(**{**stored, "differs": [Differing(**one) for one in stored.get("differs", ())]})
