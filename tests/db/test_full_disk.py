"""A disk that is full, or a limit of temporary files: a clear error for the statement, and service for all others."""

from __future__ import annotations

import pytest

from tests.support.changing import add
from tests.support.client import serving
from tests.support.databases import Clone, Database, connected, execute

pytestmark = pytest.mark.slow

ROWS = "{ servingMetrics(first: 3) { nodes { id } } }"
SORTED = (
    "{ servingMetrics(first: 1000, orderBy: [{ field: P99_LATENCY_MS }]) { nodes { id recordedAt p99LatencyMs } } }"
)
ACKNOWLEDGE = "mutation ($id: ID!) { acknowledgeAlert(input: { id: $id }) { __typename ... on Problem { code } } }"
RECORD = """
    mutation ($rows: [ServingMetricRow!]!) {
        recordServingMetrics(input: { rows: $rows }) { ... on Recorded { inserted } ... on Problem { code } } }
"""
FULL = """
    CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file "base/1/2": No space left'; END
    $$
"""


@pytest.mark.parametrize("table", ["ml_monitoring_alerts", "gateway.lifecycle_events"])
async def test_changes_on_a_full_disk_say_so_and_reads_go_on(database: Database, table: str) -> None:
    async with connected(database.admin_url) as sql:
        alert = f"MonitoringAlert:{await add(sql, 'ml_monitoring_alerts', status='active')}"
        await sql.execute(
            f"{FULL}; CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION no_space()"
        )
        async with serving(database.gateway_url) as client:
            error = await client.error(ACKNOWLEDGE, id=alert)
            assert error["code"] == "OUT_OF_SPACE"
            assert "disk space" in error["message"]
            assert "nothing was changed" in error["message"]
            assert await sql.fetchval("SELECT DISTINCT status::text FROM ml_monitoring_alerts") == "active"
            await client.data(ROWS)
            assert (await client.http.get("/readyz")).status_code == 200
            await sql.execute(f"DROP TRIGGER full_disk ON {table}")
            changed = await client.data(ACKNOWLEDGE, id=alert)
            assert changed["acknowledgeAlert"]["__typename"] == "TransitionApplied"


async def test_rows_that_find_no_space_are_not_recorded(database: Database) -> None:
    async with connected(database.admin_url) as sql:
        rows = [{"service": {"id": f"BentoService:{await add(sql, 'ml_bentoml_services')}"}}] * 3
        await sql.execute(
            f"{FULL}; CREATE TRIGGER full_disk BEFORE INSERT ON ml_bentoml_serving_metrics EXECUTE FUNCTION no_space()"
        )
        async with serving(database.gateway_url) as client:
            assert (await client.error(RECORD, rows=rows))["code"] == "OUT_OF_SPACE"
            await sql.execute("DROP TRIGGER full_disk ON ml_bentoml_serving_metrics")
            assert (await client.data(RECORD, rows=rows))["recordServingMetrics"]["inserted"] == 3


async def test_a_sort_beyond_the_limit_of_temporary_files_is_its_own_failure(
    demo_template: Database, clone: Clone
) -> None:
    async with clone(demo_template) as copy:
        limits = [f"ALTER DATABASE {copy.name} SET {one}" for one in ("work_mem = '64kB'", "temp_file_limit = 0")]
        await execute(copy.admin_url, *limits)
        async with serving(copy.gateway_url) as client:
            error = await client.error(SORTED)
            assert error["code"] == "OUT_OF_SPACE"
            assert "fewer rows" in error["message"]
            assert (await client.data(ROWS))["servingMetrics"]["nodes"]
