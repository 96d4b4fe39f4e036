"""Detecting changes of a database's schema: one digest of all parts of its catalog that the graph depends on."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.attach.compare import FUNCTIONS
from db.base.system_catalog import IN_SCHEMAS, PLATFORM_SCHEMAS, named_in_models
from db.base.vocabulary import Entity

# Each line is one fact, by values, since rewriting or analyzing a table does not change its schema. Objects without a
# short value (a view's query, a function's body, an index) are represented by the version of their row or by their oid.
_DIGEST = text(f"""
    WITH known AS MATERIALIZED (
        SELECT c.oid, n.nspname || '.' || c.relname AS name, c.relkind::text AS kind, c.relnamespace, c.relrowsecurity
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE {IN_SCHEMAS} AND c.relname = ANY (:names) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    ), facts (fact) AS (
        SELECT concat_ws('|', 'table', name, kind, relrowsecurity,
            has_schema_privilege(relnamespace, 'USAGE') AND has_any_column_privilege(oid, 'SELECT'))
        FROM known
        UNION ALL
        SELECT concat_ws('|', 'column', k.oid, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.atthasdef,
            a.attgenerated, a.attidentity)
        FROM known AS k
        JOIN pg_attribute AS a ON a.attrelid = k.oid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT concat_ws('|', 'view', r.ev_class, r.xmin) FROM known AS k JOIN pg_rewrite AS r ON r.ev_class = k.oid
        UNION ALL
        SELECT concat_ws('|', 'index', i.indexrelid, i.indisvalid)
        FROM known AS k JOIN pg_index AS i ON i.indrelid = k.oid
        UNION ALL
        SELECT concat_ws('|', 'constraint', o.oid, o.convalidated)
        FROM known AS k JOIN pg_constraint AS o ON o.conrelid = k.oid
        UNION ALL
        SELECT concat_ws('|', 'trigger', t.oid, t.tgenabled, t.xmin, p.oid, p.xmin)
        FROM known AS k
        JOIN pg_trigger AS t ON t.tgrelid = k.oid
        JOIN pg_proc AS p ON p.oid = t.tgfoid
        WHERE NOT t.tgisinternal
        UNION ALL
        SELECT concat_ws('|', 'label', e.enumtypid, e.enumlabel, e.enumsortorder)
        FROM pg_enum AS e
        JOIN pg_type AS t ON t.oid = e.enumtypid
        JOIN pg_namespace AS n ON n.oid = t.typnamespace
        WHERE {IN_SCHEMAS}
        UNION ALL
        SELECT concat_ws('|', 'function', p.oid, p.proname, p.xmin)
        FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname = ANY ({PLATFORM_SCHEMAS}) AND p.proname = ANY (:functions)
        UNION ALL
        SELECT concat_ws('|', 'schema', n.nspname, has_schema_privilege(n.oid, 'USAGE'))
        FROM pg_namespace AS n WHERE {IN_SCHEMAS}
        UNION ALL
        SELECT concat_ws('|', 'extension', extname, extversion, extnamespace) FROM pg_extension WHERE extname = 'vector'
    )
    SELECT md5(coalesce(string_agg(fact, E'\\n' ORDER BY fact COLLATE "C"), '')) FROM facts
""")


async def digest(connection: AsyncConnection) -> str:
    """The digest of tables, columns, views, indexes, constraints, triggers, labels, functions and rights on them.

    Every role may read them; it takes milliseconds, whatever the number of rows.

    Raises:
        sqlalchemy.exc.DBAPIError: The database cannot be reached, or refuses a statement.
    """
    tables = Entity.metadata.tables.values()
    known = {**named_in_models(), "names": sorted({table.name for table in tables}), "functions": list(FUNCTIONS)}
    return str(await connection.scalar(_DIGEST, known))
