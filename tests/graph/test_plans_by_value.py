"""Postgres plans a filtered list of a large table for the values of each request, never once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from db.attach.facts import MANY_ROWS, Facts
from schema.catalogue.from_models import catalogue
from schema.catalogue.records import Missing
from schema.sql import builder as sql
from schema.sql.indexes import Indexes
from schema.sql.lists import Lists
from tests.support.databases import Database, connect
from tests.support.plans import compiled

METRICS = catalogue()["ServingMetric"]
ABOVE = "query($ms: Float!) { servingMetrics(where: {p99LatencyMs: {gt: $ms}}) { totalCount nodes { id } } }"
STATE = "query($states: [AlertStatus!]!) { monitoringAlerts(where: {status: {in: $states}}) { nodes { id } } }"
BELOW = """query($ms: Float!) { bentoServices(first: 2) { nodes {
  metrics(where: {p99LatencyMs: {gt: $ms}}) { totalCount } } } }"""


def of_size(rows: int) -> Facts:
    return Facts(rows={METRICS.sql_name: rows, "ml_monitoring_alerts": rows})


async def plans(database: Database, statement: str, values: Sequence[Any]) -> tuple[int, int]:
    """Plans for any value and plans for one, after a statement has run as often as Postgres needs to compare them."""
    connection = await connect(database.gateway_url)
    try:
        await connection.execute("SET search_path = public, extensions")
        prepared = await connection.prepare(statement)
        for _ in range(8):
            await prepared.fetch(*values)
        row = await connection.fetchrow(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1", statement
        )
        return row["generic_plans"], row["custom_plans"]
    finally:
        await connection.close()


@pytest.mark.parametrize(("query", "variables"), [(ABOVE, {"ms": 250.0}), (STATE, {"states": ["ACTIVE"]})])
async def test_a_large_table_is_planned_for_each_value(
    demo_database: Database, query: str, variables: dict[str, Any]
) -> None:
    large = await compiled(query, of_size(MANY_ROWS + 1), **variables)
    assert await plans(demo_database, *large) == (0, 8)


@pytest.mark.migrated("Postgres compares costs, and plans for each value where the platform's indexes make that cheap")
@pytest.mark.parametrize(("query", "variables"), [(ABOVE, {"ms": 250.0}), (STATE, {"states": ["ACTIVE"]})])
async def test_a_small_table_is_planned_once(demo_database: Database, query: str, variables: dict[str, Any]) -> None:
    """A scan of it takes no longer than a plan."""
    statement = await compiled(query, of_size(MANY_ROWS), **variables)
    assert (await plans(demo_database, *statement))[0] > 0


async def test_rows_of_a_parent_are_planned_once(demo_database: Database) -> None:
    statement = await compiled(BELOW, of_size(MANY_ROWS + 1), ms=250.0)
    assert (await plans(demo_database, *statement))[0] > 0


async def test_the_loaders_plan_it_for_each_value_too(demo_database: Database) -> None:
    lists, bind = Lists(catalogue(), Missing(), Indexes(of_size(MANY_ROWS + 1))), sql.Binds()
    where = lists.filters(METRICS, {"p99LatencyMs": {"gt": 250.0}}, bind)
    page = sql.page(METRICS.sql_name, ["t.id AS f0"], sql.Page(METRICS.order, 51), bind, where=where)
    assert await plans(demo_database, page, bind.values) == (0, 8)


async def test_a_list_that_is_not_filtered_is_planned_once(demo_database: Database) -> None:
    lists, bind = Lists(catalogue(), Missing(), Indexes(of_size(MANY_ROWS + 1))), sql.Binds()
    assert lists.filters(METRICS, {"p99LatencyMs": {"isNull": True}}, bind) == ["t.p99_latency_ms IS NULL"]
