"""Tables that are partitioned by month answer, record and forget as they did before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from db.attach import facts
from db.attach.attach import inspect
from db.migrations import setup
from db.migrations.partition import partition
from db.migrations.setup import SetupError
from db.store.partitions import Month, partitions
from db.store.partitions import monthly_tables as monthly
from schema.execution.explain import explain
from schema.recording.retention import Policy, RetentionRun
from tests.support.changing import add
from tests.support.client import Client, same, serving
from tests.support.databases import Clone, Database, connect, connected
from tests.support.plans import plan, recording
from tests.support.rollups import make, sum_up

pytestmark = pytest.mark.slow

METRICS, SPANS = "ml_bentoml_serving_metrics", "ml_observability_spans"
NEWEST = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
BY_DAY = "aggregate(groupBy: [{ field: RECORDED_AT, bucket: DAY }]) { count avgLatencyMs { avg } group { recordedAt } }"


async def fill(sql: asyncpg.Connection) -> Sequence[str]:
    """Rows of a year, some of them without a time or far away from it."""
    services = [str(await add(sql, "ml_bentoml_services")) for _ in range(3)]
    await sql.execute(
        f"""INSERT INTO {METRICS} (service_id, recorded_at, requests_total, avg_latency_ms)
        SELECT ($1::uuid[])[1 + n % 3], CASE n WHEN 5 THEN NULL WHEN 6 THEN '1960-01-01Z' WHEN 7 THEN '2300-01-01Z'
            ELSE $2::timestamptz - n * interval '5 hours' END, n, n % 97 FROM generate_series(1, 1750) AS n""",
        services,
        NEWEST,
    )
    await sql.execute(
        f"""INSERT INTO {SPANS} (trace_id, span_id, agent_name, agent_tier, started_at, duration_ms)
        SELECT 't' || n / 3, 's' || n, (enum_range(NULL::agent_name_enum))[1 + n % 5],
            (enum_range(NULL::agent_tier_enum))[1], $1::timestamptz - n * interval '5 hours', n % 313
        FROM generate_series(1, 1750) AS n""",
        NEWEST,
    )
    await sql.execute("SELECT pg_stat_force_next_flush()")  # else these rows count as written after it
    await sql.execute("ANALYZE")
    return services


@pytest.fixture(scope="module")
async def plain(module_database: Database) -> Database:
    """A year of rows in tables that are not partitioned. Do not connect: clone it."""
    async with connected(module_database.admin_url) as sql:
        await fill(sql)
    return module_database


@pytest.fixture(scope="module")
async def parted(plain: Database, clone: Clone) -> AsyncIterator[Database]:
    """The same rows in partitions. Do not connect: clone it."""
    async with clone(plain) as copy:
        await partition(copy.owner_url, [METRICS, SPANS])
        yield copy


@pytest.fixture
async def own(parted: Database, clone: Clone) -> AsyncIterator[Database]:
    """A copy of the test's own."""
    async with clone(parted) as copy:
        yield copy


def questions(service: str, metric: str) -> Sequence[str]:
    """Every kind of question that reads a partitioned table."""
    of_service = f'serviceId: {{ eq: "{service}" }}'
    week = '{ gte: "now-40d", lt: "now-33d" }'
    return (
        "{ servingMetrics(first: 70) { totalCount nodes { id recordedAt service { id } } } }",
        "{ servingMetrics(last: 30, orderBy: [{ field: RECORDED_AT }]) { nodes { id recordedAt } } }",
        f'{{ servingMetric(id: "{metric}") {{ id recordedAt requestsTotal }} }}',
        "{ bentoServices { nodes { id metrics(first: 5) { totalCount nodes { id recordedAt } } } } }",
        "{ bentoServices { nodes { latestMetric { id } metricsSummary { requestsTotal maxMemoryMb } } } }",
        '{ bentoServices { nodes { metricsSummary(since: "now-40d", until: "now-33d") { requestsTotal } } } }',
        f"{{ servingMetrics {{ {BY_DAY} }} }}",
        f"{{ servingMetrics(where: {{ {of_service}, recordedAt: {week} }}) {{ totalCount {BY_DAY} }} }}",
        "{ observabilitySpans(first: 40) { nodes { id traceId startedAt } } }",
        '{ observabilitySpans(where: { traceId: { eq: "t7" } }) { nodes { spanId } } }',
        "{ agentLatency(windowHours: 2000) { nodes { agentName totalSpans p95Ms } } }",
        f'{{ lineage(from: ["{metric}"], direction: BOTH, maxDepth: 3) {{ nodes {{ node {{ id }} }} }} }}',
        f'{{ search(text: "{metric.partition(":")[2]}") {{ hits {{ node {{ id }} }} }} }}',
    )  # fmt: skip


