"""The names of relations and the labels of enums, of the models and of a database, for comparing both.

Building (`db.migrations.compare`) and attaching (`db.attach`) both read it here; what follows from a difference is
another thing for each: a migration's statements, or words that say what it costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import text

from db.base.vocabulary import Entity, Labels, enum_types, is_own

EnumLabels = Mapping[str, tuple[str, ...]]
"""The name of an enum, with its schema where that is not ``public`` -> its labels, in order."""


def schemas(*, own: bool = True) -> tuple[str, ...]:
    """The schemas of the models' tables, ``public`` first; the gateway's own among them unless told otherwise."""
    tables = [table for table in Entity.metadata.tables.values() if own or not is_own(table)]
    return ("public", *sorted({table.schema for table in tables if table.schema}))


def relation_name(schema: str = "n.nspname", name: str = "c.relname") -> str:
    """SQL for the name of a relation as the models have it, put together by hand: a cast to regclass depends on the
    search path, and fails without rights."""
    return f"CASE {schema} WHEN 'public' THEN '' ELSE {schema} || '.' END || {name}"


def enum_name(labels: type[Labels]) -> str:
    """An enum as SQL names it."""
    return f"{labels.pg_schema}.{labels.pg_name}" if labels.pg_schema else str(labels.pg_name)


ENUMS = text(f"""
    SELECT {relation_name(name="t.typname")}, array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
    FROM pg_type AS t
    JOIN pg_enum AS e ON e.enumtypid = t.oid
    JOIN pg_namespace AS n ON n.oid = t.typnamespace
    WHERE n.nspname = ANY (:schemas)
    GROUP BY 1
""")
"""The enums of ``:schemas``; :func:`enum_labels` reads its rows."""


def enum_labels(rows: Iterable[Sequence[Any]]) -> EnumLabels:
    """The enums of a database, of the rows of `ENUMS`."""
    return {name: tuple(labels) for name, labels in rows}


def enums_of_models() -> EnumLabels:
    """The enums that the models declare; also those of no column."""
    return {enum_name(labels): tuple(member.value for member in labels) for labels in enum_types()}
