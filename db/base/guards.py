"""Guards of changes, declared as SQL over the row, so that one statement evaluates them for a page of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Guard:
    """A condition that blocks a change: a SELECT of (message, global id of the blocking node), a row per blocker.

    ``{row}`` is the row to be changed; ``reads`` names the entities that are read beside it, and as ``Entity.column``
    the columns with a scope of their own. An ``overridable`` guard can be overridden by ``force`` with a reason.
    """

    code: str
    doc: str
    sql: str
    overridable: bool = False
    reads: Sequence[str] = ()
