"""Builds the catalogue from the models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from sqlalchemy import Enum, PrimaryKeyConstraint, String, Table, UniqueConstraint, Uuid

import db.models  # noqa: F401 - maps all entities
from db.base import views
from db.base.column_facts import ColumnFacts, Holds
from db.base.entity import camel
from db.base.lifecycles import lifecycle_of, lifecycles
from db.base.recording import plan_of, recordables
from db.base.vocabulary import (
    Argument,
    Derived,
    Relation,
    RowClass,
    View,
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
from schema.catalogue.catalogue import (
    CHANGES,
    LIFECYCLE,
    ArgumentField,
    Catalogue,
    ColumnField,
    Join,
    ObjectField,
    RelationField,
    Root,
    Type,
)
from schema.catalogue.column_types import ColumnKind, kind_of


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
            "Version of the row, kept by the database: changes with every update. Opaque text.",
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
    """The facts of a column; if it holds states of the lifecycle, these are its vocabulary."""
    if facts.holds is not Holds.STATE:
        return facts
    lifecycle = next(one for one in lifecycles() if (one.entity, one.column) == (entity, column))
    return replace(facts, values=tuple(lifecycle.text(state) for state in lifecycle.states))


def _arguments(given: Mapping[str, Argument]) -> dict[str, ArgumentField]:
    return {camel(hole): ArgumentField(camel(hole), hole, kind_of(one.type), one) for hole, one in given.items()}


def _object_fields(entity: RowClass, type_: Type) -> Iterator[ObjectField]:
    for name, made in computed_objects(entity).items():
        leaves, leaf_reads = {}, {}
        table = table_of(entities()[made.sums_up]).fullname if made.sums_up else ""
        for part, computed in made.fields.items():
            kind = kind_of(computed.type)
            sql, doc = f"({computed.sql})", computed.facts.described(computed.doc)
            leaves[camel(part)] = ColumnField(camel(part), doc, kind, sql, (), facts=computed.facts)
            leaf_reads[camel(part)] = _columns_of("m", computed.sql, table)
        type_name = type_.name + camel(name)[0].upper() + camel(name)[1:]
        arguments = _arguments(made.arguments)
        columns = tuple(made.columns)
        reads = _columns_of("s", made.source, table)
        yield ObjectField(
            camel(name), type_name, made.doc, leaves, made.source, columns, arguments, made.sums_up, reads, leaf_reads
        )


def _columns_of(alias: str, sql_text: str, table: str) -> tuple[tuple[str, str], ...]:
    """The columns that SQL reads of a row of a table, by its alias; none without a table."""
    names = re.findall(rf"\b{alias}\.(\w+)", sql_text) if table else []
    return tuple((table, name) for name in dict.fromkeys(names))


def joins(entity: RowClass, relation: Relation) -> tuple[Join, Join]:
    """The join of a relation from its declaring side, and from the other side.

    An empty text refers to nothing: rows are not related by empty values of a column without a foreign key.
    """
    if relation.sql is not None:
        this, that = tuple(relation.this_columns), tuple(relation.that_columns)
        forward = relation.sql.replace("{this}", "{local}").replace("{that}", "{remote}")
        backward = (relation.inverse_sql or relation.sql).replace("{this}", "{remote}").replace("{that}", "{local}")
        back = Join(backward, that, this, equality=False, elements=relation.elements)
        return Join(forward, this, that, equality=False), back
    here, there = tuple(relation.on), tuple(relation.on.values())

    texts = {
        column.name
        for column in table_of(entity).columns
        if isinstance(column.type, String) and not isinstance(column.type, Enum) and not column.foreign_keys
    }

    ids = {column.name for column in table_of(entity).columns if isinstance(column.type, Uuid)}

    def equal(locals_: Sequence[str], remotes: Sequence[str]) -> str:
        casts = ["::uuid" if column in ids else "" for column in here]
        same = [
            f"{{remote}}.{r}{cast} = {{local}}.{l}{cast}"
            for l, r, cast in zip(locals_, remotes, casts, strict=True)  # noqa: E741
        ]
        named = [f"{{local}}.{l} <> ''" for l, h in zip(locals_, here, strict=True) if h in texts]  # noqa: E741
        return " AND ".join([*same, *named])

    return Join(equal(here, there), here, there), Join(equal(there, here), there, here)


def _add_relations(types: dict[str, Type], entity: RowClass) -> None:
    this = types[entity.__name__]
    for name, relation in relations(entity).items():
        that = types[relation.target]
        forward, backward = joins(entity, relation)
        own = tuple(relation.aliases)
        _add(this, RelationField(camel(name), relation.doc, that.name, forward, relation.many, aliases=own), that)
        if relation.inverse:
            called, doc, many = tuple(relation.inverse_aliases), relation.inverse_doc, relation.inverse_many
            _add(that, RelationField(camel(relation.inverse), doc, this.name, backward, many, aliases=called), this)
        if relation.latest:
            doc = f"The newest of: {relation.inverse_doc}"
            _add(that, RelationField(camel(relation.latest), doc, this.name, backward, many=False), this)


def _is_unique(target: Type, join: Join) -> bool:
    """Whether the join finds at most one row: it is an equality on the key or on a unique constraint."""
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
        TypeError: The graph has no representation for a column's type.
        ValueError: Two fields of one type have the same name.
    """
    types: dict[str, Type] = {}
    classes: dict[str, RowClass] = {**entities(), **derived()}
    written = {one.__name__ for one, how in recordables() if how.retired or plan_of(one).updates}
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
        elif name in written:
            type_.extras[CHANGES] = type_.key
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
        rollup=entity.__rollup__,
        aliases=tuple(entity.__aliases__),
        over=entity.__over__,
        rare=tuple(entity.__rare__),
        walk=entity.__walk__,
        kept=entity.__kept__,
    )
    if type_.table.name in views.definitions():
        type_.select = views.selects()[type_.table.name]
        type_.behind = views.tables(type_.table.name)
    if issubclass(entity, View | Derived):
        type_.window = entity.__window__
    if issubclass(entity, Derived):
        type_.is_derived = True
        type_.select = type_.typed(entity.__select__)
        type_.rolled_up = entity.__rolled_up__
        type_.arguments = _arguments(entity.__arguments__)
        type_.reads = tuple(table_of(entities()[name]).fullname for name in entity.__reads__)
    return type_


