"""Enums: labels of Postgres with a description each."""

from __future__ import annotations

import enum
from typing import ClassVar, Self

from sqlalchemy import Enum as SqlEnum


class Labels(enum.Enum):
    """A Postgres enum: members' values are its labels, each with a description.

    Declared as ``class ModelStage(Labels, pg_name="model_stage_enum")`` with members ``STAGING = "staging", "..."``.
    ``pg_name`` is None for an enum without a database type: for SQL fields, or for states in text columns.
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
        """``open_ended`` enums gain labels without notice (agents): String in GraphQL, an enum in the gateway's own
        schema."""
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


def enum_types() -> list[type[Labels]]:
    """All enums with a database type, in order of declaration, including those without a column."""
    return [labels for labels in Labels.__subclasses__() if labels.pg_name is not None]
