"""Names of relations and labels of enums, of the models and of a database, for comparison.

Migrations (`db.migrations.compare`) and attaching (`db.attach`) both use it; a difference leads to a migration's
statements in one, and to a report in the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import text

from db.base.vocabulary import Entity, Labels, enum_types, is_own

EnumLabels = Mapping[str, tuple[str, ...]]
"""The name of an enum, with its schema unless ``public`` -> its labels, in order."""


def schemas(*, own: bool = True) -> tuple[str, ...]:
    """The schemas of the models' tables, ``public`` first; with the gateway's own unless ``own`` is False."""
    tables = [table for table in Entity.metadata.tables.values() if own or not is_own(table)]
    return ("public", *sorted({table.schema for table in tables if table.schema}))


PLATFORM_SCHEMAS = (
    "string_to_array(split_part(replace(current_setting('search_path'), '\"', ''), ', extensions', 1), ', ')"
)
"""SQL of the schemas in which the platform's tables are looked for, in order: those before ``extensions`` in the search
path, which the gateway sets (`db.engine.session`)."""
IN_SCHEMAS = f"(n.nspname = ANY (:schemas) OR n.nspname = ANY ({PLATFORM_SCHEMAS}))"
"""SQL of whether models name a namespace ``n``, or it is one of the platform's; with the binds of `named_in_models`."""


def named_in_models() -> dict[str, list[str]]:
    """The schemas that models name, and the names of tables and enums with them, as binds for the statements here."""
    tables = {name: table.schema for name, table in Entity.metadata.tables.items() if table.schema}
    enums = {enum_name(labels): labels.pg_schema for labels in enum_types() if labels.pg_schema}
    return {"schemas": sorted({*tables.values(), *enums.values()}), "qualified": sorted({*tables, *enums})}


def relation_name(name: str = "c.relname", visible: str = "pg_table_is_visible(c.oid)", n: str = "n") -> str:
    """SQL of a relation's name as in the models, in a namespace ``n``: with its schema where models name that, by the
    binds of `named_in_models`.

    Of several schemas of the platform's the first that has the name counts, which ``visible`` tells where the role may
    use them. A cast to regclass would fail without rights.
    """
    return (
        f"CASE WHEN {n}.nspname = ANY ({PLATFORM_SCHEMAS}) "
        f"AND {n}.nspname || '.' || {name} <> ALL (CAST(:qualified AS text[])) "
        f"AND ({visible} OR NOT has_schema_privilege({n}.oid, 'USAGE')) THEN '' ELSE {n}.nspname || '.' END || {name}"
    )


def is_schema_of(name: str) -> str:
    """SQL of whether a namespace ``n`` is that of a table or function with a name as in the models, itself SQL."""
    return (
        f"CASE WHEN {name} LIKE '%.%' THEN n.nspname = split_part({name}, '.', 1) "
        f"ELSE n.nspname = ANY ({PLATFORM_SCHEMAS}) END"
    )


_STORES = """
        SELECT p.* FROM pg_class AS p WHERE p.oid = c.oid AND c.relkind <> 'p'
        UNION ALL
        SELECT p.* FROM pg_partition_tree(c.oid) AS t JOIN pg_class AS p ON p.oid = t.relid
        WHERE t.isleaf AND c.relkind = 'p'
"""
STORED = f"JOIN LATERAL ({_STORES}) AS p ON true"
"""SQL that joins the tables ``p`` that store the rows of a table ``c``: itself, or its partitions."""
ANALYZED = f"""JOIN LATERAL ({_STORES}
        UNION ALL
        SELECT p.* FROM pg_class AS p WHERE p.oid = c.oid AND c.relkind = 'p' AND NOT EXISTS (
            SELECT FROM pg_partition_tree(c.oid) AS t WHERE t.isleaf AND has_any_column_privilege(t.relid, 'SELECT')
        )
    ) AS p ON true
    JOIN pg_namespace AS m ON m.oid = p.relnamespace
    JOIN pg_stats AS s ON s.schemaname = m.nspname AND s.tablename = p.relname AND s.inherited = (p.relkind = 'p')"""
"""SQL that joins the statistics ``s`` of a table ``c``: of the tables ``p`` that store its rows, since autovacuum
analyzes these alone; those of a partitioned table, if somebody has analyzed it, where the role may read no partition.
"""

DOMAINS = """(
        WITH RECURSIVE d AS (
            SELECT oid, typbasetype AS base, typtypmod AS modifier, typnotnull AS not_null,
                typdefault IS NOT NULL AS has_default
            FROM pg_type WHERE typtype = 'd'
            UNION ALL
            SELECT d.oid, t.typbasetype, t.typtypmod, d.not_null OR t.typnotnull,
                d.has_default OR t.typdefault IS NOT NULL
            FROM d JOIN pg_type AS t ON t.oid = d.base AND t.typtype = 'd'
        )
        SELECT d.* FROM d JOIN pg_type AS t ON t.oid = d.base AND t.typtype <> 'd'
    )"""
"""SQL of the domains of a database, those over other domains too: the type and modifier that each has in the end, and
what any of them says of nulls and defaults. In results and before operators a value has that type."""


def enum_name(labels: type[Labels]) -> str:
    """An enum's SQL name."""
    return f"{labels.pg_schema}.{labels.pg_name}" if labels.pg_schema else str(labels.pg_name)


ENUMS = text(f"""
    SELECT {relation_name("t.typname", "pg_type_is_visible(t.oid)")},
        array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
    FROM pg_type AS t
    JOIN pg_enum AS e ON e.enumtypid = t.oid
    JOIN pg_namespace AS n ON n.oid = t.typnamespace
    WHERE {IN_SCHEMAS}
    GROUP BY 1
""")
"""The enums of those schemas, by the binds of `named_in_models`; :func:`enum_labels` reads its rows."""


def enum_labels(rows: Iterable[Sequence[Any]]) -> EnumLabels:
    """The enums of a database, from the rows of `ENUMS`."""
    return {name: tuple(labels) for name, labels in rows}


def enums_of_models() -> EnumLabels:
    """The enums of the models, including those without a column."""
    return {enum_name(labels): tuple(member.value for member in labels) for labels in enum_types()}
