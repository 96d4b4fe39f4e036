"""Work on many rows gives the loop back, in parts, and is still read together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from client import Client, serving
from conftest import Database
from schema.turns import MANY, Level, Loader, Turns, aside


@pytest.fixture(scope="module")
async def loaders(demo_database: Database) -> AsyncIterator[Client]:
    async with serving(demo_database.gateway_url, compiler=False) as client:
        yield client


async def test_a_long_answer_leaves_turns_to_others(loaders: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the rows of one list the loop goes round: with a slice of nothing, once for each of them."""
    monkeypatch.setattr("schema.turns.SLICE", 0.0)
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
    monkeypatch.setattr("schema.turns.SLICE", 0.0)
    found = await loaders.ask(query)
    assert found["data"] == expected["data"]
    assert found["extensions"]["cost"] == expected["extensions"]["cost"]
    assert found["extensions"]["cost"]["statements"] == 5


async def test_keys_of_a_level_are_one_load_and_errors_are_their_own() -> None:
    asked: list[list[int]] = []

    async def load(keys: list[int]) -> list[int | Exception]:
        asked.append(keys)
        return [ValueError("odd") if key % 2 else key * 10 for key in keys]

    level, turns = Level(), Turns()
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


async def test_what_takes_long_is_worked_out_in_a_thread() -> None:
    assert await aside(MANY - 1, threading.current_thread) is threading.main_thread()
    assert await aside(MANY, threading.current_thread) is not threading.main_thread()
