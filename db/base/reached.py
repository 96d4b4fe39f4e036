"""How rows of a view, or of a SELECT, are reached without working out all of them.

Postgres works out a row at a time where it can read in the order that is asked for; these say where that order, and the
rows that a filter can find, are to be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Over:
    """A SELECT that has some rows for each row of one ``table``.

    ``columns``: which of its columns are columns of that table, by their names there. Its own key has no nulls.
    """

    table: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Rare:
    """Where the rows are in which a ``column`` has another value than the ``usual`` ones: among those with ``keys``, a
    SELECT of the first column of the key. Null is a usual value.

    ``still`` is a condition of such a key, in the row ``c``, that is worked out faster than a row of the view, by
    indexes of these names, and tells most of those apart that had such a value once.
    """

    column: str
    usual: Sequence[str | int | bool]
    keys: str
    still: str = ""
    by: Sequence[str] = ()


@dataclass(frozen=True)
class InOrder:
    """The same rows, found in a ``table`` that has all of them, as a ``select`` that can be read in the order of one of
    its indexes: for the newest first. For a row by its key the view itself reads less.

    ``columns`` are those of the table, by the view's; the first is what it is walked by, greatest first.
    """

    table: str
    columns: Mapping[str, str]
    select: str

    @property
    def by(self) -> str:
        """The column that it is walked by."""
        return next(iter(self.columns))
