"""A database with a long history: the demo data, more services and models, and as many rows of the past as are wanted.

Every table that grows has its rows at the same number a day, however long the history is: a serving metric of each of
`SERVICES` services every `TICK` seconds, twenty million of them in a year, and other tables in proportion. The newest
rows are of the present day.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg

from db.demo import load
from db.embedded.server import OWNER_ROLE, EmbeddedPostgres
from db.migrations import setup
from db.store import alerts
from tests.support.changing import add
from tests.support.databases import connect, execute

SERVICES, MODELS = 50, 2_000
TICK = 79
SERVICE, MODEL = "grown service", "grown model"
GROWING = (
    "ml_bentoml_serving_metrics", "ml_drift_history", "ml_performance_metrics", "ml_monitoring_alerts",
    "ml_observability_spans", "gateway.lifecycle_events", "gateway.live_log",
)  # fmt: skip
SETTINGS = {
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "8GB",
    "maintenance_work_mem": "512MB", "autovacuum": "off", "wal_level": "minimal", "max_wal_senders": "0",
    "shared_buffers": "512MB",
}  # fmt: skip
"""Of a server that need not survive a crash, and has the memory that a database of this size is given."""

_SERVICES = f"(SELECT id FROM ml_bentoml_services WHERE service_name LIKE '{SERVICE}%') AS s"
_MODELS = f"""(
        SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM ml_model_registry WHERE model_name LIKE '{MODEL}%'
    ) AS m"""
_ROWS = f"""
    INSERT INTO ml_bentoml_serving_metrics (service_id, recorded_at, requests_total, successful_requests,
        avg_latency_ms, p50_latency_ms, p95_latency_ms, p99_latency_ms, error_rate, memory_mb)
    SELECT s.id, {{newest}} - n * interval '{TICK} seconds', n % 1000, n % 990, 5 + random() * 90, 5 + random() * 40,
        50 + random() * 50, 80 + random() * 60, random() / 50, 400 + n % 300
    FROM generate_series({{first}} / {SERVICES}, {{last}} / {SERVICES} - 1) AS n, {_SERVICES};
    INSERT INTO ml_drift_history (model_id, drift_type, test_type, baseline_start, baseline_end, current_start,
        current_end, severity, drift_detected, created_at)
    SELECT m.id, (enum_range(NULL::drift_type_enum))[1 + n % 3], (enum_range(NULL::statistical_test_enum))[1],
        t - interval '2 day', t - interval '1 day', t - interval '1 day', t, 'low', false, t
    FROM generate_series({{first}} / 20 / {MODELS}, {{last}} / 20 / {MODELS} - 1) AS n, {_MODELS},
        LATERAL (SELECT {{newest}} - n * interval '17 hours' AS t) AS at;
    INSERT INTO ml_performance_metrics (model_id, metric_name, metric_value, measured_at)
    SELECT m.id, 'roc_auc', 0.7 + random() / 5, {{newest}} - n * interval '210 minutes'
    FROM generate_series({{first}} / 4 / {MODELS}, {{last}} / 4 / {MODELS} - 1) AS n, {_MODELS};
    INSERT INTO ml_monitoring_alerts (alert_type, title, severity, status, message, model_id, created_at, updated_at)
    SELECT 'error', 'alert ' || n, (enum_range(NULL::drift_severity_enum))[1 + n % 5],
        CASE WHEN n < 1000 AND n % 3 = 0 THEN 'active' ELSE 'resolved' END::alert_status_enum, repeat('m', 200), m.id,
        t, t
    FROM generate_series({{first}} / 64, {{last}} / 64 - 1) AS n JOIN {_MODELS} ON m.place = n % {MODELS},
        LATERAL (SELECT {{newest}} - n * interval '100 seconds' AS t) AS at;
    INSERT INTO ml_observability_spans (trace_id, span_id, agent_name, agent_tier, started_at, duration_ms, session_id)
    SELECT 't' || n / 8, 's' || n, (enum_range(NULL::agent_name_enum))[1 + n % 11],
        (enum_range(NULL::agent_tier_enum))[1 + n % 11 % 5], {{newest}} - n * interval '6 seconds', 20 + n % 1973,
        md5((n / 40)::text)::uuid
    FROM generate_series({{first}} / 4, {{last}} / 4 - 1) AS n;
    INSERT INTO gateway.lifecycle_events (change_id, mutation, node_id, node_type, lifecycle, actor, occurred_at)
    SELECT gen_random_uuid(), 'm', 'Model:' || n % 50000, 'Model', 'stage', 'actor ' || n % 40,
        {{newest}} - n * interval '30 seconds'
    FROM generate_series({{first}} / 20, {{last}} / 20 - 1) AS n;
    INSERT INTO gateway.live_log (topic, facts) SELECT 'lifecycle', '{{{{}}}}'
    FROM generate_series({{first}} / 20, {{last}} / 20 - 1) AS n
