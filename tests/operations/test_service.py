"""The service of operations by itself: no transport, no application, a caller of its own making."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import pytest

from db.engine.connector import Connector
from db.engine.timelines import Timelines
from db.engine.transaction import Transactions
from db.engine.url import database_url, target_of
from gateway.context import Caller
from gateway.database import engine_for, open_reads
from gateway.operations.answer import Answer
from gateway.operations.call import Call
from gateway.operations.deadline import DisconnectedError
from gateway.operations.observers import Count, Observer
from gateway.operations.persisted import document_registry
from gateway.operations.refusals import RefusedError
from gateway.operations.service import OperationService
from gateway.settings import Settings
from gateway.subscriptions.feed import ChangeFeed
from gateway.subscriptions.wake_event import AT_ONCE
from gateway.webhooks.managing import Webhooks
from schema.schema import build
from schema.scopes import all_scopes, read_scopes
from tests.live.test_live import record
from tests.support.changing import model_in, state
from tests.support.databases import Clone, Database, connect, execute

pytestmark = pytest.mark.slow

MODELS = "query Models($first: Int) { models(first: $first) { totalCount nodes { id stage } } }"
PROMOTE = """
    mutation Promote($input: PromoteModelInput!) {
      promoteModel(input: $input) { __typename ... on TransitionApplied { node { ... on Model { stage } } } }
    }
"""
FOLLOW = "subscription Follow { lifecycleEvents { cursor event { toState node { ... on Model { stage } } } } }"
REASONS = "subscription { lifecycleEvents { cursor event { reason } } }"
SLOW = "query Slow { activeAlertsSummaries { nodes { id } } }"

CURATOR = Caller("curator", all_scopes())


class Seen(Observer):
    """What an observer is told, in its order."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def planned(self, call: Call) -> None:
        self.told.append(("planned", call.record["operation"], call.record["cost"]))

    def subscribed(self, call: Call) -> None:
        self.told.append(("subscribed", call.record["operation"]))

    @contextmanager
    def messages(self, call: Call) -> Iterator[Count]:
        yield lambda count: self.told.append(("messages", count))

    def finished(self, call: Call, transport: str, status: int) -> None:
        self.told.append((transport, status, call.id))


@asynccontextmanager
async def service_of(url: str, *observers: Observer, **given: Any) -> AsyncIterator[OperationService]:
    """The service over a database, which it has looked at."""
    settings, timelines = Settings(**given), Timelines()
    where = database_url(url)
    engine = engine_for(settings, where, settings.pool_size, timelines=timelines)
    writer = engine_for(settings, where, settings.pool_size, read_only=False, timelines=timelines)
    reads = open_reads(settings, where, engine)
    feed = ChangeFeed(Connector(target_of(where), timelines), settings)
    changes = Transactions(writer, settings.pool_size, settings.turn_timeout)
    service = OperationService(
        build(), reads, changes, feed, Webhooks(settings), settings, document_registry(settings), observers
    )
    try:
        await service.shape.begin()
        yield service
    finally:
        await feed.close()
        await reads.close()
        await service.close()
        await engine.dispose()
        await writer.dispose()


async def ask(service: OperationService, query: str, caller: Caller = CURATOR, **variables: Any) -> Answer:
    """The answer to an operation of a caller."""
    call = Call("a request")
    call.caller = caller
    return await service.run(service.parameters({"query": query, "variables": variables}), call)


async def refused(service: OperationService, query: str, caller: Caller = CURATOR, **variables: Any) -> dict[str, Any]:
    """What is said of an operation that is refused, with its code."""
    with pytest.raises(RefusedError) as caught:
        await ask(service, query, caller, **variables)
    (error,) = caught.value.errors
    return {"status": caught.value.status, "message": error.message, **(error.extensions or {})}


