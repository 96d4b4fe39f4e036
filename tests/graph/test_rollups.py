"""Aggregates that are read off rollups equal those of the rows, whatever was written and by whom."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.attach import facts
from db.base.sums import rollups
from db.migrations.setup import connect
from db.store import rollups as store
from gateway.operations import rollups as upkeep
from tests.support.changing import add
from tests.support.client import Client, same, serving
from tests.support.databases import Database
from tests.support.rollups import make, sum_up
from tests.webhooks.receivers import became

pytestmark = pytest.mark.slow

METRICS = "ml_bentoml_serving_metrics"
BEGIN = datetime(2026, 3, 27, tzinfo=UTC)
"""The clocks of many zones change within the days that follow."""
DAYS = 5
SUMS = "count avgLatencyMs { count sum avg min max } requestsTotal { count sum avg min max }"


ROUGHLY = {"relativeError": 0.01}


def near(one: float | None, other: float | None) -> bool:
    """Whether percentiles are the same but for the relative error of sketches."""
    return one == other if one is None or other is None else math.isclose(one, other, rel_tol=0.0101)


def alike(one: Any, other: Any) -> bool:
    """Whether answers are the same, but for percentiles, whose relative error is that of the sketches."""
    match one, other:
        case dict(), dict() if one.keys() == other.keys():
            within = {"p50", "p95", "p99", "p50Ms", "p95Ms", "p99Ms"}
            return all(
                near(value, other[key]) if key in within else alike(value, other[key]) for key, value in one.items()
            )
        case list(), list() if len(one) == len(other):
            return all(map(alike, one, other))
        case _:
            return same(one, other, 1e-9)


@asynccontextmanager
async def both(database: Database) -> AsyncIterator[tuple[Client, Client]]:
    """Gateways with rollups, whose upkeep is left to the test, and without."""
    async with serving(database.gateway_url, rollups=True) as kept, serving(database.gateway_url) as plain:
        yield kept, plain


@pytest.fixture(autouse=True)
def never_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_self: upkeep.RollupUpkeep) -> None:
        return

    monkeypatch.setattr(upkeep.RollupUpkeep, "run", nothing)


async def fill(sql: asyncpg.Connection, services: int = 3, rows: int = 2000) -> Sequence[str]:
    """Rows of some services over some days, with values and times that are missing or far away."""
    ids = [str(await add(sql, "ml_bentoml_services")) for _ in range(services)]
    await sql.execute("SELECT setseed(0.5)")
    await sql.execute(
        f"""INSERT INTO {METRICS} (service_id, recorded_at, requests_total, avg_latency_ms)
        SELECT ($1::uuid[])[1 + n % {services}],
            CASE WHEN n % 211 = 0 THEN NULL WHEN n % 307 = 0 THEN '2300-01-01Z' WHEN n % 331 = 0 THEN '1960-01-01Z'
            ELSE $2::timestamptz + random() * {DAYS} * interval '24 hours' END,
            CASE WHEN n % 7 = 0 THEN NULL ELSE (random() * 1000)::int END,
            CASE WHEN n % 5 = 0 THEN NULL WHEN n % 23 = 0 THEN 0 ELSE random() * 100 END
        FROM generate_series(1, {rows}) AS n""",
        ids,
        BEGIN,
    )
    return ids


async def write(sql: asyncpg.Connection, draw: random.Random, services: Sequence[str]) -> None:
    """One statement of another client's: rows that come, move, change or go."""
    since = BEGIN + timedelta(hours=draw.uniform(-30, DAYS * 24))
    until = since + timedelta(hours=draw.choice([0.01, 1, 7, 30]))
    match draw.choice(["insert", "insert", "update", "move", "delete", "upsert"]):
        case "insert":
            await sql.execute(
                f"INSERT INTO {METRICS} (service_id, recorded_at, requests_total, avg_latency_ms) "
                "SELECT $1::uuid, $2::timestamptz + n * interval '37 minutes', n, n * 0.1 FROM generate_series(1, 9) n",
                draw.choice(services), since,
            )  # fmt: skip
        case "update":
            await sql.execute(
                f"UPDATE {METRICS} SET requests_total = coalesce(requests_total, 0) + 1 "
                "WHERE recorded_at >= $1 AND recorded_at < $2",
                since, until,
            )  # fmt: skip
        case "move":
            await sql.execute(
                f"UPDATE {METRICS} SET recorded_at = recorded_at - interval '25 hours', service_id = $3::uuid "
                "WHERE recorded_at >= $1 AND recorded_at < $2",
                since, until, draw.choice(services),
            )  # fmt: skip
        case "delete":
            await sql.execute(f"DELETE FROM {METRICS} WHERE recorded_at >= $1 AND recorded_at < $2", since, until)
        case _:
            await sql.execute(
                f"INSERT INTO {METRICS} AS m (id, service_id, recorded_at) "
                f"SELECT id, service_id, $1::timestamptz FROM {METRICS} ORDER BY id LIMIT 3 "
                "ON CONFLICT (id) DO UPDATE SET recorded_at = excluded.recorded_at",
                since,
            )


