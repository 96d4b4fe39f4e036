"""Indexes of the connected database that serve an order, and the form of ORDER BY that matches them.

Postgres uses an index for an order only if nulls are at the same end. Otherwise rows with a value are read in the
index's order, and rows without one before or after them (`sql.page`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile

from db.attach.facts import Facts, Index
from db.attach.vector_indexes import VectorIndex
from schema.catalogue.catalogue import ColumnField, OrderTerm, Type

_NOT_NULL = re.compile(r"\((\w+) IS NOT NULL\)")


@dataclass(frozen=True)
class Served:
    """How an index serves an order: ``equal`` of its columns are fixed, and the order's first ``terms`` come from it.
    Rows that are equal in these are sorted by the rest, a few at a time.

    ``apart``: rows without a value of the first term are read separately.
    """

    index: Index
    equal: int
    terms: int
    apart: bool


class Indexes:
    """The indexes of a database, and its NOT NULL columns."""

    def __init__(self, facts: Facts) -> None:
        self._indexes = facts.indexes
        self._not_null = facts.not_null
        self._many_nulls = facts.many_nulls
        self._searched = facts.searched
        self._large = facts.large
        self._columns = facts.columns
        self.normalizes = facts.normalizes
        self.kept = facts.kept
        """The views whose rows are stored, with the tables that they are stored in."""
        self.rollups = facts.rollups
        """The tables of which sums are kept, with the measures."""

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all indexes that are known."""
        return frozenset(index.name for indexes in self._indexes.values() for index in indexes)

    def serves(
        self, type_: Type, order: Sequence[OrderTerm], equal: Collection[str] = (), *, walked: bool = False
    ) -> Served | None:
        """The index that serves an order best, or None if all rows must be sorted for the first page.

        ``equal`` are columns that all rows share a value in: the parent's key, or those of a filter. The index that
        begins with most of them is best, since it reads no other rows. Views have no indexes: those of the table that a
        view has a row for, or is ``walked`` in, are used.
        """
        at = self._place(type_, walked=walked)
        if at is None:
            return None
        table, columns = at
        if columns is not None:
            order = [_in_table(term, columns) for term in order]
            equal = {columns[name] for name in equal if name in columns}
        found = [_served(index, order, equal) for index in self._indexes.get(table, ())]
        return max(filter(None, found), key=lambda one: (one.equal, one.terms, not one.apart), default=None)

    def is_large(self, type_: Type) -> bool:
        """Whether a sequential scan takes far longer than planning a statement."""
        return type_.sql_name in self._large

    def enum_of(self, type_: Type, leaf: ColumnField) -> str | None:
        """The enum of labels, as SQL names it, that a field of texts is stored as; None if it is stored as text."""
        stored = self._columns.get(type_.sql_name, {}).get(leaf.columns[0])
        named = stored and not stored.in_domain and stored.type.rpartition(".")[2] == leaf.kind.pg_type != "text"
        return stored.type if stored and named else None

    def nearest(self, type_: Type, column: str) -> VectorIndex | None:
        """The vector index of a column; None if all vectors are compared."""
        return self._searched.get((type_.sql_name, column))

    def leading(self, type_: Type) -> Mapping[str, bool]:
        """The columns that lead a full index, with whether each is unique by itself."""
        found: dict[str, bool] = {}
        for index in () if type_.is_view else self._indexes.get(type_.sql_name, ()):
            column = index.columns[0].name
            if index.method == "btree" and index.predicate is None and column:
                found[column] = found.get(column, False) or (index.unique and len(index.columns) == 1)
        return found

    def keys(self, type_: Type) -> list[tuple[str, ...]]:
        """The columns of each full index, up to the first that is an expression."""
        full = (
            index
            for index in (() if type_.is_view else self._indexes.get(type_.sql_name, ()))
            if index.method == "btree" and index.predicate is None
        )
        return [tuple(takewhile(bool, (column.name for column in index.columns))) for index in full]

    def of_other_kinds(self, type_: Type) -> set[str]:
        """The columns of indexes of other kinds, such as GIN, and of those of a part of the rows."""
        found: set[str] = set()
        for index in () if type_.is_view else self._indexes.get(type_.sql_name, ()):
            if index.method != "btree" or index.predicate is not None:
                found.update(column.name for column in index.columns if column.name)
                found.update(re.findall(r"\w+", index.predicate or ""))
        return found

    def finds_elements(self, type_: Type, column: str) -> bool:
        """Whether an index finds rows by elements of a column."""
        return any(
            index.method == "gin" and index.predicate is None and any(one.name == column for one in index.columns)
            for index in self._indexes.get(type_.sql_name, ())
        )

    def first_column(self, type_: Type, name: str) -> str | None:
        """The first column of the index with a name."""
        named = (index for index in self._indexes.get(type_.sql_name, ()) if index.name == name)
        return next((index.columns[0].name for index in named), None)

    def follow(
        self, type_: Type, order: tuple[OrderTerm, ...], equal: Collection[str] = (), *, walked: bool = False
    ) -> tuple[OrderTerm, ...]:
        """The order in the form of an index that serves it, without NULLS clauses for columns without nulls.

        If none serves it, rows without a value are still read separately if they are many: they alone fill a page that
        begins with them, by key, and the others need not be sorted. Not below a parent, which has few rows.
        """
        if at := self._place(type_, walked=walked):
            table, columns = at
            refusing = self._not_null.get(table, frozenset())
            if columns is not None:
                refusing = frozenset(here for here, there in columns.items() if there in refusing)
            order = tuple(
                replace(term, never_null=True) if term.nullable and term.column in refusing else term for term in order
            )
        if not order:  # the database lacks all its columns, or the caller may read none of them
            return order
        served = self.serves(type_, order, equal, walked=walked)
        read = type_.behind if type_.is_view else (type_.sql_name,)  # a view's columns mostly keep their names
        many = not equal and any(order[0].column in self._many_nulls.get(table, ()) for table in read)
        apart = served.apart if served else many
        return (replace(order[0], apart=True), *order[1:]) if apart else order

    def _place(self, type_: Type, *, walked: bool) -> tuple[str, Mapping[str, str] | None] | None:
        """The table whose indexes serve a type's orders, and the names of the type's columns there if they differ."""
        if not type_.is_view:
            return type_.sql_name, None
        if stored := self.kept.get(type_.sql_name):
            return stored, None
        at = type_.walk if walked else type_.over
        return None if at is None else (at.table, at.columns)


