"""The catalogue: the models as fields with their SQL. Both executors and the GraphQL types are derived from it.

A field's SQL is text with ``{row}``-like holes for row aliases, prepared when the catalogue is built; values never
enter it but as typed binds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from sqlalchemy import Table

from db.base.column_facts import NO_FACTS, ColumnFacts
from db.base.markers import LiveTopic
from db.base.vocabulary import (
    Argument,
    InOrder,
    Nearest,
    Over,
    Rare,
)
from schema.catalogue.column_types import ColumnKind, kind_of

LIFECYCLE = "lifecycle"
CHANGES = "changes"
"""The field of the types that have one."""
STATE = "lifecycle.state"
"""Where a record keeps the text of the state that its row is in, which its column may not say."""


def camel(name: str) -> str:
    """``p99_latency_ms`` -> ``p99LatencyMs``."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


@dataclass(frozen=True)
class ColumnField:
    """A leaf: a column, or a SQL expression over the row (``id``, ``rowVersion``, computed fields).

    ``value`` is its SQL over the alias ``{row}``, to compare and to order by; ``sql`` writes the same for the wire;
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
        """The same for JSON that Postgres writes."""
        return self.kind.json(self.value)

    def value_over(self, row: str) -> str:
        """The value over a row alias, in a form that is compared as the kind's type."""
        return self.kind.comparable(self.value.replace("{row}", row))

    @property
    def is_own(self) -> bool:
        """Whether it is a column or a computed field, not what every type has."""
        return self.name not in {"id", "rowVersion"}


@dataclass(frozen=True)
class ArgumentField:
    """An argument that fills a hole in SQL."""

    name: str
    hole: str
    kind: ColumnKind
    argument: Argument

    @property
    def bound_as(self) -> str:
        """The type of the placeholder that fills the hole: text, read as the argument's kind."""
        return f"text::{self.kind.pg_type}"


Arguments = Mapping[str, ArgumentField]
"""Arguments by their GraphQL names."""


def fill(text: str, values: Mapping[str, str]) -> str:
    """SQL with its holes filled; ``values`` are SQL by the names of the holes."""
    for hole, value in values.items():
        text = text.replace(f"{{{hole}}}", value)
    return text


@dataclass(frozen=True)
class ObjectField:
    """An object of SQL expressions: one select item, which Postgres writes as JSON."""

    name: str
    type_name: str
    description: str
    leaves: dict[str, ColumnField]
    source: str
    columns: tuple[str, ...]
    arguments: Arguments
    sums_up: str | None = None
    """The type whose rows the source reads, where it reads many."""

    def over(self, row: str, leaves: Iterable[ColumnField], values: Mapping[str, str]) -> str:
        """The select item with these leaves; ``values`` are the SQL of the arguments, by their holes."""
        pairs = ", ".join(f"'{leaf.name}', {leaf.sql}" for leaf in leaves)
        return fill(f"(SELECT json_build_object({pairs}) {self.source})::text", {"row": row, **values})


@dataclass(frozen=True)
class Join:
    """How a relation finds its rows: a predicate over ``{local}`` and ``{remote}``, and the columns of each side.

    ``equality``: the predicate is equal columns, so that a NULL among the local ones means that there is no row.
    """

    predicate: str
    local_columns: tuple[str, ...]
    remote_columns: tuple[str, ...]
    equality: bool = True

    @property
    def equal(self) -> tuple[str, ...]:
        """The remote columns in which all rows that it finds for a row have one value."""
        return self.remote_columns if self.equality else ()

    def on(self, local: str, remote: str) -> str:
        return self.predicate.replace("{local}", local).replace("{remote}", remote)

    @property
    def asks(self) -> bool:
        """Whether the predicate is a query itself: a join would run it for every two rows."""
        return "SELECT " in self.predicate


@dataclass(frozen=True)
class RelationField:
    """A relation as one of its ends sees it: one row of ``target``, or a connection of them where ``many``."""

    name: str
    description: str
    target: str
    join: Join
    many: bool
    unique: bool = True
    """Of one row: whether no more can match. Where more can, it is the first in the default order."""
    aliases: tuple[str, ...] = ()
    """What people call it for the part that its rows play."""


@dataclass(frozen=True)
class OrderTerm:
    """One term of an order: an expression over ``{row}``, compared as ``pg_type``.

    ``columns`` are the table's columns that it reads, ``through`` those of the types that its relations lead to. A
    ``nullable`` one may hold nulls, which come last in every default order, ascending or descending; ``never_null``
    says that no row which is read has one. ``apart``: the index that serves the order has nulls at the other end.
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
        """The column that it is, None where it is made of columns."""
        plain = len(self.columns) == 1 and not self.through and self.value == f"{{row}}.{self.columns[0]}"
        return self.columns[0] if plain else None

    @property
    def nulls_at_start(self) -> bool:
        """Where SQL has its nulls: as the index does if there are none, by Postgres's default if there cannot be."""
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
    """A field of the query that leads to rows of a type: one row, or a connection where ``many``.

    ``lookups`` are the ways to ask for one row beside its id: GraphQL argument -> column.
    """

    name: str
    target: str
    description: str
    many: bool
    lookups: tuple[Mapping[str, str], ...] = ()
    nearest: Nearest | None = None
    """The similarity search that it is, where it is one: its rows come in that order."""


