"""Expensive requests cost accordingly: relations in filters and orders, orders without an index, sums."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from db.attach.facts import Facts, Index, IndexColumn
from db.attach.frequencies import Frequencies
from db.attach.spreads import Spread, Spreads
from db.base.sums import stored_measures, sums_table
from db.base.vocabulary import OWN_SCHEMA
from db.models.g07_monitoring_alerts import AlertStatus
from gateway.operations.service import OperationService
from schema.catalogue.from_models import catalogue
from schema.catalogue.records import Missing, Withheld
from schema.errors import GatewayError
from tests.bench.prices import Prices
from tests.support.changing import add
from tests.support.client import Client, serving
from tests.support.databases import Database, connect, connected
from tests.support.plans import plan, recording
from tests.support.platform_shaped import IS_PLATFORM

pytestmark = pytest.mark.slow

MILLION = "ml_bentoml_serving_metrics"


@pytest.fixture(scope="module")
async def large(demo_database: Database) -> AsyncIterator[Client]:
    """A gateway that believes the serving metrics to be a million."""
    async with serving(demo_database.gateway_url) as client:
        endpoint: OperationService = client.app.state.graphql
        facts = endpoint.access.facts
        endpoint.planner.learn_facts(replace(facts, rows={**facts.rows, MILLION: 1_000_000}))
        yield client


def chain(levels: int, inner: str = "{}") -> str:
    """``{models: {some: {experiment: {models: ...}}}}``."""
    for level in reversed(range(levels)):
        inner = f"{{ experiment: {inner} }}" if level % 2 else f"{{ models: {{ some: {inner} }} }}"
    return inner


async def cost(client: Client, query: str) -> int:
    requested: int = (await client.cost(query))["requested"]
    return requested


async def test_what_a_change_answers_is_part_of_its_price(demo: Client) -> None:
    """A row more is a point, and a list of them as many as it may have."""
    asked = 'mutation {{ acknowledgeAlert(input: {{ id: "MonitoringAlert:{key}" }}) {{ __typename {more} }} }}'
    key = "00000000-0000-0000-0000-000000000001"

    async def price(more: str) -> int:
        return await cost(demo, asked.format(key=key, more=more))

    alone = await price("")
    changed = await price("... on TransitionApplied { node { id } }")
    listed = await price(
        "... on TransitionApplied { node { ... on MonitoringAlert { model { alerts(first: 90) { nodes { id } } } } } }"
    )
    assert 0 < alone < changed
    assert listed > changed + 90


async def test_chains_of_relations_are_planned_in_time_and_have_a_price(demo: Client) -> None:
    """Ten chains of nine took twelve seconds of planning and a gigabyte, at a price of 2."""
    ten = ", ".join([chain(9)] * 10)
    answer = await demo.ask(f"{{ experiments(first: 1, where: {{ and: [{ten}] }}) {{ nodes {{ id }} }} }}")
    assert answer["data"]["experiments"]["nodes"]
    assert answer["extensions"]["cost"]["requested"] > 90 * 10


async def test_many_relations_are_refused_with_their_number(demo: Client) -> None:
    query = "query($w: [ExperimentWhere!]) { experiments(first: 1, where: { and: $w }) { nodes { id } } }"
    error = await demo.error(query, w=[as_json(9)] * 30)
    assert error["code"] == "RELATION_LIMIT"
    assert error["extensions"]["limit"] == 200
    assert error["extensions"]["value"] == 270


async def test_a_select_behind_a_relation_is_a_query_of_its_own(demo_database: Database, large: Client) -> None:
    """Joined, it was computed whole for each of 210 rows: two seconds and 184 MB, at a price of 6,372."""
    segments = "experiment: { segmentResults: { none: { details: { isNull: false } } } }"
    with recording() as statements:
        await large.data(f"{{ experimentKnowledgeEntries(where: {{ {segments} }}) {{ totalCount nodes {{ id }} }} }}")
    connection = await connect(demo_database.gateway_url)
    nodes = [node for one in statements for node in await plan(connection, one)]
    await connection.close()
    assert any(node.get("Relation Name") == "ab_experiment_results" for node in nodes)
    assert not [node for node in nodes if "Anti" in node.get("Join Type", "")]


async def test_a_view_of_many_rows_behind_a_relation_has_a_price(demo_database: Database) -> None:
    """It is read for each row of the list, whose relation may lead to any part of it."""
    async with serving(demo_database.gateway_url) as client:
        endpoint: OperationService = client.app.state.graphql
        facts = endpoint.access.facts
        endpoint.planner.learn_facts(replace(facts, rows={**facts.rows, "ml_observability_spans": 60_000}))
        slow = "parent: { agentLatency: { agentName: { isNull: false } } }"
        error = await client.error(f"{{ observabilitySpans(where: {{ {slow} }}) {{ totalCount }} }}")
        assert (error["code"], error["extensions"]["argument"]) == (
            "COST_LIMIT",
            "observabilitySpans.where.parent.agentLatency",
        )
        direct = "agentLatency: { agentName: { isNull: false } }"  # which is read once, and compared with each
        assert await client.data(f"{{ observabilitySpans(where: {{ {direct} }}) {{ totalCount }} }}")


async def test_a_view_that_is_worked_out_for_all_rows_has_a_price(demo_database: Database) -> None:
    """Its rows were taken for none: counting those of 50,000 models, a second of Postgres, was 1 point."""
    async with serving(demo_database.gateway_url, max_cost=10**9) as client:
        endpoint: OperationService = client.app.state.graphql
        many = {
            "ml_model_registry": 50_000, "ml_drift_history": 1_100_000, "ml_monitoring_alerts": 200_000,
            "ml_performance_metrics": 1_000_000,
        }  # fmt: skip
        facts = endpoint.access.facts
        endpoint.planner.learn_facts(replace(facts, rows={**facts.rows, **many}))
        unknown = 'where: { healthStatus: { eq: "unknown" } }'
        for dear in (
            f"modelHealths(first: 20, {unknown}) {{ nodes {{ healthStatus }} }}", "modelHealths { totalCount }",
            "driftStatuses(first: 20, orderBy: [{ field: DRIFT_SCORE }]) { totalCount }",
            "driftStatuses { aggregate { count } }",
        ):  # fmt: skip
            assert await cost(client, f"{{ {dear} }}") > 250_000, dear
        for cheap in (
            "modelHealths(first: 20) { nodes { healthStatus } }",
            'modelHealths(first: 20, where: { healthStatus: { eq: "critical" } }) { nodes { healthStatus } }',
            *([] if IS_PLATFORM else ["driftStatuses(first: 20) { nodes { severity } }"]),  # which has no index there
        ):  # fmt: skip
            assert await cost(client, f"{{ {cheap} }}") < 5_000, cheap


async def test_a_view_behind_a_relation_is_asked_once_for_each_row_that_the_list_leads_to(
    demo_database: Database,
) -> None:
    """60,000 spans of 15 experiments ask for the health of 15, through however many relations to one row that must
    hold; where one of several must, or there are more relations than Postgres joins, it may ask for each span."""
    async with serving(demo_database.gateway_url, max_cost=10**9) as client:
        endpoint: OperationService = client.app.state.graphql
        facts = endpoint.access.facts
        endpoint.planner.learn_facts(replace(facts, rows={**facts.rows, "ml_observability_spans": 60_000}))
        health = "experiment: { health: { assignments: { gt: 100 } } }"
        nodes = "{ totalCount nodes { id } }"
        many = ", ".join(f"{{ {health.replace('100', str(n))} }}" for n in range(9))
        for where in (
            f"{{ {health} }}", f"{{ or: [{{ {health} }}, {{ not: {{ {health} }} }}] }}",
            f"{{ parent: {{ {health} }} }}", f"{{ parent: {{ parent: {{ {health} }} }} }}",
        ):  # fmt: skip
            assert await cost(client, f"{{ observabilitySpans(where: {where}) {nodes} }}") < 80_000
        assert await cost(client, f"{{ observabilitySpans(where: {{ and: [{many}] }}) {nodes} }}") < 400_000
        others = "parent: { parent: { parent: { parent: { parent: { parent: { agentName: { isNull: false } } } } } } }"
        for where in (
            f"{{ or: [{{ parent: {{ {health} }} }}, {{ agentName: {{ isNull: true }} }}] }}",
            f"{{ not: {{ parent: {{ {health} }} }} }}", f"{{ {others} {health} }}",
        ):  # fmt: skip
            assert await cost(client, f"{{ observabilitySpans(where: {where}) {nodes} }}") > 500_000


async def test_what_is_asked_of_one_row_by_several_filters_is_asked_at_once(demo_database: Database) -> None:
    """Nine filters of one view took 31 seconds: Postgres takes each of nine joins to keep half of the rows."""
    one = "{ experiment: { and: [{ health: { assignments: { gte: 1 } } }], health: { variants: { gte: 2 } } } }"
    connection = await connect(demo_database.gateway_url)
    async with serving(demo_database.gateway_url) as client:
        found = []
        for where in (one, f"{{ and: [{', '.join([one] * 5)}, {{ experiment: {{ brand: {{ isNull: false }} }} }}] }}"):
            with recording() as statements:
                data = await client.data(f"{{ models(where: {where}) {{ totalCount nodes {{ rowId }} }} }}")
            nodes = [node for statement in statements for node in await plan(connection, statement)]
            scans = sum(node.get("Relation Name") == "ab_experiment_assignments" for node in nodes)
            found.append((data["models"], scans))
        assert found[0] == found[1]
        assert found[0][1] > 0
    await connection.close()


async def test_a_relation_that_is_a_query_is_asked_for_each_row_and_not_for_every_two(
    demo: Client, demo_database: Database
) -> None:
    """3,000 deployments by the chains of their chains ran into the statement timeout at a price of 13,000."""
    inner = "rollbackChain: { every: { errorRate: { isNull: true } } }"
    query = f"{{ found: deployments(where: {{ succeedingDeployments: {{ none: {{ {inner} }} }} }}) "
    with recording() as statements:
        assert await demo.data(f"{query} {{ totalCount nodes {{ id }} }} }}")
    connection = await connect(demo_database.gateway_url)
    nodes = [node for one in statements for node in await plan(connection, one)]
    await connection.close()
    assert any(node.get("Relation Name") == "ml_deployments" for node in nodes)
    assert not [node for node in nodes if "SubPlan" in node.get("Join Filter", "")]


@pytest.mark.parametrize("operator", ["in", "notIn"])
async def test_times_in_a_list_are_read_once(demo: Client, demo_database: Database, operator: str) -> None:
    """A thousand of them were read anew for each of 58,000 rows: 50 seconds, at the price of any filter."""
    times = [f"2001-01-01T00:{n // 60:02}:{n % 60:02}Z" for n in range(300)]
    query = f"query($of: [DateTime!]) {{ spans: observabilitySpans(where: {{ endedAt: {{ {operator}: $of }} }}) "
    with recording() as statements:
        data = await demo.data(f"{query} {{ totalCount nodes {{ id }} }} }}", of=times)
    assert bool(data["spans"]["totalCount"]) == (operator == "notIn")
    connection = await connect(demo_database.gateway_url)
    nodes = [node for one in statements for node in await plan(connection, one)]
    await connection.close()
    assert any(node.get("Relation Name") == "ml_observability_spans" for node in nodes)
    assert not [node for node in nodes if "[]" in node.get("Filter", "").partition("ended_at")[2]]


def as_json(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for level in reversed(range(levels)):
        inner = {"experiment": inner} if level % 2 else {"models": {"some": inner}}
    return inner


@pytest.mark.parametrize("quantifier", ["some", "none", "every"])
async def test_relations_beyond_a_join_mean_the_same(demo: Client, quantifier: str) -> None:
    """More relations than are planned as joins find the same rows as one does."""
    one = f"{{ models: {{ {quantifier}: {{ stage: {{ eq: PRODUCTION }} }} }} }}"
    query = "{{ experiments(first: 1000, where: {{ and: [{}] }}) {{ nodes {{ rowId }} }} }}".format
    once = await demo.data(query(one))
    assert once["experiments"]["nodes"]
    assert await demo.data(query(", ".join([one] * 15))) == once


async def test_a_relation_counts_wherever_a_statement_names_it(demo: Client) -> None:
    where = "where: { models: { some: {} } }"
    rows = await cost(demo, f"{{ experiments(first: 1, {where}) {{ nodes {{ id }} }} }}")
    both = await cost(demo, f"{{ experiments(first: 1, {where}) {{ nodes {{ id }} totalCount }} }}")
    assert both >= rows + 10


async def test_an_order_through_relations_of_a_million_rows_is_refused(large: Client) -> None:
    order = "orderBy: [{ service: { deployment: { model: { experiment: { field: CREATED_AT } } } } }]"
    error = await large.error(f"{{ servingMetrics(first: 1, {order}) {{ nodes {{ id }} }} }}")
    assert error["code"] == "COST_LIMIT"
    assert error["extensions"]["argument"] == "servingMetrics.orderBy"
    assert error["extensions"]["value"] >= 4_000_000
    assert "through relations" in error["message"]


@pytest.mark.parametrize(
    ("arguments", "expensive"),
    [
        ("", False),
        ("orderBy: [{ field: RECORDED_AT, direction: DESC }]", False),
        ("orderBy: [{ field: RECORDED_AT, nulls: FIRST }]", False),  # the same, backward
        ("orderBy: [{ field: RECORDED_AT }]", False),  # nulls stand elsewhere in the index, and are read apart
        ("orderBy: [{ field: P99_LATENCY_MS }]", True),
        ("where: { serviceId: { eq: $id } }, orderBy: [{ field: RECORDED_AT, direction: DESC }]", False),
        ("where: { rowId: { eq: $id } }, orderBy: [{ field: P99_LATENCY_MS }]", False),
        ('where: { recordedAt: { gt: "2026-05-31T00:00:00Z" } }', False),
        ("where: { p99LatencyMs: { gt: 1e9 } }", True),
        ('where: { service: { containerImage: { eq: "x" } } }', True),
    ],
)  # fmt: skip
async def test_what_no_index_serves_costs_what_it_reads(large: Client, arguments: str, expensive: bool) -> None:  # noqa: FBT001
    given = f"(first: 1, {arguments})"
    variable = "($id: UUID) " if "$id" in arguments else ""
    price = await large.cost(f"query {variable}{{ servingMetrics{given} {{ nodes {{ id }} }} }}", id="0" * 32)
    assert (price["requested"] > 100_000) == expensive
    assert expensive or price["requested"] < 10_000


async def test_sums_cost_rows_times_functions_and_percentiles_more(large: Client) -> None:
    def aggregate(fields: str) -> str:
        return f"{{ servingMetrics(first: 0) {{ aggregate {{ count {fields} }} }} }}"

    count = await cost(large, aggregate(""))
    mean = await cost(large, aggregate("p99LatencyMs { avg }"))
    assert mean - count == pytest.approx(1_000_000 / 20, rel=0.1)
    two = await cost(large, aggregate("p99LatencyMs { avg max }"))
    assert two - count == pytest.approx(2 * (mean - count), rel=0.1)
    ranked = await cost(large, aggregate("p99LatencyMs { p95 }"))
    assert ranked > 3 * mean
    columns = ["p50LatencyMs", "p95LatencyMs", "p99LatencyMs", "avgLatencyMs", "errorRate"]
    error = await large.error(aggregate(" ".join(f"{name} {{ p50 p95 p99 avg }}" for name in columns)))
    assert error["code"] == "COST_LIMIT"


async def test_the_length_of_a_list_is_part_of_a_price(large: Client) -> None:
    """A plan is kept for lists of all lengths, and its price must not be that of the first."""
    query = "query($ids: [UUID!]) { servingMetrics(first: 1, where: { serviceId: { in: $ids } }) { nodes { id } } }"
    ids = [f"{n:032x}" for n in range(1000)]
    prices = [(await large.cost(query, ids=ids[:length]))["requested"] for length in (1, 1000, 1)]
    assert prices[0] == prices[2] < prices[1] / 5


async def test_a_list_of_values_costs_a_look_for_each_and_the_rows_of_a_page(large: Client) -> None:
    """It was charged as a filter that no index serves: a fifth of a point for each row of the values."""
    where = "where: { serviceId: { in: $ids } }"
    ids = [f"{n:032x}" for n in range(1000)]

    async def price(fields: str, length: int) -> int:
        query = f"query($ids: [UUID!]) {{ servingMetrics(first: 20, {where}) {{ {fields} }} }}"
        asked: int = (await large.cost(query, ids=ids[:length]))["requested"]
        return asked

    counted = await price("aggregate { count }", 1), await price("aggregate { count }", 1000)
    assert counted[1] >= 1_000_000 // 20 + 1000 // 5, "all rows are counted"
    assert counted[0] < counted[1] / 2
    assert await price("nodes { id }", 1) < 200
    assert 200 < await price("nodes { id }", 1000) < 400


async def test_a_list_by_elements_costs_the_rows_nearby_and_all_where_no_index_finds_them(
    demo_database: Database,
) -> None:
    async with serving(demo_database.gateway_url) as client:
        endpoint: OperationService = client.app.state.graphql
        facts, table = endpoint.access.facts, "ml_monitoring_runs"
        others = tuple(one for one in facts.indexes.get(table, ()) if one.method != "gin")
        elements = tuple(Index(f"gin_{name}", (IndexColumn(name),), "gin") for name in ("model_ids", "deployment_ids"))
        prices = []
        for indexes in ((*others, *elements), others):
            known = {**facts.indexes, table: indexes}
            endpoint.planner.learn_facts(replace(facts, rows={**facts.rows, table: 300_000}, indexes=known))
            query = "{ models(first: 3) { nodes { monitoringRuns(first: 10) { nodes { id } } } } }"
            prices.append(await cost(client, query))
    by_index, whole = prices
    assert by_index < 200
    assert whole == by_index + 3 * 300_000 // 20


YEARS = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=7.3 * part) for part in range(101)]
"""Bounds of a hundred parts with as many rows each, over two years."""
ROWS, UNSEEN, SERVICES = 200_000_000, 60_000, 5_000
DAY = (
    f'recordedAt: {{ gte: "{YEARS[50]:%Y-%m-%dT%H:%M:%SZ}", lt: "{YEARS[50] + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}" }}'
)
ONE = 'serviceId: { eq: "00000000-0000-0000-0000-000000000001" }'
WEEK_AND_LATER = f'recordedAt: {{ gte: "{YEARS[99]:%Y-%m-%dT%H:%M:%SZ}" }}'


def of_200_million(known: Facts) -> Facts:
    """Facts of 200 million serving metrics of two years and 5,000 services."""
    spread = Spread(tuple(bound.timestamp() for bound in YEARS))
    return replace(
        known,
        rows={**known.rows, MILLION: ROWS, "ml_bentoml_services": SERVICES},
        spreads={MILLION: {"recorded_at": Spreads(((1.0, spread),), UNSEEN)}},
    )


@pytest.fixture(scope="module")
async def huge(demo_database: Database) -> AsyncIterator[Client]:
    """A gateway that believes in 200 million serving metrics of two years and 5,000 services."""
    async with serving(demo_database.gateway_url) as client:
        endpoint: OperationService = client.app.state.graphql
        endpoint.planner.learn_facts(of_200_million(endpoint.access.facts))
        yield client


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        (DAY, ROWS / 730),
        (f"{DAY}, {ONE}", ROWS / 730 / SERVICES),
        (ONE, ROWS / SERVICES),
        (WEEK_AND_LATER, ROWS / 100 + UNSEEN),  # what statistics have not seen may be as late
        (f"and: [{{ {DAY} }}, {{ {ONE} }}]", ROWS / SERVICES),  # the lesser of two, each of which an index serves
    ],
    ids=["a day", "a day of a service", "a service", "the last week", "a day and a service"],
)
async def test_a_window_costs_the_rows_that_are_in_it(huge: Client, where: str, rows: float) -> None:
    query = f"{{ servingMetrics(first: 0, where: {{ {where} }}) {{ aggregate {{ count p99LatencyMs {{ avg }} }} }} }}"
    beyond = rows / 5 if where.startswith("and") else 0  # a filter that no index serves as a whole
    assert await cost(huge, query) == pytest.approx(rows / 10 + beyond, rel=0.1, abs=60)


@pytest.mark.parametrize(
    ("keys", "hours", "groups"),
    [
        ("{ field: RECORDED_AT, bucket: HOUR }", 6, 7),
        ("{ field: RECORDED_AT, bucket: HOUR }", 6.5, 8),
        ("{ field: RECORDED_AT, bucket: MINUTE }", 6, 361),
        ("{ field: RECORDED_AT, bucket: DAY }", 6, 2),
        ("{ field: RECORDED_AT, bucket: HOUR }", -6, 1),
        ("{ field: RECORDED_AT, bucket: HOUR }", None, 1000),
        ("{ field: RECORDED_AT, bucket: MINUTE }", 48, 1000),
        ("{ field: RECORDED_AT }", 6, 1000),
        ("{ field: RECORDED_AT, bucket: HOUR }, { field: SERVICE_ID }", 6, 1000),
    ],
)
def test_groups_of_a_window_are_its_buckets(keys: str, hours: float | None, groups: int) -> None:
    """A window has no more than these; without one, or with other keys, a list has a thousand at most."""
    until = f', lt: "{(YEARS[50] + timedelta(hours=hours)).isoformat()}"' if hours else ""
    where = f'where: {{ recordedAt: {{ gte: "{YEARS[50].isoformat()}"{until} }} }}'
    both = [f"aggregate(groupBy: [{one}]) {{ count }}" for one in (keys, keys.replace("RECORDED_AT", "ROW_ID"))]
    prices, facts = Prices(), Facts(rows={MILLION: ROWS})
    of_window, other = (prices.of(f"{{ servingMetrics({where}) {{ {one} }} }}", {}, facts) for one in both)
    assert other - of_window == 1000 - groups


HOUR = (YEARS[50], YEARS[50] + timedelta(hours=1))
DAYS = (YEARS[50], YEARS[50] + timedelta(days=2))
SUMS = "{ aggregate { count p99LatencyMs { avg } } }"
IN_VARIABLES = {
    "times": ("$from: DateTime!, $to: DateTime!", "recordedAt: { gte: $from, lt: $to }"),
    "range": ("$range: DateTimeFilter!", "recordedAt: $range"),
    "where": ("$where: ServingMetricWhere!", None),
    "list": ("$where: [ServingMetricWhere!]", "and: $where"),
}


@pytest.mark.parametrize("windows", [(HOUR, DAYS), (DAYS, HOUR)], ids=["cheap first", "dear first"])
@pytest.mark.parametrize(("declared", "where"), IN_VARIABLES.values(), ids=IN_VARIABLES)
async def test_each_request_has_the_price_of_its_own_window(
    huge: Client, declared: str, where: str | None, windows: Sequence[tuple[datetime, datetime]]
) -> None:
    """One document, whose window comes in variables: the price is that of a document with the same times in it."""
    query = f"query({declared}) {{ servingMetrics(first: 0, where: {f'{{ {where} }}' if where else '$where'}) {SUMS} }}"
    for begin, end in windows:
        times = {"gte": begin.isoformat(), "lt": end.isoformat()}
        values = {
            "$from": {"from": times["gte"], "to": times["lt"]},
            "$range": {"range": times},
            "$where": {"where": {"recordedAt": times}},
        }[declared.partition(":")[0]]
        literal = f'{{ recordedAt: {{ gte: "{times["gte"]}", lt: "{times["lt"]}" }} }}'
        if where == "and: $where":
            literal = f"{{ and: [{literal}] }}"
        own = await cost(huge, f"{{ servingMetrics(first: 0, where: {literal}) {SUMS} }}")
        assert (await huge.cost(query, **values))["requested"] == own
        assert (await huge.cost(query, **values))["requested"] == own


@pytest.mark.parametrize("windows", [(HOUR, DAYS), (DAYS, HOUR)], ids=["cheap first", "dear first"])
async def test_a_summary_costs_the_rows_of_its_own_window(
    huge: Client, windows: Sequence[tuple[datetime, datetime]]
) -> None:
    query = "{ bentoServices(first: 100) { nodes { metricsSummary(since: $s, until: $u) { measurements } } } }"
    page = await cost(huge, "{ bentoServices(first: 100) { nodes { id } } }")  # no index of the platform's serves it
    for begin, end in windows:
        since, until = begin.isoformat(), end.isoformat()
        own = await cost(huge, query.replace("$s", f'"{since}"').replace("$u", f'"{until}"'))
        rows = 100 * ROWS / SERVICES * ((end - begin) / timedelta(days=730))
        assert own == pytest.approx(page + rows / 20, rel=0.1, abs=20)
        assert (await huge.cost(f"query($s: DateTime, $u: DateTime) {query}", s=since, u=until))["requested"] == own


async def test_a_window_beyond_the_limit_is_refused_after_one_within(huge: Client) -> None:
    query = (
        "query($from: DateTime!) { servingMetrics(first: 0, where: { recordedAt: "
        f'{{ gte: $from, lt: "{HOUR[1].isoformat()}" }} }}) {SUMS} }}'
    )
    for _ in range(2):
        await huge.cost(query, **{"from": HOUR[0].isoformat()})
        error = await huge.error(query, **{"from": YEARS[0].isoformat()})
        assert error["code"] == "COST_LIMIT"


@pytest.mark.parametrize("patterns", [("%a", "a%"), ("a%", "%a")], ids=["dear first", "cheap first"])
async def test_each_similarity_search_has_the_price_of_its_own_pattern(demo: Client, patterns: tuple[str, str]) -> None:
    query = (
        "query($vector: [Float!], $pattern: String) { similarEpisodes(first: 1, embedding: $vector, "
        "where: { queryText: { like: %s } }) { nodes { id } } }"
    )
    vector = [1.0] * 1536
    for pattern in patterns:
        own = await demo.cost(query.replace(", $pattern: String", "") % f'"{pattern}"', vector=vector)
        of_variable = await demo.cost(query % "$pattern", vector=vector, pattern=pattern)
        assert of_variable["requested"] == own["requested"]


async def test_a_service_of_200_million_rows_is_cheap(huge: Client) -> None:
    fields = "count p99LatencyMs { avg max } errorRate { avg }"
    query = f"{{ servingMetrics(first: 0, where: {{ {ONE} }}) {{ aggregate {{ {fields} }} }} }}"
    assert await cost(huge, query) < 10_000
    by_hour = "aggregate(groupBy: [{ field: RECORDED_AT, bucket: HOUR }])"
    of_a_day = f"{{ servingMetrics(first: 0, where: {{ {ONE}, {DAY} }}) {{ {by_hour} {{ {fields} }} }} }}"
    assert await cost(huge, of_a_day) < 5_000


@asynccontextmanager
async def believing(database: Database, **facts: Mapping[str, Any]) -> AsyncIterator[Client]:
    """A gateway that is given other facts of some tables, and refuses no price."""
    async with serving(database.gateway_url, max_cost=10**9) as client:
        endpoint: OperationService = client.app.state.graphql
        known = endpoint.access.facts
        endpoint.planner.learn_facts(
            replace(known, **{name: {**getattr(known, name), **of} for name, of in facts.items()})
        )
        yield client


@pytest.mark.parametrize(("correlation", "rows"), [(0.1, 20_000_000), (-1.0, 400_000)], ids=["scattered", "together"])
async def test_rows_that_are_scattered_cost_the_whole_table(
    demo_database: Database, correlation: float, rows: int
) -> None:
    """Postgres reads all pages one after the other where those of an index's rows are nearly all of them."""
    query = f"{{ servingMetrics(first: 0, where: {{ {ONE} }}) {{ aggregate {{ p99LatencyMs {{ avg }} }} }} }}"
    count = f"{{ servingMetrics(first: 0, where: {{ {ONE} }}) {{ totalCount }} }}"
    async with believing(
        demo_database,
        rows={MILLION: 20_000_000, "ml_bentoml_services": 50},
        pages={MILLION: 384_712},
        correlations={MILLION: {"service_id": correlation}},
    ) as client:
        read = rows // 5 if rows > 400_000 else 0
        assert await cost(client, query) == pytest.approx(read + 400_000 / 10, rel=0.05)
        assert await cost(client, count) < 1_000  # a bounded count ends before, and reads the index alone


