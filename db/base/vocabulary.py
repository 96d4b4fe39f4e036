"""The vocabulary in which the models say everything once: entities, views, columns, enums, relations, SQL fields.

A model is the only place where a table is described. Its column comments become the database's COMMENTs, the GraphQL
descriptions and the documentation; its relations become fields on both ends, batch loaders and lineage edges.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Self

from sqlalchemy import Column, Index, MetaData, Table, UniqueConstraint, text
from sqlalchemy import Enum as SqlEnum
from sqlalchemy.orm import DeclarativeBase, MappedColumn, mapped_column
from sqlalchemy.types import TypeEngine

from db.base.column_facts import NO_FACTS, ColumnFacts, Holds, Unit, column_facts
from db.base.markers import Group, LiveTopic, Recordable

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

_MAX_IDENTIFIER = 63

OWN_SCHEMA = "gateway"
"""The gateway's own schema in Postgres; everything else belongs to the platform."""


class Labels(enum.Enum):
    """A Postgres enum: the members' values are its labels, each with a description of its own.

    Declared as ``class ModelStage(Labels, pg_name="model_stage_enum")`` with members ``STAGING = "staging", "..."``.
    ``pg_name`` is None for an enum that is no type of the database: of SQL fields, or of states that text columns hold.
    """

    doc: str
    pg_name: ClassVar[str | None]
    pg_schema: ClassVar[str | None]
    open_ended: ClassVar[bool]

    def __new__(cls, label: str, doc: str) -> Self:
        member = object.__new__(cls)
        member._value_ = label
        member.doc = doc
        return member

    def __init_subclass__(
        cls, *, pg_name: str | None = None, pg_schema: str | None = None, open_ended: bool = False
    ) -> None:
        """``open_ended`` enums gain labels without notice (agents): text in GraphQL, a real enum in our database."""
        super().__init_subclass__()
        cls.pg_name = pg_name
        cls.pg_schema = pg_schema
        cls.open_ended = open_ended


def pg_enum(labels: type[Labels]) -> SqlEnum:
    """The column type of a Postgres enum, values being its labels."""
    return SqlEnum(
        labels,
        name=labels.pg_name,
        schema=labels.pg_schema,
        values_callable=lambda members: [member.value for member in members],
    )


@dataclass(frozen=True)
class EdgeSpec:
    """What a relation is in the lineage: the kind of its edge, and which of its ends is upstream.

    ``closes_loop`` marks the edge by which a loop of the platform comes back to the type that it began with.
    """

    kind: Labels
    _: KW_ONLY
    target_is_upstream: bool
    closes_loop: bool = False


@dataclass(frozen=True)
class Relation:
    """One relation between two entities, declared once at the side that refers, and a field on both sides.

    ``on`` maps columns of this table to columns of the target. A relation that is more than equality gives ``sql``
    instead: a predicate over the row aliases ``{this}`` and ``{that}`` (never NULL-unsafe: NULL means no match), with
    the columns of each side that it reads. ``lineage`` is its edge, or why it is none.
    """

    target: str
    doc: str
    _: KW_ONLY
    on: Mapping[str, str]
    many: bool = False
    inverse: str | None = None
    inverse_doc: str = ""
    inverse_many: bool = True
    latest: str | None = None
    sql: str | None = None
    inverse_sql: str | None = None
    this_columns: Sequence[str] = ()
    that_columns: Sequence[str] = ()
    lineage: EdgeSpec | str = ""


def belongs_to(
    target: str,
    on: str | Mapping[str, str],
    doc: str,
    *,
    inverse: str,
    inverse_doc: str,
    inverse_many: bool = True,
    latest: str | None = None,
    lineage: EdgeSpec | str = "",
) -> Relation:
    """A to-one relation by equal columns; ``on`` is a column that holds the target's ``id``, or a mapping of columns.

    ``inverse`` names the field on the target: a connection, or one row where ``inverse_many`` is False. ``latest``
    names another one there: the first of them in the default order, which is the newest.
    """
    pairs = on if isinstance(on, Mapping) else {on: "id"}
    return Relation(
        target,
        doc,
        on=pairs,
        inverse=inverse,
        inverse_doc=inverse_doc,
        inverse_many=inverse_many,
        latest=latest,
        lineage=lineage,
    )