@dataclass
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
    """The SELECT whose rows the type has, where no table stands for it; with holes, if it is derived."""
    is_derived: bool = False
    """Whether neither a table nor a view of the data dictionary stands for it."""
    arguments: Arguments = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    """The tables and views that it cannot do without, as SQL names them."""
    behind: tuple[str, ...] = ()
    """The tables that a view reads."""
    over: Over | None = None
    """The table that its SELECT has rows for each row of, where its order can be read off that."""
    rare: tuple[Rare, ...] = ()
    """Where its rows are found whose columns have unusual values."""
    walk: InOrder | None = None
    """The same rows in the order of a table's index."""
    label: tuple[str, ...] = ()
    """The columns whose values together name a row."""
    search: tuple[str, ...] = ()
    """The columns by whose values `search` finds a row."""
    references: tuple[str, ...] = ()
    """The columns that it compares with a whole text only."""
    topic: LiveTopic | None = None
    """The topic of the live log that tells of its rows."""
    aliases: tuple[str, ...] = ()
    """What people call such a row, in the singular."""
    columns: dict[str, ColumnField] = field(default_factory=dict)
    objects: dict[str, ObjectField] = field(default_factory=dict)
    relations: dict[str, RelationField] = field(default_factory=dict)
    extras: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Fields with a resolver of their own, by name: the columns that they read."""

    @property
    def is_record(self) -> bool:
        """Whether its rows are the record of what was changed through the gateway."""
        return self.topic is LiveTopic.LIFECYCLE

    @property
    def singular(self) -> str:
        return self.name[0].lower() + self.name[1:]

    @property
    def sql_name(self) -> str:
        """The table as SQL names it, with its schema unless that is the search path's."""
        return f"{self.table.schema}.{self.table.name}" if self.table.schema else self.table.name

    @property
    def is_node(self) -> bool:
        """Whether a row has a global id, which carries no arguments."""
        return not self.arguments

    def source(self, values: Mapping[str, str]) -> str:
        """What its rows are selected from; ``values`` are the SQL of the holes."""
        if self.select is None:
            return self.sql_name
        return f"({fill(self.select, {'keys': 'NULL', **values})})"

    def among(self, rare: Rare, order: str, *, still: bool) -> str:
        """What its rows are selected from where only those can be meant whose keys `rare` has. They are worked out one
        key after another, in the ``order`` of the key, over the alias ``c``, if any is given; ``still``: if they still
        can be meant."""
        key = self.key[0]
        keys = f"SELECT DISTINCT k.{key} FROM ({rare.keys}) AS k({key})"
        few = f"(SELECT * FROM ({keys}) AS c{f' ORDER BY {order}' if order else ''}) AS c"
        columns = (f"{'c' if name == key else 'w'}.{name}" for name in self.table.columns.keys())  # noqa: SIM118
        # OFFSET 0 keeps the lateral query one of its own: whatever Postgres expects, it is asked once a key, in order
        only = f" AND ({rare.still})" if still and rare.still else ""
        one = f"SELECT * FROM {self.source({})} AS w WHERE w.{key} = c.{key}{only} OFFSET 0"
        return f"(SELECT {', '.join(columns)} FROM {few} CROSS JOIN LATERAL ({one}) AS w)"

    @cached_property
    def key_kinds(self) -> tuple[str, ...]:
        return tuple(self.column_kind(column).name for column in self.key)

    def column_kind(self, column: str) -> ColumnKind:
        return kind_of(self.table.c[column].type)

    @cached_property
    def order(self) -> tuple[OrderTerm, ...]:
        """The default order: newest first where the table has a time, then the key descending."""
        down = not self.ascending
        first = [self.order_term(self.leaf(self.ordered_by), descending=down)] if self.ordered_by else []
        return (*first, *self.key_order({self.ordered_by}, descending=down))

    def order_term(self, leaf: ColumnField, *, descending: bool, nulls_first: bool = False) -> OrderTerm:
        """A leaf as a term of an order. A table's key has no nulls; naming them would not match its index."""
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
        """The key as the end of an order, which makes every order total."""
        return tuple(
            self.order_term(self.leaf(column), descending=descending) for column in self.key if column not in without
        )

    def leaf(self, column: str) -> ColumnField:
        """The field of a column."""
        return self.columns[self.field_name(column)]

    def field_name(self, column: str) -> str:
        """The GraphQL name of a column: a column called ``id`` is ``rowId``, since ``id`` is the global id."""
        return "rowId" if column == "id" else camel(column)


class Catalogue:
    """Every type of the graph, by name."""

    def __init__(self, types: dict[str, Type], roots: Iterable[Root]) -> None:
        self.types = types
        self.roots = {root.name: root for root in roots}

    def __getitem__(self, name: str) -> Type:
        return self.types[name]

    def told(self, topic: LiveTopic) -> Type:
        """The type whose rows a topic of the live log tells of."""
        return next(type_ for type_ in self if type_.topic is topic)

    @property
    def record(self) -> Type:
        """The type whose rows are the record of what was changed through the gateway."""
        return self.told(LiveTopic.LIFECYCLE)

    def __iter__(self) -> Iterator[Type]:
        return iter(self.types.values())
