"""The catalogue: models read once into fields that know their SQL. Both executors and the types are made from it.

A field's SQL is text with ``{row}``-like holes for row aliases, prepared when the catalogue is built; values never
enter it but as typed binds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

from sqlalchemy import PrimaryKeyConstraint, Table, UniqueConstraint

import db.models  # noqa: F401 - maps all entities
from db.base import (
    Entity,
    Relation,
    computed_fields,
    computed_objects,
    entities,
    key_columns,
    plural,
    relations,
    table_of,
)
from db.lifecycle import lifecycle_of
from schema import ids
from schema.kinds import Kind, kind_of


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
    kind: Kind
    value: str
    columns: tuple[str, ...]
    required: bool = False

    @cached_property
    def sql(self) -> str:
        return self.kind.sql(self.value)

    def over(self, row: str) -> str:
        """The wire expression over a row alias."""
        return self.sql.replace("{row}", row)

    def value_over(self, row: str) -> str:
        """The value over a row alias, in a form that is compared as the kind's type."""
        return self.kind.comparable(self.value.replace("{row}", row))

    @property
    def is_own(self) -> bool:
        """Whether it is a column or a computed field, not what every type has."""
        return self.name not in {"id", "rowVersion"}


@dataclass(frozen=True)
class ObjectField:
    """An object of SQL expressions: one select item, which Postgres writes as JSON."""

    name: str
    type_name: str
    description: str
    leaves: dict[str, ColumnField]
    source: str
    columns: tuple[str, ...]
    arguments: dict[str, tuple[str, Kind, str]]
    """By GraphQL name: the hole in the SQL, the kind and the description."""

    def over(self, row: str, leaves: Iterable[ColumnField], values: Mapping[str, str]) -> str:
        """The select item with these leaves; ``values`` are the SQL of the arguments, by their holes."""
        pairs = ", ".join(f"'{leaf.name}', {leaf.sql}" for leaf in leaves)
        item = f"(SELECT json_build_object({pairs}) {self.source})::text".replace("{row}", row)
        for hole, value in values.items():
            item = item.replace(f"{{{hole}}}", value)
        return item


@dataclass(frozen=True)
class Join:
    """How a relation finds its rows: a predicate over ``{local}`` and ``{remote}``, and the columns of each side.

    ``equality``: the predicate is equal columns, so that a NULL among the local ones means that there is no row.
    """

    predicate: str
    local_columns: tuple[str, ...]
    remote_columns: tuple[str, ...]
    equality: bool = True

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

    ``columns`` are the table's columns that it reads. A ``nullable`` one may hold nulls, which come last in every
    default order, ascending or descending.
    """

    name: str
    value: str
    pg_type: str
    columns: tuple[str, ...]
    descending: bool
    nulls_first: bool = False
    nullable: bool = True

    def over(self, row: str) -> str:
        return self.value.replace("{row}", row)

    def reversed(self) -> OrderTerm:
        return replace(self, descending=not self.descending, nulls_first=not self.nulls_first)


@dataclass
class Type:
    """A table or view as a type of the graph."""

    name: str
    plural: str
    description: str
    table: Table
    is_view: bool
    key: tuple[str, ...]
    time: str | None
    columns: dict[str, ColumnField] = field(default_factory=dict)
    objects: dict[str, ObjectField] = field(default_factory=dict)
    relations: dict[str, RelationField] = field(default_factory=dict)
    extras: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Fields with a resolver of their own, by name: the columns that they read."""

    @property
    def singular(self) -> str:
        return self.name[0].lower() + self.name[1:]

    @property
    def sql_name(self) -> str:
        """The table as SQL names it, with its schema unless that is the search path's."""
        return f"{self.table.schema}.{self.table.name}" if self.table.schema else self.table.name

    @property
    def key_kinds(self) -> tuple[str, ...]:
        return tuple(self.column_kind(column).name for column in self.key)

    def column_kind(self, column: str) -> Kind:
        return kind_of(self.table.c[column].type)

    @cached_property
    def order(self) -> tuple[OrderTerm, ...]:
        """The default order: newest first where the table has a time, then the key descending."""
        time = [self.order_term(self.leaf(self.time), descending=True)] if self.time else []
        return (*time, *self.key_order({self.time}, descending=True))

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

    def __init__(self, types: dict[str, Type]) -> None:
        self.types = types

    def __getitem__(self, name: str) -> Type:
        return self.types[name]

    def __iter__(self) -> Iterator[Type]:
        return iter(self.types.values())


