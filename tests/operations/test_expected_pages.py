"""Pages by filters without an index cost what statistics let expect until they are full, and end if these mislead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from db.attach.facts import Facts, read
from db.attach.shares import Shares
from db.attach.spreads import Spread
from db.migrations import setup
from gateway.operations.cost import POINT, Price
from gateway.operations.limiter import RequestLimiter
from gateway.operations.service import TIMEOUT_FACTOR, OperationService
from tests.bench.prices import Prices
from tests.support.changing import add
from tests.support.client import Client, serving
from tests.support.databases import Database

METRICS = "ml_bentoml_serving_metrics"
ROWS = 20_000_000
SERVICE = "BentoService:00000000-0000-0000-0000-000000000001"
LATENCIES = Shares(0.1, {"7": 0.2}, Spread((0.0, 100.0, 200.0, 300.0), 0.7, ((7.0, 0.2),)))


def test_shares_of_comparisons() -> None:
    assert LATENCIES.of({"isNull": True}) == pytest.approx(0.1)
    assert LATENCIES.of({"isNull": False}) == pytest.approx(0.9)
    assert LATENCIES.of({"eq": 7}) == pytest.approx(0.2)
    assert LATENCIES.of({"eq": 8.5}) == 0, "how rare it is is not known"
    assert LATENCIES.of({"in": [7, 8]}) == pytest.approx(0.2)
    assert LATENCIES.of({"gt": 100}) == pytest.approx(0.7 * 2 / 3)
    assert LATENCIES.of({"gte": 50, "lt": 150}) == pytest.approx(0.7 / 3)
    assert LATENCIES.of({"lte": 100}) == pytest.approx(0.2 + 0.7 / 3)
    assert LATENCIES.of({"gt": 300}) == 0
    for unknown in (
        {"ne": 7},
        {"like": "7%"},
        {"eq": None},
        {"gt": "a"},
        {"gt": None},
        {"gt": 10**400},
        {"gt": float("nan")},
        {"in": []},
    ):
        assert LATENCIES.of(unknown) is None, unknown
    words = Shares(0.0, {"actor 7": 0.25, "t": 0.1})
    assert words.of({"eq": "actor 7"}) == 0.25
    assert words.of({"eq": True}) == 0.1
    assert words.of({"eq": "others"}) == 0
    assert words.of({"gt": "a"}) is None


@pytest.fixture
def facts(demo: Client) -> Facts:
    endpoint: OperationService = demo.app.state.graphql
    known = endpoint.access.facts
    return replace(known, rows={**known.rows, METRICS: ROWS}, shares={METRICS: {"p99_latency_ms": LATENCIES}})


def price(facts: Facts, arguments: str, selection: str = "nodes { id }") -> Price:
    made = Prices().of(f"{{ servingMetrics({arguments}) {{ {selection} }} }}", {}, facts)
    assert isinstance(made, Price)
    return made


OFTEN = "first: 20, where: { p99LatencyMs: { gt: 100 } }"


def test_a_page_that_is_soon_full_costs_what_is_read_until_then(facts: Facts) -> None:
    often = price(facts, OFTEN)
    assert often < 100
    assert often.worst > ROWS / 10, "what it may read at worst"
    assert often.path == "servingMetrics.where"
    assert price(facts, "first: 1000, where: { p99LatencyMs: { gt: 100 } }") > 10 * often
    assert often < price(facts, "first: 20, where: { p99LatencyMs: { gt: 299 } }") < ROWS / 100
    assert price(facts, f"{OFTEN}, orderBy: [{{ field: RECORDED_AT, direction: ASC }}]") < 100


@pytest.mark.parametrize(
    ("arguments", "selection"),
    [
        ("first: 20, where: { p99LatencyMs: { gt: 300 } }", "nodes { id }"),
        ("first: 20, where: { p99LatencyMs: { eq: 8 } }", "nodes { id }"),
        ("first: 20, where: { p99LatencyMs: { ne: 7 } }", "nodes { id }"),
        ("first: 20, where: { not: { p99LatencyMs: { gt: 100 } } }", "nodes { id }"),
        ("first: 20, where: { p95LatencyMs: { gt: 100 } }", "nodes { id }"),
        (OFTEN + ", orderBy: [{ field: P99_LATENCY_MS }]", "nodes { id }"),
        (OFTEN, "nodes { id } totalCount(exact: true)"),
        (OFTEN, "nodes { id } aggregate { count }"),
        (OFTEN.replace("} }", '}, service: { serviceName: { eq: "a" } } }'), "nodes { id }"),
    ],
    ids=[
        "no match",
        "a rare value",
        "no statistics",
        "not",
        "another column",
        "another order",
        "all counted",
        "all summed up",
        "relation",
    ],
)
def test_others_cost_all_rows(facts: Facts, arguments: str, selection: str) -> None:
    whole = price(facts, arguments, selection)
    assert whole > ROWS / 10
    assert whole.worst == whole


def test_a_change_is_not_ended_while_its_answer_is_read(facts: Facts) -> None:
    """So it costs all rows."""
    below = f"metrics({OFTEN}) {{ nodes {{ id }} }}"
    read = Prices().of(f'{{ bentoService(id: "{SERVICE}") {{ {below} }} }}', {}, facts)
    applied = f"... on TransitionApplied {{ node {{ ... on BentoService {{ {below} }} }} }}"
    move = f'moveService(input: {{ id: "{SERVICE}", to: ACTIVE }}) {{ {applied} }}'
    made = Prices().of(f"mutation {{ {move} }}", {}, facts)
    assert isinstance(made, Price)
    assert made > 100 * read
    assert made.worst == made


def test_what_another_caller_may_not_read_is_not_told_by_prices(facts: Facts) -> None:
    assert price(replace(facts, shares={}), OFTEN) > ROWS / 10


@pytest.fixture
async def narrow(demo_database: Database) -> AsyncIterator[Client]:
    """A gateway that admits hardly anything, and believes that pages of serving metrics are soon full."""
    async with serving(demo_database.gateway_url, max_cost=50) as client:
        endpoint: OperationService = client.app.state.graphql
        known = endpoint.access.facts
        believed = replace(known, rows={**known.rows, METRICS: ROWS}, shares={METRICS: {"p99_latency_ms": LATENCIES}})
        endpoint.planner.learn_facts(believed)
        yield client


async def test_what_takes_longer_than_all_that_is_admitted_is_ended(narrow: Client) -> None:
    """Not after the request's timeout: it was admitted by an expectation."""
    error = await narrow.error("{ servingMetrics(first: 1, where: { p99LatencyMs: { gt: 100 } }) { nodes { id } } }")
    assert error["code"] == "REQUEST_TIMEOUT"
    assert error["extensions"]["limit"] == pytest.approx(TIMEOUT_FACTOR * POINT * 50)
    assert error["extensions"]["argument"] == "servingMetrics.where"
    assert "no index serves" in error["message"]
    assert await narrow.data("{ servingMetrics(first: 1) { nodes { id } } }"), "what was expected to be cheap is not"