async def test_a_query_is_answered_as_bytes_or_values_and_says_what_it_cost(demo_database: Database) -> None:
    async with service_of(demo_database.gateway_url) as service:
        answer = await ask(service, MODELS, first=2)
        values = answer.as_values()
        assert answer.as_json().startswith(b'{"data":{"models":{"totalCount":')
        assert len(values["data"]["models"]["nodes"]) == 2
        assert answer.cost == values["extensions"]["cost"]
        assert answer.cost["requested"] > 0 < answer.cost["statements"]
        assert not answer.errors
        assert not answer.unavailable


async def test_observers_are_told_of_the_plan_and_of_the_end(demo_database: Database) -> None:
    seen, other = Seen(), Observer()
    async with service_of(demo_database.gateway_url, other, seen) as service:
        call = Call("7")
        answer = await service.run(service.parameters({"query": MODELS, "variables": {"first": 3}}), call)
        service.finished(call, "TEST", 200)
        assert seen.told == [("planned", "Models", answer.cost["requested"]), ("TEST", 200, "7")]
        assert call.record["statements"] == answer.cost["statements"]
        await refused(service, "{ nowhere }")
        assert len(seen.told) == 2, "what is no operation has no plan"


async def test_a_change_is_made_and_another_is_not_for_want_of_a_right(
    database: Database, sql: asyncpg.Connection
) -> None:
    model = await model_in(sql, "development")
    async with service_of(database.gateway_url) as service:
        asked = {"id": model, "to": "STAGING"}
        reader = await ask(service, PROMOTE, Caller("reader", read_scopes()), input=asked)
        assert reader.as_values()["data"]["promoteModel"] == {"__typename": "Forbidden"}
        assert await state(sql, model) == ("development", False)
        made = await ask(service, PROMOTE, input=asked)
        assert made.as_values()["data"]["promoteModel"] == {
            "__typename": "TransitionApplied",
            "node": {"stage": "STAGING"},
        }
        assert await sql.fetchval("SELECT actor FROM gateway.lifecycle_events") == "curator"


async def test_what_a_caller_may_not_read_is_an_error_of_its_field(demo_database: Database) -> None:
    async with service_of(demo_database.gateway_url) as service:
        answer = await ask(service, MODELS, Caller("nobody", frozenset()), first=1)
        assert {error["extensions"]["code"] for error in answer.errors} == {"FORBIDDEN_FIELD"}


async def test_a_price_that_is_too_high_is_refused_before_anything_runs(demo_database: Database) -> None:
    query = "query Dear($n: Int) { models(first: $n) { nodes { id } } }"
    async with service_of(demo_database.gateway_url, max_cost=50) as service:
        error = await refused(service, query, n=100)
        assert (error["code"], error["limit"], error["status"]) == ("COST_LIMIT", 50, 400)
        assert (await ask(service, query, n=10)).cost["requested"] <= 50
        with pytest.raises(RefusedError):  # as in a batch, whose requests share what one may cost
            await service.begin(service.parameters({"query": query, "variables": {"n": 10}}), Call("x"), 5)


async def test_a_budget_is_the_callers(demo_database: Database) -> None:
    async with service_of(demo_database.gateway_url, budget_per_minute=60) as service:
        first = await ask(service, MODELS, first=40)
        assert first.cost["budget"]["limit"] == 60
        one, other = Caller("one", all_scopes()), Caller("other", all_scopes())
        await ask(service, MODELS, one, first=50)
        while (error := await spent(service, one)) is None:
            pass
        assert (error["code"], error["status"]) == ("BUDGET_EXCEEDED", 429)
        await ask(service, MODELS, other, first=1)


async def spent(service: OperationService, caller: Caller) -> dict[str, Any] | None:
    """What is said of a query, once there is no budget left for it."""
    try:
        await ask(service, MODELS, caller, first=50)
    except RefusedError as error:
        return {"status": error.status, **(error.errors[0].extensions or {})}
    return None


