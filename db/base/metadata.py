"""Table comments and list indexes, derived from the models."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Index, Table, UniqueConstraint

from db.base.entity import SERVES, Entity, entities, key_columns, relations, table_of
from db.base.relation import Relation

_MAX_IDENTIFIER = 63


def add_comments() -> None:
    """Uses a model's docstring as the COMMENT of its table."""
    for entity in entities().values():
        table_of(entity).comment = " ".join((entity.__doc__ or "").split())


def check_relation(entity: type[Entity], name: str, relation: Relation) -> None:
    """Refuses a relation of a model that names what there is not.

    Raises:
        ValueError: There is no such model, or one of the two has no such column.
    """
    place = f"{entity.__name__}.{name}"
    target = entities().get(relation.target)
    if target is None:
        raise ValueError(f"{place} leads to {relation.target!r}, which is no model; name a class of db/models")
    ends = ((entity, (*relation.on, *relation.this_columns)), (target, (*relation.on.values(), *relation.that_columns)))
    for end, columns in ends:
        if lacks := [column for column in columns if column not in table_of(end).columns]:
            key = ", ".join(key_columns(end))
            raise ValueError(
                f"{place} reads {end.__name__} by {lacks[0]!r}, a column that it lacks; its key is {key}: columns "
                f"other than the target's id are mapped, {{column: column of {relation.target}}}"
            )


def add_indexes() -> None:
    """Adds an index for every relation, default order and common filter, so that a page is read from an index.

    Derived: (columns of the relation, default order's time DESC NULLS LAST, key DESC). Both ends of a relation are
        looked up by equality, and a foreign key also when the referenced row is deleted; an end that is a key or has a
        unique constraint has an index already.
    """
    by_name = entities()
    for entity in by_name.values():
        if entity.__is_view__:
            continue
        if entity.__order__:
            _add_ordered_index(entity, ())
        for names in entity.__filtered__:
            _add_ordered_index(entity, (names,) if isinstance(names, str) else names)
        for name, relation in relations(entity).items():
            check_relation(entity, name, relation)
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
    filtered = [names for names in entity.__filtered__ if not isinstance(names, str)]
    order = [entity.__order__] if entity.__order__ and entity.__order__ not in lookup else []
    name = _index_name(table.name, [*lookup, *order])
    if any(index.name == name for index in table.indexes):
        return
    terms: list[Any] = [table.c[column] for column in lookup]
    terms += [table.c[column].desc().nulls_last() for column in order]
    terms += [table.c[column].desc() for column in key if column not in {*lookup, *order}]
    info = {SERVES: f"lists of {table.name} are filtered by {' and '.join(lookup)}"} if lookup in filtered else {}
    Index(name, *terms, info=info)


def _index_name(table: str, columns: Sequence[str]) -> str:
    name = f"ix_{table}_{'_'.join(columns)}"
    if len(name) <= _MAX_IDENTIFIER:
        return name
    # long names may differ only at their ends
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _MAX_IDENTIFIER - 9].rstrip('_')}_{digest}"


def _is_unique(table: Table, columns: tuple[str, ...]) -> bool:
    return any(
        isinstance(constraint, UniqueConstraint) and {c.name for c in constraint.columns} == set(columns)
        for constraint in table.constraints
    )
