"""Estimates of rows: of a type, of lists below parents, and of what a filter leaves of them.

Sizes, indexes and the spread of times come from the facts of the database.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from math import ceil
from typing import Any

from db.attach.facts import Facts
from db.base.entity import camel
from db.engine.clock import CLOCK
from gateway.operations.equalities import rows_with, tells, values_of
from gateway.operations.page_reads import is_whole
from schema.catalogue.catalogue import Catalogue, RelationField, Type
from schema.sql.aggregates import MAX_GROUPS, TimeBucket
from schema.sql.conditions import few, named
from schema.sql.indexes import Indexes
from schema.sql.operators import RANGES

NARROWED = 10
"""The assumed selectivity, one row in so many, of an index on a column without statistics."""
SCATTERED = 4
"""The factor by which rows that fulfil a condition may be rarer among those of a page than among all."""
EQUALITIES = {"eq", "isNull"}
LISTS = EQUALITIES | {"in"}
"""Operators by which an index finds rows; with a list of values these are in no order, but those of each value."""


class RowEstimates:
    """Estimates by the sizes of tables and by what indexes and statistics tell of a filter."""

    def __init__(self, catalogue: Catalogue, facts: Facts) -> None:
        self.indexes = Indexes(facts)
        self._catalogue = catalogue
        self._rows = facts.rows
        self._spreads = facts.spreads
        self._pages = facts.pages
        self._frequencies = facts.frequencies
        self._correlations = facts.correlations
        self._shares = facts.shares

    def of_table(self, name: str) -> int:
        """The approximate number of rows of a table, 0 if it is unknown."""
        return self._rows.get(name, 0)

    def rows(self, type_: Type) -> int:
        """The approximate number of rows of a type.

        A view has those of its base table, if known; else, like a SELECT, at most those of the largest table it reads.
        """
        of_view = type_.behind and type_.over
        names = (of_view.table,) if of_view else (*type_.reads, *type_.behind)
        return max((self.of_table(name) for name in names), default=0)

    def below(self, type_: Type, parent: Type | None, parents: int) -> int:
        """The approximate total of the lists of ``parents`` parents."""
        rows = self.rows(type_)
        return rows if parent is None else min(rows, parents * rows // max(self.rows(parent), 1))

    def below_one(self, type_: Type, parent: Type | None) -> int:
        """The approximate number of rows in the list of one parent, at least one."""
        return max(self.rows(type_) // (max(self.rows(parent), 1) if parent else 1), 1)

    def left(self, type_: Type, where: Mapping[str, Any], rows: int, *, guesses: bool = True) -> int:
        """The approximate number, of ``rows``, that the most selective index leaves after equalities and one range, or
        that the indexes of all alternatives leave together.

        ``guesses``: whether a selectivity is assumed where statistics are missing.
        """
        least = self._of_alternatives(type_, where.get("or") or (), rows)
        for one in where.get("and") or ():
            least = min(least, self.left(type_, one or {}, rows, guesses=guesses))
        for key in self.indexes.keys(type_):
            left, guessed = rows, not guesses
            for column in key:
                value = where.get(type_.field_name(column))
                if not isinstance(value, Mapping):
                    break
                values = values_of(value)
                if values is not None:
                    having = self._having(type_, column, value, left, rows, single=key == (column,))
                    if having is None and guessed:
                        break
                    guessed |= having is None
                    found = 1 if value.get("eq") is not None else few(values)
                    left = left * min(rows, found * (rows // NARROWED)) // max(rows, 1) if having is None else having
                elif value.keys() & RANGES and (guesses or column in self._spreads.get(type_.sql_name, {})):
                    left = left * self._between(type_, column, value, rows) // max(rows, 1)
                    break
                else:
                    break
            least = min(least, left)
        return least

    def _of_alternatives(self, type_: Type, alternatives: Sequence[Mapping[str, Any] | None], rows: int) -> int:
        """The approximate number, of ``rows``, that fulfil one of some filters; all, unless an index is known to leave
        few for each. Relations are joined before."""
        if not alternatives or any(name in type_.relations for one in alternatives for name in named(one)):
            return rows
        return min(rows, sum(self.left(type_, one or {}, rows, guesses=False) for one in alternatives))

    def _having(
        self, type_: Type, column: str, value: Mapping[str, Any], left: int, rows: int, *, single: bool
    ) -> int | None:
        """The approximate number, of ``left`` of ``rows``, with the values of an equality; None if it is unknown."""
        known = self._frequencies.get(type_.sql_name, {}).get(column)
        values = values_of(value) or ()
        alike = self._alike(type_, column, rows, single=single)
        unique = self._is_unique(type_, column, single=single)
        if known is not None and not unique and tells(known, type_, column, value):
            return rows_with(known, values, left, left * (alike or 0) // max(rows, 1))
        if alike is None:
            return None
        found = 1 if value.get("eq") is not None else few(values)
        return left * min(rows, found * alike) // max(rows, 1)

    def is_read_whole(self, type_: Type, where: Mapping[str, Any], left: int, read: Collection[str]) -> bool:
        """Whether Postgres reads the whole table for the ``left`` rows of a filter, of which it needs the columns
        ``read``: an index finds them, lacks some of these columns, and the pages of the rows cost more than all."""
        pages, rows = self._pages.get(type_.sql_name, 0), self.rows(type_)
        keys = [key for key in self.indexes.keys(type_) if key and where.get(type_.field_name(key[0]))]
        if not keys and where.get("or") and left < rows:  # several indexes find them, in no order
            return is_whole(pages, rows, left, 0.0)
        if type_.is_view or not keys or any(set(read) <= set(key) for key in keys):
            return False
        known = self._correlations.get(type_.sql_name, {})
        return is_whole(pages, rows, left, max(abs(known.get(key[0], 0.0)) for key in keys))

    def within(self, type_: Type, arguments: Mapping[str, Any], rows: int, below: RelationField | None) -> int:
        """The approximate number, of ``rows`` that a type is computed from, in the window that its arguments ask for;
        all, if no index finds them or statistics do not tell. ``below`` is the relation that leads to them."""
        window = type_.window
        if window is None:
            return rows
        source = self._catalogue[window.of]
        length: float = 1
        if window.length is not None:
            argument = type_.arguments[camel(window.length)].argument
            length = arguments.get(camel(window.length)) or argument.default or 0
            if length < (argument.least or 0) or length > (argument.most or length):
                return rows  # the argument is refused with its place
        last, lasts = arguments.get(window.until), timedelta(seconds=length * window.seconds)
        end = last or CLOCK.now()
        first = end - lasts if end - datetime.min.replace(tzinfo=UTC) > lasts else None
        known = window.column in self._spreads.get(source.sql_name, {})
        before = set(below.join.remote_columns) if below else set()
        keys = (list(key) for key in self.indexes.keys(source))
        if not known or not any(
            window.column in key and set(key[: key.index(window.column)]) <= before for key in keys
        ):
            return rows
        return self._between(source, window.column, {"gte": first, "lt": last}, rows)

    def until(self, type_: Type, where: Mapping[str, Any], wanted: int, rows: int) -> int:
        """The rows, of ``rows``, among which statistics let expect ``wanted`` rows that fulfil a filter; all, if they
        do not tell."""
        share = self._share(type_, where)
        return min(rows, ceil(SCATTERED * wanted / share)) if share else rows

    def _share(self, type_: Type, where: Mapping[str, Any]) -> float | None:
        """The approximate share of a type's rows, 0 to 1, that fulfil a filter, as if its conditions were independent
        of each other; None if statistics do not tell."""
        share = 1.0
        for name, value in where.items():
            if name == "and":
                parts = [self._share(type_, one or {}) for one in value or ()]
            else:
                leaf, known = type_.columns.get(name), self._shares.get(type_.sql_name, {})
                column = leaf.columns[0] if leaf and len(leaf.columns) == 1 else ""
                parts = [known[column].of(value or {}) if column in known else None]
            for part in parts:
                if part is None:
                    return None
                share *= part
        return share

    def _alike(self, type_: Type, column: str, rows: int, *, single: bool) -> int | None:
        """The approximate number, of ``rows``, with one value of a column; None if it is unknown.

        It is known for the type's key, for references and, if ``single``, for a column with a unique index. In a
        partitioned table the index of the key has the time too.
        """
        if self._is_unique(type_, column, single=single):
            return min(rows, 1)
        for relation in type_.relations.values():
            join = relation.join
            if not relation.many and join.equality and join.local_columns == (column,):
                return rows // max(self.rows(self._catalogue[relation.target]), 1)
        return None

    def _is_unique(self, type_: Type, column: str, *, single: bool) -> bool:
        """Whether a column has each value once: the type's key, or, if ``single``, a column with a unique index."""
        return type_.key == (column,) or (single and bool(self.indexes.leading(type_).get(column)))

    def _between(self, type_: Type, column: str, value: Mapping[str, Any], rows: int) -> int:
        """The approximate number, of ``rows``, in a range of a column.

        For times it follows from statistics; for other columns the selectivity is assumed.
        """
        spread = self._spreads.get(type_.sql_name, {}).get(column)
        if spread is None:
            return rows // NARROWED
        first, last = _window(value)
        if first is None and last is None:
            return rows
        all_rows = max(self.rows(type_), 1)
        return min(rows, spread.rows(all_rows, first, last) * rows // all_rows + 1)

    def is_narrow(self, type_: Type, where: Mapping[str, Any]) -> bool:
        """Whether the filter has an equality on a column that leads an index."""
        indexed = {type_.field_name(column) for column in self.indexes.leading(type_)}
        return any(
            name in indexed and isinstance(value, Mapping) and (value.get("eq") is not None or "in" in value)
            for name, value in where.items()
        )

    def is_found(
        self,
        type_: Type,
        where: Mapping[str, Any],
        relation: RelationField | None,
        equalities: Collection[str] = EQUALITIES,
    ) -> bool:
        """Whether an index finds exactly the rows of the filter.

        The filter then has equalities and at most one range of the index's columns, after those of the parent's key, or
        a range of the time that orders the type.
        """
        compared = {name: set(value) for name, value in where.items() if isinstance(value, Mapping)}
        if len(compared) < len(where):
            return False
        time = type_.field_name(type_.order[0].name)
        if compared.keys() == {time} and compared[time] <= RANGES:
            return True
        if relation and not relation.join.equality:
            return False
        parent = {type_.field_name(column) for column in relation.join.remote_columns} if relation else set()
        return any(
            _finds([type_.field_name(column) for column in key], compared, parent, equalities)
            for key in self.indexes.keys(type_)
        )


def _finds(
    key: Sequence[str], compared: Mapping[str, set[str]], parent: Collection[str], equalities: Collection[str]
) -> bool:
    """Whether the fields of an index begin with those of a parent's key and all compared ones, a range last."""
    left, equal = set(compared), set(parent)
    for column in key:
        if column in equal:
            equal.discard(column)
        elif column in left and (
            compared[column] <= set(equalities) or (compared[column] <= RANGES and left == {column})
        ):
            left.discard(column)
        else:
            break
    return not left and not equal


def most_groups(where: Mapping[str, Any], group_by: Sequence[Mapping[str, Any]]) -> int:
    """The largest number of groups of an aggregate: one without keys, and of a time alone the buckets of the filter's
    window."""
    if len(group_by) != 1:
        return MAX_GROUPS if group_by else 1
    bucket, compared = group_by[0].get("bucket"), where.get(group_by[0]["field"].value) or {}
    if bucket is None or not all(isinstance(one, date) for one in compared.values()):
        return MAX_GROUPS
    first, last = _window(compared)
    if first is None or last is None:
        return MAX_GROUPS
    return min(MAX_GROUPS, max(ceil((last - first) / _LEAST_SECONDS[bucket]), 0) + 1)


_LEAST_SECONDS = {
    TimeBucket.MINUTE: 60,
    TimeBucket.HOUR: 3600,
    TimeBucket.DAY: 86_400,
    TimeBucket.WEEK: 7 * 86_400,
    TimeBucket.MONTH: 28 * 86_400,
}


def _window(compared: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The ends of a range of times in seconds since 1970; None where it has no end."""
    first = max((_seconds(compared[name]) for name in ("gt", "gte") if compared.get(name) is not None), default=None)
    last = min((_seconds(compared[name]) for name in ("lt", "lte") if compared.get(name) is not None), default=None)
    return first, last


def _seconds(time: date) -> float:
    """A time in seconds since 1970."""
    if not isinstance(time, datetime):
        time = datetime(time.year, time.month, time.day, tzinfo=UTC)
    return time.timestamp()
