"""The statements of every list of the graph, as the loaders send them, for EXPLAIN: of a type's first page, of a
relation's rows, and of their lookup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from schema.catalogue.catalogue import RelationField, Type
from schema.sql import builder as sql
from schema.sql.lists import NESTED_PAGE, ROOT_PAGE, Lists


@dataclass(frozen=True)
class ListStatement:
    """A list by its field (``models``, ``Experiment.models``): the rows of ``type`` with the parent's values in some
    columns.

    ``page`` is its first page, None for a single row; ``lookup`` counts its rows, None without a parent. Each with its
    parameters.
    """

    field: str
    type: Type
    equal: tuple[str, ...]
    page: tuple[str, Sequence[Any]] | None
    lookup: tuple[str, Sequence[Any]] | None


def of_type(lists: Lists, type_: Type, limit: int = ROOT_PAGE) -> ListStatement:
    """The first page of all rows of a type."""
    bind = sql.Binds()
    page = sql.page(type_.sql_name, _key(type_), sql.Page(lists.order(type_), limit + 1), bind)
    return ListStatement(type_.plural, type_, (), (page, bind.values), None)


def of_relation(
    lists: Lists,
    parent: Type,
    relation: RelationField,
    keys: Sequence[tuple[str | None, ...]] | None = None,
    limit: int = NESTED_PAGE,
) -> ListStatement:
    """The list of a relation by equal columns, for parents with these keys; without any, for a parent without
    values."""
    local, equal = relation.join.local_columns, relation.join.equal
    target = lists.catalogue[relation.target]
    where = [relation.join.on("k", "t")]
    keys = keys or [(None,) * len(local)]

    def of_parents(statement: str, bind: sql.Binds) -> tuple[str, Sequence[Any]]:
        return sql.per_parent(statement, sql.parents(parent, local, keys, bind)), bind.values

    lookup = of_parents(sql.count(target.sql_name, where=where), sql.Binds())
    page = None
    if relation.many or not relation.unique:
        first = sql.Page(lists.order(target, equal), limit + 1 if relation.many else 1)
        bind = sql.Binds()
        page = of_parents(sql.page(target.sql_name, _key(target), first, bind, where=where), bind)
    return ListStatement(f"{parent.name}.{relation.name}", target, equal, page, lookup)


def tables(lists: Lists) -> Iterator[Type]:
    """The types that are tables of the connected database."""
    for type_ in lists.catalogue:
        if not type_.is_view and lists.missing.table(type_) is None:
            yield type_


def relations(lists: Lists) -> Iterator[tuple[Type, RelationField]]:
    """The relations by equal columns to tables, with the type that has each."""
    there = {type_.name for type_ in tables(lists)}
    for parent in lists.catalogue:
        for relation in parent.relations.values():
            join, target = relation.join, lists.catalogue[relation.target]
            if not join.equality or target.name not in there or parent.arguments:
                continue
            if lists.missing.first(parent, join.local_columns) or lists.missing.first(target, join.remote_columns):
                continue
            yield parent, relation


def _key(type_: Type) -> list[str]:
    return [f"t.{column} AS f{place}" for place, column in enumerate(type_.key)]
