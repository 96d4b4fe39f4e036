"""`compare(to:)`: every metric of either model, on each split and segment beside its own kind alone."""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from tests.support.changing import model_in, uuid_of
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect
from tests.support.executors import EXECUTORS

METRICS = ("roc_auc", "rmse", "f1", "f1_score", "custom", "")
SPLITS = ("train", "val", "test", "production", "", None)
SEGMENTS = ("brand=Kisqali", "brand=Fabhalta", "", None)
PLACES = list(itertools.product(METRICS, SPLITS, SEGMENTS))
DAY = datetime(2026, 1, 1, tzinfo=UTC)
Key = tuple[str, str | None, str | None]


@pytest.fixture(scope="module")
async def own(template: Database, clone: Clone) -> AsyncIterator[Database]:
    async with clone(template) as copy:
        yield copy


@pytest.fixture(scope="module", params=EXECUTORS)
async def client(request: pytest.FixtureRequest, own: Database) -> AsyncIterator[Client]:
    async with serving(own.gateway_url, compiler=request.param) as client:
        yield client


@pytest.fixture
async def sql(own: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(own.owner_url)
    yield connection
    await connection.close()


async def measured(
    sql: asyncpg.Connection, rng: random.Random, places: list[Key]
) -> tuple[str, dict[Key, tuple[Decimal, datetime]]]:
    """A model that was measured up to three times at each of these places, with the newest value and time of each."""
    model = await model_in(sql, "staging", model_name=uuid.uuid4().hex)
    newest = {}
    rows = []
    for place in places:
        days = rng.sample(range(100), rng.choice((1, 1, 2, 3)))
        values = {day: Decimal(rng.randrange(10**6)) / 10**6 for day in days}
        rows += [(uuid_of(model), *place, value, DAY + timedelta(day)) for day, value in values.items()]
        newest[place] = max((row for row in rows if row[1:4] == place), key=lambda row: row[5])[4:]
    rng.shuffle(rows)
    await sql.executemany(
        "INSERT INTO ml_performance_metrics (model_id, metric_name, data_split, segment, metric_value, measured_at) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        rows,
    )
    return model, newest


COMPARE = """query($id: ID!, $to: ID!, $first: Int, $after: String) { model(id: $id) {
  compare(to: $to, first: $first, after: $after) { totalCount pageInfo { hasNextPage endCursor }
    nodes { metricName dataSplit segment value otherValue difference measuredAt otherMeasuredAt } } } }"""


async def compared(client: Client, one: str, other: str, first: int) -> dict[Key, dict[str, Any]]:
    """All pages, each row once."""
    found: dict[Key, dict[str, Any]] = {}
    after = None
    while True:
        data = await client.data(COMPARE, id=one, to=other, first=first, after=after)
        page = data["model"]["compare"]
        for row in page["nodes"]:
            key = row["metricName"], row["dataSplit"], row["segment"]
            assert key not in found
            found[key] = row
        if not page["pageInfo"]["hasNextPage"]:
            assert page["totalCount"] == len(found)
            return found
        after = page["pageInfo"]["endCursor"]


@pytest.mark.parametrize("shares", [(1.0, 1.0), (0.5, 0.5), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (0.9, 0.1)])
async def test_every_metric_of_either_side_beside_its_own_kind(
    client: Client, sql: asyncpg.Connection, shares: tuple[float, float]
) -> None:
    """Over 100 places of metric, split and segment, nulls and empty texts among them; pages of any size."""
    rng = random.Random(str(shares))
    one, mine = await measured(sql, rng, rng.sample(PLACES, int(shares[0] * len(PLACES))))
    other, theirs = await measured(sql, rng, rng.sample(PLACES, int(shares[1] * len(PLACES))))
    for first in (7, 1000):
        found = await compared(client, one, other, first)
        assert found.keys() == mine.keys() | theirs.keys()
        for key, row in found.items():
            for name, time, newest in (("value", "measuredAt", mine), ("otherValue", "otherMeasuredAt", theirs)):
                value, measured_at = newest.get(key, (None, None))
                assert row[name] == (None if value is None else pytest.approx(float(value)))
                assert (row[time] and datetime.fromisoformat(row[time])) == measured_at
            assert (row["difference"] is None) == (key not in mine or key not in theirs)


async def test_of_two_measured_at_one_moment_the_one_with_the_greater_id_counts(
    client: Client, sql: asyncpg.Connection
) -> None:
    one, other = [await model_in(sql, "staging", model_name=uuid.uuid4().hex) for _ in range(2)]
    for model in (one, other):
        ids = sorted(uuid.uuid4() for _ in range(4))
        rows = [(key, uuid_of(model), place / 10, DAY) for place, key in enumerate(ids)]
        await sql.executemany(
            "INSERT INTO ml_performance_metrics (id, model_id, metric_name, metric_value, measured_at) "
            "VALUES ($1, $2, 'roc_auc', $3, $4)",
            [rows[place] for place in (2, 3, 0, 1)],
        )
    (row,) = (await compared(client, one, other, 10)).values()
    assert (row["value"], row["otherValue"]) == (0.3, 0.3)


async def test_a_default_page_says_that_there_is_more(client: Client, sql: asyncpg.Connection) -> None:
    rng = random.Random(5)
    one, mine = await measured(sql, rng, PLACES)
    other, _ = await measured(sql, rng, PLACES[:3])
    answer = await client.ask(
        "query($id: ID!, $to: ID!) { model(id: $id) { compare(to: $to) { nodes { metricName } } } }", id=one, to=other
    )
    nodes = answer["data"]["model"]["compare"]["nodes"]
    assert len(nodes) < len(mine)
    assert answer["extensions"]["more"] == [{"path": ["model", "compare"], "lists": 1}]


async def test_a_model_beside_itself_and_beside_none(client: Client, sql: asyncpg.Connection) -> None:
    one, mine = await measured(sql, random.Random(6), PLACES[::5])
    for row in (await compared(client, one, one, 1000)).values():
        assert row["value"] == row["otherValue"]
        assert row["difference"] == 0
    found = await compared(client, one, f"Model:{uuid.uuid4()}", 1000)
    assert found.keys() == mine.keys()
    assert {row["otherValue"] for row in found.values()} == {None}