def _in_table(term: OrderTerm, columns: Mapping[str, str]) -> OrderTerm:
    """The term over the table's column; over none if it has no such column."""
    name = columns.get(term.column or "")
    return (
        replace(term, columns=(), value="") if name is None else replace(term, columns=(name,), value=f"{{row}}.{name}")
    )


def _served(index: Index, order: Sequence[OrderTerm], equal: Collection[str]) -> Served | None:
    if index.method != "btree":
        return None
    given = terms = 0
    apart = False
    backward: bool | None = None
    columns = iter(index.columns)
    column = next(columns, None)
    while column is not None and terms < len(order):
        term = order[terms]
        if column.name and column.name == term.column:
            turned = column.descending != term.descending
            if backward not in {None, turned}:
                break
            if (column.nulls_first != turned) != term.nulls_at_start:
                if terms or not term.nullable:
                    break
                apart = True
            backward, terms = turned, terms + 1
        elif column.name in equal:
            given += 1
        else:
            break
        column = next(columns, None)
    if not terms or not _has_all(index, order[0], equal, apart=apart):
        return None
    return Served(index, given, terms, apart)


def _has_all(index: Index, first: OrderTerm, equal: Collection[str], *, apart: bool) -> bool:
    """Whether every requested row is in the index, apart from rows without a value."""
    if index.predicate is None:
        return True
    column = _NOT_NULL.fullmatch(index.predicate)
    return bool(column) and (column[1] in equal or (apart and column[1] == first.column))  # type: ignore[index]