async def test_a_dear_operation_is_limited_as_such_whatever_it_expects(demo_database: Database) -> None:
    async with serving(demo_database.gateway_url, max_cost=10_000, heavy_cost=1) as client:
        endpoint: OperationService = client.app.state.graphql
        known = endpoint.access.facts
        shares = {METRICS: {"p99_latency_ms": LATENCIES}}
        endpoint.planner.learn_facts(replace(known, rows={**known.rows, METRICS: ROWS}, shares=shares))
        query = f"{{ servingMetrics({OFTEN}) {{ nodes {{ id }} }} }}"
        endpoint.heavy = RequestLimiter(0, queue=0)
        assert (await client.error(query))["code"] == "OVERLOADED"


async def test_another_value_in_a_variable_has_another_price(narrow: Client) -> None:
    query = "query($ms: Float) { servingMetrics(first: 1, where: { p99LatencyMs: { gt: $ms } }) { nodes { id } } }"
    for ms, code in ((100, "REQUEST_TIMEOUT"), (300, "COST_LIMIT"), (100, "REQUEST_TIMEOUT"), (400, "COST_LIMIT")):
        assert (await narrow.error(query, ms=ms))["code"] == code, ms


async def test_shares_are_read_off_the_statistics_of_large_tables(database: Database, sql: asyncpg.Connection) -> None:
    await add(sql, "ml_bentoml_services")
    await sql.execute(
        f"""INSERT INTO {METRICS} (service_id, recorded_at, p99_latency_ms, requests_total)
            SELECT s.id, now() - n * interval '1 second', CASE WHEN n % 10 > 0 THEN n % 500 END, n % 4
            FROM generate_series(1, 110000) n, (SELECT id FROM ml_bentoml_services LIMIT 1) s"""
    )
    await sql.execute(f"ANALYZE {METRICS}")
    async with setup.connect(database.gateway_url) as connection:
        found = (await read(connection)).shares
    assert set(found) == {METRICS}
    rows = await sql.fetchval(f"SELECT count(*) FROM {METRICS}")
    told: list[tuple[str, dict[str, Any], str]] = [
        ("p99_latency_ms", {"gt": 100, "lte": 300}, "p99_latency_ms > 100 AND p99_latency_ms <= 300"),
        ("p99_latency_ms", {"isNull": True}, "p99_latency_ms IS NULL"),
        ("requests_total", {"eq": 3}, "requests_total = 3"),
        ("requests_total", {"in": [1, 2]}, "requests_total IN (1, 2)"),
    ]
    for column, compared, condition in told:
        there = await sql.fetchval(f"SELECT count(*) FROM {METRICS} WHERE {condition}")
        share = found[METRICS][column].of(compared)
        assert share is not None
        assert share * rows == pytest.approx(there, rel=0.15), condition
