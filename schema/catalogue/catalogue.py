"""The catalogue: the models as fields with their SQL. Both executors and the GraphQL types are derived from it.

A field's SQL is text with placeholders such as ``{row}`` for row aliases, prepared when the catalogue is built; values
enter it as typed binds alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from sqlalchemy import Table

from db.base.column_facts import NO_FACTS, ColumnFacts
from db.base.computed import ReadWindow
from db.base.entity import camel
from db.base.markers import LiveTopic
from db.base.rollups import GroupsSelect, Rollup
from db.base.vocabulary import (
    Argument,
    InOrder,
    Kept,
    Nearest,
    Over,
    Rare,
)
from schema.catalogue.column_types import ColumnKind, kind_of

LIFECYCLE = "lifecycle"
CHANGES = "changes"
"""The name of the field `lifecycle`."""
STATE = "lifecycle.state"
"""The key of a record for the text of the row's state, which can differ from the value of its column."""


@dataclass(frozen=True)
class ColumnField:
    """A leaf: a column, or a SQL expression over the row (``id``, ``rowVersion``, computed fields).

    ``value`` is its SQL over the alias ``{row}``, for comparisons and orders; ``sql`` is the same in wire form;
    ``columns`` are the table's columns that it reads.
    """

    name: str
    description: str
    kind: ColumnKind
    value: str
    columns: tuple[str, ...]
    required: bool = False
    facts: ColumnFacts = NO_FACTS

    @cached_property
    def sql(self) -> str:
        return self.kind.sql(self.value)

    def over(self, row: str) -> str:
        """The wire expression over a row alias."""
        return self.sql.replace("{row}", row)

    @cached_property
    def json(self) -> str:
        """The expression for JSON built by Postgres."""
        return self.kind.json(self.value)

    def value_over(self, row: str) -> str:
        """The value over a row alias, in a form that compares as the kind's type."""
        return self.kind.comparable(self.value.replace("{row}", row))

    @property
    def is_own(self) -> bool:
        """Whether it is a column or a computed field, rather than a field of every type."""
        return self.name not in {"id", "rowVersion"}


@dataclass(frozen=True)
class ArgumentField:
    """An argument that fills a placeholder in SQL."""

    name: str
    hole: str
    kind: ColumnKind
    argument: Argument

    @property
    def bound_as(self) -> str:
        """The type of the bind: text, cast to the argument's kind."""
        return f"text::{self.kind.pg_type}"


Arguments = Mapping[str, ArgumentField]
"""Arguments by their GraphQL names."""


def fill(text: str, values: Mapping[str, str]) -> str:
    """SQL with its placeholders replaced; ``values`` are SQL by placeholder."""
    for hole, value in values.items():
        text = text.replace(f"{{{hole}}}", value)
    return text


@dataclass(frozen=True)
class ObjectField:
    """An object of SQL expressions: one select item, which Postgres returns as JSON."""

    name: str
    type_name: str
    description: str
    leaves: dict[str, ColumnField]
    source: str
    columns: tuple[str, ...]
    arguments: Arguments
    sums_up: str | None = None
    """The type whose rows the source aggregates, if it reads several."""
    reads: tuple[tuple[str, str], ...] = ()
    """The columns of that type's table that the source reads, as ``(table, column)``."""
    leaf_reads: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """Those that a leaf reads, by its name."""

    def over(self, row: str, leaves: Iterable[ColumnField], values: Mapping[str, str]) -> str:
        """The select item with these leaves; ``values`` are the SQL of the arguments, by placeholder."""
        pairs = ", ".join(f"'{leaf.name}', {leaf.sql}" for leaf in leaves)
        return fill(f"(SELECT json_build_object({pairs}) {self.source})::text", {"row": row, **values})


@dataclass(frozen=True)
class Join:
    """The join of a relation: a predicate over ``{local}`` and ``{remote}``, and the columns of each side.

    ``equality``: the predicate is an equality of columns, so that a NULL in the local ones means that there is no row.
    ``elements``: the remote column, an array or a JSON list, that contains what names the local row.
    """

    predicate: str
    local_columns: tuple[str, ...]
    remote_columns: tuple[str, ...]
    equality: bool = True
    elements: str | None = None

    @property
    def equal(self) -> tuple[str, ...]:
        """The remote columns that are equal in all rows found for one row."""
        return self.remote_columns if self.equality else ()

    def on(self, local: str, remote: str) -> str:
        return self.predicate.replace("{local}", local).replace("{remote}", remote)

    @property
    def asks(self) -> bool:
        """Whether the predicate contains a subquery: a join would run it for every pair of rows."""
        return "SELECT " in self.predicate


