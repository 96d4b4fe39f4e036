"""What is over of the gateway's own tables goes by itself, in slices, whether or not anybody follows anything."""

from __future__ import annotations

import asyncpg
import pytest

from gateway.operations import housekeeping
from tests.support.client import serving
from tests.support.databases import Database
from tests.webhooks.receivers import became

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "FIRST_SECONDS", 0.02)
    monkeypatch.setattr(housekeeping, "SECONDS", 0.1)
    monkeypatch.setattr(housekeeping, "PAUSE", 0.0)
    monkeypatch.setattr(housekeeping, "SLICE", 2)


async def test_what_is_over_goes_without_subscribers(database: Database, sql: asyncpg.Connection) -> None:
    await sql.execute(
        "INSERT INTO gateway.live_log (topic, facts, recorded_at) "
        "SELECT 'lifecycle', '{}', now() - n * interval '1 hour' "
        "FROM unnest(ARRAY[1, 3, 4, 5, 6, 7]) AS n; "
        "INSERT INTO gateway.live_log (topic, facts, xact) VALUES ('lifecycle', '{}', 2::bigint ^ 40)"  # of a dump
    )
    async with serving(database.gateway_url, live_hours=1.5):
        await until_it_is(sql, "SELECT count(*) FROM gateway.live_log", 1)
    assert await sql.fetchval("SELECT now() - recorded_at < interval '2 hours' FROM gateway.live_log")


async def test_what_is_known_of_alerts_goes_with_them(database: Database, sql: asyncpg.Connection) -> None:
    await sql.execute(
        "INSERT INTO ml_monitoring_alerts (alert_type, title, message, severity) "
        "SELECT 'error', n::text, 'm', 'high' FROM generate_series(1, 7) AS n; "
        "INSERT INTO gateway.alerts_seen (alert_id, version, content) SELECT id, 1, 1 FROM ml_monitoring_alerts; "
        "INSERT INTO gateway.alerts_seen (alert_id, version, content) "
        "SELECT gen_random_uuid(), 1, 1 FROM generate_series(1, 7); "
        "INSERT INTO gateway.alerts_seen (alert_id, version, content) "
        "VALUES ('00000000-0000-0000-0000-000000000000', 0, 0)"
    )
    async with serving(database.gateway_url):
        await until_it_is(sql, "SELECT count(*) FROM gateway.alerts_seen", 8)
        await sql.execute("DELETE FROM ml_monitoring_alerts WHERE title IN ('1', '2')")
        await until_it_is(sql, "SELECT count(*) FROM gateway.alerts_seen", 6)


async def test_a_right_that_is_missing_is_said_once(
    database: Database, sql: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await sql.execute("REVOKE DELETE ON gateway.live_log FROM e2i_gateway")
    await sql.execute("INSERT INTO gateway.alerts_seen (alert_id, version, content) SELECT gen_random_uuid(), 1, 1")
    async with serving(database.gateway_url):
        await until_it_is(sql, "SELECT count(*) FROM gateway.alerts_seen", 0)
        await sql.execute("INSERT INTO gateway.alerts_seen (alert_id, version, content) SELECT gen_random_uuid(), 1, 1")
        await until_it_is(sql, "SELECT count(*) FROM gateway.alerts_seen", 0)
    said = [one.getMessage() for one in caplog.records if "gateway.live_log" in one.getMessage()]
    assert len(said) == 1
    assert "e2i-gateway db role" in said[0]


async def until_it_is(sql: asyncpg.Connection, query: str, number: int) -> None:
    await became(sql, f"SELECT WHERE ({query}) = {number}")
