"""The price of what the database must read: patterns, filters, orders, relations, counts and sums, by size."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from schema.sql.conditions import few
from schema.sql.operators import MAX_LIST
from tests.support.client import Client, serving
from tests.support.databases import Database


@pytest.fixture(scope="module")
async def frugal(demo_database: Database) -> AsyncIterator[Client]:
    """A gateway that lets an operation read hundreds of rows."""
    async with serving(demo_database.gateway_url, max_cost=400) as client:
        yield client


async def cost(client: Client, query: str) -> int:
    answer = await client.ask(query)
    assert "errors" not in answer, answer["errors"]
    requested: int = answer["extensions"]["cost"]["requested"]
    return requested


@pytest.mark.parametrize(("length", "about"), [(0, 10), (10, 10), (11, 100), (100, 100), (101, MAX_LIST)])
def test_lists_of_values_are_a_few_lengths(length: int, about: int) -> None:
    assert few([0] * length) == about


async def test_relations_are_counted_whatever_else_is_read(demo_database: Database) -> None:
    """Patterns, filters and orders without an index count as none."""
    query = (
        "{{ experiments(first: 1, orderBy: [{{ field: CREATED_BY }}], where: {{ models: {{ some: {{}} }}, "
        'experimentName: {{ contains: "x" }}{more} }}) {{ nodes {{ id }} }} }}'
    )
    async with serving(demo_database.gateway_url, max_relations=1) as client:
        assert await cost(client, query.format(more=""))
        error = await client.error(query.format(more=", trainingRuns: { some: {} }"))
    assert (error["code"], error["extensions"]["limit"], error["extensions"]["value"]) == ("RELATION_LIMIT", 1, 2)


@pytest.mark.parametrize(
    ("where", "path"),
    [
        ('{ errorTypes: { hasKey: "timeout" } }', "metrics.where.errorTypes.hasKey"),
        ('{ errorTypes: { path: "$.timeout" } }', "metrics.where.errorTypes.path"),
        ("{ not: { errorTypes: { contains: {} } } }", "metrics.where.not.errorTypes.contains"),
        ('{ or: [{}, { and: [{ errorTypes: { hasKey: "x" } }] }] }', "metrics.where.or[1].and[0].errorTypes.hasKey"),
    ],
)
async def test_a_pattern_over_many_rows_is_refused_by_its_path(frugal: Client, where: str, path: str) -> None:
    error = await frugal.error(f"{{ metrics: servingMetrics(first: 1, where: {where}) {{ nodes {{ id }} }} }}")
    assert error["code"] == "COST_LIMIT"
    assert error["extensions"]["argument"] == path
    assert error["extensions"]["limit"] == 400
    assert error["extensions"]["value"] > 2000
    assert path in error["message"]
    assert "startsWith" in error["message"]


async def test_a_pattern_counts_through_relations(frugal: Client) -> None:
    query = (
        '{ bentoServices(first: 1, where: { metrics: { some: { errorTypes: { hasKey: "x" } } } }) { nodes { id } } }'
    )
    error = await frugal.error(query)
    assert error["extensions"]["argument"] == "bentoServices.where.metrics.some.errorTypes.hasKey"


async def test_a_pattern_beside_an_equality_of_an_index_is_cheap(frugal: Client) -> None:
    service = (await frugal.data("{ bentoServices(first: 1) { nodes { rowId } } }"))["bentoServices"]["nodes"][0][
        "rowId"
    ]
    asked = f'serviceId: {{ eq: "{service}" }}, errorTypes: {{ hasKey: "x" }}'
    assert await cost(frugal, f"{{ servingMetrics(first: 1, where: {{ {asked} }}) {{ nodes {{ id }} }} }}") < 20


@pytest.mark.parametrize(
    "form", ["{}", "not: {{ {} }}", "and: [{{ {} }}]", "or: [{{ {} }}]", "not: {{ not: {{ {} }} }}"]
)
async def test_a_pattern_beside_the_key_costs_nothing(demo: Client, form: str) -> None:
    (one,) = (await demo.data("{ servingMetrics(first: 1) { nodes { rowId } } }"))["servingMetrics"]["nodes"]
    query = "{{ servingMetrics(where: {{ rowId: {{ eq: {key} }}, {more} }}) {{ nodes {{ id }} }} }}"
    key = json.dumps(one["rowId"])
    beside = await cost(demo, query.format(key=key, more=form.format('errorTypes: { hasKey: "x" }')))
    assert beside == await cost(demo, query.format(key=key, more=""))


@pytest.mark.parametrize(
    "form", ["{}", "not: {{ {} }}", "and: [{{ {} }}]", "or: [{{ {} }}]", "not: {{ not: {{ {} }} }}"]
)
async def test_a_query_beside_the_key_costs_that_of_one_row(demo: Client, form: str) -> None:
    """It is asked for the row of the key, and without a key for every row."""
    (one,) = (await demo.data("{ experiments(first: 1) { nodes { rowId } } }"))["experiments"]["nodes"]
    query = "{{ experiments(first: 1, where: {{ {key}{more} }}) {{ nodes {{ id }} }} }}"
    more = form.format('segmentResults: { some: { segment: { eq: "x" } } }')
    beside = await cost(demo, query.format(key=f'rowId: {{ eq: "{one["rowId"]}" }}, ', more=more))
    assert beside * 3 < await cost(demo, query.format(key="", more=more)) * 2


async def test_a_pattern_below_a_parent_counts_the_parents_rows(frugal: Client, demo: Client) -> None:
    """A service has about as many metrics as there are metrics for each service."""
    pattern = '{ errorTypes: { hasKey: "x" } }'
    query = "{{ bentoServices(first: 2) {{ nodes {{ metrics(first: 1{}) {{ nodes {{ id }} }} }} }} }}"
    counts = await demo.data("{ servingMetrics { totalCount } bentoServices { totalCount } }")
    each = counts["servingMetrics"]["totalCount"] / counts["bentoServices"]["totalCount"]
    more = await cost(frugal, query.format(f", where: {pattern}")) - await cost(frugal, query.format(""))
    assert more == pytest.approx(2 * each, abs=3)


@pytest.mark.parametrize("where", ['{ modelName: { startsWith: "k" } }', '{ modelName: { like: "k%" } }', "{}"])
async def test_anchored_patterns_are_no_patterns(demo: Client, where: str) -> None:
    """They cost at most as much as any other filter, and less than a pattern, of the rows that Postgres estimates."""
    asked = "{{ models(first: 1, where: {}) {{ nodes {{ id }} }} }}"
    other, pattern = [
        await cost(demo, asked.format(f"{{ modelName: {{ {one} }} }}")) for one in ('ne: "k"', 'like: "%k"')
    ]
    assert await cost(demo, asked.format(where)) <= other < pattern


async def test_where_a_pattern_begins_is_part_of_a_price(demo: Client) -> None:
    """A plan is kept for patterns of all kinds, and its price must not be that of the first."""
    where = "{{ models(first: 1, where: {{ modelName: {{ like: {} }} }}) {{ nodes {{ id }} }} }}"
    asked = "query($like: String!) " + where.format("$like")
    patterns = ("k%", "%k", "_k", "k_", "%k", "k")
    kept = [(await demo.cost(asked, like=pattern))["requested"] for pattern in patterns]
    assert kept == [await cost(demo, where.format(f'"{pattern}"')) for pattern in patterns]
    assert kept[0] < kept[1]


async def test_counting_many_lists_at_once_is_refused(demo_database: Database) -> None:
    async with serving(demo_database.gateway_url, max_cost=1000) as client:
        counted = " ".join(f"a{n}: servingMetrics(first: 0) {{ totalCount }}" for n in range(49))
        error = await client.error(f"{{ {counted} }}")
        assert error["code"] == "COST_LIMIT"
        assert "argument" not in error["extensions"]


async def test_sums_cost_what_they_read(demo: Client) -> None:
    rows = (await demo.data("{ servingMetrics { totalCount } }"))["servingMetrics"]["totalCount"]
    plain = await cost(demo, "{ servingMetrics(first: 1) { nodes { id } } }")
    for fields in ("totalCount", "aggregate { count }"):
        more = await cost(demo, f"{{ servingMetrics(first: 1) {{ nodes {{ id }} {fields} }} }}")
        assert more - plain == pytest.approx(rows / 20, abs=3)
    plain = await cost(demo, "{ bentoServices(first: 1000) { nodes { id } } }")
    summed = await cost(demo, "{ bentoServices(first: 1000) { nodes { metricsSummary { measurements } } } }")
    assert summed - plain == pytest.approx(rows / 20, abs=3)
