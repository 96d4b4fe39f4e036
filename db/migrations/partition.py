"""Partitioning by month of large tables that the migrations made, with their rows.

A partitioned copy of the table is filled in a schema of its own while others read the table; writers wait. In the end
the copy takes its place, under the same names of indexes and constraints. It is one transaction: all of it, or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base.quoting import identifier, literal
from db.base.vocabulary import OWN_SCHEMA
from db.migrations.setup import SetupError, connect, lock_building, platform_views, run_definitions
from db.store import current_state, partitions, rollups
from db.store.partitions import AHEAD, DEFAULT, Month, MonthlyTable

MOST = 240
"""The largest number of months that get a partition; rows of older ones are in the default partition."""
_COPY = "e2i_partitioning"
"""The schema in which the copy is made."""
_ON = re.compile(r" ON \S+ USING ")
"""The table in the statement of an index."""

_STATE = text("""
    SELECT c.relkind::text AS kind, c.relowner::regrole::text AS owner,
        c.relrowsecurity OR c.relhassubclass OR c.relispartition AS special,
        (SELECT attnotnull FROM pg_attribute WHERE attrelid = c.oid AND attname = :by) AS timed,
        obj_description(c.oid, 'pg_class') AS comment,
        ARRAY(SELECT conrelid::regclass::text FROM pg_constraint WHERE confrelid = c.oid AND contype = 'f')
            AS referring,
        ARRAY(SELECT tgname::text FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal
            AND tgname <> 'set_updated_at' AND NOT starts_with(tgname, 'e2i_rollup_')
            AND NOT starts_with(tgname, 'e2i_state_')) AS triggers,
        ARRAY(SELECT pubname::text FROM pg_publication_tables AS p JOIN pg_namespace AS n ON n.nspname = p.schemaname
            WHERE n.oid = c.relnamespace AND p.tablename = c.relname) AS published,
        ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
            AND attgenerated = '' ORDER BY attnum) AS columns
    FROM pg_class AS c WHERE c.oid = to_regclass(:name)
""")
_INDEXES = text("""
    SELECT x.relname::text AS name, pg_get_indexdef(x.oid) AS sql, i.indisunique AS is_unique, k.contype::text AS kind,
        i.indpred IS NOT NULL OR i.indexprs IS NOT NULL AS special,
        ARRAY(SELECT a.attname::text FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS u (attnum, place)
            JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = u.attnum
            WHERE u.place <= i.indnkeyatts ORDER BY u.place) AS columns
    FROM pg_index AS i
    JOIN pg_class AS x ON x.oid = i.indexrelid
    LEFT JOIN pg_constraint AS k ON k.conindid = x.oid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u')
    WHERE i.indrelid = to_regclass(:name)
    ORDER BY x.oid
""")
_FOREIGN_KEYS = text("""
    SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = to_regclass(:name) AND contype = 'f' ORDER BY oid
