"""Drift status and health of all models: the same rows however they are reached, and no more models worked out than are
asked for, over the indexes of our own and over the platform's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from schema.catalogue.from_models import catalogue
from schema.sql.conditions import only_rare
from tests.support.client import Client, serving
from tests.support.current_state import fill
from tests.support.databases import Clone, Database, connect
from tests.support.plans import Statement, plan, recording
from tests.support.platform_indexes import replace_indexes

pytestmark = pytest.mark.migrated("its indexes are replaced here")

MODELS, TESTS = 700, 4
FEW = {"own": 2_000, "platform": 4_000}
NEWEST = "last_checked DESC NULLS LAST, model_id DESC, drift_type DESC"


@dataclass(frozen=True)
class State:
    """The gateway over many models, with and without its compiler."""

    compiled: Client
    loaders: Client
    sql: asyncpg.Connection
    few: int
    """Buffers of a page of 20 models: to work out all of them takes over 15,000."""


@pytest.fixture(scope="module", params=["own", pytest.param("platform", marks=pytest.mark.slow)])
async def state(template: Database, clone: Clone, request: pytest.FixtureRequest) -> AsyncIterator[State]:
    async with clone(template) as copy:
        sql = await connect(copy.admin_url)
        try:
            if request.param == "platform":
                await replace_indexes(sql)
            await fill(sql, MODELS, TESTS)
            async with serving(copy.gateway_url) as compiled, serving(copy.gateway_url, compiler=False) as loaders:
                yield State(compiled, loaders, sql, FEW[request.param])
        finally:
            await sql.close()


async def buffers(state: State, document: str, **variables: Any) -> int:
    """How many buffers the statements of a document read the second time."""
    with recording() as sent:
        await state.compiled.data(document, **variables)
    return sum([await _read(state.sql, statement) for statement in sent])


async def _read(sql: asyncpg.Connection, statement: Statement) -> int:
    await plan(sql, statement, options="ANALYZE, TIMING OFF, ")
    (top, *_) = await plan(sql, statement, options="ANALYZE, TIMING OFF, BUFFERS, ")
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


async def paged(client: Client, arguments: str, size: int, *, take: str = "first") -> list[Any]:
    """All rows of a list of drift statuses, a page at a time."""
    side, cursor, more = ("after", "endCursor", "hasNextPage") if take == "first" else (
        "before", "startCursor", "hasPreviousPage",
    )  # fmt: skip
    found: list[Any] = []
    at = "null"
    while True:
        data = await client.data(
            f"{{ driftStatuses({take}: {size}, {side}: {at} {arguments}) {{ pageInfo {{ {cursor} {more} }} "
            "nodes { modelId driftType lastChecked featureName severity driftDetected } } }"
        )
        page = data["driftStatuses"]
        found = [*found, *page["nodes"]] if take == "first" else [*page["nodes"], *found]
        if not page["pageInfo"][more]:
            return found
        at = json.dumps(page["pageInfo"][cursor])


async def statuses(state: State, where: str = "true", order: str = NEWEST) -> list[tuple[Any, ...]]:
    """What the view says, whatever the gateway reads."""
    return [
        tuple(row)
        for row in await state.sql.fetch(
            f"SELECT model_id::text, upper(drift_type::text), feature_name, upper(severity::text), drift_detected "
            f"FROM ml_drift_status_latest WHERE {where} ORDER BY {order}"
        )
    ]


def shown(rows: list[Any]) -> list[tuple[Any, ...]]:
    return [
        tuple(row[name] for name in ("modelId", "driftType", "featureName", "severity", "driftDetected"))
        for row in rows
    ]


@pytest.mark.slow
async def test_drift_statuses_are_those_of_the_view_on_every_page_from_either_end(state: State) -> None:
    """Rows at one instant, several features at once, and rows without a time among them."""
    expected = await statuses(state)
    assert len(expected) > 2 * MODELS
    unordered = await state.sql.fetchval("SELECT count(*) FROM ml_drift_status_latest WHERE last_checked IS NULL")
    assert unordered > 3
    assert shown(await paged(state.compiled, "", 397)) == expected
    assert shown(await paged(state.compiled, "", 1000, take="last")) == expected
    assert shown(await paged(state.loaders, "", 1000)) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "sql"),
    [
        ("driftDetected: { eq: true }", "drift_detected"),
        ("severity: { eq: CRITICAL }", "severity = 'critical'"),
        ("severity: { in: [HIGH, CRITICAL] }", "severity IN ('high', 'critical')"),
        ("driftType: { eq: MODEL }, driftDetected: { eq: true }", "drift_type = 'model' AND drift_detected"),
        ("and: [{ driftDetected: { eq: true } }, { severity: { ne: LOW } }]", "drift_detected AND severity <> 'low'"),
        ('lastChecked: { lt: "2026-05-31T23:59:50Z" }', "last_checked < '2026-05-31T23:59:50Z'"),
        ("lastChecked: { isNull: true }", "last_checked IS NULL"),
    ],
)
async def test_filtered_drift_statuses_are_those_of_the_view(state: State, where: str, sql: str) -> None:
    for order, by in (("", NEWEST), (", orderBy: { field: MODEL_ID }", "model_id, drift_type")):
        expected = await statuses(state, sql, by)
        assert expected
        assert shown(await paged(state.compiled, f", where: {{ {where} }}{order}", 1000)) == expected
        for client in (state.compiled, state.loaders):
            data = await client.data(
                f"{{ driftStatuses(first: 20, where: {{ {where} }}{order}) {{ totalCount(exact: true) "
                "aggregate { count } nodes { modelId driftType lastChecked featureName severity driftDetected } } }"
            )
            assert data["driftStatuses"]["totalCount"] == len(expected)
            assert data["driftStatuses"]["aggregate"] == [{"count": len(expected)}]
            assert shown(data["driftStatuses"]["nodes"]) == expected[:20]


HEALTH = [
    ('healthStatus: { eq: "critical" }', "health_status = 'critical'"),
    ('healthStatus: { in: ["critical", "warning"] }', "health_status IN ('critical', 'warning')"),
    ('healthStatus: { in: ["critical", "healthy"] }', "health_status IN ('critical', 'healthy')"),
    ('healthStatus: { eq: "unknown" }', "health_status = 'unknown'"),
    ('healthStatus: { ne: "healthy" }', "health_status <> 'healthy'"),
    ("hasActiveDrift: { eq: true }", "has_active_drift"),
    ("hasActiveDrift: { eq: false }", "NOT has_active_drift"),
    ("maxDriftSeverity: { eq: CRITICAL }", "max_drift_severity = 'critical'"),
    ("maxDriftSeverity: { in: [LOW, HIGH] }", "max_drift_severity IN ('low', 'high')"),
    ("maxDriftSeverity: { isNull: true }", "max_drift_severity IS NULL"),
    ("activeAlerts: { gt: 0 }", "active_alerts > 0"),
    ("activeAlerts: { gte: 0 }", "active_alerts >= 0"),
    ("criticalAlerts: { gte: 1 }", "critical_alerts >= 1"),
    ("performanceDegraded: { eq: true }", "performance_degraded"),
    ('and: [{ healthStatus: { eq: "warning" } }, { activeAlerts: { eq: 0 } }]',
     "health_status = 'warning' AND active_alerts = 0"),
    ('or: [{ healthStatus: { eq: "critical" } }, { activeAlerts: { eq: 0 } }]',
     "health_status = 'critical' OR active_alerts = 0"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("where", "sql"), HEALTH)
async def test_filtered_health_is_that_of_the_view(state: State, where: str, sql: str) -> None:
    for order, by in (
        ("", "model_id DESC"),
        (", orderBy: { field: MODEL_NAME, direction: DESC }", "model_name DESC NULLS LAST, model_id DESC"),
    ):
        rows = await state.sql.fetch(
            f"SELECT model_id::text, health_status FROM ml_model_health_dashboard WHERE {sql} ORDER BY {by}"
        )
        expected = [{"modelId": model, "healthStatus": status} for model, status in rows]
        assert expected
        document = (
            f"{{ modelHealths(first: 15, where: {{ {where} }}{order}) {{ totalCount(exact: true) "
            "nodes { modelId healthStatus } } }"
        )
        for client in (state.compiled, state.loaders):
            data = await client.data(document)
            assert data["modelHealths"]["nodes"] == expected[:15]
            assert data["modelHealths"]["totalCount"] == len(expected)


@pytest.mark.slow
async def test_a_variable_decides_for_each_request_where_models_are_looked_for(state: State) -> None:
    document = """query($status: String!, $least: BigInt!) {
        modelHealths(first: 1000, where: { healthStatus: { eq: $status }, activeAlerts: { gte: $least } }) {
            totalCount nodes { modelId } } }"""
    for status in ("healthy", "critical", "unknown", "warning", "critical", "healthy"):
        for least in (0, 1):
            data = await state.compiled.data(document, status=status, least=least)
            expected = await state.sql.fetch(
                "SELECT model_id::text FROM ml_model_health_dashboard WHERE health_status = $1 AND active_alerts >= $2 "
                "ORDER BY model_id DESC",
                status,
                least,
            )
            assert [row["modelId"] for row in data["modelHealths"]["nodes"]] == [row[0] for row in expected][:1000]


PAGES = [
    "{ modelHealths { totalCount } }",
    "{ modelHealths(where: { activeAlerts: { gt: 0 } }) { totalCount } }",
    "{ driftStatuses(first: 20) { nodes { modelId lastChecked severity } pageInfo { hasNextPage endCursor } } }",
    "{ driftStatuses(first: 20, where: { severity: { eq: CRITICAL } }) { nodes { modelId lastChecked } } }",
    "{ driftStatuses(first: 20, where: { driftDetected: { eq: true } }) { nodes { modelId lastChecked } } }",
    "{ modelHealths(first: 20) { nodes { modelId healthStatus activeAlerts driftCheckCount latestMetricValue } } }",
    "{ modelHealths(first: 20, orderBy: { field: MODEL_NAME }) { nodes { modelId healthStatus } } }",
    "{ modelHealths(first: 20, orderBy: { field: MODEL_NAME, direction: DESC }) { nodes { modelId healthStatus } } }",
    '{ modelHealths(first: 20, where: { healthStatus: { eq: "critical" } }) { nodes { modelId healthStatus } } }',
    '{ modelHealths(first: 20, where: { healthStatus: { eq: "warning" } }) { nodes { modelId healthStatus } } }',
    '{ modelHealths(first: 20, where: { healthStatus: { eq: "healthy" } }) { nodes { modelId healthStatus } } }',
    "{ modelHealths(first: 20, where: { hasActiveDrift: { eq: true } }) { nodes { modelId healthStatus } } }",
    "{ modelHealths(first: 20, where: { activeAlerts: { gt: 0 } }) { nodes { modelId healthStatus } } }",
    "{ modelHealths(first: 20, where: { criticalAlerts: { gt: 0 } }) { nodes { modelId healthStatus } } }",
    "{ modelHealths(first: 20, where: { performanceDegraded: { eq: true } }) { nodes { modelId healthStatus } } }",
]


@pytest.mark.slow
@pytest.mark.parametrize("document", PAGES)
async def test_a_page_works_out_its_own_models(state: State, document: str) -> None:
    assert await buffers(state, document) < state.few


@pytest.mark.parametrize(("nulls", "walks"), [("FIRST", True), ("LAST", False)])
async def test_the_last_rows_are_walked_where_the_greatest_are_last(state: State, nulls: str, *, walks: bool) -> None:
    """And rows without a time first: the page begins with the newest, from its end."""
    order = f"orderBy: {{ field: LAST_CHECKED, nulls: {nulls} }}"
    document = f"{{ driftStatuses(last: 20, {order}) {{ nodes {{ modelId driftType lastChecked featureName severity "
    with recording() as sent:
        data = await state.compiled.data(f"{document} driftDetected }} }} }}")
    assert any("CASE WHEN (SELECT max(n.created_at)" in " ".join(one.text.split()) for one in sent) is walks
    expected = await statuses(state, order=f"last_checked NULLS {nulls}, model_id, drift_type")
    assert shown(data["driftStatuses"]["nodes"]) == expected[-20:]


async def test_a_page_behind_a_cursor_works_out_its_own_models(state: State) -> None:
    for field in ("driftStatuses", "modelHealths"):
        page = await state.compiled.data(f"{{ {field}(first: 300) {{ pageInfo {{ endCursor }} }} }}")
        after = page[field]["pageInfo"]["endCursor"]
        document = (
            f"query($after: String) {{ {field}(first: 20, after: $after) {{ nodes {{ modelId }} "
            "pageInfo { hasPreviousPage hasNextPage } } }"
        )
        assert await buffers(state, document, after=after) < state.few


async def test_what_is_not_asked_for_is_not_worked_out(state: State) -> None:
    with recording() as sent:
        await state.compiled.data("{ modelHealths(first: 20) { nodes { modelId modelName activeAlerts } } }")
    (statement,) = sent
    read = {node.get("Relation Name") for node in await plan(state.sql, statement)} - {None}
    assert "ml_monitoring_alerts" in read
    assert "ml_drift_history" not in read


async def test_rows_of_one_model_are_found_by_its_key(state: State) -> None:
    model = await state.sql.fetchval("SELECT id::text FROM ml_model_registry WHERE stage = 'production' LIMIT 1")
    for document in (
        f'{{ model(id: "{model}") {{ driftStatus {{ nodes {{ lastChecked }} }} health {{ healthStatus }} }} }}',
        f'{{ driftStatuses(where: {{ modelId: {{ eq: "{model}" }} }}) {{ nodes {{ lastChecked }} }} }}',
        f'{{ modelHealths(where: {{ modelId: {{ eq: "{model}" }}, activeAlerts: {{ gt: 0 }} }}) {{ totalCount }} }}',
    ):
        assert await buffers(state, document) < 150


@pytest.mark.parametrize(
    ("operator", "usual", "operand", "expected"),
    [
        ("eq", (0,), 1, True),
        ("eq", (0,), 0, False),
        ("eq", (0,), None, False),
        ("in", ("a", "b"), ["c", "d"], True),
        ("in", ("a", "b"), ["c", "a"], False),
        ("in", ("a",), ["c", None], False),
        ("gt", (0,), 0, True),
        ("gt", (0,), -1, False),
        ("gte", (0,), 0, False),
        ("gte", (0,), 1, True),
        ("lt", (0,), 5, False),
        ("ne", ("a",), "a", False),
        ("notIn", ("a",), ["a"], False),
        ("isNull", (0,), False, False),
        ("startsWith", ("a",), "c", False),
        ("eq", (False,), True, True),
        ("eq", (False,), False, False),
    ],
)
def test_a_filter_finds_unusual_rows_alone_only_where_that_is_certain(
    operator: str, usual: Any, operand: Any, expected: Any
) -> None:
    assert only_rare(operator, usual, operand) is expected


def test_what_is_declared_of_views_are_columns_of_theirs() -> None:
    declared = [type_ for type_ in catalogue() if type_.over or type_.rare or type_.walk]
    assert {type_.name for type_ in declared} >= {"DriftStatus", "ModelHealth", "ExperimentHealth"}
    for type_ in declared:
        columns = set(type_.table.columns.keys())
        assert type_.is_view
        for at in filter(None, (type_.over, type_.walk)):
            assert set(at.columns) <= columns
        for rare in type_.rare:
            assert rare.column in columns
