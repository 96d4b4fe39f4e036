"""A connection that is lost before, during and after the commit, and deadlocks: the key tells the truth afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from db.engine.transaction import Transaction
from tests.support.changing import change, events_of, model_in, state, uuid_of
from tests.support.client import Client, serving
from tests.support.databases import Database, connect, connected, kill_backends
from tests.support.proxy import Moment, Proxy, proxied

pytestmark = pytest.mark.slow


@pytest.fixture
async def sql(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """The superuser in ``database``."""
    async with connected(database.admin_url) as connection:
        yield connection


@pytest.fixture
async def behind(database: Database) -> AsyncIterator[tuple[Proxy, Client]]:
    """The gateway with a proxy between it and the database."""
    async with proxied(database.gateway_url) as (proxy, url), serving(url) as client:
        yield proxy, client


QUERY = (
    "mutation($i: PromoteModelInput!) { promoteModel(input: $i) { __typename ... on TransitionApplied { replayed } } }"
)


async def test_before_the_change(database: Database, sql: asyncpg.Connection) -> None:
    """Idle connections that died are replaced: the client does not notice."""
    async with serving(database.gateway_url) as client:
        model = await model_in(sql, "development")
        await change(client, "promoteModel", id=model, to="STAGING")
        assert await kill_backends(sql) >= 1
        await asyncio.sleep(0.1)
        answer = await client.ask(QUERY, i={"id": model, "to": "SHADOW", "idempotencyKey": "k"})
        if "errors" in answer:  # the death was noticed only when the change began
            assert answer["errors"][0]["extensions"]["code"] == "DATABASE_UNAVAILABLE"
            assert await state(sql, model) == ("staging", False)
            answer = await client.ask(QUERY, i={"id": model, "to": "SHADOW", "idempotencyKey": "k"})
        assert answer["data"]["promoteModel"] == {"__typename": "TransitionApplied", "replayed": False}
        assert len(await events_of(sql, model)) == 2


async def waits_for_a_lock(sql: asyncpg.Connection) -> None:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'e2i-gateway' AND wait_event_type = 'Lock' "
        "AND datname = current_database()"
    )
    for _ in range(500):
        if await sql.fetchval(query):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


async def test_in_the_middle_of_the_change(database: Database, sql: asyncpg.Connection) -> None:
    other = await connect(database.admin_url)
    async with serving(database.gateway_url) as client:
        model = await model_in(sql, "development")
        asked = {"id": model, "to": "STAGING", "idempotencyKey": "k"}
        async with other.transaction():
            await other.execute("SELECT FROM ml_model_registry WHERE id = $1 FOR UPDATE", uuid_of(model))
            asking = asyncio.create_task(client.post(QUERY, i=asked))
            await waits_for_a_lock(sql)
            assert await kill_backends(sql, waiting=True) == 1
            response = await asking
        assert response.status_code == 503
        assert response.json()["errors"][0]["extensions"]["code"] == "DATABASE_UNAVAILABLE"
        assert await state(sql, model) == ("development", False)
        assert await events_of(sql, model) == []
        answer = await client.data(QUERY, i=asked)
        assert answer["promoteModel"] == {"__typename": "TransitionApplied", "replayed": False}
    await other.close()


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
async def test_the_database_is_asked_what_became_of_a_commit(
    behind: tuple[Proxy, Client], sql: asyncpg.Connection, moment: Moment
) -> None:
    """The answer to the commit is lost; another connection finds out, and the client is told the truth at once."""
    proxy, client = behind
    made = moment == "after the commit"
    model = await model_in(sql, "development")
    asked = {"id": model, "to": "STAGING", "idempotencyKey": "k"}
    proxy.lose = moment
    answer = await client.ask(QUERY, i=asked)
    assert proxy.lost == 1
    if made:
        assert answer["data"]["promoteModel"] == {"__typename": "TransitionApplied", "replayed": False}
    else:
        assert answer["errors"][0]["extensions"]["code"] == "DATABASE_UNAVAILABLE"
    assert await state(sql, model) == ("staging" if made else "development", False)
    again = await client.data(QUERY, i=asked)
    assert again["promoteModel"] == {"__typename": "TransitionApplied", "replayed": made}
    assert len(await events_of(sql, model)) == 1


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
async def test_an_outcome_that_nobody_knows_is_said_to_be_unknown_and_the_key_tells_it(
    behind: tuple[Proxy, Client],
    sql: asyncpg.Connection,
    moment: Moment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The database cannot be reached after the commit either."""
    monkeypatch.setattr("db.engine.commits.OUTCOME_SECONDS", 0.2)
    proxy, client = behind
    made = moment == "after the commit"
    model = await model_in(sql, "development")
    asked = {"id": model, "to": "STAGING", "idempotencyKey": "k"}
    proxy.lose, proxy.away_then = moment, True
    error = (await client.ask(QUERY, i=asked))["errors"][0]
    assert error["extensions"]["code"] == "OUTCOME_UNKNOWN"
    assert "same idempotencyKey" in error["message"]
    proxy.away = False
    again = await client.data(QUERY, i=asked)
    assert again["promoteModel"] == {"__typename": "TransitionApplied", "replayed": made}
    assert len(await events_of(sql, model)) == 1


