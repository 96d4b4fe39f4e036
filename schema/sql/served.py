"""Which conditions of a filter an index may serve: a count looks at a limited number of the rows that these leave."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from schema.catalogue.catalogue import Type
from schema.sql.indexes import Indexes
from schema.sql.operators import RANGES

LISTS = {"eq", "in", "isNull"}
PREFIXES = {"like", "startsWith"}
"""Operators that an index serves in some databases, and for some values."""
SERVED = LISTS | RANGES | PREFIXES

Filter = Mapping[str, Any]
Part = tuple[str, str | None, Any]
"""A field, the operator if it is a column, and what it is compared with."""


def divided(indexes: Indexes, type_: Type, where: Filter | None, equal: Collection[str]) -> tuple[Filter, Filter]:
    """A filter as two, which rows have to fulfil both: what an index may serve, alone or with others, and the rest.

    ``equal``: the columns in which all rows have one value, that of a parent.
    """
    if type_.is_view or type_.is_derived:
        return where or {}, {}
    served = _Served(indexes, type_, equal)
    is_served = served.test(list(_parts(type_, where)))
    return _only(type_, where, is_served), _only(type_, where, lambda part: not is_served(part))


def _only(type_: Type, where: Filter | None, keep: Callable[[Part], bool]) -> Filter:
    """The conditions of a filter that are kept, each in its place."""
    found: dict[str, Any] = {}
    for name, value in (where or {}).items():
        if name == "and" and value:
            found[name] = [_only(type_, one, keep) for one in value]
        elif name in type_.columns and isinstance(value, Mapping):
            if kept := {operator: operand for operator, operand in value.items() if keep((name, operator, operand))}:
                found[name] = kept
        elif keep((name, None, value)):
            found[name] = value
    return found


def _parts(type_: Type, where: Filter | None) -> Iterator[Part]:
    """The conditions that all have to hold, one comparison each."""
    for name, value in (where or {}).items():
        if name == "and":
            for one in value or ():
                yield from _parts(type_, one)
        elif name in type_.columns and isinstance(value, Mapping):
            yield from ((name, operator, operand) for operator, operand in value.items())
        else:
            yield name, None, value


class _Served:
    """The conditions on one type that its indexes may serve."""

    def __init__(self, indexes: Indexes, type_: Type, equal: Collection[str]) -> None:
        self._type = type_
        self._keys = indexes.keys(type_)
        self._others = indexes.of_other_kinds(type_)
        self._equal = equal

    def test(self, parts: Sequence[Part]) -> Callable[[Part], bool]:
        """Which of some conditions that hold together an index may serve."""
        compared: dict[str, set[str]] = {}
        for part in parts:
            if (column := self._column(part)) and part[1]:
                compared.setdefault(column, set()).add(part[1])
        found = {column for key in self._keys for column in self._led(key, compared)}
        return lambda part: self._is_served(part, found)

    def _led(self, key: Sequence[str], compared: Mapping[str, set[str]]) -> Iterator[str]:
        """The columns of a key that are compared, up to the first that is not compared with single values."""
        for column in key:
            if column in self._equal:
                continue
            operators = compared.get(column, set()) & SERVED
            if operators:
                yield column
            if not operators & LISTS:
                return

    def _column(self, part: Part) -> str | None:
        """The column that is compared, if it is one."""
        leaf = self._type.columns.get(part[0])
        return leaf.columns[0] if leaf is not None and len(leaf.columns) == 1 else None

    def _is_served(self, part: Part, found: Collection[str]) -> bool:
        name, operator, value = part
        if name == "or":
            branches = [list(_parts(self._type, one)) for one in value or ()]
            return all(any(self.test(branch)(one) for one in branch) for branch in branches)
        if name == "not":
            return False
        if relation := self._type.relations.get(name):
            join = relation.join
            led = {key[0] for key in self._keys if key} | {*self._equal, *self._others}
            return not join.equality or bool(led & {*join.local_columns})
        column = self._column(part)
        return column in self._others or (column in found and operator in SERVED)
