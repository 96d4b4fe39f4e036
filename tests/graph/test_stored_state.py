"""Lists of health and drift status that are read off stored rows equal those of the views, whatever was written."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base.current_state import CurrentState, current_states, stored_views
from db.base.vocabulary import Entity
from db.embedded.server import GATEWAY_ROLE
from db.engine.engine import create_engine
from db.engine.url import database_url
from db.migrations.partition import partition
from db.migrations.setup import connect
from db.store import current_state as store
from db.store.partitions import Month
from gateway.operations import current_state as upkeep
from tests.support.callers import JWT, calling, token
from tests.support.client import Client, serving
from tests.support.current_state import fill
from tests.support.databases import Database
from tests.support.plans import explained, plan, recording
from tests.webhooks.receivers import became

pytestmark = pytest.mark.slow

MODELS = 60
STORED = "current_ml_"
MEASURED = "ml_performance_metrics"


@pytest.fixture(autouse=True)
def never_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_self: upkeep.StateUpkeep) -> None:
        return

    monkeypatch.setattr(upkeep.StateUpkeep, "run", nothing)


async def make(database: Database) -> list[str]:
    """Stores the current state, as the owner of the tables does."""
    async with connect(database.admin_url) as connection, connection.begin():
        return await store.make(connection)


async def refreshed(database: Database, most: int = 50) -> None:
    """Computes all that is marked, as the upkeep of a gateway does, in its role."""
    async with connect(database.gateway_url) as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        for state in current_states():
            made: store.StateStep | None = store.StateStep(1)
            while made is not None and made.taken:
                async with connection.begin():
                    made = await store.step(connection, state, most)


@asynccontextmanager
async def both(database: Database) -> AsyncIterator[tuple[Client, Client]]:
    """Gateways that read stored rows, whose upkeep is left to the test, and the views."""
    async with (
        serving(database.gateway_url, current_state=True) as kept,
        serving(database.gateway_url) as plain,
    ):
        yield kept, plain


async def write(sql: asyncpg.Connection, draw: random.Random) -> None:
    """One statement of another client's."""
    model = f"(SELECT id FROM ml_model_registry ORDER BY id OFFSET {draw.randrange(MODELS)} LIMIT 1)"
    drift = (
        "INSERT INTO ml_drift_history (model_id, drift_type, test_type, baseline_start, baseline_end, current_start, "
        f"current_end, drift_detected, severity, created_at) SELECT {model}, '{draw.choice(['data', 'model'])}', 'ks', "
        f"now(), now(), now(), now(), true, '{draw.choice(['low', 'high', 'critical'])}', "
        f"{draw.choice(['now()', 'NULL', 'timestamptz ' + repr('2020-01-01')])}"
    )
    measured = (
        "INSERT INTO ml_performance_metrics (model_id, metric_name, metric_value, measured_at, is_degraded) "
        f"SELECT {model}, 'roc_auc', 0.5, now(), {draw.choice(['true', 'false'])}"
    )
    registered = (
        "INSERT INTO ml_model_registry (model_name, model_version, algorithm, stage) "
        f"VALUES ('new', '{draw.random()}', 'a', 'production')"
    )
    statements = [
        drift,
        drift,
        f"UPDATE ml_drift_history SET severity = 'medium', p_value = 0.50 WHERE model_id = {model}",
        f"UPDATE ml_drift_history SET model_id = {model} WHERE id = (SELECT min(id::text)::uuid FROM ml_drift_history)",
        f"DELETE FROM ml_drift_history WHERE model_id = {model} AND drift_type = 'concept'",
        f"UPDATE ml_monitoring_alerts SET status = 'active' WHERE model_id = {model}",
        "UPDATE ml_monitoring_alerts SET status = 'resolved' WHERE severity = 'critical'",
        f"DELETE FROM ml_monitoring_alerts WHERE model_id = {model}",
        measured,
        f"UPDATE ml_model_registry SET stage = 'archived' WHERE id = {model}",
        f"UPDATE ml_model_registry SET stage = 'production', model_name = 'x' WHERE id = {model}",
        registered,
    ]
    await sql.execute(draw.choice(statements))


