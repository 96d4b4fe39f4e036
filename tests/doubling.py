"""Twice the rows: a second copy of every row beside the first, related among themselves as the first ones are."""

from __future__ import annotations

from typing import Any

import asyncpg
from sqlalchemy import ARRAY, Integer, String, Table, Uuid
from sqlalchemy import Enum as SqlEnum
from sqlalchemy.dialects.postgresql import JSONB

from db.base import entities, relations, table_of


def copied(table: Table, column: Any, linked: set[str]) -> str:
    """The SQL of a column in the copy: what identifies or links rows is changed in one way everywhere."""
    name = column.name
    if isinstance(column.type, Uuid):
        return f"md5({name}::text || '2')::uuid"
    if isinstance(column.type, ARRAY) and isinstance(column.type.item_type, Uuid):
        return f"ARRAY(SELECT md5(x::text || '2')::uuid FROM unnest({name}) x)"
    if name in linked and isinstance(column.type, JSONB):
        named = "x || jsonb_build_object('name', x ->> 'name' || '~2')"
        item = f"CASE jsonb_typeof(x) WHEN 'object' THEN {named} ELSE to_jsonb(x #>> '{{}}' || '~2') END"
        return f"(SELECT jsonb_agg({item}) FROM jsonb_array_elements({name}) x)"
    if name in linked and isinstance(column.type, String) and not isinstance(column.type, SqlEnum):
        room = (column.type.length or 1000) - 2
        return f"CASE WHEN length({name}) > {room} THEN '~2' || substr({name}, 3) ELSE {name} || '~2' END"
    if column.primary_key and isinstance(column.type, Integer):
        return f"{name} + 1000000"
    return str(name)


def linked_columns() -> dict[str, set[str]]:
    """The columns of each table that identify its rows or take part in a relation."""
    by_name = entities()
    linked: dict[str, set[str]] = {table_of(entity).fullname: set() for entity in by_name.values()}
    for entity in by_name.values():
        table = table_of(entity)
        unique = [c for c in table.constraints if type(c).__name__ in {"UniqueConstraint", "PrimaryKeyConstraint"}]
        indexes = [index for index in table.indexes if index.unique]
        linked[table.fullname] |= {column.name for group in [*unique, *indexes] for column in group.columns}
        for relation in relations(entity).values():
            linked[table.fullname] |= set(relation.on) | set(relation.this_columns)
            linked[table_of(by_name[relation.target]).fullname] |= set(relation.on.values()) | set(
                relation.that_columns
            )
    return linked


async def double(connection: asyncpg.Connection) -> None:
    """Copies every row of every table; needs a superuser, since the copies are made without triggers."""
    linked = linked_columns()
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for entity in entities().values():
            if entity.__is_view__:
                continue
            table = table_of(entity)
            columns = [column for column in table.columns if column.computed is None]
            names = ", ".join(column.name for column in columns)
            values = ", ".join(copied(table, column, linked[table.fullname]) for column in columns)
            await connection.execute(f"INSERT INTO {table.fullname} ({names}) SELECT {values} FROM {table.fullname}")