""")
_GRANTS = text("""
    SELECT format('GRANT %s ON {t} TO %s%s', a.privilege_type,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
    WHERE c.oid = to_regclass(:name) AND a.grantee <> c.relowner
    UNION ALL
    SELECT format('GRANT %s (%I) ON {t} TO %s', a.privilege_type, t.attname,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)
    FROM pg_attribute AS t CROSS JOIN LATERAL aclexplode(t.attacl) AS a WHERE t.attrelid = to_regclass(:name)
""")
_VIEWS = text("""
    WITH RECURSIVE above AS (
        SELECT r.ev_class AS oid, 1 AS depth FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid
        WHERE d.refobjid = to_regclass(:name) AND d.classid = 'pg_rewrite'::regclass
        UNION
        SELECT r.ev_class, a.depth + 1 FROM above AS a
        JOIN pg_depend AS d ON d.refobjid = a.oid JOIN pg_rewrite AS r ON r.oid = d.objid
        WHERE d.classid = 'pg_rewrite'::regclass AND r.ev_class <> a.oid
    )
    SELECT CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname
    FROM above JOIN pg_class AS c USING (oid) JOIN pg_namespace AS n ON n.oid = c.relnamespace
    GROUP BY 1 ORDER BY max(depth) DESC, 1
""")


async def partition(url: str | URL, names: Sequence[str], ahead: int = AHEAD) -> list[str]:
    """Partitions tables by month, by the names of the models' tables, and gives every partitioned one the months to
    come: the current one and ``ahead`` more. Returns a sentence for each table that can be partitioned.

    Raises:
        SetupError: The gateway's migrations did not build the database, or a table cannot be partitioned.
        DatabaseUnavailableError: The database cannot be reached.
    """
    sentences = []
    async with connect(url) as connection:
        for one in partitions.monthly_tables():
            async with connection.begin():
                sentences.append(await _partition(connection, one, ahead, convert=one.table.fullname in names))
            if one.table.fullname in names:
                async with connection.begin():
                    await connection.execute(text(f"ANALYZE {one.table.fullname}"))
    return sentences


async def _partition(connection: AsyncConnection, one: MonthlyTable, ahead: int, *, convert: bool) -> str:
    await lock_building(connection)
    if not await connection.scalar(text(f"SELECT to_regclass('{OWN_SCHEMA}.alembic_version') IS NOT NULL")):
        raise SetupError(
            "the gateway's migrations did not make these tables, so it changes none of them; their owner partitions "
            "them, and `e2i-gateway db check` says what the gateway finds"
        )
    name = one.table.fullname
    state = (await connection.execute(_STATE, {"name": name, "by": one.by})).mappings().one()
    await connection.execute(text(f"SET LOCAL ROLE {state['owner']}"))
    await connection.execute(text("SET LOCAL lock_timeout = '30s'"))
    now = Month.of(datetime.now(UTC))
    coming = [now.after(months) for months in range(ahead + 1)]
    if state["kind"] == "p":
        return await _extend(connection, one, coming)
    return await _convert(connection, one, state, coming) if convert else f"{name}: not partitioned"


async def _extend(connection: AsyncConnection, one: MonthlyTable, coming: Sequence[Month]) -> str:
    name = one.table.fullname
    if not await partitions.partitions(connection, one):
        return f"{name}: it is partitioned, but not by {one.by}: it is left as it is"
    made = await partitions.add_months(connection, one, coming)
    last = (await partitions.partitions(connection, one))[-1]
    return f"{name}: {len(made)} months added; it has partitions until {last.until:%Y-%m-%d}"


async def _convert(connection: AsyncConnection, one: MonthlyTable, state: Any, coming: Sequence[Month]) -> str:
    name = one.table.fullname
    if why := next(_refusals(state), None):
        raise SetupError(f"{name} cannot be partitioned: {why}")
    await connection.execute(text(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE"))  # others read on
    views = list(await connection.scalars(_VIEWS, {"name": name}))
    if others := sorted(set(views) - set(platform_views())):
        raise SetupError(f"{name} cannot be partitioned: the view {others[0]} reads it; drop it, and make it again")
    rows = await _copy(connection, one, state, coming)
    of_views = [
        grant.replace("{t}", view) for view in views for grant in await connection.scalars(_GRANTS, {"name": view})
    ]
    for view in views:
        await connection.execute(text(f"DROP VIEW {view}"))
    await connection.execute(text(f"DROP TABLE {name}"))
    schema = identifier(one.table.schema or "public")
    moved = list(await connection.scalars(text(f"SELECT unnest({OWN_SCHEMA}.stores_of('{_COPY}.{one.table.name}'))")))
    for table in moved:
        await connection.execute(text(f"ALTER TABLE {table} SET SCHEMA {schema}"))
    await partitions.share_reading(connection, one, [table.replace(_COPY, schema, 1) for table in moved])
    await connection.execute(text(f"DROP SCHEMA {_COPY}"))
    await connection.execute(text("RESET ROLE"))
    await run_definitions(connection)
    for grant in of_views:
        await connection.execute(text(grant))
    summed = text(f"SELECT EXISTS (SELECT FROM {OWN_SCHEMA}.rollups WHERE name = :name)")
    if await connection.scalar(summed, {"name": name}):
        await rollups.make(connection)
    if await current_state.is_stored(connection, one.table):
        await current_state.make(connection)
    parts = await partitions.partitions(connection, one)
    return f"{name}: {rows:,} rows in partitions of {len(parts)} months, until {parts[-1].until:%Y-%m-%d}"


def _refusals(state: Any) -> Iterator[str]:
    if state["kind"] != "r":
        yield "it is no table"
    if state["special"]:
        yield "it has row level security, or other tables inherit from it"
    if state["referring"]:
        yield f"a foreign key of {state['referring'][0]} refers to it"
    if state["triggers"]:
        yield f"it has a trigger that the gateway did not make, {state['triggers'][0]}"
    if state["published"]:
        yield f"the publication {state['published'][0]} has it; take it out, and add it again afterwards"


async def _copy(connection: AsyncConnection, one: MonthlyTable, state: Any, coming: Sequence[Month]) -> int:
    """Makes the partitioned copy, with the rows, indexes, foreign keys and rights of the table; returns the rows."""
    name, by, copy = one.table.fullname, identifier(one.by), f"{_COPY}.{identifier(one.table.name)}"
    columns = ", ".join(identifier(column) for column in state["columns"])
    found = await connection.scalars(
        text(
            f"SELECT DISTINCT date_trunc('month', {by}::timestamptz AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' FROM {name} "
            f"WHERE isfinite({by}) AND {by} < '{coming[-1].after(1).start}' ORDER BY 1 DESC LIMIT {MOST}"
        )
    )
    months = sorted({*coming, *map(Month.of, found)})
    await connection.execute(text(f"CREATE SCHEMA {_COPY}"))
    kept = " ".join(
        f"INCLUDING {what}"
        for what in ("COMMENTS", "CONSTRAINTS", "DEFAULTS", "GENERATED", "IDENTITY", "STATISTICS", "STORAGE")
    )
    await connection.execute(text(f"CREATE TABLE {copy} (LIKE {name} {kept}) PARTITION BY RANGE ({by})"))
    for month in months:
        bounds = f"FOR VALUES FROM ('{month.start}') TO ('{month.after(1).start}')"
        part = f"{_COPY}.{identifier(month.partition(one.table))}"
        await connection.execute(text(f"CREATE TABLE {part} PARTITION OF {copy} {bounds}"))
    rest = f"{_COPY}.{identifier(f'{one.table.name}_{DEFAULT}')}"
    await connection.execute(text(f"CREATE TABLE {rest} PARTITION OF {copy} DEFAULT"))
    result = await connection.execute(
        text(f"INSERT INTO {copy} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {name}")
    )
    for index in (await connection.execute(_INDEXES, {"name": name})).mappings():
        await connection.execute(text(_index(index, one, copy, timed=state["timed"])))
    for key, definition in await connection.execute(_FOREIGN_KEYS, {"name": name}):
        await connection.execute(text(f"ALTER TABLE {copy} ADD CONSTRAINT {identifier(key)} {definition}"))
    for grant in await connection.scalars(_GRANTS, {"name": name}):
        await connection.execute(text(grant.replace("{t}", copy)))
    if state["comment"]:
        await connection.execute(text(f"COMMENT ON TABLE {copy} IS {literal(state['comment'])}"))
    return result.rowcount


def _index(index: Any, one: MonthlyTable, copy: str, *, timed: bool) -> str:
    """The statement that makes an index, or the constraint that it enforces, on the copy. A unique one gets the time:
    uniqueness is kept within partitions alone.

    Raises:
        SetupError: It is unique over a part of the rows, or over expressions.
    """
    if not index["is_unique"]:
        return _ON.sub(lambda _: f" ON {copy} USING ", index["sql"], count=1)
    if index["special"]:
        raise SetupError(f"{one.table.fullname} cannot be partitioned: {index['name']} is unique over a part of it")
    columns = ", ".join(identifier(column) for column in dict.fromkeys([*index["columns"], one.by]))
    if index["kind"] is None:
        return f"CREATE UNIQUE INDEX {identifier(index['name'])} ON {copy} ({columns})"
    kind = "PRIMARY KEY" if index["kind"] == "p" and timed else "UNIQUE"
    return f"ALTER TABLE {copy} ADD CONSTRAINT {identifier(index['name'])} {kind} ({columns})"