ALERTS = "ml_monitoring_alerts"
STATUSES = {"active": 1e-3, "resolved": 0.9}


async def test_labels_cost_the_rows_that_have_them(demo_database: Database) -> None:
    """Shares are those of the statistics; a label that these lack may be that of all rows that came since."""
    frequencies = Frequencies(STATUSES, 1e-6, unseen=100_000)
    query = "{ monitoringAlerts(first: 0, where: { status: { %s } }) { aggregate { count } } }"
    in_variable = f"query($some: [AlertStatus!]) {query % 'in: $some'}"
    async with believing(
        demo_database, rows={ALERTS: 3_000_000}, frequencies={ALERTS: {"status": frequencies}}
    ) as client:
        active, resolved = await cost(client, query % "eq: ACTIVE"), await cost(client, query % "eq: RESOLVED")
        assert active == pytest.approx(3_000 / 20, abs=10)
        assert resolved == pytest.approx(2_700_000 / 20, rel=0.01)
        assert await cost(client, query % "eq: DISMISSED") == pytest.approx(100_000 / 20, rel=0.01)
        some = {label: await cost(client, query % f"in: [{label}]") for label in ("ACTIVE", "RESOLVED")}
        assert some["RESOLVED"] > 100 * some["ACTIVE"]
        assert await cost(client, query % "in: [ACTIVE, RESOLVED]") == pytest.approx(sum(some.values()), rel=0.01)
        for label in ("ACTIVE", "RESOLVED", "ACTIVE"):
            assert (await client.cost(in_variable, some=[label]))["requested"] == some[label]


