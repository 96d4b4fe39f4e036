"""Records: the values that a statement selects for a row, as resolvers read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from db.base.quoting import literals
from schema.catalogue.catalogue import ColumnField, ObjectField, Type
from schema.catalogue.column_types import ColumnKind
from schema.catalogue.selection import Selection
from schema.errors import Withheld, missing_object, unreadable_number

Record = dict[str, Any]
"""A row for resolvers: values by GraphQL field name; ``__typename``; keys of relations by column."""

WRITTEN = "=json"
"""The key of a record for the whole row as JSON built by Postgres."""

CUT = "=cut"
"""The key of a connection's record, or of a JSON row, for the paths of lists that were cut at the default size, with
their numbers of rows."""

Key = tuple[str | None, ...]


TOTALS_OF = "totals"
"""The key of a connection's record for its number of rows, by the limit of counting; None for no limit."""


@dataclass(frozen=True, eq=False)
class Missing:
    """What a caller cannot read: missing in the connected database, or ``withheld``.

    Callers with equal permissions share one instance; it is part of the keys of cached plans.
    """

    tables: frozenset[str] = frozenset()
    columns: frozenset[tuple[str, str]] = frozenset()
    withheld: Mapping[str, Withheld] = field(default_factory=dict)
    """What the caller may not read, as ``table`` or ``table.column``: all of it is in ``tables`` and ``columns``,
    too."""
    unrecorded: Mapping[str, Withheld] = field(default_factory=dict)
    """The types whose recorded changes are withheld, with the scope that reading them needs."""
    labels: frozenset[tuple[str, str]] = frozenset()
    """Labels that enums of the database lack, as ``(SQL name of the enum, label)``: no row has them."""
    database: Missing | None = None
    """What the database itself lacks, if something is withheld besides."""
    words: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    """The words that CHECK constraints of the database allow in a text column, by table and column."""
    any_word: bool = False
    """Whether filters may use words outside a vocabulary."""
    count_up_to: int | None = None
    """The limit of counts of rows that are not exact; None for no limit."""
    computed: frozenset[tuple[str, str]] = frozenset()
    """Generated columns, as ``(table, column)``: changes do not write them."""

    @property
    def of_database(self) -> Missing:
        """What the database itself lacks: changes write columns that their caller may not read."""
        return self.database or self

    def table(self, type_: Type) -> str | None:
        """The first missing table or view that a type requires."""
        found = next((name for name in (*type_.reads, *type_.behind) if name in self.tables), None)
        return found if found is None else self.withheld.get(found, found)

    def first(self, type_: Type, columns: Iterable[str]) -> str | None:
        """The first missing column of these, as ``table.column``."""
        return self.among((type_.sql_name, column) for column in columns)

    def among(self, columns: Iterable[tuple[str, str]]) -> str | None:
        """The first missing column of these, given as ``(table, column)``, as ``table.column``."""
        for table, column in columns:
            if (table, column) in self.columns:
                name = f"{table}.{column}"
                return self.withheld.get(name, name)
        return None

    def lacks_label(self, kind: ColumnKind, label: str) -> bool:
        """Whether the enum of a kind lacks a label, so that no value has it."""
        return bool(self.labels) and (kind.pg_type, label) in self.labels

    def vocabulary(self, type_: Type, leaf: ColumnField) -> Sequence[str]:
        """The possible words of a column, by the database or else by its model; empty if it is open."""
        if self.any_word or not leaf.facts.values:
            return ()
        return self.words.get((type_.sql_name, leaf.columns[0]), leaf.facts.values)

    def withholds(self, names: Iterable[str]) -> Withheld | None:
        """The first of these tables and columns that is withheld from the caller."""
        return next((self.withheld[name] for name in names if name in self.withheld), None) if self.withheld else None

    def conditions(self, type_: Type, row: str) -> list[str]:
        """The conditions for rows of a type to be visible: changes of withheld types are not."""
        if not self.unrecorded or not type_.is_record:
            return []
        return [f"{row}.node_type <> ALL (ARRAY[{literals(sorted(self.unrecorded))}])"]