async def test_answers_are_those_of_the_plain_table(plain: Database, own: Database) -> None:
    async with connected(own.admin_url) as sql:
        service, metric = await sql.fetchrow(
            f"SELECT service_id::text, 'ServingMetric:' || id FROM {METRICS} WHERE requests_total = 300"
        )
    async with serving(own.gateway_url) as client, serving(plain.gateway_url) as before:
        for query in questions(service, metric):
            found, wanted = await client.ask(query), await before.ask(query)
            assert "errors" not in wanted, query
            assert same(found.get("data"), wanted["data"], 1e-9), query
        pages = [await every_row(one) for one in (client, before)]
        assert pages[0] == pages[1]
        assert len(set(pages[0])) == 1750


async def every_row(client: Client) -> list[str]:
    """The ids of all metrics, page by page."""
    found: list[str] = []
    after: str | None = None
    while after is not None or not found:
        page = (await client.data(
            "query ($after: String) { servingMetrics(first: 400, after: $after) "
            "{ nodes { id } pageInfo { endCursor hasNextPage } } }",
            after=after,
        ))["servingMetrics"]  # fmt: skip
        found += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None
    return found


async def test_facts_and_prices_are_those_of_the_plain_table(plain: Database, own: Database) -> None:
    """Without an ANALYZE of the whole, which autovacuum never makes."""
    async with connected(own.admin_url) as sql:
        await sql.execute(
            f"DELETE FROM pg_statistic WHERE starelid = '{METRICS}'::regclass; "
            f"UPDATE pg_class SET reltuples = -1 WHERE oid = '{METRICS}'::regclass"
        )
        last = await sql.fetchval(f"SELECT max(recorded_at) FROM {METRICS} WHERE recorded_at < '2200-01-01'")
    read = [await _facts(one) for one in (own, plain)]
    parted, whole = read
    assert parted.rows[METRICS] == whole.rows[METRICS] == 1750
    assert parted.widths[METRICS].keys() == whole.widths[METRICS].keys()
    assert parted.partitioned[METRICS] == ("recorded_at",)
    for days, lasts in ((100, 10), (300, 40), (0, 31)):
        end = last.timestamp() - days * 86_400
        for one in (parted, whole):
            found = one.spreads[METRICS]["recorded_at"].rows(1750, end - lasts * 86_400, end)
            assert found == pytest.approx(lasts * 24 / 5, rel=0.2, abs=6)
    async with serving(own.gateway_url) as client, serving(plain.gateway_url) as before:
        for query in (
            '{ servingMetrics(first: 0, where: { recordedAt: { gte: "now-40d" } }) { aggregate { count } } }',
            "{ servingMetrics(first: 20) { totalCount nodes { id } } }",
            "{ servingMetrics(first: 5, where: { requestsTotal: { gt: 3 } }) { nodes { id } } }",
            '{ servingMetrics(where: { rowId: { eq: "00000000-0000-0000-0000-000000000001" } }) { nodes { id } } }',
        ):
            costs = [(await one.ask(query))["extensions"]["cost"]["requested"] for one in (client, before)]
            assert costs[0] == pytest.approx(costs[1], rel=0.2, abs=10), query