FILTERS = [
    ("modelHealths", 'healthStatus: { eq: "critical" }'),
    ("modelHealths", 'healthStatus: { in: ["warning", "unknown"] }'),
    ("modelHealths", "hasActiveDrift: { eq: true }, activeAlerts: { eq: 0 }"),
    ("modelHealths", "performanceDegraded: { eq: true }"),
    ("modelHealths", "driftCheckCount: { gt: 0 }"),
    ("modelHealths", 'model: { modelName: { startsWith: "model" } }'),
    ("modelHealths", ""),
    ("driftStatuses", "severity: { eq: CRITICAL }"),
    ("driftStatuses", "driftDetected: { eq: true }"),
    ("driftStatuses", "not: { driftType: { eq: MODEL } }"),
    ("driftStatuses", 'lastChecked: { lt: "2026-05-31T23:59:50Z" }'),
    ("driftStatuses", ""),
]  # fmt: skip
FIELDS = {
    "modelHealths": "modelId modelName modelStage hasActiveDrift maxDriftSeverity driftCheckCount activeAlerts "
    "criticalAlerts latestMetricValue primaryMetric performanceDegraded healthStatus",
    "driftStatuses": "modelId driftType featureName driftDetected severity testType testStatistic pValue driftScore "
    "lastChecked",
}
ORDERS = {
    "modelHealths": ["", "orderBy: { field: MODEL_NAME }", "orderBy: { field: HEALTH_STATUS, direction: DESC }"],
    "driftStatuses": ["", "orderBy: { field: SEVERITY }", "orderBy: { field: MODEL_ID }"],
}


def question(draw: random.Random) -> str:
    field, where = draw.choice(FILTERS)
    side = draw.choice(["first", "last"])
    return (
        f"{{ {field}({side}: {draw.choice([3, 40])}, where: {{ {where} }} {draw.choice(ORDERS[field])}) {{ totalCount "
        f"aggregate {{ count }} pageInfo {{ hasNextPage hasPreviousPage endCursor }} nodes {{ {FIELDS[field]} }} }} }}"
    )


@pytest.mark.parametrize("compiler", [True, False])
async def test_any_question_after_any_writes(database: Database, sql: asyncpg.Connection, *, compiler: bool) -> None:
    """With some keys marked, in the middle of a refresh, and after one."""
    draw = random.Random(7)
    await fill(sql, MODELS, 3)
    await make(database)
    await refreshed(database)
    async with (
        serving(database.gateway_url, current_state=True, compiler=compiler) as kept,
        serving(database.gateway_url, compiler=compiler) as plain,
    ):
        for round_ in range(10):
            for _ in range(8):
                query = question(draw)
                with recording() as sent:
                    found = await kept.ask(query)
                assert found["data"] == (await plain.ask(query))["data"], query
                assert any(STORED in one.text for one in sent) or "driftCheckCount: {" in query
            for _ in range(draw.randrange(1, 5)):
                await write(sql, draw)
            if round_ % 3 == 2:
                await refreshed(database, draw.choice([1, 50]))
    await refreshed(database)
    for _, one in stored_views().values():
        columns = ", ".join(one.columns)
        different = f"(SELECT {columns} FROM {{}} EXCEPT SELECT {columns} FROM {{}})"
        for pair in ((one.table, one.view.name), (one.view.name, one.table)):
            assert await sql.fetch(different.format(*pair)) == []


async def test_pages_follow_one_another(database: Database, sql: asyncpg.Connection) -> None:
    """Marked keys stand in their places among the stored ones, from page to page."""
    await fill(sql, MODELS, 3)
    await make(database)
    await refreshed(database)
    await sql.execute("UPDATE ml_model_registry SET model_name = model_name || ' again' WHERE id::text < '8'")
    async with both(database) as (kept, _):
        newest = "last_checked DESC NULLS LAST, model_id DESC, drift_type DESC"
        for field, order in (("modelHealths", "model_id DESC"), ("driftStatuses", newest)):
            view = "ml_model_health_dashboard" if field == "modelHealths" else "ml_drift_status_latest"
            expected = [str(row[0]) for row in await sql.fetch(f"SELECT model_id FROM {view} ORDER BY {order}")]
            found: list[str] = []
            after, more = None, True
            while more:
                page = (await kept.data(
                    f"query($after: String) {{ {field}(first: 7, after: $after) {{ nodes {{ modelId }} "
                    "pageInfo { hasNextPage endCursor } } }", after=after,
                ))[field]  # fmt: skip
                found += [row["modelId"] for row in page["nodes"]]
                after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
            assert found == expected


