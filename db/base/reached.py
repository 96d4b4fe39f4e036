"""How rows of a view, or of a SELECT, are read without computing all of them.

Postgres computes a row at a time where it can read in the requested order; these declarations say where that order, and
the rows that a filter can match, are read from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Over:
    """A SELECT with rows for each row of one ``table``.

    ``columns``: its columns that are columns of that table, with their names there. Its own key has no nulls.
    """

    table: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Rare:
    """The rows in which a ``column`` has another value than the ``usual`` ones: those with ``keys``, a SELECT of the
    first key column. Null is a usual value.

    ``still`` is a condition on such a key, in the row ``c``, that is cheaper than a row of the view with indexes of
    these names, and excludes most rows that have such a value no longer.
    """

    column: str
    usual: Sequence[str | int | bool]
    keys: str
    still: str = ""
    by: Sequence[str] = ()


@dataclass(frozen=True)
class InOrder:
    """The same rows, read from a ``table`` that has all of them, as a ``select`` in the order of one of its indexes:
    for the newest first. For a row by its key the view itself reads less.

    ``columns`` are those of the table, by the view's; the first is the one it is walked by, greatest first.
    """

    table: str
    columns: Mapping[str, str]
    select: str

    @property
    def by(self) -> str:
        """The column of the walk's order."""
        return next(iter(self.columns))


@dataclass(frozen=True)
class Kept:
    """That the rows of a view over a table can be kept in the schema `gateway`: those of one value of the first key
    column follow from the rows of that value in some tables.

    ``keys`` are these tables, each with its column of that value, a UUID. ``indexes`` are those of the kept rows beside
    their key. ``current`` is SQL, by column, of values that change with time; over the kept row ``k``, they are
    computed when they are read.
    """

    keys: Mapping[str, str]
    indexes: Sequence[str] = ()
    current: Mapping[str, str] = field(default_factory=dict)
