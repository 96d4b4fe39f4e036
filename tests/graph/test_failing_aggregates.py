"""Aggregates that cannot be answered: of columns that the database lacks, out of range, or of values that are no
numbers. Each fails its own field, with an error of our words; the others are answered."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from statistics import fmean, stdev
from typing import Any

import pytest

from tests.support.client import Client, same, serving
from tests.support.databases import Clone, Database, execute

METRICS = "ml_bentoml_serving_metrics"
FUNCTIONS = "count min max avg sum stddev p50"
HUGE = 1.7e308


@pytest.fixture
async def altered(demo_template: Database, clone: Clone) -> AsyncIterator[tuple[Database, list[Client]]]:
    """The demo data, which a test may alter, and both executors on them."""
    async with clone(demo_template) as copy, AsyncExitStack() as stack:
        urls = [(copy.gateway_url, compiler) for compiler in (True, False)]
        yield copy, [await stack.enter_async_context(serving(url, compiler=compiler)) for url, compiler in urls]


async def asked(clients: list[Client], query: str) -> tuple[Any, list[dict[str, Any]]]:
    """The data and the errors of a query, which both executors answer equally."""
    answers = [await client.ask(query) for client in clients]
    assert same(answers[0]["data"], answers[1]["data"], within=1e-12), answers
    told = [sorted(answer.get("errors", []), key=lambda error: str(error["path"])) for answer in answers]
    assert told[0] == told[1]
    return answers[1]["data"], told[1]


def failed(errors: list[dict[str, Any]]) -> dict[str, str]:
    """The messages by path."""
    return {".".join(map(str, error["path"])): error["message"] for error in errors}


LACKING = {
    "dropped": "ALTER TABLE ml_deployments RENAME COLUMN error_rate TO once_error_rate",
    "of another type": "ALTER TABLE ml_deployments ALTER COLUMN error_rate TYPE jsonb USING to_jsonb(error_rate)",
}


@pytest.mark.parametrize("how", LACKING)
async def test_a_column_that_is_missing_fails_its_aggregate_alone(
    altered: tuple[Database, list[Client]], how: str
) -> None:
    """In one group, in several, and below parents; with what needs it for the groups the whole aggregate fails."""
    database, clients = altered
    measured = "count errorRate { avg max } latencyP50Ms { max }"
    query = f"""{{
        deployments(first: 0) {{
            aggregate {{ {measured} }}
            grouped: aggregate(groupBy: [{{ field: STATUS }}]) {{ group {{ status }} {measured} }}
        }}
        models(first: 3) {{ nodes {{ deployments(first: 0) {{ aggregate {{ {measured} }} }} }} }}
    }}"""
    before, _ = await asked(clients, query)
    await execute(database.admin_url, LACKING[how])
    after, errors = await asked(clients, query)
    paths = ["deployments.aggregate.0.errorRate"]
    paths += [f"deployments.grouped.{place}.errorRate" for place in range(len(before["deployments"]["grouped"]))]
    paths += [f"models.nodes.{place}.deployments.aggregate.0.errorRate" for place in range(3)]
    assert sorted(failed(errors)) == sorted(paths)
    assert {error["extensions"]["code"] for error in errors} == {"MISSING_IN_DATABASE"}
    assert {error["extensions"]["object"] for error in errors} == {"ml_deployments.error_rate"}
    assert without_rates(after) == without_rates(before)
    _, errors = await asked(clients, "{ deployments { aggregate(groupBy: [{field: ERROR_RATE}]) { count } } }")
    assert list(failed(errors)) == ["deployments.aggregate"]
    _, errors = await asked(clients, "{ deployments { aggregate(groupBy: [{field: STATUS}]) { errorRate { avg } } } }")
    assert list(failed(errors)) == ["deployments.aggregate"], "there is nothing else to answer, and one error tells it"


SUMMARIES = (
    "{ bentoServices(first: 3) { nodes { serviceName metricsSummary { measurements errorRate maxMemoryMb } } } }"
)


@pytest.mark.parametrize(
    ("renamed", "fails"),
    {
        "COLUMN memory_mb": [".maxMemoryMb"],
        "COLUMN error_rate": [".errorRate"],
        "COLUMN requests_total": [".errorRate"],
        "COLUMN p99_latency_ms": [],
        "COLUMN recorded_at": [""],
        "COLUMN service_id": [""],
    }.items(),
)  # fmt: skip
async def test_a_summary_over_a_missing_column_fails_what_reads_it(
    altered: tuple[Database, list[Client]], renamed: str, fails: list[str]
) -> None:
    database, clients = altered
    before, _ = await asked(clients, SUMMARIES)
    await execute(database.admin_url, f"ALTER TABLE {METRICS} RENAME {renamed} TO once_here")
    after, errors = await asked(clients, SUMMARIES)
    paths = [f"bentoServices.nodes.{place}.metricsSummary{one}" for place in range(3) for one in fails]
    assert sorted(failed(errors)) == sorted(paths)
    assert {error["extensions"]["code"] for error in errors} <= {"MISSING_IN_DATABASE"}
    for one, other in zip(before["bentoServices"]["nodes"], after["bentoServices"]["nodes"], strict=True):
        assert other["serviceName"] == one["serviceName"]
        if fails != [""]:
            kept = one["metricsSummary"] | {name.removeprefix("."): None for name in fails}
            assert other["metricsSummary"] == pytest.approx(kept)


async def test_a_table_of_summaries_names_the_missing_column(altered: tuple[Database, list[Client]]) -> None:
    database, (client, _) = altered
    await execute(database.admin_url, f"ALTER TABLE {METRICS} RENAME memory_mb TO once_here")
    (_, errors) = await asked([client, client], SUMMARIES)
    assert len(errors) == 3
    table = await client.http.post("/graphql", json={"query": SUMMARIES}, headers={"accept": "text/csv"})
    assert f"{METRICS}.memory_mb" in table.text


def without_rates(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_rates(one) for name, one in value.items() if name != "errorRate"}
    return [without_rates(one) for one in value] if isinstance(value, list) else value


@pytest.fixture
async def overflowing(altered: tuple[Database, list[Client]]) -> list[Client]:
    """Of all measurements, two of one service have rates whose sum is no double."""
    database, clients = altered
    await execute(
        database.admin_url,
        f"""UPDATE {METRICS} SET requests_per_second = {HUGE} WHERE id IN (
            SELECT id FROM {METRICS} WHERE service_id = (SELECT service_id FROM {METRICS} ORDER BY id LIMIT 1)
            ORDER BY id LIMIT 2)""",
    )
    return clients


@pytest.mark.parametrize("where", ["", "where: { requestsPerSecond: { gte: 0 } }"], ids=["all", "filtered"])
async def test_a_sum_out_of_range_fails_alone(overflowing: list[Client], where: str) -> None:
    """It is no error of the filter, either."""
    query = f"{{ servingMetrics(first: 1000, {where}) {{ aggregate {{ count %s }} }} }}"
    advised = "where: {requestsPerSecond: {gte: -1e300, lte: 1e300}}"
    measured = f"requestsPerSecond {{ {FUNCTIONS} }} errorRate {{ sum avg }}"
    data, errors = await asked(overflowing, query % measured)
    (error,) = errors
    assert error["path"] == ["servingMetrics", "aggregate", 0, "requestsPerSecond", "sum"]
    assert error["extensions"]["code"] == "UNREPRESENTABLE_VALUE"
    assert error["extensions"]["column"] == f"sum of {METRICS}.requestsPerSecond"
    for said in ("out of range", advised, "avg, min or max"):
        assert said in error["message"]
    (found,) = data["servingMetrics"]["aggregate"]
    rates = found["requestsPerSecond"]
    assert (rates["count"], rates["max"], rates["sum"]) == (found["count"], HUGE, None)
    assert rates["avg"] == pytest.approx(HUGE / found["count"] * 2, rel=1e-12)
    near, _ = await asked(overflowing, query % "errorRate { sum avg }")
    assert same(found["errorRate"], near["servingMetrics"]["aggregate"][0]["errorRate"], within=1e-12)
    _, errors = await asked(overflowing, f"{{ servingMetrics({advised}) {{ aggregate {{ {measured} }} }} }}")
    assert not errors


async def test_what_is_out_of_range_fails_in_its_group_and_below_its_parent_alone(overflowing: list[Client]) -> None:
    measured = "aggregate { count requestsPerSecond { sum avg } }"
    grouped = measured.replace("aggregate", "aggregate(groupBy: [{field: SERVICE_ID}])")
    data, errors = await asked(
        overflowing,
        f"{{ servingMetrics {{ {grouped} }} bentoServices(first: 99) {{ nodes {{ metrics {{ {measured} }} }} }} }}",
    )
    assert {error["path"][-1] for error in errors} == {"sum"}
    groups = [one for one in data["servingMetrics"]["aggregate"] if one["requestsPerSecond"]["sum"] is None]
    below = [node["metrics"]["aggregate"][0] for node in data["bentoServices"]["nodes"]]
    below = [one for one in below if one["count"] and one["requestsPerSecond"]["sum"] is None]
    assert len(groups) == len(below) == 1
    assert groups == below
    assert len(errors) == 2


async def test_what_is_in_range_though_its_computation_is_not_is_answered(
    altered: tuple[Database, list[Client]],
) -> None:
    """Squares of deviations leave the range of doubles long before their root does."""
    database, clients = altered
    values = [1e200, 3e200, -4e200]
    await execute(
        database.admin_url,
        f"UPDATE {METRICS} SET requests_per_second = NULL",
        *(
            f"UPDATE {METRICS} SET requests_per_second = {value} WHERE id = (SELECT id FROM {METRICS} ORDER BY id "
            f"OFFSET {place} LIMIT 1)"
            for place, value in enumerate(values)
        ),
    )
    data, errors = await asked(
        clients, f"{{ servingMetrics {{ aggregate {{ requestsPerSecond {{ {FUNCTIONS} }} }} }} }}"
    )
    assert not errors
    found = data["servingMetrics"]["aggregate"][0]["requestsPerSecond"]
    assert (found["count"], found["sum"]) == (3, 0)
    assert found["avg"] == pytest.approx(fmean(values), abs=1e190)
    assert found["stddev"] == pytest.approx(1e200 * stdev(one / 1e200 for one in values), rel=1e-12)


NAMES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@pytest.mark.parametrize("name", NAMES)
async def test_numbers_that_json_lacks_have_their_usual_names_everywhere(
    altered: tuple[Database, list[Client]], name: str
) -> None:
    database, clients = altered
    await execute(database.admin_url, f"UPDATE {METRICS} SET requests_per_second = '{name}'")
    data, errors = await asked(
        clients,
        f"""{{ servingMetrics(first: 1) {{
            nodes {{ requestsPerSecond }}
            aggregate {{ count requestsPerSecond {{ {FUNCTIONS} }} }}
            keys: aggregate(groupBy: [{{ field: REQUESTS_PER_SECOND }}]) {{ group {{ requestsPerSecond }} count }}
        }} }}""",
    )
    messages = failed(errors)
    page = data["servingMetrics"]
    for path in ("nodes.0.requestsPerSecond", "keys.0.group.requestsPerSecond"):
        assert f" holds {name}, which JSON numbers cannot represent" in messages.pop(f"servingMetrics.{path}")
    found = page["aggregate"][0]
    assert found["count"] == found["requestsPerSecond"]["count"] == page["keys"][0]["count"]
    for function in FUNCTIONS.split()[1:]:
        message = messages.pop(f"servingMetrics.aggregate.0.requestsPerSecond.{function}")
        names = (
            ["NaN"] if function == "stddev" else [name, "NaN"] if function == "p50" else [name]
        )  # infinity - infinity
        said = [f"{function} of {METRICS}.requestsPerSecond is {one}, which JSON numbers cannot " for one in names]
        assert message.startswith(tuple(said))
        assert message.endswith("such as `where: {requestsPerSecond: {gte: -1e300, lte: 1e300}}`.")
    assert not messages
    assert {error["extensions"]["code"] for error in errors} == {"UNREPRESENTABLE_VALUE"}