LEAST = 6
"""Bytes of a one-character value with quotes, colon and comma around it and its key."""


@dataclass
class RowShape:
    """The select list for a row, and the conversion of a result row to a record."""

    type: Type
    select: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    checks: list[tuple[str, Callable[[Any, str], Any], str]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    objects: list[tuple[str, ObjectField, Mapping[str, str]]] = field(default_factory=list)
    """The objects of SQL expressions, by the record's key, with the missing columns by leaf."""
    times: Counter[str] = field(default_factory=Counter)
    """How often a value appears in the response, by name: once per alias."""
    keys: int = 0
    """Bytes of a row's keys in the response, with the shortest values."""

    @cached_property
    def _counted(self) -> list[tuple[int, int]]:
        """Places and numbers of the values in the response; computed once the select list is complete."""
        return [(place, self.times[name]) for place, name in enumerate(self.names) if name in self.times]

    def add(self, name: str, expression: str) -> None:
        if name not in self.names:
            self.names.append(name)
            self.select.append(f"{expression} AS f{len(self.select)}")

    def add_leaf(self, leaf: ColumnField) -> None:
        if leaf.name in self.names:
            return
        self.add(leaf.name, leaf.over("t"))
        if leaf.kind.decode:
            self.checks.append((leaf.name, leaf.kind.decode, f"{self.type.sql_name}.{'/'.join(leaf.columns)}"))

    def add_key(self, key: str, name: str) -> None:
        """Counts a key of the response, for a value or a nested object."""
        self.times[name] += 1
        self.keys += len(key) + LEAST

    def bytes(self, values: Sequence[Any]) -> int:
        """The approximate bytes of a row in the response, without nested rows."""
        size = self.keys
        for place, times in self._counted:
            value = values[place]
            if value.__class__ is str:
                size += times * len(value)
        return size

    def record(self, values: Sequence[Any]) -> Record:
        record: Record = dict(zip(self.names, values, strict=False))
        for name, check, column in self.checks:
            if (value := record[name]) is not None:
                record[name] = check(value, column)
        for name, made, lacking in self.objects:
            record[name] = _object(made, record[name], lacking)
        for name, what in self.refused.items():
            record[name] = missing_object(what)
        record["__typename"] = self.type.name
        return record


def _object(made: ObjectField, text: str | None, lacking: Mapping[str, str]) -> Record | None:
    """A SQL object for the resolvers of its type; None if its source has no row. ``lacking`` are errors in it."""
    if text is None:
        return None
    values: Record = orjson.loads(text)
    for name, value in values.items():
        kind = made.leaves[name].kind
        if kind.decode and value is not None:
            values[name] = _decoded(kind, value, f"{made.name}.{name}")
    return values | {name: missing_object(what) for name, what in lacking.items()}


def _decoded(kind: ColumnKind, value: Any, what: str) -> Any:
    if kind.graphql == "Float" and isinstance(value, str):  # the form of NaN and infinity in JSON by Postgres
        return unreadable_number(what, value)
    assert kind.decode is not None  # noqa: S101 - checked before
    return kind.decode(value, what)


def object_name(selection: Selection) -> str:
    """The key of a record for a SQL object: aliases with other arguments have their own."""
    return f"@{id(selection)}"


def key_name(column: str) -> str:
    """The key of a record for the text of a column that a relation or a cursor reads."""
    return f"={column}"


def columns_read(type_: Type, selections: Iterable[Selection]) -> list[str]:
    """The table's columns that a row's fields read; at least one, since a select list must not be empty."""
    used: dict[str, None] = {}
    for selection in selections:
        for child in selection.on(type_.name).values():
            if made := type_.columns.get(child.name) or type_.objects.get(child.name):
                used |= dict.fromkeys(made.columns)
            elif relation := type_.relations.get(child.name):
                used |= dict.fromkeys(relation.join.local_columns)
    return list(used) or list(type_.key[:1])
