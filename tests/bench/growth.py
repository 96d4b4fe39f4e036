"""`make bench-growth`: what questions read of a database, and of the same database with a longer history.

Questions that are marked flat must read no more than `MOST` times as many buffers when every table that grows has
`TIMES` times its rows, at the same number of rows a day: else it ends with 1. The others are shown beside them.
Statements are those that the gateway sends, explained by Postgres; times are not measured. The database is made anew
each time in a folder that is thrown away: a minute for a million rows in the end (``--rows``).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from db.embedded.server import ADMIN_ROLE, GATEWAY_ROLE, start
from db.migrations import setup
from db.store import alerts, own_rows
from tests.support.changing import add
from tests.support.client import Client, serving
from tests.support.databases import connect
from tests.support.plans import Statement, plan, recording

DATABASE = "growth"
MOST = 1.5
LEAST = 20
"""Buffers below which a question is flat whatever it reads."""
TIMES = 10
SERVICES, MODELS = 50, 200
NEWEST = "timestamptz '2026-06-01'"


@dataclass(frozen=True)
class Question:
    """What is asked, and whether it should cost the same whatever the length of the history."""

    name: str
    document: str
    flat: bool = True


QUESTIONS = (
    Question("a page in the default order", "{ servingMetrics(first: 50) { nodes { id recordedAt } } }"),
    Question("a page behind a cursor in the past", "{ servingMetrics(first: 50, after: $after) { nodes { id } } }"),
    Question("a page with the number of all rows", "{ servingMetrics(first: 50) { totalCount nodes { id } } }"),
    Question(
        "fifty services with their newest five",
        "{ bentoServices(first: 50) { nodes { id metrics(first: 5) { nodes { id recordedAt } } } } }",
    ),
    Question("a row by its id", '{ servingMetric(id: "$metric") { id service { id } } }'),
    Question(
        "one service's six hours by hour",
        """{ servingMetrics(where: { serviceId: { eq: "$service" },
             recordedAt: { gte: "2026-05-31T18:00:00Z", lt: "2026-06-01T00:00:00Z" } }) {
             aggregate(groupBy: [{ field: RECORDED_AT, bucket: HOUR }]) { count avgLatencyMs { avg } } } }""",
    ),
    Question(
        "open critical alerts, newest first",
        """{ monitoringAlerts(first: 20, where: { status: { eq: ACTIVE }, severity: { eq: CRITICAL } }) {
             nodes { id } } }""",
    ),
    Question("health of a model", '{ model(id: "$model") { health { healthStatus activeAlerts } } }'),
    Question("drift of a model", '{ model(id: "$model") { driftStatus(first: 3) { nodes { lastChecked } } } }'),
    Question("the newest spans", "{ observabilitySpans(first: 50) { nodes { id startedAt } } }"),
    Question("changes of a row", '{ lifecycleEvents(first: 20, where: { nodeId: { eq: "$node" } }) { nodes { id } } }'),
    Question(
        "everything by day",
        "{ servingMetrics { aggregate(groupBy: [{ field: RECORDED_AT, bucket: DAY }]) { count } } }",
        flat=False,
    ),
    Question(
        "health of all models, filtered",
        '{ modelHealths(first: 20, where: { healthStatus: { eq: "critical" } }) { nodes { modelId } } }',
    ),
    Question("newest drift status of all models", "{ driftStatuses(first: 20) { nodes { modelId lastChecked } } }"),
)  # fmt: skip

FILL = f"""
    INSERT INTO ml_bentoml_serving_metrics (service_id, recorded_at, requests_total, avg_latency_ms)
    SELECT s.id, {NEWEST} - n * interval '1 minute', n % 1000, n % 97
    FROM generate_series($1::bigint / {SERVICES}, $2::bigint / {SERVICES} - 1) AS n, ml_bentoml_services AS s;
    INSERT INTO ml_drift_history (model_id, drift_type, test_type, baseline_start, baseline_end, current_start,
        current_end, severity, drift_detected, created_at)
    SELECT m.id, (enum_range(NULL::drift_type_enum))[1 + n % 3], (enum_range(NULL::statistical_test_enum))[1],
        t - interval '2 day', t - interval '1 day', t - interval '1 day', t, 'low', false, t
    FROM generate_series($1::bigint / 10 / {MODELS}, $2::bigint / 10 / {MODELS} - 1) AS n, ml_model_registry AS m,
        LATERAL (SELECT {NEWEST} - n * interval '6 hours' AS t) AS at;
    INSERT INTO ml_performance_metrics (model_id, metric_name, metric_value, measured_at)
    SELECT m.id, 'roc_auc', 0.8, {NEWEST} - n * interval '6 hours'
    FROM generate_series($1::bigint / 10 / {MODELS}, $2::bigint / 10 / {MODELS} - 1) AS n, ml_model_registry AS m;
    INSERT INTO ml_monitoring_alerts (alert_type, title, severity, status, message, model_id, created_at, updated_at)
    SELECT 'error', 'alert ' || n, (enum_range(NULL::drift_severity_enum))[1 + n % 5],
        CASE WHEN n < 1000 AND n % 3 = 0 THEN 'active' ELSE 'resolved' END::alert_status_enum, repeat('m', 200), m.id,
        t, t
    FROM generate_series($1::bigint / 10, $2::bigint / 10 - 1) AS n
    JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM ml_model_registry) AS m
        ON m.place = n % {MODELS},
        LATERAL (SELECT {NEWEST} - n * interval '10 minutes' AS t) AS at;
    INSERT INTO ml_observability_spans (trace_id, span_id, agent_name, agent_tier, started_at)
    SELECT 't' || n, 's' || n, (enum_range(NULL::agent_name_enum))[1 + n % 5], (enum_range(NULL::agent_tier_enum))[1],
        {NEWEST} - n * interval '1 second'
    FROM generate_series($1::bigint / 4, $2::bigint / 4 - 1) AS n;
    INSERT INTO gateway.lifecycle_events (change_id, mutation, node_id, node_type, lifecycle, actor, occurred_at)
    SELECT gen_random_uuid(), 'm', 'Model:' || n % 50000, 'Model', 'stage', 'a', {NEWEST} - n * interval '1 minute'
    FROM generate_series($1::bigint / 10, $2::bigint / 10 - 1) AS n;
    INSERT INTO gateway.live_log (topic, facts) SELECT 'lifecycle', '{{}}'
    FROM generate_series($1::bigint / 10, $2::bigint / 10 - 1) AS n