async def test_frequencies_and_pages_are_read_off_the_database(demo: Client, demo_database: Database) -> None:
    endpoint: OperationService = demo.app.state.graphql
    facts = endpoint.access.facts
    async with connected(demo_database.gateway_url) as connection:
        rows = await connection.fetchval(f"SELECT count(*) FROM {ALERTS}")
        counts = await connection.fetch(
            f"SELECT status::text, count(*) AS n FROM {ALERTS} GROUP BY 1 HAVING count(*) > 1"
        )
        pages = await connection.fetchval(f"SELECT pg_relation_size('{MILLION}') / current_setting('block_size')::int")
    assert counts
    statuses = facts.frequencies[ALERTS]["status"]
    for status, count in counts:
        assert statuses.rows(rows, AlertStatus(status)) == pytest.approx(count, abs=1)
    assert facts.pages[MILLION] == pages
    assert -1 <= facts.correlations[MILLION]["recorded_at"] <= 1


async def test_prices_do_not_tell_of_what_is_withheld(demo: Client) -> None:
    endpoint: OperationService = demo.app.state.graphql
    reason = Withheld("a reason", "a scope")
    facts = endpoint.access.facts_of(Missing(withheld={ALERTS: reason, f"{MILLION}.recorded_at": reason}))
    assert facts.rows[ALERTS] == 0
    for known in (facts.pages, facts.widths, facts.spreads, facts.frequencies, facts.correlations):
        assert ALERTS not in known
    for of_columns in (facts.widths, facts.spreads, facts.correlations):
        assert "recorded_at" not in of_columns.get(MILLION, {})
    assert "service_id" in facts.correlations[MILLION]


