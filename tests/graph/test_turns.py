"""Work on many rows gives the loop back, in parts, and is still read together."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import orjson
import pytest

from gateway.operations.documents import MAX_OBJECTS
from schema.catalogue import exact_json
from schema.execution.time_slices import MANY, PART, BatchLevel, Loader, TimeSlices, aside
from tests.support.client import Client, serving
from tests.support.databases import Database

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
async def loaders(demo_database: Database) -> AsyncIterator[Client]:
    async with serving(demo_database.gateway_url, compiler=False) as client:
        yield client


async def test_a_long_answer_leaves_turns_to_others(loaders: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the rows of one list the loop goes round: with a slice of nothing, once for each of them."""
    monkeypatch.setattr("schema.execution.time_slices.SLICE", 0.0)
    query = "{ servingMetrics(first: 1000) { nodes { id recordedAt errorRate } } }"
    rounds = 0

    async def tick() -> None:
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    ticking = asyncio.ensure_future(tick())
    answer = await loaders.ask(query)
    ticking.cancel()
    assert len(answer["data"]["servingMetrics"]["nodes"]) == 1000
    assert rounds > 2000  # for a thousand records, and for a thousand objects


async def test_levels_are_read_together_in_however_many_slices(
    loaders: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = """{ experiments(first: 20) { nodes { models(first: 20) { nodes { deployments(first: 5) { nodes {
      id model { experiment { id } } } } } } } } }"""
    expected = await loaders.ask(query)
    monkeypatch.setattr("schema.execution.time_slices.SLICE", 0.0)
    found = await loaders.ask(query)
    assert found["data"] == expected["data"]
    assert found["extensions"]["cost"] == expected["extensions"]["cost"]
    assert found["extensions"]["cost"]["statements"] == 5


async def test_keys_of_a_level_are_one_load_and_errors_are_their_own() -> None:
    asked: list[list[int]] = []

    async def load(keys: list[int]) -> list[int | Exception]:
        asked.append(keys)
        return [ValueError("odd") if key % 2 else key * 10 for key in keys]

    level, turns = BatchLevel(), TimeSlices()
    loader: Loader[int, int] = Loader(load, level)
    futures: list[asyncio.Future[int]] = []
    with level.working():
        await turns.each(range(4), lambda _place, key: futures.append(loader.load(key)))
        await asyncio.sleep(0.01)
        futures.append(loader.load(2))
        assert asked == []
    found = await asyncio.gather(*futures, return_exceptions=True)
    assert asked == [[0, 1, 2, 3]]
    assert [str(one) for one in found] == ["0", "odd", "20", "odd", "20"]


async def test_loads_that_are_ready_together_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of a thousand lists below one object has a statement of its own, to be put together and sent."""
    monkeypatch.setattr("schema.execution.time_slices.SLICE", 0.0)
    rounds, begun = 0, []

    async def tick() -> None:
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    async def load(keys: list[int]) -> list[int | Exception]:
        begun.append(rounds)
        return list(keys)

    ticking, level = asyncio.ensure_future(tick()), BatchLevel()
    with level.working():
        futures = [Loader(load, level).load(place) for place in range(50)]
    assert await asyncio.gather(*futures) == list(range(50))
    ticking.cancel()
    assert len(set(begun)) > 40


async def test_masses_of_rows_leave_rounds_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some rows are a piece; behind each, others have three rounds of the loop: an answer goes three steps on."""
    monkeypatch.setattr("schema.execution.time_slices.SLICE", 0.0)
    rounds, seen = 0, []

    async def tick() -> None:
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    ticking = asyncio.ensure_future(tick())
    await asyncio.sleep(0)
    await TimeSlices(0.5, 3).parts(2 * PART + 1, lambda places: seen.append((len(places), rounds)))
    ticking.cancel()
    assert [size for size, _ in seen] == [PART, PART, 1]
    assert [after - before for (_, before), (_, after) in itertools.pairwise(seen)] == [3, 3]


async def test_fields_of_a_wide_object_are_one_object(loaders: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begun a few at a time, they come in their order, are read together, and fail as they would."""
    fields = " ".join(f"a{at}: id b{at}: experiment {{ id }} c{at}: deployments {{ totalCount }}" for at in range(8))
    query = f"""{{ models(first: 3) {{ nodes {{ {fields} bad: deployments(after: "no") {{ totalCount }} }} }} }}"""
    expected = await loaders.ask(query)
    monkeypatch.setattr("schema.execution.executor.FIELDS_AT_ONCE", 2)
    found = await loaders.ask(query)
    assert orjson.dumps(found["data"]) == orjson.dumps(expected["data"])
    assert len(found["data"]["models"]["nodes"][0]) == 25
    ends = [sorted(error["path"] for error in answer["errors"]) for answer in (found, expected)]  # as rows are done
    assert ends[0] == ends[1]
    assert found["extensions"]["cost"]["statements"] == expected["extensions"]["cost"]["statements"]


async def test_what_takes_long_is_worked_out_in_a_thread() -> None:
    assert await aside(MANY - 1, threading.current_thread) is threading.main_thread()
    assert await aside(MANY, threading.current_thread) is not threading.main_thread()


FILTERED = "query ($w: ModelWhere) { models(first: 1, where: $w) { nodes { id } } }"


@pytest.mark.parametrize("value", [[], {}, 0, 1.5])
async def test_a_body_of_far_too_many_values_is_not_even_read(loaders: Client, value: object) -> None:
    """Wherever in it they stand."""
    content = orjson.dumps({"query": "{ __typename }", "beside": [value] * 200_000})
    answer = await loaders.http.post("/graphql", content=content, headers={"content-type": "application/json"})
    (error,) = answer.json()["errors"]
    assert answer.status_code == 400
    assert (error["extensions"]["code"], error["extensions"]["limit"]) == ("VALUE_LIMIT", 60_000)
    assert error["message"].startswith("The body holds too many values")


@pytest.mark.parametrize("text", ["[{," * 200_000, '\\"[' * 200_000, "\\\\", '"', "\u00e9\U0001f600,"])
def test_what_stands_in_texts_is_no_value(text: str) -> None:
    assert not exact_json.holds_more(orjson.dumps({"text": text, "more": [text, 1]}), 5)
    assert not exact_json.holds_more(orjson.dumps({"text": text, "more": [text, 1]}).decode(), 5)
    assert exact_json.holds_more(orjson.dumps([text, *range(10)]), 9)
    assert not exact_json.holds_more(orjson.dumps(text), 0), "a text alone"


async def test_filters_in_thousands_are_refused_before_they_are_read(loaders: Client) -> None:
    """A list of too many has an error of its own; it is those in several lists that nothing else counts."""
    some = [{"modelName": {"eq": "a"}}] * 900
    for where in ({"and": [{"or": some}] * 3}, {"or": some * 3}):
        error = await loaders.error(FILTERED, w=where)
        assert (error["code"], error["extensions"]["limit"]) == ("VALUE_LIMIT", MAX_OBJECTS)
    assert await loaders.data(FILTERED, w={"or": [*some, *some[:100]]})


async def test_objects_within_json_are_not_counted(loaders: Client) -> None:
    change = "mutation ($i: MoveStepInput!) { moveStep(input: $i) { __typename } }"
    step = {"id": f"CompositionStep:{UUID(int=1)}", "to": "COMPLETED", "outputResult": [{"a": {}}] * 2000}
    assert (await loaders.data(change, i=step))["moveStep"]  # which says what else is wrong with it


async def test_a_large_operation_is_planned_beside_the_loop(
    demo_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three thousand lists, by fragments: a thread plans them, and whoever asks for little is planned at once."""
    fields = " ".join(f"a{place}: deployments(first: 1) {{ nodes {{ id }} }}" for place in range(30))
    roots = " ".join(f"r{place}: models(first: 1) {{ nodes {{ ...Many }} }}" for place in range(20))
    where: list[threading.Thread] = []
    async with serving(demo_database.gateway_url) as client:
        plans = client.app.state.graphql.plans
        measure = plans._measure

        def seen(*args: Any) -> int:
            where.append(threading.current_thread())
            price: int = measure(*args)
            return price

        monkeypatch.setattr(plans, "_measure", seen)
        query = f"{{ {roots} }} fragment Many on Model {{ {fields} }}"
        first, second = await asyncio.gather(client.ask(query), client.ask(query))
        assert len(first["data"]["r19"]["nodes"][0]) == 30
        assert first["data"] == second["data"]
        assert threading.main_thread() not in where
        assert await client.data("{ models(first: 1) { nodes { id } } }")
        assert where[-1] is threading.main_thread()
        assert len(plans) == 2
        assert plans._size == sum(kept.size for kept in plans._kept.values())


async def test_the_price_of_what_is_large_is_worked_out_beside_the_loop(
    demo_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the compiler it is not kept: it may depend on any variable. Large is a text, or what is in variables."""
    lists = " ".join(f"a{place}: deployments(first: $n) {{ totalCount }}" for place in range(40))
    wide = f"query ($n: Int) {{ models(first: $n) {{ nodes {{ ...Many }} }} }} fragment Many on Model {{ {lists} }}"
    many = {"or": [{"modelName": {"eq": "a"}}] * 900}
    where: list[threading.Thread] = []
    async with serving(demo_database.gateway_url, compiler=False) as client:
        plans = client.app.state.graphql.plans
        measure = plans._measure

        def seen(*args: Any) -> int:
            where.append(threading.current_thread())
            price: int = measure(*args)
            return price

        monkeypatch.setattr(plans, "_measure", seen)
        assert await client.data(FILTERED, w={"or": many["or"][:2]})
        assert where == [threading.main_thread()]
        where.clear()
        costs = [(await client.ask(wide, n=n))["extensions"]["cost"]["requested"] for n in (1, 2, 1)]
        assert costs[0] == costs[2] < costs[1]
        for _ in range(2):
            assert await client.data(FILTERED, w=many)
        assert len(where) == 5
        assert threading.main_thread() not in where
