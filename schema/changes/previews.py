"""Previews of dry runs: the rows that a change would alter, as plain values.

A preview contains no object with an `id`: client caches would overwrite the row with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pgvector.sqlalchemy import Vector
from strawberry import ID

from schema.catalogue.catalogue import ColumnField, Type
from schema.catalogue.column_types import ColumnKind
from schema.catalogue.records import Missing
from schema.catalogue.scalars import JSON
from schema.changes.results import PlannedChange

Image = Mapping[str, Any]
"""A row's columns in wire form, by field name."""


def columns(type_: Type, missing: Missing) -> list[ColumnField]:
    """The fields of a type that are columns of its table, without embeddings."""
    return [
        type_.leaf(column.name)
        for column in type_.table.columns
        if not isinstance(column.type, Vector) and not missing.first(type_, (column.name,))
    ]


def planned(
    type_: Type, id_: str, before: Image | None, after: Image, made: Collection[str], missing: Missing
) -> PlannedChange | None:
    """The change of a row that the caller may read, None if there is none; ``before`` is None for a created row.

    A created row has no id yet: keys in ``made``, which the dry run has generated, are null wherever they appear.
    """
    after = {name: None if isinstance(value, str) and value in made else value for name, value in after.items()}
    leaves = [leaf for leaf in columns(type_, missing) if leaf.name in after]
    if before is None:
        said = [leaf for leaf in leaves if after[leaf.name] is not None]
        return PlannedChange(node_id=None, type=type_.name, before=None, after=JSON(dict(_public(said, after))))
    changed = [leaf for leaf in leaves if before.get(leaf.name) != after[leaf.name]]
    if not changed:
        return None
    node = None if id_.split(":", 1)[1] in made else ID(id_)
    was, becomes = JSON(dict(_public(changed, before))), JSON(dict(_public(changed, after)))
    return PlannedChange(node_id=node, type=type_.name, before=was, after=becomes)


def _public(leaves: Sequence[ColumnField], image: Image) -> Iterator[tuple[str, Any]]:
    """The values as queries return them; null where those return an error."""
    for leaf in leaves:
        yield leaf.name, _value(leaf.kind, image.get(leaf.name))


def _value(kind: ColumnKind, wire: Any) -> Any:
    if wire is None:
        return None
    value = kind.decode(wire, "") if kind.decode else wire
    if isinstance(value, Exception):
        return None
    if kind.labels is None:
        return value
    names = {member.value: member.name for member in kind.labels}
    return [names.get(item) for item in value] if kind.is_list else names[value]
