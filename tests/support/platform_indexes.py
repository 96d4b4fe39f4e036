"""The platform's indexes, as ``spec/platform_indexes.csv`` lists them, and its form of them on tables of our own."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import asyncpg

SPEC = Path(__file__).parents[1] / "spec"

_KEYS = """
    SELECT i.indrelid::regclass::text, array_agg(a.attname::text ORDER BY k.place)
    FROM pg_index AS i
    CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indisunique
    GROUP BY i.indexrelid, i.indrelid
"""


_VECTORS = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector'"

_BESIDE_CONSTRAINTS = """
    SELECT 'DROP INDEX ' || i.indexrelid::regclass
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indrelid
    WHERE c.relnamespace IN ('public'::regnamespace, 'ml'::regnamespace)
        AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid)
        AND NOT c.relispartition
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
"""


async def replace_indexes(connection: asyncpg.Connection) -> None:
    """Gives the tables of our own migrations the platform's indexes, in place of theirs; constraints stay."""
    for (statement,) in await connection.fetch(_BESIDE_CONSTRAINTS):
        await connection.execute(statement)
    await create_indexes(connection, unique=False)


async def turn_indexes(connection: asyncpg.Connection) -> None:
    """Gives every index of our own migrations that ends in a time the platform's form: nulls first, and no key."""
    found = await connection.fetch(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
        "WHERE pg_get_indexdef(indexrelid) LIKE '% DESC NULLS LAST%' "
        "AND NOT (SELECT relispartition FROM pg_class WHERE oid = indexrelid)"  # partitions have those of the whole
    )
    for name, definition in found:
        await connection.execute(f"DROP INDEX {name}")
        of_all = definition.replace(" ON ONLY ", " ON ", 1)
        await connection.execute(re.sub(r" DESC NULLS LAST, .*?\)", " DESC)", of_all))


async def create_indexes(connection: asyncpg.Connection, *, unique: bool = True) -> None:
    """Builds the platform's indexes; those of keys and unique constraints that the tables have are there already.

    Without ``unique`` they keep nothing unique, which other rows than the platform's may not be.
    """
    vector_schema = await connection.fetchval(_VECTORS)
    there = {(table, tuple(columns)) for table, columns in await connection.fetch(_KEYS)}
    tables = "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p')"
    known = {table for (table,) in await connection.fetch(tables)}
    with (SPEC / "platform_indexes.csv").open(newline="") as lines:
        for index in csv.DictReader(lines):
            table = index["table"].removeprefix("public.")
            columns = index["columns"].split("; ")
            names = tuple(column.split(" ")[0] for column in columns)
            if table not in known or (index["unique"] == "t" and (table, names) in there):
                continue
            if index["method"] == "ivfflat":
                columns = [f"{column} {vector_schema}.vector_cosine_ops" for column in columns]
            kind = "UNIQUE INDEX" if unique and index["unique"] == "t" else "INDEX"
            options = f" WITH ({index['options']})" if index["options"] else ""
            where = f" WHERE {index['predicate']}" if index["predicate"] else ""
            await connection.execute(
                f"CREATE {kind} {index['index']} ON {table} USING {index['method']} ({', '.join(columns)})"
                f"{options}{where}"
            )
