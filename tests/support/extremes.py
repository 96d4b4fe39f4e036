"""The largest, smallest and strangest values of every type, put into rows of every table."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import asyncpg

from tests.support.databases import Database, connect

_CONTROLS = "".join(chr(code) for code in range(1, 32))
_TEXTS = ["", " ", _CONTROLS, "\x7f\u0080\u009f\ufeff\u2028\u2029",
          "\U0001f642\U0010ffff\U00010000", "e\u0301\u202e\u200f",
          "'\"\\%_{row}$1`", "null", "NULL", "x" * 40]  # fmt: skip
_TIMES = ["infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "0001-01-01 00:00:00+00",
          "9999-12-31 23:59:59.999999+00", "10000-01-01 00:00:00+00", "294276-12-31 23:59:59+00",
          "1970-01-01 00:00:00.000001+00"]  # fmt: skip
_DATES = ["infinity", "-infinity", "0044-03-15 BC", "0001-01-01", "9999-12-31", "10000-01-01", "5874897-12-31"]
_JSON = ["null", "{}", "[]", '""', "0", "-0.0", "1e-300", "1e400", "12345678901234567890123", "0.1234567890123456789",
         '{"a": null, "b": [null, {"c": null}]}', '"\\u0001\\u001f\\ud83d\\ude42\\u2028"', "true",
         "[" * 60 + "]" * 60, '{"": "", "a b": 1, "\\"": "\\\\"}']  # fmt: skip
VALUES: dict[str, list[str]] = {
    "int2": ["32767", "-32768", "0"],
    "int4": ["2147483647", "-2147483648", "0"],
    "int8": ["9223372036854775807", "-9223372036854775808", "9007199254740993", "0"],
    "float4": ["3.4028235e38", "1e-45", "-0", "NaN", "Infinity", "-Infinity"],
    "float8": [
        "1.7976931348623157e308",
        "5e-324",
        "2.2250738585072014e-308",
        "-0",
        "0.1",
        "NaN",
        "Infinity",
        "-Infinity",
    ],
    "numeric": ["NaN", "0", "-0.5", "0.999999", "-99999999", "9.9999", "99", "123456.123456"],
    "text": _TEXTS,
    "varchar": _TEXTS,
    "bool": ["true", "false"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "timestamptz": _TIMES,
    "timestamp": _TIMES,
    "date": _DATES,
    "jsonb": _JSON,
    "_text": ["{}", "{NULL}", '{"",NULL,"a,b","{}"}', "{{a,b},{c,d}}"],
    "_varchar": ["{}", "{NULL}", '{"",NULL}', "{{a,b},{c,d}}"],
    "_int4": ["{}", "{NULL,2147483647,-2147483648}", "{{1,2},{3,4}}"],
    "_uuid": ["{}", "{NULL,ffffffff-ffff-ffff-ffff-ffffffffffff}"],
    "_jsonb": ["{}"],
}
"""Texts of values by the database's name of their type."""


async def make_extreme(database: Database, tables: Sequence[str] | None = None) -> None:
    """Gives each column of each table, or of these, all of them, in rows of its own, as far as its length and checks
    allow; keys and references stay. Enums get a label that nobody knows."""
    sql = await connect(database.admin_url)
    try:
        await sql.execute("SET session_replication_role = replica")
        labels = await sql.fetch(
            "SELECT t.oid::regtype::text AS name FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace "
            "WHERE t.typtype = 'e' AND n.nspname IN ('public', 'ml')"
        )
        for (name,) in labels:
            await sql.execute(f"ALTER TYPE {name} ADD VALUE IF NOT EXISTS 'unheard of'")
        for table, column, type_, kind, full_type, key in await sql.fetch(_COLUMNS, tables):
            values = ["unheard of"] if kind == "e" else VALUES.get(type_, [])
            keys = [row[0] for row in await sql.fetch(f"SELECT {key}::text FROM {table} ORDER BY {key} LIMIT 40")]
            for place, value in enumerate(values if keys else []):
                # columns begin at different rows, so that most rows stay such as JSON can say
                row = keys[(place * 7 + len(column)) % len(keys)]
                with suppress(asyncpg.IntegrityConstraintViolationError, asyncpg.DataError):
                    await sql.execute(
                        f"UPDATE {table} SET {column} = ($1::text)::{full_type} WHERE {key}::text = $2", value, row
                    )
    finally:
        await sql.close()


_COLUMNS = """
    SELECT c.oid::regclass::text, quote_ident(a.attname), t.typname, t.typtype::text,
        format_type(a.atttypid, a.atttypmod), quote_ident(p.attname)
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_type AS t ON t.oid = a.atttypid
    JOIN pg_constraint AS o ON o.conrelid = c.oid AND o.contype = 'p'
    JOIN pg_attribute AS p ON p.attrelid = c.oid AND p.attnum = o.conkey[1]
    WHERE c.relkind = 'r' AND n.nspname IN ('public', 'ml') AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attgenerated = '' AND ($1::text[] IS NULL OR c.oid = ANY ($1::text[]::regclass[]))
    AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'f', 'u')
        AND a.attnum = ANY (k.conkey))
    ORDER BY 1, 2
"""
