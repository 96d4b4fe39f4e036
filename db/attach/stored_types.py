"""The columns that a database stores in other types than the models have, and the casts that make up for it."""

from __future__ import annotations

from sqlalchemy import Column
from sqlalchemy.types import ARRAY

import db.models  # noqa: F401 - maps all tables
from db.attach.compare_columns import family, labels_of, type_text
from db.attach.facts import Facts, StoredColumn
from db.base.system_catalog import enum_name
from db.base.vocabulary import Entity, enum_types
from db.engine.stored_types import Casts


def casts(facts: Facts) -> Casts:
    """By table the types that its columns are cast to, where texts, UUIDs and labels are stored as each other, or in
    a domain. Other types are none that a cast makes up for, or compare as they are."""
    enums = frozenset(enum_name(labels) for labels in enum_types())
    found = {}
    for name, stored in facts.columns.items():
        table = Entity.metadata.tables.get(name)
        if table is None:
            continue
        wanted = {
            column: _cast(table.columns[column], there, enums)
            for column, there in stored.items()
            if column in table.columns
        }
        if any(wanted.values()):
            found[name] = {column: wanted.get(column, "") for column in stored}
    return found


def _cast(column: Column[object], stored: StoredColumn, enums: frozenset[str]) -> str:
    """The type to cast a column to, empty without a need."""
    wanted, labels = type_text(column.type), labels_of(column.type)
    if labels is not None and not isinstance(column.type, ARRAY):
        wanted = enum_name(labels)
        differs = stored.type not in {wanted, wanted.rpartition(".")[2]}
    elif family(wanted) in {"uuid", "uuid[]"}:
        differs = family(stored.type) in {"text", "text[]"}
    elif family(wanted) == "text":
        wanted, differs = "text", stored.type == "uuid" or stored.type in enums
    else:
        differs = False
    return wanted if differs else stored.type if stored.in_domain else ""