async def test_what_is_written_past_triggers_is_not_read_from_what_is_stored(
    database: Database, sql: asyncpg.Connection
) -> None:
    """Also by a gateway that planned its statements before: these check it themselves."""
    await fill(sql, 10, 2)
    await make(database)
    await refreshed(database)
    query = "{ modelHealths(first: 20) { nodes { modelId activeAlerts } } }"
    async with both(database) as (kept, plain):
        await kept.data(query)
        await sql.execute("ALTER TABLE ml_monitoring_alerts DISABLE TRIGGER e2i_state_update")
        await sql.execute("UPDATE ml_monitoring_alerts SET status = 'active'")
        await sql.execute("ALTER TABLE ml_monitoring_alerts ENABLE ALWAYS TRIGGER e2i_state_update")
        await sql.execute("ALTER TABLE ml_monitoring_alerts DISABLE TRIGGER e2i_state_insert")
        assert await kept.data(query) == await plain.data(query)
        await refreshed(database)
        await sql.execute("ALTER TABLE ml_monitoring_alerts ENABLE ALWAYS TRIGGER e2i_state_insert")
        assert await kept.data(query) == await plain.data(query)
        assert await sql.fetchval("SELECT state FROM gateway.current_states") == "broken"
        await make(database)
        await refreshed(database)
        assert await kept.data(query) == await plain.data(query)
    assert await sql.fetchval("SELECT state FROM gateway.current_states") == "ready"


async def test_rows_by_other_definitions_are_neither_read_nor_refreshed(
    database: Database, sql: asyncpg.Connection
) -> None:
    """Through an upgrade that changes a view, gateways of both versions answer by their own."""
    await fill(sql, 10, 2)
    await make(database)
    await refreshed(database)
    await sql.execute("UPDATE gateway.current_states SET definition = 'another version'")
    await sql.execute("UPDATE gateway.current_ml_model_health_dashboard SET health_status = 'of another version'")
    await sql.execute("UPDATE ml_monitoring_alerts SET status = 'active'")
    await refreshed(database)
    assert await sql.fetchval("SELECT count(*) > 0 FROM gateway.state_marks")
    query = "{ modelHealths(first: 20) { nodes { modelId healthStatus } } }"
    async with both(database) as (kept, plain):
        assert await kept.data(query) == await plain.data(query)
    assert "from now on" in (await make(database))[0]


async def answer(client: Client, query: str) -> Any:
    """The data, in which a number that JSON lacks is null."""
    return (await client.ask(query))["data"]


@pytest.mark.parametrize(
    "table", ["ml_model_registry", "ml_drift_history", "ml_monitoring_alerts", "ml_performance_metrics"]
)
async def test_rows_that_policies_hide_are_not_in_what_is_stored(
    database: Database, sql: asyncpg.Connection, table: str
) -> None:
    """Policies that come later, also while a gateway has its statements planned: the view answers, under them."""
    await fill(sql, 10, 2)
    await sql.execute("UPDATE ml_monitoring_alerts SET status = 'active'")
    await make(database)
    await refreshed(database)
    health, drift = (f"{{ {field}(first: 50) {{ totalCount nodes {{ {FIELDS[field]} }} }} }}" for field in FIELDS)
    async with both(database) as (kept, plain):
        before = [await answer(kept, query) for query in (health, drift)]
        await sql.execute(f"CREATE POLICY hide ON {table} TO {GATEWAY_ROLE} USING (false)")
        await sql.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        after = [await answer(kept, query) for query in (health, drift)]
        assert after == [await answer(plain, query) for query in (health, drift)]
        assert after != before, "the policy hides something"
        await refreshed(database)
        assert await sql.fetchval("SELECT state FROM gateway.current_states") == "broken"
        assert [await answer(kept, query) for query in (health, drift)] == after
    async with serving(database.gateway_url, current_state=True, rls=True, **JWT) as policed:
        with recording() as sent:
            await calling(policed, token("viewer")).ask(health)
        assert not any(STORED in one.text for one in sent), "callers with roles of their own have no rights on it"


async def test_why_no_state_is_stored(database: Database, sql: asyncpg.Connection) -> None:
    """Each reason is said by the command, and nothing is left of the attempt; lists are answered off the views."""
    await fill(sql, 10, 2)

    async def refused(reason: str) -> None:
        (sentence,) = await make(database)
        assert sentence.startswith("ml_model_registry: no state is stored: ")
        assert reason in sentence
        assert await sql.fetchval("SELECT count(*) FROM pg_trigger WHERE starts_with(tgname, 'e2i_state')") == 0
        assert await sql.fetchval("SELECT count(*) FROM gateway.current_states") == 0
        async with both(database) as (kept, plain):
            query = "{ modelHealths(first: 20) { totalCount nodes { modelId activeAlerts } } }"
            assert (await kept.ask(query)).get("data") == (await plain.ask(query)).get("data")

    await sql.execute("ALTER TABLE ml_performance_metrics RENAME TO elsewhere")
    await refused("the database has no table ml_performance_metrics")
    await sql.execute("ALTER TABLE elsewhere RENAME TO ml_performance_metrics")
    await sql.execute("CREATE TABLE heir () INHERITS (ml_monitoring_alerts)")
    await refused("its writes cannot be followed")