async def test_shares_of_times() -> None:
    spread = Spread((0.0, 10.0, 20.0, 40.0, 80.0), divided=0.8, frequent=((20.0, 0.1),))
    assert spread.share(None, None) == pytest.approx(0.9)
    assert spread.share(0, 80) == pytest.approx(0.9)
    assert spread.share(0, 20) == pytest.approx(0.1 + 0.8 / 2)
    assert spread.share(15, 60) == pytest.approx(0.1 + 0.8 * (0.875 - 0.375))
    assert spread.share(None, 10) == pytest.approx(0.8 / 4)
    assert spread.share(-5, 0) == spread.share(80, None) == spread.share(60, 30) == 0
    assert spread.is_beyond(None)
    assert spread.is_beyond(81)
    assert not spread.is_beyond(80)


async def test_the_spread_of_times_is_read_off_the_statistics(demo: Client, demo_database: Database) -> None:
    endpoint: OperationService = demo.app.state.graphql
    spread = endpoint.access.facts.spreads[MILLION]["recorded_at"]
    async with connected(demo_database.gateway_url) as connection:
        rows = await connection.fetchval(f"SELECT count(*) FROM {MILLION}")
        first, last = await connection.fetchrow(
            f"SELECT percentile_disc(0.3) WITHIN GROUP (ORDER BY recorded_at), "
            f"percentile_disc(0.6) WITHIN GROUP (ORDER BY recorded_at) FROM {MILLION}"
        )
        there = await connection.fetchval(
            f"SELECT count(*) FROM {MILLION} WHERE recorded_at BETWEEN $1 AND $2", first, last
        )
    assert spread.rows(rows, first.timestamp(), last.timestamp()) == pytest.approx(there, rel=0.3)


