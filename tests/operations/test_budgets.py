"""Points a minute for each caller: taken before a request runs, given back where it needed less, shared in Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from gateway.operations.budgets import Budgets, OwnBuckets, RemainingBudget, account, used
from gateway.operations.refusals import RefusedError
from tests.support.callers import JWT, calling, token
from tests.support.client import Client, serving
from tests.support.databases import Database, connect
from tests.support.redis_server import RedisServer
from tests.support.sockets import listening

pytestmark = pytest.mark.slow

TEN = "{ tools(first: 9) { nodes { name } } }"
"""Costs ten points, and reads as many."""
MANY = "{ experiments(first: 500) { nodes { id } } }"
"""Costs 501 points, where there are few experiments."""


def limited(database: Database, **settings: Any) -> AbstractAsyncContextManager[Client]:
    """The gateway with compiled statements: the loaders read a row more than a page has, which costs a point more."""
    return serving(database.gateway_url, compiler=True, **settings)


async def budget(client: Client, query: str = TEN) -> dict[str, Any]:
    found: dict[str, Any] = (await client.cost(query))["budget"]
    return found


def refused(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 429
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "BUDGET_EXCEEDED"
    assert "data" not in response.json()
    found: dict[str, Any] = error["extensions"]
    return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the buckets in memory, which stands still unless a test moves it."""
    now = [1000.0]
    monkeypatch.setattr("gateway.operations.budgets.monotonic", lambda: now[0])
    return now


async def test_a_request_takes_what_it_costs(demo_database: Database, clock: list[float]) -> None:
    async with limited(demo_database, budget_per_minute=100) as client:
        first = await budget(client)
        assert (first["limit"], first["remaining"]) == (100, 91)
        assert datetime.fromisoformat(first["resetAt"]) > datetime.now(UTC)
        assert (await budget(client))["remaining"] == 82


async def test_beyond_the_budget_is_429_until_there_is_more(demo_database: Database, clock: list[float]) -> None:
    async with limited(demo_database, budget_per_minute=25) as client:
        for _ in range(2):
            await budget(client)
        response = await client.post(TEN)
        said = refused(response)
        assert (said["limit"], said["value"]) == (25, 10)
        assert said["remaining"] < 10
        assert datetime.fromisoformat(said["resetAt"]) > datetime.now(UTC)
        assert 1 <= int(response.headers["retry-after"]) <= 24
        assert f"{said['remaining']} of 25" in response.json()["errors"][0]["message"]
        assert (await client.http.get("/healthz")).status_code == 200


async def test_time_fills_it_up(demo_database: Database, clock: list[float]) -> None:
    async with limited(demo_database, budget_per_minute=20) as client:
        for _ in range(2):
            await budget(client)
        refused(await client.post(TEN))
        clock[0] += 30
        assert (await budget(client))["remaining"] == 3
        clock[0] += 3600
        assert (await budget(client))["remaining"] == 11


async def test_what_was_not_used_is_given_back(demo_database: Database, clock: list[float]) -> None:
    async with limited(demo_database, budget_per_minute=600) as client:
        for _ in range(5):  # 2,500 points asked for
            assert (await budget(client, MANY))["remaining"] > 400


async def test_what_never_fits_says_so(demo_database: Database) -> None:
    async with limited(demo_database, budget_per_minute=100) as client:
        response = await client.post(MANY)
        assert refused(response)["value"] == 501
        assert "retry-after" not in response.headers
        assert "It never fits" in response.json()["errors"][0]["message"]


async def test_what_is_refused_costs_a_point(demo_database: Database, clock: list[float]) -> None:
    async with limited(demo_database, budget_per_minute=10) as client:
        for _ in range(10):
            assert (await client.post("{ nothing }")).status_code == 400
        refused(await client.post("{ nothing }"))


async def test_without_a_budget_nothing_is_said_of_it(demo: Client) -> None:
    answer = await demo.ask(TEN)
    assert "budget" not in answer["extensions"]["cost"]


async def test_each_caller_has_a_budget(demo_database: Database, clock: list[float]) -> None:
    async with limited(demo_database, budget_per_minute=15, **JWT) as client:
        for name in ("one", "two"):
            caller = calling(client, token("analyst", sub=name))
            await budget(caller)
            refused(await caller.post(TEN))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::9", True),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:3:3:4:5:6", False),
        ("::1", "::1", True),
    ],
)
def test_who_says_no_name_counts_by_address(one: str, other: str, same: bool) -> None:  # noqa: FBT001
    accounts = [account("anonymous", host) for host in (one, other)]
    assert (accounts[0] == accounts[1]) == same