async def _facts(database: Database) -> facts.Facts:
    async with setup.connect(database.gateway_url) as connection:
        return await facts.read(connection)


@pytest.mark.parametrize(
    ("query", "least"),
    [
        ('{ bentoServices { nodes { metricsSummary(since: "now-40d", until: "now-33d") { requestsTotal } } } }', 1),
        ('{ servingMetrics(first: 5, where: { recordedAt: { gte: "now-40d", lt: "now-33d" } }) { nodes { id } } }', 1),
        ('{ servingMetrics(where: { recordedAt: { gte: "now-40d", lt: "now-33d" } }) { aggregate { count } } }', 1),
    ],
)  # fmt: skip
async def test_windows_read_their_months_alone(own: Database, query: str, least: int) -> None:
    async with connected(own.admin_url) as sql, serving(own.gateway_url) as client:
        with recording() as sent:
            await client.data(query)
        for statement in sent:
            await sql.execute("SET plan_cache_mode = force_generic_plan")
            nodes = await plan(sql, statement, options="ANALYZE, ")
            read = {
                node["Relation Name"]
                for node in nodes
                if node.get("Relation Name", "").startswith(METRICS) and node["Actual Loops"]
                and not node["Relation Name"].endswith("default")
            }  # fmt: skip
            assert least <= len(read) <= 2, sorted(read)


RECORD = """
    mutation ($key: String, $rows: [ServingMetricRow!]!) {
        recordServingMetrics(input: { rows: $rows, idempotencyKey: $key }) {
            ... on Recorded { inserted kept updated } ... on Problem { code message } } }
"""
SPAN = """
    mutation ($rows: [ObservabilitySpanRow!]!, $conflict: OnConflict) {
        recordObservabilitySpans(input: { rows: $rows, onConflict: $conflict }) {
            ... on Recorded { inserted kept updated } ... on Problem { code message } } }
"""


async def test_rows_are_recorded_once(own: Database) -> None:
    async with connected(own.admin_url) as sql, serving(own.gateway_url) as client:
        service = f"BentoService:{await sql.fetchval('SELECT id FROM ml_bentoml_services LIMIT 1')}"
        at = (NEWEST - timedelta(days=70)).isoformat()

        async def record(document: str, rows: Sequence[Mapping[str, Any]], **options: Any) -> Mapping[str, Any]:
            data = await client.data(document, rows=rows, **options)
            return next(iter(data.values()))

        rows = [{"service": {"id": service}, "recordedAt": at, "requestsTotal": 1}, {"service": {"id": service}}]
        assert (await record(RECORD, rows, key="a"))["inserted"] == 2
        assert (await record(RECORD, rows, key="a"))["inserted"] == 2  # replayed
        given = [{"id": "00000000-0000-0000-0000-00000000000a", **rows[0]}]
        assert (await record(RECORD, given))["inserted"] == 1
        assert (await record(RECORD, given))["code"] == "ROWS_REJECTED"
        assert await sql.fetchval(f"SELECT count(*) FROM {METRICS}") == 1753
        labels = await sql.fetchrow(f"SELECT agent_name::text AS name, agent_tier::text AS tier FROM {SPANS} LIMIT 1")
        span = {"traceId": "a", "spanId": "b", "agentName": labels["name"], "agentTier": labels["tier"].upper()}
        span["startedAt"] = at
        assert (await record(SPAN, [span], conflict="KEEP"))["inserted"] == 1
        assert (await record(SPAN, [span], conflict="KEEP"))["kept"] == 1
        assert (await record(SPAN, [{**span, "durationMs": 7}], conflict="UPDATE"))["updated"] == 1
        assert (await record(SPAN, [span]))["code"] == "ROWS_REJECTED"


async def ran(database: Database, policy: bytes) -> list[str]:
    told: list[str] = []
    async with setup.connect(database.owner_url) as connection:
        await RetentionRun(connection, told.append, applies=True, live_hours=24, seconds=60).run(Policy.read(policy))
    return told