@pytest.mark.migrated("it is partitioned by the migrations' command")
async def test_partitions_are_followed(database: Database, sql: asyncpg.Connection) -> None:
    """Whatever name a statement writes by, and whoever takes partitions away."""
    await fill(sql, MODELS, 3)
    await partition(database.owner_url, [MEASURED])
    await make(database)
    assert "are stored" in (await make(database))[0], "what is stored is not made again"
    await refreshed(database)
    newest = await sql.fetchval(f"SELECT max(measured_at) FROM {MEASURED}")
    part = Month.of(newest).partition(Entity.metadata.tables[MEASURED])
    assert await sql.fetchval(f"SELECT count(*) FROM {part}") > MODELS
    health = f"{{ modelHealths(first: 100) {{ totalCount nodes {{ {FIELDS['modelHealths']} }} }} }}"
    async with both(database) as (kept, plain):

        async def compared(*, state: str) -> None:
            for _ in range(2):
                with recording() as sent:
                    found = await answer(kept, health)
                assert found == await answer(plain, health)
                assert any(STORED in one.text for one in sent)
                await refreshed(database)
            assert await sql.fetchval("SELECT state FROM gateway.current_states") == state
            if state == "ready":
                assert await sql.fetchval("SELECT count(*) FROM gateway.state_marks") == 0

        await compared(state="ready")
        for name in (MEASURED, part):
            await sql.execute(f"UPDATE {name} SET is_degraded = NOT is_degraded")
            assert await sql.fetchval("SELECT count(DISTINCT key) FROM gateway.state_marks") > MODELS / 2
            await compared(state="ready")
            await sql.execute(
                f"INSERT INTO {name} (model_id, metric_name, metric_value, measured_at, is_degraded) "
                "SELECT id, 'roc_auc', 0.1, $1, true FROM ml_model_registry ORDER BY id LIMIT 5",
                newest,
            )
            await compared(state="ready")
            await sql.execute(f"DELETE FROM {name} WHERE metric_value = 0.1")
            await compared(state="ready")
        await partition(database.owner_url, [], 5)
        await compared(state="ready")
        await sql.execute(f"TRUNCATE {part}")
        await compared(state="ready")
        later = Month.of(newest).after(24)
        bounds = f"FROM ('{later.start}') TO ('{later.after(1).start}')"
        await sql.execute(f"CREATE TABLE by_hand PARTITION OF {MEASURED} FOR VALUES {bounds}")
        await sql.execute(
            "INSERT INTO by_hand (model_id, metric_name, metric_value, measured_at, is_degraded) "
            f"SELECT id, 'roc_auc', 0.1, '{later.start}', true FROM ml_model_registry"
        )
        await compared(state="broken")
        assert "from now on" in (await make(database))[0]
        await refreshed(database)
        await compared(state="ready")
        await sql.execute(f"ALTER TABLE {MEASURED} DETACH PARTITION {part}")
        await compared(state="broken")
    assert "from now on" in (await make(database))[0]


async def test_a_truncated_table_marks_every_stored_row(database: Database, sql: asyncpg.Connection) -> None:
    await fill(sql, 10, 2)
    await make(database)
    await refreshed(database)
    await sql.execute("TRUNCATE ml_drift_history CASCADE")
    query = "{ driftStatuses { totalCount } modelHealths(first: 20) { nodes { hasActiveDrift activeAlerts } } }"
    async with both(database) as (kept, plain):
        assert await kept.data(query) == await plain.data(query)
        await refreshed(database)
        assert await kept.data(query) == await plain.data(query)
    assert await sql.fetchval("SELECT count(*) FROM gateway.current_ml_drift_status_latest") == 0


async def test_dropping_leaves_nothing(database: Database, sql: asyncpg.Connection) -> None:
    await make(database)
    async with connect(database.admin_url) as connection, connection.begin():
        assert await store.drop(connection) == ["ml_model_registry"]
        assert await store.drop(connection) == []
    assert await sql.fetchval("SELECT count(*) FROM pg_trigger WHERE starts_with(tgname, 'e2i_state')") == 0
    assert await sql.fetchval("SELECT to_regclass('gateway.current_ml_drift_status_latest')") is None