async def test_a_deadlock_is_run_again(database: Database, sql: asyncpg.Connection) -> None:
    other = await connect(database.admin_url)
    await other.execute("SET deadlock_timeout = '30s'")  # so that the gateway is the one that gives way
    async with serving(database.gateway_url) as client:
        models = sorted([await model_in(sql, "development"), await model_in(sql, "development")])
        items = [{"id": model} for model in models]
        touch = "UPDATE ml_model_registry SET auc = 0.5 WHERE id = $1"
        transaction = other.transaction()
        await transaction.start()
        await other.execute(touch, uuid_of(models[1]))
        asking = asyncio.create_task(change(client, "promoteModels", items=items, to="STAGING"))
        await waits_for_a_lock(sql)
        await other.execute(touch, uuid_of(models[0]))  # which the gateway has locked, while it waits for the other
        await transaction.commit()
        result = await asking
        assert result["__typename"] == "TransitionApplied"
        assert [await state(sql, model) for model in models] == [("staging", False)] * 2
        for model in models:
            assert len(await events_of(sql, model)) == 1
    await other.close()


async def test_the_same_key_at_the_same_time(database: Database, sql: asyncpg.Connection) -> None:
    """At two workers."""
    async with serving(database.gateway_url) as one, serving(database.gateway_url) as other:
        model = await model_in(sql, "development")
        asked: dict[str, Any] = {"id": model, "to": "STAGING", "idempotencyKey": "k"}
        results = await asyncio.gather(*(change(client, "promoteModel", **asked) for client in [one, other] * 4))
        assert sorted(result["replayed"] for result in results) == [False] + [True] * 7
        assert len({result["event"]["id"] for result in results}) == 1
        assert len(await events_of(sql, model)) == 1


async def test_moves_of_the_same_row_at_the_same_time(database: Database, sql: asyncpg.Connection) -> None:
    async with serving(database.gateway_url) as client:
        model = await model_in(sql, "development")
        results = await asyncio.gather(*(change(client, "promoteModel", id=model, to="STAGING") for _ in range(8)))
        kinds = sorted(result["__typename"] for result in results)
        assert kinds == ["IllegalTransition"] * 7 + ["TransitionApplied"]
        assert len(await events_of(sql, model)) == 1


async def test_a_lock_that_is_never_let_go(database: Database, sql: asyncpg.Connection) -> None:
    other = await connect(database.admin_url)
    async with serving(database.gateway_url, statement_timeout=0.3) as client:
        model = await model_in(sql, "development")
        async with other.transaction():
            await other.execute("SELECT FROM ml_model_registry WHERE id = $1 FOR UPDATE", uuid_of(model))
            error = (await client.ask(QUERY, i={"id": model, "to": "STAGING"}))["errors"][0]
        assert error["extensions"]["code"] == "STATEMENT_TIMEOUT"
        assert await events_of(sql, model) == []
        assert (await change(client, "promoteModel", id=model, to="STAGING"))["__typename"] == "TransitionApplied"
    await other.close()


