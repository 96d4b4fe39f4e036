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
from schema.errors import Withheld, missing_object, unreadable_value

Record = dict[str, Any]
"""A row as the types' resolvers read it: values by GraphQL field name; ``__typename``; keys of relations by column."""

WRITTEN = "=json"
"""Where a record has the row with all that is selected of it, as JSON that Postgres has written."""

CUT = "=cut"
"""Where a connection, or a row that is written, has the paths of lists in it that were cut at a size that nobody has
asked for, with how many there are."""

Key = tuple[str | None, ...]


TOTALS_OF = "totals"
"""Where the record of a connection keeps how many rows it has, by how far they were counted; None for all."""


@dataclass(frozen=True, eq=False)
class Missing:
    """What of the catalogue a caller finds missing: the connected database does not have it, or it is ``withheld``.

    One object stands for all callers who may read the same; plans are kept by it.
    """

    tables: frozenset[str] = frozenset()
    columns: frozenset[tuple[str, str]] = frozenset()
    withheld: Mapping[str, Withheld] = field(default_factory=dict)
    """What the caller may not read, as ``table`` or ``table.column``: all of it is among the tables and columns too."""
    unrecorded: Mapping[str, Withheld] = field(default_factory=dict)
    """The types whose recorded changes are withheld, and for want of which scope."""
    labels: frozenset[tuple[str, str]] = frozenset()
    """The labels that enums of the database lack, as ``(the enum as SQL names it, label)``: no row has them."""
    database: Missing | None = None
    """What the database lacks alone, where something is withheld beside it."""
    words: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    """The words that constraints of the database let a text column have, by table and column."""
    any_word: bool = False
    """Whether filters may name words that no vocabulary has."""
    count_up_to: int | None = None
    """How many rows of a list are counted where no exact count is asked for; None for all of them."""
    computed: frozenset[tuple[str, str]] = frozenset()
    """The columns that the database computes, as ``(table, column)``: changes write none of them."""

    @property
    def of_database(self) -> Missing:
        """What the database lacks, whoever asks: what changes go by, which write what nobody needs to read."""
        return self.database or self

    def table(self, type_: Type) -> str | None:
        """The first table or view behind a type that is missing."""
        found = next((name for name in (*type_.reads, *type_.behind) if name in self.tables), None)
        return found if found is None else self.withheld.get(found, found)

    def first(self, type_: Type, columns: Iterable[str]) -> str | None:
        """The first of a table's columns that is missing, as ``table.column``."""
        for column in columns:
            if (type_.sql_name, column) in self.columns:
                name = f"{type_.sql_name}.{column}"
                return self.withheld.get(name, name)
        return None

    def lacks_label(self, kind: ColumnKind, label: str) -> bool:
        """Whether no value of a kind can have a label, since its enum does not."""
        return bool(self.labels) and (kind.pg_type, label) in self.labels

    def vocabulary(self, type_: Type, leaf: ColumnField) -> Sequence[str]:
        """The words that a column can have, as the database says or else its model; empty where any may come."""
        if self.any_word or not leaf.facts.values:
            return ()
        return self.words.get((type_.sql_name, leaf.columns[0]), leaf.facts.values)

    def withholds(self, names: Iterable[str]) -> Withheld | None:
        """The first of these tables and columns that the caller may not read."""
        return next((self.withheld[name] for name in names if name in self.withheld), None) if self.withheld else None

    def conditions(self, type_: Type, row: str) -> list[str]:
        """What the rows of a type must fulfil to be shown: changes of what is withheld are not."""
        if not self.unrecorded or not type_.is_record:
            return []
        return [f"{row}.node_type <> ALL (ARRAY[{literals(sorted(self.unrecorded))}])"]


LEAST = 6
"""Bytes of a value of one character with the quotes, the colon and the comma around its key and behind it."""


@dataclass
class RowShape:
    """What a statement selects of a row, and how a row of its result becomes a record."""

    type: Type
    select: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    checks: list[tuple[str, Callable[[Any, str], Any], str]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    objects: list[tuple[str, ObjectField]] = field(default_factory=list)
    times: Counter[str] = field(default_factory=Counter)
    """How often the answer has a value, by its name: once for each alias."""
    keys: int = 0
    """Bytes of the keys of a row in the answer, and of values as short as they can be."""

    @cached_property
    def _counted(self) -> list[tuple[int, int]]:
        """Where the values stand that the answer has, and how often, once all that is selected is there."""
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
        """The answer has a value, or what is below it, under a key."""
        self.times[name] += 1
        self.keys += len(key) + LEAST

    def bytes(self, values: Sequence[Any]) -> int:
        """About how many bytes a row is in the answer, without what lies below it."""
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
        for name, made in self.objects:
            record[name] = _object(made, record[name])
        for name, what in self.refused.items():
            record[name] = missing_object(what)
        record["__typename"] = self.type.name
        return record


def _object(made: ObjectField, text: str | None) -> Record | None:
    """A SQL object as its type's fields read it; null where its source has no row."""
    if text is None:
        return None
    values: Record = orjson.loads(text)
    for name, value in values.items():
        kind = made.leaves[name].kind
        if kind.decode and value is not None:
            values[name] = _decoded(kind, value, f"{made.name}.{name}")
    return values


def _decoded(kind: ColumnKind, value: Any, what: str) -> Any:
    if kind.graphql == "Float" and isinstance(value, str):  # how JSON in Postgres says NaN and infinity
        return unreadable_value(what, f"{value}, which JSON numbers cannot represent")
    assert kind.decode is not None  # noqa: S101 - asked before
    return kind.decode(value, what)


def object_name(selection: Selection) -> str:
    """Where a record keeps a SQL object: an alias with other arguments is another one."""
    return f"@{id(selection)}"


def key_name(column: str) -> str:
    """Where a record keeps the text of a column that a relation or a cursor reads."""
    return f"={column}"


def columns_read(type_: Type, selections: Iterable[Selection]) -> list[str]:
    """The table's columns that the fields of a row read; one at least, since a query needs one to be named."""
    used: dict[str, None] = {}
    for selection in selections:
        for child in selection.on(type_.name).values():
            if made := type_.columns.get(child.name) or type_.objects.get(child.name):
                used |= dict.fromkeys(made.columns)
            elif relation := type_.relations.get(child.name):
                used |= dict.fromkeys(relation.join.local_columns)
    return list(used) or list(type_.key[:1])
