"""What models are declared with: entities, views, columns, enums, relations, SQL fields.

A model is the only description of a table. Its column comments become the database's COMMENTs, the GraphQL descriptions
and the documentation; its relations become fields on both ends, batch loaders and lineage edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, text
from sqlalchemy.orm import MappedColumn, mapped_column
from sqlalchemy.types import TypeEngine

from db.base.column_facts import NO_FACTS, ColumnFacts, Holds, Unit, column_facts
from db.base.computed import Argument, Computed, ComputedObject, computed, computed_object
from db.base.entity import (
    OWN_SCHEMA,
    SERVES,
    Derived,
    Entity,
    Nearest,
    RowClass,
    View,
    computed_fields,
    computed_objects,
    derived,
    entities,
    is_own,
    key_columns,
    nearest,
    plural,
    relations,
    table_of,
)
from db.base.labels import Labels, enum_types, pg_enum
from db.base.reached import InOrder, Kept, Over, Rare
from db.base.relation import EdgeSpec, Relation, belongs_to, linked_by

PATIENT = "patient"
"""The scope for data of single patients, and of other observed people and units."""


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

    ``scope`` is a scope for reading it beyond its table's. Its facts: every number has a ``unit``, every text and
    document says what it ``holds`` or the ``values`` of a closed vocabulary; times, booleans, UUIDs and enums need
    none. ``aliases`` is what people call it.
    """
    info = {"scope": scope} if scope else {}
    facts = column_facts(unit, holds, values, aliases)
    return mapped_column(type_, *args, comment=comment, info={**info, "facts": facts}, **kwargs)


def facts_of(column_: Column[Any]) -> ColumnFacts:
    """The facts that a column's model declares."""
    facts = column_.info.get("facts", NO_FACTS)
    assert isinstance(facts, ColumnFacts)  # noqa: S101 - only `column` sets it
    return facts


NOW = text("now()")

NEW_UUID = text("gen_random_uuid()")

EMPTY_OBJECT = text("'{}'::jsonb")

EMPTY_LIST = text("'[]'::jsonb")


__all__ = [
    "EMPTY_LIST",
    "EMPTY_OBJECT",
    "NEW_UUID",
    "NOW",
    "OWN_SCHEMA",
    "PATIENT",
    "SERVES",
    "Argument",
    "Computed",
    "ComputedObject",
    "Derived",
    "EdgeSpec",
    "Entity",
    "InOrder",
    "Kept",
    "Labels",
    "Nearest",
    "Over",
    "Rare",
    "Relation",
    "RowClass",
    "View",
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