"""
"""Rows from so many to so many, further and further back."""


async def fill(sql: asyncpg.Connection, first: int, last: int) -> None:
    """Adds the rows of another stretch of the past to every table that grows."""
    await sql.execute("SET session_replication_role = replica")
    for statement in FILL.split(";\n"):
        text = statement.replace("$1", str(first)).replace("$2", str(last))
        await sql.execute(text)
    await sql.execute("SET session_replication_role = origin")
    look = alerts.AlertsLook()
    look.unfinished = True
    while look.unfinished:
        try:
            await look.step(sql)
        except asyncpg.QueryCanceledError:  # on a machine that does other things: less at once
            look.failed()
            look.unfinished = True
    await sql.execute("VACUUM ANALYZE")


async def statements(client: Client, values: Mapping[str, str]) -> dict[str, Sequence[Statement]]:
    """What is sent for each question, and what the gateway does by itself."""
    found: dict[str, Sequence[Statement]] = {}
    for one in QUESTIONS:
        document = one.document
        for name, value in values.items():
            document = document.replace(f"${name}", value)
        with recording() as sent:
            await client.data(document)
        found[one.name] = list(sent)
    return found


def of_the_gateway(horizon: int) -> dict[str, Statement]:
    """What the gateway asks by itself: whatever these read, they read once a minute or an hour."""
    log = "gateway.live_log"
    return {
        "the look for alerts: the newest": Statement(alerts.newest("FIRST"), (horizon, True)),
        "the look for alerts: a part": Statement(alerts.PART, (horizon, True, "(0,0)", f"({alerts.PAGES // 10},0)")),
        "what is over of the live log": Statement(own_rows.take(log, own_rows.over(24)[log]), ("1000",)),
    }


async def buffers(sql: asyncpg.Connection, sent: Sequence[Statement]) -> int:
    """How many buffers some statements read, the second time that they are run; their effects are undone."""
    total = 0
    for statement in sent:
        transaction = sql.transaction()
        await transaction.start()
        await plan(sql, statement, options="ANALYZE, ")
        (top, *_) = await plan(sql, statement, options="ANALYZE, BUFFERS, ")
        await transaction.rollback()
        total += top["Shared Hit Blocks"] + top["Shared Read Blocks"]
    return total


async def measured(sql: asyncpg.Connection, url: str) -> dict[str, int]:
    """The buffers of every question."""
    service, model = [
        str(await sql.fetchval(f"SELECT id FROM {table} ORDER BY id LIMIT 1"))
        for table in ("ml_bentoml_services", "ml_model_registry")
    ]
    metric = str(await sql.fetchval("SELECT id FROM ml_bentoml_serving_metrics LIMIT 1"))
    async with serving(url) as client:
        page = await client.data("{ servingMetrics(first: 900) { pageInfo { endCursor } } }")
        after = f'"{page["servingMetrics"]["pageInfo"]["endCursor"]}"'
        values = {"service": service, "model": model, "metric": metric, "after": after, "node": "Model:77"}
        found = await statements(client, values)
    horizon: int = await sql.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    own = {name: [statement] for name, statement in of_the_gateway(horizon).items()}
    return {name: await buffers(sql, sent) for name, sent in {**found, **own}.items()}


def table(before: Mapping[str, int], after: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """The lines of the table, and the questions that are not as flat as they are said to be."""
    growing = {one.name for one in QUESTIONS if not one.flat}
    lines, failed = [f"{'question':<42} {'before':>8} {'after':>8} {'times':>7}"], []
    for name, first in before.items():
        times = max(after[name], LEAST) / max(first, LEAST)
        if name not in growing and times > MOST:
            failed.append(name)
        mark = "" if name not in growing else "  (grows)"
        lines.append(f"{name:<42} {first:>8} {after[name]:>8} {times:>7.2f}{mark}")
    return lines, failed


async def run(rows: int, folder: Path) -> int:
    """Measures, grows, measures again; the exit status."""
    with start(folder / "data") as server:
        await setup.prepare_embedded(server, DATABASE)
        owner, gateway = (server.url(DATABASE, role) for role in (ADMIN_ROLE, GATEWAY_ROLE))
        sql = await connect(owner)
        try:
            for _ in range(SERVICES):
                await add(sql, "ml_bentoml_services")
            for _ in range(MODELS):
                await add(sql, "ml_model_registry", stage="production")
            await fill(sql, 0, rows // TIMES)
            before = await measured(sql, gateway)
            await fill(sql, rows // TIMES, rows)
            after = await measured(sql, gateway)
        finally:
            await sql.close()
    lines, failed = table(before, after)
    sys.stdout.write(f"Buffers at {rows // TIMES:,} and {rows:,} serving metrics, other tables in proportion\n")
    sys.stdout.write("\n".join(lines) + "\n")
    for name in failed:
        sys.stdout.write(f"NOT FLAT: {name}: more than {MOST} times\n")
    return 1 if failed else 0


def main() -> int:
    """Reads the arguments, and runs in a folder that is thrown away."""
    parser = argparse.ArgumentParser(prog="make bench-growth", description=__doc__)
    parser.add_argument(
        "--rows",
        type=int,
        default=1_000_000,
        help="serving metrics in the end, 200,000 or more",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="e2i-growth-") as folder:
        return asyncio.run(run(options.rows, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