@dataclass(frozen=True)
class RelationField:
    """A relation seen from one of its ends: one row of ``target``, or a connection of rows if ``many``."""

    name: str
    description: str
    target: str
    join: Join
    many: bool
    unique: bool = True
    """For a single relation: whether at most one row matches. Otherwise it is the first in the default order."""
    aliases: tuple[str, ...] = ()
    """What people call the related rows in this role."""


@dataclass(frozen=True)
class OrderTerm:
    """A term of an order: an expression over ``{row}``, compared as ``pg_type``.

    ``columns`` are the table's columns that it reads, ``through`` those of the types that its relations lead to. A
    ``nullable`` term may have nulls, which come last in default orders of either direction; ``never_null`` says that no
    selected row has one. ``apart``: the index that serves the order has nulls at the other end.
    """

    name: str
    value: str
    pg_type: str
    columns: tuple[str, ...]
    descending: bool
    nulls_first: bool = False
    nullable: bool = True
    through: tuple[tuple[str, tuple[str, ...]], ...] = ()
    never_null: bool = False
    apart: bool = False

    def over(self, row: str) -> str:
        return self.value.replace("{row}", row)

    @property
    def column(self) -> str | None:
        """The column, None for an expression."""
        if len(self.columns) != 1 or self.through:
            return None
        column = f"{{row}}.{self.columns[0]}"
        own_type = self.pg_type != "text" and self.value == f"{column}::{self.pg_type}"
        return self.columns[0] if own_type or self.value == column else None

    @property
    def nulls_at_start(self) -> bool:
        """Whether SQL puts nulls first: as in the index if there are none, by Postgres's default if there cannot be
        any."""
        if not self.nullable:
            return self.descending
        return self.nulls_first != (self.apart and self.never_null)

    @property
    def may_be_null(self) -> bool:
        return self.nullable and not self.never_null

    def reversed(self) -> OrderTerm:
        return replace(self, descending=not self.descending, nulls_first=not self.nulls_first)


@dataclass(frozen=True)
class Root:
    """A field of the query for rows of a type: one row, or a connection if ``many``.

    ``lookups`` are the unique keys beside the id: GraphQL argument -> column.
    """

    name: str
    target: str
    description: str
    many: bool
    lookups: tuple[Mapping[str, str], ...] = ()
    nearest: Nearest | None = None
    """The similarity search of the root, if it is one: it determines the order of rows."""