def question(draw: random.Random, services: Sequence[str]) -> str:
    """A question that a rollup answers: any window, any services, any buckets."""
    where = []
    if draw.random() < 0.8:
        for operator in draw.sample(["gte", "gt", "lte", "lt"], draw.choice([1, 2, 2, 3])):
            whole = draw.choice([1.0, 3600.0, 86400.0, 0.001])
            moment = BEGIN + timedelta(seconds=draw.uniform(-90_000, (DAYS + 1) * 86_400) // whole * whole)
            where.append(f'recordedAt: {{ {operator}: "{moment.isoformat()}" }}')
    if draw.random() < 0.5:
        ids = ", ".join(f'"{one}"' for one in draw.sample(services, 2))
        where.append(
            draw.choice([f'serviceId: {{ eq: "{services[0]}" }}', f"serviceId: {{ in: [{ids}] }}",
                         f'serviceId: {{ ne: "{services[1]}" }}'])
        )  # fmt: skip
    joined = ", ".join(f"{{ {one} }}" for one in where)
    bucket = draw.choice(["", "", "HOUR", "DAY", "WEEK", "MONTH"])
    keys = [f"{{ field: RECORDED_AT, bucket: {bucket} }}"] if bucket else []
    keys += ["{ field: SERVICE_ID }"] if draw.random() < 0.4 else []
    asked = f"groupBy: [{', '.join(keys)}]" if keys else ""
    sums = SUMS.replace("max", "max p50 p95 p99", 1) if draw.random() < 0.4 else SUMS
    aggregate = f"aggregate{f'({asked})' if asked else ''} {{ {sums} group {{ recordedAt serviceId }} }}"
    if draw.random() < 0.25:
        return f"{{ bentoServices {{ nodes {{ id metrics(where: {{ and: [{joined}] }}) {{ {aggregate} }} }} }} }}"
    return f"{{ servingMetrics(where: {{ and: [{joined}] }}) {{ {aggregate} }} }}"


@pytest.mark.parametrize("seed", range(4))
async def test_any_question_after_any_writes(database: Database, sql: asyncpg.Connection, seed: int) -> None:
    draw = random.Random(seed)
    services = await fill(sql)
    await make(database.admin_url)
    await sum_up(database.gateway_url, most=50)
    async with both(database) as (kept, plain):
        for round_ in range(12):
            for _ in range(6):
                query = question(draw, services)
                found, wanted = await kept.ask(query), await plain.ask(query)
                assert alike(found.get("data"), wanted["data"]), query
                said = ROUGHLY if "p50" in query else True
                assert found["extensions"].get("rollup") == (said if kept.compiles and "data" in found else None), query
                assert "rollup" not in wanted["extensions"]
            for _ in range(draw.randrange(4)):
                await write(sql, draw, services)
            if round_ % 3 == 2:
                await sum_up(database.gateway_url, most=draw.choice([1, 7, 50]))
    assert await sql.fetchval(f"SELECT count(*) > 50 FROM gateway.rollup_{METRICS}")


async def test_spans_of_agents(database: Database, sql: asyncpg.Connection) -> None:
    """Keys that are enums, and an edge within five minutes; of three weeks two are marked."""
    await sql.execute(
        "INSERT INTO ml_observability_spans (trace_id, span_id, agent_name, agent_tier, started_at, duration_ms) "
        "SELECT 't' || n, 's' || n, (enum_range(NULL::agent_name_enum))[1 + n % 7], "
        "(enum_range(NULL::agent_tier_enum))[1 + n % 2], $1::timestamptz + n * interval '797 seconds', n % 313 "
        "FROM generate_series(1, 1500) AS n",
        BEGIN,
    )
    await make(database.admin_url)
    await sum_up(database.gateway_url)
    name = await sql.fetchval("SELECT (enum_range(NULL::agent_name_enum))[3]::text")
    await sql.execute("DELETE FROM ml_observability_spans WHERE span_id IN ('s77', 's777')")
    async with both(database) as (kept, plain):
        for where in (
            "",
            f'agentName: {{ eq: "{name}" }}',
            f'startedAt: {{ gte: "2026-03-28T03:13:00Z", lte: "2026-03-30T23:59:00Z" }}, agentName: {{ ne: "{name}" }}',
        ):
            for keys in ("", "{ field: AGENT_NAME }", "{ field: AGENT_TIER }, { field: STARTED_AT, bucket: HOUR }"):
                query = (
                    f"{{ observabilitySpans(where: {{ {where} }}) {{ aggregate(groupBy: [{keys}]) "
                    "{ count durationMs { sum avg min max } group { agentName agentTier startedAt } } } }"
                )
                found = await kept.ask(query)
                assert "errors" not in found, found["errors"]
                assert found["extensions"].get("rollup") is (True if kept.compiles else None)
                assert same(found["data"], await plain.data(query), 1e-9), query


ANY = "{ servingMetrics { aggregate(groupBy: [{ field: RECORDED_AT, bucket: DAY }]) { count group { recordedAt } } } }"


@pytest.mark.parametrize(
    "query",
    [
        ANY.replace("count", "count requestsTotal { p95 }"),
        ANY.replace("count", "count avgLatencyMs { p95 }").replace("(group", "(exact: true, group"),
        ANY.replace("count", "count avgLatencyMs { stddev }"),
        ANY.replace("count", "count recordedAt { max }"),
        ANY.replace("DAY", "MINUTE"),
        ANY.replace(", bucket: DAY", ""),
        ANY.replace("field: RECORDED_AT, bucket: DAY", "field: ERROR_RATE"),
        ANY.replace("servingMetrics", "servingMetrics(where: { requestsTotal: { gt: 5 } })"),
        ANY.replace("servingMetrics", 'servingMetrics(where: { or: [{ recordedAt: { gte: "now-7d" } }] })'),
        ANY.replace("servingMetrics", 'servingMetrics(where: { recordedAt: { ne: "now-7d" } })'),
    ],
)  # fmt: skip
async def test_what_sums_do_not_tell_is_made_of_rows(
    module_database: Database, query: str, kept_rows: tuple[Client, Client]
) -> None:
    kept, plain = kept_rows
    found = await kept.ask(query)
    assert "rollup" not in found["extensions"]
    assert found["data"] == (await plain.data(query))


@pytest.fixture(scope="module")
async def kept_rows(module_database: Database) -> AsyncIterator[tuple[Client, Client]]:
    async with connect(module_database.admin_url) as connection, connection.begin():
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        await fill(driver, rows=300)
    await make(module_database.admin_url)
    await sum_up(module_database.gateway_url, most=50)
    async with both(module_database) as clients:
        yield clients


async def test_the_upkeep_of_a_gateway(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(upkeep, "PACE", replace(upkeep.PACE, seconds=0.05, pause=0.0))
    await fill(sql, rows=300)
    assert all("from now on" in told for told in await make(database.admin_url))
    assert all("sums are kept by" in told and "from now on" not in told for told in await make(database.admin_url))
    async with serving(database.gateway_url, rollups=True):
        await became(sql, "SELECT WHERE (SELECT count(*) FROM gateway.rollups WHERE state = 'ready') = 2")
        await became(sql, "SELECT WHERE NOT EXISTS (SELECT FROM gateway.rollup_marks)")
        await sql.execute(f"TRUNCATE {METRICS}")
        await became(sql, f"SELECT WHERE NOT EXISTS (SELECT FROM gateway.rollup_{METRICS})")


async def test_marks_of_the_hour_at_hand_are_united_and_stay(database: Database, sql: asyncpg.Connection) -> None:
    service = await add(sql, "ml_bentoml_services")
    await make(database.admin_url)
    for _ in range(store.MANY_MARKS + 1):
        await sql.execute(f"INSERT INTO {METRICS} (service_id, recorded_at) VALUES ($1, now())", service)
    await sum_up(database.gateway_url, most=50)
    assert await sql.fetchval("SELECT count(*) FROM gateway.rollup_marks") in {1, 2}  # of one hour, or of two
    async with both(database) as (kept, plain):
        assert await kept.data(ANY) == await plain.data(ANY)


async def _step(connection: AsyncConnection, most: int) -> None:
    (metrics,) = (one for one in rollups() if one[0].fullname == METRICS)
    assert await store.step(connection, *metrics, most)


async def test_a_day_is_summed_up_with_the_last_of_its_marks(database: Database, sql: asyncpg.Connection) -> None:
    await fill(sql)
    await make(database.admin_url)
    count = f"SELECT count(DISTINCT at) FROM gateway.rollup_{METRICS} WHERE unit = $1"
    async with connect(database.gateway_url) as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        for hours, days in ((20, 0), (10, 1), (24, 2)):
            async with connection.begin():
                await _step(connection, hours)
            assert await sql.fetchval(count, "24 hours") == days
    assert await sql.fetchval(count, "1 hour") == 54


async def test_a_step_that_began_before_another_ended_is_given_up(database: Database, sql: asyncpg.Connection) -> None:
    """Else the newest of three marks were taken as one of three, when it is the last that a day has."""
    [service, *_] = await fill(sql)
    await make(database.admin_url)
    added = f"INSERT INTO {METRICS} (service_id, recorded_at, requests_total) VALUES ($1, $2, 7)"
    for hour in (90, 91):
        await sql.execute(added, service, BEGIN + timedelta(hours=hour))
    await sum_up(database.gateway_url)
    for hour in (90, 91):
        await sql.execute(added, service, BEGIN + timedelta(hours=hour))
    async with connect(database.gateway_url) as first, connect(database.gateway_url) as second:
        for one in (first, second):
            await one.execution_options(isolation_level="REPEATABLE READ")
        async with first.begin():
            await _step(first, 50)
            await sql.execute(added, service, BEGIN + timedelta(hours=92))
            late = await second.begin()
            await second.execute(text("SELECT FROM pg_class LIMIT 1"))
        with pytest.raises(DBAPIError, match="could not serialize access"):
            await _step(second, 1)
        await late.rollback()
    await sum_up(database.gateway_url)
    async with both(database) as (kept, plain):
        query = ANY.replace("count", "count requestsTotal { sum }")
        assert await kept.data(query) == await plain.data(query)


@pytest.mark.parametrize(
    "change",
    [
        f"ALTER TABLE {METRICS} DISABLE TRIGGER e2i_rollup_insert",
        f"DROP TRIGGER e2i_rollup_delete ON {METRICS}",
        f"CREATE TABLE part () INHERITS ({METRICS})",
        f"CREATE POLICY busy ON {METRICS} USING (requests_total > 9); ALTER TABLE {METRICS} ENABLE ROW LEVEL SECURITY",
        "UPDATE gateway.rollups SET state = 'broken'",
        "DELETE FROM gateway.rollups",
    ],
)
async def test_a_rollup_that_is_not_exact_any_more_answers_nothing(
    database: Database, sql: asyncpg.Connection, change: str
) -> None:
    """At once: what a gateway knows of the database is minutes old."""
    await fill(sql, rows=300)
    await make(database.admin_url)
    await sum_up(database.gateway_url, most=50)
    async with both(database) as (kept, plain):
        before = await kept.data(ANY)
        await sql.execute(change)
        await sql.execute(f"DELETE FROM {METRICS} WHERE recorded_at < $1", BEGIN + timedelta(days=2))
        found = await kept.data(ANY)
        assert found == await plain.data(ANY) != before
        await sum_up(database.gateway_url, most=50)
        async with connect(database.gateway_url) as connection:
            assert METRICS not in (await facts.read(connection)).rollups
        assert await kept.data(ANY) == found


async def test_a_caller_without_a_column_is_answered_by_its_scopes(database: Database, sql: asyncpg.Connection) -> None:
    """Sums are no way around: what is made of a column that is missing is missing."""
    await fill(sql, rows=300)
    await sql.execute(f"ALTER TABLE {METRICS} DROP COLUMN avg_latency_ms CASCADE")
    await make(database.admin_url)
    await sum_up(database.gateway_url, most=50)
    async with both(database) as (kept, _):
        assert (await kept.ask(ANY))["extensions"].get("rollup") is (True if kept.compiles else None)
        error = await kept.error(ANY.replace("count", "avgLatencyMs { sum }"))
        assert error["code"] == "MISSING_IN_DATABASE"


async def test_why_none_is_kept(database: Database, sql: asyncpg.Connection) -> None:
    await sql.execute(
        f"CREATE TABLE part () INHERITS ({METRICS}); ALTER TABLE ml_observability_spans DROP started_at CASCADE"
    )
    told = await make(database.admin_url)
    assert f"{METRICS}: no sums are kept: it is no table of its own" in "\n".join(told)
    assert "ml_observability_spans: no sums are kept: it has no column started_at" in told
    assert not await sql.fetchval("SELECT count(*) FROM gateway.rollups")


async def test_only_days_that_have_rows_are_summed_up(database: Database, sql: asyncpg.Connection) -> None:
    """A clock that was set wrong costs the units of its day, and not those of all years since."""
    services = await fill(sql, rows=300)
    times = [datetime(1970, 1, 1, tzinfo=UTC), datetime(1999, 12, 31, 23, 59, 59, 999_999, UTC)]
    await sql.executemany(
        f"INSERT INTO {METRICS} (service_id, recorded_at, requests_total) VALUES ($1, $2, 7)",
        [(services[0], time) for time in times],
    )
    await sql.execute(
        f"INSERT INTO {METRICS} (service_id, recorded_at) SELECT service_id, unnest(ARRAY['infinity', '-infinity', "
        f"'1969-12-31 23:59:59Z', '2200-01-01Z']::timestamptz[]) FROM (SELECT service_id FROM {METRICS} LIMIT 1) AS s"
    )
    await make(database.admin_url)
    marked = await sql.fetch(
        "SELECT (at AT TIME ZONE 'UTC')::date AS day, count(*), count(DISTINCT at) FROM gateway.rollup_marks "
        "WHERE name = $1 GROUP BY 1 ORDER BY 1",
        METRICS,
    )
    days = [time.date() for time in times] + [(BEGIN + timedelta(days=day)).date() for day in range(DAYS)]
    assert [tuple(row) for row in marked] == [(day, 24, 24) for day in days]
    await sum_up(database.gateway_url)
    async with both(database) as (kept, plain):
        by_day = "aggregate(groupBy: [{ field: RECORDED_AT, bucket: DAY }])"
        within = 'where: { recordedAt: { gte: "1970-01-01T00:00:00Z", lt: "2200-01-01T00:00:00Z" } }'
        query = f"{{ servingMetrics(first: 0, {within}) {{ {by_day} {{ group {{ recordedAt }} {SUMS} }} }} }}"
        own = await kept.data(query)
        assert alike(own, await plain.data(query))
        assert (await kept.post(query)).json()["extensions"]["rollup"]


async def test_dropped_sums_leave_nothing(database: Database, sql: asyncpg.Connection) -> None:
    await fill(sql, rows=300)
    await make(database.admin_url)
    await sum_up(database.gateway_url, most=50)
    async with connect(database.admin_url) as connection, connection.begin():
        assert await store.drop(connection) == sorted(table.fullname for table, _ in rollups())
    await sql.execute(f"DELETE FROM {METRICS}")
    for own in ("rollups", "rollup_marks", f"rollup_{METRICS}"):
        assert not await sql.fetchval(f"SELECT count(*) FROM gateway.{own}")
    assert not await sql.fetchval("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'e2i_rollup%'")


async def test_a_statement_that_commits_during_a_step_stays_marked(database: Database, sql: asyncpg.Connection) -> None:
    services = await fill(sql, rows=300)
    await make(database.admin_url)
    await sum_up(database.gateway_url, most=50)
    (table, rollup), *_ = [one for one in rollups() if one[0].name == METRICS]
    draw = random.Random(1)
    await write(sql, draw, services)
    async with connect(database.gateway_url) as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        async with connection.begin():
            await connection.execute(text("SELECT 1 FROM gateway.rollups"))  # the snapshot
            await sql.execute(f"UPDATE {METRICS} SET requests_total = 7")
            assert await store.step(connection, table, rollup, 50) is not None
    async with both(database) as (kept, plain):
        query = ANY.replace("count", "requestsTotal { sum }")
        assert await kept.data(query) == await plain.data(query)


def drawn(draw: random.Random, kind: str) -> list[float | None]:
    """Values of one kind, some of them missing."""
    count = draw.choice([1, 2, 3, 20, 21, 200])
    values: list[float | None] = []
    for _ in range(count):
        match kind:
            case "like durations":
                value = draw.lognormvariate(3, 2)
            case "of both signs":
                value = draw.uniform(-1, 1) * 10 ** draw.uniform(-3, 3)
            case "negative":
                value = -draw.expovariate(0.1)
            case "zeros":
                value = draw.choice([0.0, 0.0, -0.0, 1e-310, 2.0])
            case "far apart":
                value = draw.choice([1e-290, 1e-9, 1.0, 1e9, 1e150, -1e150])
            case "powers":
                value = draw.choice([1, 10, 100]) * 2.0 ** draw.randrange(10)
            case _:
                value = draw.choice([1.0, 2.0, 3.0, float("nan"), float("inf"), float("-inf")])
        values.append(None if draw.random() < 0.1 else value)
    return values


def bounds(values: Sequence[float], share: float) -> tuple[float, float]:
    """The least and greatest percentile if each value may be off by the relative error of the sketches."""
    ranked = sorted(values, key=lambda one: (math.isnan(one), one))
    at = share * (len(ranked) - 1)
    low, high = ranked[math.floor(at)], ranked[math.ceil(at)]
    if low == high:
        return low - 0.01 * abs(low), low + 0.01 * abs(low)
    part = at - math.floor(at)
    return (
        (1 - part) * (low - 0.01 * abs(low)) + part * (high - 0.01 * abs(high)),
        (1 - part) * (low + 0.01 * abs(low)) + part * (high + 0.01 * abs(high)),
    )


KINDS = ("like durations", "of both signs", "negative", "zeros", "far apart", "powers", "of no number")


@pytest.mark.parametrize("seed", range(3))
async def test_percentiles_are_within_the_error_of_the_sketches(
    database: Database, sql: asyncpg.Connection, seed: int
) -> None:
    """Of any values, over days, hours, the rows at the edges and those of marked units."""
    draw = random.Random(seed)
    filled = {str(await add(sql, "ml_bentoml_services")): drawn(draw, kind) for kind in KINDS for _ in range(3)}

    async def write(part: int) -> None:
        await sql.executemany(
            f"INSERT INTO {METRICS} (service_id, recorded_at, avg_latency_ms) VALUES ($1, $2, $3)",
            [
                (service, BEGIN + timedelta(hours=draw.uniform(0.6, 95)), value)
                for service, values in filled.items()
                for place, value in enumerate(values)
                if (place % 4 == 3) == part
            ],
        )

    await write(0)
    await make(database.admin_url)
    await sum_up(database.gateway_url, most=50)
    await write(1)
    since, until = (BEGIN + timedelta(minutes=one) for one in (35, 95 * 60 + 1))
    window = f'recordedAt: {{ gte: "{since.isoformat()}", lt: "{until.isoformat()}" }}'
    async with both(database) as (kept, plain):
        for service, found in filled.items():
            values = [one for one in found if one is not None]
            for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
                where = f'{{ serviceId: {{ eq: "{service}" }}, {window} }}'
                query = f"{{ servingMetrics(where: {where}) {{ aggregate {{ avgLatencyMs {{ {name} }} }} }} }}"
                answer, exact = await kept.ask(query), await plain.ask(query)
                if "errors" in exact:
                    assert answer["errors"][0]["extensions"]["code"] == exact["errors"][0]["extensions"]["code"]
                    continue
                [group] = answer["data"]["servingMetrics"]["aggregate"]
                percentile = group["avgLatencyMs"][name]
                if not values:
                    assert percentile is None
                    continue
                least, greatest = bounds(values, share)
                off = 1e-12 * abs(percentile) + 1e-300
                assert least - off <= percentile <= greatest + off, (values, share)
                assert answer["extensions"].get("rollup") == (ROUGHLY if kept.compiles else None)


LATENCY = "agentName agentTier totalSpans avgDurationMs p50Ms p95Ms p99Ms errorRate fallbackRate totalTokensUsed"


async def test_latency_of_agents(database: Database, sql: asyncpg.Connection) -> None:
    """Off the sums of spans: as exact as before but for percentiles, and with these if asked."""
    await sql.execute(
        "INSERT INTO ml_observability_spans (trace_id, span_id, agent_name, agent_tier, started_at, duration_ms, "
        "status, fallback_used, total_tokens) "
        "SELECT 't' || n, 's' || n, (enum_range(NULL::agent_name_enum))[1 + n % 7], "
        "(enum_range(NULL::agent_tier_enum))[1 + n % 2], $1::timestamptz + n * interval '197 seconds', "
        "CASE WHEN n % 7 = 2 OR n % 10 = 0 THEN NULL ELSE (n * 7919) % 5003 END, "
        "(ARRAY['error', 'completed', NULL])[1 + n % 3], n % 5 = 0, CASE WHEN n % 7 > 3 THEN n % 1000 END "
        "FROM generate_series(1, 5000) AS n",
        BEGIN,
    )
    await make(database.admin_url)
    await sum_up(database.gateway_url)
    await sql.execute("DELETE FROM ml_observability_spans WHERE span_id IN ('s77', 's1777')")
    await sql.execute("UPDATE ml_observability_spans SET duration_ms = 9000 WHERE span_id = 's900'")
    query = (
        "query ($h: Int, $u: DateTime, $e: Boolean) "
        "{{ agentLatency(windowHours: $h, until: $u, exact: $e, {more}) {{ {of} }} }}"
    )
    async with both(database) as (kept, plain):
        for hours, until in ((100, 90.0), (24, 50.02), (1, 3.5), (8784, 1000.0), (5, 0.0), (300, 280.4)):
            asked = {"h": hours, "u": (BEGIN + timedelta(hours=until)).isoformat()}
            for more, of in (
                ("first: 100", f"totalCount nodes {{ {LATENCY} }}"),
                ("orderBy: [{ field: P95_MS, direction: DESC }], first: 3", f"nodes {{ {LATENCY} }}"),
                ("where: { errorRate: { gt: 0.2 } }, first: 5", f"nodes {{ {LATENCY} }} aggregate {{ count }}"),
            ):
                document = query.format(more=more, of=of)
                found, wanted = await kept.ask(document, **asked), await plain.data(document, **asked)
                if "P95" in more:  # whose order may differ by the error
                    found["data"], wanted = (
                        {"rows": len(one["agentLatency"]["nodes"])} for one in (found["data"], wanted)
                    )
                assert alike(found["data"], wanted), (hours, until, more)
                assert found["extensions"].get("rollup") == (ROUGHLY if kept.compiles else None)
                exact = await kept.ask(document, e=True, **asked)
                assert "rollup" not in exact["extensions"]
                assert exact["data"] == await plain.data(document, **asked)


async def test_a_rollup_of_an_earlier_version_has_no_sketches(database: Database, sql: asyncpg.Connection) -> None:
    await fill(sql, rows=300)
    await make(database.admin_url)
    await sum_up(database.gateway_url, most=50)
    query = ANY.replace("count", "count avgLatencyMs { p95 }")
    earlier = (
        "UPDATE gateway.rollups SET measures = "
        "ARRAY(SELECT one FROM unnest(measures) AS one WHERE one !~ 'buckets|errors|fallbacks')"
    )
    async with both(database) as (kept, plain):
        await sql.execute(earlier)
        assert alike(await kept.data(query), await plain.data(query))
    async with both(database) as (kept, plain):
        for asked in (query, "{ agentLatency { nodes { agentName p95Ms } } }"):
            found = await kept.ask(asked)
            assert found["data"] == await plain.data(asked)
            assert "rollup" not in found["extensions"]
        assert (await kept.ask(ANY))["extensions"].get("rollup") is (True if kept.compiles else None)
    assert any("from now on" in told for told in await make(database.admin_url))


async def test_a_rollup_of_an_earlier_version_has_fewer_units(database: Database, sql: asyncpg.Connection) -> None:
    """Its days are summed up from what it has."""
    later = ["1 hour", "6 hours", "168 hours"]
    await sql.execute(
        "INSERT INTO ml_observability_spans (trace_id, span_id, agent_name, agent_tier, started_at, duration_ms) "
        "SELECT 't' || n, 's' || n, (enum_range(NULL::agent_name_enum))[1 + n % 7], "
        "(enum_range(NULL::agent_tier_enum))[1 + n % 2], $1::timestamptz + n * interval '97 seconds', n % 313 "
        "FROM generate_series(1, 4000) AS n",
        BEGIN,
    )
    await make(database.admin_url)
    await sum_up(database.gateway_url)
    await sql.execute(
        "UPDATE gateway.rollups SET measures = ARRAY(SELECT one FROM unnest(measures) AS one WHERE NOT one = ANY ($1)) "
        "WHERE name = 'ml_observability_spans'", later
    )  # fmt: skip
    await sql.execute("DELETE FROM gateway.rollup_ml_observability_spans WHERE unit = ANY ($1)", later)
    await sql.execute("DELETE FROM ml_observability_spans WHERE span_id = 's1777'")
    await sum_up(database.gateway_url)
    query = f"query ($u: DateTime) {{ agentLatency(windowHours: 90, until: $u) {{ nodes {{ {LATENCY} }} }} }}"
    until = (BEGIN + timedelta(hours=95)).isoformat()
    async with both(database) as (kept, plain):
        found = await kept.ask(query, u=until)
        assert alike(found["data"], await plain.data(query, u=until))
        assert found["extensions"].get("rollup") == (ROUGHLY if kept.compiles else None)
    units = "SELECT array_agg(DISTINCT unit) FROM gateway.rollup_ml_observability_spans"
    assert sorted(await sql.fetchval(units)) == ["24 hours", "5 minutes"]
    assert any("5 minutes and 1 hour" in told and "from now on" in told for told in await make(database.admin_url))


async def test_a_unit_whose_sum_is_out_of_range_stays_marked(database: Database, sql: asyncpg.Connection) -> None:
    """The others are summed up; its rows are read until it is corrected."""
    await fill(sql)
    await make(database.admin_url)
    added = f"INSERT INTO {METRICS} (service_id, recorded_at, avg_latency_ms) SELECT id, $1, 1e308 FROM "
    for hours in (30, 30, 33):  # two in one hour; two of one day in two
        await sql.execute(added + "(SELECT id FROM ml_bentoml_services LIMIT 1) AS s", BEGIN + timedelta(hours=hours))
    await sum_up(database.gateway_url)
    failed = f"SELECT count(*) FROM gateway.rollup_marks WHERE name = '{METRICS}' AND error IS NOT NULL"
    assert 0 < await sql.fetchval(failed) <= 24
    assert await sql.fetchval(f"SELECT state FROM gateway.rollups WHERE name = '{METRICS}'") == "ready"
    query = ANY.replace("count", "count requestsTotal { sum max } avgLatencyMs { min max }")
    async with both(database) as (kept, plain):
        assert alike(await kept.data(query), await plain.data(query))
        await sql.execute(f"DELETE FROM {METRICS} WHERE avg_latency_ms = 1e308")
        await sum_up(database.gateway_url)
        assert await sql.fetchval(failed) == 0
        assert alike(await kept.data(query), await plain.data(query))
