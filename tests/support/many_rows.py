"""As many rows as are wanted in every table: rows of no meaning, but of the shape of real ones.

Keys are spread at random, times go back a second a row and are null in one row of a hundred where they may be, and each
row refers to one of a few parents. Texts and numbers are different in all rows.
"""

from __future__ import annotations

from collections.abc import Iterable

import asyncpg

from schema.catalogue.catalogue import Type
from schema.catalogue.from_models import catalogue

PARENTS = 50
"""Rows of each table that the others refer to."""

_COLUMNS = """
    SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, t.typtype = 'e' AS enum,
        NOT a.attnotnull AS nullable, coalesce(a.atttypmod - 4, 0) AS length, EXISTS (
            SELECT FROM pg_index AS i
            WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indkey[0] = a.attnum AND i.indnkeyatts = 1
        ) AS alone
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    ORDER BY a.attnum
"""
_CHECKS = """
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint
    WHERE conrelid = $1::text::regclass AND contype = 'c'
"""
_VALUES = {
    "uuid": "md5(({n})::text)::uuid",
    "integer": "n",
    "smallint": "n % 30000",
    "bigint": "n",
    "boolean": "n % 2 = 0",
    "double precision": "n / 8.0",
    "timestamp with time zone": "timestamptz '2026-06-01' - n * interval '1 second'",
    "timestamp without time zone": "timestamp '2026-06-01' - n * interval '1 second'",
    "date": "date '2026-06-01' - n % 3000",
    "jsonb": "'{{}}'",
}


def tables() -> list[Type]:
    """The types of the platform's tables."""
    return [type_ for type_ in catalogue() if not type_.is_view and type_.table.schema != "gateway"]


async def fill(connection: asyncpg.Connection, rows: int, types: Iterable[Type] | None = None) -> None:
    """Puts ``rows`` rows into every table in place of what is there, but those that a unique index does not allow, and
    has them counted. Checks are dropped, and neither triggers nor references are looked at: the connection must be a
    superuser's."""
    await connection.execute("SET session_replication_role = replica")
    for type_ in tables() if types is None else types:
        await connection.execute(f"DELETE FROM {type_.sql_name}")
        await drop_checks(connection, type_)
        await connection.execute(await insertion(connection, type_, rows))
        await connection.execute(f"VACUUM ANALYZE {type_.sql_name}")
    await connection.execute("SET session_replication_role = origin")


async def drop_checks(connection: asyncpg.Connection, type_: Type) -> None:
    """Drops the checks of a table, which rows of no meaning do not fulfil."""
    for (statement,) in await connection.fetch(_CHECKS, type_.sql_name):
        await connection.execute(statement)


async def insertion(connection: asyncpg.Connection, type_: Type, rows: int) -> str:
    """The statement that adds ``rows`` rows to a table; a column with a unique index of its own, which must be there,
    has different values."""
    columns = await connection.fetch(_COLUMNS, type_.sql_name)
    values = {row["name"]: _value(type_, row) for row in columns}
    return (
        f"INSERT INTO {type_.sql_name} ({', '.join(values)}) SELECT {', '.join(values.values())} "
        f"FROM generate_series(0, {rows - 1}) AS n ON CONFLICT DO NOTHING"
    )


def _value(type_: Type, column: asyncpg.Record) -> str:
    kind = column["type"]
    own = column["name"] in type_.key[-1:] or column["alone"]
    if column["enum"]:
        value = f"(enum_range(NULL::{kind}))[1 + n % least(3, cardinality(enum_range(NULL::{kind})))]"
    elif kind in _VALUES:
        value = _VALUES[kind].format(n="n" if own else f"n % {PARENTS}")
    elif kind.startswith(("character varying", "text")) and not kind.endswith("[]"):
        value = f"right('x' || n, {column['length']})" if column["length"] > 0 else "'x' || n"
    elif kind.startswith("numeric"):
        value = "(n % 1000) / 10000.0"
    else:
        value = "NULL" if column["nullable"] else "'{}'"
    if column["nullable"] and kind.startswith(("time", "date")):
        value = f"CASE WHEN n % 97 > 0 THEN {value} END"
    return f"({value})::{kind}"
