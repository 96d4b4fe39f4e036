"""Which indexes serve a filter or an order, as prices reckon: those of the models, which a database may lack."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Index as TableIndex
from sqlalchemy import PrimaryKeyConstraint, UniqueConstraint

from schema.catalogue import OrderTerm, Type


class Term(NamedTuple):
    """A column of an index or of an order, and which way it goes."""

    column: str
    descending: bool = False
    nulls_first: bool = False

    @property
    def backward(self) -> Term:
        return Term(self.column, not self.descending, not self.nulls_first)


class Index(NamedTuple):
    """An index that orders rows."""

    terms: tuple[Term, ...]
    unique: bool


class Indexes:
    """The indexes of all types."""

    def __init__(self) -> None:
        self._of: dict[str, Sequence[Index]] = {}

    def of(self, type_: Type) -> Sequence[Index]:
        """The indexes of a type's table; a view or a SELECT has none."""
        found = self._of.get(type_.name)
        if found is None:
            found = self._of[type_.name] = () if type_.is_view else _of_model(type_)
        return found

    def leading(self, type_: Type) -> dict[str, bool]:
        """The columns that lead an index, and whether each is unique alone."""
        found: dict[str, bool] = {}
        for index in self.of(type_):
            column = index.terms[0].column
            found[column] = found.get(column, False) or (index.unique and len(index.terms) == 1)
        return found

    def serves(self, type_: Type, order: Sequence[OrderTerm], equal: Collection[str]) -> bool:
        """Whether an index gives rows in an order, where each of the columns ``equal`` has one value.

        The first terms are enough if they hold a time or are unique: those that tie are few, and sorted when read.
        """
        wanted = [
            Term(term.name, term.descending, term.nulls_first if term.nullable else term.descending)
            for term in order
            if term.name not in equal
        ]
        return not wanted or any(_gives(type_, index, wanted, equal) for index in self.of(type_))


def _gives(type_: Type, index: Index, wanted: Sequence[Term], equal: Collection[str]) -> bool:
    there = [term for term in index.terms if term.column not in equal]
    ways = (there, [term.backward for term in there])
    return any(_begins(type_, index, way, wanted) for way in ways)


def _begins(type_: Type, index: Index, there: Sequence[Term], wanted: Sequence[Term]) -> bool:
    common = 0
    for one, other in zip(there, wanted, strict=False):
        if not _same(type_, one, other):
            break
        common += 1
    if common == len(wanted):
        return True
    names = {term.column for term in there[:common]}
    timed = any(type_.column_kind(name).graphql == "DateTime" for name in names)
    return timed or (common > 0 and index.unique and common == len(there))


def _same(type_: Type, one: Term, other: Term) -> bool:
    """Whether two are of one column and go the same way; a key has no nulls that could stand elsewhere."""
    alike = one.column == other.column and one.descending == other.descending
    return alike and (one.nulls_first == other.nulls_first or one.column in type_.key)


def _of_model(type_: Type) -> list[Index]:
    """The ordered indexes and the unique constraints of a model's table."""
    found = [
        Index(tuple(Term(column.name) for column in one.columns), unique=True)
        for one in type_.table.constraints
        if isinstance(one, PrimaryKeyConstraint | UniqueConstraint) and len(one.columns)
    ]
    for one in type_.table.indexes:
        options = one.dialect_options["postgresql"]
        if not options["using"] and options["where"] is None:
            found.append(Index(tuple(_term(text) for text in _expressions(one)), bool(one.unique)))
    return found


def _expressions(index: TableIndex) -> list[str]:
    return [str(expression) for expression in index.expressions]


def _term(text: str) -> Term:
    """A term as SQL writes it: ``table.column DESC NULLS LAST``."""
    column, *words = text.split()
    descending = "DESC" in words
    return Term(column.rpartition(".")[2], descending, "FIRST" in words if "NULLS" in words else descending)