def _roots(entity: RowClass, type_: Type) -> Iterator[Root]:
    """The roots of a type: one row by its id or a unique key, and a connection of all rows."""
    single = issubclass(entity, Derived) and entity.__single__
    if single or type_.is_node:
        lookups = [] if single else [*entity.__lookups__, *_unique_lookups(type_)]
        doc = f"{type_.description}" if single else f"One {type_.name} row; null if there is none. {type_.description}"
        named = tuple({camel(argument): column for argument, column in one.items()} for one in lookups)
        yield Root(type_.singular, type_.name, doc, many=False, lookups=named)
    if not single:
        yield Root(type_.plural, type_.name, f"All {type_.name} rows. {type_.description}", many=True)
    for search in nearest(entity):
        yield Root(camel(search.root), type_.name, search.doc, many=True, nearest=search)


def _unique_lookups(type_: Type) -> Iterator[dict[str, str]]:
    """The table's unique keys other than its primary key."""
    for names in _unique(type_.table, UniqueConstraint):
        if names != type_.key:
            yield {name: name for name in names}


def _unique(table: Table, *kinds: type[UniqueConstraint | PrimaryKeyConstraint]) -> list[tuple[str, ...]]:
    """The columns of each unique key, by constraints of these kinds."""
    found = [tuple(c.name for c in one.columns) for one in table.constraints if isinstance(one, kinds)]
    return sorted(names for names in found if names)