@dataclass(eq=False)
class Type:
    """A table, a view or a SELECT as a type of the graph."""

    name: str
    plural: str
    description: str
    table: Table
    is_view: bool
    key: tuple[str, ...]
    ordered_by: str | None
    ascending: bool = False
    select: str | None = None
    """The SELECT that yields the type's rows, if it has no table; with placeholders, if it is derived."""
    is_derived: bool = False
    """Whether it is neither a table nor a view of the data dictionary."""
    arguments: Arguments = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    """The tables and views that it requires, by their SQL names."""
    behind: tuple[str, ...] = ()
    """The tables that a view reads."""
    over: Over | None = None
    """The table whose rows correspond to those of its SELECT, if that gives the order."""
    rare: tuple[Rare, ...] = ()
    """How rows with unusual values of columns are found."""
    walk: InOrder | None = None
    """The same rows in the order of a table's index."""
    kept: Kept | None = None
    """How its rows can be stored."""
    label: tuple[str, ...] = ()
    """The columns that identify a row by their values together."""
    search: tuple[str, ...] = ()
    """The columns that `search` finds rows by."""
    references: tuple[str, ...] = ()
    """Those of them that it compares as a whole only."""
    topic: LiveTopic | None = None
    """The topic of the live log for its rows."""
    rollup: Rollup | None = None
    """Which sums of its rows can be kept."""
    rolled_up: GroupsSelect | None = None
    """What its rows can be read from instead, where the rollup of another type is kept."""
    window: ReadWindow | None = None
    """The rows of another type that it is computed from."""
    aliases: tuple[str, ...] = ()
    """What people call such a row, in the singular."""
    columns: dict[str, ColumnField] = field(default_factory=dict)
    objects: dict[str, ObjectField] = field(default_factory=dict)
    relations: dict[str, RelationField] = field(default_factory=dict)
    extras: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Fields with a resolver of their own, with the columns that they read."""

    @property
    def is_record(self) -> bool:
        """Whether its rows are the record of changes."""
        return self.topic is LiveTopic.LIFECYCLE

    @property
    def singular(self) -> str:
        return self.name[0].lower() + self.name[1:]

    @cached_property
    def sql_name(self) -> str:
        """The table's SQL name, with its schema unless the search path has it."""
        return f"{self.table.schema}.{self.table.name}" if self.table.schema else self.table.name

    @property
    def is_node(self) -> bool:
        """Whether rows have a global id: types with arguments have none."""
        return not self.arguments

    def source(self, values: Mapping[str, str]) -> str:
        """The FROM item of its rows; ``values`` are the SQL of the placeholders."""
        if self.select is None:
            return self.sql_name
        return f"({fill(self.select, values)})"

    def typed(self, select: str) -> str:
        """A SELECT with the columns of a derived type, in their types."""
        columns = (
            f"d.{column.name}::{self.column_kind(column.key).pg_type} AS {column.name}" for column in self.table.columns
        )
        return f"SELECT {', '.join(columns)} FROM ({select}) AS d"

    def among(self, rare: Rare, order: str, *, still: bool) -> str:
        """The FROM item restricted to rows whose keys are in `rare`. Rows are computed key by key, in the ``order`` of
        the key over the alias ``c``, if any is given; ``still`` repeats the condition on the computed rows."""
        key = self.key[0]
        keys = f"SELECT DISTINCT k.{key} FROM ({rare.keys}) AS k({key})"
        few = f"(SELECT * FROM ({keys}) AS c{f' ORDER BY {order}' if order else ''}) AS c"
        columns = (f"{'c' if name == key else 'w'}.{name}" for name in self.table.columns.keys())  # noqa: SIM118
        # OFFSET 0 keeps Postgres from flattening the lateral query: it runs once per key, in order
        only = f" AND ({rare.still})" if still and rare.still else ""
        one = f"SELECT * FROM {self.source({})} AS w WHERE w.{key} = c.{key}{only} OFFSET 0"
        return f"(SELECT {', '.join(columns)} FROM {few} CROSS JOIN LATERAL ({one}) AS w)"

    @cached_property
    def key_kinds(self) -> tuple[str, ...]:
        return tuple(self.column_kind(column).name for column in self.key)

    def column_kind(self, column: str) -> ColumnKind:
        return self._kinds[column]

    @cached_property
    def _kinds(self) -> Mapping[str, ColumnKind]:
        return {column.key: kind_of(column.type) for column in self.table.columns}

    @cached_property
    def order(self) -> tuple[OrderTerm, ...]:
        """The default order: newest first if the table has a time, then the key descending."""
        down = not self.ascending
        first = [self.order_term(self.leaf(self.ordered_by), descending=down)] if self.ordered_by else []
        return (*first, *self.key_order({self.ordered_by}, descending=down))

    def order_term(self, leaf: ColumnField, *, descending: bool, nulls_first: bool = False) -> OrderTerm:
        """An order term for a leaf. Keys have no nulls; a NULLS clause would not match their index."""
        has_key = not self.is_view or self.over is not None
        nullable = not has_key or set(leaf.columns) - set(self.key) != set()
        return OrderTerm(
            "+".join(leaf.columns) if leaf.is_own and len(leaf.columns) == 1 else leaf.name,
            leaf.kind.comparable(leaf.value),
            leaf.kind.compared_as,
            leaf.columns,
            descending,
            nulls_first,
            nullable,
        )

    def key_order(self, without: Collection[str | None], *, descending: bool) -> tuple[OrderTerm, ...]:
        """The key as the last terms of an order, which makes it total."""
        return tuple(
            self.order_term(self.leaf(column), descending=descending) for column in self.key if column not in without
        )

    def leaf(self, column: str) -> ColumnField:
        """The field of a column."""
        return self.columns[self.field_name(column)]

    def field_name(self, column: str) -> str:
        """The GraphQL name of a column: a column ``id`` is named ``rowId``, since ``id`` is the global id."""
        return "rowId" if column == "id" else camel(column)


class Catalogue:
    """Every type of the graph, by name."""

    def __init__(self, types: dict[str, Type], roots: Iterable[Root]) -> None:
        self.types = types
        self.roots = {root.name: root for root in roots}

    def __getitem__(self, name: str) -> Type:
        return self.types[name]

    def told(self, topic: LiveTopic) -> Type:
        """The type for the rows of a live topic."""
        return next(type_ for type_ in self if type_.topic is topic)

    @property
    def record(self) -> Type:
        """The type whose rows are the record of changes."""
        return self.told(LiveTopic.LIFECYCLE)

    def __iter__(self) -> Iterator[Type]:
        return iter(self.types.values())