async def test_behind_a_proxy_the_clients_address_counts(demo_database: Database) -> None:
    """A proxy on this machine is believed, and what it says nothing of counts as its own."""
    async with listening(demo_database.gateway_url, budget_per_minute=15, compiler=True) as gateway:
        for client in ("192.0.2.1", "192.0.2.2", None):
            headers = {"x-forwarded-for": client} if client else {}
            statuses = [
                (await gateway.http.post("/graphql", json={"query": TEN}, headers=headers)).status_code
                for _ in range(2)
            ]
            assert statuses == [200, 429], client


@pytest.mark.parametrize(
    ("rows", "size", "seconds", "points"),
    [
        (0, 0, 0.0, 1), (7, 0, 1.0, 7), (7, 3_999, 1.0, 7), (7, 4_000, 1.0, 8), (0, 499, 0.5, 1), (0, 1_000, 0.5, 2),
        (7, 0, 1.0001, 7), (7, 0, 1.5, 10_000), (12_000, 0, 1.5, 12_000), (7, 0, 3.0, 40_000),
    ],
)  # fmt: skip
def test_what_was_used_is_the_most_of_rows_bytes_and_time(rows: int, size: int, seconds: float, points: int) -> None:
    """A row, 500 bytes, and beyond the first second each part of 20,000."""
    assert used(rows, size, seconds) == points


def test_a_bucket_holds_a_minutes_points(clock: list[float]) -> None:
    """To the point: what is there can be taken, and one more cannot; it fills by a sixtieth a second up to that."""
    buckets = OwnBuckets(120)
    assert buckets.take("a", 121) == (False, 120)
    assert buckets.take("a", 120) == (True, 0)
    assert buckets.take("a", 1) == (False, 0)
    clock[0] += 0.5
    assert buckets.take("a", 1) == (True, 0)
    clock[0] += 30
    assert buckets.take("a", 61) == (False, 60)
    assert buckets.take("b", 20) == (True, 100)  # of its own
    clock[0] += 59
    assert buckets.take("a", 20) == (True, 100)


def test_a_settlement_fills_no_bucket_beyond_its_limit_and_none_into_more_than_a_minutes_debt(
    clock: list[float],
) -> None:
    buckets = OwnBuckets(60)
    buckets.settle("nobody", 10)
    assert buckets.take("nobody", 60) == (True, 0)
    buckets.take("a", 20)
    buckets.settle("a", 15)
    assert buckets.take("a", 0) == (True, 55)
    buckets.settle("a", 15)
    assert buckets.take("a", 0) == (True, 60)
    buckets.settle("a", -70)
    assert buckets.take("a", 0) == (False, -10)
    buckets.settle("a", -500)
    assert buckets.take("a", 1) == (False, -60)
    clock[0] += 61
    assert buckets.take("a", 1) == (True, 0)


