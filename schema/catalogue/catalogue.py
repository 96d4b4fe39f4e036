"""The catalogue: models read once into fields that know their SQL. Both executors and the types are made from it.

A field's SQL is text with ``{row}``-like holes for row aliases, prepared when the catalogue is built; values never
enter it but as typed binds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

from sqlalchemy import Enum, PrimaryKeyConstraint, String, Table, UniqueConstraint

import db.models  # noqa: F401 - maps all entities
from db.base import views
from db.base.column_facts import NO_FACTS, ColumnFacts, Holds
from db.base.lifecycles import lifecycle_of, lifecycles
from db.base.markers import LiveTopic
from db.base.vocabulary import (
    Argument,
    Derived,
    Nearest,
    Relation,
    RowClass,
    computed_fields,
    computed_objects,
    derived,
    entities,
    facts_of,
    key_columns,
    nearest,
    plural,
    relations,
    table_of,
)
from schema.catalogue import ids
from schema.catalogue.column_types import ColumnKind, kind_of

LIFECYCLE = "lifecycle"
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
        nullable = self.is_view or set(leaf.columns) - set(self.key) != set()
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


def _leaf_fields(entity: RowClass, type_: Type) -> Iterator[ColumnField]:
    if type_.is_node:
        key = tuple((type_.column_kind(column).name, f"{{row}}.{column}") for column in type_.key)
        yield ColumnField(
            "id",
            "Global id, readable: the type and the key.",
            ColumnKind("text", "{c}", "text", "ID"),
            ids.sql(type_.name, key, nullable=type_.is_view),
            type_.key,
            required=True,
        )
    version = ColumnKind("text", "{c}", "text", "String")
    if not type_.is_view:
        yield ColumnField(
            "rowVersion",
            "Version of the row, the database's own: it changes with every update. Opaque text.",
            version,
            "{row}.xmin::text",
            ("xmin",),
            required=True,
        )
    elif type_.is_node:
        yield ColumnField("rowVersion", "Null: rows of a view have no version.", version, "NULL::text", ())
    for column in type_.table.columns:
        kind = kind_of(column.type)
        facts = _with_states(facts_of(column), type_.name, column.name)
        yield ColumnField(
            type_.field_name(column.name),
            facts.described(column.comment or ""),
            kind,
            f"{{row}}.{column.name}",
            (column.name,),
            facts=facts,
        )
    for name, computed in computed_fields(entity).items():
        kind = kind_of(computed.type)
        columns, facts = tuple(computed.columns), computed.facts
        doc = facts.described(computed.doc)
        yield ColumnField(camel(name), doc, kind, f"({computed.sql})", columns, facts=facts)


def _with_states(facts: ColumnFacts, entity: str, column: str) -> ColumnFacts:
    """The facts of a column, with the states of its lifecycle as its words where it says that it holds them."""
    if facts.holds is not Holds.STATE:
        return facts
    lifecycle = next(one for one in lifecycles() if (one.entity, one.column) == (entity, column))
    return replace(facts, values=tuple(lifecycle.text(state) for state in lifecycle.states))


def _arguments(given: Mapping[str, Argument]) -> dict[str, ArgumentField]:
    return {camel(hole): ArgumentField(camel(hole), hole, kind_of(one.type), one) for hole, one in given.items()}


def _object_fields(entity: RowClass, type_: Type) -> Iterator[ObjectField]:
    for name, made in computed_objects(entity).items():
        leaves = {}
        for part, computed in made.fields.items():
            kind = kind_of(computed.type)
            sql, doc = f"({computed.sql})", computed.facts.described(computed.doc)
            leaves[camel(part)] = ColumnField(camel(part), doc, kind, sql, (), facts=computed.facts)
        type_name = type_.name + camel(name)[0].upper() + camel(name)[1:]
        arguments = _arguments(made.arguments)
        columns = tuple(made.columns)
        yield ObjectField(camel(name), type_name, made.doc, leaves, made.source, columns, arguments, made.sums_up)


def joins(entity: RowClass, relation: Relation) -> tuple[Join, Join]:
    """The relation's join as its declaring side sees it, and as the other side does.

    An empty text names nothing: two rows that have one in a column without a foreign key are not related by it.
    """
    if relation.sql is not None:
        this, that = tuple(relation.this_columns), tuple(relation.that_columns)
        forward = relation.sql.replace("{this}", "{local}").replace("{that}", "{remote}")
        backward = (relation.inverse_sql or relation.sql).replace("{this}", "{remote}").replace("{that}", "{local}")
        return Join(forward, this, that, equality=False), Join(backward, that, this, equality=False)
    here, there = tuple(relation.on), tuple(relation.on.values())

    texts = {
        column.name
        for column in table_of(entity).columns
        if isinstance(column.type, String) and not isinstance(column.type, Enum) and not column.foreign_keys
    }

    def equal(locals_: Sequence[str], remotes: Sequence[str]) -> str:
        same = [f"{{remote}}.{r} = {{local}}.{l}" for l, r in zip(locals_, remotes, strict=True)]  # noqa: E741
        named = [f"{{local}}.{l} <> ''" for l, h in zip(locals_, here, strict=True) if h in texts]  # noqa: E741
        return " AND ".join([*same, *named])

    return Join(equal(here, there), here, there), Join(equal(there, here), there, here)


def _add_relations(types: dict[str, Type], entity: RowClass) -> None:
    this = types[entity.__name__]
    for name, relation in relations(entity).items():
        that = types[relation.target]
        forward, backward = joins(entity, relation)
        _add(this, RelationField(camel(name), relation.doc, that.name, forward, relation.many), that)
        if relation.inverse:
            _add(
                that,
                RelationField(
                    camel(relation.inverse), relation.inverse_doc, this.name, backward, relation.inverse_many
                ),
                this,
            )
        if relation.latest:
            doc = f"The newest of: {relation.inverse_doc}"
            _add(that, RelationField(camel(relation.latest), doc, this.name, backward, many=False), this)


def _is_unique(target: Type, join: Join) -> bool:
    """Whether the join can find one row at most: it is equality with the key or with a unique constraint."""
    uniques = _unique(target.table, UniqueConstraint, PrimaryKeyConstraint)
    return join.equality and any(set(names) <= set(join.remote_columns) for names in uniques)


def _add(type_: Type, relation: RelationField, target: Type) -> None:
    relation = replace(relation, unique=relation.many or _is_unique(target, relation.join))
    if relation.name in type_.relations or relation.name in type_.columns or relation.name in type_.objects:
        raise ValueError(f"{type_.name} has two fields called {relation.name}")
    type_.relations[relation.name] = relation


@cache
def catalogue() -> Catalogue:
    """The catalogue of all models.

    Raises:
        TypeError: A column has a type that the graph cannot carry.
        ValueError: Two fields of one type have the same name.
    """
    types: dict[str, Type] = {}
    classes: dict[str, RowClass] = {**entities(), **derived()}
    roots: list[Root] = []
    for name, entity in classes.items():
        type_ = _type(entity)
        roots += _roots(entity, type_)
        for leaf in _leaf_fields(entity, type_):
            if leaf.name in type_.columns:
                raise ValueError(f"{name} has two fields called {leaf.name}")
            type_.columns[leaf.name] = leaf
        type_.objects.update((made.name, made) for made in _object_fields(entity, type_))
        types[name] = type_
        if lifecycle := lifecycle_of(name):
            type_.extras[LIFECYCLE] = (*type_.key, lifecycle.column)
            if "state" not in type_.columns:
                type_.extras["state"] = type_.extras[LIFECYCLE]
    for type_ in types.values():
        if type_.is_record:
            type_.extras["node"] = ("node_id",)
    for entity in classes.values():
        _add_relations(types, entity)
    return Catalogue(types, roots)


def _type(entity: RowClass) -> Type:
    type_ = Type(
        entity.__name__,
        plural(entity),
        " ".join((entity.__doc__ or "").split()),
        table_of(entity),
        entity.__is_view__,
        tuple(key_columns(entity)),
        entity.__order__,
        entity.__ascending__,
        reads=(table_of(entity).fullname,),
        label=tuple(entity.__label__ or entity.__search__[:1]),
        search=tuple(entity.__search__),
        references=tuple(entity.__references__),
        topic=entity.__topic__,
        aliases=tuple(entity.__aliases__),
    )
    if type_.table.name in views.definitions():
        type_.select = views.definitions()[type_.table.name]
        type_.behind = views.tables(type_.table.name)
    if issubclass(entity, Derived):
        type_.is_derived = True
        columns = (f"d.{c.name}::{kind_of(c.type).pg_type} AS {c.name}" for c in type_.table.columns)
        type_.select = f"SELECT {', '.join(columns)} FROM ({entity.__select__}) AS d"
        type_.arguments = _arguments(entity.__arguments__)
        type_.reads = tuple(table_of(entities()[name]).fullname for name in entity.__reads__)
    return type_


def _roots(entity: RowClass, type_: Type) -> Iterator[Root]:
    """The roots of a type: one row by its id or by what else is unique, and a connection of all rows."""
    single = issubclass(entity, Derived) and entity.__single__
    if single or type_.is_node:
        lookups = [] if single else [*entity.__lookups__, *_unique_lookups(type_)]
        doc = f"{type_.description}" if single else f"One {type_.name}, null where there is none. {type_.description}"
        named = tuple({camel(argument): column for argument, column in one.items()} for one in lookups)
        yield Root(type_.singular, type_.name, doc, many=False, lookups=named)
    if not single:
        yield Root(type_.plural, type_.name, f"All {type_.name} rows. {type_.description}", many=True)
    for search in nearest(entity):
        yield Root(camel(search.root), type_.name, search.doc, many=True, nearest=search)


def _unique_lookups(type_: Type) -> Iterator[dict[str, str]]:
    """The table's unique columns, alone and together, beside its key."""
    for names in _unique(type_.table, UniqueConstraint):
        if names != type_.key:
            yield {name: name for name in names}


def _unique(table: Table, *kinds: type[UniqueConstraint | PrimaryKeyConstraint]) -> list[tuple[str, ...]]:
    """The columns that are unique together, by the constraints of these kinds."""
    found = [tuple(c.name for c in one.columns) for one in table.constraints if isinstance(one, kinds)]
    return sorted(names for names in found if names)