LONG_AGO = 'recordedAt: { gte: "2020-01-01T00:00:00Z", lt: "2020-02-01T00:00:00Z" }'


@pytest.mark.parametrize(
    ("lasted", "written", "charged"),
    [
        ("500 days", "timestamptz '2020-01-15'", 20_000),  # ten rows a day do not explain so many in a moment
        ("5 milliseconds", "now()", 0),  # a thousand rows a millisecond do
    ],
    ids=["backfilled", "at the usual pace"],
)
async def test_rows_of_old_times_written_since_the_last_analyze_are_charged(
    database: Database, sql: asyncpg.Connection, lasted: str, written: str, charged: int
) -> None:
    service = await add(sql, "ml_bentoml_services")

    async def write(rows: int, time: str) -> None:
        await sql.execute(
            f"INSERT INTO {MILLION} (service_id, recorded_at) SELECT $1, {time} FROM generate_series(1, {rows}) AS n",
            service,
        )

    async def price() -> int:
        query = f"{{ servingMetrics(first: 0, where: {{ {LONG_AGO} }}) {{ aggregate {{ count }} }} }}"
        async with serving(database.gateway_url) as client:  # which reads the statistics as it starts
            return await cost(client, query)

    await write(5000, f"now() - n / 5000.0 * interval '{lasted}'")
    await sql.execute("SELECT pg_stat_force_next_flush()")  # what is written is counted before the ANALYZE, not after
    await sql.execute(f"VACUUM ANALYZE {MILLION}")
    before = await price()
    await write(20_000, written)
    await sql.execute("SELECT pg_stat_force_next_flush()")
    after = await price()
    assert before < 100
    assert after - before == pytest.approx(charged / 20, abs=30)
    await sql.execute(f"VACUUM ANALYZE {MILLION}")
    assert await price() - before == pytest.approx(after - before, abs=30)  # and the statistics agree