def test_the_bucket_that_was_not_used_longest_is_dropped(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.operations.budgets.CALLERS", 2)
    buckets = OwnBuckets(10)
    for name in ("a", "b", "a", "c"):
        buckets.take(name, 3)
    assert [buckets.take(name, 1) for name in ("a", "c")] == [(True, 3), (True, 6)]
    assert buckets.take("b", 1) == (True, 9)


async def test_when_to_try_again(clock: list[float]) -> None:
    """When the bucket has what the request costs, a second at the least; never, if it is more than the bucket holds."""
    budgets = Budgets(30)
    assert await budgets.take("a", 0) == RemainingBudget(30, 29)
    assert await budgets.take("a", 28) == RemainingBudget(30, 1)
    for points, seconds in ((2, 2), (3, 4), (30, 58)):
        with pytest.raises(RefusedError) as refusal:
            await budgets.take("a", points)
        assert refusal.value.headers == {"retry-after": str(seconds)}, points
    clock[0] += 1.9
    with pytest.raises(RefusedError) as refusal:
        await budgets.take("a", 2)
    assert refusal.value.headers == {"retry-after": "1"}
    with pytest.raises(RefusedError, match="never fits") as refusal:
        await budgets.take("a", 31)
    assert not refusal.value.headers


def test_what_is_left_is_told_in_whole_points_with_the_time_at_which_the_bucket_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.operations.budgets.time.time", lambda: 1_700_000_000.0)
    told = RemainingBudget(60, 20.9).public(5)
    assert told == {"limit": 60, "remaining": 25, "resetAt": "2023-11-14T22:13:54Z"}
    assert RemainingBudget(60, 50.5).public(20)["remaining"] == 60
    assert RemainingBudget(60, -3.5).public() == {"limit": 60, "remaining": 0, "resetAt": "2023-11-14T22:14:23Z"}
    assert [RemainingBudget(60, there).remaining for there in (-1.5, 0.9, 3.0)] == [0, 0, 3]


# -- shared ------------------------------------------------------------------------------------------------------------


async def test_workers_share_a_budget(
    demo_database: Database, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.operations.budgets.REDIS_SECONDS", 30.0)  # however busy this machine is
    settings = {"budget_per_minute": 100, "redis_url": redis.url}
    async with (
        limited(demo_database, **settings) as one,
        limited(demo_database, **settings) as other,
    ):
        assert (await budget(one))["remaining"] == 91
        await budget(other)
        assert (await budget(other))["remaining"] < 91
        before = time.monotonic()
        answers = await asyncio.gather(*(client.post(TEN) for client in (one, other) * 10))
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {200, 429}
        # what is left in the bucket, what comes back by time, and a point that each gives back
        most = (91 + (time.monotonic() - before) * 100 / 60 + 20) // 10
        assert 7 <= statuses.count(200) <= most
        refused(await one.post(MANY))


async def test_redis_is_away_and_comes_back(
    demo_database: Database, redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each worker counts for itself meanwhile; nobody is refused, or held up, because of it."""
    monkeypatch.setattr("gateway.operations.budgets.AWAY_SECONDS", 0.05)
    monkeypatch.setattr("gateway.operations.budgets.REDIS_SECONDS", 30.0)
    caplog.set_level(logging.INFO, "gateway.budgets")
    async with limited(demo_database, budget_per_minute=100, redis_url=redis.url) as client:
        await budget(client)
        redis.stop()
        for _ in range(3):
            assert (await budget(client))["limit"] == 100
            await asyncio.sleep(0.06)
        assert caplog.text.count("Redis is away, each worker keeps budgets of its own: ConnectionError: ") == 1
        assert redis.url not in caplog.text
        assert "Redis is back" not in caplog.text
        redis.start()
        await asyncio.sleep(0.06)
        assert (await budget(client))["remaining"] == 91  # the new Redis is empty
        for _ in range(2):
            assert caplog.text.count("Redis is back") == 1
            await budget(client)
        redis.stop()
        assert (await budget(client))["limit"] == 100
        assert caplog.text.count("Redis is away") == 2


async def test_redis_that_hangs_is_not_waited_for(demo_database: Database, redis: RedisServer) -> None:
    async with limited(demo_database, budget_per_minute=15, redis_url=redis.url) as client:
        redis.pause()
        await budget(client)
        refused(await client.post(TEN))
        redis.resume()


async def test_redis_that_was_never_there(demo_database: Database) -> None:
    async with limited(demo_database, budget_per_minute=15, redis_url="redis://127.0.0.1:1/0") as client:
        await budget(client)
        refused(await client.post(TEN))


# -- what was used beyond what was foreseen ----------------------------------------------------------------------------

WIDE = "{ tools(first: 9) { nodes {" + " ".join(f"{'long_' * 15}{n}: description" for n in range(100)) + "} } }"


async def test_long_answers_are_paid_for(demo_database: Database, clock: list[float]) -> None:
    async with limited(demo_database, budget_per_minute=100_000) as client:
        size = len((await client.post(WIDE)).content)
        cost = await client.cost(WIDE)
        before, after = cost["budget"]["remaining"], (await budget(client))["remaining"]
        assert size > 50_000
        assert before - after == 9  # the next one's own
        assert 100_000 - before == pytest.approx(2 * size / 500, rel=0.1)


@pytest.mark.parametrize("shared", [False, True], ids=["in memory", "in Redis"])
async def test_time_is_paid_for_up_to_a_minutes_debt(
    demo_database: Database,
    redis: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    shared: bool,  # noqa: FBT001
) -> None:
    """What costs little and takes long is charged by its time, and who is in debt waits for longer than a minute."""
    settings = {"redis_url": redis.url} if shared else {}
    monkeypatch.setattr("gateway.operations.budgets.REDIS_SECONDS", 30.0)
    async with limited(demo_database, budget_per_minute=100, **settings) as client:
        monkeypatch.setattr("gateway.operations.budgets.FREE_SECONDS", 0.0)
        monkeypatch.setattr("gateway.operations.budgets.POINTS_PER_SECOND", 1e9)
        assert (await budget(client))["remaining"] == 0
        async with asyncio.timeout(20):
            while not (response := await client.post(TEN)).is_client_error:  # what is settled is waited for by nobody
                assert shared
        assert refused(response)["remaining"] == 0
        assert 60 <= int(response.headers["retry-after"]) <= 70


async def test_a_statement_that_is_given_up_is_paid_for(
    demo_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.operations.budgets.FREE_SECONDS", 0.0)
    monkeypatch.setattr("gateway.operations.budgets.POINTS_PER_SECOND", 1e6)
    locking = await connect(demo_database.admin_url)
    try:
        async with limited(demo_database, budget_per_minute=1000, request_timeout=1.0) as client, locking.transaction():
            await locking.execute("LOCK TABLE tool_registry")
            assert (await client.post(TEN)).status_code == 504
            refused(await client.post("{ experiments(first: 1) { nodes { id } } }"))
    finally:
        await locking.close()