def linked_by(
    target: str,
    sql: str,
    doc: str,
    *,
    this_columns: Sequence[str],
    that_columns: Sequence[str],
    many: bool = True,
    inverse: str | None = None,
    inverse_doc: str = "",
    inverse_many: bool = True,
    inverse_sql: str | None = None,
    lineage: EdgeSpec | str = "",
) -> Relation:
    """A relation by a predicate over ``{this}`` and ``{that}``.

    ``inverse_sql`` says the same relation in a form that is fast when walked the other way; the aliases keep their
    meaning (``{this}`` is always the declaring side).
    """
    return Relation(
        target,
        doc,
        on={},
        many=many,
        sql=sql,
        inverse=inverse,
        inverse_doc=inverse_doc,
        inverse_many=inverse_many,
        inverse_sql=inverse_sql,
        this_columns=this_columns,
        that_columns=that_columns,
        lineage=lineage,
    )


@dataclass(frozen=True)
class Computed:
    """A field that is a SQL expression over the row: ``{row}`` is its alias. Sent as ``type`` says."""

    sql: str
    type: TypeEngine[Any]
    doc: str
    columns: Sequence[str]
    facts: ColumnFacts = NO_FACTS


def computed(
    sql: str,
    type_: TypeEngine[Any],
    doc: str,
    *,
    columns: Sequence[str],
    unit: Unit | None = None,
    holds: Holds | None = None,
    values: Sequence[str] = (),
    aliases: Sequence[str] = (),
) -> Computed:
    """A SQL field; ``columns`` are the columns it reads, so that a missing one makes this field a named error.

    The rest are its facts, as `column` takes them.
    """
    return Computed(sql, type_, doc, columns, column_facts(unit, holds, values, aliases))


@dataclass(frozen=True)
class Argument:
    """An argument of SQL: a hole in its text, NULL where the query does not give it and there is no ``default``.

    ``least`` and ``most`` bound a number. ``of`` names the type whose id it takes, global or bare.
    """

    type: TypeEngine[Any]
    doc: str
    _: KW_ONLY
    required: bool = False
    default: int | float | bool | None = None
    least: float | None = None
    most: float | None = None
    of: str | None = None


@dataclass(frozen=True)
class ComputedObject:
    """A field that is an object of SQL expressions over the row ``{row}``, all from one ``source``.

    ``source`` is what follows the SELECT (``FROM ... WHERE ...``), empty where the row itself is enough. Arguments are
    holes in it and in the expressions: ``{since}``.
    """

    doc: str
    fields: Mapping[str, Computed]
    source: str
    columns: Sequence[str]
    arguments: Mapping[str, Argument]
    sums_up: str | None


ObjectPart = tuple[str, TypeEngine[Any], str] | tuple[str, TypeEngine[Any], str, Unit]


def computed_object(
    doc: str,
    fields: Mapping[str, ObjectPart],
    *,
    columns: Sequence[str],
    source: str = "",
    arguments: Mapping[str, Argument] | None = None,
    sums_up: str | None = None,
) -> ComputedObject:
    """An object of SQL fields, ``{name: (sql, type, description)}``; ``columns`` are those of the row that it reads.

    Numbers have their unit as a fourth. ``sums_up`` names the entity whose rows the source reads, which is what it
    costs.
    """
    made = {name: Computed(*part[:3], (), ColumnFacts(*part[3:])) for name, part in fields.items()}
    return ComputedObject(doc, made, source, columns, arguments or {}, sums_up)


class RowOptions:
    """What every class of rows says of itself, beside its columns, relations and SQL fields.

    ``__order__`` is the column of the default order (newest or greatest first unless ``__ascending__``), None where
    the key alone orders. ``__plural__`` is needed only where the plural is not regular. ``__lookups__`` are further
    ways to ask for one row: argument -> column, all of them unique together. ``__label__`` are the columns whose
    values together name a row, ``__search__``'s first one unless said. ``__search__`` are the columns by which
    `search` finds a row, its name first; ``__references__`` are those that it compares with a whole text only, in
    tables that are too large to be read: each leads an index. ``__filtered__`` are columns, beside those of relations,
    by which its lists are often filtered: each has an index in the default order. ``__group__`` is the group of
    the data dictionary whose scope reading needs, None for the gateway's own tables; ``__scope__`` is what a caller
    needs beside it. ``__topic__`` is the topic of the live log that tells of its rows. ``__aliases__`` is what people
    call such a row, in the singular. ``__record__`` says how its rows are recorded through the gateway, None where they
    are not.
    """

    __order__: ClassVar[str | None] = None
    __ascending__: ClassVar[bool] = False
    __plural__: ClassVar[str | None] = None
    __is_view__: ClassVar[bool] = False
    __lookups__: ClassVar[Sequence[Mapping[str, str]]] = ()
    __label__: ClassVar[Sequence[str]] = ()
    __search__: ClassVar[Sequence[str]] = ()
    __references__: ClassVar[Sequence[str]] = ()
    __filtered__: ClassVar[Sequence[str]] = ()
    __group__: ClassVar[Group | None] = None
    __topic__: ClassVar[LiveTopic | None] = None
    __scope__: ClassVar[str | None] = None
    __aliases__: ClassVar[Sequence[str]] = ()
    __record__: ClassVar[Recordable | None] = None