def test_an_aggregate_of_which_sums_are_kept_costs_its_sums() -> None:
    """And no more: what is asked beside the measures is read off the rows."""
    metrics = catalogue()["ServingMetric"]
    assert metrics.rollup is not None
    sums = f"{OWN_SCHEMA}.{sums_table(MILLION)}"
    plain = Facts(rows={MILLION: 20_000_000, sums: 20_000})
    measures = stored_measures(metrics.table, metrics.rollup, metrics.table.c.keys())
    kept = replace(plain, rollups={MILLION: frozenset(measures)})
    prices = Prices()
    by_day = "{ servingMetrics { aggregate(groupBy: [{ field: RECORDED_AT, bucket: DAY }]) { count %s } } }"
    of_rows, of_sums = (prices.of(by_day % "p99LatencyMs { avg }", {}, facts) for facts in (plain, kept))
    assert of_sums * 50 < of_rows
    assert prices.of(by_day % "p99LatencyMs { stddev }", {}, kept) > of_rows / 2


@pytest.mark.parametrize("where", [DAY, ONE, f"{DAY}, {ONE}"], ids=["a day", "a service", "a day of a service"])
@pytest.mark.parametrize("bucket", ["", "DAY"])
async def test_of_200_million_rows_sums_of_a_day_or_a_service_cost_less_than_5_000(
    huge: Client, where: str, bucket: str
) -> None:
    known = of_200_million(huge.app.state.graphql.access.facts)
    metrics = catalogue()["ServingMetric"]
    assert metrics.rollup is not None
    believed = replace(
        known,
        rows={**known.rows, f"{OWN_SCHEMA}.{sums_table(MILLION)}": SERVICES * 730 * (24 + 1)},
        rollups={MILLION: frozenset(stored_measures(metrics.table, metrics.rollup, metrics.table.c.keys()))},
    )
    by = f"(groupBy: [{{ field: RECORDED_AT, bucket: {bucket} }}])" if bucket else ""
    fields = "count p99LatencyMs { avg max } errorRate { avg }"
    query = f"{{ servingMetrics(where: {{ {where} }}) {{ aggregate{by} {{ {fields} }} }} }}"
    assert Prices().of(query, {}, believed) < 5_000


