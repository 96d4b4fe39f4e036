"""`now`: the database's clock."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from tests.support.client import Client, serving
from tests.support.databases import Database


async def test_now_is_the_databases_clock_and_one_for_the_operation(
    database: Database, sql: asyncpg.Connection
) -> None:
    async with serving(database.gateway_url) as client:
        before = await sql.fetchval("SELECT clock_timestamp()")
        answer = await client.ask("{ a: now models(first: 1) { totalCount } b: now }")
        after = await sql.fetchval("SELECT clock_timestamp()")
        assert list(answer["data"]) == ["a", "models", "b"]
        assert answer["data"]["a"] == answer["data"]["b"]
        assert before <= datetime.fromisoformat(answer["data"]["a"]) <= after
        assert answer["data"]["a"].endswith("Z")
        assert (await client.ask("{ now }"))["extensions"]["cost"]["statements"] == 1
        later = (await client.data("{ now }"))["now"]
    assert later > answer["data"]["a"], "it is never kept"


async def test_now_can_be_asked_about_rows(demo: Client) -> None:
    """As a filter takes it."""
    now = (await demo.data("{ now }"))["now"]
    query = "query($now: DateTime!) { models(where: {registeredAt: {lte: $now}}) { totalCount } }"
    assert (await demo.data(query, now=now))["models"]["totalCount"] > 0