async def test_what_is_no_request_is_refused_with_what_would_be_right(demo_database: Database) -> None:
    async with service_of(demo_database.gateway_url) as service:
        for given, said in (
            (["{ models { totalCount } }"], "must be a JSON object"),
            ({"query": 1}, "query is missing"),
            ({"query": MODELS, "variables": [1]}, "variables must be an object"),
            ({}, "query is missing"),
        ):
            with pytest.raises(RefusedError, match=said):
                service.parameters(given)


async def test_a_subscription_is_a_stream_of_messages(database: Database, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    seen = Seen()
    async with service_of(database.gateway_url, seen) as service:
        call = Call("stream")
        call.caller = CURATOR
        planned = await service.begin(service.parameters({"query": FOLLOW}), call)
        assert service.streams(planned)
        async with aclosing(service.messages(planned, call)) as messages:
            [first] = await anext(messages)
            assert first.data is not None
            assert first.data["lifecycleEvents"]["event"] is None, "a cursor to begin with"
            await ask(service, PROMOTE, input={"id": model, "to": "STAGING"})
            [message] = await anext(messages)
            told = message.data
            assert told is not None
            assert told["lifecycleEvents"]["event"] == {"toState": "STAGING", "node": {"stage": "STAGING"}}
        about = [one for one in seen.told if one[0] in {"subscribed", "messages"}]
        assert about == [("subscribed", "Follow"), ("messages", 1), ("messages", 1)]


async def test_a_subscription_looks_who_asks_before_each_message(database: Database, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    async with service_of(database.gateway_url) as service:
        call = Call("stream")
        call.caller, asked = CURATOR, 0

        async def authenticate() -> Caller:
            nonlocal asked
            asked += 1
            if asked > 1:
                raise PermissionError("revoked")
            return CURATOR

        call.authenticate = authenticate
        planned = await service.begin(service.parameters({"query": FOLLOW}), call)
        async with aclosing(service.messages(planned, call)) as messages:
            await anext(messages)
            await ask(service, PROMOTE, input={"id": model, "to": "STAGING"})
            with pytest.raises(PermissionError, match="revoked"):
                await anext(messages)


async def test_who_is_behind_receives_several_changes_together(database: Database, sql: asyncpg.Connection) -> None:
    """In their order, none twice, and those who are behind the same ones together, wherever they began."""
    model, wanted = await model_in(sql, "development"), [f"change {place}" for place in range(21)]
    follows = asyncio.Semaphore(0)

    async def follow(stack: AsyncExitStack, service: OperationService, name: str) -> AsyncGenerator[list[str]]:
        call = Call(name)
        call.caller = CURATOR
        planned = await service.begin(service.parameters({"query": REASONS}), call)
        messages = await stack.enter_async_context(aclosing(service.messages(planned, call)))
        await anext(messages)
        follows.release()
        async for some in messages:
            yield [one.data["lifecycleEvents"]["event"]["reason"] for one in some if one.data]

    async with service_of(database.gateway_url) as service, AsyncExitStack() as stack, asyncio.timeout(60):
        prompt, slow, slower = (follow(stack, service, name) for name in ("prompt", "slow", "slower"))
        lists: dict[str, list[list[str]]] = {"slow": [], "slower": []}
        begun = [asyncio.ensure_future(anext(one)) for one in (prompt, slow, slower)]
        for _ in begun:
            await follows.acquire()
        for place, reason in enumerate(wanted):
            await record(sql, reason, node_id=model)
            assert await (begun[0] if place == 0 else anext(prompt)) == [reason]
            if place == 5:  # of this one's place the other is not
                lists["slow"] += [await begun[1], await anext(slow)]
        lists["slower"].append(await begun[2])
        for name, messages in (("slow", slow), ("slower", slower)):
            while sum(map(len, lists[name])) < len(wanted):
                lists[name].append(await anext(messages))
            assert [reason for some in lists[name] for reason in some] == wanted
        assert all(len(found) < len(wanted) / 2 for found in lists.values())
        assert lists["slow"][-2:] == lists["slower"][-2:]


async def test_many_that_are_told_the_same_go_on_a_few_at_a_time(database: Database, sql: asyncpg.Connection) -> None:
    """Others have their turn of the event loop between them, however many follow."""
    model, many = await model_in(sql, "development"), 400
    async with service_of(database.gateway_url) as service:
        turn, told = 0, Counter[int]()
        heard = [0] * many

        async def count() -> None:
            nonlocal turn
            while True:
                turn += 1
                await asyncio.sleep(0)

        async def follow(number: int) -> None:
            call = Call(f"stream {number}")
            call.caller = CURATOR
            planned = await service.begin(service.parameters({"query": FOLLOW}), call)
            async with aclosing(service.messages(planned, call)) as messages:
                async for some in messages:
                    heard[number] += len(some)
                    told[turn] += 1

        async def until_all_have(messages: int) -> None:
            async with asyncio.timeout(60):
                while min(heard) < messages:  # noqa: ASYNC110 - the slowest of many is waited for
                    await asyncio.sleep(0.01)

        tasks = [asyncio.create_task(count()), *(asyncio.create_task(follow(number)) for number in range(many))]
        try:
            await until_all_have(1)
            told.clear()
            await ask(service, PROMOTE, input={"id": model, "to": "STAGING"})
            await until_all_have(2)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert told.total() == many
        assert max(told.values()) <= 2 * AT_ONCE, told


async def test_a_subscription_has_no_single_answer(database: Database) -> None:
    async with service_of(database.gateway_url) as service:
        assert (await refused(service, FOLLOW))["code"] == "SUBSCRIPTION_OVER_HTTP"


# -- what is given up --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def slow(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    """One table of it takes a minute."""
    async with clone(demo_template) as copy:
        await execute(
            copy.owner_url,
            "ALTER TABLE ml_monitoring_alerts RENAME TO ml_monitoring_alerts_real",
            "CREATE VIEW ml_monitoring_alerts AS SELECT r.* FROM ml_monitoring_alerts_real r, pg_sleep(60)",
            "GRANT SELECT ON ml_monitoring_alerts TO e2i_gateway",
        )
        yield copy


async def at_work(database: Database, count: int) -> None:
    """Waits until so many statements of the gateway read the slow table."""
    connection = await connect(database.admin_url)
    try:
        for _ in range(1500):
            found = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'e2i-gateway' AND state = 'active' "
                "AND datname = current_database() AND query LIKE '%monitoring_alerts%'"
            )
            if found == count:
                return
            await asyncio.sleep(0.02)
    finally:
        await connection.close()
    raise AssertionError(f"{count} statements at work did not happen")


async def test_a_deadline_ends_the_statement_and_says_how_long_it_was(slow: Database) -> None:
    async with service_of(slow.gateway_url, request_timeout=1.0) as service:
        error = await refused(service, SLOW)
        assert (error["code"], error["limit"], error["status"]) == ("REQUEST_TIMEOUT", 1.0, 504)
        assert "idempotencyKey" not in error["message"], "nothing was to be changed"
        await at_work(slow, 0)
        assert (await ask(service, MODELS, first=1)).as_values()["data"]


async def test_a_client_that_leaves_ends_the_statement(slow: Database) -> None:
    async with service_of(slow.gateway_url) as service:
        call, left = Call("x"), asyncio.Event()
        call.client_left = left.wait
        answering = asyncio.create_task(service.run(service.parameters({"query": SLOW}), call))
        await at_work(slow, 1)
        left.set()
        with pytest.raises(DisconnectedError):
            await answering
        await at_work(slow, 0)


async def test_a_task_that_is_cancelled_ends_the_statement_and_leaves_its_place(slow: Database) -> None:
    async with service_of(slow.gateway_url, max_concurrent=1, max_queued=0) as service:
        answering = asyncio.create_task(ask(service, SLOW))
        await at_work(slow, 1)
        assert (await refused(service, MODELS, first=1))["code"] == "OVERLOADED"
        answering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answering
        await at_work(slow, 0)
        assert (await ask(service, MODELS, first=1)).as_values()["data"]