async def test_a_request_that_is_given_up(database: Database, sql: asyncpg.Connection) -> None:
    other = await connect(database.admin_url)
    async with serving(database.gateway_url, request_timeout=0.4) as client:
        model = await model_in(sql, "development")
        asked = {"id": model, "to": "STAGING", "idempotencyKey": "k"}
        async with other.transaction():
            await other.execute("SELECT FROM ml_model_registry WHERE id = $1 FOR UPDATE", uuid_of(model))
            response = await client.post(QUERY, i=asked)
        assert response.status_code == 504
        assert "repeat it with the same idempotencyKey" in response.json()["errors"][0]["message"]
        assert await events_of(sql, model) == []
    async with serving(database.gateway_url) as client:
        answer = await client.data(QUERY, i=asked)
        assert answer["promoteModel"] == {"__typename": "TransitionApplied", "replayed": False}
    await other.close()


async def test_a_field_of_the_answer_that_fails_costs_that_field(database: Database, sql: asyncpg.Connection) -> None:
    await sql.execute("DROP TABLE ml_performance_metrics CASCADE")
    async with serving(database.gateway_url) as client:
        model = await model_in(sql, "development")
        answer = await client.ask(
            "mutation($i: PromoteModelInput!) { promoteModel(input: $i) { ... on TransitionApplied "
            "{ node { id ... on Model { stage health { healthStatus } } } } } }",
            i={"id": model, "to": "STAGING"},
        )
        assert answer["data"]["promoteModel"]["node"] == {"id": model, "stage": "STAGING", "health": None}
        assert answer["errors"][0]["extensions"]["code"] == "MISSING_IN_DATABASE"
        assert await state(sql, model) == ("staging", False)


async def test_an_answer_that_fails_as_a_whole_is_not_committed(database: Database, sql: asyncpg.Connection) -> None:
    """Null means that nothing was changed: here the record can be written, but not be read again."""
    await sql.execute(
        "REVOKE SELECT ON gateway.lifecycle_events FROM e2i_gateway; "
        "GRANT SELECT (event_id) ON gateway.lifecycle_events TO e2i_gateway"
    )
    async with serving(database.gateway_url) as client:
        model = await model_in(sql, "development")
        asked = {"id": model, "to": "STAGING"}
        query = QUERY.replace("{ replayed }", "{ event { reason } }")
        answer = await client.ask(query, i=asked)
        assert answer["data"] == {"promoteModel": None}
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["MISSING_IN_DATABASE"]
        assert await state(sql, model) == ("development", False)
        assert (await client.data(QUERY, i=asked))["promoteModel"]["__typename"] == "TransitionApplied"


# -- several changes in one transaction --------------------------------------------------------------------------------

TOGETHER = """
    mutation($a: PromoteModelInput!, $b: PromoteModelInput!, $c: SetChampionInput!)
        @transaction(idempotencyKey: "k")
    {
      a: promoteModel(input: $a) { ...Replayed }
      b: promoteModel(input: $b) { ...Replayed }
      c: setChampion(input: $c) { ...Replayed }
    }
    fragment Replayed on TransitionResult { __typename ... on TransitionApplied { replayed } }
"""


def steps(one: str, other: str) -> dict[str, Any]:
    return {"a": {"id": one, "to": "SHADOW"}, "b": {"id": other, "to": "STAGING"}, "c": {"id": one}}


def results(*, replayed: bool) -> dict[str, Any]:
    return {key: {"__typename": "TransitionApplied", "replayed": replayed} for key in "abc"}


async def count_of(sql: asyncpg.Connection, *models: str) -> int:
    counted: int = await sql.fetchval(
        "SELECT count(*) FROM gateway.lifecycle_events WHERE node_id = ANY ($1)", list(models)
    )
    return counted