def test_five_thousand_rows_are_recorded_and_no_more() -> None:
    rows = [
        {"service": {"id": "BentoService:00000000-0000-0000-0000-000000000001"}, "recordedAt": "2026-01-01T00:00:00Z"}
    ] * 1000
    fields = [f"a{place}: recordServingMetrics(input: {{rows: $rows}}) {{ __typename }}" for place in range(6)]
    prices = Prices()
    assert (
        prices.of(f"mutation($rows: [ServingMetricRow!]!) {{ {' '.join(fields[:5])} }}", {"rows": rows}, Facts()) > 5000
    )
    with pytest.raises(GatewayError, match="5,000"):
        prices.of(f"mutation($rows: [ServingMetricRow!]!) {{ {' '.join(fields)} }}", {"rows": rows}, Facts())


@pytest.mark.parametrize(
    ("table", "column", "field", "day", "year"),
    [
        ("ml_observability_spans", "started_at", "agentLatency", "windowHours: 24", "windowHours: 8784"),
        ("ml_drift_history", "created_at", "driftTrend", "days: 1", "days: 366"),
    ],
)
def test_what_is_computed_of_a_window_costs_its_rows(
    demo: Client, table: str, column: str, field: str, day: str, year: str
) -> None:
    """A day of five million spans of a year had the price of all, which was refused."""
    endpoint: OperationService = demo.app.state.graphql
    now = datetime.now(UTC)
    spread = Spread(tuple((now - timedelta(days=days)).timestamp() for days in range(366, -1, -1)))
    facts = replace(
        endpoint.access.facts,
        rows={**endpoint.access.facts.rows, table: 5_000_000},
        spreads={table: {column: Spreads(((1.0, spread),))}},
    )
    prices = Prices()

    def price(arguments: str, of: Facts = facts) -> int:
        return prices.of(f"{{ {field}({arguments}) {{ totalCount nodes {{ {MOST[field]} }} }} }}", {}, of)

    assert price(day) * 100 < price(year)
    assert price(f'{day}, until: "now-800d"') < price(day) / 5
    assert price(f'{year}, until: "0001-01-01T00:00:00Z"') < price(day)
    assert price(day, replace(facts, indexes={})) >= price(year), "no index finds them"
    assert price(day, replace(facts, spreads={})) >= price(year), "nothing tells how many they are"


@pytest.mark.parametrize("field", ["agentLatency(windowHours: %s)", "driftTrend(days: %s)"])
async def test_a_window_out_of_range_is_refused_with_its_place(demo: Client, field: str) -> None:
    for length in (2_147_483_647, -2_147_483_648, 0):
        error = await demo.error(f"{{ {field % length} {{ totalCount }} }}")
        assert (error["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", field[field.index("(") + 1 : -5])


MOST = {"agentLatency": "totalSpans", "driftTrend": "checkCount"}
