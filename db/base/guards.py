"""Guards of changes, declared as SQL over the row, so that one statement evaluates them for a page of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Guard:
    """A condition that blocks a change.

    ``sql`` is a SELECT of (message, global id of the blocking node), one row per blocker, in which ``{row}`` is the row
    to be changed. ``reads`` names the other entities that it reads, and as ``Entity.column`` those of its columns that
    have a scope. An ``overridable`` guard can be overridden by ``force`` with a reason.
    """

    code: str
    doc: str
    sql: str
    overridable: bool = False
    reads: Sequence[str] = ()
