"""Rows of changes: as clients name them, as they are locked, and values as they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schema.catalogue import exact_json, ids
from schema.catalogue.catalogue import Type
from schema.catalogue.column_types import ColumnKind
from schema.errors import missing_object
from schema.sql import builder as sql
from schema.sql.operators import text_of

Key = tuple[str, ...]

MAX_ITEMS = 100
"""The largest number of subjects of one change."""


@dataclass(frozen=True)
class Subject:
    """A row to be changed: its id as given, its key, and its path in the input."""

    id: str
    key: Key
    field: str = "id"
    version: str | None = None


@dataclass(frozen=True)
class Row:
    """A locked row: its columns as texts, without embeddings."""

    type: Type
    key: Key
    version: str
    values: Mapping[str, str | None]

    @property
    def id(self) -> str:
        return ids.encode(self.type.name, self.key)

    def __getitem__(self, column: str) -> str | None:
        """A column's text.

        Raises:
            GatewayError: ``MISSING_IN_DATABASE``: the database lacks the column.
        """
        if column not in self.values:
            raise missing_object(f"{self.type.sql_name}.{column}")
        return self.values[column]


@dataclass(frozen=True)
class Sql:
    """A value computed by the database."""

    text: str


def bound(kind: ColumnKind, value: Any, bind: sql.Binds) -> str:
    """The SQL of a value: a bind with the cast of a column's kind; `Sql` unchanged, None as NULL."""
    if value is None:
        return "NULL"
    if isinstance(value, Sql):
        return value.text
    if kind.graphql == "JSON":
        return bind(exact_json.dumps(value, text_of).decode(), "text::jsonb")
    if kind.is_list:
        return bind([text_of(item) for item in value], f"text[]::{kind.pg_type}")
    return bind(text_of(value), f"text::{kind.pg_type}")