class Entity(RowOptions, DeclarativeBase):
    """A table of the platform, and a type of the graph of the same name."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__dict__.get("__abstract__"):
            _entities[cls.__name__] = cls


_entities: dict[str, type[Entity]] = {}


class View(Entity):
    """A view of the platform: its primary key is the declared key of its rows, held by no constraint.

    ``__reads__`` are the entities that it reads.
    """

    __abstract__ = True
    __is_view__ = True
    __reads__: ClassVar[Sequence[str]] = ()


class Derived(RowOptions, DeclarativeBase):
    """A type of the graph that no table or view stands for: its rows are those of a SELECT of the gateway's own.

    ``__select__`` gives its columns by their names. ``__arguments__`` are holes in it (``{days}``), which every field
    that leads here takes as arguments; ids cannot carry them, so that such rows are no nodes. A hole ``{keys}`` holds
    the keys that a row is asked for by, for a SELECT that has a row for every key; NULL otherwise. ``__reads__`` are
    the entities that it reads. ``__single__``: the SELECT has one row, and the one root is that.
    """

    metadata = MetaData()
    __is_view__ = True
    __select__: ClassVar[str]
    __arguments__: ClassVar[Mapping[str, Argument]] = {}
    __reads__: ClassVar[Sequence[str]] = ()
    __single__: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.__tablename__ = cls.__name__
        super().__init_subclass__(**kwargs)
        _derived[cls.__name__] = cls


_derived: dict[str, type[Derived]] = {}

RowClass = type[Entity] | type[Derived]


@dataclass(frozen=True)
class Nearest:
    """A root that lists an entity's rows by the similarity of their vectors to a given one, nearest first.

    ``root`` is its name, ``vector`` the column, ``like`` the argument that names a row by whose vector to search, and
    ``filters`` are flags: ``{argument: (predicate over {row}, description)}``.
    """

    root: str
    vector: str
    like: str
    doc: str
    filters: Mapping[str, tuple[str, str]]


PATIENT = "patient"
"""The scope of what is known of single patients, and of the other people and units that are observed."""


def column(
    type_: TypeEngine[Any],
    comment: str,
    *args: Any,
    scope: str | None = None,
    unit: Unit | None = None,
    holds: Holds | None = None,
    values: Sequence[str] = (),
    aliases: Sequence[str] = (),
    **kwargs: Any,
) -> MappedColumn[Any]:
    """A column with its description: the database COMMENT, the GraphQL description and the documentation.

    ``scope`` is what a caller needs to read it beside what its table needs. Its facts: every number has a ``unit``,
    every text and document says what it ``holds`` or the ``values`` of a closed vocabulary; times, booleans, UUIDs and
    enums say by their type what they are. ``aliases`` is what people call it.
    """
    info = {"scope": scope} if scope else {}
    facts = column_facts(unit, holds, values, aliases)
    return mapped_column(type_, *args, comment=comment, info={**info, "facts": facts}, **kwargs)


def facts_of(column_: Column[Any]) -> ColumnFacts:
    """The facts that a column's model declares."""
    facts = column_.info.get("facts", NO_FACTS)
    assert isinstance(facts, ColumnFacts)  # noqa: S101 - `column` alone writes it
    return facts


NOW = text("now()")
NEW_UUID = text("gen_random_uuid()")
EMPTY_OBJECT = text("'{}'::jsonb")
EMPTY_LIST = text("'[]'::jsonb")


def plural(entity: RowClass) -> str:
    """The plural of an entity's name in camelCase: ``Model`` -> ``models``, ``ShapAnalysis`` -> ``shapAnalyses``."""
    name = entity.__name__[0].lower() + entity.__name__[1:]
    if entity.__plural__:
        return entity.__plural__
    if name.endswith("sis"):
        return name[:-2] + "es"
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    if name.endswith(("s", "x", "ch", "sh")):
        return name + "es"
    return name + "s"


def relations(entity: RowClass) -> dict[str, Relation]:
    """The relations that a model declares itself, by name, in order."""
    return {name: value for name, value in vars(entity).items() if isinstance(value, Relation)}


def computed_fields(entity: RowClass) -> dict[str, Computed]:
    """The SQL fields that a model declares, by name, in order."""
    return {name: value for name, value in vars(entity).items() if isinstance(value, Computed)}