"""
"""Rows from so many serving metrics to so many, further and further back."""

_INDEXES = """
    SELECT CASE WHEN k.oid IS NULL THEN format('DROP INDEX %s', i.indexrelid::regclass)
            ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', i.indrelid::regclass, k.conname) END,
        CASE WHEN k.oid IS NULL THEN pg_get_indexdef(i.indexrelid)
            ELSE format('ALTER TABLE %s ADD CONSTRAINT %I %s', i.indrelid::regclass, k.conname,
                pg_get_constraintdef(k.oid)) END
    FROM pg_index AS i LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid
    WHERE i.indrelid = ANY ($1::text[]::regclass[])
        AND NOT EXISTS (SELECT FROM pg_constraint AS f WHERE f.conindid = i.indexrelid AND f.contype = 'f')
"""


async def begin(server: EmbeddedPostgres, database: str) -> None:
    """Makes a database with the demo data and the parents of what grows."""
    await setup.prepare_embedded(server, database)
    async with setup.connect(server.url(database, OWNER_ROLE)) as connection:
        await load(connection, size="small", now=today())
        await connection.commit()
    async with connected(server, database) as sql:
        await add_parents(sql)


@asynccontextmanager
async def connected(server: EmbeddedPostgres, database: str) -> AsyncIterator[asyncpg.Connection]:
    """The superuser's connection to a database."""
    sql = await connect(server.url(database, server.admin_role))
    try:
        yield sql
    finally:
        await sql.close()


async def add_parents(sql: asyncpg.Connection) -> None:
    """Adds the services and models that the rows of `grow` are of."""
    for number in range(SERVICES):
        await add(sql, "ml_bentoml_services", service_name=f"{SERVICE} {number}")
    first = await add(sql, "ml_model_registry", model_name=f"{MODEL} 0", stage="production")
    await sql.execute(
        f"""INSERT INTO ml_model_registry SELECT (json_populate_record(
            m, json_build_object('id', gen_random_uuid(), 'model_name', '{MODEL} ' || n))).*
        FROM ml_model_registry AS m, generate_series(1, {MODELS - 1}) AS n WHERE m.id = $1""",
        first,
    )


def today() -> datetime:
    """The begin of the present day in UTC: the time of the newest rows."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def configure(server: EmbeddedPostgres) -> None:
    """Sets `SETTINGS`, which hold from the server's next start."""
    for name, value in SETTINGS.items():
        await execute(server.url("postgres", server.admin_role), f"ALTER SYSTEM SET {name} = '{value}'")


async def grow(sql: asyncpg.Connection, first: int, last: int) -> None:
    """Adds the rows of another stretch of the past to every table that grows; their indexes are made anew."""
    indexes = await sql.fetch(_INDEXES, list(GROWING))
    for drop, _ in indexes:
        await sql.execute(drop)
    await sql.execute("SET session_replication_role = replica")
    rows = _ROWS.format(newest=f"timestamptz '{today()}'", first=f"{first}::bigint", last=f"{last}::bigint")
    for statement in rows.split(";\n"):
        await sql.execute(statement)
    await sql.execute("SET session_replication_role = origin")
    for _, create in indexes:
        await sql.execute(create)
    look = alerts.AlertsLook()
    look.unfinished = True
    while look.unfinished:
        try:
            await look.step(sql)
        except asyncpg.QueryCanceledError:  # on a machine that does other things: less at once
            look.failed()
            look.unfinished = True
    await sql.execute("VACUUM ANALYZE")
