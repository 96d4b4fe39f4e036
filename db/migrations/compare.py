"""How models and database are compared, and how the difference is written down as a migration.

What Alembic does not compare by itself is added here: the labels of enums, and the schemas that tables live in.
"""

from collections.abc import Iterator
from typing import Any

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import MigrateOperation, UpgradeOps
from alembic.runtime.plugins import Plugin
from alembic.util import PriorityDispatchResult
from pgvector.sqlalchemy import Vector
from sqlalchemy import Connection, Enum, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.schema import SchemaItem

import db.models  # noqa: F401 - maps all entities
from db.base.quoting import identifier, literal, literals
from db.base.system_catalog import ENUMS, EnumLabels, enum_labels, enums_of_models, named_in_models, schemas
from db.base.vocabulary import OWN_SCHEMA, Entity, entities, table_of

SCHEMAS = schemas(own=False)
"""The schemas of the platform's tables."""


class ExecuteDifference(MigrateOperation):
    """One statement of a migration, with what it changes as ``compare_metadata`` reports it."""

    def __init__(self, sql: str, *difference: str) -> None:
        self.sql = sql
        self._difference = difference

    def to_diff_tuple(self) -> tuple[str, ...]:
        return self._difference

    def reverse(self) -> MigrateOperation:
        return ExecuteDifference("", "nothing")  # migrations go forward only


@renderers.dispatch_for(ExecuteDifference)
def _render_statement(_: AutogenContext, operation: ExecuteDifference) -> str:
    return f"op.execute({operation.sql!r})"


def enums_of_database(connection: Connection) -> EnumLabels:
    """The enums that the schemas of the platform's tables hold."""
    return enum_labels(connection.execute(ENUMS, named_in_models()))


def _type_name(name: str) -> str:
    schema, _, bare = name.rpartition(".")
    return f"{identifier(schema)}.{identifier(bare)}" if schema else identifier(bare)


def _enum_changes(wanted: EnumLabels, found: EnumLabels) -> Iterator[MigrateOperation]:
    for name, labels in wanted.items():
        type_ = _type_name(name)
        there = found.get(name)
        if there is None:
            values = literals(labels)
            yield ExecuteDifference(f"CREATE TYPE {type_} AS ENUM ({values})", "add_enum", type_)
            continue
        if gone := [label for label in there if label not in labels]:
            raise ValueError(
                f"the database's enum {type_} has labels that the model lacks ({', '.join(gone)}), and Postgres cannot "
                f"remove a label: put them back into the model, or rename the label by hand in the migration"
            )
        for place, label in enumerate(labels):
            if label not in there:
                where = f"AFTER {literal(labels[place - 1])}" if place else f"BEFORE {literal(there[0])}"
                sql = f"ALTER TYPE {type_} ADD VALUE {literal(label)} {where}"
                yield ExecuteDifference(sql, "add_enum_label", type_, label)
    for name in found.keys() - wanted.keys():
        yield ExecuteDifference(f"DROP TYPE {_type_name(name)}", "remove_enum", _type_name(name))


def _compare_types(
    context: AutogenContext, operations: UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    connection = context.connection
    assert connection is not None  # noqa: S101 - there is no offline mode
    there = set(connection.scalars(text("SELECT nspname FROM pg_namespace")))
    changes: list[MigrateOperation] = [
        ExecuteDifference(f"CREATE SCHEMA {identifier(schema)}", "add_schema", schema)
        for schema in SCHEMAS
        if schema not in there
    ]
    changes += _enum_changes(enums_of_models(), enums_of_database(connection))
    dropped = [c for c in changes if c.to_diff_tuple()[0] == "remove_enum"]
    operations.ops[:0] = [c for c in changes if c not in dropped]
    operations.ops.extend(dropped)
    return PriorityDispatchResult.CONTINUE


Plugin("e2i.types").add_autogenerate_comparator(_compare_types, "schema")


def _render(kind: str, item: Any, context: AutogenContext) -> str | bool:
    """Types as short as they can be said; enums by name, since a migration makes them before their first column."""
    if kind != "type":
        return False
    if isinstance(item, Vector):
        context.imports.add("from pgvector.sqlalchemy import Vector")
        return f"Vector({item.dim})"
    if isinstance(item, Enum | JSONB | TIMESTAMP):
        context.imports.add("from sqlalchemy.dialects import postgresql")
    if isinstance(item, Enum):
        schema = f"schema={item.schema!r}, " if item.schema else ""
        return f"postgresql.ENUM(name={item.name!r}, {schema}create_type=False)"
    return "postgresql.JSONB()" if isinstance(item, JSONB) else False


def _include_name(name: str | None, kind: str, parents: Any) -> bool:
    if kind == "table" and parents["schema_name"] == OWN_SCHEMA:
        return (
            f"{OWN_SCHEMA}.{name}" in Entity.metadata.tables
        )  # beside what builds the database, which keeps its books there
    return kind != "schema" or name is None or name in (*SCHEMAS, OWN_SCHEMA)


def _include_object(item: SchemaItem, _name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:  # noqa: FBT001 - Alembic's signature
    return kind != "table" or item not in _VIEWS


_VIEWS = {table_of(entity) for entity in entities().values() if entity.__is_view__}

OPTIONS: dict[str, Any] = {
    "target_metadata": Entity.metadata,
    "version_table_schema": OWN_SCHEMA,
    "include_schemas": True,
    "include_name": _include_name,
    "include_object": _include_object,
    "render_item": _render,
    "compare_type": True,
    "compare_server_default": True,
    "autogenerate_plugins": ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname", "e2i.types"],
}
"""What :func:`alembic.context.configure` is told."""