def _leaf_fields(entity: type[Entity], type_: Type) -> Iterator[ColumnField]:
    key = tuple((type_.column_kind(column).name, f"{{row}}.{column}") for column in type_.key)
    text = Kind("text", "{c}", "text", "ID")
    yield ColumnField(
        "id",
        "Global id, readable: the type and the key.",
        text,
        ids.sql(type_.name, key, nullable=type_.is_view),
        type_.key,
        required=True,
    )
    if not type_.is_view:
        version = Kind("text", "{c}", "text", "String")
        yield ColumnField(
            "rowVersion",
            "Version of the row, the database's own: it changes with every update. Opaque text.",
            version,
            "{row}.xmin::text",
            (),
            required=True,
        )
    for column in type_.table.columns:
        kind = kind_of(column.type)
        yield ColumnField(
            type_.field_name(column.name),
            column.comment or "",
            kind,
            f"{{row}}.{column.name}",
            (column.name,),
        )
    for name, computed in computed_fields(entity).items():
        kind = kind_of(computed.type)
        yield ColumnField(camel(name), computed.doc, kind, f"({computed.sql})", tuple(computed.columns))


def _object_fields(entity: type[Entity], type_: Type) -> Iterator[ObjectField]:
    for name, made in computed_objects(entity).items():
        leaves = {}
        for part, computed in made.fields.items():
            kind = kind_of(computed.type)
            leaves[camel(part)] = ColumnField(camel(part), computed.doc, kind, f"({computed.sql})", ())
        arguments = {camel(hole): (hole, kind_of(one.type), one.doc) for hole, one in made.arguments.items()}
        type_name = type_.name + camel(name)[0].upper() + camel(name)[1:]
        yield ObjectField(camel(name), type_name, made.doc, leaves, made.source, tuple(made.columns), arguments)


def _joins(relation: Relation) -> tuple[Join, Join]:
    """The relation's join as its declaring side sees it, and as the other side does."""
    if relation.sql is not None:
        this, that = tuple(relation.this_columns), tuple(relation.that_columns)
        forward = relation.sql.replace("{this}", "{local}").replace("{that}", "{remote}")
        backward = (relation.inverse_sql or relation.sql).replace("{this}", "{remote}").replace("{that}", "{local}")
        return Join(forward, this, that, equality=False), Join(backward, that, this, equality=False)
    here, there = tuple(relation.on), tuple(relation.on.values())

    def equal(locals_: Sequence[str], remotes: Sequence[str]) -> str:
        return " AND ".join(f"{{remote}}.{r} = {{local}}.{l}" for l, r in zip(locals_, remotes, strict=True))  # noqa: E741

    return Join(equal(here, there), here, there), Join(equal(there, here), there, here)


def _add_relations(types: dict[str, Type], entity: type[Entity]) -> None:
    this = types[entity.__name__]
    for name, relation in relations(entity).items():
        that = types[relation.target]
        forward, backward = _joins(relation)
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
    uniques = [
        {column.name for column in constraint.columns}
        for constraint in target.table.constraints
        if isinstance(constraint, UniqueConstraint | PrimaryKeyConstraint)
    ]
    uniques += [{column.name} for column in target.table.columns if column.unique]
    return join.equality and any(names <= set(join.remote_columns) for names in uniques if names)


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
    for name, entity in entities().items():
        key = tuple(key_columns(entity))
        doc = " ".join((entity.__doc__ or "").split())
        type_ = Type(name, plural(entity), doc, table_of(entity), entity.__is_view__, key, time=entity.__order__)
        for leaf in _leaf_fields(entity, type_):
            if leaf.name in type_.columns:
                raise ValueError(f"{name} has two fields called {leaf.name}")
            type_.columns[leaf.name] = leaf
        type_.objects.update((made.name, made) for made in _object_fields(entity, type_))
        types[name] = type_
        if lifecycle := lifecycle_of(name):
            type_.extras["lifecycle"] = (*type_.key, lifecycle.column)
    types["LifecycleEvent"].extras["node"] = ("node_id",)
    for entity in entities().values():
        _add_relations(types, entity)
    return Catalogue(types)