async def test_pages_and_counts_read_stored_rows_alone(database: Database, sql: asyncpg.Connection) -> None:
    """Filtered totals and statuses that nobody has: the views would compute each of 400 models for them."""
    await fill(sql, 400, 3)
    await make(database)
    await refreshed(database, 500)
    await sql.execute("VACUUM ANALYZE")
    async with serving(database.gateway_url, current_state=True) as kept:
        for query in (
            '{ modelHealths(where: { healthStatus: { eq: "warning" } }) { totalCount } }',
            '{ modelHealths(first: 5, where: { healthStatus: { eq: "unknown" } }) { nodes { modelId } } }',
            "{ driftStatuses(where: { severity: { eq: HIGH } }) { totalCount } }",
            "{ driftStatuses(first: 5) { nodes { modelId lastChecked } } }",
        ):
            with recording() as sent:
                await kept.data(query)
            (statement,) = sent
            await explained(sql, statement, options="ANALYZE, TIMING OFF, ")
            top = (await explained(sql, statement, options="ANALYZE, TIMING OFF, BUFFERS, "))["Plan"]
            assert top["Shared Hit Blocks"] + top["Shared Read Blocks"] < 200, query


async def test_stored_rows_are_read_in_the_order_of_a_page(database: Database, sql: asyncpg.Connection) -> None:
    """From either end of their index, and no more than the page needs, where Postgres avoids sorting; it sorts few."""
    await fill(sql, MODELS, 3)
    await make(database)
    await refreshed(database)
    await sql.execute("VACUUM ANALYZE")
    async with serving(database.gateway_url, current_state=True) as kept:
        for page in ("driftStatuses(first: 5)", "driftStatuses(last: 5)", "modelHealths(first: 5)"):
            with recording() as sent:
                await kept.data(f"{{ {page} {{ nodes {{ modelId }} }} }}")
            unsorted = {"enable_sort": "off", "enable_seqscan": "off"}
            (statement,) = (one._replace(settings={**one.settings, **unsorted}) for one in sent)
            nodes = await plan(sql, statement, options="ANALYZE, TIMING OFF, ")
            read = [node["Actual Rows"] for node in nodes if node.get("Relation Name", "").startswith(STORED)]
            assert sum(read) <= 6, page


async def test_the_upkeep_of_a_gateway_and_of_another_process(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each marked key is computed once, and what is marked after their connections are lost is computed too."""
    monkeypatch.undo()
    monkeypatch.setattr(upkeep, "PACE", replace(upkeep.PACE, seconds=0.05, pause=0.0, most=4))
    computed: list[int] = []
    failed: list[DBAPIError] = []
    to_lose = 0

    async def step(connection: AsyncConnection, state: CurrentState, most: int) -> store.StateStep | None:
        nonlocal to_lose
        try:
            if to_lose:
                to_lose -= 1
                await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
            made = await store.step(connection, state, most)
        except DBAPIError as error:
            failed.append(error)
            raise
        if made is not None and made.taken:
            computed.append(made.taken)
            await asyncio.sleep(0.05)  # the other has its turn before this commits
        return made

    monkeypatch.setattr(upkeep, "step", step)
    none_marked = "SELECT WHERE NOT EXISTS (SELECT FROM gateway.state_marks)"
    await fill(sql, MODELS, 2)
    await make(database)
    marked = await sql.fetchval("SELECT count(DISTINCT key) FROM gateway.state_marks")
    engine = create_engine(database_url(database.gateway_url), read_only=False)
    async with serving(database.gateway_url, current_state=True):
        other = asyncio.create_task(upkeep.StateUpkeep(engine).run())
        await became(sql, none_marked)
        await became(sql, "SELECT WHERE (SELECT state FROM gateway.current_states) = 'ready'")
        assert (sum(computed), failed) == (marked, [])
        for stage in ("archived", "production"):
            to_lose = 4
            await sql.execute("UPDATE ml_model_registry SET stage = $1::text::model_stage_enum", stage)
            await became(sql, none_marked)
            assert failed
            stored = "SELECT count(*) FROM gateway.current_ml_model_health_dashboard"
            assert await sql.fetchval(stored) == await sql.fetchval("SELECT count(*) FROM ml_model_health_dashboard")
        other.cancel()
        await asyncio.wait([other])
    await engine.dispose()