async def test_retention_drops_whole_months(own: Database) -> None:
    metrics = next(one for one in monthly() if one.table.fullname == METRICS)
    async with connected(own.admin_url) as sql:
        left = f"SELECT count(*) FROM {METRICS} WHERE recorded_at IS NULL OR recorded_at >= now() - interval '100 days'"
        expected = await sql.fetchval(left)
        told = await ran(own, b"[keep]\nservingMetrics = 100")
        assert told[0] == f"servingMetrics: {1750 - expected:,} older than 100 days removed"
        assert await sql.fetchval(f"SELECT count(*) FROM {METRICS}") == expected
        dropped = await sql.fetchval(
            "SELECT sum((details->>'purged')::int) FROM gateway.recordings WHERE details->>'reason' LIKE '%was dropped'"
        )
        assert 0 < dropped < 1750 - expected
    async with setup.connect(own.owner_url) as connection:
        first = (await partitions(connection, metrics))[0]
    assert first.since <= NEWEST - timedelta(days=100) < first.until + timedelta(days=1)


async def test_months_to_come(own: Database) -> None:
    assert any("0 months added" in one for one in await partition(own.owner_url, []))
    async with connected(own.admin_url) as sql:
        beyond = Month.of(NEWEST).after(5)
        service = await sql.fetchval("SELECT id FROM ml_bentoml_services LIMIT 1")
        await add(sql, METRICS, service_id=service, recorded_at=beyond.start)
        assert any("2 months added" in one for one in await partition(own.owner_url, [], 5))
        assert await sql.fetchval(f"SELECT count(*) FROM {METRICS}_{beyond.year}_{beyond.month:02}") == 1


async def test_what_cannot_be_partitioned_is_refused(plain: Database, clone: Clone) -> None:
    async with clone(plain) as copy:
        async with connected(copy.admin_url) as sql:
            await sql.execute(f"CREATE VIEW mine AS SELECT id FROM {METRICS}")
        with pytest.raises(SetupError, match="the view mine reads it"):
            await partition(copy.owner_url, [METRICS])
        async with connected(copy.admin_url) as sql:
            assert await sql.fetchval("SELECT to_regnamespace('e2i_partitioning') IS NULL")
            assert await sql.fetchval(f"SELECT count(*) FROM {METRICS}") == 1750


async def test_what_attaching_says_of_partitions(own: Database) -> None:
    sql = await connect(own.owner_url)
    try:
        await sql.execute("DROP INDEX ix_ml_bentoml_serving_metrics_service_id_recorded_at")
        async with setup.connect(own.owner_url) as connection, connection.begin():
            found = await inspect(connection, explain)
        assert not [note for note in found.notes if note.kind == "unknown table" and METRICS in note.message]
        (partial,) = [note for note in found.notes if note.kind == "partitioned" and METRICS in note.object]
        assert "within partitions alone, with recorded_at" in partial.message
        remedies = [note.remedy for note in found.notes if METRICS in note.remedy]
        assert remedies
        for statement in "\n".join(f"{one};" for one in remedies).split(";\n"):
            await sql.execute(statement)
        async with setup.connect(own.owner_url) as connection, connection.begin():
            found = await inspect(connection, explain)
        assert not [note for note in found.notes if METRICS in note.remedy]
    finally:
        await sql.close()


async def test_a_view_in_place_of_a_table_lacks_versions_alone(own: Database) -> None:
    async with connected(own.admin_url) as sql:
        await sql.execute(
            f"ALTER TABLE {SPANS} RENAME TO away; CREATE VIEW {SPANS} AS SELECT * FROM away; "
            f"GRANT SELECT ON {SPANS} TO e2i_gateway"
        )
    async with serving(own.gateway_url) as client:
        found = await client.ask("{ observabilitySpans(first: 3) { nodes { id startedAt } } }")
        assert len(found["data"]["observabilitySpans"]["nodes"]) == 3
        found = await client.ask("{ observabilitySpans(first: 3) { nodes { id rowVersion } } }")
        assert {error["extensions"]["code"] for error in found["errors"]} == {"MISSING_IN_DATABASE"}