async def test_a_transaction_whose_backend_is_killed_at_any_statement_is_all_or_nothing(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each of its statements in turn, until it has fewer: nothing stays, and the same key makes all of it once."""
    killer = await connect(database.admin_url)
    run = Transaction._run
    left = -1

    async def killed(self: Transaction, statement: str, values: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            assert await kill_backends(killer) >= 1
        return await run(self, statement, values)

    monkeypatch.setattr(Transaction, "_run", killed)
    async with serving(database.gateway_url) as client:
        for statement in range(1, 200):
            one, other = await model_in(sql, "staging"), await model_in(sql, "development")
            query = TOGETHER.replace('"k"', f'"k{statement}"')
            left = statement
            response = await client.post(query, **steps(one, other))
            if left > 0:
                break
            left = -1
            if "errors" in response.json():
                assert response.status_code == 503
                assert response.json()["errors"][0]["extensions"]["code"] == "DATABASE_UNAVAILABLE"
                assert await count_of(sql, one, other) == 0
            for _ in range(3):  # other connections of the pool died too
                answer = await client.ask(query, **steps(one, other))
                if "errors" not in answer:
                    break
            assert set(answer["data"]) == set("abc")
            assert await count_of(sql, one, other) == 3
            assert [await state(sql, model) for model in (one, other)] == [("shadow", True), ("staging", False)]
    assert statement > 20
    await killer.close()


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
async def test_what_became_of_a_commit_of_several_changes(
    behind: tuple[Proxy, Client], sql: asyncpg.Connection, moment: Moment
) -> None:
    proxy, client = behind
    made = moment == "after the commit"
    one, other = await model_in(sql, "staging"), await model_in(sql, "development")
    proxy.lose = moment
    response = await client.post(TOGETHER, **steps(one, other))
    assert proxy.lost == 1
    if made:
        assert response.json()["data"] == results(replayed=False)
    else:
        assert response.status_code == 503
    assert await count_of(sql, one, other) == (3 if made else 0)
    assert await client.data(TOGETHER, **steps(one, other)) == results(replayed=made)
    assert await count_of(sql, one, other) == 3


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
async def test_an_unknown_outcome_of_several_changes_is_said_of_each(
    behind: tuple[Proxy, Client], sql: asyncpg.Connection, moment: Moment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.engine.commits.OUTCOME_SECONDS", 0.2)
    proxy, client = behind
    one, other = await model_in(sql, "staging"), await model_in(sql, "development")
    proxy.lose, proxy.away_then = moment, True
    answer = await client.ask(TOGETHER, **steps(one, other))
    assert answer["data"] == dict.fromkeys("abc")
    assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [
        ([key], "OUTCOME_UNKNOWN") for key in "abc"
    ]
    proxy.away = False
    assert await client.data(TOGETHER, **steps(one, other)) == results(replayed=moment == "after the commit")
    assert await count_of(sql, one, other) == 3


async def test_a_deadlock_of_several_changes_is_run_again_from_the_first(
    database: Database, sql: asyncpg.Connection
) -> None:
    """Somebody else locks the rows in another order."""
    other = await connect(database.admin_url)
    await other.execute("SET deadlock_timeout = '30s'")  # so that the gateway is the one that gives way
    async with serving(database.gateway_url) as client:
        one, two = await model_in(sql, "staging"), await model_in(sql, "development")
        models = sorted([one, two])
        touch = "UPDATE ml_model_registry SET auc = 0.5 WHERE id = $1"
        transaction = other.transaction()
        await transaction.start()
        await other.execute(touch, uuid_of(models[1]))
        asking = asyncio.create_task(client.data(TOGETHER, **steps(one, two)))
        await waits_for_a_lock(sql)
        await other.execute(touch, uuid_of(models[0]))  # which the gateway has locked, while it waits for the other
        await transaction.commit()
        assert await asking == results(replayed=False)
        assert await count_of(sql, *models) == 3
    await other.close()
