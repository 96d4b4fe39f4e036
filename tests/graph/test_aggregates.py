"""Aggregates against Python's own arithmetic over the same rows."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

import pytest

from tests.support.client import Client


async def rows(demo: Client, fields: str, plural: str = "servingMetrics", pages: int = 20) -> list[dict[str, Any]]:
    """All rows of a table, page by page."""
    collected: list[dict[str, Any]] = []
    cursor = None
    for _ in range(pages):
        page_info = "pageInfo { hasNextPage endCursor }"
        query = f"query($c: String) {{ {plural}(first: 1000, after: $c) {{ nodes {{ {fields} }} {page_info} }} }}"
        page = (await demo.data(query, c=cursor))[plural]
        collected += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return collected
        cursor = page["pageInfo"]["endCursor"]
    raise AssertionError("too many rows")


def percentile(values: list[float], share: float) -> float:
    """Interpolated as percentile_cont does."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = math.ceil(place)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


async def test_one_group_of_all_rows(demo: Client) -> None:
    all_rows = await rows(demo, "p99LatencyMs requestsTotal recordedAt")
    answer = await demo.ask(
        "{ servingMetrics(first: 1) { aggregate { count group { serviceId } p99LatencyMs { count min max avg sum "
        "stddev p50 p95 p99 } requestsTotal { sum } recordedAt { count min max } } } }"
    )
    assert answer["extensions"]["cost"]["statements"] == demo.statements(1)
    (found,) = answer["data"]["servingMetrics"]["aggregate"]
    values = [row["p99LatencyMs"] for row in all_rows if row["p99LatencyMs"] is not None]
    assert found["count"] == len(all_rows)
    assert found["group"] == {"serviceId": None}
    measured = found["p99LatencyMs"]
    assert measured["count"] == len(values)
    assert (measured["min"], measured["max"]) == (min(values), max(values))
    assert measured["avg"] == pytest.approx(statistics.fmean(values))
    assert measured["sum"] == pytest.approx(math.fsum(values))
    assert measured["stddev"] == pytest.approx(statistics.stdev(values))
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        assert measured[name] == pytest.approx(percentile(values, share))
    assert found["requestsTotal"]["sum"] == sum(row["requestsTotal"] for row in all_rows)
    times = [row["recordedAt"] for row in all_rows]
    assert found["recordedAt"] == {"count": len(times), "min": min(times), "max": max(times)}


async def test_groups_by_columns_and_time_buckets(demo: Client) -> None:
    all_rows = await rows(demo, "serviceId recordedAt requestsTotal")
    expected: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in all_rows:
        hour = datetime.fromisoformat(row["recordedAt"]).replace(minute=0, second=0, microsecond=0)
        expected[row["serviceId"], hour.strftime("%Y-%m-%dT%H:%M:%S.%fZ")].append(row["requestsTotal"])
    service = all_rows[0]["serviceId"]
    query = """query($s: UUID!) { servingMetrics(where: {serviceId: {eq: $s}}) {
      aggregate(groupBy: [{field: SERVICE_ID}, {field: RECORDED_AT, bucket: HOUR}]) {
        group { serviceId recordedAt } count requestsTotal { sum } } } }"""
    data = await demo.data(query, s=service)
    got = {
        (one["group"]["serviceId"], one["group"]["recordedAt"]): (one["count"], one["requestsTotal"]["sum"])
        for one in data["servingMetrics"]["aggregate"]
    }
    assert got == {key: (len(v), sum(v)) for key, v in expected.items() if key[0] == service}
    keys = [one["group"]["recordedAt"] for one in data["servingMetrics"]["aggregate"]]
    assert keys == sorted(keys)


@pytest.mark.parametrize(("bucket", "kept"), [("HOUR", 13), ("DAY", 10), ("MONTH", 7)])
@pytest.mark.parametrize(
    ("plural", "name", "column"),
    [
        ("expertReviews", "createdAt", "CREATED_AT"),
        ("expertReviews", "validUntil", "VALID_UNTIL"),
        ("cohortExecutions", "executionTimestamp", "EXECUTION_TIMESTAMP"),
    ],
    ids=["with a zone", "a date", "without a zone"],
)
async def test_buckets_are_shown_as_values_of_their_column(
    demo: Client, plural: str, name: str, column: str, bucket: str, kept: int
) -> None:
    data = await demo.data(
        f"{{ {plural}(first: 1000) {{ nodes {{ {name} }} aggregate(groupBy: [{{field: {column}, bucket: {bucket}}}]) "
        f"{{ group {{ {name} }} count }} }} }}"
    )
    values = [one[name] for one in data[plural]["nodes"]]
    rest = "0001-01-01T00:00:00.000000Z"
    expected = Counter(value and value[:kept] + rest[kept : len(value)] for value in values)
    assert len(expected.keys() - {None}) > 0
    assert {one["group"][name]: one["count"] for one in data[plural]["aggregate"]} == expected


