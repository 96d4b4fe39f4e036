"""Twice the rows: a second copy of every row beside the first, related among themselves as the first ones are."""

from __future__ import annotations

from typing import Any

import asyncpg
from sqlalchemy import ARRAY, Integer, String, Table, Uuid
from sqlalchemy import Enum as SqlEnum
from sqlalchemy.dialects.postgresql import JSONB

from db.base.vocabulary import entities, relations, table_of


def copied(table: Table, column: Any, linked: set[str], mark: int) -> str:
    """The SQL of a column in the copy: what identifies or links rows is changed in one way everywhere."""
    name = column.name
    if isinstance(column.type, Uuid):
        return f"md5({name}::text || '{mark}')::uuid"
    if isinstance(column.type, ARRAY) and isinstance(column.type.item_type, Uuid):
        return f"ARRAY(SELECT md5(x::text || '{mark}')::uuid FROM unnest({name}) x)"
    if name in linked and isinstance(column.type, JSONB):
        named = f"x || jsonb_build_object('name', x ->> 'name' || '~{mark}')"
        item = f"CASE jsonb_typeof(x) WHEN 'object' THEN {named} ELSE to_jsonb(x #>> '{{}}' || '~{mark}') END"
        return f"(SELECT jsonb_agg({item}) FROM jsonb_array_elements({name}) x)"
    if name in linked and isinstance(column.type, String) and not isinstance(column.type, SqlEnum):
        room = (column.type.length or 1000) - 2
        return f"CASE WHEN length({name}) > {room} THEN '~{mark}' || substr({name}, 3) ELSE {name} || '~{mark}' END"
    if column.primary_key and isinstance(column.type, Integer):
        return f"{name} + {mark - 1}000000"
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


_UNIQUE = """
    SELECT c.oid::regclass::text, array_agg(a.attname::text)
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indrelid
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
    WHERE i.indisunique AND c.relnamespace IN ('public'::regnamespace, 'ml'::regnamespace)
    GROUP BY c.oid
"""
"""What the database itself keeps unique, which may be more than the models say."""


_COMPUTED = """
    SELECT attrelid::regclass::text, attname::text FROM pg_attribute
    WHERE attgenerated <> '' AND attrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r')
"""


async def double(connection: asyncpg.Connection, *only: str, mark: int = 2) -> None:
    """Copies every row of every table, or of these alone; needs a superuser, since no trigger looks at the copies.

    Who doubles again needs another ``mark``, a digit, that tells the copies from the first ones.
    """
    linked = linked_columns()
    for table, columns in await connection.fetch(_UNIQUE):
        linked.get(table, set()).update(columns)
    computed = {tuple(row) for row in await connection.fetch(_COMPUTED)}
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for entity in entities().values():
            table = table_of(entity)
            if entity.__is_view__ or (only and table.fullname not in only):
                continue
            columns = [column for column in table.columns if (table.fullname, column.name) not in computed]
            names = ", ".join(column.name for column in columns)
            values = ", ".join(copied(table, column, linked[table.fullname], mark) for column in columns)
            await connection.execute(f"INSERT INTO {table.fullname} ({names}) SELECT {values} FROM {table.fullname}")