async def test_rollups_of_partitions_are_exact(own: Database) -> None:
    """Whatever name a statement writes by, and whoever takes partitions away."""
    metrics = next(one for one in monthly() if one.table.fullname == METRICS)
    query = f"{{ servingMetrics {{ {BY_DAY} }} }}"
    async with connected(own.admin_url) as sql, serving(own.gateway_url) as plain:
        service = await sql.fetchval("SELECT id FROM ml_bentoml_services LIMIT 1")
        await make(own.admin_url)
        await sum_up(own.gateway_url, most=5000)
        async with serving(own.gateway_url, rollups=True) as kept:

            async def compared(*, rollup: bool = True) -> None:
                found, wanted = await kept.ask(query), await plain.ask(query)
                assert same(found["data"], wanted["data"], 1e-9)
                assert bool(found["extensions"].get("rollup")) is (rollup and kept.compiles)

            await compared()
            month = Month.of(NEWEST).after(-4)
            part, inside = month.partition(metrics.table), datetime(*month, 7, 3, tzinfo=UTC)
            for name in (METRICS, part):
                await sql.execute(
                    f"INSERT INTO {name} (service_id, recorded_at, avg_latency_ms) VALUES ($1, $2, 5000)",
                    service,
                    inside,
                )
                await compared()
                await sql.execute(f"UPDATE {name} SET avg_latency_ms = 1 WHERE recorded_at = $1", inside)
                await compared()
            await sql.execute(f"UPDATE {METRICS} SET recorded_at = recorded_at - interval '40 days' "
                              "WHERE recorded_at = $1", inside)  # fmt: skip
            await sum_up(own.gateway_url, most=5000)
            await compared()
            await ran(own, b"[keep]\nservingMetrics = 150")  # drops months, and marks what they had
            await compared()
            await partition(own.owner_url, [], 5)
            await compared()
            await sql.execute(f"ALTER TABLE {METRICS} DETACH PARTITION {part}")
            found, wanted = await kept.ask(query), await plain.ask(query)
            assert same(found["data"], wanted["data"], 1e-9)


@pytest.mark.parametrize("detached", ["", " CONCURRENTLY"])
async def test_partitions_go_while_they_are_read(own: Database, detached: str) -> None:
    """Every answer has all rows of a month, or none."""
    metrics = next(one for one in monthly() if one.table.fullname == METRICS)
    parts = [Month.of(NEWEST).after(-months).partition(metrics.table) for months in (6, 7, 8)]
    query = (
        "{ servingMetrics(first: 0) { aggregate { count } } "
        "bentoServices { nodes { metrics(first: 2) { nodes { id } } } } }"
    )
    async with connected(own.admin_url) as sql, serving(own.gateway_url) as client:
        if detached:  # Postgres refuses it beside a default partition
            await sql.execute(f"DROP TABLE {METRICS}_default")
        total = await sql.fetchval(f"SELECT count(*) FROM {METRICS}")
        sizes = [await sql.fetchval(f"SELECT count(*) FROM {part}") for part in parts]
        allowed = [total - sum(sizes[:gone]) for gone in range(4)]

        async def read() -> list[int]:
            found = []
            for _ in range(15):
                answer = await client.ask(query)
                assert "errors" not in answer
                found.append(answer["data"]["servingMetrics"]["aggregate"][0]["count"])
            return found

        async def take() -> None:
            for part in parts:
                await sql.execute(f"ALTER TABLE {METRICS} DETACH PARTITION {part}{detached}")
                await sql.execute(f"DROP TABLE {part}")
                await asyncio.sleep(0.02)

        counts, _ = await asyncio.gather(read(), take())
        assert set(counts) <= set(allowed)
        assert (await read())[-1] == allowed[-1]
