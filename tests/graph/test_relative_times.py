"""Times relative to now: literals, variables and defaults, by both executors, of one moment, never of a kept plan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.engine.clock import CLOCK
from tests.support.client import Client, serving
from tests.support.databases import Database, connected
from tests.support.executors import EXECUTORS


class Clock:
    """A clock that a test sets."""

    moment = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    monkeypatch.setattr(CLOCK, "now", lambda: Clock.moment)
    return Clock


@pytest.fixture(scope="module", params=EXECUTORS)
async def client(request: pytest.FixtureRequest, demo_database: Database) -> AsyncIterator[Client]:
    async with serving(demo_database.gateway_url, compiler=request.param) as served:
        yield served


@pytest.fixture(scope="module")
async def times(demo_database: Database) -> list[datetime]:
    async with connected(demo_database.admin_url) as connection:
        rows = await connection.fetch("SELECT created_at FROM ml_monitoring_alerts ORDER BY created_at")
    return [row[0] for row in rows]


LITERAL = '{ found: monitoringAlerts(where: { createdAt: { gt: "now-7d" } }) { totalCount } }'
VARIABLE = "query ($at: DateTime) { found: monitoringAlerts(where: {createdAt: {gt: $at}}) { totalCount } }"
WHERE = "query ($where: MonitoringAlertWhere) { found: monitoringAlerts(where: $where) { totalCount } }"
DEFAULT = VARIABLE.replace("DateTime)", 'DateTime = "now-7d")')
DEFAULT_OBJECT = WHERE.replace(
    "Where)", 'Where = {createdAt: {gt: "now-7d"}, severity: {notIn: [LOW], isNull: false}})'
)
FRAGMENT = """query { ...Roots } fragment Roots on Query {
  found: monitoringAlerts(where: { and: [{ createdAt: { gt: "now-7d", lte: "now" } }] }) { totalCount } }"""


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (LITERAL, {}),
        (LITERAL.replace("now-7d", "\\u006eow-6d24h"), {}),
        (VARIABLE, {"at": "now-7d"}),
        (VARIABLE.replace("$at", "$_now0"), {"_now0": "now-168h"}),
        (WHERE, {"where": {"createdAt": {"gt": "now-1w"}}}),
        (DEFAULT, {}),
        (DEFAULT, {"at": "now-10080m"}),
    ],
)
async def test_each_request_has_its_own_moment(
    client: Client, clock: type[Clock], times: list[datetime], query: str, variables: dict[str, Any]
) -> None:
    """Also by the plan that an earlier moment has made."""
    for at in (times[0], times[len(times) // 2], times[-1], times[-1] + timedelta(days=8)):
        clock.moment = at.astimezone(UTC) + timedelta(days=7)
        answer = await client.data(query, **variables)
        assert answer["found"]["totalCount"] == sum(one > at for one in times), at


async def test_times_of_one_operation_are_of_one_moment(client: Client, clock: type[Clock]) -> None:
    """In fragments, in lists, beside variables; one text in place of a list of one."""
    clock.moment = datetime(2027, 1, 1, tzinfo=UTC)
    first = await client.data(FRAGMENT)
    again = await client.data(FRAGMENT.replace('"now-7d"', '"now-7d", in: "now"'))
    assert first["found"]["totalCount"] >= again["found"]["totalCount"] == 0
    found = await client.data(
        'query ($at: DateTime!) { found: monitoringAlerts(where: {or: [{createdAt: {in: ["now", $at]}},'
        " {createdAt: {gt: $at}}]}) { totalCount } }",
        at="now-52w",
    )
    assert found["found"]["totalCount"] >= first["found"]["totalCount"]


async def test_a_default_that_is_an_object(client: Client, clock: type[Clock], times: list[datetime]) -> None:
    clock.moment = times[0].astimezone(UTC)
    assert (await client.data(DEFAULT_OBJECT))["found"]["totalCount"] > 0
    clock.moment = times[-1].astimezone(UTC) + timedelta(days=9)
    assert (await client.data(DEFAULT_OBJECT))["found"]["totalCount"] == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("now-7", "is not a relative time: write now, now-7d or now+1h30m"),
        ("now - 7d", "is not a relative time"),
        ("now-7D", "is not a relative time"),
        ("now-3M", "is not a relative time"),
        ("nowhere", "is not a relative time"),
        ("now-36526d", "more than a century"),
        ("now+999999999w", "more than a century"),
        ("now-" + "9999w" * 5_000, "more than a century"),
        ("yesterday", "or one such as now-7d"),
    ],
)
async def test_other_texts_are_errors_that_say_what_is_right(client: Client, text: str, words: str) -> None:
    for error in (await client.error(VARIABLE, at=text), await client.error(LITERAL.replace("now-7d", text))):
        assert words in error["message"]
        assert error["extensions"]["code"] in {"BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"}


async def test_dates_may_be_relative(client: Client, clock: type[Clock], demo_database: Database) -> None:
    """As literals, variables and defaults: the date in UTC of the operation's moment."""
    async with connected(demo_database.admin_url) as connection:
        rows = await connection.fetch("SELECT valid_until FROM expert_reviews WHERE valid_until IS NOT NULL")
    dates = sorted(row[0] for row in rows)
    literal = '{ found: expertReviews(where: {validUntil: {lte: "now+30d"}}) { totalCount } }'
    variable = "query ($at: Date) { found: expertReviews(where: {validUntil: {lte: $at}}) { totalCount } }"
    for moment in (dates[0], dates[len(dates) // 2], dates[-1]):
        clock.moment = datetime(moment.year, moment.month, moment.day, 23, 59, tzinfo=UTC)
        right = sum(one <= moment + timedelta(days=30) for one in dates)
        assert (await client.data(literal))["found"]["totalCount"] == right
        assert (await client.data(variable, at="now+30d"))["found"]["totalCount"] == right
        default = variable.replace("Date)", 'Date = "now+30d")')
        assert (await client.data(default))["found"]["totalCount"] == right
    error = await client.error(variable, at="now+30x")
    assert "is not a relative time" in error["message"]