async def test_per_parent_in_one_statement(demo: Client) -> None:
    """Each model's deployments by status, for all models at once; parents without rows have no groups."""
    answer = await demo.ask(
        "{ models(first: 100) { nodes { id deployments(first: 100) { totalCount nodes { status } "
        "aggregate(groupBy: [{field: STATUS}]) { group { status } count } "
        "all: aggregate { count errorRate { avg } } } } } }"
    )
    assert answer["extensions"]["cost"]["statements"] == demo.statements(5)
    for model in answer["data"]["models"]["nodes"]:
        deployments = model["deployments"]
        expected = Counter(node["status"] for node in deployments["nodes"])
        assert {one["group"]["status"]: one["count"] for one in deployments["aggregate"]} == expected
        assert [one["count"] for one in deployments["all"]] == [deployments["totalCount"]]


async def test_the_filter_is_the_lists(demo: Client) -> None:
    data = await demo.data(
        "{ models(where: {stage: {eq: PRODUCTION}}) { totalCount aggregate { count } "
        "byStage: aggregate(groupBy: [{field: STAGE}]) { group { stage } count } } }"
    )
    total = data["models"]["totalCount"]
    assert total > 0
    assert data["models"]["aggregate"] == [{"count": total}]
    assert data["models"]["byStage"] == [{"group": {"stage": "PRODUCTION"}, "count": total}]


async def test_no_rows(demo: Client) -> None:
    data = await demo.data(
        '{ models(where: {modelName: {eq: "nobody"}}) { aggregate { count auc { avg stddev p50 } } '
        "grouped: aggregate(groupBy: [{field: STAGE}]) { count } } }"
    )
    assert data["models"] == {
        "aggregate": [{"count": 0, "auc": {"avg": None, "stddev": None, "p50": None}}],
        "grouped": [],
    }


@pytest.mark.parametrize(
    ("keys", "argument"),
    [
        ("{field: STAGE, bucket: DAY}", "groupBy[0].bucket"),
        ("{field: STAGE}, {field: STAGE}", "groupBy[1]"),
        (
            "{field: STAGE}, {field: AUC}, {field: ALGORITHM}, {field: MODEL_NAME}, {field: PR_AUC}, {field: ROW_ID}",
            "groupBy",
        ),
    ],
)
async def test_bad_keys_name_the_argument(demo: Client, keys: str, argument: str) -> None:
    error = await demo.error(f"{{ models {{ aggregate(groupBy: [{keys}]) {{ count }} }} }}")
    assert (error["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", argument)


async def test_too_many_groups_are_an_error_not_a_part(demo: Client) -> None:
    error = await demo.error("{ servingMetrics { aggregate(groupBy: [{field: ROW_ID}]) { count } } }")
    assert (error["code"], error["extensions"]["limit"]) == ("GROUP_LIMIT", 1000)


async def test_too_many_groups_are_found_once_and_what_is_beside_them_is_answered(demo: Client) -> None:
    query = "{ servingMetrics { all: aggregate { count } many: aggregate(groupBy: [{field: ROW_ID}]) { count } } }"
    answer = await demo.ask(query)
    (error,) = answer["errors"]
    assert (error["extensions"]["code"], error["path"]) == ("GROUP_LIMIT", ["servingMetrics", "many"])
    assert answer["data"]["servingMetrics"]["many"] is None
    assert answer["data"]["servingMetrics"]["all"][0]["count"] > 1000
    assert answer["extensions"]["cost"]["statements"] == 2, "the failed one has told of which it is, or one for each"


async def test_groups_of_many_parents_have_a_price(demo: Client) -> None:
    """By the rows of each parent, however often the parent is there."""
    groups = "metrics { aggregate(groupBy: [{field: ROW_ID}]) { count } }"
    answer = await demo.ask(f"{{ servingMetrics(first: 1000) {{ nodes {{ service {{ {groups} }} }} }} }}")
    found = sum(len(one["service"]["metrics"]["aggregate"]) for one in answer["data"]["servingMetrics"]["nodes"])
    assert found > 40_000
    assert found / 5 < answer["extensions"]["cost"]["requested"] < found * 5
    again = f"metrics(first: 50) {{ nodes {{ service {{ {groups} }} }} }}"
    response = await demo.post(f"{{ servingMetrics(first: 1000) {{ nodes {{ service {{ {again} }} }} }} }}")
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "COST_LIMIT"


async def test_an_object_of_which_nothing_is_selected_but_its_type(demo: Client) -> None:
    answer = await demo.ask("{ bentoServices(first: 50) { nodes { metricsSummary { __typename } } } }")
    found = {node["metricsSummary"]["__typename"] for node in answer["data"]["bentoServices"]["nodes"]}
    assert found == {"BentoServiceMetricsSummary"}
    assert answer["extensions"]["cost"]["statements"] == demo.statements(1)
