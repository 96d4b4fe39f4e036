"""The suite on the platform's own database: with ``TEST_PLATFORM=1`` every database of the tests is one of that shape.

It has the columns, types, constraints, indexes, triggers, functions, labels and row level security of the facts in
``spec/``; the gateway has attached to it, and serves in a role that `e2i-gateway db role` made. The rows are the ones
that the demo has on a database of our own making, so that answers can be compared with what is written in the tests.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping

import asyncpg
from sqlalchemy import DefaultClause, TextClause

from db.base.vocabulary import Entity
from db.embedded.server import GATEWAY_ROLE
from db.models.shared import AgentName
from db.store.grants import grants
from tests.support import platform_db

IS_PLATFORM = os.environ.get("TEST_PLATFORM") == "1"

POLICED = ("ml_shap_analyses", "roi_calculations", "roi_value_driver_details", "roi_cost_details")
"""Tables whose rows only those see whom a policy lets."""

_COLUMNS = """
    SELECT c.oid::regclass::text, array_agg(a.attname::text ORDER BY a.attnum)
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    WHERE c.relkind = 'r' AND (
        c.relnamespace IN ('public'::regnamespace, 'ml'::regnamespace) OR c.oid = 'gateway.lifecycle_events'::regclass
    )
    GROUP BY c.oid
"""
_SEQUENCES = """
    SELECT setval('ml_cohort_eligibility_log_log_id_seq', 1 + coalesce(max(log_id), 0), false)
    FROM ml_cohort_eligibility_log
"""
# where one row alone of an agent's predictor may be out of use, the others are of predictors of their own
_ONE_OUT_OF_USE = """
    CREATE FUNCTION pg_temp.one_out_of_use() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (
            SELECT FROM optimized_instructions AS o
            WHERE (o.agent_name, o.predictor_name) = (NEW.agent_name, NEW.predictor_name)
              AND o.is_active IS NOT DISTINCT FROM NEW.is_active
        ) THEN
            NEW.predictor_name := NEW.predictor_name || '_' || left(NEW.instruction_id::text, 8);
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER a BEFORE INSERT ON optimized_instructions
        FOR EACH ROW EXECUTE FUNCTION pg_temp.one_out_of_use();
    ALTER TABLE optimized_instructions ENABLE ALWAYS TRIGGER a;
"""


async def build(connection: asyncpg.Connection, owner: asyncpg.Connection) -> None:
    """Builds the platform's schema, the owner's, in an empty database; ``connection`` is a superuser's."""
    await connection.execute("CREATE SCHEMA extensions; CREATE EXTENSION vector SCHEMA extensions")
    await connection.execute("GRANT USAGE ON SCHEMA extensions TO PUBLIC")
    agents = [agent.value for agent in AgentName]  # the dictionary leaves them to another chapter
    await platform_db.build(
        owner, rows=False, vector_schema="extensions", own=True, labels={str(AgentName.pg_name): agents}
    )
    for statement in _defaults():
        await owner.execute(statement)
    for table in POLICED:
        await owner.execute(
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;"
            f"CREATE POLICY served ON {table} TO {GATEWAY_ROLE} USING (true) WITH CHECK (true)"
        )


def _defaults() -> Iterator[str]:
    """The defaults of the data dictionary, where the facts say that there is one; they do not say which."""
    for table, columns in platform_db.tables().items():
        for column in columns:
            known = Entity.metadata.tables[table].columns.get(column.name)
            if column.default == "yes" and known is not None and isinstance(known.server_default, DefaultClause):
                value = str(known.server_default.arg)
                quoted = value if isinstance(known.server_default.arg, TextClause) else f"'{value}'"
                yield f"ALTER TABLE {table} ALTER COLUMN {column.name} SET DEFAULT {quoted}"


async def grant(owner: asyncpg.Connection) -> None:
    """Gives the gateway's role what `e2i-gateway db role` says."""
    await owner.execute(grants(GATEWAY_ROLE))


async def fill(connection: asyncpg.Connection, source: asyncpg.Connection) -> None:
    """Copies the rows of a database of our own making, as they are; both connections are a superuser's."""
    known = await _columns(connection)
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(_ONE_OUT_OF_USE)
        for table, columns in (await _columns(source)).items():
            common = [column for column in columns if column in known[table]]
            schema, _, name = table.rpartition(".")
            rows = io.BytesIO()
            place = {"schema_name": schema or "public", "columns": common}
            await source.copy_from_table(name, output=rows, **place)
            rows.seek(0)
            await connection.copy_to_table(name, source=rows, **place)
        await connection.execute("DROP TRIGGER a ON optimized_instructions")
        await connection.execute(_SEQUENCES)


async def _columns(connection: asyncpg.Connection) -> Mapping[str, list[str]]:
    return {table: list(columns) for table, columns in await connection.fetch(_COLUMNS)}