def computed_objects(entity: RowClass) -> dict[str, ComputedObject]:
    """The SQL objects that a model declares, by name, in order."""
    return {name: value for name, value in vars(entity).items() if isinstance(value, ComputedObject)}


def entities() -> dict[str, type[Entity]]:
    """Every mapped table and view by its name in the graph, in order of declaration."""
    return dict(_entities)


def derived() -> dict[str, type[Derived]]:
    """Every type that is a SELECT, by its name in the graph, in order of declaration."""
    return dict(_derived)


def nearest(entity: RowClass) -> list[Nearest]:
    """The similarity searches that a model declares."""
    return [value for value in vars(entity).values() if isinstance(value, Nearest)]


def key_columns(entity: RowClass) -> list[str]:
    """The names of the key's columns, in order."""
    return [column.name for column in table_of(entity).primary_key.columns]


def table_of(entity: RowClass) -> Table:
    """The table (or view) behind an entity."""
    table = entity.__table__
    assert isinstance(table, Table)  # noqa: S101 - every entity maps one table, never a join
    return table


def is_own(table: Table) -> bool:
    """Whether a table is the gateway's own, not the platform's."""
    return table.schema == OWN_SCHEMA


def enum_types() -> list[type[Labels]]:
    """Every enum that is a type of the database, in order of declaration; also those that no column has."""
    return [labels for labels in Labels.__subclasses__() if labels.pg_name is not None]


def add_comments() -> None:
    """A model's docstring becomes the COMMENT of its table."""
    for entity in entities().values():
        table_of(entity).comment = " ".join((entity.__doc__ or "").split())


def add_indexes() -> None:
    """An index behind every relation, default order and common filter, so that a page is read from an index.

    Derived, not declared: (columns of the relation, default order's time DESC NULLS LAST, key DESC). Both ends of a
    relation are looked up by equality, and so is a foreign key when what it refers to is deleted; an end that is a key
    or has a unique constraint has its index already.
    """
    by_name = entities()
    for entity in by_name.values():
        if entity.__is_view__:
            continue
        if entity.__order__:
            _add_ordered_index(entity, ())
        for name in entity.__filtered__:
            _add_ordered_index(entity, (name,))
        for relation in relations(entity).values():
            if relation.on:
                _add_ordered_index(entity, tuple(relation.on))
                _add_ordered_index(by_name[relation.target], tuple(relation.on.values()))
        keys = [tuple(key.column_keys) for key in table_of(entity).foreign_key_constraints]
        for columns in sorted(keys):
            _add_ordered_index(entity, columns)


def _add_ordered_index(entity: type[Entity], lookup: tuple[str, ...]) -> None:
    table = table_of(entity)
    key = key_columns(entity)
    if entity.__is_view__ or (lookup and (set(lookup) == set(key) or _is_unique(table, lookup))):
        return
    order = [entity.__order__] if entity.__order__ and entity.__order__ not in lookup else []
    name = _index_name(table.name, [*lookup, *order])
    if any(index.name == name for index in table.indexes):
        return
    terms: list[Any] = [table.c[column] for column in lookup]
    terms += [table.c[column].desc().nulls_last() for column in order]
    terms += [table.c[column].desc() for column in key if column not in {*lookup, *order}]
    Index(name, *terms)


def _index_name(table: str, columns: Sequence[str]) -> str:
    name = f"ix_{table}_{'_'.join(columns)}"
    if len(name) <= _MAX_IDENTIFIER:
        return name
    # Two long names may differ at their ends only.
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _MAX_IDENTIFIER - 9].rstrip('_')}_{digest}"


def _is_unique(table: Table, columns: tuple[str, ...]) -> bool:
    return any(
        isinstance(constraint, UniqueConstraint) and {c.name for c in constraint.columns} == set(columns)
        for constraint in table.constraints
    )


__all__ = [
    "EMPTY_LIST",
    "EMPTY_OBJECT",
    "NEW_UUID",
    "NOW",
    "OWN_SCHEMA",
    "PATIENT",
    "Argument",
    "Computed",
    "ComputedObject",
    "Derived",
    "EdgeSpec",
    "Entity",
    "Labels",
    "Nearest",
    "Relation",
    "RowClass",
    "View",
    "add_comments",
    "add_indexes",
    "belongs_to",
    "column",
    "computed",
    "computed_fields",
    "computed_object",
    "computed_objects",
    "derived",
    "entities",
    "enum_types",
    "facts_of",
    "is_own",
    "key_columns",
    "linked_by",
    "nearest",
    "pg_enum",
    "plural",
    "relations",
    "table_of",
]
